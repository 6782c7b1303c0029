"""The state table of the design, both ways, with every timer on both sides of its limit."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from monitor.core.measures.spec import Reading
from monitor.core.rules.lifecycle import carried_over, rearmed, restored, step
from monitor.core.rules.rule import NEW, Rule, RuleState, Step
from monitor.core.rules.rulebook import parse_rulebook
from monitor.core.types import AlertState, Verdict
from tests.core.rules.catalogue import SMALL, at, reading

INACTIVE, PENDING, FIRING, RECOVERING = (
    AlertState.INACTIVE,
    AlertState.PENDING,
    AlertState.FIRING,
    AlertState.RECOVERING,
)
T, F, U, E = Verdict.TRUE, Verdict.FALSE, Verdict.UNKNOWN, Verdict.ERROR


def rule(body: str) -> Rule:
    """One rule over the small catalogue, from the fields that matter to the test."""
    lines = ["- id: r", "summary: Rule under test", "severity: critical", "for_each: portfolio"]
    lines += body.strip().splitlines()
    return parse_rulebook([("t.yaml", "\n  ".join(lines))], SMALL).rules[0]


PLAIN = rule("when: stress >= 60.0")
HYSTERESIS = rule("when: stress >= 60.0\nuntil: stress <= 30.0\nkeep_firing_for: 60s")


def judge(one: Rule, state: RuleState, now_s: float, **values: float | None) -> Step:
    """One step with values told just now; None is absent."""
    readings = {name: reading(value, now_s) for name, value in values.items() if value is not None}
    return step(one, state, readings.get, at(now_s))


def run(one: Rule, moments: list[tuple[float, float | None]]) -> list[AlertState]:
    """States after each (second, value of stress)."""
    state, states = NEW, []
    for now_s, value in moments:
        state = judge(one, state, now_s, stress=value).state
        states.append(state.state)
    return states


FIRED = RuleState(state=FIRING, since_ns=at(5), firing_epoch_ns=at(5))
WAITING = RuleState(state=PENDING, since_ns=at(5), pending_since_ns=at(5))
LEAVING = RuleState(
    state=RECOVERING, since_ns=at(9), firing_epoch_ns=at(5), recovering_since_ns=at(9)
)
SLOW = rule("when: stress >= 60.0\nuntil: stress <= 30.0\nfor: 10s\nkeep_firing_for: 60s")


@pytest.mark.parametrize(
    ("state", "stress", "after"),
    [
        pytest.param(NEW, 61.0, PENDING, id="inactive and true waits"),
        pytest.param(NEW, 59.0, INACTIVE, id="inactive and false"),
        pytest.param(NEW, None, INACTIVE, id="inactive and unknown stays"),
        pytest.param(WAITING, 61.0, FIRING, id="pending and true for long enough"),
        pytest.param(WAITING, 59.0, INACTIVE, id="pending and false"),
        pytest.param(WAITING, None, PENDING, id="pending and unknown stays"),
        pytest.param(FIRED, 61.0, FIRING, id="firing and true stays"),
        pytest.param(FIRED, 31.0, FIRING, id="firing between the limits stays"),
        pytest.param(FIRED, 30.0, RECOVERING, id="firing and until true recovers"),
        pytest.param(FIRED, None, FIRING, id="firing and unknown stays"),
        pytest.param(LEAVING, 30.0, RECOVERING, id="recovering and until true goes on"),
        pytest.param(LEAVING, 31.0, FIRING, id="recovering and until false fires"),
        pytest.param(LEAVING, None, FIRING, id="recovering and unknown fires"),
    ],
)
def test_state_table(state: RuleState, stress: float | None, after: AlertState) -> None:
    """Each cell of the table, twenty seconds in."""
    result = judge(SLOW, state, 20.0, stress=stress)
    assert result.state.state is after
    assert result.before is state.state
    assert result.changed is (after is not state.state)


@pytest.mark.parametrize("state", [NEW, WAITING, FIRED, LEAVING], ids=lambda s: s.state.value)
def test_error_keeps_the_state(state: RuleState) -> None:
    """A reading that raises marks the rule failing, once, and moves nothing; healing is told."""

    def broken(name: str) -> Reading | None:
        raise LookupError(name)

    failed = step(SLOW, state, broken, at(20))
    assert (failed.state.state, failed.verdict) == (state.state, E)
    assert failed.error_changed
    assert failed.state.error == "LookupError: stress"
    again = step(SLOW, failed.state, broken, at(21))
    assert not again.error_changed
    assert again.state is failed.state
    healed = judge(SLOW, again.state, 22.0, stress=30.0)
    assert healed.error_changed
    assert healed.state.error == ""


def test_error_breaks_the_unbroken_time_of_recovery() -> None:
    """Ten minutes of rule errors resolve nothing: the time starts anew afterwards."""

    def broken(_name: str) -> Reading | None:
        raise LookupError("x")

    state = LEAVING
    for second in range(10, 610, 10):
        state = step(SLOW, state, broken, at(second)).state
    assert state.state is RECOVERING
    assert judge(SLOW, state, 610.0, stress=20.0).state.state is RECOVERING
    state = judge(SLOW, state, 610.0, stress=20.0).state
    assert judge(SLOW, state, 669.9, stress=20.0).state.state is RECOVERING
    assert judge(SLOW, state, 670.0, stress=20.0).state.state is INACTIVE


@pytest.mark.parametrize(
    ("held_s", "after"),
    [
        pytest.param(0.0, PENDING, id="first breach waits"),
        pytest.param(29.9, PENDING, id="just short"),
        pytest.param(30.0, FIRING, id="held long enough"),
    ],
)
def test_for(held_s: float, after: AlertState) -> None:
    """A breach shorter than ``for`` never fires."""
    one = rule("when: stress >= 60.0\nfor: 30s")
    first = judge(one, NEW, 100.0, stress=61.0)
    assert first.wake_at_ns == at(130)
    assert judge(one, first.state, 100.0 + held_s, stress=61.0).state.state is after


def test_for_zero_fires_at_once() -> None:
    """Without ``for`` and ``confirm`` the first known breach fires."""
    result = judge(PLAIN, NEW, 7.0, stress=60.0)
    assert result.state == RuleState(state=FIRING, since_ns=at(7), firing_epoch_ns=at(7))


def test_pending_cannot_fire_on_unknown() -> None:
    """``for`` has long passed, but only a known breach may fire."""
    one = rule("when: stress >= 60.0\nfor: 30s")
    state = judge(one, NEW, 0.0, stress=61.0).state
    state = judge(one, state, 40.0, stress=None).state
    assert state.state is PENDING
    assert judge(one, state, 41.0, stress=61.0).state.state is FIRING


def test_a_false_in_between_restarts_for() -> None:
    """``for`` must be continuous."""
    one = rule("when: stress >= 60.0\nfor: 30s")
    assert run(one, [(0, 61), (20, 59), (25, 61), (54, 61), (55, 61)]) == [
        PENDING,
        INACTIVE,
        PENDING,
        PENDING,
        FIRING,
    ]


DAY = 86400.0


@pytest.mark.parametrize(
    ("moments", "after"),
    [
        pytest.param([(0, 29), (DAY - 60, 29)], RECOVERING, id="23 h 59"),
        pytest.param([(0, 29), (DAY, 29)], INACTIVE, id="24 h"),
        pytest.param([(0, 29), (DAY - 60, 30.1), (DAY, 29)], RECOVERING, id="broken by a value"),
        pytest.param(
            [(0, 29), (3600, None), (10800, 29), (DAY + 10799, 29)],
            RECOVERING,
            id="two hours missing restart the timer",
        ),
        pytest.param(
            [(0, 29), (3600, None), (10800, 29), (DAY + 10800, 29)],
            INACTIVE,
            id="a whole day after the missing hours",
        ),
    ],
)
def test_stress_ends_after_a_known_unbroken_day(
    moments: list[tuple[float, float | None]], after: AlertState
) -> None:
    """The end of a funding-stress episode: 24 hours, continuous, known."""
    one = rule("when: stress >= 60.0\nuntil: stress <= 30.0\nkeep_firing_for: 24h")
    assert run(one, [(-60, 61), *moments])[-1] is after


def test_until_defaults_to_not_when_for_unknown_too() -> None:
    """Without ``until`` the alert ends when the condition is known to be false."""
    state = judge(PLAIN, NEW, 0.0, stress=60.0).state
    assert judge(PLAIN, state, 1.0, stress=None).state.state is FIRING
    assert judge(PLAIN, state, 2.0, stress=59.0).state.state is INACTIVE


NARROW = rule("when: stress * leverage >= 60.0\nuntil: leverage <= 4.0")


@pytest.mark.parametrize(
    ("stress", "leverage", "after"),
    [
        pytest.param(None, 2.0, FIRING, id="until true, condition unknown"),
        pytest.param(40.0, 2.0, FIRING, id="until true, condition true"),
        pytest.param(10.0, 5.0, FIRING, id="until false, condition false"),
        pytest.param(10.0, None, FIRING, id="both unknown"),
        pytest.param(10.0, 2.0, INACTIVE, id="until true, condition false"),
    ],
)
def test_the_end_needs_the_condition_known_false_and_until_known_true(
    stress: float | None, leverage: float | None, after: AlertState
) -> None:
    """``until`` may read less than the condition: what it does not see may still be wrong."""
    state = judge(NARROW, NEW, 0.0, stress=61.0, leverage=1.0).state
    assert state.state is FIRING
    assert judge(NARROW, state, 1.0, stress=stress, leverage=leverage).state.state is after


@pytest.mark.parametrize(
    ("now_s", "after"),
    [pytest.param(99.9, FIRING, id="held"), pytest.param(100.0, INACTIVE, id="let go")],
)
def test_min_hold(now_s: float, after: AlertState) -> None:
    """FIRING lasts at least ``min_hold``, whatever the data say."""
    one = rule("when: stress >= 60.0\nmin_hold: 100s")
    state = judge(one, NEW, 0.0, stress=60.0).state
    early = judge(one, state, 10.0, stress=1.0)
    assert early.wake_at_ns == at(100)
    assert judge(one, early.state, now_s, stress=1.0).state.state is after


@pytest.mark.parametrize(
    ("age_s", "verdict"),
    [pytest.param(30.0, T, id="as old as tolerated"), pytest.param(30.001, U, id="older")],
)
def test_max_staleness(age_s: float, verdict: Verdict) -> None:
    """A reading older than the rule tolerates counts as absent, and the rule wakes for it."""
    one = rule("when: stress >= 60.0\nmax_staleness: 30s")
    readings = {"stress": reading(61.0, 1000.0)}
    result = step(one, NEW, readings.get, at(1000 + age_s))
    assert result.verdict is verdict
    assert result.wake_at_ns == (at(1030) + 1 if verdict is T else None)


PROTECTIVE = "when: margin_usage_ratio >= 0.3\nmax_staleness: 30s\non_unknown: fire"


@pytest.mark.parametrize(
    ("now_s", "after"),
    [pytest.param(30.0, INACTIVE, id="not yet"), pytest.param(30.001, FIRING, id="too long")],
)
def test_on_unknown_fire_after_absence(now_s: float, after: AlertState) -> None:
    """A protective rule fires once its input has been absent for longer than it tolerates."""
    one = rule(PROTECTIVE)
    first = judge(one, NEW, 0.0)
    assert first.state.state is INACTIVE
    assert first.wake_at_ns == at(30) + 1
    result = judge(one, first.state, now_s)
    assert result.state.state is after
    assert result.by_absence is (after is FIRING)


def test_on_unknown_fire_on_a_stale_reading_is_at_once() -> None:
    """A reading that is itself too old has already been missing for as long."""
    one = rule(PROTECTIVE)
    readings = {"margin_usage_ratio": reading(0.1, 0.0)}
    assert step(one, NEW, readings.get, at(30)).state.state is INACTIVE
    assert step(one, NEW, readings.get, at(30.001)).state.state is FIRING


def test_on_unknown_fire_ends_on_known_good_data() -> None:
    """What fired by absence ends when the condition is known to be false again."""
    one = rule(PROTECTIVE)
    state = judge(one, judge(one, NEW, 0.0).state, 31.0).state
    assert judge(one, state, 32.0).state.state is FIRING
    assert judge(one, state, 33.0, margin_usage_ratio=0.2).state.state is INACTIVE


def test_hold_never_fires_on_absence() -> None:
    """The default leaves an inactive rule inactive however long data is missing."""
    state = judge(PLAIN, NEW, 0.0).state
    assert judge(PLAIN, state, 1e6).state.state is INACTIVE


def confirm_run(one: Rule, told: list[tuple[float, float, float]]) -> list[AlertState]:
    """States after each (now, observed at, value)."""
    state, states = NEW, []
    for now_s, observed_s, value in told:
        readings: Mapping[str, Reading] = {"stress": reading(value, now_s, observed_s=observed_s)}
        state = step(one, state, readings.get, at(now_s)).state
        states.append(state.state)
    return states


TWICE = "when: stress >= 60.0\nconfirm: {need: 2, of: 2, apart: 5m}"
TWO_OF_THREE = "when: stress >= 60.0\nconfirm: {need: 2, of: 3}"


@pytest.mark.parametrize(
    ("body", "told", "after"),
    [
        pytest.param(TWICE, [(0, 0, 61), (300, 300, 61)], FIRING, id="twice, five minutes apart"),
        pytest.param(TWICE, [(0, 0, 61), (299.9, 299.9, 61)], PENDING, id="too close"),
        pytest.param(TWICE, [(0, 0, 61), (900, 0, 61)], PENDING, id="the same value, repeated"),
        pytest.param(
            TWICE, [(0, 0, 61), (100, 100, 59), (300, 300, 61)], PENDING, id="contradicted between"
        ),
        pytest.param(
            TWICE,
            [(0, 0, 61), (100, 100, 59), (300, 300, 61), (600, 600, 61)],
            FIRING,
            id="twice after the contradiction",
        ),
        pytest.param(
            TWICE, [(0, 0, 61), (200, 200, 61), (300, 300, 61)], FIRING, id="a close one is no loss"
        ),
        pytest.param(TWO_OF_THREE, [(0, 0, 61), (1, 1, 59), (2, 2, 61)], FIRING, id="2 of 3"),
        pytest.param(
            TWO_OF_THREE, [(0, 0, 61), (1, 1, 59), (2, 2, 59), (3, 3, 61)], PENDING, id="2 of 4"
        ),
        pytest.param(TWO_OF_THREE, [(0, 0, 61), (1, 0, 61)], PENDING, id="2 of 3 but the same"),
    ],
)
def test_confirm(body: str, told: list[tuple[float, float, float]], after: AlertState) -> None:
    """Only distinct observations of the deciding facts confirm."""
    assert confirm_run(rule(body), told)[-1] is after


def test_confirm_needs_every_fact_anew() -> None:
    """With two deciding measures both must have been told again."""
    one = rule("when: stress >= 60.0 && leverage >= 5.0\nconfirm: {need: 2, of: 2, apart: 20s}")

    def at_times(now_s: float, stress_s: float, leverage_s: float, state: RuleState) -> RuleState:
        readings = {
            "stress": reading(61.0, now_s, observed_s=stress_s),
            "leverage": reading(6.0, now_s, observed_s=leverage_s),
        }
        return step(one, state, readings.get, at(now_s)).state

    state = at_times(0, 0, 0, NEW)
    half = at_times(20, 20, 19, state)
    assert half.state is PENDING
    assert at_times(21, 21, 20, half).state is FIRING


def test_unknown_neither_confirms_nor_contradicts() -> None:
    """A half-known moment between two observations is as if it had not been."""
    one = rule("when: stress >= 60.0 && leverage >= 5.0\nconfirm: {need: 2, of: 2, apart: 20s}")
    state = judge(one, NEW, 0.0, stress=61.0, leverage=6.0).state
    state = judge(one, state, 19.9, stress=61.0, leverage=6.0).state
    assert state.state is PENDING
    state = judge(one, state, 20.0, stress=61.0).state
    assert state.state is PENDING
    assert judge(one, state, 20.1, stress=61.0, leverage=6.0).state.state is FIRING


def test_one_episode_does_not_confirm_the_next() -> None:
    """After the end, two new observations are asked for again."""
    one = rule("when: stress >= 60.0\nconfirm: {need: 2, of: 2, apart: 20s}")
    told = [(0, 0, 61.0), (20, 20, 61.0), (30, 30, 1.0), (40, 40, 61.0), (60, 60, 61.0)]
    assert confirm_run(one, told) == [PENDING, FIRING, INACTIVE, PENDING, FIRING]


def test_reentry_is_asked_only_after_the_end() -> None:
    """The gate is a published answer: no timer opens it, a person does."""
    one = rule("when: stress >= 60.0\nuntil: stress <= 30.0\nreentry: leverage <= 1.0")
    quiet = judge(one, NEW, 0.0, stress=1.0, leverage=0.5)
    assert quiet.reentry is None
    fired = judge(one, quiet.state, 1.0, stress=61.0, leverage=0.5)
    assert fired.reentry is None
    ended = judge(one, fired.state, 2.0, stress=30.0, leverage=1.5)
    assert (ended.state.state, ended.reentry) == (INACTIVE, F)
    assert judge(one, ended.state, 3.0, stress=30.0).reentry is U
    permitted = judge(one, ended.state, 1e6, stress=30.0, leverage=1.0)
    assert permitted.reentry is T
    assert permitted.state.reentry_pending
    assert judge(one, rearmed(permitted.state), 1e6 + 1, stress=30.0).reentry is None
    again = judge(one, ended.state, 4.0, stress=61.0)
    assert (again.state.state, again.reentry) == (FIRING, None)
    assert not again.state.reentry_pending


def test_reentry_is_no_question_while_a_new_breach_is_pending() -> None:
    """PENDING is not over."""
    one = rule("when: stress >= 60.0\nfor: 10s\nreentry: leverage <= 1.0")
    over = RuleState(reentry_pending=True)
    assert judge(one, over, 0.0, stress=61.0, leverage=0.5).reentry is None
    assert judge(one, over, 0.0, stress=1.0, leverage=0.5).reentry is T


def test_the_episode_keeps_its_epoch() -> None:
    """A dip into RECOVERING does not begin a new episode."""
    state = judge(HYSTERESIS, NEW, 5.0, stress=60.0).state
    for now_s, value in ((6.0, 20.0), (7.0, 61.0), (8.0, 20.0)):
        state = judge(HYSTERESIS, state, now_s, stress=value).state
        assert state.firing_epoch_ns == at(5)
    done = judge(HYSTERESIS, state, 68.0, stress=20.0)
    assert (done.state.state, done.state.firing_epoch_ns) == (INACTIVE, None)


def test_a_quiet_rule_returns_the_very_state_it_was_given() -> None:
    """Nothing to store, nothing to send."""
    for value in (1.0, 2.0):
        assert judge(PLAIN, NEW, value, stress=value).state is NEW
    fired = judge(PLAIN, NEW, 1.0, stress=61.0).state
    assert judge(PLAIN, fired, 2.0, stress=62.0).state is fired


def test_estimates_are_told() -> None:
    """A verdict on re-marked numbers says so, for it may never cut."""
    readings = {"stress": reading(61.0, 1.0, estimated=True)}
    assert step(PLAIN, NEW, readings.get, at(1)).estimated
    assert not judge(PLAIN, NEW, 1.0, stress=61.0).estimated


def test_estimates_begin_alerts_and_end_none() -> None:
    """A re-marked number that looks better is unknown to an alert that is out: neither does it
    start to recover, nor does it go on recovering."""
    fired = step(HYSTERESIS, NEW, {"stress": reading(61.0, 1.0, estimated=True)}.get, at(1)).state
    assert fired.state is FIRING
    better = {"stress": reading(20.0, 2.0, estimated=True)}
    assert step(HYSTERESIS, fired, better.get, at(2)).state.state is FIRING
    leaving = judge(HYSTERESIS, fired, 3.0, stress=20.0).state
    assert leaving.state is RECOVERING
    assert step(HYSTERESIS, leaving, better.get, at(4)).state.state is FIRING


@pytest.mark.parametrize("state", [WAITING, FIRED, LEAVING], ids=lambda s: s.state.value)
def test_states_survive_being_stored(state: RuleState) -> None:
    """JSON there and back, equal."""
    assert msgspec.json.decode(msgspec.json.encode(state), type=RuleState) == state


@pytest.mark.parametrize("gap_s", [10.0, 3600.0], ids=["short gap", "long gap"])
@pytest.mark.parametrize("state", [NEW, WAITING, FIRED, LEAVING], ids=lambda s: s.state.value)
def test_restart_keeps_every_state(state: RuleState, gap_s: float) -> None:
    """After a restart each state is what it was, before and during the silence of the feeds."""
    now_s = 20.0 + gap_s
    back = restored(SLOW, state, stopped_ns=at(20), now=at(now_s))
    assert back.state is state.state
    assert back.firing_epoch_ns == state.firing_epoch_ns
    assert judge(SLOW, back, now_s + 1, stress=None).state.state is state.state


def test_restart_resolves_nothing_by_itself() -> None:
    """A recovery that stays unknown after the grace fires again instead of ending."""
    back = restored(SLOW, LEAVING, stopped_ns=at(20), now=at(30))
    waiting = judge(SLOW, back, 31.0, stress=None)
    assert waiting.wake_at_ns == at(90)
    assert judge(SLOW, waiting.state, 89.9, stress=None).state.state is RECOVERING
    assert judge(SLOW, waiting.state, 90.0, stress=None).state.state is FIRING


def test_restart_continues_timers_over_a_short_gap_only() -> None:
    """Ten seconds lose nothing, an hour starts the unbroken time anew."""
    short = restored(SLOW, LEAVING, stopped_ns=at(20), now=at(30))
    assert judge(SLOW, short, 69.0, stress=20.0).state.state is INACTIVE
    late = restored(SLOW, LEAVING, stopped_ns=at(20), now=at(3620))
    first = judge(SLOW, late, 3621.0, stress=20.0)
    assert first.state.state is RECOVERING
    assert judge(SLOW, first.state, 3680.9, stress=20.0).state.state is RECOVERING
    assert judge(SLOW, first.state, 3681.0, stress=20.0).state.state is INACTIVE


@pytest.mark.parametrize(
    ("now_s", "after"),
    [pytest.param(21.0, FIRING, id="short"), pytest.param(900.0, PENDING, id="long")],
)
def test_restart_and_waiting(now_s: float, after: AlertState) -> None:
    """``for`` goes on over a short gap and begins again after a long one."""
    back = restored(SLOW, WAITING, stopped_ns=at(20), now=at(now_s))
    first = judge(SLOW, back, now_s, stress=61.0)
    assert first.state.state is after
    if after is PENDING:
        assert judge(SLOW, first.state, now_s + 9.9, stress=61.0).state.state is PENDING
        assert judge(SLOW, first.state, now_s + 10, stress=61.0).state.state is FIRING


@pytest.mark.parametrize(
    ("now_s", "after"),
    [pytest.param(30.0, FIRING, id="short"), pytest.param(900.0, PENDING, id="long")],
)
def test_restart_and_confirming(now_s: float, after: AlertState) -> None:
    """An observation counts over a short gap only."""
    one = rule("when: stress >= 60.0\nconfirm: {need: 2, of: 2, apart: 20s}")
    state = judge(one, NEW, 0.0, stress=61.0).state
    back = restored(one, state, stopped_ns=at(5), now=at(now_s))
    assert judge(one, back, now_s, stress=61.0).state.state is after


def test_recovering_wakes_at_its_end() -> None:
    """The end of ``keep_firing_for`` needs no event."""
    assert judge(SLOW, LEAVING, 20.0, stress=20.0).wake_at_ns == at(69)


def test_restart_does_not_fire_protective_rules_before_the_feeds_are_back() -> None:
    """Being away is not the venue's silence: the clock of absence starts at the restart."""
    one = rule(PROTECTIVE)
    back = restored(one, NEW, stopped_ns=at(0), now=at(5000))
    assert judge(one, back, 5030.0).state.state is INACTIVE
    assert judge(one, back, 5030.1).state.state is FIRING


@pytest.mark.parametrize("state", [NEW, WAITING, FIRED, LEAVING], ids=lambda s: s.state.value)
def test_reload_keeps_an_unchanged_rule(state: RuleState) -> None:
    """New words for people are no change."""
    same = rule(
        "when: stress >= 60.0\nuntil: stress <= 30.0\nfor: 10s\nkeep_firing_for: 60s\nhelp: New."
    )
    assert carried_over(SLOW, same, state, at(50)) is state


@pytest.mark.parametrize(
    ("state", "after"),
    [
        pytest.param(WAITING, INACTIVE, id="pending waits anew"),
        pytest.param(FIRED, FIRING, id="firing stays out"),
        pytest.param(LEAVING, FIRING, id="recovering fires until the new condition is known"),
    ],
)
def test_reload_of_a_changed_rule(state: RuleState, after: AlertState) -> None:
    """A changed condition must be evaluated on data before anything ends."""
    changed = rule("when: stress >= 70.0\nuntil: stress <= 30.0\nkeep_firing_for: 60s")
    carried = carried_over(SLOW, changed, state, at(50))
    assert carried.state is after
    assert carried.firing_epoch_ns == (at(5) if after is FIRING else None)
    assert judge(changed, carried, 51.0, stress=None).state.state is after
