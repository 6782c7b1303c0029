"""Reads a file of rule tests, keeping every mistake with its line. *Pure.*

::

    rulebook: [own.yaml]        # beside this file, after the built-in rules; `builtin: false` alone
    tests:
      - name: two flags for five minutes
        step: 1m                # one entry of a series each
        start: "10:00"          # optional: times below may then be of the clock
        series:
          drawdown_ratio: 0.01 0.06x20 _x5
          leverage account:dydx/main: 2.0x26
        expect:
          - {at: 6m, rule: drawdown_5, state: firing, asks: none}
          - {at: "10:22", rule: drawdown_5, verdict: unknown}
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping

from monitor.core.decision import ActionLevel
from monitor.core.errors import ConfigError, Problem
from monitor.core.filekinds import FileKind, mistaken
from monitor.core.measures.spec import MeasureSpec
from monitor.core.rules.fields import Fields, duration_ns
from monitor.core.rules.grammar import PLAUSIBLE
from monitor.core.rules.rule import PARTS
from monitor.core.rules.rulebook import RuleBook
from monitor.core.trial.series import Series, SeriesError, parse_series
from monitor.core.trial.trial import Asked, Expectation, Trial, TrialFile
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    AlertState,
    EngineNs,
    Subject,
    SubjectKind,
    Verdict,
)
from monitor.core.yamltext import Path, Plain, YamlText, nearest, parse_yaml

# Any day does; engine times are nanoseconds since 1970.
DAY_ONE_NS = 1_767_225_600 * SECOND_NS  # 2026-01-01T00:00Z
DAY_NS = 86_400 * SECOND_NS
SPAN_NS_MAX = 400 * DAY_NS
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_FILE_KEYS = ("rulebook", "builtin", "tests")
_TEST_KEYS = ("name", "step", "start", "series", "expect")
_EXPECT_KEYS = (
    "at", "rule", "subject", "state", "verdict", "flags", "asks", "reentry_permitted", "episodes",
)  # fmt: skip
_FORMS = "a duration such as 5m or 24h 5m, or a time of the clock such as 10:35 where start is one"


class _Verdict(enum.StrEnum):
    """Verdicts as a person writes them."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"
    ERROR = "error"


def parse_trials(text: str, *, source: str, catalogue: Mapping[str, MeasureSpec]) -> TrialFile:
    """The tests of a file. Rules are looked up later, by ``check_rules``.

    Raises:
        ConfigError: With every mistake and its line.
    """
    doc = parse_yaml(text, source=source)
    if (other := mistaken(doc, FileKind.TESTS)) is not None:
        raise ConfigError([*doc.problems, other])
    problems = doc.problems
    data = doc.data if isinstance(doc.data, dict) else {}
    top = Fields(doc, (), data, "file", problems)
    if not isinstance(doc.data, dict) or not isinstance(data.get("tests"), list):
        top.problem("tests", "a file of rule tests has a list of them under `tests:`.")
    top.only_keys(_FILE_KEYS)
    rows = data.get("tests")
    trials = [
        _Reader(doc, ("tests", index), row, catalogue).trial()
        for index, row in enumerate(rows if isinstance(rows, list) else [])
    ]
    named = sorted(top.names("rulebook"), key=_listed(data)) if "rulebook" in data else []
    builtin = top.switch("builtin", default=True)
    if problems:
        raise ConfigError(list(problems))
    return TrialFile(
        source=source,
        builtin=builtin,
        rulebook=tuple(named),
        trials=tuple(trial for trial in trials if trial is not None),
    )


def _listed(data: Mapping[str, Plain]) -> Callable[[str], int]:
    names = data.get("rulebook")
    order = [str(name) for name in names] if isinstance(names, list) else []
    return order.index


