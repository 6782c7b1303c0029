"""How hedges, pairs that pay and what open orders would add are worked out.

Lines as in ``work_words``. Asked only when a person wants to know. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.core.formulas.funding import HOURS_PER_YEAR
from monitor.core.formulas.trades import EDGE_MAX, compute_persistence
from monitor.core.measures.carry import baseline_of, say_isolated
from monitor.core.measures.cross_margin import hedged_elsewhere
from monitor.core.measures.definition import Key
from monitor.core.measures.exposure import is_closed
from monitor.core.measures.funding import read_predicted
from monitor.core.measures.harvest import (
    Pair,
    best_pair,
    expected_rates,
    held_pair,
    settlements_of,
    twin_of,
)
from monitor.core.measures.hedges import legs_of
from monitor.core.measures.orders import (
    PlannedLoss,
    entry_costs,
    hedge_adds,
    planned_losses,
)
from monitor.core.measures.slices import count_slices, orders_in_books
from monitor.core.measures.tree import (
    AccountNode,
    AssetNode,
    HedgeSetNode,
    MarketNode,
    PositionNode,
)
from monitor.core.measures.use import Use
from monitor.core.measures.work_words import (
    Steps,
    Term,
    added,
    bare,
    divided,
    falling_back,
    ranked,
    step,
    then,
    usd,
)
from monitor.core.types import Side, SubjectKind

# ---------------------------------------------------------------------------------- hedge sets


def work_hedge_gross(node: HedgeSetNode, use: Use) -> Steps:
    """Every leg at its size."""
    legs = legs_of(node, use)
    return added("legs, each at its size", [Term(name, abs(worth)) for name, worth in legs or []])


def work_mismatch(node: HedgeSetNode, use: Use) -> Steps:
    """What the legs leave, over what they are."""
    legs = [Term(*one) for one in legs_of(node, use) or []]
    net, gross = use.read(node, "hedge_net_usd"), use.read(node, "hedge_gross_usd")
    if net is None or gross is None or gross <= 0.0:
        return ()
    return (*added("net of the legs", legs), divided("|net| / gross of the legs", abs(net), gross))


def work_off_venue(node: AccountNode, use: Use) -> Steps:
    """Each asset: what is here, and what stands against it elsewhere."""
    found = hedged_elsewhere(node, use)
    if found is None:
        return ()
    largest = sorted(found.items(), key=lambda one: (-abs(one[1][0]), one[0]))
    return tuple(
        f"{place + 1}. {asset}: {usd(net)} USD in this pool, {usd(rest)} elsewhere"
        for place, (asset, (net, rest)) in enumerate(largest)
    ) or ("no asset of this pool has a leg elsewhere: 0",)


# ------------------------------------------------------------------------------------- harvest


def _where(place: MarketNode) -> str:
    return f"{place.market.market} on {place.market.venue}"


def _leg(words: str, place: MarketNode, use: Use) -> Steps:
    rate, total = read_predicted(place, use), expected_rates(place, use)
    if rate is None or total is None:
        return ()
    hours, carry = use.settings.trades.holding_hours, use.settings.carry
    sums = falling_back(rate, baseline_of(place.market, use), hours, carry.persistence_hourly)
    where = f"{_where(place)}{say_isolated(place.market, use)}"
    return (step(f"{words} {where}, longs pay in {hours:g} h", sums, total),)


def _pair(pair: Pair, use: Use) -> Steps:
    long, short = expected_rates(pair.long, use), expected_rates(pair.short, use)
    if long is None or short is None:
        return ()
    lines = (*_leg("short", pair.short, use), *_leg("long", pair.long, use))
    if abs(pair.edge_ratio) >= EDGE_MAX:
        return lines
    sums = f"({bare(short)} {then(-long)} {then(-pair.cost)}) / {bare(pair.cost)}"
    return (*lines, step("(short - long - both round trips) / round trips", sums, pair.edge_ratio))


def work_best_edge(node: AssetNode, use: Use) -> Steps:
    """Funding of either leg as it falls back, and what is left after the costs."""
    pair = best_pair(node, use)
    return () if pair is None else _pair(pair, use)


def work_persistence(node: AssetNode, use: Use) -> Steps:
    """Settlements that paid the best pair, out of those looked at."""
    pair = best_pair(node, use)
    found = None if pair is None else settlements_of(pair, use)
    if pair is None or found is None:
        return ()
    share, unknown = compute_persistence(found), found.count(None)
    words = f"settlements that paid long {_where(pair.long)}, short {_where(pair.short)}"
    blind = f" ({unknown} are not known)" if unknown else ""
    return (step(f"{words}{blind}", f"{share * len(found):.0f} / {len(found)}", share),)


def work_leg_edge(node: PositionNode, use: Use) -> Steps:
    """The same of a pair as it is held."""
    if is_closed(node, use):
        return (f"the position is closed: {EDGE_MAX:g}",)
    twin = twin_of(node, use)
    if twin is None:
        return ()
    if twin is node.market:
        return (f"nothing is held against it in another market: {EDGE_MAX:g}",)
    pair = held_pair(node, twin, use)
    return () if pair is None else _pair(pair, use)


# -------------------------------------------------------------------------------------- orders


def work_entry_funding(node: AccountNode, use: Use) -> Steps:
    """Of the order that adds where funding is dearest."""
    costs = entry_costs(node, use)
    if costs is None:
        return ()
    trade, rate = max(costs, key=lambda one: one[0].sign * one[1], default=(None, 0.0))
    if trade is None:
        return ("no open order adds to a position: 0",)
    yearly = trade.sign * rate * HOURS_PER_YEAR
    side = "buy" if trade.sign > 0.0 else "sell"
    sums = f"{bare(rate)} x 8760 x {trade.sign:g}"
    line = step(f"{side} {trade.added:.6g} {trade.market}, of an hour x 8760 x side", sums, yearly)
    return (line,) if yearly > 0.0 else (f"{line}, which is received", "nothing to pay: 0")


def work_hedge_orders(node: AccountNode, use: Use) -> Steps:
    """Orders that add against the book's net, at their prices."""
    adds = hedge_adds(node, use)
    if adds is None:
        return ()
    terms = [
        Term(trade.market, trade.added * price, f"{bare(trade.added)} x {bare(price)}")
        for trade, price in adds
    ]
    return added("orders that add a leg, size x price", terms) or ("no order adds a leg: 0",)


