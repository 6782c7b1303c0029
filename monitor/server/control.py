"""The door for people on this machine: a unix socket in the data directory.

Whoever may open it runs as riskd's own user, or as root; their name goes into the audit. It depends
on nothing of the HTTP server, so a command gets through while that is down or the port is taken.
One request, one answer, one line of JSON each.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
import struct
from pathlib import Path

import msgspec
import structlog

from monitor.core.errors import ConfigError
from monitor.core.operator import OperatorAnswer, OperatorDesk, decode_request
from monitor.runtime.unix_path import reachable

SOCKET_NAME = "control.sock"
LINE_BYTES_MAX = 16 * 1024
REQUEST_S = 5.0  # how long a client may take to say what it wants
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid of SO_PEERCRED


class ControlServer:
    """Serves ``desk`` on ``<directory>/control.sock``."""

    def __init__(self, directory: Path, desk: OperatorDesk) -> None:
        self.path = directory / SOCKET_NAME
        self._desk = desk
        self._server: asyncio.Server | None = None
        self._log = structlog.get_logger("control")

    async def start(self) -> None:
        """Listen; readable and writable for this user alone from the first moment.

        Raises:
            ConfigError: When the socket cannot be made.
        """
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The directory is held by this process alone: a socket there is an earlier process's.
            self.path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                with reachable(self.path) as name:
                    bound.bind(name)
            finally:
                os.umask(before)
            self._server = await asyncio.start_unix_server(
                self._serve, sock=bound, limit=LINE_BYTES_MAX
            )
        except OSError as error:
            bound.close()
            raise ConfigError(
                f"The control socket {self.path} cannot be made: {error.strerror or error}."
            ) from error

    async def close(self) -> None:
        """Stop listening and take the socket away; safe to call twice."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
            self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(reader, writer)
            writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            self._log.info("control_client_left")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> OperatorAnswer:
        principal = _peer(writer)
        if principal is None:
            return OperatorAnswer(done=False, text="This socket is for riskd's own user.")
        try:
            async with asyncio.timeout(REQUEST_S):
                line = await reader.readuntil(b"\n")
        except TimeoutError:
            return OperatorAnswer(done=False, text="No request came.")
        except asyncio.LimitOverrunError:
            return OperatorAnswer(done=False, text="This request is too long.")
        try:
            request = decode_request(line)
        except ConfigError as error:
            return OperatorAnswer(done=False, text=str(error))
        return await self._desk.run(request, principal=principal, channel="cli")


def _peer(writer: asyncio.StreamWriter) -> str | None:
    """The name of who connected, where that is root or riskd's own user."""
    connection: socket.socket = writer.get_extra_info("socket")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    if uid not in {0, os.geteuid()}:
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"  # a container's user has no name
