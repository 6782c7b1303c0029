"""The built-in funding rules over the real engine: the check table's rows on stress, and more."""

from __future__ import annotations

import pytest

from monitor.core.decision import ActionLevel, RuleMode
from monitor.core.engine import restore_snapshot
from monitor.core.journal import decision_bytes
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.measures.spec import Reading
from monitor.core.rules.lifecycle import step
from monitor.core.rules.rule import NEW, Rule, RuleState, Step
from monitor.core.rules.rulebook import parse_rulebook
from monitor.core.types import PORTFOLIO, SECOND_NS, AlertState, Verdict
from monitor.rulebook import builtin_files
from tests.core.desk import HL
from tests.core.stress_desk import CALM, EXAMPLE, StressDesk, Told, settlement

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
BOOK = parse_rulebook(builtin_files(), CATALOGUE)
# What the rules about sight cover is left out with them.
FUNDING = dict(builtin_files())["funding.yaml"].replace(
    "covered_by: [venue_unreachable, venue_stalled, account_truth_stale, feed_rejecting_frames]", ""
)


def builtin(rule_id: str) -> Rule:
    """A rule as it ships."""
    found = BOOK.get(rule_id)
    assert found is not None
    return found


STRESS = builtin("funding_stress")


def judge(
    state: RuleState, now_s: float, index: float | None, *, worst: float | None = None
) -> Step:
    """The shipped rule about an index told just now; None: it is unknown."""
    now = round(now_s * SECOND_NS) + 1
    values = {
        "funding_stress_index": index,
        "funding_stress_worst_index": index if worst is None else worst,
        "funding_settlements_below_exit": 3.0,
    }
    readings = {
        name: Reading(value, now, now + 10**18, now)
        for name, value in values.items()
        if value is not None
    }
    return step(STRESS, state, readings.get, now)


def stressed() -> RuleState:
    """61 and 61, five minutes apart."""
    first = judge(NEW, 0.0, 61.0)
    assert first.state.state is AlertState.PENDING
    assert judge(first.state, 299.0, 61.0).state.state is AlertState.PENDING
    second = judge(first.state, 300.0, 61.0)
    assert second.state.state is AlertState.FIRING
    return second.state


def test_61_twice_cuts_to_70_percent() -> None:
    """Of a gross of 500 000 that is a target of 350 000; proposed to a person."""
    stressed()
    assert (STRESS.level, STRESS.gross_to_ratio) == (ActionLevel.CUT, 0.70)
    assert 500_000 * (STRESS.gross_to_ratio or 0.0) == pytest.approx(350_000)
    assert STRESS.mode is RuleMode.PROPOSE


def test_59_does_not_confirm() -> None:
    """The second look has to agree."""
    first = judge(NEW, 0.0, 61.0)
    assert judge(first.state, 300.0, 59.9).state.state is AlertState.INACTIVE


def test_29_for_a_day_ends_it_and_a_minute_less_does_not() -> None:
    """The alert stays out all day."""
    state = judge(stressed(), HOUR_S, 29.0).state
    assert state.state is AlertState.RECOVERING
    state = judge(state, HOUR_S + DAY_S - 60.0, 29.0).state
    assert state.state is AlertState.RECOVERING
    ended = judge(state, HOUR_S + DAY_S, 29.0)
    assert ended.state.state is AlertState.INACTIVE
    assert ended.reentry is Verdict.TRUE


def test_two_hours_without_data_start_the_day_anew() -> None:
    """Continuous, known data."""
    state = judge(stressed(), HOUR_S, 29.0).state
    state = judge(state, HOUR_S + DAY_S - 3 * HOUR_S, None).state
    assert state.state is AlertState.FIRING
    back_s = HOUR_S + DAY_S - HOUR_S
    state = judge(state, back_s, 29.0).state
    assert state.state is AlertState.RECOVERING
    assert judge(state, back_s + DAY_S - 1.0, 29.0).state.state is AlertState.RECOVERING
    assert judge(state, back_s + DAY_S, 29.0).state.state is AlertState.INACTIVE


