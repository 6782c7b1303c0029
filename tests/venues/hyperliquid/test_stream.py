"""The market and user connections: acknowledgements, pings, silence, refused names, loss."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from monitor.core.errors import DecodeError, TransientFeedError
from monitor.core.events import (
    BookTopSeen,
    ChannelLost,
    ChannelOpened,
    ChannelProgressed,
    FrameRejected,
    MarketContextSeen,
    PositionsReported,
)
from monitor.core.ports import Output, StreamProtocol
from monitor.core.types import SECOND_NS
from monitor.venues.hyperliquid.knowledge import SUBSCRIPTIONS_MAX
from monitor.venues.hyperliquid.stream import Connection
from monitor.venues.hyperliquid.stream_market import MarketStream
from monitor.venues.hyperliquid.venue import HyperliquidVenue
from tests.venues.hyperliquid.helpers import (
    ADDRESS,
    NOW,
    OTHER,
    XYZ_META,
    context,
    frame,
    learn,
    make_venue,
    of_type,
)

PING = b'{"method":"ping"}'
S = SECOND_NS


def sent(output: Output, method: str = "subscribe") -> list[dict[str, Any]]:
    """The subscriptions in what was sent."""
    messages = [msgspec.json.decode(text) for text in output.send]
    return [m["subscription"] for m in messages if m["method"] == method]


def echo(subscription: dict[str, Any], **defaults: Any) -> bytes:
    """The acknowledgement of a subscription, with the server's defaults filled in."""
    data = {"method": "subscribe", "subscription": {**subscription, **defaults}}
    return frame("subscriptionResponse", data)


def bring_up(stream: StreamProtocol, now: int = NOW) -> list[Output]:
    """Connect and acknowledge everything."""
    output = stream.connected(now)
    return [output] + [stream.received(echo(one, fast=False), now) for one in sent(output)]


def market(*coins: str, **settings: Any) -> tuple[HyperliquidVenue, MarketStream]:
    """A venue and its first market connection, watching some coins and no account."""
    wanted: Any = list(coins) or "held"
    venue = make_venue(accounts=[], markets=wanted, **settings)
    stream = venue.streams()[0]
    assert isinstance(stream, MarketStream)
    return venue, stream


def user(mode: str = "default", *dexes: str) -> tuple[HyperliquidVenue, Connection]:
    """A venue and the connection of its account."""
    venue = make_venue(markets="held")
    venue.knowledge.accounts[0].set_mode(mode)
    venue.knowledge.accounts[0].dexes.update(dexes)
    stream = venue.streams()[1]
    assert isinstance(stream, Connection)
    return venue, stream


def ctx(coin: str = "BTC", mark: str = "84000", **other: Any) -> bytes:
    """A context frame."""
    return frame("activeAssetCtx", {"coin": coin, "ctx": context(mark, **other)})


def bbo(time_ms: int = 1, bid: str = "83999", ask: str = "84001", coin: str = "BTC") -> bytes:
    """A best-prices frame."""
    levels = [{"px": bid, "sz": "1", "n": 1}, {"px": ask, "sz": "1", "n": 1}]
    return frame("bbo", {"coin": coin, "time": time_ms, "bbo": levels})


def lost(output: Output) -> list[str]:
    """Channels told lost."""
    return [event.channel for event in of_type(output.events, ChannelLost)]


def ticks(stream: StreamProtocol, start: int, seconds: int) -> list[Output]:
    """One tick a second."""
    return [stream.tick(start + second * S) for second in range(1, seconds + 1)]


# ------------------------------------------------------------------------------ subscriptions


def test_market_subscriptions() -> None:
    """The cross-section, then context, best prices and an aggregated book of each coin."""
    venue, stream = market("BTC", "OLD")
    venue.knowledge.reference_prices["BTC"] = 60000.0
    assert sent(stream.connected(NOW)) == [
        {"type": "allDexsAssetCtxs"},
        {"type": "activeAssetCtx", "coin": "BTC"},
        {"type": "activeAssetCtx", "coin": "OLD"},
        {"type": "bbo", "coin": "BTC"},
        {"type": "l2Book", "coin": "BTC", "nSigFigs": 4},
    ]
    assert stream.name == "hyperliquid/market-1"
    assert stream.url == "wss://api.hyperliquid.xyz/ws"
    assert stream.silence_s == 10.0


