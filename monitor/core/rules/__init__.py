"""Rules: conditions over measures, their life cycle, the rulebook, words for people. *Pure.*"""

from __future__ import annotations

from monitor.core.rules.describe import describe
from monitor.core.rules.evidence import Read
from monitor.core.rules.lifecycle import carried_over, rearmed, restored, step
from monitor.core.rules.rule import NEW, Rule, RuleInput, RuleState, Step, scope_subject
from monitor.core.rules.rulebook import RuleBook, parse_rulebook

__all__ = [
    "NEW",
    "Read",
    "Rule",
    "RuleBook",
    "RuleInput",
    "RuleState",
    "Step",
    "carried_over",
    "describe",
    "parse_rulebook",
    "rearmed",
    "restored",
    "scope_subject",
    "step",
]
