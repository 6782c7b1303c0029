"""Whether dYdX still lets our addresses trade: its compliance screen, re-read at times.

One blocked or restricted address is the venue's word on all of them together. *Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.errors import AuthError
from monitor.core.events import VenueStatusSeen
from monitor.core.ports import PollOutput, Request, Response
from monitor.core.types import EngineNs
from monitor.venues.dydx.codec import wire
from monitor.venues.dydx.endpoints import Endpoints
from monitor.venues.dydx.polls import RestPoll
from monitor.venues.dydx.settings import VENUE


class ScreenBody(msgspec.Struct, gc=False):
    """``/compliance/screen/{address}``."""

    status: str
    reason: str | None = None


_SCREEN = wire.decoder(ScreenBody)


class CompliancePoll(RestPoll):
    """``/compliance/screen/{a}``: whether the venue still lets this address trade.

    The statuses of all addresses are shared: the venue is well only if all of them are.
    """

    def __init__(
        self,
        alias: str,
        address: str,
        period_s: float,
        api: Endpoints,
        statuses: dict[str, str],
    ) -> None:
        super().__init__("rest.compliance", alias, period_s, api)
        self._alias = alias
        self._address = address
        self._statuses = statuses

    def request(self, now: EngineNs) -> Request:
        """One small answer."""
        del now
        return self.api.get(f"/compliance/screen/{self._address}")

    def told(self, body: bytes, now: EngineNs, response: Response) -> PollOutput:
        """Raises ``AuthError`` for a blocked address: nothing of it can be read."""
        del now, response
        screen = wire.read(_SCREEN, body, "compliance body")
        if screen.status == "BLOCKED":
            why = f" ({screen.reason[:80]})" if screen.reason else ""
            raise AuthError(
                f"dYdX has blocked the account {self._alias!r}{why}: it can neither trade nor be"
                " read. The front end says how to object."
            )
        self._statuses[self._alias] = screen.status[:40]
        return PollOutput((compliance(self._statuses, self.name),))


def compliance(statuses: dict[str, str], channel: str) -> VenueStatusSeen:
    """The venue's word on all our addresses together."""
    bad = [f"{alias} is {status}" for alias, status in statuses.items() if status != "COMPLIANT"]
    text = "; ".join(bad)
    return VenueStatusSeen(
        venue=VENUE,
        channel=channel,
        healthy=not bad,
        detail=f"Compliance: {text}; only closing may be allowed." if bad else "COMPLIANT",
    )
