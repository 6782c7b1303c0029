"""Limits of one rulebook that cannot all be meant: leverage that breaks its own drawdown limit, and
ladders whose deeper rung keeps more. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterator, Set

import msgspec

from monitor.core.decision import ActionLevel
from monitor.core.formulas.leverage import find_contradictions
from monitor.core.rules.checks import expressions_of
from monitor.core.rules.rule import Rule
from monitor.core.rules.rulebook import RuleBook
from monitor.core.types import SubjectKind

LEVERAGES = frozenset({"leverage", "leverage_net"})
_DRAWDOWN, _RATIO = "drawdown", "_ratio"
_REDUCING = frozenset({ActionLevel.CUT, ActionLevel.HALT, ActionLevel.FLATTEN})


class Limit(msgspec.Struct, frozen=True):
    """Where a rule about the whole book begins: the measure reaches ``at`` from below."""

    rule: Rule
    measure: str
    at: float


def contradictions(
    book: RuleBook,
    own: Set[str] | None = None,
    *,
    volatility_target: float | None = None,
    gross_max: float | None = None,
    shipped: Set[str] = frozenset(),
) -> tuple[str, ...]:
    """Sentences with file and line. With ``own`` only what a rule of these files takes part in:
    that the limits riskd ships are tight for a book without hedges is told where they are
    described. ``volatility_target`` (a year) and ``gross_max`` are what the whole book may have;
    None where nothing is known of it. Those named in ``shipped`` are riskd's own, and told only
    against a rule of ``own``."""
    limits = [limit for rule in book.rules for limit in _limits(rule)]
    found = [
        *_leverage(limits, own),
        *_target(limits, volatility_target, own if "volatility_target" in shipped else None),
        *_gross(limits, gross_max, own if "gross_max" in shipped else None),
        *_ladders(limits, own),
    ]
    return tuple(dict.fromkeys(found))


def _limits(rule: Rule) -> Iterator[Limit]:
    if rule.for_each is not SubjectKind.PORTFOLIO or rule.level is ActionLevel.PAGE:
        return
    for where, expression in expressions_of(rule):
        if where == "when" or where.startswith("flags"):
            for one in expression.comparisons:
                if one.op in {">", ">="}:
                    yield Limit(rule, one.name, one.limit)


def _leverage(limits: list[Limit], own: Set[str] | None) -> Iterator[str]:
    """The highest leverage that no rule stops, against the deepest loss that one stops: where even
    these two contradict, all others do."""
    allowed = min((one for one in limits if one.measure in LEVERAGES), key=_at, default=None)
    deepest = _deepest(limits)
    if allowed is None or deepest is None or not _concerns(own, allowed, deepest):
        return
    if allowed.at <= 0.0:
        return
    text = find_contradictions(leverage=allowed.at, drawdown_ratio=deepest.at)
    if text:
        yield f"{allowed.rule.where}: {allowed.rule.id} and {deepest.rule.id}: {text}."


def _target(
    limits: list[Limit], volatility_target: float | None, own: Set[str] | None
) -> Iterator[str]:
    """A book at its own target of volatility against the deepest loss that a rule stops."""
    deepest = _deepest(limits)
    if volatility_target is None or deepest is None or not _concerns(own, deepest):
        return
    text = find_contradictions(leverage=1.0, drawdown_ratio=deepest.at, sigma=volatility_target)
    if text:
        yield f"configuration: leverage.volatility_target and {deepest.rule.id}: {text}."


def _gross(limits: list[Limit], gross_max: float | None, own: Set[str] | None) -> Iterator[str]:
    """All the gross that the configuration allows, were none of it hedged, against the same."""
    deepest = _deepest(limits)
    if gross_max is None or deepest is None or not _concerns(own, deepest):
        return
    text = find_contradictions(leverage=gross_max, drawdown_ratio=deepest.at)
    if text:
        yield (
            f"configuration: leverage.gross_max and {deepest.rule.id}: {text}, unless the book is "
            "hedged."
        )


def _deepest(limits: list[Limit]) -> Limit | None:
    """The last rung that reduces the book by itself."""
    stops = [
        one
        for one in limits
        if one.rule.level in _REDUCING and _is_drawdown(one) and 0.0 < one.at < 1.0
    ]
    return max(stops, key=_at, default=None)


def _ladders(limits: list[Limit], own: Set[str] | None) -> Iterator[str]:
    """Of two cuts on one measure the deeper must not leave more."""
    cuts = sorted((one for one in limits if one.rule.gross_to_ratio is not None), key=_at)
    for index, low in enumerate(cuts):
        for high in cuts[index + 1 :]:
            keeps, kept = high.rule.gross_to_ratio or 0.0, low.rule.gross_to_ratio or 0.0
            never = high.measure == low.measure and high.at > low.at and keeps > kept
            if never and _concerns(own, low, high):
                yield (
                    f"{high.rule.where}: {high.rule.id} begins later than {low.rule.id} "
                    f"({low.measure} {high.at:g} after {low.at:g}) and leaves more of gross "
                    f"({keeps:g}, {kept:g}): it never matters."
                )


def _is_drawdown(limit: Limit) -> bool:
    return limit.measure.startswith(_DRAWDOWN) and limit.measure.endswith(_RATIO)


def _concerns(own: Set[str] | None, *limits: Limit) -> bool:
    return own is None or any(one.rule.where.rpartition(":")[0] in own for one in limits)


def _at(limit: Limit) -> float:
    return limit.at
