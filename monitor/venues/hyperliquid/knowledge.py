"""What the protocol objects of one Hyperliquid venue share: accounts, markets, what to watch.

Plain mutable state with no clock and no I/O; bootstrap polls fill it, streams and polls read it.
One event loop calls them all, so nothing here needs a lock. *Pure.*
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from monitor.core.events import AccountModeSeen, Event, OrderReport, PositionsReported
from monitor.core.types import SECOND_NS, AccountMode, EngineNs
from monitor.venues.hyperliquid.markets import FIRST_DEX, USDC_TOKEN, Markets
from monitor.venues.hyperliquid.settings import VENUE, HyperliquidSettings

MESSAGES_PER_MINUTE_MAX = 2000  # client messages over all connections
SUBSCRIPTIONS_MAX = 1000
LEADERS = 25  # the stress index looks at twenty assets; their order differs from venue to venue
_DEXES_MAX = 64  # nine exist; bounds what garbage names could make us ask for
_MINUTE_NS = 60 * SECOND_NS
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
# Looking a member up in its class costs more than all else around it (before Python 3.12).
_UNIFIED, _PORTFOLIO_MARGIN = AccountMode.UNIFIED, AccountMode.PORTFOLIO_MARGIN
_MODES = {
    "default": AccountMode.STANDARD,
    "disabled": AccountMode.STANDARD,
    "unifiedAccount": AccountMode.UNIFIED,
    "portfolioMargin": AccountMode.PORTFOLIO_MARGIN,
}


def shorten(address: str) -> str:
    """``0x1234…abcd``: all that ever leaves the decoders of a full address."""
    lower = address.lower()
    return f"{lower[:6]}…{lower[-4:]}" if _ADDRESS.fullmatch(lower) else lower[:20]


def mode_of(abstraction: str) -> tuple[AccountMode, str]:
    """The account mode behind ``userAbstraction``, and why it cannot be read where it cannot."""
    mode = _MODES.get(abstraction)
    if mode is not None:
        return mode, ""
    reason = (
        f"account mode {abstraction[:40]!r} is not known to this version: neither the perp nor the "
        "spot state is certain to hold its collateral"
    )
    return AccountMode.UNREADABLE, reason


def sub_alias(parent: str, name: str) -> str:
    """``main.arb-2`` for the sub-account that its owner calls ``Arb 2``."""
    slug = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")
    return f"{parent}.{slug or 'sub'}"


class Account:
    """One watched address, its mode, and the dexes where it holds anything."""

    def __init__(self, alias: str, address: str, parent: str = "") -> None:
        self.alias = alias
        self.address = address.lower()
        self.parent = parent
        self.mode = AccountMode.STANDARD
        self.mode_reason = ""
        self.dexes: set[str] = {FIRST_DEX}
        self.pools_told: set[str] = set()
        self.pools_unpriced: set[str] = set()  # told unreadable, for nothing prices their token
        # Last full order list per (source, dex): pooled accounts are told as one list, and order
        # updates, which lack the flags, take reduce-only and trigger price from here.
        self.orders: dict[tuple[str, str], tuple[OrderReport, ...]] = {}

    def set_mode(self, abstraction: str) -> bool:
        """Take over the mode that ``userAbstraction`` stated; True when it is another one."""
        mode, reason = mode_of(abstraction)
        changed = mode is not self.mode
        self.mode, self.mode_reason = mode, reason
        return changed

    @property
    def pooled(self) -> bool:
        """Whether the spot balances are the collateral."""
        return self.mode is _UNIFIED or self.mode is _PORTFOLIO_MARGIN

    def use(self, dex: str) -> str:
        """The account did something on ``dex``, so its pool there is watched from now on."""
        if len(self.dexes) < _DEXES_MAX:
            self.dexes.add(dex)
        return dex

    def ordered_dexes(self) -> tuple[str, ...]:
        """The used dexes, the first dex first."""
        return tuple(sorted(self.dexes))

    def pool(self, dex: str, markets: Markets | None) -> str:
        """The margin pool that a position on ``dex`` draws on.

        Standard: each dex its own. Unified: all dexes margined in the same token share its balance
        (USDC is the alias itself, other tokens ``alias.token360``). Portfolio margin: one.
        """
        if self.mode is _PORTFOLIO_MARGIN:
            return self.alias
        if self.mode is _UNIFIED:
            token = USDC_TOKEN if markets is None else markets.collateral_token(dex)
            return self.token_pool(token)
        return self.alias if dex == FIRST_DEX else f"{self.alias}.{dex}"

    def token_pool(self, token: int) -> str:
        """The unified pool of a collateral token."""
        return self.alias if token == USDC_TOKEN else f"{self.alias}.token{token}"

    def remember_orders(self, source: str, dex: str, orders: tuple[OrderReport, ...]) -> None:
        """Keep a dex's full list."""
        self.orders[source, dex] = orders

    def known_order(self, order_id: str) -> OrderReport | None:
        """The order as the last full list of any source stated it."""
        for orders in self.orders.values():
            for order in orders:
                if order.order_id == order_id:
                    return order
        return None


def mode_event(account: Account, pool: str, channel: str) -> AccountModeSeen:
    """The account's mode as an event about one of its pools."""
    return AccountModeSeen(
        venue=VENUE,
        channel=channel,
        account=pool,
        mode=account.mode,
        reason=account.mode_reason,
    )


class Discovered:
    """An address found behind a configured one; ``riskd init`` writes it into a configuration."""

    __slots__ = ("address", "alias", "kind", "name", "parent")

    def __init__(self, alias: str, address: str, parent: str, kind: str, name: str) -> None:
        self.alias = alias
        self.address = address.lower()
        self.parent = parent
        self.kind = kind  # subaccount | vault | dex
        self.name = name


