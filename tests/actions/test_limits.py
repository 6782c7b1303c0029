"""The hourly cap, nonces over restarts, and what the settings refuse."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from monitor.actions.cap import WINDOW_MS, HourlyCap
from monitor.actions.nonces import (
    KEPT_MS,
    RESERVED_MS,
    NonceBook,
    NonceCounter,
    Sent,
    Writer,
)
from monitor.actions.settings import (
    ActingAccount,
    HyperliquidActionSettings,
    KeySource,
    acting_accounts,
    exchange_url,
    signs_for_mainnet,
)
from monitor.core.errors import ConfigError
from monitor.venues.hyperliquid.settings import HyperliquidSettings
from tests.actions.signing_desk import KEY, KEY_TEXT
from tests.manual_clock import until

NOW_MS = 1_700_000_000_000


# ------------------------------------------------------------------------------------------ the cap


@given(
    st.lists(st.tuples(st.integers(0, 3 * WINDOW_MS), st.integers(1, 60)), max_size=40),
)
def test_no_hour_holds_more_than_the_cap(wishes: list[tuple[int, int]]) -> None:
    """Whatever is asked for when, and wherever the hour begins."""
    cap, spent = HourlyCap(Decimal(100)), []
    for at_ms, usd in sorted(wishes):
        if usd <= cap.left(at_ms):
            cap.spend(Decimal(usd), at_ms)
            spent.append((at_ms, usd))
    for begin, _ in spent:
        assert sum(usd for at, usd in spent if begin <= at < begin + WINDOW_MS) <= 100


def test_a_clock_set_back_frees_nothing() -> None:
    """What was spent in what is now the future counts."""
    cap = HourlyCap(Decimal(100))
    cap.spend(Decimal(60), NOW_MS)
    assert cap.left(NOW_MS - WINDOW_MS) == 40
    cap.spend(Decimal(40), NOW_MS - WINDOW_MS)
    assert cap.left(NOW_MS + WINDOW_MS - 1) == 0
    assert cap.left(NOW_MS + WINDOW_MS) == 100


def test_what_is_kept_restores_the_cap() -> None:
    """Entries that still count, and no others."""
    cap = HourlyCap(Decimal(100), [(NOW_MS, Decimal(30)), (NOW_MS - WINDOW_MS, Decimal(50))])
    assert cap.entries(NOW_MS) == [(NOW_MS, Decimal(30))]
    assert cap.used(NOW_MS) == 30


# ------------------------------------------------------------------------------------------- nonces


def test_a_nonce_is_kept_before_it_is_used() -> None:
    """Every nonce lies below the ceiling, which rises in steps."""
    counter, ceilings = NonceCounter(), set()
    for step in range(3 * RESERVED_MS // 1000):
        assert counter.take(NOW_MS + step * 1000) < counter.ceiling
        ceilings.add(counter.ceiling)
    assert len(ceilings) == 3


def test_a_restart_gives_no_nonce_twice() -> None:
    """Even at the same millisecond."""
    first = NonceCounter()
    given_out = [first.take(NOW_MS) for _ in range(5)]
    assert NonceCounter(after=first.ceiling).take(NOW_MS) > given_out[-1]


SENT = Sent("main", NOW_MS, NOW_MS, NOW_MS + 30_000)


async def test_what_left_is_remembered_over_a_restart(tmp_path: Path) -> None:
    """Every attempt of an order, in order; half a line at the end costs nothing but itself."""
    path = tmp_path / "nonces"
    book = NonceBook(path, now_ms=NOW_MS)
    again = Sent("main", NOW_MS + 5, NOW_MS, NOW_MS + 30_000)
    await book.remember(["a", "b"], SENT)
    await book.remember(["a"], again)
    with path.open("ab") as file:
        file.write(b'{"client_ids":["c"],"se')
    for _ in range(2):  # the second time from the rewritten file
        book = NonceBook(path, now_ms=NOW_MS)
        assert (book.find("a"), book.find("b"), book.find("c")) == ((SENT, again), (SENT,), ())
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("later_ms", "known"), [(KEPT_MS, True), (KEPT_MS + 1, False)])
async def test_what_can_no_longer_matter_is_forgotten(
    later_ms: int, known: bool, tmp_path: Path
) -> None:
    """The venue takes no nonce that is two days old."""
    path = tmp_path / "nonces"
    await NonceBook(path, now_ms=NOW_MS).remember(["a"], SENT)
    assert bool(NonceBook(path, now_ms=NOW_MS + later_ms).find("a")) is known


@pytest.mark.parametrize(
    ("content", "complete"),
    [
        pytest.param(None, False, id="no file"),
        pytest.param(b"", True, id="an empty file"),
        pytest.param(b'{"half', True, id="half a line at the end had not left yet"),
        pytest.param(b'{"half\n', False, id="rubbish"),
    ],
)
def test_what_the_book_does_not_name_was_never_sent(
    content: bytes | None, complete: bool, tmp_path: Path
) -> None:
    """Where the file was there and readable; the next process finds one in any case."""
    path = tmp_path / "nonces"
    if content is not None:
        path.write_bytes(content)
    assert NonceBook(path, now_ms=NOW_MS).complete is complete
    assert NonceBook(path, now_ms=NOW_MS).complete


async def test_a_disk_that_refuses_stops_nothing_and_leaves_no_half_book(tmp_path: Path) -> None:
    """Noted in memory, counted; the file is gone until it can be written whole."""
    folder = tmp_path / "disk"
    folder.mkdir()
    path = folder / "nonces"
    book = NonceBook(path, now_ms=NOW_MS)
    path.unlink()
    path.mkdir()  # nothing can be appended to a folder
    await book.remember(["a"], SENT)
    assert (book.find("a"), book.failures) == ((SENT,), 1)
    path.rmdir()
    assert not path.exists()
    await book.remember(["b"], SENT)
    again = NonceBook(path, now_ms=NOW_MS)
    assert (again.complete, again.find("a"), again.find("b")) == (True, (SENT,), (SENT,))


async def test_a_slow_write_is_left_and_none_overtakes_it() -> None:
    """The deadline ends the waiting, not the write; the next one begins after it."""
    writer, gate, order = Writer(), threading.Event(), []

    def slow() -> None:
        gate.wait(10)
        order.append("slow")

    with pytest.raises(TimeoutError):
        await writer.run(slow)
    with pytest.raises(TimeoutError):  # it waits for the slow one, in vain
        await writer.run(order.append, "never begun")
    gate.set()
    await until(lambda: order)
    await writer.run(order.append, "next")
    assert order == ["slow", "next"]


# ----------------------------------------------------------------------------------------- settings


def settings(**more: Any) -> HyperliquidActionSettings:
    """The smallest section."""
    values = {
        "accounts": [{"alias": "main"}],
        "signer": {"key": {"env": "K"}, "notional_usd_per_hour": 1000},
    }
    return HyperliquidActionSettings.model_validate({**values, **more})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param({"accounts": []}, "at least 1", id="no account"),
        pytest.param({"accounts": [{"alias": "a"}] * 2}, "twice", id="an account twice"),
        pytest.param({"expiry_s": 121}, "longer than", id="an expiry that nobody signs"),
        pytest.param({"signer": {"key": {"env": "K"}}}, "notional_usd_per_hour", id="no cap"),
        pytest.param(
            {"signer": {"key": {"env": "K", "file": "f"}, "notional_usd_per_hour": 1}},
            "either env or file",
            id="two keys",
        ),
        pytest.param({"signer": {"key": {}, "notional_usd_per_hour": 1}}, "either", id="no key"),
        pytest.param({"sign_anything": True}, "sign_anything", id="an unknown name"),
    ],
)
def test_settings_that_cannot_be(more: dict[str, Any], words: str) -> None:
    """Each mistake in words."""
    with pytest.raises(ValidationError, match=words):
        settings(**more)


MAIN = "0x51a0000000000000000000000000000000000001"
SUB = "0x51a0000000000000000000000000000000000002"


def venue(**more: Any) -> HyperliquidSettings:
    """The venue's section, with two accounts."""
    accounts = [{"alias": "main", "address": MAIN}, {"alias": "sub", "address": SUB}]
    return HyperliquidSettings.model_validate({"accounts": accounts, **more})


