"""The simulated Hyperliquid's socket protocol, without a socket: acks, errors, cadence, faults."""

from __future__ import annotations

import base64
import json
import zlib
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from monitor.sim import addresses
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.hyperliquid.connection import Connection
from monitor.sim.prices import Ramp
from monitor.sim.world import World
from tests.shared_data import shared_data
from tests.sim.hyperliquid.rig import (
    MAIN,
    START_S,
    Offline,
    data_of,
    make_offline,
    say,
    subscribe,
    take,
)

VENUE = "hyperliquid"


def run(world: World, seconds: float, *, step_s: float = 0.1) -> None:
    """Let time pass in the driver's small steps."""
    end_s = world.now_s + seconds
    while world.now_s < end_s - 1e-9:
        world.advance(min(end_s, world.now_s + step_s))


def pushes(world: World, connection: Connection, seconds: float) -> list[Any]:
    """Frames pushed during ``seconds``."""
    take(connection)
    run(world, seconds)
    return take(connection)


# --------------------------------------------------------------------------------------- envelopes


@pytest.mark.parametrize(
    ("subscription", "echo"),
    [
        pytest.param(
            {"type": "l2Book", "coin": "BTC"},
            {"type": "l2Book", "coin": "BTC", "nSigFigs": None, "mantissa": None, "fast": False},
            id="book defaults",
        ),
        pytest.param(
            {"type": "allMids"}, {"type": "allMids", "dex": None}, id="mids of the first dex"
        ),
        pytest.param(
            {"type": "activeAssetCtx", "coin": "BTC"},
            {"type": "activeAssetCtx", "coin": "BTC"},
            id="nothing to fill in",
        ),
        pytest.param(
            {"type": "userFills", "user": MAIN.upper().replace("0X", "0x")},
            {"type": "userFills", "user": MAIN, "aggregateByTime": False},
            id="address in lower case",
        ),
    ],
)
def test_ack_comes_first_with_defaults(subscription: dict[str, Any], echo: object) -> None:
    """The acknowledgement echoes the subscription completed, before any data."""
    _, connection = make_offline()
    frames = say(connection, {"method": "subscribe", "subscription": subscription})
    assert frames[0] == {
        "channel": "subscriptionResponse",
        "data": {"method": "subscribe", "subscription": echo},
    }


def test_recorded_acks_are_part_of_ours() -> None:
    """What was acknowledged in December 2025 is a subset of what we acknowledge."""
    for name in ("Order", "UserEventTrade", "OrderBook", "BookTicker", "Trades"):
        path = shared_data(f"venues/hyperliquid/jkorf_ws_{name}.json")
        request, ack = (entry["frame"] for entry in json.loads(path.read_text())[:2])
        request = json.loads(json.dumps(request).replace('"mtiz"', f'"{MAIN}"'))
        expected = json.loads(json.dumps(ack).replace('"mtiz"', f'"{MAIN}"'))
        if str(request["subscription"].get("coin", "")).startswith("@"):
            request["subscription"]["coin"] = expected["data"]["subscription"]["coin"] = "BTC"
        _, connection = make_offline()
        got = say(connection, request)[0]
        assert got["channel"] == expected["channel"]
        ours = got["data"]["subscription"]
        theirs = expected["data"]["subscription"]
        assert {key: ours[key] for key in theirs} == theirs


def test_pong_has_no_data() -> None:
    """Exactly ``{"channel":"pong"}``."""
    _, connection = make_offline()
    connection.receive('{"method":"ping"}')
    assert list(connection.outbox) == ['{"channel":"pong"}']


def test_unsubscribe_is_acknowledged_and_silences() -> None:
    """The ack names the method; nothing follows."""
    world, connection = make_offline()
    subscribe(connection, "activeAssetCtx", coin="BTC")
    (ack,) = say(
        connection,
        {"method": "unsubscribe", "subscription": {"type": "activeAssetCtx", "coin": "BTC"}},
    )
    assert ack["data"]["method"] == "unsubscribe"
    assert pushes(world, connection, 5) == []


