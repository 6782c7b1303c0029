"""What happened to the accounts: fills, funding, transfers, liquidations. Each counts once.

The same item is told by the stream and by re-reads, and again after each reconnect; ids are
remembered for a window (a day, a week for transfers), so memory is bounded. Money that goes from
one of our accounts to another by way of a wallet is told as a withdrawal here and a deposit there;
the two are paired by their amounts. *Pure.*
"""

from __future__ import annotations

from math import copysign

import msgspec

from monitor.core.events import (
    FillsReported,
    FundingPaid,
    LiquidationSeen,
    TransfersReported,
    TwapsReported,
)
from monitor.core.state.accounts import RESTATED_WITHIN_NS, account_of, mark_account, tell_seen
from monitor.core.state.facts import FLOWS_BIT, AccountBit, Channel, VenueBit
from monitor.core.state.flows import TRANSFER_WINDOW_NS, AcceptedStep, Flow
from monitor.core.state.funding import hour_of
from monitor.core.state.legs import note_fills
from monitor.core.state.model import (
    DAY_NS,
    AccountState,
    RiskState,
)
from monitor.core.types import PORTFOLIO, AccountMode, EngineNs, FillKind, TransferKind

FORCED = frozenset({FillKind.LIQUIDATION, FillKind.DELEVERAGING})
# A day of hourly payments in 1000 markets; beyond it the oldest go first.
ITEMS_MAX = 24_000
# By how much what arrives may differ from what left: the fees of chains and bridges.
FEE_USD, FEE_RATIO = 2.0, 0.001
_STANDARD = AccountMode.STANDARD
_BY_WALLET = frozenset({TransferKind.DEPOSIT, TransferKind.WITHDRAWAL})


def fills_reported(
    state: RiskState,
    event: FillsReported,
    now: EngineNs,
    channel: Channel,
) -> None:
    """Remember the forced fills of the last day; ordinary ones change nothing here."""
    account = account_of(state, event.venue, event.account, now)
    seen = account.fills_seen
    # That fills are told is known and fresh: one more asks for nothing.
    news = (
        now - seen.seen_ns > RESTATED_WITHIN_NS
        or seen.generation != channel.generation
        or seen.channel != channel.name
        or state.heeds_all
    )
    tell_seen(seen, now, channel)
    forced, markets = account.forced_fills, state.venues[event.venue].markets
    for fill in event.fills:
        if fill.kind in FORCED and fill.time_ns > now - DAY_NS:
            forced[fill.fill_id] = fill.time_ns
            news = True
        # What a standard account does in spot is nothing to its margin account.
        if account.mode is not _STANDARD or fill.market in markets:
            account.ledger.fill(fill, now)
    if forced:
        _prune(forced, now - DAY_NS)
    if state.structure.leg_sets:
        note_fills(state, account, event, now)
    if news:
        mark_account(state, account, AccountBit.LEDGER)


def liquidation_seen(
    state: RiskState,
    event: LiquidationSeen,
    now: EngineNs,
    _channel: Channel,
) -> None:
    """The venue says so; the fills will tell the same and are not added to it."""
    account = account_of(state, event.venue, event.account, now)
    time_ns = event.venue_time_ns if event.venue_time_ns is not None else now
    account.liquidations_seen[f"{time_ns}/{event.detail[:64]}"] = time_ns
    _prune(account.liquidations_seen, now - DAY_NS)
    mark_account(state, account, AccountBit.LEDGER)


def funding_paid(state: RiskState, event: FundingPaid, now: EngineNs, channel: Channel) -> None:
    """Payments of the last day by (market, time)."""
    account = account_of(state, event.venue, event.account, now)
    tell_seen(account.funding_seen, now, channel)
    for payment in event.payments:
        if payment.time_ns > now - DAY_NS:
            key = f"{payment.market}|{payment.time_ns}"
            account.funding[key] = (payment.time_ns, float(payment.amount_usd))
            hour = hour_of(payment.time_ns)
            account.ledger.payment(
                payment.market, hour, float(payment.amount_usd), payment.time_ns, stated=True
            )
    limit = now - DAY_NS
    old = [key for key, (time_ns, _) in account.funding.items() if time_ns <= limit]
    for key in old:
        del account.funding[key]
    while len(account.funding) > ITEMS_MAX:
        del account.funding[next(iter(account.funding))]
    # A venue's list is of all pools of an account, and says of those it leaves out that they paid
    # nothing.
    alias = account.account.partition(".")[0]
    for pool in state.venues[event.venue].accounts.values():
        if pool.account.partition(".")[0] == alias:
            mark_account(state, pool, AccountBit.LEDGER)


