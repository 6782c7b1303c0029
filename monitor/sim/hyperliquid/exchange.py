"""``POST /exchange`` of the simulated Hyperliquid, apart from the socket it came through.

``submit`` takes a body and calls back with the answer: at once, or when a fault says so, or never.
Success and refusal are both HTTP 200, as on the real venue; only what cannot be read is a 422. The
state of it all (nonces, orders, budgets) lies in the world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import orjson

from monitor.sim.accounts import SimAccount
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.hyperliquid import actions, desks
from monitor.sim.hyperliquid import exchange_account as changing
from monitor.sim.hyperliquid import exchange_batches as batches
from monitor.sim.hyperliquid import exchange_cancels as cancels
from monitor.sim.hyperliquid.actions import Envelope
from monitor.sim.hyperliquid.desks import VENUE, Desk, RefusedError
from monitor.sim.hyperliquid.info import NOT_JSON, UNREADABLE, Answer
from monitor.sim.hyperliquid.wire import Json, JsonObject
from monitor.sim.world import World

Reply = Callable[[Answer], None]
ACTIONS_PER_WEIGHT = 40
HALT_LOOK_S = 0.1
# What the venue says when it takes nothing at all is not documented.
REFUSED = "Action could not be processed."
DONE: JsonObject = {"type": "default"}


@dataclass(frozen=True, slots=True)
class Fate:
    """What a fault does to one request: an answer ``instead`` of any effect, a wait before or
    after, an ``error`` told although it was executed, or silence."""

    instead: Answer | None = None
    before_s: float = 0.0
    after_s: float = 0.0
    error: Answer | None = None
    unanswered: bool = False


def submit(world: World, body: bytes, reply: Reply) -> float:
    """Take one request; returns its weight in the caller's budget."""
    try:
        envelope = actions.read(body)
    except msgspec.ValidationError:
        reply(Answer(422, UNREADABLE.encode(), json=False))
        return 1.0
    except msgspec.DecodeError:
        reply(Answer(400, NOT_JSON.encode(), json=False))
        return 1.0
    fate = fate_of(world, envelope)

    def run() -> None:
        if world.faults.holds(FaultKind.HALTED, VENUE):
            world.schedule(world.now_s + HALT_LOOK_S, run)  # it waits for the next block
            return
        said = execute(world, envelope)
        answer = said if fate.error is None else fate.error
        if fate.unanswered:
            return
        if fate.after_s > 0:
            world.schedule(world.now_s + fate.after_s, lambda: reply(answer))
        else:
            reply(answer)

    if fate.instead is not None:
        reply(fate.instead)
    elif fate.before_s > 0:
        world.schedule(world.now_s + fate.before_s, run)
    else:
        run()
    return 1.0 + actions.batch_length(envelope.action) // ACTIONS_PER_WEIGHT


def fate_of(world: World, envelope: Envelope) -> Fate:
    """What the faults that hold now do to a request; nothing to one that nobody may send."""
    try:
        signer = desks.signer_of(world, envelope)
        account = desks.account_for(world, signer, envelope.vault_address)
    except RefusedError:
        return Fate()
    kind = actions.type_of(envelope.action)

    def hit(fault_kind: FaultKind) -> Fault | None:
        fault = desks.fault_for(world, account, fault_kind, kind)
        return fault if fault is not None and world.faults.hits(fault) else None

    if hit(FaultKind.ACTIONS_LIMITED):
        return Fate(instead=Answer(429, b"null"))
    if hit(FaultKind.ACTIONS_FAIL):
        return Fate(instead=Answer(500, b"Internal Server Error", json=False))
    if hit(FaultKind.ACTIONS_REFUSED):
        return Fate(instead=_refusal(REFUSED))
    slow, late = hit(FaultKind.ACTIONS_SLOW), hit(FaultKind.ACTIONS_DELAYED)
    overloaded = hit(FaultKind.ACTIONS_OVERLOADED)
    return Fate(
        before_s=0.0 if late is None else late.delay_s,
        after_s=0.0 if slow is None else slow.delay_s,
        error=None if overloaded is None else Answer(502, b"Bad Gateway", json=False),
        unanswered=hit(FaultKind.ACTIONS_UNANSWERED) is not None,
    )


def execute(world: World, envelope: Envelope) -> Answer:
    """Judge the request and do what it asks for."""
    action = envelope.action
    try:
        signer = desks.signer_of(world, envelope)
        account = desks.account_for(world, signer, envelope.vault_address)
        desks.check_nonce(world, signer, envelope.nonce)
        _check_expiry(world, envelope, signer, account)
        desks.check_budget(world, account, action)
        desks.use_nonce(signer, envelope.nonce)
        response = perform(Desk(world, account), action)
        # Refusals cost nothing; a refused order within an accepted batch does.
        account.requests_used += actions.batch_length(action)
    except RefusedError as refused:
        return _refusal(str(refused))
    return Answer(200, orjson.dumps({"status": "ok", "response": response}))


def _check_expiry(
    world: World, envelope: Envelope, signer: SimAccount, account: SimAccount
) -> None:
    expiry = envelope.expires_after
    if expiry is not None and expiry < desks.clock_ms(world):
        desks.use_nonce(signer, envelope.nonce)
        account.requests_used += desks.EXPIRED_COST
        raise RefusedError("Action already expired")


def _refusal(text: str) -> Answer:
    return Answer(200, orjson.dumps({"status": "err", "response": text}))


# ---------------------------------------------------------------------------------------- actions


def perform(desk: Desk, action: actions.Action) -> JsonObject:
    """Do it; the ``response`` of an accepted action.

    Raises:
        RefusedError: If it is refused as a whole.
    """
    if isinstance(action, actions.Order):
        return _listed("order", batches.place_all(desk, action))
    if isinstance(action, actions.BatchModify):
        return _listed("order", batches.modify_all(desk, action.modifies))
    if isinstance(action, actions.Cancel):
        ids = [(one.a, one.o) for one in action.cancels]
        return _listed("cancel", cancels.cancel_all(desk, ids, fast=action.f is True))
    if isinstance(action, actions.CancelByCloid):
        named = [(one.asset, one.cloid) for one in action.cancels]
        return _listed("cancel", cancels.cancel_all(desk, named, fast=action.f is True))
    if isinstance(action, actions.TwapOrder):
        status = changing.start_twap(desk, action.twap)
        return {"type": "twapOrder", "data": {"status": status}}
    if isinstance(action, actions.TwapCancel):
        return {"type": "twapCancel", "data": {"status": changing.cancel_twap(desk, action)}}
    _change(desk, action)
    return DONE


def _change(desk: Desk, action: actions.Action) -> None:
    """Actions that answer with nothing but that they were done."""
    if isinstance(action, actions.Modify):
        batches.modify_one(desk, action)
    elif isinstance(action, actions.ScheduleCancel):
        changing.schedule_cancel(desk, action)
    elif isinstance(action, actions.UpdateLeverage):
        changing.update_leverage(desk, action)
    elif isinstance(action, actions.UpdateIsolatedMargin):
        changing.update_isolated_margin(desk, action)


def _listed(kind: str, statuses: list[Json]) -> JsonObject:
    return {"type": kind, "data": {"statuses": statuses}}
