"""Account facts of dYdX v4: positions, cash, orders, fills, transfers, funding payments.

The socket and REST tell the same things at different heights; each pool keeps the newest height of
either, and what is older is dropped rather than laid over what is newer. From updates only sizes
and balances are taken: their prices and profits can be half of a split event. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import (
    AccountDiscovered,
    AccountModeSeen,
    AccountReported,
    Event,
    LiquidationSeen,
    PositionReport,
    PositionsReported,
)
from monitor.core.types import AccountMode
from monitor.venues.dydx.accounts import Parent, Pool
from monitor.venues.dydx.codec import wire
from monitor.venues.dydx.settings import VENUE

STREAM, TRUTH = "stream", "truth"
QUOTE = "USDC"
NOTHING_THERE = (
    "The indexer knows no such subaccount: nothing was ever deposited there. If there should be"
    " something, check the address, the network and the subaccount number."
)
ZERO = Decimal(0)


class Told(msgspec.Struct):
    """What a message said, and whether it leaves something that only REST can settle.
    ``vanished`` names pools that had money and are not in a whole answer."""

    events: list[Event] = []
    doubtful: bool = False
    vanished: list[str] = []


# ---------------------------------------------------------------------------- whole accounts


def subaccounts(row: wire.SubaccountRow) -> list[wire.SubaccountRow]:
    """The margin pools of a row: a parent's children, or the subaccount itself. A parent's sums
    are left out: liquidation looks at each child alone."""
    return [row] if row.child_subaccounts is None else row.child_subaccounts


def whole(
    row: wire.SubaccountRow,
    parent: Parent,
    *,
    channel: str,
    source: str,
    height: int | None,
) -> Told:
    """Positions and money of every pool of a snapshot or REST answer.

    Told is doubtful when a newer height was already known of some pool, whose facts are then
    left out.
    """
    told = Told()
    parent.known_to_venue = True
    heard: set[int] = set()
    for child in subaccounts(row):
        number = child.subaccount_number
        pool = None if number is None else parent.pool(number)
        if number is None or pool is None:
            raise DecodeError(f"dYdX answered with subaccount {number}, not of {parent.number}.")
        heard.add(number)
        told.events += announced(pool, parent, channel)
        stated = parent.heights.plausible(
            child.latest_processed_block_height, f"latestProcessedBlockHeight of {pool.name}"
        )
        at = stated or height
        if _older(pool, source, at):
            told.doubtful = True
        else:
            told.events += _pool_facts(child, pool, channel=channel, source=source, height=at)
    for number, pool in parent.pools.items():
        if number not in heard and pool.held:
            raise DecodeError(f"dYdX left out {pool.name}, which was known to hold positions.")
        if number not in heard and pool.has_cash:
            # The indexer never deletes a subaccount, so this is no word that it is empty.
            told.vanished.append(pool.name)
            told.doubtful = True
    return told


def nothing(parent: Parent, *, channel: str) -> list[Event]:
    """Facts of a subaccount that the indexer has never seen: it exists and holds nothing."""
    pool = parent.pools[parent.number]
    pool.held.clear()
    pool.has_cash = False
    return [
        AccountModeSeen(
            venue=VENUE,
            channel=channel,
            account=pool.name,
            mode=AccountMode.STANDARD,
            reason=NOTHING_THERE,
        ),
        PositionsReported(
            venue=VENUE,
            channel=channel,
            account=pool.name,
            source=TRUTH,
            complete=True,
            positions=(),
        ),
        AccountReported(
            venue=VENUE,
            channel=channel,
            account=pool.name,
            source=TRUTH,
            equity_usd=ZERO,
            cash_usd=ZERO,
            free_collateral_usd=ZERO,
        ),
    ]


def announced(pool: Pool, parent: Parent, channel: str) -> list[Event]:
    """The pool's existence, once."""
    if pool.announced:
        return []
    pool.announced = True
    events: list[Event] = [
        AccountModeSeen(venue=VENUE, channel=channel, account=pool.name, mode=AccountMode.STANDARD)
    ]
    if pool.name != parent.alias:
        kind = "subaccount" if pool.number == parent.number else "child"
        events.insert(
            0,
            AccountDiscovered(
                venue=VENUE, channel=channel, account=pool.name, parent=parent.alias, kind=kind
            ),
        )
    return events


def _older(pool: Pool, source: str, height: int | None) -> bool:
    """Whether a whole report is older than what the other source said; else note its height."""
    if height is None:
        return False
    other = pool.stream_height if source == TRUTH else pool.truth_height
    if height < other:
        return True
    if source == TRUTH:
        pool.truth_height = max(pool.truth_height, height)
    else:
        pool.stream_height = max(pool.stream_height, height)
    return False


