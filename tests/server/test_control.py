"""The two doors: the socket of this machine, and signed HTTP. Each believes only whom it should."""

from __future__ import annotations

import asyncio
import os
import pwd
import stat
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from monitor.core.errors import ConfigError
from monitor.core.operator import OperatorAnswer, OperatorRequest, Verb
from monitor.core.signatures import WINDOW_S, Refusal, sign
from monitor.runtime.unix_path import reachable
from monitor.server.commands import NOT_BELIEVED, SignedCommands
from monitor.server.control import LINE_BYTES_MAX, ControlServer

NOW_S = 1_800_000_000
KEY, OLD = b"k" * 24, b"o" * 24
BODY = msgspec.json.encode({"id": "1", "verb": "kill", "level": "halt", "reason": "drill"})


class Desk:
    """Notes who asked for what."""

    def __init__(self) -> None:
        self.asked: list[tuple[Verb, str, str]] = []
        self.done = True

    async def run(
        self, request: OperatorRequest, *, principal: str, channel: str
    ) -> OperatorAnswer:
        """Say so."""
        self.asked.append((request.verb, principal, channel))
        return OperatorAnswer(done=self.done, text=f"{request.verb.value} for {principal}")


async def ask(path: Path, line: bytes) -> OperatorAnswer:
    """One line over the socket."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line)
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return msgspec.json.decode(answer, type=OperatorAnswer)


async def test_the_socket_is_for_this_user_and_carries_one_request(tmp_path: Path) -> None:
    """Mode 0600; the name of who asked goes with the request; a second one may follow."""
    desk = Desk()
    server = ControlServer(tmp_path, desk)
    await server.start()
    try:
        mode = stat.S_IMODE(server.path.stat().st_mode)
        assert mode == 0o600
        for _ in range(2):
            answer = await ask(server.path, BODY + b"\n")
            assert answer.done
        name = pwd.getpwuid(os.geteuid()).pw_name
        assert desk.asked == [(Verb.KILL, name, "cli")] * 2
    finally:
        await server.close()
    assert not server.path.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param(b"{}\n", "needs an id", id="no request"),
        pytest.param(b"x" * (LINE_BYTES_MAX + 2) + b"\n", "too long", id="too long"),
        pytest.param(BODY.replace(b"halt", b"stop") + b"\n", "no level", id="a mistake"),
    ],
)
async def test_a_mistake_over_the_socket_is_answered(
    tmp_path: Path, line: bytes, words: str
) -> None:
    """With what is wrong; nothing is carried out."""
    desk = Desk()
    server = ControlServer(tmp_path, desk)
    await server.start()
    try:
        answer = await ask(server.path, line)
    finally:
        await server.close()
    assert not answer.done
    assert words in answer.text
    assert desk.asked == []


async def test_a_client_that_leaves_ends_nothing(tmp_path: Path) -> None:
    """The next one is served."""
    server = ControlServer(tmp_path, Desk())
    await server.start()
    try:
        _, writer = await asyncio.open_unix_connection(server.path)
        writer.write(b"{")
        writer.close()
        await writer.wait_closed()
        assert (await ask(server.path, BODY + b"\n")).done
    finally:
        await server.close()


async def test_a_socket_left_by_kill_9_is_replaced(tmp_path: Path) -> None:
    """And one in a folder with a name longer than a socket's is reached all the same."""
    (tmp_path / "control.sock").write_text("")
    server = ControlServer(tmp_path, Desk())
    await server.start()
    await server.close()
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    server = ControlServer(deep, Desk())
    await server.start()
    try:
        with reachable(server.path) as name:
            assert (await ask(Path(name), BODY + b"\n")).done
    finally:
        await server.close()
    assert not server.path.exists()


# --------------------------------------------------------------------------------- signed HTTP


