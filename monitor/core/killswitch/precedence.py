"""Who is named first where several ask at once: one table, first what decides most.

It orders words and requests and nothing else: of all that is asked for, the highest level and the
lowest target hold, whoever asks. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.core.killswitch.state import Cause

# (class, how ids of its rules begin), first to last; what is in none comes after all of them.
# Whether anything can be believed comes before what a person or a last resort decides; then what
# the venue is about to do to us, what cannot be traded or is not flat, and at last what is dear.
PRECEDENCE: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "truth",
        (
            "account_truth", "channel_lost", "clock_skew", "cross_check", "data_stale", "equity_",
            "feed_", "frame_", "indexer_lag", "venue_unreachable",
        ),
    ),
    ("kill switch", ("drawdown_15", "loss_and_margin", "margin_on_two", "stress_and_loss")),
    ("margin", ("correlated_liquidation", "liquidation_", "margin_usage", "runway_")),
    ("chain and hedges", ("hedge_mismatch", "hedge_survival", "leg_lost", "venue_stalled")),
    ("drawdown", ("drawdown_",)),
    ("funding stress", ("funding_broad_expense", "funding_stress")),
    ("leverage cap", ("leverage_",)),
    ("any two", ("any_three", "any_two")),
)  # fmt: skip
REST = len(PRECEDENCE)
# What a person or riskd itself asks for is the kill switch's own word.
_OWN = next(index for index, (name, _) in enumerate(PRECEDENCE) if name == "kill switch")


def rank_of(rule: str) -> int:
    """The place of a rule's class, 0 first; ``REST`` for a rule of none."""
    return next(
        (index for index, (_, stems) in enumerate(PRECEDENCE) if rule.startswith(stems)), REST
    )


def ranked(causes: Iterable[Cause]) -> list[Cause]:
    """The highest level first; of one level by class, then by who asked first."""
    return sorted(causes, key=lambda one: (-one.level, _rank_of_actor(one.actor)))


def _rank_of_actor(actor: str) -> int:
    kind, _, name = actor.partition(":")
    return rank_of(name) if kind == "rule" else _OWN
