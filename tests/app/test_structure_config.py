"""``structure:`` of the configuration, and what the core is told of it."""

from __future__ import annotations

import pytest

from monitor.app.wiring import engine_settings
from monitor.config import parse_config
from monitor.core.errors import ConfigError
from monitor.core.structure import StructureSettings, WeighBy

VENUES = """\
venues:
  hyperliquid:
    accounts: [{alias: main, address: "0x14791697260E4c9A71f18484C9f997B308e59325"}]
"""
BUCKETS = """\
structure:
  buckets:
    - {name: hedges, target: 0.75, accounts: [hyperliquid/main], review_days: 1, cost_bps: 5}
    - {name: contingency, target: 0.25, contingency: true, accounts: [hyperliquid/main.xyz]}
  strategies:
    - {name: carry, accounts: [hyperliquid/main]}
    - {name: basis, assets: [BTC, ETH]}
"""
SETS = """\
kill:
  hedge_sets: [{name: btc, legs: [hyperliquid/main/BTC, hyperliquid/main/xyz:BTC]}]
"""


def test_nothing_is_configured_by_default() -> None:
    """And so nothing is asked."""
    config = parse_config(VENUES, source="riskd.yaml")
    assert engine_settings(config).structure == StructureSettings()


def test_what_the_core_is_told() -> None:
    """Bands of a contingency, days as seconds, basis points as a fraction, hedge sets by name."""
    structure = engine_settings(parse_config(VENUES + BUCKETS + SETS, source="a")).structure
    hedges, reserve = structure.buckets
    assert (hedges.band_low_ratio, hedges.band_high_ratio) == (0.2, 0.2)
    assert (hedges.review_s, hedges.cost_ratio) == (86_400.0, pytest.approx(0.0005))
    assert (reserve.band_low_ratio, reserve.band_high_ratio) == (0.0, 0.5)
    assert (reserve.contingency, reserve.review_s) == (True, 0.0)
    assert structure.weigh_by is WeighBy.EQUITY
    assert [one.name for one in structure.strategies] == ["carry", "basis"]
    (hedge,) = structure.hedge_sets
    assert hedge.name == "btc"
    assert hedge.has_leg("hyperliquid", "main", "BTC")
    assert hedge.has_leg("hyperliquid", "main.xyz", "xyz:BTC")
    assert not hedge.has_leg("hyperliquid", "maintenance", "BTC")
    assert not hedge.has_leg("dydx", "main", "BTC")


def bucket(name: str, target: float, members: str = "accounts: [hyperliquid/main]") -> str:
    """One line of ``structure.buckets``."""
    return f"    - {{name: {name}, target: {target}, {members}}}\n"


def shares(one: str, other: str) -> str:
    """Two strategies."""
    return f"structure:\n  strategies: [{{name: a, {one}}}, {{name: b, {other}}}]\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            "structure:\n  buckets:\n" + bucket("a", 0.5) + bucket("b", 0.4),
            "to be 1 together, found 0.9",
            id="targets that are not everything",
        ),
        pytest.param(
            "structure:\n  buckets:\n" + bucket("a", 0.5) + bucket("a", 0.5),
            "configured twice: a",
            id="the same name",
        ),
        pytest.param(
            "structure:\n  buckets:\n" + bucket("a", 1.0, "assets: [BTC]"),
            "weigh_by: gross",
            id="equity of an asset",
        ),
        pytest.param(
            "structure:\n  buckets: [{name: a, target: 1}]\n",
            "needs accounts, assets or positions",
            id="nobody in it",
        ),
        pytest.param(
            "structure:\n  buckets:\n" + bucket("a", 1.0, "accounts: [hyperliquid/other]"),
            "names hyperliquid/other, which riskd does not watch",
            id="an account that nobody watches",
        ),
        pytest.param(
            "structure:\n  strategies: [{name: a, accounts: [hyperliquid/main], assets: [BTC]}]\n",
            "either accounts or assets",
            id="a strategy of both",
        ),
        pytest.param(
            shares("assets: [BTC], risk_share: 0.4", "assets: [ETH]"),
            "each strategy has a risk_share or none has: b",
            id="one share alone",
        ),
        pytest.param(
            shares("assets: [BTC], risk_share: 0.4", "assets: [ETH], risk_share: 0.4"),
            "risk_share of all is to be 1 together, found 0.8",
            id="shares of no whole",
        ),
        pytest.param(
            shares("assets: [BTC], risk_share: 0.4", "assets: [BTC], risk_share: 0.6"),
            "nothing is of two strategies: BTC",
            id="shares of the same asset",
        ),
        pytest.param(
            shares(
                "accounts: [hyperliquid/main], risk_share: 0.4",
                "accounts: [hyperliquid/main.xyz], risk_share: 0.6",
            ),
            "nothing is of two strategies: hyperliquid/main.xyz",
            id="an account and its pool",
        ),
        pytest.param(
            shares(
                "accounts: [hyperliquid/main], risk_share: 0.4", "assets: [BTC], risk_share: 0.6"
            ),
            "all of accounts or all of assets",
            id="shares of accounts and of assets",
        ),
        pytest.param(
            "kill: {hedge_sets: [{name: x, legs: [hyperliquid/main/BTC, dydx/main/BTC-USD]}]}\n",
            "names dydx/main, which riskd does not watch",
            id="a leg that nobody watches",
        ),
    ],
)
def test_mistakes_are_refused(text: str, words: str) -> None:
    """What would never be known, or mean nothing, does not start."""
    with pytest.raises(ConfigError, match=words):
        parse_config(VENUES + text, source="riskd.yaml")


def test_shares_of_risk_are_told_to_the_core() -> None:
    """As they stand, 1 together."""
    text = shares("assets: [BTC], risk_share: 0.4", "assets: [ETH], risk_share: 0.6")
    structure = engine_settings(parse_config(VENUES + text, source="a")).structure
    assert [one.risk_share for one in structure.strategies] == [0.4, 0.6]


def test_weights_by_gross_may_name_anything() -> None:
    """Accounts, assets and positions."""
    text = "structure:\n  weigh_by: gross\n  buckets:\n" + bucket(
        "a", 1.0, "assets: [BTC], positions: [hyperliquid/main/ETH]"
    )
    structure = engine_settings(parse_config(VENUES + text, source="a")).structure
    (made,) = structure.buckets
    assert (made.assets, made.positions) == (("BTC",), (("hyperliquid", "main", "ETH"),))
