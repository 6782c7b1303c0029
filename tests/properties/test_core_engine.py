"""Properties of the engine over generated events."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core import events as e
from monitor.core.engine import Engine
from monitor.core.state.facts import PriceFact
from monitor.core.types import SECOND_NS, AlertState, Subject, SubjectKind
from tests.properties.core_events import (
    HL,
    RULES,
    SETTINGS,
    account_reports,
    any_event,
    batches,
    channel_events,
    contexts,
    opening,
    oracle_batches,
    position_reports,
    tops,
)

START_NS = 1_800_000_000 * SECOND_NS
JUDGED_NS = 5 * SECOND_NS  # by then whatever was heard is judged, cadences and all
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Batches = list[tuple[int, list[e.Event]]]


def started(rules: str = RULES) -> Engine:
    """An engine that knows its markets and rules."""
    engine = Engine(SETTINGS)
    for event in opening():
        if isinstance(event, e.RulebookLoaded):
            engine.apply(e.RulebookLoaded(files=(("t", rules),), loaded_by="t"), START_NS)
        else:
            engine.apply(event, START_NS)
    engine.evaluate(START_NS)
    return engine


def view(engine: Engine, now: int) -> dict[tuple[str, Subject], float | None]:
    """Every measure of every subject."""
    return {
        (spec.name, subject): None if reading is None else reading.value
        for spec, subject, reading in engine.instances(now)
    }


@given(batches())
@SLOW
def test_net_is_never_more_than_gross(played: Batches) -> None:
    """For accounts, assets, venues and the portfolio, and known together or not at all."""
    engine = started()
    for after_ns, events in played:
        now = START_NS + after_ns
        for event in events:
            engine.apply(event, now)
        engine.evaluate(now)
        seen = view(engine, now)
        for (name, subject), gross in seen.items():
            if name != "gross_exposure_usd":
                continue
            net = seen["net_exposure_usd", subject]
            assert (net is None) == (gross is None)
            if net is not None and gross is not None:
                assert abs(net) <= gross * (1 + 1e-12)


def untold(engine: Engine) -> Engine:
    """The same, every value told again asking for an evaluation at once."""
    engine.state.restated_ns = 0
    return engine


@given(batches(st.one_of(contexts(), tops(), oracle_batches(), channel_events())))
@SLOW
def test_what_is_told_again_and_spared_changes_nothing(played: Batches) -> None:
    """Same numbers and same alerts, whether or not unchanged values ask for evaluations."""
    engine, eager = started(), untold(started())
    for after_ns, events in played:
        now = START_NS + after_ns
        for event in events:
            engine.apply(event, now)
            eager.apply(event, now)
        one, other = engine.evaluate(now), eager.evaluate(now)
        assert [(t.rule, t.subject, t.after) for t in one.transitions] == [
            (t.rule, t.subject, t.after) for t in other.transitions
        ]
        assert view(engine, now) == view(eager, now)


@given(batches())
@SLOW
def test_no_input_breaks_a_measure(played: Batches) -> None:
    """Nothing raises or leaves its range, whatever is told in whatever order."""
    engine = started()
    for after_ns, events in played:
        now = START_NS + after_ns
        for event in events:
            engine.apply(event, now)
        assert engine.evaluate(now).measure_errors == ()
        view(engine, now)
    assert engine.measure_errors_total == {}


@given(batches())
@SLOW
def test_what_is_kept_is_what_would_be_computed(played: Batches) -> None:
    """Dependence, previews, guard bands and cadences never leave a reading behind: after each batch
    every measure equals the one an engine computes that was just restored and asked for all."""
    engine = started()
    for after_ns, events in played:
        now = START_NS + after_ns
        for event in events:
            engine.apply(event, now)
        engine.evaluate(now)
        evaluator = engine._evaluator
        for node in list(evaluator.tree.nodes.values()):
            for name, instance in node.instances.items():
                definition = instance.definition
                if definition.always or definition.hidden or instance.cadence_ns:
                    continue
                if engine.state.off_book and "exposure" in name:
                    continue  # prices of off-book legs are followed by the second
                kept = engine.reading(name, node.subject, now)
                fresh = evaluator.lookout.peek(node, name, now)
                if kept is None and fresh.value is not None:
                    # Heartbeats brought it back: it is looked at again within a second.
                    assert now < instance.cell.armed_ns <= now + SECOND_NS, (name, node.subject)
                    continue
                assert (None if kept is None else kept.value) == fresh.value, (name, node.subject)


def severity_of(engine: Engine) -> dict[str, bool]:
    """Which (rule, subject) are out."""
    return {
        f"{memory.rule}|{memory.subject}": memory.state.firing for memory in engine.rule_states()
    }


@given(batches(), st.integers(0, 11), st.data())
@SLOW
def test_removing_data_never_lowers_severity(
    played: Batches, silent_from: int, data: st.DataObject
) -> None:
    """From some batch on one engine hears nothing about markets and accounts: whatever was out when
    it went silent, and what it had heard was judged, is still out at the end."""
    engine = started()
    now = START_NS
    for after_ns, events in played[:silent_from]:
        now = START_NS + after_ns
        for event in events:
            engine.apply(event, now)
        engine.evaluate(now)
    now += JUDGED_NS
    engine.evaluate(now)
    out = severity_of(engine)
    for after_ns, _ in played[silent_from:]:
        now = START_NS + after_ns + JUDGED_NS
        engine.evaluate(now)
    for _ in range(3):
        now += data.draw(st.sampled_from([1, SECOND_NS, 60 * SECOND_NS, 86_400 * SECOND_NS]))
        engine.evaluate(now)
    after = severity_of(engine)
    # A rule about silence itself may say more; that about known zeros of connections nothing less.
    assert all(after[key] for key, was in out.items() if was and not key.startswith("two_flags"))


@given(st.lists(st.one_of(contexts(), tops()), min_size=1, max_size=12), st.integers(0, 3))
@QUICK
def test_conflating_market_data_changes_nothing(events: list[e.Event], second: int) -> None:
    """Between two evaluations only the newest message of each channel and market matters, as long
    as no price is suspect."""
    plausible = [event for event in events if _plausible(event)]
    newest: dict[tuple[str, str], e.Event] = {}
    for event in plausible:
        newest[_key(event)] = _merged(newest.get(_key(event)), event)
    one, other = started(), started()
    now = START_NS + second * SECOND_NS
    for event in plausible:
        one.apply(event, now)
    for event in newest.values():
        other.apply(event, now)
    assert one.evaluate(now) == other.evaluate(now)
    assert view(one, now) == view(other, now)


def _plausible(event: e.Event) -> bool:
    prices = [
        value
        for name in ("mark_price", "oracle_price", "bid_price", "ask_price")
        if (value := getattr(event, name, None)) is not None
    ]
    return all(90.0 <= price <= 108.0 for price in prices)


def _key(event: e.Event) -> tuple[str, str]:
    assert isinstance(event, e.MarketContextSeen | e.BookTopSeen)
    return event.channel, event.market


def _merged(older: e.Event | None, newer: e.Event) -> e.Event:
    if not isinstance(newer, e.MarketContextSeen) or not isinstance(older, e.MarketContextSeen):
        return newer
    fields = {
        name: value
        for event in (older, newer)
        for name in event.__struct_fields__
        if (value := getattr(event, name)) is not None
    }
    return e.MarketContextSeen(**fields)


@given(
    batches(st.one_of(contexts(), position_reports(), account_reports())),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
)
@SLOW
def test_raising_a_threshold_never_fires_earlier(
    played: Batches, first: float, second: float
) -> None:
    """The stricter limit is reached no sooner."""
    low, high = sorted((first, second))
    assert _first_fired(played, high) >= _first_fired(played, low)


def _first_fired(played: Batches, limit: float) -> float:
    rule = f"""
