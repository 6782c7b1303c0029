"""Whatever stands in a file that a person writes: mistakes with their lines, never a traceback."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "deploy" / "config"
CONFIGURATIONS = ("full.yaml", "armed.yaml", "mainnet.yaml", "compose.yaml")
FILES = (*CONFIGURATIONS, "off-book.yaml", "news.yaml", "desk-rules.yaml")
PLACE = re.compile(r".*\.yaml:\d+: ")
COUNT = re.compile(r"riskd: \d+ mistakes to mend:$")
VALUE = re.compile(r"(?P<before>[:,{\[]\s+|[{\[])(?P<value>[^\s,:{}\[\]#][^,:{}\[\]#]*)")
VALUES = (
    *(
        "~",
        "[]",
        "{}",
        "[1, 2]",
        "{a: 1}",
        "''",
        "'1h'",
        "0x",
        "2026-13-45",
        "12:30:45",
        "*x",
        "&b",
    ),
    *("-1", "0", "1e400", ".nan", ".inf", "true", "9" * 25, "1_000", "!!int x", "{env: NOPE}"),
)
CHARACTERS = "aZ0:-{}[]'\"\t#é"


def replaced(text: str, at: int, value: str) -> str:
    """With another value in place of one of those that stand there."""
    found = list(VALUE.finditer(text))
    one = found[at % len(found)]
    return text[: one.start("value")] + value + text[one.end("value") :]


def mistyped(text: str, at: int, character: str) -> str:
    """With one character that was another."""
    place = at % len(text)
    return text[:place] + character + text[place + 1 :]


def lost(text: str, at: int) -> str:
    """Without one of its lines."""
    lines = text.splitlines(keepends=True)
    del lines[at % len(lines)]
    return "".join(lines)


places = st.integers(0, 10_000)
edit = st.one_of(
    st.builds(
        lambda at, value: partial(replaced, at=at, value=value), places, st.sampled_from(VALUES)
    ),
    st.builds(
        lambda at, typed: partial(mistyped, at=at, character=typed),
        places,
        st.sampled_from(CHARACTERS),
    ),
    st.builds(lambda at: partial(lost, at=at), places),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one's own, since the example configurations name files beside them."""
    return tmp_path_factory.mktemp("desk")


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(FILES), edits=st.lists(edit, min_size=1, max_size=3))
def test_a_mistyped_file_is_told_line_by_line(
    folder: Path, name: str, edits: list[Callable[[str], str]]
) -> None:
    """Nothing wrong (0), something to look at (1), or mistakes (2), each with file and line."""
    for one in FILES:
        (folder / one).write_text((EXAMPLES / one).read_text(encoding="utf-8"), encoding="utf-8")
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    for change in edits:
        text = change(text)
    (folder / name).write_text(text, encoding="utf-8")
    read = name if name in CONFIGURATIONS else "full.yaml"  # which names all the others
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["check-config", str(folder / read)])
    told = err.getvalue().splitlines()
    assert code in {0, 2}, told
    assert bool(told) == (code == 2), (code, told)
    assert all(PLACE.match(line) for line in told if not COUNT.match(line)), told
