"""A storm over a bad line, judged by the built-in rules over the real measures.

No exit from stress, no re-entry and no cut while a required input is unknown; and what else must
hold of any rulebook, here of ours: removed data ends nothing, another market hides none, a stricter
limit is reached no sooner, a reload and a replay change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import msgspec
import pytest
import yaml

from monitor.core import events as e
from monitor.core.decision import Decision
from monitor.core.engine import Engine, restore_snapshot
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.measures.use import FOREVER_NS
from monitor.core.rules import parse_rulebook
from monitor.core.rules.rule import RuleState
from monitor.core.types import (
    SECOND_NS,
    AlertState,
    MarketStatus,
    Subject,
    SubjectKind,
    account_subject,
    market_subject,
    subject_kind,
)
from monitor.rulebook import builtin_files
from tests.properties.storm import (
    AGE_S,
    DYDX,
    HL,
    HOUR_TICKS,
    MARKETS,
    SETTINGS,
    START_NS,
    TICKS,
    TIERS,
    Line,
    equity_at,
    opening,
    price_at,
    rate_at,
)
from tests.properties.unknowns import Key, Watch

HOUR_NS = 3600 * SECOND_NS
CLEAN = Line(seed=0, share=0.0)
ROUGH = Line(seed=1)
DEAF = Line(seed=2, silences=((HL, 12.0, 15.0),))
BLIND = Line(seed=3, silences=((DYDX, 3.0, 6.0), (HL, 36.5, 99.0)))
LINES = {"clean": CLEAN, "deaf while it calms": DEAF, "blind in the crash": BLIND}
CUT_RULES = {
    "funding_broad_expense", "funding_stress", "leverage_cap_critical", "any_two_cut",
    "stress_and_loss", "drawdown_8", "drawdown_12", "drawdown_15",
}  # fmt: skip


def hours(at_ns: int) -> float:
    """Since the storm's day began."""
    return (at_ns - START_NS) / HOUR_NS


def started(
    files: tuple[tuple[str, str], ...] | None = None, more: Sequence[e.Event] = ()
) -> Engine:
    """An engine that knows markets, histories and rules."""
    engine = Engine(SETTINGS)
    before = START_NS - SECOND_NS
    for event in (*opening(), *more):
        if isinstance(event, e.RulebookLoaded) and files is not None:
            engine.apply(e.RulebookLoaded(files=files, loaded_by="test"), before)
        else:
            engine.apply(event, before)
    engine.evaluate(before)
    return engine


def play(engine: Engine, line: Line, until: int = TICKS) -> list[Decision]:
    """Everything that was concluded."""
    made = []
    for (now, events), _ in zip(line.ticks(), range(until), strict=False):
        for event in events:
            engine.apply(event, now)
        made.append(engine.evaluate(now))
    return made


@cache
def watched(name: str) -> Watch:
    """The storm over one line, every decision looked at; and that no reading is made up."""
    engine = started()
    watch, told = Watch(engine), Delivered()
    for now, events in LINES[name].ticks():
        for event in events:
            engine.apply(event, now)
            told.note(event, now)
        watch.evaluate(now)
        told.check(engine, now)
    assert told.unknown > 0 or name == "clean"
    return watch


