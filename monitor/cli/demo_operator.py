"""The person in ``riskd demo``: pulls the switch over one asset while the venue refuses, and goes
back in two steps once it is allowed.

It types what a person would type: the same requests over the same control socket, one after the
other, each when what it waits for is there. In any other scenario it does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from monitor.cli.control import NobodyThereError, new_id, send
from monitor.core.killswitch.state import KillState, Stage
from monitor.core.operator import OperatorAnswer, OperatorRequest, Verb
from monitor.core.ports import Clock
from monitor.core.types import Subject
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.listings import HYPERLIQUID
from monitor.sim.occurrences import Narrated
from monitor.sim.world import World

SCENARIO = "demo"
LOOK_S = 0.5
THINKS_S = 5.0
REFUSED_S = 15.0  # how long the venue goes on refusing once that has shown
ASSET = Subject("asset:HYPE")
VENUE = Subject("venue:hyperliquid")
SETTLED = frozenset({Stage.CONTAINED, Stage.INCOMPLETE})
# Of the answer to the first step of going back, what a person reads first.
READ_FIRST = ("Left undone:", "Not met:", "Rules that would fire again", "It will not:")


@dataclass
class Operator:
    """Somebody at a command line.

    Args:
        data: The data directory, where the control socket is.
        clock: The demo's time.
        state: The kill switch as it is now.
        unmet: What a scope's rules still want before it may go back.
        world: Whose venue begins to refuse; it takes orders again when that was seen for a while.
        say: Tells what is typed and answered.
        eventful: Called when something is about to be shown.
    """

    data: Path
    clock: Clock
    state: Callable[[], KillState]
    unmet: Callable[[Subject], tuple[str, ...]]
    world: World
    say: Callable[[str], None]
    eventful: Callable[[], None]

    async def run(self) -> None:
        """The whole part; ends when there is nothing left to do."""
        faults = self.world.faults
        faults.subscribe(self._changed)
        try:
            await self._until(lambda: self._refuses() and self._stage(VENUE) in {*SETTLED, None})
            await self._flatten()
            await self._until(lambda: self._stage(ASSET) is Stage.INCOMPLETE or not self._refuses())
            await self.clock.sleep(REFUSED_S)
            faults.heal(FaultKind.ACTIONS_REFUSED)
        finally:
            faults.unsubscribe(self._changed)
        await self._until(lambda: self._stage(ASSET) is Stage.CONTAINED)
        await self._back(ASSET, "the venue takes orders again")
        await self._too_soon()
        await self._until(lambda: self._stage(VENUE) in SETTLED and not self.unmet(VENUE))
        await self._back(VENUE, "the storm is over")

    def _refuses(self) -> bool:
        return self.world.faults.holds(FaultKind.ACTIONS_REFUSED, HYPERLIQUID)

    def _changed(self, fault: Fault, injected: bool) -> None:
        if fault.kind is FaultKind.ACTIONS_REFUSED and not injected:
            self.world.emit(Narrated(self.world.now_s, "Hyperliquid takes orders again."))

    async def _flatten(self) -> None:
        await self.clock.sleep(THINKS_S)
        reason = "out of HYPE before the squeeze"
        self._types(f'riskd kill --scope {ASSET} --level flatten --reason "{reason}"')
        await self._ask(Verb.KILL, scope=str(ASSET), level="flatten", reason=reason)

    async def _too_soon(self) -> None:
        """Ask for the way back while the rule still fires: it is told, and left."""
        await self.clock.sleep(THINKS_S)
        if not self.unmet(VENUE):
            return
        self._types(f"riskd rearm --scope {VENUE}")
        offer = await self._ask(Verb.REARM, scope=str(VENUE))
        self._read(offer)
        self.say("  Funding is still high: the desk does not confirm, and waits.")

    def _read(self, offer: OperatorAnswer) -> None:
        for line in offer.text.splitlines():
            if line.startswith(READ_FIRST):
                self.say(f"  {line}")

    async def _back(self, scope: Subject, reason: str) -> None:
        await self.clock.sleep(THINKS_S)
        self._types(f"riskd rearm --scope {scope}")
        offer = await self._ask(Verb.REARM, scope=str(scope))
        self._read(offer)
        if not offer.done:
            return
        nonce = offer.text.split("--confirm ")[1].split()[0]
        await self.clock.sleep(THINKS_S)
        self._types(f'riskd rearm --confirm {nonce} --reason "{reason}"')
        answer = await self._ask(Verb.CONFIRM, nonce=nonce, reason=reason)
        if not answer.done:
            self.say(f"  {answer.text}")

    def _stage(self, scope: Subject) -> Stage | None:
        latch = self.state().latches.get(scope)
        return None if latch is None else latch.stage

    def _types(self, command: str) -> None:
        self.eventful()
        self.say(f"$ {command}")

    async def _ask(
        self,
        verb: Verb,
        *,
        scope: str = "portfolio",
        level: str = "",
        nonce: str = "",
        reason: str = "",
    ) -> OperatorAnswer:
        request = OperatorRequest(
            id=new_id(), verb=verb, scope=scope, level=level, nonce=nonce, reason=reason
        )
        try:
            return await asyncio.to_thread(send, self.data, request)
        except NobodyThereError as error:
            return OperatorAnswer(done=False, text=str(error))

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            await self.clock.sleep(LOOK_S)