def test_user_subscriptions() -> None:
    """One connection tells everything about one account; orders once per used dex."""
    _, stream = user("default", "xyz")
    assert sent(stream.connected(NOW)) == [
        {"type": "allDexsClearinghouseState", "user": ADDRESS},
        {"type": "spotState", "user": ADDRESS},
        {"type": "userFills", "user": ADDRESS},
        {"type": "userFundings", "user": ADDRESS},
        {"type": "userNonFundingLedgerUpdates", "user": ADDRESS},
        {"type": "userEvents", "user": ADDRESS},
        {"type": "orderUpdates", "user": ADDRESS},
        {"type": "openOrders", "user": ADDRESS},
        {"type": "openOrders", "user": ADDRESS, "dex": "xyz"},
    ]
    assert stream.name == "hyperliquid/user-main"


def test_only_names_of_the_live_meta_are_subscribed() -> None:
    """A held coin that no meta lists would drop the connection; its meta is asked for, once."""
    venue, stream = market("BTC")
    venue.knowledge.watchlist.add(["GHOST"])
    assert all(one.get("coin") in {None, "BTC"} for one in sent(stream.connected(NOW)))
    first = stream.tick(NOW + S)
    assert [wish.poll for wish in first.refresh] == ["hyperliquid/metaAndAssetCtxs"]
    assert stream.tick(NOW + 2 * S).refresh == ()


def test_a_coin_that_comes_to_be_held_is_subscribed() -> None:
    """On the next tick, once the meta lists it."""
    venue, stream = market("BTC")
    bring_up(stream)
    venue.knowledge.watchlist.add(["ETH", "xyz:TSLA"])
    coins = {one["coin"] for one in sent(stream.tick(NOW + S))}
    assert coins == {"ETH"}
    tesla = {"name": "xyz:TSLA", "szDecimals": 3, "maxLeverage": 10}
    learn(venue.knowledge, "xyz", {"universe": [*XYZ_META["universe"], tesla]})
    assert {one["coin"] for one in sent(stream.tick(NOW + 2 * S))} == {"xyz:TSLA"}


def test_acknowledgements_open_channels_with_their_cadence() -> None:
    """Matched by subset, since the server fills its defaults in."""
    _, stream = market("BTC")
    outputs = bring_up(stream)
    opened = [event for output in outputs for event in of_type(output.events, ChannelOpened)]
    assert {(event.channel, event.feed, event.cadence_s) for event in opened} == {
        ("hyperliquid/allDexsAssetCtxs", "allDexsAssetCtxs", 13.6),
        ("hyperliquid/activeAssetCtx/BTC", "activeAssetCtx", 1.0),
        ("hyperliquid/bbo/BTC", "bbo", None),
        ("hyperliquid/l2Book/BTC", "l2Book", 5.4),
    }


def test_an_acknowledgement_of_something_else_opens_nothing() -> None:
    """Another aggregation is another subscription; an address comes back in lower case."""
    venue, stream = market("BTC")
    venue.knowledge.reference_prices["BTC"] = 60000.0
    stream.connected(NOW)
    book = {"type": "l2Book", "coin": "BTC"}
    assert stream.received(echo(book, nSigFigs=None), NOW).events == ()
    assert len(stream.received(echo(book, nSigFigs=4, mantissa=None), NOW).events) == 1
    assert stream.received(echo({"type": "bbo", "coin": "SOL"}), NOW).events == ()


def test_already_subscribed_is_as_good_as_an_acknowledgement() -> None:
    """And ``Already unsubscribed`` is nothing."""
    _, stream = market("BTC")
    stream.connected(NOW)
    text = 'Already subscribed: {"type":"bbo","coin":"BTC"}'
    (event,) = stream.received(frame("error", text), NOW).events
    assert isinstance(event, ChannelOpened)
    assert event.channel == "hyperliquid/bbo/BTC"
    for harmless in ('Already unsubscribed: {"type":"bbo"}', "Already subscribed: not json"):
        assert stream.received(frame("error", harmless), NOW).events == ()


def test_other_error_texts_are_counted() -> None:
    """The connection stays; the complaint is an event."""
    _, stream = market("BTC")
    stream.connected(NOW)
    (event,) = stream.received(frame("error", "Invalid subscription x"), NOW).events
    assert isinstance(event, FrameRejected)
    assert "Invalid subscription x" in event.reason


