"""The check table of the catalogue of rules, section 9: every row, and where it is played.

A row is played where what it is about lives: prices, books and accounts in ``tests/core``, rules in
the trials of this folder, targets and latches here. No row may go missing, and none may be played
with other numbers than its own.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import DaemonMode
from monitor.core.killswitch.trading import Trading, trading_state
from monitor.core.types import PORTFOLIO, AlertState
from tests.core.killswitch.kill_desk import World
from tests.core.stress_desk import EXAMPLE, StressDesk, Told
from tests.rulebook.test_catalogue import BOOK
from tests.rulebook.test_coverage import NOT_EVALUATED

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Row(NamedTuple):
    """What the row says, its numbers as its tests write them, and those tests: ``module::function``
    or ``file.yaml::name``; none where ``not_evaluated`` names the rule."""

    says: str
    numbers: tuple[str, ...] = ()
    played: tuple[str, ...] = ()
    not_evaluated: str = ""


ROWS = (
    Row(
        "FSI 61, 61 five minutes apart, gross 500 000: stress, target 350 000",
        ("61 61", "at: 5m", "500_000", "350_000"),
        (
            "funding_stress.yaml::an index of 61 twice, five minutes apart",
            "tests.rulebook.test_section9::test_a_gross_of_500_000_is_cut_to_350_000",
        ),
    ),
    Row(
        "then FSI 29 for 23 h 59: still stress",
        ("29x290", "24h 9m"),  # the 23 h 59 begin at ten minutes
        ("funding_stress.yaml::then 29 for 23 h 59 is still stress",),
    ),
    Row(
        "then missing data for 2 h, FSI 29 after: the timer restarts",
        ("_x24", "step: 5m", "29x290"),
        ("funding_stress.yaml::missing data for two hours starts the timer anew",),
    ),
    Row(
        "FSI 69.31 of the worked example, coverage 55 %: unknown, no transition",
        ("69.31", "45 / 55"),
        ("tests.rulebook.test_section9::test_an_index_of_69_31_at_a_coverage_of_55_percent",),
    ),
    Row(
        "flags A and B together 5 min, C and D false: ANY_TWO, level 2, a 15 % cut proposed",
        ("level: block_new", "gross_to: 0.85", "liquidity: true", "volatility: false"),
        ("any_two.yaml::funding and liquidity together five minutes",),
    ),
    Row(
        "A 10:00-10:10, C from 10:30: both count 10:30-10:40, fires at 10:35",
        ("40x10", '"10:30"', '"10:35"', '"10:40"'),
        ("any_two.yaml::A until 10:10 and C from 10:30",),
    ),
    Row(
        "the same with C from 10:37: no fire",
        ("40x10", "0.5x37", '"10:37"', "episodes: 0"),
        ("any_two.yaml::the same with C from 10:37",),
    ),
    Row(
        "leverage 1.06 of a cap of 1.00 fires, at 0.96 holds, at 0.95 for 1 h clears",
        ("1.06x3", "0.96x70", "0.95x61"),
        ("section9.yaml::leverage 1.06 of a cap of 1 fires",),
    ),
    Row(
        "drawdown .081: rung 2, cut to 70 %, no adds",
        ("0.081x4", "gross_to: 0.70", "REDUCE_ONLY"),
        (
            "section9.yaml::a drawdown of 8.1 % is the second rung",
            "tests.rulebook.test_section9::test_the_second_rung_lets_nobody_add",
        ),
    ),
    Row(
        "contingency of 24.9 %, target 25, -0: BUCKET_BAND high",
        ("75_100.0, 24_900.0", "0.249", "high"),
        (
            "tests.core.test_buckets::test_section_9_contingency",
            "section9.yaml::a contingency of 24.9 %",
        ),
    ),
    Row(
        "hedge +100 000/-93 000: 3.6 %, fine; +100 000/-85 000: 8.1 %, fires after 60 s",
        ("1.0, 0.93", "7 / 193", "0.85", "0.081", "193000", "185000"),
        (
            "tests.core.test_hedges::test_section_9_mismatch",
            "section9.yaml::a hedge of +100 000/-93 000 is fine",
        ),
    ),
    Row(
        "BTC oracle 101.1 of a median of 100.0 for 60 s, feed deviation 0.5 %; at 100.6 not",
        ("101.1, 1.1", "100.6, 0.6", "(HL, 0.005)", "0.6x6 1.1x6"),
        (
            "tests.core.test_oracles::test_the_row_of_the_check_table",
            "section9.yaml::an oracle at 101.1 of a median of 100.0",
        ),
    ),
    Row("reach 129 167 of a required 120 000: 1.076, amber", not_evaluated="BUFFER"),
)


def text_of(place: str) -> str:
    """The test itself as written: a trial with its name, or a function with its decorators."""
    where, _, name = place.partition("::")
    if where.endswith(".yaml"):
        _, found, rest = (HERE / where).read_text(encoding="utf-8").partition(f"- name: {name}")
        assert found, f"{where} has no trial {name!r}"
        return rest.partition("- name: ")[0]
    text = ROOT.joinpath(*where.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            first = min((one.lineno for one in node.decorator_list), default=node.lineno)
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise AssertionError(f"{where} has no {name}")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
def test_every_row_is_played_with_its_own_numbers(row: Row) -> None:
    """Or is of a rule that is told not to be evaluated."""
    assert bool(row.played) is not bool(row.not_evaluated)
    assert not row.not_evaluated or row.not_evaluated in NOT_EVALUATED
    texts = "\n".join(map(text_of, row.played))
    assert [one for one in row.numbers if one not in texts] == []


def test_thirteen_rows() -> None:
    """As many as the table has."""
    assert len(ROWS) == 13


# ------------------------------------------------------------------- rows that nobody else plays


def test_a_gross_of_500_000_is_cut_to_350_000() -> None:
    """By the rule's own share, proposed to a person first; nothing is sent before the word."""
    rule = BOOK.get("funding_stress")
    assert rule is not None
    world = World().hold(BTC="5")  # at 100 000 USD
    world.ask(rule=rule.id, gross_to=rule.gross_to_ratio, mode=rule.mode)
    assert world.run(60).sizes() == {"BTC": "5"}
    (proposal,) = world.machine.state.proposals
    world.approve(proposal)
    world.run(60)
    latch = world.latch()
    assert (latch.baseline_usd, latch.goal_usd) == (500_000.0, pytest.approx(350_000.0))
    assert world.sizes() == {"BTC": "3.5"}


