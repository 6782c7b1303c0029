"""A cut over a time: proposed in parts, each on what is held and allowed by then.

A part is a proposal like any other: it is approved or not, expires, and is carried out as a whole.
The next one comes when the time of this one is over and the venue proved that it is done, so that
nothing waits half-cut inside a trip, and whatever else asks for a cut meanwhile is done at once.
*Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.killswitch.episodes import proposals
from monitor.core.killswitch.episodes.amounts import AMOUNT_SLACK_RATIO, as_of_now, part_usd
from monitor.core.killswitch.planning.legs import gross_in_scope_usd
from monitor.core.killswitch.state import Ask, Series, Stage
from monitor.core.killswitch.turn import Turn, after
from monitor.core.killswitch.words import PARTS
from monitor.core.types import EngineNs


def first_part(turn: Turn, ask: Ask) -> Ask:
    """The first part of a cut over a time; any other ask as it is."""
    if not ask.over_s or ask.gross_to_usd is None:
        return ask
    goal_usd = ask.gross_to_usd
    if turn.book is not None:
        goal_usd = part_usd(gross_in_scope_usd(ask.scope, turn.book), goal_usd, 1)
    return msgspec.structs.replace(ask, part=1, gross_to_usd=goal_usd)


def approved(turn: Turn, ask: Ask) -> str:
    """A part was approved: the next has its time. Gives a sentence about it, "" after the last."""
    if not 0 < ask.part < PARTS:
        return ""
    pause_s = ask.over_s / (PARTS - 1)
    following = msgspec.structs.replace(ask, part=ask.part + 1)
    turn.state.series[ask.key] = Series(ask=following, due_ns=after(turn.now, pause_s))
    return (
        f"It is part {ask.part} of {PARTS}: the next is proposed in {pause_s / 60:g} min, once "
        "this one is proved done, and while the rule lasts."
    )


def go_on(turn: Turn) -> None:
    """Propose each next part whose time has come, where the one before is contained."""
    for key, series in list(turn.state.series.items()):
        ask = series.ask
        latch = turn.state.latches.get(ask.scope)
        if latch is None:
            end(turn, key, "a person re-armed the scope")
            continue
        if turn.now < series.due_ns or latch.stage is not Stage.CONTAINED:
            continue
        present = as_of_now(turn, ask)
        if present is None or turn.book is None or present.gross_to_usd is None:
            continue
        gross_usd = gross_in_scope_usd(ask.scope, turn.book)
        if gross_usd * (1.0 - AMOUNT_SLACK_RATIO) <= present.gross_to_usd:
            end(turn, key, "nothing is left to cut")
            continue
        del turn.state.series[key]
        proposals.propose_rest(turn, present)


def end(turn: Turn, key: str, why: str) -> None:
    """No further part is proposed."""
    series = turn.state.series.pop(key, None)
    if series is not None:
        turn.record(
            "series_ended",
            actor="riskd",
            scope=series.ask.scope,
            level_to=series.ask.level,
            reason=f"{why}; parts {series.ask.part} to {PARTS} are not proposed",
        )


def due_ns(turn: Turn, series: Series) -> EngineNs | None:
    """When the next part may be proposed; None while the one before is not contained."""
    latch = turn.state.latches.get(series.ask.scope)
    waits = latch is not None and latch.stage is not Stage.CONTAINED
    return None if waits and series.due_ns <= turn.now else series.due_ns
