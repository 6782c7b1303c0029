"""The simulated dYdX chain's heights: which block an instant fell into, halts and the exit gate.

The world makes blocks by time. A halt makes none, so afterwards the chain is behind the world by
the blocks it did not make, and the funding ticks it missed are made up for in consecutive blocks,
one hour each. After an outage of 300 s or more (or a subaccount below zero) withdrawals and
transfers stay blocked for 50 blocks. Source: v4-chain x/epochs, x/subaccounts (read 2026-11).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from monitor.sim.funding import HOUR_S

OUTAGE_S = 300.0
GATE_BLOCKS = 50


class Stamp(NamedTuple):
    """When and in which block something took effect."""

    time_s: float
    height: int


class Halt(NamedTuple):
    """A time without blocks, and how many blocks were never made because of it."""

    start: Stamp
    end_s: float
    skipped: int


class Chain:
    """Heights over time. ``period_s`` is the usual time between blocks."""

    def __init__(self, start: Stamp, period_s: float, newest: Stamp | None = None) -> None:
        self._start = start
        self._period_s = period_s
        self._halts: list[Halt] = []
        self._halted_at: Stamp | None = None
        self.newest = newest or start
        self.outage_seen_at = 0
        self.negative_seen_at = 0

    @property
    def halted(self) -> bool:
        """Whether no blocks are being made."""
        return self._halted_at is not None

    @property
    def unblocked_at(self) -> int:
        """The first height at which withdrawals and transfers pass again; 0 if never blocked."""
        seen = max(self.outage_seen_at, self.negative_seen_at)
        return seen + GATE_BLOCKS if seen else 0

    def make_block(self, world_height: int, time_s: float) -> Stamp:
        """The world made a block: one height more than the last, or as many as it says."""
        if self._halted_at is not None:
            self._resume(world_height, time_s)
        skipped = sum(halt.skipped for halt in self._halts)
        self.newest = Stamp(time_s, world_height - skipped)
        return self.newest

    def halt(self) -> None:
        """No blocks from now on."""
        if self._halted_at is None:
            self._halted_at = self.newest

    def stamp(self, time_s: float) -> Stamp:
        """The block that something of the world's instant ``time_s`` was put into."""
        skipped = 0
        for halt in self._halts:
            if time_s < halt.start.time_s:
                break
            if time_s < halt.end_s:
                # Missed funding ticks follow one block after another when the chain resumes.
                missed = math.floor(time_s / HOUR_S) - math.floor(halt.start.time_s / HOUR_S)
                late_s = max(0, missed - 1) * self._period_s
                return Stamp(halt.end_s + late_s, halt.start.height + max(1, missed))
            skipped += halt.skipped
        blocks = math.floor((time_s - self._start.time_s) / self._period_s)
        return Stamp(time_s, self._start.height + blocks - skipped)

    def see_negative_equity(self) -> None:
        """A subaccount below zero was seen in the newest block."""
        self.negative_seen_at = self.newest.height

    def _resume(self, world_height: int, time_s: float) -> None:
        halted_at, self._halted_at = self._halted_at, None
        if halted_at is None:
            return
        before = sum(halt.skipped for halt in self._halts)
        skipped = max(0, world_height - before - halted_at.height - 1)
        self._halts.append(Halt(halted_at, time_s, skipped))
        if time_s - halted_at.time_s >= OUTAGE_S:
            self.outage_seen_at = halted_at.height + 1
