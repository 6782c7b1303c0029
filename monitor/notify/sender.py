"""Drains what is owed, each channel by itself, until it arrived or was honestly given up.

A channel has its own queue, its own workers and its own backoff, so one that hangs delays no other;
one of its workers serves critical news only, so a storm of warnings cannot occupy it. The store is
told what became of everything; when it cannot be, the pages leave all the same.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import structlog

from monitor.core.errors import NotifyError, StoreError
from monitor.core.ports import Clock, DeliveryMark, DeliveryState, Outbox, OutboxEntry
from monitor.core.types import SECOND_NS, EngineNs
from monitor.notify.channel import Channel
from monitor.notify.queue import DeliveryQueue, Item, QueuePolicy, QueueStatus

HOUSEKEEPING_S = 0.25  # the grain of retries and deadlines
MARKS_MAX = 50_000  # while the store is down; a mark that is lost costs a repeat, never a page
WORKERS = 4  # requests in flight on one channel; the first worker serves critical news only


class SenderObserver(Protocol):
    """Who counts and hears of failing channels; must not block."""

    def attempted(self, channel: str, result: str, latency_s: float) -> None:
        """One attempt ended: ``delivered``, or the ``NotifyError.reason`` why not; or a page was
        given up for a digest: ``dropped``. Latency since the decision, seconds of engine time."""
        ...

    def failing(self, channel: str, reason: str) -> None:
        """The channel has delivered nothing for a minute of trying, or is disabled; ``""``: it
        delivers (again)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LanePlan:
    """One channel as wiring wants it; ``escalate_to`` names the channel that gets what this one
    does not deliver."""

    channel: Channel
    policy: QueuePolicy
    escalate_to: str = ""
    workers: int = WORKERS


@dataclass(slots=True, eq=False)
class _Lane:
    plan: LanePlan
    queue: DeliveryQueue
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    told_failing: bool | None = None

    @property
    def name(self) -> str:
        return self.plan.channel.name


