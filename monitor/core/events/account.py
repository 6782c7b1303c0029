"""What a venue says of an account: positions, money, orders, fills, funding, transfers.

Money and sizes are ``Decimal`` from the payload's own string. *Pure.*
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from monitor.core.events.base import VenueEventBase
from monitor.core.types import AccountMode, FillKind, MarginMode, Side, TransferKind


class PositionReport(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One position as the venue states it. ``size`` is signed base units."""

    market: str
    size: Decimal
    margin_mode: MarginMode = MarginMode.CROSS
    entry_price: Decimal | None = None
    leverage: float | None = None
    liquidation_price: float | None = None  # the venue's own; None where it gives none
    unrealized_pnl_usd: Decimal | None = None
    margin_used_usd: Decimal | None = None
    isolated_cash_usd: Decimal | None = None  # Hyperliquid leverage.rawUsd, signed
    mark_price: float | None = None  # the mark behind the venue's own value
    funding_since_open_usd: Decimal | None = None  # > 0 means received


class PositionsReported(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Positions of one account. With ``complete`` a position not listed is closed.

    ``source`` is ``stream`` or ``truth`` (a REST re-read); the two are cross-checked.
    ``height`` orders reports where the venue gives one.
    """

    account: str
    source: str
    complete: bool
    positions: tuple[PositionReport, ...]
    height: int | None = None


class AccountReported(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Money of one margin pool as the venue states it, USD.

    ``equity_usd`` and the margins are the venue's own statements, by its own definition; None where
    a message does not say them (dYdX updates), and the measures then compute them from
    ``cash_usd``, positions and oracle. A stated number is also kept to be compared with the
    computed one. ``complete`` as in ``MarketContextSeen``: what is None is unknown.
    """

    account: str
    source: str
    equity_usd: Decimal | None = None
    cash_usd: Decimal | None = None  # settled quote balance, may be negative
    free_collateral_usd: Decimal | None = None
    initial_margin_usd: Decimal | None = None
    maintenance_margin_usd: Decimal | None = None
    withdrawable_usd: Decimal | None = None
    height: int | None = None
    complete: bool = False


class CollateralBalance(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One token held as collateral; ``price_market`` is the venue symbol that prices it, None for
    the quote token itself."""

    token: str
    amount: Decimal
    price_market: str | None = None
    price_usd: float | None = None


class CollateralReported(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """All collateral tokens of an account; a token not listed is gone."""

    account: str
    source: str
    balances: tuple[CollateralBalance, ...]


class AccountModeSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """How the account keeps its collateral; UNREADABLE makes its equity absent, for ``reason``."""

    account: str
    mode: AccountMode
    reason: str = ""


class AccountDiscovered(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """A margin pool that belongs to a configured address: sub-account, vault, dex, child.

    ``watched`` when its values will be told from now on, so that their absence is an unknown; else
    it is only known to exist, and people are told that nobody looks at it.
    """

    account: str
    parent: str
    kind: str  # subaccount | vault | dex | child
    watched: bool = True


class OrderReport(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One working order. ``size`` is what is left, unsigned; triggers have ``trigger_price``."""

    order_id: str
    market: str
    side: Side
    size: Decimal
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    reduce_only: bool = False
    client_id: str | None = None
    open: bool = True  # False: the order is gone (filled, cancelled, rejected)
    status: str = ""  # the venue's own word


class OrdersReported(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Working orders; with ``complete`` an order not listed is gone."""

    account: str
    source: str
    complete: bool
    orders: tuple[OrderReport, ...]
    height: int | None = None


class TwapsReported(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """All running TWAPs of an account over its pools, where its orders do not list them."""

    account: str
    twaps: tuple[OrderReport, ...]


class FillReport(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One execution of ours. ``size`` signed: bought > 0. ``fee_usd`` > 0 is paid."""

    fill_id: str
    market: str
    size: Decimal
    price: Decimal
    time_ns: int
    kind: FillKind = FillKind.TRADE
    fee_usd: Decimal | None = None
    realized_pnl_usd: Decimal | None = None
    order_id: str | None = None


class FillsReported(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Executions, oldest first; ``history`` marks a first snapshot, which is not news."""

    account: str
    history: bool
    fills: tuple[FillReport, ...]


class FundingPayment(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One funding payment of ours; ``amount_usd`` > 0 is received."""

    market: str
    amount_usd: Decimal
    time_ns: int
    funding_rate_hourly: float | None = None
    size: Decimal | None = None


class FundingPaid(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Funding payments; the same payment may be told twice and counts once (market, time)."""

    account: str
    history: bool
    payments: tuple[FundingPayment, ...]


class TransferReport(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Money in (> 0) or out (< 0) of an account. ``counterparty`` is an alias where the other side
    is also ours (then nothing was lost), else a shortened address."""

    transfer_id: str
    amount_usd: Decimal
    time_ns: int
    kind: TransferKind
    counterparty: str = ""
    own: bool = False  # the other side is a configured account


class TransfersReported(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """Transfers; the same one may be told twice and counts once (transfer_id)."""

    account: str
    history: bool
    transfers: tuple[TransferReport, ...]


class LiquidationSeen(VenueEventBase, frozen=True, gc=False, kw_only=True):
    """The venue says that this account is being or was liquidated."""

    account: str
    notional_usd: float | None
    detail: str


AccountEvent = (
    PositionsReported | AccountReported | CollateralReported | AccountModeSeen
    | AccountDiscovered | OrdersReported | TwapsReported | FillsReported | FundingPaid
    | TransfersReported | LiquidationSeen
)  # fmt: skip
