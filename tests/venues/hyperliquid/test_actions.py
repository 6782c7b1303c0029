"""Actions of ``/exchange``: bytes and signatures, against recorded vectors and the official SDK."""

from __future__ import annotations

import asyncio
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.cli.children import die_with_parent
from monitor.venues.hyperliquid import actions
from monitor.venues.hyperliquid.actions import (
    Action,
    Assets,
    Cancel,
    CancelByClientId,
    CancelLine,
    ClientCancelLine,
    Noop,
    Reduce,
    ReduceLine,
    ScheduleCancel,
    TwapCancel,
    UpdateLeverage,
    digest_of,
    exchange_request,
    exchange_weight,
    lines_of,
    pack,
    plain,
    wire_of,
)
from monitor.venues.hyperliquid.signing import (
    Signature,
    SigningKey,
    agent_digest,
    connection_id,
    recover_address,
)
from tests.official_clients import clients_python
from tests.shared_data import shared_data

KEY = SigningKey.from_text("0x" + "0123456789" * 6 + "0123")
ADDRESS = "0x14791697260e4c9a71f18484c9f997b308e59325"
VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
SCRIPT = Path(__file__).parent / "official_signatures.py"
SOURCE = Path(actions.__file__)
VECTORS = "venues/hyperliquid/signing_vectors.json"


def client_id(number: int) -> str:
    """A client id as the venue wants it."""
    return f"0x{number:032x}"


ACTIONS: dict[str, Action] = {
    "cancel": Cancel(lines=(CancelLine(0, 123456789),)),
    "cancelByCloid": CancelByClientId(lines=(ClientCancelLine(0, client_id(1)),)),
    "scheduleCancel_set": ScheduleCancel(time_ms=1700000010000),
    "scheduleCancel_clear": ScheduleCancel(),
    "updateLeverage": UpdateLeverage(asset=0, is_cross=True, leverage=5),
    "order_reduce_only_ioc": Reduce(
        lines=(
            ReduceLine(
                asset=0,
                is_buy=False,
                limit_price=Decimal("95000.0"),
                size=Decimal("0.0100"),
                client_id=client_id(2),
            ),
        )
    ),
    "noop": Noop(),
}


def numbers(signature: dict[str, Any]) -> tuple[int, int, int]:
    """A signature by value, however it is padded."""
    return int(signature["r"], 16), int(signature["s"], 16), signature["v"]


def vectors() -> list[dict[str, Any]]:
    """The recorded L1 vectors."""
    rows = json.loads(shared_data(VECTORS).read_bytes())["vectors"]
    return [row for row in rows if row.get("msgpack")]


def test_every_vector_of_the_file_is_ours_too() -> None:
    """Packed bytes, hash and both networks' signatures of each recorded action."""
    assert KEY.address == ADDRESS
    seen = set()
    for row in vectors():
        wire = wire_of(ACTIONS[row["name"]])
        given = {"vault": row["vaultAddress"], "expires_after_ms": row["expiresAfter"]}
        assert wire == row["action"], row["name"]
        assert "0x" + pack(wire).hex() == row["msgpack"], row["name"]
        connection = connection_id(pack(wire), nonce=row["nonce"], **given)
        assert "0x" + connection.hex() == row["connectionId"], row["name"]
        for mainnet, field in ((True, "signature_mainnet"), (False, "signature_testnet")):
            signature = KEY.sign(agent_digest(connection, mainnet=mainnet))
            # The file pads with zeros; the SDK on the wire does not, and nor do we.
            assert numbers(msgspec.to_builtins(signature)) == numbers(row[field]), row["name"]
            assert recover_address(agent_digest(connection, mainnet=mainnet), signature) == ADDRESS
        seen.add((row["name"], row["vaultAddress"] is None, row["expiresAfter"] is None))
    assert len(seen) == 21


def test_a_withdrawal_cannot_even_be_written() -> None:
    """The one recorded action that is not ours moves money out of the venue."""
    rows = json.loads(shared_data(VECTORS).read_bytes())["vectors"]
    others = [row["name"] for row in rows if row["name"] not in ACTIONS]
    assert [name[:9] for name in others] == ["withdraw3"]
    assert "withdraw" not in SOURCE.read_text()