def check_rules(file: TrialFile, book: RuleBook) -> None:
    """Refuse expectations about rules that do not exist, and subjects that they are not about.

    Raises:
        ConfigError: With every mistake and its line.
    """
    problems = []
    by_id = {rule.id: rule for rule in book.rules}
    for one in (expectation for trial in file.trials for expectation in trial.expect):
        rule = by_id.get(one.rule)
        if rule is None:
            what, near = f"{one.rule} is no rule of this book.", nearest(one.rule, by_id)
        elif not rule.matches(one.subject):
            what, near = f"{one.rule} is not about {one.subject}.", None
        else:
            continue
        problems.append(Problem(where=one.where, field="expect", message=what, nearest=near))
    if problems:
        raise ConfigError(problems)


class _Reader:
    """Reads one test."""

    def __init__(
        self, doc: YamlText, path: Path, row: Plain, catalogue: Mapping[str, MeasureSpec]
    ) -> None:
        self._doc, self._path, self._catalogue = doc, path, catalogue
        data = row if isinstance(row, dict) else {}
        label = str(data.get("name") or "test")
        self._fields = Fields(doc, path, data, label, doc.problems)
        if not isinstance(row, dict):
            self._fields.problem("", "a test is a mapping beginning with '- name:'.", found=row)

    def trial(self) -> Trial | None:
        """The test, or None where too little of it could be read."""
        fields = self._fields
        if not fields.data:
            return None
        fields.only_keys(_TEST_KEYS)
        name = fields.text("name", chars_max=200)
        if not name:
            fields.problem("", "name is missing: a few words on what must hold.")
        step_ns = fields.duration("step") or 60 * SECOND_NS
        start_ns, clock = self._start()
        return Trial(
            name=name,
            where=self._doc.where(self._path),
            start_ns=start_ns,
            step_ns=step_ns,
            series=self._series(),
            expect=self._expectations(start_ns, clock=clock),
        )

    def _start(self) -> tuple[EngineNs, bool]:
        text = self._fields.data.get("start")
        if text is None:
            return DAY_ONE_NS, False
        found = _clock_ns(str(text))
        if found is None:
            self._fields.problem("start", "is no time of the clock.", found=text, allowed="10:00")
        return DAY_ONE_NS + (found or 0), True

    def _series(self) -> tuple[tuple[str, Subject, Series], ...]:
        inner = self._fields.inner("series")
        if inner is None:
            return ()
        found = []
        for key, value in inner.data.items():
            name, _, about = key.partition(" ")
            subject = Subject(about.strip() or PORTFOLIO)
            spec = self._catalogue.get(name)
            if spec is None:
                near = nearest(name, self._catalogue)
                inner.problem(key, f"{name} is not a measure.", near=near)
            elif (kind := kind_of(subject)) is None:
                inner.problem(key, f"{subject} is no subject.", allowed=_subjects(spec))
            elif kind not in spec.kinds:
                inner.problem(
                    key, f"{name} is not measured for a {kind.value}.", allowed=_subjects(spec)
                )
            try:
                found.append((name, subject, parse_series(_entries(value))))
            except SeriesError as error:
                inner.problem(key, f"{error}.")
        return tuple(found)

    def _expectations(self, start_ns: EngineNs, *, clock: bool) -> tuple[Expectation, ...]:
        rows = self._fields.data.get("expect")
        if not isinstance(rows, list) or not rows:
            self._fields.problem("expect", "is missing: what must be so, at which times.")
            return ()
        found = (
            self._expectation(index, row, start_ns, clock=clock) for index, row in enumerate(rows)
        )
        return tuple(one for one in found if one is not None)

    def _expectation(
        self, index: int, row: Plain, start_ns: EngineNs, *, clock: bool
    ) -> Expectation | None:
        path: Path = (*self._path, "expect", index)
        data = row if isinstance(row, dict) else {}
        fields = Fields(self._doc, path, data, "expect", self._doc.problems)
        fields.only_keys(_EXPECT_KEYS)
        at_text = str(data.get("at", ""))
        at_ns = _at_ns(at_text, start_ns, clock=clock)
        if at_ns is None or not 0 <= at_ns - start_ns <= SPAN_NS_MAX:
            fields.problem("at", "must say when.", found=data.get("at"), allowed=_FORMS)
            at_ns = start_ns
        rule, subject = fields.text("rule"), Subject(fields.text("subject") or PORTFOLIO)
        if not rule:
            fields.problem("", "rule is missing: the id of a rule.")
        if kind_of(subject) is None:
            fields.problem("subject", "is no subject.", found=subject)
        if not data.keys() & set(_EXPECT_KEYS[3:]):
            fields.problem("", "expects nothing.", allowed=", ".join(_EXPECT_KEYS[3:]))
        return Expectation(
            at_ns=at_ns,
            at_text=at_text,
            where=self._doc.where(path),
            rule=rule,
            subject=subject,
            state=fields.choice("state", AlertState, None),
            verdict=_verdict(fields, "verdict"),
            flags=_flags(fields),
            asks=_asks(fields),
            reentry_permitted=fields.switch("reentry_permitted", default=False)
            if "reentry_permitted" in data
            else None,
            episodes=fields.integer("episodes", low=0, high=1000),
        )