class Delivered:
    """What the newest message said of each fact, and when it came."""

    def __init__(self) -> None:
        self.context: dict[tuple[str, str], tuple[int, int]] = {}
        self.settled: dict[tuple[str, str], int] = {}
        self.equity = self.spoke = 0
        self.unknown = 0

    def note(self, event: e.Event, now: int) -> None:
        """A message arrived."""
        if isinstance(event, e.MarketContextSeen):
            key, said = (event.venue, event.market), event.venue_time_ns or 0
            if said >= self.context.get(key, (0, 0))[0]:  # what comes late proves nothing
                self.context[key] = said, now
        elif isinstance(event, e.FundingSettled):
            key = event.venue, event.market
            self.settled[key] = max(self.settled.get(key, 0), event.settled_at_ns)
        elif isinstance(event, e.AccountReported | e.PositionsReported) and event.venue == HL:
            self.spoke = now
            if isinstance(event, e.AccountReported):
                self.equity = max(self.equity, event.venue_time_ns or 0)

    def check(self, engine: Engine, now: int) -> None:
        """Each reading is what the newest message said, or there is none."""
        for venue, market in MARKETS:
            of, came = self.context.get((venue, market), (0, 0))
            fresh = now - came <= AGE_S * SECOND_NS
            self._same(engine, "oracle_price", venue, market, price_at(hours(of)), known=fresh)
            settled = self.settled.get((venue, market), 0)
            rate = rate_at(hours(settled))
            self._same(
                engine, "funding_rate_settled_hourly", venue, market, rate, known=settled > 0
            )
        found = engine.reading("venue_equity_usd", account_subject(HL, "main"), now)
        if found is None:
            self.unknown += 1
        else:
            assert now - self.spoke <= AGE_S * SECOND_NS
            assert found.value == pytest.approx(equity_at(HL, price_at(hours(self.equity))))

    def _same(
        self, engine: Engine, name: str, venue: str, market: str, value: float, *, known: bool
    ) -> None:
        found = engine.reading(name, market_subject(venue, market))
        if found is None:
            self.unknown += 1
        else:
            assert known, f"{name} of {market} is known from nothing"
            assert found.value == pytest.approx(value), f"{name} of {market}"


@pytest.mark.parametrize("name", LINES)
def test_nothing_is_decided_on_what_is_unknown(name: str) -> None:
    """Gaps, late, stale and repeated messages, silent venues: at every single decision."""
    seen = watched(name).seen
    assert seen["pending to firing"] > 20
    assert seen["asked cut"] >= 5
    assert seen["firing to recovering"] > 20
    assert seen["recovering to inactive"] > 10
    assert seen["re-entry permitted"] > 0
    assert name == "clean" or seen["recovering to firing"] > 50  # an end that became unknown


def test_the_storm_is_no_idle_one() -> None:
    """On a clean line: cut by every rule that should, a day of calm, and only then the gate."""
    watch = watched("clean")
    assert {rule for _, rule in watch.cuts} >= CUT_RULES
    ended = {rule: hours(at) for (rule, _), at in watch.ends.items()}
    assert ended["funding_stress"] == pytest.approx(34.0)  # the first calm settlement, and a day
    assert hours(watch.permitted["funding_stress", Subject("portfolio")]) == pytest.approx(34.0)


def test_silence_starts_the_day_of_calm_anew() -> None:
    """What was not heard from 12:00 to 15:00 was not calm."""
    watch = watched("deaf while it calms")
    ended = {rule: hours(at) for (rule, _), at in watch.ends.items()}
    assert ended["funding_broad_expense"] == pytest.approx(39.0)
    assert "funding_stress" not in ended
    assert not any(rule == "funding_stress" for rule, _ in watch.permitted)


def test_a_dark_venue_hides_no_loss_and_cuts_nothing() -> None:
    """The crash is at four; what the dark account is worth is an estimate until six."""
    watch = watched("blind in the crash")
    by_loss = [
        hours(at)
        for at, rule in watch.cuts
        if rule.startswith(("drawdown", "leverage")) and hours(at) >= 4.0  # caps speak before, too
    ]
    assert by_loss
    assert min(by_loss) >= 6.0
    assert max(by_loss) <= 8.0


def test_what_may_go_back_may_not_once_it_is_unknown() -> None:
    """Calm was reached and then the venue went dark: the gate is shut again, not merely old."""
    watch = watched("blind in the crash")
    assert watch.permitted
    assert watch.seen["re-entry refused"] > watch.seen["re-entry permitted"] / 10


# ------------------------------------------------------------------------- less and more data