def test_the_sdks_published_hash_is_ours() -> None:
    """The official SDK's own test vector: an order that is not reduce-only, by its bytes."""
    wire = {
        "type": "order",
        "orders": [
            {
                "a": 4,
                "b": True,
                "p": "1670.1",
                "s": "0.0147",
                "r": False,
                "t": {"limit": {"tif": "Ioc"}},
            }
        ],
        "grouping": "na",
    }
    connection = connection_id(pack(wire), nonce=1677777606040)  # type: ignore[arg-type]  # written by hand
    assert connection.hex() == "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908"


def random_action(generator: random.Random) -> Action:
    """Any action, with numbers of every length."""

    def asset() -> int:
        return generator.choice((0, 4, 127, 128, 255, 256, 10_107, 110_001, 65_536))

    def number() -> int:
        return generator.choice((0, 127, 128, 255, 256, 65_535, 65_536, 2**31, 2**32, 2**53))

    def some() -> int:
        return generator.choice((1, 2, 15, 16, 40))

    def amount() -> Decimal:
        return Decimal(generator.randint(1, 10**9)).scaleb(-generator.randint(0, 6))

    def identity() -> str:
        return client_id(generator.getrandbits(128))

    choices = (
        lambda: Cancel(
            lines=tuple(CancelLine(asset(), number()) for _ in range(some())),
            fast=generator.random() < 0.5,
        ),
        lambda: CancelByClientId(
            lines=tuple(ClientCancelLine(asset(), identity()) for _ in range(some()))
        ),
        lambda: TwapCancel(asset=asset(), twap_id=number()),
        lambda: Reduce(
            lines=tuple(
                ReduceLine(
                    asset=asset(),
                    is_buy=generator.random() < 0.5,
                    limit_price=amount(),
                    size=amount(),
                    client_id=identity(),
                )
                for _ in range(some())
            )
        ),
        Noop,
        lambda: ScheduleCancel(time_ms=generator.choice((None, number()))),
        lambda: UpdateLeverage(
            asset=asset(), is_cross=generator.random() < 0.5, leverage=generator.randint(1, 50)
        ),
    )
    return generator.choice(choices)()


@pytest.mark.component
async def test_two_hundred_random_actions_are_signed_as_the_official_sdk_signs_them() -> None:
    """The SDK, in its own interpreter, makes the same hash and signature of each."""
    generator = random.Random(7)  # noqa: S311 - an example generator, not a secret
    cases = [
        {
            "action": wire_of(random_action(generator)),
            "nonce": generator.randint(1_600_000_000_000, 1_900_000_000_000),
            "vault": generator.choice((None, VAULT)),
            "expires": generator.choice((None, 1_800_000_000_000)),
            "mainnet": generator.random() < 0.5,
        }
        for _ in range(200)
    ]
    child = await asyncio.create_subprocess_exec(
        clients_python(),
        SCRIPT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent(),
    )
    said, _ = await child.communicate(json.dumps(cases).encode())
    assert child.returncode == 0
    signed = json.loads(said)
    for case, theirs in zip(cases, signed, strict=True):
        digest = digest_of(
            case["action"],  # type: ignore[arg-type]  # a mixed row of the test
            nonce=case["nonce"],  # type: ignore[arg-type]  # likewise
            vault=case["vault"],  # type: ignore[arg-type]  # likewise
            expires_after_ms=case["expires"],  # type: ignore[arg-type]  # likewise
            mainnet=bool(case["mainnet"]),
        )
        assert msgspec.to_builtins(KEY.sign(digest)) == theirs, case


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("95000", "95000", id="whole"),
        pytest.param("95000.00", "95000", id="trailing zeros go"),
        pytest.param("1E+3", "1000", id="no exponent"),
        pytest.param("1E-8", "0.00000001", id="small, no exponent"),
        pytest.param("0.10", "0.1", id="fraction"),
    ],
)
def test_numbers_are_written_plainly(value: str, written: str) -> None:
    """Plain decimals, as the venue hashes them."""
    assert plain(Decimal(value)) == written


