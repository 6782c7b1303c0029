"""A planned stop leaves a signed lease where the desk may go on, and none where it may not."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from monitor.core.decision import ActionLevel, KillRequest, RuleMode
from monitor.core.kill_file import KILL_FILE_NAME
from monitor.core.killswitch.facts import RearmConfirmed, RuleAsked
from monitor.core.killswitch.state import Stage
from monitor.core.operator import Verb
from monitor.sim.faults import FaultKind
from tests.killpath.rig import HL_SCOPE, PAGER_SECRET, Desk, Json, Rig, nonce_in, run
from tests.killpath.test_bad_disks import locked
from tests.killpath.test_holds import STALE

KEY = bytes(range(32))  # of the variable that the desk below names
LEASED = Desk(kill={"lease_secret_env": PAGER_SECRET})
LEASE_S = 120


@asynccontextmanager
async def asking(rig: Rig) -> AsyncIterator[list[Json]]:
    """A system of the desk that asks twice a second, as long as anybody answers."""
    heard: list[Json] = []

    async def ask(session: aiohttp.ClientSession) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(f"{rig.daemon.url}/v1/trading-state") as got:
                    heard.append(await got.json())
            await asyncio.sleep(0.5)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0)) as session:
        task = asyncio.create_task(ask(session))
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.wait([task])


def believed(document: Json) -> float:
    """For how many seconds a lease lets its reader go on; 0 without one that is signed right."""
    lease = document.get("lease")
    if lease is None:
        return 0.0
    said = f"{document['desk']}.{lease['until_ms'] // 1000}.{document['state']}".encode()
    signed = b64encode(hmac.digest(KEY, said, hashlib.sha256)).decode()
    assert lease["signature"] == f"v1,{signed}"
    return float(lease["until_ms"]) / 1000 - time.time()


def test_a_planned_restart_leaves_a_lease() -> None:
    """Whoever asks every two seconds hears it; the next process answers for itself."""

    async def story(rig: Rig) -> None:
        async with asking(rig) as heard:
            await rig.passes(1.0)
            assert heard
            assert "lease" not in heard[-1]
            await rig.stop()
            assert heard[-1]["state"] == "ACTIVE"
            assert LEASE_S - 30 < believed(heard[-1]) <= LEASE_S + 1
            assert sum("lease" in one for one in heard) >= 3
            await rig.start()
        assert "lease" not in rig.trading()

    run(story, LEASED)


async def latched(rig: Rig) -> None:
    """One venue is stopped."""
    await rig.pull("reduce_only")
    await rig.until(lambda: rig.stage() is Stage.CONTAINED)


async def held(rig: Rig) -> None:
    """One venue's data is bad."""
    rig.inject(FaultKind.OUTAGE)
    await rig.until(lambda: rig.trading()["scopes"], within_s=120.0)
    rig.heal()


async def pulled_by_file(rig: Rig) -> None:
    """Somebody leaves a KILL file, too young to be taken."""
    (rig.data / KILL_FILE_NAME).touch()


async def unconfirmed(rig: Rig) -> None:
    """A rule asked for a cut, and it waits to be confirmed or for the end of a cool-down."""
    request = KillRequest(
        rule="spike",
        subject=HL_SCOPE,
        scope=HL_SCOPE,
        level=ActionLevel.CUT,
        mode=RuleMode.ACT,
        gross_to_ratio=0.7,
        firing_epoch_ns=rig.clock.now(),
        observations_ns=(rig.clock.now(),),
    )
    rig.daemon.kill.driver.submit(RuleAsked(request=request))
    assert rig.daemon.kill.machine.state.pendings


@pytest.mark.parametrize(
    ("before", "desk"),
    [
        pytest.param(latched, LEASED, id="latched"),
        pytest.param(
            held,
            Desk(rules=STALE, acting=("stale",), kill={"lease_secret_env": PAGER_SECRET}),
            id="held",
        ),
        pytest.param(pulled_by_file, LEASED, id="a KILL file"),
        pytest.param(unconfirmed, LEASED, id="asked for and not confirmed"),
    ],
)
def test_what_is_not_clear_leaves_none(
    before: Callable[[Rig], Awaitable[None]], desk: Desk
) -> None:
    """The state that was last told runs out by itself."""

    async def story(rig: Rig) -> None:
        await before(rig)
        async with asking(rig) as heard:
            await rig.passes(0.6)
            await rig.stop()
        assert heard
        assert not any("lease" in one for one in heard)

    run(story, desk)


def test_a_re_arm_that_is_not_on_record_leaves_none() -> None:
    """The next process is latched again: the desk must not have been told otherwise meanwhile."""

    async def story(rig: Rig) -> None:
        await latched(rig)
        offer = await rig.ask(Verb.REARM, scope=str(HL_SCOPE))
        async with locked(rig), asking(rig) as heard:
            rig.daemon.kill.driver.submit(
                RearmConfirmed(principal="host", nonce=nonce_in(offer), reason="over")
            )
            assert not rig.latches
            await rig.stop()
        assert not any("lease" in one for one in heard)
        assert not any(one["state"] == "ACTIVE" and not one["scopes"] for one in heard)

    run(story, LEASED)


def test_a_kill_file_takes_a_lease_back() -> None:
    """`riskd kill` finds nobody to talk to any more, and the desk still hears of it."""

    async def story(rig: Rig) -> None:
        async with asking(rig) as heard:
            stopping = asyncio.create_task(rig.stop())
            for _ in range(100):
                await asyncio.sleep(0.1)
                if heard and "lease" in heard[-1]:
                    break
            (rig.data / KILL_FILE_NAME).touch()
            await stopping
        assert "lease" not in heard[-1]
        assert heard[-1]["state"] == "REDUCE_ONLY"
        assert heard[-1]["reasons"] == ["a KILL file lies in the data directory"]

    run(story, LEASED)