def transfers_reported(
    state: RiskState,
    event: TransfersReported,
    now: EngineNs,
    channel: Channel,
) -> None:
    """Count each transfer once, and only those since riskd knows the account: what moved before is
    already in the first equity read. A history that reaches past a restart is thus caught up."""
    account = account_of(state, event.venue, event.account, now)
    known = account.transfers
    tell_seen(account.ledger.transfers_seen, now, channel)
    for transfer in event.transfers:
        if transfer.transfer_id in known or transfer.time_ns <= now - TRANSFER_WINDOW_NS:
            continue
        amount = float(transfer.amount_usd)
        news = transfer.time_ns > account.since_ns
        known[transfer.transfer_id] = transfer.time_ns
        account.ledger.transfer(amount, transfer.time_ns)
        amount = _left_of(account, amount, transfer.time_ns) if news else 0.0
        if amount:
            flow = Flow(
                told_ns=now,
                time_ns=transfer.time_ns,
                amount_usd=amount,
                own=transfer.own,
                open=not transfer.own and transfer.kind in _BY_WALLET,
            )
            if flow.open:
                flow = _pair(state, account, flow, now)
            account.recent_flows.append(flow)
            account.flow_total_usd += amount
            if not flow.own:
                account.external_total_usd += amount
            elif amount > 0.0:
                account.own_in_total_usd += amount
    account.recent_flows = [flow for flow in account.recent_flows if now - flow.told_ns < DAY_NS]
    _prune(known, now - TRANSFER_WINDOW_NS)
    mark_account(state, account, AccountBit.LEDGER)
    owner = state.venues[event.venue].subject
    state.dirty[owner] = state.dirty.get(owner, 0) | VenueBit.FLOWS
    state.dirty[PORTFOLIO] = state.dirty.get(PORTFOLIO, 0) | FLOWS_BIT


def _left_of(account: AccountState, amount_usd: float, time_ns: int) -> float:
    """What of a transfer is not in a step that a person vouched for after it happened: that was
    booked as the flow that it was."""
    if not account.accepted:
        return amount_usd
    steps = []
    for step in account.accepted:
        taken = 0.0
        if time_ns <= step.at_ns and step.left_usd * amount_usd > 0.0:
            taken = copysign(min(abs(amount_usd), abs(step.left_usd)), amount_usd)
        amount_usd -= taken
        steps.append(AcceptedStep(step.at_ns, step.left_usd - taken))
    account.accepted = tuple(one for one in steps if one.left_usd)
    return amount_usd


def _pair(state: RiskState, account: AccountState, flow: Flow, now: EngineNs) -> Flow:
    """The flow, no longer open if its other half was told of another account, or none can be.

    A deposit that follows its withdrawal makes both our own. One told before its withdrawal has
    been counted as external already, so the withdrawal is too, which cancels it.
    """
    others = [
        one
        for venue in state.venues.values()
        for one in venue.accounts.values()
        if one is not account
    ]
    if not others:
        return msgspec.structs.replace(flow, open=False)
    best: tuple[float, AccountState, int] | None = None
    for other in others:
        for index, half in enumerate(other.recent_flows):
            gap = abs(half.amount_usd + flow.amount_usd)
            larger = max(abs(half.amount_usd), abs(flow.amount_usd))
            if (
                half.open
                and gap <= max(FEE_USD, FEE_RATIO * larger)
                and now - half.told_ns < state.transit_ns
                and (half.amount_usd < 0.0) is not (flow.amount_usd < 0.0)
                and (best is None or gap < best[0])
            ):
                best = (gap, other, index)
    if best is None:
        return flow
    _, other, index = best
    half = other.recent_flows[index]
    own = half.amount_usd < 0.0
    if own:
        other.external_total_usd -= half.amount_usd
    other.recent_flows[index] = msgspec.structs.replace(half, own=own, open=False)
    return msgspec.structs.replace(flow, own=own, open=False)


def _prune(items: dict[str, int], limit: int) -> None:
    old = [key for key, time_ns in items.items() if time_ns <= limit]
    for key in old:
        del items[key]
    while len(items) > ITEMS_MAX:
        del items[next(iter(items))]


def twaps_reported(
    state: RiskState,
    event: TwapsReported,
    now: EngineNs,
    _channel: Channel,
) -> None:
    """All TWAPs that run. No measure reads them: what trades by them shows in fills and sizes."""
    account = account_of(state, event.venue, event.account, now)
    account.twaps, account.twaps_listed_ns = event.twaps, now
