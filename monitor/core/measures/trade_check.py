"""A trade that a person has in mind, judged before the order is sent, by the live state. *Pure.*

Each check says go, look or no, with its arithmetic; what is not known is a look, never a go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from monitor.core.formulas.funding import annualize_hourly_rate
from monitor.core.formulas.trades import compute_crash_gap_loss, compute_loss_ratio
from monitor.core.killswitch.levels import Level
from monitor.core.measures.books import UNREACHED
from monitor.core.measures.funding import read_predicted
from monitor.core.measures.oracles import DEVIATION, TO_LIMIT
from monitor.core.measures.orders import expected_funding
from monitor.core.measures.slices import look_at_slices
from monitor.core.measures.trade_case import Answer, Asked, Case, Check, Found, make_case, rank
from monitor.core.measures.trade_looks import (
    look_at_caps,
    look_at_gross,
    look_at_liquidation,
    look_at_loss,
    look_at_margin,
)
from monitor.core.measures.tree import AccountNode, AssetNode, MarketNode
from monitor.core.measures.use import NO_SOURCE, Use
from monitor.core.state.facts import Lack

# As the rules of the same names: entry_funding_against, hedge_add_check, book_thin, tail_hedge.
FUNDING_AGAINST_APR = 0.30
STRESS_INDEX, COMMON_FACTOR = 40.0, 0.60
DEPTH_TIMES_MIN = 5.0
CRASH_GAP_MAX = 0.12


def check_trade(
    account: AccountNode,
    place: MarketNode,
    asset: AssetNode,
    asked: Asked,
    *,
    latched: tuple[Level, ...],
    blocks: Sequence[str],
    freezes: Sequence[str],
    use: Use,
) -> tuple[Check, ...]:
    """All of it, in the order in which a trader reads; one unknown check alone where price, book
    or equity are not known. ``latched`` is the kill switch's level here and what of
    it holds for hedges, ``blocks`` are rules that
    fire and allow nothing new here, ``freezes`` those that allow nothing new but hedges."""
    case = make_case(account, place, asset, asked, use)
    if case is None:
        return (Check("book", Answer.LOOK, f"unknown: {use.reason}"),)
    looks: tuple[tuple[str, Callable[[Case, Use], Found]], ...] = (
        ("kill switch", partial(_look_at_latches, latched)),
        ("rules", partial(_look_at_rules, blocks, freezes)),
        ("loss", look_at_loss),
        ("size", look_at_caps),
        ("funding", _look_at_funding),
        ("hedge", _look_at_hedge),
        ("leverage", look_at_gross),
        ("margin", look_at_margin),
        ("liquidation", look_at_liquidation),
        ("oracle", _look_at_oracle),
        ("depth", _look_at_depth),
        ("slices", look_at_slices),
        ("crash gap", _look_at_gap),
    )
    checks = []
    for name, look in looks:
        use.begin(use.now)
        answer, text = look(case, use) or (Answer.LOOK, f"unknown: {use.reason}")
        checks.append(Check(name, answer, text))
    return tuple(checks)


def worst(checks: Sequence[Check]) -> Answer:
    """The answer to all of it."""
    return max((one.answer for one in checks), key=rank)


def _look_at_latches(levels: tuple[Level, ...], case: Case, _use: Use) -> Found:
    """What is latched or held: riskd cancels what a latch does not allow."""
    latched, hedging = levels
    if latched >= Level.HALT:
        return Answer.NO, f"{latched.name}: riskd cancels every order but triggers that reduce"
    if latched >= Level.REDUCE_ONLY > hedging and case.opens and case.hedges:
        return Answer.LOOK, f"{latched.name}: held, and it only lowers the asset's net"
    if latched >= Level.REDUCE_ONLY and case.opens:
        return Answer.NO, f"{latched.name}: nothing may open or add"
    if latched >= Level.REDUCE_ONLY:
        return Answer.GO, f"{latched.name}: it only reduces, which is allowed"
    return Answer.GO, "nothing is latched or held here"


def _look_at_rules(blocks: Sequence[str], freezes: Sequence[str], case: Case, _use: Use) -> Found:
    if not (blocks or freezes):
        return Answer.GO, "nothing that fires here blocks it"
    firing = ", ".join((*blocks, *freezes))
    if case.opens and not blocks and case.hedges:
        return Answer.LOOK, f"it lowers the asset's net, all that these allow: {firing}"
    if case.opens:
        return Answer.NO, f"nothing new while these fire: {firing}"
    return Answer.GO, f"it only reduces, which these allow: {firing}"


def _look_at_funding(case: Case, use: Use) -> Found:
    """What this side pays."""
    rate = read_predicted(case.place, use)
    total = None if rate is None else expected_funding(case.place, case.asked.sign, use)
    if rate is None or total is None:
        return None
    apr = case.asked.sign * annualize_hourly_rate(rate)
    hours = use.settings.trades.holding_hours
    verb = "pays" if apr > 0.0 else "receives"
    steep = apr >= FUNDING_AGAINST_APR and case.adds > 0.0
    text = f"{verb} {abs(apr) * 100:.3g} % a year; {total * abs(case.usd):+,.0f} USD in {hours:g} h"
    return (Answer.LOOK if steep else Answer.GO), text


def _look_at_hedge(case: Case, use: Use) -> Found:
    """A leg against the book's net, while all funding is stressed or moves as one."""
    if case.asked.sign * case.net >= 0.0 or case.adds <= 0.0:
        return Answer.GO, "it is no new leg of a hedge"
    index = use.read(case.whole, "funding_stress_index")
    if index is None:
        return None
    common = use.read(case.whole, "funding_common_factor_ratio")
    if common is None:
        return None
    top = ", ".join(f"{asset} {apr * 100:.3g} %" for asset, apr, _ in use.state.stress.now.top)
    text = f"a new leg at stress {index:.3g}, one factor moves {common * 100:.3g} %; dearest {top}"
    alarmed = index >= STRESS_INDEX or common >= COMMON_FACTOR
    return (Answer.LOOK if alarmed else Answer.GO), text


