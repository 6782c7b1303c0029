"""A connection to the indexer: pacing, message ids, silence, errors, and what each leads to."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.engine import Engine
from monitor.core.errors import AuthError, DecodeError, SequenceGap, TransientFeedError
from monitor.core.events import (
    AccountDiscovered,
    BookTopSeen,
    ChannelLost,
    ChannelOpened,
    ChannelProgressed,
    DepthSeen,
)
from monitor.core.ports import NOTHING, StreamProtocol
from monitor.core.settings import EngineSettings
from monitor.core.types import SECOND_NS, market_subject
from monitor.venues.dydx.venue import DydxVenue
from tests.venues.dydx.wire_talk import (
    NOW,
    TIME,
    answer,
    block,
    events_of,
    frame,
    kinds,
    market,
    oracle,
    snapshot,
    subscribe_all,
    update,
    venue,
)

BOOK = ("v4_orderbook", "BTC-USD")


def markets_stream(made: DydxVenue | None = None) -> StreamProtocol:
    """The first connection."""
    return (made or venue()).streams()[0]


def opened(made: DydxVenue | None = None) -> tuple[StreamProtocol, int]:
    """The first connection with v4_markets, heights and BTC's book acknowledged; next id is 4."""
    stream = markets_stream(made)
    _, now = subscribe_all(stream, NOW)
    stream.received(frame("connected", 0), now)
    contents = {"markets": {"BTC-USD": market()}}
    stream.received(frame("subscribed", 1, "v4_markets", contents=contents), now)
    height = {"height": "100", "time": TIME}
    stream.received(
        frame("subscribed", 2, "v4_block_height", "v4_block_height", contents=height), now
    )
    levels = {
        "bids": [{"price": "100", "size": "1"}],
        "asks": [{"price": "100.1", "size": "2"}],
    }
    stream.received(frame("subscribed", 3, *BOOK, contents=levels), now)
    stream.heartbeat(now)
    return stream, now


def moving_heights(made: DydxVenue, now: int) -> None:
    """REST sees the chain move."""
    poll = next(poll for poll in made.polls() if poll.name == "dydx/rest.height")
    begin = 1000 + (now - NOW) // SECOND_NS
    for height in (begin, begin + 1):
        poll.received(answer({"height": str(height), "time": TIME}), now)


# ------------------------------------------------------------------------- subscribing


def test_subscribes_two_a_second_at_most() -> None:
    """The third within a second would be answered with an error and a close."""
    stream = markets_stream()
    sent = [(NOW, message) for message in stream.connected(NOW).send]
    now = NOW
    for _ in range(40):
        now += 250_000_000
        sent += [(now, message) for message in stream.tick(now).send]
    times = [at for at, _ in sent]
    assert len(sent) == 5
    assert all(later - first > SECOND_NS for first, later in zip(times, times[2:], strict=False))


def test_subscriptions_are_what_the_venue_documents() -> None:
    """Ids only where they are required, unbatched, markets first."""
    sent, _ = subscribe_all(markets_stream(), NOW)
    assert sent == [
        {"type": "subscribe", "channel": "v4_markets", "batched": False},
        {"type": "subscribe", "channel": "v4_block_height", "batched": False},
        *(
            {"type": "subscribe", "channel": "v4_orderbook", "id": ticker, "batched": False}
            for ticker in ("BTC-USD", "ETH-USD", "SOL-USD")
        ),
    ]


def test_account_connection_subscribes_parents_and_heights() -> None:
    """Its own block heights prove that the account's socket lives."""
    stream = venue().streams()[-1]
    sent, _ = subscribe_all(stream, NOW)
    assert stream.name == "dydx/accounts-1"
    assert [message["channel"] for message in sent] == ["v4_block_height", "v4_parent_subaccounts"]


