"""Request budgets that outlive a process: the venue counts the same minute, whoever asked.

A riskd that starts anew within that minute with a full budget is refused everything, the reads of
the kill path too. So what was spent is kept as it is spent, in a file of its own: it is wanted
exactly when the store may be damaged or locked, and no page or latch shall wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import msgspec
import structlog

from monitor.core.errors import ConfigError
from monitor.runtime.budget import Ledger, RequestBudget
from monitor.store.directory import DataDirectory

NAME = "budgets.msgpack"
PERIOD_S = 0.25  # a start spends hundreds within its first second

_LEDGERS = msgspec.msgpack.Decoder(dict[str, Ledger])


class BudgetFile:
    """What the venues of one data directory still count. Outlives the process; a power cut may lose
    it, which lasts longer than any window."""

    def __init__(self, data: Path, budgets: Mapping[str, RequestBudget]) -> None:
        self._path = data / NAME
        self._budgets = budgets
        self._log = structlog.get_logger("riskd")

    def recall(self) -> None:
        """Go on with what an earlier process spent; what cannot be read is taken for unspent."""
        try:
            ledgers = _LEDGERS.decode(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            self._log.warning("budgets_not_recalled", reason=str(error))
            return
        for name, budget in self._budgets.items():
            budget.recall(ledgers.get(name, ()))

    async def keep(self) -> NoReturn:
        """Keep what is spent, for ever, and at the end what was spent since; that it cannot be kept
        is logged once."""
        failing, kept = "", b""
        try:
            while True:
                packed = self._packed()
                if packed != kept:
                    try:
                        await asyncio.to_thread(_replace, self._path, packed)
                    except OSError as error:
                        if not failing:
                            self._log.warning("budgets_not_kept", reason=str(error))
                        failing = str(error)
                    else:
                        failing, kept = "", packed
                await asyncio.sleep(PERIOD_S)
        finally:
            with contextlib.suppress(OSError):  # beside a thread that may still be writing
                _replace(self._path, self._packed(), by_way_of=".last")

    def _packed(self) -> bytes:
        return msgspec.msgpack.encode(
            {name: budget.ledger() for name, budget in self._budgets.items()}
        )


def take_along(source: Path, target: Path) -> None:
    """Let a look over the data directory ``target`` go on with what was spent over ``source``."""
    with contextlib.suppress(OSError):
        spent = (source / NAME).read_bytes()
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(target / NAME, spent)


def hand_over(source: Path, target: Path) -> None:
    """Keep what a look over ``source`` spent for the riskd that starts over ``target`` next, which
    is made where it is missing. One that runs there already is left alone, and what cannot be kept
    is taken for unspent."""
    with contextlib.suppress(OSError, ConfigError):
        spent = (source / NAME).read_bytes()
        directory = DataDirectory(target)
        try:
            _replace(target / NAME, spent)
        finally:
            directory.close()


def _replace(path: Path, content: bytes, *, by_way_of: str = ".new") -> None:
    fresh = path.with_suffix(by_way_of)
    fresh.write_bytes(content)
    fresh.replace(path)
