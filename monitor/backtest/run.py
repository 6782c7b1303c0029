"""A run over the history with all arms side by side, and what came of each. *Pure.*

Per hour: books live through it, venues tell it, engines judge it, desks obey. Data time is the
engines' time; nothing here reads a clock, so two runs over the same files are the same. Each walk
takes some of the arms; whoever starts them puts their parts together again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from monitor.backtest.arms import PLAIN_CUT_RATIO, Arm, obeys, obeys_all, obeys_none
from monitor.backtest.basket import Basket, VolatilityAndFall, make_basket_after
from monitor.backtest.book import Book, Hour
from monitor.backtest.feed import MarketFeed
from monitor.backtest.history import History
from monitor.backtest.hourly import Shared, hourly_definitions
from monitor.backtest.judge import Judge, Ruling, make_judge
from monitor.backtest.overlay import NO_OUTAGES, Overlay
from monitor.backtest.rules import HourlyRules, judges_market_only
from monitor.backtest.settings import BookSettings
from monitor.backtest.statistics import Span
from monitor.core.decision import ActionLevel
from monitor.core.events import MarginTier
from monitor.core.types import SECOND_NS, AlertState, Subject, SubjectKind

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


ONLY = "only_"  # how the names of arms begin that follow a single rule


@dataclass(slots=True)
class Result:
    """What a run gave. ``spans`` are the firing times of the first engine by (rule, subject),
    ``measures`` hourly series, None where absent; ``trigger`` and ``trigger_volatility`` are of the
    plain trigger and the basket it reads. ``blind`` has a 1 for each hour in which a rule about the
    whole book (by id) could not be judged, ``trigger_blind`` likewise: not firing then is no
    verdict. ``unconfirmed`` is how often such a rule held and was not seen to hold again."""

    task: Task
    basket: Basket
    arms: list[Arm]
    spans: dict[tuple[str, Subject], list[Span]]
    measures: dict[tuple[str, Subject], list[float | None]]
    trigger: list[Span]
    trigger_volatility: list[float | None]
    markets: tuple[tuple[str, str], ...]
    blind: dict[str, bytearray]
    trigger_blind: bytearray
    unconfirmed: dict[str, int] = field(default_factory=dict)
    evaluations: int = 0
    rulings: dict[str, int] = field(default_factory=dict)


# (index of the hour, name of the arm, what its engine said)
Told = tuple[int, str, Ruling]
Telling = Callable[[Told], None]
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Part:
    """What came of some of the judged arms: all that one walk hands over to another."""

    arms: list[Arm] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    evaluations: int = 0


def walk_part(task: Task, places: Sequence[int], *, progress: Progress) -> Part:
    """Live through the whole history with the judged arms at ``places`` of the reaction times."""
    part = Part()
    walk = _Judged(task, places, part.told.append)
    for index, hour in enumerate(hours_of(task.history)):
        walk.hour(hour)
        progress(index + 1, task.history.hours)
    part.arms, part.evaluations = walk.arms, walk.rest()
    return part


def walk_first(task: Task, places: Sequence[int], *, tell: Telling, progress: Progress) -> Result:
    """Live through the whole history with the judged arms at ``places``, of which the first is the
    first of all, and with every arm that has no engine; ``tell`` gets each ruling that has news."""
    walk = _First(task, places, tell)
    for index, hour in enumerate(hours_of(task.history)):
        walk.hour(hour)
        progress(index + 1, task.history.hours)
    return walk.result()


def join(result: Result, parts: Sequence[Part]) -> Result:
    """The first walk's result with what came of the arms of the others, in the task's order."""
    names = arm_names(result.task)
    judged = [arm for arm in result.arms if arm.judged]
    judged += [arm for part in parts for arm in part.arms]
    judged.sort(key=lambda arm: names.index(arm.name))
    plain, *rest = [arm for arm in result.arms if not arm.judged]
    result.arms = [plain, *judged, *rest]
    result.evaluations += sum(part.evaluations for part in parts)
    return result


def in_order(told: Iterable[Told], names: Sequence[str]) -> list[Told]:
    """What several walks told, as one walk would have: by hour, then by arm, then as it came."""
    return sorted(told, key=lambda one: (one[0], names.index(one[1])))


def hours_of(history: History) -> Iterator[Hour]:
    """Every hour of a history, in order."""
    before: Mapping[str, float | None] = {}
    for index in range(history.hours):
        prices = {asset: series[index] for asset, series in history.closes.items()}
        yield Hour(
            index=index,
            at_s=history.time_s(index),
            prices=prices,
            before=before,
            settlements={
                key: settled
                for key, series in history.settlements.items()
                if (settled := series[index]) is not None
            },
        )
        before = prices


def arm_names(task: Task) -> list[str]:
    """Of the judged arms, in the order of their reaction times."""
    return [f"rules_{minutes}m" for minutes in task.reactions_min]


class _Judged:
    """Some of the arms that have an engine, between two hours."""

    def __init__(self, task: Task, places: Sequence[int], tell: Telling) -> None:
        self.task = task
        self.tell = tell
        tiers = (
            MarginTier(
                0.0, task.settings.initial_margin_rate, task.settings.maintenance_margin_rate
            ),
        )
        self.feed = MarketFeed(task.history, task.venues, overlay=task.overlay, tiers=tiers)
        shared = Shared()
        self.arms = [
            self._arm(place, shared, first=number == 0) for number, place in enumerate(places)
        ]
        self.judges = [arm.judge for arm in self.arms if arm.judge is not None]

    def _arm(self, place: int, shared: Shared, *, first: bool) -> Arm:
        task, minutes = self.task, self.task.reactions_min[place]
        what = ", ".join(task.follow) if task.follow else "All rules"
        judge = make_judge(
            # Later ones are only followed: what only pages is asked of the first of all.
            task.rules.acting() if place else task.rules.files,
            task.settings.held_venues,
            task.history.start_s * SECOND_NS,
            hourly_definitions(shared=shared, first=first),
        )
        return Arm(
            arm_names(task)[place],
            f"{what}, after {minutes} min" if minutes else f"{what}, at once",
            Book(task.settings, task.overlay),
            obeys(task.follow) if task.follow else obeys_all,
            reaction_ns=minutes * 60 * SECOND_NS,
            judge=judge,
            judged=True,
        )

    def hour(self, hour: Hour) -> None:
        """Live through one hour."""
        at = hour.at_s * SECOND_NS
        for arm in self.arms:
            arm.book.advance(hour, arm.restraints)
        events = self.feed.hour(hour.index)
        dark = self.feed.dark
        losses = list(self.feed.darkened(hour.index)) if self.task.overlay.outages else []
        for arm, judge in zip(self.arms, self.judges, strict=True):
            judge.tell(events, at)
            judge.state_account(arm.book, hour.index, at, dark)
            self.obey(hour.index, arm, judge.hour(at))
            self.look(arm, judge, at)
            for ruling in judge.between(at, losses):
                self.obey(hour.index, arm, ruling)
        for arm in self.arms:
            arm.record()

    def obey(self, index: int, arm: Arm, ruling: Ruling) -> None:
        """Tell what has news, and have the arm do it."""
        if ruling.transitions or ruling.requests:
            self.tell((index, arm.name, ruling))
            arm.take(ruling)

    def look(self, arm: Arm, judge: Judge, at: int) -> None:
        """What is done on the full hour, once it is judged."""
        arm.give_back(judge, at)

    def rest(self) -> int:
        """Let the engines go; how often they were asked."""
        for arm in self.arms:
            arm.rest()
        return sum(judge.evaluations for judge in self.judges)


class _First(_Judged):
    """The first arm with an engine, and all that needs none or goes by the first one's word."""

    def __init__(self, task: Task, places: Sequence[int], tell: Telling) -> None:
        super().__init__(task, places, tell)
        past, self.basket = make_basket_after(task.history)
        self.trigger = VolatilityAndFall()
        for moved, level, known in zip(past.returns, past.levels, past.known, strict=True):
            self.trigger.take(moved, level, known=known)
        self.trigger_on: list[bool] = []
        self.trigger_volatility: list[float | None] = []
        self.followers = list(self._followers())
        self.none = self._plain("none", "No rules")
        self.always = self._plain("always", "Always 70 %", scale=PLAIN_CUT_RATIO)
        self.trigger_arm = self._plain("trigger", "Volatility ≥ p85 and a 4 % fall: cut to 70 %")
        self.others = [self.none, *self.followers, self.always, self.trigger_arm]
        self.trigger_blind = bytearray()
        self.blind = {
            rule.id: bytearray()
            for rule in task.rules.book.rules
            if rule.for_each is SubjectKind.PORTFOLIO
        }
        self.unconfirmed: dict[str, int] = {}
        self.open: dict[tuple[str, Subject], int] = {}
        self.spans: dict[tuple[str, Subject], list[Span]] = {}
        self.measures: dict[tuple[str, Subject], list[float | None]] = {
            key: [] for key in task.measures
        }

    def _plain(self, name: str, title: str, *, scale: float = 1.0) -> Arm:
        book = Book(self.task.settings, self.task.overlay, scale=scale)
        return Arm(name, title, book, obeys_none)

    def _followers(self) -> Iterator[Arm]:
        """One arm for each single rule that cuts by the market alone: the first engine's verdict
        about it holds for any book."""
        for rule in self.task.rules.book.rules:
            if rule.level is ActionLevel.CUT and judges_market_only(rule):
                book = Book(self.task.settings, self.task.overlay)
                yield Arm(f"{ONLY}{rule.id}", f"Only {rule.id}, at once", book, obeys([rule.id]))

    def hour(self, hour: Hour) -> None:
        """Live through one hour, the plain books first."""
        for arm in self.others:
            arm.book.advance(hour, arm.restraints)
        super().hour(hour)
        self._pull_trigger(hour.index, hour.at_s * SECOND_NS)
        for arm in self.others:
            arm.record()

    def obey(self, index: int, arm: Arm, ruling: Ruling) -> None:
        """As every arm; what the first engine says, its followers do too."""
        super().obey(index, arm, ruling)
        if arm is not self.arms[0]:
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
            elif transition.before is AlertState.PENDING and transition.rule in self.blind:
                count = self.unconfirmed.get(transition.rule, 0)
                self.unconfirmed[transition.rule] = count + 1

    def look(self, arm: Arm, judge: Judge, at: int) -> None:
        """As every arm; the first engine's measures are kept."""
        super().look(arm, judge, at)
        if arm is not self.arms[0]:
            return
        for follower in self.followers:
            follower.give_back(judge, at)
        for (name, subject), series in self.measures.items():
            reading = judge.engine.reading(name, subject)
            series.append(None if reading is None else reading.value)
        for rule, blind in self.blind.items():
            blind.append(judge.blind(rule))

    def _close(self, key: tuple[str, Subject], start: int, end: int) -> None:
        self.spans.setdefault(key, []).append(Span(start, max(end, start + 1)))

    def _pull_trigger(self, index: int, at: int) -> None:
        basket = self.basket
        known = basket.known[index]
        on = self.trigger.take(basket.returns[index], basket.levels[index], known=known)
        self.trigger_on.append(on)
        self.trigger_blind.append(not known or self.trigger.volatility.percentile is None)
        self.trigger_volatility.append(self.trigger.volatility.annual if known else None)
        self.trigger_arm.trigger(at, on=on)

    def result(self) -> Result:
        """What came of it; the engines are let go."""
        for key, start in self.open.items():
            self._close(key, start, self.task.history.hours)
        return Result(
            task=self.task,
            basket=self.basket,
            arms=[self.none, *self.arms, *self.others[1:]],
            spans=self.spans,
            measures=self.measures,
            trigger=spans_of(self.trigger_on),
            trigger_volatility=self.trigger_volatility,
            markets=self.feed.markets,
            blind=self.blind,
            trigger_blind=self.trigger_blind,
            unconfirmed=self.unconfirmed,
            evaluations=self.rest(),
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
