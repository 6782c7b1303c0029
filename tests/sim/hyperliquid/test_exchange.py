"""``/exchange`` of the simulated Hyperliquid: who may send what, and what is answered."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from monitor.sim.addresses import HYPERLIQUID_MASTER, HYPERLIQUID_SIGNER, HYPERLIQUID_SUBACCOUNT
from monitor.sim.hyperliquid import actions, exchange, signatures
from monitor.sim.listings import HYPERLIQUID
from tests.shared_data import shared_data
from tests.sim.hyperliquid.trader import BTC, DOGE, ETH, SOL, Trader, order, sign

DAY_MS = 86_400_000
CLOID = "0x000000000000000000000000000000ab"


def vectors() -> list[dict[str, Any]]:
    """The published signing examples of order-side actions."""
    book = json.loads(shared_data("venues/hyperliquid/signing_vectors.json").read_bytes())
    return [vector for vector in book["vectors"] if "connectionId" in vector]


def test_published_examples_are_understood() -> None:
    """Packing, hash and signer of every example, on both networks."""
    seen = vectors()
    assert len(seen) == 21
    for vector in seen:
        envelope = actions.read(
            json.dumps(
                {
                    "action": vector["action"],
                    "nonce": vector["nonce"],
                    "signature": vector["signature_mainnet"],
                    "vaultAddress": vector["vaultAddress"],
                    "expiresAfter": vector["expiresAfter"],
                }
            ).encode()
        )
        written = actions.canonical(envelope.action)
        assert "0x" + signatures.pack(written).hex() == vector["msgpack"]
        connection = signatures.connection_id(
            written, envelope.nonce, envelope.vault_address, envelope.expires_after
        )
        assert "0x" + connection.hex() == vector["connectionId"]
        for network, source in (("mainnet", "a"), ("testnet", "b")):
            said = vector[f"signature_{network}"]
            signer = signatures.recover(
                signatures.digest(connection, source), int(said["r"], 16), int(said["s"], 16),
                said["v"],
            )  # fmt: skip
            assert signer == HYPERLIQUID_SIGNER


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda b: b["action"].update(cancels=[{"a": 0, "o": 2}]), id="another order"),
        pytest.param(lambda b: b.update(nonce=b["nonce"] + 1), id="another nonce"),
        pytest.param(lambda b: b.update(vaultAddress=HYPERLIQUID_SUBACCOUNT), id="another account"),
        pytest.param(lambda b: b.update(expiresAfter=b["nonce"] + 9), id="another expiry"),
    ],
)
def test_a_signature_is_good_for_one_request_only(spoil: Any) -> None:
    """Whatever differs from what was signed makes the signer somebody nobody knows."""
    trader = Trader()
    body = sign({"type": "cancel", "cancels": [{"a": 0, "o": 1}]}, trader.nonce)
    spoil(body)
    answer = trader.submit(body)
    assert answer is not None
    said = json.loads(answer.body)
    assert answer.status == 200
    assert said["status"] == "err"
    assert said["response"].startswith("L1 error: User or API Wallet 0x")
    assert said["response"].endswith(" does not exist.")
    assert HYPERLIQUID_SIGNER not in said["response"]


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param({"b": False, "a": BTC, "p": "1", "s": "1", "r": True,
                      "t": {"limit": {"tif": "Ioc"}}}, id="keys in another order"),
        pytest.param(order(BTC, "0.010", "84000", buy=False), id="a trailing zero"),
        pytest.param(order(BTC, "0.01", "84000.0", buy=False), id="a price with a zero behind"),
        pytest.param({**order(BTC, "0.01", "84000", buy=False), "x": 1}, id="an unknown key"),
    ],
)  # fmt: skip
def test_the_venue_judges_its_own_writing(wire: Any) -> None:
    """Signed as it stands, but not as the venue would have written it."""
    text = Trader().refused({"type": "order", "orders": [wire], "grouping": "na"})
    assert text.startswith("L1 error: User or API Wallet 0x")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b'{"action"', 400, id="half of it"),
        pytest.param(b"{}", 422, id="nothing in it"),
        pytest.param(b'{"action":{"type":"fly"},"nonce":1}', 422, id="an unknown action"),
        pytest.param(
            json.dumps(sign({"type": "cancel", "cancels": [{"a": 0, "o": "1"}]}, 1)).encode(),
            422,
            id="a text for a number",
        ),
        pytest.param(
            json.dumps(
                sign({"type": "order", "orders": [order(0, "1e1", "1", buy=True)],
                      "grouping": "na"}, 1)
            ).encode(),
            422,
            id="an exponent",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read(body: bytes, status: int) -> None:
    """The only answers that are not HTTP 200."""
    answer = Trader().submit(body)
    assert answer is not None
    assert (answer.status, answer.json) == (status, False)


@pytest.mark.parametrize(
    ("offset_ms", "text"),
    [
        pytest.param(0, None, id="now"),
        pytest.param(-2 * DAY_MS, None, id="two days old"),
        pytest.param(-2 * DAY_MS - 1, "nonce too low", id="older than two days"),
        pytest.param(DAY_MS, None, id="a day ahead"),
        pytest.param(DAY_MS + 1, "nonce too high", id="more than a day ahead"),
    ],
)
def test_nonces_lie_near_the_venues_time(offset_ms: int, text: str | None) -> None:
    """Both sides of both limits."""
    trader = Trader()
    nonce = round(trader.world.now_s * 1_000) + offset_ms
    if text is None:
        trader.do({"type": "noop"}, nonce=nonce)
    else:
        assert trader.refused({"type": "noop"}, nonce=nonce).startswith(f"Invalid nonce: {text} ")


def test_a_nonce_is_good_once_and_only_the_newest_are_kept() -> None:
    """A duplicate is refused; once a hundred are kept, so is what lies below them."""
    trader = Trader()
    first = trader.nonce
    trader.do({"type": "noop"}, nonce=first)
    assert trader.refused({"type": "noop"}, nonce=first) == (
        f"Invalid nonce: duplicate nonce {first}"
    )
    trader.do({"type": "noop"}, nonce=first - 5)  # older, but there is room
    for number in range(1, 101):
        trader.do({"type": "noop"}, nonce=first + number)
    assert trader.refused({"type": "noop"}, nonce=first - 4) == (
        f"Invalid nonce: nonce too low {first - 4} < {first + 1}"
    )


@pytest.mark.parametrize(
    ("late_ms", "expired"), [pytest.param(0, False, id="in time"), pytest.param(1, True, id="late")]
)
def test_an_expired_action_does_nothing_and_costs_five(late_ms: int, *, expired: bool) -> None:
    """Both sides of the expiry."""
    trader = Trader()
    account = trader.world.account(HYPERLIQUID, HYPERLIQUID_MASTER)
    before, now_ms = account.requests_used, round(trader.world.now_s * 1_000)
    if expired:
        text = trader.refused({"type": "noop"}, expires_after=now_ms - late_ms)
        assert text == "Action already expired"
    else:
        trader.do({"type": "noop"}, expires_after=now_ms - late_ms)
    assert account.requests_used - before == (5 if expired else 1)


def test_api_wallets_act_for_their_master_and_its_sub_accounts() -> None:
    """Without a vault address for the master, with one for the sub-account, for nobody else's."""
    trader = Trader(vault=HYPERLIQUID_SUBACCOUNT)
    (status,) = trader.orders(order(DOGE, "1000", trader.mark("DOGE", "1.01"), buy=True))
    assert status["filled"]["totalSz"] == "1000"
    assert trader.position("DOGE", HYPERLIQUID_SUBACCOUNT) == Decimal(-249_000)
    stranger = "0x51a0000000000000000000000000000000000004"
    assert trader.refused({"type": "noop"}, vault=stranger).startswith("Vault not registered: ")
    trader.world.account(HYPERLIQUID, HYPERLIQUID_SUBACCOUNT).master = stranger
    refusal = trader.refused({"type": "noop"})
    assert refusal == f"User {HYPERLIQUID_MASTER} cannot act for {HYPERLIQUID_SUBACCOUNT}."


