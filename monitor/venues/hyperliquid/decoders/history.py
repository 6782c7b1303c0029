"""What happened to an account: fills, funding payments, transfers, liquidations.

Every item carries an id under which telling it twice counts once. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from monitor.core.events import (
    Event,
    FillReport,
    FillsReported,
    FundingPaid,
    FundingPayment,
    LiquidationSeen,
    TransferReport,
    TransfersReported,
)
from monitor.core.types import AccountMode, FillKind, TransferKind
from monitor.venues.hyperliquid.decoders import account_wire
from monitor.venues.hyperliquid.decoders.wire import MS_NS, money, money_or_none
from monitor.venues.hyperliquid.knowledge import Account, shorten
from monitor.venues.hyperliquid.markets import FIRST_DEX, Markets, dex_of, hourly_funding_rate
from monitor.venues.hyperliquid.settings import VENUE

AliasOf = Callable[[str], str | None]
_TRADE, _LIQUIDATION = FillKind.TRADE, FillKind.LIQUIDATION
_KINDS_BY_DIR = {
    "Auto-Deleveraging": FillKind.DELEVERAGING,
    "Settlement": FillKind.SETTLEMENT,
}
_SPOT = "spot"
_USDC = "USDC"
_Flow = tuple[str, Decimal, TransferKind, str]  # dex, signed USD, kind, the other side
_KIND = msgspec.json.Decoder(account_wire.LedgerKind)
_DELTA = msgspec.json.Decoder(account_wire.LedgerDelta, strict=False)


# --------------------------------------------------------------------------------------- fills


def fill_report(fill: account_wire.Fill, address: str) -> FillReport:
    """One execution. A liquidation is ours only if ``liquidatedUser`` is: the same object stands on
    the counterparty's fill, and ``dir`` says an ordinary close on both.

    Dust conversions all have ``tid`` 0, so the id is made of trade, order, time and hash.
    """
    size = money(fill.sz, "sz")
    liquidation = fill.liquidation
    kind = _KINDS_BY_DIR.get(fill.dir, _TRADE)
    if liquidation is not None and (liquidation.liquidated_user or "").lower() == address != "":
        kind = FillKind.LIQUIDATION
    return FillReport(
        fill_id=f"{fill.tid}:{fill.oid}:{fill.time}:{fill.hash[:66]}",
        market=fill.coin,
        size=size if fill.side == "B" else -size,
        price=money(fill.px, "px"),
        time_ns=fill.time * MS_NS,
        kind=kind,
        fee_usd=money_or_none(fill.fee, "fee") if fill.fee_token in {None, _USDC} else None,
        realized_pnl_usd=money_or_none(fill.closed_pnl, "closedPnl"),
        order_id=str(fill.oid),
    )


def fill_events(
    account: Account,
    fills: Iterable[account_wire.Fill],
    *,
    history: bool,
    channel: str,
    markets: Markets | None,
) -> tuple[Event, ...]:
    """Fills by pool, oldest first, whatever order they were told in."""
    pools: dict[str, list[FillReport]] = {}
    backstops: list[Event] = []
    for fill in fills:
        pool = account.pool(account.use(dex_of(fill.coin)), markets)
        report = fill_report(fill, account.address)
        pools.setdefault(pool, []).append(report)
        if not history and report.kind is _LIQUIDATION and _is_backstop(fill):
            backstops.append(_backstop_event(report, pool, channel))
    told = tuple(
        FillsReported(
            venue=VENUE,
            channel=channel,
            account=pool,
            history=history,
            fills=tuple(sorted(reports, key=lambda report: report.time_ns)),
        )
        for pool, reports in pools.items()
    )
    return (*told, *backstops)


def _is_backstop(fill: account_wire.Fill) -> bool:
    return fill.liquidation is not None and fill.liquidation.method == "backstop"


def _backstop_event(report: FillReport, pool: str, channel: str) -> LiquidationSeen:
    """The position was not sold in the market but taken over whole, its margin with it. Named by
    time and market, so that a fill which several sources tell counts once."""
    return LiquidationSeen(
        venue=VENUE,
        channel=channel,
        venue_time_ns=report.time_ns,
        account=pool,
        notional_usd=abs(float(report.size * report.price)),
        detail=f"backstop in {report.market}: taken over by the liquidator vault with its margin",
    )


# ------------------------------------------------------------------------------------- funding


def funding_paid_events(
    account: Account,
    payments: Iterable[tuple[int, account_wire.Funding]],
    *,
    history: bool,
    channel: str,
    markets: Markets | None,
) -> tuple[Event, ...]:
    """Payments as (time in ms, payment), by pool. The venue's sign is ours: negative is paid."""
    pools: dict[str, list[FundingPayment]] = {}
    for time_ms, payment in payments:
        pools.setdefault(account.pool(account.use(dex_of(payment.coin)), markets), []).append(
            FundingPayment(
                market=payment.coin,
                amount_usd=money(payment.usdc, "usdc"),
                time_ns=time_ms * MS_NS,
                funding_rate_hourly=hourly_funding_rate(payment.funding_rate, time_ms),
                size=money(payment.szi, "szi"),
            ),
        )
    return tuple(
        FundingPaid(
            venue=VENUE,
            channel=channel,
            account=pool,
            history=history,
            payments=tuple(sorted(paid, key=lambda payment: payment.time_ns)),
        )
        for pool, paid in pools.items()
    )


# ----------------------------------------------------------------------------------- transfers


