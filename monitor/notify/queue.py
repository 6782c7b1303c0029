"""What one channel still owes, and what it should try next.

Most urgent first; entries of one alert in order; full-jitter retries; a bounded length whose
overflow, like everything older than half an hour, collapses into a counted digest and is never
silently dropped. Time and randomness are arguments. *Pure.*
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from monitor.core.errors import NotifyError
from monitor.core.ports import DeliveryMark, DeliveryState, OutboxEntry
from monitor.core.types import SECOND_NS, EngineNs, Severity
from monitor.notify.alerts import entry_of
from monitor.notify.notice import (
    Notice,
    NoticeKind,
    alert_labels,
    at_least,
    compose_annotations,
    decode_notice,
    digest_of,
    louder,
    runbook_of,
)

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 60.0
RETRY_AFTER_MAX_S = 600.0  # a server that asks for more is escalated past long before
ESCALATE_AFTER_NS = 60 * SECOND_NS
FAILING_AFTER_NS = 60 * SECOND_NS
PAGE_AGE_MAX_NS = 30 * 60 * SECOND_NS
DIGEST_EVERY_NS = 60 * SECOND_NS
URGENCIES = 8
UNDELIVERED = "RiskdPagesUndelivered"


class QueuePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How one channel's queue behaves.

    ``holds_state``: the newest word on an alert makes older ones pointless. ``escalate_min``: from
    this severity on an undelivered entry also goes to the next channel after a minute.
    """

    channel: str
    deployment: str
    capacity: int = 10_000
    holds_state: bool = False
    escalate_min: Severity = Severity.HIGH
    runbook_base_url: str = ""


