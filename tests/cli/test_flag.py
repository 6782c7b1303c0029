"""``riskd flag``, ``riskd reviewed``, ``riskd rules approve``: what they ask a running riskd."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from monitor.cli import flag, reviewed, rules
from monitor.cli.flag import window
from monitor.core.errors import ConfigError
from tests.cli.test_switch import Daemon, call, daemon

__all__ = ["daemon"]  # the fixture
NOW_S = 1_797_082_200.0  # 2026-12-12T13:30Z


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        pytest.param(
            ["set", "us-cpi", "--expires", "2h", "--reason", "US CPI"],
            {"verb": "flag_set", "flag": "us-cpi", "lasts_s": 7200.0, "begins_in_s": 0.0,
             "scope": "portfolio", "reason": "US CPI"},
            id="set",
        ),
        pytest.param(
            ["set", "hype", "--expires", "3d", "--scope", "asset:HYPE", "--reason", "unlock"],
            {"scope": "asset:HYPE", "lasts_s": 259_200.0},
            id="of an asset",
        ),
        pytest.param(
            ["clear", "us-cpi", "--reason", "out"],
            {"verb": "flag_clear", "flag": "us-cpi", "reason": "out"},
            id="clear",
        ),
        pytest.param(["list"], {"verb": "flags"}, id="list"),
    ],
)  # fmt: skip
def test_what_a_flag_asks(
    words: list[str], asked: dict[str, object], daemon: Daemon, tmp_path: Path
) -> None:
    """Every field, and 0 when it was done."""
    assert call(flag, tmp_path, *words) == 0
    (request,) = daemon.desk.asked
    assert {name: getattr(request, name) for name in asked} == asked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--expires", "soon"], "needs an expiry", id="no duration"),
        pytest.param(["--expires", "31d"], "at most 30 days", id="too long"),
        pytest.param(["--at", "tomorrow"], "needs an expiry", id="no time"),
        pytest.param(["--at", "2020-01-01T00:00Z"], "needs an expiry", id="over"),
        pytest.param(["--expires", "1h", "--scope", "account:dydx/main"], "asset:X", id="scope"),
    ],
)
def test_what_is_no_flag(words: list[str], said: str, tmp_path: Path) -> None:
    """Told before anybody is asked."""
    with pytest.raises(ConfigError, match=said):
        call(flag, tmp_path, "set", "us-cpi", "--reason", "x", *words)


@pytest.mark.parametrize(
    ("at", "begins_s", "lasts_s"),
    [
        pytest.param("2026-12-12T17:30Z", 7200.0, 10_800.0, id="in four hours: from in two"),
        pytest.param("2026-12-12T14:30Z", 0.0, 7200.0, id="in one hour: from now"),
        pytest.param("2026-12-12T13:00Z", 0.0, 1800.0, id="half an hour ago: for half an hour"),
    ],
)
def test_a_window_around_something_scheduled(at: str, begins_s: float, lasts_s: float) -> None:
    """Two hours before it, one after."""
    asked = argparse.Namespace(expires=None, at=at)
    assert window(asked, NOW_S) == (begins_s, lasts_s)


def test_what_an_approval_asks(daemon: Daemon, tmp_path: Path) -> None:
    """Without an id it only shows."""
    assert call(rules, tmp_path, "approve") == 0
    assert call(rules, tmp_path, "approve", "ab12", "--reason", "agreed") == 0
    daemon.desk.done = False
    assert call(rules, tmp_path, "approve", "ab12", "--refuse") == 1
    assert [(one.verb.value, one.proposal, one.refuse) for one in daemon.desk.asked] == [
        ("approve_rules", "", False),
        ("approve_rules", "ab12", False),
        ("approve_rules", "ab12", True),
    ]


def test_what_a_review_asks(daemon: Daemon, tmp_path: Path) -> None:
    """A bucket and a reason; without a bucket it only shows."""
    assert call(reviewed, tmp_path) == 0
    assert call(reviewed, tmp_path, "hedges", "--reason", "all of it") == 0
    assert [(one.verb.value, one.bucket, one.reason) for one in daemon.desk.asked] == [
        ("reviewed", "", ""),
        ("reviewed", "hedges", "all of it"),
    ]
    with pytest.raises(ConfigError, match="what was found"):
        call(reviewed, tmp_path, "hedges")