@pytest.mark.parametrize(("hour", "venues"), [(6.0, (HL,)), (12.0, (HL, DYDX))])
def test_removed_data_ends_no_alert_sooner(hour: float, venues: tuple[str, ...]) -> None:
    """From an hour on, whole venues tell nothing: what was out then ends as it did, or later."""
    silent = Line(seed=0, share=0.0, silences=tuple((one, hour + 0.1, 99.0) for one in venues))
    at_ns = START_NS + round(hour * HOUR_NS)
    told = watched("clean")
    out = {key for key, began_ns in told.began.items() if began_ns <= at_ns}
    ended: dict[Key, int] = {}
    for key, began_ns, ended_ns in told.episodes:
        if began_ns <= at_ns < ended_ns:
            out.add(key)
            ended[key] = ended_ns
    assert len(out) > 15
    sooner = [
        change
        for decision in play(started(), silent)
        for change in decision.transitions
        if decision.at_ns > at_ns
        and change.after is AlertState.INACTIVE
        and (key := (change.rule, change.subject)) in out
        and decision.at_ns < ended.get(key, FOREVER_NS)
    ]
    assert not sooner


OWN_KINDS = {SubjectKind.MARKET, SubjectKind.POSITION, SubjectKind.ACCOUNT}
MORE = ("AAA", "ZZZ")


def test_another_market_hides_none() -> None:
    """Two larger and calmer markets listed beside ours: every alert about a market, a position or
    an account is what it was."""
    alone, beside = started(), started(more=[one for name in MORE for one in _listed(name)])
    seen = 0
    for now, events in list(ROUGH.ticks())[: 8 * HOUR_TICKS]:
        for event in events:
            alone.apply(event, now)
            beside.apply(event, now)
        for name in MORE:
            beside.apply(_calm(name, now), now)
        one, other = (_about_own(engine.evaluate(now)) for engine in (alone, beside))
        assert one == other
        seen += len(one)
    assert seen > 20


def _about_own(decision: Decision) -> list[tuple[str, Subject, AlertState, AlertState]]:
    """What is about single markets, positions and accounts that both know."""
    return [
        (one.rule, one.subject, one.before, one.after)
        for one in decision.transitions
        if subject_kind(one.subject) in OWN_KINDS and not one.subject.endswith(MORE)
    ]


def _listed(name: str) -> list[e.Event]:
    listed = e.MarketListed(
        venue=HL,
        channel=f"{HL}/meta",
        market=name,
        asset=name,
        status=MarketStatus.ACTIVE,
        has_mark=True,
        funding_interval_s=3600,
        margin_tiers=TIERS,
    )
    return [listed]


def _calm(name: str, now: int) -> e.Event:
    return e.MarketContextSeen(
        venue=HL,
        channel=f"{HL}/ctx/{name}",
        venue_time_ns=now,
        market=name,
        mark_price=100.0,
        oracle_price=100.0,
        predicted_funding_rate_hourly=1.25e-5,
        open_interest_base=1e8,
    )


# -------------------------------------------------------------------------- stricter, and again

_LIMIT = re.compile(r"(?P<op>[<>]=?)\s*(?P<limit>-?\d+\.\d+)")


def stricter(text: str, share: float) -> str:
    """A condition that implies this one: every limit further away, within what its measure can be
    (a share is at most 1, an index at most 100)."""

    def moved(match: re.Match[str]) -> str:
        limit = float(match["limit"])
        if match["op"][0] == "<":
            return f"{match['op']} {limit - share * abs(limit):.9f}"
        highest = 1.0 if limit < 1.0 else 100.0
        return f"{match['op']} {limit + share * min(abs(limit), abs(highest - limit)):.9f}"

    return _LIMIT.sub(moved, text)


def stricter_files(share: float) -> tuple[tuple[str, str], ...]:
    """The built-in rulebook with every condition stricter; what ends an alert is as it was."""
    made = []
    for name, text in builtin_files():
        families = yaml.safe_load(text)
        for rules in families.values():
            for rule in rules:
                if "when" in rule:
                    rule["when"] = stricter(rule["when"], share)
                for flag, condition in rule.get("flags", {}).items():
                    rule["flags"][flag] = stricter(condition, share)
        made.append((name, yaml.safe_dump(families, sort_keys=False)))
    return tuple(made)


