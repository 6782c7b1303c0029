"""Strategies: what each made in an hour, and whether all of them are one.

Profit of a strategy that is whole accounts is the change of their equity without transfers; of one
that is assets, what its positions would have made had nobody traded in the hour. Hours of which one
end is not known are left out. *Pure.*
"""

from __future__ import annotations

from math import fsum

from monitor.core.formulas.structure import choose_stressed_hours, compute_lockstep
from monitor.core.measures.accounts import EQUITY, read_pools
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, PortfolioNode, StrategyNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import Lack
from monitor.core.state.series import HOUR_NS
from monitor.core.state.structure import HOURS_KEPT, HourlyLevels
from monitor.core.types import SECOND_NS, SubjectKind

# A level is of an hour's beginning when it is known within ten minutes of it.
BEGINS_NS = 600 * SECOND_NS
LOCKSTEP_HOURS_MIN = 168
# Stress is the tenth of a month's hours in which the market moved most; ten days have so many.
STRESSED_SHARE, STRESSED_HOURS_MIN = 0.10, 24
# How long ago the newest hour may have ended that both of a pair know.
LOCKSTEP_NS = 6 * HOUR_NS
PNL = "strategy_pnl_1h_usd"

_Held = dict[str, tuple[float, float]]


def _pnl(node: StrategyNode, use: Use) -> float | None:
    name = node.strategy.name
    memory = use.state.structure
    levels = memory.profits.get(name)
    if levels is None:
        levels = memory.profits[name] = HourlyLevels()
    hour, into = divmod(use.now, HOUR_NS)
    use.wake_at((hour + 1) * HOUR_NS)
    if into < BEGINS_NS and hour not in levels.levels:
        level = _equity(node, use) if node.strategy.accounts else _held_level(node, hour, use)
        if level is not None and not use.estimated:
            levels.note(hour, level)
    change = levels.changes().get(hour - 1)
    if change is None:
        use.absent(f"the last hour of {name} is not known from end to end", Lack.FILLING)
    return change


def _pools(node: StrategyNode, use: Use) -> list[AccountNode] | None:
    """Every pool of the accounts named."""
    found: list[AccountNode] = []
    for venue, alias in node.strategy.accounts:
        pools = read_pools(node, venue, alias, use)
        if pools is None:
            return None
        found += [one for one in pools if one not in found]
    return found


def _equity(node: StrategyNode, use: Use) -> float | None:
    """Equity without all that was ever transferred; None while a transfer may be in one only."""
    pools = _pools(node, use)
    if pools is None:
        return None
    settling_ns = round(use.settings.flow_settling_s * SECOND_NS)
    parts = []
    for pool in pools:
        equity = use.read(pool, EQUITY.name)
        if equity is None:
            return None
        if any(use.now - flow.told_ns < settling_ns for flow in pool.account.recent_flows):
            use.absent("a transfer is settling")
            return None
        parts += [equity, -pool.account.flow_total_usd]
    return fsum(parts)


def _held_level(node: StrategyNode, hour: int, use: Use) -> float | None:
    """The last level and what the positions of then made since."""
    held = _positions(node, use)
    if held is None:
        return None
    memory = use.state.structure
    name = node.strategy.name
    level = memory.profits[name].levels.get(hour - 1)
    gains = []
    if level is not None:  # what is kept as held is then of that hour
        prices = _prices(node)
        for subject, (size, price) in memory.held.get(name, {}).items():
            now_at = prices.get(subject)
            if now_at is None:
                use.absent(f"no price of {subject} now, which was held as the hour began")
                return None
            gains.append(size * (now_at - price))
    if not use.estimated:
        memory.held[name] = held
    return fsum([level or 0.0, *gains])


