"""Recorded days, with their past, through the whole command: what is known must come out."""

from __future__ import annotations

import orjson
import pytest

from monitor.cli.main import main
from tests.shared_data import shared_data


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Nine days of February 2021, with a desk that obeys at once."""
    history = shared_data("history")
    out = tmp_path_factory.mktemp("year")
    flags = [
        "--history",
        str(history),
        "--from",
        "2021-02-19",
        "--to",
        "2021-02-28",
        "--reaction",
        "0",
    ]
    assert main(["backtest", *flags, "--out", str(out)]) == 0
    return dict(orjson.loads((out / "summary.json").read_bytes()))


def test_the_known_falls_are_found(summary: dict[str, object]) -> None:
    """The crash of these days that the history names has a fall within a day and a half."""
    falls = summary["falls"]
    assert isinstance(falls, list)
    breaches = [fall["breach"][:10] for fall in falls]
    assert any(day in {"2021-02-22", "2021-02-23"} for day in breaches)


def test_nothing_failed_and_nothing_was_invented(summary: dict[str, object]) -> None:
    """Every hour judged; at most eleven hours have no price in any file."""
    period = summary["period"]
    assert isinstance(period, dict)
    assert period["hours"] == 216
    assert period["hours_without_any_price"] <= 11
    assert isinstance(summary["evaluations"], int)
    assert summary["evaluations"] >= 216


def test_the_arms_stand_as_they_must(summary: dict[str, object]) -> None:
    """Less exposure under rules, costs charged to whoever trades, none liquidated."""
    arms = summary["arms"]
    assert isinstance(arms, list)
    by_name = {one["name"]: one for one in arms}
    plain = by_name["none"]
    assert plain["exit_friction_usd"] == 0.0
    arm = by_name["rules_0m"]
    assert arm["liquidated"] is None
    assert arm["requests"] > 0
    assert arm["exit_friction_usd"] > 0.0
    assert arm["gross_mean_ratio"] < plain["gross_mean_ratio"]
    assert arm["drawdown_max_ratio"] < plain["drawdown_max_ratio"]
    always = by_name["always"]["against_no_rules"]["tail_per_exposure"]["value"]
    assert always == pytest.approx(1.0, abs=0.05)
