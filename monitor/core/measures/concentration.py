"""Where the money is and what it is made of: concentration, haircuts, dollars that are none.

An account whose collateral the venue does not list token by token (all but pooled accounts) keeps
it in the venue's dollar, and what a pooled account is worth beyond its tokens is profit in
it. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import fsum

from monitor.core.formulas.collateral import (
    HAIRCUTS,
    SOURCES_MIN,
    compute_concentration,
    compute_depeg,
    compute_haircut_value,
    compute_worst_depeg,
)
from monitor.core.measures.accounts import EQUITY
from monitor.core.measures.aggregate import upward
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.exposure import GROSS
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, Node, PortfolioNode
from monitor.core.measures.use import NO_SOURCE, Use
from monitor.core.state.facts import Lack
from monitor.core.state.model import AccountState, RiskState
from monitor.core.types import EngineNs, SubjectKind

DOLLAR = "USDC"
_PORTFOLIO = (SubjectKind.PORTFOLIO,)
_WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)
Parts = Callable[[PortfolioNode, Use], dict[str, float] | None]


def tokens_of(account: AccountState, equity_usd: float) -> dict[str, float]:
    """USD by token, the sum being the account's equity; a token that nothing prices is in none."""
    values: dict[str, float] = {}
    for balance in account.collateral:
        if balance.price_usd is not None:
            value = float(balance.amount) * balance.price_usd
            values[balance.token] = values.get(balance.token, 0.0) + value
    values[DOLLAR] = values.get(DOLLAR, 0.0) + equity_usd - fsum(values.values())
    return values


def _haircut_equity(node: AccountNode, use: Use) -> float | None:
    equity = use.read(node, EQUITY.name)
    return None if equity is None else compute_haircut_value(tokens_of(node.account, equity))


def _haircut_loss(node: Node, use: Use) -> float | None:
    equity = use.read(node, EQUITY.name)
    after = None if equity is None else use.read(node, HAIRCUT_EQUITY.name)
    if equity is None or after is None:
        return None
    if equity < 0.0:
        return 1.0
    if equity == 0.0:  # nothing to sell and something to lose is no small share
        gross = use.read(node, GROSS.name)
        return None if gross is None else float(gross > 0.0)
    return min(max((equity - after) / equity, 0.0), 1.0)


# ------------------------------------------------------------------------------ concentration


def by_venue(node: PortfolioNode, use: Use) -> dict[str, float] | None:
    """Equity by venue, USD; None where one is not known."""
    parts: dict[str, float] = {}
    for venue in node.venues:
        if not venue.related(Relation.ACCOUNTS):
            continue
        value = use.read(venue, EQUITY.name)
        if value is None:
            return None
        parts[venue.venue.venue] = value
    return parts


def by_asset(node: PortfolioNode, use: Use) -> dict[str, float] | None:
    """Gross exposure by asset, USD; None where an account's is not known."""
    parts: dict[str, float] = {}
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        if use.read(account, HOLDINGS) is None or not use.join(account.holdings.exposure):
            return None
        _add_assets(account, parts)
    return parts


def _add_assets(account: AccountNode, parts: dict[str, float]) -> None:
    for name, one in account.holdings.held.items():
        asset = account.markets[name].market.asset
        parts[asset] = parts.get(asset, 0.0) + abs(one.notional_usd)


def by_token(node: PortfolioNode, use: Use) -> dict[str, float] | None:
    """Collateral by token, USD; None where an account's equity is not known."""
    parts: dict[str, float] = {}
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        equity = use.read(account, EQUITY.name)
        if equity is None:
            return None
        _add_tokens(account, equity, parts)
    return parts


def _add_tokens(account: AccountNode, equity: float, parts: dict[str, float]) -> None:
    for token, value in tokens_of(account.account, equity).items():
        parts[token] = parts.get(token, 0.0) + value


def _index(parts_of: Parts) -> Callable[[PortfolioNode, Use], float | None]:
    def compute(node: PortfolioNode, use: Use) -> float | None:
        parts = parts_of(node, use)
        if parts is None:
            return None
        if any(part > 0.0 for part in parts.values()):
            return compute_concentration(parts.values())
        # Nothing left while something is owed or exposed: all of it hangs on one thread.
        if any(part < 0.0 for part in parts.values()):
            return 1.0
        gross = use.read(node, GROSS.name)
        return None if gross is None else float(gross > 0.0 and parts_of is not by_asset)

    return compute


