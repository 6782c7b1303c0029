"""Who may use which verb over signed HTTP, as ``operators:`` of the configuration says.

The machine asks the same of what it latches and clears; here it is asked of every verb, before
anything is carried out. The command line on the host is one principal, and may everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from monitor.core.operator import OperatorAnswer, OperatorDesk, OperatorRequest
from monitor.core.rights import Right, Rights, may, refusal_of
from monitor.core.types import PORTFOLIO
from monitor.server.settings import OperatorSettings

# By the verb as it travels; what only shows is open to whoever is believed at all.
RIGHT_OF = {
    "kill": Right.KILL,
    "plan": None,
    "approve": Right.APPROVE,
    "rearm": Right.REARM_REQUEST,
    "confirm": Right.REARM_CONFIRM,
    "rebaseline": Right.REBASELINE,
    "flag_set": Right.FLAG,
    "flag_clear": Right.FLAG,
    "flags": None,
    "reviewed": Right.REVIEW,
    "approve_rules": Right.RULES_APPROVE,
}


def rights_of(operators: Iterable[OperatorSettings]) -> Rights:
    """What each operator may use."""
    return tuple((one.name, one.may) for one in operators)


class Permitted:
    """An ``OperatorDesk`` that hands on to ``desk`` what its principal may ask.

    Args:
        desk: Who carries it out.
        rights: What each principal may use.
        note: Writes one audit line, as ``KillDriver.note``.
    """

    def __init__(self, desk: OperatorDesk, rights: Rights, note: Callable[..., None]) -> None:
        self._desk = desk
        self._rights = rights
        self._note = note

    async def run(
        self, request: OperatorRequest, *, principal: str, channel: str
    ) -> OperatorAnswer:
        """Do it, or say that they may not, and have that on record."""
        right = RIGHT_OF[request.verb.value]
        if right is None or may(self._rights, principal, right):
            return await self._desk.run(request, principal=principal, channel=channel)
        refusal = refusal_of(principal, right)
        self._note(
            action="command_refused", actor=f"person:{principal}", scope=PORTFOLIO, reason=refusal
        )
        return OperatorAnswer(done=False, text=refusal)
