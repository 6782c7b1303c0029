"""How margin, liquidation and loss come about, line by line, for whoever does them again by hand.

Each line is ``words: expression = result`` in plain numbers, with ``x`` for times and ``ln``,
``sqrt`` and ``|…|`` as on paper. Asked only when a person wants to know. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.core.formulas.first_passage import ONE_SIDED_999, YEAR_S, compute_least_distance
from monitor.core.formulas.liquidation import OUT_OF_REACH_RATIO, compute_uniform_move
from monitor.core.formulas.margin import tier_at
from monitor.core.formulas.ratios import MARGIN_USAGE_MAX
from monitor.core.measures.barriers import (
    JUMP_MEAN,
    JUMPS_PER_YEAR,
    Barrier,
    barriers_of,
)
from monitor.core.measures.definition import Key
from monitor.core.measures.drawdown import WINDOWS
from monitor.core.measures.exposure import holding_of, is_closed
from monitor.core.measures.liquidation import LIQUIDATIONS, has_own_rules
from monitor.core.measures.tree import AccountNode, Node, PositionNode
from monitor.core.measures.use import Use
from monitor.core.state.model import Holding, Sides
from monitor.core.types import SubjectKind

Steps = tuple[str, ...]
_EQUITY = "equity_usd"
_CENTS_FROM = 100_000.0
_WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)


def bare(value: float) -> str:
    """A number with as many digits as a sum by hand needs."""
    return f"{value:.8g}"


def usd(value: float) -> str:
    """An amount to the cent; a small one with as many digits as a ratio needs."""
    return f"{value:,.2f}" if abs(value) >= _CENTS_FROM else bare(value)


def step(words: str, expression: str, result: float) -> str:
    """``words: expression = result``."""
    return f"{words}: {expression} = {bare(result)}"


def divided(words: str, over: float, under: float) -> str:
    """``words: over / under = ratio`` of two amounts; ``under`` not 0."""
    return step(words, f"{usd(over)} / {usd(under)}", over / under)


def _gone(equity_usd: float) -> Steps:
    return (f"equity {usd(equity_usd)} is gone: the worst there is",)


# ------------------------------------------------------------------------------- over equity


def work_leverage(node: Node, use: Use) -> Steps:
    """Gross over equity."""
    gross, equity = use.read(node, "gross_exposure_usd"), use.read(node, _EQUITY)
    if gross is None or equity is None or gross <= 0.0:
        return ()
    return _gone(equity) if equity <= 0.0 else (divided("gross / equity", gross, equity),)


def work_margin_usage(node: AccountNode, use: Use) -> Steps:
    """Of the account and of its cross pool; the larger counts."""
    required, equity = use.read(node, "maintenance_margin_usd"), use.read(node, _EQUITY)
    if required is None or equity is None:
        return ()
    sums = [("account", required, equity)]
    if not has_own_rules(node):
        pool = node.holdings
        if (pool.pool_maintenance_usd, pool.pool_equity_usd) != (required, equity):
            sums.append(("its cross pool", pool.pool_maintenance_usd, pool.pool_equity_usd))
    told: list[str] = []
    for words, over, under in sums:
        if over > 0.0 >= under:
            told.append(f"{words}: equity {usd(under)} is gone: {MARGIN_USAGE_MAX:g}")
        elif under > 0.0:
            told.append(divided(f"{words}, maintenance / equity", over, under))
    return tuple(told)


def work_equity_share(node: PositionNode, use: Use) -> Steps:
    """|Position| over the account's equity."""
    holding = None if is_closed(node, use) else holding_of(node, use)
    equity = use.read(node.owner, _EQUITY)
    if holding is None or equity is None:
        return ()
    if equity <= 0.0:
        return _gone(equity)
    return (divided("|position| / equity of its account", abs(holding.notional_usd), equity),)


def work_haircut(node: Node, use: Use) -> Steps:
    """What haircuts take off, over equity."""
    equity, less = use.read(node, _EQUITY), use.read(node, "haircut_equity_usd")
    if equity is None or less is None or equity <= 0.0:
        return ()
    sums = f"({usd(equity)} - {usd(less)}) / {usd(equity)}"
    return (step("(equity - equity after haircuts) / equity", sums, (equity - less) / equity),)


# ------------------------------------------------------------------------------- liquidation


