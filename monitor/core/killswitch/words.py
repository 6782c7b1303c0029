"""What the kill switch says: pages, and answers to the person who asked.

Words change only when what they say has changed, so that a page is told again for a reason.
*Pure.*
"""

from __future__ import annotations

from monitor.core.decision import Because
from monitor.core.killswitch.execution.orders import asset_of, unprotected
from monitor.core.killswitch.execution.reach import LEFT
from monitor.core.killswitch.execution.run import residual_words
from monitor.core.killswitch.facts import KillNotice
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import step_of
from monitor.core.killswitch.precedence import ranked
from monitor.core.killswitch.state import Ask, Cause, Latch, Outcome, Stage
from monitor.core.killswitch.turn import Turn, after, digest
from monitor.core.types import Severity

ALERT = "KillSwitchTripped"
SUMMARY_MAX = 120
RESIDUALS_MAX = 20
ELLIPSIS = "…"
KNOWN_MAX = 20
NOTHING_KNOWN = "NOTHING KNOWN IN THIS SCOPE"
PARTS = 4  # that a cut over a time is proposed in
UNKNOWN_GROSS = "a gross that is unknown now"

# What a person has to do; every other stage is riskd's own work.
DUTIES = {
    Stage.INCOMPLETE: "incomplete",
    Stage.CONTAINED: "contained",
    Stage.REARM_REQUESTED: "contained",
}
ACTING = "acting"

# What each level blocks and does, and what it leaves alone.
EFFECTS = {
    Level.NORMAL: "nothing is blocked",
    Level.CAUTION: "nothing is blocked; people are told",
    Level.REDUCE_ONLY: "risk-increasing orders are cancelled and blocked; positions and protective "
    "stops stay",
    Level.CUT: "risk-increasing orders are cancelled and blocked, and gross exposure is cut; "
    "protective stops stay",
    Level.HALT: "all orders but reduce-only triggers are cancelled, all new ones blocked; "
    "positions stay",
    Level.FLATTEN: "all orders but reduce-only triggers are cancelled, all new ones blocked, and "
    "positions are unwound",
}

HOLD_EFFECT = (
    "riskd asks the desk to send no risk-increasing orders; nothing is cancelled and nothing is "
    "cut; positions and working orders stay"
)
HOLD_ENDS = {Because.DATA: "its data is good", Because.RISK: "its rule is over"}


def part_words(ask: Ask) -> str:
    """``, part 2 of 4`` of a cut that is proposed in parts."""
    return f", part {ask.part} of {PARTS}" if ask.part else ""


def cut_short(text: str) -> str:
    """At most 120 characters."""
    return text if len(text) <= SUMMARY_MAX else text[: SUMMARY_MAX - 1].rstrip() + ELLIPSIS


def dollars(usd: float) -> str:
    """``$4.21M``, ``$12.3k``, ``$950``."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(usd) >= size:
            return f"${usd / size:.3g}{unit}"
    return f"${usd:.0f}"


def goal_words(latch: Latch) -> str:
    """``to 70 % of $4.21M``; empty where nothing is cut. What has no price is no zero."""
    if not latch.cutting:
        return ""
    share = f"to {latch.target_ratio * 100:.3g} %"
    if latch.baseline_usd is None:
        return share
    if not latch.unpriced:
        return f"{share} of {dollars(latch.baseline_usd)}"
    if not latch.baseline_usd:
        return f"{share} of {UNKNOWN_GROSS}"
    return f"{share} of {dollars(latch.baseline_usd)} and {len(latch.unpriced)} without a price"


def summary_of(latch: Latch) -> str:
    """Level, scope, goal, where it stands, and who asked."""
    head = " ".join(part for part in (latch.level.name, latch.scope, goal_words(latch)) if part)
    if latch.stage is Stage.INCOMPLETE:
        left = [words for run in latch.runs.values() for words in residual_words(run)]
        tail = f"INCOMPLETE, {len(left)} left: {left[0] if left else 'unknown'}"
    else:
        tail = latch.stage.value.upper().replace("_", " ")
    actor = first_cause(latch).actor
    if latch.stage is Stage.TRIPPED and latch.enumerated and not latch.found:
        tail = NOTHING_KNOWN
    if latch.stage is Stage.INCOMPLETE:
        return cut_short(f"{head}: {tail}; by {actor}")
    return cut_short(f"{head} by {actor}: {tail}")


def nothing_known(turn: Turn, latch: Latch) -> str:
    """What a scope without anything in it is told as: mistyped, or not known yet. Else empty."""
    if latch.found or turn.book is None:
        return ""
    book = turn.book
    accounts = sorted(
        {f"account:{one.venue}/{one.account}" for one in book.accounts}
        | {f"account:{venue}/{account}" for venue, account in (*book.executable, *book.dark)}
    )
    assets = sorted(
        {f"asset:{one.asset}" for one in book.instruments}
        | {f"asset:{one.asset}" for one in book.outside}
    )
    known = [*accounts[:KNOWN_MAX], *assets[:KNOWN_MAX]]
    return f"{NOTHING_KNOWN}; known: {', '.join(known) or 'nothing yet'}"


def not_carried_out(latch: Latch, asked: Level) -> str:
    """What a HALT keeps from being done: a cut that was asked for under it. Empty otherwise."""
    if asked is not Level.CUT or latch.level is not Level.HALT:
        return ""
    return (
        "The CUT that was asked for is NOT carried out: the scope is latched at HALT, which keeps "
        "positions as they are. FLATTEN outranks it; a re-arm of the HALT lets a new CUT act."
    )


def first_cause(latch: Latch) -> Cause:
    """Who is named for the latch's level: of several the one of the first class."""
    return ranked(latch.causes)[0]


