"""The chance that two or more accounts are liquidated within one day.

Each account's own chance (first passage, jumps included) is known; how they go together is told by
what they hold: correlations and volatilities of the assets, signs included, so that the two legs of
a hedge hardly ever go on the same day. Extremes come together more often than usual days do, hence
a Student-t copula with four degrees of freedom. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import fsum, sqrt
from typing import NamedTuple

from monitor.core.formulas.copula import (
    compute_joint_normal,
    compute_joint_student,
    compute_two_or_more,
    fit_loadings,
)
from monitor.core.measures.barriers import HORIZON
from monitor.core.measures.book_risk import covariance
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.passage import CHANCE_DAY
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, AssetNode, Node, PortfolioNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import PRESENT
from monitor.core.state.model import RiskState
from monitor.core.types import EngineNs, SubjectKind

# From here on it is said although another account is dark: the catalogue's limit.
SAID_FROM = 0.005
# Rarer than once in ten thousand days an account changes nothing at that limit.
RARE = 1e-4
Read = Callable[[Node, str], float | None]


class Member(NamedTuple):
    """One account: its chance of a day, and by asset the USD that one sigma of a year moves."""

    name: str
    chance: float
    scales: dict[str, float]


class Pair(NamedTuple):
    """Two accounts, their correlation, and their joint chance of a day."""

    joint: float
    rho: float
    first: Member
    second: Member


def _scales(node: AccountNode, read: Read) -> dict[str, float] | None:
    parts: dict[str, list[float]] = {}
    for position in node.related(Relation.POSITIONS):
        for asset in position.related(Relation.ASSET):
            if not isinstance(asset, AssetNode):
                continue
            held = [
                one.notional_usd
                for name, one in node.holdings.held.items()
                if node.markets[name] in asset.markets
            ]
            if not held:
                continue
            volatility = read(asset, HORIZON.name)
            if volatility is None:
                return None
            parts[asset.asset] = [usd * volatility for usd in held]
    return {asset: fsum(parts[asset]) for asset in sorted(parts)}


def members_of(node: PortfolioNode, read: Read) -> tuple[list[Member], bool]:
    """Accounts that matter, and whether all are known."""
    found, complete = [], True
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        chance = read(account, CHANCE_DAY.name)
        if chance is None:
            complete = False
        elif chance >= RARE:
            scales = _scales(account, read)
            if scales is None:
                complete = False
            else:
                found.append(Member(account.subject.partition(":")[2], chance, scales))
    return found, complete


def _correlation(node: PortfolioNode, first: Member, second: Member, use: Use) -> float | None:
    """Of what two accounts win and lose; 1 where one of them never moved: it is not known to be
    anything else."""
    both = covariance(node, first.scales, second.scales, use)
    own = covariance(node, first.scales, first.scales, use)
    others = covariance(node, second.scales, second.scales, use)
    if both is None or own is None or others is None:
        return None
    scale = sqrt(max(own, 0.0) * max(others, 0.0))
    return min(max(both / scale, -1.0), 1.0) if scale > 0.0 else 1.0


def worst_pair(
    node: PortfolioNode, members: list[Member], use: Use
) -> tuple[Pair | None, list[list[float]] | None]:
    """The likeliest pair, by the Gaussian copula where there are many; and all correlations. None
    for either where a correlation is not known."""
    matrix = [[1.0] * len(members) for _ in members]
    best: tuple[float, float, Member, Member] | None = None
    for (i, first), (j, second) in combinations(enumerate(members), 2):
        known = _correlation(node, first, second, use)
        if known is None:
            return None, None
        matrix[i][j] = matrix[j][i] = known
        quick = compute_joint_normal(first.chance, second.chance, known)
        if best is None or quick > best[0]:
            best = quick, known, first, second
    if best is None:
        return None, matrix
    _, known, first, second = best
    return Pair(compute_joint_student(first.chance, second.chance, known), known, first, second), (
        matrix
    )


def _joint(node: PortfolioNode, use: Use) -> float | None:
    """Of two accounts exactly; of more by the one factor nearest to their correlations, and never
    less than the likeliest pair."""
    dark = PRESENT

    def read(of: Node, name: str) -> float | None:
        nonlocal dark
        value = use.read(of, name)
        if value is None:
            dark = dark if dark.reason else use.why
        return value

    members, complete = members_of(node, read)
    pair, matrix = worst_pair(node, members, use)
    if matrix is None:
        return None
    found = 0.0 if pair is None else pair.joint
    if len(members) > 2:
        chances = [one.chance for one in members]
        found = max(found, compute_two_or_more(chances, fit_loadings(matrix)))
    use.say(JOINT.name, node, _said(pair, found, len(members)))
    if complete or found >= SAID_FROM:
        return found
    use.why = dark
    return None


def _said(pair: Pair | None, found: float, members: int) -> str:
    """``hyperliquid/main and dydx/main 0.62 %, alone 1.2 % and 0.9 %, correlation 0.97``; of more
    than two accounts, their chance before that of the likeliest pair."""
    if pair is None:
        return ""
    whole = f"{found * 100:.2g} % of {members} accounts; likeliest " if members > 2 else ""
    return (
        f"{whole}{pair.first.name} and {pair.second.name} {pair.joint * 100:.2g} %, alone "
        f"{pair.first.chance * 100:.2g} % and {pair.second.chance * 100:.2g} %, correlation "
        f"{pair.rho:.2f}"
    )


def _named(node: Node, state: RiskState, _now: EngineNs) -> str:
    return state.words.get(f"{JOINT.name}|{node.subject}", "")


JOINT = MeasureSpec(
    name="accounts_joint_liquidation_24h_ratio",
    kinds=(SubjectKind.PORTFOLIO,),
    unit=Unit.RATIO,
    help="Chance that two accounts or more are liquidated within 24 hours, jumps included.",
    low=0.0,
    high=1.0,
    cadence_s=15.0,
    at_zero="with one account at or below maintenance, the chance of the next",
    typical=(0.0001, 0.01),
)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        JOINT,
        SubjectKind.PORTFOLIO,
        _joint,
        needs=((Relation.ALL_ACCOUNTS, CHANCE_DAY.name),),
        detail=_named,
    ),
)
