"""What is re-read from the indexer over REST about the venue itself: markets, funding, heights.

REST is the second source beside the socket: it heals what a snapshot race lost and tells a halted
chain from a dead channel. Account re-reads stand in ``account_polls``. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from monitor.core.errors import AuthError, DecodeError, FeedError, TransientFeedError
from monitor.core.events import (
    ChainTimeSeen,
    ChannelOpened,
    ChannelProgressed,
    ClockSkewSeen,
    Event,
)
from monitor.core.ports import PollOutput, Request, Response
from monitor.core.types import SECOND_NS, EngineNs, channel_id
from monitor.venues.dydx.codec import markets, wire
from monitor.venues.dydx.endpoints import Endpoints, NotFoundError, pause_s, quoted, refusal
from monitor.venues.dydx.heights import ChainHeights
from monitor.venues.dydx.settings import VENUE

ROUND_TRIP_S_MAX = 1.0  # a slower answer says too little about the venue's clock
SETTLED_AFTER_NS = 20 * SECOND_NS  # the tick comes with the first block of the hour; give it time
FUNDING_RETRY_NS = 60 * SECOND_NS
FUNDING_ROUND_MAX = 20
_HOUR_NS = 3600 * SECOND_NS

_TIME = wire.decoder(wire.TimeBody)


class RestPoll:
    """One kind of GET, with what all have in common: status, first answer, pace.

    The poll's name is its channel, ``dydx/rest.<what>/<key>``.
    """

    venue = VENUE

    def __init__(self, feed: str, key: str, period_s: float, api: Endpoints) -> None:
        self.feed = feed
        self.name = channel_id(VENUE, feed, key)
        self.period_s = period_s
        self.api = api
        self._open = False

    def request(self, now: EngineNs) -> Request:
        """The first request of a round."""
        raise NotImplementedError

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """What a good answer says. Raises ``DecodeError``."""
        raise NotImplementedError

    def absent(self, error: NotFoundError, now: EngineNs) -> PollOutput:
        """What 404 says; by default that there is nothing of the kind."""
        del error, now
        return PollOutput()

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """Events of one answer; says by itself that the channel lives."""
        try:
            refused = refusal(response)
            if isinstance(refused, NotFoundError):
                output = self.absent(refused, now)
            elif refused is not None:
                raise refused
            else:
                output = self.told(response.body, now, response)
        except FeedError:
            self._open = False
            raise
        events = output.events
        if not self._open:
            self._open = True
            opened = ChannelOpened(
                venue=VENUE, channel=self.name, feed=self.feed, cadence_s=self.period_s
            )
            events = (opened, *events)
        elif not any(_on(self.name, event) for event in events):
            events = (*events, ChannelProgressed(venue=VENUE, channel=self.name))
        return PollOutput(
            events=events,
            then=output.then,
            refresh=output.refresh,
            pause_s=pause_s(response, now / SECOND_NS),
        )


def _on(channel: str, event: Event) -> bool:
    return getattr(event, "channel", None) == channel


class MarketsPoll(RestPoll):
    """``/perpetualMarkets``: parameters, statistics, and prices where the socket is silent."""

    def __init__(
        self,
        period_s: float,
        api: Endpoints,
        universe: markets.Universe,
        asked_for: Iterable[str] = (),
    ) -> None:
        super().__init__("rest.perpetualMarkets", "", period_s, api)
        self._universe = universe
        self._asked_for = tuple(asked_for)

    def request(self, now: EngineNs) -> Request:
        """All markets in one answer."""
        del now
        return self.api.get("/perpetualMarkets")

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """Raises ``AuthError`` when the operator watches a market that does not exist."""
        del response
        events = self._universe.truth(body, now)
        known = set(self._universe.tickers)
        unknown = [ticker for ticker in self._asked_for if ticker not in known]
        if unknown:
            raise AuthError(
                f"dYdX lists no market {unknown[0]!r}, which the configuration wants to watch."
                f" Names look like BTC-USD; {len(known)} markets are listed."
            )
        return PollOutput(tuple(events))


class FundingPoll(RestPoll):
    """``/historicalFunding/{ticker}``: watched and held markets soon after each hour, and one of
    the others each round, so that all are seen within the hour."""

    def __init__(
        self,
        period_s: float,
        api: Endpoints,
        universe: markets.Universe,
        wanted: Callable[[], Iterable[str]],
    ) -> None:
        super().__init__("rest.historicalFunding", "", period_s, api)
        self._universe = universe
        self._wanted = wanted
        self._settled_at: dict[str, int] = {}
        self._next_try: dict[str, EngineNs] = {}
        self._queue: list[str] = []
        self._swept = 0
        self._asking = ""

    def request(self, now: EngineNs) -> Request:
        """The most urgent ticker; the others that are due follow as pages of the round."""
        due = [ticker for ticker in self._wanted() if self._is_due(ticker, now)]
        self._queue = due[:FUNDING_ROUND_MAX]
        if self._queue:
            return self._ask(self._queue.pop(0), now, limit=24)
        live = [ticker for ticker in self._universe.tickers if self._universe.is_live(ticker)]
        if not live:
            return self._ask("BTC-USD", now, limit=1)
        self._swept = (self._swept + 1) % len(live)
        return self._ask(live[self._swept], now, limit=4)

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """Settlements newer than those already told, oldest first."""
        del response
        ticker = self._asking
        rows = markets.settlements(body, self.name)
        last = self._settled_at.get(ticker, -1)
        news = [row for row in rows if row.settled_at_ns > last and row.market == ticker]
        if news:
            # Once told, only later settlements are news: one from the future would be the last.
            wire.refuse_future(news[-1].settled_at_ns, now, "funding effectiveAt")
            self._settled_at[ticker] = news[-1].settled_at_ns
        return PollOutput(tuple(news), then=self._then(now))

    def absent(self, error: NotFoundError, now: EngineNs) -> PollOutput:
        """A market that is gone has no funding; ask again in an hour."""
        del error
        self._next_try[self._asking] = now + _HOUR_NS
        return PollOutput(then=self._then(now))

    def _then(self, now: EngineNs) -> Request | None:
        return self._ask(self._queue.pop(0), now, limit=24) if self._queue else None

    def _ask(self, ticker: str, now: EngineNs, *, limit: int) -> Request:
        self._asking = ticker
        # Set before the answer, so that a ticker that cannot be read does not hold up the others.
        self._next_try[ticker] = now + FUNDING_RETRY_NS
        return self.api.get(f"/historicalFunding/{quoted(ticker)}", limit=limit)

    def _is_due(self, ticker: str, now: EngineNs) -> bool:
        """Whether this hour's settlement should exist and was not read yet."""
        if now < self._next_try.get(ticker, 0):
            return False
        settled_at = self._settled_at.get(ticker)
        if settled_at is None:
            return True
        hour = now // _HOUR_NS * _HOUR_NS
        return settled_at < hour and now - hour >= SETTLED_AFTER_NS


