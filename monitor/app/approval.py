"""A rulebook that loosens what acts waits for a second person.

Firing earlier needs nobody; disabling, loosening or widening an acting rule does, whether it comes
by a reload or with a restart (an armed riskd remembers what was last in force).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import msgspec
import structlog

from monitor.config import Config
from monitor.core.decision import RuleMode
from monitor.core.engine import Engine
from monitor.core.errors import ConfigError
from monitor.core.killswitch.facts import KillNotice
from monitor.core.killswitch.words import cut_short
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.operator import OperatorAnswer, OperatorRequest
from monitor.core.ports import Clock
from monitor.core.rules import RuleBook, parse_rulebook
from monitor.core.rules.loosened import loosened
from monitor.core.types import PORTFOLIO, Severity, Subject

HOST = "host"  # everybody on this machine: who sends SIGHUP or starts it again
ALERT, KEY = "RulebookWaiting", "rulebook-waiting"
TOLD_MAX = 12  # changes in one page; the log has them all
RuleFiles = tuple[tuple[str, str], ...]
Note = Callable[[str, str, Subject, str, tuple[tuple[str, str], ...]], None]
_MODES = tuple(RuleMode)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A rulebook that was read and not loaded; ``asked_by`` brought it."""

    id: str
    files: RuleFiles
    changes: tuple[str, ...]
    asked_by: str


class Approval:
    """Keeps at most one rulebook waiting. Implements ``OperatorDesk`` for ``approve_rules``.

    Args:
        config: Which rules may act, and whether two people must agree.
        engine: Whose rulebook is in force.
        clock: Engine time.
        load: Lets files take effect.
        note: Writes one audit line.
        tell: Pages.
    """

    def __init__(
        self,
        config: Config,
        *,
        engine: Engine,
        clock: Clock,
        load: Callable[[RuleFiles], None],
        note: Note,
        tell: Callable[[KillNotice], None],
    ) -> None:
        self._second = config.kill.second_principal
        self._acting = config.mode != "observe"
        self._overrides = tuple((one.rule, one.mode, one.scope) for one in config.kill.rules)
        self._engine = engine
        self._clock = clock
        self._load = load
        self._note = note
        self._tell = tell
        self._log = structlog.get_logger("riskd")
        self.waiting: Waiting | None = None

    def admit(self, files: RuleFiles, *, by: str, before: RuleBook | None = None) -> bool:
        """Whether these checked files may take effect now; otherwise they wait, and people are
        told. ``before`` is what they replace, else the rulebook in force."""
        in_force = self._engine.rulebook if before is None else before
        changes = (
            loosened(self._moded(in_force), self._moded(parse_rulebook(files, CATALOGUE)))
            if self._acting and in_force.rules
            else ()
        )
        if not changes:
            self._end()
            return True
        waiting = Waiting(id=_id_of(files), files=files, changes=changes, asked_by=by)
        if self.waiting is None or self.waiting.id != waiting.id:
            self.waiting = waiting
            self._log.warning("rulebook_waits", id=waiting.id, changes=list(changes))
            self._note("rules_waiting", by, PORTFOLIO, "; ".join(changes), (("id", waiting.id),))
            self._tell(self._notice(waiting, resolved=False))
        return False

    async def run(
        self, request: OperatorRequest, *, principal: str, channel: str
    ) -> OperatorAnswer:
        """Approve or refuse what waits."""
        waiting = self.waiting
        if waiting is None:
            return OperatorAnswer(done=False, text="No rulebook waits for an approval.")
        listed = "\n".join(f"  {one}" for one in waiting.changes)
        command = f"riskd rules approve {waiting.id} --reason …"
        if not request.proposal:
            text = f"Rulebook {waiting.id} waits, asked for by {waiting.asked_by}:\n{listed}\n"
            return OperatorAnswer(done=True, text=f"{text}To load it: {command}")
        if request.proposal != waiting.id:
            return OperatorAnswer(
                done=False, text=f"{request.proposal} does not wait; {waiting.id} does:\n{listed}"
            )
        if not request.refuse and not request.reason.strip():
            return OperatorAnswer(done=False, text=f"An approval needs a reason: {command}")
        if self._second and principal == waiting.asked_by and not request.refuse:
            return OperatorAnswer(
                done=False,
                text=f"{principal} asked for it, and a second person must approve (by signed HTTP: "
                "everybody on this machine is one).",
            )
        action = "rules_refused" if request.refuse else "rules_approved"
        self._note(action, f"person:{principal}", PORTFOLIO, request.reason, (("id", waiting.id),))
        self._end()
        if request.refuse:
            return OperatorAnswer(
                done=True,
                text="Refused: the rules in force stay. Mend the files, or the next "
                "reload asks again.",
            )
        self._load(waiting.files)
        return OperatorAnswer(done=True, text=f"Loaded:\n{listed}")

    def _end(self) -> None:
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            self._tell(self._notice(waiting, resolved=True))

    def _notice(self, waiting: Waiting, *, resolved: bool) -> KillNotice:
        many = len(waiting.changes) - TOLD_MAX
        more = (f"And {many} more.",) if many > 0 else ()
        what = "was decided upon" if resolved else "waits for approval"
        return KillNotice(
            key=f"{KEY}/{waiting.id}",
            alert=ALERT,
            severity=Severity.HIGH,
            scope=PORTFOLIO,
            at_ns=self._clock.now(),
            summary=cut_short(f"A rulebook that loosens {what}: {waiting.changes[0]}"),
            description="\n".join(
                (
                    f"The rules in force stay until: riskd rules approve {waiting.id}",
                    *waiting.changes[:TOLD_MAX],
                    *more,
                )
            ),
            resolved=resolved,
        )

    def _moded(self, book: RuleBook) -> RuleBook:
        """With the modes that the desk says. One that acts in a single scope acts."""
        modes: dict[str, RuleMode] = {}
        for rule, mode, scope in self._overrides:
            said = book.get(rule)
            if not scope:
                modes[rule] = mode
            elif said is not None:
                modes[rule] = max(modes.get(rule, said.mode), mode, key=_MODES.index)
        return book.with_modes(modes)


def kept_book(packed: bytes | None) -> tuple[RuleFiles, RuleBook] | None:
    """The rulebook that an earlier process had in force; None where nothing usable was kept."""
    if packed is None:
        return None
    try:
        files = msgspec.msgpack.decode(packed, type=RuleFiles)
        return files, parse_rulebook(files, CATALOGUE)
    except (msgspec.MsgspecError, ConfigError):
        return None


def _id_of(files: Iterable[tuple[str, str]]) -> str:
    digest = hashlib.sha256(msgspec.msgpack.encode(list(files)))
    return digest.hexdigest()[:8]