@pytest.mark.parametrize("value", ["0", "-0", "-1", "NaN", "Infinity", "1E+30", "1E-30"])
def test_what_is_no_price_or_size_is_refused(value: str) -> None:
    """Nothing of the kind is ever signed."""
    with pytest.raises(ValueError, match="no price or size"):
        plain(Decimal(value))


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Cancel(lines=(CancelLine(-1, 5),)), id="negative asset"),
        pytest.param(Cancel(lines=(CancelLine(1, -5),)), id="negative order"),
        pytest.param(TwapCancel(asset=1, twap_id=2**63), id="number too large"),
        pytest.param(
            CancelByClientId(lines=(ClientCancelLine(1, "0x" + "A" * 32),)), id="capital letters"
        ),
        pytest.param(CancelByClientId(lines=(ClientCancelLine(1, "0x1"),)), id="short client id"),
    ],
)
def test_what_cannot_stand_in_a_request_is_refused(action: Action) -> None:
    """Numbers and ids that the venue would misread."""
    with pytest.raises(ValueError, match=r"no asset|out of range|no client id"):
        wire_of(action)


def test_asset_numbers_follow_the_lists() -> None:
    """First dex by position, builder dexes from 110000, delisted ones keep theirs, spot by name."""
    assets = Assets()
    assets.learn_dexes([None, "xyz", "abc"])
    assets.learn_markets("", ["BTC", "GONE", "ETH"])
    assets.learn_markets("abc", ["abc:ONE", "TWO"])
    found = {
        name: assets.number(name)
        for name in ("BTC", "ETH", "abc:ONE", "abc:TWO", "@107", "PURR/USDC", "xyz:CL", "#12")
    }
    assert found == {
        "BTC": 0,
        "ETH": 2,
        "abc:ONE": 120_000,
        "abc:TWO": 120_001,
        "@107": 10_107,
        "PURR/USDC": 10_000,
        "xyz:CL": None,
        "#12": None,
    }
    assert assets.dexes == ("", "xyz", "abc")
    assert assets.knows("abc")
    assert not assets.knows("xyz")


@pytest.mark.parametrize(("lines", "weight"), [(1, 1), (39, 1), (40, 2), (79, 2), (80, 3)])
def test_weight_grows_with_every_forty_lines(lines: int, weight: float) -> None:
    """1 + floor(n / 40)."""
    assert exchange_weight(lines) == weight


def test_the_request_holds_what_was_signed() -> None:
    """Envelope keys, nulls included, and the weight of its lines."""
    action = Cancel(lines=tuple(CancelLine(0, number) for number in range(41)), fast=True)
    request = exchange_request(
        "http://127.0.0.1:1/exchange",
        action,
        nonce=1,
        signature=Signature(r="0x1", s="0x2", v=27),
        timeout_s=3.0,
    )
    body = msgspec.json.decode(request.body or b"")
    assert list(body) == ["action", "nonce", "signature", "vaultAddress", "expiresAfter"]
    assert list(body["action"]) == ["type", "cancels", "f"]
    assert body["signature"] == {"r": "0x1", "s": "0x2", "v": 27}
    assert (body["vaultAddress"], body["expiresAfter"]) == (None, None)
    assert (request.weight, lines_of(action), request.timeout_s) == (2.0, 41, 3.0)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("0x" + "zz" * 32, id="no hexadecimal"),
        pytest.param("0x" + "11" * 31, id="too short"),
        pytest.param("00" * 32, id="zero"),
        pytest.param("ff" * 32, id="beyond the curve's order"),
    ],
)
def test_a_bad_key_is_refused_without_being_shown(text: str) -> None:
    """The error says what is wrong and not what was given."""
    with pytest.raises(ValueError, match=r"private key") as caught:
        SigningKey.from_text(text)
    assert text[2:12] not in str(caught.value)


def test_a_key_shows_nowhere() -> None:
    """Neither in a repr nor by serialising it."""
    assert repr(KEY) == "SigningKey(**********)"
    with pytest.raises(TypeError):
        KEY.__reduce__()
