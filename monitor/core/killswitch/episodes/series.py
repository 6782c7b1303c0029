"""A cut over a time: proposed in parts, each on what is held and allowed by then.

A part is a proposal like any other: it is approved or not, expires, and is carried out as a whole.
The next one comes when the time of this one is over and the venue proved that it is done, so that
nothing waits half-cut inside a trip, and whatever else asks for a cut meanwhile is done at once.
*Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.decision import RuleMode
from monitor.core.killswitch.episodes import proposals, waiting
from monitor.core.killswitch.episodes.amounts import (
    AMOUNT_SLACK_RATIO,
    LOOK_S,
    goal_usd,
    gross_usd,
    part_usd,
)
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.state import Ask, Latch, Series, Stage
from monitor.core.killswitch.turn import Turn, after
from monitor.core.killswitch.words import PARTS, dollars
from monitor.core.types import EngineNs, Subject

NOT_IN_PARTS = "the rule asks in parts no longer"


def first_part(turn: Turn, ask: Ask) -> Ask:
    """The first part of a cut over a time, for its words alone; any other ask as it is."""
    if not ask.over_s or ask.gross_to_usd is None:
        return ask
    whole_usd = gross_usd(turn, ask.scope)
    goal = ask.gross_to_usd if whole_usd is None else part_usd(whole_usd, ask.gross_to_usd, 1)
    return msgspec.structs.replace(ask, part=1, gross_to_usd=goal)


def begin(turn: Turn, ask: Ask) -> None:
    """Propose a cut in parts from now on; repeated by the rule it stays the same series."""
    heard = turn.state.heard.get(ask.key)
    if heard is not None and heard.epoch_ns == ask.epoch_ns and heard.level >= ask.level:
        return
    standing = turn.state.series.get(ask.key)
    if standing is not None and standing.ask.epoch_ns == ask.epoch_ns:
        return
    proposals.withdraw(turn, ask.key)
    end(turn, ask.key, "the rule asks anew")
    first = msgspec.structs.replace(ask, part=1)
    turn.state.series[ask.key] = Series(ask=first, due_ns=turn.now)


def superseded(turn: Turn, ask: Ask) -> None:
    """The rule asks for the whole at once: what was approved in parts is no answer to that."""
    standing = turn.state.series.get(ask.key)
    if standing is None:
        return
    if _begun(turn, standing.ask):
        del turn.state.heard[ask.key]
    proposals.withdraw(turn, ask.key, NOT_IN_PARTS)
    end(turn, ask.key, NOT_IN_PARTS)


def approved(turn: Turn, ask: Ask) -> str:
    """A part was approved and latched: the next has its time. Gives a sentence about it, "" after
    the last."""
    latch = turn.state.latches[ask.scope]
    if latch.level is not Level.CUT:
        end(turn, ask.key, f"{ask.scope} is at {latch.level.name}")
        return f"Further parts are not proposed: {ask.scope} is at {latch.level.name}."
    if ask.part >= PARTS:
        turn.state.series.pop(ask.key, None)
        return ""
    pause_s = ask.over_s / (PARTS - 1)
    following = msgspec.structs.replace(ask, part=ask.part + 1)
    turn.state.series[ask.key] = Series(ask=following, due_ns=after(turn.now, pause_s))
    return (
        f"It is part {ask.part} of {PARTS}: the next is proposed in {pause_s / 60:g} min, once "
        "this one is proved done, and while the rule lasts."
    )


def go_on(turn: Turn) -> None:
    """Propose each part whose time has come, where the one before is contained."""
    for key, series in list(turn.state.series.items()):
        why = _over(turn, series)
        if why:
            proposals.withdraw(turn, key, why)
            end(turn, key, why)
        elif not series.proposal and turn.now >= series.due_ns and _free(turn, series):
            turn.state.series[key] = _look(turn, series)
        elif series.unknown_ns is not None:
            turn.state.series[key] = _waited(turn, series)


def _look(turn: Turn, series: Series) -> Series:
    """The series with its next part proposed, or waiting for one that cuts; people hear of it where
    that is because nobody knows the gross or the goal, and stays so."""
    whole_usd, goal = gross_usd(turn, series.ask.scope), goal_usd(turn, series.ask)
    if whole_usd is not None and goal is not None:
        ask = _next(turn, series.ask, whole_usd, goal)
        if ask is None:
            return _waited(turn, series)
        name = proposals.propose_part(turn, ask)
        return msgspec.structs.replace(_no_longer_unknown(turn, series), ask=ask, proposal=name)
    since_ns = turn.now if series.unknown_ns is None else series.unknown_ns
    paged = series.paged
    if not paged and turn.now >= after(since_ns, turn.policy.say_within_s):
        waiting.say_wait(turn, series.ask, "no part is proposed before it is")
        paged = True
    return msgspec.structs.replace(series, unknown_ns=since_ns, known_ns=None, paged=paged)


def _waited(turn: Turn, series: Series) -> Series:
    """A series that waited for an amount, and proposes nothing now. Its page ends once the amount
    has been known for as long as data has to be good for a hold to go: one that comes and goes is
    one page."""
    if gross_usd(turn, series.ask.scope) is None or goal_usd(turn, series.ask) is None:
        return msgspec.structs.replace(series, known_ns=None)
    known_ns = turn.now if series.known_ns is None else series.known_ns
    if series.paged and turn.now < after(known_ns, turn.policy.hold_release_s):
        return msgspec.structs.replace(series, known_ns=known_ns)
    return _no_longer_unknown(turn, series)


def _no_longer_unknown(turn: Turn, series: Series) -> Series:
    """Its page ends, if there is one, and the next wait begins anew."""
    if series.paged:
        waiting.say_no_longer(turn, series.ask)
    return msgspec.structs.replace(series, unknown_ns=None, known_ns=None, paged=False)


def _over(turn: Turn, series: Series) -> str:
    """Why no further part may be proposed; empty while they may."""
    ask = series.ask
    if turn.mode_of(ask) is RuleMode.OBSERVE:
        return proposals.TO_OBSERVE
    latch = turn.state.latches.get(ask.scope)
    if series.proposal and series.proposal not in turn.state.proposals:
        return f"part {ask.part} was refused or expired"
    if latch is None and _begun(turn, ask):
        return "a person re-armed the scope"
    if latch is not None and latch.level > Level.CUT:
        return f"{ask.scope} is at {latch.level.name}"
    return ""


def _begun(turn: Turn, ask: Ask) -> bool:
    """Whether a part of it was approved: one that is not the first may be the first proposed, where
    somebody else's latch stands lower."""
    heard = turn.state.heard.get(ask.key)
    return heard is not None and heard.epoch_ns == ask.epoch_ns and heard.level >= ask.level


