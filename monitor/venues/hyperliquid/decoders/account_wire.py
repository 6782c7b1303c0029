"""The shapes Hyperliquid sends about accounts; see ``wire`` for the conventions. *Pure.*"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from monitor.venues.hyperliquid.decoders.wire import (
    CamelCase,
    Coin,
    Millis,
    Number,
    Serial,
    SideCode,
)


class MarginSummary(CamelCase):
    """Totals of one dex; ``total_raw_usd`` is the cash leg net of cost basis."""

    account_value: Decimal
    total_raw_usd: Decimal
    total_margin_used: Decimal


class Leverage(CamelCase):
    """``raw_usd`` (signed) only on isolated positions."""

    type: Literal["cross", "isolated"]
    value: Number
    raw_usd: Decimal | None = None


class CumulativeFunding(CamelCase):
    """Positive is net paid."""

    since_open: Decimal


class Position(CamelCase):
    """One position; ``liquidation_px`` null when the formula gives no positive price."""

    coin: Coin
    szi: Decimal
    leverage: Leverage
    position_value: Decimal
    entry_px: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    liquidation_px: Number | None = None
    margin_used: Decimal | None = None
    max_leverage: Annotated[int, Meta(gt=0, le=10_000)] | None = None
    cum_funding: CumulativeFunding | None = None


class AssetPosition(CamelCase):
    """``oneWay`` is the only netting there is; another would mean something else by ``szi``."""

    position: Position
    type: Literal["oneWay"] = "oneWay"


class ClearinghouseState(CamelCase):
    """One dex of one account. Closed positions are omitted."""

    asset_positions: list[AssetPosition]
    margin_summary: MarginSummary | None = None
    cross_margin_summary: MarginSummary | None = None
    cross_maintenance_margin_used: Decimal | None = None
    withdrawable: Decimal | None = None
    time: Millis | None = None


class DexState(CamelCase):
    """``clearinghouseState`` on the socket."""

    user: str
    clearinghouse_state: ClearinghouseState
    dex: str = ""


class AllDexStates(CamelCase):
    """``allDexsClearinghouseState``."""

    user: str
    clearinghouse_states: list[tuple[str, ClearinghouseState]]


class PushedState(CamelCase):
    """``ClearinghouseState`` with its positions left as they stand on the wire: most of them say
    what they said in the push before, and are known by their bytes."""

    asset_positions: list[msgspec.Raw]
    margin_summary: MarginSummary | None = None
    cross_margin_summary: MarginSummary | None = None
    cross_maintenance_margin_used: Decimal | None = None
    withdrawable: Decimal | None = None
    time: Millis | None = None


class PushedStates(CamelCase):
    """``AllDexStates`` likewise."""

    user: str
    clearinghouse_states: list[tuple[str, PushedState]]


class StatesFrame(msgspec.Struct, gc=False):
    """A whole frame of ``allDexsClearinghouseState``, read in one go."""

    channel: str
    data: PushedStates


class Balance(CamelCase):
    """One spot balance; outcome sides (``+123``) have no token index."""

    coin: Coin
    total: Decimal
    hold: Decimal = Decimal(0)
    token: int | None = None


class SpotState(CamelCase):
    """``spotClearinghouseState``."""

    balances: list[Balance]
    portfolio_margin_ratio: Decimal | None = None
    token_to_available_after_maintenance: list[tuple[int, Decimal]] | None = None


class UserSpotState(CamelCase):
    """``spotState`` on the socket."""

    user: str
    spot_state: SpotState


class Order(CamelCase):
    """A working order; the frontend form tells triggers and reduce-only apart.

    ``children`` are listed at the top level too once they work, so they are not read here.
    """

    coin: Coin
    side: SideCode
    limit_px: Decimal
    sz: Decimal
    oid: Serial
    cloid: str | None = None
    reduce_only: bool | None = None
    is_trigger: bool | None = None
    trigger_px: Decimal | None = None


class DexOrders(CamelCase):
    """``openOrders`` on the socket."""

    user: str
    orders: list[Order]
    dex: str = ""


class OrderUpdate(CamelCase):
    """One entry of ``orderUpdates`` and ``historicalOrders``."""

    order: Order
    status: str
    status_timestamp: Millis | None = None


class FillLiquidation(CamelCase):
    """On both sides' fills: only ``liquidated_user`` tells whose liquidation it was."""

    liquidated_user: str | None = None
    method: str | None = None