def first_fired(decisions: list[Decision]) -> dict[Key, int]:
    """When each alert began."""
    found: dict[Key, int] = {}
    for decision in decisions:
        for change in decision.transitions:
            if change.after is AlertState.FIRING:
                found.setdefault((change.rule, change.subject), decision.at_ns)
    return found


@cache
def rough_morning() -> list[Decision]:
    """Eight hours of the storm over a bad line."""
    return play(started(), ROUGH, 8 * HOUR_TICKS)


def test_a_stricter_limit_is_reached_no_sooner() -> None:
    """Every condition of every built-in rule at once, gaps and all. Not those that wait for another
    rule *not* to fire, which is stricter as well."""
    waiting = {"funding_broad_expense"} | {
        rule.id
        for rule in parse_rulebook(builtin_files(), CATALOGUE).rules
        if rule.when is not None and re.search(r"firing__\w+ < 0\.5", rule.when.text)
    }
    loose = first_fired(rough_morning())
    strict = first_fired(play(started(stricter_files(0.4)), ROUGH, 8 * HOUR_TICKS))
    sooner = {
        key: hours(at)
        for key, at in strict.items()
        if key[0] not in waiting and at < loose.get(key, FOREVER_NS)
    }
    assert not sooner
    assert len(strict) > 20
    later = [key for key, at in loose.items() if strict.get(key, FOREVER_NS) > at]
    assert len(later) >= 5


OWN_RULE = """
- id: desk_own
  for_each: portfolio
  when: funding_stress_index >= {limit:.1f}
  severity: warning
  summary: The desk's own
"""


def test_unchanged_rules_keep_their_timers_over_reloads() -> None:
    """Every other hour the book is loaded anew, with a rule of the desk's own that changes each
    time: whatever waits, is out or recovers goes on from when it began."""
    engine, kept = started(), 0
    for now, events in list(ROUGH.ticks())[: 8 * HOUR_TICKS]:
        for event in events:
            engine.apply(event, now)
        engine.evaluate(now)
        if round(hours(now) * HOUR_TICKS) % (2 * HOUR_TICKS) != 1:
            continue
        before = {(one.rule, one.subject): one.state for one in engine.rule_states()}
        own = ("desk.yaml", OWN_RULE.format(limit=40.0 + hours(now)))
        engine.apply(e.RulebookLoaded(files=(*builtin_files(), own), loaded_by="x"), now)
        moved = {(one.rule, one.subject) for one in engine.evaluate(now).transitions}
        for one in engine.rule_states():
            key = one.rule, one.subject
            if one.rule != "desk_own" and key not in moved:
                assert _timers(one.state) == _timers(before[key]), key
                kept += one.state.state is not AlertState.INACTIVE
    assert kept > 30


def _timers(state: RuleState) -> tuple[object, ...]:
    return (
        state.state, state.since_ns, state.pending_since_ns, state.firing_epoch_ns,
        state.recovering_since_ns, state.confirmations, state.reentry_pending,
    )  # fmt: skip


def test_a_restart_from_a_snapshot_changes_nothing() -> None:
    """Every two hours another engine takes over; what it hears went through the journal's codec."""
    other, said = started(), 0
    for (now, events), live in zip(ROUGH.ticks(), rough_morning(), strict=False):
        for event in events:
            packed = msgspec.msgpack.encode(event)
            other.apply(msgspec.msgpack.decode(packed, type=e.Event), now)
        assert msgspec.json.encode(other.evaluate(now)) == msgspec.json.encode(live), hours(now)
        said += len(live.transitions)
        if round(hours(now) * HOUR_TICKS) % (2 * HOUR_TICKS) == 1:
            other = restore_snapshot(other.snapshot())
    assert said > 60
