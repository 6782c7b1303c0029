"""``trades:`` of the configuration: what only a person can say, and nothing else asked."""

from __future__ import annotations

import pytest

from monitor.app.wiring import engine_settings
from monitor.config import parse_config
from monitor.core.errors import ConfigError
from monitor.core.settings import TradeSettings
from tests.test_config import GOOD


def test_nothing_said_is_the_cores_own() -> None:
    """No stops, no views."""
    settings = engine_settings(parse_config(GOOD, source="riskd.yaml"))
    assert settings.trades == TradeSettings()
    assert not settings.trades.stops_required
    assert settings.trades.drift("BTC") is None


def test_what_is_said_reaches_the_engine() -> None:
    """Basis points become fractions; a venue not named pays the common fee."""
    text = (
        f"{GOOD}trades: {{stops_required: true, risk_ratio: 0.01, holding_hours: 24, fee_bps: 5, "
        "slippage_bps: 3, fees_bps: {dydx: 2}, drifts: {BTC: -0.2}, kelly_fraction: 0.5}\n"
    )
    trades = engine_settings(parse_config(text, source="riskd.yaml")).trades
    assert (trades.stops_required, trades.risk_ratio, trades.holding_hours) == (True, 0.01, 24.0)
    assert trades.round_trip("dydx") == pytest.approx(0.001)
    assert trades.round_trip("hyperliquid") == pytest.approx(0.0016)
    assert (trades.drift("BTC"), trades.kelly_fraction) == (-0.2, 0.5)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("{risk_ratio: 0}", "greater than 0", id="nothing may be lost"),
        pytest.param("{risk_ratio: 0.51}", "less than or equal to 0.5", id="half of it may"),
        pytest.param("{fee_bps: 0}", "greater than 0", id="trading is free"),
        pytest.param("{kelly_fraction: 1.01}", "less than or equal to 1", id="beyond Kelly"),
        pytest.param("{drifts: {BTC: 30}}", "less than or equal to 10", id="percent"),
        pytest.param("{stop_required: true}", "stops_required", id="a slip of the pen"),
    ],
)
def test_mistakes_are_told(line: str, said: str) -> None:
    """With what would be right."""
    with pytest.raises(ConfigError, match=said):
        parse_config(f"{GOOD}trades: {line}\n", source="riskd.yaml")