def test_an_index_that_may_be_higher_ends_nothing() -> None:
    """29 of what is known, 31 were the rest at its worst."""
    assert judge(stressed(), HOUR_S, 29.0, worst=31.0).state.state is AlertState.FIRING
    assert judge(stressed(), HOUR_S, 29.0, worst=30.0).state.state is AlertState.RECOVERING


# ------------------------------------------------------------------------ through the engine


def state_of(desk: StressDesk, rule: str) -> str:
    """Of a rule about the portfolio."""
    found = {one.rule: one.state.state.value for one in desk.engine.rule_states()}
    return found[rule]


def in_stress() -> StressDesk:
    """The worked example settles, and settles again an hour later."""
    desk = StressDesk(*EXAMPLE, rules=FUNDING)
    desk.evaluate()
    assert state_of(desk, "funding_stress") == "pending"
    desk.later(HOUR_S)
    for told in EXAMPLE:
        desk.settle_all(told.apr / 8760, told.market)
    decision = desk.evaluate()
    assert state_of(desk, "funding_stress") == "firing"
    (asked,) = [one for one in decision.kill_requests if one.rule == "funding_stress"]
    assert (asked.level, asked.gross_to_ratio) == (ActionLevel.CUT, 0.70)
    (told_of,) = [one for one in decision.transitions if one.rule == "funding_stress"]
    assert "DDD 90 %" in told_of.summary
    return desk


def calm_hours(desk: StressDesk, hours: int) -> None:
    """Everything settles at the floor, hour by hour."""
    for _ in range(hours):
        desk.later(HOUR_S).settle_all(1.25e-5).evaluate()


def test_coverage_of_55_percent_changes_nothing() -> None:
    """The example's index of 69.31 is unknown then: no transition, whatever the state."""
    desk = StressDesk(*EXAMPLE, rules=FUNDING)
    desk.join(Told("NEW", 0.1, 0.0, 0.0, open_interest_usd=5e6 * 45 / 55), history=5)
    desk.evaluate()
    desk.later(600).evaluate()
    assert state_of(desk, "funding_stress") == "inactive"


def test_the_way_into_stress_and_out_of_it() -> None:
    """A day of known calm, and re-entry is for a person to say."""
    desk = in_stress()
    calm_hours(desk, 3)
    assert state_of(desk, "funding_stress") == "recovering"
    assert desk.value("funding_settlements_below_exit", PORTFOLIO) == 2.0
    calm_hours(desk, 22)
    assert state_of(desk, "funding_stress") == "inactive"
    assert desk.value("funding_settlements_below_exit", PORTFOLIO) >= 23.0
    assert desk.engine.permits_reentry("funding_stress", PORTFOLIO, desk.now)
    desk.later(HOUR_S).settle_all(5e-5).evaluate()  # dear again, though no stress
    assert state_of(desk, "funding_stress") == "inactive"
    assert not desk.engine.permits_reentry("funding_stress", PORTFOLIO, desk.now)
    calm_hours(desk, 12)
    assert desk.engine.permits_reentry("funding_stress", PORTFOLIO, desk.now)


@pytest.mark.parametrize(("silent", "state"), [(0, "inactive"), (3, "firing")])
def test_markets_that_are_not_heard_of_keep_an_alert(silent: int, state: str) -> None:
    """29.4 of what is known for two days; with three of eight assets at their worst it is 38."""
    base, dear, after = 2.54e-5, 0.90, 0.38 / 8760
    markets = [Told(f"M{number}", dear, (dear / 8760 - base) / 3e-6, 9.0) for number in range(8)]
    desk = StressDesk(*markets, rules=FUNDING)
    desk.evaluate()
    desk.later(HOUR_S).settle_all(dear / 8760, *[one.market for one in markets]).evaluate()
    assert state_of(desk, "funding_stress") == "firing"
    for _ in range(48):
        desk.later(HOUR_S)
        desk.settle_all(after, *[one.market for one in markets[silent:]]).evaluate()
    index = desk.value("funding_stress_index", PORTFOLIO)
    worst = desk.value("funding_stress_worst_index", PORTFOLIO)
    assert index == pytest.approx(29.4, abs=0.1)
    assert worst == pytest.approx(38.2 if silent else 29.4, abs=0.1)
    assert state_of(desk, "funding_stress") == state


