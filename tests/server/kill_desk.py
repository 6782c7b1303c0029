"""Kill switches as the console may find them: trips, holds and proposals on one desk."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from monitor.core.decision import ActionLevel
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.machine import KillMachine
from monitor.core.killswitch.planner import plan_cut
from monitor.core.killswitch.policy import DaemonMode, KillPolicy
from monitor.core.killswitch.state import (
    Ask,
    Cause,
    Hold,
    KillState,
    Latch,
    Outcome,
    Proposal,
    Residual,
    Run,
    Stage,
)
from monitor.core.types import SECOND_NS, Subject
from monitor.server.kill_document import kill_document
from tests.server.desk import NOW

VENUE, ASSET = Subject("venue:hyperliquid"), Subject("asset:HYPE")
MAIN = Subject("account:hyperliquid/main")
DYDX = Subject("venue:dydx")
ASKED = "margin_usage_critical (cut) about account:hyperliquid/main"


def ago(seconds: float) -> int:
    """A moment before NOW."""
    return NOW - round(seconds * SECOND_NS)


def contained() -> Latch:
    """A rule's cut that is done."""
    run = Run(venue="hyperliquid", account="main", outcome=Outcome.CONTAINED)
    return Latch(
        trip_id="trip-90cb10dc7c7d",
        scope=VENUE,
        level=Level.CUT,
        since_ns=ago(184),
        stage=Stage.CONTAINED,
        causes=[
            Cause(
                actor="rule:funding_storm",
                level=Level.CUT,
                at_ns=ago(184),
                reason="funding_storm about venue:hyperliquid",
                gross_to_ratio=0.95,
            )
        ],
        gross_to_ratio=0.95,
        baseline_usd=709_689.0,
        runs={run.key: run},
    )


def incomplete() -> Latch:
    """A person's flatten that a venue refuses, with something left elsewhere."""
    runs = (
        Run(
            venue="hyperliquid",
            account="main",
            outcome=Outcome.INCOMPLETE,
            residuals=(
                Residual(
                    reason="refused: <b>trading is halted</b>",
                    market="HYPE",
                    usd=float(Decimal("11361.2")),
                ),
            ),
        ),
        Run(
            venue="dydx",
            account="main",
            outcome=Outcome.INCOMPLETE,
            residuals=(Residual(reason="no executor: act at the venue by hand"),),
        ),
    )
    return Latch(
        trip_id="trip-4618698876bb",
        scope=ASSET,
        level=Level.FLATTEN,
        since_ns=ago(9),
        stage=Stage.INCOMPLETE,
        causes=[
            Cause(
                actor="person:ana",
                level=Level.FLATTEN,
                at_ns=ago(9),
                reason="out of HYPE <i>now</i>",
            )
        ],
        baseline_usd=11_361.0,
        runs={run.key: run for run in runs},
    )


def holds() -> list[Hold]:
    """One while its data is bad, one about to go."""
    lasting = Hold(
        rule="venue_unreachable", subject=DYDX, scope=DYDX, since_ns=ago(47), epoch_ns=ago(47)
    )
    going = Hold(
        rule="account_truth_stale",
        subject=MAIN,
        scope=MAIN,
        since_ns=ago(600),
        epoch_ns=ago(600),
        over_ns=ago(180),
    )
    return [lasting, going]


def proposal(*, left_s: float = 640.0) -> Proposal:
    """A rule that asks a person first."""
    ask = Ask(
        rule="margin_usage_critical",
        subject=MAIN,
        scope=MAIN,
        action=ActionLevel.CUT,
        level=Level.CUT,
        gross_to_ratio=0.7,
        epoch_ns=ago(20),
    )
    return Proposal(
        id="p-7f3a",
        ask=ask,
        expires_ns=NOW + round(left_s * SECOND_NS),
        words="cut to 70 %: sell 351.64 HYPE, sell 60 xyz:NVDA; about $12",
    )


def kill_of(
    *latches: Latch,
    mode: str = "rehearse",
    held: tuple[Hold, ...] = (),
    proposed: tuple[Proposal, ...] = (),
    would_fire: tuple[str, ...] = (),
    would_have: tuple[dict[str, Any], ...] = (),
    problem: str = "",
) -> dict[str, Any]:
    """The document of a switch in this state."""
    state = KillState(
        latches={str(one.scope): one for one in latches},
        holds={f"{one.rule}|{one.subject}": one for one in held},
        proposals={one.id: one for one in proposed},
    )
    machine = KillMachine(KillPolicy(mode=DaemonMode(mode), unseen="nothing"), plan_cut, state)
    return kill_document(
        machine, would_have=would_have, would_fire=would_fire, problem=problem, now=NOW
    )
