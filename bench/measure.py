"""How things are measured: process CPU time, garbage collector frozen after warm-up, one process.

Everything here runs in a fresh process pinned to one core; ``bench.suite`` starts those processes,
interleaves contestants and takes medians of per-round ratios. Wall time is never measured.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Work = TypeVar("Work")


def pin() -> None:
    """Stay on the last core this process may use."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def freeze() -> None:
    """What the daemon does after warm-up: what lives by then is never looked at again."""
    gc.collect()
    gc.freeze()


def cpu_us(run: Callable[[Work], object], work: Work, count: int) -> float:
    """CPU microseconds per item of ``run(work)``, which does ``count`` items."""
    started_ns = time.process_time_ns()
    run(work)
    return (time.process_time_ns() - started_ns) / count / 1000.0


def resident_mb() -> float:
    """Resident memory of this process now, MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