def test_subscribing_twice_and_unsubscribing_the_unknown() -> None:
    """Texts that start as documented and repeat the subscription; the socket stays open."""
    _, connection = make_offline()
    subscribe(connection, "bbo", coin="BTC")
    (twice,) = subscribe(connection, "bbo", coin="BTC")
    assert twice == {
        "channel": "error",
        "data": 'Already subscribed: {"type":"bbo","coin":"BTC"}',
    }
    (unknown,) = say(
        connection, {"method": "unsubscribe", "subscription": {"type": "bbo", "coin": "ETH"}}
    )
    assert unknown["data"] == 'Already unsubscribed: {"type":"bbo","coin":"ETH"}'
    assert not connection.dropped


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param("hello", id="no JSON"),
        pytest.param('{"method":"nope"}', id="unknown method"),
        pytest.param('{"method":"subscribe","subscription":{"type":"nope"}}', id="unknown type"),
        pytest.param('{"method":"subscribe","subscription":{"type":"bbo"}}', id="missing coin"),
        pytest.param(
            '{"method":"subscribe","subscription":{"type":"bbo","coin":["BTC","ETH"]}}',
            id="a list of coins",
        ),
        pytest.param(
            '{"method":"subscribe","subscription":{"type":"userFills","user":"0x1"}}',
            id="no address",
        ),
        pytest.param(
            '{"method":"post","request":{"type":"info","payload":{"type":"meta"}}}',
            id="post without id",
        ),
        pytest.param("[1,2]", id="no object"),
    ],
)
def test_unreadable_frames_are_repeated(frame: str) -> None:
    """The parse error text ends with the whole frame; the socket stays open."""
    _, connection = make_offline()
    (error,) = say(connection, frame)
    assert error == {
        "channel": "error",
        "data": f"Error parsing JSON into valid websocket request: {frame}",
    }
    assert not connection.dropped


@pytest.mark.parametrize(
    "subscription",
    [
        pytest.param({"type": "l2Book", "coin": "NOPE"}, id="unknown coin"),
        pytest.param({"type": "activeAssetCtx", "coin": "btc"}, id="wrong case"),
        pytest.param({"type": "bbo", "coin": "XYZ:NVDA"}, id="wrong case of a dex"),
        pytest.param({"type": "l2Book", "coin": "BTC", "nSigFigs": 6}, id="six figures"),
        pytest.param({"type": "l2Book", "coin": "BTC", "mantissa": 2}, id="mantissa alone"),
        pytest.param(
            {"type": "l2Book", "coin": "BTC", "nSigFigs": 4, "mantissa": 2}, id="mantissa with 4"
        ),
    ],
)
def test_a_bad_name_costs_the_connection(subscription: dict[str, Any]) -> None:
    """No answer at all: the connection is cut, and with it everything else on it."""
    _, connection = make_offline()
    subscribe(connection, "bbo", coin="BTC")
    assert say(connection, {"method": "subscribe", "subscription": subscription}) == []
    assert connection.dropped


def test_other_invalid_subscriptions_get_a_text() -> None:
    """It starts ``Invalid subscription``."""
    _, connection = make_offline()
    (error,) = subscribe(connection, "candle", coin="BTC", interval="7m")
    assert error["data"].startswith("Invalid subscription")
    assert not connection.dropped


def test_a_delisted_book_is_acked_and_empty() -> None:
    """Every push has two empty sides."""
    world, connection = make_offline()
    ack, first = subscribe(connection, "l2Book", coin="MATIC")
    assert ack["channel"] == "subscriptionResponse"
    assert first["data"]["levels"] == [[], []]
    later = data_of(pushes(world, connection, 6), "l2Book")
    assert [book["levels"] for book in later] == [[[], []]]


# --------------------------------------------------------------------------------------------- post


def test_post_wraps_info() -> None:
    """``info`` answers are ``{type, data}`` under the request's id."""
    _, connection = make_offline()
    (frame,) = say(
        connection,
        {"method": "post", "id": 12, "request": {"type": "info", "payload": {"type": "meta"}}},
    )
    assert frame["channel"] == "post"
    assert frame["data"]["id"] == 12
    assert frame["data"]["response"]["type"] == "info"
    payload = frame["data"]["response"]["payload"]
    assert (payload["type"], payload["data"]["universe"][0]["name"]) == ("meta", "BTC")