def test_greeting_is_ignored_when_it_comes_first() -> None:
    """One plain-text greeting; later text is refused."""
    _, stream = market("BTC")
    stream.connected(NOW)
    assert stream.received(b"Websocket connection established.", NOW) == Output()
    with pytest.raises(DecodeError):
        stream.received(b"Websocket connection established.", NOW)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"channel":"bbo","data":{"coin":"BTC"}}', id="fields missing"),
        pytest.param(b'{"channel":"unheard","data":{}}', id="unknown channel"),
        pytest.param(b'{"channel":"bbo","da', id="truncated, even as the first frame"),
    ],
)
def test_unreadable_frames_raise_decode_errors(data: bytes) -> None:
    """With the frame as sample; the connection itself goes on."""
    _, stream = market("BTC")
    stream.connected(NOW)
    with pytest.raises(DecodeError) as caught:
        stream.received(data, NOW)
    assert caught.value.sample == data


# ------------------------------------------------------------------------------------- liveness


def test_pings_prove_quiet_channels_alive() -> None:
    """Every 30 s; the pong progresses what speaks only on change, and nothing else."""
    _, stream = market("BTC")
    bring_up(stream)
    assert PING not in stream.tick(NOW + 30 * S - 1).send
    assert PING in stream.tick(NOW + 30 * S).send
    pong = stream.received(b'{"channel":"pong"}', NOW + 30 * S + 1)
    assert pong.events == (ChannelProgressed(venue="hyperliquid", channel="hyperliquid/bbo/BTC"),)
    assert PING in stream.tick(NOW + 60 * S).send


@pytest.mark.parametrize(
    ("after_s", "dead"),
    [pytest.param(10, False, id="ten seconds"), pytest.param(11, True, id="more than ten")],
)
def test_a_missing_pong_is_a_fault(after_s: int, dead: bool) -> None:
    """The socket is half-open."""
    _, stream = user()
    bring_up(stream)
    stream.tick(NOW + 30 * S)
    fault = stream.tick(NOW + (30 + after_s) * S).fault
    assert isinstance(fault, TransientFeedError) is dead


def test_an_unanswered_subscription_is_asked_again_then_a_fault() -> None:
    """Ten seconds each."""
    _, stream = user()
    output = stream.connected(NOW)
    for one in sent(output)[1:]:
        stream.received(echo(one), NOW)
    assert sent(stream.tick(NOW + 10 * S)) == []
    again = stream.tick(NOW + 11 * S)
    assert sent(again) == [{"type": "allDexsClearinghouseState", "user": ADDRESS}]
    assert again.fault is None
    fault = stream.tick(NOW + 22 * S).fault
    assert isinstance(fault, TransientFeedError)
    assert "allDexsClearinghouseState main" in str(fault)
    assert ADDRESS not in str(fault)


def test_a_silent_channel_is_subscribed_anew_then_lost_then_back() -> None:
    """A dead 1 Hz channel on a living socket: second try, loss, growing patience, recovery."""
    _, stream = market("BTC", books=False)
    bring_up(stream)
    alive = [one.channel for one in of_type(stream.received(ctx(), NOW).events, MarketContextSeen)]
    assert alive == ["hyperliquid/activeAssetCtx/BTC"]
    assert ticks(stream, NOW, 5)[-1].send == ()
    first = stream.tick(NOW + 6 * S)
    wanted = {"type": "activeAssetCtx", "coin": "BTC"}
    assert sent(first, "unsubscribe") == [wanted]
    assert sent(first) == [wanted]
    assert lost(first) == []
    stream.received(echo(wanted), NOW + 6 * S)
    second = [stream.tick(NOW + (6 + second) * S) for second in range(1, 12)]
    assert [lost(output) for output in second if lost(output)] == [
        ["hyperliquid/activeAssetCtx/BTC"]
    ]
    assert [sent(output) for output in second].count([wanted]) == 1
    # The promise alone opens nothing; data does.
    assert stream.received(echo(wanted), NOW + 18 * S).events == ()
    back = stream.received(ctx(), NOW + 19 * S)
    assert [type(event).__name__ for event in back.events] == [
        "ChannelOpened",
        "MarketContextSeen",
    ]
    assert [type(e).__name__ for e in stream.received(ctx(), NOW + 20 * S).events] == [
        "MarketContextSeen"
    ]