@pytest.mark.parametrize(
    ("books", "connections"),
    [
        pytest.param(24, 1, id="with room to spare"),
        pytest.param(25, 2, id="with too little to spare"),
        pytest.param(70, 3, id="three times 32"),
    ],
)
def test_more_than_32_books_take_more_connections(books: int, connections: int) -> None:
    """The 33rd subscription on a connection would silently not exist."""
    tickers = tuple(f"M{index}-USD" for index in range(books))
    made = venue(tickers=tickers, markets=tickers, accounts=())
    streams = made.streams()
    counts = []
    for stream in streams:
        sent, _ = subscribe_all(stream, NOW)
        counts.append(sum(message["channel"] == "v4_orderbook" for message in sent))
    assert len(streams) == connections
    assert sum(counts) == books
    assert max(counts) <= 32


def test_a_market_that_comes_to_be_held_gets_its_book() -> None:
    """Positions opened after the start are watched closely too."""
    made = venue(tickers=("BTC-USD", "DOGE-USD"), markets=("BTC-USD",))
    stream, now = opened(made)
    account = made.streams()[-1]
    account.connected(now)
    account.received(
        update(1, perpetualPositions=[{"market": "DOGE-USD", "side": "LONG", "size": "5",
                                       "status": "OPEN"}]),
        now,
    )  # fmt: skip
    subscribe_all(account, now)
    account.received(
        update(2, perpetualPositions=[{"market": "DOGE-USD", "side": "LONG", "size": "5",
                                       "status": "OPEN"}]),
        now,
    )  # fmt: skip
    sent = stream.tick(now + 2 * SECOND_NS).send
    assert [b"DOGE-USD" in message for message in sent] == [True]


# ---------------------------------------------------------------------------- channels


def test_acknowledged_channels_are_opened_with_their_cadence() -> None:
    """A snapshot opens its channel, then tells its facts and asks REST for what it missed."""
    stream = markets_stream()
    subscribe_all(stream, NOW)
    contents = {"markets": {"BTC-USD": market()}}
    output = stream.received(frame("subscribed", 1, "v4_markets", contents=contents), NOW)
    assert kinds(output.events) == [
        *("ChannelOpened", "ChannelOpened", "MarketListed", "MarketContextSeen"),
        "OraclePricesSeen",
    ]
    opening = events_of(output, ChannelOpened)
    assert [(one.channel, one.feed, one.cadence_s) for one in opening] == [
        ("dydx/v4_markets", "v4_markets", 30.0),
        ("dydx/v4_markets/oracle", "v4_markets", 5.0),
    ]
    assert [wish.poll for wish in output.refresh] == ["dydx/rest.perpetualMarkets"]


def test_a_quiet_ticker_is_fresh_while_its_channel_speaks() -> None:
    """All markets' prices hang on one channel, and on nothing but prices: statistics come from
    another producer and do not vouch for them, nor prices for statistics."""
    stream, now = opened()
    output = stream.received(oracle(4), now)
    assert {event.channel for event in output.events} == {"dydx/v4_markets/oracle"}
    rows = {"BTC-USD": {"openInterest": "382.1"}}
    data = frame("channel_data", 5, "v4_markets", contents={"trading": rows})
    assert {event.channel for event in stream.received(data, now).events} == {"dydx/v4_markets"}


def test_statistics_do_not_keep_oracle_prices_fresh() -> None:
    """Half an hour of them and no price: the prices are half an hour old."""
    stream, now = opened()
    engine = Engine(EngineSettings(venues=(), accounts=()))
    snapshot = frame("subscribed", 4, "v4_markets", contents={"markets": {"BTC-USD": market()}})
    for event in stream.received(snapshot, now).events:
        engine.apply(event, now)
    subject = market_subject("dydx", "BTC-USD")
    for number in range(60):
        at = now + (number + 1) * 30 * SECOND_NS
        rows = {"BTC-USD": {"openInterest": str(400 + number)}}
        data = frame("channel_data", 5 + number, "v4_markets", contents={"trading": rows})
        for event in stream.received(data, at).events:
            engine.apply(event, at)
        engine.evaluate(at)
    age = engine.reading("oracle_age_s", subject, at)
    assert age is not None
    assert age.value == 1800.0
    assert engine.reading("oracle_price", subject, at) is None
    assert engine.reading("open_interest_base", subject, at) is not None


