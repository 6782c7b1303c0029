"""One thread that owns one SQLite connection, and an asynchronous door to it.

Jobs run in the order they came. The queue is bounded and every caller has a deadline, so a disk
that hangs costs its callers a ``StoreError`` and never the event loop. A *write* whose caller
stopped waiting still runs: kept late is better than not kept, and ids make a repeat harmless.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import TypeVar

from monitor.core.errors import StoreError

Result = TypeVar("Result")
Job = Callable[[sqlite3.Connection], None]

QUEUE_MAX = 1024


class StoreThread:
    """Runs jobs against the connection that ``connect`` opened on the thread itself."""

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], *, queue_max: int = QUEUE_MAX
    ) -> None:
        """Start the thread and wait until the connection stands.

        Raises:
            Whatever ``connect`` raises, in the caller.
        """
        self._connect = connect
        self._jobs: queue.Queue[Job | None] = queue.Queue(queue_max)
        self._opened: Future[None] = Future()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
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
        job: Callable[[sqlite3.Connection], Result],
        *,
        what: str,
        deadline_s: float,
        write: bool,
    ) -> Result:
        """Run ``job`` on the thread and give its result.

        Args:
            job: Gets the connection; manages its own transaction.
            what: What was to be done, for the error text ("keep the phase").
            deadline_s: Real seconds that the caller is willing to wait.
            write: True keeps the job queued after the deadline; a read is dropped.

        Raises:
            StoreError: Queue full, deadline passed, SQLite refused, or the store is closed.
        """
        future: Future[Result] = Future()

        def run(connection: sqlite3.Connection) -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                _settle(future, job(connection))
            except sqlite3.Error as error:
                _settle(future, StoreError(f"The store could not {what}: {error}."))
            except Exception as error:  # noqa: BLE001 - the caller gets it, the thread lives on
                _settle(future, error)

        if self._closed:
            raise StoreError(f"The store could not {what}: it is closed.")
        try:
            self._jobs.put_nowait(run)
        except queue.Full:
            raise StoreError(
                f"The store could not {what}: {self._jobs.maxsize} earlier jobs are waiting. "
                "The disk is too slow or hangs; look at it."
            ) from None
        answer = asyncio.wrap_future(future)
        answer.add_done_callback(_forget)
        try:
            async with asyncio.timeout(deadline_s):
                return await (asyncio.shield(answer) if write else answer)
        except TimeoutError:
            raise StoreError(
                f"The store could not {what} within {deadline_s * 1000:.0f} ms. "
                "The disk is too slow or hangs; look at it."
            ) from None

    def close(self, timeout_s: float = 10.0) -> bool:
        """Run what is queued, close the connection, end the thread. Blocks; False when the disk
        hung longer than ``timeout_s`` (the thread then dies with the process)."""
        if not self._closed:
            self._closed = True
            try:
                self._jobs.put(None, timeout=timeout_s)
            except queue.Full:
                return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            connection = self._connect()
        except BaseException as error:  # noqa: BLE001 - raised again where the thread was started
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        try:
            while (job := self._jobs.get()) is not None:
                job(connection)
        finally:
            connection.close()


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