- id: usage
  for_each: account
  when: margin_usage_ratio > {limit:.6f}
  for: 1s
  severity: high
  do: {{level: page}}
  scope: account
  summary: Margin is used up
"""
    engine = started(rule)
    for after_ns, events in played:
        now = START_NS + after_ns
        for event in events:
            engine.apply(event, now)
        decision = engine.evaluate(now)
        if any(one.after is AlertState.FIRING for one in decision.transitions):
            return after_ns
    return float("inf")


@given(batches(any_event()))
@QUICK
def test_wake_at_is_never_in_the_past(played: Batches) -> None:
    """And an engine that is woken as it asked to, with no news, comes to rest."""
    engine = started()
    for after_ns, events in played:
        now = START_NS + after_ns
        for event in events:
            engine.apply(event, now)
        decision = engine.evaluate(now)
        assert decision.wake_at_ns is None or decision.wake_at_ns > now
        assert engine.evaluate(now).quiet


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=20))
@QUICK
def test_a_price_is_positive_finite_or_absent(told: list[float]) -> None:
    """Whatever is told."""
    engine = started()
    for number, price in enumerate(told):
        engine.apply(
            e.MarketContextSeen(venue=HL, channel=f"{HL}/ctx/BTC", market="BTC", mark_price=price),
            START_NS + number,
        )
        fact: PriceFact = engine.state.venues[HL].markets["BTC"].mark
        assert fact.value is None or 0.0 < fact.value < float("inf")


@pytest.mark.parametrize("kind", [SubjectKind.MARKET, SubjectKind.ACCOUNT])
def test_the_generated_world_has_subjects(kind: SubjectKind) -> None:
    """The properties above are not about nothing."""
    assert len(list(started().subjects(kind))) >= 2
