"""The poller: order, grid, retries, refreshes, pages, and faults that stay with their poll."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
from structlog.testing import capture_logs

from monitor.core.errors import AuthError, ConfigError, DecodeError, TransientFeedError
from monitor.core.events import (
    FeedConnected,
    FeedLost,
    FrameRejected,
    HistoryProgressed,
    RequestsCounted,
)
from monitor.core.ports import PollOutput, RateBudget, Refresh, Request, Response
from monitor.core.types import SECOND_NS, EngineNs
from monitor.observability.metrics import DaemonMetrics
from monitor.runtime.budget import RequestBudget
from monitor.runtime.poll import (
    FAILED_RETRY_S,
    PAGES_MAX,
    RETRY_AFTER_S_MAX,
    Poller,
    poll_family,
)
from tests.manual_clock import START_NS, ManualClock, settle
from tests.runtime.fakes import RecordingSink, progress

Answer = Callable[["FakePoll"], PollOutput]
FINE = PollOutput()


class FakePoll:
    """Answers in turn with what the test lists; fine after that."""

    venue = "fake"

    def __init__(
        self, clock: ManualClock, name: str, period_s: float, *answers: Exception | PollOutput
    ) -> None:
        self.name = name
        self.period_s = period_s
        self._clock = clock
        self._answers = list(answers)
        self.asked_s: list[float] = []

    def request(self, now: EngineNs) -> Request:
        """The first page."""
        self.asked_s.append(round((now - START_NS) / SECOND_NS, 3))
        return Request(method="GET", url=f"http://fake/{self.name}", weight=1.0)

    def received(self, response: Response, now: EngineNs) -> PollOutput:
        """The next answer of the list."""
        answer = self._answers.pop(0) if self._answers else FINE
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeHttp:
    """Answers at once, unless a URL is told to hang or to fail."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.hanging: set[str] = set()
        self.failing: dict[str, TransientFeedError] = {}
        self.under_way = 0
        self.under_way_max = 0

    async def execute(self, request: Request) -> Response:
        """One answer."""
        self.urls.append(request.url)
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        try:
            if request.url in self.hanging:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            if (error := self.failing.get(request.url)) is not None:
                raise error
            return Response(status=200, headers=(), body=b"body")
        finally:
            self.under_way -= 1


