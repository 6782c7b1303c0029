"""Against the real Alertmanager: fires once, repeats double nothing, ends once, 400 is partial."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import aiohttp
import msgspec
import pytest

from monitor.core.killswitch.facts import KillNotice
from monitor.core.ports import Phase
from monitor.core.types import PORTFOLIO, SECOND_NS, AlertState, Severity
from monitor.notify.alertmanager import AlertmanagerChannel, AlertmanagerSettings
from monitor.notify.alerts import DispatchPolicy, Route
from monitor.notify.dispatch import Dispatcher
from monitor.notify.pager import Pager
from monitor.notify.queue import QueuePolicy
from monitor.notify.sender import LanePlan, Sender
from monitor.runtime.clock import SystemClock
from monitor.store.database import Store
from tests.alertmanager import Alertmanager, running_alertmanager
from tests.notify.fakes import Observer, decision, notice, transition

pytestmark = pytest.mark.component

ROUTES = (Route(channel="alertmanager", holds_state=True),)


class Counting(Observer):
    """Wakes whoever waits for a number of deliveries."""

    def __init__(self) -> None:
        super().__init__()
        self.more = asyncio.Event()

    def attempted(self, channel: str, result: str, latency_s: float) -> None:
        super().attempted(channel, result, latency_s)
        self.more.set()

    async def deliveries(self, count: int) -> None:
        """Until that many more were delivered."""
        goal = len(self.results) + count
        async with asyncio.timeout(30):
            while len(self.results) < goal:
                self.more.clear()
                await self.more.wait()


class Rig:
    """The whole path in this process, repeating every half second."""

    def __init__(self, alertmanager: Alertmanager, store: Store, session: aiohttp.ClientSession):
        self.clock = SystemClock()
        self.store = store
        self.observer = Counting()
        self.stale: set[tuple[str, str]] = set()  # firing rules that no longer see their inputs
        channel = AlertmanagerChannel(
            AlertmanagerSettings(urls=[alertmanager.url]), session, now=self.clock.now
        )
        policy = QueuePolicy(channel="alertmanager", deployment="desk", holds_state=True)
        self.sender = Sender(
            [LanePlan(channel=channel, policy=policy)],
            store,
            clock=self.clock,
            jitter=random.random,
            observer=self.observer,
        )
        self.dispatcher = Dispatcher(
            DispatchPolicy(deployment="desk", routes=ROUTES, resend_critical_s=0.5, resend_s=0.5),
            now=self.clock.now(),
            is_stale=lambda rule, subject: (rule, subject) in self.stale,
        )
        self.pager = Pager(
            self.dispatcher,
            self.sender,
            store,
            clock=self.clock,
            snapshot=lambda: Phase(at_ns=self.clock.now()),
        )


@asynccontextmanager
async def running(alertmanager: Alertmanager, directory: Path) -> AsyncIterator[Rig]:
    """Store, pager and sender for the time of a test."""
    store = Store(directory, phase_deadline_s=10.0)
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        rig = Rig(alertmanager, store, session)
        tasks = [
            group.create_task(rig.sender.run()),
            group.create_task(rig.pager.run()),
        ]
        yield rig
        for task in tasks:
            task.cancel()
    store.close()


async def test_fires_once_and_ends_once(tmp_path: Path) -> None:
    """Repeats before and after the end are silent; the receiver hears of each exactly once."""
    async with (
        running_alertmanager(tmp_path / "alertmanager") as alertmanager,
        running(alertmanager, tmp_path / "data") as rig,
    ):
        receiver = alertmanager.receiver
        epoch_ns = rig.clock.now()
        firing = transition(AlertState.FIRING, at_ns=epoch_ns, epoch_ns=epoch_ns)
        rig.pager.decided(decision(firing))
        await receiver.wait_for(lambda: bool(receiver.named("LeverageHigh", "firing")))
        await rig.observer.deliveries(6)
        end = transition(
            AlertState.INACTIVE, AlertState.FIRING, at_ns=rig.clock.now(), epoch_ns=epoch_ns
        )
        rig.pager.decided(decision(end))
        await receiver.wait_for(lambda: bool(receiver.named("LeverageHigh", "resolved")))
        await rig.observer.deliveries(6)
        (fired,) = receiver.named("LeverageHigh", "firing")
        assert fired["annotations"]["summary"] == firing.summary
        assert fired["labels"] == dict(rig.dispatcher.active[0].labels)
        assert len(receiver.named("LeverageHigh", "resolved")) == 1
        assert len(receiver.named("RiskdWatchdog", "firing")) == 1


async def test_lost_inputs_keep_the_alert_active(tmp_path: Path) -> None:
    """The repeats carry ``data="stale"`` to the alert that Alertmanager holds, and end nothing."""
    async with (
        running_alertmanager(tmp_path / "alertmanager") as alertmanager,
        running(alertmanager, tmp_path / "data") as rig,
    ):
        receiver = alertmanager.receiver
        epoch_ns = rig.clock.now()
        firing = transition(AlertState.FIRING, at_ns=epoch_ns, epoch_ns=epoch_ns)
        rig.pager.decided(decision(firing))
        await receiver.wait_for(lambda: bool(receiver.named("LeverageHigh", "firing")))
        rig.stale.add((firing.rule, str(firing.subject)))
        await rig.observer.deliveries(6)
        held = {one["labels"]["alertname"]: one for one in await alertmanager.alerts()}
        assert held["LeverageHigh"]["annotations"]["data"] == "stale"
        assert held["LeverageHigh"]["status"]["state"] == "active"
        assert receiver.named("LeverageHigh", "resolved") == []


async def test_a_400_is_partial(tmp_path: Path) -> None:
    """One alert with an impossible label name: named and dropped, the others are active."""
    clock = SystemClock()
    now = clock.now()
    bad = msgspec.structs.replace(
        notice("bad", at_ns=now), labels=(("alertname", "Bad"), ("no-such-name", "x"))
    )
    notices = [notice("a", at_ns=now), bad, notice("b", at_ns=now), notice("c", at_ns=now)]
    async with (
        running_alertmanager(tmp_path / "alertmanager") as alertmanager,
        aiohttp.ClientSession() as session,
    ):
        channel = AlertmanagerChannel(
            AlertmanagerSettings(urls=[alertmanager.url]), session, now=clock.now
        )
        results = await channel.send(notices)
        held = {one["labels"].get("test") for one in await alertmanager.alerts()}
    assert [error is None for error in results] == [True, False, True, True]
    assert results[1] is not None
    assert "no-such-name" in str(results[1])
    assert not results[1].retryable
    assert held == {"a", "b", "c"}
    assert channel.dropped == 1


async def test_what_it_may_hold_is_what_it_holds(tmp_path: Path) -> None:
    """``endsAt`` at Alertmanager is ``hold_s`` after the sending, to the second."""
    clock = SystemClock()
    one = msgspec.structs.replace(notice("a", at_ns=clock.now()), hold_s=600.0)
    async with (
        running_alertmanager(tmp_path / "alertmanager") as alertmanager,
        aiohttp.ClientSession() as session,
    ):
        sent_ns = clock.now()
        channel = AlertmanagerChannel(
            AlertmanagerSettings(urls=[alertmanager.url]), session, now=lambda: sent_ns
        )
        assert await channel.send([one]) == (None,)
        (held,) = await alertmanager.alerts()
    ends_s = datetime.fromisoformat(held["endsAt"]).timestamp()
    assert abs(ends_s - (sent_ns / SECOND_NS + 600.0)) < 0.01


KILLED = "KillSwitchTripped"


def tripped(rig: Rig, stage: str, *, resolved: bool = False) -> None:
    """The kill switch says where its trip stands; kept and told as its driver does."""
    notice = KillNotice(
        key="trip-1",
        alert=KILLED,
        severity=Severity.CRITICAL,
        scope=PORTFOLIO,
        at_ns=rig.clock.now(),
        summary=f"CUT of the portfolio: {stage}",
        description="By funding_stress.",
        resolved=resolved,
        stage=stage,
    )
    rig.pager._take(rig.pager.prepare([notice]))


async def test_a_trip_notifies_again_when_a_person_has_to_do_something_else(
    tmp_path: Path,
) -> None:
    """INCOMPLETE rings at once and not hours later, also after it rang before and over a restart;
    what is over is ended, and nothing is left firing."""
    stages = ["acting", "incomplete", "acting", "incomplete", "contained"]
    async with running_alertmanager(tmp_path / "alertmanager") as alertmanager:
        receiver = alertmanager.receiver

        def rang() -> list[str]:
            return [one["labels"]["stage"] for one in receiver.named(KILLED, "firing")]

        for half in (stages[:2], stages[2:]):
            async with running(alertmanager, tmp_path / "data") as rig:
                await rig.pager.restore(await rig.store.alerts(), firing=set())
                for stage in half:
                    count = len(rang())
                    tripped(rig, stage)
                    await receiver.wait_for(lambda: len(rang()) > count)  # noqa: B023 - awaited here
                    await rig.observer.deliveries(2)  # repeats ring nobody
                assert rang() == stages[: len(rang())]
                if half[-1] == "contained":
                    tripped(rig, "contained", resolved=True)
                    await receiver.wait_for(
                        lambda: (
                            "contained"
                            in [
                                one["labels"]["stage"] for one in receiver.named(KILLED, "resolved")
                            ]
                        )
                    )
                    await rig.observer.deliveries(2)
        assert rang() == stages
        ended = [one["labels"]["stage"] for one in receiver.named(KILLED, "resolved")]
        assert sorted(ended) == sorted(stages), "each ring has its end"
        held = [one["labels"]["alertname"] for one in await alertmanager.alerts()]
        assert KILLED not in held
