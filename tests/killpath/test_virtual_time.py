"""Virtual time waits for every thread: none that works may be taken for idle, or for hung."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from types import FrameType, SimpleNamespace

import pytest

from monitor.store.thread import StoreThread
from tests.killpath import virtual_time
from tests.killpath.virtual_time import VirtualClock, frames_of_threads, threads_work


class Nothing:
    """What the thread of a test owns."""

    def close(self) -> None:
        """Nothing is to be given back."""


def test_work_taken_up_while_it_is_looked_for_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a thread was at is old by the time that it is judged."""
    strangers = frozenset(frames_of_threads())
    thread = StoreThread(Nothing)
    started, done = threading.Event(), threading.Event()

    def work(_: Nothing) -> None:
        started.set()
        until(done)

    def looked_at() -> dict[int, FrameType]:
        found = frames_of_threads()
        if not started.is_set():
            thread.submit(work, what="work")
            assert started.wait(10)
        return found

    while threads_work(strangers):
        time.sleep(0.001)  # until it waits for its first job
    monkeypatch.setattr(virtual_time, "frames_of_threads", looked_at)
    try:
        assert threads_work(strangers)
    finally:
        done.set()
        thread.close()


def test_many_short_jobs_are_no_hanging_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the work takes altogether, no moment passes while a job is done."""
    seconds = itertools.count(step=virtual_time.HUNG_S / 100)
    clock = VirtualClock(0)
    passed: list[int] = []

    async def story() -> None:
        thread = StoreThread(Nothing)  # those that are there before the loop are not waited for
        for _ in range(300):
            job = asyncio.wrap_future(thread.submit(lambda _: time.sleep(0.0005), what="be quick"))
            await asyncio.wait({job}, timeout=0.25)
            passed.append(clock.passed_ns)
        thread.close()

    with asyncio.Runner(loop_factory=clock.loop) as runner:
        monkeypatch.setattr(virtual_time, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
        runner.run(story())
    assert passed == [0] * 300
    assert next(seconds) > 2 * virtual_time.HUNG_S


def test_a_thread_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time goes on without it, at once at every further moment, until it is well again."""
    monkeypatch.setattr(virtual_time, "HUNG_S", 0.05)
    clock = VirtualClock(0)
    back = threading.Event()

    async def story() -> None:
        thread = StoreThread(Nothing)
        job = asyncio.wrap_future(thread.submit(lambda _: until(back), what="hang"))
        began_s = time.monotonic()
        for _ in range(100):
            await asyncio.sleep(1.0)
        assert not job.done()
        assert time.monotonic() - began_s < 100 * 0.05
        back.set()
        await job
        thread.close()

    with asyncio.Runner(loop_factory=clock.loop) as runner:
        runner.run(story())
    assert clock.passed_ns == 100 * 10**9


def until(event: threading.Event) -> None:
    """Work until ``event``, unlike a wait for it, which looks idle."""
    while not event.is_set():
        time.sleep(0.001)
