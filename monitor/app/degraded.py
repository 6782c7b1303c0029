"""What is wrong at a start and must not keep an armed riskd from enforcing what is latched.

A riskd that never could act refuses: one clear sentence, exit code 2, nothing half-started. One
that could comes up without the part in question, pages what is wrong and what to do, and tries
that part again until it is there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import structlog

from monitor.config import Config
from monitor.core.errors import ConfigError
from monitor.core.killswitch.facts import KillNotice
from monitor.core.killswitch.words import cut_short
from monitor.core.ports import Clock
from monitor.core.types import PORTFOLIO, SECOND_NS, EngineNs, Severity
from monitor.notify.notice import ActiveAlert
from monitor.store.past import may_have_acted

ALERT = "RiskdDegraded"
FIRST_WAIT_S = 2.0
PROBLEMS_TOLD = 5  # of a rulebook with many mistakes; the log has them all
Again = Callable[[], Awaitable[None]]
Found = TypeVar("Found")


@dataclass(slots=True)
class Setback:
    """One part that is missing. ``meanwhile`` says what riskd does without it."""

    name: str
    problem: str
    meanwhile: str
    severity: Severity
    again: Again | None
    wait_s: float
    wait_s_max: float
    due_ns: EngineNs


def has_to_enforce(config: Config, *, base: Path) -> bool:
    """Whether a start must succeed: an armed riskd on a directory that one was on before, so that
    something may be latched there."""
    if config.mode != "armed":
        return False
    data = base / config.data_dir
    second = config.kill.second_copy_dir
    return may_have_acted(data, base / second if second else data)


class Degraded:
    """Forgives where an armed riskd has to come up, and refuses everywhere else.

    Args:
        clock: Engine time.
        enforces: Whether this start has to succeed; asked at the first problem, once.
    """

    def __init__(self, *, clock: Clock, enforces: Callable[[], bool]) -> None:
        self._clock = clock
        self._enforces = enforces
        self._forgiving: bool | None = None
        self._setbacks: dict[str, Setback] = {}
        self._tell: Callable[[KillNotice], None] | None = None
        self._log = structlog.get_logger("riskd")

    @property
    def problems(self) -> Mapping[str, str]:
        """What is wrong now, one sentence for each part."""
        return {name: one.problem for name, one in self._setbacks.items()}

    @property
    def forgiving(self) -> bool:
        """Whether this riskd comes up whatever is wrong."""
        if self._forgiving is None:
            self._forgiving = self._enforces()
        return self._forgiving

    def forgive(
        self,
        name: str,
        error: ConfigError,
        *,
        meanwhile: str,
        severity: Severity = Severity.HIGH,
        again: Again | None = None,
        wait_s_max: float = 60.0,
    ) -> None:
        """Go on without a part; it is paged and tried again.

        Args:
            name: Of the part; one word, stable over restarts.
            error: What is wrong.
            meanwhile: What riskd does without it, a sentence for the page.
            severity: Of the page.
            again: Tries it once more; raises ``ConfigError`` where it still fails.
            wait_s_max: Longest wait between two attempts, seconds.

        Raises:
            ConfigError: ``error`` itself, where nothing was ever armed.
        """
        if not self.forgiving:
            raise error
        told = [str(problem) if problem.field != "-" else problem.message
                for problem in error.problems]  # fmt: skip
        more = len(told) - PROBLEMS_TOLD
        problem = " ".join([*told[:PROBLEMS_TOLD], *([f"And {more} more."] if more > 0 else [])])
        self._log.error("riskd_degraded", part=name, problems=told)
        self._setbacks[name] = Setback(
            name=name,
            problem=problem,
            meanwhile=meanwhile,
            severity=severity,
            again=again,
            wait_s=FIRST_WAIT_S,
            wait_s_max=wait_s_max,
            due_ns=self._clock.now() + round(FIRST_WAIT_S * SECOND_NS),
        )
        self._say(self._setbacks[name])

    def attempt(self, name: str, make: Callable[[], Found], *, meanwhile: str) -> Found | None:
        """What ``make`` gives; None where it fails and that is forgiven.

        Raises:
            ConfigError: As ``forgive``.
        """
        try:
            return make()
        except ConfigError as error:
            self.forgive(name, error, meanwhile=meanwhile)
            return None

    def mended(self, name: str) -> None:
        """The part is there; nothing happens where it was not missing."""
        setback = self._setbacks.pop(name, None)
        if setback is not None:
            self._log.info("riskd_mended", part=name)
            self._say(setback, resolved=True)

    def tell_by(self, tell: Callable[[KillNotice], None], held: Sequence[ActiveAlert]) -> None:
        """People can be told from now on: of what is wrong, and that it is no more what an earlier
        process had told and this one does not find (``held``: alerts that go on)."""
        self._tell = tell
        for setback in self._setbacks.values():
            self._say(setback)
        for alert in held:
            name = alert.about.removeprefix(f"{ALERT}/")
            if alert.firing and alert.rule == f"{ALERT}!" and name not in self._setbacks:
                tell(_notice(name, "", "", Severity.HIGH, self._clock.now()))

    async def run(self) -> NoReturn:
        """Try what is missing again, with growing waits, for ever."""
        while True:
            await self._clock.sleep(FIRST_WAIT_S)
            for setback in list(self._setbacks.values()):
                if setback.again is not None and setback.due_ns <= self._clock.now():
                    await self._try(setback, setback.again)

    async def _try(self, setback: Setback, again: Again) -> None:
        try:
            await again()
        except ConfigError as error:
            setback.wait_s = min(2 * setback.wait_s, setback.wait_s_max)
            setback.due_ns = self._clock.now() + round(setback.wait_s * SECOND_NS)
            self._log.info("riskd_still_degraded", part=setback.name, reason=str(error))
            return
        self.mended(setback.name)

    def _say(self, setback: Setback, *, resolved: bool = False) -> None:
        if self._tell is not None:
            problem = "" if resolved else setback.problem
            now, severity = self._clock.now(), setback.severity
            self._tell(_notice(setback.name, problem, setback.meanwhile, severity, now))


def _notice(
    name: str, problem: str, meanwhile: str, severity: Severity, now: EngineNs
) -> KillNotice:
    """The page about one part; without a problem its end."""
    summary = f"riskd runs without its {name}: {problem}" if problem else f"riskd has its {name}"
    return KillNotice(
        key=f"{ALERT}/{name}",
        alert=ALERT,
        severity=severity,
        scope=PORTFOLIO,
        at_ns=now,
        summary=cut_short(summary),
        description=f"{problem} {meanwhile}" if problem else "What was missing is there again.",
        resolved=not problem,
    )