def test_a_reduce_only_ioc_reduces() -> None:
    """Position, fill, fee, client id and order status all say the same."""
    trader = Trader()
    (status,) = trader.orders(
        order(BTC, "0.5", trader.mark("BTC", "1.01"), buy=True, reduce=True, cloid=CLOID)
    )
    filled = status["filled"]
    assert filled["totalSz"] == "0.5"
    assert filled["cloid"] == CLOID
    assert trader.position("BTC") == Decimal("-0.7")
    pool = trader.world.pool(HYPERLIQUID, HYPERLIQUID_MASTER, "")
    mine = [fill for fill in pool.fills if fill.order_id == filled["oid"]]
    assert sum(fill.size for fill in mine) == Decimal("0.5")
    assert {fill.client_id for fill in mine} == {CLOID}
    assert all(fill.taker and fill.fee_usd > 0 for fill in mine)
    assert pool.order_history[-1].status == "filled"


def test_cancels_by_both_ids_and_twice() -> None:
    """One status each, in order; what is gone is told in the venue's words."""
    trader = Trader()
    price = trader.mark("ETH", "0.9")
    first, second = trader.orders(
        order(ETH, "1", price, buy=True, tif="Gtc"),
        order(ETH, "1", price, buy=True, tif="Alo", cloid=CLOID),
    )
    oid = first["resting"]["oid"]
    assert second["resting"]["cloid"] == CLOID
    gone = {"error": "Order was never placed, already canceled, or filled. asset=1"}
    assert trader.cancel((ETH, oid), (ETH, oid)) == ["success", gone]
    assert trader.cancel((SOL, oid))[0]["error"].endswith(" asset=2")
    by_cloid = {"type": "cancelByCloid", "cancels": [{"asset": ETH, "cloid": CLOID}], "f": True}
    assert trader.do(by_cloid) == {"type": "cancel", "data": {"statuses": ["success"]}}
    assert trader.do(by_cloid)["data"]["statuses"] == [gone]


