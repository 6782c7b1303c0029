"""Numbers and names as a trader reads them. Percent exists only here and in what is built on it.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

from monitor.core.decision import ActionLevel, CitedReading, KillRequest
from monitor.core.measures.spec import Unit
from monitor.core.rules.expression import Comparison
from monitor.core.types import Subject, rules_in

UNKNOWN = "unknown"
MULTIPLE = ("x",)
# What each action does to its scope, as a past participle and as an infinitive.
DONE = {
    ActionLevel.HOLD: ("held {scope} (reduce only)", "hold {scope} (reduce only)"),
    ActionLevel.BLOCK_NEW: ("blocked new risk on {scope}", "block new risk on {scope}"),
    ActionLevel.CUT: ("cut gross of {scope} to {gross}", "cut gross of {scope} to {gross}"),
    ActionLevel.HALT: ("halted {scope}", "halt {scope}"),
    ActionLevel.FLATTEN: ("flattened {scope}", "flatten {scope}"),
}
# What a name says that the number after it says again.
_UNIT_ENDINGS = {
    Unit.RATIO: "_ratio",
    Unit.USD: "_usd",
    Unit.SECONDS: "_s",
    Unit.BASE: "_base",
    Unit.COUNT: "_count",
}
_NAMES_MAX = 2


def percent(ratio: float) -> str:
    """``32 %`` for 0.32, four significant digits."""
    return f"{ratio * 100:.4g} %"


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``, ``2.1 d``."""
    size = abs(seconds)
    if size < 1:
        return f"{seconds * 1000:.3g} ms"
    if size < 120:
        return f"{seconds:.3g} s"
    if size < 7200:
        return f"{seconds / 60:.3g} min"
    if size < 172800:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 86400:.3g} d"


def number(value: float | None, unit: str, words: Sequence[str] = ()) -> str:
    """A value with its unit as a trader reads it; ``unknown`` for None.

    ``words`` are those of ``MeasureSpec``.
    """
    if value is None:
        return UNKNOWN
    match unit:
        case Unit.RATIO:
            return f"{value:.3g}x" if tuple(words) == MULTIPLE else percent(value)
        case Unit.PER_HOUR:
            return f"{percent(value)}/h"
        case Unit.PER_YEAR:
            return f"{percent(value)}/yr"
        case Unit.USD:
            return f"{'-' if value < 0 else ''}${_grouped(abs(value))}"
        case Unit.POINTS:
            return f"{value:.3g}"
        case Unit.SECONDS:
            return duration(value)
        case Unit.BOOL:
            yes, no = words if len(words) == 2 else ("yes", "no")
            return yes if value >= 0.5 else no
        case Unit.COUNT:
            noun = (f" {words[0]}" if value == 1.0 else f" {words[1]}") if len(words) == 2 else ""
            # Whole ones are counted; sigmas are not, and four digits say enough of them.
            return f"{value:.{6 if value.is_integer() else 4}g}{noun}"
        case _:
            return _grouped(value)


def _grouped(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def cited(reading: CitedReading) -> str:
    """A reading's number, with a tilde where it was estimated, and what its measure says of it."""
    text = remark(reading)
    return f"{_said(reading)}, {text}" if text else _said(reading)


def remark(reading: CitedReading) -> str:
    """What a measure says beside its number: the first line of its own text."""
    return "" if reading.unit == Unit.BOOL else _own_text(reading)


def _said(reading: CitedReading) -> str:
    """The number; what is true or false the measure's own text says alone, where there is one."""
    if reading.unit == Unit.BOOL and (text := _own_text(reading)):
        return text
    return ("~" if reading.estimated else "") + number(reading.value, reading.unit, reading.words)


def _own_text(reading: CitedReading) -> str:
    """Its first line. Of another rule that tells whom it fires about, which is more than a page has
    room for, unless it is asked about one asset alone."""
    other = reading.subject.startswith("rule:") and "@" not in reading.subject
    return "" if other else reading.text.partition("\n")[0]


def label(reading: CitedReading) -> str:
    """``account age`` for ``account_age_s``: the unit stands with the number."""
    if reading.subject.startswith("rule:"):  # another rule's state: which rule is what matters
        first, *others = rules_in(reading.subject.removeprefix("rule:"))
        more = f" or {len(others)} more" if others else ""
        return f"{first.replace('_', ' ')}{more}"
    ending = _UNIT_ENDINGS.get(Unit(reading.unit), "") if reading.unit else ""
    return reading.measure.removesuffix(ending).replace("_", " ")


def against(comparison: Comparison, reading: CitedReading) -> str:
    """A number with the limit that made it count: ``32 % >= 30 %`` while the relation holds,
    ``28 %, limit 30 %`` where it does not any more.

    What is true or false is said in words, and a count in words with what is allowed.
    """
    told = _said(reading)
    if reading.unit == Unit.BOOL:
        named = not reading.words or reading.subject.startswith("rule:")
        return f"{label(reading)} {told}" if named and not _own_text(reading) else told
    holds = reading.value is not None and comparison.holds(reading.value)
    if comparison.limit != 0.0:
        return told + _limit(comparison, reading, holds=holds)
    told = f"{label(reading)} {told}"
    if reading.value == 0.0:  # a position is closed, nothing is projected: that says it
        return told
    return f"{told} {comparison.op} 0" if holds else f"{told}, limit 0"


def _limit(comparison: Comparison, reading: CitedReading, *, holds: bool) -> str:
    value, limit = reading.value, comparison.limit
    if reading.unit == Unit.COUNT and reading.words and value is not None and value.is_integer():
        if limit == 1.0 and comparison.op in {">=", "<"}:
            return " (limit 0)"
        if comparison.op in {">=", ">"}:
            most = float(floor(limit)) if comparison.op == ">" else limit
            return f" (limit {number(most, Unit.COUNT)})"
    text = number(limit, reading.unit, () if reading.unit == Unit.COUNT else reading.words)
    return f" {comparison.op} {text}" if holds else f", limit {text}"


def listed(texts: Sequence[str]) -> str:
    """``a, b and 3 more``."""
    more = len(texts) - _NAMES_MAX
    return ", ".join(texts[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")


def scope_text(subject: Subject) -> str:
    """``account hyperliquid/main`` for ``account:hyperliquid/main``."""
    kind, _, parts = subject.partition(":")
    return f"{kind} {parts}" if parts else kind


def target_text(ratio: float | None, usd: float | None, *, over_s: float = 0.0) -> str:
    """What a cut leaves: ``70 %``, or ``$812,000``; ``over 60 min`` where it takes a time."""
    left = percent(ratio or 0.0) if usd is None else number(usd, Unit.USD)
    return f"{left} over {duration(over_s)}" if over_s > 0.0 else left


def request_text(request: KillRequest) -> str:
    """What a firing rule asked for, as something done: ``held account dydx/main (reduce only)``."""
    done, _ = DONE.get(request.level, (request.level.value + " {scope}", ""))
    gross = target_text(request.gross_to_ratio, request.gross_to_usd, over_s=request.over_s)
    text = done.format(scope=scope_text(request.scope), gross=gross)
    return f"{text}, held back: estimated numbers" if request.capped_by_estimate else text
