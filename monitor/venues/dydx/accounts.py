"""Which subaccounts are ours, what each is called, and what was last heard of each.

Every dYdX subaccount is its own margin pool: children 128, 256, … of a parent hold isolated
positions by convention of the front end, and liquidation looks at each alone. Full addresses stop
here: events carry aliases or shortened forms. *Pure.*
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from monitor.core.events import OrderReport
from monitor.core.types import SECOND_NS, EngineNs
from monitor.venues.dydx.heights import ChainHeights
from monitor.venues.dydx.settings import PARENTS, DydxAccount

FILLS_REMEMBERED = 5000
ORDERS_REMEMBERED = 5000
# REST answers are cached for a second and lag the socket; an order told by the socket within this
# time is believed over a list that does not have it yet (or still has it).
STREAM_BELIEVED_NS = 15 * SECOND_NS


class KnownOrder(msgspec.Struct, frozen=True, gc=False):
    """An order as last told, so that a removal that names only its id can be completed."""

    report: OrderReport
    good_til_block: int | None
    streamed_at: EngineNs


class Pool:
    """One margin pool (a subaccount) and the newest height each source has told of it."""

    def __init__(self, name: str, address: str, number: int) -> None:
        self.name = name
        self.address = address
        self.number = number
        self.truth_height = -1
        self.stream_height = -1
        self.orders: dict[str, KnownOrder] = {}
        self.closed: dict[str, EngineNs] = {}
        self.held: set[str] = set()
        self.has_cash = False
        self.announced = False

    def closed_lately(self, order_id: str, now: EngineNs) -> bool:
        """Whether the socket said so recently that the order is gone that REST may not know."""
        at = self.closed.get(order_id)
        return at is not None and now - at < STREAM_BELIEVED_NS

    def remember_closed(self, order_id: str, now: EngineNs) -> None:
        """Forget a working order, but not at once that it is gone."""
        self.orders.pop(order_id, None)
        if len(self.closed) >= ORDERS_REMEMBERED:
            self.closed = {k: at for k, at in self.closed.items() if now - at < STREAM_BELIEVED_NS}
        self.closed[order_id] = now


class Parent:
    """One configured parent subaccount with the children found so far."""

    def __init__(
        self,
        alias: str,
        address: str,
        number: int,
        pool_name: str,
        heights: ChainHeights | None = None,
    ) -> None:
        self.heights = heights or ChainHeights()  # to judge told heights by
        self.alias = alias
        self.address = address
        self.number = number
        self.pool_name = pool_name
        self.pools: dict[int, Pool] = {number: Pool(pool_name, address, number)}
        self.known_to_venue = False  # the indexer has a row for it
        self._fills: OrderedDict[str, None] = OrderedDict()
        self._unsettled: list[str] = []

    def pool(self, number: int) -> Pool | None:
        """The pool of a subaccount number, made when first heard of; None if not of this parent."""
        found = self.pools.get(number)
        if found is None and number % PARENTS == self.number:
            found = Pool(f"{self.alias}.{number}", self.address, number)
            self.pools[number] = found
        return found

    def fill_is_new(self, fill_id: str) -> bool:
        """True once per fill; the socket and REST tell the same one."""
        if fill_id in self._fills:
            return False
        self._fills[fill_id] = None
        self._unsettled.append(fill_id)
        return True

    @property
    def unsettled(self) -> int:
        """Fills of the message at hand that are news."""
        return len(self._unsettled)

    def settle_fills(self, *, told: bool) -> None:
        """The message is done: its fills were told, or it broke and they must be told again."""
        if not told:
            for fill_id in self._unsettled:
                self._fills.pop(fill_id, None)
        self._unsettled.clear()
        while len(self._fills) > FILLS_REMEMBERED:
            self._fills.popitem(last=False)

    def held(self) -> set[str]:
        """Tickers in which any of its pools has a position."""
        return set().union(*(pool.held for pool in self.pools.values()))


class Accounts:
    """All configured parents.

    With ``anyone`` (recordings) every address is taken as ours under a name made of its ends.
    """

    def __init__(
        self,
        accounts: Iterable[DydxAccount],
        *,
        anyone: bool = False,
        heights: ChainHeights | None = None,
    ) -> None:
        self._anyone = anyone
        self._heights = heights or ChainHeights()
        self._parents: dict[tuple[str, int], Parent] = {}
        for account in accounts:
            for index, number in enumerate(account.parents):
                pool_name = account.alias if index == 0 else f"{account.alias}.{number}"
                parent = Parent(account.alias, account.address, number, pool_name, self._heights)
                self._parents[account.address, number] = parent

    @property
    def parents(self) -> tuple[Parent, ...]:
        """In the order of the configuration."""
        return tuple(self._parents.values())

    def parent(self, address: str, number: int) -> Parent | None:
        """The parent that a subaccount number belongs to (child % 128), if it is watched."""
        key = (address, number % PARENTS)
        found = self._parents.get(key)
        if found is None and self._anyone:
            alias = recorded_alias(address)
            found = self._parents[key] = Parent(alias, address, key[1], alias, self._heights)
        return found

    def counterparty(self, address: str, number: int | None) -> tuple[str, bool]:
        """Name of the other side of a transfer, and whether it is watched by us too.

        A wallet (no number) and an unwatched parent of our own address are not: money there is out
        of sight, whoever owns it.
        """
        parent = None if number is None else self._parents.get((address, number % PARENTS))
        if parent is None or number is None:
            return shortened(address), False
        pool = parent.pool(number)
        return (pool.name, True) if pool is not None else (shortened(address), False)

    def held(self) -> set[str]:
        """Tickers in which any account has a position."""
        return set().union(*(parent.held() for parent in self._parents.values()))


def shortened(address: str) -> str:
    """``dydx14zz…k6art``: enough to recognise, too little to look up."""
    return address if len(address) <= 14 else f"{address[:8]}…{address[-5:]}"


def recorded_alias(address: str) -> str:
    """An alias for an address nobody configured (``riskd decode``): ``dydx14zz-k6art``."""
    kept = "".join(c for c in address if c.isascii() and (c.islower() or c.isdigit()))
    return f"{kept[:8]}-{kept[-5:]}" if len(kept) > 14 else kept or "unknown"