def _look_at_depth(case: Case, use: Use) -> Found:
    """Resting within 25 bp on the side it takes, over the trade."""
    depth = case.place.market.depth
    if not use.fresh(depth, case.place.depth_limit, "depth"):
        return None
    side = depth.ask_usd if case.asked.sign > 0.0 else depth.bid_usd
    if side is None:
        use.absent(UNREACHED)
        return None
    times = side / abs(case.usd)
    text = f"{side:,.0f} USD within 25 bp, {times:.3g} times the trade"
    return (Answer.GO if times >= DEPTH_TIMES_MIN else Answer.LOOK), text


def _look_at_oracle(case: Case, use: Use) -> Found:
    """Whether others see the price where the venue's oracle does: as the rule oracle_contradicted,
    without its minute. Where nobody else is watched there is nothing to compare."""
    ratio = use.read(case.place, TO_LIMIT.name)
    deviation = None if ratio is None else use.read(case.place, DEVIATION.name)
    if ratio is None or deviation is None:
        why = use.reason.rpartition(NO_SOURCE)[2]
        return (Answer.GO, f"not compared: {why}") if use.why.lack is Lack.CHOICE else None
    text = f"{deviation * 100:+.3g} % from the median of others, {ratio:.3g}x what it may be off"
    if ratio <= 1.0:
        return Answer.GO, text
    refused = case.opens and not case.hedges
    return (Answer.NO if refused else Answer.LOOK), f"{text}: no market order"


def _look_at_gap(case: Case, _use: Use) -> Found:
    """The whole book in one step, before and after."""
    book = dict(case.book)
    before = compute_loss_ratio(compute_crash_gap_loss(book)[0], case.equity)
    book[case.asset.asset] = case.net + case.usd
    after = compute_loss_ratio(compute_crash_gap_loss(book)[0], case.equity)
    answer = Answer.LOOK if after > max(CRASH_GAP_MAX, before) else Answer.GO
    return answer, f"takes {before * 100:.3g} % of equity before, {after * 100:.3g} % after"
