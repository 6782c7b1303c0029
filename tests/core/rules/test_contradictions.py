"""Limits that cannot all be meant."""

from __future__ import annotations

import pytest

from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import RuleBook, parse_rulebook
from monitor.core.rules.contradictions import contradictions

CONFIRM = "confirm: {need: 2, of: 2, apart: 20s}, severity: critical"


def book_of(leverage: float, drawdown: float, *cuts: tuple[float, float]) -> RuleBook:
    """A leverage limit, a drawdown limit that flattens by a cut to nothing, and further cuts."""
    text = (
        f"- {{id: lever, for_each: portfolio, summary: L, when: leverage >= {leverage:.2f}, "
        "severity: high, do: {level: block_new}}\n"
        f"- {{id: stop, for_each: portfolio, summary: S, when: drawdown_30d_ratio >= "
        f"{drawdown:.3f}, {CONFIRM}, do: {{level: cut, gross_to: 0.0}}}}\n"
    )
    for index, (at, keeps) in enumerate(cuts):
        text += (
            f"- {{id: cut_{index}, for_each: portfolio, summary: C, when: funding_stress_index >= "
            f"{at:.1f}, {CONFIRM}, do: {{level: cut, gross_to: {keeps}}}}}\n"
        )
    return parse_rulebook([("own.yaml", text)], CATALOGUE)


@pytest.mark.parametrize(
    ("leverage", "drawdown", "told"),
    [
        pytest.param(3.0, 0.20, True, id="leverage 3 with a 20 % limit"),
        pytest.param(0.51, 0.20, True, id="just above what holds it"),
        pytest.param(0.49, 0.20, False, id="just below"),
    ],
)
def test_leverage_that_breaks_its_own_limit(leverage: float, drawdown: float, told: bool) -> None:
    """The sheet's own example, and both sides of what 99 % confidence allows."""
    found = contradictions(book_of(leverage, drawdown))
    assert bool(found) is told
    assert all(one.startswith("own.yaml:1: lever and stop: leverage up to") for one in found)


@pytest.mark.parametrize(
    ("cuts", "told"),
    [
        pytest.param(((60.0, 0.7), (85.0, 0.2)), False, id="deeper cuts more"),
        pytest.param(((60.0, 0.7), (85.0, 0.7)), False, id="as much"),
        pytest.param(((60.0, 0.7), (85.0, 0.8)), True, id="less"),
    ],
)
def test_a_ladder_whose_deeper_rung_keeps_more(
    cuts: tuple[tuple[float, float], ...], told: bool
) -> None:
    """It never matters, so it was not meant."""
    assert bool(contradictions(book_of(0.1, 0.5, *cuts))) is told


def test_only_what_the_desk_wrote_is_told() -> None:
    """Or everything, where no file is named."""
    book = book_of(3.0, 0.20)
    assert contradictions(book, {"other.yaml"}) == ()
    assert contradictions(book, {"own.yaml"}) == contradictions(book) != ()


@pytest.mark.parametrize(("target", "told"), [(0.60, True), (0.05, False), (None, False)])
def test_a_target_of_volatility_that_breaks_the_limit(target: float | None, told: bool) -> None:
    """Of the configuration, where it says one: 60 % a year touches 15 % within a month."""
    found = contradictions(book_of(0.01, 0.15), volatility_target=target)
    assert bool(found) is told
    assert all("configuration: leverage.volatility_target and stop" in one for one in found)


@pytest.mark.parametrize(("gross", "told"), [(3.0, True), (0.49, False), (None, False)])
def test_a_cap_of_the_configuration_that_breaks_the_limit(gross: float | None, told: bool) -> None:
    """Leverage 3 with a drawdown limit of 20 %, unless what is long is hedged."""
    found = contradictions(book_of(0.01, 0.20), gross_max=gross)
    assert bool(found) is told
    assert all("configuration: leverage.gross_max and stop" in one for one in found)
    assert all(one.endswith("unless the book is hedged.") for one in found)


@pytest.mark.parametrize(
    ("own", "shipped", "told"),
    [
        pytest.param({"own.yaml"}, {"gross_max"}, True, id="own rule against the shipped cap"),
        pytest.param({"other.yaml"}, set(), True, id="own cap against a shipped rule"),
        pytest.param({"other.yaml"}, {"gross_max"}, False, id="both shipped"),
        pytest.param({"own.yaml"}, set(), True, id="both own"),
    ],
)
def test_what_ships_together_is_not_told(own: set[str], shipped: set[str], told: bool) -> None:
    """A cap that the desk left as it is counts against a rule that the desk wrote."""
    found = contradictions(book_of(0.01, 0.20), own, gross_max=3.0, shipped=shipped)
    assert any("leverage.gross_max and stop" in one for one in found) is told