class Rig:
    """A poller and its neighbours."""

    def __init__(self, *, capacity: float = 1000.0) -> None:
        self.clock = ManualClock()
        self.sink = RecordingSink()
        self.http = FakeHttp()
        self.metrics = DaemonMetrics(version="test")
        rate = RateBudget(capacity=capacity, window_s=60.0, reserve=capacity / 10.0)
        self.poller = Poller(
            "fake",
            http=self.http,
            budget=RequestBudget(rate, self.clock),
            clock=self.clock,
            sink=self.sink,
            metrics=self.metrics,
            random=Random(3),  # noqa: S311 - jitter, not a secret
        )

    def poll(self, name: str, period_s: float, *answers: Exception | PollOutput) -> FakePoll:
        """A poll on this rig's clock."""
        return FakePoll(self.clock, name, period_s, *answers)

    @asynccontextmanager
    async def running(self, *polls: FakePoll) -> AsyncIterator[None]:
        """The polls at work."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.poller.run(polls), name="polls")
            await settle()
            yield
            task.cancel()


async def test_each_poll_keeps_its_own_grid() -> None:
    """At once, then every period, without drift or jitter."""
    rig = Rig()
    fast, slow = rig.poll("fake/a", 10.0), rig.poll("fake/b", 25.0)
    async with rig.running(fast, slow):
        await rig.clock.advance(50.0)
    assert fast.asked_s == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    assert slow.asked_s == [0.0, 25.0, 50.0]


async def test_requests_are_counted_and_those_that_fail_among_them() -> None:
    """Each half minute, with the next request: no answer and an error of the venue's own are
    failures; what could not be understood was an answer."""
    rig = Rig()
    poll = rig.poll(
        "fake/a",
        10.0,
        FINE,
        TransientFeedError("503"),
        DecodeError("what?"),
        TransientFeedError("429", retry_after_s=1.0),
    )
    async with rig.running(poll):
        await rig.clock.advance(120.0)
    counted = [one for one in rig.sink.events if isinstance(one, RequestsCounted)]
    assert {one.venue for one in counted} == {"fake"}
    assert sum(one.failed for one in counted) == 2
    assert len(counted) == 4
    assert len(poll.asked_s) - 3 <= sum(one.asked for one in counted) <= len(poll.asked_s)


async def test_turns_that_were_missed_are_skipped() -> None:
    """After a long stall one round follows, not a burst, and the grid stays where it was."""
    rig = Rig()
    poll = rig.poll("fake/a", 10.0)
    async with rig.running(poll):
        rig.clock.jump(34.0)
        await rig.clock.advance(0.0)
        await rig.clock.advance(6.0)
    assert poll.asked_s == [0.0, 34.0, 40.0]


@pytest.mark.parametrize(
    ("wishes", "asked_s"),
    [
        pytest.param([(1.0, 2.0)], [0.0, 3.0, 100.0], id="one wish, besides the grid"),
        pytest.param([(1.0, 2.0), (1.0, 2.0)], [0.0, 3.0, 100.0], id="equal wishes are one"),
        pytest.param(
            [(1.0, 2.0), (2.0, 0.5), (2.0, 0.8)],
            [0.0, 2.5, 3.0, 100.0],
            id="the earliest, and one for the latest",
        ),
        pytest.param([(1.0, 0.0)], [0.0, 1.0, 100.0], id="at once"),
    ],
)
async def test_refreshes_are_coalesced(
    wishes: list[tuple[float, float]], asked_s: list[float]
) -> None:
    """Wishes as (when wished, after how long); none moves the grid."""
    rig = Rig()
    poll = rig.poll("fake/a", 100.0)
    async with rig.running(poll):
        at_s = 0.0
        for wished_s, after_s in wishes:
            await rig.clock.advance(wished_s - at_s)
            at_s = wished_s
            rig.poller.refresh(Refresh("fake/a", after_s))
        await rig.clock.advance(100.0 - at_s)
    assert poll.asked_s == asked_s


async def test_a_refresh_wished_by_an_answer_is_another_round() -> None:
    """What arrives while a round is under way may be older than the wish."""
    rig = Rig()
    first = rig.poll("fake/a", 100.0, PollOutput(refresh=(Refresh("fake/b", 1.0),)))
    second = rig.poll("fake/b", 100.0)
    async with rig.running(first, second):
        await rig.clock.advance(5.0)
    assert second.asked_s == [0.0, 1.0]


async def test_an_unknown_refresh_is_a_logged_bug() -> None:
    """A venue that names a poll it does not have is not silently ignored."""
    rig = Rig()
    with capture_logs() as logs:
        rig.poller.refresh(Refresh("fake/a"))  # before the start everything runs at once anyway
        async with rig.running(rig.poll("fake/a", 10.0)):
            rig.poller.refresh(Refresh("fake/nobody"))
    assert [entry["event"] for entry in logs] == ["refresh_of_unknown_poll"]


def history(unread: tuple[str, ...], waiting: int) -> PollOutput:
    """Word of how far a history is."""
    word = HistoryProgressed(
        venue="fake",
        channel="fake/a",
        kind="funding",
        wanted=3,
        unread=unread,
        waiting=waiting,
        read=3 - len(unread),
        began_ns=START_NS,
    )
    return PollOutput((word,))


@pytest.mark.parametrize(
    ("unread", "level"),
    [pytest.param((), "info", id="all"), pytest.param(("X",), "warning", id="all but one")],
)
async def test_one_line_says_that_a_history_is_read(unread: tuple[str, ...], level: str) -> None:
    """At its end, with what could not be read; nothing on the way there."""
    rig = Rig()
    poll = rig.poll("fake/a", 10.0, history(("X", "Y"), 2), history(unread, 0))
    with capture_logs() as logs:
        async with rig.running(poll):
            await rig.clock.advance(12.0)
    (line,) = [entry for entry in logs if entry["event"] == "history_read"]
    assert line["log_level"] == level
    assert (line["kind"], line["markets"], line["unread"]) == (
        "funding",
        3 - len(unread),
        list(unread),
    )
    assert line["took_s"] == 10.0


async def test_pages_are_read_within_the_round() -> None:
    """``then`` leads on; events of each page arrive as it does; the budget pays each."""
    rig = Rig()
    page = Request(method="GET", url="http://fake/page", weight=5.0)
    poll = rig.poll(
        "fake/a",
        10.0,
        PollOutput(events=(progress("one"),), then=page),
        PollOutput(events=(progress("two"),)),
    )
    async with rig.running(poll):
        await settle()
        assert rig.http.urls == ["http://fake/fake/a", "http://fake/page"]
        assert [e for e in rig.sink.events if e in {progress("one"), progress("two")}] == [
            progress("one"),
            progress("two"),
        ]
        assert rig.metrics.registry.get_sample_value(
            "riskd_request_budget_used", {"venue": "fake"}
        ) == pytest.approx(6.0)


async def test_pages_without_end_are_cut_and_reported() -> None:
    """A venue that always names a next page cannot hold the poller for ever."""
    rig = Rig(capacity=10_000.0)
    page = Request(method="GET", url="http://fake/page")
    poll = rig.poll("fake/a", 10.0, *[PollOutput(then=page)] * (PAGES_MAX + 5))
    async with rig.running(poll):
        for _ in range(40):
            await settle()
        assert len(rig.http.urls) == PAGES_MAX
        assert "pages" in rig.sink.of(FeedLost)[0].reason


async def test_a_transient_fault_is_retried_within_the_round() -> None:
    """Nobody is told about a fault that the next try survives."""
    rig = Rig()
    poll = rig.poll("fake/a", 100.0, TransientFeedError("503"), PollOutput((progress("ok"),)))
    async with rig.running(poll):
        await rig.clock.advance(5.0)
    assert len(poll.asked_s) == 2
    assert rig.sink.of(FeedLost) == []
    assert progress("ok") in rig.sink.events


async def test_a_lasting_fault_is_told_once_and_its_end_once() -> None:
    """Three failed rounds are one loss; the fourth, fine again, one recovery; one log line each.
    A long period does not delay the recovery: what failed is tried again after twenty seconds."""
    rig = Rig()
    poll = rig.poll("fake/account/main", 100.0, *[TransientFeedError("HTTP 503")] * 12)
    with capture_logs() as logs:
        async with rig.running(poll):
            await rig.clock.advance(39.0)
            lost = rig.sink.of(FeedLost)
            assert [(e.feed, e.channel, e.reason) for e in lost] == [
                ("rest.account", "fake/rest.account", "HTTP 503")
            ]
            assert lost[0].retry_s == 20.0
            assert rig.sink.of(FeedConnected) == []
            counters = rig.metrics.feed("fake", "rest.account")
            assert counters.failures >= 1
            assert counters.connected is False
            await rig.clock.advance(60.0)
            assert counters.failures == 3
    assert [e.feed for e in rig.sink.of(FeedConnected)] == ["rest.account"]
    assert len(rig.sink.of(FeedLost)) == 1
    assert [entry["event"] for entry in logs] == ["feed_lost", "feed_connected"]


async def test_a_family_is_healthy_when_its_last_failing_poll_is() -> None:
    """Two accounts are one feed: it is lost with the first and back with the last."""
    rig = Rig()
    main = rig.poll("fake/account/main", 10.0, FINE, DecodeError("odd"))
    other = rig.poll("fake/account/other", 10.0, FINE, DecodeError("odd"), DecodeError("odd"))
    async with rig.running(main, other):
        assert len(rig.sink.of(FeedConnected)) == 1, "first answers are told once"
        await rig.clock.advance(10.0)
        assert len(rig.sink.of(FeedLost)) == 1
        await rig.clock.advance(10.0)
        assert len(rig.sink.of(FeedConnected)) == 1
        await rig.clock.advance(10.0)
        assert len(rig.sink.of(FeedConnected)) == 2
    assert [(r.feed, r.sample) for r in rig.sink.of(FrameRejected)] == [
        ("rest.account", b"body")
    ] * 3


async def test_retry_after_holds_all_polls_of_the_venue() -> None:
    """One 429 is the venue's word to everyone who asks it."""
    rig = Rig()
    limited = rig.poll("fake/a", 100.0, TransientFeedError("429", retry_after_s=20.0))
    other = rig.poll("fake/b", 5.0)
    async with rig.running(limited, other):
        await rig.clock.advance(19.0)
        assert len(rig.http.urls) == 2
        await rig.clock.advance(1.0)
        assert len(rig.http.urls) == 4
        assert limited.asked_s == [0.0, 20.0]


