"""What is known, one fact at a time, with when and over which channel it was told.

These are the parts of the risk state that change with every frame. They are slotted dataclasses
rather than Structs because assignment costs a third; msgspec encodes them all the same. An absent
value is None, and a suspect price is absent. *Pure.*
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from monitor.core.types import SECOND_NS, EngineNs, MarketStatus

# A venue's clock further ahead than this orders nothing: what it says counts as of its arrival.
AHEAD_MAX_NS = 60 * SECOND_NS


class Lack(enum.Enum):
    """What kind of absence a reason tells of, the gravest first."""

    MISSING = 0  # what was told is gone or old, or what should be told never was
    HISTORY = 1  # a window that a venue's history fills
    FILLING = 2  # one that the desk's own watching fills
    CHOICE = 3  # nobody who is watched could ever tell, or it does not apply


class Why(NamedTuple):
    """Why something is absent: in words, and of which kind that is. No words while it is present.

    What nobody has judged is missing: only where it is made can an absence be excused.
    """

    reason: str
    lack: Lack = Lack.MISSING


PRESENT = Why("")

# By source: how many older statements in a row it made, and when the first.
Refusals = dict[str, tuple[int, EngineNs]]


def order_time(venue_time_ns: int | None, now: EngineNs) -> int:
    """By which time a statement is ordered: the venue's where it is plausible, else its arrival."""
    if venue_time_ns is None or venue_time_ns > now + AHEAD_MAX_NS:
        return now
    return venue_time_ns


@dataclass(slots=True)
class Channel:
    """One subscription or poll, the unit of freshness.

    ``generation`` grows with each gap: a fact of an older generation needs a new message.
    ``expected`` once it was opened: from then on its silence counts against its feed.
    ``opened_ns`` is when it was re-opened after a loss: progress since then says nothing about
    facts told before it, for what changed in between was not heard.
    """

    name: str
    venue: str
    feed: str  # "hyperliquid/bbo"; the feed subject without its kind
    progress_ns: EngineNs = 0
    opened_ns: EngineNs = 0
    open: bool = False
    expected: bool = False
    cadence_s: float | None = None
    generation: int = 0
    lost_reason: str = ""


@dataclass(slots=True)
class PriceFact:
    """A price that is believed only while it moves plausibly.

    While ``value`` is None although told, ``reference`` is the last price believed and
    ``candidate`` the suspect one that waits for a second message to agree. ``changed_ns`` is when
    another price than the last was told: a message that repeats it proves that the messenger lives,
    not that anybody makes new prices. ``rested`` is the last time from and until when it was told
    for ``RESTS_NS`` or longer without a change.
    """

    value: float | None = None
    seen_ns: EngineNs = 0
    channel: str = ""
    generation: int = 0
    reference: float | None = None
    candidate: float | None = None
    changed_ns: EngineNs = 0
    rested: tuple[EngineNs, EngineNs] = (0, 0)


@dataclass(slots=True)
class NumberFact:
    """A finite number that may jump (a rate, an open interest)."""

    value: float | None = None
    seen_ns: EngineNs = 0
    channel: str = ""
    generation: int = 0


@dataclass(slots=True)
class TopFact:
    """Best bid and ask; suspect together when their level jumps. A None side has nobody there."""

    bid: float | None = None
    ask: float | None = None
    bid_size: float | None = None
    ask_size: float | None = None
    seen_ns: EngineNs = 0
    channel: str = ""
    generation: int = 0
    level: float | None = None  # mid, or the one side there is; None while suspect
    reference: float | None = None
    candidate: float | None = None


@dataclass(slots=True)
class DepthFact:
    """Resting USD within 25 bp of mid; a side is None where the book seen does not reach."""

    bid_usd: float | None = None
    ask_usd: float | None = None
    seen_ns: EngineNs = 0
    channel: str = ""
    generation: int = 0


@dataclass(slots=True)
class StatusFact:
    """What may be done in a market."""

    value: MarketStatus | None = None
    seen_ns: EngineNs = 0
    channel: str = ""
    generation: int = 0


@dataclass(slots=True)
class SettledFact:
    """The newest funding settlement, fraction per hour."""

    value: float | None = None
    seen_ns: EngineNs = 0
    channel: str = ""
    generation: int = 0
    settled_at_ns: int = 0


@dataclass(slots=True)
class FlagFact:
    """True, false or never told, with the words that came with it."""

    value: bool | None = None
    seen_ns: EngineNs = 0
    channel: str = ""
    generation: int = 0
    detail: str = ""


@dataclass(slots=True)
class BlockFact:
    """The newest block or exchange time from one source, and its height where it has one."""

    time_ns: int | None = None
    height: int | None = None
    seen_ns: EngineNs = 0
    channel: str = ""
    generation: int = 0


@dataclass(slots=True)
class SeenFact:
    """That a kind of report came, whatever it said."""

    seen_ns: EngineNs = 0
    channel: str = ""
    generation: int = 0


@dataclass(slots=True)
class StatedFact:
    """One amount as the venue stated it, USD.

    ``as_of_ns`` is the venue's time where it gave one, else the arrival; with ``height`` it decides
    which of two statements is newer.
    """

    value: float | None = None
    exact: Decimal | None = None
    seen_ns: EngineNs = 0
    channel: str = ""
    generation: int = 0
    as_of_ns: EngineNs = 0
    height: int | None = None
    refused: Refusals = field(default_factory=dict)


@dataclass(slots=True)
class ComputedFact:
    """The answer of a heavy computation, with the time of its inputs; ``seen_ns`` 0 before the
    first. ``asked`` are the inputs last handed out, at ``asked_ns``."""

    value: float | None = None
    as_of_ns: EngineNs = 0
    seen_ns: EngineNs = 0
    error: str = ""
    asked: bytes = b""
    asked_ns: EngineNs = 0


Fact = (
    PriceFact
    | NumberFact
    | TopFact
    | DepthFact
    | StatusFact
    | SettledFact
    | FlagFact
    | BlockFact
    | SeenFact
    | StatedFact
)


class MarketBit:
    """Which facts of a market changed; a bit each."""

    MARK = 1
    ORACLE = 2
    INDEX = 4
    MID = 8
    TOP = 16
    DEPTH = 32
    PREDICTED = 64
    SETTLED = 128
    OPEN_INTEREST = 256
    STATUS = 512
    PARAMETERS = 1024


class AccountBit:
    """Which facts of an account changed."""

    MONEY = 1
    POSITIONS = 2
    ORDERS = 4
    LEDGER = 8
    MODE = 16
    TRUTH = 32


class VenueBit:
    """Which facts of a venue changed."""

    BLOCKS = 1
    HEALTH = 2
    SKEW = 4
    FLOWS = 8
    HISTORY = 16
    SERVICE = 32  # requests counted, gaps


class FeedBit:
    """Which facts of a feed changed."""

    CHANNELS = 1
    CONNECTION = 2
    REJECTED = 4


COMPUTED_BIT = 1 << 20  # of any subject: a heavy computation about it came back
ALL_ACCOUNT_BITS = 0x3F
ALL_VENUE_BITS = 0x3F
OFF_BOOK_BIT = 1  # of an asset and of the portfolio
FLOWS_BIT = 2  # of the portfolio
SERIES_BIT = 64  # of an asset, venue and the portfolio: a price was sampled, or its history told
SETTLED_BIT = 128  # of the portfolio: some market's funding was settled, or its history told
RULE_BIT = 1  # of a rule subject
LEGS_BIT = 1  # of a hedge set: one of its legs was filled by force, opened or closed
REVIEW_BIT = 1  # of a bucket: somebody reviewed it
