"""The daemon's measures on the grid of full hours, and those of the markets computed once. *Pure.*

Between two full hours nothing is told but losses of channels, so whatever would be looked at again
by itself waits for the next hour. Engines of one run are told the same of the markets: what follows
from that alone is computed by whoever needs it first and read by the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from monitor.backtest.correlations import Correlations
from monitor.core.measures.catalogue import DEFINITIONS
from monitor.core.measures.definition import Compute, Definition, Key
from monitor.core.measures.stress_index import HIDDEN as HIDDEN_STRESS
from monitor.core.measures.tree import Node, PortfolioNode
from monitor.core.measures.use import FOREVER_NS, Use
from monitor.core.settings import FreshnessSettings
from monitor.core.state.facts import Why
from monitor.core.state.funding import StressMemory
from monitor.core.types import SECOND_NS, EngineNs, Subject, SubjectKind

HOUR_S = 3600.0
HOUR_NS = 3600 * SECOND_NS
# A fact is known until the second hour after it was told begins, to the nanosecond.
STANDS_S = 2.0 * HOUR_S - 1e-9
# What is dear and follows from the markets alone: no account, no position, no memory of its own.
OF_MARKETS: frozenset[Key] = frozenset(
    {
        *(
            (name, SubjectKind.ASSET)
            for name in (
                "volatility_slow",
                "volatility_fast",
                "volatility_median",
                "volatility_horizon",
                "volatility_percentile",
            )
        ),
        *(
            (name, SubjectKind.PORTFOLIO)
            for name in (
                "volatility_percentile",
                "basket_volatility",
                "basket_volatility_fast",
                "basket_return_72h_ratio",
                "funding_expensive_share_ratio",
                "funding_expensive_worst_share_ratio",
                "funding_markets_known_ratio",
            )
        ),
        ("funding_z", SubjectKind.MARKET),
    }
)


def hourly_freshness() -> FreshnessSettings:
    """Limits of age for one fact an hour; a feed is silent when it misses one."""
    return FreshnessSettings(
        majors=FreshnessSettings().majors,
        top_majors_s=STANDS_S,
        top_s=STANDS_S,
        mark_majors_s=STANDS_S,
        mark_s=STANDS_S,
        oracle_majors_s=STANDS_S,
        oracle_s=STANDS_S,
        depth_s=STANDS_S,
        open_interest_s=STANDS_S,
        status_s=STANDS_S,
        account_s=STANDS_S,
        orders_s=STANDS_S,
        ledger_s=STANDS_S,
        feed_cadences=1.5,
        feed_floor_s=1.5 * HOUR_S,
        feed_quiet_s=1.5 * HOUR_S,
    )


class _Said(NamedTuple):
    """What a computation gave, and all that its pen kept beside it."""

    value: float | None
    as_of: EngineNs
    observed: EngineNs
    expires: EngineNs
    wake: EngineNs
    estimated: bool
    why: Why


@dataclass(slots=True)
class Shared:
    """What engines that are told the same of the markets need not all compute: the first fills it
    in, the others read it at the same time of the same hour."""

    stress: StressMemory | None = None
    correlations: Correlations = field(default_factory=Correlations)
    _hour: int = -1
    _said: dict[EngineNs, dict[tuple[str, Subject], _Said]] = field(default_factory=dict)

    def said_at(self, now: EngineNs) -> dict[tuple[str, Subject], _Said]:
        """What was computed for ``now``; only the running hour is kept."""
        found = self._said.get(now)
        if found is None:
            if now // HOUR_NS != self._hour:
                self._hour = now // HOUR_NS
                self._said.clear()
            found = self._said[now] = {}
        return found


def hourly_definitions(
    definitions: Mapping[Key, Definition] = DEFINITIONS,
    *,
    shared: Shared | None = None,
    first: bool = True,
) -> dict[Key, Definition]:
    """The same measures on the grid of full hours: what is computed every second or so is computed
    with each hour's facts, and nothing asks to be looked at again before the next of them."""
    common = shared or Shared()
    made = {}
    for key, one in definitions.items():
        compute = one.compute
        if key == (HIDDEN_STRESS, SubjectKind.PORTFOLIO):
            compute = _stress_told(common, compute) if first else _stress_heard(common, compute)
        elif one.kind is SubjectKind.PORTFOLIO:
            compute = _with_correlations(common, compute)
        made[key] = one if one.clock else _on_the_hour(one, compute)
        if key in OF_MARKETS:
            once = _once(common, one.name, made[key].compute)
            made[key] = msgspec.structs.replace(made[key], compute=once)
    return made


def _stress_told(common: Shared, compute: Compute) -> Compute:
    def computed(node: Node, use: Use) -> float | None:
        value = compute(node, use)
        common.stress = use.state.stress
        return value

    return computed


def _stress_heard(common: Shared, compute: Compute) -> Compute:
    def heard(node: Node, use: Use) -> float | None:
        if common.stress is None:
            return compute(node, use)
        use.state.stress = common.stress
        return float(common.stress.now.assets)

    return heard


def _with_correlations(common: Shared, compute: Compute) -> Compute:
    def computed(node: Node, use: Use) -> float | None:
        if isinstance(node, PortfolioNode):
            common.correlations.renew(use.state)
            node.correlations = common.correlations.found
        return compute(node, use)

    return computed


def _once(common: Shared, name: str, compute: Compute) -> Compute:
    """Whoever asks first at a time computes it; its pen is handed to the others as it was left."""

    def told(node: Node, use: Use) -> float | None:
        known, key = common.said_at(use.now), (name, node.subject)
        said = known.get(key)
        if said is None:
            value = compute(node, use)
            known[key] = _Said(
                value, use.as_of, use.observed, use.expires, use.wake, use.estimated, use.why
            )
            return value
        use.as_of, use.observed, use.expires = said.as_of, said.observed, said.expires
        use.wake, use.estimated, use.why = said.wake, said.estimated, said.why
        return said.value

    return told


def _on_the_hour(one: Definition, compute: Compute) -> Definition:
    periodic = bool(one.spec.cadence_s) and not one.bits and not one.needs

    def computed(node: Node, use: Use) -> float | None:
        value = compute(node, use)
        if periodic or use.wake < FOREVER_NS:
            hour = (use.now // HOUR_NS + 1) * HOUR_NS
            use.wake = hour if periodic else max(use.wake, hour)
        if use.expires < FOREVER_NS:  # news comes on the hour: until then nothing can replace it
            use.expires = -(-use.expires // HOUR_NS) * HOUR_NS
        return value

    spec = msgspec.structs.replace(one.spec, cadence_s=HOUR_S) if periodic else one.spec
    return msgspec.structs.replace(one, spec=spec, compute=computed)
