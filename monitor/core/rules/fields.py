"""Reading the fields of one rule as a person wrote them, keeping every mistake with its line.

*Pure.*
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable
from typing import TypeVar

from monitor.core.errors import Problem
from monitor.core.rules.expression import Expression
from monitor.core.rules.grammar import ExpressionError
from monitor.core.types import SECOND_NS
from monitor.core.yamltext import Path, Plain, YamlText, dotted, nearest

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_UNIT_NS = {
    "ms": SECOND_NS // 1000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
    "d": 86400 * SECOND_NS,
}
DURATION_NS_MAX = 366 * 86400 * SECOND_NS
_FOUND_CHARS_MAX = 60

E = TypeVar("E", bound=enum.StrEnum)


def duration_ns(text: str) -> int | None:
    """Nanoseconds of ``250ms``, ``30s``, ``5m``, ``24h``, ``7d``; None for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    nanoseconds = round(float(match[1]) * _UNIT_NS[match[2]])
    return nanoseconds if nanoseconds <= DURATION_NS_MAX else None


class Fields:
    """One mapping of a file. Every getter returns a usable value and notes what was wrong."""

    def __init__(
        self,
        doc: YamlText,
        path: Path,
        data: dict[str, Plain],
        label: str,
        problems: list[Problem],
    ) -> None:
        self.doc = doc
        self.path = path
        self.data = data
        self.label = label
        self.problems = problems

    def problem(
        self,
        key: str,
        message: str,
        *,
        found: Plain = None,
        allowed: str | None = None,
        near: str | None = None,
        word: str = "",
    ) -> None:
        """Note one mistake about ``key`` (empty: about the mapping itself), at the line of
        ``word`` where its text runs over several."""
        self.problems.append(
            Problem(
                where=self.doc.where((*self.path, key) if key else self.path, word=word),
                field=f"{self.label}.{key}" if key else self.label,
                message=message,
                found=None if found is None else str(found)[:_FOUND_CHARS_MAX],
                allowed=allowed,
                nearest=near,
            )
        )

    def only_keys(self, known: Iterable[str]) -> None:
        """Note every key that is not one of ``known``."""
        names = sorted(known)
        for key in self.data:
            if key not in names:
                self.problem(
                    key,
                    "is not a field of this.",
                    allowed=", ".join(names),
                    near=nearest(key, names),
                )

    def text(self, key: str, *, chars_max: int = 2000) -> str:
        """A text; empty when it is not there."""
        value = self.data.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.problem(key, "must be text.", found=value)
            return ""
        if len(value) > chars_max:
            self.problem(key, f"has {len(value)} characters.", allowed=f"at most {chars_max}")
        return value.strip()

    def choice(self, key: str, options: type[E], default: E | None) -> E | None:
        """A word of a closed set; ``default`` where it is not there, None where it is wrong."""
        value = self.data.get(key)
        if value is None:
            return default
        words = [option.value for option in options]
        if isinstance(value, str) and value in words:
            return options(value)
        self.problem(
            key,
            "is not one of the words allowed here.",
            found=value,
            allowed=", ".join(words),
            near=nearest(str(value), words),
        )
        return None

    def duration(self, key: str) -> int | None:
        """Nanoseconds; None when it is not there or wrong."""
        value = self.data.get(key)
        if value is None:
            return None
        nanoseconds = duration_ns(value) if isinstance(value, str) else None
        if nanoseconds is None:
            self.problem(
                key,
                "is no duration.",
                found=value,
                allowed="a number with a unit, at most 366d: 250ms, 30s, 5m, 24h, 7d",
            )
        return nanoseconds

    def number(self, key: str, *, low: float, high: float) -> float | None:
        """A number within ``[low, high]``; None when it is not there or wrong."""
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problem(key, "must be a number.", found=value)
            return None
        if not math.isfinite(value) or not low <= value <= high:
            self.problem(key, "is out of range.", found=value, allowed=f"{low:g} to {high:g}")
            return None
        return float(value)

    def integer(self, key: str, *, low: int, high: int) -> int | None:
        """A whole number within ``[low, high]``; None when it is not there or wrong."""
        value = self.data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.problem(key, "must be a whole number.", found=value)
            return None
        if not low <= value <= high:
            self.problem(key, "is out of range.", found=value, allowed=f"{low} to {high}")
            return None
        return value

    def switch(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.data.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problem(key, "must be true or false.", found=value)
            return default
        return value

    def expression(self, key: str) -> Expression | None:
        """A condition; None when it is not there or wrong."""
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.problem(key, "must be a condition written as text.", found=value)
            return None
        try:
            return Expression(value)
        except ExpressionError as error:
            for mistake in error.mistakes:
                self.problem(key, f"{mistake}.", found=value)
            return None

    def inner(self, key: str) -> Fields | None:
        """The mapping under ``key``; None when it is not there or wrong."""
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.problem(key, "must be a mapping of fields, e.g. {name: value}.", found=value)
            return None
        return Fields(self.doc, (*self.path, key), value, f"{self.label}.{key}", self.problems)

    def names(self, key: str) -> frozenset[str]:
        """A non-empty list of texts; empty when wrong."""
        value = self.data.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(i, str) for i in value):
            self.problem(key, "must be a list of names.", found=value, allowed="[name, name]")
            return frozenset()
        return frozenset(str(item) for item in value)


def rule_mappings(doc: YamlText) -> list[tuple[str, Path, Plain]]:
    """(family, path, mapping) of every rule in a file: a list of rules, or sections of lists.

    A section's name is the family of its rules; without sections the file's name is.
    """
    family = doc.source.rpartition("/")[2].partition(".")[0]
    if isinstance(doc.data, list):
        return [(family, (index,), rule) for index, rule in enumerate(doc.data)]
    found: list[tuple[str, Path, Plain]] = []
    if isinstance(doc.data, dict):
        for section, rules in doc.data.items():
            if isinstance(rules, list):
                found += [(section, (section, index), rule) for index, rule in enumerate(rules)]
            else:
                doc.problems.append(
                    Problem(
                        where=doc.where((section,)),
                        field=dotted((section,)),
                        message="a section must be a list of rules, each beginning with '- id:'.",
                    )
                )
    elif doc.data is not None:
        doc.problems.append(
            Problem(
                where=doc.where(()),
                field="-",
                message="a rulebook is a list of rules, each beginning with '- id:'.",
            )
        )
    return found
