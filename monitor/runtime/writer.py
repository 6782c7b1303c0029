"""The single writer: the only holder of the risk state, and where every fact enters it.

``submit`` applies at once on the caller's turn of the loop and schedules one ``evaluate`` for when
the read batch is done, at the latest ``max_delay_ms`` later under load. Between batches it wakes at
the deadline that the engine asked for and submits a ``Tick``. A failure of the engine is never
contained: ``submit`` cannot raise it into a feed (which would be blamed and retried), so the writer
stops taking facts and ``run`` raises it, which unwinds the process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NoReturn, Protocol

import structlog

from monitor.core.decision import Decision
from monitor.core.errors import MonitorError
from monitor.core.events import Event, Tick
from monitor.core.ports import Clock, DecisionListener
from monitor.core.types import SECOND_NS, EngineNs
from monitor.observability.metrics import DaemonMetrics

_TICK = (Tick(),)
# A deadline that is already past must not turn the timer into a busy loop.
OVERDUE_DELAY_S = 0.001
JOURNAL = "Journal"  # its label among the listeners


class EngineLike(Protocol):
    """What the writer needs of ``core.engine.Engine``; pure and synchronous."""

    def apply(self, event: Event, now_ns: EngineNs, /) -> object:
        """Let one fact change the state."""
        ...

    def evaluate(self, now_ns: EngineNs, /) -> Decision:
        """Judge what changed since the last evaluation, and say when to wake."""
        ...


class Journal(Protocol):
    """Keeps what ``apply`` consumed, in order, so that replaying gives the same decisions."""

    def event(self, now_ns: EngineNs, event: Event) -> None:
        """One fact, before it is applied; must not block."""
        ...

    def batch(self, now_ns: EngineNs, decision: Decision) -> None:
        """An evaluation took place here and concluded this; must not block."""
        ...


class Writer:
    """An ``EventSink`` around one engine.

    Args:
        engine: Never touched by anyone else while the writer lives.
        clock: Engine time.
        listeners: Get every decision that is not quiet, in this order. An error that riskd raises
            on purpose (``MonitorError``: a channel or the store said no) is counted and contained;
            anything else is a bug of the core and ends the process after all have been called.
        metrics: The daemon's own.
        journal: None keeps nothing.
        max_delay_ms: Longest wait of a fact for its evaluation while frames keep coming.
    """

    def __init__(
        self,
        engine: EngineLike,
        clock: Clock,
        *,
        listeners: Sequence[DecisionListener],
        metrics: DaemonMetrics,
        journal: Journal | None = None,
        max_delay_ms: float = 5.0,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._listeners = tuple(listeners)
        self._metrics = metrics
        self._journal = journal
        self._max_delay_ns = round(max_delay_ms * SECOND_NS / 1000.0)
        self._pending: asyncio.Handle | None = None
        self._pending_since_ns: EngineNs = 0
        self._wake_at_ns: EngineNs | None = None
        self._armed_for_ns: EngineNs | None = None
        self._timer: asyncio.Timeout | None = None
        self._failure: BaseException | None = None
        self._journal_failed = False
        self.last_event_ns: EngineNs = 0
        self._log = structlog.get_logger()
        metrics.listener(JOURNAL)
        for listener in self._listeners:
            metrics.listener(_name(listener))

    @property
    def failed(self) -> BaseException | None:
        """What broke the engine, or None; once set, no fact is taken any more."""
        return self._failure

    @property
    def evaluation_due_ns(self) -> EngineNs | None:
        """When the next evaluation is, or was, due: facts wait, or the engine asked to be woken.
        None while nothing waits."""
        waiting = self._pending_since_ns or None
        if waiting is None or self._wake_at_ns is None:
            return waiting or self._wake_at_ns
        return min(waiting, self._wake_at_ns)

    def submit(self, events: tuple[Event, ...]) -> None:
        """Apply these facts now. Never raises: a failure of the engine ends ``run`` instead."""
        if self._failure is not None:
            return
        now = self._clock.now()
        self.last_event_ns = now
        journal, engine = self._journal, self._engine
        try:
            for event in events:
                if journal is not None:
                    self._record(journal, now, event)
                engine.apply(event, now)
        except Exception as error:  # noqa: BLE001 - not contained: handed to run(), which raises it
            self._fail(error)
            return
        self._metrics.events += len(events)
        if self._pending is None:
            self._pending_since_ns = now
            self._pending = asyncio.get_running_loop().call_soon(self.evaluate)
        elif now - self._pending_since_ns >= self._max_delay_ns:
            self.evaluate()

    def evaluate(self) -> None:
        """Judge at once what was applied; the loop calls it after each read batch."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        if self._failure is not None:
            return
        now = self._clock.now()
        oldest_ns, self._pending_since_ns = self._pending_since_ns, 0
        started_s = time.perf_counter()
        try:
            decision = self._engine.evaluate(now)
            if self._journal is not None:
                self._record(self._journal, now, decision)
        except Exception as error:  # noqa: BLE001 - not contained: handed to run(), which raises it
            self._fail(error)
            return
        metrics = self._metrics
        metrics.evaluation_s.observe(time.perf_counter() - started_s)
        if oldest_ns:
            metrics.event_to_decision_s.observe((self._clock.now() - oldest_ns) / SECOND_NS)
        metrics.last_evaluation_ns = now
        self._wake_at_ns = decision.wake_at_ns
        # A later deadline is noticed when the armed one passes; only an earlier one needs a push.
        if decision.wake_at_ns is not None and (
            self._armed_for_ns is None or decision.wake_at_ns < self._armed_for_ns
        ):
            self._push_timer()
        if not decision.quiet:
            self._announce(decision)

    async def run(self) -> NoReturn:
        """Wake at the engine's deadlines until cancelled.

        Raises:
            BaseException: Whatever broke the engine or a listener; the daemon ends with it.
        """
        forever = asyncio.Event()
        while True:
            if self._failure is not None:
                raise self._failure
            try:
                async with asyncio.timeout(None) as self._timer:
                    wake_at_ns = self._armed_for_ns = self._wake_at_ns
                    if wake_at_ns is None:
                        await forever.wait()
                    else:
                        delay_s = (wake_at_ns - self._clock.now()) / SECOND_NS
                        await self._clock.sleep(delay_s if delay_s > 0.0 else OVERDUE_DELAY_S)
            except TimeoutError:
                continue  # pushed: an earlier deadline, or the engine failed
            finally:
                self._timer = None
                self._armed_for_ns = None
            if self._wake_at_ns is not None and self._wake_at_ns <= self._clock.now():
                self._wake_at_ns = None  # the coming evaluation names the next one
                self.submit(_TICK)
                self.evaluate()

    def drain(self) -> None:
        """Evaluate what is still waiting; the last call before the daemon stops."""
        if self._pending is not None:
            self.evaluate()

    def _record(self, journal: Journal, now: EngineNs, entry: Event | Decision) -> None:
        """Keep one entry. A full disk must not stop the watching, so it is counted, not raised."""
        try:
            if isinstance(entry, Decision):
                journal.batch(now, entry)
            else:
                journal.event(now, entry)
        except MonitorError as error:
            self._metrics.listener_failed(JOURNAL)
            if not self._journal_failed:
                self._log.error("journal_failed", reason=str(error))
            self._journal_failed = True
        else:
            if self._journal_failed:
                self._log.info("journal_works_again")
            self._journal_failed = False

    def _announce(self, decision: Decision) -> None:
        metrics = self._metrics
        metrics.measure_errors += len(decision.measure_errors)
        for health in decision.health:
            if health.error:
                metrics.rule_failed(health.rule)
        broken: Exception | None = None
        for listener in self._listeners:
            name = _name(listener)
            try:
                listener.decided(decision)
            except MonitorError as error:
                metrics.listener_failed(name)
                self._log.error("decision_not_taken", listener=name, reason=str(error))
            except Exception as error:  # noqa: BLE001 - not contained: run() raises it
                metrics.listener_failed(name)
                broken = broken or error
        if broken is not None:
            self._fail(broken)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._log.critical("core_failed", exc_info=error)
        self._push_timer()

    def _push_timer(self) -> None:
        """Make ``run`` look again, at its next turn."""
        timer = self._timer
        if timer is not None and not timer.expired():
            timer.reschedule(asyncio.get_running_loop().time())


def _name(listener: DecisionListener) -> str:
    """Label of a listener: the name of its class, a closed set."""
    return type(listener).__name__