def test_accounts_get_their_addresses() -> None:
    """A sub-account is named in each request, the master is not."""
    section = settings(accounts=[{"alias": "main"}, {"alias": "sub", "acts_as": "sub"}])
    assert acting_accounts(section, venue()) == (
        ActingAccount("main", MAIN),
        ActingAccount("sub", SUB, SUB),
    )
    with pytest.raises(ConfigError, match="no alias"):
        acting_accounts(settings(accounts=[{"alias": "mian"}]), venue())


@pytest.mark.parametrize(
    ("mode", "more", "url"),
    [
        pytest.param("observe", {}, None, id="observe sends nothing"),
        pytest.param("rehearse", {}, None, id="no rehearsal on mainnet"),
        pytest.param("rehearse", {"rest_url": "https://other.example"}, None, id="nor elsewhere"),
        pytest.param(
            "rehearse", {"rest_url": "https://127.0.0.1.example"}, None, id="a look-alike"
        ),
        pytest.param(
            "rehearse",
            {"network": "testnet"},
            "https://api.hyperliquid-testnet.xyz/exchange",
            id="on the testnet",
        ),
        pytest.param(
            "rehearse", {"rest_url": "http://127.0.0.1:5"}, "http://127.0.0.1:5/exchange", id="here"
        ),
        pytest.param("armed", {}, "https://api.hyperliquid.xyz/exchange", id="armed on mainnet"),
    ],
)
def test_where_actions_may_go(mode: Any, more: dict[str, Any], url: str | None) -> None:
    """By mode; what a mode forbids is refused when the executor is made."""
    if url is None:
        with pytest.raises(ConfigError):
            exchange_url(mode, venue(**more))
    else:
        assert exchange_url(mode, venue(**more)) == url


