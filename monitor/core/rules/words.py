"""Numbers and names as a trader reads them. Percent exists only here and in what is built on it.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Sequence

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
        case Unit.SECONDS:
            return duration(value)
        case Unit.BOOL:
            yes, no = words if len(words) == 2 else ("yes", "no")
            return yes if value >= 0.5 else no
        case Unit.COUNT:
            noun = (f" {words[0]}" if value == 1.0 else f" {words[1]}") if len(words) == 2 else ""
            return f"{value:.6g}{noun}"
        case _:
            return _grouped(value)


def _grouped(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def cited(reading: CitedReading) -> str:
    """A reading's number, with a tilde where it was estimated; the first line of its own text where
    it has one."""
    if _whole(reading):
        return reading.text.partition("\n")[0]
    return ("~" if reading.estimated else "") + number(reading.value, reading.unit, reading.words)


def _whole(reading: CitedReading) -> bool:
    """Whether its own text says it; of another rule that tells whom it fires about, which is more
    than a first line has room for, unless it is asked about one asset alone."""
    other = reading.subject.startswith("rule:")
    return bool(reading.text) and (not other or "@" in reading.subject)


def label(reading: CitedReading) -> str:
    """``account age`` for ``account_age_s``: the unit stands with the number."""
    if reading.subject.startswith("rule:"):  # another rule's state: which rule is what matters
        first, *others = rules_in(reading.subject.removeprefix("rule:"))
        more = f" or {len(others)} more" if others else ""
        return f"{first.replace('_', ' ')}{more}"
    ending = _UNIT_ENDINGS.get(Unit(reading.unit), "") if reading.unit else ""
    return reading.measure.removesuffix(ending).replace("_", " ")


def against(comparison: Comparison, reading: CitedReading) -> str:
    """``32 % >= 30 %``: the number as read, the asked relation, the limit in the same unit.

    What is true or false is said in words, and a count in words with what is allowed.
    """
    found = cited(reading)
    if _whole(reading):
        return found
    if reading.unit == Unit.BOOL:
        named = not reading.words or reading.subject.startswith("rule:")
        return f"{label(reading)} {found}" if named else found
    if comparison.limit == 0.0:  # asks only on which side of nothing it is
        return f"{label(reading)} {found}"
    if reading.unit == Unit.COUNT and reading.words:
        fewest = comparison.limit == 1.0 and comparison.op in {">=", "<"}
        return f"{found} (limit {0 if fewest else number(comparison.limit, Unit.COUNT)})"
    return f"{found} {comparison.op} {number(comparison.limit, reading.unit, reading.words)}"


def within(comparison: Comparison, reading: CitedReading) -> str:
    """The number and its limit, where the asked relation does not hold any more."""
    said = reading.words and reading.unit in {Unit.BOOL, Unit.COUNT}
    if _whole(reading) or said or comparison.limit == 0.0:
        return against(comparison, reading)
    limit = number(comparison.limit, reading.unit, reading.words)
    return f"{cited(reading)}, limit {limit}"


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