def test_a_channel_that_speaks_is_left_alone() -> None:
    """A minute of ordinary traffic costs nothing but pings."""
    _, stream = market("BTC")
    bring_up(stream)
    for second in range(1, 60):
        now = NOW + second * S
        stream.received(ctx(), now)
        if second % 5 == 0:
            levels = [[{"px": "1", "sz": "1", "n": 1}]] * 2
            stream.received(frame("l2Book", {"coin": "BTC", "time": second, "levels": levels}), now)
        if second % 13 == 0:
            stream.received(frame("allDexsAssetCtxs", {"ctxs": []}), now)
        if second == 31:
            stream.received(b'{"channel":"pong"}', now)
        assert set(stream.tick(now).send) <= {PING}


def test_best_prices_that_mid_has_left_are_doubted() -> None:
    """A quiet ``bbo`` is fine while mid stays inside it; once mid is gone it is subscribed anew."""
    _, stream = market("BTC", books=False)
    bring_up(stream)
    stream.received(bbo(), NOW)
    outputs = []
    for second in range(1, 40):
        now = NOW + second * S
        mid = "84000" if second < 25 else "85000"
        stream.received(ctx(midPx=mid), now)
        if second == 31:
            stream.received(b'{"channel":"pong"}', now)
        outputs.append((second, sent(stream.tick(now), "unsubscribe")))
    asked_at = [second for second, asked in outputs if {"type": "bbo", "coin": "BTC"} in asked]
    assert asked_at[0] == 27  # three ticks in a row


def test_books_that_go_back_in_time_are_ignored_and_counted() -> None:
    """The older prices never reach the state; an equal time is a repetition."""
    _, stream = market("BTC")
    bring_up(stream)
    assert len(stream.received(bbo(5), NOW).events) == 1
    assert len(of_type(stream.received(bbo(5), NOW).events, BookTopSeen)) == 1
    (event,) = stream.received(bbo(4), NOW).events
    assert isinstance(event, FrameRejected)
    assert event.feed == "bbo"
    levels = [[{"px": "1", "sz": "1", "n": 1}]] * 2
    book = {"coin": "BTC", "levels": levels}
    assert len(stream.received(frame("l2Book", {**book, "time": 9}), NOW).events) == 2
    (event,) = stream.received(frame("l2Book", {**book, "time": 8}), NOW).events
    assert isinstance(event, FrameRejected)
    assert event.feed == "l2Book"
    stream.disconnected("over", NOW)
    bring_up(stream)
    assert len(of_type(stream.received(bbo(4), NOW).events, BookTopSeen)) == 1


# ----------------------------------------------------------------------------------------- loss


def test_loss_names_what_was_sent_in_the_last_second() -> None:
    """The venue drops a connection without a word; only open channels are told lost."""
    _, stream = market("BTC", "ETH")
    output = stream.connected(NOW)
    stream.received(echo(sent(output)[0]), NOW)
    gone = stream.disconnected("closed 1006", NOW + S)
    (event,) = of_type(gone.events, ChannelLost)
    assert event.channel == "hyperliquid/allDexsAssetCtxs"
    assert "closed 1006; sent in the last second: " in event.reason
    assert "activeAssetCtx BTC" in event.reason
    bring_up(stream)
    later = of_type(stream.disconnected("closed", NOW + 2 * S).events, ChannelLost)
    assert {event.reason for event in later} == {"closed"}
    assert len(later) == 7


def test_a_name_that_kills_twice_is_left_out() -> None:
    """Acknowledged up to the culprit, twice; then the others live and it is told lost."""
    _, stream = market("BTC", "ETH", books=False)
    culprit = {"type": "bbo", "coin": "BTC"}
    told = []
    for attempt in range(2):
        now = NOW + attempt * 10 * S
        for one in sent(stream.connected(now)):
            if one == culprit:
                break
            stream.received(echo(one), now)
        told.append(lost(stream.disconnected("closed 1006", now)))
    assert "hyperliquid/bbo/BTC" not in told[0]
    assert "hyperliquid/bbo/BTC" in told[1]
    after = sent(stream.connected(NOW + 30 * S))
    assert culprit not in after
    assert {"type": "bbo", "coin": "ETH"} in after


def test_an_ordinary_loss_accuses_nobody() -> None:
    """A connection that falls long after its subscriptions blames none of them."""
    _, stream = market("BTC")
    for attempt in range(3):
        now = NOW + attempt * 100 * S
        bring_up(stream, now)
        stream.disconnected("closed 1000", now + 50 * S)
    assert {"type": "bbo", "coin": "BTC"} in sent(stream.connected(NOW + 500 * S))


