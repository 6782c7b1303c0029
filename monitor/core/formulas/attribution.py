"""Where a change of equity came from, and what of it nothing explains. *Pure.*

Between two statements equity moves by prices on what is held, by fills and their fees, by funding
and by transfers. Take what is held, at prices, out of each equity, and the money that is left moves
by the ledger alone: no crash, however deep, can look unexplained. So::

    unexplained = money - (fills + funding + transfers so far) - what that was when last explained

A size that changed without a fill told is taken to have traded at the price of the moment; the fill
replaces the guess when it comes. What is late is thus undone by itself: a transfer, a fill or a
payment told afterwards brings the difference back, and so does the next statement where one was
wrong. Differences within the tolerance are forgotten at each statement: it is steps that are looked
for, not a slow leak.

The tolerance, argued: half a per cent of equity (what two sources may differ by, catalogue
``CROSS_CHECK``; a tenth of the first rung of the drawdown ladder); ten basis points of gross (fees
of a round trip, rounding, marks that are not the venue's); five per cent of what changed size
without a fill (a liquidation loses up to its maintenance margin beyond the mark); an interval of
funding at the present rate (venues charge before they tell); and, where prices are ours and not the
statement's, what they moved since the last statement. Numbers in, numbers out.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum

import msgspec

from monitor.core.types import SECOND_NS, EngineNs

EQUITY_RATIO = 0.005
GROSS_RATIO = 0.001
UNTOLD_RATIO = 0.05
DUST_USD = 5.0  # fees of withdrawals and activations
# Two statements this far apart must say so: less than the period of re-reads, and less than the
# time between two looks at a drawdown that confirm each other.
CONFIRM_NS = 8 * SECOND_NS
# Venues stamp a liquidation a little before what it does shows, or after.
FORCED_SLACK_NS = 60 * SECOND_NS


class Held(msgspec.Struct, frozen=True, gc=False):
    """One thing held at a statement: its signed size, the part of it that fills told so far
    (cumulative, from any origin), its price in USD, and the rate of its next funding, ``>= 0``,
    as a share of notional."""

    size: float
    filled: float
    price: float
    funding_ratio: float = 0.0


class Statement(msgspec.Struct, frozen=True, gc=False):
    """One statement of an account.

    Args:
        told_ns: When it was told.
        equity_usd: As stated.
        money_usd: Equity less ``size x price`` of all that is held.
        ledger_usd: Cash of all fills, less fees, funding and transfers so far, cumulative.
        held: What is held, and what was at the last statement, by market or token.
        own_prices: Whether the prices are the statement's own.
        forced_ns: When the account was last liquidated or deleveraged; 0 for never.
    """

    told_ns: EngineNs
    equity_usd: float
    money_usd: float
    ledger_usd: float
    held: Mapping[str, Held]
    own_prices: bool = True
    forced_ns: EngineNs = 0


class Guess(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Of one thing held: size not told by fills at the start; size that changed since without one,
    and the cash that is taken to have moved by it; the former when last explained; last price."""

    offset: float
    untold: float
    cash_usd: float
    explained: float
    price: float


class Attribution(msgspec.Struct):
    """What one account's equity was last explained as.

    Args:
        base_usd: Money less ledger and guesses at the last explained statement.
        told_ns: Of the last statement read.
        explained_ns: Of the last explained one.
        equity_usd: At the last explained one.
        guesses: By market or token.
        unexplained_usd: What the last statement leaves unexplained, signed (> 0 gained); 0 within
            the tolerance.
        tolerance_usd: As of the last statement, ``>= 0``.
        doubted_ns: Since which statement something has been unexplained; 0 for not.
        suspect_ns: Since when that is confirmed; 0 for not.
    """

    base_usd: float
    told_ns: EngineNs
    explained_ns: EngineNs
    equity_usd: float
    guesses: dict[str, Guess] = msgspec.field(default_factory=dict)
    unexplained_usd: float = 0.0
    tolerance_usd: float = 0.0
    doubted_ns: EngineNs = 0
    suspect_ns: EngineNs = 0


