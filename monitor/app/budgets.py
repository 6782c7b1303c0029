"""Request budgets that outlive a process: the venue counts the same minute, whoever asked.

A riskd that starts anew within that minute with a full budget is refused everything, the reads of
the kill path too. So what was spent is kept as it is spent, in a file of its own: it is wanted
exactly when the store may be damaged or locked, and no page or latch shall wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import msgspec
import structlog

from monitor.runtime.budget import Ledger, RequestBudget

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
        """Keep what is spent, for ever; that it cannot be kept is logged once."""
        failing, kept = "", b""
        while True:
            packed = msgspec.msgpack.encode(
                {name: budget.ledger() for name, budget in self._budgets.items()}
            )
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


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)
