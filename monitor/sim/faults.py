"""What can be wrong between a simulated venue and its clients, as state that servers consult.

One ``Faults`` object per world, shared by both venues' servers. Nothing here acts by itself: a
server asks before it accepts, answers or pushes, and is told when a fault is injected or healed
(an outage must also cut the sockets that are already open). ``STALE_ORACLE`` and ``BAD_ORACLE`` are
asked by the world, everything else by the servers.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Collection, Iterator, Mapping

import msgspec

ALL = "*"


class FaultKind(enum.StrEnum):
    """Every way in which the transport (or the oracle) can fail."""

    OUTAGE = "outage"  # connections refused, open ones dropped
    STALE_ORACLE = "stale_oracle"  # oracle freezes while mids move
    BAD_ORACLE = "bad_oracle"  # it prints ``price_ratio`` times the price
    DEAD_CHANNEL = "dead_channel"  # one subscription goes silent on a living socket
    GARBAGE_FRAMES = "garbage_frames"  # some pushed frames are unreadable
    HALF_OPEN = "half_open"  # the server sends nothing more, TCP stays up
    RATE_LIMITED = "rate_limited"  # every HTTP request answers 429
    SLOW = "slow"  # answers and frames arrive late
    API_ERRORS = "api_errors"  # every HTTP request answers 500
    FORBIDDEN = (
        "forbidden"  # HTTP 403: a country (any market) or an address (``market``) is blocked
    )
    LOST_FRAMES = "lost_frames"  # some pushed frames never leave, their message ids are used up
    HALTED = "halted"  # the chain makes no blocks: everything on the venue stands still
    STALE_INDEXER = "stale_indexer"  # the API serves an old state, its clock stands still
    STALE_READS = "stale_reads"  # what was read of an account is told again for ``delay_s``
    # What only orders and cancels meet: ``channel`` names the type of action, ``market`` the
    # account (address or label), ``ratio`` the share of actions that are hit, the first one first.
    ACTIONS_UNANSWERED = "actions_unanswered"  # executed, and never answered
    ACTIONS_SLOW = "actions_slow"  # executed at once, answered ``delay_s`` later
    ACTIONS_DELAYED = "actions_delayed"  # executed ``delay_s`` later, and answered then
    ACTIONS_OVERLOADED = "actions_overloaded"  # executed, and answered with an error (502)
    ACTIONS_FAIL = "actions_fail"  # not executed, HTTP 500
    ACTIONS_LIMITED = "actions_limited"  # not executed, HTTP 429
    ACTIONS_REFUSED = "actions_refused"  # not executed, refused in words
    CANCELS_FAIL = "cancels_fail"  # a share of the cancels is refused; their orders stay
    CANCELS_LOST = "cancels_lost"  # a share of the cancels is confirmed; their orders stay
    FILLS_DURING_CANCEL = "fills_during_cancel"  # ``filled_ratio`` of what is left, first
    FAST_CANCELS_REFUSED = "fast_cancels_refused"  # trigger orders cannot be cancelled with ``f``
    POST_ONLY = "post_only"  # after an upgrade: only orders that add liquidity are taken
    AGENTS_PRUNED = "agents_pruned"  # API wallets (``market``: of one account) are unknown
    CLOCK_OFFSET = "clock_offset"  # the venue's clock is ``delay_s`` ahead (negative: behind)
    INTEREST_CAPPED = "interest_capped"  # open interest (``market``: of a coin) is at its cap
    SMALL_CLOSES_REFUSED = "small_closes_refused"  # the minimal order value binds full closes too


# Which numbers a kind reads, as a scenario says them; the others would silently do nothing.
_SHARES = (
    FaultKind.GARBAGE_FRAMES,
    FaultKind.LOST_FRAMES,
    FaultKind.API_ERRORS,
    FaultKind.RATE_LIMITED,
    FaultKind.ACTIONS_UNANSWERED,
    FaultKind.ACTIONS_OVERLOADED,
    FaultKind.ACTIONS_FAIL,
    FaultKind.ACTIONS_LIMITED,
    FaultKind.ACTIONS_REFUSED,
    FaultKind.CANCELS_FAIL,
    FaultKind.CANCELS_LOST,
)
NUMBERS: Mapping[FaultKind, tuple[str, ...]] = {
    **dict.fromkeys(_SHARES, ("ratio",)),
    FaultKind.ACTIONS_SLOW: ("ratio", "delay"),
    FaultKind.ACTIONS_DELAYED: ("ratio", "delay"),
    FaultKind.SLOW: ("delay",),
    FaultKind.STALE_READS: ("delay",),
    FaultKind.CLOCK_OFFSET: ("delay",),
    FaultKind.FILLS_DURING_CANCEL: ("filled_ratio",),
    FaultKind.BAD_ORACLE: ("price_ratio",),
}


def misplaced_numbers(kind: FaultKind, given: Collection[str]) -> Iterator[tuple[str, str]]:
    """(number, why it is wrong) of what a scenario gives a fault that does not read it, and of
    what it needs and is not given."""
    read = NUMBERS.get(kind, ())
    reads = f"it reads {' and '.join(read)}" if read else "it reads no number"
    for name in ("ratio", "price_ratio", "filled_ratio", "delay"):
        if name in given and name not in read:
            yield name, f"{name} means nothing to {kind.value}: {reads}."
    if kind is FaultKind.BAD_ORACLE and "price_ratio" not in given:
        yield (
            "price_ratio",
            "bad_oracle needs price_ratio, what it prints over the true price: 0.97 for 3 % below.",
        )


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. ``venue``, ``channel`` (subscription type) and ``market`` (coin, symbol or user
    key) narrow it; ``*`` is all of them. ``ratio`` is the share of frames, requests or actions
    hit, ``price_ratio`` what a bad oracle prints over the price, ``filled_ratio`` the share of an
    order that is filled, ``delay_s`` how late things arrive under ``SLOW``, in simulated seconds.
    """

    kind: FaultKind
    venue: str = ALL
    channel: str = ALL
    market: str = ALL
    ratio: float = 1.0
    price_ratio: float = 1.0
    filled_ratio: float = 1.0
    delay_s: float = 5.0


