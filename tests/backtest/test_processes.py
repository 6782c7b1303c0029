"""A run in several processes: what a child sends, and what becomes of one that dies."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from monitor.backtest.history import Settlement
from monitor.backtest.judge import Ruling
from monitor.backtest.processes import run_backtest
from monitor.backtest.rules import HourlyRules, hourly_rules
from monitor.backtest.run import Task, in_order
from monitor.backtest.settings import default_book
from monitor.core.errors import MonitorError
from tests.backtest.past import in_memory

HOURS = 30
RULES = """\
mine:
  - {id: hot, for_each: portfolio, summary: Hot, when: leverage >= 0.5,
     confirm: {need: 2, of: 2, apart: 20s}, severity: critical,
     do: {level: cut, gross_to: 0.50}, scope: portfolio}
"""


@dataclass(slots=True, frozen=True)
class Deadly(HourlyRules):
    """Rules of which the later arms die: nothing else asks for ``acting``."""

    def acting(self) -> tuple[tuple[str, str], ...]:
        """The end."""
        os._exit(3)


def task(*, deadly: bool = False) -> Task:
    """A day and a bit of one asset under one rule."""
    rules = hourly_rules([("mine.yaml", RULES)])
    if deadly:
        rules = Deadly(rules.files, rules.book, rules.left_out, rules.widened)
    return Task(
        history=in_memory(
            {"AAA": [100.0 + hour % 5 for hour in range(HOURS)]},
            {("binance", "AAA"): {hour: Settlement(0.0001, 8) for hour in range(0, HOURS, 8)}},
        ),
        rules=rules,
        settings=default_book(("AAA",)),
        venues=("binance",),
        measures=(),
    )


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_every_arm_comes_back(jobs: int) -> None:
    """In the task's order, with its path, and progress never runs ahead of the slowest."""
    told: list[str] = []
    done: list[int] = []
    result = run_backtest(
        task(),
        tell=lambda arm, _ruling: told.append(arm),
        progress=lambda hours, _whole: done.append(hours),
        jobs=jobs,
    )
    assert [arm.name for arm in result.arms] == [
        *("none", "rules_0m", "rules_15m", "rules_60m", "always", "trigger"),
    ]
    assert all(len(arm.equity) == HOURS for arm in result.arms)
    assert [arm.judged for arm in result.arms] == [False, True, True, True, False, False]
    assert set(told) == {"rules_0m", "rules_15m", "rules_60m"}
    assert done == sorted(done)
    assert done[-1] == HOURS


def test_a_process_that_dies_ends_the_run() -> None:
    """With a sentence, and nobody waits for it."""
    with pytest.raises(MonitorError, match="process of the backtest died"):
        run_backtest(task(deadly=True), tell=lambda _arm, _ruling: None, jobs=2)


def test_what_was_told_apart_is_put_in_order() -> None:
    """By hour, then by arm; what one engine said in one hour stays as it came."""
    names = ["rules_0m", "rules_60m"]
    one, two, three, four = (Ruling(at, (), ()) for at in (3, 1, 2, 4))
    first = [(0, "rules_0m", one), (0, "rules_0m", two), (1, "rules_0m", three)]
    assert in_order([(0, "rules_60m", four), *first], names) == [
        *first[:2],
        (0, "rules_60m", four),
        first[2],
    ]