def test_two_hours_of_silence_in_the_engine() -> None:
    """The index becomes unknown, the day starts anew, and re-entry is not offered meanwhile."""
    desk = in_stress()
    calm_hours(desk, 20)
    assert state_of(desk, "funding_stress") == "recovering"
    desk.later(4 * HOUR_S).evaluate()
    assert desk.value("funding_stress_index", PORTFOLIO) is None
    assert state_of(desk, "funding_stress") == "firing"
    assert desk.value("funding_settlements_below_exit", PORTFOLIO) is None
    for hour in range(desk.hour - 3, desk.hour):  # what was missed is caught up
        for told in EXAMPLE:
            desk.tell(settlement(told.market, 1.25e-5, hour))
    calm_hours(desk, 1)
    assert desk.value("funding_settlements_below_exit", PORTFOLIO) == 0.0
    calm_hours(desk, 23)
    assert state_of(desk, "funding_stress") == "recovering"
    calm_hours(desk, 1)
    assert state_of(desk, "funding_stress") == "inactive"


def test_an_index_that_goes_blind_is_told() -> None:
    """After half an hour, by a warning that names what is missing; not while it never was known."""
    desk = StressDesk(*CALM, rules=FUNDING)
    desk.later(3 * HOUR_S - 9).evaluate()
    desk.until(desk.now + 9 * SECOND_NS)
    assert desk.value("funding_stress_index", PORTFOLIO) is None
    assert state_of(desk, "funding_stress_blind") == "inactive"
    desk.until(desk.now + 1801 * SECOND_NS)
    assert state_of(desk, "funding_stress_blind") == "firing"
    desk.settle_all(1.25e-5).later(5).evaluate()
    assert state_of(desk, "funding_stress_blind") == "inactive"
    never = StressDesk(*CALM, rules=FUNDING, history=3)
    never.evaluate()
    never.later(5 * HOUR_S).evaluate()
    assert state_of(never, "funding_stress_blind") == "inactive"


@pytest.mark.parametrize(
    ("rate", "fires"), [(0.59 / 8760, False), (0.61 / 8760, True), (-0.61 / 8760, True)]
)
def test_a_market_out_of_its_own_range(rate: float, fires: bool) -> None:
    """Both: unusual for itself, and dear."""
    desk = StressDesk(*CALM, rules=FUNDING)
    desk.tell(settlement("AAA", rate, desk.hour))
    desk.context("AAA", predicted_funding_rate_hourly=rate)
    desk.evaluate()
    desk.later(600).context("AAA", predicted_funding_rate_hourly=rate).evaluate()
    states = {(one.rule, one.subject): one.state.state.value for one in desk.engine.rule_states()}
    assert states["funding_spike_market", f"market:{HL}/AAA"] == ("firing" if fires else "inactive")
    assert states["funding_spike_market", f"market:{HL}/BBB"] == "inactive"


def test_a_restored_engine_goes_on_byte_for_byte() -> None:
    """With a month of settlements, an index, its peak and rules in every state."""
    live = in_stress()
    calm_hours(live, 3)
    again = StressDesk()
    again.engine, again.now = restore_snapshot(live.engine.snapshot()), live.now
    for hour in range(14):
        decisions = []
        for desk in (live, again):
            desk.later(HOUR_S)
            for number, told in enumerate(EXAMPLE):
                if (hour + number) % 5:
                    desk.tell(settlement(told.market, (number - 2) * 2e-5, desk.hour))
            decisions.append(decision_bytes(desk.evaluate()))
        assert decisions[0] == decisions[1]
        assert live.engine.snapshot() == again.engine.snapshot()
