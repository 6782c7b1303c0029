"""One pass over the history with all arms side by side, and what came of each. *Pure.*

Per hour: books live through it, venues tell it, engines judge it, desks obey. Data time is the
engines' time; nothing here reads a clock, so two runs over the same files are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from monitor.backtest.arms import PLAIN_CUT_RATIO, Arm, obeys, obeys_all, obeys_none
from monitor.backtest.basket import Basket, VolatilityAndFall, make_basket
from monitor.backtest.book import Book, Hour
from monitor.backtest.feed import MarketFeed
from monitor.backtest.history import History
from monitor.backtest.judge import Judge, Ruling, make_judge
from monitor.backtest.overlay import NO_OUTAGES, Overlay
from monitor.backtest.rules import (
    HourlyRules,
    Shared,
    hourly_definitions,
    judges_market_only,
)
from monitor.backtest.settings import BookSettings
from monitor.backtest.statistics import Span
from monitor.core.decision import ActionLevel
from monitor.core.events import MarginTier
from monitor.core.types import SECOND_NS, AlertState, Subject

REACTIONS_MIN = (0, 15, 60)


@dataclass(slots=True, frozen=True)
class Task:
    """All that a run is made of. ``follow`` names the rules to obey, empty for all that act;
    ``measures`` are (name, subject) to be kept hourly."""

    history: History
    rules: HourlyRules
    settings: BookSettings
    venues: tuple[str, ...]
    measures: tuple[tuple[str, Subject], ...]
    overlay: Overlay = NO_OUTAGES
    follow: tuple[str, ...] = ()
    reactions_min: tuple[int, ...] = REACTIONS_MIN


@dataclass(slots=True)
class Result:
    """What a run gave. ``spans`` are the firing times of the first engine by (rule, subject),
    ``measures`` hourly series, None where absent; ``trigger`` and ``trigger_volatility`` are of the
    plain trigger and the basket it reads."""

    task: Task
    basket: Basket
    arms: list[Arm]
    spans: dict[tuple[str, Subject], list[Span]]
    measures: dict[tuple[str, Subject], list[float | None]]
    trigger: list[Span]
    trigger_volatility: list[float | None]
    markets: tuple[tuple[str, str], ...]
    evaluations: int = 0
    rulings: dict[str, int] = field(default_factory=dict)


Telling = Callable[[str, Ruling], None]


def run_backtest(
    task: Task,
    *,
    tell: Telling,
    progress: Callable[[int, int], None] = lambda _done, _whole: None,
) -> Result:
    """Run every arm over the whole history; ``tell`` gets (arm, ruling) whenever one has news, in
    order of time."""
    walk = _Walk(task, tell)
    for index in range(task.history.hours):
        walk.hour(index)
        progress(index + 1, task.history.hours)
    return walk.result()


class _Walk:
    """The state of a run between two hours."""

    def __init__(self, task: Task, tell: Telling) -> None:
        self.task = task
        self.tell = tell
        tiers = (
            MarginTier(
                0.0, task.settings.initial_margin_rate, task.settings.maintenance_margin_rate
            ),
        )
        self.feed = MarketFeed(task.history, task.venues, overlay=task.overlay, tiers=tiers)
        self.basket = make_basket(task.history)
        self.trigger = VolatilityAndFall()
        self.trigger_on: list[bool] = []
        self.trigger_volatility: list[float | None] = []
        self.judged = list(self._judged())
        self.followers = list(self._followers())
        self.trigger_arm = self._plain("trigger", "Volatility ≥ p85 and a 4 % fall: cut to 70 %")
        self.arms = [
            self._plain("none", "No rules"),
            *self.judged,
            *self.followers,
            self._plain("always", "Always 70 %", scale=PLAIN_CUT_RATIO),
            self.trigger_arm,
        ]
        self.before: Mapping[str, float | None] = {}
        self.open: dict[tuple[str, Subject], int] = {}
        self.spans: dict[tuple[str, Subject], list[Span]] = {}
        self.measures: dict[tuple[str, Subject], list[float | None]] = {
            key: [] for key in task.measures
        }
        self.rulings: dict[str, int] = {}

    # ------------------------------------------------------------------------------- the arms

    def _plain(self, name: str, title: str, *, scale: float = 1.0) -> Arm:
        book = Book(self.task.settings, self.task.overlay, scale=scale)
        return Arm(name, title, book, obeys_none)

    def _judged(self) -> Iterator[Arm]:
        task = self.task
        follows = obeys(task.follow) if task.follow else obeys_all
        what = ", ".join(task.follow) if task.follow else "All rules"
        shared = Shared()
        for place, minutes in enumerate(task.reactions_min):
            judge = make_judge(
                task.rules,
                task.settings.held_venues,
                task.history.start_s * SECOND_NS,
                hourly_definitions(shared=shared, first=place == 0),
            )
            yield Arm(
                f"rules_{minutes}m",
                f"{what}, after {minutes} min" if minutes else f"{what}, at once",
                Book(task.settings, task.overlay),
                follows,
                reaction_ns=minutes * 60 * SECOND_NS,
                judge=judge,
            )

    def _followers(self) -> Iterator[Arm]:
        """One arm for each single rule that cuts by the market alone: the first engine's verdict
        about it holds for any book."""
        if not self.judged:
            return
        for rule in self.task.rules.book.rules:
            if rule.level is ActionLevel.CUT and judges_market_only(rule):
                book = Book(self.task.settings, self.task.overlay)
                yield Arm(f"only_{rule.id}", f"Only {rule.id}, at once", book, obeys([rule.id]))

    # ------------------------------------------------------------------------------- an hour

    def hour(self, index: int) -> None:
        task, history = self.task, self.task.history
        at_s = history.time_s(index)
        at = at_s * SECOND_NS
        prices = {asset: series[index] for asset, series in history.closes.items()}
        hour = Hour(
            index=index,
            at_s=at_s,
            prices=prices,
            before=self.before,
            settlements={
                key: settled
                for key, series in history.settlements.items()
                if (settled := series[index]) is not None
            },
        )
        self.before = prices
        for arm in self.arms:
            arm.book.advance(hour, arm.restraints)
        events = self.feed.hour(index)
        losses = list(self.feed.darkened(index)) if task.overlay.outages else []
        for number, arm in enumerate(self.judged):
            judge = arm.judge
            if judge is None:
                continue
            judge.tell(events, at)
            judge.state_account(arm.book, index, at, self.feed.dark)
            self._obey(index, number, arm, judge, judge.hour(at))
            if number == 0:
                self._read(judge)
            for ruling in judge.between(at, losses):
                self._obey(index, number, arm, judge, ruling)
            arm.give_back(judge, at)
            if number == 0:
                for follower in self.followers:
                    follower.give_back(judge, at)
        self._pull_trigger(index, at)
        for arm in self.arms:
            arm.record()

    def _obey(self, index: int, number: int, arm: Arm, judge: Judge, ruling: Ruling) -> None:
        if not (ruling.transitions or ruling.requests):
            return
        self.rulings[arm.name] = self.rulings.get(arm.name, 0) + len(ruling.transitions)
        self.tell(arm.name, ruling)
        arm.take(ruling)
        if number:
            return
        for follower in self.followers:
            follower.take(ruling)
        for transition in ruling.transitions:
            key = (transition.rule, transition.subject)
            firing = transition.after in {AlertState.FIRING, AlertState.RECOVERING}
            if firing:
                self.open.setdefault(key, index)
            elif key in self.open:
                self._close(key, self.open.pop(key), index)

    def _close(self, key: tuple[str, Subject], start: int, end: int) -> None:
        self.spans.setdefault(key, []).append(Span(start, max(end, start + 1)))

    def _read(self, judge: Judge) -> None:
        for (name, subject), series in self.measures.items():
            reading = judge.engine.reading(name, subject)
            series.append(None if reading is None else reading.value)

    def _pull_trigger(self, index: int, at: int) -> None:
        basket = self.basket
        known = basket.known[index]
        on = self.trigger.take(basket.returns[index], basket.levels[index], known=known)
        self.trigger_on.append(on)
        self.trigger_volatility.append(self.trigger.volatility.annual if known else None)
        self.trigger_arm.trigger(at, on=on)

    def result(self) -> Result:
        for key, start in self.open.items():
            self._close(key, start, self.task.history.hours)
        return Result(
            task=self.task,
            basket=self.basket,
            arms=self.arms,
            spans=self.spans,
            measures=self.measures,
            trigger=spans_of(self.trigger_on),
            trigger_volatility=self.trigger_volatility,
            markets=self.feed.markets,
            evaluations=sum(arm.judge.evaluations for arm in self.judged if arm.judge),
            rulings=self.rulings,
        )


def spans_of(on: list[bool]) -> list[Span]:
    """Runs of true as spans."""
    found: list[Span] = []
    start: int | None = None
    for index, value in enumerate([*on, False]):
        if value and start is None:
            start = index
        elif not value and start is not None:
            found.append(Span(start, index))
            start = None
    return found
