"""What the desk's own systems may do now: the trading state, whole and by scope.

Valid for 15 s; who reads an older one must take it for REDUCE_ONLY. *Pure.*
"""

from __future__ import annotations

import enum

import msgspec

from monitor.core.decision import Because
from monitor.core.killswitch.episodes import regrowth
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import DaemonMode
from monitor.core.killswitch.precedence import ranked
from monitor.core.killswitch.scope import contains, covers_account, scope_parts
from monitor.core.killswitch.state import KillState, Latch
from monitor.core.killswitch.turn import after
from monitor.core.types import PORTFOLIO, EngineNs, Subject, SubjectKind

VALID_S = 15.0


class Trading(enum.StrEnum):
    """The three words of the contract."""

    ACTIVE = "ACTIVE"
    REDUCE_ONLY = "REDUCE_ONLY"
    HALTED = "HALTED"


class ScopeState(msgspec.Struct, frozen=True, kw_only=True):
    """One scope under a latch or a hold."""

    scope: Subject
    trading: Trading
    level: Level
    stage: str
    reasons: tuple[str, ...]
    trip_id: str = ""
    held: bool = False  # goes by itself; else a person must re-arm


class TradingState(msgspec.Struct, frozen=True, kw_only=True):
    """What may be sent now. ``mode`` is the daemon's.

    ``trading`` and ``level`` are for the whole portfolio; a scope listed in ``scopes`` may be
    stricter, and then the stricter one holds there. ``hedge_allowed`` per asset: an order that
    lowers |net delta| counts as an exit. ``gross_max_usd`` by scope: after a cut was re-armed,
    what its gross exposure may grow back to by now, a tenth a day of what it was.
    """

    at_ns: EngineNs
    valid_until_ns: EngineNs
    mode: DaemonMode
    trading: Trading
    level: Level
    scopes: tuple[ScopeState, ...] = ()
    hedge_allowed: tuple[tuple[str, bool], ...] = ()
    reasons: tuple[str, ...] = ()
    trip_ids: tuple[str, ...] = ()
    gross_max_usd: tuple[tuple[str, float], ...] = ()


def trading_of(level: Level) -> Trading:
    """The word for a level."""
    if level >= Level.HALT:
        return Trading.HALTED
    return Trading.REDUCE_ONLY if level >= Level.REDUCE_ONLY else Trading.ACTIVE


def effective(state: KillState, subject: Subject, *, for_hedges: bool = False) -> Level:
    """The level that holds for a subject: the most restrictive of the latches and holds around it;
    ``for_hedges`` without those that allow hedges.

    Raises:
        ValueError: If the subject is no scope of the kill switch.
    """
    scope_parts(subject)
    assets = {(venue, market): asset for venue, _, market, asset in state.sight.legs}
    latched = [(latch.scope, latch.level) for latch in state.latches.values()]
    latched += [
        (hold.scope, Level.REDUCE_ONLY)
        for hold in state.holds.values()
        if not for_hedges or hold.because is Because.DATA
    ]
    return max(
        (level for scope, level in latched if contains(scope, subject, assets)),
        default=Level.NORMAL,
    )


def trading_state(state: KillState, mode: DaemonMode, now: EngineNs) -> TradingState:
    """The contract with the desk as of ``now``."""
    scopes = tuple(
        [_latched(latch) for latch in state.latches.values()]
        + [
            ScopeState(
                scope=hold.scope,
                trading=Trading.REDUCE_ONLY,
                level=Level.REDUCE_ONLY,
                stage="held",
                reasons=(f"{hold.rule} about {hold.subject}",),
                held=True,
            )
            for hold in state.holds.values()
        ]
    )
    level = effective(state, PORTFOLIO)
    return TradingState(
        at_ns=now,
        valid_until_ns=after(now, VALID_S),
        mode=mode,
        trading=trading_of(level),
        level=level,
        scopes=scopes,
        hedge_allowed=hedges(state),
        reasons=tuple(reason for scope in scopes for reason in scope.reasons),
        trip_ids=tuple(latch.trip_id for latch in state.latches.values()),
        gross_max_usd=regrowth.limits(state, now),
    )


def with_kept(state: KillState, kept: KillState) -> KillState:
    """What the desk may be told: ``state``, and whatever ``kept`` forbids beyond it.

    ``kept`` is the state as it is on record. What makes trading safer is told at once; what was
    cleared or released only when the record has it, for a restart knows of nothing else.
    """
    latches, holds = dict(state.latches), dict(state.holds)
    for scope, latch in kept.latches.items():
        if scope not in latches or latches[scope].level < latch.level:
            latches[scope] = latch
    for key, hold in kept.holds.items():
        holds.setdefault(key, hold)
    return msgspec.structs.replace(state, latches=latches, holds=holds)


def _latched(latch: Latch) -> ScopeState:
    return ScopeState(
        scope=latch.scope,
        trading=trading_of(latch.level),
        level=latch.level,
        stage=latch.stage.value,
        reasons=tuple(
            f"{one.actor}: {one.reason}" if one.reason else one.actor
            for one in ranked(latch.causes)
        ),
        trip_id=latch.trip_id,
    )


def hedges(state: KillState) -> tuple[tuple[str, bool], ...]:
    """Per asset that is held: whether an order that lowers |net delta| may be sent.

    Not under a HALT that takes the asset in, and not while a leg of it is in an account that is
    dark, or held for its data: its net is not known then.
    """
    allowed: dict[str, bool] = {}
    blind = [hold.scope for hold in state.holds.values() if hold.because is Because.DATA]
    halts = [one.scope for one in state.latches.values() if one.level >= Level.HALT]
    wide = {SubjectKind.PORTFOLIO, SubjectKind.ASSET}
    for venue, account, market, asset in state.sight.legs:
        where = Subject(f"position:{venue}/{account}/{market}")
        assets = {(venue, market): asset}
        known = not any(
            dark[0] == venue and covers_account(dark[1], account) for dark in state.sight.dark
        )
        known = known and not any(contains(scope, where, assets) for scope in blind)
        halted = any(
            scope_parts(scope)[0] in wide and contains(scope, where, assets) for scope in halts
        )
        allowed[asset] = allowed.get(asset, True) and known and not halted
    return tuple(sorted(allowed.items()))
