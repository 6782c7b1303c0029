"""Which number of a composed condition people are told."""

from __future__ import annotations

import pytest

from monitor.core.decision import CitedReading
from monitor.core.measures.spec import Unit
from monitor.core.rules.deciding import find_deciding
from monitor.core.rules.expression import Expression
from monitor.core.types import PORTFOLIO


def deciding(text: str, *, wanted: bool = True, **values: float | None) -> str:
    """The comparison, as written; empty for none. What is called ``flag`` is true or false."""

    def cite(name: str) -> CitedReading:
        return CitedReading(
            measure=name,
            subject=PORTFOLIO,
            value=values.get(name),
            unit=Unit.BOOL if name == "flag" else Unit.RATIO,
            as_of_ns=None,
        )

    found = find_deciding(Expression(text).tree, cite, wanted=wanted)
    return "" if found is None else f"{found.name} {found.op} {found.limit}"


@pytest.mark.parametrize(
    ("text", "values", "told"),
    [
        pytest.param(
            "a < 1.5 || b < 1.5", {"a": 1.4, "b": 0.3}, "b < 1.5", id="any: the furthest beyond"
        ),
        pytest.param("a < 1.5 || b < 1.5", {"a": 1.4, "b": 9.0}, "a < 1.5", id="any: what holds"),
        pytest.param("a < 1.5 || b < 1.5", {"a": 1.4}, "a < 1.5", id="any: what is known"),
        pytest.param(
            "a < 2.0 || b > 2.0", {"a": 1.0, "b": 4.1}, "b > 2.0", id="up and down alike, half"
        ),
        pytest.param("a > 3.0 || b > 3.0", {"a": 4.0, "b": 4.001}, "a > 3.0", id="even: the first"),
        pytest.param(
            "a < 1.5 && b > 0.06", {"a": 1.4, "b": 0.95}, "a < 1.5", id="all: what it is about"
        ),
        pytest.param(
            "(a < 1.5 || b < 1.5) && c > 0.06",
            {"a": 2.0, "b": 1.2, "c": 0.95},
            "b < 1.5",
            id="the alternative within",
        ),
        pytest.param(
            "a > 9.0 && c > 0.0 || b > 1.0",
            {"a": 99.0, "c": -1.0, "b": 1.1},
            "b > 1.0",
            id="not what holds for nothing",
        ),
        pytest.param("flag > 0.5 && a < 0.5", {"flag": 1.0, "a": 0.4}, "a < 0.5", id="a number"),
        pytest.param("a > 0.0 && flag > 0.5", {"flag": 1.0, "a": 7.0}, "flag > 0.5", id="no side"),
        pytest.param("a < 0.0", {"a": -5.0}, "a < 0.0", id="zero where there is no other"),
        pytest.param("!(a >= 2.0)", {"a": 1.0}, "a >= 2.0", id="what does not hold"),
        pytest.param("a > 1.0 && b > 1.0", {"a": 2.0}, "", id="unknown"),
        pytest.param("a > 1.0 && b > 1.0", {"a": 2.0, "b": 1.0}, "", id="false"),
    ],
)  # fmt: skip
def test_what_made_it_true(text: str, values: dict[str, float | None], told: str) -> None:
    """Of what must all hold the first, of what is enough the furthest beyond its limit."""
    assert deciding(text, **values) == told


@pytest.mark.parametrize(
    ("text", "values", "told"),
    [
        pytest.param("a > 1.0 && b > 1.0", {"a": 0.9, "b": 0.1}, "b > 1.0", id="any is enough"),
        pytest.param("a > 1.0 || b > 1.0", {"a": 0.9, "b": 0.1}, "a > 1.0", id="all are needed"),
        pytest.param("a > 1.0 || b > 1.0", {"a": 0.9}, "", id="one is not known"),
    ],
)
def test_what_made_it_false(text: str, values: dict[str, float | None], told: str) -> None:
    """The same seen from the other side."""
    assert deciding(text, wanted=False, **values) == told
