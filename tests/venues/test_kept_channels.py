"""What a start announces is spoken for ever after: no REST feed grows silent in a long calm.

Both venues with the real poller in virtual time, against answers of a venue where nothing happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from monitor.core.events import AccountDiscovered, ChannelOpened, Event
from monitor.core.measures.sight import look, speaks
from monitor.core.ports import Poll, Request, Response, Venue
from monitor.core.settings import FreshnessSettings
from monitor.core.state.apply import apply
from monitor.core.state.model import RiskState
from monitor.core.types import SECOND_NS, EngineNs
from monitor.observability.metrics import DaemonMetrics
from monitor.runtime.budget import RequestBudget
from monitor.runtime.poll import Poller
from monitor.venues.dydx.codec.wire import iso_time
from monitor.venues.dydx.settings import DydxSettings
from monitor.venues.dydx.venue import DydxVenue
from monitor.venues.hyperliquid.settings import HyperliquidSettings
from monitor.venues.hyperliquid.venue import HyperliquidVenue
from tests.manual_clock import ManualClock, settle
from tests.venues.dydx import wire_talk as dydx
from tests.venues.hyperliquid import helpers as hyperliquid
from tests.venues.hyperliquid.test_polls import EMPTY, contexts_of, held

CALM_H = 13
LOOKED_S = 600.0
# What is read within minutes is read every five here: it is the promise that is looked at.
RARELY_S = 300.0


def dydx_venue(**periods: float) -> Venue:
    """One address, all histories."""
    accounts = ({"alias": "main", "address": dydx.ADDRESS},)
    return DydxVenue(DydxSettings.model_validate({"accounts": accounts, "periods": periods}))


def hyperliquid_venue(**periods: float) -> Venue:
    """One account that holds something on a builder dex."""
    accounts = ({"alias": "main", "address": hyperliquid.ADDRESS},)
    return HyperliquidVenue(
        HyperliquidSettings.model_validate({"accounts": accounts, "polls": periods})
    )


class CalmDydx:
    """The indexer of a quiet chain; ``numbers`` are the subaccounts that exist."""

    def __init__(self) -> None:
        self.numbers = [0]

    def answer(self, request: Request, now: EngineNs) -> object:
        """What is the case ``now``."""
        path = urlsplit(request.url).path.removeprefix("/v4")
        first = path.split("/")[1]
        if first == "addresses" and "parentSubaccountNumber" in path:
            return {"subaccount": dydx.parent(dydx.subaccount())}
        bodies: dict[str, object] = {
            "perpetualMarkets": {"markets": {"BTC-USD": dydx.market()}},
            "addresses": {"subaccounts": [dydx.subaccount(one) for one in self.numbers]},
            "compliance": {"status": "COMPLIANT"},
            "height": {"height": str(100 + (now - dydx.NOW) // SECOND_NS), "time": iso_time(now)},
            "time": {"iso": iso_time(now), "epoch": now / SECOND_NS},
            "historicalFunding": {"historicalFunding": []},
            "candles": {"candles": []},
            "orders": [],
            "fills": {"fills": []},
            "transfers": {"transfers": []},
            "fundingPayments": {"fundingPayments": []},
        }
        return bodies[first]


class CalmHyperliquid:
    """``/info`` of a quiet exchange."""

    def answer(self, request: Request, now: EngineNs) -> object:
        """What is the case ``now``."""
        body = hyperliquid.asked(request)
        meta = hyperliquid.XYZ_META if body.get("dex") == "xyz" else hyperliquid.META
        bodies: dict[str, Any] = {
            "exchangeStatus": {"specialStatuses": None, "time": now // 1_000_000},
            "perpDexs": [None, {"name": "xyz"}],
            "metaAndAssetCtxs": [meta, contexts_of(meta)],
            "userRole": {"role": "user"},
            "userAbstraction": "default",
            "clearinghouseState": held("xyz:AAPL") if body.get("dex") == "xyz" else EMPTY,
            "spotClearinghouseState": {"balances": []},
            "spotMeta": {"universe": [], "tokens": []},
            "allMids": {},
            "userRateLimit": {"nRequestsUsed": 1, "nRequestsCap": 10_000},
        }
        return bodies.get(body["type"], [])


class Rig:
    """A venue, its poller, and the state that is told what they say."""

    def __init__(self, venue: Venue, calm: CalmDydx | CalmHyperliquid) -> None:
        self.clock = ManualClock(dydx.NOW)
        self.venue = venue
        self.calm = calm
        self.state = RiskState()
        self.events: list[Event] = []
        self.requests: list[Request] = []
        self.poller = Poller(
            venue.name,
            http=self,
            budget=RequestBudget(venue.budget, self.clock),
            clock=self.clock,
            sink=self,
            metrics=DaemonMetrics(version="test"),
            random=Random(3),  # noqa: S311 - jitter, not a secret
        )

    async def execute(self, request: Request) -> Response:
        """The venue's answer, at once."""
        self.requests.append(request)
        body = msgspec.json.encode(self.calm.answer(request, self.clock.now()))
        return Response(status=200, headers=(), body=body)

    def submit(self, events: tuple[Event, ...]) -> None:
        """What was told, as the daemon's state takes it."""
        self.events += events
        for event in events:
            apply(self.state, event, self.clock.now())

    async def start(self) -> tuple[Poll, ...]:
        """Bootstrap; then what is polled for ever, as the driver of a venue asks for it."""
        await self.poller.bootstrap(self.venue.bootstrap())
        self.venue.streams()
        return self.venue.polls()

    async def spoken_by(self, poll: Poll) -> set[str]:
        """The channels that one round of a poll speaks on."""
        del self.events[:]
        request: Request | None = poll.request(self.clock.now())
        while request is not None:
            response = await self.execute(request)
            output = poll.received(response, self.clock.now())
            self.submit(output.events)
            request = output.then
        return {event.channel for event in self.events if hasattr(event, "channel")}