class Faults:
    """The faults that hold now."""

    def __init__(self) -> None:
        self._active: list[Fault] = []
        self._listeners: list[Callable[[Fault, bool], None]] = []
        self._asked: dict[Fault, int] = {}

    @property
    def active(self) -> tuple[Fault, ...]:
        """All faults that hold now, oldest first."""
        return tuple(self._active)

    def subscribe(self, listener: Callable[[Fault, bool], None]) -> None:
        """Call ``listener(fault, injected)`` on each change; ``injected`` is False on healing."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[Fault, bool], None]) -> None:
        """Stop calling ``listener``."""
        self._listeners.remove(listener)

    def inject(self, fault: Fault) -> None:
        """Let ``fault`` hold until healed; a repeated one changes nothing."""
        if fault in self._active:
            return
        self._active.append(fault)
        for listener in tuple(self._listeners):
            listener(fault, True)

    def end(self, fault: Fault) -> None:
        """End one fault; one that has ended already is left alone."""
        if fault in self._active:
            self._end(fault)

    def heal(self, kind: FaultKind | None = None, venue: str = ALL) -> int:
        """End the faults of ``kind`` (all kinds when None) of ``venue`` (all when ``*``);
        returns how many ended."""
        ended = [
            fault
            for fault in self._active
            if (kind is None or fault.kind is kind) and venue in {ALL, fault.venue}
        ]
        for fault in ended:
            self._end(fault)
        return len(ended)

    def _end(self, fault: Fault) -> None:
        self._active.remove(fault)
        self._asked.pop(fault, None)
        for listener in tuple(self._listeners):
            listener(fault, False)

    def find(
        self, kind: FaultKind, venue: str, channel: str = ALL, market: str = ALL
    ) -> Fault | None:
        """The first fault of ``kind`` that hits this venue, channel and market, if any.

        A question about a channel or market is hit by a fault that names it or names all of them.
        """
        for fault in self._active:
            if (
                fault.kind is kind
                and fault.venue in {ALL, venue}
                and fault.channel in {ALL, channel}
                and fault.market in {ALL, market}
            ):
                return fault
        return None

    def hits(self, fault: Fault) -> bool:
        """Whether ``fault`` hits this time: ``ratio`` of the times asked, evenly, the first too."""
        asked = self._asked.get(fault, 0)
        self._asked[fault] = asked + 1
        return math.ceil((asked + 1) * fault.ratio) > math.ceil(asked * fault.ratio)

    def holds(self, kind: FaultKind, venue: str, channel: str = ALL, market: str = ALL) -> bool:
        """Whether a fault of ``kind`` hits this venue, channel and market."""
        return self.find(kind, venue, channel, market) is not None
