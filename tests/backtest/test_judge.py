"""The engine over hours: it judges this hour's facts, and never decides on what is not known."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from operator import attrgetter

import pytest

from monitor.backtest.arms import Arm, obeys_all
from monitor.backtest.book import Book, Hour
from monitor.backtest.feed import MarketFeed
from monitor.backtest.history import HOUR_S, History, Settlement
from monitor.backtest.hourly import OF_MARKETS, Shared, hourly_definitions
from monitor.backtest.judge import Judge, Ruling, make_judge
from monitor.backtest.overlay import NO_OUTAGES, Outage, Overlay
from monitor.backtest.rules import hourly_rules
from monitor.backtest.settings import default_book
from monitor.core.events import (
    AccountReported,
    Event,
    FundingSettled,
    MarginTier,
    MarketContextSeen,
)
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    AlertState,
    Subject,
    SubjectKind,
    account_subject,
    asset_subject,
    market_subject,
)
from tests.backtest.past import START_S, in_memory

RULES = """\
test:
  - id: hot
    for_each: portfolio
    summary: Hot
    when: funding_expensive_share_ratio >= 0.40
    confirm: {need: 2, of: 2, apart: 5m}
    until: funding_expensive_share_ratio <= 0.20
    keep_firing_for: 6h
    reentry: funding_expensive_share_ratio <= 0.20
    max_staleness: 5m
    severity: critical
    do: {level: cut, gross_to: 0.70}
    scope: portfolio
  - id: soon
    for_each: portfolio
    summary: Soon
    when: funding_expensive_share_ratio >= 0.40
    for: 10m
    severity: warning
