"""What is at its end already is explained by what it was, and by nothing else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core.types import position_subject
from tests.core.by_hand import adds_up, worked
from tests.core.desk import BTC, HL, ISOLATED, MAIN, Desk
from tests.core.test_liquidity import told
from tests.core.test_passage import KNOWN, THREE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("liquidation_near_sigmas", 0.0),
        ("liquidation_distance_sigmas", 0.0),
        ("liquidation_probability_24h_ratio", 1.0),
    ],
)
def test_what_is_touched_is_explained_by_no_other(name: str, value: float) -> None:
    """An isolated position below its maintenance of 30 decides, and no sum gives that; the one of
    the cross pool, ten percent away, gives another number."""
    desk = Desk((HL, "main"), definitions=KNOWN)
    for market in ("BTC", "ETH"):
        desk.list_market(market, tiers=THREE).context(market, mark_price=100.0, oracle_price=100.0)
    desk.positions(("ETH", 10)).money(145.0)
    own = Decimal(-980)
    desk.positions(("BTC", 10), complete=False, margin_mode=ISOLATED, isolated_cash_usd=own)
    desk.evaluate()
    assert worked(desk, name, MAIN) == (value, ())
    pool = desk.value("liquidation_distance_ratio", position_subject(HL, "main", "ETH"))
    assert pool == pytest.approx(0.1, abs=0.02)


def test_a_side_that_is_gone_is_put_beside_what_it_had() -> None:
    """That is of no hour at which anybody could look any more."""
    desk = Desk((HL, "main")).list_market().context(mark_price=100.0, oracle_price=100.0)
    for minute in range(180):
        told(desk.at(60.0 * minute), *((1e6, 1e6) if minute < 40 else (0.0, None))).evaluate()
    (line,) = adds_up(desk, "depth_drop_ratio", BTC)
    assert line == "bids, 1 - now / median of before: 1 - 0 / 1,000,000.00 = 1"
