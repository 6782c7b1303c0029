"""The signer of ``riskd demo``: the real process, with a key that is good for nothing.

It lives in the demo's time, which it reads from a small file, and cannot outlive the demo.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import NoReturn

import orjson

from monitor.actions.signer import SOCKET_NAME
from monitor.cli.children import die_with_parent
from monitor.cli.demo_desk import DATA, FILE, KEY_VARIABLE
from monitor.core.errors import ConfigError
from monitor.core.ports import Clock
from monitor.runtime.shared_clock import SharedClock
from monitor.runtime.unix_path import reachable
from monitor.sim.addresses import HYPERLIQUID_SIGNER_KEY

START_S = 30.0  # of a machine that is busy with other work
POLL_S = 0.05
SHOW_S = 0.25  # of simulated time, between two looks at it
TIME_FILE, WORLD_FILE, LOG_FILE = "time", "world.json", "signer.log"


class DemoSigner:
    """``riskd signer`` as a child process.

    Args:
        folder: With the desk's configuration; files of its own come beside it.
        clock: The demo's time.
        aloud: Its log goes to the demo's standard error instead of a file.
    """

    def __init__(self, folder: Path, clock: Clock, *, aloud: bool) -> None:
        self._folder = folder
        self._clock = clock
        self._aloud = aloud
        self._process: asyncio.subprocess.Process | None = None
        self._shown = SharedClock(folder / TIME_FILE, speed=1.0, start_ns=clock.now())

    @property
    def pid(self) -> int:
        """Of the process; 0 before it was started."""
        return 0 if self._process is None else self._process.pid

    async def start(self) -> None:
        """Begin it; it answers some time later (``ready``)."""
        told = {"clock": {"speed": 1.0, "time_file": str(self._folder / TIME_FILE)}}
        (self._folder / WORLD_FILE).write_bytes(orjson.dumps(told))
        # The key is in the child's environment alone: this process, which asks, never has it there.
        environment = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH"}
        }
        with (self._folder / LOG_FILE).open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "monitor", "signer"),
                f"--config={self._folder / FILE}",
                f"--sim={self._folder / WORLD_FILE}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=None if self._aloud else log,
                env=environment | {KEY_VARIABLE: HYPERLIQUID_SIGNER_KEY},
                start_new_session=True,  # Ctrl-C is for riskd, which ends it afterwards
                preexec_fn=die_with_parent(),  # also when riskd is killed and can end nothing
            )

    async def ready(self) -> None:
        """Until it listens.

        Raises:
            ConfigError: It ended, or does not come up.
        """
        path = self._folder / DATA / SOCKET_NAME
        for _ in range(int(START_S / POLL_S)):
            if self._process is None or self._process.returncode is not None:
                raise ConfigError(f"The demo's signer did not start. {self._last_words()}")
            if await _listens(path):
                return
            await asyncio.sleep(POLL_S)
        raise ConfigError(f"The demo's signer does not answer. {self._last_words()}")

    async def show_time(self) -> NoReturn:
        """Let it know what time it is; for ever."""
        while True:
            self._shown.show(self._clock.now())
            await self._clock.sleep(SHOW_S)

    async def close(self) -> None:
        """End it and wait for its end."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    def _last_words(self) -> str:
        try:
            lines = (self._folder / LOG_FILE).read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return f"Its last words: {lines[-1]}" if lines else ""


async def _listens(path: Path) -> bool:
    try:
        with reachable(path) as name:
            _, writer = await asyncio.open_unix_connection(name)
    except OSError:
        return False
    writer.close()
    return True
