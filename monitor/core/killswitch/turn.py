"""One fact being worked on: what the handlers read, and what they want to happen.

Handlers change the state in place and leave audit lines, pages, commands and an answer here; the
machine makes the step of them. *Pure.*
"""

from __future__ import annotations

import hashlib

from monitor.core.decision import RuleMode
from monitor.core.killswitch.book import Book
from monitor.core.killswitch.facts import AuditEntry, Command, KillNotice
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.plan import Planner
from monitor.core.killswitch.policy import DaemonMode, KillPolicy
from monitor.core.killswitch.state import Ask, KillState, Latch
from monitor.core.types import SECOND_NS, EngineNs, Subject

DETAILS_MAX = 40  # lines of one audit entry; a plan of a thousand orders is summed up


def digest(*parts: object) -> str:
    """64 hex digits of the parts: ids that any process derives again from the same facts."""
    return hashlib.sha256("|".join(str(part) for part in parts).encode()).hexdigest()


def after(now: EngineNs, seconds: float) -> EngineNs:
    """``now`` plus seconds."""
    return now + round(seconds * SECOND_NS)


class Turn:
    """The state, the policy, the moment, and what comes of them."""

    __slots__ = (
        "answer", "audit", "book", "commands", "loosens", "notices", "now", "planner", "policy",
        "state",
    )  # fmt: skip

    def __init__(
        self,
        policy: KillPolicy,
        planner: Planner,
        state: KillState,
        now: EngineNs,
        book: Book | None,
    ) -> None:
        self.policy = policy
        self.planner = planner
        self.state = state
        self.now = now
        self.book = book
        self.audit: list[AuditEntry] = []
        self.notices: list[KillNotice] = []
        self.commands: list[Command] = []
        self.answer = ""
        self.loosens = False

    def copy(self, state: KillState) -> Turn:
        """The same turn so far, on ``state``."""
        other = Turn(self.policy, self.planner, state, self.now, self.book)
        other.audit, other.notices = list(self.audit), list(self.notices)
        other.commands = list(self.commands)
        other.answer, other.loosens = self.answer, self.loosens
        return other

    @property
    def acting(self) -> bool:
        """False in ``observe``, where nothing is latched and nothing can be sent."""
        return self.policy.mode is not DaemonMode.OBSERVE

    def mode_of(self, ask: Ask) -> RuleMode:
        """What the rule of an ask may do over its scope by now: the rulebook may be another one
        than when it asked."""
        modes = {} if self.book is None or self.book.modes is None else dict(self.book.modes)
        return self.policy.mode_of(ask.rule, ask.scope, modes.get(ask.rule, ask.mode))

    def record(
        self,
        action: str,
        *,
        actor: str,
        scope: Subject,
        level_from: Level = Level.NORMAL,
        level_to: Level = Level.NORMAL,
        trip_id: str = "",
        reason: str = "",
        details: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """One audit line of now."""
        self.audit.append(
            AuditEntry(
                at_ns=self.now,
                actor=actor,
                action=action,
                scope=scope,
                level_from=int(level_from),
                level_to=int(level_to),
                trip_id=trip_id,
                reason=reason,
                details=details[:DETAILS_MAX],
            )
        )

    def note(
        self,
        latch: Latch,
        action: str,
        *,
        reason: str = "",
        details: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """One audit line of a trip whose level does not change."""
        self.record(
            action,
            actor="riskd",
            scope=latch.scope,
            level_from=latch.level,
            level_to=latch.level,
            trip_id=latch.trip_id,
            reason=reason,
            details=details,
        )