def _count(parts_of: Parts) -> Callable[[PortfolioNode, Use], float | None]:
    def compute(node: PortfolioNode, use: Use) -> float | None:
        parts = parts_of(node, use)
        return None if parts is None else float(sum(part > 0.0 for part in parts.values()))

    return compute


# -------------------------------------------------------------------------------------- depeg


def _depegs(
    node: PortfolioNode, use: Use, deviation: Callable[[list[float]], float | None]
) -> float | None:
    """The worst over the dollar tokens that our equity is in."""
    tokens = by_token(node, use)
    if tokens is None:
        return None
    worst, dark = None, list[str]()
    for token, value in tokens.items():
        if value <= 0.0 or not is_dollar(token):
            continue
        found = deviation(prices_of(token, use))
        if found is not None:
            worst = found if worst is None else max(worst, found)
        elif deviation([1.0] * _sources(token, use)) is not None:
            dark.append(token)
    if worst is None and dark:
        use.absent(f"too few of the prices of {', '.join(sorted(dark))} are fresh")
    elif worst is None:
        use.absent(
            f"{NO_SOURCE}no dollar token that we hold is priced by enough of the venues that are "
            f"watched ({SOURCES_MIN})",
            Lack.CHOICE,
        )
    use.retry()
    return None if worst is None else min(worst, 1.0)


def is_dollar(token: str) -> bool:
    """Whether a token is meant to be worth a dollar."""
    return token.upper() in HAIRCUTS and not token.upper().endswith("ETH")


def prices_of(token: str, use: Use) -> list[float]:
    """Fresh prices of a token in USD: one by market, and one that a venue states for collateral.

    The venue's own dollar at exactly 1 is a definition and no price.
    """
    found: list[float] = []
    for venue, name in use.state.assets.get(token, []):
        place = use.state.venues[venue].markets[name]
        limit = round(use.settings.freshness.mark_s * 1e9) + 1
        for fact in (place.oracle, place.mark, place.mid):
            if fact.value is not None and use.fresh(fact, limit, f"price of {token}"):
                found.append(fact.value)
                break
    for owner in use.state.venues.values():
        stated = {
            balance.price_usd
            for account in owner.accounts.values()
            for balance in account.collateral
            if balance.token == token and balance.price_market is not None
        }
        found += [price for price in stated if price is not None]
    return found


def _sources(token: str, use: Use) -> int:
    """How many markets and venues could price a token, whether they tell or not."""
    stating = sum(
        any(
            balance.token == token and balance.price_market is not None
            for account in venue.accounts.values()
            for balance in account.collateral
        )
        for venue in use.state.venues.values()
    )
    return len(use.state.assets.get(token, [])) + stating


def _depeg(node: PortfolioNode, use: Use) -> float | None:
    return _depegs(node, use, compute_depeg)


def _worst_depeg(node: PortfolioNode, use: Use) -> float | None:
    return _depegs(node, use, compute_worst_depeg)


def _told(parts: dict[str, float]) -> str:
    """``hyperliquid 80 %, dydx 20 %``: the largest three."""
    known = sorted(((value, name) for name, value in parts.items() if value > 0.0), reverse=True)
    total = fsum(value for value, _ in known)
    return ", ".join(f"{name} {value / total * 100:.0f} %" for value, name in known[:3])


def _equity_cells(nodes: Iterable[Node]) -> list[tuple[Node, float]]:
    """Equities in demand, as they were last computed."""
    found = []
    for node in nodes:
        instance = node.instances.get(EQUITY.name)
        if instance is not None and instance.cell.value is not None:
            found.append((node, instance.cell.value))
    return found


def _venues_told(node: Node, _state: RiskState, _now: EngineNs) -> str:
    cells = _equity_cells(node.related(Relation.VENUES))
    return _told({one.subject.partition(":")[2]: value for one, value in cells})


def _assets_told(node: Node, _state: RiskState, _now: EngineNs) -> str:
    parts: dict[str, float] = {}
    for account in node.related(Relation.ALL_ACCOUNTS):
        if isinstance(account, AccountNode):
            _add_assets(account, parts)
    return _told(parts)