@pytest.mark.parametrize(
    ("payload", "kind", "answer"),
    [
        pytest.param(
            {"type": "l2Book", "coin": "NOPE"},
            "info",
            {"type": "l2Book", "data": None},
            id="unknown coin",
        ),
        pytest.param(
            {"type": "nope"},
            "error",
            "Failed to deserialize the JSON body into the target type",
            id="unknown type",
        ),
    ],
)
def test_post_failures(payload: dict[str, Any], kind: str, answer: object) -> None:
    """Null data, or an error whose payload is text."""
    _, connection = make_offline()
    request = {"method": "post", "id": 7, "request": {"type": "info", "payload": payload}}
    (frame,) = say(connection, request)
    assert frame["data"]["response"] == {"type": kind, "payload": answer}


def test_too_many_posts_in_flight() -> None:
    """With slow answers the 101st is refused on channel ``error``, its id at the end."""
    world, connection = make_offline()
    world.faults.inject(Fault(kind=FaultKind.SLOW, venue=VENUE, delay_s=3))
    request = {"type": "info", "payload": {"type": "exchangeStatus"}}
    for number in range(101):
        say(connection, {"method": "post", "id": number, "request": request})
    run(world, 4)
    frames = take(connection)
    assert len(data_of(frames, "post")) == 100
    assert data_of(frames, "error") == ["too many pending post requests id=100"]
    say(connection, {"method": "post", "id": 200, "request": request})
    run(world, 4)
    assert [reply["id"] for reply in data_of(take(connection), "post")] == [200]


# ------------------------------------------------------------------------------------------ cadence


@pytest.mark.parametrize(
    ("kind", "fields", "seconds", "frames"),
    [
        pytest.param("activeAssetCtx", {"coin": "BTC"}, 10.2, 10, id="contexts at 1.01 s"),
        pytest.param("l2Book", {"coin": "BTC"}, 16.3, 3, id="books at 5.36 s"),
        pytest.param("l2Book", {"coin": "BTC", "fast": True}, 5.5, 10, id="fast at 0.54 s"),
        pytest.param("allMids", {}, 15.3, 3, id="mids at 5.05 s"),
        pytest.param("allDexsAssetCtxs", {}, 27.3, 2, id="all contexts at 13.6 s"),
        pytest.param("fastAssetCtxs", {}, 5.05, 5, id="packed prices at 1 s"),
        pytest.param("clearinghouseState", {"user": MAIN}, 10.1, 2, id="state at 5 s"),
    ],
)
def test_cadence(kind: str, fields: dict[str, Any], seconds: float, frames: int) -> None:
    """As many frames as the measured cadence makes, changed or not."""
    world, connection = make_offline()
    subscribe(connection, kind, **fields)
    assert len(pushes(world, connection, seconds)) == frames


def test_one_clock_for_all_books_of_a_socket() -> None:
    """Books subscribed at different times come together, with time moving on."""
    world, connection = make_offline()
    subscribe(connection, "l2Book", coin="BTC")
    run(world, 2)
    subscribe(connection, "l2Book", coin="ETH")
    first = data_of(pushes(world, connection, 3.5), "l2Book")
    second = data_of(pushes(world, connection, 5.4), "l2Book")
    assert [book["coin"] for book in first] == ["BTC", "ETH"]
    assert first[0]["time"] == first[1]["time"] < second[0]["time"]


def test_after_a_leap_one_frame_stands_for_many() -> None:
    """A world that leaps an hour does not drown its clients."""
    world, connection = make_offline()
    subscribe(connection, "activeAssetCtx", coin="BTC")
    take(connection)
    world.advance(START_S + 100)
    assert len(data_of(take(connection), "activeAssetCtx")) == 1


def test_bbo_only_on_change() -> None:
    """No two consecutive frames are the same; a halted market is silent."""
    world, connection = make_offline()
    subscribe(connection, "bbo", coin="BTC")
    moving = data_of(pushes(world, connection, 10), "bbo")
    assert len(moving) > 5
    assert all(one["bbo"] != two["bbo"] for one, two in pairwise(moving))
    world.faults.inject(Fault(kind=FaultKind.HALTED, venue=VENUE))
    run(world, 1)
    assert pushes(world, connection, 10) == []


