"""A process that kills itself with SIGKILL at a named point of a transaction.

Run as ``python killed.py DIRECTORY POINT``: keeps one phase, then a second one that dies at POINT.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from monitor.store.database import Store
from tests.store.rows import phase


async def main(directory: Path, point: str) -> None:
    armed = False

    def checkpoint(name: str) -> None:
        if armed and name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    store = Store(directory, checkpoint=checkpoint, phase_deadline_s=30.0)
    await store.persist(phase("first", at_ns=1))
    armed = True
    await store.persist(phase("second", at_ns=2))


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