def test_a_speaking_channel_without_news_still_progresses() -> None:
    """Once a second: an update that changes neither touch nor depth proves its channel."""
    stream, now = opened()
    far = {"bids": [["1", "1"]]}
    first = stream.received(frame("channel_data", 4, *BOOK, contents=far), now + SECOND_NS)
    at_once = stream.received(frame("channel_data", 5, *BOOK, contents=far), now + SECOND_NS)
    later = stream.received(frame("channel_data", 6, *BOOK, contents=far), now + 2 * SECOND_NS)
    assert kinds(first.events) == ["ChannelProgressed"]
    assert at_once is NOTHING
    assert kinds(later.events) == ["ChannelProgressed"]


def test_a_quiet_channel_is_vouched_for_by_its_socket() -> None:
    """An account without activity is fresh while blocks arrive on its connection."""
    made = venue()
    stream = made.streams()[-1]
    _, now = subscribe_all(stream, NOW)
    stream.received(snapshot(1), now)
    height = {"height": "100", "time": TIME}
    stream.received(
        frame("subscribed", 2, "v4_block_height", "v4_block_height", contents=height), now
    )
    told: list[int] = []
    for second in range(1, 13):
        at = now + second * SECOND_NS
        stream.received(block(2 + second, 100 + second), at)
        progressed = events_of(stream.tick(at), ChannelProgressed)
        told += [second for event in progressed if "v4_parent_subaccounts" in event.channel]
    assert told == [5, 10]


def test_a_quiet_book_is_vouched_for_by_other_channels() -> None:
    """A book without a cadence is fresh while oracle prices arrive on its connection."""
    stream = markets_stream(venue(tickers=("LINK-USD",), markets=("LINK-USD",)))
    _, now = subscribe_all(stream, NOW)
    height = {"height": "100", "time": TIME}
    levels = {"bids": [{"price": "9", "size": "1"}], "asks": [{"price": "10", "size": "1"}]}
    contents = {"markets": {"LINK-USD": market("LINK-USD")}}
    stream.received(frame("connected", 0), now)
    stream.received(frame("subscribed", 1, "v4_markets", contents=contents), now)
    stream.received(
        frame("subscribed", 2, "v4_block_height", "v4_block_height", contents=height), now
    )
    stream.received(frame("subscribed", 3, "v4_orderbook", "LINK-USD", contents=levels), now)
    stream.heartbeat(now)
    told: list[int] = []
    for second in range(1, 13):
        at = now + second * SECOND_NS
        stream.received(oracle(3 + second, str(90_000 + second)), at)
        progressed = events_of(stream.tick(at), ChannelProgressed)
        told += [second for event in progressed if "v4_orderbook" in event.channel]
    assert told == [5, 10]


def test_silence_vouches_for_nothing() -> None:
    """Without a frame there is no progress, however often the clock ticks."""
    stream = venue().streams()[-1]
    _, now = subscribe_all(stream, NOW)
    stream.received(snapshot(1), now)
    outputs = [stream.tick(now + second * SECOND_NS) for second in range(1, 30)]
    assert not any(output.events for output in outputs)


def test_a_hole_vouches_for_nothing() -> None:
    """While a message is missing, a quiet channel may be the one that lost it."""
    stream = venue().streams()[-1]
    _, now = subscribe_all(stream, NOW)
    stream.received(snapshot(1), now)
    height = {"height": "100", "time": TIME}
    stream.received(
        frame("subscribed", 2, "v4_block_height", "v4_block_height", contents=height), now
    )
    stream.received(block(4, 101), now + 6 * SECOND_NS)
    assert not events_of(stream.tick(now + 6 * SECOND_NS), ChannelProgressed)
    stream.received(block(3, 100), now + 7 * SECOND_NS)
    assert events_of(stream.tick(now + 7 * SECOND_NS), ChannelProgressed)


# -------------------------------------------------------------------------- message ids