@pytest.mark.parametrize(
    ("mode", "network", "mainnet"),
    [
        ("rehearse", "mainnet", False),
        ("rehearse", "testnet", False),
        ("armed", "testnet", False),
        ("armed", "mainnet", True),
    ],
)
def test_a_rehearsals_signatures_are_worthless_on_mainnet(
    mode: Any, network: str, mainnet: bool
) -> None:
    """Only armed and only there."""
    assert signs_for_mainnet(mode, venue(network=network)) is mainnet


# ------------------------------------------------------------------------------------------ the key


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_key_file_is_read(mode: int, tmp_path: Path) -> None:
    """Its owner's alone."""
    path = tmp_path / "key"
    path.write_text(KEY_TEXT + "\n")
    path.chmod(mode)
    assert KeySource(file=Path("key")).read({}, base=tmp_path).address == KEY.address


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_key_file_open_to_others_is_refused(mode: int, tmp_path: Path) -> None:
    """With the command that mends it, and without what it holds."""
    path = tmp_path / "key"
    path.write_text(KEY_TEXT)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        KeySource(file=path).read({}, base=tmp_path)
    assert KEY_TEXT[2:12] not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "environment", "words"),
    [
        pytest.param({"env": "K"}, {}, "missing", id="no variable"),
        pytest.param({"env": "K"}, {"K": "0xabc"}, "unusable", id="too short"),
        pytest.param({"env": "K"}, {"K": "secret words of mine"}, "hexadecimal", id="no key"),
        pytest.param({"file": "none"}, {}, "cannot be read", id="no file"),
        pytest.param({"file": "."}, {}, "no regular file", id="a folder"),
    ],
)
def test_a_key_that_cannot_be_used(
    source: dict[str, Any], environment: dict[str, str], words: str, tmp_path: Path
) -> None:
    """Why, without what was found."""
    with pytest.raises(ConfigError, match=words) as caught:
        KeySource.model_validate(source).read(environment, base=tmp_path)
    assert all(value not in str(caught.value) for value in environment.values())


def test_a_key_in_the_environment_is_read() -> None:
    """By the name of its variable."""
    assert KeySource(env="K").read({"K": KEY_TEXT}, base=Path()).address == KEY.address