class Sender:
    """Owns the queues of all channels. Make it before anything is decided; ``run`` it as a task."""

    def __init__(
        self,
        plans: Sequence[LanePlan],
        outbox: Outbox,
        *,
        clock: Clock,
        jitter: Callable[[], float],
        observer: SenderObserver,
    ) -> None:
        """Take the channels; nothing is sent before ``run``.

        Args:
            plans: The channels, by unique name.
            outbox: Told what became of each delivery.
            clock: Engine time.
            jitter: Uniform in [0, 1); ``random.random``.
            observer: Metrics and the condition ``NotifyFailing``.
        """
        self._lanes = {plan.channel.name: _Lane(plan, DeliveryQueue(plan.policy)) for plan in plans}
        self._outbox = outbox
        self._clock = clock
        self._jitter = jitter
        self._observer = observer
        self._marks: dict[tuple[str, str], DeliveryMark] = {}
        self._owed: list[tuple[str, str]] = []
        self._digests: list[OutboxEntry] = []
        self._store_failing = False
        self._idle = asyncio.Event()
        self._log = structlog.get_logger("notify")
        self.unreadable = 0

    # ------------------------------------------------------------------------------- intake

    async def restore(self) -> int:
        """Take on what an earlier process still owed; gives how many deliveries.

        What is owed to a channel that is no longer configured goes to the first one that is.

        Raises:
            StoreError: If the outbox cannot be read.
        """
        pending = await self._outbox.pending()
        now = self._clock.now()
        for delivery in pending:
            lane = self._lanes.get(delivery.channel)
            if lane is None:
                self._log.warning("channel_not_configured", channel=delivery.channel)
                others = [one for one in self._lanes if one not in delivery.entry.channels][:1]
                self._settle_orphan(delivery.entry, delivery.channel, others)
            else:
                self._offer(lane, delivery.entry, now, attempts=delivery.attempts)
        return len(pending)

    def offer(self, entries: Sequence[OutboxEntry], *, repeat: bool = False) -> None:
        """Send these to their channels, most urgent first; call it once they are kept.

        ``repeat``: they hold up alert state, are kept nowhere and give way to newer ones.
        """
        now = self._clock.now()
        for entry in entries:
            for name in entry.channels:
                lane = self._lanes.get(name)
                if lane is not None:
                    self._offer(lane, entry, now, repeat=repeat)

    # ------------------------------------------------------------------------------- output

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._housekeep(), name="notify:housekeeping")
            group.create_task(self._keep(), name="notify:marks")
            for lane in self._lanes.values():
                for number in range(max(lane.plan.workers, 2)):
                    group.create_task(
                        self._work(lane, urgent_only=number == 0),
                        name=f"notify:{lane.name}:{number}",
                    )

    async def drain(self, deadline_s: float) -> int:
        """Wait up to ``deadline_s`` real seconds until all is told; gives what still is not.

        ``run`` must be running.
        """
        for lane in self._lanes.values():
            lane.wake.set()
        try:
            async with asyncio.timeout(deadline_s):
                while any(len(lane.queue) for lane in self._lanes.values()):
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            self._log.warning("pages_not_sent_at_shutdown", pending=self.pending)
        await self._keep_marks()
        return self.pending

    @property
    def pending(self) -> int:
        """Deliveries in all queues, repeats included."""
        return sum(len(lane.queue) for lane in self._lanes.values())

    def status(self) -> tuple[QueueStatus, ...]:
        """Each channel as metrics and ``status`` show it."""
        now = self._clock.now()
        return tuple(lane.queue.status(now) for lane in self._lanes.values())

    # ---------------------------------------------------------------------------- internals

    async def _work(self, lane: _Lane, *, urgent_only: bool) -> None:
        while True:
            lane.wake.clear()
            items: list[Item] = []
            if not lane.plan.channel.disabled:
                items = lane.queue.take(
                    self._clock.now(), lane.plan.channel.batch_max, urgent_only=urgent_only
                )
            if items:
                await self._attempt(lane, items)
            else:
                await lane.wake.wait()

    async def _attempt(self, lane: _Lane, items: list[Item]) -> None:
        try:
            results = await lane.plan.channel.send([item.notice for item in items])
            _check_lengths(items, results)
        except Exception as bug:  # noqa: BLE001 - containment: one notification can fail alone
            # Whatever broke, it broke this batch: each goes by itself, and the bad one alone fails.
            # Neither the exception's text nor source lines are logged: they may hold an address,
            # which may be secret.
            frames = traceback.extract_tb(bug.__traceback__)
            trace = [f"{frame.name}:{frame.lineno}" for frame in frames]
            self._log.error(
                "channel_broke", channel=lane.name, error=type(bug).__name__, trace=trace
            )
            text = f"Channel {lane.name} failed with {type(bug).__name__}."
            results = (NotifyError(text, retryable=True, reason="server"),) * len(items)
            for item in items:
                item.alone = True
        now = self._clock.now()
        marks, rejected = lane.queue.settle(items, results, now, jitter=self._jitter())
        for item, error in zip(items, results, strict=True):
            result = "delivered" if error is None else error.reason
            if error is not None and not error.retryable:
                self._log.error(
                    "page_rejected",
                    channel=lane.name,
                    alert=item.notice.label("alertname"),
                    entry=item.entry.id,
                    reason=str(error),
                )
            self._observer.attempted(lane.name, result, (now - item.entry.created_ns) / SECOND_NS)
        self._take_marks(marks)
        self._escalate(lane, rejected)
        lane.wake.set()
        if not len(lane.queue):
            self._idle.set()

    async def _housekeep(self) -> None:
        while True:
            await self._clock.sleep(HOUSEKEEPING_S)
            now = self._clock.now()
            for lane in self._lanes.values():
                if lane.plan.channel.disabled:
                    self._give_up(lane)
                self._escalate(lane, lane.queue.overdue(now))
                lane.queue.expire(now)
                if (made := lane.queue.digest(now)) is not None:
                    entry, marks = made
                    self._log.warning("pages_digested", channel=lane.name, pages=len(marks))
                    self._take_marks(marks)
                    for _ in marks:
                        self._observer.attempted(lane.name, "dropped", 0.0)
                    self._digests.append(entry)
                    self._offer(lane, entry, now)
                self._tell_failing(lane)
                lane.wake.set()

    async def _keep(self) -> None:
        # A task of its own: a store that hangs must delay neither sending nor housekeeping.
        while True:
            await self._clock.sleep(HOUSEKEEPING_S)
            await self._keep_marks()

    def _give_up(self, lane: _Lane) -> None:
        """A disabled channel takes nothing: all that is owed to it goes on to the next one."""
        reason = lane.plan.channel.disabled
        error = NotifyError(reason, retryable=False, reason="client")
        now = self._clock.now()
        while items := lane.queue.take(now, 1000):
            marks, rejected = lane.queue.settle(items, [error] * len(items), now, jitter=0.0)
            self._take_marks(marks)
            self._escalate(lane, rejected)

    def _escalate(self, lane: _Lane, items: Sequence[Item]) -> None:
        further = self._lanes.get(lane.plan.escalate_to)
        if further is None:
            return
        now = self._clock.now()
        for item in items:
            if item.repeat or further.name in item.entry.channels:
                continue
            channels = (*item.entry.channels, further.name)
            entry = msgspec.structs.replace(item.entry, channels=channels)
            item.entry = entry
            self._owed.append((entry.id, further.name))
            self._offer(further, entry, now)
            self._log.warning("page_escalated", channel=lane.name, to=further.name, entry=entry.id)

    def _tell_failing(self, lane: _Lane) -> None:
        now = self._clock.now()
        status = lane.queue.status(now)
        failing = bool(lane.plan.channel.disabled) or status.failing
        if failing == lane.told_failing or (not failing and not lane.queue.proven):
            return
        reason = (lane.plan.channel.disabled or status.last_error) if failing else ""
        if failing:
            self._log.error("channel_failing", channel=lane.name, reason=reason)
        elif lane.told_failing:
            self._log.info("channel_delivers_again", channel=lane.name)
        lane.told_failing = failing
        self._observer.failing(lane.name, reason)

    def _settle_orphan(self, entry: OutboxEntry, channel: str, others: list[str]) -> None:
        now = self._clock.now()
        for name in others:
            kept = msgspec.structs.replace(entry, channels=(*entry.channels, name))
            self._owed.append((entry.id, name))
            self._offer(self._lanes[name], kept, now)
        self._take_marks(
            [
                DeliveryMark(
                    entry_id=entry.id,
                    channel=channel,
                    state=DeliveryState.REJECTED,
                    attempts=0,
                    at_ns=now,
                    error="client: The channel is no longer configured.",
                )
            ]
        )

    def _offer(
        self,
        lane: _Lane,
        entry: OutboxEntry,
        now: EngineNs,
        *,
        repeat: bool = False,
        attempts: int = 0,
    ) -> None:
        try:
            marks = lane.queue.offer(entry, now, repeat=repeat, attempts=attempts)
        except msgspec.DecodeError as error:
            # Written by a version that spoke differently; it can be counted, not told.
            self.unreadable += 1
            self._log.error("outbox_entry_damaged", entry=entry.id, reason=str(error))
            return
        self._take_marks(marks)
        lane.wake.set()

    def _take_marks(self, marks: Sequence[DeliveryMark]) -> None:
        for mark in marks:
            self._marks[(mark.entry_id, mark.channel)] = mark

    async def _keep_marks(self) -> None:
        if not self._marks and not self._owed and not self._digests:
            return
        marks, self._marks = self._marks, {}
        owed, self._owed = self._owed, []
        digests, self._digests = self._digests, []
        try:
            await self._outbox.mark(tuple(marks.values()), tuple(digests), tuple(owed))
        except StoreError as error:
            # Kept for the next try; what was settled again meanwhile is newer and stays.
            self._marks = dict([*(marks | self._marks).items()][-MARKS_MAX:])
            self._owed = [*owed, *self._owed][-MARKS_MAX:]
            self._digests = [*digests, *self._digests]
            self._store_fails(error)
        else:
            self._store_works()

    def _store_fails(self, error: StoreError) -> None:
        if not self._store_failing:
            self._log.error("delivery_marks_not_kept", reason=str(error))
        self._store_failing = True

    def _store_works(self) -> None:
        if self._store_failing:
            self._log.info("delivery_marks_kept_again")
        self._store_failing = False


def _check_lengths(items: Sequence[Item], results: Sequence[NotifyError | None]) -> None:
    if len(results) != len(items):
        raise ValueError(f"{len(results)} results for {len(items)} notices")
