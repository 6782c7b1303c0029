"""What the signer signs, what it refuses, and that nobody takes it down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from monitor.actions.messages import (
    LINE_BYTES_MAX,
    RefusedFor,
    SignAnswer,
    Signed,
    SignRefused,
    SignRequest,
)
from monitor.actions.nonces import KEPT_MS
from monitor.actions.settings import ActingAccount
from monitor.actions.signer import Signer, SignerServer, SignerState
from monitor.actions.signer_client import SignerClient
from monitor.cli.children import die_with_parent
from monitor.core.errors import ConfigError
from monitor.venues.hyperliquid.actions import (
    Cancel,
    CancelByClientId,
    CancelLine,
    ClientCancelLine,
    Noop,
    SignableAction,
    TwapCancel,
    digest_of,
    wire_of,
)
from monitor.venues.hyperliquid.signing import recover_address
from tests.actions.signing_desk import (
    KEY,
    KEY_TEXT,
    MAIN,
    NOW_MS,
    SUB_ADDRESS,
    client_id,
    limits,
    line,
    make_signer,
    reduce_request,
)
from tests.manual_clock import ManualClock


def cancel(account: str = "main") -> SignRequest:
    """A request to cancel one order."""
    return SignRequest(account=account, action=Cancel(lines=(CancelLine(0, 5),)))


def signer_of(request: SignRequest, answer: SignAnswer, *, vault: str | None = None) -> str:
    """Whose signature it is, over what was asked for."""
    assert isinstance(answer, Signed), answer
    digest = digest_of(
        wire_of(request.action),
        nonce=answer.nonce,
        vault=vault,
        expires_after_ms=request.expires_after_ms,
        mainnet=False,
    )
    return recover_address(digest, answer.signature)


async def refusal(signer: Signer, request: SignRequest) -> SignRefused:
    """Why it was not signed; counted under its reason."""
    before = signer.refused.total()
    answer = await signer.sign(request)
    assert isinstance(answer, SignRefused), answer
    assert signer.refused.total() == before + 1
    return answer


# ------------------------------------------------------------------------------------ what it signs


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Cancel(lines=(CancelLine(0, 5),), fast=True), id="cancel"),
        pytest.param(CancelByClientId(lines=(ClientCancelLine(0, client_id(1)),)), id="by cloid"),
        pytest.param(TwapCancel(asset=0, twap_id=7), id="end of a TWAP"),
        pytest.param(Noop(), id="noop"),
    ],
)
async def test_what_makes_safer_is_signed(action: SignableAction, tmp_path: Path) -> None:
    """With the key of the API wallet, for the master and for a sub-account."""
    signer = make_signer(tmp_path, ManualClock())
    for account, vault in (("main", None), ("sub", SUB_ADDRESS)):
        request = SignRequest(account=account, action=action)
        answer = await signer.sign(request)
        assert signer_of(request, answer, vault=vault) == KEY.address
        assert isinstance(answer, Signed)
        assert answer.vault == vault
    assert signer.signed == {type(action).__name__: 2}


async def test_a_reduction_within_its_bounds_is_signed(tmp_path: Path) -> None:
    """And counted against the hour."""
    signer = make_signer(tmp_path, ManualClock())
    request = reduce_request(line("99", "2"), line("101", "1", buy=True, number=2))
    assert signer_of(request, await signer.sign(request)) == KEY.address
    # By the dearer of limit and reference: 2 x 100 and 1 x 101.
    assert signer.counters().notional_used_usd == Decimal(301)


async def test_nonces_only_rise(tmp_path: Path) -> None:
    """Within one millisecond, and when the clock goes back between two runs."""
    clock = ManualClock()
    signer = make_signer(tmp_path, clock)
    nonces = [
        answer.nonce for _ in range(5) if isinstance(answer := await signer.sign(cancel()), Signed)
    ]
    assert nonces == list(range(NOW_MS, NOW_MS + 5))
    earlier = ManualClock(clock.now() - 10 * 1_000_000_000)
    again = await make_signer(tmp_path, earlier).sign(cancel())
    assert isinstance(again, Signed)
    assert again.nonce > nonces[-1]


# ---------------------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("request_", "reason", "lines"),
    [
        pytest.param(cancel("other"), RefusedFor.ACCOUNT, (), id="another account"),
        pytest.param(
            SignRequest(account="main", action=Cancel(lines=())),
            RefusedFor.MALFORMED,
            (),
            id="no cancel",
        ),
        pytest.param(reduce_request(), RefusedFor.MALFORMED, (), id="no order"),
        pytest.param(
            reduce_request(line(), references=()), RefusedFor.MALFORMED, (), id="no reference"
        ),
        pytest.param(reduce_request(line(), line()), RefusedFor.MALFORMED, (), id="twice the same"),
        pytest.param(reduce_request(line(size="0")), RefusedFor.MALFORMED, (), id="no size"),
        pytest.param(reduce_request(line("NaN")), RefusedFor.MALFORMED, (), id="no price"),
        pytest.param(
            reduce_request(line(), expires_ms=None), RefusedFor.EXPIRY, (), id="no expiry"
        ),
        pytest.param(
            reduce_request(line(), expires_ms=NOW_MS), RefusedFor.EXPIRY, (), id="expired"
        ),
        pytest.param(
            reduce_request(line(), expires_ms=NOW_MS + 60_001), RefusedFor.EXPIRY, (), id="too late"
        ),
        pytest.param(reduce_request(line("98.99")), RefusedFor.BOUND, (0,), id="sells too low"),
        pytest.param(
            reduce_request(line("101.01", buy=True)), RefusedFor.BOUND, (0,), id="buys too high"
        ),
        pytest.param(
            reduce_request(line("99.49", asset=1)), RefusedFor.BOUND, (0,), id="a tighter bound"
        ),
        pytest.param(
            reduce_request(line(), references=("NaN",)), RefusedFor.BOUND, (0,), id="no number"
        ),
        pytest.param(
            reduce_request(line(), references=("0",)), RefusedFor.BOUND, (0,), id="reference zero"
        ),
        pytest.param(
            reduce_request(line(), line("1", number=2), references=("100", "100")),
            RefusedFor.BOUND,
            (1,),
            id="the one to blame is named",
        ),
        pytest.param(reduce_request(line(size="10.01")), RefusedFor.CAP, (0,), id="above the cap"),
        pytest.param(
            reduce_request(*(line(size="4", number=n) for n in range(3))),
            RefusedFor.CAP,
            (2,),
            id="what no longer fits is named",
        ),
        pytest.param(
            SignRequest(account="main", action=Noop(), nonce=NOW_MS),
            RefusedFor.NONCE,
            (),
            id="future nonce",
        ),
        pytest.param(
            SignRequest(account="main", action=Noop(), nonce=NOW_MS - KEPT_MS),
            RefusedFor.NONCE,
            (),
            id="a nonce of long ago",
        ),
        pytest.param(
            SignRequest(account="main", action=TwapCancel(asset=0, twap_id=1), nonce=NOW_MS - 1),
            RefusedFor.NONCE,
            (),
            id="a nonce for something else",
        ),
    ],
)
async def test_everything_else_is_refused_and_counted(
    request_: SignRequest, reason: RefusedFor, lines: tuple[int, ...], tmp_path: Path
) -> None:
    """With the reason, and with the orders to blame where the others could go."""
    signer = make_signer(tmp_path, ManualClock())
    answer = await refusal(signer, request_)
    assert (answer.reason, answer.lines) == (reason, lines)
    assert answer.words
    assert signer.signed.total() == 0
    assert signer.counters().notional_used_usd == 0


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(reduce_request(line("99")), id="sells at the bound"),
        pytest.param(reduce_request(line("101", buy=True, size="9")), id="buys at the bound"),
        pytest.param(reduce_request(line("99.5", asset=1)), id="at a tighter bound"),
        pytest.param(reduce_request(line("150")), id="sells far above, which loses nothing"),
        pytest.param(reduce_request(line("50", buy=True)), id="buys far below"),
        pytest.param(reduce_request(line(size="10")), id="exactly the cap"),
        pytest.param(reduce_request(line(), expires_ms=NOW_MS + 60_000), id="the longest expiry"),
        pytest.param(reduce_request(line(), expires_ms=NOW_MS + 1), id="the shortest expiry"),
    ],
)
async def test_at_the_limit_is_within(request_: SignRequest, tmp_path: Path) -> None:
    """The other side of each limit."""
    signer = make_signer(tmp_path, ManualClock())
    assert signer_of(request_, await signer.sign(request_)) == KEY.address


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"type":"SignRequest"}', id="half a request"),
        pytest.param("rubbish", id="no JSON"),
        pytest.param("[" * 10_000, id="nested too deep"),
        pytest.param('{"type":"SignBytes","account":"main","digest":"00"}', id="bytes to sign"),
        pytest.param(
            '{"type":"SignRequest","account":"main","action":{"type":"UpdateLeverage","asset":0,'
            '"is_cross":true,"leverage":50}}',
            id="another leverage",
        ),
        pytest.param(
            '{"type":"SignRequest","account":"main","action":{"type":"ScheduleCancel","time_ms":1}}',
            id="a dead man's switch",
        ),
        pytest.param(
            '{"type":"SignRequest","account":"main","action":{"type":"Noop"},"vault":"0x1"}',
            id="an address of one's own",
        ),
    ],
)
async def test_what_may_never_be_signed_is_not_even_understood(text: str, tmp_path: Path) -> None:
    """There is no way to ask for it."""
    signer = make_signer(tmp_path, ManualClock())
    answer = await signer.answer(text.encode() + b"\n")
    assert isinstance(answer, SignRefused)
    assert answer.reason is RefusedFor.MALFORMED
    assert signer.refused == {RefusedFor.MALFORMED: 1}


async def test_an_order_is_reduce_only_whatever_is_asked(tmp_path: Path) -> None:
    """Fields that would make it anything else are not read."""
    signer = make_signer(tmp_path, ManualClock())
    request = reduce_request(line())
    asked = json.loads(msgspec.json.encode(request))
    asked["action"]["lines"][0].update({"r": False, "reduce_only": False, "tif": "Gtc"})
    answer = await signer.answer(json.dumps(asked).encode())
    assert isinstance(answer, Signed)
    assert signer_of(request, answer) == KEY.address
    assert wire_of(request.action)["orders"][0]["r"] is True  # type: ignore[index,call-overload]  # JSON


# ----------------------------------------------------------------------------------------- the hour


@pytest.mark.parametrize(
    ("passed_s", "signed"),
    [pytest.param(3599.999, False, id="just before"), pytest.param(3600, True, id="an hour later")],
)
async def test_the_cap_comes_back_after_an_hour(
    passed_s: float, signed: bool, tmp_path: Path
) -> None:
    """Each amount frees itself one hour after it was spent."""
    clock = ManualClock()
    signer = make_signer(tmp_path, clock)
    assert isinstance(await signer.sign(reduce_request(line(size="10"))), Signed)
    clock.jump(passed_s)
    expires_ms = clock.now() // 1_000_000 + 1000
    answer = await signer.sign(reduce_request(line(size="1"), expires_ms=expires_ms))
    assert isinstance(answer, Signed) is signed


async def test_a_restart_does_not_refill_the_cap(tmp_path: Path) -> None:
    """What was spent is kept before the signature is given."""
    clock = ManualClock()
    assert isinstance(
        await make_signer(tmp_path, clock).sign(reduce_request(line(size="7"))), Signed
    )
    signer = make_signer(tmp_path, clock)
    assert signer.counters().notional_used_usd == 700
    assert (await refusal(signer, reduce_request(line(size="4")))).reason is RefusedFor.CAP


async def test_an_unreadable_state_counts_as_spent(tmp_path: Path) -> None:
    """No reduction for an hour; cancels go on."""
    (tmp_path / "signer-state.json").write_bytes(b"{half")
    clock = ManualClock()
    signer = make_signer(tmp_path, clock)
    assert (await refusal(signer, reduce_request(line(size="0.1")))).reason is RefusedFor.CAP
    assert isinstance(await signer.sign(cancel()), Signed)
    clock.jump(3600)
    later = reduce_request(line(), expires_ms=clock.now() // 1_000_000 + 1000)
    assert isinstance(await signer.sign(later), Signed)


async def test_a_disk_that_refuses_stops_no_exit(tmp_path: Path) -> None:
    """Signed, counted in memory, and the failure is told."""
    folder = tmp_path / "gone"
    folder.mkdir()
    signer = make_signer(folder, ManualClock())
    folder.rmdir()
    assert isinstance(await signer.sign(reduce_request(line(size="7"))), Signed)
    assert signer.counters().state_failures == 1
    assert (await refusal(signer, reduce_request(line(size="4")))).reason is RefusedFor.CAP


async def test_a_noop_burns_only_what_was_given_out(tmp_path: Path) -> None:
    """The nonce of an earlier request is used again, unchanged."""
    signer = make_signer(tmp_path, ManualClock())
    first = await signer.sign(cancel())
    assert isinstance(first, Signed)
    request = SignRequest(account="main", action=Noop(), nonce=first.nonce)
    burnt = await signer.sign(request)
    assert isinstance(burnt, Signed)
    assert burnt.nonce == first.nonce
    assert signer_of(request, burnt) == KEY.address


# ------------------------------------------------------------------------------------------ its key


def test_a_masters_own_key_is_refused(tmp_path: Path) -> None:
    """A key that can withdraw is not given to a daemon."""
    own = ActingAccount("main", KEY.address)
    with pytest.raises(ConfigError, match="withdraw"):
        Signer(
            KEY,
            (own,),
            limits(),
            mainnet=False,
            state=SignerState(tmp_path / "s"),
            clock=ManualClock(),
        )


def test_another_wallets_key_is_refused(tmp_path: Path) -> None:
    """The configured address must be the key's."""
    settings = limits(wallet="0x" + "ab" * 20)
    with pytest.raises(ConfigError, match="not to the configured wallet"):
        Signer(
            KEY,
            (MAIN,),
            settings,
            mainnet=False,
            state=SignerState(tmp_path / "s"),
            clock=ManualClock(),
        )