@pytest.mark.parametrize(
    ("wait_s", "gap"),
    [
        pytest.param(10, False, id="a hole of 10 s may still be reordering"),
        pytest.param(11, True, id="a hole of more than 10 s is a lost message"),
    ],
)
def test_a_missing_id_becomes_a_gap(wait_s: int, gap: bool) -> None:
    """Then the connection is opened anew, and what it told is lost with gap set."""
    made = venue(tickers=("BTC-USD",), markets=("BTC-USD",))
    stream, now = opened(made)
    stream.received(oracle(5), now)
    stream.heartbeat(now)
    output = stream.tick(now + wait_s * SECOND_NS)
    assert isinstance(output.fault, SequenceGap) == gap
    lost = events_of(stream.disconnected("gap", now), ChannelLost)
    assert [event.gap for event in lost] == [gap] * 4


def test_a_late_message_fills_its_hole() -> None:
    """Ids are not monotonic on arrival."""
    stream, now = opened(venue(tickers=("BTC-USD",), markets=("BTC-USD",)))
    stream.received(oracle(6), now)
    stream.received(block(4, 101), now)
    stream.received(frame("unsubscribed", 5, "v4_trades", "X"), now + 5 * SECOND_NS)
    assert stream.tick(now + 20 * SECOND_NS).fault is None


def test_a_late_acknowledgement_is_no_gap() -> None:
    """Its id was reserved when the request arrived; the snapshot may take 20 s to fetch."""
    stream = markets_stream(venue(tickers=("BTC-USD",), markets=("BTC-USD",)))
    _, now = subscribe_all(stream, NOW)
    stream.received(frame("connected", 0), now)
    contents = {"markets": {"BTC-USD": market()}}
    stream.received(frame("subscribed", 1, "v4_markets", contents=contents), now)
    stream.received(oracle(4), now)  # 2 and 3 are reserved for heights and the book
    stream.heartbeat(now)
    assert stream.tick(now + 19 * SECOND_NS).fault is None
    height = {"height": "100", "time": TIME}
    late = stream.received(
        frame("subscribed", 2, "v4_block_height", "v4_block_height", contents=height),
        now + 20 * SECOND_NS,
    )
    assert kinds(late.events) == ["ChannelOpened", "ChainTimeSeen"]


def test_an_error_fills_the_hole_it_reserved() -> None:
    """A failed subscription never produces a subscribed; its error bears the id."""
    stream, now = opened(venue(tickers=("BTC-USD",), markets=("BTC-USD",)))
    stream.received(oracle(5), now)
    text = "Internal error, could not fetch data for subscription: v4_trades."
    stream.received(frame("error", 4, "v4_trades", "X", message=text), now)
    stream.heartbeat(now)
    assert stream.tick(now + 15 * SECOND_NS).fault is None


def test_older_messages_of_a_channel_are_ignored() -> None:
    """Per channel and id the data are strictly increasing; a duplicate says nothing."""
    stream, now = opened()
    stream.received(oracle(7, "90007"), now)
    assert stream.received(oracle(7, "90007"), now) is NOTHING
    assert stream.received(oracle(6, "90006"), now) is NOTHING
    assert kinds(stream.received(oracle(8, "90008"), now).events) == ["OraclePricesSeen"]


def test_a_jump_of_thousands_is_a_gap_at_once() -> None:
    """Nothing is held for ids that will never come."""
    stream, now = opened()
    with pytest.raises(SequenceGap):
        stream.received(oracle(1_000_000), now)


# ------------------------------------------------------------------------------ silence


@pytest.mark.parametrize(
    ("wait_s", "dead"),
    [pytest.param(40, False, id="40 s"), pytest.param(41, True, id="more than 40 s")],
)
def test_no_ping_frame_is_a_dead_socket(wait_s: int, dead: bool) -> None:
    """The server pings every 30 s; frames of text alone do not prove the socket."""
    made = venue(tickers=("BTC-USD",), markets=("BTC-USD",))
    stream, now = opened(made)
    for second in range(wait_s):
        stream.received(block(4 + second, 101 + second), now + second * SECOND_NS)
    output = stream.tick(now + wait_s * SECOND_NS)
    assert isinstance(output.fault, TransientFeedError) == dead


