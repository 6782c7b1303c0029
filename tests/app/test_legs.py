"""Off-book legs: the desk's file is read whole or not at all."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from monitor.app.legs import read_legs
from monitor.core.errors import ConfigError

GOOD = """\
legs:
  - {asset: BTC, size: "-1.5", expires: 2027-06-30T00:00:00Z, note: spot, hedge_set: basis}
  - {asset: ETH, size: 10, expires: 2027-01-01}
"""


def write(folder: Path, text: str) -> Path:
    """The file as a person would leave it."""
    path = folder / "off-book.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_legs_are_exact_and_dated(tmp_path: Path) -> None:
    """Sizes keep their digits; a date without a zone is UTC."""
    first, second = read_legs(write(tmp_path, GOOD)).legs
    assert (first.asset, first.size, first.note, first.hedge_set) == (
        "BTC",
        Decimal("-1.5"),
        "spot",
        "basis",
    )
    assert first.expires_at_ns == 1_814_313_600 * 10**9
    assert (second.size, second.expires_at_ns) == (Decimal(10), 1_798_761_600 * 10**9)


def test_an_empty_list_withdraws_all_legs(tmp_path: Path) -> None:
    """Saying that there is none is not the same as a broken file."""
    assert read_legs(write(tmp_path, "legs: []\n")).legs == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("legs: 3\n", "off-book.yaml:1: legs: must be a list", id="no list"),
        pytest.param(
            "legs:\n  - {size: 1, expires: 2027-01-01}\n",
            "off-book.yaml:2: legs[0].asset: is required and missing.",
            id="no asset",
        ),
        pytest.param(
            "legs:\n  - {asset: BTC, size: lots, expires: 2027-01-01}\n",
            "legs[0].size: must be a number of base units, negative for a short. Found: 'lots'.",
            id="no number",
        ),
        pytest.param(
            "legs:\n  - {asset: BTC, size: nan, expires: 2027-01-01}\n",
            "legs[0].size: must be a number",
            id="not a number",
        ),
        pytest.param(
            "legs:\n  - {asset: BTC, size: 1, expires: tomorrow}\n",
            "legs[0].expires: must be a date and time",
            id="no date",
        ),
        pytest.param(
            "legs:\n  - {asset: BTC, size: 1}\n",
            "legs[0].expires: is required and missing.",
            id="a leg without an end would hide a risk for ever",
        ),
        pytest.param(
            "legs:\n  - {asset: BTC, size: 1, expires: 2027-01-01, expire: 1}\n",
            "there is no such field in a leg. Did you mean 'expires'?",
            id="mistyped field",
        ),
    ],
)
def test_mistakes_name_line_and_field(tmp_path: Path, text: str, said: str) -> None:
    """Nothing of a wrong file is used."""
    with pytest.raises(ConfigError) as caught:
        read_legs(write(tmp_path, text))
    assert said in str(caught.value)


def test_two_mistakes_are_told_together(tmp_path: Path) -> None:
    """One look, one edit."""
    text = "legs:\n  - {asset: BTC, size: x, expires: y}\n"
    with pytest.raises(ConfigError) as caught:
        read_legs(write(tmp_path, text))
    assert len(caught.value.problems) == 2


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """And nothing else."""
    with pytest.raises(ConfigError, match="cannot be read"):
        read_legs(tmp_path / "none.yaml")
