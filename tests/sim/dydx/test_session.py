"""The WebSocket rules of the simulated dYdX indexer: ids, errors, limits, batches."""

from __future__ import annotations

import json

import pytest

from monitor.sim.dydx.session import (
    BLOCKED_TEXT,
    CHANNEL_CAPS,
    RATE_LIMITED,
    Asked,
    Reaction,
    Session,
)

TICKERS = {"BTC-USD", "ETH-USD", "FARTCOIN,RAYDIUM,9BB6-USD"}
ADDRESS = "dydx1" + "q" * 38


def session() -> Session:
    """A fresh connection."""
    fresh = Session("11111111-2222-4333-8444-555555555555", lambda name: name in TICKERS)
    fresh.opened()
    return fresh


def say(to: Session, message: object, now_s: float = 0.0) -> Reaction:
    """Send one client message as JSON."""
    return to.received(json.dumps(message), now_s)


def subscribe(to: Session, channel: str, key: str | None = None, **more: object) -> Asked:
    """A subscribe that is accepted for fetching."""
    message = {"type": "subscribe", "channel": channel, **more}
    if key is not None:
        message["id"] = key
    asked = say(to, message).fetch
    assert asked is not None
    return asked


def read(frames: tuple[bytes, ...]) -> list[dict[str, object]]:
    """Decode frames for comparison."""
    return [json.loads(frame) for frame in frames]


def test_connected_has_message_id_zero() -> None:
    """The greeting has exactly three keys and id 0."""
    fresh = Session("c-1", lambda _: True)
    assert json.loads(fresh.opened()) == {
        "type": "connected",
        "connection_id": "c-1",
        "message_id": 0,
    }


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("{nope", "Invalid message: could not parse", id="not JSON"),
        pytest.param("{}", "Invalid message: type is required", id="no type"),
        pytest.param("[]", "Invalid message: type is required", id="an array"),
        pytest.param("null", "Internal error", id="null"),
        pytest.param('{"type":"hello"}', "Invalid message type: hello", id="unknown type"),
        pytest.param(
            '{"type":"subscribe"}',
            "Invalid subscribe message: channel is required",
            id="no channel",
        ),
        pytest.param(
            '{"type":"unsubscribe"}',
            "Invalid subscribe message: channel is required",
            id="unsubscribe without channel",
        ),
        pytest.param(
            '{"type":"subscribe","channel":"v5"}', "Invalid channel: v5", id="unknown channel"
        ),
        pytest.param(
            '{"type":"subscribe","channel":"v4_trades"}', "Invalid id: undefined", id="no id"
        ),
        pytest.param(
            '{"type":"subscribe","channel":"v4_trades","id":7}', "Invalid id: 7", id="number id"
        ),
    ],
)
def test_errors_before_subscribing_repeat_the_current_id(text: str, error: str) -> None:
    """An invalid message answers with the venue's text, no channel, and uses no id."""
    fresh = session()
    (reply,) = read(fresh.received(text, 0.0).send)
    assert reply == {
        "type": "error",
        "message": error,
        "connection_id": fresh.connection_id,
        "message_id": 0,
    }
    assert fresh.message_id == 0


@pytest.mark.parametrize(
    ("channel", "key"),
    [
        pytest.param("v4_trades", "FOO-USD", id="unknown market"),
        pytest.param("v4_orderbook", "FOO-USD", id="unknown book"),
        pytest.param("v4_candles", "BTC-USD/2MIN", id="unknown resolution"),
        pytest.param("v4_candles", "BTC-USD", id="no resolution"),
        pytest.param("v4_subaccounts", f"{ADDRESS}/128000", id="number one too high"),
        pytest.param("v4_subaccounts", ADDRESS, id="no number"),
        pytest.param("v4_parent_subaccounts", f"{ADDRESS}/128", id="parent one too high"),
    ],
)
def test_invalid_subscription_id_reuses_the_reserved_id(channel: str, key: str) -> None:
    """A wrong id for its channel is refused under the id that the request reserved."""
    fresh = session()
    (reply,) = read(say(fresh, {"type": "subscribe", "channel": channel, "id": key}).send)
    assert reply["message"] == f"Invalid subscription id for channel: ({channel}-{key})"
    assert reply["message_id"] == 1
    assert set(reply) == {"type", "message", "connection_id", "message_id"}


@pytest.mark.parametrize(
    ("channel", "key"),
    [
        pytest.param("v4_trades", "FARTCOIN,RAYDIUM,9BB6-USD", id="exotic ticker"),
        pytest.param("v4_candles", "BTC-USD/4HOURS", id="candles"),
        pytest.param("v4_subaccounts", f"{ADDRESS}/127999", id="highest number"),
        pytest.param("v4_parent_subaccounts", f"{ADDRESS}/127", id="highest parent"),
    ],
)
def test_valid_ids_are_fetched(channel: str, key: str) -> None:
    """The last allowed values of each channel pass."""
    assert subscribe(session(), channel, key).key == key


