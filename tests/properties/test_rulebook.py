"""What a reload leaves alone, over any series, gaps and estimates included."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.engine import Engine
from monitor.core.events import RulebookLoaded
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.trial.series import Series, parse_series
from monitor.core.trial.world import engine_of
from monitor.core.types import PORTFOLIO, SECOND_NS, AlertState

START = 1_790_000_000 * SECOND_NS
MINUTE = 60 * SECOND_NS
STEPS = 14
KEY = "one|portfolio"

values = st.lists(
    st.sampled_from(["_", "=", "10", "30", "45", "60", "75", "60~"]), min_size=STEPS, max_size=STEPS
)
waits = st.sampled_from(["", "  for: 2m\n", "  confirm: {need: 2, of: 2, apart: 2m}\n"])
ends = st.sampled_from(["", "  until: funding_stress_index <= 10.0\n  keep_firing_for: 2m\n"])


def series_of(words: Sequence[str]) -> Series:
    """What begins with a repeat begins with a gap."""
    before, entries = "_", []
    for word in words:
        entries.append("_" if word == "=" and before == "_" else word)
        before = entries[-1]
    return parse_series(" ".join(entries))


def rule(limit: float, more: str = "", *, name: str = "one") -> str:
    """A rule on the index."""
    return (
        f"- id: {name}\n  for_each: portfolio\n  summary: One\n"
        f"  when: funding_stress_index >= {limit:.1f}\n  severity: warning\n{more}"
    )


def engine(series: Series, text: str) -> Engine:
    """At the start, judging by these rules."""
    made = engine_of(
        {("funding_stress_index", PORTFOLIO): series},
        (),
        start_ns=START,
        step_ns=MINUTE,
        catalogue=CATALOGUE,
    )
    load(made, text, START)
    return made


def load(made: Engine, text: str, now: int) -> None:
    """A rulebook takes effect."""
    made.apply(RulebookLoaded(files=(("r.yaml", text),), loaded_by="test"), now)
    made.evaluate(now)


@settings(max_examples=60, deadline=None)
@given(values, waits, ends, st.integers(1, 2 * STEPS - 1))
def test_an_unchanged_rule_keeps_its_timers_over_a_reload(
    words: list[str], wait: str, end: str, at_half: int
) -> None:
    """Whatever else changes in the book: the same states, since the same times, as without it."""
    series, text = series_of(words), rule(45.0, wait + end)
    other = rule(30.0, name="other")
    kept, reloaded = engine(series, text + other), engine(series, text + other)
    for half in range(2 * STEPS):
        now = START + half * MINUTE // 2
        kept.evaluate(now)
        reloaded.evaluate(now)
        if half == at_half:
            load(
                reloaded, rule(60.0, name="other") + text.replace("summary: One", "summary: I"), now
            )
        assert kept.state.rules[KEY].state == reloaded.state.rules[KEY].state


def test_every_state_is_reached() -> None:
    """The series above are no idle ones."""
    text = rule(45.0, "  until: funding_stress_index <= 10.0\n  keep_firing_for: 2m\n  for: 2m\n")
    made, seen = engine(parse_series("60x5 10x4"), text), set()
    for minute in range(9):
        made.evaluate(START + minute * MINUTE)
        seen.add(made.state.rules[KEY].state.state)
    assert seen == set(AlertState)
