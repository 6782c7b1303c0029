"""An engine whose measures are the series of a test instead of a book: all else is the real one.

Every measure of the catalogue exists for its kinds of subject; one without a series is absent.
*Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from monitor.core.engine import Engine
from monitor.core.measures.catalogue import DEFINITIONS
from monitor.core.measures.definition import Definition, Key
from monitor.core.measures.spec import MeasureSpec
from monitor.core.measures.tree import Node
from monitor.core.measures.use import Use
from monitor.core.settings import EngineSettings
from monitor.core.state.accounts import account_of
from monitor.core.state.feeds import feed_of
from monitor.core.state.markets import market_of, venue_of
from monitor.core.state.model import PositionState, RiskState
from monitor.core.structure import Bucket, HedgeSet, Strategy, StructureSettings
from monitor.core.trial.series import Series
from monitor.core.types import EngineNs, Subject, SubjectKind, subject_kind

SeriesOf = Mapping[tuple[str, Subject], Series]
NO_SERIES = "the test gives no series for it"


def engine_of(
    series: SeriesOf,
    subjects: Iterable[Subject],
    *,
    start_ns: EngineNs,
    step_ns: int,
    catalogue: Mapping[str, MeasureSpec],
    definitions: Mapping[Key, Definition] = DEFINITIONS,
) -> Engine:
    """An engine that knows these subjects and reads these series; no rulebook is loaded yet."""
    played: dict[Key, Definition] = {}
    for (name, kind), real in definitions.items():
        if kind is SubjectKind.RULE:
            played[name, kind] = real  # rules read each other's real states
        elif not real.hidden:
            compute = _Reader(name, series, start_ns, step_ns)
            # A series says itself when it changes: nothing is looked at in between.
            spec = msgspec.structs.replace(real.spec, cadence_s=0.0)
            played[name, kind] = Definition(spec=spec, kind=kind, compute=compute)
    known = sorted({*subjects, *(subject for _, subject in series)})
    settings = EngineSettings(structure=_structure(known))
    engine = Engine(settings, catalogue, definitions=played)
    for subject in known:
        _introduce(engine.state, subject, start_ns)
    engine.state.dirty.clear()
    return engine


def _structure(subjects: Iterable[Subject]) -> StructureSettings:
    """Hedge sets, buckets and strategies exist by their names alone."""
    names: dict[SubjectKind, list[str]] = {}
    for subject in subjects:
        names.setdefault(subject_kind(subject), []).append(subject.partition(":")[2])
    return StructureSettings(
        hedge_sets=tuple(HedgeSet(name=one) for one in names.get(SubjectKind.HEDGE_SET, ())),
        buckets=tuple(Bucket(name=one) for one in names.get(SubjectKind.BUCKET, ())),
        strategies=tuple(Strategy(name=one) for one in names.get(SubjectKind.STRATEGY, ())),
    )


class _Reader:
    """Reads one measure of any subject from its series."""

    def __init__(self, name: str, series: SeriesOf, start_ns: EngineNs, step_ns: int) -> None:
        self._name, self._series = name, series
        self._start_ns, self._step_ns = start_ns, step_ns

    def __call__(self, node: Node, use: Use) -> float | None:
        found = self._series.get((self._name, node.subject))
        if found is None:
            use.absent(NO_SERIES)
            return None
        index = (use.now - self._start_ns) // self._step_ns
        use.wake_at(self._start_ns + (index + 1) * self._step_ns)
        known = found.at(index)
        if known is None:
            use.absent("its series is over")
            return None
        point, told_at = known
        if point.value is None:
            use.absent("a gap in its series")
            return None
        use.observed = self._start_ns + told_at * self._step_ns
        use.estimated = point.estimated
        return point.value


def _introduce(state: RiskState, subject: Subject, now: EngineNs) -> None:
    """Make a subject known, with those that it lies in."""
    kind = subject_kind(subject)
    parts = subject.partition(":")[2].split("/", 2 if kind is SubjectKind.POSITION else 1)
    match kind:
        case SubjectKind.VENUE:
            venue_of(state, parts[0])
        case SubjectKind.ACCOUNT:
            account_of(state, parts[0], parts[1], now)
        case SubjectKind.MARKET:
            _introduce_market(state, parts[0], parts[1])
        case SubjectKind.FEED:
            feed_of(state, parts[0], parts[1])
        case SubjectKind.POSITION:
            venue, alias, market = parts
            account = account_of(state, venue, alias, now)
            _introduce_market(state, venue, market)
            if market not in account.positions:
                account.positions[market] = PositionState(market=market)
                state.appeared.append(("position", venue, alias, market))
        case SubjectKind.ASSET:
            if parts[0] not in state.assets:
                state.assets[parts[0]] = []
                state.appeared.append(("asset", "", "", parts[0]))
        case _:
            return  # the portfolio, and what the settings name, exist


def _introduce_market(state: RiskState, venue: str, name: str) -> None:
    """A market of the asset that its symbol begins with: BTC, BTC-USD, xyz:BTC."""
    market = market_of(state, venue, name)
    if not market.listed:
        market.listed, market.asset = True, name.rpartition(":")[2].partition("-")[0]
        state.assets.setdefault(market.asset, []).append((venue, name))
        state.appeared.append(("asset", venue, name, market.asset))