# ------------------------------------------------------------------------------- the socket


@asynccontextmanager
async def serving(folder: Path, **more: object) -> AsyncIterator[tuple[Signer, SignerClient, Path]]:
    """A signer on its socket, and a client."""
    signer = make_signer(folder, ManualClock())
    path = folder / "s.sock"
    server = SignerServer(signer, path, **more)  # type: ignore[arg-type]  # what a test replaces
    await server.start()
    try:
        yield signer, SignerClient(path), path
    finally:
        await server.close()


async def test_the_daemon_asks_over_the_socket(tmp_path: Path) -> None:
    """A signature, a refusal, the counters; and the socket is its owner's alone."""
    async with serving(tmp_path) as (_, client, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert client.reachable
        request = reduce_request(line())
        assert signer_of(request, await client.sign(request)) == KEY.address
        assert isinstance(await client.sign(cancel("other")), SignRefused)
        counters = await client.counters()
    assert counters is not None
    assert (counters.signed, counters.refused) == ({"Reduce": 1}, {"account": 1})
    assert (counters.notional_used_usd, counters.notional_cap_usd) == (100, 1000)
    assert not path.exists()


async def test_another_user_is_sent_away(tmp_path: Path) -> None:
    """By the credentials that the system tells, whatever the file's mode."""
    async with serving(tmp_path, uid_of=lambda _: os.geteuid() + 1) as (signer, client, _):
        answer = await client.sign(cancel())
        assert isinstance(answer, SignRefused)
        assert answer.reason is RefusedFor.UNREACHABLE
        assert signer.refused == {RefusedFor.PEER: 1}


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"type":"SignReq', id="half a line"),
        pytest.param(b"x" * (LINE_BYTES_MAX + 10), id="a line without end"),
        pytest.param(b"\xff\xfe\n" * 100, id="rubbish"),
    ],
)
async def test_no_client_takes_it_down(sent: bytes, tmp_path: Path) -> None:
    """Clients that die in the middle, and a good one after them."""
    async with serving(tmp_path) as (_, client, path):
        for _ in range(3):
            raw = socket.socket(socket.AF_UNIX)
            raw.setblocking(False)
            await asyncio.get_running_loop().sock_connect(raw, str(path))
            try:
                async with asyncio.timeout(0.5):
                    await asyncio.get_running_loop().sock_sendall(raw, sent)
            except (ConnectionError, TimeoutError):
                pass  # it hung up on us first
            raw.close()
        assert isinstance(await client.sign(cancel()), Signed)


