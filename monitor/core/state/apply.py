"""``apply``: one dict from event type to handler; a test proves it complete. *Pure.*

Events that carry news over a channel first prove that the channel lives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from monitor.core import events as e
from monitor.core.state import (
    accounts,
    control,
    feeds,
    history,
    ledger,
    markets,
    news,
    quotes,
    volatility,
)
from monitor.core.state.facts import Channel
from monitor.core.state.model import RiskState
from monitor.core.types import EngineNs

# What comes over a channel and proves that it lives; anything else.
NewsEvent = e.MarketEvent | e.VenueEvent | e.AccountEvent
OtherEvent = e.FeedEvent | e.ControlEvent
NewsHandler = Callable[[RiskState, NewsEvent, EngineNs, Channel], None]
OtherHandler = Callable[[RiskState, OtherEvent, EngineNs], None]

_N = TypeVar("_N", bound=NewsEvent)
_O = TypeVar("_O", bound=OtherEvent)


def _news(
    kind: type[_N],
    handler: Callable[[RiskState, _N, EngineNs, Channel], None],
) -> tuple[type[object], NewsHandler]:
    # The dict pairs each handler with the only type it is called with, which types cannot say.
    return kind, cast("NewsHandler", handler)


def _other(
    kind: type[_O],
    handler: Callable[[RiskState, _O, EngineNs], None],
) -> tuple[type[object], OtherHandler]:
    return kind, cast("OtherHandler", handler)


NEWS: dict[type[object], NewsHandler] = dict(
    (
        _news(e.MarketListed, markets.market_listed),
        _news(e.MarketStatusSeen, markets.market_status),
        _news(e.MarketContextSeen, quotes.market_context),
        _news(e.OraclePricesSeen, quotes.oracle_prices),
        _news(e.FundingSettled, markets.funding_settled),
        _news(e.FundingHistorySeen, markets.funding_history),
        _news(e.BookTopSeen, quotes.book_top),
        _news(e.DepthSeen, quotes.depth),
        _news(e.LastTradeSeen, markets.heard),
        _news(e.CandleSeen, markets.heard),
        _news(e.PriceHistorySeen, volatility.price_history),
        _news(e.HistoryProgressed, history.history_progressed),
        _news(e.ChainTimeSeen, markets.chain_time),
        _news(e.VenueStatusSeen, markets.venue_status),
        _news(e.ClockSkewSeen, markets.clock_skew),
        _news(e.RequestBudgetSeen, accounts.request_budget),
        _news(e.PositionsReported, accounts.positions_reported),
        _news(e.AccountReported, accounts.account_reported),
        _news(e.CollateralReported, accounts.collateral_reported),
        _news(e.AccountModeSeen, accounts.account_mode),
        _news(e.AccountDiscovered, accounts.account_discovered),
        _news(e.OrdersReported, accounts.orders_reported),
        _news(e.TwapsReported, ledger.twaps_reported),
        _news(e.FillsReported, ledger.fills_reported),
        _news(e.FundingPaid, ledger.funding_paid),
        _news(e.TransfersReported, ledger.transfers_reported),
        _news(e.LiquidationSeen, ledger.liquidation_seen),
    ),
)
OTHERS: dict[type[object], OtherHandler] = dict(
    (
        _other(e.ChannelOpened, feeds.channel_opened),
        _other(e.ChannelProgressed, feeds.channel_progressed),
        _other(e.ChannelLost, feeds.channel_lost),
        _other(e.FeedConnected, feeds.feed_connected),
        _other(e.FeedLost, feeds.feed_lost),
        _other(e.FrameRejected, feeds.frame_rejected),
        _other(e.RequestsCounted, feeds.requests_counted),
        _other(e.OrderAnswered, feeds.order_answered),
        _other(e.OffBookLegsDeclared, control.off_book_declared),
        _other(e.NewsFlagsDeclared, news.news_declared),
        _other(e.BucketsReviewed, control.buckets_reviewed),
        _other(e.RulebookLoaded, control.rulebook_loaded),
        _other(e.OperatorCommanded, control.operator_commanded),
        _other(e.ComputationFinished, control.computation_finished),
        _other(e.Tick, control.tick),
    ),
)


def apply(state: RiskState, event: e.Event, now: EngineNs) -> None:
    """Take one fact into the state, O(1), and note what it changed in ``state.dirty``.

    Raises:
        KeyError: If the event type has no handler, which a test excludes.
    """
    handler = NEWS.get(type(event))
    if handler is None:
        OTHERS[type(event)](state, event, now)  # type: ignore[arg-type]  # not in NEWS
        return
    name = event.channel  # type: ignore[union-attr]  # every news event has one
    channel = state.channels.get(name)
    if channel is None:
        channel = feeds.channel_of(state, event.venue, name)  # type: ignore[union-attr]
    channel.progress_ns = now
    handler(state, event, now, channel)  # type: ignore[arg-type]  # of the NEWS table
