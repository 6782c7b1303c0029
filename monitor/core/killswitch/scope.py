"""What a kill-switch scope covers, which takes in another, and which level then holds.

A scope is the subject of the whole portfolio, a venue, an account (with or without its margin
pool), a position, an asset or a market. It knows nothing of trips. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from monitor.core.killswitch.levels import Level
from monitor.core.types import Subject, SubjectKind, subject_kind

# How much a scope takes in, for telling people; only ``contains`` decides.
WIDTH: Mapping[SubjectKind, int] = {
    SubjectKind.PORTFOLIO: 4,
    SubjectKind.VENUE: 3,
    SubjectKind.ASSET: 3,
    SubjectKind.ACCOUNT: 2,
    SubjectKind.MARKET: 2,
    SubjectKind.POSITION: 1,
}
_PARTS: Mapping[SubjectKind, int] = {
    SubjectKind.PORTFOLIO: 0,
    SubjectKind.VENUE: 1,
    SubjectKind.ASSET: 1,
    SubjectKind.ACCOUNT: 2,
    SubjectKind.MARKET: 2,
    SubjectKind.POSITION: 3,
}


@lru_cache(maxsize=256)
def scope_parts(scope: Subject) -> tuple[SubjectKind, tuple[str, ...]]:
    """The kind of a scope and its parts: ``(ACCOUNT, ("hyperliquid", "main"))``.

    Raises:
        ValueError: If it is no scope that a switch can act on (a feed, a rule), or a part is
            missing. A scope nobody can resolve must be refused where it enters.
    """
    kind = subject_kind(scope)
    count = _PARTS.get(kind)
    if count is None:
        raise ValueError(f"{scope} is no scope of the kill switch: one of {', '.join(WIDTH)}")
    text = scope.partition(":")[2]
    # Only the last part (a market's symbol) may itself contain a slash.
    parts = tuple(text.split("/", count - 1)) if count else ()
    if len(parts) != count or not all(parts) or (not count and text):
        raise ValueError(f"{scope} does not name {count} part(s)")
    return kind, parts


def covers_account(named: str, account: str) -> bool:
    """Whether a named account means ``account``: ``main`` means ``main.xyz`` too, not reversed."""
    return account == named or account.startswith(f"{named}.")


def pool_of(account: str, market: str) -> str:
    """The margin pool a market's positions are kept in: ``main.xyz`` for ``xyz:AAPL``."""
    dex, colon, _ = market.partition(":")
    return f"{account}.{dex}" if colon and dex and not account.endswith(f".{dex}") else account


def covers(scope: Subject, *, venue: str, account: str, asset: str, market: str) -> bool:
    """Whether what is held in this market by this account lies within the scope; ``account`` may
    be named with or without the market's margin pool.

    Raises:
        ValueError: As ``scope_parts``.
    """
    kind, parts = scope_parts(scope)
    pool = pool_of(account, market)
    match kind:
        case SubjectKind.PORTFOLIO:
            return True
        case SubjectKind.ASSET:
            return parts[0] == asset
        case SubjectKind.VENUE:
            return parts[0] == venue
        case SubjectKind.MARKET:
            return parts == (venue, market)
        case SubjectKind.ACCOUNT:
            return parts[0] == venue and covers_account(parts[1], pool)
        case _:  # a position
            return (parts[0], parts[2]) == (venue, market) and covers_account(parts[1], pool)


def contains(
    outer: Subject,
    inner: Subject,
    asset_of: Mapping[tuple[str, str], str] | None = None,
) -> bool:
    """Whether everything in ``inner`` lies in ``outer`` for certain; a scope contains itself.

    Args:
        outer: Scope that may take in the other. No asset contains a venue, no venue an asset.
        inner: Scope that may lie in it.
        asset_of: Asset by (venue, market). Without it, no asset is known to contain a market.

    Raises:
        ValueError: As ``scope_parts``.
    """
    kind, parts = scope_parts(outer)
    inner_kind, inner_parts = scope_parts(inner)
    if outer == inner or kind is SubjectKind.PORTFOLIO:
        return True
    if inner_kind is SubjectKind.PORTFOLIO or WIDTH[inner_kind] > WIDTH[kind]:
        return False
    if kind is SubjectKind.ASSET:
        if inner_kind not in {SubjectKind.MARKET, SubjectKind.POSITION}:
            return False
        return (asset_of or {}).get((inner_parts[0], inner_parts[-1])) == parts[0]
    if inner_kind is SubjectKind.ASSET or inner_parts[0] != parts[0]:
        return False
    if kind is SubjectKind.VENUE:
        return True
    if kind is SubjectKind.MARKET:
        return inner_kind is SubjectKind.POSITION and inner_parts[2] == parts[1]
    if inner_kind is SubjectKind.MARKET:
        return False
    same_market = kind is not SubjectKind.POSITION or inner_parts[2] == parts[2]
    return same_market and covers_account(parts[1], inner_parts[1])


def level_at(
    latched: Iterable[tuple[Subject, Level]],
    *,
    venue: str,
    account: str,
    asset: str,
    market: str,
) -> Level:
    """The level that holds for one account in one market: the most restrictive of those whose
    scope covers it, NORMAL where none does.

    Raises:
        ValueError: As ``scope_parts``.
    """
    return max(
        (
            level
            for scope, level in latched
            if covers(scope, venue=venue, account=account, asset=asset, market=market)
        ),
        default=Level.NORMAL,
    )