class Rig:
    """Signed commands behind a real server."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.kept: dict[str, int] = {}
        self.store_knows: set[str] = set()
        self.commands = SignedCommands(
            {"ana": [KEY, OLD], "ben": [b"b" * 24]},
            self.desk,
            remember=self.remember,
            wall_s=lambda: float(NOW_S),
        )

    async def remember(self, message_id: str, until_s: int) -> bool:
        """As the store does."""
        new = message_id not in self.store_knows
        self.store_knows.add(message_id)
        self.kept[message_id] = until_s
        return new

    async def post(
        self,
        body: bytes = BODY,
        *,
        key: bytes = KEY,
        message_id: str = "m-1",
        timestamp: int = NOW_S,
        sent: bytes | None = None,
    ) -> tuple[int, bytes]:
        """One signed message; ``sent`` where something else arrives than was signed."""
        app = web.Application()
        app.router.add_post("/v1/commands", self.commands.handle)
        async with TestClient(TestServer(app)) as client:
            response = await client.post(
                "/v1/commands",
                data=body if sent is None else sent,
                headers={
                    "webhook-id": message_id,
                    "webhook-timestamp": str(timestamp),
                    "webhook-signature": sign(key, message_id, timestamp, body),
                },
            )
            return response.status, await response.read()


async def test_a_signed_command_is_carried_out_once() -> None:
    """By the principal whose key it was; its id is kept for twice the window."""
    rig = Rig()
    status, answer = await rig.post()
    told = msgspec.json.decode(answer, type=OperatorAnswer)
    assert (status, told) == (200, OperatorAnswer(done=True, text="kill for ana"))
    assert rig.desk.asked == [(Verb.KILL, "ana", "http")]
    assert rig.kept == {"m-1": NOW_S + 2 * WINDOW_S}
    assert (await rig.post())[0] == 401
    assert rig.commands.rejected[Refusal.REPLAYED] == 1
    assert (await rig.post(message_id="m-2", key=b"b" * 24))[0] == 200
    assert (await rig.post(message_id="m-3", key=OLD))[0] == 200, "rotation"
    assert [principal for _, principal, _ in rig.desk.asked] == ["ana", "ben", "ana"]


async def test_while_riskd_stops_nothing_is_taken() -> None:
    """What would not be done any more is not said to be."""
    rig = Rig()
    rig.commands.closed = True
    status, body = await rig.post()
    assert (status, b"stopping" in body) == (503, True)
    assert rig.desk.asked == []


async def test_where_nobody_may_command_over_http_it_is_said() -> None:
    """With what works instead."""
    rig = Rig()
    rig.commands = SignedCommands({}, rig.desk, remember=rig.remember)
    status, body = await rig.post()
    assert (status, b"`riskd kill` works" in body) == (404, True)
    assert rig.desk.asked == []


async def test_a_replay_after_a_restart_is_refused() -> None:
    """The store remembers what the process does not."""
    rig = Rig()
    rig.store_knows.add("m-1")
    assert (await rig.post())[0] == 401
    assert rig.desk.asked == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"key": b"w" * 24}, Refusal.SIGNATURE, id="wrong key"),
        pytest.param({"key": b""}, Refusal.SIGNATURE, id="empty secret"),
        pytest.param({"timestamp": NOW_S - 301}, Refusal.TIMESTAMP, id="old timestamp"),
        pytest.param({"sent": BODY + b" "}, Refusal.SIGNATURE, id="altered body"),
        pytest.param({"body": b"x" * 17_000}, Refusal.MALFORMED, id="too large"),
    ],
)
async def test_what_is_not_believed_gets_the_same_401(
    changes: dict[str, object], reason: Refusal
) -> None:
    """Counted by reason; nothing is parsed, nothing carried out, and what failed is not told: only
    what a message has to carry."""
    rig = Rig()
    told = msgspec.json.encode(OperatorAnswer(done=False, text=NOT_BELIEVED))
    assert await rig.post(**changes) == (401, told)  # type: ignore[arg-type]  # by name
    assert rig.commands.rejected[reason] == 1
    assert rig.desk.asked == []
    assert all(word in NOT_BELIEVED for word in ("webhook-id", "300 s", "command_refused"))


async def test_a_message_without_a_signature_is_told_what_it_lacks() -> None:
    """Which headers are missing the sender could see by itself."""
    app = web.Application()
    app.router.add_post("/v1/commands", Rig().commands.handle)
    async with TestClient(TestServer(app)) as client:
        response = await client.post("/v1/commands", data=BODY, headers={"webhook-id": "m-1"})
        answer = msgspec.json.decode(await response.read(), type=OperatorAnswer)
    assert response.status == 401
    assert answer.text == f"Missing: webhook-timestamp, webhook-signature. {NOT_BELIEVED}"


async def test_a_mistake_and_a_refusal_have_their_own_status() -> None:
    """422 for what cannot be understood, 409 for what riskd will not do."""
    rig = Rig()
    status, body = await rig.post(b"{}")
    assert (status, b"needs an id" in body) == (422, True)
    rig.desk.done = False
    assert (await rig.post(message_id="m-2"))[0] == 409


@pytest.mark.parametrize("keys", [[], [b""], [KEY, b""]])
def test_an_empty_key_is_refused_at_start(keys: list[bytes]) -> None:
    """Anybody could sign with it."""
    rig = Rig()
    with pytest.raises(ConfigError, match="ana"):
        SignedCommands({"ana": keys}, rig.desk, remember=rig.remember)
