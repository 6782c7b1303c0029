"""Whatever a built-in rule reads can be worked out by hand, or it says here why it need not."""

from __future__ import annotations

from monitor.core.measures.catalogue import CATALOGUE, DEFINITIONS
from monitor.core.measures.definition import Key
from monitor.core.measures.looking import WORKINGS
from monitor.core.rules import parse_rulebook
from monitor.core.rules.checks import VISIBLE
from monitor.core.types import SubjectKind
from monitor.rulebook import builtin_files

_TOLD = "a fact as the venue told it: the screen shows it with its age"
_AGE = "seconds since something: the screen shows them, and there is nothing to compute"
_NAMED = "what is counted or found is named beside the value, each with its numbers"
_SET = "a setting of the desk"
_P, _V, _A = SubjectKind.PORTFOLIO, SubjectKind.VENUE, SubjectKind.ACCOUNT
WITHOUT: dict[Key, str] = {
    ("account_age_s", _A): _AGE,
    ("block_age_s", _V): _AGE,
    ("oracle_age_s", SubjectKind.MARKET): _AGE,
    ("oracle_unchanged_s", _V): _AGE,
    ("funding_stress_unknown_s", _P): _AGE,
    ("clock_skew_s", _V): _TOLD,
    ("venue_healthy", _V): _TOLD,
    ("market_active", SubjectKind.MARKET): _TOLD,
    ("margin_terms_changed", SubjectKind.MARKET): _NAMED,
    ("news_flag", _P): _NAMED,
    ("news_flag_own", SubjectKind.ASSET): _NAMED,
    ("assets_worse_count", _P): _NAMED,
    ("channels_lost", _V): _NAMED,
    ("connections_lost", _V): _NAMED,
    ("feeds_silent", _V): _NAMED,
    ("hedge_legs_lost", SubjectKind.HEDGE_SET): _NAMED,
    ("equity_suspect", _A): _NAMED,
    ("hedge_leg_taken", SubjectKind.HEDGE_SET): "yes or no: the legs are named by hedge_legs_lost",
    ("feed_rejected_frames", SubjectKind.FEED): "a count of frames that said nothing to us",
    (
        "funding_settlements_below_exit",
        _P,
    ): "a count of hours in which the index was below its exit",
    ("funding_common_factor_ratio", _P): (
        "the first eigenvalue of the correlations of twenty markets over ninety means of eight "
        "hours: no sum that fits a screen"
    ),
    ("bucket_contingency", SubjectKind.BUCKET): _SET,
    ("collateral_reach_s", _A): _SET,
}


def read_by_rules() -> set[Key]:
    """(measure, kind of subject) of everything that a condition or a target of a built-in rule
    reads, resolved as the runner does: the nearest kind that has it."""
    found = set()
    for rule in parse_rulebook(builtin_files(), CATALOGUE).rules:
        names = {*rule.measures, *([rule.gross_to_measure] if rule.gross_to_measure else [])}
        for name in names:
            kind = next(one for one in VISIBLE[rule.for_each] if (name, one) in DEFINITIONS)
            found.add((name, kind))
    return found


def has_workings(key: Key) -> bool:
    """Whether somebody who asks is told the steps."""
    return DEFINITIONS[key].arithmetic is not None or key in WORKINGS


def test_every_measure_that_a_rule_reads_can_be_worked_out() -> None:
    """A new one without steps is told here by name, with its kind."""
    missing = {key for key in read_by_rules() if not has_workings(key)} - WITHOUT.keys()
    assert sorted(missing) == []


def test_no_exception_outlives_its_reason() -> None:
    """What has steps by now, or is read no more, is no exception."""
    read = read_by_rules()
    assert [key for key in WITHOUT if has_workings(key) or key not in read] == []
    assert all(WITHOUT.values())


def test_what_is_named_has_words() -> None:
    """An exception because the text names it holds only while there is such a text."""
    named = [key for key, why in WITHOUT.items() if why == _NAMED]
    assert [key for key in named if DEFINITIONS[key].detail is None] == []
