"""Caps seeded from what a desk did in its own last thirty days, for a person to sign. *Pure.*

Hourly samples go in; of each measure and subject a limit comes out that lies a quarter beyond the
95th percentile. Too few known hours give no limit: a short calm would make a tight cap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from monitor.core.types import Subject, SubjectKind, subject_kind

HOURS_KEPT = 30 * 24
HOURS_MIN = 7 * 24
MARGIN = 1.25
QUANTILE = 0.95


class Capped(msgspec.Struct, frozen=True):
    """A measure that may be capped: for which subjects, and whether high or low is dangerous."""

    measure: str
    kinds: tuple[SubjectKind, ...]
    low: bool = False


_P, _V, _A, _X = (
    SubjectKind.PORTFOLIO,
    SubjectKind.VENUE,
    SubjectKind.ACCOUNT,
    SubjectKind.ASSET,
)
CAPPED = (
    Capped("leverage", (_P, _V, _A)),
    Capped("leverage_net", (_P, _V, _X)),
    Capped("leverage_gross", (_X,)),
    Capped("margin_usage_ratio", (_P, _A)),
    Capped("liquidation_distance_ratio", (_P, _A), low=True),
    Capped("funding_cost_30d_ratio", (_P,)),
    Capped("asset_concentration_hhi", (_P,)),
)

# (hour since 1970, value), oldest first; hours that were not known are not there.
Samples = Sequence[tuple[int, float]]


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen, and the limit it suggests; ``limit`` None says ``why`` there is none."""

    measure: str
    subject: Subject
    low: bool
    hours: int
    median: float = 0.0
    usual: float = 0.0  # the 95th percentile, of a dangerous low the 5th
    worst: float = 0.0
    limit: float | None = None
    why: str = ""


def propose(samples: Mapping[tuple[str, Subject], Samples]) -> tuple[Proposal, ...]:
    """A proposal for each measure and subject that was sampled, in the order of ``CAPPED``."""
    found = []
    for capped in CAPPED:
        for (measure, subject), seen in sorted(samples.items()):
            if measure == capped.measure and subject_kind(subject) in capped.kinds:
                found.append(_proposal(capped, subject, [value for _, value in seen]))
    return tuple(found)


def add_sample(series: list[tuple[int, float]], hour: int, value: float) -> None:
    """One more hour; a second value of the same hour is not taken, and old ones fall out."""
    if not series or series[-1][0] < hour:
        series.append((hour, value))
    while series and series[0][0] <= hour - HOURS_KEPT:
        del series[0]


def quantile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of them do not exceed, between two by a straight line.

    Raises:
        ValueError: If there is none.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _proposal(capped: Capped, subject: Subject, values: list[float]) -> Proposal:
    if len(values) < HOURS_MIN:
        return Proposal(
            measure=capped.measure,
            subject=subject,
            low=capped.low,
            hours=len(values),
            why=f"{len(values)} of {HOURS_MIN} hours known",
        )
    usual = quantile(values, 1.0 - QUANTILE if capped.low else QUANTILE)
    limit = _rounded(usual / MARGIN, up=False) if capped.low else _rounded(usual * MARGIN, up=True)
    return Proposal(
        measure=capped.measure,
        subject=subject,
        low=capped.low,
        hours=len(values),
        median=quantile(values, 0.5),
        usual=usual,
        worst=min(values) if capped.low else max(values),
        limit=limit if limit > 0.0 else None,
        why="" if limit > 0.0 else "nothing was held, so nothing can be told from it",
    )


def _rounded(value: float, *, up: bool) -> float:
    """Two digits, away from what was usual."""
    if value <= 0.0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    steps = math.ceil(value / unit - 1e-9) if up else math.floor(value / unit + 1e-9)
    return float(f"{steps * unit:.6g}")