VENUES: Iterable[Any] = (
    pytest.param(dydx_venue, CalmDydx, id="dydx"),
    pytest.param(hyperliquid_venue, CalmHyperliquid, id="hyperliquid"),
)


@pytest.mark.parametrize(("make", "calm"), VENUES)
async def test_what_the_bootstrap_announces_is_polled_at_that_cadence(
    make: Callable[..., Venue], calm: Callable[[], Any]
) -> None:
    """A channel with a cadence that nobody speaks on again is a dead feed from then on."""
    rig = Rig(make(), calm())
    polls = await rig.start()
    announced = {
        event.channel: event.cadence_s
        for event in rig.events
        if isinstance(event, ChannelOpened) and event.cadence_s is not None
    }
    spoken = [(poll.period_s, await rig.spoken_by(poll)) for poll in polls]
    assert announced
    forgotten = {
        channel: cadence_s
        for channel, cadence_s in announced.items()
        if not any(channel in told and period_s <= cadence_s for period_s, told in spoken)
    }
    assert forgotten == {}


@pytest.mark.parametrize(("make", "calm"), VENUES)
async def test_a_long_calm_leaves_no_rest_feed_silent(
    make: Callable[..., Venue], calm: Callable[[], Any]
) -> None:
    """Half a day without news: every channel that was opened speaks within its limit."""
    rig = Rig(make(**slow(make())), calm())
    freshness = FreshnessSettings()
    polls = await rig.start()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(rig.poller.run(polls), name="polls")
        await settle()
        for looked in range(1, round(CALM_H * 3600 / LOOKED_S) + 1):
            await rig.clock.advance(LOOKED_S)
            now = rig.clock.now()
            silent = [
                channel.name
                for channel in rig.state.channels.values()
                if channel.expected and not speaks(channel, now, freshness)
            ]
            assert silent == [], f"after {looked * LOOKED_S / 3600:.1f} h"
            sight = look(rig.state.venues[rig.venue.name], rig.state.channels, now, freshness)
            assert (sight.lost, sight.channels) == ([], [])
        task.cancel()
    opened = {event.channel for event in rig.events if isinstance(event, ChannelOpened)}
    assert len(opened) >= len(polls) - 1  # of a past that is read nothing is left to say


async def test_a_subaccount_opened_after_the_start_is_noticed_and_listed() -> None:
    """Within the hour, by one request: money may be moved out of sight at any time."""
    calm = CalmDydx()
    made = dydx_venue(**slow(dydx_venue()))
    assert isinstance(made, DydxVenue)
    rig = Rig(made, calm)
    polls = await rig.start()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(rig.poller.run(polls), name="polls")
        await rig.clock.advance(1800.0)
        assert made.unwatched == {}
        calm.numbers = [0, 3]
        asked = len(lists(rig.requests))
        await rig.clock.advance(3600.0)
        assert len(lists(rig.requests)) - asked == 1
        task.cancel()
    assert made.unwatched == {"main": (3,)}
    assert list(rig.state.venues["dydx"].unwatched) == ["main.3"]
    found = [event for event in rig.events if isinstance(event, AccountDiscovered)]
    assert [(event.account, event.watched) for event in found] == [("main.3", False)]


def lists(requests: Iterable[Request]) -> list[Request]:
    """Those for the subaccounts of the address."""
    return [one for one in requests if one.url.endswith(f"/addresses/{dydx.ADDRESS}")]


def slow(venue: Venue) -> dict[str, float]:
    """The periods of a venue, with what is read within minutes read less often."""
    settings = venue.settings  # type: ignore[attr-defined] # of both venues
    own = settings.periods if isinstance(venue, DydxVenue) else settings.polls
    most = {"compliance_s": 100.0}
    return {name: max(value, most.get(name, RARELY_S)) for name, value in own.model_dump().items()}