def test_reconnecting_subscribes_everything_again() -> None:
    """Per-connection state is forgotten."""
    _, stream = user()
    first = sent(stream.connected(NOW))
    stream.disconnected("closed", NOW + S)
    assert sent(stream.connected(NOW + 2 * S)) == first


# --------------------------------------------------------------------------------------- limits


def test_messages_stay_below_the_minutes_limit() -> None:
    """2000 a minute over all connections; the rest waits for the next ticks."""
    venue, stream = market("BTC")
    venue.knowledge.send_budget.take(1998, NOW)
    first = sent(stream.connected(NOW))
    assert len(first) == 2
    for one in first:
        stream.received(echo(one), NOW + 59 * S)
    assert stream.tick(NOW + 60 * S - 1).send == ()
    later = sent(stream.tick(NOW + 60 * S))
    assert [one["type"] for one in later] == ["bbo", "l2Book"]


def test_subscriptions_stay_below_the_limit() -> None:
    """1000 over all connections; what does not fit is told lost, books first."""
    venue, stream = market("BTC", "ETH")
    venue.knowledge.subscriptions = SUBSCRIPTIONS_MAX - 5
    output = stream.connected(NOW)
    assert [one["type"] for one in sent(output)] == [
        "allDexsAssetCtxs",
        "activeAssetCtx",
        "activeAssetCtx",
        "bbo",
        "bbo",
    ]
    assert lost(output) == ["hyperliquid/l2Book/BTC", "hyperliquid/l2Book/ETH"]
    assert lost(stream.tick(NOW + S)) == []
    stream.disconnected("over", NOW + S)
    assert venue.knowledge.subscriptions == SUBSCRIPTIONS_MAX - 5


def test_coins_are_dealt_over_connections() -> None:
    """A hundred each, so that one bad name does not take every market along."""
    universe = [{"name": f"C{n}", "szDecimals": 1, "maxLeverage": 5} for n in range(150)]
    venue = make_venue(accounts=[], markets=[])
    learn(venue.knowledge, "", {"universe": universe})
    venue.knowledge.watchlist.add(f"C{n}" for n in range(150))
    streams = [one for one in venue.streams() if isinstance(one, MarketStream)]
    assert [len(one.coins()) for one in streams] == [100, 50]
    assert sent(streams[0].connected(NOW))[0] == {"type": "allDexsAssetCtxs"}
    assert sent(streams[1].connected(NOW))[0] == {"type": "activeAssetCtx", "coin": "C100"}


# ---------------------------------------------------------------------------------------- users


def test_the_account_is_reread_once_every_subscription_stands() -> None:
    """User channels never replay: after each connect, and not before the last acknowledgement."""
    _, stream = user()
    for start in (NOW, NOW + 100 * S):
        outputs = bring_up(stream, start)
        assert [output.refresh for output in outputs[:-1]] == [()] * (len(outputs) - 1)
        assert [wish.poll for wish in outputs[-1].refresh] == [
            "hyperliquid/clearinghouseState/main",
            "hyperliquid/spotClearinghouseState/main",
            "hyperliquid/frontendOpenOrders/main",
            "hyperliquid/userFillsByTime/main",
            "hyperliquid/userNonFundingLedgerUpdates/main",
            "hyperliquid/userFunding/main",
        ]
        stream.disconnected("closed", start + 50 * S)


def test_a_refresh_names_polls_that_exist() -> None:
    """A wish for an unknown poll would be lost."""
    venue, stream = user("portfolioMargin")
    names = {poll.name for poll in venue.polls()}
    wished = {wish.poll for output in bring_up(stream) for wish in output.refresh}
    assert wished <= names
    assert {
        "hyperliquid/metaAndAssetCtxs",
        "hyperliquid/fundingHistory",
        "hyperliquid/allMids",
    } <= (names)


EMPTY = {
    "marginSummary": {
        "accountValue": "0.0",
        "totalNtlPos": "0.0",
        "totalRawUsd": "0.0",
        "totalMarginUsed": "0.0",
    },
    "assetPositions": [],
}