def _tokens_told(node: Node, _state: RiskState, _now: EngineNs) -> str:
    parts: dict[str, float] = {}
    for account, equity in _equity_cells(node.related(Relation.ALL_ACCOUNTS)):
        if isinstance(account, AccountNode):
            _add_tokens(account, equity, parts)
    return _told(parts)


HAIRCUT_EQUITY = MeasureSpec(
    name="haircut_equity_usd",
    kinds=_WIDE,
    unit=Unit.USD,
    help="Equity with each collateral token at what it would bring in a hurry, USD.",
    typical=(1e6, 5e5),
    aggregate=Aggregate.SUM,
)
HAIRCUT_LOSS = MeasureSpec(
    name="collateral_haircut_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help="Share of equity that selling the collateral in a hurry would cost.",
    low=0.0,
    high=1.0,
    cadence_s=1.0,
    at_zero="1 with nothing left but exposure or debt, 0 with nothing at all",
    typical=(0.0, 0.1),
)


def _hhi(name: str, of: str) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_PORTFOLIO,
        unit=Unit.RATIO,
        help=f"Concentration of {of}: sum of squared shares, 1 over it is the effective number.",
        low=0.0,
        high=1.0,
        cadence_s=5.0,
        at_zero="1 with nothing left but exposure or debt, 0 with nothing at all",
        typical=(0.3, 0.8),
        words=("x",),
    )


def _parts(name: str, of: str, words: tuple[str, str]) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_PORTFOLIO,
        unit=Unit.COUNT,
        help=f"{of}.",
        low=0.0,
        cadence_s=5.0,
        typical=(3.0, 1.0),
        words=words,
    )


def _peg(name: str, help_text: str) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_PORTFOLIO,
        unit=Unit.RATIO,
        help=help_text,
        low=0.0,
        high=1.0,
        cadence_s=1.0,
        typical=(0.001, 0.02),
    )


_VENUES = ((Relation.VENUES, EQUITY.name),)
_ACCOUNTS = ((Relation.ALL_ACCOUNTS, EQUITY.name),)
_HELD = ((Relation.ALL_ACCOUNTS, HOLDINGS),)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        HAIRCUT_EQUITY,
        SubjectKind.ACCOUNT,
        _haircut_equity,
        needs=((Relation.SELF, EQUITY.name),),
    ),
    *upward(HAIRCUT_EQUITY),
    *(
        define(
            HAIRCUT_LOSS,
            kind,
            _haircut_loss,
            needs=tuple((Relation.SELF, spec.name) for spec in (EQUITY, HAIRCUT_EQUITY, GROSS)),
        )
        for kind in _WIDE
    ),
    define(
        _hhi("equity_concentration_hhi", "equity over venues"),
        SubjectKind.PORTFOLIO,
        _index(by_venue),
        needs=_VENUES,
        detail=_venues_told,
    ),
    define(
        _parts("equity_venues_count", "Venues that hold equity of ours", ("venue", "venues")),
        SubjectKind.PORTFOLIO,
        _count(by_venue),
        needs=_VENUES,
    ),
    define(
        _hhi("asset_concentration_hhi", "gross exposure over assets"),
        SubjectKind.PORTFOLIO,
        _index(by_asset),
        needs=_HELD,
        detail=_assets_told,
    ),
    define(
        _parts("assets_held_count", "Assets that we hold", ("asset", "assets")),
        SubjectKind.PORTFOLIO,
        _count(by_asset),
        needs=_HELD,
    ),
    define(
        _hhi("collateral_concentration_hhi", "collateral over tokens"),
        SubjectKind.PORTFOLIO,
        _index(by_token),
        needs=_ACCOUNTS,
        detail=_tokens_told,
    ),
    define(
        _peg(
            "stablecoin_depeg_ratio",
            "Worst |1 - median price| of the dollar tokens we hold, over three sources or more.",
        ),
        SubjectKind.PORTFOLIO,
        _depeg,
        needs=_ACCOUNTS,
    ),
    define(
        _peg(
            "stablecoin_depeg_single_ratio",
            "Worst |1 - price| of the dollar tokens we hold by any single source.",
        ),
        SubjectKind.PORTFOLIO,
        _worst_depeg,
        needs=_ACCOUNTS,
    ),
)
