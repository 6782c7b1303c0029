"""Generated histories: what must hold of a rule whatever the data do.

A history is a list of moments at which a measure is told, repeated, or missing.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.measures.spec import Reading
from monitor.core.rules.lifecycle import restored, step
from monitor.core.rules.rule import NEW, Rule, RuleState
from monitor.core.rules.rulebook import parse_rulebook
from monitor.core.types import AlertState, Verdict
from tests.core.rules.catalogue import SMALL, at, reading

# A deadline per example measures the machine, not the rules.
slow_machines = settings(deadline=None)

RANK = {
    AlertState.INACTIVE: 0,
    AlertState.PENDING: 1,
    AlertState.RECOVERING: 2,
    AlertState.FIRING: 3,
}
VALUES = st.sampled_from([10.0, 29.0, 45.0, 61.0, 75.0])
Moment = tuple[int, float | None, float | None]

# (seconds since the last moment, stress, leverage); None is missing.
history = st.lists(
    st.tuples(
        st.integers(1, 40),
        st.one_of(st.none(), VALUES),
        st.one_of(st.none(), st.sampled_from([1.0, 6.0])),
    ),
    max_size=25,
)

SHAPES = {
    "plain": "when: stress >= 60.0",
    "hysteresis": "when: stress >= 60.0\nuntil: stress <= 30.0\nkeep_firing_for: 30s",
    "waiting": "when: stress >= 60.0\nfor: 30s",
    "confirmed": "when: stress >= 60.0\nconfirm: {need: 2, of: 2, apart: 20s}",
    "two of three": "when: stress >= 60.0\nconfirm: {need: 2, of: 3}\nkeep_firing_for: 10s",
    "either": "when: stress >= 60.0 || leverage >= 5.0\nuntil: stress <= 30.0 && leverage <= 4.0",
    "both": "when: stress >= 60.0 && leverage >= 5.0\nfor: 20s\nkeep_firing_for: 20s",
    "flags": (
        "flags: {a: stress >= 60.0, b: leverage >= 5.0}\nat_least: 2\nwithin: 60s\n"
        "keep_firing_for: 10s"
    ),
    "held": "when: stress >= 60.0\nmin_hold: 50s",
    "arithmetic": "when: stress * leverage >= 60.0\nuntil: leverage <= 4.0",
}


def make(body: str) -> Rule:
    """A rule of the given shape."""
    head = ["- id: r", "summary: Generated", "severity: critical", "for_each: portfolio"]
    return parse_rulebook([("t.yaml", "\n  ".join(head + body.splitlines()))], SMALL).rules[0]


RULES = {name: make(body) for name, body in SHAPES.items()}
rules = st.sampled_from(sorted(SHAPES)).map(RULES.__getitem__)


def readings_at(now_s: int, moment: Moment) -> dict[str, Reading]:
    """What is known at this moment."""
    values = {"stress": moment[1], "leverage": moment[2]}
    return {name: reading(value, now_s) for name, value in values.items() if value is not None}


def run(rule: Rule, moments: list[Moment], state: RuleState = NEW) -> list[RuleState]:
    """States after each moment, evaluated also whenever the rule asked to be woken."""
    states, now_s = [], 0
    wake: int | None = None
    known: dict[str, Reading] = {}
    for moment in moments:
        now_s += moment[0]
        while wake is not None and wake < at(now_s):
            result = step(rule, state, known.get, wake)
            assert result.wake_at_ns is None or result.wake_at_ns > wake
            state, wake = result.state, result.wake_at_ns
        known = readings_at(now_s, moment)
        result = step(rule, state, known.get, at(now_s))
        state, wake = result.state, result.wake_at_ns
        states.append(state)
    return states


# Mostly quiet, so that alerts are on their way out when data is taken away.
leaving = st.lists(
    st.tuples(
        st.integers(1, 40), st.sampled_from([29.0, 29.0, 45.0, 61.0]), st.sampled_from([1.0, 6.0])
    ),
    max_size=12,
)
FIRING: list[Moment] = [(1, 75.0, 6.0), (25, 75.0, 6.0), (25, 75.0, 6.0)]


@settings(deadline=None, max_examples=400)
@given(rules, leaving, st.lists(st.sampled_from(["", "", "s", "l", "sl"]), min_size=12))
def test_less_data_never_ends_an_alert_sooner(
    rule: Rule, moments: list[Moment], gone: list[str]
) -> None:
    """Whatever is taken away while an alert is out, it is out at least as long."""
    fewer: list[Moment] = [
        (gap, None if "s" in lost else stress, None if "l" in lost else leverage)
        for (gap, stress, leverage), lost in zip(moments, gone, strict=False)
    ]
    full, thinned = run(rule, FIRING + moments), run(rule, FIRING + fewer)
    assert full[2].firing
    episode = full[2].firing_epoch_ns
    for with_all, with_less in zip(full[2:], thinned[2:], strict=True):
        # An alert that ended at its deadline and began anew by the next moment is another one.
        if with_all.firing_epoch_ns != episode:
            break
        assert with_less.firing


@slow_machines
@given(rules, history)
def test_unknown_never_lowers(rule: Rule, moments: list[Moment]) -> None:
    """With nothing known, no state moves towards INACTIVE."""
    now_s = sum(moment[0] for moment in moments)
    for state in run(rule, moments):
        after = step(rule, state, lambda _: None, at(now_s + 1)).state
        assert RANK[after.state] >= RANK[state.state]


@slow_machines
@given(rules, history)
def test_nothing_fires_without_a_known_breach(rule: Rule, moments: list[Moment]) -> None:
    """The step that fires is a step with a TRUE verdict."""
    state, now_s = NEW, 0
    for moment in moments:
        now_s += moment[0]
        result = step(rule, state, readings_at(now_s, moment).get, at(now_s))
        if result.changed and result.state.state is AlertState.FIRING and not state.firing:
            assert result.verdict is Verdict.TRUE
        state = result.state


TIMED = {
    "at once": "",
    "for": "for: 30s",
    "confirmed": "confirm: {need: 2, of: 2, apart: 20s}",
    "three in a row": "confirm: {need: 3, of: 3}",
    "two of four": "confirm: {need: 2, of: 4}",
    "both": "for: 30s\nconfirm: {need: 2, of: 2, apart: 20s}",
}
LIMITS = [20.0, 50.0, 60.0, 70.0]
BY_LIMIT = {
    (limit, name): make(f"when: stress >= {limit}\n{timed}".strip())
    for limit in LIMITS
    for name, timed in TIMED.items()
}


@slow_machines
@given(
    st.sampled_from(sorted(TIMED)),
    st.sampled_from(LIMITS),
    st.sampled_from(LIMITS),
    history,
)
def test_a_higher_limit_never_fires_earlier(
    timed: str, one: float, other: float, moments: list[Moment]
) -> None:
    """Raising a threshold can only delay the first alert, or prevent it."""
    low, high = sorted((one, other))
    first = {}
    for limit in (low, high):
        states = run(BY_LIMIT[limit, timed], moments)
        first[limit] = next(
            (index for index, state in enumerate(states) if state.firing), len(moments)
        )
    assert first[low] <= first[high]


@slow_machines
@given(rules, history, st.integers(0, 24), st.integers(1, 5000))
def test_a_restart_ends_nothing(rule: Rule, moments: list[Moment], cut: int, gap_s: int) -> None:
    """Restored at any moment after any gap, and with no data yet, an alert that was out is out."""
    states = run(rule, moments[: cut + 1])
    if not states or not states[-1].firing:
        return
    now_s = sum(moment[0] for moment in moments[: cut + 1])
    back = restored(rule, states[-1], stopped_ns=at(now_s), now=at(now_s + gap_s))
    after = step(rule, back, lambda _: None, at(now_s + gap_s + 1)).state
    assert back.state is states[-1].state
    assert after.firing
    assert after.firing_epoch_ns == states[-1].firing_epoch_ns


@slow_machines
@given(rules, history)
def test_the_same_history_gives_the_same_states(rule: Rule, moments: list[Moment]) -> None:
    """Replay is live."""
    assert run(rule, moments) == run(rule, moments)


@slow_machines
@given(rules, history)
def test_evaluating_again_changes_nothing(rule: Rule, moments: list[Moment]) -> None:
    """A second evaluation of the same readings at the same instant moves no state."""
    now_s, state = 0, NEW
    for moment in moments:
        now_s += moment[0]
        known = readings_at(now_s, moment)
        state = step(rule, state, known.get, at(now_s)).state
        assert step(rule, state, known.get, at(now_s)).state == state