def test_subscribed_comes_late_with_its_reserved_id() -> None:
    """Data of another channel overtakes the snapshot; ids arrive as 2, 3, 1."""
    fresh = session()
    trades = subscribe(fresh, "v4_trades", "BTC-USD")
    markets = subscribe(fresh, "v4_markets")
    (first,) = read(fresh.fetched(markets, {"markets": {}}))
    data = fresh.publish("v4_markets", "v4_markets", {"trading": {}})
    (last,) = read(fresh.fetched(trades, {"trades": []}))
    assert data is not None
    assert [first["message_id"], json.loads(data)["message_id"], last["message_id"]] == [2, 3, 1]
    assert last == {
        "type": "subscribed",
        "connection_id": fresh.connection_id,
        "message_id": 1,
        "channel": "v4_trades",
        "id": "BTC-USD",
        "contents": {"trades": []},
    }


def test_markets_never_carry_an_id_and_block_height_carries_its_name() -> None:
    """The two channels without ids differ in how they say so."""
    fresh = session()
    (markets,) = read(fresh.fetched(subscribe(fresh, "v4_markets"), {}))
    (height,) = read(fresh.fetched(subscribe(fresh, "v4_block_height"), {}))
    assert "id" not in markets
    assert height["id"] == "v4_block_height"
    data = fresh.publish("v4_markets", "v4_markets", {})
    assert data is not None
    assert set(json.loads(data)) == {
        "type", "connection_id", "message_id", "channel", "version", "contents",
    }  # fmt: skip


def test_events_before_registration_are_lost() -> None:
    """The snapshot race: what happens between request and answer reaches nobody."""
    fresh = session()
    asked = subscribe(fresh, "v4_subaccounts", f"{ADDRESS}/0")
    lost = fresh.publish("v4_subaccounts", f"{ADDRESS}/0", {"fills": []})
    fresh.fetched(asked, {})
    kept = fresh.publish("v4_subaccounts", f"{ADDRESS}/0", {"fills": []})
    assert lost is None
    assert kept is not None
    assert json.loads(kept)["message_id"] == 2


def test_unsubscribe_is_answered_even_when_not_subscribed() -> None:
    """An unsubscribe uses one id and ends the data."""
    fresh = session()
    fresh.fetched(subscribe(fresh, "v4_trades", "BTC-USD"), {})
    message = {"type": "unsubscribe", "channel": "v4_trades", "id": "BTC-USD"}
    (first,) = read(say(fresh, message).send)
    (again,) = read(say(fresh, message).send)
    assert first["type"] == again["type"] == "unsubscribed"
    assert (first["message_id"], again["message_id"]) == (2, 3)
    assert first["id"] == "BTC-USD"
    assert fresh.publish("v4_trades", "BTC-USD", {}) is None


def test_double_subscribe_is_an_error_with_channel_and_id() -> None:
    """The second one fails after its fetch; the first stays."""
    fresh = session()
    fresh.fetched(subscribe(fresh, "v4_trades", "BTC-USD"), {})
    (reply,) = read(fresh.fetched(subscribe(fresh, "v4_trades", "BTC-USD"), {}))
    assert reply == {
        "type": "error",
        "message": "Invalid subscribe message: already subscribed (v4_trades-BTC-USD)",
        "connection_id": fresh.connection_id,
        "message_id": 2,
        "channel": "v4_trades",
        "id": "BTC-USD",
    }
    assert fresh.publish("v4_trades", "BTC-USD", {}) is not None


def test_failed_fetch_never_produces_a_subscribed() -> None:
    """The error names channel and id, except for a channel that has none."""
    fresh = session()
    (book,) = read(fresh.fetch_failed(subscribe(fresh, "v4_orderbook", "BTC-USD")))
    (markets,) = read(fresh.fetch_failed(subscribe(fresh, "v4_markets")))
    text = "Internal error, could not fetch data for subscription: {}."
    assert (book["message"], book["id"]) == (text.format("v4_orderbook"), "BTC-USD")
    assert markets["message"] == text.format("v4_markets")
    assert "id" not in markets
    assert fresh.subscriptions() == ()


def test_blocked_address_is_told_so() -> None:
    """A compliance block is an error on the subscription."""
    fresh = session()
    asked = subscribe(fresh, "v4_subaccounts", f"{ADDRESS}/0")
    (reply,) = read(fresh.fetch_failed(asked, blocked=True))
    assert reply["message"] == BLOCKED_TEXT


@pytest.mark.parametrize(
    ("at_s", "closed"),
    [
        pytest.param(0.999, True, id="third within the second"),
        pytest.param(1.0, False, id="third a second later"),
    ],
)
def test_third_subscribe_of_a_key_within_a_second_closes(at_s: float, closed: bool) -> None:
    """Two attempts per channel and id are free; the third costs the connection."""
    fresh = session()
    message = {"type": "subscribe", "channel": "v4_trades", "id": "BTC-USD"}
    say(fresh, message, 0.0)
    say(fresh, message, 0.1)
    reaction = say(fresh, message, at_s)
    assert (reaction.close == RATE_LIMITED) is closed
    assert (reaction.fetch is None) is closed
    if closed:
        assert read(reaction.send)[0]["message"] == (
            "Too many subscribe attempts for channel v4_trades-BTC-USD. "
            "Please  reconnect and try again."
        )
        assert RATE_LIMITED == (1008, '{"message":"Rate limited"}')


