"""Keys of the demo: which fault each injects, and reading them without Enter."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from monitor.sim.faults import Fault, FaultKind

KEYS: Mapping[str, tuple[str, Fault]] = {
    "1": (
        "took Hyperliquid down.",
        Fault(kind=FaultKind.OUTAGE, venue="hyperliquid"),
    ),
    "2": (
        "froze dYdX's oracle while prices move on.",
        Fault(kind=FaultKind.STALE_ORACLE, venue="dydx"),
    ),
    "3": (
        "silenced one channel on a living socket.",
        Fault(kind=FaultKind.DEAD_CHANNEL, venue="hyperliquid", channel="activeAssetCtx"),
    ),
    "4": (
        "let Hyperliquid send garbage now and then.",
        Fault(kind=FaultKind.GARBAGE_FRAMES, venue="hyperliquid", ratio=0.05),
    ),
    "5": (
        "left dYdX's sockets open but silent.",
        Fault(kind=FaultKind.HALF_OPEN, venue="dydx"),
    ),
    "6": (
        "let both venues answer 429 to everything.",
        Fault(kind=FaultKind.RATE_LIMITED),
    ),
}
HELP = (
    "1 outage, 2 stale oracle, 3 dead channel, 4 garbage, 5 half-open, 6 rate limits, "
    "h heal all, q quit"
)


BYTES_MAX = 64  # read at once; a person types fewer


class Keyboard:
    """Single keys from a terminal; silent where standard input is none, or is not ours to read."""

    def __init__(self) -> None:
        self._keys: asyncio.Queue[str] = asyncio.Queue(maxsize=BYTES_MAX)
        self._restore: list[int | list[bytes | int]] | None = None
        self._number = -1

    async def __aenter__(self) -> Self:
        if sys.stdin is not None and sys.stdin.isatty():
            import termios  # noqa: PLC0415 - does not exist on every system

            # A terminal may be closed at any of these steps: then there are no keys.
            with suppress(OSError, termios.error):
                self._open(sys.stdin.fileno())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._restore is not None:
            import termios  # noqa: PLC0415 - as above

            asyncio.get_running_loop().remove_reader(self._number)
            try:
                termios.tcsetattr(self._number, termios.TCSADRAIN, self._restore)
            except termios.error:
                return  # the terminal was closed: nothing is left to restore

    def _open(self, number: int) -> None:
        import termios  # noqa: PLC0415 - does not exist on every system
        import tty  # noqa: PLC0415 - likewise

        if os.tcgetpgrp(number) != os.getpgrp():
            return  # in the background (`riskd demo &`) touching the terminal would stop us
        self._number, self._restore = number, termios.tcgetattr(number)
        tty.setcbreak(number, termios.TCSADRAIN)  # keys typed meanwhile count
        asyncio.get_running_loop().add_reader(number, self._read)

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            yield await self._keys.get()

    def _read(self) -> None:
        # Not through sys.stdin: it would read ahead, and keep keys that select() then never shows.
        try:
            data = os.read(self._number, BYTES_MAX)
        except OSError:
            data = b""  # the terminal is gone, which must not wake the loop for ever
        if not data:
            asyncio.get_running_loop().remove_reader(self._number)
        for key in data.decode("ascii", "ignore"):
            if not self._keys.full():
                self._keys.put_nowait(key)
