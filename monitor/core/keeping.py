"""What a restart must not forget of prices, funding, spreads, rolling peaks and lows, caps, hourly
signs, and equity that nothing explains; packed no oftener than needed.

The store writes a memory whenever its bytes changed, so the long ones are packed once per hour or
slot and told again as they were in between. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from monitor.core.formulas.attribution import Doubt
from monitor.core.formulas.drawdown import DrawdownMemory, level_of, resume_drawdown
from monitor.core.formulas.rolling import Peaks, RollingMemory
from monitor.core.state.funding import FundingSeries, StressMemory
from monitor.core.state.model import CapMemory, RiskState
from monitor.core.state.series import HOUR_MINUTES, MINUTE_NS, PriceSeries
from monitor.core.state.spare import SpareMemory
from monitor.core.state.structure import HourlyLevels, SignalHours

_PRICES = "prices"
_ROLLING = "rolling"
_PEAKS = "peaks"
_CAP = "cap"
_PROFITS = "profits"
_WEIGHTS = "weights"
_FUNDING = "funding"
_STRESS = "stress"
_SPARE = "spare"
_SPREADS = "spreads"
_SIGNALS = "signals"
_DOUBT = "doubt"
# Hundreds of series are packed one after another over the hour, not all at its first minute.
_SPREAD_MINUTES = 50
_FIRST_MINUTE = 3  # hours have closed by then

_Hours = list[tuple[int, float]]
_Long = (
    PriceSeries
    | FundingSeries
    | StressMemory
    | Peaks
    | SpareMemory
    | HourlyLevels
    | SignalHours
    | _Hours
)

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.decode


class Keeping:
    """Packs and unpacks; remembers what it packed last, which is no part of the risk state."""

    def __init__(self) -> None:
        self._packed: dict[str, tuple[tuple[int, int], bytes]] = {}
        self._said: dict[str, Doubt] = {}

    def memories(self, state: RiskState) -> Iterator[tuple[str, bytes]]:
        """(name, bytes) of everything kept."""
        minute = state.now_ns // MINUTE_NS % HOUR_MINUTES
        for index, (asset, series) in enumerate(state.prices.items()):
            name = f"{_PRICES}|{asset}"
            due = minute >= _FIRST_MINUTE + index % _SPREAD_MINUTES
            packed = self._again(name, (series.hours.hour, series.hours.known), series, due=due)
            if packed is not None:
                yield name, packed
        for key, memory in state.rolling.items():
            yield f"{_ROLLING}|{key}", _encode(memory.drawdown)
            if memory.peaks.slots:
                name = f"{_PEAKS}|{key}"
                packed = self._again(name, (memory.peaks.slots[-1], 0), memory.peaks, due=True)
                if packed is not None:
                    yield name, packed
        for index, (subject, rates) in enumerate(state.funding.items()):
            name = f"{_FUNDING}|{subject}"
            due = minute >= _FIRST_MINUTE + index % _SPREAD_MINUTES
            packed = self._again(name, (rates.newest, rates.revision), rates, due=due)
            if packed is not None:
                yield name, packed
        books = (one for venue in state.venues.values() for one in venue.markets.values())
        for index, market in enumerate(one for one in books if one.books.hours):
            hours = market.books.hours
            name = f"{_SPREADS}|{market.subject}"
            due = minute >= _FIRST_MINUTE + index % _SPREAD_MINUTES
            packed = self._again(name, (hours[-1][0], len(hours)), hours, due=due)
            if packed is not None:
                yield name, packed
        if state.stress.peaks or state.stress.found:
            name = f"{_STRESS}|index"
            peaks = StressMemory(peaks=state.stress.peaks, found=state.stress.found)
            version = (state.now_ns // (HOUR_MINUTES * MINUTE_NS), len(peaks.found))
            packed = self._again(name, version, peaks, due=True)
            if packed is not None:
                yield name, packed
        yield from self._spares(state)
        yield from self._structure(state)
        yield from self._doubts(state)
        for key, cap in state.caps.items():
            yield f"{_CAP}|{key}", _encode(cap)

    def _doubts(self, state: RiskState) -> Iterator[tuple[str, bytes]]:
        """As of when it became suspect, or last became another by more than is overlooked: every
        statement says it a little otherwise."""
        for venue in state.venues.values():
            for account in venue.accounts.values():
                known = account.ledger.attribution
                if known is not None:  # also that there is none any more: the store forgets nothing
                    open_usd = known.unexplained_usd if known.suspect_ns else 0.0
                    said = self._said.get(account.subject)
                    if (
                        said is None
                        or said.suspect_ns != known.suspect_ns
                        or abs(said.unexplained_usd - open_usd) > known.tolerance_usd
                    ):
                        said = self._said[account.subject] = Doubt(open_usd, known.suspect_ns)
                    yield f"{_DOUBT}|{account.subject}", _encode(said)

    def _spares(self, state: RiskState) -> Iterator[tuple[str, bytes]]:
        for account, spare in state.spare.items():
            name = f"{_SPARE}|{account}"
            packed = self._again(name, (spare.lows.slots[-1], 0), spare, due=True)
            if packed is not None:
                yield name, packed

    def _structure(self, state: RiskState) -> Iterator[tuple[str, bytes]]:
        structure = state.structure
        for kind, of in ((_PROFITS, structure.profits), (_WEIGHTS, structure.weights)):
            for key, hours in of.items():
                if hours.levels:
                    name, version = f"{kind}|{key}", (max(hours.levels), len(hours.levels))
                    packed = self._again(name, version, hours, due=True)
                    if packed is not None:
                        yield name, packed

        for asset, signs in structure.signals.items():
            if signs.hours:
                name, told = f"{_SIGNALS}|{asset}", sum(map(len, signs.hours.values()))
                packed = self._again(name, (max(signs.hours), told), signs, due=True)
                if packed is not None:
                    yield name, packed

    def _again(
        self, name: str, version: tuple[int, int], value: _Long, *, due: bool
    ) -> bytes | None:
        before = self._packed.get(name)
        if before is not None and (before[0] == version or not due):
            return before[1]
        if before is None and not due:
            return None
        self._packed[name] = (version, _encode(value))
        return self._packed[name][1]


def recall(state: RiskState, memories: tuple[tuple[str, bytes], ...]) -> None:
    """Put back what ``Keeping`` packed in another process; other memories are left alone."""
    peaks: dict[str, Peaks] = {}
    for name, packed in memories:
        kind, _, key = name.partition("|")
        if kind == _ROLLING:
            known = resume_drawdown(_decode(packed, type=DrawdownMemory))
            state.rolling[key] = RollingMemory(known)
        elif kind == _PEAKS:
            peaks[key] = _decode(packed, type=Peaks)
        else:
            _recall_series(state, kind, key, packed)
    for key, memory in state.rolling.items():
        if key in peaks:
            memory.peaks = peaks[key]
            # The peak is newer than what was packed: higher ones were forgotten since, and what
            # was reached since is in it alone.
            level = level_of(memory.drawdown, memory.drawdown.peak_usd)
            memory.peaks.lead_with(level)


def _recall_series(state: RiskState, kind: str, key: str, packed: bytes) -> None:
    if kind == _PRICES:
        state.prices[key] = _decode(packed, type=PriceSeries)
        state.basket_renew = True
    elif kind == _FUNDING:
        state.funding[key] = _decode(packed, type=FundingSeries)
    elif kind == _STRESS:
        state.stress = _decode(packed, type=StressMemory)
    elif kind == _SPARE:
        state.spare[key] = _decode(packed, type=SpareMemory)
    elif kind == _SPREADS:
        state.kept_spreads[key] = _decode(packed, type=_Hours)
    elif kind == _PROFITS:
        hours = _decode(packed, type=HourlyLevels)
        # Its equity was without the transfers of another process: no hour joins the two.
        hours.levels.pop(max(hours.levels))
        state.structure.profits[key] = hours
    elif kind == _WEIGHTS:
        state.structure.weights[key] = _decode(packed, type=HourlyLevels)
    elif kind == _SIGNALS:
        state.structure.signals[key] = _decode(packed, type=SignalHours)
    elif kind == _CAP:
        state.caps[key] = _decode(packed, type=CapMemory)
    elif kind == _DOUBT:
        doubt = _decode(packed, type=Doubt)
        if doubt.suspect_ns:
            state.kept_doubts[key] = doubt
