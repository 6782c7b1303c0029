"""What ``riskd explain`` prints under a number, done again as a person would with a calculator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import exp, log, sqrt

import pytest

from monitor.core.measures.catalogue import DEFINITIONS
from monitor.core.types import SECOND_NS, Subject, subject_kind
from tests.core.desk import Desk

Lines = tuple[str, ...]
ROOM = 2e-5  # of what eight digits and cents leave over
RULE = """\
- id: {id}
  for_each: {kind}
  summary: {name}
  when: {name} >= {limit:.9f}
  severity: info
"""
_STEP = re.compile(r": ([^:]*) = (-?[\d.,e+-]+)$")
_WHOSE = re.compile(r"(?<=[\d)]) \([^()]*\)")


def by_hand(expression: str) -> float:
    """``(1,200.50 - 3 x 2) / |5 - 9|`` as a number; whose a number is, behind it in brackets, is
    no part of the sum."""
    text = _WHOSE.sub("", expression).replace(",", "").replace(" x ", " * ").replace("^", "**")
    text = re.sub(r"\|([^|]+)\|", r"abs(\1)", text)
    assert re.fullmatch(r"(?:[\d.e+\-*/() ]|ln|sqrt|abs|exp)+", text), expression
    words = {"ln": log, "sqrt": sqrt, "abs": abs, "exp": exp}
    return float(eval(text, {"__builtins__": {}}, words))  # noqa: S307 - digits and operators only, as the line above made sure


def sums(lines: Lines) -> Iterator[tuple[float, float]]:
    """(done by hand, as printed) of every line that is a sum."""
    for line in lines:
        found = _STEP.search(line)
        if found is not None:
            yield by_hand(found[1]), float(found[2].replace(",", ""))


def right(lines: Lines) -> list[float]:
    """The printed results, each of which is what its line says."""
    found = list(sums(lines))
    for done, printed in found:
        assert done == pytest.approx(printed, rel=ROOM, abs=ROOM * 0.05), lines
    return [printed for _, printed in found]


def worked(desk: Desk, name: str, subject: Subject) -> tuple[float, Lines]:
    """A measure's value and its steps, through a rule about it, as people are shown them."""
    limit = max(DEFINITIONS[name, subject_kind(subject)].spec.typical)
    kind = subject_kind(subject).value
    desk.load(RULE.format(id="worked", kind=kind, name=name, limit=limit))
    desk.evaluate()
    desk.now += SECOND_NS  # what is looked at once a second has been
    desk.evaluate()
    seen = desk.engine.explain("worked", subject, desk.now)
    assert seen is not None
    (one,) = seen.inputs
    assert one.reading.value is not None, one.reading.reason
    return one.reading.value, one.arithmetic


def adds_up(desk: Desk, name: str, subject: Subject) -> Lines:
    """The steps, each of them right and the last one the value."""
    value, lines = worked(desk, name, subject)
    results = right(lines)
    assert results, f"{name} of {subject} shows no sum: {lines}"
    assert abs(results[-1]) == pytest.approx(abs(value), rel=1e-6, abs=1e-7), lines
    return lines
