"""The notation of a measure over time."""

from __future__ import annotations

import pytest

from monitor.core.trial.series import Point, SeriesError, parse_series


@pytest.mark.parametrize(
    ("text", "points", "told_at"),
    [
        pytest.param("61", [Point(61.0)], [0], id="one value"),
        pytest.param("0.4x2 -1e-3", [Point(0.4), Point(0.4), Point(-0.001)], [0, 1, 2], id="times"),
        pytest.param("_x2 5", [Point(None), Point(None), Point(5.0)], [0, 1, 2], id="a gap"),
        pytest.param(
            "61 =x2 62",
            [Point(61.0), Point(61.0, told=False), Point(61.0, told=False), Point(62.0)],
            [0, 0, 0, 3],
            id="the same, not told anew",
        ),
        pytest.param("3~", [Point(3.0, estimated=True)], [0], id="an estimate"),
    ],
)
def test_entries(text: str, points: list[Point], told_at: list[int]) -> None:
    """Each with how often."""
    series = parse_series(text)
    assert list(series.points) == points
    assert list(series.told_at) == told_at


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "at least one entry", id="empty"),
        pytest.param("40%", "'40%' is no entry", id="percent"),
        pytest.param("1x0", "1 to 200000 steps", id="no times"),
        pytest.param("1x200001", "1 to 200000 steps", id="too many"),
        pytest.param("=", "no value before it", id="nothing to repeat"),
        pytest.param("_ =", "no value before it", id="a gap to repeat"),
        pytest.param("nan", "'nan' is no entry", id="not a number"),
    ],
)
def test_what_is_no_series(text: str, said: str) -> None:
    """It says what may stand there."""
    with pytest.raises(SeriesError, match=said.replace("(", r"\(")):
        parse_series(text)


def test_beyond_the_ends() -> None:
    """Nothing is known before the first and after the last step."""
    series = parse_series("1 2")
    assert series.at(-1) is None
    assert series.at(1) == (Point(2.0), 1)
    assert series.at(2) is None
