"""riskd as the daemon sets it up, without sockets: venues bootstrapped, streams open, rules loaded.

Every byte goes the real way: REST bodies through the venues' own polls, frames through their
``StreamProtocol``, each event through ``Engine.apply``, and ``Engine.evaluate`` once per read
batch. Public trades, which the daemon does not subscribe to, come over connections of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import msgspec

from bench.dydx_frames import ticker
from bench.frames import SECOND_NS, Frame, Stream
from bench.hyperliquid_frames import TRADED_MAX, WATCHED_MAX
from monitor.core.engine import Engine
from monitor.core.events import Event, RulebookLoaded
from monitor.core.ports import NOTHING, Output, Poll, Request, Response, StreamProtocol, Venue
from monitor.core.settings import EngineSettings
from monitor.core.types import EngineNs
from monitor.rulebook import builtin_files
from monitor.venues.dydx.channels import TradesChannel
from monitor.venues.dydx.heights import ChainHeights
from monitor.venues.dydx.settings import DydxAccount, DydxSettings
from monitor.venues.dydx.stream import DydxStream
from monitor.venues.dydx.venue import DydxVenue
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.decoders.explain import UNREADABLE_JSON
from monitor.venues.hyperliquid.decoders.market import MarketDecoder
from monitor.venues.hyperliquid.knowledge import Knowledge
from monitor.venues.hyperliquid.settings import HyperliquidAccount, HyperliquidSettings
from monitor.venues.hyperliquid.stream import Connection
from monitor.venues.hyperliquid.subscriptions import Subscription
from monitor.venues.hyperliquid.venue import HyperliquidVenue

# What one read of a socket brings asyncio after a stall. On uvloop, where it is installed, the
# daemon's driver and writer take two such reads to an evaluation: the bench judges more often.
# tests/bench/test_batches.py measures either.
BATCH_BYTES = 262_144
TRUTH_PERIOD_S_MAX = 10.0  # accounts, and the height and health of the venues
TRUTH_EVERY_NS = 5 * SECOND_NS
Files = tuple[tuple[str, str], ...]


class TradeFrame(msgspec.Struct, gc=False):
    """A frame of public trades."""

    channel: str
    data: list[wire.Trade]


_trade_frame = msgspec.json.Decoder(TradeFrame, strict=False).decode


class TradeStream(Connection):
    """Public trades of every coin, on a connection of their own."""

    def __init__(self, knowledge: Knowledge, coins: tuple[str, ...]) -> None:
        super().__init__(knowledge, "trades", silence_s=45.0)
        self._coins = coins
        decoder = self._decoder = MarketDecoder(knowledge.markets)
        self.handlers = {"trades": lambda data, now: Output(decoder.trades(data, now))}

    def received(self, frame: bytes, now: EngineNs) -> Output:
        """One frame, in one go if it is one of trades, as ``MarketStream`` takes its own."""
        try:
            hot = _trade_frame(frame)
        except UNREADABLE_JSON:
            return super().received(frame, now)
        if hot.channel != "trades":
            return super().received(frame, now)
        return Output(self._decoder.trade_events(hot.data))

    def wanted(self) -> Iterator[Subscription]:
        """One subscription per coin."""
        return (Subscription("trades", key=coin, coin=coin) for coin in self._coins)


class World:
    """One engine and the protocol objects that feed it.

    Raises:
        RuntimeError: If a venue refuses what the generator says: the bench would measure errors.
    """

    def __init__(self, stream: Stream, rules: Files | None = None) -> None:
        self._stream = stream
        names = [asset.name for asset in stream.assets]
        dydx = DydxVenue(
            DydxSettings(
                markets=tuple(ticker(asset) for asset in stream.assets),
                accounts=tuple(
                    DydxAccount(alias=holder.alias, address=holder.address)
                    for holder in stream.dydx_accounts
                ),
            )
        )
        hyperliquid = HyperliquidVenue(
            HyperliquidSettings(
                markets=tuple(names[:WATCHED_MAX]),
                watch_subaccounts=False,
                accounts=tuple(
                    HyperliquidAccount(alias=holder.alias, address=holder.address)
                    for holder in stream.hyperliquid_accounts
                ),
            )
        )
        accounts = [("dydx", holder.alias) for holder in stream.dydx_accounts]
        accounts += [("hyperliquid", holder.alias) for holder in stream.hyperliquid_accounts]
        self.engine = Engine(
            EngineSettings(accounts=tuple(accounts), venues=("dydx", "hyperliquid"))
        )
        self.now: EngineNs = stream.now_ns
        self.faults = 0
        self.transitions: list[str] = []
        files = builtin_files() if rules is None else rules
        self._submit((RulebookLoaded(files=files, loaded_by="bench"),))
        self.streams: dict[str, StreamProtocol] = {}
        self._polls: list[Poll] = []
        for venue in (dydx, hyperliquid):
            self._boot(venue)
        trades = [TradesChannel(ticker(asset)) for asset in stream.assets]
        url = self.streams["dydx/markets"].url
        self._add(DydxStream("dydx/trades", url, trades, ChainHeights()))
        self._add(TradeStream(hyperliquid.knowledge, tuple(names[:TRADED_MAX])))
        self._truth = [poll for poll in self._polls if poll.period_s <= TRUTH_PERIOD_S_MAX]
        self._next_second = self.now + SECOND_NS
        self._next_truth = self.now + TRUTH_EVERY_NS

    # ---------------------------------------------------------------------------- opening

    def _boot(self, venue: Venue) -> None:
        for poll in venue.bootstrap():
            self._poll(poll)
        for stream in venue.streams():
            self._add(stream)
        self._polls += venue.polls()
        for poll in venue.polls():
            self._poll(poll)

    def _add(self, stream: StreamProtocol) -> None:
        """Open the connection; Hyperliquid echoes every subscription."""
        self.streams[stream.name] = stream
        self._answer(stream, self._output(stream.connected(self.now)))

    def _answer(self, stream: StreamProtocol, output: Output) -> None:
        """What Hyperliquid answers to what was sent to it; dYdX's answers are generated."""
        if stream.venue != "hyperliquid":
            return
        for message in output.send:
            told = json.loads(message)
            reply: dict[str, object] = {"channel": "subscriptionResponse", "data": told}
            if told["method"] == "ping":
                reply = {"channel": "pong"}
            self._output(stream.received(msgspec.json.encode(reply), self.now))

    def open(self, opening: list[Frame]) -> None:
        """Take the first frames of every connection and judge once."""
        for frame in opening:
            self._output(self.streams[frame.connection].received(frame.data, self.now))
        self._evaluate()

    # ---------------------------------------------------------------------------- running

    def batches(self, frames: list[Frame]) -> list[list[tuple[Receive, bytes]]]:
        """Frames with the method that takes them, in read batches."""
        made: list[list[tuple[Receive, bytes]]] = [[]]
        size = 0
        for frame in frames:
            if size + len(frame.data) > BATCH_BYTES:
                made.append([])
                size = 0
            size += len(frame.data)
            made[-1].append((self.streams[frame.connection].received, frame.data))
        return made

    def run(self, batches: list[list[tuple[Receive, bytes]]]) -> None:
        """The hot loop, as ``runtime.stream`` and ``runtime.writer`` go round it."""
        apply, step = self.engine.apply, SECOND_NS // self._stream.shape.frames_per_second
        now = self.now
        for batch in batches:
            for receive, data in batch:
                now += step
                output = receive(data, now)
                if output is NOTHING:
                    continue
                if output.fault is not None or output.send or output.refresh:
                    self._odd(output)
                for event in output.events:
                    apply(event, now)
            self.now = now
            self._evaluate()
            if now >= self._next_second:
                self._second()

    def decode(self, batches: list[list[tuple[Receive, bytes]]]) -> None:
        """Frames to events alone: what they say is dropped, nothing is kept or judged of it."""
        step = SECOND_NS // self._stream.shape.frames_per_second
        now = self.now
        for batch in batches:
            for receive, data in batch:
                now += step
                output = receive(data, now)
                if output.fault is not None:
                    self._odd(output)
            self.now = now
            if now >= self._next_second:
                self._second()

    def _evaluate(self) -> None:
        decision = self.engine.evaluate(self.now)
        if not decision.quiet:
            self.transitions += [f"{t.rule}:{t.after.value}" for t in decision.transitions]
            if decision.measure_errors:
                raise RuntimeError(f"a measure failed: {decision.measure_errors[0]}")

    def _second(self) -> None:
        """What else happens each second: timers and pings."""
        self._next_second = self.now + SECOND_NS
        for stream in self.streams.values():
            if stream.venue == "dydx":
                self._output(stream.heartbeat(self.now))
            self._answer(stream, self._output(stream.tick(self.now)))

    def re_read(self) -> None:
        """What REST says now, if it is time. Only when every frame that was generated has been
        taken: the generator answers as of its last frame."""
        if self.now >= self._next_truth:
            self._next_truth = self.now + TRUTH_EVERY_NS
            for poll in self._truth:
                self._poll(poll)
            self._evaluate()

    # ------------------------------------------------------------------------- odds and ends

    def _poll(self, poll: Poll) -> None:
        request: Request | None = poll.request(self.now)
        while request is not None:
            if request.body is None:
                body = self._stream.dydx.body(request.url)
            else:
                body = self._stream.hyperliquid.body(json.loads(request.body))
            told = poll.received(Response(status=200, headers=(), body=body), self.now)
            self._submit(told.events)
            request = told.then

    def _output(self, output: Output) -> Output:
        self._submit(output.events)
        self._odd(output)
        return output

    def _odd(self, output: Output) -> None:
        if output.fault is not None:
            raise RuntimeError(f"the generator was not understood: {output.fault}")

    def _submit(self, events: tuple[Event, ...]) -> None:
        for event in events:
            self.engine.apply(event, self.now)


Receive = Callable[[bytes, EngineNs], Output]
