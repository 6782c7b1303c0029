"""How the daemon asks its signer. Whatever goes wrong is an answer: not signed, and why.

One connection a request: it costs a tenth of a millisecond, and no request waits behind another.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Protocol

import msgspec

from monitor.actions.messages import (
    LINE_BYTES_MAX,
    Counters,
    CountersRequest,
    FromSigner,
    RefusedFor,
    SignAnswer,
    Signed,
    SignRefused,
    SignRequest,
    ToSigner,
)
from monitor.runtime.unix_path import reachable

TIMEOUT_S = 2.0

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[FromSigner] = msgspec.json.Decoder(FromSigner)


class AsksSigner(Protocol):
    """What an executor needs of a signer."""

    @property
    def reachable(self) -> bool:
        """False when there is certainly nobody to ask."""
        ...

    async def sign(self, request: SignRequest) -> SignAnswer:
        """The signature, or why there is none. Never raises."""
        ...


class SignerClient:
    """Asks over the unix socket at ``path``."""

    def __init__(self, path: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s

    @property
    def reachable(self) -> bool:
        """Whether a socket stands there at all."""
        return self._path.is_socket()

    async def sign(self, request: SignRequest) -> SignAnswer:
        """Ask for a signature."""
        answer = await self._ask(request)
        return answer if isinstance(answer, Signed | SignRefused) else _nobody("no such answer")

    async def counters(self) -> Counters | None:
        """What it signed and refused so far; None where it does not answer."""
        answer = await self._ask(CountersRequest())
        return answer if isinstance(answer, Counters) else None

    async def _ask(self, request: ToSigner) -> FromSigner:
        try:
            async with asyncio.timeout(self._timeout_s):
                with reachable(self._path) as name:
                    reader, writer = await asyncio.open_unix_connection(name, limit=LINE_BYTES_MAX)
                try:
                    writer.write(_ENCODER.encode(request) + b"\n")
                    line = await reader.readline()
                finally:
                    writer.transport.abort()  # the answer is here, or nobody waits for it
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except TimeoutError:
            return _nobody(f"no answer within {self._timeout_s:g} s")
        except (OSError, ValueError) as error:
            return _nobody(getattr(error, "strerror", None) or "its answer is too long")
        if not line.endswith(b"\n"):
            return _nobody("it hung up without an answer")
        try:
            return _DECODER.decode(line)
        except (msgspec.MsgspecError, ValueError):
            return _nobody("its answer cannot be read")


def _nobody(why: str) -> SignRefused:
    words = f"the signer does not answer ({why}); start it with `riskd signer`"
    return SignRefused(reason=RefusedFor.UNREACHABLE, words=words)
