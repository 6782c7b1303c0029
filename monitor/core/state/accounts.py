"""What account statements do to the risk state: money, positions, orders, mode.

Two sources speak: the ``stream`` and the ``truth`` (a REST re-read). Whichever statement is newer
is adopted, by block height where both have one and by the venue's time else; where truth
contradicts what the stream last said, that is recorded as a ``CrossCheck`` and stays visible as a
ratio until the two agree. What is refused as older does not prove the kept amount current, and a
source that insists is believed: one bad height must not freeze an account. *Pure.*
"""

from __future__ import annotations

from decimal import Decimal

from monitor.core.decision import CrossCheck
from monitor.core.events import (
    AccountDiscovered,
    AccountModeSeen,
    AccountReported,
    CollateralReported,
    OrdersReported,
    PositionReport,
    PositionsReported,
    RequestBudgetSeen,
)
from monitor.core.state.accruals import forget_settled
from monitor.core.state.contradictions import (
    TRUTH,
    compare_collateral,
    compare_money,
    cross_check,
    forget_sides,
    insists,
    not_older,
    stated_value,
)
from monitor.core.state.facts import AccountBit, Channel, SeenFact, StatedFact, order_time
from monitor.core.state.legs import note_move
from monitor.core.state.markets import venue_of
from monitor.core.state.model import (
    AccountState,
    PositionState,
    RiskState,
    Statement,
    Unwatched,
)
from monitor.core.types import (
    SECOND_NS,
    EngineNs,
    MarginMode,
    account_subject,
    position_subject,
)

CLOSED = Decimal(0)
# Shorter than any limit of account truth: a statement after this long is news by its time alone.
RESTATED_WITHIN_NS = 10 * SECOND_NS
# Looking a member up in its class costs more than all else around it (before Python 3.12).
_ISOLATED = MarginMode.ISOLATED
_POSITIONS_NEWS = AccountBit.POSITIONS | AccountBit.TRUTH


def account_of(state: RiskState, venue: str, account: str, now: EngineNs) -> AccountState:
    """The account's state, made when first heard of."""
    owner = state.venues.get(venue) or venue_of(state, venue)
    found = owner.accounts.get(account)
    if found is None:
        subject = account_subject(venue, account)
        # One that an earlier process knew is known since that one stopped: what moved meanwhile is
        # news.
        since = state.stopped_ns if subject in state.drawdowns else now
        found = AccountState(venue=venue, account=account, subject=subject, since_ns=since)
        recall_account(state, found)
        owner.accounts[account] = found
        state.appeared.append(("account", venue, account, ""))
        mark_account(state, found, AccountBit.MODE)
    elif not found.since_ns:  # a configured account, heard of for the first time
        found.since_ns = now
    return found


def recall_account(state: RiskState, account: AccountState) -> None:
    """Transfers that an earlier process counted, and from when on it did: one that it saw in the
    equity but was not told yet is still news; and what it could not explain."""
    account.recent_flows = state.kept_flows.pop(account.subject, [])
    account.ledger.doubt = state.kept_doubts.pop(account.subject, None)
    kept = state.kept_transfers.pop(account.subject, None)
    if kept is not None:
        account.since_ns, account.transfers = kept.since_ns, kept.told
        account.accepted = kept.accepted


def mark_account(state: RiskState, account: AccountState, bits: int) -> None:
    """Note which facts of the account changed."""
    state.dirty[account.subject] = state.dirty.get(account.subject, 0) | bits


def tell_seen(fact: SeenFact, now: EngineNs, channel: Channel) -> None:
    """That a kind of report came."""
    fact.seen_ns = now
    fact.channel = channel.name
    fact.generation = channel.generation


# -------------------------------------------------------------------------------------- money