@pytest.mark.parametrize(
    ("value", "packed"),
    [
        pytest.param(127, "7f", id="the largest small number"),
        pytest.param(128, "cc80", id="one byte"),
        pytest.param(256, "cd0100", id="two bytes"),
        pytest.param(65_536, "ce00010000", id="four bytes"),
        pytest.param(1 << 32, "cf0000000100000000", id="eight bytes"),
        pytest.param(-32, "e0", id="the smallest small number"),
        pytest.param(-33, "d0df", id="a negative byte"),
        pytest.param(-129, "d1ff7f", id="two negative bytes"),
        pytest.param("a" * 31, "bf" + "61" * 31, id="a short text"),
        pytest.param("a" * 32, "d920" + "61" * 32, id="a longer text"),
        pytest.param([None] * 16, "dc0010" + "c0" * 16, id="a long list"),
        pytest.param({"a": True}, "81a161c3", id="a mapping"),
    ],
)
def test_packing_is_the_shortest_there_is(value: Any, packed: str) -> None:
    """Both sides of each form's bound, by the format's own description."""
    assert signatures.pack(value).hex() == packed


def test_weight_grows_with_the_batch() -> None:
    """One, and one more for every forty."""
    trader = Trader()
    for length, weight in ((1, 1), (39, 1), (40, 2), (80, 3)):
        cancels = [{"a": 0, "o": 1}] * length
        trader.nonce += 1
        body = json.dumps(sign({"type": "cancel", "cancels": cancels}, trader.nonce)).encode()
        assert exchange.submit(trader.world, body, trader.answers.append) == weight