def work_of_slice(node: AccountNode, use: Use) -> Steps:
    """The largest order over the slice that its book takes."""
    orders, share = orders_in_books(node, use), use.settings.margin.participation_ratio
    if orders is None:
        return ()
    if not orders:
        return ("no order is open: 0",)
    found = [
        (count_slices(one.size * price, depth, share), one, price, depth)
        for one, price, depth in orders
    ]
    ratio, order, price, depth = max(found, key=lambda one: (one[0], one[1].market))
    verb, side = ("buy", "offers") if order.side is Side.BUY else ("sell", "bids")
    words = f"{verb} {order.size:.6g} {order.market}, size x price / ({share:g} x {side} in 25 bp)"
    sums = f"{bare(order.size)} x {bare(price)} / ({share:g} x {usd(depth)})"
    if depth <= 0.0:
        return (f"{verb} {order.size:.6g} {order.market}: no {side} within 25 bp",)
    others = [(f"{one.market} {one.size:.6g}", value) for value, one, *_ in found if one != order]
    return (*ranked("other orders", others), step(words, sums, ratio))


def work_planned_loss(node: AccountNode, use: Use) -> Steps:
    """Of the trade that may lose most: each part at its stop, over what one trade may lose."""
    losses, equity = planned_losses(node, use), use.read(node.ancestors[-1], "equity_usd")
    if losses is None or equity is None:
        return ()
    worst = max(losses, key=lambda one: one.loss_usd, default=None)
    if worst is None or worst.loss_usd <= 0.0:
        return ("nothing that is unhedged is at risk: 0",)
    lines = [_part(worst, *one) for one in worst.parts]
    if len(lines) > 1:
        parts = " + ".join(usd(worst.loss_of(*one)) for one in worst.parts)
        lines.append(f"all of it: {parts} = {usd(worst.loss_usd)}")
    if equity <= 0.0:
        return (*lines, f"equity {usd(equity)} is gone: the worst there is")
    allowed = use.settings.trades.risk_ratio
    ratio = worst.loss_usd / equity / allowed
    sums = f"{usd(worst.loss_usd)} / ({usd(equity)} x {allowed:g})"
    return (*lines, step("loss / (equity x what one trade may lose)", sums, ratio))


def _part(loss: PlannedLoss, size: float, distance: float | None) -> str:
    """Notional x (stop x gap + round trip), and what funding costs."""
    stop = "no stop, all" if distance is None else "stop x gap"
    lost = "1" if distance is None else f"{bare(distance)} x {loss.gap:g}"
    paid = f" + {bare(max(loss.funding, 0.0))}" if loss.funding > 0.0 else ""
    sums = f"{bare(size)} x {bare(loss.price)} x ({lost} + {bare(loss.trip)}{paid})"
    words = f"{loss.market}, size x price x ({stop} + costs{' + funding' if paid else ''})"
    return step(words, sums, loss.loss_of(size, distance))


WORKINGS: Mapping[Key, Callable[..., Steps]] = {
    ("hedge_gross_usd", SubjectKind.HEDGE_SET): work_hedge_gross,
    ("hedge_mismatch_ratio", SubjectKind.HEDGE_SET): work_mismatch,
    ("hedges_off_venue_count", SubjectKind.ACCOUNT): work_off_venue,
    ("harvest_edge_ratio", SubjectKind.ASSET): work_best_edge,
    ("harvest_persistence_ratio", SubjectKind.ASSET): work_persistence,
    ("harvest_leg_edge_ratio", SubjectKind.POSITION): work_leg_edge,
    ("entry_funding_against_apr", SubjectKind.ACCOUNT): work_entry_funding,
    ("hedge_orders_usd", SubjectKind.ACCOUNT): work_hedge_orders,
    ("order_of_slice_ratio", SubjectKind.ACCOUNT): work_of_slice,
    ("planned_loss_to_limit_ratio", SubjectKind.ACCOUNT): work_planned_loss,
}
