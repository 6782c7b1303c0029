"""The configuration: what is right loads, and every mistake is told at once with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.app.wiring import engine_settings
from monitor.config import load_config, parse_config
from monitor.core.errors import ConfigError
from monitor.core.formulas.funding_stress import StressAnchors
from monitor.core.settings import CarrySettings, LeverageSettings

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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "ve[ues: {}\n" + GOOD,
            "riskd.yaml:1: ve[ues: there is no such setting.",
            id="a bracket in a name",
        ),
        pytest.param(
            "desk: a\nvenues: {dydx: {accounts: [{alias: a, address: {a: 1}}]}}\n",
            "riskd.yaml:2: venues.dydx.accounts[0].address: must be text.",
            id="a section for an address",
        ),
        pytest.param(
            "desk: 2026-13-45\nvenues: 3\n", "riskd.yaml:2: venues: ", id="a day that is none"
        ),
        pytest.param("desk: !!int x\n", "1: -: this is not valid YAML: 'x' cannot", id="a tag"),
    ],
)
def test_what_looks_unlike_anything_is_named_all_the_same(text: str, said: str) -> None:
    """Field and line, whatever was typed."""
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


def test_carry_and_stress_are_the_core_s_unless_the_desk_says_otherwise() -> None:
    """Left out, what the core would take; named, that, and a venue not named keeps its baseline."""
    config = parse_config(GOOD, source="riskd.yaml")
    assert config.carry.settings() == CarrySettings()
    assert config.funding_stress.settings() == StressAnchors()
    own = (
        f"{GOOD}carry: {{budget_ratio: 0.02, baselines_hourly: {{hyperliquid: 2.0e-5}}}}\n"
        "funding_stress:\n"
        "  level: {begin: 0.2, end: 0.9, weight: 30}\n"
        "  flips: {begin: 0.3, end: 0.8, weight: 5}\n"
        "  calm: 25\n"
    )
    config = parse_config(own, source="riskd.yaml")
    carry = config.carry.settings()
    assert (carry.budget_ratio, carry.baseline("hyperliquid", only_isolated=False)) == (0.02, 2e-5)
    assert carry.baseline("hyperliquid", only_isolated=True) == 2e-5
    assert carry.baseline("dydx", only_isolated=False) == 0.0
    assert carry.baseline("dydx", only_isolated=True) == 1.25e-5
    own = f"{GOOD}carry: {{isolated_baselines_hourly: {{dydx: 2.0e-5}}}}\n"
    told = parse_config(own, source="riskd.yaml").carry.settings()
    assert told.baseline("dydx", only_isolated=True) == 2e-5
    assert told.baseline("dydx", only_isolated=False) == 0.0
    assert config.funding_stress.settings() == StressAnchors(
        level=(0.2, 0.9, 30.0), flips=(0.3, 0.8, 5.0), calm=25.0
    )
    settings = engine_settings(config)
    assert settings.carry == carry
    assert settings.funding_stress.calm == 25.0


@pytest.mark.parametrize(
    ("more", "validated"),
    [
        pytest.param("", (), id="none"),
        pytest.param(", validator_urls: [https://rpc.example.com]", ("dydx",), id="one"),
    ],
)
def test_whether_validators_are_asked_is_known(more: str, validated: tuple[str, ...]) -> None:
    """What was never configured is not missing."""
    account = "{alias: main, address: dydx10d07y265gmmuvt4z0w9aw880jnsr700jnmapky}"
    text = f"venues: {{dydx: {{accounts: [{account}]{more}}}}}\n"
    assert engine_settings(parse_config(text, source="a")).validated == validated


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        pytest.param(
            "carry: {budget_ratio: 1.0}\nfunding_stress: {assets_min: 21}\n",
            7,
            "assets_min 21 is more than the universe of 20",
            id="an index that would always be absent",
        ),
        pytest.param("carry: {budget_ratio: 0}\n", 6, "greater than 0", id="no budget"),
        pytest.param("carry: {budget_ratio: 1.01}\n", 6, "less than or equal to 1", id="percent"),
        pytest.param(
            "carry:\n  baselines_hourly:\n    dydx: 0.0011\n", 8, "0.001", id="rate of a year"
        ),
        pytest.param(
            "carry: {baselines_hourly: {dxdy: 0.0}}\n", 6, "'hyperliquid' or 'dydx'", id="venue"
        ),
        pytest.param(
            "funding_stress:\n  level: {begin: 0.6, end: 0.6, weight: 25}\n",
            7,
            "begin 0.6 must lie below end 0.6",
            id="a ramp that does not rise",
        ),
        pytest.param(
            "funding_stress:\n  level: {begin: 0.1, end: 0.6, weight: 35}\n",
            6,
            "breadth 25 + surprise 25 + change 15 + flips 10 = 110; what one part loses",
            id="weights of 110",
        ),
        pytest.param(
            "funding_stress:\n  breadth: {begin: 0.2, end: 1.1, weight: 25}\n",
            6,
            "breadth.end 1.1 is never reached: this part is at most 1",
            id="more than all assets",
        ),
        pytest.param(
            "funding_stress:\n  surprise: {begin: 2, end: 10.5, weight: 25}\n",
            6,
            "surprise.end 10.5 is never reached",
            id="z beyond its cut",
        ),
        pytest.param(
            "funding_stress: {coverage_min: 0.59}\n",
            6,
            "greater than or equal to 0.6",
            id="an index of the part that is known",
        ),
        pytest.param(
            "funding_stress:\n  level: {begin: 0.1}\n", 7, "is required and missing", id="half"
        ),
    ],
)
def test_what_contradicts_itself_about_funding_is_refused(text: str, line: int, said: str) -> None:
    """With the line and what to write, before anything runs on it."""
    with pytest.raises(ConfigError) as caught:
        parse_config(GOOD + text, source="riskd.yaml")
    assert {one.where for one in caught.value.problems} == {f"riskd.yaml:{line}"}
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("carry: {budget_ratio: 1, persistence_hourly: 1}\n", id="carry at its ends"),
        pytest.param(
            "funding_stress: {coverage_min: 0.6, assets_min: 20}\n", id="all of the universe"
        ),
        pytest.param(
            "funding_stress:\n  breadth: {begin: 0.2, end: 1, weight: 25}\n"
            "  change: {begin: 2, end: 10, weight: 15}\n",
            id="ramps to the very end",
        ),
    ],
)
def test_the_last_values_that_make_sense_are_taken(text: str) -> None:
    """The other side of each limit."""
    parse_config(GOOD + text, source="riskd.yaml")