def test_ping_frames_keep_the_socket() -> None:
    """However quiet the channels are while the chain stands still."""
    stream, now = opened(venue(tickers=("BTC-USD",), markets=("BTC-USD",)))
    for second in range(0, 300, 30):
        stream.heartbeat(now + second * SECOND_NS)
        assert stream.tick(now + second * SECOND_NS).fault is None


@pytest.mark.parametrize(
    ("moving", "dead"),
    [
        pytest.param(True, True, id="REST moves: the channel is dead"),
        pytest.param(False, False, id="REST stands: the chain is halted"),
    ],
)
def test_silent_heights_are_a_dead_channel_only_while_the_chain_moves(
    moving: bool, dead: bool
) -> None:
    """Reconnecting during a halt would help nobody."""
    made = venue(tickers=("BTC-USD",), markets=("BTC-USD",))
    stream, now = opened(made)
    if moving:
        moving_heights(made, now + 10 * SECOND_NS)
    stream.heartbeat(now + 10 * SECOND_NS)
    assert stream.tick(now + 10 * SECOND_NS).fault is None
    fault = stream.tick(now + 11 * SECOND_NS).fault
    assert (fault is not None) == dead
    assert not dead or "v4_block_height is silent for 11 s" in str(fault)


def test_a_dead_book_on_a_living_socket_is_subscribed_anew() -> None:
    """Only that channel is lost; the others go on."""
    made = venue(tickers=("BTC-USD",), markets=("BTC-USD",))
    stream, now = opened(made)
    message_id = 4
    for second in range(1, 62):
        at = now + second * SECOND_NS
        moving_heights(made, at)
        stream.heartbeat(at)
        stream.received(block(message_id, 101 + second), at)
        stream.received(oracle(message_id + 1, str(90000 + second)), at)
        message_id += 2
    output = stream.tick(now + 61 * SECOND_NS)
    assert output.fault is None
    assert [event.channel for event in events_of(output, ChannelLost)] == [
        "dydx/v4_orderbook/BTC-USD"
    ]
    assert [b"unsubscribe" in message for message in output.send] == [True]
    again = stream.tick(now + 63 * SECOND_NS)
    assert [b'"subscribe"' in message for message in again.send] == [True]


def test_unacknowledged_subscriptions_are_asked_again_then_given_up() -> None:
    """25 s a try, three tries, then the connection is opened anew."""
    stream = markets_stream(venue(tickers=("BTC-USD",), markets=("BTC-USD",)))
    stream.connected(NOW)
    asked = 0
    for second in range(1, 240):
        at = NOW + second * SECOND_NS
        stream.heartbeat(at)
        output = stream.tick(at)
        asked += sum(b"v4_markets" in message for message in output.send)
        if output.fault is not None:
            break
    assert asked == 2
    assert "did not acknowledge" in str(output.fault)
    assert second > 75


def test_losing_the_socket_loses_every_open_channel() -> None:
    """And nothing that was never opened."""
    stream, now = opened()
    lost = events_of(stream.disconnected("reset by peer", now), ChannelLost)
    assert sorted(event.channel for event in lost) == [
        "dydx/v4_block_height",
        "dydx/v4_markets",
        "dydx/v4_markets/oracle",
        "dydx/v4_orderbook/BTC-USD",
    ]
    assert stream.disconnected("again", now).events == ()


def test_a_new_connection_starts_from_nothing() -> None:
    """Message ids, books and subscriptions are per connection."""
    stream, now = opened()
    stream.disconnected("over", now)
    sent, now = subscribe_all(stream, now)
    assert len(sent) == 5
    update_first = frame("channel_data", 2, *BOOK, contents={"bids": [["100.05", "1"]]})
    assert not events_of(stream.received(update_first, now), BookTopSeen)