def account_reported(
    state: RiskState,
    event: AccountReported,
    now: EngineNs,
    channel: Channel,
) -> None:
    """Adopt every amount stated that is not older than the one known."""
    account = account_of(state, event.venue, event.account, now)
    as_of = order_time(event.venue_time_ns, now)
    if event.source == TRUTH:
        tell_seen(account.truth, now, channel)
    cash = event.cash_usd
    if cash is None:
        _unsaid(account.cash, event, channel, changes=False)
    elif _adopt(state, account, "cash_usd", account.cash, cash, event, as_of, now, channel):
        forget_settled(account, as_of)
    for name, fact, amount in (
        ("equity_usd", account.equity, event.equity_usd),
        ("free_collateral_usd", account.free_collateral, event.free_collateral_usd),
        ("initial_margin_usd", account.initial_margin, event.initial_margin_usd),
        ("maintenance_margin_usd", account.maintenance_margin, event.maintenance_margin_usd),
        ("withdrawable_usd", account.withdrawable, event.withdrawable_usd),
    ):
        if amount is None:
            if fact.channel:
                _unsaid(fact, event, channel, changes=True)
        else:
            _adopt(state, account, name, fact, amount, event, as_of, now, channel)
    compare_money(state, account, event, as_of, now)
    mark_account(state, account, AccountBit.MONEY | AccountBit.TRUTH)


def _unsaid(fact: StatedFact, event: AccountReported, channel: Channel, *, changes: bool) -> None:
    """An amount that its own channel no longer says: unknown after a complete statement; else, if
    it ``changes`` with every price, only as fresh as when it was said."""
    if fact.channel == channel.name:
        if event.complete:
            fact.value = fact.exact = None
        elif changes:
            fact.channel = ""


def _adopt(
    state: RiskState,
    account: AccountState,
    name: str,
    fact: StatedFact,
    amount: Decimal,
    event: AccountReported,
    as_of: int,
    now: EngineNs,
    channel: Channel,
) -> bool:
    """Take the amount unless a newer one is known; True when taken; a source that was believed for
    insisting is recorded."""
    value = float(amount) if amount.is_finite() else None
    if fact.seen_ns and not not_older(event.height, as_of, fact.height, fact.as_of_ns):
        if not insists(fact.refused, event.source, now):
            if fact.channel == channel.name:
                fact.channel = ""  # its channel speaks of something else: that proves nothing
            return False
        forget_sides(account)
        if amount != fact.exact:
            pair = (str(fact.exact), str(amount))
            stream, truth = pair if event.source == TRUTH else pair[::-1]
            state.cross_checks.append(
                CrossCheck(
                    subject=account.subject, field=name, stream=stream, truth=truth, at_ns=now
                ),
            )
    if fact.refused:
        fact.refused = {}
    fact.value, fact.exact = value, amount
    fact.as_of_ns, fact.height = as_of, event.height
    fact.seen_ns, fact.channel, fact.generation = now, channel.name, channel.generation
    return True


# ---------------------------------------------------------------------------------- positions


def positions_reported(
    state: RiskState,
    event: PositionsReported,
    now: EngineNs,
    channel: Channel,
) -> None:
    """Adopt sizes; a complete report closes what it does not list."""
    account = account_of(state, event.venue, event.account, now)
    truth = event.source == TRUTH
    as_of = order_time(event.venue_time_ns, now)
    seen = account.positions_truth if truth else account.positions_stream
    # Saying again what is known and fresh asks for no revaluation.
    valued = state.holdings.get(account.subject)
    news = (
        valued is None
        or bool(valued.exposure.reason)
        or seen.generation != channel.generation
        or now - seen.seen_ns > RESTATED_WITHIN_NS
    )
    if not _readable(event.positions, account):
        # What is held cannot be read: unknown until the next complete report.
        account.positions_complete = False
        state.suspects_total += 1
        mark_account(state, account, _POSITIONS_NEWS)
        return
    if truth:
        tell_seen(account.truth, now, channel)
    refused = False
    for report in event.positions:
        position = account.positions.get(report.market)
        if (
            position is not None
            and report == position.adopted
            and not truth
            and _restated(position, event.height, as_of)
        ):
            position.seen_ns = now
            continue
        taken = _position(state, account, report, event, as_of, now)
        if taken is None:
            refused = True
        elif taken:
            news = True
    if event.complete:
        value = stated_value(event.positions)
        account.positions_value = None if value is None else Statement(value, as_of, event.height)
        news = news or not account.positions_complete
        account.positions_complete = True
        listed = {report.market for report in event.positions}
        if not account.positions.keys() <= listed:
            closed = _close_unlisted(state, account, listed, event, as_of, now)
            refused = refused or closed is None
            news = news or bool(closed)
    if not refused:
        tell_seen(seen, now, channel)
    elif seen.channel == channel.name:
        seen.channel = ""  # its channel speaks of something else: that proves nothing
    mark_account(state, account, _POSITIONS_NEWS if news else AccountBit.TRUTH)


