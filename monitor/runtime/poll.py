"""Drives the REST re-reads of one venue: bootstrap in order, then each on its own fixed grid.

Every poll is a task of its own, so one that fails or waits delays no other; at most a few requests
of a venue are under way at once, and each pays the venue's request budget first. A refresh wish
(from a stream that reconnected, or from another poll) is coalesced with others and does not move
the grid.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import NoReturn, Protocol

import structlog
import tenacity

from monitor.core.errors import AuthError, ConfigError, DecodeError, FeedError, TransientFeedError
from monitor.core.events import (
    Event,
    FeedConnected,
    FeedLost,
    FrameRejected,
    HistoryProgressed,
    RequestsCounted,
)
from monitor.core.ports import Clock, EventSink, Poll, PollOutput, Refresh, Request, Response
from monitor.core.types import SECOND_NS, EngineNs, channel_id
from monitor.observability.metrics import DaemonMetrics, FeedCounters
from monitor.runtime.backoff import Backoff
from monitor.runtime.budget import WAIT_S_MAX, Lane, RequestBudget

PAGES_MAX = 200  # a history that needs more in one round is not read to its end but reported
ATTEMPTS_MAX = 4
RETRY_AFTER_S_MAX = 300.0
FAILED_RETRY_S = 20.0  # a poll of long period must not stay dark for it after an outage
REFUSED_PERIOD_S = 300.0
HISTORY_WAIT_S_MAX = 3600.0  # a wait for the budget is no failure of the venue
# Nor is it for what many accounts re-read in the same minute, and need not have in it.
BACKGROUND_WAIT_S_MAX = 300.0
WAITS_S_MAX = {Lane.BACKGROUND: BACKGROUND_WAIT_S_MAX, Lane.HISTORY: HISTORY_WAIT_S_MAX}
COUNTED_S = 30.0  # how often it is told how many requests there were and how many failed
BACKGROUND_PERIOD_S = 60.0  # what is read this rarely is history, not truth about now


class Http(Protocol):
    """What polling needs of ``http.HttpClient``."""

    async def execute(self, request: Request) -> Response:
        """Send a request, read the answer; raises ``FeedError``."""
        ...


class _Schedule:
    """When one poll runs next: its grid, and the refreshes that were wished between."""

    def __init__(self, poll: Poll, now: EngineNs) -> None:
        self.poll = poll
        self.timer: asyncio.Timeout | None = None
        self._period_ns = max(1, round(poll.period_s * SECOND_NS))
        self._grid_ns = now
        self._wishes: tuple[EngineNs, EngineNs] | None = None  # earliest and latest

    @property
    def due_ns(self) -> EngineNs:
        return self._grid_ns if self._wishes is None else min(self._grid_ns, self._wishes[0])

    def wish(self, at_ns: EngineNs) -> None:
        """Run at ``at_ns`` too. Any number of wishes costs at most two rounds: the earliest, and
        one more if a later wish is not yet due then."""
        first, last = self._wishes or (at_ns, at_ns)
        self._wishes = (min(first, at_ns), max(last, at_ns))
        if self.timer is not None and not self.timer.expired():
            self.timer.reschedule(asyncio.get_running_loop().time())

    def started(self, now: EngineNs) -> None:
        """A round begins: what was due is taken off; a wish made from now on is another round."""
        if self._wishes is not None and self._wishes[0] <= now:
            last = self._wishes[1]
            self._wishes = (last, last) if last > now else None
        self.skip_missed(now)

    def skip_missed(self, now: EngineNs) -> None:
        """Turns that passed during a round or a stall are skipped, never made up for in a burst."""
        if self._grid_ns <= now:
            self._grid_ns += ((now - self._grid_ns) // self._period_ns + 1) * self._period_ns

    def postpone(self, until_ns: EngineNs) -> None:
        """Skip the turns before ``until_ns``."""
        self._wishes = None
        while self._grid_ns < until_ns:
            self._grid_ns += self._period_ns


class Poller:
    """All polls of one venue. Its ``refresh`` is what streams are given.

    Args:
        venue: Configured name.
        http, budget, clock, sink, metrics: The shell's.
        random: Jitter of retries (never of the schedule).
        concurrency: Requests of this venue under way at once.
    """

    def __init__(
        self,
        venue: str,
        *,
        http: Http,
        budget: RequestBudget,
        clock: Clock,
        sink: EventSink,
        metrics: DaemonMetrics,
        random: Random,
        concurrency: int = 4,
    ) -> None:
        self._venue = venue
        self._http = http
        self._budget = budget
        self._clock = clock
        self._sink = sink
        self._metrics = metrics
        self._random = random
        self._slots = asyncio.Semaphore(concurrency)
        self._schedules: dict[str, _Schedule] = {}
        self._failing: dict[str, set[str]] = {}  # family -> polls that fail now
        self._known: set[str] = set()  # families whose state was told
        self._asked = self._refused = 0
        self._counted_ns = clock.now()
        self._log = structlog.get_logger().bind(venue=venue)
        metrics.watch_budget(venue, budget.used_and_left)

    async def bootstrap(self, polls: Sequence[Poll]) -> None:
        """Run each poll once, in order; a venue that is down is waited for.

        Raises:
            AuthError: The venue does not know or want this address; its text is for the operator.
            ConfigError: What was configured does not exist at this venue.
        """
        for poll in polls:
            retrying = tenacity.AsyncRetrying(
                sleep=self._clock.sleep,
                stop=tenacity.stop_never,
                wait=self._wait(),
                retry=tenacity.retry_if_exception(_worth_waiting_for),
                before_sleep=self._before_sleep(poll),
                reraise=True,
            )
            # Whatever the poll is called later: without this nothing else can be read.
            await retrying(self._pages, poll, Lane.READ)
            self._succeeded(poll)

    async def run(self, polls: Sequence[Poll]) -> NoReturn:
        """Run every poll on its grid, the first time at once; ends only by cancellation."""
        now = self._clock.now()
        for poll in polls:
            self._schedules[poll.name] = _Schedule(poll, now)
            self._counters(poll)
        async with asyncio.TaskGroup() as tasks:
            for poll in polls:
                schedule = self._schedules[poll.name]
                tasks.create_task(self._drive(schedule), name=f"poll:{poll.name}")
            await asyncio.Event().wait()
        raise AssertionError  # unreachable: the group ends by cancellation or by an error

    def refresh(self, wish: Refresh) -> None:
        """Take a wish from a stream or a poll. An unknown name is a bug of the venue: logged."""
        if not self._schedules:
            return  # not running yet: every poll runs at once when it starts
        schedule = self._schedules.get(wish.poll)
        if schedule is None:
            self._log.error("refresh_of_unknown_poll", poll=wish.poll)
            return
        schedule.wish(self._clock.now() + round(wish.after_s * SECOND_NS))

    async def _drive(self, schedule: _Schedule) -> NoReturn:
        while True:
            await self._wait_until_due(schedule)
            schedule.started(self._clock.now())
            await self._round(schedule)
            schedule.skip_missed(self._clock.now())

    async def _wait_until_due(self, schedule: _Schedule) -> None:
        while (wait_ns := schedule.due_ns - self._clock.now()) > 0:
            try:
                async with asyncio.timeout(None) as schedule.timer:  # a wish ends it early
                    await self._clock.sleep(wait_ns / SECOND_NS)
            except TimeoutError:
                continue
            finally:
                schedule.timer = None

    async def _round(self, schedule: _Schedule) -> None:
        """One round with its retries; whatever goes wrong stays with this poll."""
        poll = schedule.poll
        retrying = tenacity.AsyncRetrying(
            sleep=self._clock.sleep,
            stop=tenacity.stop_after_attempt(ATTEMPTS_MAX),
            wait=self._wait(),
            retry=tenacity.retry_if_exception_type(TransientFeedError),
            reraise=True,
        )
        lane = Lane.BACKGROUND if poll.period_s >= BACKGROUND_PERIOD_S else Lane.READ
        try:
            await retrying(self._pages, poll, lane)
        except AuthError as error:
            self._failed(poll, error, quarantined=True)
            schedule.postpone(self._clock.now() + round(REFUSED_PERIOD_S * SECOND_NS))
        except Exception as error:  # noqa: BLE001 - containment point: one feed (design.md §2)
            self._failed(poll, error)
            schedule.wish(self._clock.now() + round(FAILED_RETRY_S * SECOND_NS))
        else:
            self._succeeded(poll)

    async def _pages(self, poll: Poll, lane: Lane) -> None:
        """One attempt at a round: the first request, then the pages it leads to."""
        request: Request | None = poll.request(self._clock.now())
        for _ in range(PAGES_MAX):
            if request is None:
                return
            request = (await self._exchange(poll, request, lane)).then
        message = f"More than {PAGES_MAX} pages in one round of {poll.name}; the rest is not read."
        raise DecodeError(message)

    async def _exchange(self, poll: Poll, request: Request, lane: Lane) -> PollOutput:
        lane = Lane.HISTORY if request.patient else lane
        wait_s_max = WAITS_S_MAX.get(lane, WAIT_S_MAX)
        spent = await self._budget.acquire(request.weight, lane=lane, wait_s_max=wait_s_max)
        async with self._slots:
            try:
                response = await self._http.execute(request)
            except TransientFeedError as error:
                if error.unsent:  # a venue that is back must not find its minute spent
                    self._budget.give_back(spent)
                self._count(failed=True)
                raise
        now = self._clock.now()
        counters = self._counters(poll)
        counters.messages += 1
        counters.bytes += len(response.body)
        counters.last_message_ns = now
        try:
            output = poll.received(response, now)
        except TransientFeedError as error:
            self._count(failed=True)
            if error.retry_after_s:  # the venue's word holds for all its polls
                self._budget.hold_reads(min(error.retry_after_s, RETRY_AFTER_S_MAX))
            raise
        except DecodeError as error:
            sample = error.sample or response.body
            raise DecodeError(str(error), sample=sample) from error
        self._count(failed=False)
        if output.events:
            self._sink.submit(output.events)
            self._log_history(output.events)
        if output.pause_s > 0.0:  # the venue's own headers say that its window is nearly spent
            self._budget.hold_reads(output.pause_s)
        for wish in output.refresh:
            self.refresh(wish)
        return output

    def _count(self, *, failed: bool) -> None:
        """One request more; an answer that is no answer of the venue's own counts as none."""
        self._asked += 1
        self._refused += failed
        now = self._clock.now()
        if now - self._counted_ns < COUNTED_S * SECOND_NS:
            return
        counted = RequestsCounted(
            venue=self._venue, channel="", asked=self._asked, failed=self._refused
        )
        self._asked, self._refused, self._counted_ns = 0, 0, now
        self._sink.submit((counted,))

    def _log_history(self, events: Sequence[Event]) -> None:
        """One line when a kind of history is read, or as much of it as can be."""
        for event in events:
            if isinstance(event, HistoryProgressed) and not event.waiting:
                took_s = round((self._clock.now() - event.began_ns) / SECOND_NS, 1)
                log = self._log.warning if event.unread else self._log.info
                log(
                    "history_read",
                    kind=event.kind,
                    markets=event.wanted - len(event.unread),
                    unread=list(event.unread[:20]),
                    took_s=took_s,
                )

    def _wait(self) -> Callable[[tenacity.RetryCallState], float]:
        """Tenacity's wait of one round: full jitter, and never before the venue's Retry-After."""
        backoff = Backoff(self._random)

        def seconds(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            after_s = error.retry_after_s if isinstance(error, TransientFeedError) else None
            return max(backoff.next_s(), min(after_s or 0.0, RETRY_AFTER_S_MAX))

        return seconds

    def _before_sleep(self, poll: Poll) -> Callable[[tenacity.RetryCallState], None]:
        """Bootstrap waits for ever, so its failures are told while it waits."""

        def report(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome is not None else None
            if isinstance(error, Exception):
                retry_s = state.next_action.sleep if state.next_action is not None else None
                self._failed(poll, error, retry_s=retry_s)

        return report

    def _failed(
        self,
        poll: Poll,
        error: Exception,
        *,
        retry_s: float | None = None,
        quarantined: bool = False,
    ) -> None:
        """Count and report; the feed is told lost once, not at every further failure."""
        family = poll_family(poll)
        counters = self._counters(poll)
        counters.failures += 1
        counters.quarantined = quarantined
        reason = str(error)
        if isinstance(error, DecodeError):
            counters.rejected += 1
            self._reject(poll, family, error)
        elif not isinstance(error, FeedError | ConfigError):
            counters.bugs += 1
            reason = f"Unexpected {type(error).__name__} in this venue's code: {error}"
            self._log.error("feed_bug", poll=poll.name, exc_info=error)
        failing = self._failing.setdefault(family, set())
        first = not failing
        failing.add(poll.name)
        if not first:
            return
        counters.connected = False
        self._known.add(family)
        wait_s = REFUSED_PERIOD_S if quarantined else min(poll.period_s, FAILED_RETRY_S)
        retry_s = wait_s if retry_s is None else retry_s
        self._log.warning("feed_lost", feed=family, poll=poll.name, reason=reason, retry_s=retry_s)
        self._sink.submit(
            (
                FeedLost(
                    venue=self._venue,
                    channel=channel_id(self._venue, family),
                    feed=family,
                    reason=reason,
                    retry_s=retry_s,
                    quarantined=quarantined,
                ),
            )
        )

    def _reject(self, poll: Poll, family: str, error: DecodeError) -> None:
        self._sink.submit(
            (
                FrameRejected(
                    venue=self._venue,
                    channel=channel_id(self._venue, family),
                    feed=family,
                    reason=f"{poll.name}: {error}",
                    sample=error.sample,
                ),
            )
        )

    def _succeeded(self, poll: Poll) -> None:
        """Told once when the family first answers, and once when the last failing poll heals."""
        family = poll_family(poll)
        failing = self._failing.setdefault(family, set())
        healed = poll.name in failing
        failing.discard(poll.name)
        if failing or (family in self._known and not healed):
            return
        counters = self._counters(poll)
        counters.quarantined = False
        counters.connected = True
        if healed:
            counters.reconnects += 1
            self._log.info("feed_connected", feed=family, poll=poll.name)
        self._known.add(family)
        self._sink.submit(
            (
                FeedConnected(
                    venue=self._venue, channel=channel_id(self._venue, family), feed=family
                ),
            )
        )

    def _counters(self, poll: Poll) -> FeedCounters:
        return self._metrics.feed(self._venue, poll_family(poll))


def poll_family(poll: Poll) -> str:
    """The feed a poll belongs to: ``hyperliquid/account/main`` is of ``rest.account``."""
    family = poll.name.removeprefix(f"{poll.venue}/").partition("/")[0]
    return family if family.startswith("rest.") else f"rest.{family}"


def _worth_waiting_for(error: BaseException) -> bool:
    """All but what the operator must put right; cancellation is no ``Exception``."""
    return isinstance(error, Exception) and not isinstance(error, AuthError | ConfigError)