# ------------------------------------------------------------------------------- errors

FETCH = "Internal error, could not fetch data for subscription: v4_orderbook."


@pytest.mark.parametrize(
    "named",
    [pytest.param(BOOK, id="naming channel and id"), pytest.param((), id="naming neither")],
)
def test_a_failed_fetch_is_tried_again_later(named: tuple[str, ...]) -> None:
    """Seen about weekly; first after 5 s, then twice as late each time."""
    stream = markets_stream(venue(tickers=("BTC-USD",), markets=("BTC-USD",)))
    _, now = subscribe_all(stream, NOW)
    stream.received(frame("error", 3, *named, message=FETCH), now)
    assert stream.tick(now + 4 * SECOND_NS).send == ()
    (again,) = stream.tick(now + 5 * SECOND_NS).send
    assert b"v4_orderbook" in again
    stream.received(frame("error", 4, *named, message=FETCH), now + 6 * SECOND_NS)
    assert stream.tick(now + 15 * SECOND_NS).send == ()
    assert len(stream.tick(now + 16 * SECOND_NS).send) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Per-connection subscription limit reached for v4_candles (limit=32).",
        "Too many subscribe attempts for channel v4_orderbook BTC-USD.",
        "Too many invalid messages. Please reconnect and try again.",
    ],
)
def test_limits_end_the_connection_with_an_explanation(text: str) -> None:
    """A subscription over a limit silently does not exist."""
    stream, now = opened()
    with pytest.raises(TransientFeedError, match="limits"):
        stream.received(frame("error", 4, message=text), now)


def test_a_blocked_address_is_not_tried_again() -> None:
    """Compliance texts are long; the word is enough."""
    stream, now = opened()
    text = "Because this address appears to be … it has been blocked from using the site."
    with pytest.raises(AuthError, match="blocked"):
        stream.received(frame("error", 4, message=text), now)


def test_a_market_that_does_not_exist_is_not_asked_again() -> None:
    """It is told as a lost channel, and the others go on."""
    stream = markets_stream(venue(tickers=("BTC-USD",), markets=("BTC-USD",)))
    _, now = subscribe_all(stream, NOW)
    text = "Invalid subscription id for channel: (v4_orderbook-BTC-USD)"
    output = stream.received(frame("error", 3, message=text), now)
    assert [event.channel for event in events_of(output, ChannelLost)] == [
        "dydx/v4_orderbook/BTC-USD"
    ]
    assert not any(stream.tick(now + second * SECOND_NS).send for second in range(1, 20))


@pytest.mark.parametrize("was_open", [True, False])
def test_already_subscribed_is_harmless_only_if_it_is_so(was_open: bool) -> None:
    """Otherwise the server and we disagree, and a new connection settles it."""
    stream = opened()[0] if was_open else markets_stream()
    if not was_open:
        subscribe_all(stream, NOW)
    text = "Invalid subscribe message: already subscribed (v4_orderbook-BTC-USD)"
    if was_open:
        assert stream.received(frame("error", 4, *BOOK, message=text), NOW) is NOTHING
    else:
        with pytest.raises(TransientFeedError):
            stream.received(frame("error", 4, *BOOK, message=text), NOW)


def test_any_other_error_is_reported() -> None:
    """The connection goes on."""
    stream, now = opened()
    output = stream.received(frame("error", 4, message="Internal error"), now)
    assert isinstance(output.fault, DecodeError)


def test_an_unknown_frame_type_is_refused() -> None:
    """Never guessed at."""
    stream, now = opened()
    with pytest.raises(DecodeError):
        stream.received(frame("telepathy", 4), now)


def test_the_application_pong_of_old_is_ignored() -> None:
    """None has been sent since 2024; a ping by text is never relied upon."""
    stream, now = opened()
    assert stream.received(frame("pong", 4), now) is NOTHING


# -------------------------------------------------------------------------------- books


