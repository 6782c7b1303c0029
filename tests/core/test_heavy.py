"""Measures computed off the loop: asked for in decisions, answered by events, replayed alike."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from monitor.core.decision import ComputationRequest, Decision
from monitor.core.engine import Engine, restore_snapshot
from monitor.core.journal import decision_bytes
from monitor.core.measures.catalogue import CATALOGUE, DEFINITIONS
from monitor.core.measures.definition import define
from monitor.core.measures.prices import read_mark
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import MarketNode
from monitor.core.measures.use import Use
from monitor.core.settings import EngineSettings, limit_ns
from monitor.core.state.facts import MarketBit
from monitor.core.types import SECOND_NS, SubjectKind
from tests.core.desk import BTC, Desk

SPEC = MeasureSpec(
    name="slow_square",
    kinds=(SubjectKind.MARKET,),
    unit=Unit.PRICE,
    help="The square of the mark price, for tests.",
)


def _compute(node: MarketNode, use: Use) -> float | None:
    mark = read_mark(node, use)
    if mark is None:
        return None
    use.request(node, SPEC.name, repr(mark).encode(), 30 * SECOND_NS)
    return use.answer(node, SPEC.name, limit_ns(60.0))


HEAVY = define(SPEC, SubjectKind.MARKET, _compute, bits=MarketBit.MARK, heavy=True)
ALL = {**DEFINITIONS, (SPEC.name, SubjectKind.MARKET): HEAVY}
KNOWN = {**CATALOGUE, SPEC.name: SPEC}
RULE = "- {id: squared, summary: x, for_each: market, when: 'slow_square > 50.0', severity: info}\n"


def heavy_desk() -> Desk:
    """A rule asks about the square of a mark of 10."""
    desk = Desk(engine=Engine(EngineSettings(), KNOWN, definitions=ALL), rules=RULE)
    return desk.list_market().context(mark_price=10.0)


def answer(
    desk: Desk, value: float | None, as_of_s: float, *, error: str = "", subject: str = BTC
) -> Decision:
    """A computation came back."""
    desk.tell(
        e.ComputationFinished(
            measure=SPEC.name,
            subject=subject,
            value=value,
            as_of_ns=desk.ns(as_of_s),
            error=error,
        ),
    )
    return desk.evaluate()


def test_a_request_and_its_answer() -> None:
    """Asked once for the same inputs; the answer carries the time of its inputs into the rule."""
    desk = heavy_desk()
    assert desk.evaluate().computations == (
        ComputationRequest(measure=SPEC.name, subject=BTC, as_of_ns=desk.now, inputs=b"10.0"),
    )
    assert desk.why(SPEC.name) == "slow_square was not computed yet"
    decision = answer(desk.at(1), 100.0, 0)
    assert decision.computations == ()
    assert [one.rule for one in decision.transitions] == ["squared"]
    reading = desk.engine.reading(SPEC.name, BTC)
    assert reading is not None
    assert (reading.value, reading.as_of_ns) == (100.0, desk.ns(0))


def test_new_inputs_are_asked_for_at_once_and_old_ones_in_time() -> None:
    """And an answer too old is no value."""
    desk = heavy_desk()
    desk.evaluate()
    answer(desk, 100.0, 0)
    desk.at(2).context(mark_price=11.0)
    (asked,) = desk.evaluate().computations
    assert (asked.inputs, asked.as_of_ns) == (b"11.0", desk.now)
    assert desk.at(31.9).context(mark_price=11.0).evaluate().computations == ()
    assert len(desk.at(32).context(mark_price=11.0).evaluate().computations) == 1
    assert desk.at(59).context(mark_price=11.0).after(SPEC.name) == 100.0
    assert desk.at(61).context(mark_price=11.0).after(SPEC.name) is None


def test_an_older_answer_never_replaces_a_newer() -> None:
    """Answers may overtake each other."""
    desk = heavy_desk()
    desk.evaluate()
    answer(desk.at(5), 121.0, 4)
    answer(desk, 100.0, 3)
    assert desk.value(SPEC.name) == 121.0


@pytest.mark.parametrize(
    ("value", "error", "why"), [(None, "ran out", "ran out"), (7.0, "half", "half")]
)
def test_a_failed_computation_is_absent_with_its_reason(
    value: float | None, error: str, why: str
) -> None:
    """It takes the value of before with it."""
    desk = heavy_desk()
    desk.evaluate()
    answer(desk, 100.0, 0)
    decision = answer(desk.at(1), value, 1, error=error)
    assert desk.value(SPEC.name) is None
    assert why in desk.why(SPEC.name)
    assert decision.measure_errors == ()


def test_looking_asks_for_nothing_and_unasked_answers_are_dropped() -> None:
    """Neither can grow the state."""
    desk = Desk(engine=Engine(EngineSettings(), KNOWN, definitions=ALL)).list_market()
    desk.context(mark_price=10.0).evaluate()
    assert desk.value(SPEC.name) is None
    answer(desk, 1.0, 0)
    answer(desk, 1.0, 0, subject="market:nowhere/X")
    assert desk.engine.state.computed == {}
    assert desk.evaluate().computations == ()


def test_a_restored_engine_asks_and_answers_alike() -> None:
    """Byte for byte, from a snapshot taken while an answer is outstanding."""
    desk = heavy_desk()
    desk.evaluate()
    again = Desk(engine=restore_snapshot(desk.engine.snapshot(), KNOWN, definitions=ALL))
    told: list[list[bytes]] = []
    for one in (desk, again):
        decisions = [answer(one.at(1), 100.0, 0)]
        decisions.append(one.at(2).context(mark_price=12.0).evaluate())
        decisions.append(answer(one.at(3), 144.0, 2))
        told.append([decision_bytes(decision) for decision in decisions])
        assert one.value(SPEC.name) == 144.0
    assert told[0] == told[1]
