"""What a measure is now, for whoever asks: kept where it is current, else computed and not kept.

*Pure.* Looking changes nothing. What stays absent keeps the reason of when it was last computed,
which may be over; whoever tells people why, or decides by it, asks ``why_absent``, which looks anew
all the way down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from monitor.core.measures import (
    work_accounts,
    work_book,
    work_funding,
    work_hedges,
    work_joint,
    work_liquidation,
    work_markets,
    work_parts,
    work_venues,
    work_volatility,
)
from monitor.core.measures.definition import Definition, Key
from monitor.core.measures.instance import VALUE_MAX, Instance
from monitor.core.measures.spec import MeasureSpec, Reading
from monitor.core.measures.tree import Node
from monitor.core.measures.use import FOREVER_NS, Use
from monitor.core.settings import EngineSettings, limit_ns
from monitor.core.state.facts import PRESENT, Why
from monitor.core.state.model import Cell, RiskState
from monitor.core.types import SECOND_NS, EngineNs, SubjectKind

# How values are worked out where their own files do not say: asked only by people.
WORKINGS = {
    **work_accounts.WORKINGS,
    **work_liquidation.WORKINGS,
    **work_joint.WORKINGS,
    **work_hedges.WORKINGS,
    **work_markets.WORKINGS,
    **work_funding.WORKINGS,
    **work_parts.WORKINGS,
    **work_book.WORKINGS,
    **work_venues.WORKINGS,
    **work_volatility.WORKINGS,
}


class _LookingUse(Use):
    """A pen that asks ``peek`` for everything it reads, and trusts nothing that it has kept."""

    __slots__ = ()

    def read(self, node: Node, name: str) -> float | None:
        """As ``Use.read``, without trusting what was kept as absent."""
        cell = self.peek(node, name, self.now)
        if cell.value is None:
            self.absent(f"{name} of {node.subject}: {cell.reason}", cell.lack)
            return None
        self.as_of = min(self.as_of, cell.as_of_ns)
        self.expires = min(self.expires, cell.expires_ns)
        self.observed = min(self.observed, cell.observed_ns)
        self.estimated = self.estimated or cell.estimated
        return cell.value


class Lookout:
    """Looks at measures of one risk state."""

    def __init__(
        self,
        state: RiskState,
        settings: EngineSettings,
        definitions: Mapping[Key, Definition],
    ) -> None:
        self._state = state
        self._settings = settings
        self._definitions = definitions

    def exists(self, name: str, kind: SubjectKind) -> bool:
        """Whether people can read this measure about this kind of subject."""
        definition = self._definitions.get((name, kind))
        return definition is not None and not definition.hidden

    def spec(self, name: str, kind: SubjectKind) -> MeasureSpec:
        """The public side of a measure that exists for this kind of subject."""
        return self._definitions[name, kind].spec

    def cell(self, name: str, node: Node, now: EngineNs) -> Cell:
        """The present cell of a measure, in demand or not. An age in demand grows when read; the
        kept cell is left alone."""
        instance = node.instances.get(name)
        if instance is None or instance.clock:
            return self.peek(node, name, now)
        cell = instance.cell
        definition = instance.definition
        if not definition.always and (
            instance.skipped or instance.lazy or definition.cadence_s is not None
        ):
            # What lags for its rules' sake alone must not be shown beside its kin as of now.
            return self.peek(node, name, now)
        if instance.skipped and instance.preview is not None:
            # It remembers, so it may only be computed in a run; its preview does not.
            value = instance.preview(node)
            if value is not None and cell.value is not None:
                cell = replace(cell, value=value)
        if cell.value is not None and cell.expires_ns <= now:
            if definition.always:  # it remembers: it may only be computed in a run
                return Cell(reason=f"{name} is too old", computed_ns=cell.computed_ns)
            return self.peek(node, name, now)
        return cell

    def peek(self, node: Node, name: str, now: EngineNs) -> Cell:
        """A measure as it is now, whether or not anybody demands it; what it reads may be kept."""
        definition = self._definitions.get((name, node.kind))
        if definition is None:
            return _no_such(name, node)
        return _computed(definition, node, Use(self._state, self._settings, self.peek), now)

    def why_absent(self, node: Node, name: str, now: EngineNs) -> Why:
        """The reason of now; no words where the measure is present."""
        cell = self._look(node, name, now)
        return PRESENT if cell.value is not None else Why(cell.reason, cell.lack)

    def arithmetic(self, instance: Instance, judged: Cell, now: EngineNs) -> tuple[str, ...]:
        """The steps to a measure's value as of now, for people; empty where it has none to tell.

        All that they read is computed anew: kept values are of different moments, and a sum of
        those is no sum. Where the value that was ``judged`` is of another moment, that is told.
        """
        definition, node = instance.definition, instance.node
        use = _LookingUse(self._state, self._settings, self._anew)
        use.begin(now)
        steps = self._steps(definition, node, use)
        value = self._anew(node, definition.name, now).value if steps else None
        if value is None or judged.value is None or f"{value:.8g}" == f"{judged.value:.8g}":
            return steps
        ago_s = max(now - judged.computed_ns, 0) / SECOND_NS
        return (f"as of now {value:.8g}; judged by what it was {ago_s:.3g} s ago", *steps)

    def _anew(self, node: Node, name: str, now: EngineNs) -> Cell:
        """A measure as of now, and so all it reads, but for what may only be computed in a run."""
        definition, known = self._definitions.get((name, node.kind)), node.instances.get(name)
        if definition is None:
            return _no_such(name, node)
        if known is not None and (definition.always or definition.hidden):
            current = known.cell.value is None or known.cell.expires_ns > now
            return known.cell if current else Cell(reason=f"{name} is too old", computed_ns=now)
        return _computed(
            definition, node, _LookingUse(self._state, self._settings, self._anew), now
        )

    def _steps(self, definition: Definition, node: Node, use: Use) -> tuple[str, ...]:
        steps = definition.arithmetic or WORKINGS.get((definition.name, definition.kind))
        if steps is not None:
            return steps(node, use)
        if not work_parts.is_made_of_children(definition):
            return ()
        lines, child = work_parts.work_children(definition, node, use)
        below = None if child is None else self._definitions.get((definition.name, child.kind))
        if child is None or below is None:
            return lines
        return (*lines, *self._steps(below, child, use))

    def _look(self, node: Node, name: str, now: EngineNs) -> Cell:
        instance, definition = node.instances.get(name), self._definitions.get((name, node.kind))
        if definition is None:
            return _no_such(name, node)
        known = None if instance is None else instance.cell
        if known is not None:
            current = known.value is not None and known.expires_ns > now
            if current or definition.always:  # what remembers may only be computed in a run
                return known
        return _computed(
            definition, node, _LookingUse(self._state, self._settings, self._look), now
        )


def reading_of(cell: Cell) -> Reading | None:
    """The cell as others see it."""
    if cell.value is None:
        return None
    return Reading(
        value=cell.value,
        as_of_ns=cell.as_of_ns,
        expires_ns=cell.expires_ns,
        observed_ns=cell.observed_ns,
        estimated=cell.estimated,
    )


def _no_such(name: str, node: Node) -> Cell:
    return Cell(reason=f"{name} does not exist for a {node.kind.value}")


def _computed(definition: Definition, node: Node, use: Use, now: EngineNs) -> Cell:
    """A cell of its own, with the reason where the measure is absent, fails or leaves its range."""
    use.begin(now)
    try:
        value = definition.compute(node, use)
    except Exception as error:  # noqa: BLE001 - containment: one measure (design.md §2)
        return Cell(reason=f"error: {type(error).__name__}: {error}"[:300], computed_ns=now)
    if value is None:
        return Cell(reason=use.reason, computed_ns=now, lack=use.why.lack)
    spec = definition.spec
    if not max(spec.low, -VALUE_MAX) <= value <= min(spec.high, VALUE_MAX):
        return Cell(reason=f"error: computed {value!r}, outside its range", computed_ns=now)
    max_age = FOREVER_NS if spec.max_age_s is None else limit_ns(spec.max_age_s)
    return Cell(
        value=value,
        as_of_ns=use.as_of,
        expires_ns=min(use.expires, use.as_of + max_age),
        observed_ns=use.observed,
        estimated=use.estimated,
        reason="",
        computed_ns=now,
    )
