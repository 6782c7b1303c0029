"""Measuring drawdown anew from today's equity: it loosens every rule of the loss family.

One step with a reason; where the configuration asks for a second person (``kill.second_principal``)
two, as the way back of a latch is: who asked cannot confirm. What waits for the second does not
outlive the process.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import NamedTuple

from monitor.core.engine import Engine
from monitor.core.events import OperatorCommanded
from monitor.core.killswitch.policy import RearmPolicy
from monitor.core.operator import OperatorAnswer, OperatorRequest, scope_of
from monitor.core.ports import Clock, EventSink
from monitor.core.state.control import REBASELINE
from monitor.core.types import PORTFOLIO, SECOND_NS, EngineNs, Subject


class _Offer(NamedTuple):
    """What one person asked for and another may confirm."""

    principal: str
    scope: Subject
    reason: str
    expires_ns: EngineNs


class Rebaselines:
    """Carries out ``rebaseline``.

    Args:
        policy: Whether it takes two people, and for how long the first waits.
        engine: Read for what is measured from a peak.
        events: Where the word to the engine goes.
        clock: The daemon's.
        note: Writes one audit line, as ``KillDriver.note``.
    """

    def __init__(
        self,
        policy: RearmPolicy,
        *,
        engine: Engine,
        events: EventSink,
        clock: Clock,
        note: Callable[..., None],
    ) -> None:
        self._policy = policy
        self._engine = engine
        self._events = events
        self._clock = clock
        self._note = note
        self._offers: dict[str, _Offer] = {}

    def run(self, request: OperatorRequest, principal: str) -> OperatorAnswer:
        """Step one, or with a nonce step two."""
        now = self._clock.now()
        self._offers = {key: one for key, one in self._offers.items() if now <= one.expires_ns}
        if request.nonce:
            return self._confirm(request, principal)
        scope = scope_of(request.scope)
        drawdowns = self._engine.state.drawdowns
        if scope != PORTFOLIO and scope not in drawdowns:
            known = ", ".join(sorted(drawdowns)) or "none yet"
            return OperatorAnswer(
                done=False, text=f"Nothing is measured from a peak in {scope}. Known: {known}."
            )
        if not self._policy.second_principal_required:
            return self._do(scope, request.reason, principal)
        ttl_s = self._policy.nonce_ttl_s
        nonce = secrets.token_urlsafe(9)
        expires_ns = now + round(ttl_s * SECOND_NS)
        self._offers[nonce] = _Offer(principal, scope, request.reason, expires_ns)
        self._tell("rebaseline_requested", principal, scope, request.reason)
        return OperatorAnswer(
            done=True,
            text=f"The drawdown of {_words(scope)} would be measured from the equity of now; rules "
            "about a loss that is left behind so may end.\n"
            f"To confirm, a second person sends the nonce and a reason within {ttl_s:g} s.\n"
            f'  riskd rebaseline --confirm {nonce} --reason "…"',
        )

    def _confirm(self, request: OperatorRequest, principal: str) -> OperatorAnswer:
        offer = self._offers.get(request.nonce)
        if offer is None:
            refusal = "No rebaseline waits for this nonce: none was asked for, or it has run out."
            self._tell("rebaseline_refused", principal, PORTFOLIO, refusal)
            return OperatorAnswer(done=False, text=refusal)
        if principal == offer.principal:
            refusal = f"{principal} asked for it, and a second person must confirm."
            self._tell("rebaseline_refused", principal, offer.scope, refusal)
            return OperatorAnswer(done=False, text=refusal)
        del self._offers[request.nonce]
        reason = f"{offer.reason} (asked by {offer.principal}); {request.reason}"
        return self._do(offer.scope, reason, principal)

    def _do(self, scope: Subject, reason: str, principal: str) -> OperatorAnswer:
        arguments = () if scope == PORTFOLIO else (("subject", str(scope)),)
        word = OperatorCommanded(
            principal=principal, verb=REBASELINE, arguments=arguments, reason=reason
        )
        self._events.submit((word,))
        self._tell("rebaselined", principal, scope, reason)
        return OperatorAnswer(
            done=True,
            text=f"The drawdown of {_words(scope)} is measured from the equity of now.",
        )

    def _tell(self, action: str, principal: str, scope: Subject, reason: str) -> None:
        self._note(action=action, actor=f"person:{principal}", scope=scope, reason=reason)


def _words(scope: Subject) -> str:
    return "every account and the portfolio" if scope == PORTFOLIO else str(scope)