async def test_a_client_that_stays_does_not_hold_it_up(tmp_path: Path) -> None:
    """When it stops it hangs up, and the conversation ends by itself."""
    async with serving(tmp_path) as (_, client, path):
        reader, writer = await asyncio.open_unix_connection(path)
        assert isinstance(await client.sign(cancel()), Signed)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    names = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}
    assert not any("SignerServer" in name for name in names)


async def test_a_second_signer_is_refused_and_a_dead_ones_socket_is_taken(tmp_path: Path) -> None:
    """Two would give out nonces side by side."""
    async with serving(tmp_path) as (signer, _, path):
        with pytest.raises(ConfigError, match="running already"):
            await SignerServer(signer, path).start()
    left_behind = socket.socket(socket.AF_UNIX)
    left_behind.bind(str(path))
    left_behind.close()
    async with serving(tmp_path) as (_, client, _):
        assert isinstance(await client.sign(cancel()), Signed)


async def test_a_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    """Nothing but a dead socket is unlinked."""
    (tmp_path / "s.sock").write_text("mine")
    server = SignerServer(make_signer(tmp_path, ManualClock()), tmp_path / "s.sock")
    with pytest.raises(ConfigError):
        await server.start()


async def test_a_folder_longer_than_a_sockets_name_is_no_hindrance(tmp_path: Path) -> None:
    """It is reached by way of its folder, from both sides."""
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    async with serving(deep) as (_, client, path):
        assert len(str(path)) > 107
        assert isinstance(await client.sign(cancel()), Signed)
    assert not path.exists()


