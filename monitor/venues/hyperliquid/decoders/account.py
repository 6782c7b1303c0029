"""Account truth of Hyperliquid: typed payloads in, events out.

Equity has three homes: a standard account's is each dex's ``accountValue``; a unified account's is
the spot balance of the token that margins its dexes; a portfolio-margin account's is all of its
spot balances. ``total`` of a pooled balance already contains the perp equity, so unrealized profit
is never added to it. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from monitor.core.events import (
    AccountDiscovered,
    AccountModeSeen,
    AccountReported,
    CollateralBalance,
    CollateralReported,
    Event,
    MarginTier,
    OrderReport,
    OrdersReported,
    PositionReport,
    PositionsReported,
)
from monitor.core.formulas.margin import compute_tiered_maintenance
from monitor.core.types import AccountMode, EngineNs, MarginMode
from monitor.venues.hyperliquid.decoders import account_wire
from monitor.venues.hyperliquid.decoders.market import SIDES
from monitor.venues.hyperliquid.decoders.units import USDC, Unit, unit_events, unit_of
from monitor.venues.hyperliquid.decoders.wire import MS_NS, money, money_or_none
from monitor.venues.hyperliquid.knowledge import Account, SpotPrices, mode_event
from monitor.venues.hyperliquid.markets import USDC_TOKEN, Markets, dex_of, margin_tier
from monitor.venues.hyperliquid.settings import VENUE

ZERO = Decimal(0)
# Looking a member up in its class costs more than all else around it (before Python 3.12).
_UNREADABLE, _PORTFOLIO_MARGIN = AccountMode.UNREADABLE, AccountMode.PORTFOLIO_MARGIN
_USDC_DECIMALS = 6  # what the venue states amounts in
_MODES = {"cross": MarginMode.CROSS, "isolated": MarginMode.ISOLATED}
# An order with one of these is gone; anything else, known or not, is still working.
TERMINAL_STATUSES = frozenset(
    {
        "filled", "canceled", "rejected", "marginCanceled", "vaultWithdrawalCanceled",
        "openInterestCapCanceled", "selfTradeCanceled", "reduceOnlyCanceled",
        "siblingFilledCanceled", "delistedCanceled", "liquidatedCanceled",
        "outcomeSettledCanceled", "scheduledCancel", "internalCancel", "tickRejected",
        "minTradeNtlRejected", "perpMarginRejected", "reduceOnlyRejected", "badAloPxRejected",
        "iocCancelRejected", "badTriggerPxRejected", "marketOrderNoLiquidityRejected",
        "positionIncreaseAtOpenInterestCapRejected", "positionFlipAtOpenInterestCapRejected",
        "tooAggressiveAtOpenInterestCapRejected", "openInterestIncreaseRejected",
        "insufficientSpotBalanceRejected", "oracleRejected", "perpMaxPositionRejected",
        "tooManyOpenOrdersRejected",
    },
)  # fmt: skip


# ----------------------------------------------------------------------------------- positions


def position_report(position: account_wire.Position) -> PositionReport | None:
    """One position in our terms; None for one that is already flat.

    The venue's cumulative funding is what was paid; ours is what was received. The mark is the one
    behind the venue's own value.
    """
    size = money(position.szi, "szi")
    if not size:
        return None
    value = money(position.position_value, "positionValue")
    funding, leverage = position.cum_funding, position.leverage
    # Absent amounts are told apart here: a call for each is a third of the cost of a position.
    entry, profit = position.entry_px, position.unrealized_pnl
    used, raw = position.margin_used, leverage.raw_usd
    return PositionReport(
        market=position.coin,
        size=size,
        margin_mode=_MODES[leverage.type],
        entry_price=None if entry is None else money(entry, "entryPx"),
        leverage=leverage.value,
        liquidation_price=position.liquidation_px,
        unrealized_pnl_usd=None if profit is None else money(profit, "unrealizedPnl"),
        margin_used_usd=None if used is None else money(used, "marginUsed"),
        isolated_cash_usd=None if raw is None else money(raw, "leverage.rawUsd"),
        mark_price=abs(float(value / size)),
        funding_since_open_usd=(
            None if funding is None else -money(funding.since_open, "cumFunding.sinceOpen")
        ),
    )


def position_reports(state: account_wire.ClearinghouseState) -> list[PositionReport]:
    """The open positions of a dex."""
    reports = [position_report(entry.position) for entry in state.asset_positions]
    return [report for report in reports if report is not None]


def _tiers(position: account_wire.Position, markets: Markets | None) -> tuple[MarginTier, ...]:
    market = None if markets is None else markets.get(position.coin)
    if market is not None:
        return market.tiers
    return () if position.max_leverage is None else (margin_tier(position.max_leverage),)


def maintenance_margin_usd(
    state: account_wire.ClearinghouseState,
    markets: Markets | None,
) -> Decimal | None:
    """Maintenance margin of a dex, cross and isolated, USD.

    The venue states the cross part; isolated positions are computed from their tiers, and where
    those are unknown the whole is None, since a partial sum would look safe.
    """
    cross = state.cross_maintenance_margin_used
    if cross is None:
        return None
    total = money(cross, "crossMaintenanceMarginUsed")
    for entry in state.asset_positions:
        position = entry.position
        if position.leverage.type != "isolated":
            continue
        tiers = _tiers(position, markets)
        if not tiers:
            return None
        notional = abs(float(money(position.position_value, "positionValue")))
        total += Decimal(str(round(compute_tiered_maintenance(notional, tiers), _USDC_DECIMALS)))
    return total


def is_used(state: account_wire.ClearinghouseState) -> bool:
    """Whether a dex holds anything for the account."""
    summary = state.margin_summary or state.cross_margin_summary
    return bool(state.asset_positions) or (summary is not None and summary.account_value != 0)


def account_events(
    account: Account,
    states: Mapping[str, account_wire.ClearinghouseState],
    *,
    source: str,
    channel: str,
    markets: Markets | None,
    prices: SpotPrices | None,
    now: EngineNs | None,
    complete: bool = True,
    reports: Mapping[str, tuple[PositionReport, ...]] | None = None,
) -> tuple[Event, ...]:
    """Positions and money of every pool that ``states`` (by dex) speak of.

    ``reports`` (by dex) where the positions were turned into reports already. Money is told at the
    price of the token that margins its dex (``prices`` as of ``now``), and absent without one.

    ``complete``: ``states`` hold every dex the account uses, so that a pooled account's positions
    can be told as one full list. A standard account's dexes are each complete in themselves.
    """
    units = {dex: unit_of(dex, markets, prices, now) for dex in states}
    pools: dict[str, dict[str, account_wire.ClearinghouseState]] = {}
    for dex, state in states.items():
        pools.setdefault(account.pool(dex, markets), {})[dex] = state
    events: list[Event] = []
    for pool, parts in pools.items():
        if pool != account.alias and pool not in account.pools_told:
            events.append(
                AccountDiscovered(
                    venue=VENUE,
                    channel=channel,
                    account=pool,
                    parent=account.alias,
                    kind="dex",
                ),
            )
            events.append(mode_event(account, pool, channel))
        account.pools_told.add(pool)
        told: list[PositionReport] = []
        for dex, state in parts.items():
            told += position_reports(state) if reports is None else reports[dex]
        times = [state.time for state in parts.values() if state.time is not None]
        time_ns = max(times) * MS_NS if times else None
        events.append(
            PositionsReported(
                venue=VENUE,
                channel=channel,
                venue_time_ns=time_ns,
                account=pool,
                source=source,
                complete=complete or not account.pooled,
                positions=tuple(told),
            ),
        )
        if account.pooled:
            if complete:
                events.append(
                    _pooled_margins(account, pool, parts, units, source, channel, markets)
                )
        else:
            ((dex, state),) = parts.items()
            unit = units[dex]
            if unit is not USDC or pool in account.pools_unpriced:
                events.extend(unit_events(account, pool, state, unit, source, channel))
            events.append(_standard_money(account, pool, state, unit, source, channel, markets))
    return tuple(events)


def _standard_money(
    account: Account,
    pool: str,
    state: account_wire.ClearinghouseState,
    unit: Unit,
    source: str,
    channel: str,
    markets: Markets | None,
) -> AccountReported:
    time_ns = None if state.time is None else state.time * MS_NS
    if account.mode is _UNREADABLE:
        return AccountReported(
            venue=VENUE, channel=channel, venue_time_ns=time_ns, account=pool, source=source
        )
    whole, cross = state.margin_summary, state.cross_margin_summary
    free = None
    if cross is not None:
        free = money(cross.account_value, "crossMarginSummary.accountValue") - money(
            cross.total_margin_used,
            "crossMarginSummary.totalMarginUsed",
        )
    equity = None if whole is None else money(whole.account_value, "marginSummary.accountValue")
    worth, cash = unit.usd(equity), None
    if whole is not None and worth is not None and equity is not None:
        # What is left of the equity without the positions, which are in dollars.
        cash = money(whole.total_raw_usd, "marginSummary.totalRawUsd") + worth - equity
    return AccountReported(
        venue=VENUE,
        channel=channel,
        venue_time_ns=time_ns,
        account=pool,
        source=source,
        equity_usd=worth,
        cash_usd=cash,
        free_collateral_usd=unit.usd(free),
        initial_margin_usd=unit.usd(_initial(state)),
        maintenance_margin_usd=unit.usd(maintenance_margin_usd(state, markets)),
        withdrawable_usd=unit.usd(money_or_none(state.withdrawable, "withdrawable")),
        complete=True,
    )


def _initial(state: account_wire.ClearinghouseState) -> Decimal | None:
    whole = state.margin_summary
    return (
        None if whole is None else money(whole.total_margin_used, "marginSummary.totalMarginUsed")
    )


def _pooled_margins(
    account: Account,
    pool: str,
    parts: Mapping[str, account_wire.ClearinghouseState],
    units: Mapping[str, Unit],
    source: str,
    channel: str,
    markets: Markets | None,
) -> AccountReported:
    # Only what perps require: the collateral itself stands in the spot state. A portfolio-margin
    # account's maintenance also covers what it borrowed, so it is told from the spot state's ratio.
    initial: Decimal | None = ZERO
    maintenance: Decimal | None = ZERO
    for dex, state in parts.items():
        unit = units[dex]
        used = unit.usd(_initial(state))
        initial = None if used is None or initial is None else initial + used
        required = unit.usd(maintenance_margin_usd(state, markets))
        maintenance = None if required is None or maintenance is None else maintenance + required
    return AccountReported(
        venue=VENUE,
        channel=channel,
        account=pool,
        source=source,
        initial_margin_usd=initial,
        maintenance_margin_usd=(None if account.mode is _PORTFOLIO_MARGIN else maintenance),
    )


# ---------------------------------------------------------------------------------- collateral


def spot_events(
    account: Account,
    state: account_wire.SpotState,
    *,
    source: str,
    channel: str,
    prices: SpotPrices | None,
    collateral_tokens: Iterable[int],
    now: EngineNs | None,
) -> tuple[Event, ...]:
    """What the spot balances say about a pooled account's collateral; nothing for a standard one.

    ``collateral_tokens`` are those that margin a followed dex. Unified: one pool per such token.
    Portfolio margin: one pool of the balances that the venue lists as eligible (all, where it
    lists none: a token that somebody sent unasked is no collateral). A balance that nothing prices
    makes its equity unreadable, for a reason that names it.
    """
    if not account.pooled:
        return ()
    if account.mode is _PORTFOLIO_MARGIN:
        eligible = state.token_to_available_after_maintenance
        listed = None if eligible is None else {USDC_TOKEN, *(token for token, _ in eligible)}
        pools = {
            account.alias: [
                balance
                for balance in state.balances
                if balance.total != 0 and (listed is None or balance.token in listed)
            ],
        }
    else:
        pools = {account.token_pool(USDC_TOKEN): []}
        tokens = {USDC_TOKEN, *collateral_tokens}
        for balance in state.balances:
            if balance.token is not None and balance.token in tokens:
                if balance.token != USDC_TOKEN and balance.total == 0:
                    continue
                pools.setdefault(account.token_pool(balance.token), []).append(balance)
    events: list[Event] = []
    for pool, balances in pools.items():
        ratio = state.portfolio_margin_ratio
        events.extend(_pool_money(account, pool, balances, ratio, source, channel, prices, now))
    return tuple(events)


def _pool_money(
    account: Account,
    pool: str,
    balances: list[account_wire.Balance],
    ratio: Decimal | None,
    source: str,
    channel: str,
    prices: SpotPrices | None,
    now: EngineNs | None,
) -> list[Event]:
    equity: Decimal | None = ZERO
    free: Decimal | None = ZERO
    unpriced = []
    reported = []
    for balance in balances:
        total, hold = money(balance.total, "total"), money(balance.hold, "hold")
        if balance.token == USDC_TOKEN:
            price: float | None = 1.0
            market = None
        else:
            price = None if prices is None else prices.price(balance.token, now)
            market = None if prices is None else prices.market(balance.token)
        reported.append(
            CollateralBalance(
                token=balance.coin,
                amount=total,
                price_market=market,
                price_usd=price,
            ),
        )
        if price is None:
            unpriced.append(f"{total} {balance.coin}")
            equity = free = None
        elif equity is not None and free is not None:
            exact = Decimal(1) if price == 1.0 else Decimal(repr(price))
            equity += total * exact
            free += (total - hold) * exact
    maintenance = None
    if account.mode is _PORTFOLIO_MARGIN and ratio is not None and equity is not None:
        # The venue's own ratio of requirement to value, so that our margin usage equals it.
        maintenance = money(ratio, "portfolioMarginRatio") * equity
    reason = f"no price for {', '.join(unpriced[:5])}" if unpriced else account.mode_reason
    return [
        AccountModeSeen(
            venue=VENUE,
            channel=channel,
            account=pool,
            mode=AccountMode.UNREADABLE if unpriced else account.mode,
            reason=reason,
        ),
        CollateralReported(
            venue=VENUE,
            channel=channel,
            account=pool,
            source=source,
            balances=tuple(reported),
        ),
        AccountReported(
            venue=VENUE,
            channel=channel,
            account=pool,
            source=source,
            equity_usd=equity,
            free_collateral_usd=free,
            maintenance_margin_usd=maintenance,
            withdrawable_usd=free,
        ),
    ]


# -------------------------------------------------------------------------------------- orders


def order_report(order: account_wire.Order) -> OrderReport:
    """A working order of a full list; ``triggerPx`` is ``"0.0"`` where there is no trigger."""
    trigger = money_or_none(order.trigger_px, "triggerPx")
    return OrderReport(
        order_id=str(order.oid),
        market=order.coin,
        side=SIDES[order.side],
        size=money(order.sz, "sz"),
        limit_price=money(order.limit_px, "limitPx"),
        trigger_price=trigger if order.is_trigger and trigger else None,
        reduce_only=bool(order.reduce_only),
        client_id=order.cloid,
        status="open",
    )


def orders_events(
    account: Account,
    lists: Mapping[str, list[account_wire.Order]],
    *,
    source: str,
    channel: str,
    markets: Markets | None,
) -> tuple[Event, ...]:
    """Full order lists by dex; a pooled account's are told as one once every dex is known."""
    touched: list[str] = []
    for dex, orders in lists.items():
        account.remember_orders(source, dex, tuple(order_report(order) for order in orders))
        pool = account.pool(dex, markets)
        if pool not in touched:
            touched.append(pool)
    events: list[Event] = []
    for pool in touched:
        dexes = [dex for dex in account.dexes | set(lists) if account.pool(dex, markets) == pool]
        known = [account.orders.get((source, dex)) for dex in sorted(dexes)]
        events.append(
            OrdersReported(
                venue=VENUE,
                channel=channel,
                account=pool,
                source=source,
                complete=all(orders is not None for orders in known),
                orders=tuple(order for orders in known if orders is not None for order in orders),
            ),
        )
    return tuple(events)