class Watchlist:
    """Markets to watch closely: those asked for and every market ever held in this process.

    Never shrinks: a channel that was open once and is not opened again would count as lost.
    """

    def __init__(self) -> None:
        self._coins: dict[str, None] = {}
        self.version = 0

    def __len__(self) -> int:
        return len(self._coins)

    def coins(self) -> tuple[str, ...]:
        """In the order they were added."""
        return tuple(self._coins)

    def add(self, coins: Iterable[str]) -> None:
        """Watch these too."""
        for coin in coins:
            if coin not in self._coins:
                self._coins[coin] = None
                self.version += 1


class SendBudget:
    """Client messages of the last minute over all connections, kept below the venue's limit."""

    def __init__(self, limit: int = MESSAGES_PER_MINUTE_MAX) -> None:
        self._limit = limit
        self._sent: deque[tuple[EngineNs, int]] = deque()
        self._total = 0

    def take(self, wanted: int, now: EngineNs) -> int:
        """How many of ``wanted`` messages may be sent now; they count as sent."""
        sent = self._sent
        while sent and now - sent[0][0] >= _MINUTE_NS:
            self._total -= sent.popleft()[1]
        allowed = max(0, min(wanted, self._limit - self._total))
        if allowed:
            sent.append((now, allowed))
            self._total += allowed
        return allowed


class SpotPrices:
    """USD prices of collateral tokens, from the mids of their USDC pairs; absent when unknown."""

    def __init__(self) -> None:
        self._pairs: dict[int, str] = {}  # token index -> name of its USDC pair
        self._names: dict[int, str] = {}
        self._mids: dict[str, float] = {}
        self._told_ns: EngineNs | None = None
        self.max_age_s = 180.0

    def learn_pairs(
        self, pairs: Mapping[int, str], names: Mapping[int, str] = MappingProxyType({})
    ) -> None:
        """Which spot pair prices which token in USDC, and what the tokens are called."""
        self._pairs, self._names = dict(pairs), dict(names)

    def name(self, token: int) -> str:
        """What a token is called; by its number where that was not told."""
        return self._names.get(token, f"token {token}")

    @property
    def pairs_known(self) -> bool:
        """Whether ``spotMeta`` was read."""
        return bool(self._pairs)

    def learn_mids(self, mids: Mapping[str, float], now: EngineNs) -> None:
        """Keep the mids of the pairs that matter."""
        wanted = set(self._pairs.values())
        self._mids = {name: price for name, price in mids.items() if name in wanted}
        self._told_ns = now

    def market(self, token: int | None) -> str | None:
        """The pair that prices a token."""
        return None if token is None else self._pairs.get(token)

    def price(self, token: int | None, now: EngineNs | None) -> float | None:
        """USD per token; None when never told, not positive, or older than ``max_age_s``."""
        pair = self.market(token)
        if pair is None or self._told_ns is None:
            return None
        if now is not None and now - self._told_ns > self.max_age_s * SECOND_NS:
            return None
        price = self._mids.get(pair)
        return price if price is not None and price > 0.0 else None


class Knowledge:
    """Everything one venue object knows, shared by its polls and streams."""

    def __init__(self, settings: HyperliquidSettings) -> None:
        self.settings = settings
        self.markets = Markets()
        self.watchlist = Watchlist()
        self.send_budget = SendBudget()
        self.prices = SpotPrices()
        self.accounts: list[Account] = [
            Account(entry.alias, entry.address) for entry in settings.accounts
        ]
        self.discovered: dict[str, Discovered] = {}
        self._dexes_asked_for = {FIRST_DEX}
        if settings.dexes != "auto":
            self._dexes_asked_for.update(settings.dexes)
        self.reference_prices: dict[str, float] = {}  # marks, to choose book aggregations by
        self.open_interest_usd: dict[str, float] = {}  # as last listed
        self.subscriptions = 0  # open over all connections

    def account_named(self, alias: str) -> Account | None:
        """The watched account of that alias."""
        return next((account for account in self.accounts if account.alias == alias), None)

    def alias_of(self, address: str) -> str | None:
        """The alias of a watched address, None for a stranger's."""
        lower = address.lower()
        return next((known.alias for known in self.accounts if known.address == lower), None)

    def collateral_tokens(self) -> tuple[int, ...]:
        """Tokens that margin a followed dex."""
        return tuple({self.markets.collateral_token(dex) for dex in self.followed})

    def learn_positions(self, events: Iterable[Event]) -> None:
        """Watch every market that a report shows to be held."""
        for event in events:
            if isinstance(event, PositionsReported):
                self.watchlist.add([position.market for position in event.positions])

    def leaders(self) -> tuple[str, ...]:
        """The markets whose history is worth reading: the watched ones first, a builder's among
        them where the desk holds it, for its own caps wait for them; then by open interest."""
        interest = self.open_interest_usd
        largest = sorted(interest, key=lambda coin: -interest[coin])[:LEADERS]
        watched = [coin for coin in self.watchlist.coins() if coin in self.markets]
        return tuple(dict.fromkeys([*watched, *largest]))

    @property
    def followed(self) -> set[str]:
        """Dexes whose markets are followed: those asked for and those that any account uses."""
        return self._dexes_asked_for.union(*(account.dexes for account in self.accounts))


def poll_name(what: str, key: str = "") -> str:
    """``hyperliquid/positions/main``: the poll's name, which streams name to have it run."""
    return f"{VENUE}/{what}/{key}" if key else f"{VENUE}/{what}"
