"""What only measures with a cadence read is computed when one of them is, and they never read what
it was before."""

from __future__ import annotations

import pytest

from monitor.core.types import account_subject
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
