"""What the desk allows the kill switch: modes, bounds, waits and the way back.

The settings of a person are checked elsewhere; this is what the machine runs on, already in the
units it uses. Times are seconds, shares are ratios of one. *Pure.*
"""

from __future__ import annotations

import enum
from functools import reduce

import msgspec

from monitor.core.decision import RuleMode, narrower
from monitor.core.killswitch.scope import contains
from monitor.core.rights import HOST, Right, Rights, may
from monitor.core.types import Subject

HedgeSets = tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]


class DaemonMode(enum.StrEnum):
    """What the whole daemon may do. In OBSERVE no signer exists and nothing can be sent."""

    OBSERVE = "observe"
    REHEARSE = "rehearse"  # throw-away keys, on loopback or a listed testnet only
    ARMED = "armed"


class ModeOverride(msgspec.Struct, frozen=True, kw_only=True):
    """The desk's own word on what one rule may do over one scope (empty: any scope)."""

    rule: str
    mode: RuleMode
    scope: str = ""


class RearmPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The way back. ``principals`` can ask over signed HTTP, each what its ``rights`` say;
    ``local_cli`` on the host, which is one principal whoever types."""

    local_cli: bool = True
    principals: tuple[str, ...] = ()
    rights: Rights = ()
    second_principal_required: bool = False
    nonce_ttl_s: float = 120.0


class KillPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """All that the machine is allowed.

    Args:
        mode, overrides: What the daemon may do, and single rules over single scopes.
        unseen: The desk's statement of what riskd cannot see; without it nothing is armed.
        rearm: Who may clear a latch, and how.
        confirmation_apart_s: Two observations this far apart confirm a level of 3 or more.
        hold_release_s: A hold goes when its rule has been over for so long.
        cool_down_s: After a re-arm, rules reach at most level 2 over that scope for so long.
        proposal_ttl_s: How long a person may approve a proposal.
        small_account_share_ratio: An account with less than this share of the gross exposure (and
            one whose share is unknown) latches itself only.
        default_gross_to_ratio: What a person's CUT leaves who named no number.
        max_cost_bps, slices, slice_pause_s: Dearer plans are sliced, with a pause between rounds.
        turnover_usd_per_hour, turnover_ratio_per_hour: What may be traded in any hour: USD for the
            whole machine, and a share of its baseline for one trip. None: no such cap.
        hedge_sets: Sets that stay paired, as ``PlanLimits`` wants them.
        halt_cancels_protective: HALT and FLATTEN also cancel reduce-only triggers.
        regrowth_tolerance_ratio: Of a position's size when the trip began: growing back by more
            than this after a cut stops the cutting.
        read_attempts, cancel_attempts, barren_rounds, rounds_max: Attempts of a stage before an
            account is INCOMPLETE for now.
        attempt_pause_s: Between attempts within a stage.
        backoff_s: Before an INCOMPLETE account is tried again; the last one for ever.
        escalate_s: Between repeated pages of an INCOMPLETE trip; the last one for ever.
        plan_wait_s: How long a plan waits for the other accounts of its scope.
        truth_age_s: A plan is not made on positions read longer ago than this.
        orders_age_s: Between the rounds of a cut positions are read alone, unless working orders
            were last listed so long before.
        verify_within_s: How long a venue may take to show our own fills.
        answer_within_s: A command without answer for so long counts as uncertain.
        order_expiry_s: The venue must refuse an order after so long.
        say_within_s: An account in which no cancel and no order had an effect for so long is said
            to be INCOMPLETE, while the work goes on.
        watch_s: How often a contained account is read again; 0: never.
    """

    mode: DaemonMode = DaemonMode.OBSERVE
    overrides: tuple[ModeOverride, ...] = ()
    unseen: str = ""
    rearm: RearmPolicy = RearmPolicy()
    confirmation_apart_s: float = 20.0
    hold_release_s: float = 300.0
    cool_down_s: float = 600.0
    proposal_ttl_s: float = 900.0
    small_account_share_ratio: float = 0.10
    default_gross_to_ratio: float = 0.70
    max_cost_bps: float = 50.0
    slices: int = 4
    slice_pause_s: float = 10.0
    turnover_usd_per_hour: float | None = None
    turnover_ratio_per_hour: float | None = 1.25
    hedge_sets: HedgeSets = ()
    halt_cancels_protective: bool = False
    regrowth_tolerance_ratio: float = 0.02
    read_attempts: int = 3
    cancel_attempts: int = 5
    barren_rounds: int = 3
    rounds_max: int = 40
    attempt_pause_s: float = 1.0
    backoff_s: tuple[float, ...] = (5.0, 10.0, 30.0, 60.0)
    escalate_s: tuple[float, ...] = (300.0, 900.0, 1800.0, 3600.0)
    plan_wait_s: float = 5.0
    truth_age_s: float = 15.0
    orders_age_s: float = 30.0
    verify_within_s: float = 10.0
    answer_within_s: float = 45.0
    order_expiry_s: float = 10.0
    say_within_s: float = 25.0
    watch_s: float = 60.0
    runbook: str = "kill_switch_tripped"

    def may(self, principal: str, right: Right) -> bool:
        """Whether the desk lets a principal use what it asks for."""
        return may(self.rearm.rights, principal, right)

    def mode_of(self, rule: str, scope: Subject, declared: RuleMode) -> RuleMode:
        """What a rule may do over a scope: the desk's most particular word, else the rulebook's.

        A word about a scope holds for all that lies in it: what is to observe at a venue observes
        for its accounts, too. Of two words that are as particular, the one that does less.
        """
        found, said = declared, dict[Subject, RuleMode]()
        for override in self.overrides:
            if override.rule != rule:
                continue
            if not override.scope:
                found = override.mode
            elif _lies_in(scope, Subject(override.scope)):
                said[Subject(override.scope)] = override.mode
        particular = [
            mode
            for outer, mode in said.items()
            if not any(inner != outer and _lies_in(inner, outer) for inner in said)
        ]
        return reduce(narrower, particular) if particular else found


def _lies_in(inner: Subject, outer: Subject) -> bool:
    """Whether one scope takes in another; False where either is none."""
    try:
        return contains(outer, inner)
    except ValueError:
        return False


def step_of(steps: tuple[float, ...], index: int) -> float:
    """The ``index``-th wait of a growing list; its last one for ever."""
    return steps[min(max(index, 0), len(steps) - 1)]


def _way_back(rearm: RearmPolicy) -> bool:
    """Whether a re-arm can be asked for and confirmed: by two where two are required."""
    people = (*rearm.principals, *((HOST,) if rearm.local_cli else ()))
    asking = [one for one in people if may(rearm.rights, one, Right.REARM_REQUEST)]
    confirming = [one for one in people if may(rearm.rights, one, Right.REARM_CONFIRM)]
    return any(
        one != other or not rearm.second_principal_required
        for one in asking
        for other in confirming
    )


def arming_problems(policy: KillPolicy) -> list[str]:
    """Why this policy may not be armed, in sentences; empty when it may."""
    rearm = policy.rearm
    problems = []
    if not policy.unseen.strip():
        problems.append(
            "Nothing says what riskd cannot see (accounts, venues, off-book positions): "
            "write it down, or write that there is nothing."
        )
    if not rearm.local_cli and not rearm.principals:
        problems.append(
            "There is no way back: allow the local command line or name a principal who may re-arm."
        )
    elif not _way_back(rearm):
        problems.append(
            "Re-arming wants two principals, but no two of them can reach riskd of which one may "
            "ask (rearm-request) and another one confirm (rearm-confirm): name another, or allow "
            "it."
            if rearm.second_principal_required
            else "Nobody may both ask for a re-arm (rearm-request) and confirm it (rearm-confirm)."
        )
    if rearm.nonce_ttl_s <= 0:
        problems.append("A re-arm request that expires at once can never be confirmed.")
    if not policy.backoff_s or not policy.escalate_s or min(policy.backoff_s) <= 0:
        problems.append("Retries and repeated pages need waits longer than zero.")
    if not 0 <= policy.default_gross_to_ratio < 1:
        problems.append("A cut must leave less than all: default_gross_to_ratio lies in [0, 1).")
    if policy.max_cost_bps <= 0 or policy.slices < 1:
        problems.append("A plan needs a cost bound above zero and at least one slice.")
    return problems
