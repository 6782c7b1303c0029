"""What a plan is made on: who holds what where, at which prices, and under which lot rules.

Sizes are signed base units, exact; USD and prices are floats except where they go into an order.
``None`` is unknown. *Pure.*
"""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

from monitor.core.decision import RuleMode
from monitor.core.types import EngineNs, Side, Subject


class Instrument(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How orders in one market must be written.

    A price is a multiple of ``price_tick`` and has at most ``price_figures`` significant figures
    (None: no such rule; whole numbers are always allowed where there is one). ``bound_bps`` is how
    far from the reference a limit may be.
    """

    venue: str
    market: str
    asset: str
    size_step: Decimal
    price_tick: Decimal
    price_figures: int | None = None
    min_notional_usd: Decimal = Decimal(0)
    bound_bps: float = 150.0


class WorkingOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One working order or TWAP as the venue lists it, whoever placed it. ``size`` is what is left,
    unsigned. A ``trigger`` order waits for its price; a ``twap`` is cancelled by its own id."""

    order_id: str
    market: str
    side: Side
    size: Decimal
    limit_price: Decimal | None = None
    reduce_only: bool = False
    trigger: bool = False
    twap: bool = False
    client_id: str | None = None


class HeldPosition(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One position as the venue states it; ``size`` signed."""

    market: str
    size: Decimal


class Look(enum.StrEnum):
    """How much of an account is read; its positions always are."""

    POSITIONS = "positions"  # and nothing else
    USUAL = "usual"  # working orders, but where nothing is held and none was a moment ago
    WHOLE = "whole"  # and there too


class AccountTruth(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One account re-read from the venue: on every dex, trigger orders and TWAPs included, as far
    as the look went.

    ``read_ns`` is when the request left: what happened after it may be missing. ``orders_ns`` and
    ``twaps_ns`` say the same of the working orders and of the TWAPs among them; None where nobody
    knows how old they are, or whether any runs, and after a look at positions alone.
    ``idle_orders_ns`` is when the orders of pools that hold nothing were listed, where that was not
    done again; None where ``orders_ns`` is of all.
    """

    venue: str
    account: str
    read_ns: EngineNs
    positions: tuple[HeldPosition, ...]
    orders: tuple[WorkingOrder, ...]
    equity_usd: Decimal | None = None
    orders_ns: EngineNs | None = None
    twaps_ns: EngineNs | None = None
    idle_orders_ns: EngineNs | None = None


class Quote(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What is known of a market's price now. ``references`` are independent fair prices (mark,
    oracle, another venue's mid); depths are resting USD within 25 bp."""

    venue: str
    market: str
    references: tuple[float, ...] = ()
    bid_price: float | None = None
    ask_price: float | None = None
    bid_depth_usd: float | None = None
    ask_depth_usd: float | None = None


class OutsideLeg(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Exposure that no executor can touch but that hedges: the desk's declared off-book leg."""

    asset: str
    size: Decimal
    hedge_set: str = ""


class Book(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Everything the planner may know. ``executable`` lists the (venue, account) that orders can be
    sent for now; ``dark`` those whose positions are old and are the last known ones. ``unable`` are
    (venue, account, why) of those that orders cannot be sent for, in words. ``second`` are further
    fresh readings of accounts, by another source than the one in ``accounts``. ``listed`` are
    (venue, market, asset) of all markets that the venues name, held or not. ``kept`` are (venue,
    account, market, why) of positions that no order may touch, in words. ``amounts`` are (measure,
    subject, USD) of what a cut to an amount may leave, where that waits and is known for certain
    now. ``modes`` are (rule, mode) of what the rulebook in force lets rules do of which something
    waits; None where none is loaded yet."""

    at_ns: EngineNs
    accounts: tuple[AccountTruth, ...]
    instruments: tuple[Instrument, ...]
    quotes: tuple[Quote, ...]
    outside: tuple[OutsideLeg, ...] = ()
    executable: tuple[tuple[str, str], ...] = ()
    dark: tuple[tuple[str, str], ...] = ()
    unable: tuple[tuple[str, str, str], ...] = ()
    second: tuple[AccountTruth, ...] = ()
    listed: frozenset[tuple[str, str, str]] = frozenset()
    kept: tuple[tuple[str, str, str, str], ...] = ()
    amounts: tuple[tuple[str, Subject, float], ...] = ()
    modes: tuple[tuple[str, RuleMode], ...] | None = ()

    @property
    def why_kept(self) -> dict[tuple[str, str, str], str]:
        """``kept`` by (venue, account, market)."""
        return {(venue, account, market): why for venue, account, market, why in self.kept}

    def amount_usd(self, measure: str, subject: Subject) -> float | None:
        """What a cut to ``measure`` of ``subject`` may leave now, USD; None where that is not known
        for certain."""
        for name, about, usd in self.amounts:
            if (name, about) == (measure, subject):
                return usd
        return None