def order_update_events(
    account: Account,
    updates: list[account_wire.OrderUpdate],
    *,
    source: str,
    channel: str,
    markets: Markets | None,
) -> tuple[Event, ...]:
    """``orderUpdates`` and ``historicalOrders``: single orders, in the order they were told.

    Updates do not say whether an order is reduce-only or a trigger; that is taken from the last
    full list, and an order not listed yet counts as neither, which is the cautious reading.
    """
    pools: dict[str, list[OrderReport]] = {}
    newest: dict[str, int] = {}
    for update in updates:
        order = update.order
        pool = account.pool(account.use(dex_of(order.coin)), markets)
        fresh = order_report(order)
        known = account.known_order(fresh.order_id) if order.reduce_only is None else None
        pools.setdefault(pool, []).append(
            OrderReport(
                order_id=fresh.order_id,
                market=fresh.market,
                side=fresh.side,
                size=fresh.size,
                limit_price=fresh.limit_price,
                trigger_price=known.trigger_price if known else fresh.trigger_price,
                reduce_only=known.reduce_only if known else fresh.reduce_only,
                client_id=fresh.client_id,
                open=update.status not in TERMINAL_STATUSES,
                status=update.status[:64],
            ),
        )
        newest[pool] = max(newest.get(pool, 0), update.status_timestamp or 0)
    return tuple(
        OrdersReported(
            venue=VENUE,
            channel=channel,
            venue_time_ns=newest[pool] * MS_NS or None,
            account=pool,
            source=source,
            complete=False,
            orders=tuple(orders),
        )
        for pool, orders in pools.items()
    )
