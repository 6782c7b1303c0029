"""Which of the files that a desk writes a text seems to be, for whoever gave one to the wrong
reader: a file of rules where the configuration is wanted says so, and names the command. *Pure.*
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from monitor.core.errors import Problem
from monitor.core.yamltext import Plain, YamlText


class FileKind(enum.Enum):
    """A kind of file: what it is called, and what reads it."""

    CONFIGURATION = ("a configuration", "`riskd check-config {}` checks it")
    RULES = (
        "a file of rules",
        "`riskd rules check {}` checks it, and a configuration names it under rules.files",
    )
    TESTS = ("a file of rule tests", "`riskd rules test {}` runs it")
    LEGS = (
        "a file of off-book legs",
        "A configuration names it as off_book_legs_file; `riskd check-config` of that checks both",
    )
    NEWS = (
        "a file of news flags",
        "A configuration names it as news_flags_file; `riskd check-config` of that checks both",
    )
    BOOK = ("a book to simulate", "`riskd backtest --book {}` reads it")


_LISTS = {
    "tests": FileKind.TESTS,
    "legs": FileKind.LEGS,
    "flags": FileKind.NEWS,
    "positions": FileKind.BOOK,
}


def mistaken(document: YamlText, wanted: FileKind) -> Problem | None:
    """That a file seems to be of another kind than is wanted; None where it does not."""
    kind = file_kind(document.data)
    if kind is None or kind is wanted:
        return None
    what, how = kind.value
    return Problem(
        where=f"{document.source}:1",
        field="-",
        message=f"this seems to be {what}, not {wanted.value[0]}. {how.format(document.source)}.",
    )


def file_kind(data: Plain) -> FileKind | None:
    """The kind that a file's top level shows; None where it shows none."""
    if isinstance(data, dict):
        for key, kind in _LISTS.items():
            rows = data.get(key)
            if isinstance(rows, list) and not any(map(_is_rule, rows)):
                return kind
        if isinstance(data.get("venues"), dict):
            return FileKind.CONFIGURATION
    return FileKind.RULES if any(map(_is_rule, _rows(data))) else None


def _rows(data: Plain) -> Iterator[Plain]:
    """Entries of the top level, and of the lists in its sections."""
    sections = data.values() if isinstance(data, dict) else (data,)
    for section in sections:
        if isinstance(section, list):
            yield from section


def _is_rule(row: Plain) -> bool:
    return isinstance(row, dict) and bool({"id", "for_each", "when"} & row.keys())
