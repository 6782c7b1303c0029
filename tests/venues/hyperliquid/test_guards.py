"""What must not be believed: times from the future, pongs for dead channels, quiet as proof."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from monitor.core.errors import DecodeError
from monitor.core.events import (
    BookTopSeen,
    ChainTimeSeen,
    ChannelLost,
    ChannelOpened,
    ChannelProgressed,
    ClockSkewSeen,
    Event,
    FillsReported,
    FrameRejected,
    LiquidationSeen,
    MarketContextSeen,
    PositionsReported,
    VenueStatusSeen,
)
from monitor.core.ports import Output, Poll
from monitor.core.types import SECOND_NS, FillKind
from monitor.venues.hyperliquid.cadence import LearnedCadence
from monitor.venues.hyperliquid.stream import Connection
from monitor.venues.hyperliquid.stream_market import MarketStream
from monitor.venues.hyperliquid.venue import HyperliquidVenue
from tests.venues.hyperliquid.helpers import (
    ADDRESS,
    NOW,
    OTHER,
    answer,
    frame,
    make_venue,
    of_type,
    poll_named,
)
from tests.venues.hyperliquid.test_stream import (
    PING,
    bbo,
    bring_up,
    ctx,
    echo,
    lost,
    market,
    sent,
    user,
)

S = SECOND_NS
NOW_MS = NOW // 1_000_000
LEVELS = [[{"px": "1", "sz": "1", "n": 1}]] * 2
STATES = "hyperliquid/allDexsClearinghouseState/main"
AHEAD = [
    pytest.param(60_000, True, id="a minute ahead is a clock"),
    pytest.param(60_001, False, id="more than a minute is garbage"),
]


def believed(stream: Connection, data: bytes, at_ms: int) -> bool:
    """Whether a frame was taken; a refusal names the time."""
    try:
        stream.received(data, NOW)
    except DecodeError as error:
        return f"time is {at_ms}" not in str(error)
    return True


def state(at_ms: int | None) -> dict[str, Any]:
    """A flat account."""
    money = {"accountValue": "0", "totalNtlPos": "0", "totalRawUsd": "0", "totalMarginUsed": "0"}
    return {
        "marginSummary": money,
        "crossMarginSummary": money,
        "crossMaintenanceMarginUsed": "0",
        "withdrawable": "0",
        "assetPositions": [],
        "time": at_ms,
    }


def states(at_ms: int = NOW_MS) -> bytes:
    """The account's whole state."""
    pairs = [["", state(at_ms)]]
    data = {"user": ADDRESS, "clearinghouseStates": pairs}
    return frame("allDexsClearinghouseState", data)


# ------------------------------------------------------------------------ times from the future


@pytest.mark.parametrize(("ahead_ms", "good"), AHEAD)
@pytest.mark.parametrize("feed", ["bbo", "l2Book", "allDexsClearinghouseState"])
def test_times_from_the_future_are_refused(feed: str, ahead_ms: int, *, good: bool) -> None:
    """What is ordered by time would never accept anything again."""
    at_ms = (NOW + ahead_ms * 1_000_000) // 1_000_000
    stream: Connection
    if feed == "allDexsClearinghouseState":
        _, stream = user()
        data = states(at_ms)
    else:
        _, stream = market("BTC")
        book = {"coin": "BTC", "time": at_ms, "levels": LEVELS}
        data = bbo(at_ms) if feed == "bbo" else frame("l2Book", book)
    bring_up(stream)
    assert believed(stream, data, at_ms) is good


def test_the_touch_survives_a_time_from_the_future() -> None:
    """The next frame of the real time is news, not the past."""
    _, stream = market("BTC")
    bring_up(stream)
    month_ms = 30 * 86_400_000
    with pytest.raises(DecodeError, match="ahead of our clock"):
        stream.received(bbo(NOW_MS + month_ms), NOW)
    assert len(of_type(stream.received(bbo(NOW_MS), NOW).events, BookTopSeen)) == 1