def work_distance(node: AccountNode, use: Use) -> Steps:
    """The nearest market alone, from its liquidation price on, and all together; the nearer
    counts."""
    if use.read(node, LIQUIDATIONS) is None:
        return ()
    into = node.holdings
    if into.held and into.pool_equity_usd <= into.pool_maintenance_usd:
        equity, required = usd(into.pool_equity_usd), usd(into.pool_maintenance_usd)
        return (f"equity {equity} of the cross pool is at or below its maintenance {required}: 0",)
    known = [
        (one.distance_ratio, name)
        for name, one in into.held.items()
        if one.distance_ratio is not None and one.distance_ratio < OUT_OF_REACH_RATIO
    ]
    told: list[str] = []
    if known:
        _, name = min(known)
        told += _alone(node, name, into.held[name])
    move = compute_uniform_move(
        equity_usd=into.pool_equity_usd,
        net_notional_usd=into.pool_net_usd,
        maintenance_usd=into.pool_maintenance_usd,
    )
    if into.pool_maintenance_usd > 0.0 and move is not None:
        equity, required = usd(into.pool_equity_usd), usd(into.pool_maintenance_usd)
        sums = f"({required} - {equity}) / ({usd(into.pool_net_usd)} - {required})"
        words = "all together, (maintenance - equity) / (net - maintenance)"
        told.append(step(words, sums, move))
    return tuple(told)


def _alone(node: AccountNode, name: str, one: Holding) -> list[str]:
    """From the equation of the sheet: (equity - size x price - other maintenance + deduction) /
    (|size| x rate - size)."""
    price = one.liquidation_price
    tiers = node.markets[name].market.margin_tiers
    if price is None or not tiers:
        return []
    into, own = node.holdings, one.maintenance_usd or 0.0
    equity, others = into.pool_equity_usd, into.pool_maintenance_usd - own
    if one.isolated:
        equity, others = one.margin_equity_usd or 0.0, 0.0
    rate, deduction = tier_at(abs(one.size) * price, tiers)
    minus = "-" if one.size > 0.0 else "+"
    size, worth = bare(abs(one.size)), f"{minus} {bare(abs(one.size))} x {bare(one.price)}"
    over = f"{usd(equity)} {worth}"
    over += f" - {usd(others)}" if others else ""
    over += f" + {usd(deduction)}" if deduction else ""
    return [
        step(
            f"{name} is liquidated at, other prices held",
            f"({over}) / ({size} x {bare(rate)} {minus} {size})",
            price,
        ),
        step(
            f"from {bare(one.price)}",
            f"|{bare(price)} / {bare(one.price)} - 1|",
            abs(price / one.price - 1.0),
        ),
    ]


def _away(one: Barrier) -> str:
    """``ln(1 + 0.2)`` for a rise, ``-ln(1 - 0.2)`` for a fall."""
    return (
        f"ln(1 + {bare(one.distance_ratio)})" if one.up else f"-ln(1 - {bare(one.distance_ratio)})"
    )


def _which(one: Barrier) -> str:
    return f"{one.name} {'up' if one.up else 'down'}"


def _in_sigmas(one: Barrier) -> str:
    sums = f"{_away(one)} / ({bare(one.volatility)} / sqrt(365))"
    return step(f"{_which(one)}, in sigmas of a day", sums, one.sigmas)


def _reachable(node: AccountNode, use: Use) -> list[Barrier]:
    """Barriers that a sum can be done for: not touched already, and above a price of nothing."""
    found = barriers_of(node, use) or []
    return [
        one for one in found if one.distance_ratio > 0.0 and (one.up or one.distance_ratio < 1.0)
    ]


def work_sigmas(node: AccountNode, use: Use) -> Steps:
    """Of what is nearest in sigmas."""
    found = [one for one in _reachable(node, use) if one.volatility > 0.0]
    if not found:
        return ()
    one = min(found, key=lambda barrier: barrier.sigmas)
    return (_in_sigmas(one),)


def work_of_minimum(node: AccountNode, use: Use) -> Steps:
    """The least distance for the time that help needs, then the nearest over it."""
    latency_s = use.settings.margin.reach_s(node.account.venue)
    found = [
        (
            one,
            compute_least_distance(volatility_annualized=one.volatility, latency_s=latency_s),
        )
        for one in barriers_of(node, use) or []
    ]
    if not found:
        return ()
    one, least = min(found, key=lambda pair: pair[0].distance_ratio / pair[1])
    move = f"{ONE_SIDED_999:g} x {bare(one.volatility)} x sqrt({latency_s:g} / {YEAR_S:.0f})"
    return (
        step(f"least for help that takes {latency_s:g} s", f"1.5 x {move} + 0.03", least),
        step(
            _which(one), f"{bare(one.distance_ratio)} / {bare(least)}", one.distance_ratio / least
        ),
    )


def work_chance(node: AccountNode, use: Use) -> Steps:
    """What the paths rest on; jumps have no closed form."""
    found = [one for one in _reachable(node, use) if one.volatility > 0.0]
    if not found:
        return ()
    one = min(found, key=lambda barrier: barrier.sigmas)
    jumps = f"{JUMPS_PER_YEAR:g} jumps a year of {JUMP_MEAN * 100:g} %"
    return (
        _in_sigmas(one),
        f"without jumps about 2 N(-{one.sigmas:.4g}) in a day; more with {jumps} against us",
    )


