"""What the rules have asked of the book and not yet given back. *Pure.*

Cuts do not add: over one scope the lowest target of all rules counts, a share of the gross exposure
at the first entry or an amount. While anything restrains a position it may shrink and not grow. A
hold goes by itself, with its rule where it is about a risk and five minutes later where it is about
data; everything else waits for the rule's own re-entry condition on known data, and then for a
person's word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from monitor.core.decision import ActionLevel, Because, KillRequest
from monitor.core.killswitch.levels import LATCHING
from monitor.core.types import SECOND_NS, EngineNs, Subject

HOLD_RELEASE_NS = 300 * SECOND_NS
_TRADES = frozenset({ActionLevel.CUT, ActionLevel.FLATTEN})


@dataclass(slots=True)
class Restraint:
    """One firing rule's request. ``effective_ns`` is when the desk has reacted; ``over_ns`` since
    when the rule is over and permits re-entry, None while it does not."""

    rule: str
    subject: Subject
    scope: Subject
    level: ActionLevel
    gross_to_ratio: float | None
    asked_ns: EngineNs
    effective_ns: EngineNs
    over_ns: EngineNs | None = None
    gross_to_usd: float | None = None
    because: Because = Because.DATA

    @property
    def cuts(self) -> bool:
        """Whether it wants less gross than there is."""
        return self.gross_to_ratio is not None or self.gross_to_usd is not None

    @property
    def wait_ns(self) -> int | None:
        """How long it lasts beyond its rule by itself; None where a person's word is needed."""
        if self.level in LATCHING:
            return None
        return HOLD_RELEASE_NS if self.because is Because.DATA else 0


@dataclass(slots=True)
class Restraints:
    """All requests in force, and the gross exposure per scope at their first entry, USD."""

    active: dict[tuple[str, Subject], Restraint] = field(default_factory=dict)
    baselines: dict[Subject, float] = field(default_factory=dict)
    asked_total: int = 0

    def ask(self, request: KillRequest, at: EngineNs, reaction_ns: int, gross_usd: float) -> None:
        """Take a request; one that is asked again (an estimate became exact) may grow stronger."""
        key = (request.rule, request.subject)
        ratio = request.gross_to_ratio if request.level in _TRADES else None
        if request.level is ActionLevel.FLATTEN:
            ratio = 0.0
        usd = request.gross_to_usd if request.level is ActionLevel.CUT else None
        known = self.active.get(key)
        if known is not None and known.level is request.level:
            known.over_ns = None
            return
        self.asked_total += 1
        if ratio is not None or usd is not None:
            self.baselines.setdefault(request.scope, gross_usd)
        self.active[key] = Restraint(
            rule=request.rule,
            subject=request.subject,
            scope=request.scope,
            level=request.level,
            gross_to_ratio=ratio,
            asked_ns=at,
            effective_ns=at + reaction_ns,
            gross_to_usd=usd,
            because=Because.DATA if request.capped_by_estimate else request.because,
        )

    def release(self, restraint: Restraint) -> None:
        """Give one back; a scope that no target is left for starts anew with the next."""
        self.active.pop((restraint.rule, restraint.subject), None)
        left = any(one.scope == restraint.scope and one.cuts for one in self.active.values())
        if not left:
            self.baselines.pop(restraint.scope, None)

    def goals(self, at: EngineNs) -> dict[Subject, float]:
        """Gross exposure that may stay in each scope, USD, of what the desk has reacted to."""
        goals: dict[Subject, float] = {}
        for one in self.active.values():
            if one.cuts and one.effective_ns <= at:
                goal = self.baselines[one.scope]
                if one.gross_to_ratio is not None:
                    goal *= one.gross_to_ratio
                if one.gross_to_usd is not None:
                    goal = min(goal, one.gross_to_usd)
                goals[one.scope] = min(goals.get(one.scope, goal), goal)
        return goals

    def due(self, start: EngineNs, until: EngineNs) -> list[EngineNs]:
        """When cuts become due in ``[start, until)``, in order."""
        times = {
            one.effective_ns
            for one in self.active.values()
            if one.cuts and start <= one.effective_ns < until
        }
        return sorted(times)

    def scopes(self, at: EngineNs) -> set[Subject]:
        """Scopes in which nothing may grow now."""
        return {one.scope for one in self.active.values() if one.effective_ns <= at}

    def settle(
        self,
        over: Iterable[tuple[str, Subject]],
        at: EngineNs,
        *,
        delay_ns: int,
    ) -> None:
        """Release what may go. ``over`` are the (rule, subject) that have ended and permit re-entry
        now: what is not among them starts its wait anew."""
        free = set(over)
        for key, one in list(self.active.items()):
            if key not in free:
                one.over_ns = None
                continue
            if one.over_ns is None:
                one.over_ns = at
            wait_ns = one.wait_ns
            if at - one.over_ns >= (delay_ns if wait_ns is None else wait_ns):
                self.release(one)


def covers(scope: Subject, venue: str, account: str, asset: str) -> bool:
    """Whether a scope contains the position of ``account`` in the market of ``asset``."""
    kind, _, rest = scope.partition(":")
    if kind == "portfolio":
        return True
    whole = {
        "venue": venue,
        "account": f"{venue}/{account}",
        "position": f"{venue}/{account}/{asset}",
        "market": f"{venue}/{asset}",
        "asset": asset,
    }
    return whole.get(kind) == rest
