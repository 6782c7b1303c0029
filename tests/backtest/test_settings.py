"""The book file: defaults, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.backtest.settings import default_book, load_book
from monitor.core.errors import ConfigError

GOOD = """\
start_equity_usd: 500000
positions:
  - {venue: binance, asset: BTC, weight: 0.5}
  - {venue: hyperliquid, asset: BTC, size: -1.5}
venues:
  binance: {fee_bps: 2, slippage_bps: 3, depends_on: [arbitrum-one]}
exit_friction_bps: 8
"""


def test_a_book_is_read(tmp_path: Path) -> None:
    """Weights, sizes and costs; a venue without a section has the default costs."""
    path = tmp_path / "book.yaml"
    path.write_text(GOOD)
    book = load_book(path)
    assert book.held_venues == ("binance", "hyperliquid")
    assert [one.weight for one in book.positions] == [0.5, None]
    assert book.costs_of("binance").depends_on == ("arbitrum-one",)
    assert book.costs_of("hyperliquid").fee_bps == 4.5


@pytest.mark.parametrize(
    ("before", "after", "line", "field", "words"),
    [
        ("weight: 0.5", "weigth: 0.5", 3, "positions[0].weigth", "weight"),
        ("weight: 0.5", "weight: 0.5, size: 1", 3, "positions[0]", "either a weight or a size"),
        ("weight: 0.5", "weight: lots", 3, "positions[0].weight", "number"),
        ("venue: binance, a", "venue: binnance, a", 3, "positions[0].venue", "binance"),
        ("hyperliquid, asset: BTC, size: -1.5", "binance, asset: BTC, size: 1", 1, "-", "twice"),
        ("fee_bps: 2", "fee_bps: -2", 6, "venues.binance.fee_bps", "greater than"),
        ("exit_friction_bps: 8", "exit_friction_bps: .nan", 7, "exit_friction_bps", "finite"),
        ("start_equity_usd: 500000", "start_equity_usd: 0", 1, "start_equity_usd", "greater"),
        ("exit_friction_bps: 8", "friction: 8", 7, "friction", "no such setting"),
    ],
    ids=[
        "a typing mistake",
        "weight and size",
        "words for a number",
        "a venue that is none",
        "a position twice",
        "a negative fee",
        "not a number",
        "no equity",
        "an unknown setting",
    ],
)
def test_mistakes_name_line_and_field(
    tmp_path: Path, before: str, after: str, line: int, field: str, words: str
) -> None:
    """Where it stands, what is wrong, and the nearest name."""
    path = tmp_path / "book.yaml"
    assert before in GOOD
    path.write_text(GOOD.replace(before, after))
    with pytest.raises(ConfigError) as caught:
        load_book(path)
    problem = caught.value.problems[0]
    assert problem.where == f"{path}:{line}"
    assert problem.field == field
    assert words in str(problem)


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "positions: []"], ids=str)
def test_a_file_that_is_no_book(tmp_path: Path, text: str) -> None:
    """Refused with its name."""
    path = tmp_path / "book.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"book\.yaml:1"):
        load_book(path)


def test_the_default_book_is_as_large_as_its_equity() -> None:
    """Equal long weights that sum to one."""
    book = default_book(("AAA", "BBB", "CCC"))
    assert sum(one.weight or 0.0 for one in book.positions) == pytest.approx(1.0)
