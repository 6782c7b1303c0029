"""What is latched and why, what is blocked and what is not, what clears it, what would happen now.

The part ``kill`` of ``/v1/state``, for the console and ``riskd status``. *Pure.*
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor.core.decision import Because
from monitor.core.killswitch.episodes import regrowth
from monitor.core.killswitch.execution.run import residual_words
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.machine import KillMachine
from monitor.core.killswitch.policy import DaemonMode
from monitor.core.killswitch.precedence import rank_of, ranked
from monitor.core.killswitch.scope import WIDTH, scope_parts
from monitor.core.killswitch.state import Hold, Latch
from monitor.core.killswitch.words import EFFECTS, HOLD_EFFECT, goal_words
from monitor.core.types import PORTFOLIO, SECOND_NS, EngineNs

Json = dict[str, Any]
RESIDUALS_MAX = 50

# What a level does not do, said as plainly as what it does (freqtrade#4837: words mean what they
# say). riskd refuses the desk's own orders nowhere: it cancels what increases risk, and the desk's
# systems read the trading state.
_STRAY = (
    "an order of a system that does not read the trading state rests until riskd cancels it; "
    "transfers and withdrawals"
)
NOT_BLOCKED = {
    Level.NORMAL: "everything",
    Level.CAUTION: "everything",
    Level.REDUCE_ONLY: f"orders that reduce; {_STRAY}",
    Level.CUT: f"orders that reduce, hedges stay paired; {_STRAY}",
    Level.HALT: f"positions, which can be liquidated; {_STRAY}",
    Level.FLATTEN: _STRAY,
}


def kill_document(
    machine: KillMachine,
    *,
    would_have: Sequence[Json],
    would_fire: Sequence[str],
    problem: str,
    now: EngineNs,
) -> Json:
    """The kill switch as it stands.

    Args:
        machine: Read, not changed.
        would_have: What rules in ``observe`` would have done, newest last.
        would_fire: Rules that ask for a level now.
        problem: Why it started stricter than it was kept; empty where it did not.
        now: Engine time.
    """
    state, mode = machine.state, machine.policy.mode
    level = machine.effective(PORTFOLIO)
    return {
        "level": int(level),
        "level_anywhere": int(_level_anywhere(machine)),
        "mode": mode.value,
        "stage": machine.stage(PORTFOLIO).value,
        "text": _text(machine),
        "problem": problem,
        "latched": [_latch(latch, now) for latch in state.latches.values()],
        "held": [
            _hold(hold, machine.policy.hold_release_s, now)
            for hold in sorted(state.holds.values(), key=_of_holds)
        ],
        "proposed": [
            {
                "id": one.id,
                "scope": str(one.ask.scope),
                "level": one.ask.level.name,
                "by": one.ask.rule,
                "plan": one.words,
                "expires_s": (one.expires_ns - now) / SECOND_NS,
                "approve": f"riskd approve {one.id}",
            }
            for one in sorted(state.proposals.values(), key=lambda one: rank_of(one.ask.rule))
        ],
        "regrowing": [
            {"scope": scope, "gross_max_usd": usd, "of_usd": state.regrowth[scope].to_usd}
            for scope, usd in regrowth.limits(state, now)
        ],
        "would_happen_now": list(would_fire),
        "would_have": list(would_have),
    }


def _of_holds(hold: Hold) -> tuple[int, int]:
    """The widest first, then as rules are named."""
    return -WIDTH[scope_parts(hold.scope)[0]], rank_of(hold.rule)


def _level_anywhere(machine: KillMachine) -> Level:
    """The highest level of any scope: the portfolio's own does not show a venue that is halted."""
    state = machine.state
    levels = [latch.level for latch in state.latches.values()]
    levels += [Level.REDUCE_ONLY] * bool(state.holds)
    return max([machine.effective(PORTFOLIO), *levels])


def _text(machine: KillMachine) -> str:
    mode = machine.policy.mode
    latched, held = len(machine.state.latches), len(machine.state.holds)
    if mode is DaemonMode.OBSERVE:
        return "observe: riskd has no signer and sends nothing; what it would do is recorded"
    if not latched and not held:
        return f"{mode.value}: nothing is latched, nothing is blocked"
    parts = [f"{latched} latched until a person re-arms"] if latched else []
    parts += [f"{held} held for as long as its rule says"] if held else []
    return f"{mode.value}: {', '.join(parts)}"


def _latch(latch: Latch, now: EngineNs) -> Json:
    left = [words for run in latch.runs.values() for words in residual_words(run)]
    return {
        "scope": str(latch.scope),
        "level": int(latch.level),
        "name": latch.level.name,
        "goal": goal_words(latch),
        "stage": latch.stage.value,
        "trip_id": latch.trip_id,
        "for_s": (now - latch.since_ns) / SECOND_NS,
        "by": [{"actor": one.actor, "reason": one.reason} for one in ranked(latch.causes)],
        "blocked": EFFECTS[latch.level],
        "not_blocked": NOT_BLOCKED[latch.level],
        "left": left[:RESIDUALS_MAX],
        "left_count": len(left),
        "clears": f"riskd rearm --scope {latch.scope}",
        "explain": f"riskd audit explain {latch.trip_id}",
    }


def _hold(hold: Hold, release_s: float, now: EngineNs) -> Json:
    over, data = hold.over_ns, hold.because is Because.DATA
    ends = f"{release_s:g} s after its data is good" if data else "when its rule is over"
    return {
        "scope": str(hold.scope),
        "by": hold.rule,
        "about": str(hold.subject),
        "for_s": (now - hold.since_ns) / SECOND_NS,
        "because": hold.because.value,
        "blocked": HOLD_EFFECT,
        "clears": (
            f"by itself, {ends}"
            if over is None
            else f"by itself in {max(0.0, release_s * data - (now - over) / SECOND_NS):.0f} s"
        ),
    }
