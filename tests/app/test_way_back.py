"""What the rules say before a person re-arms: what is not over, and what would ask again."""

from __future__ import annotations

import pytest

from monitor.app.way_back import would_fire
from monitor.core.types import Subject
from tests.app.test_book import listed
from tests.core.desk import HL, Desk

RULES = """
rules:
  - id: mark_low
    for_each: market
    when: mark_price <= 90.0
    until: mark_price >= 95.0
    max_staleness: 60s
    severity: critical
    do: {level: block_new}
    scope: market
    mode: act
    summary: "mark {mark_price}"
    runbook: mark_low
"""


@pytest.mark.parametrize(
    ("scope", "concerned"),
    [
        pytest.param("market:hyperliquid/BTC", True, id="the market itself"),
        pytest.param("asset:BTC", True, id="its asset"),
        pytest.param("venue:hyperliquid", True, id="its venue"),
        pytest.param("portfolio", True, id="everything"),
        pytest.param("asset:ETH", False, id="another asset"),
        pytest.param("venue:dydx", False, id="another venue"),
    ],
)
def test_rules_that_ask_within_a_scope_are_named(scope: str, concerned: bool) -> None:
    """A rule about a market would fire again in its asset, too."""
    desk = Desk((HL, "main"), rules=RULES)
    listed(listed(desk, "BTC", HL, "BTC"), "ETH", HL, "ETH")
    desk.context("BTC", mark_price=80.0)
    desk.evaluate()
    found = would_fire(desk.engine, Subject(scope))
    assert found == (("mark_low (block_new) about market:hyperliquid/BTC",) if concerned else ())