async def test_without_a_signer_the_client_says_so(tmp_path: Path) -> None:
    """An answer like any other refusal."""
    client = SignerClient(tmp_path / "none.sock")
    answer = await client.sign(cancel())
    assert isinstance(answer, SignRefused)
    assert (answer.reason, client.reachable) == (RefusedFor.UNREACHABLE, False)
    assert "riskd signer" in answer.words
    assert await client.counters() is None


async def test_a_signer_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    """After the client's own time."""
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.set()

    path = tmp_path / "s.sock"
    async with await asyncio.start_unix_server(silent, path):
        answer = await SignerClient(path, timeout_s=0.05).sign(cancel())
        await ended.wait()
    assert isinstance(answer, SignRefused)
    assert "no answer" in answer.words


# ------------------------------------------------------------------------------- the process

CONFIG = """\
mode: {mode}
data_dir: d
venues:
  hyperliquid:
    rest_url: http://127.0.0.1:9
    accounts: [{{alias: main, address: "{address}"}}]
actions:
  hyperliquid:
    accounts: [{{alias: main}}]
    signer:
      key: {{file: signer.key}}
      notional_usd_per_hour: 1000
rules: {{nonsense: here}}
"""


async def start_process(folder: Path, mode: str = "rehearse") -> asyncio.subprocess.Process:
    """``riskd signer`` with a key file of its own."""
    key = folder / "signer.key"
    key.write_text(KEY_TEXT)
    key.chmod(0o600)
    (folder / "riskd.yaml").write_text(CONFIG.format(mode=mode, address=MAIN.address))
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitor", "signer", "--config", str(folder / "riskd.yaml")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=die_with_parent(),
    )


@pytest.mark.component
async def test_the_process_signs_and_never_shows_its_key(tmp_path: Path) -> None:
    """Started by its verb, stopped in order; a mistake elsewhere in the file does not matter."""
    process = await start_process(tmp_path)
    path = tmp_path / "d" / "signer.sock"
    assert process.stdout is not None
    begun = await process.stdout.readuntil(b"signer_started")
    answer = await SignerClient(path).sign(cancel())
    assert isinstance(answer, Signed)
    process.send_signal(signal.SIGTERM)
    said, _ = await process.communicate()
    assert process.returncode == 0
    assert b"signer_stopped" in said
    assert KEY_TEXT[2:20].encode() not in begun + said
    assert not path.exists()


@pytest.mark.component
async def test_in_observe_there_is_no_signer(tmp_path: Path) -> None:
    """It refuses to start."""
    process = await start_process(tmp_path, "observe")
    said, _ = await process.communicate()
    assert process.returncode == 2
    assert b"watches only" in said