def test_trades_begin_with_the_last_twenty_seconds() -> None:
    """The first frame looks back; later ones hold each trade once."""
    world, connection = make_offline()
    run(world, 60)
    frames = data_of(subscribe(connection, "trades", coin="BTC"), "trades")
    times = [trade["time"] / 1_000 for trade in frames[0]]
    assert min(times) >= START_S + 40
    later = [t for frame in data_of(pushes(world, connection, 30), "trades") for t in frame]
    ids = [trade["tid"] for trade in frames[0] + later]
    assert len(ids) == len(set(ids)) > 5
    assert {trade["side"] for trade in later} <= {"A", "B"}


def test_fast_contexts_are_packed_and_then_differences() -> None:
    """Base64 of raw deflate; the first frame is full, later ones hold changes only."""
    world, connection = make_offline()
    first = unpack(subscribe(connection, "fastAssetCtxs")[1]["data"])
    assert set(first) == set(world.venues[VENUE].markets)
    run(world, 1.1)
    later = unpack(take(connection)[-1]["data"])
    assert 0 < len(later) < len(first)
    assert "MATIC" not in later


def unpack(data: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(data), wbits=-zlib.MAX_WBITS))


def test_spot_contexts_come_on_their_own_channel() -> None:
    """``activeAssetCtx`` of a spot pair answers as ``activeSpotAssetCtx``."""
    _, connection = make_offline()
    assert subscribe(connection, "activeAssetCtx", coin="@107")[1]["channel"] == (
        "activeSpotAssetCtx"
    )


def test_mids_of_a_dex_say_so() -> None:
    """With a dex in the subscription the frame names it and only its coins."""
    _, connection = make_offline()
    data = subscribe(connection, "allMids", dex="xyz")[1]["data"]
    assert data["dex"] == "xyz"
    assert set(data["mids"]) == {"xyz:NVDA", "xyz:GOLD"}
    plain = data_of(make_and_subscribe("allMids"), "allMids")[0]
    assert "dex" not in plain
    assert {"BTC", "@107", "PURR/USDC"} <= set(plain["mids"])


def make_and_subscribe(kind: str, **fields: object) -> list[Any]:
    return subscribe(make_offline()[1], kind, **fields)


def test_explorer_blocks_are_acked_then_silent() -> None:
    """One empty list and nothing more."""
    world, connection = make_offline()
    frames = subscribe(connection, "explorerBlock")
    assert frames[1] == []
    assert pushes(world, connection, 30) == []


# ------------------------------------------------------------------------------------ user channels


@pytest.mark.parametrize("kind", ["userEvents", "orderUpdates", "notification"])
def test_no_snapshot_and_no_replay(kind: str) -> None:
    """What happened before the subscription is not told: the ack stands alone."""
    world, connection = make_offline()
    world.trade(VENUE, MAIN, "", "SOL", Decimal(10))
    run(world, 1)
    assert [frame["channel"] for frame in subscribe(connection, kind, user=MAIN)] == [
        "subscriptionResponse"
    ]


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        pytest.param("userFills", "fills", id="fills"),
        pytest.param("userFundings", "fundings", id="fundings"),
        pytest.param("userNonFundingLedgerUpdates", "nonFundingLedgerUpdates", id="ledger"),
    ],
)
def test_first_frame_is_a_snapshot(kind: str, rows: str) -> None:
    """``isSnapshot`` is true on the first frame only, and absent later."""
    world, connection = make_offline()
    world.deposit(VENUE, MAIN, "", Decimal(5))
    first = subscribe(connection, kind, user=MAIN)[1]["data"]
    assert (first["isSnapshot"], first["user"]) == (True, MAIN)
    assert first[rows]
    world.deposit(VENUE, MAIN, "", Decimal(6))
    world.trade(VENUE, MAIN, "", "SOL", Decimal(1))
    later = data_of(pushes(world, connection, 125), kind)
    assert len(later) == 1
    assert "isSnapshot" not in later[0]


