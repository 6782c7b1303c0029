"""Files that people write: every mistake is found with its line."""

from __future__ import annotations

import pytest

from monitor.core.yamltext import dotted, nearest, parse_yaml


def test_every_path_knows_its_line() -> None:
    """A mistake found later can name the line it stands on."""
    text = parse_yaml("a: 1\nb:\n  - x: 2\n  - y: 3\n", source="f.yaml")
    assert text.data == {"a": 1, "b": [{"x": 2}, {"y": 3}]}
    assert text.where(("b", 1, "y")) == "f.yaml:4"
    assert text.where(("b", 1, "missing")) == "f.yaml:4"
    assert text.where(("nowhere",)) == "f.yaml:1"


def test_duplicate_keys_are_a_problem_and_the_first_counts() -> None:
    """A second threshold further down must not silently win."""
    text = parse_yaml("a: 1\nb: 2\na: 3\n", source="f.yaml")
    assert text.data == {"a": 1, "b": 2}
    assert [str(p) for p in text.problems] == ["f.yaml:3: a: stands twice; the first is on line 1."]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param("0x14791697260E4c9A71f18484C9f997B308e59325", None, id="address stays text"),
        pytest.param("2026-01-01", "2026-01-01", id="date stays text"),
        pytest.param("12", 12, id="integer"),
        pytest.param("0.5", 0.5, id="float"),
        pytest.param("true", True, id="boolean"),
    ],
)
def test_scalars(written: str, read: object) -> None:
    """An address is never taken for a hexadecimal number."""
    text = parse_yaml(f"a: {written}\n", source="f.yaml")
    assert text.data == {"a": written if read is None else read}


def test_bad_syntax_names_the_line() -> None:
    """A broken file is one clear sentence with a line."""
    text = parse_yaml("a: 1\nb: [1, 2\nc: 3\n", source="f.yaml")
    assert len(text.problems) == 1
    assert text.problems[0].where.startswith("f.yaml:")
    assert "not valid YAML" in text.problems[0].message


def test_self_reference_ends() -> None:
    """An anchor that contains itself is a mistake, not an endless loop."""
    text = parse_yaml("a: &x\n  b: *x\n", source="f.yaml")
    assert "nested too deeply" in text.problems[0].message


def test_depth_without_end_is_a_mistake() -> None:
    """Deeper than the reader's own stack."""
    text = parse_yaml("[" * 5000, source="f.yaml")
    assert text.data is None
    assert "nested too deeply" in text.problems[0].message


def test_nearest_and_dotted() -> None:
    """Names for people."""
    assert nearest("adress", ["address", "alias"]) == "address"
    assert nearest("zzz", ["address"]) is None
    assert dotted(("venues", "dydx", "accounts", 0, "address")) == "venues.dydx.accounts[0].address"
