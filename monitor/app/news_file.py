"""Reads the desk's file of news: what is scheduled, with a window around it or its two ends."""

from __future__ import annotations

from pathlib import Path

from monitor.app.desk_files import read_desk_file, unix_seconds
from monitor.core.errors import ConfigError, Problem
from monitor.core.events import NewsFlag, NewsFlagsDeclared
from monitor.core.filekinds import FileKind, mistaken
from monitor.core.operator import FLAG_NAME, FLAG_SCOPES, scope_of
from monitor.core.types import PORTFOLIO, SECOND_NS, subject_kind
from monitor.core.yamltext import Plain, YamlText, dotted, nearest

# Around something scheduled: two hours before it, for it moves prices before it is out, one after.
BEFORE_S, AFTER_S = 2 * 3600, 3600
FIELDS = ("name", "scope", "reason", "at", "begins", "expires")
FLAGS_MAX = 500


def read_news(path: Path) -> NewsFlagsDeclared:
    """All flags of a file; expired ones are harmless.

    Raises:
        ConfigError: With every mistake and its line; nothing of a wrong file is used.
    """
    document = read_desk_file(path, "news flags")
    if (other := mistaken(document, FileKind.NEWS)) is not None:
        raise ConfigError([*document.problems, other])
    problems = list(document.problems)
    data = document.data if isinstance(document.data, dict) else {}
    rows = data.get("flags")
    if not isinstance(rows, list) or len(rows) > FLAGS_MAX:
        problems.append(
            Problem(
                where=document.where(("flags",)),
                field="flags",
                message="must be a list of flags, each {name: …, at: …} or "
                f"{{name: …, begins: …, expires: …}}, at most {FLAGS_MAX}.",
            )
        )
        rows = []
    flags = [_Row(document, index, row, problems).flag() for index, row in enumerate(rows)]
    if problems:
        raise ConfigError(problems)
    return NewsFlagsDeclared(source=path.name, flags=tuple(one for one in flags if one))


class _Row:
    """One flag of the file."""

    def __init__(self, document: YamlText, index: int, row: Plain, problems: list[Problem]) -> None:
        self._document, self._problems = document, problems
        self._path: tuple[str | int, ...] = ("flags", index)
        self._row = row if isinstance(row, dict) else {}
        if not isinstance(row, dict):
            self._wrong("name", "a flag is written as {name: …, at: …}.", row)

    def flag(self) -> NewsFlag | None:
        """The flag, or None where something is wrong with it."""
        row, before = self._row, len(self._problems)
        for key in row:
            if key not in FIELDS:
                self._wrong(key, "there is no such field in a flag.")
        name, scope = row.get("name"), row.get("scope", str(PORTFOLIO))
        if not isinstance(name, str) or not FLAG_NAME.fullmatch(name):
            self._wrong("name", "must be a name such as us-cpi.", name)
        try:
            if subject_kind(scope_of(str(scope))) not in FLAG_SCOPES:
                self._wrong("scope", "must be portfolio, asset:X or venue:V.", scope)
        except ConfigError as error:
            self._wrong("scope", str(error))
        begins_s, expires_s = self._window()
        if len(self._problems) > before:
            return None
        return NewsFlag(
            name=str(name),
            scope=str(scope),
            begins_at_ns=begins_s * SECOND_NS,
            expires_at_ns=expires_s * SECOND_NS,
            reason=str(row.get("reason") or ""),
            set_by=self._document.source.rpartition("/")[2],
        )

    def _window(self) -> tuple[int, int]:
        row = self._row
        if "at" in row:
            if "begins" in row or "expires" in row:
                self._wrong("at", "stands for a whole window: leave begins and expires out.")
            at_s = self._time("at")
            return at_s - BEFORE_S, at_s + AFTER_S
        begins_s, expires_s = self._time("begins"), self._time("expires")
        if begins_s >= expires_s and begins_s:
            self._wrong("expires", "must be after begins.", row.get("expires"))
        return begins_s, expires_s

    def _time(self, key: str) -> int:
        found = unix_seconds(self._row.get(key))
        if found is None:
            form = "must be a date and time such as 2027-06-30T13:30:00Z."
            self._wrong(key, form, self._row.get(key))
        return found or 0

    def _wrong(self, key: str, message: str, found: object = None) -> None:
        self._problems.append(
            Problem(
                where=self._document.where((*self._path, key)),
                field=dotted((*self._path, key)),
                message=message,
                found=None if found is None else repr(found),
                nearest=nearest(key, FIELDS) if key not in FIELDS else None,
            )
        )
