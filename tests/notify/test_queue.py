"""One channel's queue: urgent first, in order, bounded, and honest about what it gave up."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.errors import NotifyError
from monitor.core.ports import DeliveryState, OutboxEntry
from monitor.core.types import SECOND_NS, Severity
from monitor.notify.alerts import entry_of
from monitor.notify.notice import NoticeKind, decode_notice
from monitor.notify.queue import DeliveryQueue, Item, QueuePolicy
from tests.notify.fakes import START_NS, notice

MINUTE_NS = 60 * SECOND_NS


def queue(*, capacity: int = 100, holds_state: bool = False) -> DeliveryQueue:
    """An empty queue of the channel ``am``."""
    return DeliveryQueue(
        QueuePolicy(channel="am", deployment="desk", capacity=capacity, holds_state=holds_state)
    )


def entry(
    name: str,
    severity: Severity = Severity.CRITICAL,
    *,
    identity: str = "",
    kind: NoticeKind = NoticeKind.FIRING,
    at_ns: int = START_NS,
    repeat: bool = False,
    alert: str = "LeverageHigh",
) -> OutboxEntry:
    """An entry owed to ``am``."""
    one = notice(name, severity=severity, identity=identity, kind=kind, at_ns=at_ns, alert=alert)
    return entry_of(one, ("am",), repeat=repeat)


def ids(items: list[Item]) -> list[str]:
    """Entry ids in order."""
    return [item.entry.id for item in items]


def failure(*, retry_after_s: float | None = None) -> NotifyError:
    """A server with trouble."""
    return NotifyError("503", retryable=True, reason="server", retry_after_s=retry_after_s)


REFUSED = NotifyError("400", retryable=False, reason="client")


def test_urgent_first_then_in_order() -> None:
    """Severity decides, then age; repeats come after the news of their severity."""
    one = queue()
    one.offer(entry("info", Severity.INFO), START_NS)
    one.offer(entry("warning", Severity.WARNING), START_NS)
    one.offer(entry("critical again", repeat=True), START_NS, repeat=True)
    one.offer(entry("high", Severity.HIGH), START_NS)
    one.offer(entry("critical 1"), START_NS)
    one.offer(entry("critical 2"), START_NS)
    assert ids(one.take(START_NS, 100)) == [
        "critical 1", "critical 2", "critical again", "high", "warning", "info"
    ]  # fmt: skip


def test_what_is_in_flight_is_not_taken_twice() -> None:
    """Two workers never send the same entry."""
    one = queue()
    one.offer(entry("a"), START_NS)
    assert ids(one.take(START_NS, 10)) == ["a"]
    assert one.take(START_NS, 10) == []
    one.offer(entry("a"), START_NS)
    assert len(one) == 1


def test_entries_of_one_alert_leave_in_order() -> None:
    """The end of an alert waits for its beginning, also while that is being tried again."""
    one = queue()
    one.offer(entry("begin", identity="x"), START_NS)
    one.offer(entry("end", identity="x", kind=NoticeKind.RESOLVED), START_NS)
    items = one.take(START_NS, 10)
    assert ids(items) == ["begin"]
    one.settle(items, [failure()], START_NS, jitter=0.5)
    assert one.take(START_NS, 10) == []
    items = one.take(START_NS + SECOND_NS, 10)
    assert ids(items) == ["begin"]
    one.settle(items, [None], START_NS, jitter=0.5)
    assert ids(one.take(START_NS, 10)) == ["end"]


def test_where_state_is_held_the_newest_word_is_enough() -> None:
    """Alertmanager is told how it is, not how it was: an older word cannot arrive later."""
    one = queue(holds_state=True)
    one.offer(entry("begin", identity="x"), START_NS)
    marks = one.offer(entry("end", identity="x", kind=NoticeKind.RESOLVED), START_NS + 1)
    assert [(mark.entry_id, mark.state) for mark in marks] == [("begin", DeliveryState.SUPERSEDED)]
    assert ids(one.take(START_NS + 1, 10)) == ["end"]


def test_a_word_in_flight_is_waited_for() -> None:
    """What is on the wire cannot be taken back; the newer word follows it."""
    one = queue(holds_state=True)
    one.offer(entry("begin", identity="x"), START_NS)
    items = one.take(START_NS, 10)
    assert one.offer(entry("end", identity="x"), START_NS) == []
    assert one.take(START_NS, 10) == []
    one.settle(items, [None], START_NS, jitter=0.0)
    assert ids(one.take(START_NS, 10)) == ["end"]


def test_repeats_give_way() -> None:
    """News waiting makes a repeat pointless; a newer repeat replaces an older; news replaces it."""
    one = queue(holds_state=True)
    one.offer(entry("repeat 1", identity="x", repeat=True), START_NS, repeat=True)
    one.offer(entry("repeat 2", identity="x", repeat=True), START_NS, repeat=True)
    assert len(one) == 1
    assert one.offer(entry("news", identity="x"), START_NS) == []
    one.offer(entry("repeat 3", identity="x", repeat=True), START_NS, repeat=True)
    items = one.take(START_NS, 10)
    assert ids(items) == ["news"]
    assert one.settle(items, [None], START_NS, jitter=0.0)[0][0].state is DeliveryState.DELIVERED


@pytest.mark.parametrize("held_up_by", ["a repeat in flight", "news in flight", "waiting news"])
def test_the_last_word_before_a_restart_is_not_dropped(held_up_by: str) -> None:
    """What holds longer is sent behind whatever is on its way or waits, and replaces no news."""
    one = queue(holds_state=True)
    repeat = held_up_by == "a repeat in flight"
    one.offer(entry("first", identity="x", repeat=repeat), START_NS, repeat=repeat)
    items = one.take(START_NS, 10) if "flight" in held_up_by else []
    longer = msgspec.structs.replace(notice("last", identity="x"), hold_s=600.0)
    last = entry_of(longer, ("am",), repeat=True)
    assert one.offer(last, START_NS, repeat=True) == []
    items = items or one.take(START_NS, 10)
    assert ids(items) == ["first"]
    one.settle(items, [None], START_NS, jitter=0.0)
    assert [item.notice.hold_s for item in one.take(START_NS, 10)] == [600.0]


def test_a_repeat_leaves_no_mark() -> None:
    """The store knows nothing of repeats."""
    one = queue(holds_state=True)
    one.offer(entry("r", repeat=True), START_NS, repeat=True)
    assert one.settle(one.take(START_NS, 1), [None], START_NS, jitter=0.0) == ([], [])
    assert one.status(START_NS).delivered == 1


@pytest.mark.parametrize(
    ("attempt", "ceiling_s"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (40, 60)]
)
def test_backoff_doubles_from_one_second_to_sixty(attempt: int, ceiling_s: int) -> None:
    """Full jitter: the random share of a ceiling that doubles; both sides of the moment."""
    one = queue()
    one.offer(entry("a"), START_NS, attempts=attempt - 1)
    one.settle(one.take(START_NS, 1), [failure()], START_NS, jitter=0.5)
    due_ns = START_NS + ceiling_s * SECOND_NS // 2
    assert one.take(due_ns - 1, 1) == []
    assert ids(one.take(due_ns, 1)) == ["a"]


def test_a_new_critical_does_not_wait_for_the_backoff_of_the_channel() -> None:
    """A failing channel is tried with a fresh critical at once; anything less waits."""
    one = queue()
    one.offer(entry("old"), START_NS)
    one.settle(one.take(START_NS, 1), [failure()], START_NS, jitter=0.99)
    one.offer(entry("warning", Severity.WARNING), START_NS)
    one.offer(entry("critical"), START_NS)
    assert ids(one.take(START_NS, 10)) == ["critical"]
    assert ids(one.take(START_NS + SECOND_NS, 10)) == ["old", "warning"]


@pytest.mark.parametrize(
    ("asked_s", "waits_s"),
    [(7.0, 7), (600.0, 600), (3600.0, 600)],
    ids=["short", "limit", "capped"],
)
def test_retry_after_is_honoured_by_everything(asked_s: float, waits_s: int) -> None:
    """A server that asks for silence gets it, criticals included, for ten minutes at most."""
    one = queue()
    one.offer(entry("a"), START_NS)
    error = failure(retry_after_s=asked_s)
    one.settle(one.take(START_NS, 1), [error], START_NS, jitter=0.1)
    one.offer(entry("critical"), START_NS)
    assert one.take(START_NS + waits_s * SECOND_NS - 1, 10) == []
    assert len(one.take(START_NS + waits_s * SECOND_NS, 10)) == 2


def test_a_refused_entry_is_given_back_and_not_tried_again() -> None:
    """It is marked, counted, and handed over for the next channel."""
    one = queue()
    one.offer(entry("bad"), START_NS)
    one.offer(entry("good"), START_NS)
    items = one.take(START_NS, 2)
    marks, rejected = one.settle(items, [REFUSED, None], START_NS, jitter=0.0)
    assert [(mark.entry_id, mark.state.value, mark.error) for mark in marks] == [
        ("bad", "rejected", "client: 400"),
        ("good", "delivered", ""),
    ]
    assert ids(rejected) == ["bad"]
    assert len(one) == 0
    status = one.status(START_NS)
    assert (status.rejected, status.delivered, status.last_error) == (1, 1, "client: 400")


@pytest.mark.parametrize(
    ("severity", "after_s", "expected"),
    [
        pytest.param(Severity.CRITICAL, 59.999, [], id="just under a minute"),
        pytest.param(Severity.CRITICAL, 60, ["a"], id="a minute"),
        pytest.param(Severity.HIGH, 60, ["a"], id="high is a page too"),
        pytest.param(Severity.WARNING, 600, [], id="a warning wakes nobody else"),
    ],
)
def test_an_undelivered_page_is_overdue_after_a_minute(
    severity: Severity, after_s: float, expected: list[str]
) -> None:
    """Once, and it stays owed here as well."""
    one = queue()
    one.offer(entry("a", severity), START_NS)
    now = START_NS + round(after_s * SECOND_NS)
    assert ids(one.overdue(now)) == expected
    assert one.overdue(now) == []
    assert len(one) == 1


def test_failing_means_a_minute_without_a_delivery() -> None:
    """Both sides of the minute, and healed by one delivery."""
    one = queue()
    one.offer(entry("a"), START_NS)
    one.settle(one.take(START_NS, 1), [failure()], START_NS, jitter=0.0)
    assert not one.failing(START_NS + MINUTE_NS - 1)
    assert one.failing(START_NS + MINUTE_NS)
    one.settle(one.take(START_NS + MINUTE_NS, 1), [None], START_NS + MINUTE_NS, jitter=0.0)
    assert not one.failing(START_NS + 2 * MINUTE_NS)
    assert one.proven


# ---------------------------------------------------------------------------------- digests


def test_pages_older_than_half_an_hour_become_one_digest() -> None:
    """Both sides of the limit; the digest counts by name and is as loud as the loudest."""
    one = queue()
    old_ns = START_NS - 30 * MINUTE_NS
    for number in range(3):
        one.offer(entry(f"f{number}", Severity.HIGH, at_ns=old_ns, alert="FundingStress"), START_NS)
    one.offer(entry("l", at_ns=old_ns), START_NS)
    one.offer(entry("young", at_ns=old_ns + 1), START_NS)
    one.expire(START_NS)
    made = one.digest(START_NS)
    assert made is not None
    digest, marks = made
    assert sorted(mark.entry_id for mark in marks) == ["f0", "f1", "f2", "l"]
    assert {mark.state for mark in marks} == {DeliveryState.DIGESTED}
    told = decode_notice(digest.notice)
    assert told.kind is NoticeKind.DIGEST
    assert told.severity is Severity.CRITICAL
    assert told.counts == (("FundingStress", 3), ("LeverageHigh", 1))
    assert told.annotation("summary") == (
        "4 pages could not be delivered: 3 FundingStress, 1 LeverageHigh"
    )
    one.offer(digest, START_NS)
    assert ids(one.take(START_NS, 10)) == ["young", digest.id]


def test_a_digest_that_comes_too_late_is_counted_in_the_next() -> None:
    """However long the channel is dead, the number stays right."""
    one = queue()
    total = 0
    now = START_NS
    for _ in range(4):
        for number in range(5):
            one.offer(entry(f"{now} {number}", at_ns=now), now)
            total += 1
        now += 31 * MINUTE_NS
        one.expire(now)
        made = one.digest(now)
        assert made is not None
        one.offer(made[0], now)
        assert dict(decode_notice(made[0].notice).counts) == {"LeverageHigh": total}
    assert len(one) == 1


@given(
    severities=st.lists(st.sampled_from(list(Severity)), min_size=1, max_size=60),
    capacity=st.integers(min_value=1, max_value=20),
)
def test_an_overflow_loses_nothing_and_keeps_the_urgent(
    severities: list[Severity], capacity: int
) -> None:
    """Kept plus digested is what came in; nothing kept is quieter than something digested."""
    one = queue(capacity=capacity)
    by_id = {}
    for number, severity in enumerate(severities):
        one.offer(entry(f"e{number}", severity), START_NS)
        by_id[f"e{number}"] = severity
    made = one.digest(START_NS)
    digested = [mark.entry_id for mark in made[1]] if made else []
    kept = ids(one.take(START_NS, 1000))
    assert sorted([*kept, *digested]) == sorted(by_id)
    assert len(kept) == min(capacity, len(severities))
    order = [Severity.CRITICAL, Severity.HIGH, Severity.WARNING, Severity.INFO]
    if digested:
        assert max(order.index(by_id[one]) for one in kept) <= min(
            order.index(by_id[one]) for one in digested
        )
        assert made is not None
        assert sum(count for _, count in decode_notice(made[0].notice).counts) == len(digested)


def test_repeats_are_the_first_to_go() -> None:
    """They come again by themselves and are not counted as lost."""
    one = queue(capacity=2, holds_state=True)
    one.offer(entry("critical repeat", repeat=True), START_NS, repeat=True)
    one.offer(entry("warning 1", Severity.WARNING), START_NS)
    one.offer(entry("warning 2", Severity.WARNING), START_NS)
    assert one.digest(START_NS) is None
    assert ids(one.take(START_NS, 10)) == ["warning 1", "warning 2"]


def test_digests_come_once_a_minute() -> None:
    """A storm does not become a storm of digests."""
    one = queue(capacity=1)
    for number in range(3):
        one.offer(entry(f"a{number}"), START_NS)
    assert one.digest(START_NS) is not None
    one.offer(entry("b"), START_NS)
    assert one.digest(START_NS + MINUTE_NS - 1) is None
    assert one.digest(START_NS + MINUTE_NS) is not None


def test_a_storm_of_warnings_does_not_hide_a_critical() -> None:
    """5 000 warnings, then one critical: it is the next to leave, and the queue stays bounded."""
    one = queue(capacity=1000)
    for number in range(5000):
        one.offer(entry(f"w{number}", Severity.WARNING), START_NS)
    in_flight = one.take(START_NS, 256)
    one.offer(entry("critical"), START_NS + 1)
    assert ids(one.take(START_NS + 1, 256, urgent_only=True)) == ["critical"]
    assert len(in_flight) == 256
    assert len(one) == 1000
    made = one.digest(START_NS + 1)
    assert made is not None
    assert len(made[1]) == 4001


def test_urgent_only_takes_critical_news_and_nothing_else() -> None:
    """The reserved worker leaves everything else to the others."""
    one = queue()
    one.offer(entry("high", Severity.HIGH), START_NS)
    one.offer(entry("repeat", repeat=True), START_NS, repeat=True)
    assert one.take(START_NS, 10, urgent_only=True) == []