def _readable(reports: tuple[PositionReport, ...], account: AccountState) -> bool:
    """Whether every size is a number; one that was adopted before is."""
    known = account.positions
    for report in reports:
        position = known.get(report.market)
        if (position is None or report is not position.adopted) and not report.size.is_finite():
            return False
    return True


def _restated(position: PositionState, height: int | None, as_of: int) -> bool:
    """Whether the stream says again what it said last and what is believed, and not of an earlier
    moment: then nothing is left to judge, and its order is noted."""
    known = position.as_of_ns
    if (
        position.stream_size != position.size
        or position.refused
        or as_of < known
        or as_of < position.stream_as_of_ns
        or height is not None
        or position.height is not None
        or position.stream_height is not None
    ):
        return False
    position.as_of_ns = position.stream_as_of_ns = as_of
    return True


def _close_unlisted(
    state: RiskState,
    account: AccountState,
    listed: set[str],
    event: PositionsReported,
    as_of: int,
    now: EngineNs,
) -> bool | None:
    """What a complete report does not list is nothing; None where a newer statement says
    otherwise, True where anything changed."""
    changed, refused = False, False
    for market, position in account.positions.items():
        if market in listed:
            continue
        if position.size != 0.0 or position.stream_size or position.truth_size:
            gone = PositionReport(market=market, size=CLOSED, margin_mode=position.margin_mode)
            taken = _position(state, account, gone, event, as_of, now)
            refused = refused or taken is None
            changed = changed or bool(taken)
        else:
            _side(position, event, 0.0, as_of)
    return None if refused else changed


def _position(
    state: RiskState,
    account: AccountState,
    report: PositionReport,
    event: PositionsReported,
    as_of: int,
    now: EngineNs,
) -> bool | None:
    """Take the position over unless a newer statement is known, which is None; True where anything
    that values the account changed."""
    position = account.positions.get(report.market)
    if position is None:
        if report.size == 0:
            return False
        position = account.positions[report.market] = PositionState(market=report.market)
        state.appeared.append(("position", account.venue, account.account, report.market))
    size = float(report.size)
    if size != position.size or size != position.stream_size or event.source == TRUTH:
        cross_check(state, account, position, event, size, as_of, now)
    _side(position, event, size, as_of)
    changed = size != position.size
    if not not_older(event.height, as_of, position.height, position.as_of_ns):
        if not insists(position.refused, event.source, now):
            return None
        _believe(state, account, position, report, event, as_of, now)
    if position.refused:
        position.refused = {}
    if changed:
        if state.structure.leg_sets:
            note_move(state, account, position, size, now)
        position.size, position.exact = size, report.size
        if event.source != TRUTH:
            account.stream_changed_ns = now
    position.height, position.as_of_ns, position.seen_ns = event.height, as_of, now
    position.adopted = report
    if size != 0.0:
        return _describe(position, report) or changed
    position.margin_mode = report.margin_mode
    position.entry_price = position.venue_liquidation_price = position.leverage = None
    position.margin_used_usd = position.isolated_cash_usd = position.stated_mark = None
    return changed


def _believe(
    state: RiskState,
    account: AccountState,
    position: PositionState,
    report: PositionReport,
    event: PositionsReported,
    as_of: int,
    now: EngineNs,
) -> None:
    """A source insisted on something older: the order of all that was said before is void."""
    size = float(report.size)
    if size != position.size:
        pair = (repr(position.size), repr(size))
        stream, truth = pair if event.source == TRUTH else pair[::-1]
        state.cross_checks.append(
            CrossCheck(
                subject=position_subject(account.venue, account.account, position.market),
                field="size",
                stream=stream,
                truth=truth,
                at_ns=now,
            ),
        )
    if not not_older(event.height, as_of, position.stream_height, position.stream_as_of_ns):
        position.stream_as_of_ns, position.stream_height = as_of, event.height
    if not not_older(event.height, as_of, position.truth_height, position.truth_as_of_ns):
        position.truth_as_of_ns, position.truth_height = as_of, event.height
    _side(position, event, size, as_of)