def _flow(account: Account, delta: account_wire.LedgerDelta) -> list[_Flow]:
    """(dex, signed amount, kind, other side) for each pool of the account that a delta moved.

    A standard account's equity is its perp side alone, so spot moves are nothing to it; a pooled
    account's is its spot side, so moves between the two are nothing.
    """
    usdc = money_or_none(delta.usdc, "delta.usdc")
    value = money_or_none(delta.usdc_value, "delta.usdcValue")
    outgoing = delta.user is not None and delta.user.lower() == account.address
    incoming = delta.destination is not None and delta.destination.lower() == account.address
    other = (delta.destination if outgoing else delta.user) or ""
    match delta.type:
        case "deposit" if usdc is not None:
            return [(FIRST_DEX, usdc, TransferKind.DEPOSIT, "")]
        case "withdraw" if usdc is not None:
            return [(FIRST_DEX, -usdc, TransferKind.WITHDRAWAL, "")]
        case "accountClassTransfer" if usdc is not None and delta.to_perp is not None:
            amount = usdc if delta.to_perp else -usdc
            return [] if account.pooled else [(FIRST_DEX, amount, TransferKind.INTERNAL, _SPOT)]
        case "internalTransfer" | "subAccountTransfer" if usdc is not None:
            return _between(usdc, other, outgoing=outgoing, incoming=incoming)
        case "spotTransfer" if value is not None and _counts(account, delta):
            return _between(value, other, outgoing=outgoing, incoming=incoming)
        case "send" if value is not None:
            return _sent(account, delta, value, other, outgoing=outgoing, incoming=incoming)
        case "vaultDeposit" | "vaultCreate" if usdc is not None:
            return [(FIRST_DEX, -usdc, TransferKind.OTHER, delta.vault or "")]
        case "vaultDistribution" if usdc is not None:
            return [(FIRST_DEX, usdc, TransferKind.OTHER, delta.vault or "")]
        case "vaultWithdraw" if delta.net_withdrawn_usd is not None:
            net = money(delta.net_withdrawn_usd, "delta.netWithdrawnUsd")
            return [(FIRST_DEX, net, TransferKind.OTHER, delta.vault or "")]
        case _:
            return []  # a kind that moves nothing we count, or that this version does not know


def _counts(account: Account, delta: account_wire.LedgerDelta) -> bool:
    # A unified account's USDC pool is touched by USDC alone; portfolio margin by every token.
    if account.mode is AccountMode.PORTFOLIO_MARGIN:
        return True
    return account.mode is AccountMode.UNIFIED and delta.token == _USDC


def _between(
    amount: Decimal,
    other: str,
    *,
    outgoing: bool,
    incoming: bool,
) -> list[_Flow]:
    if outgoing == incoming:  # to itself, or neither side named: no flow that can be told
        return []
    return [(FIRST_DEX, amount if incoming else -amount, TransferKind.INTERNAL, other)]


def _sent(
    account: Account,
    delta: account_wire.LedgerDelta,
    value: Decimal,
    other: str,
    *,
    outgoing: bool,
    incoming: bool,
) -> list[_Flow]:
    if account.pooled:
        if not _counts(account, delta):
            return []
        return _between(value, other, outgoing=outgoing, incoming=incoming)
    flows: list[_Flow] = []
    source, target = delta.source_dex, delta.destination_dex
    # The spot side of an address is no pool of ours, so a move there is a loss to its perp side.
    if outgoing and source is not None and source != _SPOT:
        other_pool = _SPOT if target == _SPOT else other
        flows.append((source, -value, TransferKind.INTERNAL, other_pool))
    if incoming and target is not None and target != _SPOT:
        other_pool = _SPOT if source == _SPOT else delta.user or ""
        flows.append((target, value, TransferKind.INTERNAL, other_pool))
    return flows


def transfer_events(
    account: Account,
    rows: Iterable[account_wire.LedgerRow],
    *,
    history: bool,
    channel: str,
    markets: Markets | None,
    alias_of: AliasOf,
) -> tuple[Event, ...]:
    """Ledger rows as flows of the account's pools; ``alias_of`` recognises our own addresses."""
    pools: dict[str, list[TransferReport]] = {}
    for row in rows:
        kind = _KIND.decode(row.delta).type
        if kind not in _READ_KINDS:
            continue
        delta = _DELTA.decode(row.delta)
        for dex, amount, flow_kind, other in _flow(account, delta):
            alias = alias_of(other) if other else None
            pools.setdefault(account.pool(account.use(dex), markets), []).append(
                TransferReport(
                    transfer_id=f"{row.time}:{row.hash[:66]}:{kind}:{dex}:{amount}",
                    amount_usd=amount,
                    time_ns=row.time * MS_NS,
                    kind=flow_kind,
                    counterparty=alias or shorten(other),
                    own=alias is not None,
                ),
            )
    return tuple(
        TransfersReported(
            venue=VENUE,
            channel=channel,
            account=pool,
            history=history,
            transfers=tuple(sorted(flows, key=lambda flow: flow.time_ns)),
        )
        for pool, flows in pools.items()
    )


_READ_KINDS = frozenset(
    {
        "deposit",
        "withdraw",
        "accountClassTransfer",
        "internalTransfer",
        "subAccountTransfer",
        "spotTransfer",
        "send",
        "vaultDeposit",
        "vaultCreate",
        "vaultDistribution",
        "vaultWithdraw",
    },
)


# --------------------------------------------------------------------------------- liquidation


def liquidation_events(
    account: Account,
    liquidation: account_wire.Liquidation,
    channel: str,
) -> tuple[Event, ...]:
    """The event is told to both sides; it concerns us only as the one who was liquidated."""
    if liquidation.liquidated_user.lower() != account.address:
        return ()
    value = liquidation.liquidated_account_value
    return (
        LiquidationSeen(
            venue=VENUE,
            channel=channel,
            account=account.alias,
            notional_usd=liquidation.liquidated_ntl_pos,
            detail="" if value is None else f"account value {value} USD",
        ),
    )
