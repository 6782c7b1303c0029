"""``riskd noise --history``: the market rules over what riskd keeps of funding and prices."""

from __future__ import annotations

import asyncio
from math import exp
from pathlib import Path

import msgspec
import pytest

from monitor.cli.main import main
from monitor.cli.noise_history import RuleNoise, history_of, noise_of
from monitor.core import events as e
from monitor.core.engine import Engine
from monitor.core.errors import ConfigError
from monitor.core.ports import Phase
from monitor.core.settings import EngineSettings
from monitor.core.state.series import HOUR_NS, PriceSeries
from monitor.core.types import MarketStatus
from monitor.store.database import Store

HOUR = 500_000  # since 1970
NOW = HOUR * HOUR_NS + 3_500 * 10**9
ASSETS = ("BTC", "ETH", "SOL", "XRP", "DOGE")
VOLATILE = """
- id: wild
  for_each: portfolio
  summary: The basket is wild
  when: volatility_percentile >= 0.97
  until: volatility_percentile < 0.80
  severity: high
- id: dear
  for_each: portfolio
  summary: Funding is dear
  when: funding_stress_index >= 40.0
  for: 10m
  until: funding_stress_index <= 20.0
  severity: warning
- id: own
  for_each: portfolio
  summary: The book is large
  when: leverage >= 1.0
  severity: high
- id: note
  for_each: portfolio
  summary: For the record
  when: volatility_percentile >= 0.10
  severity: info
"""


def memories(price_hours: int, funding_hours: int, *, gap: int = 0) -> dict[str, bytes]:
    """What riskd keeps of five assets on Hyperliquid: one storm a week ago, dear funding in it."""
    engine = Engine(EngineSettings(venues=("hyperliquid",)))
    for asset in ASSETS:
        channel = f"hyperliquid/history/{asset}"
        engine.apply(
            e.MarketListed(
                venue="hyperliquid",
                channel=channel,
                market=asset,
                asset=asset,
                status=MarketStatus.ACTIVE,
                has_mark=True,
                funding_interval_s=3600,
                margin_tiers=(),
            ),
            NOW,
        )
        price, closes, rates = 100.0, [], []
        for hour in range(HOUR - price_hours, HOUR + 1):
            storm = HOUR - 200 <= hour < HOUR - 160
            price *= exp((0.03 if storm else 0.003) * (-1 if hour % 2 else 1))
            if not gap or hour != HOUR - gap:
                closes.append((hour * HOUR_NS, price))
            if hour > HOUR - funding_hours:
                rates.append((hour * HOUR_NS, 3e-4 if storm else 1.25e-5))
        engine.apply(
            e.PriceHistorySeen(
                venue="hyperliquid", channel=channel, market=asset, closes=tuple(closes)
            ),
            NOW,
        )
        if rates:
            engine.apply(
                e.FundingHistorySeen(
                    venue="hyperliquid", channel=channel, market=asset, rates=tuple(rates)
                ),
                NOW,
            )
    engine.evaluate(NOW)
    return dict(engine.memories())


def judged(kept: dict[str, bytes]) -> dict[str, RuleNoise]:
    """Every rule that history tells about."""
    return {one.rule: one for one in noise_of(history_of(kept), (("rules.yaml", VOLATILE),))}


def test_one_storm_is_one_page_of_each_rule_that_history_tells() -> None:
    """Over the hours in which it could be judged: 90 days less the 60 that a percentile needs, and
    a month of funding less its first ten days. The book and the record have no part in it."""
    found = judged(memories(90 * 24, 30 * 24))
    assert set(found) == {"wild", "dear"}
    assert {name: one.pages for name, one in found.items()} == {"wild": 1, "dear": 1}
    assert found["wild"].hours == pytest.approx(30 * 24, abs=60)
    assert found["dear"].hours == pytest.approx(20 * 24, abs=30)
    assert found["wild"].a_week == pytest.approx(7 * 24 / found["wild"].hours)


def test_what_history_is_too_short_for_is_no_quiet_rule() -> None:
    """Known in no hour: no page, and no week to count it over."""
    found = judged(memories(30 * 24, 5 * 24))
    assert {name: (one.pages, one.hours, one.a_week) for name, one in found.items()} == {
        "wild": (0, 0, 0.0),
        "dear": (0, 0, 0.0),
    }


def test_a_gap_in_the_prices_stays_one() -> None:
    """The hour without a close has no return, and none is made up for it."""
    history = history_of(memories(40, 0, gap=10))
    closes = history.closes["BTC"]
    last = HOUR - history.start_s // 3600
    whole = history_of(memories(40, 0)).closes["BTC"]
    assert [at - last for at, one in enumerate(closes) if one is None] == [-10]
    assert None not in whole
    for at in range(last - 9, last + 1):
        before, here = whole[at - 1], whole[at]
        now, then = closes[at], closes[at - 1]
        if now is not None and then is not None and before is not None and here is not None:
            assert now / then == pytest.approx(here / before, rel=1e-6)


def test_one_unknown_return_is_not_made_up() -> None:
    """The hour before it and the one after it stand side by side, and make none."""
    series = PriceSeries(asset="BTC")
    for hour, move in ((10, 0.01), (11, None), (12, 0.02), (13, 0.01)):
        series.hours.close(hour, move)
    kept = {"prices|BTC": msgspec.msgpack.encode(series)}
    closes = history_of(kept).closes["BTC"]
    assert [one is None for one in closes] == [False, False, True, False, False]
    assert closes[1] == pytest.approx(100.0 * exp(0.01))
    assert closes[4] == pytest.approx((closes[3] or 0.0) * exp(0.01))


def test_nothing_kept_says_so() -> None:
    """A riskd that never ran has no past."""
    with pytest.raises(ConfigError, match="Nothing is kept"):
        history_of({"drawdown|portfolio": b""})


def test_the_command_reads_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the rulebook that ships where no configuration is at hand; it writes nothing."""

    async def fill() -> None:
        store = Store(tmp_path)
        try:
            kept = tuple(memories(70 * 24, 12 * 24).items())
            await store.persist(Phase(at_ns=NOW, memories=kept))
        finally:
            store.close()

    asyncio.run(fill())
    flags = ["noise", "--history", f"--data-dir={tmp_path}", f"--config={tmp_path / 'none.yaml'}"]
    assert main(flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "over kept history" in lines[0]
    rows = {line.split()[-1]: line.split() for line in lines[1:-1]}
    assert rows["vol_percentile_high"][1] == "1"
    assert float(rows["funding_stress"][2]) > 0.5
    assert "drawdown_8" not in rows
    assert lines[-1].endswith("together; rules about the book have no history here")