def _pool_facts(
    row: wire.SubaccountRow, pool: Pool, *, channel: str, source: str, height: int | None
) -> list[Event]:
    reports = [_position(position, whole_row=True) for position in
               row.open_perpetual_positions.values()]  # fmt: skip
    positions = tuple(report for report in reports if report.size)
    pool.held = {report.market for report in positions}
    # No USDC row means that none is there: the list is whole.
    cash = _cash(row.asset_positions.values()) or ZERO
    pool.has_cash = bool(cash)
    events: list[Event] = [
        PositionsReported(
            venue=VENUE,
            channel=channel,
            account=pool.name,
            source=source,
            complete=True,
            positions=positions,
            height=height,
        ),
        AccountReported(
            venue=VENUE,
            channel=channel,
            account=pool.name,
            source=source,
            equity_usd=wire.money_or_none(row.equity, "equity"),
            cash_usd=cash,
            free_collateral_usd=wire.money_or_none(row.free_collateral, "free collateral"),
            height=height,
        ),
    ]
    return events + _unreadable(row.asset_positions.values(), pool, channel)


# --------------------------------------------------------------------------------- positions


def _position(row: wire.PositionRow, *, whole_row: bool) -> PositionReport:
    """One position; prices and profits only from a whole row, never from an update."""
    size = wire.money(row.size, f"position size in {row.market}")
    if (size > 0 and row.side == "SHORT") or (size < 0 and row.side == "LONG"):
        raise DecodeError(f"dYdX position in {row.market} is {row.side} with size {size}.")
    if row.status == "CLOSED" and size:
        raise DecodeError(f"dYdX position in {row.market} is CLOSED with size {size}.")
    if not whole_row:
        return PositionReport(market=row.market, size=size)
    entry = wire.money_or_none(row.entry_price, "entry price")
    return PositionReport(
        market=row.market,
        size=size,
        entry_price=entry if entry is not None and entry > 0 else None,
        unrealized_pnl_usd=wire.money_or_none(row.unrealized_pnl, "unrealized profit"),
        funding_since_open_usd=wire.money_or_none(row.net_funding, "net funding"),
    )


def positions_told(
    rows: Iterable[wire.PositionRow],
    pool: Pool,
    *,
    channel: str,
    height: int | None,
    source: str = STREAM,
) -> list[Event]:
    """Changed positions of one pool; an update says size and nothing else that can be trusted."""
    events: list[Event] = []
    reports = []
    for row in rows:
        report = _position(row, whole_row=source == TRUTH)
        reports.append(report)
        if report.size:
            pool.held.add(report.market)
        else:
            pool.held.discard(report.market)
        if row.status == "LIQUIDATED":
            events.append(
                LiquidationSeen(
                    venue=VENUE,
                    channel=channel,
                    account=pool.name,
                    notional_usd=None,
                    detail=f"The position in {row.market} has the status LIQUIDATED.",
                )
            )
    told = PositionsReported(
        venue=VENUE,
        channel=channel,
        account=pool.name,
        source=source,
        complete=False,
        positions=tuple(reports),
        height=height,
    )
    return [told, *events] if reports else events


def _cash(rows: Iterable[wire.AssetRow]) -> Decimal | None:
    """USDC with its sign: SHORT is a debt, normal for a leveraged long. None if not told."""
    for row in rows:
        if row.symbol == QUOTE:
            size = wire.money(row.size, "USDC balance")
            if size < 0:
                raise DecodeError(f"dYdX asset sizes are unsigned, found {size}.")
            return size.copy_negate() if row.side == "SHORT" and size else size
    return None


def cash_told(
    rows: list[wire.AssetRow],
    pool: Pool,
    *,
    channel: str,
    height: int | None,
    source: str = STREAM,
) -> list[Event]:
    """Changed balances of one pool."""
    events: list[Event] = []
    cash = _cash(rows)
    if cash is not None:
        pool.has_cash = bool(cash)
        events.append(
            AccountReported(
                venue=VENUE,
                channel=channel,
                account=pool.name,
                source=source,
                cash_usd=cash,
                height=height,
            )
        )
    return events + _unreadable(rows, pool, channel)


def _unreadable(rows: Iterable[wire.AssetRow], pool: Pool, channel: str) -> list[Event]:
    """The chain knows no collateral but USDC; anything else makes equity unreadable."""
    other = sorted({row.symbol for row in rows if row.symbol != QUOTE and row.size})
    if not other:
        return []
    return [
        AccountModeSeen(
            venue=VENUE,
            channel=channel,
            account=pool.name,
            mode=AccountMode.UNREADABLE,
            reason=f"The subaccount holds {', '.join(other)[:80]}; this version values only USDC.",
        )
    ]
