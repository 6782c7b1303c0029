"""What the money of a dex is counted in: builders' dexes are margined in tokens of their choice.

A market's price is in dollars whatever margins it: profits and collateral are in the token. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from monitor.core.events import AccountModeSeen, CollateralBalance, CollateralReported, Event
from monitor.core.types import AccountMode, EngineNs
from monitor.venues.hyperliquid.decoders import account_wire
from monitor.venues.hyperliquid.decoders.wire import money
from monitor.venues.hyperliquid.knowledge import Account, SpotPrices, mode_event
from monitor.venues.hyperliquid.markets import FIRST_DEX, USDC_TOKEN, Markets
from monitor.venues.hyperliquid.settings import VENUE


class Unit(NamedTuple):
    """What the money of a dex is counted in: the token (None: not known yet), its name, the market
    that prices it and its price in USD (None where nothing does)."""

    token: int | None
    name: str
    market: str | None
    price: float | None

    def usd(self, amount: Decimal | None) -> Decimal | None:
        """An amount of it in USD."""
        if amount is None or self.price is None:
            return None
        return amount if self.price == 1.0 else amount * Decimal(repr(self.price))


USDC = Unit(USDC_TOKEN, "USDC", None, 1.0)


def unit_of(
    dex: str, markets: Markets | None, prices: SpotPrices | None, now: EngineNs | None
) -> Unit:
    """That of one dex, at the price of ``now``."""
    if dex == FIRST_DEX:
        return USDC
    token = None if markets is None else markets.unit_of(dex)
    if token == USDC_TOKEN:
        return USDC
    if token is None or prices is None:
        return Unit(token, f"the token that margins {dex}", None, None)
    return Unit(token, prices.name(token), prices.market(token), prices.price(token, now))


def unit_events(
    account: Account,
    pool: str,
    state: account_wire.ClearinghouseState,
    unit: Unit,
    source: str,
    channel: str,
) -> Iterator[Event]:
    """That a standard pool is not kept in USDC: what it holds, and whether that can be read."""
    if unit.price is None and unit.token is not None and account.mode is not AccountMode.UNREADABLE:
        account.pools_unpriced.add(pool)
        yield AccountModeSeen(
            venue=VENUE,
            channel=channel,
            account=pool,
            mode=AccountMode.UNREADABLE,
            reason=f"no price for {unit.name}, in which its money is counted",
        )
    elif unit.price is not None and pool in account.pools_unpriced:
        account.pools_unpriced.discard(pool)
        yield mode_event(account, pool, channel)
    if state.margin_summary is not None and unit.token is not None:
        amount = money(state.margin_summary.account_value, "marginSummary.accountValue")
        balance = CollateralBalance(
            token=unit.name, amount=amount, price_market=unit.market, price_usd=unit.price
        )
        yield CollateralReported(
            venue=VENUE, channel=channel, account=pool, source=source, balances=(balance,)
        )
