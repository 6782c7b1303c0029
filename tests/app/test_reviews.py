"""Reviews of risk buckets: whose word it is, and that a restart still has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.app.reviews import ReviewDesk
from monitor.core.errors import ConfigError
from monitor.core.events import BucketReview, BucketsReviewed, Event
from monitor.core.operator import OperatorRequest, Verb, check_request
from monitor.core.types import Subject
from monitor.store.database import Store
from tests.manual_clock import ManualClock


class Office:
    """What the daemon would be: takes events and audit lines, has a store and a clock."""

    def __init__(self, folder: Path, *buckets: str, clock: ManualClock | None = None) -> None:
        self.events: list[Event] = []
        self.notes: list[tuple[str, str, Subject, str]] = []
        self.clock = clock or ManualClock()
        self.store = Store(folder)
        self.reviews = ReviewDesk(
            buckets, events=self, store=self.store, clock=self.clock, note=self.note
        )

    def submit(self, events: tuple[Event, ...]) -> None:
        """As an ``EventSink``."""
        self.events += events

    def note(
        self, action: str, actor: str, scope: Subject, reason: str, _more: tuple[object, ...]
    ) -> None:
        """One audit line."""
        self.notes.append((action, actor, scope, reason))

    def told(self) -> tuple[BucketReview, ...]:
        """What the core knows now."""
        last = self.events[-1]
        assert isinstance(last, BucketsReviewed)
        return last.reviews


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Two buckets to be reviewed, nothing on record."""
    made = Office(tmp_path, "hedges", "contingency")
    yield made
    made.store.close()


def asked(bucket: str, reason: str = "looked at all of it") -> OperatorRequest:
    """A person's word."""
    return OperatorRequest(id="1", verb=Verb.REVIEWED, bucket=bucket, reason=reason)


async def test_a_review_is_told_noted_and_kept(office: Office, tmp_path: Path) -> None:
    """With who and when; a later process has it, and when the other began to be watched."""
    await office.reviews.restore()
    start = office.clock.now()
    assert [(one.at_ns, one.by) for one in office.told()] == [(start, ""), (start, "")]
    await office.clock.advance(3600.0)
    answer = await office.reviews.run(asked("hedges"), principal="ana")
    assert (answer.done, answer.kept) == (True, True)
    assert office.notes == [
        ("bucket_reviewed", "person:ana", Subject("bucket:hedges"), "looked at all of it")
    ]
    assert [(one.bucket, one.by) for one in office.told()] == [
        ("hedges", "ana"),
        ("contingency", ""),
    ]
    office.store.close()
    again = Office(tmp_path, "hedges", "contingency", "new", clock=office.clock)
    await office.clock.advance(600.0)
    await again.reviews.restore()
    assert [(one.bucket, one.by, one.at_ns) for one in again.told()] == [
        ("hedges", "ana", office.clock.now() - 600 * 10**9),
        ("contingency", "", start),
        ("new", "", office.clock.now()),
    ]
    text = again.reviews.text(again.clock.now())
    assert "hedges: reviewed 10 min ago by ana (looked at all of it)" in text
    assert "contingency: never reviewed in the 70 min that it is watched" in text
    again.store.close()


async def test_a_bucket_that_is_not_there_is_refused(office: Office) -> None:
    """With the nearest name; nothing is recorded."""
    await office.reviews.restore()
    answer = await office.reviews.run(asked("hedgs"), principal="ana")
    assert not answer.done
    assert "Did you mean hedges?" in answer.text
    assert office.notes == []
    assert len(office.events) == 1


async def test_without_a_bucket_all_are_shown(office: Office) -> None:
    """And nothing is recorded."""
    await office.reviews.restore()
    answer = await office.reviews.run(asked("", ""), principal="ana")
    assert answer.done
    assert answer.text.count("never reviewed") == 2
    assert office.notes == []


async def test_a_store_that_fails_is_said(office: Office) -> None:
    """The review counts now, and a restart may not know of it."""
    await office.reviews.restore()
    office.store.close()
    answer = await office.reviews.run(asked("hedges"), principal="ana")
    assert answer.done
    assert not answer.kept
    assert "restart will not know" in answer.text
    assert office.told()[0].by == "ana"


async def test_without_buckets_nothing_is_told(tmp_path: Path) -> None:
    """No event, no row in the store."""
    office = Office(tmp_path)
    await office.reviews.restore()
    assert office.events == []
    answer = await office.reviews.run(asked(""), principal="ana")
    assert "No bucket is to be reviewed" in answer.text
    office.store.close()


def test_a_review_says_what_was_found() -> None:
    """A word without a reason is no record; a look needs none."""
    with pytest.raises(ConfigError, match="what was found"):
        check_request(asked("hedges", " "))
    check_request(asked("", ""))