def kind_of(subject: Subject) -> SubjectKind | None:
    """The kind that a subject's text names, where it names all its parts; None otherwise."""
    word, _, rest = subject.partition(":")
    if word == SubjectKind.PORTFOLIO:
        return None if rest else SubjectKind.PORTFOLIO
    try:
        kind = SubjectKind(word)
    except ValueError:
        return None
    names = PARTS.get(kind, ())
    parts = rest.split("/", max(len(names) - 1, 0))
    return kind if names and len(parts) == len(names) and all(parts) else None


def _subjects(spec: MeasureSpec) -> str:
    forms = (
        ":".join(
            part
            for part in (kind.value, "/".join(word.upper() for word in PARTS.get(kind, ())))
            if part
        )
        for kind in spec.kinds
    )
    return ", ".join(forms)


def _entries(value: Plain) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SeriesError("a series is written as text: 0.4 0.4 _x3 0.5")
    return str(value)


def _clock_ns(text: str) -> int | None:
    match = _CLOCK.fullmatch(text)
    if match is None or int(match[2]) > 59 or int(match[3] or 0) > 59:
        return None
    return (int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0)) * SECOND_NS


def _at_ns(text: str, start_ns: EngineNs, *, clock: bool) -> EngineNs | None:
    """Engine time of ``24h 5m`` after the start, of ``0``, or of a time of the clock."""
    if clock and (found := _clock_ns(text)) is not None:
        at_ns = start_ns - start_ns % DAY_NS + found
        return at_ns if at_ns >= start_ns else at_ns + DAY_NS
    if text == "0":
        return start_ns
    parts = [duration_ns(part) for part in text.split()]
    if not parts or None in parts:
        return None
    return start_ns + sum(part for part in parts if part is not None)


def _verdict(fields: Fields, key: str) -> Verdict | None:
    value = fields.data.get(key)
    if isinstance(value, bool):  # YAML takes true and false for its own
        return Verdict.TRUE if value else Verdict.FALSE
    found = fields.choice(key, _Verdict, None)
    return None if found is None else Verdict(found.value)


def _flags(fields: Fields) -> tuple[tuple[str, Verdict], ...]:
    inner = fields.inner("flags")
    if inner is None:
        return ()
    read = ((name, _verdict(inner, name)) for name in inner.data)
    return tuple((name, verdict) for name, verdict in read if verdict is not None)


def _asks(fields: Fields) -> Asked | None:
    value = fields.data.get("asks")
    if value is None:
        return None
    if value == "none":
        return Asked(level=ActionLevel.PAGE)
    inner = fields.inner("asks")
    if inner is None:
        return None
    inner.only_keys({"level", "gross_to", "gross_to_usd", "scope", "capped"})
    level = inner.choice("level", ActionLevel, None)
    if level is None:
        inner.problem("level", "is missing.", allowed=", ".join(ActionLevel))
        return None
    return Asked(
        level=level,
        gross_to_ratio=inner.number("gross_to", low=0.0, high=0.99),
        gross_to_usd=inner.number("gross_to_usd", low=0.0, high=PLAUSIBLE),
        scope=Subject(inner.text("scope")) if "scope" in inner.data else None,
        capped=inner.switch("capped", default=False) if "capped" in inner.data else None,
    )
