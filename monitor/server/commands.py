"""The door for people and programs elsewhere: signed HTTP, ``POST /v1/commands``.

A message is believed only when one of a principal's keys signed its very bytes within the window
and its id was never seen before; then it is parsed, never earlier. What is not believed gets a
401 that says what a message needs and never which check failed, and is counted by reason. An empty
key is refused at start.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import structlog
from aiohttp import web

from monitor.core.errors import ConfigError
from monitor.core.operator import OperatorAnswer, OperatorDesk, decode_request
from monitor.core.signatures import WINDOW_S, Refusal, refuse

BODY_BYTES_MAX = 16 * 1024
SEEN_MAX = 10_000
SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")
NOT_BELIEVED = (
    "This command is not believed and nothing was done. It must carry webhook-id (new for each "
    f"message), webhook-timestamp (Unix seconds, within {WINDOW_S} s of this host's clock) and "
    "webhook-signature (v1, and the base64 HMAC-SHA256 of id.timestamp.body with an operator's "
    "key). Why it is refused stands in riskd's log as command_refused. If you sent it before, it "
    "may have been done then: look at `riskd status` first."
)
NOBODY = (
    "This riskd takes no command over HTTP: its configuration names nobody under operators. On its "
    "own host `riskd kill` works, and so does the KILL file in its data directory."
)
STOPPING = (
    "riskd is stopping and takes no command. Send it again once it runs; to stop trading until "
    "then write the KILL file into its data directory."
)
Remember = Callable[[str, int], Awaitable[bool]]


class SignedCommands:
    """Checks signatures and hands what is believed to the desk.

    Args:
        principals: Name and keys (present, previous) of each who may command; with nobody in it
            every command is refused in words.
        desk: Carries out.
        remember: Keeps a message's id durably for twice the window, with the second it was signed;
            False when it was kept before. It runs before anything is carried out.
        wall_s: Our wall clock, Unix seconds.
    """

    def __init__(
        self,
        principals: Mapping[str, Sequence[bytes]],
        desk: OperatorDesk,
        *,
        remember: Remember,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        for name, keys in principals.items():
            if not keys or not all(keys):
                raise ConfigError(f"The key of {name} is empty: anybody could sign with it.")
        self._principals = {name: tuple(keys) for name, keys in principals.items()}
        self._desk = desk
        self._remember = remember
        self._wall_s = wall_s
        self.closed = False  # riskd is stopping: nothing that is taken now would be done
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.rejected: dict[str, int] = dict.fromkeys(Refusal, 0)
        self._log = structlog.get_logger("control")

    async def handle(self, request: web.Request) -> web.Response:
        """One ``POST /v1/commands``."""
        if not self._principals:
            return _answer(OperatorAnswer(done=False, text=NOBODY), status=404)
        if self.closed:
            return _answer(OperatorAnswer(done=False, text=STOPPING), status=503)
        body = await request.read()  # bounded by the application
        headers = request.headers
        message_id = headers.get("webhook-id", "")
        stamp = headers.get("webhook-timestamp", "")
        refusal: Refusal | None = Refusal.MALFORMED
        principal = ""
        if len(body) <= BODY_BYTES_MAX:
            for name, keys in self._principals.items():
                refusal = refuse(
                    keys,
                    message_id=message_id,
                    timestamp=stamp,
                    signatures=headers.get("webhook-signature", ""),
                    body=body,
                    now_s=self._wall_s(),
                )
                if refusal is not Refusal.SIGNATURE:
                    principal = name
                    break
        if refusal is None and not await self._is_new(message_id, int(stamp)):
            refusal = Refusal.REPLAYED
        if refusal is not None:
            self.rejected[refusal] += 1
            self._log.warning("command_refused", reason=refusal.value)
            missing = [name for name in SIGNED if not headers.get(name)]
            lacks = f"Missing: {', '.join(missing)}. " if missing else ""
            return _answer(OperatorAnswer(done=False, text=lacks + NOT_BELIEVED), status=401)
        return await self._carry_out(body, principal)

    async def _carry_out(self, body: bytes, principal: str) -> web.Response:
        try:
            wanted = decode_request(body)
        except ConfigError as error:
            return _answer(OperatorAnswer(done=False, text=str(error)), status=422)
        answer = await self._desk.run(wanted, principal=principal, channel="http")
        return _answer(answer, status=200 if answer.done else 409)

    async def _is_new(self, message_id: str, timestamp: int) -> bool:
        """Also when the store fails: this process then knows what it saw itself."""
        if message_id in self._seen:
            return False
        self._seen[message_id] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return await self._remember(message_id, timestamp + 2 * WINDOW_S)


def _answer(answer: OperatorAnswer, *, status: int) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(answer), status=status, content_type="application/json"
    )