def test_books_tell_touch_on_change_and_depth_once_a_second() -> None:
    """And the last change within a second is told by the clock."""
    stream, now = opened()
    at = now + SECOND_NS

    def bid(message_id: int, size: str, at: int) -> list[str]:
        message = frame("channel_data", message_id, *BOOK, contents={"bids": [["100", size]]})
        return kinds(stream.received(message, at).events)

    assert bid(4, "5", at) == ["BookTopSeen", "DepthSeen"]
    assert bid(5, "5", at + 10) == []
    assert bid(6, "6", at + 999_000_000) == ["BookTopSeen"]
    assert kinds(stream.tick(at + 999_000_000).events) == []
    assert kinds(stream.tick(at + SECOND_NS).events) == ["DepthSeen"]
    assert kinds(stream.tick(at + 3 * SECOND_NS).events) == []


def test_a_snapshot_tells_depth_at_once() -> None:
    """Though some was told within the second: what it replaces is forgotten."""
    stream, now = opened()
    stream.received(frame("channel_data", 4, *BOOK, contents={"bids": [["100", "5"]]}), now)
    levels = {"bids": [{"price": "100", "size": "5"}], "asks": [{"price": "100.1", "size": "2"}]}
    output = stream.received(frame("subscribed", 5, *BOOK, contents=levels), now + 10)
    assert kinds(output.events) == ["ChannelOpened", "BookTopSeen", "DepthSeen"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"bids": [["100.1", "7"]]}, (100.1, 7.0, None, None), id="bid"),
        pytest.param({"asks": [["100", "7"]]}, (None, None, 100.0, 7.0), id="ask"),
        pytest.param(
            {"bids": [["100.1", "7"]], "asks": [["100.1", "0"], ["100.2", "3"]]},
            (100.1, 7.0, 100.2, 3.0),
            id="both sides at once",
        ),
    ],
)
def test_a_level_that_crosses_drops_the_older_one(
    changes: dict[str, list[list[str]]], told: tuple[float | None, ...]
) -> None:
    """Only what one message says of both sides is told."""
    stream, now = opened()
    output = stream.received(frame("channel_data", 4, *BOOK, contents=changes), now)
    (top,) = events_of(output, BookTopSeen)
    assert (top.bid_price, top.bid_size, top.ask_price, top.ask_size) == told


def test_an_emptied_side_is_told_as_nobody() -> None:
    """No price, and a depth of zero, since the snapshot had the whole side; without a mid the other
    side's is not known."""
    stream, now = opened()
    gone = frame("channel_data", 4, *BOOK, contents={"asks": [["100.1", "0"]]})
    output = stream.received(gone, now + SECOND_NS)
    (top,) = events_of(output, BookTopSeen)
    (depth,) = events_of(output, DepthSeen)
    assert (top.bid_price, top.ask_price, top.ask_size) == (100.0, None, None)
    assert (depth.bid_depth_usd, depth.ask_depth_usd) == (None, 0.0)


def test_updates_that_overtake_the_snapshot_are_kept() -> None:
    """The snapshot's id was reserved before them, so they are newer than it."""
    stream = markets_stream(venue(tickers=("BTC-USD",), markets=("BTC-USD",)))
    _, now = subscribe_all(stream, NOW)
    early = frame("channel_data", 5, *BOOK, contents={"bids": [["100.05", "7"]]})
    assert not events_of(stream.received(early, now), BookTopSeen)
    levels = {
        "bids": [{"price": "100", "size": "1"}],
        "asks": [{"price": "100.1", "size": "2"}],
    }
    output = stream.received(frame("subscribed", 3, *BOOK, contents=levels), now)
    (top,) = events_of(output, BookTopSeen)
    assert (top.bid_price, top.bid_size) == (100.05, 7.0)


