"""One thread that owns one connection (or directory), and an asynchronous door to it.

Jobs run in the order they came, urgent ones before the others. The queue is bounded and every
caller has a deadline, so a disk that hangs costs its callers a ``StoreError`` and never the event
loop. A *write* whose caller stopped waiting still runs: kept late is better than not kept, and ids
make a repeat harmless.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Generic, Protocol, TypeVar

from monitor.core.errors import StoreError

QUEUE_MAX = 1024
_URGENT, _ORDINARY, _CLOSE = range(3)


class Closable(Protocol):
    """What a thread may own."""

    def close(self) -> None:
        """Give it back."""
        ...


Result = TypeVar("Result")
Held = TypeVar("Held", bound=Closable)


class StoreThread(Generic[Held]):
    """Runs jobs against what ``connect`` opened on the thread itself."""

    def __init__(
        self, connect: Callable[[], Held], *, queue_max: int = QUEUE_MAX, name: str = "store"
    ) -> None:
        """Start the thread and wait until the connection stands.

        Raises:
            Whatever ``connect`` raises, in the caller.
        """
        self._connect = connect
        self._name = name
        self._queue_max = queue_max
        self._jobs: queue.PriorityQueue[tuple[int, int, Callable[[Held], None] | None]] = (
            queue.PriorityQueue()
        )
        self._numbers = itertools.count()
        self._opened: Future[None] = Future()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        try:
            self._opened.result()
        except BaseException:
            self._closed = True
            self._thread.join()
            raise

    @property
    def queue_length(self) -> int:
        """Jobs waiting; the capacity is ``QUEUE_MAX`` unless given."""
        return self._jobs.qsize()

    async def call(
        self,
        job: Callable[[Held], Result],
        *,
        what: str,
        deadline_s: float,
        write: bool,
        urgent: bool = False,
    ) -> Result:
        """Run ``job`` on the thread and give its result.

        Args:
            job: Gets the connection; manages its own transaction.
            what: What was to be done, for the error text ("keep the phase").
            deadline_s: Real seconds that the caller is willing to wait.
            write: True keeps the job queued after the deadline; otherwise it is dropped unless it
                already runs.
            urgent: Goes before every job that is not, and has room where they have none.

        Raises:
            StoreError: Queue full, deadline passed, the disk refused, or the store is closed.
        """
        answer = asyncio.wrap_future(self.submit(job, what=what, urgent=urgent))
        answer.add_done_callback(_forget)
        try:
            async with asyncio.timeout(deadline_s):
                return await (asyncio.shield(answer) if write else answer)
        except TimeoutError:
            raise StoreError(
                f"The {self._name} could not {what} within {deadline_s * 1000:.0f} ms. "
                "The disk is too slow or hangs; look at it."
            ) from None

    def submit(
        self, job: Callable[[Held], Result], *, what: str, urgent: bool = False
    ) -> Future[Result]:
        """Queue ``job`` and give its outcome; from any thread.

        Raises:
            StoreError: Queue full, or the store is closed.
        """
        future: Future[Result] = Future()

        def run(held: Held) -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                _settle(future, job(held))
            except sqlite3.Error as error:
                _settle(future, StoreError(f"The {self._name} could not {what}: {error}."))
            except OSError as error:
                why = (error.strerror or type(error).__name__).lower()
                _settle(future, StoreError(f"The {self._name} could not {what}: {why}."))
            except Exception as error:  # noqa: BLE001 - the caller gets it, the thread lives on
                _settle(future, error)

        if self._closed:
            raise StoreError(f"The {self._name} could not {what}: it is closed.")
        room = self._queue_max * 2 if urgent else self._queue_max
        if self._jobs.qsize() >= room:
            raise StoreError(
                f"The {self._name} could not {what}: {room} earlier jobs are waiting. "
                "The disk is too slow or hangs; look at it."
            )
        self._jobs.put((_URGENT if urgent else _ORDINARY, next(self._numbers), run))
        return future

    def close(self, timeout_s: float = 10.0) -> bool:
        """Run what is queued, close the connection, end the thread. Blocks; False when the disk
        hung longer than ``timeout_s`` (the thread then dies with the process)."""
        if not self._closed:
            self._closed = True
            self._jobs.put((_CLOSE, next(self._numbers), None))
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            held = self._connect()
        except BaseException as error:  # noqa: BLE001 - raised again where the thread was started
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        try:
            while (job := self._jobs.get()[2]) is not None:
                job(held)
        finally:
            held.close()


def _settle(future: Future[Result], outcome: Result | Exception) -> None:
    # The waiting side may be gone with its event loop; there is then nobody left to tell.
    try:
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
    except (InvalidStateError, RuntimeError):
        return


def _forget(answer: asyncio.Future[Result]) -> None:
    # A caller that stopped waiting was told so; asyncio must not warn about the late failure.
    if not answer.cancelled():
        answer.exception()
