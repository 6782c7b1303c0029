"""What a measure is: one named number about one subject, and the reading it gave.

Rules, ``/metrics``, the console and every explanation read measures and nothing else. *Pure.*
"""

from __future__ import annotations

import enum

import msgspec

from monitor.core.types import EngineNs, SubjectKind


class Unit(enum.StrEnum):
    """Unit of a measure; also the suffix of its Prometheus name where Prometheus has one."""

    RATIO = "ratio"
    USD = "usd"
    SECONDS = "seconds"
    PRICE = "price"  # quote per base
    BASE = "base"  # base units
    PER_HOUR = "per_hour"  # fraction per hour
    PER_YEAR = "per_year"
    COUNT = "count"
    BOOL = "bool"  # 0 or 1
    POINTS = "points"  # of a hundred


class Aggregate(enum.StrEnum):
    """How a measure of a wider subject is made from the same measure of the narrower ones."""

    NONE = "none"
    SUM = "sum"
    MAX = "max"
    MIN = "min"
    COUNT = "count"


class MeasureSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The public side of a measure.

    Args:
        name: As rules write it; ``riskd_<name>[_unit]`` in Prometheus.
        kinds: The subject kinds it exists for.
        unit, low, high: Unit and closed range; a computed value outside is an error of the measure.
        help: One sentence with the unit and the sign, for traders.
        max_age_s: Oldest an input may be before the measure is absent, where stricter than the
            inputs' own limits; None: the inputs' limits alone decide.
        cadence_s: Recomputed at most this often; 0 for at once.
        at_zero: What a denominator of zero or below means, in words.
        typical: Two plausible values (usual, stressed) for dry runs and documentation.
        words: How a person says the value: of a count its noun for one and for many; of a bool
            what 1 and 0 mean; ``("x",)`` of a ratio said as a multiple (2.5x), not in percent.
    """

    name: str
    kinds: tuple[SubjectKind, ...]
    unit: Unit
    help: str
    low: float = float("-inf")
    high: float = float("inf")
    max_age_s: float | None = None
    cadence_s: float = 0.0
    at_zero: str = ""
    typical: tuple[float, float] = (0.0, 1.0)
    aggregate: Aggregate = Aggregate.NONE
    words: tuple[str, ...] = ()


class Reading(msgspec.Struct, gc=False):
    """A present value of a measure about a subject. An absent measure has no reading.

    ``as_of_ns`` is the freshness of the oldest input (fact or its channel's progress),
    ``expires_ns`` when the first input becomes too old, ``observed_ns`` when the oldest-updated
    deciding fact was last *told* (not merely proven fresh): a later ``observed_ns`` is a distinct
    observation.
    """

    value: float
    as_of_ns: EngineNs
    expires_ns: EngineNs
    observed_ns: EngineNs
    estimated: bool = False