def _positions(node: StrategyNode, use: Use) -> _Held | None:
    """(size, price) of everything held in the strategy's assets."""
    held: _Held = {}
    for account in node.related(Relation.ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        if use.read(account, HOLDINGS) is None or not use.join(account.holdings.exposure):
            return None
        for market, one in account.holdings.held.items():
            if account.markets[market].market.asset in node.strategy.assets:
                held[f"{account.subject}/{market}"] = (one.size, one.price)
    return held


def _prices(node: StrategyNode) -> dict[str, float]:
    """The price at which each position, open or closed, would be valued."""
    found = {}
    for account in node.related(Relation.ACCOUNTS):
        if isinstance(account, AccountNode):
            for market, place in account.markets.items():
                fact = place.market.mark if place.market.has_mark else place.market.oracle
                if fact.value is not None:
                    found[f"{account.subject}/{market}"] = fact.value
    return found


def profits(use: Use) -> dict[str, dict[int, float]]:
    """Of each strategy by the hour, thirty days back."""
    memory = use.state.structure.profits
    names = [one.name for one in use.settings.structure.strategies]
    return {name: memory[name].changes() if name in memory else {} for name in names}


def compared(use: Use, *, stressed: bool) -> dict[str, dict[int, float]]:
    """Profits by strategy and hour that are compared: all that are known, or those of the hours
    alone in which the market moved most. Such are chosen by the market and not by the strategies:
    hours in which all of them lost would make any two look alike, or opposed."""
    known_profits = profits(use)
    if not stressed:
        return known_profits
    basket = use.state.basket
    returns = basket.list_returns(HOURS_KEPT)
    first = basket.hour - len(returns) + 1
    known = {first + place: one for place, one in enumerate(returns) if one is not None}
    hours = choose_stressed_hours(known, share=STRESSED_SHARE)
    return {
        name: {hour: one for hour, one in of_one.items() if hour in hours}
        for name, of_one in known_profits.items()
    }


def is_recent(use: Use) -> bool:
    """Whether every strategy knows an hour that ended lately, which is how old the reading is."""
    newest = (max(one, default=-1) for one in profits(use).values())
    as_of = (min(newest) + 1) * HOUR_NS
    if as_of + LOCKSTEP_NS <= use.now:
        use.absent("the profit of a strategy is not known for hours")
        return False
    use.as_of = min(use.as_of, as_of)
    use.observed = min(use.observed, as_of)
    use.expires = min(use.expires, as_of + LOCKSTEP_NS)
    return True


def _correlated(use: Use, *, stressed: bool) -> float | None:
    """None where each two know too few of the hours, or none lately."""
    of_each = compared(use, stressed=stressed)
    if len(of_each) < 2:
        return 0.0
    needed = STRESSED_HOURS_MIN if stressed else LOCKSTEP_HOURS_MIN
    found = compute_lockstep(list(of_each.values()), hours_min=needed)
    if found.correlation is None:
        days = max((needed - found.hours) / 24.0, 1.0)
        use.absent(
            f"{found.hours} of {needed} {'restless ' if stressed else ''}hours known that "
            f"each two of {', '.join(of_each)} share"
            + ("" if stressed else f"; {days:.0f} days to go"),
            Lack.FILLING,
        )
        return None
    if not is_recent(use):  # of all hours that both know, restless or not
        return None
    return min(max(found.correlation, -1.0), 1.0)


def _lockstep(_node: PortfolioNode, use: Use) -> float | None:
    """Over all hours that two know."""
    return _correlated(use, stressed=False)


def _lockstep_stressed(_node: PortfolioNode, use: Use) -> float | None:
    """Over the hours alone in which the market moved most."""
    return _correlated(use, stressed=True)


DEFINITIONS: tuple[Definition, ...] = (
    define(
        MeasureSpec(
            name=PNL,
            kinds=(SubjectKind.STRATEGY,),
            unit=Unit.USD,
            help="Profit (> 0) or loss of a strategy in the last full hour, transfers out, USD.",
            cadence_s=60.0,
            typical=(1e3, -1e5),
        ),
        SubjectKind.STRATEGY,
        _pnl,
        needs=((Relation.ACCOUNTS, EQUITY.name), (Relation.ACCOUNTS, HOLDINGS)),
        always=True,
    ),
    define(
        MeasureSpec(
            name="strategies_correlation",
            kinds=(SubjectKind.PORTFOLIO,),
            unit=Unit.RATIO,
            help="Mean correlation of each two strategies' hourly profits over thirty days.",
            low=-1.0,
            high=1.0,
            cadence_s=300.0,
            at_zero="0 with fewer than two strategies configured",
            typical=(0.2, 0.8),
            words=("x",),
        ),
        SubjectKind.PORTFOLIO,
        _lockstep,
        needs=((Relation.STRATEGIES, PNL),),
    ),
    define(
        MeasureSpec(
            name="strategies_stressed_correlation",
            kinds=(SubjectKind.PORTFOLIO,),
            unit=Unit.RATIO,
            help=(
                "Mean correlation of each two strategies' profits over the tenth of thirty days' "
                "hours in which the market moved most, either way; absent below 24 of them."
            ),
            low=-1.0,
            high=1.0,
            cadence_s=300.0,
            at_zero="0 with fewer than two strategies configured",
            typical=(0.3, 0.9),
            words=("x",),
        ),
        SubjectKind.PORTFOLIO,
        _lockstep_stressed,
        needs=((Relation.STRATEGIES, PNL),),
    ),
)
