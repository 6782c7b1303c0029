"""Transfers of an account as they are kept: counted flows, accepted steps, what outlives a restart.

*Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.types import SECOND_NS, EngineNs

TRANSFER_WINDOW_NS = 7 * 86_400 * SECOND_NS


class Flow(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One counted transfer: when it was told, USD in (> 0) or out, and whether it stays ours.

    ``open`` while it went to or came from a wallet and its other half, in another of our accounts,
    may still be told.
    """

    told_ns: EngineNs
    time_ns: int
    amount_usd: float
    own: bool
    open: bool = False


class AcceptedStep(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A step of the equity that nothing explained and a person vouched for: when, and how much of
    it (USD, > 0 gained) no transfer told since then turned out to be."""

    at_ns: EngineNs
    left_usd: float


class KeptTransfers(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Since when an account's transfers are news, and which were told (id -> time, one week), or
    accepted untold."""

    since_ns: EngineNs
    told: dict[str, int]
    accepted: tuple[AcceptedStep, ...] = ()