def test_a_new_subscription_begins_its_own_time() -> None:
    """Half a minute ahead is believed; once mid has left it, subscribing anew forgets it."""
    _, stream = market("BTC", books=False)
    bring_up(stream)
    stream.received(bbo(NOW_MS + 59_000), NOW)
    again: list[dict[str, Any]] = []
    now = NOW
    while not again:
        now += S
        assert now < NOW + 30 * S
        stream.received(ctx(midPx="85000"), now)
        again = sent(stream.tick(now))
    assert again == [{"type": "bbo", "coin": "BTC"}]
    stream.received(echo(again[0]), now)
    (event,) = stream.received(bbo(now // 1_000_000, bid="84999", ask="85001"), now).events
    assert isinstance(event, BookTopSeen)


def poll_for(kind: str) -> tuple[HyperliquidVenue, Poll]:
    """A re-read that has been asked."""
    venue = make_venue()
    name = f"hyperliquid/{kind}" + ("" if kind == "exchangeStatus" else "/main")
    poll = poll_named(venue, name)
    poll.request(NOW)
    return venue, poll


@pytest.mark.parametrize(("ahead_ms", "good"), AHEAD)
def test_rest_states_from_the_future_are_refused(ahead_ms: int, *, good: bool) -> None:
    """The truth is held against the same limit."""
    _, poll = poll_for("clearinghouseState")
    reply = answer(state((NOW + ahead_ms * 1_000_000) // 1_000_000))
    if good:
        assert of_type(poll.received(reply, NOW).events, PositionsReported)
        return
    with pytest.raises(DecodeError, match="clearinghouseState: time"):
        poll.received(reply, NOW)


def fill_row(at_ms: int, **other: Any) -> dict[str, Any]:
    """A fill on the wire."""
    row = {"coin": "BTC", "px": "100", "sz": "2", "side": "A", "time": at_ms, "hash": "0x0"}
    return {**row, "oid": 1, "tid": 1, **other}


def test_history_is_not_led_into_the_future() -> None:
    """The next round starts after the newest row, so that row must have happened."""
    _, poll = poll_for("userFillsByTime")
    with pytest.raises(DecodeError, match="newest row"):
        poll.received(answer([fill_row(NOW_MS + 3_600_000)]), NOW)
    assert of_type(poll.received(answer([fill_row(NOW_MS)]), NOW).events, FillsReported)


@pytest.mark.parametrize(("ahead_ms", "good"), AHEAD)
def test_a_status_from_the_future_tells_skew_but_no_chain_time(
    ahead_ms: int, *, good: bool
) -> None:
    """It may be our clock that is wrong, which the skew says."""
    _, poll = poll_for("exchangeStatus")
    status = {"time": (NOW + ahead_ms * 1_000_000) // 1_000_000, "specialStatuses": None}
    events = poll.received(answer(status), NOW).events
    assert bool(of_type(events, ChainTimeSeen)) is good
    assert bool(of_type(events, FrameRejected)) is not good
    assert len(of_type(events, VenueStatusSeen)) == 1
    assert len(of_type(events, ClockSkewSeen)) == 1


# ------------------------------------------------------------------------- full-state channels


@pytest.mark.parametrize(
    ("gaps_s", "learned_s"),
    [
        pytest.param([5.0], None, id="two frames teach nothing"),
        pytest.param([5.0, 6.0], 24.0, id="three frames: four times the longest gap"),
        pytest.param([1.0, 1.0], 15.0, id="never less than 15 s"),
        pytest.param([5.0, 100.0], 120.0, id="never more than 120 s"),
        pytest.param([5.0, 10.0] + [5.0] * 7, 40.0, id="a long gap is remembered"),
        pytest.param([5.0, 10.0] + [5.0] * 8, 20.0, id="but not for ever"),
    ],
)
def test_cadence_is_learned_from_gaps(gaps_s: list[float], learned_s: float | None) -> None:
    """Of the last eight gaps the longest counts."""
    cadence, now = LearnedCadence(), NOW
    cadence.spoke(now)
    for gap_s in gaps_s:
        now += round(gap_s * S)
        cadence.spoke(now)
    assert cadence.announced_s == learned_s


def opened(events: tuple[Event, ...]) -> list[float | None]:
    """Cadences announced for the account's state."""
    return [e.cadence_s for e in of_type(events, ChannelOpened) if e.channel == STATES]


def vouched(stream: Connection, now: int) -> set[str]:
    """Channels that a pong proves alive."""
    events = stream.received(b'{"channel":"pong"}', now).events
    return {event.channel for event in of_type(events, ChannelProgressed)}


def run_until(stream: Connection, now: int, end: int, *, answering: bool) -> tuple[int, list[Any]]:
    """Ticks with pongs and acknowledgements; what was sent anew, and what was lost, by second."""
    story: list[Any] = []
    while now < end:
        now += S
        output: Output = stream.tick(now)
        assert output.fault is None
        if PING in output.send:
            stream.received(b'{"channel":"pong"}', now)
        for one in sent(output):
            story.append(((now - NOW) // S, one["type"]))
            stream.received(echo(one), now)
            if answering and one["type"] == "allDexsClearinghouseState":
                stream.received(states(), now)
        story += [((now - NOW) // S, "lost", name) for name in lost(output) if name == STATES]
    return now, [entry for entry in story if "allDexs" in str(entry)]


def test_a_learned_cadence_is_announced_and_ends_the_pongs_word() -> None:
    """Three frames five seconds apart: 20 s, said once; on-change channels keep their pongs."""
    _, stream = user()
    bring_up(stream)
    assert STATES in vouched(stream, NOW + S)
    announced = [
        opened(stream.received(states(), NOW + second * S).events) for second in (1, 6, 11, 16)
    ]
    assert announced == [[], [], [20.0], []]
    told = vouched(stream, NOW + 17 * S)
    assert STATES not in told
    assert {"hyperliquid/userEvents/main", "hyperliquid/userFills/main"} <= told


@pytest.mark.parametrize(
    ("after_s", "proven"),
    [pytest.param(120, True, id="two minutes"), pytest.param(121, False, id="longer")],
)
def test_before_that_a_pong_vouches_for_two_minutes(after_s: int, *, proven: bool) -> None:
    """A channel that never spoke is not alive because its socket is."""
    _, stream = user()
    bring_up(stream)
    assert (STATES in vouched(stream, NOW + after_s * S)) is proven


def test_a_dead_full_state_channel_is_subscribed_anew_once_then_lost_then_back() -> None:
    """On a living socket whose pongs go on."""
    _, stream = user()
    bring_up(stream)
    for second in (1, 6, 11):
        stream.received(states(), NOW + second * S)
    now, story = run_until(stream, NOW + 11 * S, NOW + 60 * S, answering=False)
    assert story == [
        (32, "allDexsClearinghouseState"),  # 20 s of silence, and the tick after it
        (48, "allDexsClearinghouseState"),  # 15 s are long for an answer
        (48, "lost", STATES),
    ]
    back = stream.received(states(), now).events
    assert isinstance(back[0], ChannelOpened)
    assert back[0].channel == STATES
    assert len(of_type(back, PositionsReported)) == 1


def test_a_frame_without_news_proves_its_channel_alive() -> None:
    """The spot state of a standard account says nothing of its margin, every five seconds."""
    _, stream = user()
    bring_up(stream)
    balances: dict[str, Any] = {"user": ADDRESS, "spotState": {"balances": []}}
    told = [
        stream.received(frame("spotState", balances), NOW + second * S).events
        for second in (1, 6, 11, 16, 21)
    ]
    assert len(of_type(told[2], ChannelOpened)) == 1  # three frames: a cadence is announced
    alive = [[one.channel for one in of_type(events, ChannelProgressed)] for events in told]
    spot = ["hyperliquid/spotState/main"]
    assert alive == [spot, spot, [], spot, spot]


def test_a_quiet_channel_that_answers_is_never_lost() -> None:
    """If a push comes only on change, asking anew proves it alive, at most every two minutes."""
    _, stream = user()
    bring_up(stream)
    for second in (1, 2, 3):  # a burst of changes looks like a short cadence
        stream.received(states(), NOW + second * S)
    _, story = run_until(stream, NOW + 3 * S, NOW + 1000 * S, answering=True)
    assert not [entry for entry in story if "lost" in entry]
    asked_at = [entry[0] for entry in story]
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked_at)]
    assert asked_at[0] == 19
    assert max(gaps) == 121
    assert len(asked_at) < 12


def test_orders_of_a_builder_dex_have_a_cadence_of_their_own() -> None:
    """Frames of one dex do not keep another's channel alive."""
    _, stream = user("default", "xyz")
    bring_up(stream)
    for second in (1, 6, 11):
        data = {"user": ADDRESS, "dex": "xyz", "orders": []}
        events = stream.received(frame("openOrders", data), NOW + second * S).events
    assert [event.channel for event in of_type(events, ChannelOpened)] == [
        "hyperliquid/openOrders/main.xyz"
    ]
    assert "hyperliquid/openOrders/main" in vouched(stream, NOW + 12 * S)


# ----------------------------------------------------------------------------- small traps


def test_too_many_pending_posts_are_a_counted_complaint() -> None:
    """The text is of another client behind our address, or of us; the connection goes on."""
    _, stream = market("BTC")
    bring_up(stream)
    text = "too many pending post requests id=1234"
    (event,) = stream.received(frame("error", text), NOW).events
    assert isinstance(event, FrameRejected)
    assert text in event.reason
    assert len(stream.received(ctx(), NOW).events) == 1


@pytest.mark.parametrize("path", ["socket, read in one go", "socket, read in two stages"])
def test_no_mid_is_told_as_none(path: str) -> None:
    """``midPx`` is null where a side is empty; zero would be a price."""
    _, stream = market("BTC")
    assert isinstance(stream, MarketStream)
    bring_up(stream)
    data = ctx(midPx=None, premium=None, impactPxs=None)
    if path.endswith("stages"):
        output = Connection.received(stream, data, NOW)
    else:
        output = stream.received(data, NOW)
    (event,) = of_type(output.events, MarketContextSeen)
    assert event.mid_price is None
    assert event.premium_ratio is None
    assert event.mark_price == 84000.0


def fills_frame(method: str, liquidated: str, *, snapshot: bool = False) -> bytes:
    """A fill with a liquidation object."""
    liquidation = {"liquidatedUser": liquidated, "markPx": "100", "method": method}
    data: dict[str, Any] = {"user": ADDRESS, "fills": [fill_row(NOW_MS, liquidation=liquidation)]}
    return frame("userFills", {**data, "isSnapshot": True} if snapshot else data)


def test_a_backstop_liquidation_is_told_apart() -> None:
    """The vault took the position over with its margin; several sources say it under one name."""
    _, stream = user()
    bring_up(stream)
    events = stream.received(fills_frame("backstop", ADDRESS), NOW).events
    (fills,) = of_type(events, FillsReported)
    assert [fill.kind for fill in fills.fills] == [FillKind.LIQUIDATION]
    (seen,) = of_type(events, LiquidationSeen)
    assert (seen.account, seen.notional_usd) == ("main", 200.0)
    assert seen.venue_time_ns == NOW_MS * 1_000_000
    assert seen.detail.startswith("backstop in BTC")


@pytest.mark.parametrize(
    ("method", "liquidated", "snapshot"),
    [
        pytest.param("market", ADDRESS, False, id="sold in the market"),
        pytest.param("backstop", OTHER, False, id="somebody else's"),
        pytest.param("backstop", ADDRESS, True, id="history"),
    ],
)
def test_other_liquidation_fills_are_told_by_their_kind(
    method: str, liquidated: str, *, snapshot: bool
) -> None:
    """Only a backstop of ours that is news is more than its fill."""
    _, stream = user()
    bring_up(stream)
    events = stream.received(fills_frame(method, liquidated, snapshot=snapshot), NOW).events
    assert of_type(events, LiquidationSeen) == []
    assert of_type(events, ChannelLost) == []
    assert len(of_type(events, FillsReported)) == 1