class Item(msgspec.Struct, kw_only=True, eq=False):
    """One entry on its way over one channel. ``alone``: it broke a batch, so it goes by itself."""

    entry: OutboxEntry
    notice: Notice
    repeat: bool
    since_ns: EngineNs
    attempts: int = 0
    next_try_ns: EngineNs = 0
    in_flight: bool = False
    escalated: bool = False
    alone: bool = False


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as metrics, readiness and ``status`` see it. Counters since the start."""

    channel: str
    pending: int
    capacity: int
    oldest_ns: EngineNs | None
    failing: bool
    failing_since_ns: EngineNs | None
    last_error: str
    last_delivered_ns: EngineNs | None
    delivered: int
    retried: int
    rejected: int
    superseded: int
    digested: int


class DeliveryQueue:
    """The state machine of one channel. Methods that settle something give marks to be kept."""

    def __init__(self, policy: QueuePolicy) -> None:
        self._policy = policy
        self._buckets: tuple[dict[str, Item], ...] = tuple({} for _ in range(URGENCIES))
        self._lines: dict[str, list[Item]] = {}  # by identity, oldest first
        self._failures = 0  # batches in a row
        self._gate_ns: EngineNs = 0  # nobody but fresh criticals before this
        self._closed_until_ns: EngineNs = 0  # the server asked for silence
        self._failing_since_ns: EngineNs | None = None
        self._last_error = ""
        self._last_delivered_ns: EngineNs | None = None
        self._counts: Counter[DeliveryState] = Counter()
        self._retried = 0
        self._collapsed: dict[str, Item] = {}
        self._digest_due_ns: EngineNs = 0

    def __len__(self) -> int:
        return sum(map(len, self._buckets))

    # ------------------------------------------------------------------------------- intake

    def offer(
        self, entry: OutboxEntry, now: EngineNs, *, repeat: bool = False, attempts: int = 0
    ) -> list[DeliveryMark]:
        """Take an entry on. A repeat is never kept or counted as owed: it comes again anyway.

        Raises:
            msgspec.DecodeError: If the entry's notice is damaged.
        """
        bucket = self._buckets[entry.urgency]
        if entry.id in bucket or entry.id in self._collapsed:
            return []
        notice = decode_notice(entry.notice)
        line = self._lines.get(entry.identity, [])
        if repeat and any(
            (not item.repeat or item.in_flight) and item.notice.hold_s >= notice.hold_s
            for item in line
        ):
            return []  # what stands before it says the same, or newer, and holds as long
        marks = []
        for item in list(line):
            # A repeat takes the place of repeats only: news must arrive, and leave its mark.
            replaced = item.repeat or (self._policy.holds_state and not repeat)
            if item.in_flight or not replaced:
                continue
            self._remove(item)
            if not item.repeat:
                marks.append(self._mark(item, DeliveryState.SUPERSEDED, now, "newer word"))
        item = Item(
            entry=entry,
            notice=notice,
            repeat=repeat,
            since_ns=now,
            attempts=attempts,
        )
        bucket[entry.id] = item
        self._lines.setdefault(entry.identity, []).append(item)
        if len(self) > self._policy.capacity and item.notice.kind is not NoticeKind.DIGEST:
            self._overflow()
        return marks

    def _overflow(self) -> None:
        # Repeats first (they come again), then the newest of the least urgent: what is urgent or
        # has waited longest keeps its place. A digest is never collapsed by an overflow.
        for urgency in sorted(range(URGENCIES), key=lambda u: (u % 2 == 1, u), reverse=True):
            for item in reversed(self._buckets[urgency].values()):
                if not item.in_flight and item.notice.kind is not NoticeKind.DIGEST:
                    self._collapse(item)
                    return

    def _collapse(self, item: Item) -> None:
        self._remove(item)
        if not item.repeat:
            self._collapsed[item.entry.id] = item

    # ------------------------------------------------------------------------------ sending

    def take(self, now: EngineNs, limit: int, *, urgent_only: bool = False) -> list[Item]:
        """Up to ``limit`` entries to try now, most urgent first; they are in flight until
        ``settle``. ``urgent_only``: nothing but critical news."""
        if now < self._closed_until_ns:
            return []
        taken: list[Item] = []
        for urgency, bucket in enumerate(self._buckets):
            if urgency > 0 and (urgent_only or now < self._gate_ns):
                break
            for item in bucket.values():
                if item.in_flight or item.next_try_ns > now:
                    continue
                if self._lines[item.entry.identity][0] is not item or (item.alone and taken):
                    continue
                item.in_flight = True
                taken.append(item)
                if item.alone or len(taken) >= limit:
                    return taken
        return taken

    def settle(
        self,
        items: Sequence[Item],
        results: Sequence[NotifyError | None],
        now: EngineNs,
        *,
        jitter: float,
    ) -> tuple[list[DeliveryMark], list[Item]]:
        """Note what became of a batch.

        Args:
            items: As ``take`` gave them.
            results: None for delivered, else why not.
            now: Engine time.
            jitter: Random, uniform in [0, 1): the share of the backoff that is waited.

        Returns:
            Marks to be kept, and the entries that the channel will never accept.
        """
        marks: list[DeliveryMark] = []
        rejected: list[Item] = []
        for item, error in zip(items, results, strict=True):
            item.in_flight = False
            item.attempts += 1
            if error is not None and error.retryable:
                self._retried += 1
                item.next_try_ns = now + _backoff_ns(item.attempts, jitter)
                state, text = DeliveryState.PENDING, _error_text(error)
            elif error is not None:
                self._remove(item)
                rejected.append(item)
                state, text = DeliveryState.REJECTED, _error_text(error)
            else:
                self._remove(item)
                state, text = DeliveryState.DELIVERED, ""
            if not item.repeat:
                marks.append(self._mark(item, state, now, text))
            elif state is DeliveryState.DELIVERED:
                self._counts[state] += 1
        self._judge(results, now, jitter)
        return marks, rejected

    def _judge(self, results: Sequence[NotifyError | None], now: EngineNs, jitter: float) -> None:
        errors = [error for error in results if error is not None]
        if len(errors) < len(results):
            self._failures = 0
            self._gate_ns = self._closed_until_ns = 0
            self._failing_since_ns = None
            self._last_delivered_ns = now
        elif errors:
            if self._failing_since_ns is None:
                self._failing_since_ns = now
            if any(error.retryable for error in errors):
                self._failures += 1
                self._gate_ns = now + _backoff_ns(self._failures, jitter)
            waits = [error.retry_after_s for error in errors if error.retry_after_s]
            if waits:
                wait_s = min(max(waits), RETRY_AFTER_MAX_S)
                self._closed_until_ns = now + round(wait_s * SECOND_NS)
        if errors:
            self._last_error = _error_text(errors[-1])

    # --------------------------------------------------------------------------------- time

    def overdue(self, now: EngineNs) -> list[Item]:
        """Entries that waited a minute and now also go to the next channel; each is given once."""
        found = []
        for item in self._items():
            if (
                not item.escalated
                and not item.repeat
                and now - item.since_ns >= ESCALATE_AFTER_NS
                and at_least(item.notice.severity, self._policy.escalate_min)
            ):
                item.escalated = True
                found.append(item)
        return found

    def expire(self, now: EngineNs) -> None:
        """Collapse what is older than half an hour: a stale page misleads whoever it wakes."""
        for item in list(self._items()):
            if not item.in_flight and now - item.entry.created_ns >= PAGE_AGE_MAX_NS:
                self._collapse(item)

    def digest(self, now: EngineNs) -> tuple[OutboxEntry, list[DeliveryMark]] | None:
        """The digest that replaces what was collapsed, at most one a minute; None for nothing.

        Keep both in one transaction, then ``offer`` the entry.
        """
        if not self._collapsed or now < self._digest_due_ns:
            return None
        self._digest_due_ns = now + DIGEST_EVERY_NS
        items = list(self._collapsed.values())
        self._collapsed = {}
        marks = [self._mark(item, DeliveryState.DIGESTED, now, "in a digest") for item in items]
        notice = _digest_notice(self._policy, items, now)
        return entry_of(notice, (self._policy.channel,)), marks

    def failing(self, now: EngineNs) -> bool:
        """True when nothing has been delivered since failures began a minute ago or more."""
        return (
            self._failing_since_ns is not None and now - self._failing_since_ns >= FAILING_AFTER_NS
        )

    @property
    def proven(self) -> bool:
        """True when the last word from the channel is a delivery."""
        return self._last_delivered_ns is not None and self._failing_since_ns is None

    def status(self, now: EngineNs) -> QueueStatus:
        """Lengths, ages and counters."""
        news = [item.entry.created_ns for item in self._items() if not item.repeat]
        return QueueStatus(
            channel=self._policy.channel,
            pending=len(self),
            capacity=self._policy.capacity,
            oldest_ns=min(news, default=None),
            failing=self.failing(now),
            failing_since_ns=self._failing_since_ns,
            last_error=self._last_error,
            last_delivered_ns=self._last_delivered_ns,
            delivered=self._counts[DeliveryState.DELIVERED],
            retried=self._retried,
            rejected=self._counts[DeliveryState.REJECTED],
            superseded=self._counts[DeliveryState.SUPERSEDED],
            digested=self._counts[DeliveryState.DIGESTED],
        )

    def _items(self) -> Iterator[Item]:
        for bucket in self._buckets:
            yield from bucket.values()

    def _remove(self, item: Item) -> None:
        del self._buckets[item.entry.urgency][item.entry.id]
        line = self._lines[item.entry.identity]
        line.remove(item)
        if not line:
            del self._lines[item.entry.identity]

    def _mark(self, item: Item, state: DeliveryState, now: EngineNs, error: str) -> DeliveryMark:
        if state is not DeliveryState.PENDING:
            self._counts[state] += 1
        return DeliveryMark(
            entry_id=item.entry.id,
            channel=self._policy.channel,
            state=state,
            attempts=item.attempts,
            at_ns=now,
            error=error,
            next_try_ns=item.next_try_ns if state is DeliveryState.PENDING else None,
        )


def _backoff_ns(attempts: int, jitter: float) -> int:
    ceiling_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(attempts - 1, 16))
    return round(jitter * ceiling_s * SECOND_NS)


def _error_text(error: NotifyError) -> str:
    return f"{error.reason}: {error}"


def _digest_notice(policy: QueuePolicy, items: Sequence[Item], now: EngineNs) -> Notice:
    counts: Counter[str] = Counter()
    severity = Severity.INFO
    for item in items:
        severity = louder(severity, item.notice.severity)
        if item.notice.counts:
            counts.update(dict(item.notice.counts))  # a digest that itself came too late
        else:
            counts[item.notice.label("alertname")] += 1
    total = counts.total()
    ranked = tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
    listed = ", ".join(f"{count} {name}" for name, count in ranked)
    labels = alert_labels(
        alert=UNDELIVERED,
        severity=severity,
        deployment=policy.deployment,
        rule="",
        subject="portfolio",
    )
    labels = tuple(sorted([*labels, ("channel", policy.channel)]))
    key = f"riskd/{policy.deployment}/{digest_of(labels, now, total)}"
    oldest_ns = min(item.entry.created_ns for item in items)
    return Notice(
        id=f"evt_{digest_of(key)}",
        kind=NoticeKind.DIGEST,
        identity=digest_of(labels),
        dedup_key=key,
        severity=severity,
        labels=labels,
        annotations=compose_annotations(
            summary=f"{total} pages could not be delivered: {listed}",
            description=f"Over channel {policy.channel}, the oldest from "
            f"{(now - oldest_ns) / SECOND_NS:.0f} s ago: {listed}.",
            key=key,
            runbook=runbook_of(UNDELIVERED),
            runbook_base_url=policy.runbook_base_url,
            dashboard_url="",
            next_step="Read what fires now with `riskd status`.",
        ),
        starts_ns=now,
        at_ns=now,
        hold_s=PAGE_AGE_MAX_NS / SECOND_NS,
        counts=ranked,
    )