async def test_retry_after_is_believed_for_five_minutes_at_most() -> None:
    """A venue that says an hour, or its garbled header, blinds nobody for so long: it is asked
    again, by whoever was refused and by the others."""
    rig = Rig()
    limited = rig.poll("fake/a", 3600.0, TransientFeedError("429", retry_after_s=3600.0))
    other = rig.poll("fake/b", 5.0)
    async with rig.running(limited, other):
        await rig.clock.advance(RETRY_AFTER_S_MAX - 1.0)
        assert rig.http.urls == ["http://fake/fake/a", "http://fake/fake/b"]
        await rig.clock.advance(FAILED_RETRY_S + 1.0)
        assert rig.http.urls.count("http://fake/fake/a") == 2
        assert rig.http.urls.count("http://fake/fake/b") > 1
    assert limited.asked_s == [0.0, RETRY_AFTER_S_MAX]


@pytest.mark.parametrize(
    ("unsent", "used"),
    [
        pytest.param(True, 0.0, id="no connection: the venue counted nothing"),
        pytest.param(False, 1.0, id="no answer: it may have counted"),
    ],
)
async def test_what_never_left_costs_nothing(*, unsent: bool, used: float) -> None:
    """A venue that is back must not find its minute spent on attempts that did not reach it."""
    rig = Rig()
    fault = TransientFeedError("no connection to the venue")
    fault.unsent = unsent
    rig.http.failing["http://fake/fake/a"] = fault
    async with rig.running(rig.poll("fake/a", 100.0)):
        assert len(rig.http.urls) == 1
        assert rig.metrics.registry.get_sample_value(
            "riskd_request_budget_used", {"venue": "fake"}
        ) == pytest.approx(used)