def test_fills_arrive_on_their_channels() -> None:
    """A fill shows in userFills, on ``user``, in orderUpdates and in the state at once."""
    world, connection = make_offline()
    for kind in ("userFills", "userEvents", "orderUpdates", "allDexsClearinghouseState"):
        subscribe(connection, kind, user=MAIN)
    take(connection)
    world.trade(VENUE, MAIN, "", "SOL", Decimal(-2))
    run(world, 0.1)
    frames = take(connection)
    (fills,) = data_of(frames, "userFills")
    (event,) = data_of(frames, "user")
    assert event == {"fills": fills["fills"]}
    assert "user" not in event
    (fill,) = fills["fills"]
    assert (fill["side"], fill["dir"], fill["startPosition"]) == ("A", "Open Short", "-1500.0")
    (updates,) = data_of(frames, "orderUpdates")
    assert [(u["status"], u["order"]["sz"]) for u in updates] == [("filled", "0.0")]
    states = dict(data_of(frames, "allDexsClearinghouseState")[0]["clearinghouseStates"])
    held = {p["position"]["coin"]: p["position"]["szi"] for p in states[""]["assetPositions"]}
    assert held["SOL"] == "-1502.0"
    assert [p["position"]["coin"] for p in states["xyz"]["assetPositions"]] == ["xyz:NVDA"]


def test_a_closed_position_is_left_out() -> None:
    """Absent from the state, never at zero."""
    world, connection = make_offline()
    subscribe(connection, "clearinghouseState", user=MAIN)
    world.trade(VENUE, MAIN, "", "HYPE", Decimal(-800))
    run(world, 0.1)
    state = data_of(take(connection), "clearinghouseState")[-1]["clearinghouseState"]
    assert "HYPE" not in [p["position"]["coin"] for p in state["assetPositions"]]


def test_hourly_fundings_are_one_frame_just_after_the_hour() -> None:
    """Nothing for an hour, then every position's payment in one frame, stamped after it."""
    world, connection = make_offline()
    subscribe(connection, "userFundings", user=MAIN)
    assert pushes(world, connection, 119.9) == []
    (frame,) = data_of(pushes(world, connection, 1), "userFundings")
    coins = {row["coin"] for row in frame["fundings"]}
    assert coins == {"BTC", "ETH", "SOL", "LINK", "HYPE", "FARTCOIN", "xyz:NVDA"}
    for row in frame["fundings"]:
        assert 0 < row["time"] - (START_S + 120) * 1_000 < 120
        assert row["nSamples"] is None


def test_funding_signs() -> None:
    """A long pays a positive rate: ``usdc`` is negative; a short receives it."""
    world, connection = make_offline()
    subscribe(connection, "userFundings", user=MAIN)
    (frame,) = data_of(pushes(world, connection, 121), "userFundings")
    rows = {row["coin"]: row for row in frame["fundings"]}
    assert Decimal(rows["HYPE"]["fundingRate"]) > 0
    assert Decimal(rows["HYPE"]["usdc"]) < 0 < Decimal(rows["SOL"]["usdc"])


def test_orders_tell_their_whole_life() -> None:
    """open, then canceled; the open list follows at once."""
    world, connection = make_offline()
    subscribe(connection, "orderUpdates", user=MAIN)
    subscribe(connection, "openOrders", user=MAIN)
    take(connection)
    order = world.place_order(VENUE, MAIN, "", "SOL", "buy", Decimal(1), Decimal(100))
    run(world, 0.1)
    frames = take(connection)
    assert data_of(frames, "orderUpdates")[0][0]["status"] == "open"
    assert order.order_id in [o["oid"] for o in data_of(frames, "openOrders")[0]["orders"]]
    world.cancel_order(VENUE, MAIN, "", order.order_id)
    run(world, 0.1)
    frames = take(connection)
    assert data_of(frames, "orderUpdates")[0][0]["status"] == "canceled"
    assert order.order_id not in [o["oid"] for o in data_of(frames, "openOrders")[0]["orders"]]