def test_the_second_rung_lets_nobody_add() -> None:
    """A cut is REDUCE_ONLY at least, for the whole book, until a person clears it."""
    rule = BOOK.get("drawdown_8")
    assert rule is not None
    world = World().hold(BTC="5")
    world.ask(rule=rule.id, gross_to=rule.gross_to_ratio)
    state = trading_state(world.machine.state, DaemonMode.ARMED, world.now)
    assert (state.trading, state.level) == (Trading.REDUCE_ONLY, Level.CUT)
    world.run(60)
    assert world.sizes() == {"BTC": "3.5"}
    assert trading_state(world.machine.state, DaemonMode.ARMED, world.now).trading is (
        Trading.REDUCE_ONLY
    )


STRESS = """
funding:
  - id: stress
    for_each: portfolio
    summary: Stress
    when: funding_stress_index >= 60.0
    severity: critical
"""


def test_an_index_of_69_31_at_a_coverage_of_55_percent() -> None:
    """The worked example fires; beside an asset that makes it 55 % of open interest the index is
    not low but unknown: nothing begins, and what began stays."""
    dark = Told("NEW", 0.1, 0.0, 0.0, open_interest_usd=5e6 * 45 / 55)
    desk = StressDesk(*EXAMPLE, rules=STRESS)
    assert desk.after("funding_stress_index", PORTFOLIO) == pytest.approx(69.31, abs=5e-3)
    for covered in (desk, StressDesk(*EXAMPLE, rules=STRESS)):
        covered.join(dark, history=5)
        decision = covered.later(60).evaluate()
        (one,) = covered.engine.rule_states()
        began = covered is desk
        assert one.state.unknown_since_ns is not None
        assert one.state.state is (AlertState.FIRING if began else AlertState.INACTIVE)
        assert decision.transitions == ()
        assert covered.value("funding_stress_index", PORTFOLIO) is None
        assert covered.value("funding_stress_coverage_ratio", PORTFOLIO) == pytest.approx(0.55)