class Doubt(msgspec.Struct, frozen=True, array_like=True):
    """What a restart must not forget: how much is unexplained, and since when."""

    unexplained_usd: float
    suspect_ns: EngineNs


def start_attribution(said: Statement, doubt: Doubt | None = None) -> Attribution:
    """The first statement explains itself; a ``doubt`` of an earlier process stays open."""
    open_usd = 0.0 if doubt is None else doubt.unexplained_usd
    memory = Attribution(
        base_usd=said.money_usd - said.ledger_usd - open_usd,
        told_ns=said.told_ns,
        explained_ns=said.told_ns,
        equity_usd=said.equity_usd - open_usd,
        guesses={
            name: Guess(one.size - one.filled, 0.0, 0.0, 0.0, one.price)
            for name, one in said.held.items()
        },
    )
    if doubt is not None:
        memory.unexplained_usd, memory.suspect_ns = open_usd, doubt.suspect_ns
        memory.doubted_ns = doubt.suspect_ns
    return memory


def follow_attribution(memory: Attribution, said: Statement, *, inputs_known: bool) -> None:
    """Judge one more statement; the memory is changed.

    Without ``inputs_known`` nothing becomes suspect: what nobody could have told is unknown.
    """
    tolerance = _tolerance(memory, said)  # by what was guessed until now
    _guess(memory, said)
    guessed = fsum(one.cash_usd for one in memory.guesses.values())
    unexplained = said.money_usd - said.ledger_usd - guessed - memory.base_usd
    memory.told_ns, memory.tolerance_usd = said.told_ns, tolerance
    forced = said.forced_ns >= memory.explained_ns - FORCED_SLACK_NS and said.forced_ns > 0
    if abs(unexplained) <= tolerance or (unexplained < 0.0 and forced):
        _explained(memory, said, unexplained)
        return
    memory.unexplained_usd = unexplained
    if memory.suspect_ns or not inputs_known:
        return  # nor does what is missing by now clear it
    if not memory.doubted_ns:
        memory.doubted_ns = said.told_ns
    elif said.told_ns - memory.doubted_ns >= CONFIRM_NS:
        memory.suspect_ns = memory.doubted_ns


def _explained(memory: Attribution, said: Statement, left: float) -> None:
    memory.base_usd += left
    memory.explained_ns, memory.equity_usd = said.told_ns, said.equity_usd
    memory.unexplained_usd, memory.doubted_ns, memory.suspect_ns = 0.0, 0, 0
    for name, one in memory.guesses.items():
        if one.explained != one.untold:
            memory.guesses[name] = msgspec.structs.replace(one, explained=one.untold)


def _tolerance(memory: Attribution, said: Statement) -> float:
    parts = [max(EQUITY_RATIO * max(abs(said.equity_usd), abs(memory.equity_usd)), DUST_USD)]
    for name, one in said.held.items():
        known = memory.guesses.get(name)
        notional = abs(one.size) * one.price
        parts.append((GROSS_RATIO + one.funding_ratio) * notional)
        offset, explained = (0.0, 0.0) if known is None else (known.offset, known.explained)
        parts.append(UNTOLD_RATIO * abs(one.size - one.filled - offset - explained) * one.price)
        if known is not None and not said.own_prices:
            parts.append(abs(one.size) * abs(one.price - known.price))
    return fsum(parts)


def _guess(memory: Attribution, said: Statement) -> None:
    """Bring the guesses up to the statement: a size that changed more was traded at its price, one
    whose fill came takes its share of the guess back."""
    for name, one in said.held.items():
        known = memory.guesses.get(name)
        offset, untold, cash, explained = (
            (0.0, 0.0, 0.0, 0.0)
            if known is None
            else (known.offset, known.untold, known.cash_usd, known.explained)
        )
        now = one.size - one.filled - offset
        if abs(now) < 1e-12 * max(abs(one.size), abs(one.filled), 1.0):
            now = cash = 0.0
        elif untold * now > 0.0 and abs(now) < abs(untold):
            cash *= now / untold
        elif untold * now < 0.0:
            cash = -now * one.price
        else:
            cash -= (now - untold) * one.price
        memory.guesses[name] = Guess(offset, now, cash, explained, one.price)