def test_third_invalid_message_within_a_second_closes() -> None:
    """Two garbage frames are forgiven."""
    fresh = session()
    reactions = [fresh.received("?", now_s) for now_s in (0.0, 0.5, 0.9)]
    assert [reaction.close for reaction in reactions] == [None, None, RATE_LIMITED]
    assert read(reactions[2].send)[0]["message"] == (
        "Too many invalid messages. Please reconnect and try again."
    )


def test_wrong_channels_do_not_count_as_invalid_messages() -> None:
    """Only unparsable, untyped and unknown messages use up the allowance."""
    fresh = session()
    reactions = [say(fresh, {"type": "subscribe", "channel": "x"}) for _ in range(5)]
    assert {reaction.close for reaction in reactions} == {None}


@pytest.mark.parametrize("channel", ["v4_trades", "v4_parent_subaccounts", "v4_block_height"])
def test_one_more_than_the_cap_is_refused_and_does_not_exist(channel: str) -> None:
    """32 market channels, 256 accounts, one block height; the text names the limit."""
    cap = CHANNEL_CAPS[channel]
    fresh = Session("c", lambda _: True)
    for number in range(cap):
        key = None if channel == "v4_block_height" else f"{ADDRESS}{number}/0"
        fresh.fetched(subscribe(fresh, channel, key), {})
    message = {"type": "subscribe", "channel": channel, "id": "dydx1more/0"}
    (reply,) = read(say(fresh, message).send)
    assert reply["message"] == (
        f"Per-connection subscription limit reached for {channel} (limit={cap})."
    )
    assert fresh.publish(channel, "dydx1more/0", {}) is None
    assert len(fresh.subscriptions()) == cap


def test_pending_fetches_count_towards_the_cap_and_failures_free_it() -> None:
    """33 at once: one is refused; after a failed fetch there is room again."""
    fresh = Session("c", lambda _: True)
    asked = [subscribe(fresh, "v4_trades", f"M{number}-USD") for number in range(32)]
    message = {"type": "subscribe", "channel": "v4_trades", "id": "ETH-USD"}
    assert say(fresh, message).fetch is None
    fresh.fetch_failed(asked[0])
    assert say(fresh, message).fetch is not None


def test_batched_messages_wait_and_come_oldest_first() -> None:
    """A batched subscription sends one array per flush, and nothing when nothing happened."""
    fresh = session()
    fresh.fetched(subscribe(fresh, "v4_markets", batched=True), {})
    assert fresh.publish("v4_markets", "v4_markets", {"trading": {"a": 1}}) is None
    assert fresh.publish("v4_markets", "v4_markets", {"trading": {"a": 2}}) is None
    (batch,) = read(fresh.flush())
    assert batch == {
        "type": "channel_batch_data",
        "connection_id": fresh.connection_id,
        "message_id": 2,
        "channel": "v4_markets",
        "version": "1.0.0",
        "contents": [{"trading": {"a": 1}}, {"trading": {"a": 2}}],
    }
    assert fresh.flush() == ()


def test_batches_of_a_parent_are_grouped_by_child() -> None:
    """The order between children inside a batch is lost, as at the venue."""
    fresh = session()
    key = f"{ADDRESS}/0"
    fresh.fetched(subscribe(fresh, "v4_parent_subaccounts", key, batched=True), {})
    for number, height in ((0, "1"), (128, "2"), (0, "3")):
        contents = {"blockHeight": height}
        fresh.publish("v4_parent_subaccounts", key, contents, subaccount_number=number)
    batches = read(fresh.flush())
    assert [(batch["subaccountNumber"], batch["contents"]) for batch in batches] == [
        (0, [{"blockHeight": "1"}, {"blockHeight": "3"}]),
        (128, [{"blockHeight": "2"}]),
    ]
    assert [batch["message_id"] for batch in batches] == [2, 3]


def test_lost_frame_leaves_a_gap_in_the_ids() -> None:
    """What the venue drops has used its id."""
    fresh = session()
    fresh.fetched(subscribe(fresh, "v4_trades", "BTC-USD"), {})
    assert fresh.publish("v4_trades", "BTC-USD", {}, lose=True) is None
    after = fresh.publish("v4_trades", "BTC-USD", {})
    assert after is not None
    assert json.loads(after)["message_id"] == 3


def test_ping_message_is_ignored() -> None:
    """No pong object exists; many pings are no offence."""
    fresh = session()
    assert {say(fresh, {"type": "ping"}) for _ in range(10)} == {Reaction()}