def _describe(position: PositionState, report: PositionReport) -> bool:
    """The rest of what was said; a stream delta may say less, which forgets nothing but what the
    venue computed for the earlier size. True where anything that is valued changed."""
    changed = False
    if report.entry_price is not None:
        entry = float(report.entry_price)
        if entry != position.entry_price:
            position.entry_price, changed = entry, True
    if report.leverage is not None and report.leverage != position.leverage:
        position.leverage, changed = report.leverage, True
    position.venue_liquidation_price = report.liquidation_price
    if report.margin_mode is not position.margin_mode:
        position.margin_mode, changed = report.margin_mode, True
    if report.margin_mode is _ISOLATED:
        position.margin_used_usd = _number(report.margin_used_usd)
        position.stated_mark = report.mark_price
        if report.isolated_cash_usd is not None:
            position.isolated_cash_usd = _number(report.isolated_cash_usd)
        changed = True  # its margin may have been moved, whatever else stands
    elif position.isolated_cash_usd is not None:
        position.margin_used_usd = position.stated_mark = position.isolated_cash_usd = None
    return changed


def _number(amount: Decimal | None) -> float | None:
    return float(amount) if amount is not None and amount.is_finite() else None


def _side(position: PositionState, event: PositionsReported, size: float, as_of: int) -> None:
    """Remember what this source last said, in its own order."""
    if event.source == TRUTH:
        if not_older(event.height, as_of, position.truth_height, position.truth_as_of_ns):
            position.truth_size = size
            position.truth_as_of_ns, position.truth_height = as_of, event.height
    elif not_older(event.height, as_of, position.stream_height, position.stream_as_of_ns):
        position.stream_size = size
        position.stream_as_of_ns, position.stream_height = as_of, event.height


# ---------------------------------------------------------------------------------- the rest


def orders_reported(
    state: RiskState,
    event: OrdersReported,
    now: EngineNs,
    channel: Channel,
) -> None:
    """Working orders; closed ones go, and with a complete report those not listed."""
    account = account_of(state, event.venue, event.account, now)
    tell_seen(account.orders_seen, now, channel)
    if event.complete:
        account.orders_listed_ns = now
        account.orders = {order.order_id: order for order in event.orders if order.open}
    else:
        for order in event.orders:
            if order.open:
                account.orders[order.order_id] = order
            else:
                account.orders.pop(order.order_id, None)
    mark_account(state, account, AccountBit.ORDERS)


def collateral_reported(
    state: RiskState,
    event: CollateralReported,
    now: EngineNs,
    channel: Channel,
) -> None:
    """The tokens held as collateral, all of them."""
    account = account_of(state, event.venue, event.account, now)
    if event.source == TRUTH:
        tell_seen(account.truth, now, channel)
    account.collateral = event.balances
    compare_collateral(state, account, event, order_time(event.venue_time_ns, now), now)
    mark_account(state, account, AccountBit.MONEY | AccountBit.TRUTH)


def account_mode(
    state: RiskState,
    event: AccountModeSeen,
    now: EngineNs,
    _channel: Channel,
) -> None:
    """How collateral is kept, which decides whether equity can be read at all."""
    account = account_of(state, event.venue, event.account, now)
    account.mode, account.mode_reason = event.mode, event.reason
    mark_account(state, account, AccountBit.MODE)


def account_discovered(
    state: RiskState,
    event: AccountDiscovered,
    now: EngineNs,
    _channel: Channel,
) -> None:
    """A margin pool under a configured address; if watched, its values are expected from now on."""
    venue = venue_of(state, event.venue)
    if not event.watched:
        if event.account not in venue.accounts:
            venue.unwatched[event.account] = Unwatched(event.kind, event.parent)
        return
    venue.unwatched.pop(event.account, None)
    account = account_of(state, event.venue, event.account, now)
    account.parent, account.kind = event.parent, event.kind
    mark_account(state, account, AccountBit.MODE)


def request_budget(
    state: RiskState,
    event: RequestBudgetSeen,
    now: EngineNs,
    _channel: Channel,
) -> None:
    """Address-based requests used and allowed."""
    account = account_of(state, event.venue, event.account, now)
    account.requests_used, account.requests_cap = event.used, event.cap
