"""The sender: every channel by itself, criticals first, and nothing lost when things break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from monitor.core.errors import NotifyError, StoreError
from monitor.core.ports import DeliveryState, OutboxEntry, PendingDelivery
from monitor.core.types import Severity
from monitor.notify.alerts import entry_of
from monitor.notify.notice import Notice, NoticeKind
from monitor.notify.queue import QueuePolicy
from monitor.notify.sender import LanePlan, Sender
from tests.manual_clock import ManualClock, settle
from tests.notify.fakes import (
    START_NS,
    FakeChannel,
    MemoryOutbox,
    Observer,
    accept,
    notice,
    refuse,
    retryable,
)


class Rig:
    """A sender with fakes around it."""

    def __init__(
        self, *channels: FakeChannel, escalate: bool = False, capacity: int = 10_000
    ) -> None:
        self.clock = ManualClock(START_NS)
        self.outbox = MemoryOutbox()
        self.observer = Observer()
        names = [channel.name for channel in channels]
        self.sender = Sender(
            [
                LanePlan(
                    channel=channel,
                    policy=QueuePolicy(channel=channel.name, deployment="desk", capacity=capacity),
                    escalate_to=after if escalate else "",
                )
                for channel, after in zip(channels, [*names[1:], ""], strict=True)
            ],
            self.outbox,
            clock=self.clock,
            jitter=lambda: 0.99,
            observer=self.observer,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The sender's task for the time of a test."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.sender.run())
            await settle()
            yield
            task.cancel()

    def marks(self, state: DeliveryState) -> list[tuple[str, str]]:
        """(entry, channel) of each mark of that state."""
        return [(one.entry_id, one.channel) for one in self.outbox.marks if one.state is state]


def entry(name: str, *channels: str, severity: Severity = Severity.CRITICAL) -> OutboxEntry:
    """An entry owed to the channels."""
    return entry_of(notice(name, severity=severity), channels)


def names(notices: list[Notice]) -> list[str]:
    """Ids in order."""
    return [one.id for one in notices]


async def test_each_channel_gets_what_it_is_owed() -> None:
    """Delivered at once, marked, counted with its latency."""
    one, two = FakeChannel("one"), FakeChannel("two")
    rig = Rig(one, two)
    async with rig.running():
        rig.sender.offer([entry("a", "one", "two"), entry("b", "two")])
        await settle()
        assert (names(one.delivered), names(two.delivered)) == (["a"], ["a", "b"])
        await rig.clock.advance(0.25)
    assert sorted(rig.marks(DeliveryState.DELIVERED)) == [("a", "one"), ("a", "two"), ("b", "two")]
    assert min(rig.observer.results) == ("one", "delivered")
    assert rig.observer.conditions == [("one", ""), ("two", "")]


async def test_a_stuck_channel_delays_no_other() -> None:
    """One channel hangs with all its workers; the other delivers at once."""
    stuck, fine = FakeChannel("stuck"), FakeChannel("fine")
    stuck.hang = asyncio.Event()
    rig = Rig(stuck, fine)
    async with rig.running():
        rig.sender.offer([entry(f"e{number}", "stuck", "fine") for number in range(50)])
        await settle()
        assert len(fine.delivered) == 50
        assert stuck.delivered == []
        assert stuck.in_flight == 4
        stuck.hang.set()
        await settle()


async def test_a_storm_of_warnings_does_not_delay_a_critical() -> None:
    """5 000 warnings occupy a slow channel; the critical is on the wire without waiting for one."""
    slow = FakeChannel("slow", batch_max=256)
    slow.hang = asyncio.Event()
    rig = Rig(slow)
    async with rig.running():
        storm = [entry(f"w{number}", "slow", severity=Severity.WARNING) for number in range(5000)]
        rig.sender.offer(storm)
        await settle()
        assert slow.in_flight == 3
        rig.sender.offer([entry("critical", "slow")])
        await settle()
        assert slow.in_flight == 4
        assert slow.attempted[-1].id == "critical"
        slow.hang.set()
        for _ in range(10):
            await settle()
        assert len(slow.delivered) == 5001


async def test_requests_in_flight_are_bounded() -> None:
    """However much is owed, a channel has four requests open at most."""
    one = FakeChannel("one")
    rig = Rig(one)
    async with rig.running():
        rig.sender.offer([entry(f"e{number}", "one") for number in range(200)])
        for _ in range(30):
            await settle()
    assert len(one.delivered) == 200
    assert one.in_flight_max <= 4


async def test_a_failing_page_goes_to_the_next_channel_after_a_minute() -> None:
    """And the first channel goes on trying; the condition is told, and ends by itself."""
    first, backup = FakeChannel("first", answer=retryable), FakeChannel("backup")
    rig = Rig(first, backup, escalate=True)
    async with rig.running():
        rig.sender.offer([entry("a", "first")])
        await rig.clock.advance(59.5)
        assert backup.attempted == []
        assert rig.observer.conditions == []
        await rig.clock.advance(1.0)
        assert names(backup.delivered) == ["a"]
        assert ("a", "backup") in rig.outbox.owed
        assert rig.observer.conditions[0] == ("first", "server: 503")
        first.answer = accept
        await rig.clock.advance(60)
        assert names(first.delivered) == ["a"]
        assert names(backup.delivered) == ["a"]
    assert ("first", "") in rig.observer.conditions
    assert sorted(rig.marks(DeliveryState.DELIVERED)) == [("a", "backup"), ("a", "first")]


async def test_a_refused_page_goes_to_the_next_channel_at_once() -> None:
    """What will never be accepted is not tried again; somebody else gets it."""
    first, backup = FakeChannel("first", answer=refuse), FakeChannel("backup")
    rig = Rig(first, backup, escalate=True)
    async with rig.running():
        with capture_logs() as logs:
            rig.sender.offer([entry("a", "first")])
            await settle()
        assert names(backup.delivered) == ["a"]
        await rig.clock.advance(5)
    assert names(first.attempted) == ["a"]
    rejected = [log for log in logs if log["event"] == "page_rejected"]
    assert [(log["channel"], log["reason"]) for log in rejected] == [("first", "401")]


async def test_a_page_already_owed_to_the_next_channel_is_not_doubled() -> None:
    """Escalation adds a channel only where it has not been told."""
    first, backup = FakeChannel("first", answer=retryable), FakeChannel("backup")
    rig = Rig(first, backup, escalate=True)
    async with rig.running():
        rig.sender.offer([entry("a", "first", "backup")])
        await rig.clock.advance(61)
        first.answer = refuse
        await rig.clock.advance(61)
    assert names(backup.delivered) == ["a"]
    assert rig.outbox.owed == []


async def test_a_disabled_channel_hands_everything_on() -> None:
    """410 Gone: no more attempts, pages go on, and it counts as failing at once."""
    gone, backup = FakeChannel("gone"), FakeChannel("backup")
    gone.disabled = "Webhook gone is disabled"
    rig = Rig(gone, backup, escalate=True)
    async with rig.running():
        rig.sender.offer([entry("a", "gone"), entry("w", "gone", severity=Severity.WARNING)])
        await rig.clock.advance(0.5)
    assert gone.attempted == []
    assert names(backup.delivered) == ["a", "w"]
    assert ("gone", "Webhook gone is disabled") in rig.observer.conditions


def broken_for(name: str) -> Callable[[Notice], NotifyError | None]:
    """A channel with a bug that one notice sets off."""

    def answer(one: Notice) -> NotifyError | None:
        if one.id == name:
            raise KeyError("https://hooks.example/secret-token")
        return None

    return answer


async def test_a_notice_that_breaks_a_channel_breaks_only_itself() -> None:
    """The rest of its batch is delivered, and no exception text (it may hold an address) leaks."""
    one = FakeChannel("one", batch_max=10, answer=broken_for("bad"))
    rig = Rig(one)
    async with rig.running():
        with capture_logs() as logs:
            rig.sender.offer([entry(name, "one") for name in ("a", "bad", "b")])
            await rig.clock.advance(3)
        assert sorted(names(one.delivered)) == ["a", "b"]
        assert rig.sender.pending == 1
    assert any(log["event"] == "channel_broke" for log in logs)
    assert "secret-token" not in str(logs)


async def test_pages_leave_while_the_store_is_down() -> None:
    """Marks wait for the store, pages do not; they are noted once it is back."""
    one = FakeChannel("one")
    rig = Rig(one)
    rig.outbox.error = StoreError("disk full")
    async with rig.running():
        with capture_logs() as logs:
            rig.sender.offer([entry("a", "one"), entry("b", "one")])
            await rig.clock.advance(10)
        assert sorted(names(one.delivered)) == ["a", "b"]
        assert [log["event"] for log in logs].count("delivery_marks_not_kept") == 1
        rig.outbox.error = None
        await rig.clock.advance(1)
    assert sorted(rig.marks(DeliveryState.DELIVERED)) == [("a", "one"), ("b", "one")]


async def test_an_overflow_is_told_as_a_digest() -> None:
    """What did not fit is counted, kept with its digest, and the digest arrives."""
    one = FakeChannel("one")
    one.hang = asyncio.Event()
    rig = Rig(one, capacity=10)
    async with rig.running():
        rig.sender.offer(
            [entry(f"w{number}", "one", severity=Severity.WARNING) for number in range(100)]
        )
        await rig.clock.advance(1)
        one.hang.set()
        await rig.clock.advance(1)
    (digest,) = [one for one in one.delivered if one.kind is NoticeKind.DIGEST]
    told = len(one.delivered) - 1
    assert dict(digest.counts) == {"LeverageHigh": 100 - told}
    assert [kept.id for kept in rig.outbox.entries] == [digest.id]
    assert len(rig.marks(DeliveryState.DIGESTED)) == 100 - told


async def test_restored_pages_leave_urgent_first() -> None:
    """What an earlier process owed is sent, under its own ids, with its attempts."""
    one = FakeChannel("one")
    one.hang = asyncio.Event()
    rig = Rig(one)
    rig.outbox.left = [
        PendingDelivery(
            entry=entry("w", "one", severity=Severity.WARNING), channel="one", attempts=0
        ),
        PendingDelivery(entry=entry("c", "one"), channel="one", attempts=3),
    ]
    assert await rig.sender.restore() == 2
    async with rig.running():
        assert names(one.attempted) == ["c", "w"]
        one.hang.set()


async def test_what_a_removed_channel_owed_goes_to_one_that_is_left() -> None:
    """A channel taken out of the configuration does not take its pages with it."""
    one = FakeChannel("one")
    rig = Rig(one)
    rig.outbox.left = [PendingDelivery(entry=entry("a", "gone"), channel="gone", attempts=0)]
    await rig.sender.restore()
    async with rig.running():
        await rig.clock.advance(0.5)
    assert names(one.delivered) == ["a"]
    assert rig.outbox.owed == [("a", "one")]
    assert rig.marks(DeliveryState.REJECTED) == [("a", "gone")]


async def test_an_entry_that_cannot_be_read_is_counted() -> None:
    """Another version's notice stops neither the restore nor the others."""
    one = FakeChannel("one")
    rig = Rig(one)
    damaged = OutboxEntry(
        id="x", identity="x", urgency=0, created_ns=START_NS, notice=b"\x80", channels=("one",)
    )
    async with rig.running():
        rig.sender.offer([damaged, entry("a", "one")])
        await settle()
    assert names(one.delivered) == ["a"]
    assert rig.sender.unreadable == 1


@pytest.mark.parametrize(
    ("works", "unsent"), [(True, 0), (False, 2)], ids=["all arrived", "says what did not"]
)
async def test_draining_says_what_was_not_sent(works: bool, unsent: int) -> None:
    """At shutdown: wait for what can be sent, count what cannot."""
    one = FakeChannel("one", answer=accept if works else retryable)
    rig = Rig(one)
    async with rig.running():
        rig.sender.offer([entry("a", "one"), entry("b", "one")])
        assert await rig.sender.drain(5.0 if works else 0.05) == unsent
    assert len(rig.marks(DeliveryState.DELIVERED)) == 2 - unsent