def _free(turn: Turn, series: Series) -> bool:
    """Whether nothing of the part before is under way or left over."""
    latch = turn.state.latches.get(series.ask.scope)
    return not _begun(turn, series.ask) or (latch is not None and latch.stage is Stage.CONTAINED)


def _next(turn: Turn, ask: Ask, whole_usd: float, least_usd: float) -> Ask | None:
    """The next part that would cut anything; None while gross is within the goal, or while the
    latch stands lower than every part of it."""
    if whole_usd <= least_usd * (1.0 + AMOUNT_SLACK_RATIO):
        return None
    standing_usd = _standing_usd(turn.state.latches.get(ask.scope))
    for part in range(ask.part, PARTS + 1):
        left_usd = part_usd(whole_usd, least_usd, part)
        if standing_usd is None or left_usd < standing_usd:
            return msgspec.structs.replace(ask, part=part, gross_to_usd=left_usd)
    return None


def put_off(turn: Turn, ask: Ask) -> str:
    """Have a part proposed anew that would cut nothing by now, since prices moved. Gives why; empty
    where it cuts, and for what is no part."""
    standing_usd = _standing_usd(turn.state.latches.get(ask.scope))
    series = turn.state.series.get(ask.key)
    if not ask.part or standing_usd is None or ask.gross_to_usd is None or series is None:
        return ""
    if ask.gross_to_usd < standing_usd:
        return ""
    turn.state.series[ask.key] = msgspec.structs.replace(series, due_ns=turn.now, proposal="")
    return (
        f"Nothing was done: prices moved, this part would leave {dollars(ask.gross_to_usd)} now, "
        f"and {ask.scope} is latched at {dollars(standing_usd)} already. The next part that cuts "
        "is proposed as soon as there is one."
    )


def _standing_usd(latch: Latch | None) -> float | None:
    """What a latch lets stay already; None where it lets all."""
    if latch is None or not latch.cutting or latch.baseline_usd is None:
        return None
    return latch.target_ratio * latch.baseline_usd


def end(turn: Turn, key: str, why: str) -> None:
    """No further part is proposed."""
    series = turn.state.series.pop(key, None)
    if series is not None:
        _no_longer_unknown(turn, series)
        turn.record(
            "series_ended",
            actor="riskd",
            scope=series.ask.scope,
            level_to=series.ask.level,
            reason=f"{why}; from part {series.ask.part} of {PARTS} on nothing is proposed",
        )


def rearmed(turn: Turn, scope: Subject) -> None:
    """A person cleared the scope: what was proposed of a cut that had begun goes with it."""
    for key, series in list(turn.state.series.items()):
        if series.ask.scope == scope and _begun(turn, series.ask):
            proposals.withdraw(turn, key, "a person re-armed the scope")
            end(turn, key, "a person re-armed the scope")


def due_ns(turn: Turn, series: Series) -> EngineNs | None:
    """When a part may be proposed, or its page end, by time alone; None while it waits for an
    answer or a proof."""
    if series.paged:
        return after(turn.now, LOOK_S)
    if series.proposal or (series.due_ns <= turn.now and not _free(turn, series)):
        return None
    return series.due_ns if series.due_ns > turn.now else after(turn.now, LOOK_S)