def description_of(turn: Turn, latch: Latch) -> str:
    """What was asked and by whom, what is left, what is unprotected, and what clears it."""
    lines = [
        f"Trip {latch.trip_id}: {EFFECTS[latch.level]}.",
        *(f"{words}." for words in (nothing_known(turn, latch),) if words),
        *(
            f"Asked for {one.level.name} by {one.actor}"
            + (f": {one.reason.rstrip('.')}." if one.reason else ".")
            for one in ranked(latch.causes)
        ),
    ]
    left = [words for run in latch.runs.values() for words in residual_words(run)]
    if left:
        more = f" and {len(left) - RESIDUALS_MAX} more" if len(left) > RESIDUALS_MAX else ""
        said = "; ".join(words.rstrip(".") for words in left[:RESIDUALS_MAX])
        lines.append(f"Left: {said}{more}.")
    bare = unprotected_words(turn, latch)
    if bare:
        lines.append(f"Unprotected: {', '.join(bare)}.")
    lines += latch.plan_notes
    if latch.escalations:
        lines.append(f"Still not contained, said {latch.escalations} time(s) more.")
    lines.append(
        f"It stays latched until a person re-arms it: `riskd rearm --scope {latch.scope}`."
    )
    return "\n".join(lines)


def unprotected_words(turn: Turn, latch: Latch) -> list[str]:
    """Positions without a protective stop, where all other orders are taken away."""
    if latch.level < Level.HALT:
        return []
    return [
        f"{run.key} {market}"
        for run in latch.runs.values()
        if run.truth is not None and run.outcome is not Outcome.NONE
        for market in unprotected(run.truth, latch.scope, asset_of(turn.book))
    ]


def tell(turn: Turn, latch: Latch) -> None:
    """Page when the words changed; an INCOMPLETE trip again and again, at growing intervals, but
    for what the desk itself wants left: that is said once."""
    as_wanted = only_as_wanted(latch)
    if latch.stage is Stage.INCOMPLETE and not as_wanted:
        if latch.escalate_ns is None:
            latch.escalations = 0
            latch.escalate_ns = after(turn.now, step_of(turn.policy.escalate_s, 0))
        elif turn.now >= latch.escalate_ns:
            latch.escalations += 1
            wait_s = step_of(turn.policy.escalate_s, latch.escalations)
            latch.escalate_ns = after(turn.now, wait_s)
    elif as_wanted or latch.stage is Stage.CONTAINED:
        latch.escalations, latch.escalate_ns = 0, None
    notice = notice_of(turn, latch)
    news = notice.description
    if as_wanted:  # each look at the rest makes a plan, whose numbers move with every price
        news = news.replace("\n".join(latch.plan_notes), "")
    told = digest(notice.severity, notice.summary, news)[:16]
    if told != latch.told:
        latch.told = told
        turn.notices.append(notice)


def only_as_wanted(latch: Latch) -> bool:
    """Whether all that keeps an INCOMPLETE trip from being contained is what the desk's own
    configuration leaves alone."""
    left = [one.reason for run in latch.runs.values() for one in run.residuals]
    return latch.stage is Stage.INCOMPLETE and bool(left) and all(LEFT in one for one in left)


def notice_of(turn: Turn, latch: Latch, *, resolved: bool = False) -> KillNotice:
    """The page of one trip: the same key from its first word to its last."""
    calm = latch.stage in {Stage.CONTAINED, Stage.REARM_REQUESTED} or only_as_wanted(latch)
    return KillNotice(
        key=latch.trip_id,
        alert=ALERT,
        severity=Severity.HIGH if calm and not resolved else Severity.CRITICAL,
        scope=latch.scope,
        at_ns=turn.now,
        summary=summary_of(latch),
        description=description_of(turn, latch),
        resolved=resolved,
        stage=DUTIES.get(latch.stage, ACTING),
    )
