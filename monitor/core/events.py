"""Every fact that can change the risk state. Nothing else can.

Events are immutable and complete in themselves: a venue's code decodes bytes into them, ``apply``
consumes them, the journal keeps them. Market data are floats; account money is ``Decimal`` from the
payload's own string. ``None`` in an optional field means *this message did not say*, never zero.
``venue`` is the venue's configured name, ``market`` its own symbol, ``account`` the configured
alias (with ``.pool`` where one address has several margin pools), ``channel`` a
``types.channel_id`` whose progress proves the fact's freshness. ``venue_time_ns`` is the venue's
clock, Unix nanoseconds. *Pure.*
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from monitor.core.types import (
    AccountMode,
    FillKind,
    MarginMode,
    MarketStatus,
    Side,
    TransferKind,
)


class _Event(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag=True, omit_defaults=True):
    """What all events share: nothing but being immutable and named in the journal."""


class _VenueEvent(_Event, frozen=True, gc=False, kw_only=True):
    venue: str
    channel: str
    venue_time_ns: int | None = None


class MarginTier(msgspec.Struct, frozen=True, gc=False):
    """Margin rates from one notional upward, USD; rates are fractions of notional."""

    lower_bound_usd: float
    initial_margin_rate: float
    maintenance_margin_rate: float


class MarketListed(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """A market's name and parameters, at start and whenever the venue states them anew.

    ``has_mark`` is False where the venue margins on its oracle alone (dYdX), ``has_index`` where it
    states no index price beside its oracle. ``asset`` is the base
    asset shared between venues; ``dex`` the builder dex on Hyperliquid, ``""`` elsewhere.
    ``open_interest_lower_cap_usd`` and ``open_interest_upper_cap_usd`` are dYdX's open-interest
    scaling of margin rates; None where there is none.
    """

    market: str
    asset: str
    status: MarketStatus
    has_mark: bool
    funding_interval_s: int
    margin_tiers: tuple[MarginTier, ...]
    dex: str = ""
    only_isolated: bool = False
    size_step: Decimal | None = None
    price_tick: Decimal | None = None
    max_leverage: float | None = None
    open_interest_lower_cap_usd: float | None = None
    open_interest_upper_cap_usd: float | None = None
    has_index: bool = False


class MarketStatusSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """The venue said what may be done in a market."""

    market: str
    status: MarketStatus


class MarketContextSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """Any of the slow numbers of one market; what is None was not in the message.

    ``predicted_funding_rate_hourly`` is the running estimate for the settlement to come, as a
    signed fraction per hour; ``native_*`` keep the venue's own rate and interval. ``complete`` when
    every message of this channel states all it ever states: what it was said to be before and is
    None now is unknown, and not merely unsaid.
    """

    market: str
    mark_price: float | None = None
    oracle_price: float | None = None
    index_price: float | None = None
    mid_price: float | None = None
    predicted_funding_rate_hourly: float | None = None
    native_funding_rate: float | None = None
    native_funding_interval_s: int | None = None
    premium_ratio: float | None = None
    open_interest_base: float | None = None
    volume_24h_usd: float | None = None
    next_funding_time_ns: int | None = None
    complete: bool = False


class OraclePricesSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """Oracle prices that one message told: (market, price); others are merely unsaid."""

    prices: tuple[tuple[str, float], ...]


class FundingSettled(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """One settlement: the rate that was charged, a signed fraction per hour."""

    market: str
    funding_rate_hourly: float
    native_funding_rate: float
    native_funding_interval_s: int
    settled_at_ns: int
    oracle_price: float | None = None


class BookTopSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """Best bid and ask; a side is None when the book has nobody there."""

    market: str
    bid_price: float | None
    bid_size: float | None
    ask_price: float | None
    ask_size: float | None


class DepthSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """Resting USD within ``band_ratio`` of mid on each side; None where the book seen does not
    reach that far, since a cut-off sum would look like a thin book."""

    market: str
    band_ratio: float
    bid_depth_usd: float | None
    ask_depth_usd: float | None


class LastTradeSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """The newest trade of a frame; ``liquidation`` when any trade of the frame was one."""

    market: str
    last_price: float
    size: float
    side: Side
    liquidation: bool = False


class CandleSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """One bar, possibly still open; ``started_at_ns`` and ``interval_s`` name it."""

    market: str
    started_at_ns: int
    interval_s: int
    open: float
    high: float
    low: float
    close: float
    volume_base: float


class FundingHistorySeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """Past settlements of one market: (when it settled, Unix nanoseconds; rate, signed fraction per
    hour), oldest first. Fills what is not known; what was seen live stays."""

    market: str
    rates: tuple[tuple[int, float], ...]


class PriceHistorySeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """Past hourly closes of one market: (when the hour ended, Unix nanoseconds; price), oldest
    first. Fills what is not known; what was seen live stays. To be told once it is listed."""

    market: str
    closes: tuple[tuple[int, float], ...]


class HistoryProgressed(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """How far the reading of one kind of history has come: ``funding`` or ``prices``.

    Args:
        kind: Which.
        wanted: Markets whose history is wanted.
        unread: Those of which nothing was read since the start of this process.
        waiting: How many of the unread are still to be read in this round; the others could not be.
        read: How many were read in it.
        began_ns: When the round began.
    """

    kind: str
    wanted: int
    unread: tuple[str, ...]
    waiting: int
    read: int
    began_ns: int


class ChainTimeSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """The venue's newest block or exchange time, and its height where it has one.

    ``source`` tells apart ``stream``, ``indexer``, ``validator`` and ``exchange``."""

    source: str
    time_ns: int | None = None
    height: int | None = None


class VenueStatusSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """The venue's own word about itself; ``healthy`` False for anything but its normal text."""

    healthy: bool
    detail: str


class RequestBudgetSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """How many address-based requests an account has used and may use."""

    account: str
    used: int
    cap: int


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


class PositionsReported(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """Positions of one account. With ``complete`` a position not listed is closed.

    ``source`` is ``stream`` or ``truth`` (a REST re-read); the two are cross-checked.
    ``height`` orders reports where the venue gives one.
    """

    account: str
    source: str
    complete: bool
    positions: tuple[PositionReport, ...]
    height: int | None = None


class AccountReported(_VenueEvent, frozen=True, gc=False, kw_only=True):
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


class CollateralReported(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """All collateral tokens of an account; a token not listed is gone."""

    account: str
    source: str
    balances: tuple[CollateralBalance, ...]


class AccountModeSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """How the account keeps its collateral; UNREADABLE makes its equity absent, for ``reason``."""

    account: str
    mode: AccountMode
    reason: str = ""


class AccountDiscovered(_VenueEvent, frozen=True, gc=False, kw_only=True):
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


class OrdersReported(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """Working orders; with ``complete`` an order not listed is gone."""

    account: str
    source: str
    complete: bool
    orders: tuple[OrderReport, ...]
    height: int | None = None


class TwapsReported(_VenueEvent, frozen=True, gc=False, kw_only=True):
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


class FillsReported(_VenueEvent, frozen=True, gc=False, kw_only=True):
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


class FundingPaid(_VenueEvent, frozen=True, gc=False, kw_only=True):
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


class TransfersReported(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """Transfers; the same one may be told twice and counts once (transfer_id)."""

    account: str
    history: bool
    transfers: tuple[TransferReport, ...]


class LiquidationSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """The venue says that this account is being or was liquidated."""

    account: str
    notional_usd: float | None
    detail: str


class ChannelOpened(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """A subscription was acknowledged (or a poll answered for the first time).

    ``cadence_s`` is how often it speaks while nothing is wrong; None for a channel that speaks only
    on change, whose life its socket's heartbeats prove (``ChannelProgressed``).
    """

    feed: str
    cadence_s: float | None


class ChannelProgressed(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """Proof of life without news: heartbeat or pong for a channel that speaks only on change.
    ``channel`` may be a prefix ending in ``/``: every channel of that feed."""


class ChannelLost(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """What came over this channel can no longer be trusted to be current. ``channel`` may be a
    prefix ending in ``/``. ``gap`` when messages are missing on a living socket."""

    reason: str
    gap: bool = False


class FeedConnected(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """A socket is open; ``feed`` is the connection's name."""

    feed: str


class FeedLost(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """A socket or poll is down or quarantined; it will be tried again in ``retry_s``."""

    feed: str
    reason: str
    retry_s: float | None
    quarantined: bool = False


class FrameRejected(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """A frame or body could not be decoded; counted, trimmed copy kept, never guessed at."""

    feed: str
    reason: str
    sample: bytes


class RequestsCounted(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """Requests of ours to the venue since the last one of these, and how many of them failed: no
    answer in time, a refusal for being too many, or an error of the venue's own."""

    asked: int
    failed: int


class OrderAnswered(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """The venue answered, or failed to answer in time, a signed request of ours (an order or a
    cancel), ``took_s`` seconds after it left."""

    took_s: float


class ClockSkewSeen(_VenueEvent, frozen=True, gc=False, kw_only=True):
    """Venue clock minus ours, seconds, from an answer whose round trip was short."""

    skew_s: float


class OffBookLeg(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Exposure the desk declares that no venue reports (a spot hedge, a CEX leg).

    ``size`` is signed base units of ``asset``; not counted after ``expires_at_ns``.
    """

    asset: str
    size: Decimal
    expires_at_ns: int
    note: str = ""
    hedge_set: str = ""


class OffBookLegsDeclared(_Event, frozen=True, gc=False, kw_only=True):
    """The desk's whole list of off-book legs; replaces the earlier list."""

    source: str
    legs: tuple[OffBookLeg, ...]


class NewsFlag(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """News that is due or out, until it expires. ``scope`` is the portfolio, an asset or a venue;
    ``set_by`` who said so."""

    name: str
    scope: str
    begins_at_ns: int
    expires_at_ns: int
    reason: str = ""
    set_by: str = ""


class NewsFlagsDeclared(_Event, frozen=True, gc=False, kw_only=True):
    """All news flags of one source (operators, or a file); replaces its earlier list."""

    source: str
    flags: tuple[NewsFlag, ...]


class BucketReview(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A risk bucket was reviewed; ``by`` is empty where it only began to be watched then."""

    bucket: str
    at_ns: int
    by: str = ""
    reason: str = ""


class BucketsReviewed(_Event, frozen=True, gc=False, kw_only=True):
    """The newest review of every risk bucket that has one; replaces the earlier list."""

    reviews: tuple[BucketReview, ...]


class RulebookLoaded(_Event, frozen=True, gc=False, kw_only=True):
    """A rulebook's texts took effect: (file name, text) in order, later files override by id."""

    files: tuple[tuple[str, str], ...]
    loaded_by: str


class OperatorCommanded(_Event, frozen=True, gc=False, kw_only=True):
    """A person told riskd something; ``verb`` from a closed set, ``arguments`` for the record."""

    principal: str
    verb: str
    arguments: tuple[tuple[str, str], ...] = ()
    reason: str = ""


class ComputationFinished(_Event, frozen=True, gc=False, kw_only=True):
    """A heavy measure came back from off the loop, with the ``as_of`` of its inputs."""

    measure: str
    subject: str
    value: float | None
    as_of_ns: int
    error: str = ""


class Tick(_Event, frozen=True, gc=False, kw_only=True):
    """Time passed to a deadline that ``evaluate`` asked for."""


MarketEvent = (
    MarketListed
    | MarketStatusSeen
    | MarketContextSeen
    | OraclePricesSeen
    | FundingSettled
    | FundingHistorySeen
    | BookTopSeen
    | DepthSeen
    | LastTradeSeen
    | CandleSeen
    | PriceHistorySeen
)
VenueEvent = ChainTimeSeen | VenueStatusSeen | RequestBudgetSeen | ClockSkewSeen | HistoryProgressed
AccountEvent = (
    PositionsReported | AccountReported | CollateralReported | AccountModeSeen
    | AccountDiscovered | OrdersReported | TwapsReported | FillsReported | FundingPaid
    | TransfersReported | LiquidationSeen
)  # fmt: skip
FeedEvent = (
    ChannelOpened | ChannelProgressed | ChannelLost | FeedConnected | FeedLost | FrameRejected
    | RequestsCounted | OrderAnswered
)  # fmt: skip
ControlEvent = (
    OffBookLegsDeclared
    | NewsFlagsDeclared
    | BucketsReviewed
    | RulebookLoaded
    | OperatorCommanded
    | ComputationFinished
    | Tick
)
Event = MarketEvent | VenueEvent | AccountEvent | FeedEvent | ControlEvent