def test_liquidation_sequence() -> None:
    """Orders liquidatedCanceled, marked fills, ``liquidation`` in snake case, positions gone."""
    world, connection = make_offline()
    for kind in ("userEvents", "orderUpdates", "userFills", "clearinghouseState"):
        subscribe(connection, kind, user=MAIN)
    take(connection)
    pool = world.pool(VENUE, MAIN, "")
    pool.cash -= pool.cross_equity - pool.maintenance_margin * Decimal("0.5")
    run(world, 0.6)
    frames = take(connection)
    events = data_of(frames, "user")
    (liquidation,) = [event["liquidation"] for event in events if "liquidation" in event]
    assert liquidation["liquidated_user"] == MAIN
    assert liquidation.keys() == {
        "lid", "liquidator", "liquidated_user", "liquidated_ntl_pos", "liquidated_account_value",
    }  # fmt: skip
    fills = [fill for event in events for fill in event.get("fills", [])]
    assert {fill["liquidation"]["method"] for fill in fills} == {"backstop"}
    assert {fill["liquidation"]["liquidatedUser"] for fill in fills} == {MAIN}
    assert {fill["dir"] for fill in fills} == {"Close Long", "Close Short"}
    statuses = {u["status"] for frame in data_of(frames, "orderUpdates") for u in frame}
    assert statuses == {"liquidatedCanceled"}
    assert any("nonUserCancel" in event for event in events)
    state = data_of(frames, "clearinghouseState")[-1]["clearinghouseState"]
    assert [p["position"]["coin"] for p in state["assetPositions"]] == ["FARTCOIN"]


def test_a_resting_fill_notifies() -> None:
    """The notification says what was filled, in words."""
    world, connection = make_offline()
    subscribe(connection, "notification", user=MAIN)
    world.place_order(VENUE, MAIN, "", "SOL", "buy", Decimal(1), Decimal("126.00"))
    world.assets["SOL"].shocks.append(Ramp(world.now_s, world.now_s + 5, -0.05))
    texts = data_of(pushes(world, connection, 8), "notification")
    assert texts[0] == {"notification": "Resting order filled: Bought 1 SOL at $126.00"}


def test_web_data3_has_neither_positions_nor_orders() -> None:
    """Per-dex states without positions."""
    _, connection = make_offline()
    data = subscribe(connection, "webData3", user=MAIN)[1]["data"]
    assert data.keys() == {"userState", "perpDexStates"}
    assert len(data["perpDexStates"]) == 2
    assert "assetPositions" not in json.dumps(data)


# ------------------------------------------------------------------------------------------ limits


def test_a_silent_connection_is_cut_after_a_minute() -> None:
    """59 seconds are fine, 60 are not; a ping within them starts the minute anew."""
    world, connection = make_offline()
    run(world, 59, step_s=1)
    assert not connection.dropped
    say(connection, {"method": "ping"})
    run(world, 59, step_s=1)
    assert not connection.dropped
    run(world, 1.5, step_s=0.5)
    assert connection.dropped


def test_ten_users_at_most() -> None:
    """The eleventh is refused with a text that does not say which; a known one is welcome."""
    _, connection = make_offline()
    for number in range(10):
        subscribe(connection, "userFills", user=f"0x{number:040x}")
    (refused,) = subscribe(connection, "userFills", user=MAIN)
    assert refused == {"channel": "error", "data": "Cannot track more than 10 total users."}
    assert subscribe(connection, "orderUpdates", user=f"0x{3:040x}")[0]["channel"] != "error"


def test_limits_are_shared_by_all_connections() -> None:
    """Ten users are ten, on however many sockets."""
    offline = Offline(World(7, START_S))
    one, two = offline.open(), offline.open()
    for number in range(10):
        subscribe(one if number % 2 else two, "userFills", user=f"0x{number:040x}")
    assert subscribe(two, "userFills", user=MAIN)[0]["channel"] == "error"


def test_two_thousand_messages_a_minute() -> None:
    """The 2001st is refused; a minute later there is room again."""
    world, connection = make_offline()
    for _ in range(2_000):
        connection.receive('{"method":"ping"}')
    assert {frame["channel"] for frame in take(connection)} == {"pong"}
    assert say(connection, {"method": "ping"})[0]["channel"] == "error"
    run(world, 61, step_s=30)
    assert say(connection, {"method": "ping"})[0]["channel"] == "pong"


# ------------------------------------------------------------------------------------------ faults


