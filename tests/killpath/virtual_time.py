"""An event loop in which no time passes while anything is being done.

Engine time and the loop's own time are one, so that a request's deadline, an order's expiry and a
rule's minutes keep their proportions: whenever the loop and every thread have nothing left to do,
time jumps to the next moment that anybody waits for.
"""

from __future__ import annotations

import asyncio
import gc
import queue
import selectors
import sys
import threading
import time
from types import FrameType

from monitor.core.types import SECOND_NS, EngineNs

POLL_S = 0.002
HUNG_S = 15.0  # real seconds; threads that work for longer hang, and time goes on without them


class VirtualClock:
    """A ``core.ports.Clock``; ``loop()`` makes the event loop that lives in its time.

    ``hung`` are idents of threads that a test made hang: time goes on without them, and still
    waits for all others.
    """

    speed = 1e6  # what is measured in real seconds beside it is never late

    def __init__(self, start_ns: EngineNs) -> None:
        self.start_ns = start_ns
        self.passed_ns = 0
        self.hung = frozenset[int]()

    def now(self) -> EngineNs:
        """Engine time, nanoseconds."""
        return self.start_ns + self.passed_ns

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` of engine time; zero or less only yields to the loop."""
        await asyncio.sleep(max(0.0, seconds))

    def to_wall_ns(self, engine_ns: EngineNs) -> int:
        """As if engine time were the wall's from now on."""
        return time.time_ns() + engine_ns - self.now()

    def loop(self) -> asyncio.AbstractEventLoop:
        """A fresh event loop in this time."""
        return _VirtualLoop(self)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        self._virtual = clock
        super().__init__(_VirtualSelector(clock))

    def time(self) -> float:
        return self._virtual.passed_ns / SECOND_NS


class _VirtualSelector(selectors.DefaultSelector):
    """Asked to wait, it lets time jump instead; only threads are truly waited for."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self._busy_since_s: float | None = None
        self._hangs = False
        # Those of the test's own surroundings (a runner that reads from its controller) do no work
        # for it.
        self._strangers = frozenset(frames_of_threads())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        working = True
        while working:
            # Looked at before the socket: what a thread has done by then is on the socket.
            working = self._is_waited_for()
            found = super().select(POLL_S if working else 0)
            if found:
                self._busy_since_s = None  # whoever works gets on with it
                return found
        if timeout is None:
            return super().select(POLL_S)  # nobody waits for a moment
        self._clock.passed_ns += max(1, round(timeout * SECOND_NS))
        return found

    def _is_waited_for(self) -> bool:
        if not threads_work(self._strangers | self._clock.hung):
            self._busy_since_s, self._hangs = None, False
            return False
        now_s = time.monotonic()
        if self._busy_since_s is None:
            self._busy_since_s = now_s
        self._hangs = self._hangs or now_s - self._busy_since_s >= HUNG_S
        return not self._hangs


def frames_of_threads() -> dict[int, FrameType]:
    """What every thread is at, by its ident.

    The interpreter holds the list of threads meanwhile. A garbage collection in there that frees a
    ``threading.local`` wants the same lock, and the process hangs (CPython 3.11, gh-106883).
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        if collects:
            gc.enable()


def threads_work(strangers: frozenset[int]) -> bool:
    """Whether any other thread of this process does more than wait for work."""
    frames = _of_others(strangers)
    if not all(_is_idle(frame) for frame in frames.values()):
        return True
    # One may have taken up work while it was looked at; it is in another call then, and comes back
    # to wait in yet another. Frames that are held here keep their identity.
    again = _of_others(strangers)
    return again.keys() != frames.keys() or any(again[one] is not frames[one] for one in frames)


def _of_others(strangers: frozenset[int]) -> dict[int, FrameType]:
    here = threading.get_ident()
    return {
        ident: frame
        for ident, frame in frames_of_threads().items()
        if ident != here and ident not in strangers
    }


def _is_idle(frame: FrameType) -> bool:
    """Whether a thread waits for work, and none lies there for it. Only if it is still in this
    frame afterwards: one that went on meanwhile looks idle."""
    code, caller = frame.f_code, frame.f_back
    if code.co_name == "wait" and code.co_filename.endswith("threading.py"):
        jobs = None if caller is None else caller.f_locals.get("self")
        return not (isinstance(jobs, queue.Queue) and jobs.qsize())
    if code.co_name == "_worker" and code.co_filename.endswith("thread.py"):  # of a pool
        return not frame.f_locals["work_queue"].qsize()
    return False
