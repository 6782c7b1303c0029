"""The floor: bare typed decoding of the same frames and nothing else, with Structs of its own.

Two stages (envelope with the payload left raw, then the payload), numbers straight to float,
unknown keys skipped: what a program that does no more than read could cost at best. It reads the
fields that riskd reads, checks nothing and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bench.frames import Frame


class _Wire(msgspec.Struct, gc=False, rename="camel"):
    pass


class DydxEnvelope(_Wire):
    """Any frame of dYdX. ``message_id`` and ``connection_id`` keep their own spelling."""

    type: str
    message_id: int = msgspec.field(name="message_id")
    channel: str = ""
    id: str = ""
    contents: msgspec.Raw = msgspec.Raw(b"{}")


class Delta(_Wire):
    """v4_orderbook."""

    bids: list[tuple[float, float]] = []
    asks: list[tuple[float, float]] = []


class OraclePrice(_Wire):
    """One market's price."""

    oracle_price: float
    effective_at: str


class Statistics(_Wire):
    """One market's difference."""

    next_funding_rate: float | None = None
    open_interest: float | None = None
    volume_24h: float | None = msgspec.field(default=None, name="volume24H")


class Markets(_Wire):
    """v4_markets."""

    oracle_prices: dict[str, OraclePrice] = {}
    trading: dict[str, Statistics] = {}


class Block(_Wire):
    """v4_block_height."""

    block_height: int
    time: str


class DydxTrade(_Wire):
    """One public trade."""

    side: str
    size: float
    price: float
    type: str
    created_at: str


class DydxTrades(_Wire):
    """v4_trades."""

    trades: list[DydxTrade]


class DydxPosition(_Wire):
    """One position."""

    market: str
    side: str
    size: float
    status: str
    entry_price: float
    subaccount_number: int


class DydxAsset(_Wire):
    """One balance."""

    symbol: str
    side: str
    size: float
    subaccount_number: int


class DydxOrder(_Wire):
    """One order."""

    id: str
    status: str
    ticker: str
    side: str
    size: float
    total_filled: float
    price: float
    reduce_only: bool
    order_flags: str
    client_id: str


class DydxFill(_Wire):
    """One execution."""

    id: str
    side: str
    size: float
    price: float
    type: str
    created_at: str
    fee: float
    ticker: str
    order_id: str


class DydxAccount(_Wire):
    """v4_parent_subaccounts."""

    block_height: int
    perpetual_positions: list[DydxPosition] = []
    asset_positions: list[DydxAsset] = []
    orders: list[DydxOrder] = []
    fills: list[DydxFill] = []


class Envelope(msgspec.Struct, gc=False):
    """Any frame of Hyperliquid."""

    channel: str
    data: msgspec.Raw


class Level(msgspec.Struct, gc=False):
    """One price level."""

    px: float
    sz: float


class BestPrices(msgspec.Struct, gc=False):
    """bbo."""

    coin: str
    time: int
    bbo: tuple[Level | None, Level | None]


class Book(msgspec.Struct, gc=False):
    """l2Book."""

    coin: str
    time: int
    levels: tuple[list[Level], list[Level]]


class Context(_Wire):
    """One market's numbers."""

    funding: float
    open_interest: float
    oracle_px: float
    mark_px: float
    mid_px: float | None
    premium: float | None
    impact_pxs: tuple[float, float] | None
    day_ntl_vlm: float


class ActiveContext(msgspec.Struct, gc=False):
    """activeAssetCtx."""

    coin: str
    ctx: Context


class AllContexts(msgspec.Struct, gc=False):
    """allDexsAssetCtxs."""

    ctxs: list[tuple[str, list[Context]]]


class Trade(msgspec.Struct, gc=False):
    """One public trade."""

    coin: str
    side: str
    px: float
    sz: float
    time: int


class Leverage(_Wire):
    """How a position is margined."""

    type: str
    value: float


class Funding(_Wire):
    """What a position paid so far."""

    since_open: float


class Position(_Wire):
    """One position."""

    coin: str
    szi: float
    leverage: Leverage
    position_value: float
    entry_px: float
    unrealized_pnl: float
    liquidation_px: float | None
    margin_used: float
    max_leverage: int
    cum_funding: Funding


class AssetPosition(_Wire):
    """One position and its netting."""

    type: str
    position: Position


class Margin(_Wire):
    """Totals of one dex."""

    account_value: float
    total_ntl_pos: float
    total_raw_usd: float
    total_margin_used: float


class State(_Wire):
    """One dex of one account."""

    margin_summary: Margin
    cross_margin_summary: Margin
    cross_maintenance_margin_used: float
    withdrawable: float
    asset_positions: list[AssetPosition]
    time: int


class States(_Wire):
    """allDexsClearinghouseState."""

    user: str
    clearinghouse_states: list[tuple[str, State]]


class Order(_Wire):
    """One working order."""

    coin: str
    side: str
    limit_px: float
    sz: float
    oid: int
    cloid: str | None = None
    reduce_only: bool | None = None
    is_trigger: bool | None = None
    trigger_px: float | None = None


class Orders(_Wire):
    """openOrders."""

    user: str
    orders: list[Order]
    dex: str


class OrderUpdate(_Wire):
    """One entry of orderUpdates."""

    order: Order
    status: str
    status_timestamp: int


class Fill(_Wire):
    """One execution."""

    coin: str
    px: float
    sz: float
    side: str
    time: int
    hash: str
    oid: int
    tid: int
    dir: str
    closed_pnl: float
    fee: float
    fee_token: str


class Fills(_Wire):
    """userFills, and user without the address."""

    fills: list[Fill]
    user: str = ""


Decode = Callable[[bytes | msgspec.Raw], object]


class Floor:
    """Decodes every frame of the mix to typed values."""

    def __init__(self) -> None:
        self._dydx = msgspec.json.Decoder(DydxEnvelope).decode
        self._hyperliquid = msgspec.json.Decoder(Envelope).decode
        self._payloads: dict[str, Decode] = {
            "v4_orderbook": _typed(Delta),
            "v4_markets": _typed(Markets),
            "v4_block_height": _typed(Block),
            "v4_trades": _typed(DydxTrades),
            "v4_parent_subaccounts": _typed(DydxAccount),
            "bbo": _typed(BestPrices),
            "l2Book": _typed(Book),
            "activeAssetCtx": _typed(ActiveContext),
            "allDexsAssetCtxs": _typed(AllContexts),
            "trades": _typed(list[Trade]),
            "allDexsClearinghouseState": _typed(States),
            "openOrders": _typed(Orders),
            "orderUpdates": _typed(list[OrderUpdate]),
            "userFills": _typed(Fills),
            "user": _typed(Fills),
        }

    def batches(self, frames: list[Frame]) -> list[tuple[bool, bytes]]:
        """Frames with whose they are, so that the loop need not look."""
        return [(frame.connection.startswith("dydx"), frame.data) for frame in frames]

    def run(self, frames: list[tuple[bool, bytes]]) -> None:
        """Both stages of every frame."""
        first_dydx, first_hyperliquid = self._dydx, self._hyperliquid
        payloads = self._payloads
        for dydx, data in frames:
            if dydx:
                told = first_dydx(data)
                payloads[told.channel](told.contents)
            else:
                said = first_hyperliquid(data)
                payloads[said.channel](said.data)


def _typed(kind: object) -> Decode:
    decode: Decode = msgspec.json.Decoder(kind, strict=False).decode
    return decode