def test_a_dead_channel_on_a_living_socket() -> None:
    """Only the channel and coin named go silent; healing brings them back."""
    world, connection = make_offline()
    subscribe(connection, "activeAssetCtx", coin="BTC")
    subscribe(connection, "activeAssetCtx", coin="ETH")
    world.faults.inject(
        Fault(kind=FaultKind.DEAD_CHANNEL, venue=VENUE, channel="activeAssetCtx", market="BTC")
    )
    coins = {data["coin"] for data in data_of(pushes(world, connection, 5), "activeAssetCtx")}
    assert coins == {"ETH"}
    assert say(connection, {"method": "ping"})[0] == {"channel": "pong"}
    world.faults.heal()
    coins = {data["coin"] for data in data_of(pushes(world, connection, 5), "activeAssetCtx")}
    assert coins == {"BTC", "ETH"}


def test_garbage_frames_cannot_be_used() -> None:
    """Every pushed frame is spoilt one way or another; acks and pongs are whole."""
    world, connection = make_offline()
    world.faults.inject(Fault(kind=FaultKind.GARBAGE_FRAMES, venue=VENUE))
    connection.receive(
        json.dumps({"method": "subscribe", "subscription": {"type": "bbo", "coin": "BTC"}})
    )
    run(world, 30)
    ack, *spoilt = connection.outbox
    assert json.loads(ack)["channel"] == "subscriptionResponse"
    assert len(spoilt) > 20
    for raw in spoilt:
        try:
            frame = json.loads(raw)
        except ValueError:
            continue
        assert frame["data"].get("unexpected") or all(
            not side["px"] for side in frame["data"]["bbo"]
        )


def test_a_share_of_garbage() -> None:
    """With a ratio, good and bad frames mix."""
    world, connection = make_offline()
    subscribe(connection, "activeAssetCtx", coin="BTC")
    world.faults.inject(Fault(kind=FaultKind.GARBAGE_FRAMES, venue=VENUE, ratio=0.5))
    run(world, 60)
    good = [
        text
        for text in connection.outbox
        if isinstance(text, str) and '"oraclePx":"8' in text and text.endswith("}}}")
    ]
    assert 10 < len(good) < 50 < len(connection.outbox)


def test_lost_frames_never_arrive() -> None:
    """Of a channel's frames the share named is missing; others are whole."""
    world, connection = make_offline()
    for kind in ("activeAssetCtx", "candle"):
        subscribe(connection, kind, coin="BTC", **({"interval": "1m"} if kind == "candle" else {}))
    world.faults.inject(
        Fault(kind=FaultKind.LOST_FRAMES, venue=VENUE, channel="activeAssetCtx", ratio=0.5)
    )
    frames = pushes(world, connection, 40)
    assert len(data_of(frames, "candle")) == 40
    assert 8 < len(data_of(frames, "activeAssetCtx")) < 32


def test_half_open_says_nothing_and_does_not_close() -> None:
    """No data, no pong, no cut, for minutes; healed, it goes on."""
    world, connection = make_offline()
    subscribe(connection, "activeAssetCtx", coin="BTC")
    world.faults.inject(Fault(kind=FaultKind.HALF_OPEN, venue=VENUE))
    assert say(connection, {"method": "ping"}) == []
    assert pushes(world, connection, 180) == []
    assert not connection.dropped
    world.faults.heal(FaultKind.HALF_OPEN)
    assert 2 <= len(pushes(world, connection, 3)) <= 3


def test_slow_frames_arrive_late_and_in_order() -> None:
    """Delayed by what the fault says; frames after healing do not overtake."""
    world, connection = make_offline()
    subscribe(connection, "activeAssetCtx", coin="BTC")
    world.faults.inject(Fault(kind=FaultKind.SLOW, venue=VENUE, delay_s=4))
    assert pushes(world, connection, 4.9) == []
    world.faults.heal()
    say(connection, {"method": "ping"})
    assert list(connection.outbox) == []
    run(world, 5)
    channels = [frame["channel"] for frame in take(connection)]
    assert channels.count("pong") == 1
    assert channels.index("pong") >= 4


def test_state_of_an_account_in_any_case_is_pushed_with_lower_case() -> None:
    """Frames carry the lower-case address."""
    _, connection = make_offline()
    user = addresses.HYPERLIQUID_SUBACCOUNT
    data = subscribe(connection, "clearinghouseState", user=user.upper().replace("0X", "0x"))
    assert data[1]["data"]["user"] == user
    assert data[1]["data"]["dex"] == ""
