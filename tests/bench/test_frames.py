"""The benchmarks' generator stays honest: the venues' own decoders understand every frame of it."""

from __future__ import annotations

from collections import defaultdict

import pytest

from bench.floor import Floor
from bench.frames import PUBLIC, Frame, Shape, Stream
from bench.rules import THOUSAND, count_rules, filled_to
from bench.world import World
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import parse_rulebook
from monitor.core.types import account_subject, market_subject
from monitor.rulebook import builtin_files

FRAMES = 7000
# Books tell the touch when it moves; only the first connection's blocks are facts.
QUIET = {"v4_orderbook", "v4_block_height"}
# Kinds of events that a channel must bring, and those that it may bring besides.
EXPECTED = {
    "v4_orderbook": ({"BookTopSeen", "DepthSeen"}, {"ChannelProgressed"}),
    "v4_markets": ({"OraclePricesSeen", "MarketContextSeen"}, set()),
    "v4_block_height": ({"ChainTimeSeen"}, {"ChannelProgressed"}),
    "v4_trades": ({"LastTradeSeen"}, set()),
    "v4_parent_subaccounts": (
        {"PositionsReported", "AccountReported", "OrdersReported", "FillsReported"},
        set(),
    ),
    "bbo": ({"BookTopSeen"}, set()),
    "l2Book": ({"DepthSeen"}, set()),
    "activeAssetCtx": ({"MarketContextSeen"}, set()),
    "trades": ({"LastTradeSeen"}, set()),
    "allDexsAssetCtxs": ({"MarketContextSeen"}, set()),
    "openOrders": ({"OrdersReported"}, {"ChannelOpened"}),
    "orderUpdates": ({"OrdersReported"}, set()),
    "userFills": ({"FillsReported"}, set()),
    "user": ({"FillsReported"}, set()),
    "allDexsClearinghouseState": (
        {"PositionsReported", "AccountReported"},
        {"AccountModeSeen", "ChannelOpened"},  # opened anew once its cadence is learned
    ),
}


@pytest.fixture(scope="module")
def shape() -> Shape:
    """A slow stream, so that depth, which is told four times a second, is told."""
    return Shape(markets=8, frames_per_second=500)


def test_every_frame_brings_the_events_of_its_channel(shape: Shape) -> None:
    """Nothing is refused, nothing but books stays without news, and no kind of event is missing."""
    stream = Stream(shape)
    world = World(stream)
    world.open(stream.opening())
    told: dict[str, set[str]] = defaultdict(set)
    now = world.now
    for frame in stream.frames(FRAMES):
        now += 2_000_000
        output = world.streams[frame.connection].received(frame.data, now)
        assert output.fault is None, output.fault
        assert output.events or frame.channel in QUIET
        told[frame.channel] |= {type(event).__name__ for event in output.events}
    assert told.keys() == EXPECTED.keys()
    for channel, (must, may) in EXPECTED.items():
        assert must <= told[channel] <= must | may, channel


def test_calm_stream_is_fully_known_and_no_rule_speaks(shape: Shape) -> None:
    """After half a minute of it every number that rules live on is known, and all are quiet."""
    stream = Stream(shape)
    world = World(stream)
    world.open(stream.opening())
    for _ in range(10):
        world.run(world.batches(stream.frames(FRAMES // 2)))
        world.re_read()
    assert world.transitions == []
    read = world.engine.reading
    for subject in (account_subject("dydx", "d0"), account_subject("hyperliquid", "h0")):
        for name in ("equity_usd", "leverage", "margin_usage_ratio", "liquidation_distance_ratio"):
            assert read(name, subject) is not None, world.engine.absence(name, subject)
    for subject in (market_subject("dydx", "BTC-USD"), market_subject("hyperliquid", "BTC")):
        for name in ("oracle_price", "spread_ratio", "bid_depth_usd", "funding_rate_annualized"):
            assert read(name, subject) is not None, world.engine.absence(name, subject)


def test_books_stay_bounded_and_uncrossed(shape: Shape) -> None:
    """However long the stream, a book has some forty levels a side and its bid below its ask."""
    stream = Stream(shape)
    books: dict[str, dict[str, set[float]]] = defaultdict(lambda: defaultdict(set))
    for frame in (*stream.opening(), *stream.frames(20 * FRAMES, frozenset({"v4_orderbook"}))):
        if frame.channel == "v4_orderbook":
            _follow(books, frame)
    for book in books.values():
        assert max(book["bids"]) < min(book["asks"])
        assert 30 <= len(book["bids"]) <= 55
        assert 30 <= len(book["asks"]) <= 55


def _follow(books: dict[str, dict[str, set[float]]], frame: Frame) -> None:
    import json  # noqa: PLC0415 - the one place that reads frames by hand

    told = json.loads(frame.data)
    for side, levels in told["contents"].items():
        for level in levels:
            price, size = level.values() if isinstance(level, dict) else level
            known = books[told["id"]][side]
            known.add(float(price)) if float(size) else known.discard(float(price))


def test_same_seed_same_bytes(shape: Shape) -> None:
    """Every contestant sees the same frames."""
    one, other = Stream(shape), Stream(shape)
    assert one.opening() == other.opening()
    assert one.frames(FRAMES) == other.frames(FRAMES)


@pytest.mark.parametrize("only", [None, PUBLIC], ids=["all", "public"])
def test_floor_decodes_every_frame(only: frozenset[str] | None, shape: Shape) -> None:
    """The floor raises nothing, so it has read everything."""
    stream = Stream(shape)
    stream.opening()
    floor = Floor()
    floor.run(floor.batches(stream.frames(FRAMES, only)))


def test_larger_rulebook_is_as_large_as_asked() -> None:
    """All of its rules are read, and none of them replaces a built-in one."""
    built_in = parse_rulebook(builtin_files(), CATALOGUE).rules
    assert len(built_in) == count_rules()
    book = parse_rulebook((*builtin_files(), filled_to(THOUSAND)), CATALOGUE)
    assert len(book.rules) == THOUSAND
    assert {rule.id for rule in built_in} < {rule.id for rule in book.rules}
