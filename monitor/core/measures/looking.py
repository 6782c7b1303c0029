"""Why something is absent now: looked up anew all the way down, and nothing kept. *Pure.*

What stays absent keeps the reason of when it was last computed, which may be over; whoever tells
people why, or decides by it, asks here.
"""

from __future__ import annotations

from collections.abc import Mapping

from monitor.core.measures.definition import Definition, Key
from monitor.core.measures.tree import Node
from monitor.core.measures.use import Use
from monitor.core.settings import EngineSettings
from monitor.core.state.facts import PRESENT, Why
from monitor.core.state.model import Cell, RiskState
from monitor.core.types import EngineNs


class _LookingUse(Use):
    """A pen that asks ``peek`` for everything it reads."""

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
    """Looks at measures of one risk state; changes nothing."""

    def __init__(
        self,
        state: RiskState,
        settings: EngineSettings,
        definitions: Mapping[Key, Definition],
    ) -> None:
        self._state = state
        self._settings = settings
        self._definitions = definitions

    def why_absent(self, node: Node, name: str, now: EngineNs) -> Why:
        """The reason of now; no words where the measure is present."""
        cell = self._look(node, name, now)
        return PRESENT if cell.value is not None else Why(cell.reason, cell.lack)

    def _look(self, node: Node, name: str, now: EngineNs) -> Cell:
        instance, definition = node.instances.get(name), self._definitions.get((name, node.kind))
        if definition is None:
            return Cell(reason=f"{name} does not exist for a {node.kind.value}")
        known = None if instance is None else instance.cell
        if known is not None and known.value is not None and known.expires_ns > now:
            return Cell(
                known.value,
                known.as_of_ns,
                known.expires_ns,
                known.observed_ns,
                known.estimated,
                "",
            )
        if definition.always and known is not None:
            return known  # it remembers: it may only be computed in a run
        use = _LookingUse(self._state, self._settings, self._look)
        use.begin(now)
        try:
            value = definition.compute(node, use)
        except Exception as error:  # noqa: BLE001 - containment: one measure (design.md §2)
            return Cell(reason=f"error: {type(error).__name__}: {error}"[:300])
        why = use.why if value is None else PRESENT
        return Cell(
            value,
            use.as_of,
            use.expires,
            use.observed,
            use.estimated,
            why.reason,
            lack=why.lack,
        )
