"""What only measures with a cadence read is computed when one of them is, and they never read what
it was before."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from monitor.core.engine import Engine
from monitor.core.measures.catalogue import CATALOGUE, DEFINITIONS
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import Node
from monitor.core.measures.use import Use
from monitor.core.settings import EngineSettings
from monitor.core.types import SECOND_NS, SubjectKind, account_subject
from tests.core.desk import HL, Desk

RULE = """
- id: tight
  for_each: account
  when: free_collateral_ratio < 0.1
  severity: warning
  do: {level: page}
  scope: account
  summary: Little is free
"""
MAIN = account_subject(HL, "main")
FREE, RATIO, CADENCE_S = "free_collateral_usd", "free_collateral_ratio", 10


def started(rules: str = RULE) -> Desk:
    """2 BTC at 100 with 1,000 USD of equity; a tenth of what is held must be put up."""
    desk = Desk((HL, "main"), rules=rules).list_market("BTC")
    told(desk, 0, 100.0)
    return desk


def told(desk: Desk, second: float, price: float) -> None:
    """Its price, and the account again, so that nothing grows old."""
    desk.at(second).context("BTC", mark_price=price, oracle_price=price)
    desk.money(1000.0).positions(("BTC", 2), leverage=10.0)
    desk.evaluate()


def computed_s(desk: Desk, name: str) -> float:
    """When a kept reading was computed, seconds after the start."""
    return (desk.engine.state.cells[f"{name}|{MAIN}"].computed_ns - desk.ns(0)) / 1e9


def kept(desk: Desk, name: str) -> float | None:
    """What a rule would read."""
    return desk.engine.state.cells[f"{name}|{MAIN}"].value


def test_it_is_not_computed_before_its_reader_is() -> None:
    """Prices move and nobody computes what is free; who asks for it is told what it is now."""
    desk = started()
    for second in range(1, CADENCE_S):
        told(desk, second, 100.0 + second)
        assert computed_s(desk, FREE) == computed_s(desk, RATIO) == 0.0
        assert desk.value(FREE, MAIN) == pytest.approx(1000.0 - 0.2 * (100.0 + second))


@pytest.mark.parametrize(
    "last_s", [pytest.param(9.0, id="told before"), pytest.param(10.0, id="told then")]
)
def test_its_reader_reads_it_as_of_now(last_s: float) -> None:
    """When the cadence has passed, by a message or by itself: of the last price and no other."""
    desk = started()
    told(desk, 1.0, 105.0)
    told(desk, last_s, 110.0)
    decision = desk.at(CADENCE_S).evaluate()
    assert computed_s(desk, FREE) == computed_s(desk, RATIO) == CADENCE_S
    assert kept(desk, RATIO) == pytest.approx(0.978)
    assert decision.wake_at_ns is not None
    assert decision.wake_at_ns > desk.now


def test_its_reader_is_told_again_after_it_has_looked() -> None:
    """Looked at in time, round after round."""
    desk = started()
    for turn in range(1, 6):
        second = CADENCE_S * turn
        told(desk, second - 4.0, 100.0 + 5.0 * turn)
        assert computed_s(desk, RATIO) == second - CADENCE_S
        desk.at(second).evaluate()
        assert computed_s(desk, RATIO) == second
        assert kept(desk, RATIO) == pytest.approx(0.98 - 0.001 * turn)


def test_who_watches_it_does_not_wait() -> None:
    """A rule about what is free: computed with every price."""
    watched = RULE + RULE.replace("tight", "poor").replace(RATIO, FREE).replace("0.1", "10.0")
    desk = started(watched)
    told(desk, 1.0, 110.0)
    assert computed_s(desk, FREE) == 1.0
    assert kept(desk, FREE) == pytest.approx(978.0)


def _elapsed(node: Node, use: Use) -> float:
    """Grows by itself, in whole minutes; nobody is told of it."""
    del node
    return float(use.now // (60 * SECOND_NS))


def _reads(name: str) -> Callable[[Node, Use], float | None]:
    return lambda node, use: use.read(node, name)


def _made(name: str, compute: Callable[[Node, Use], float | None], *, needs: tuple[str, ...] = (),
          cadence_s: float = 0.0) -> Definition:  # fmt: skip
    return define(
        MeasureSpec(
            name=name, kinds=(SubjectKind.PORTFOLIO,), unit=Unit.COUNT, help="Of a test, count.",
            cadence_s=cadence_s,
        ),
        SubjectKind.PORTFOLIO,
        compute,
        needs=tuple((Relation.SELF, one) for one in needs),
    )  # fmt: skip


def test_a_reader_that_was_passed_already_is_asked_in_the_same_run() -> None:
    """What changed by time alone was computed for a reader of a high rank, whose wait was over;
    another of a lower rank had been worked off by then."""
    made = (
        _made("minutes", _elapsed),
        _made("low", _reads("minutes"), needs=("minutes",), cadence_s=2.0),
        _made("idle", lambda _node, use: float(use.now // SECOND_NS), cadence_s=10.0),
        _made("between", _reads("idle"), needs=("idle",), cadence_s=2.0),
        _made("high", _reads("minutes"), needs=("minutes", "between"), cadence_s=2.0),
    )
    rules = "".join(
        RULE.replace("tight", name).replace("for_each: account", "for_each: portfolio")
        .replace("scope: account", "scope: portfolio").replace(f"{RATIO} < 0.1", f"{name} < 0.0")
        for name in ("low", "high")
    )  # fmt: skip
    known = {**DEFINITIONS, **{(one.name, one.kind): one for one in made}}
    specs = {**CATALOGUE, **{one.name: one.spec for one in made}}
    desk = Desk(engine=Engine(EngineSettings(), specs, definitions=known), rules=rules)
    for second in (0, 60):
        desk.at(second).evaluate()
    cells = desk.engine.state.cells
    assert cells["high|portfolio"].value == desk.now // (60 * SECOND_NS)
    assert cells["low|portfolio"].value == desk.now // (60 * SECOND_NS)
