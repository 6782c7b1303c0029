"""Every built-in rule as a line of ``table.txt``: what it asks for, how long it waits, its limits.

A change of any of them is a change of what a desk is told or does: it shows here, beside the rule.
After a change that is meant, print the table anew: ``python -m tests.rulebook.test_table``.
"""

from __future__ import annotations

from pathlib import Path

from monitor.cli.generated import asked
from monitor.core.rules import Rule
from monitor.core.rules.expression import Expression
from tests.rulebook.test_catalogue import BOOK

TABLE = Path(__file__).parent / "table.txt"
UNITS = (("d", 86_400), ("h", 3600), ("m", 60))


def lasting(nanoseconds: int) -> str:
    """``1d``, ``90s``, or ``-`` for no time at all."""
    seconds = nanoseconds / 1e9
    for unit, size in UNITS:
        if seconds and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s" if seconds else "-"


def limits(expression: Expression | None) -> str:
    """The numbers that a condition compares with, in order."""
    found = () if expression is None else expression.comparisons
    return ",".join(f"{one.limit:g}" for one in found) or "-"


def line(rule: Rule) -> str:
    """Severity, level, target, scope, mode; for, confirm, keep_firing_for; limits in and out."""
    level, target, scope, mode = asked(rule)
    confirm = rule.confirm
    twice = "-"
    if confirm is not None:
        twice = f"{confirm.need}/{confirm.of}@{lasting(confirm.apart_ns)}"
    flags = " ".join(limits(expression) for _, expression in rule.flags)
    words = (
        f"{rule.id}: {rule.severity.value}",
        *(word for word in (level, target, scope, mode) if word),
        f"| {lasting(rule.for_ns)} {twice} {lasting(rule.keep_firing_for_ns)}",
        f"| {flags or limits(rule.when)} | {limits(rule.until)}",
    )
    return " ".join(words)


def table() -> str:
    """All rules by name."""
    return "".join(f"{text}\n" for text in sorted(map(line, BOOK.rules)))


def test_every_rule_asks_waits_and_begins_as_it_did() -> None:
    """No rule is missing, none is new, none has another limit, time, level, scope or target."""
    assert table().splitlines() == TABLE.read_text().splitlines()


if __name__ == "__main__":
    TABLE.write_text(table())
