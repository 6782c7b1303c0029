"""The health of the event loop: how late it is, and when the garbage collector may stop it.

A full collection over 300 k objects stalls the loop for 46 ms. After warm-up everything alive is
frozen out of it, automatic full collections are switched off, and they run only while nothing else
does. Events and facts are made so that they need no collector (``gc=False``).
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import NoReturn

from monitor.core.ports import Clock
from monitor.core.types import SECOND_NS, EngineNs
from monitor.observability.metrics import DaemonMetrics

LAG_PERIOD_S = 0.5
IDLE_CHECK_S = 1.0
# Old objects are collected by collect_when_idle(); this many young passes in between is never.
GENERATION_2_NEVER = 1_000_000


def freeze_after_warm_up() -> int:
    """Collect once, freeze what is alive, stop automatic full collections.

    Returns:
        How many objects no collection will visit again. Undone by ``gc.unfreeze()`` and
        ``gc.set_threshold`` (tests do that).
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, GENERATION_2_NEVER)
    return gc.get_freeze_count()


async def collect_when_idle(
    clock: Clock,
    last_event_ns: Callable[[], EngineNs],
    *,
    period_s: float = 300.0,
    idle_s: float = 0.05,
    overdue_s: float = 3600.0,
) -> NoReturn:
    """Run a full collection about every ``period_s``, when no fact came for ``idle_s``.

    A market that never rests would postpone it for ever, so after ``overdue_s`` it runs regardless:
    one late frame is better than memory that only grows.
    """
    collected_ns = clock.now()
    while True:
        await clock.sleep(IDLE_CHECK_S)
        now = clock.now()
        since_ns = now - collected_ns
        idle = now - last_event_ns() >= idle_s * SECOND_NS
        if since_ns >= overdue_s * SECOND_NS or (idle and since_ns >= period_s * SECOND_NS):
            gc.collect()
            collected_ns = clock.now()


async def measure_lag(metrics: DaemonMetrics, *, period_s: float = LAG_PERIOD_S) -> NoReturn:
    """Keep ``riskd_event_loop_lag_seconds``: how late the loop wakes a sleeper, in real time."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + period_s
        await asyncio.sleep(period_s)
        metrics.loop_lag_s = max(0.0, loop.time() - due_s)
