"""What an operator may use of what can be asked, each as the configuration names it. *Pure.*

Who is on the host itself is one principal and may everything: there is always a way back.
"""

from __future__ import annotations

import enum

HOST = "host"  # everybody on this machine, by the command line


class Right(enum.StrEnum):
    """One thing that a principal may be allowed."""

    KILL = "kill"
    APPROVE = "approve"  # a proposal of a rule
    REARM_REQUEST = "rearm-request"
    REARM_CONFIRM = "rearm-confirm"
    REBASELINE = "rebaseline"
    RULES_APPROVE = "rules-approve"  # a rulebook that loosens
    FLAG = "flag"  # news: set and clear
    REVIEW = "review"  # that a risk bucket was gone through


ALL_RIGHTS = tuple(Right)
Rights = tuple[tuple[str, tuple[Right, ...]], ...]  # by principal; who is not named may all


def may(rights: Rights, principal: str, right: Right) -> bool:
    """Whether a principal may do it."""
    return all(right in allowed for name, allowed in rights if name == principal)


def refusal_of(principal: str, right: Right) -> str:
    """What somebody is told who may not."""
    return f"{principal} may not use {right.value} (operators: {principal} in the configuration)."