async def test_a_pause_the_venue_asks_for_holds_all_its_polls() -> None:
    """Its headers said that the window is nearly spent: nothing is read until it has passed."""
    rig = Rig()
    asked = rig.poll("fake/a", 100.0, PollOutput(pause_s=12.0))
    other = rig.poll("fake/b", 5.0)
    async with rig.running(asked, other):
        await rig.clock.advance(11.0)
        assert len(rig.http.urls) == 2
        await rig.clock.advance(2.0)
        assert len(rig.http.urls) == 3


async def test_one_poll_that_hangs_delays_no_other() -> None:
    """A request without an answer holds one slot; the others go on."""
    rig = Rig()
    rig.http.hanging = {"http://fake/fake/a"}
    stuck, other = rig.poll("fake/a", 10.0), rig.poll("fake/b", 10.0)
    async with rig.running(stuck, other):
        await rig.clock.advance(30.0)
    assert other.asked_s == [0.0, 10.0, 20.0, 30.0]


async def test_a_venue_is_asked_a_few_things_at_once_at_most() -> None:
    """Twenty polls due together leave four by four."""
    rig = Rig()
    async with rig.running(*[rig.poll(f"fake/p{n}", 10.0) for n in range(20)]):
        await settle(100)
        assert len(rig.http.urls) == 20
        assert rig.http.under_way_max == 4


