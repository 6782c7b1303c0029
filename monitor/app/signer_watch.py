"""Asks the signer now and then whether it is there and what it did: an armed riskd without one can
only page, and must say so before it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from monitor.actions.messages import Counters
from monitor.core.killswitch.facts import KillNotice
from monitor.core.ports import Clock
from monitor.core.types import EngineNs, Severity, venue_subject

ALERT = "KillSignerUnreachable"
KEY = "signer/"
PERIOD_S = 15.0
MISSES_MAX = 2  # one may be a restart of the signer


class AsksCounters(Protocol):
    """What is needed of ``actions.signer_client.SignerClient``."""

    async def counters(self) -> Counters | None:
        """What it signed and refused; None where it does not answer."""
        ...


class SignerWatch:
    """Looks every 15 s; pages once after two looks without an answer, and when it is back.

    Args:
        signer: Whom to ask.
        venue: For what it signs.
        clock: Engine time.
        tell: How people are told.
        told: An earlier process told that it does not answer, and not yet that it does.
    """

    def __init__(
        self,
        signer: AsksCounters,
        *,
        venue: str,
        clock: Clock,
        tell: Callable[[KillNotice], None],
        told: bool = False,
    ) -> None:
        self._signer = signer
        self.venue = venue
        self._clock = clock
        self._tell = tell
        self._misses = MISSES_MAX if told else 0
        self.counters: Counters | None = None

    async def run(self) -> NoReturn:
        """For ever."""
        while True:
            await self.look()
            await self._clock.sleep(PERIOD_S)

    async def look(self) -> None:
        """Once."""
        found = await self._signer.counters()
        if found is not None:
            if self._misses >= MISSES_MAX:
                words = f"The signer of {self.venue} answers again"
                self._tell(_notice(self.venue, words, self._clock.now(), ended=True))
            self.counters, self._misses = found, 0
            return
        self._misses += 1
        if self._misses == MISSES_MAX:
            words = f"The signer of {self.venue} does not answer: riskd cannot cancel or cut there"
            self._tell(_notice(self.venue, words, self._clock.now(), ended=False))


def watches(
    venues: Sequence[str],
    signer: AsksCounters,
    *,
    clock: Clock,
    tell: Callable[[KillNotice], None],
    standing: Sequence[str],
) -> tuple[SignerWatch, ...]:
    """One watch for each venue that riskd signs for; pages of an earlier process (``standing``,
    their keys) about others are over, for nobody waits for a signer there now."""
    for key in standing:
        venue = key.removeprefix(KEY)
        if venue not in venues:
            words = f"riskd does not sign for {venue} now"
            tell(_notice(venue, words, clock.now(), ended=True))
    return tuple(
        SignerWatch(signer, venue=one, clock=clock, tell=tell, told=f"{KEY}{one}" in standing)
        for one in venues
    )


def _notice(venue: str, summary: str, now: EngineNs, *, ended: bool) -> KillNotice:
    return KillNotice(
        key=f"{KEY}{venue}",
        alert=ALERT,
        severity=Severity.CRITICAL,
        scope=venue_subject(venue),
        at_ns=now,
        summary=summary,
        description="Start it with `riskd signer --config …`, as riskd's own user and with the "
        "same data directory. Until then act at the venue by hand.",
        resolved=ended,
    )
