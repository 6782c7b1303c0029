"""What happens in the simulated world, as a feed for its servers and tests.

Not to be confused with ``core.events``: these are the truth on the venue's side, before any wire
format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from monitor.sim.accounts import SimFill, SimFunding, SimOrder, SimTransfer
from monitor.sim.funding import FundingRow

if TYPE_CHECKING:
    from monitor.sim.standing import SimTwap


@dataclass(frozen=True, slots=True)
class OraclesMoved:
    """A venue published oracle prices (and marks) for these markets; also while they are frozen
    by a fault, when they repeat the old price."""

    venue: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BlockMade:
    """A venue's newest block."""

    venue: str
    height: int
    time_s: float


@dataclass(frozen=True, slots=True)
class FundingSettled:
    """One market's hourly settlement."""

    venue: str
    symbol: str
    row: FundingRow


@dataclass(frozen=True, slots=True)
class _AccountEvent:
    venue: str
    address: str
    pool: str


@dataclass(frozen=True, slots=True)
class OrderChanged(_AccountEvent):
    """An order was placed, triggered, filled (in part) or cancelled; ``order`` is a copy, with
    what was left of it and its status then."""

    order: SimOrder


@dataclass(frozen=True, slots=True)
class Filled(_AccountEvent):
    """An execution."""

    fill: SimFill


@dataclass(frozen=True, slots=True)
class PositionChanged(_AccountEvent):
    """A position's size (or isolated cash) changed; it may be gone."""

    symbol: str


@dataclass(frozen=True, slots=True)
class FundingPaid(_AccountEvent):
    """A payment was booked."""

    payment: SimFunding


@dataclass(frozen=True, slots=True)
class Transferred(_AccountEvent):
    """Money came or went."""

    transfer: SimTransfer


@dataclass(frozen=True, slots=True)
class Liquidated(_AccountEvent):
    """A pool (or one isolated position of it) was liquidated."""

    symbols: tuple[str, ...]
    notional_usd: Decimal
    equity_usd: Decimal
    liquidation_id: int


@dataclass(frozen=True, slots=True)
class TwapChanged(_AccountEvent):
    """A TWAP began or ended; ``twap`` is a copy as it was then."""

    twap: SimTwap


@dataclass(frozen=True, slots=True)
class Narrated:
    """A scenario says in plain words what it just did."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Paced:
    """A scenario says how fast it is meant to be watched from here: simulated seconds in a real
    one."""

    at_s: float
    speed: float


WorldEvent = (
    OraclesMoved
    | BlockMade
    | FundingSettled
    | OrderChanged
    | Filled
    | PositionChanged
    | FundingPaid
    | Transferred
    | Liquidated
    | TwapChanged
    | Narrated
    | Paced
)
Subscriber = Callable[[Sequence[WorldEvent]], None]