class HeightPoll(RestPoll):
    """``/height``: the last block that the indexer has processed."""

    def __init__(self, period_s: float, api: Endpoints, heights: ChainHeights) -> None:
        super().__init__("rest.height", "", period_s, api)
        self._heights = heights

    def request(self, now: EngineNs) -> Request:
        """One small answer."""
        del now
        return self.api.get("/height")

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """The indexer's height, which lags the chain when the indexer does."""
        del response
        seen = markets.height(body, self.name, "indexer", now)
        self._heights.plausible(seen.height, "indexer height")
        if seen.height is not None:
            self._heights.indexer(seen.height, now)
        return PollOutput((seen,))


class TimePoll(RestPoll):
    """``/time``: the indexer's clock against ours."""

    def __init__(self, period_s: float, api: Endpoints) -> None:
        super().__init__("rest.time", "", period_s, api)

    def request(self, now: EngineNs) -> Request:
        """One small answer."""
        del now
        return self.api.get("/time")

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """Venue minus ours at the middle of the round trip, if it was short."""
        seen = skew(body, self.name, now, response.elapsed_s)
        return PollOutput((seen,) if response.elapsed_s <= ROUND_TRIP_S_MAX else ())


def skew(body: bytes, channel: str, now: EngineNs, elapsed_s: float) -> ClockSkewSeen:
    """Clock skew from a ``/time`` body. Raises ``DecodeError``."""
    epoch_s = wire.read(_TIME, body, "time body").epoch
    ours_s = now / SECOND_NS - elapsed_s / 2.0
    return ClockSkewSeen(
        venue=VENUE,
        channel=channel,
        venue_time_ns=round(min(max(epoch_s, 0.0), 1e11) * 1000) * 1_000_000,
        skew_s=epoch_s - ours_s,
    )


