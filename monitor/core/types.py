"""Ids, subjects and closed vocabularies that every part of riskd shares.

Subjects are plain strings, ``kind:parts``, so that they hash once and read well in a log. They are
built here and nowhere else. Sizes are signed base units (long > 0); rates are fractions per hour
(> 0 means longs pay); times are ``engine_ns``: wall time at start plus monotonic time since, in
nanoseconds. *Pure.*
"""

from __future__ import annotations

import enum
from typing import NewType

EngineNs = int
Subject = NewType("Subject", str)

SECOND_NS = 1_000_000_000
PORTFOLIO = Subject("portfolio")


class SubjectKind(enum.StrEnum):
    """What a measure or a rule can be about, widest first where they nest."""

    PORTFOLIO = "portfolio"
    BUCKET = "bucket"
    STRATEGY = "strategy"
    HEDGE_SET = "hedge_set"
    VENUE = "venue"
    ACCOUNT = "account"
    POSITION = "position"
    ASSET = "asset"
    MARKET = "market"
    CHAIN = "chain"
    ORACLE = "oracle"
    FEED = "feed"
    NEXUS = "nexus"
    RULE = "rule"


def venue_subject(venue: str) -> Subject:
    """``venue:hyperliquid``."""
    return Subject(f"venue:{venue}")


def account_subject(venue: str, account: str) -> Subject:
    """``account:hyperliquid/main``; ``account`` is the configured alias, with ``.pool`` appended
    where one address has several margin pools (HIP-3 dex, dYdX child subaccount)."""
    return Subject(f"account:{venue}/{account}")


def position_subject(venue: str, account: str, market: str) -> Subject:
    """``position:hyperliquid/main/BTC``."""
    return Subject(f"position:{venue}/{account}/{market}")


def market_subject(venue: str, market: str) -> Subject:
    """``market:dydx/BTC-USD``; ``market`` is the venue's own symbol."""
    return Subject(f"market:{venue}/{market}")


def asset_subject(asset: str) -> Subject:
    """``asset:BTC``; the base asset, the same for every venue that lists it."""
    return Subject(f"asset:{asset}")


def feed_subject(venue: str, feed: str) -> Subject:
    """``feed:hyperliquid/activeAssetCtx``; one kind of channel (or poll) of one venue."""
    return Subject(f"feed:{venue}/{feed}")


def hedge_set_subject(name: str) -> Subject:
    """``hedge_set:btc``; legs that the desk keeps paired."""
    return Subject(f"hedge_set:{name}")


def bucket_subject(name: str) -> Subject:
    """``bucket:contingency``; a part of the book with a target weight."""
    return Subject(f"bucket:{name}")


def strategy_subject(name: str) -> Subject:
    """``strategy:carry``; what makes or loses money by one idea."""
    return Subject(f"strategy:{name}")


def rule_subject(rule_id: str) -> Subject:
    """``rule:funding_stress``."""
    return Subject(f"rule:{rule_id}")


def rules_in(rule_id: str) -> tuple[str, ...]:
    """The rules that ``rule:first__second`` is about together; of one rule, that one. What follows
    an ``@`` is where it is asked about them (``first@asset:BTC``)."""
    return tuple(rule_id.partition("@")[0].split("__"))


def subject_kind(subject: Subject) -> SubjectKind:
    """The kind a subject was built with.

    Raises:
        ValueError: If the text before the first ``:`` is no subject kind.
    """
    return SubjectKind(subject.partition(":")[0])


def channel_id(venue: str, feed: str, key: str = "") -> str:
    """``hyperliquid/activeAssetCtx/BTC``: one subscription (or poll), the unit of freshness."""
    return f"{venue}/{feed}/{key}" if key else f"{venue}/{feed}"


class Verdict(enum.Enum):
    """Three-valued truth of a rule's condition, and ERROR when it could not be judged at all."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"
    ERROR = "error"


class AlertState(enum.StrEnum):
    """State of one rule about one subject."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"


class Severity(enum.StrEnum):
    """How loudly a rule speaks, quietest first."""

    INFO = "info"
    WARNING = "warning"
    HIGH = "high"
    CRITICAL = "critical"


def louder_than(left: Severity, right: Severity) -> bool:
    """Whether ``left`` speaks louder than ``right``; False for equals."""
    order = tuple(Severity)
    return order.index(left) > order.index(right)


class Side(enum.StrEnum):
    """Side of an order or a fill."""

    BUY = "buy"
    SELL = "sell"


class MarginMode(enum.StrEnum):
    """Whether a position shares collateral with the others of its account."""

    CROSS = "cross"
    ISOLATED = "isolated"


class MarketStatus(enum.StrEnum):
    """What may be done in a market, in words common to all venues."""

    ACTIVE = "active"
    POST_ONLY = "post_only"
    CANCEL_ONLY = "cancel_only"
    PAUSED = "paused"
    INITIALIZING = "initializing"
    FINAL_SETTLEMENT = "final_settlement"
    DELISTED = "delisted"
    UNKNOWN = "unknown"


class AccountMode(enum.StrEnum):
    """How an account's collateral is kept, which decides where its equity can be read."""

    STANDARD = "standard"  # the margin account itself
    UNIFIED = "unified"  # Hyperliquid: spot balances are the collateral
    PORTFOLIO_MARGIN = "portfolio_margin"
    UNREADABLE = "unreadable"  # a mode this version cannot read: equity is absent


class FillKind(enum.StrEnum):
    """Why a fill happened; all but TRADE are pages."""

    TRADE = "trade"
    LIQUIDATION = "liquidation"  # this account was liquidated
    DELEVERAGING = "deleveraging"  # this account was auto-deleveraged
    SETTLEMENT = "settlement"


class TransferKind(enum.StrEnum):
    """Where money moved, seen from the account."""

    DEPOSIT = "deposit"  # from a chain or wallet
    WITHDRAWAL = "withdrawal"
    INTERNAL = "internal"  # to or from another account of the venue
    OTHER = "other"
