"""How long funding remembers, on the recorded hours of Hyperliquid: what projections rest on."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from functools import cache
from statistics import correlation

import pytest

from tests.shared_data import shared_data

SINCE = int(datetime(2023, 7, 20, tzinfo=UTC).timestamp()) // 3600


@cache
def rates() -> dict[int, float]:
    """Hourly funding of BTC by hour since 1970."""
    found = {}
    with gzip.open(shared_data("history/funding/hyperliquid_1h.csv.gz"), "rt") as text:
        next(text)
        for line in text:
            second, asset, rate = line.strip().split(",")
            if asset == "BTC" and int(second) // 3600 >= SINCE:
                found[int(second) // 3600] = float(rate)
    return found


@pytest.mark.parametrize(
    ("hours", "printed", "half_unit"), [(1, 0.88, 5e-3), (8, 0.67, 5e-3), (24, 0.555, 5e-4)]
)
def test_funding_remembers(hours: int, printed: float, half_unit: float) -> None:
    """Fast noise on slow memory: correlation with itself, hours later."""
    known = rates()
    pairs = [(rate, known[at + hours]) for at, rate in known.items() if at + hours in known]
    found = correlation(*zip(*pairs, strict=True))
    assert found == pytest.approx(printed, rel=0, abs=half_unit)