def test_an_undecodable_update_spoils_only_its_book() -> None:
    """A lost level would stand for ever: the book is subscribed anew."""
    stream, now = opened()
    broken = frame("channel_data", 4, *BOOK, contents={"bids": [["-1", "1"]]})
    output = stream.received(broken, now)
    assert isinstance(output.fault, DecodeError)
    assert [(event.channel, event.gap) for event in events_of(output, ChannelLost)] == [
        ("dydx/v4_orderbook/BTC-USD", True)
    ]
    assert [b"unsubscribe" in message for message in output.send] == [True]
    left_over = frame("channel_data", 5, *BOOK, contents={"bids": [["100.05", "1"]]})
    assert stream.received(left_over, now) is NOTHING
    sent = [
        message for second in range(1, 8) for message in stream.tick(now + second * SECOND_NS).send
    ]
    assert sum(b"BTC-USD" in message for message in sent) == 1


def test_a_book_that_moved_out_of_sight_is_seen_anew() -> None:
    """100 levels a side reach the band until prices move away from them."""
    stream = markets_stream(venue(tickers=("BTC-USD",), markets=("BTC-USD",)))
    _, now = subscribe_all(stream, NOW)
    levels = {
        "bids": [{"price": str(1000 - step), "size": "1"} for step in range(100)],
        "asks": [{"price": str(1001 + step), "size": "1"} for step in range(100)],
    }
    seen = stream.received(frame("subscribed", 1, *BOOK, contents=levels), now)
    (depth,) = events_of(seen, DepthSeen)
    assert depth.bid_depth_usd == 1000.0 + 999.0 + 998.0  # 25 bp of 1000.5
    moved: dict[str, Any] = {"bids": [[str(1000 - step), "0"] for step in range(99)]}
    moved["asks"] = [["902", "1"]]
    at = now + 61 * SECOND_NS
    output = stream.received(frame("channel_data", 2, *BOOK, contents=moved), at)
    (depth,) = events_of(output, DepthSeen)
    assert depth.bid_depth_usd is None
    stream.heartbeat(at)
    again = stream.tick(at)
    assert [event.channel for event in events_of(again, ChannelLost)] == [
        "dydx/v4_orderbook/BTC-USD"
    ]


def test_unknown_channels_are_not_ours_to_read() -> None:
    """Data nobody asked for are skipped unread."""
    stream, now = opened()
    assert (
        stream.received(frame("channel_data", 4, "v4_trades", "X", contents={"x": 1}), now)
        is NOTHING
    )


def test_an_undecodable_markets_message_is_healed_over_rest() -> None:
    """Differences may be lost in it: all markets are re-read."""
    stream, now = opened()
    output = stream.received(oracle(4, "not a number"), now)
    assert isinstance(output.fault, DecodeError)
    assert [wish.poll for wish in output.refresh] == ["dydx/rest.perpetualMarkets"]


def test_two_sockets_do_not_make_the_height_go_back_and_forth() -> None:
    """Only the first connection's blocks are facts about the chain."""
    stream = venue().streams()[-1]
    _, now = subscribe_all(stream, NOW)
    height = {"height": "100", "time": TIME}
    output = stream.received(
        frame("subscribed", 1, "v4_block_height", "v4_block_height", contents=height), now
    )
    assert kinds(output.events) == ["ChannelOpened"]
    output = stream.received(block(2, 101), now + SECOND_NS)
    assert [event.channel for event in events_of(output, ChannelProgressed)] == [
        "dydx/v4_block_height/accounts-1"
    ]


def test_children_are_discovered_as_they_come_to_be() -> None:
    """The front end opens child 128 for the first isolated position."""
    stream = venue().streams()[-1]
    _, now = subscribe_all(stream, NOW)
    stream.received(snapshot(1), now)
    output = stream.received(update(2, 128, blockHeight="101", assetPositions=[]), now)
    assert not events_of(output, AccountDiscovered)
    cash = [{"symbol": "USDC", "side": "LONG", "size": "5", "subaccountNumber": 128}]
    output = stream.received(update(3, 128, blockHeight="102", assetPositions=cash), now)
    assert [event.account for event in events_of(output, AccountDiscovered)] == ["main.128"]
    assert [wish.poll for wish in output.refresh] == [
        "dydx/rest.parentSubaccount/main",
        "dydx/rest.orders/main",
    ]
