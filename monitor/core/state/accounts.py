"""What account statements do to the risk state: money, positions, orders, mode.

Two sources speak: the ``stream`` and the ``truth`` (a REST re-read). Whichever statement is newer
is adopted, by block height where both have one and by the venue's time else; where truth
contradicts what the stream last said, that is recorded as a ``CrossCheck`` and stays visible as a
ratio until the two agree. *Pure.*
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
from monitor.core.state.facts import AccountBit, Channel, SeenFact, StatedFact
from monitor.core.state.markets import venue_of
from monitor.core.state.model import AccountState, PositionState, RiskState, Unwatched
from monitor.core.types import (
    SECOND_NS,
    EngineNs,
    MarginMode,
    account_subject,
    position_subject,
)

TRUTH = "truth"
CLOSED = Decimal(0)
DIFFERENCE_RATIO = 0.005  # rules-catalogue §7 CROSS_CHECK: half a per cent, or one lot
# Equity moves with every price, so two statements are compared only when made about together.
# Shorter than any limit of account truth: a statement after this long is news by its time alone.
RESTATED_WITHIN_NS = 10 * SECOND_NS
_POSITIONS_NEWS = AccountBit.POSITIONS | AccountBit.TRUTH
EQUITY_COMPARED_WITHIN_NS = 5 * SECOND_NS


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
        found.recent_flows = state.kept_flows.pop(subject, [])
        owner.accounts[account] = found
        state.appeared.append(("account", venue, account, ""))
        mark_account(state, found, AccountBit.MODE)
    elif not found.since_ns:  # a configured account, heard of for the first time
        found.since_ns = now
    return found


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
    as_of = event.venue_time_ns if event.venue_time_ns is not None else now
    if event.source == TRUTH:
        tell_seen(account.truth, now, channel)
    if event.cash_usd is not None and _adopt(
        account.cash, event.cash_usd, event, as_of, now, channel
    ):
        forget_settled(account, as_of)
    for fact, amount in (
        (account.equity, event.equity_usd),
        (account.free_collateral, event.free_collateral_usd),
        (account.initial_margin, event.initial_margin_usd),
        (account.maintenance_margin, event.maintenance_margin_usd),
        (account.withdrawable, event.withdrawable_usd),
    ):
        if amount is not None:
            _adopt(fact, amount, event, as_of, now, channel)
    if event.equity_usd is not None:
        side = account.equity_truth if event.source == TRUTH else account.equity_stream
        _adopt(side, event.equity_usd, event, as_of, now, channel)
        _compare_equity(state, account, now)
    mark_account(state, account, AccountBit.MONEY | AccountBit.TRUTH)


def _adopt(
    fact: StatedFact,
    amount: Decimal,
    event: AccountReported,
    as_of: int,
    now: EngineNs,
    channel: Channel,
) -> bool:
    """Take the amount unless a newer one is known; True when taken."""
    value = float(amount) if amount.is_finite() else None
    if fact.seen_ns and not _not_older(event.height, as_of, fact.height, fact.as_of_ns):
        return False
    fact.value, fact.exact = value, amount
    fact.as_of_ns, fact.height = as_of, event.height
    fact.seen_ns, fact.channel, fact.generation = now, channel.name, channel.generation
    return True


def _not_older(
    height: int | None,
    as_of: int,
    known_height: int | None,
    known_as_of: int,
) -> bool:
    """Whether a statement is at least as new as the known one: by height, else by time."""
    if height is not None and known_height is not None:
        return height >= known_height
    return as_of >= known_as_of


def _compare_equity(state: RiskState, account: AccountState, now: EngineNs) -> None:
    stream, truth = account.equity_stream, account.equity_truth
    if stream.value is None or truth.value is None:
        return
    if abs(stream.as_of_ns - truth.as_of_ns) > EQUITY_COMPARED_WITHIN_NS:
        return
    larger = max(abs(stream.value), abs(truth.value))
    ratio = abs(stream.value - truth.value) / larger if larger > 0.0 else 0.0
    before = account.equity_difference_ratio
    account.equity_difference_ratio = ratio if ratio > DIFFERENCE_RATIO else 0.0
    if account.equity_difference_ratio > 0.0 and before == 0.0:
        state.cross_checks.append(
            CrossCheck(
                subject=account.subject,
                field="equity_usd",
                stream=str(stream.exact),
                truth=str(truth.exact),
                at_ns=now,
            ),
        )


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
    as_of = event.venue_time_ns if event.venue_time_ns is not None else now
    seen = account.positions_truth if truth else account.positions_stream
    # Saying again what is known and fresh asks for no revaluation.
    valued = state.holdings.get(account.subject)
    news = (
        valued is None
        or bool(valued.exposure.reason)
        or seen.generation != channel.generation
        or now - seen.seen_ns > RESTATED_WITHIN_NS
    )
    tell_seen(seen, now, channel)
    if truth:
        tell_seen(account.truth, now, channel)
    listed = set()
    for report in event.positions:
        listed.add(report.market)
        if _position(state, account, report, event, as_of, now):
            news = True
    if event.complete:
        news = news or not account.positions_complete
        account.positions_complete = True
        for market, position in account.positions.items():
            if market in listed:
                continue
            if position.size != 0.0 or position.stream_size or position.truth_size:
                gone = PositionReport(market=market, size=CLOSED, margin_mode=position.margin_mode)
                if _position(state, account, gone, event, as_of, now):
                    news = True
            else:
                _side(position, event, 0.0, as_of)
    mark_account(state, account, _POSITIONS_NEWS if news else AccountBit.TRUTH)


def _position(
    state: RiskState,
    account: AccountState,
    report: PositionReport,
    event: PositionsReported,
    as_of: int,
    now: EngineNs,
) -> bool:
    """Take the position over unless a newer statement is known; True where anything that values
    the account changed."""
    position = account.positions.get(report.market)
    if position is None:
        if report.size == 0:
            return False
        position = account.positions[report.market] = PositionState(market=report.market)
        state.appeared.append(("position", account.venue, account.account, report.market))
    size = float(report.size)
    if size != position.size or size != position.stream_size or event.source == TRUTH:
        _cross_check(state, account, position, event, size, as_of, now)
    _side(position, event, size, as_of)
    if not _not_older(event.height, as_of, position.height, position.as_of_ns):
        return False
    changed = size != position.size
    if changed:
        position.size, position.exact = size, report.size
        if event.source != TRUTH:
            account.stream_changed_ns = now
    position.height, position.as_of_ns, position.seen_ns = event.height, as_of, now
    if size != 0.0:
        return _describe(position, report) or changed
    position.margin_mode = report.margin_mode
    position.entry_price = position.venue_liquidation_price = position.leverage = None
    position.margin_used_usd = position.isolated_cash_usd = position.stated_mark = None
    return changed


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
    if report.margin_mode is MarginMode.ISOLATED:
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
        if _not_older(event.height, as_of, position.truth_height, position.truth_as_of_ns):
            position.truth_size = size
            position.truth_as_of_ns, position.truth_height = as_of, event.height
    elif _not_older(event.height, as_of, position.stream_height, position.stream_as_of_ns):
        position.stream_size = size
        position.stream_as_of_ns, position.stream_height = as_of, event.height


def _cross_check(
    state: RiskState,
    account: AccountState,
    position: PositionState,
    event: PositionsReported,
    size: float,
    as_of: int,
    now: EngineNs,
) -> None:
    """Judge this statement against what the other source last said, before it is taken over.

    Truth that is newer than the stream's last word and differs means a lost message. A stream that
    says something new after truth is news, not contradiction; one that repeats what it said before
    leaves an earlier judgement standing.
    """
    if event.source == TRUTH:
        stream = position.stream_size
        if stream is None or not _not_older(
            event.height, as_of, position.stream_height, position.stream_as_of_ns
        ):
            return
        pair = (stream, size)
    else:
        truth = position.truth_size
        if truth is None or size == position.stream_size:
            return
        if _not_older(event.height, as_of, position.truth_height, position.truth_as_of_ns):
            position.difference_ratio, position.told_pair = 0.0, None
            return
        # An older stream message than the truth we hold: late, and not adopted either.
        return
    position.difference_ratio = _size_difference(state, account, position.market, *pair)
    if position.difference_ratio == 0.0:
        position.told_pair = None
    elif position.told_pair != pair:
        position.told_pair = pair
        state.cross_checks.append(
            CrossCheck(
                subject=position_subject(account.venue, account.account, position.market),
                field="size",
                stream=repr(pair[0]),
                truth=repr(pair[1]),
                at_ns=now,
            ),
        )


def _size_difference(
    state: RiskState,
    account: AccountState,
    market: str,
    stream: float,
    truth: float,
) -> float:
    """Relative difference of two sizes; 0.0 while they agree to less than a lot (or, where the lot
    is not known, to half a per cent)."""
    larger = max(abs(stream), abs(truth))
    if larger == 0.0:
        return 0.0
    gap = abs(stream - truth)
    known = state.venues[account.venue].markets.get(market)
    lot = None if known is None else known.size_step
    # A thousandth of a lot forgives binary fractions, nothing more.
    agree = gap < lot * 0.999 if lot else gap / larger <= DIFFERENCE_RATIO
    return 0.0 if agree else gap / larger


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
