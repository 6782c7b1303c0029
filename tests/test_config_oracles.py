"""``oracles:`` of the configuration: how far a venue's oracle may be off."""

from __future__ import annotations

import pytest

from monitor.app.wiring import engine_settings
from monitor.config import parse_config
from monitor.core.errors import ConfigError
from monitor.core.settings import OracleSettings
from tests.test_config import GOOD


def test_nothing_said_is_the_cores_own() -> None:
    """1 % of majors, 2.5 % of others, feeds that tell every move."""
    oracles = engine_settings(parse_config(GOOD, source="riskd.yaml")).oracles
    assert oracles == OracleSettings()
    assert (oracles.floor("BTC"), oracles.floor("DOGE")) == (0.01, 0.025)
    assert oracles.threshold("dydx") == 0.0


def test_what_is_said_reaches_the_engine() -> None:
    """By venue and asset."""
    text = f"{GOOD}oracles: {{majors: [HYPE], major_ratio: 0.02, thresholds: {{dydx: 0.005}}}}\n"
    oracles = engine_settings(parse_config(text, source="riskd.yaml")).oracles
    assert (oracles.floor("BTC"), oracles.floor("HYPE")) == (0.025, 0.02)
    assert (oracles.threshold("dydx"), oracles.threshold("hyperliquid")) == (0.005, 0.0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("{major_ratio: 1}", "less than or equal to 0.1", id="percent"),
        pytest.param("{other_ratio: 0}", "greater than 0", id="nothing is allowed"),
        pytest.param("{thresholds: {dydx: 0.5}}", "less than or equal to 0.1", id="percent too"),
        pytest.param("{threshold: 0.005}", "thresholds", id="a slip of the pen"),
    ],
)
def test_mistakes_are_told(line: str, said: str) -> None:
    """With what would be right."""
    with pytest.raises(ConfigError, match=said):
        parse_config(f"{GOOD}oracles: {line}\n", source="riskd.yaml")