"""
ASSETS = ("AAA", "BBB", "CCC", "DDD", "EEE")
CALM, HOT = 0.0001, 0.001
MAIN = account_subject("binance", "main")


def past(hours: int, hot: range, *, missing: frozenset[tuple[str, int]] = frozenset()) -> History:
    """Five assets whose funding is hot for a while; ``missing`` (asset, hour) have no row."""

    def rate(hour: int) -> float:
        return HOT if hour in hot else CALM

    return in_memory(
        {
            asset: [None if (asset, hour) in missing else 100.0 + hour % 5 for hour in range(hours)]
            for asset in ASSETS
        },
        {
            ("binance", asset): {
                hour: Settlement(rate(hour), 8)
                for hour in range(0, hours, 8)
                if (asset, hour) not in missing
            }
            for asset in ASSETS
        },
    )


@dataclass
class Desk:
    """One arm over a history, with what it saw."""

    history: History
    overlay: Overlay = NO_OUTAGES
    rules: str = RULES
    told: list[tuple[int, Ruling]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.feed = MarketFeed(
            self.history, ["binance"], overlay=self.overlay, tiers=(MarginTier(0.0, 0.05, 0.025),)
        )
        self.judge: Judge = make_judge(
            hourly_rules([("test.yaml", self.rules)]).files, ("binance",), START_S * SECOND_NS
        )
        book = Book(default_book(ASSETS), self.overlay)
        self.arm = Arm("test", "Test", book, obeys_all, judge=self.judge)
        self.before: dict[str, float | None] = {}

    def hour(self, index: int, *extra: Event) -> None:
        """One hour; ``extra`` events are told after it."""
        at_s = self.history.time_s(index)
        at = at_s * SECOND_NS
        prices = {asset: series[index] for asset, series in self.history.closes.items()}
        settled = {key: series[index] for key, series in self.history.settlements.items()}
        self.arm.book.advance(Hour(index, at_s, prices, self.before, settled), self.arm.restraints)
        self.before = prices
        self.judge.tell(self.feed.hour(index), at)
        self.judge.state_account(self.arm.book, index, at, self.feed.dark)
        self.judge.tell(extra, at)
        self.take(index, self.judge.hour(at))
        self.arm.give_back(self.judge, at)
        for ruling in self.judge.between(at, list(self.feed.darkened(index))):
            self.take(index, ruling)

    def take(self, index: int, ruling: Ruling) -> None:
        """Keep and obey."""
        self.told.append((index, ruling))
        self.arm.take(ruling)

    def run(self) -> None:
        """The whole history."""
        for index in range(self.history.hours):
            self.hour(index)

    def transitions(self, rule: str) -> list[tuple[float, AlertState]]:
        """(hours since the start, state entered) of one rule."""
        return [
            (
                (ruling.at_ns / SECOND_NS - START_S) / HOUR_S,
                AlertState(transition.after),
            )
            for _, ruling in self.told
            for transition in ruling.transitions
            if transition.rule == rule and transition.subject == PORTFOLIO
        ]

    def value(self, name: str, subject: Subject = PORTFOLIO) -> float | None:
        """A measure now."""
        reading = self.judge.engine.reading(name, subject)
        return None if reading is None else reading.value


def test_each_hour_is_judged_by_its_own_facts() -> None:
    """Hot from 24 to 40: two observations, then six calm hours, and ten minutes mean ten minutes.

    The index of the hour is never the hour before's, though it is computed once an hour.
    """
    desk = Desk(past(60, range(24, 40)))
    desk.run()
    assert desk.transitions("hot") == [
        (24.0, AlertState.PENDING),
        (25.0, AlertState.FIRING),
        (40.0, AlertState.RECOVERING),
        (46.0, AlertState.INACTIVE),
    ]
    soon = desk.transitions("soon")
    assert soon[0] == (24.0, AlertState.PENDING)
    assert soon[1][0] == pytest.approx(24.0 + 1 / 6)
    assert desk.judge.measure_errors == {}


def test_what_the_book_paid_is_told() -> None:
    """Else the funding budget, which counts what was paid today, would never be judged."""
    desk = Desk(past(60, range(24, 40)))
    for index in range(20):
        desk.hour(index)
    paid = desk.arm.book.costs.funding_usd
    assert paid > 0.0
    assert desk.value("funding_paid_24h_usd", MAIN) == pytest.approx(paid)
    assert desk.value("carry_budget_used_ratio") is not None


def test_the_book_is_cut_and_comes_back() -> None:
    """The engine sees its own book: sizes, equity and exposure after the cut."""
    desk = Desk(past(60, range(24, 40)))
    for index in range(27):
        desk.hour(index)
    gross = desk.arm.book.gross_usd
    assert desk.value("gross_exposure_usd") == pytest.approx(gross)
    assert desk.value("equity_usd") == pytest.approx(desk.arm.book.equity_usd)
    assert gross / desk.arm.book.equity_usd == pytest.approx(0.70, abs=0.02)
    assert desk.value("margin_usage_ratio", MAIN) == pytest.approx(
        0.025 * gross / desk.arm.book.equity_usd
    )
    for index in range(27, 60):
        desk.hour(index)
    assert not desk.arm.restraints.active
    assert desk.arm.book.held[0].ceiling == pytest.approx(0.8, abs=0.01)


STRICT = RULES.replace(
    "reentry: funding_expensive_share_ratio <= 0.20",
    "reentry: funding_expensive_share_ratio <= 0.10",
)


@pytest.mark.parametrize(
    ("rules", "hours"),
    [
        pytest.param(RULES, 46, id="as its exit asks"),
        pytest.param(STRICT, 64, id="once its re-entry holds, though it is long over"),
    ],
)
def test_the_way_back_is_the_rules_own(rules: str, hours: int) -> None:
    """Hot from 24 to 40; one asset of five stays dear up to 64: over at 46, and yet not calm."""
    history = past(96, range(24, 40))
    dear = history.settlements["binance", "AAA"]
    for hour in range(40, 64, 8):
        dear[hour] = Settlement(HOT, 8)
    desk = Desk(history, rules=rules)
    bound = []
    for index in range(history.hours):
        desk.hour(index)
        bound.append(bool(desk.arm.restraints.active))
    assert [index for index, one in enumerate(bound) if one] == list(range(25, hours))
    assert desk.transitions("hot")[-1] == (46.0, AlertState.INACTIVE)


def test_what_is_only_proposed_is_not_obeyed() -> None:
    """No person is simulated who would approve it; a rule that may act is obeyed in any mode."""
    quiet = RULES.replace("    severity: critical", "    severity: high\n    mode: propose")
    for rules, bound in ((quiet, False), (RULES, True)):
        desk = Desk(past(30, range(24, 30)), rules=rules)
        desk.run()
        asked = [one.rule for _, ruling in desk.told for one in ruling.requests]
        assert asked == ["hot"]
        assert bool(desk.arm.restraints.active) is bound


def test_what_is_missing_is_absent_at_once() -> None:
    """A price that no row tells is unknown in that very hour, and so is the equity."""
    desk = Desk(past(12, range(0), missing=frozenset({("AAA", 9)})))
    for index in range(9):
        desk.hour(index)
    assert desk.value("equity_usd") is not None
    desk.hour(9)
    assert desk.value("equity_usd") is None
    assert desk.value("drawdown_ratio") is None
    desk.hour(10)
    assert desk.value("equity_usd") is not None


def test_a_rate_stands_for_eight_hours_and_no_longer() -> None:
    """The settlement of hour 8 is missing: unknown from then until 16."""
    lost = frozenset((asset, 8) for asset in ASSETS)
    desk = Desk(past(24, range(0), missing=lost))
    seen = []
    for index in range(24):
        desk.hour(index)
        seen.append(desk.value("funding_expensive_share_ratio") is not None)
    assert [index for index, known in enumerate(seen) if not known] == list(range(8, 16))


def test_an_outage_darkens_the_venue() -> None:
    """From its first minute nothing is known of the venue, until the hour after its end."""
    outage = Outage("binance", "binance", "api", START_S + 630 * 60, START_S + 700 * 60)
    desk = Desk(past(16, range(0)), Overlay((outage,)))
    known = []
    for index in range(16):
        desk.hour(index)
        now = START_S * SECOND_NS + (index * 60 + 45) * 60 * SECOND_NS
        reading = desk.judge.engine.reading("equity_usd", PORTFOLIO, now)
        known.append(reading is not None)
    assert [index for index, seen in enumerate(known) if not seen] == [10, 11]


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_decided_on_what_is_not_known(seed: int) -> None:
    """Five percent of rows gone, whole hours too, old settlements and statements told again: no cut
    begins, no stress ends and nothing is given back while the share of expensive funding is
    unknown by an account kept apart from the engine."""
    source = random.Random(seed)  # noqa: S311 - repeatable faults
    hours = 24 * 14
    gaps = {(asset, hour) for asset in ASSETS for hour in range(hours) if source.random() < 0.05}
    hot = range(48, 48 + 8 * source.randrange(6, 20))
    # Settlements that hardly anybody was told: when stress should begin, end, and be over.
    for hour in (48, 56, hot.stop - 8, hot.stop, hot.stop + 16, 8 * source.randrange(hours // 8)):
        gaps |= {(asset, hour) for asset in source.sample(ASSETS, 3)}
    history = past(hours, hot, missing=frozenset(gaps))
    desk = Desk(history)
    shares: list[float | None] = []
    unknown_while_on = 0
    for index in range(hours):
        shares.append(_share(history, index))
        units = [abs(one.units) for one in desk.arm.book.held]
        bound = bool(desk.arm.restraints.active)
        first = len(desk.told)
        desk.hour(index, *_old_news(history, index, source))
        if bound and index:
            now = [abs(one.units) for one in desk.arm.book.held]
            grown = [one > had for one, had in zip(now, units, strict=True)]
            assert not any(grown), f"hour {index}: the book grew while it was restrained"
        if bound and not desk.arm.restraints.active:
            assert _calm(shares[-1]), f"hour {index}: given back on {shares[-1]}"
        unknown_while_on += bound and shares[-1] is None
        for _, ruling in desk.told[first:]:
            for request in ruling.requests:
                assert request.rule == "hot"
                assert shares[-1] is not None
                assert shares[-1] >= 0.40
            for one in ruling.transitions:
                if one.rule != "hot":
                    continue
                if one.after is AlertState.RECOVERING:
                    assert _calm(shares[-1])
                if one.after is AlertState.INACTIVE and one.before is AlertState.RECOVERING:
                    assert all(_calm(share) for share in shares[-7:])
    states = [state for _, state in desk.transitions("hot")]
    assert AlertState.FIRING in states
    assert states[-1] is AlertState.INACTIVE
    assert unknown_while_on, "the faults hit nothing"


def _calm(share: float | None) -> bool:
    return share is not None and share <= 0.20


def _share(history: History, index: int) -> float | None:
    """Share of expensive markets by hand: None with fewer than 60 % of rates known."""
    rates = []
    for series in history.settlements.values():
        rates += [one for one in series[max(0, index - 7) : index + 1] if one is not None][-1:]
    if len(rates) < 0.6 * len(history.settlements):
        return None
    return sum(abs(one.hourly) * 8760 >= 0.5 for one in rates) / len(rates)


def _old_news(history: History, index: int, source: random.Random) -> list[Event]:
    """Now and then a context, a settlement and a statement of yesterday, all very different."""
    told: list[Event] = []
    if index < 24 or source.random() > 0.05:
        return told
    at_ns = (history.time_s(index) - 24 * HOUR_S) * SECOND_NS
    told += [
        MarketContextSeen(
            venue="binance",
            channel=f"binance/context/{asset}",
            market=asset,
            venue_time_ns=at_ns,
            mark_price=50.0,
            oracle_price=50.0,
            predicted_funding_rate_hourly=CALM / 8 if index % 2 else HOT,
            complete=True,
        )
        for asset in ASSETS
        if history.closes[asset][index] is not None
    ]
    told.append(
        FundingSettled(
            venue="binance",
            channel="binance/context/AAA",
            market="AAA",
            funding_rate_hourly=-0.01,
            native_funding_rate=-0.08,
            native_funding_interval_s=8 * HOUR_S,
            settled_at_ns=at_ns,
        )
    )
    told.append(
        AccountReported(
            venue="binance",
            channel="binance/account/main",
            account="main",
            source="stream",
            venue_time_ns=at_ns,
        )
    )
    return told


FIELDS = ("value", "as_of_ns", "expires_ns", "observed_ns", "estimated")


def test_engines_share_what_the_market_says() -> None:
    """The same hours alone and side by side: one computes it, both say the same, as freshly."""
    history = past(24 * 14, range(24, 40))
    rules = hourly_rules([("test.yaml", RULES)]).files
    shared = Shared()
    judges = [
        make_judge(rules, ("binance",), START_S * SECOND_NS, definitions)
        for definitions in (
            None,
            hourly_definitions(shared=shared),
            hourly_definitions(shared=shared, first=False),
        )
    ]
    feed = MarketFeed(history, ["binance"], tiers=(MarginTier(0.0, 0.05, 0.025),))
    where = {
        SubjectKind.PORTFOLIO: PORTFOLIO,
        SubjectKind.ASSET: asset_subject("AAA"),
        SubjectKind.MARKET: market_subject("binance", "AAA"),
    }
    asked = [("funding_stress_index", PORTFOLIO), ("funding_stress_worst_index", PORTFOLIO)]
    asked += [(name, where[kind]) for name, kind in sorted(OF_MARKETS)]
    seen = 0
    for index in range(history.hours):
        at = history.time_s(index) * SECOND_NS
        events = feed.hour(index)
        said = []
        for judge in judges:
            judge.tell(events, at)
            judge.hour(at)
            readings = (judge.engine.reading(name, subject) for name, subject in asked)
            said.append([None if one is None else attrgetter(*FIELDS)(one) for one in readings])
        assert said[0] == said[1] == said[2]
        seen += said[0][0] is not None
    assert seen > 24
    states = [judge.engine.state for judge in judges]
    assert states[1].stress is states[2].stress
    assert states[0].stress is not states[1].stress