async def test_a_bug_stays_with_its_poll() -> None:
    """Counted, logged, told as a loss, and tried again at the next period."""
    rig = Rig()
    buggy, other = rig.poll("fake/a", 10.0, KeyError("x")), rig.poll("fake/b", 10.0)
    with capture_logs() as logs:
        async with rig.running(buggy, other):
            assert "Unexpected KeyError" in rig.sink.of(FeedLost)[0].reason
            await rig.clock.advance(10.0)
    assert rig.metrics.feed("fake", "rest.a").bugs == 1
    assert buggy.asked_s == other.asked_s == [0.0, 10.0]
    assert [entry["event"] for entry in logs] == ["feed_bug", "feed_lost", "feed_connected"]


async def test_a_refused_address_is_asked_rarely() -> None:
    """After an auth fault the poll is put aside for five minutes, not for ever."""
    rig = Rig()
    poll = rig.poll("fake/a", 10.0, AuthError("no such account"))
    async with rig.running(poll):
        assert rig.sink.of(FeedLost)[0].quarantined
        await rig.clock.advance(299.0)
        assert poll.asked_s == [0.0]
        await rig.clock.advance(1.0)
        assert poll.asked_s == [0.0, 300.0]


async def test_bootstrap_waits_for_a_venue_that_is_down() -> None:
    """In order; each until it succeeds; told once while it waits; odd answers wait as well."""
    rig = Rig()
    first = rig.poll("fake/meta", 60.0, *[TransientFeedError("down")] * 30, DecodeError("odd"))
    second = rig.poll("fake/roles", 60.0)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(rig.poller.bootstrap((first, second)), name="bootstrap")
        await settle()
        assert [e.feed for e in rig.sink.of(FeedLost)] == ["rest.meta"]
        assert second.asked_s == []
        await rig.clock.advance(3600.0)
        assert task.done()
    assert len(first.asked_s) == 32
    assert len(second.asked_s) == 1
    assert len(rig.sink.of(FeedLost)) == 1
    assert [e.feed for e in rig.sink.of(FeedConnected)] == ["rest.meta", "rest.roles"]


@pytest.mark.parametrize("error", [AuthError("an API wallet"), ConfigError("no such market")])
async def test_bootstrap_shows_the_operator_their_mistake(error: Exception) -> None:
    """Waiting would not help: the text goes to whoever starts the daemon."""
    rig = Rig()
    with pytest.raises(type(error), match=str(error)):
        await rig.poller.bootstrap((rig.poll("fake/roles", 60.0, error),))


@pytest.mark.parametrize("asking", [False, True], ids=["between tries", "within a request"])
async def test_bootstrap_can_be_cancelled(*, asking: bool) -> None:
    """Ctrl-C during a start is a stop, not one more fault to retry."""
    rig = Rig()
    poll = rig.poll("fake/meta", 60.0, *[TransientFeedError("down")] * 100)
    if asking:
        rig.http.hanging = {"http://fake/fake/meta"}
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(rig.poller.bootstrap((poll,)), name="bootstrap")
        await settle()
        task.cancel()
        await rig.clock.advance(3600.0)
        assert task.done()
    assert task.cancelled()
    assert len(poll.asked_s) == 1


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("fake/account/main", "rest.account"),
        ("fake/rest.clearinghouseState/main", "rest.clearinghouseState"),
        ("fake/meta", "rest.meta"),
    ],
)
def test_polls_of_one_kind_are_one_feed(name: str, family: str) -> None:
    """The family is the first part of the name after the venue."""
    assert poll_family(FakePoll(ManualClock(), name, 1.0)) == family
