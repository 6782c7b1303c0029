"""The trading state goes riskier only once that is on record, and safer at once."""

from __future__ import annotations

import asyncio
import time

from monitor.core.killswitch.facts import PersonPulled, RearmConfirmed, RuleEnded
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.state import Stage
from monitor.core.operator import Verb
from monitor.sim.faults import FaultKind
from tests.killpath.rig import HL_SCOPE, MAIN_SCOPE, Desk, Rig, nonce_in, run
from tests.killpath.test_holds import STALE

TURNS, TURN_S = 20_000, 0.0005


async def told_at_once(rig: Rig, word: str) -> None:
    """The first document that says ACTIVE is one whose reason is on record."""
    for _ in range(TURNS):
        if not rig.trading()["scopes"]:
            break
        time.sleep(TURN_S)  # noqa: ASYNC251 - a loop that never rests starves the store's thread
        await asyncio.sleep(0)
    assert not rig.trading()["scopes"]
    assert word in rig.actions(), "it was told before it was on record"


def test_a_re_arm_is_told_when_it_is_on_record() -> None:
    """Concluded in memory it is nothing that a restart would know of; a stop is told at once."""

    async def story(rig: Rig) -> None:
        await rig.pull("reduce_only")
        await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        offer = await rig.ask(Verb.REARM, scope=str(HL_SCOPE))
        driver = rig.daemon.kill.driver
        driver.submit(RearmConfirmed(principal="host", nonce=nonce_in(offer), reason="over"))
        assert not rig.latches, "the machine has concluded it"
        assert [one["state"] for one in rig.trading()["scopes"]] == ["REDUCE_ONLY"]
        assert rig.trading()["trip_ids"], "and it says which trip that is of"
        await told_at_once(rig, "rearmed")
        driver.submit(
            PersonPulled(
                pull_id="p",
                principal="ann",
                channel="cli",
                scope=HL_SCOPE,
                level=Level.HALT,
                reason="again",
            )
        )
        assert [one["state"] for one in rig.trading()["scopes"]] == ["HALTED"]

    run(story)


def test_a_process_that_dies_before_the_record_has_told_nobody() -> None:
    """Killed between the conclusion and its record: latched before, during and after."""

    async def story(rig: Rig) -> None:
        await rig.pull("reduce_only")
        await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        offer = await rig.ask(Verb.REARM, scope=str(HL_SCOPE))
        rig.daemon.kill.driver.submit(
            RearmConfirmed(principal="host", nonce=nonce_in(offer), reason="over")
        )
        told = rig.trading()["scopes"]
        await rig.kill_process()
        await rig.start()
        assert rig.latches
        assert [one["state"] for one in told] == ["REDUCE_ONLY"]

    run(story)


def test_a_released_hold_is_told_when_it_is_on_record() -> None:
    """Also what goes by itself."""

    async def story(rig: Rig) -> None:
        rig.inject(FaultKind.OUTAGE)
        await rig.until(lambda: rig.trading()["scopes"], within_s=120.0)
        rig.heal()
        state = rig.daemon.kill.machine.state
        driver = rig.daemon.kill.driver
        await rig.until(lambda: not any(h.over_ns is None for h in state.holds.values()),
                        within_s=120.0)  # fmt: skip
        for hold in state.holds.values():
            hold.over_ns = rig.clock.now() - 10**15
        driver.submit(RuleEnded(rule="none", subject=MAIN_SCOPE))
        assert not state.holds, "the machine has let it go"
        assert {one["held"] for one in rig.trading()["scopes"]} == {True}
        await told_at_once(rig, "released")

    run(story, Desk(rules=STALE, acting=("stale",)))