class Fill(CamelCase):
    """One execution; ``fee`` includes the builder's, negative is a rebate."""

    coin: Coin
    px: Decimal
    sz: Decimal
    side: SideCode
    time: Millis
    hash: str
    oid: Serial
    tid: Serial
    dir: str = ""
    closed_pnl: Decimal | None = None
    fee: Decimal | None = None
    fee_token: str | None = None
    liquidation: FillLiquidation | None = None


class UserFills(CamelCase):
    """``isSnapshot`` may be absent rather than false."""

    user: str
    fills: list[Fill]
    is_snapshot: bool | None = None


class Funding(CamelCase):
    """One payment; ``usdc`` negative is paid."""

    coin: Coin
    usdc: Decimal
    szi: Decimal
    funding_rate: Number
    time: Millis = 0


class UserFundings(CamelCase):
    """``userFundings``."""

    user: str
    fundings: list[Funding]
    is_snapshot: bool | None = None


class FundingPaymentRow(CamelCase):
    """One row of REST ``userFunding``; ``hash`` may be all zeros."""

    time: Millis
    hash: str
    delta: Funding


class Liquidation(msgspec.Struct, gc=False):
    """``userEvents.liquidation``: snake_case on the wire, told to both sides."""

    liquidated_user: str
    liquidated_ntl_pos: Number | None = None
    liquidated_account_value: Number | None = None


class CancelledOrder(CamelCase):
    """``nonUserCancel``: neither side nor size, so the orders are read anew."""

    coin: Coin
    oid: Serial


class UserEvent(CamelCase):
    """Exactly one of these keys, or one that this version does not know."""

    fills: list[Fill] | None = None
    funding: Funding | None = None
    liquidation: Liquidation | None = None
    non_user_cancel: list[CancelledOrder] | None = None


class LedgerDelta(CamelCase):
    """The union of the ledger's kinds; which fields mean what depends on ``type``."""

    type: str
    usdc: Decimal | None = None
    usdc_value: Decimal | None = None
    net_withdrawn_usd: Decimal | None = None
    to_perp: bool | None = None
    user: str | None = None
    destination: str | None = None
    source_dex: str | None = None
    destination_dex: str | None = None
    token: str | None = None
    vault: str | None = None


class LedgerKind(CamelCase):
    """Which kind a ledger row is; kinds that this version does not know are not read further."""

    type: str


class LedgerRow(CamelCase):
    """One row of ``userNonFundingLedgerUpdates``."""

    time: Millis
    hash: str
    delta: msgspec.Raw


class UserLedger(CamelCase):
    """``userNonFundingLedgerUpdates`` on the socket."""

    user: str
    non_funding_ledger_updates: list[LedgerRow]
    is_snapshot: bool | None = None


class RateLimit(CamelCase):
    """``userRateLimit``; used may exceed the cap."""

    n_requests_used: Serial
    n_requests_cap: Serial


class RoleData(CamelCase):
    """The address behind an agent or a sub-account."""

    user: str | None = None
    master: str | None = None


class Role(CamelCase):
    """``userRole``."""

    role: str
    data: RoleData | None = None


class SubAccount(CamelCase):
    """One of ``subAccounts``."""

    name: str
    sub_account_user: str


class VaultEquity(CamelCase):
    """One of ``userVaultEquities``."""

    vault_address: str
    equity: Decimal


class Agent(CamelCase):
    """One of ``extraAgents``."""

    name: str
    address: str
    valid_until: Millis | None = None


class PortfolioPeriod(CamelCase):
    """One period of ``portfolio``."""

    account_value_history: list[tuple[Millis, Number]]
    pnl_history: list[tuple[Millis, Number]]
    vlm: Number
