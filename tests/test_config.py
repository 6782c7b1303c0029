"""The configuration: what is right loads, and every mistake is told at once with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import load_config, parse_config
from monitor.core.errors import ConfigError
from monitor.core.settings import LeverageSettings

GOOD = """\
desk: desk-a
venues:
  hyperliquid:
    accounts:
      - {alias: main, address: 0x14791697260E4c9A71f18484C9f997B308e59325}
"""

TEN_MISTAKES = """\
desk: Desk A
mode: dry_run
data_dirr: x
venues:
  hyperliquid:
    accounts:
      - {alias: MAIN, address: 0x1479}
      - {alias: b}
    polls: {positions_s: -3}
  dydx:
    network: mainet
    accounts:
      - {alias: c, address: dydx1abc}
server:
  host: 0.0.0.0
funding: {expensive_per_year: lots}
"""


def test_a_minimal_configuration_loads_with_safe_defaults() -> None:
    """One address is enough, and nothing can be sent or reached from outside."""
    config = parse_config(GOOD, source="riskd.yaml")
    assert config.mode == "observe"
    assert config.server.loopback
    assert config.venues.hyperliquid is not None
    assert config.venues.hyperliquid.accounts[0].address.startswith("0x1479")


def test_ten_mistakes_are_reported_at_once_with_lines() -> None:
    """Nobody mends a configuration one restart at a time."""
    with pytest.raises(ConfigError) as caught:
        parse_config(TEN_MISTAKES, source="riskd.yaml")
    told = {(problem.where, problem.field) for problem in caught.value.problems}
    assert told == {
        ("riskd.yaml:1", "desk"),
        ("riskd.yaml:2", "mode"),
        ("riskd.yaml:3", "data_dirr"),
        ("riskd.yaml:7", "venues.hyperliquid.accounts[0].alias"),
        ("riskd.yaml:7", "venues.hyperliquid.accounts[0].address"),
        ("riskd.yaml:8", "venues.hyperliquid.accounts[1].address"),
        ("riskd.yaml:9", "venues.hyperliquid.polls.positions_s"),
        ("riskd.yaml:11", "venues.dydx.network"),
        ("riskd.yaml:13", "venues.dydx.accounts[0].address"),
        ("riskd.yaml:15", "server.host"),
        ("riskd.yaml:16", "funding.expensive_per_year"),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("desk: a\n", "venues: is required and missing", id="no venues"),
        pytest.param("desk: a\nvenues: {}\n", "name at least one venue", id="empty venues"),
        pytest.param("", "the file is empty", id="empty file"),
        pytest.param("- a\n- b\n", "`name: value` lines", id="a list"),
        pytest.param("desk: [\n", "not valid YAML", id="broken text"),
        pytest.param(
            GOOD + "data_dirr: x\n", "Did you mean 'data_dir'?", id="mistyped name is guessed"
        ),
        pytest.param(
            GOOD + "mode: dry_run\n",
            "Found: 'dry_run'. Allowed: 'observe', 'rehearse' or 'armed'.",
            id="allowed values",
        ),
        pytest.param(GOOD + "desk: b\n", "stands twice; the first is on line 1", id="doubled"),
    ],
)
def test_messages_say_what_to_do(text: str, said: str) -> None:
    """Found, allowed and nearest name stand in the sentence."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source="riskd.yaml")
    assert said in str(caught.value)


def test_a_secret_is_never_shown() -> None:
    """A secret pasted into the file does not travel into an error."""
    text = GOOD + "notify:\n  webhooks:\n    - {url: https://x.example/T0KEN, secret: hunter2x}\n"
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source="riskd.yaml")
    assert "hunter2x" not in str(caught.value)
    assert "T0KEN" not in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    """The first thing a newcomer sees is the way forward."""
    with pytest.raises(ConfigError, match="riskd init"):
        load_config(tmp_path / "riskd.yaml")


def test_leverage_caps_are_the_core_s_unless_the_desk_says_otherwise() -> None:
    """Left out, what the core would take; named, that."""
    assert parse_config(GOOD, source="riskd.yaml").leverage.settings() == LeverageSettings()
    own = f"{GOOD}leverage: {{gross_max: 2, exit_minutes: {{dydx: 45}}}}\n"
    assert parse_config(own, source="riskd.yaml").leverage.settings() == LeverageSettings(
        gross_max=2.0, exit_minutes=(("dydx", 45.0),)
    )