def held(coin: str) -> dict[str, Any]:
    """A dex's state with one position."""
    leverage = {"type": "cross", "value": 5}
    one = {"coin": coin, "szi": "1", "leverage": leverage, "positionValue": "10"}
    return {**EMPTY, "assetPositions": [{"type": "oneWay", "position": one}]}


def test_a_position_on_a_new_dex_is_followed() -> None:
    """Its market is watched, its orders subscribed, its meta asked for; empty dexes are not."""
    venue, stream = user()
    market_stream = venue.streams()[0]
    bring_up(stream)
    states = [["", EMPTY], ["new", held("new:GOLD")], ["idle", EMPTY]]
    data = {"user": ADDRESS.upper().replace("0X", "0x"), "clearinghouseStates": states}
    output = stream.received(frame("allDexsClearinghouseState", data), NOW)
    accounts = [event.account for event in of_type(output.events, PositionsReported)]
    assert accounts == ["main", "main.new"]
    assert venue.knowledge.watchlist.coins() == ("new:GOLD",)
    assert venue.knowledge.accounts[0].dexes == {"", "new"}
    assert sent(stream.tick(NOW + S)) == [{"type": "openOrders", "user": ADDRESS, "dex": "new"}]
    market_stream.connected(NOW)
    wishes = market_stream.tick(NOW + S).refresh
    assert [wish.poll for wish in wishes] == ["hyperliquid/metaAndAssetCtxs"]


def test_a_used_dex_that_is_left_out_is_not_closed() -> None:
    """It is re-read instead."""
    _, stream = user("unifiedAccount", "xyz")
    bring_up(stream)
    data = {"user": ADDRESS, "clearinghouseStates": [["", EMPTY]]}
    output = stream.received(frame("allDexsClearinghouseState", data), NOW)
    (report,) = of_type(output.events, PositionsReported)
    assert not report.complete
    assert [wish.poll for wish in output.refresh] == ["hyperliquid/clearinghouseState/main"]


@pytest.mark.parametrize(
    ("event", "polls"),
    [
        pytest.param(
            {"nonUserCancel": [{"coin": "BTC", "oid": 9}]},
            ["frontendOpenOrders"],
            id="cancelled by the venue: neither side nor size is told",
        ),
        pytest.param(
            {"liquidation": {"liquidated_user": OTHER, "liquidated_ntl_pos": "1"}},
            ["clearinghouseState", "frontendOpenOrders", "spotClearinghouseState"],
            id="a liquidation nearby",
        ),
        pytest.param({"twapHistory": []}, [], id="a kind that is not known"),
    ],
)
def test_user_events_that_need_rereading(event: dict[str, Any], polls: list[str]) -> None:
    """What a frame does not say is asked for."""
    _, stream = user()
    bring_up(stream)
    output = stream.received(frame("user", event), NOW)
    assert [wish.poll for wish in output.refresh] == [f"hyperliquid/{name}/main" for name in polls]


def test_a_frame_about_somebody_else_is_refused() -> None:
    """One connection, one account."""
    _, stream = user()
    bring_up(stream)
    with pytest.raises(DecodeError, match="not the account 'main'"):
        stream.received(frame("userFills", {"user": OTHER, "fills": []}), NOW)


def test_a_refused_context_list_has_the_meta_read_anew() -> None:
    """A listing since the last meta."""
    _, stream = market("BTC")
    bring_up(stream)
    data = {"ctxs": [["", [context()] * 9], ["xyz", [context("200")]]]}
    output = stream.received(frame("allDexsAssetCtxs", data), NOW)
    assert [wish.poll for wish in output.refresh] == ["hyperliquid/metaAndAssetCtxs"]
    assert [event.market for event in of_type(output.events, MarketContextSeen)] == ["xyz:AAPL"]


def test_settled_funding_is_asked_for_after_each_hour() -> None:
    """By the first market connection alone, five seconds after the hour."""
    _, stream = market("BTC")
    bring_up(stream)
    hour = 3600 * S
    turn = (NOW // hour + 1) * hour
    assert stream.tick(turn - S).refresh == ()
    (wish,) = stream.tick(turn).refresh
    assert (wish.poll, wish.after_s) == ("hyperliquid/fundingHistory", 5.0)
    assert stream.tick(turn + S).refresh == ()


def test_a_control_frame_changes_nothing() -> None:
    """The venue sends none of its own accord."""
    _, stream = market("BTC")
    stream.connected(NOW)
    assert stream.heartbeat(NOW) == Output()
