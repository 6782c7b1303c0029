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

from monitor.core.events.account import (
    AccountDiscovered,
    AccountEvent,
    AccountModeSeen,
    AccountReported,
    CollateralBalance,
    CollateralReported,
    FillReport,
    FillsReported,
    FundingPaid,
    FundingPayment,
    LiquidationSeen,
    OrderReport,
    OrdersReported,
    PositionReport,
    PositionsReported,
    TransferReport,
    TransfersReported,
    TwapsReported,
)
from monitor.core.events.control import (
    BucketReview,
    BucketsReviewed,
    ComputationFinished,
    ControlEvent,
    NewsFlag,
    NewsFlagsDeclared,
    OffBookLeg,
    OffBookLegsDeclared,
    OperatorCommanded,
    RulebookLoaded,
    Tick,
)
from monitor.core.events.event import (
    Event,
)
from monitor.core.events.feed import (
    ChannelLost,
    ChannelOpened,
    ChannelProgressed,
    FeedConnected,
    FeedEvent,
    FeedLost,
    FrameRejected,
    OrderAnswered,
    RequestsCounted,
)
from monitor.core.events.market import (
    BookTopSeen,
    CandleSeen,
    DepthSeen,
    FundingHistorySeen,
    FundingSettled,
    LastTradeSeen,
    MarginTier,
    MarketContextSeen,
    MarketEvent,
    MarketListed,
    MarketStatusSeen,
    OraclePricesSeen,
    PriceHistorySeen,
)
from monitor.core.events.venue import (
    ChainTimeSeen,
    ClockSkewSeen,
    HistoryProgressed,
    RequestBudgetSeen,
    VenueEvent,
    VenueStatusSeen,
)

__all__ = [
    "AccountDiscovered",
    "AccountEvent",
    "AccountModeSeen",
    "AccountReported",
    "BookTopSeen",
    "BucketReview",
    "BucketsReviewed",
    "CandleSeen",
    "ChainTimeSeen",
    "ChannelLost",
    "ChannelOpened",
    "ChannelProgressed",
    "ClockSkewSeen",
    "CollateralBalance",
    "CollateralReported",
    "ComputationFinished",
    "ControlEvent",
    "DepthSeen",
    "Event",
    "FeedConnected",
    "FeedEvent",
    "FeedLost",
    "FillReport",
    "FillsReported",
    "FrameRejected",
    "FundingHistorySeen",
    "FundingPaid",
    "FundingPayment",
    "FundingSettled",
    "HistoryProgressed",
    "LastTradeSeen",
    "LiquidationSeen",
    "MarginTier",
    "MarketContextSeen",
    "MarketEvent",
    "MarketListed",
    "MarketStatusSeen",
    "NewsFlag",
    "NewsFlagsDeclared",
    "OffBookLeg",
    "OffBookLegsDeclared",
    "OperatorCommanded",
    "OraclePricesSeen",
    "OrderAnswered",
    "OrderReport",
    "OrdersReported",
    "PositionReport",
    "PositionsReported",
    "PriceHistorySeen",
    "RequestBudgetSeen",
    "RequestsCounted",
    "RulebookLoaded",
    "Tick",
    "TransferReport",
    "TransfersReported",
    "TwapsReported",
    "VenueEvent",
    "VenueStatusSeen",
]