def work_net_runway(node: AccountNode, use: Use) -> Steps:
    """Until the chance is 1 %, less the time that collateral takes."""
    runway = use.read(node, "runway_1pct_s")
    if runway is None:
        return ()
    reach_s = use.settings.margin.reach_s(node.account.venue)
    sums = f"{bare(runway)} - {bare(reach_s)}"
    return (step("1 % runway - time to bring collateral, s", sums, runway - reach_s),)


# -------------------------------------------------------------------------------------- loss


def _fall(peak: float, shown: float | None, *, settled: bool, words: str) -> Steps:
    if shown is None or peak <= 0.0:
        return ()
    if not settled:
        return (f"highest {words} {usd(peak)}, equity {usd(shown)}; a transfer is being told",)
    if shown >= peak:
        return (f"equity {usd(shown)} is the highest {words}: 0",)
    sums = f"({usd(peak)} - {usd(shown)}) / {usd(peak)}"
    return (step(f"(highest {words} - equity) / highest", sums, (peak - shown) / peak),)


def work_drawdown(node: Node, use: Use) -> Steps:
    """From the peak as transfers have shifted it."""
    known = use.state.drawdowns.get(node.subject)
    if known is None:
        return ()
    settled = known.unsettled is None
    return _fall(known.peak_usd, known.equity_usd, settled=settled, words="ever")


def _work_window(name: str, words: str) -> Callable[[Node, Use], Steps]:
    def work(node: Node, use: Use) -> Steps:
        known = use.state.rolling.get(f"{name}|{node.subject}")
        if known is None:
            return ()
        memory = known.drawdown
        settled = memory.unsettled is None
        return _fall(memory.peak_usd, memory.equity_usd, settled=settled, words=words)

    return work


# ------------------------------------------------------------------------- two sources at odds


def _sides(words: str, sides: Sides) -> list[str]:
    stream, truth = sides.stream, sides.truth
    if not sides.difference_ratio or stream is None or truth is None:
        return []
    return [_at_odds(words, usd(stream.amount), usd(truth.amount), sides.difference_ratio)]


def _at_odds(words: str, stream: str, truth: str, ratio: float) -> str:
    return f"{words}: the stream says {stream}, the re-read {truth}; differs by {bare(ratio)}"


def work_cross_check(node: AccountNode, _use: Use) -> Steps:
    """What stream and re-read disagree about, both values beside each other."""
    account = node.account
    told = _sides("cash", account.cash_sides) + _sides("equity", account.equity_sides)
    for token, sides in sorted(account.collateral_sides.items()):
        told += _sides(token, sides)
    for market, position in sorted(account.positions.items()):
        if position.difference_ratio:
            stream, truth = f"{position.stream_size}", f"{position.truth_size}"
            told.append(_at_odds(f"size of {market}", stream, truth, position.difference_ratio))
    return tuple(told)


def work_equity_difference(node: AccountNode, _use: Use) -> Steps:
    """The statement and its parts."""
    account = node.account
    equity, cash, value = account.equity.value, account.cash.value, account.positions_value
    if equity is None or cash is None or value is None:
        return ()
    words = f"stated equity {usd(equity)}; cash + positions as stated with it"
    return (step(words, f"{usd(cash)} + {usd(value.amount)}", cash + value.amount),)


WORKINGS: Mapping[Key, Callable[..., Steps]] = {
    **{("leverage", kind): work_leverage for kind in _WIDE},
    **{("drawdown_ratio", kind): work_drawdown for kind in _WIDE},
    **{
        (f"drawdown_{short}_ratio", SubjectKind.PORTFOLIO): _work_window(
            f"drawdown_{short}_ratio", f"of {words}"
        )
        for short, words, _ in WINDOWS
    },
    ("margin_usage_ratio", SubjectKind.ACCOUNT): work_margin_usage,
    ("equity_share_ratio", SubjectKind.POSITION): work_equity_share,
    **{("collateral_haircut_ratio", kind): work_haircut for kind in _WIDE},
    ("liquidation_distance_ratio", SubjectKind.ACCOUNT): work_distance,
    ("liquidation_distance_sigmas", SubjectKind.ACCOUNT): work_sigmas,
    ("liquidation_distance_of_minimum_ratio", SubjectKind.ACCOUNT): work_of_minimum,
    ("liquidation_probability_24h_ratio", SubjectKind.ACCOUNT): work_chance,
    ("runway_net_s", SubjectKind.ACCOUNT): work_net_runway,
    ("cross_check_difference_ratio", SubjectKind.ACCOUNT): work_cross_check,
    ("equity_difference_ratio", SubjectKind.ACCOUNT): work_equity_difference,
}
