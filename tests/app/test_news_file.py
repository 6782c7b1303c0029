"""The desk's file of scheduled news."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.app.news_file import read_news
from monitor.core.errors import ConfigError
from monitor.core.types import SECOND_NS

HOUR_NS = 3600 * SECOND_NS
AT_NS = 1_797_082_200 * SECOND_NS  # 2026-12-12T13:30Z


def test_a_window_around_something_scheduled(tmp_path: Path) -> None:
    """Two hours before it, one after; two ends where they are given."""
    path = tmp_path / "news.yaml"
    path.write_text(
        "flags:\n"
        "- {name: us-cpi, at: 2026-12-12T13:30:00Z, reason: US CPI}\n"
        "- {name: hype, begins: 2026-12-12 13:30, expires: 2026-12-12T15:30+01:00,\n"
        "   scope: 'asset:HYPE'}\n"
    )
    cpi, hype = read_news(path).flags
    assert (cpi.begins_at_ns, cpi.expires_at_ns) == (AT_NS - 2 * HOUR_NS, AT_NS + HOUR_NS)
    assert (cpi.scope, cpi.reason, cpi.set_by) == ("portfolio", "US CPI", "news.yaml")
    assert (hype.begins_at_ns, hype.expires_at_ns) == (AT_NS, AT_NS + HOUR_NS)
    assert hype.scope == "asset:HYPE"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("x: 1", "flags: must be a list", id="no list"),
        pytest.param("flags: [{at: 2026-12-12T13:30Z}]", "must be a name", id="no name"),
        pytest.param("flags:\n- {name: a}", "news.yaml:2: flags[0].begins: must be", id="no time"),
        pytest.param("flags: [{name: a, at: soon}]", "Found: 'soon'", id="no date"),
        pytest.param(
            "flags: [{name: a, at: 2026-12-12T13:30Z, expires: 2026-12-12T14:30Z}]",
            "leave begins and expires out",
            id="both forms",
        ),
        pytest.param(
            "flags: [{name: a, begins: 2026-12-12T13:30Z, expires: 2026-12-12T13:30Z}]",
            "must be after begins",
            id="over at once",
        ),
        pytest.param(
            "flags: [{name: a, at: 2026-12-12T13:30Z, scope: 'account:dydx/main'}]",
            "must be portfolio, asset:X or venue:V",
            id="an account",
        ),
        pytest.param(
            "flags: [{name: a, at: 2026-12-12T13:30Z, scop: portfolio}]",
            "Did you mean 'scope'?",
            id="a mistyped field",
        ),
        pytest.param("flags: [cpi]", "a flag is written as", id="a word"),
    ],
)
def test_mistakes_have_their_line(text: str, said: str, tmp_path: Path) -> None:
    """And nothing of the file is used."""
    path = tmp_path / "news.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_news(path)
    assert any(said in str(one) for one in caught.value.problems), caught.value.problems


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """One sentence."""
    with pytest.raises(ConfigError, match="cannot be read"):
        read_news(tmp_path / "gone.yaml")