class _SyncInfo(msgspec.Struct, gc=False):
    latest_block_height: wire.Height
    latest_block_time: str
    catching_up: bool = False


class _NodeInfo(msgspec.Struct, frozen=True, gc=False):
    network: str = ""


class _Status(msgspec.Struct, gc=False):
    sync_info: _SyncInfo
    node_info: _NodeInfo = _NodeInfo()


class _StatusReply(msgspec.Struct, gc=False):
    result: _Status


_STATUS = wire.decoder(_StatusReply)


def validator_status(body: bytes, channel: str) -> tuple[ChainTimeSeen, bool, str]:
    """Height and time of a CometBFT ``/status``, whether it is catching up, and its chain id."""
    result = wire.read(_STATUS, body, "validator status").result
    at_ns = wire.time_ns(result.sync_info.latest_block_time)
    seen = ChainTimeSeen(
        venue=VENUE,
        channel=channel,
        venue_time_ns=at_ns,
        source="validator",
        time_ns=at_ns,
        height=result.sync_info.latest_block_height,
    )
    return seen, result.sync_info.catching_up, result.node_info.network


class ValidatorPoll(RestPoll):
    """``/status`` of a validator's RPC: the chain's own height, past the indexer."""

    def __init__(
        self, index: int, url: str, period_s: float, api: Endpoints, heights: ChainHeights
    ) -> None:
        super().__init__("rest.status", str(index), period_s, api)
        self._url = url
        self._heights = heights

    def request(self, now: EngineNs) -> Request:
        """Another host, so it costs nothing of the indexer's budget."""
        del now
        return Request(method="GET", url=f"{self._url}/status", weight=0.0)

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """Its height if it is the highest of all validators asked.

        Raises:
            TransientFeedError: While the node catches up; its head is history.
            AuthError: If the node is of another chain.
        """
        del response
        seen, catching_up, network = validator_status(body, self.name)
        if self.api.chain_id is not None and network and network != self.api.chain_id:
            raise AuthError(
                f"The validator RPC is of chain {network[:40]!r}, not {self.api.chain_id!r}: check"
                " validator_urls."
            )
        if catching_up:
            raise TransientFeedError("The validator RPC is catching up; its height is history.")
        wire.refuse_future(seen.time_ns, now, "latest_block_time")
        self._heights.plausible(seen.height, "latest_block_height")
        if seen.height is None or not self._heights.validator(seen.height):
            return PollOutput()
        return PollOutput((seen,))


class _BlockHeader(msgspec.Struct, gc=False):
    height: wire.Height
    time: str


class _Block(msgspec.Struct, gc=False):
    header: _BlockHeader


class _BlockResult(msgspec.Struct, gc=False):
    block: _Block


class _BlockReply(msgspec.Struct, gc=False):
    result: _BlockResult


_BLOCK = wire.decoder(_BlockReply)


def validator_block(body: bytes, channel: str) -> ChainTimeSeen:
    """Height and time of a CometBFT ``/block`` reply. Raises ``DecodeError``."""
    header = wire.read(_BLOCK, body, "validator block").result.block.header
    at_ns = wire.time_ns(header.time)
    if header.height == 0:
        raise DecodeError("dYdX validator block has no height.", sample=body)
    return ChainTimeSeen(
        venue=VENUE,
        channel=channel,
        venue_time_ns=at_ns,
        source="validator",
        time_ns=at_ns,
        height=header.height,
    )
