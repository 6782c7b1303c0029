"""One account's socket. One each, because ``userEvents`` and ``orderUpdates`` name no address.

Those two never replay: once every subscription stands, the account is re-read over REST. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from monitor.core.ports import NOTHING, Output, Refresh
from monitor.core.types import EngineNs
from monitor.venues.hyperliquid.decoders.user import Handler, UserDecoder
from monitor.venues.hyperliquid.knowledge import Account, Knowledge, poll_name
from monitor.venues.hyperliquid.markets import FIRST_DEX
from monitor.venues.hyperliquid.stream import Connection, FrameHandler
from monitor.venues.hyperliquid.subscriptions import Subscription

_FEEDS = (
    "allDexsClearinghouseState",
    "spotState",
    "userFills",
    "userFundings",
    "userNonFundingLedgerUpdates",
    "userEvents",
    "orderUpdates",
)
# What a reconnect may have missed, re-read in the order of its worth.
RECONCILED = (
    "clearinghouseState",
    "spotClearinghouseState",
    "frontendOpenOrders",
    "userFillsByTime",
    "userNonFundingLedgerUpdates",
    "userFunding",
)
# A channel is named after the subscription; userEvents frames come as "user".
_FEED_OF_FRAME = {"user": "userEvents"}


class UserStream(Connection):
    """The connection of one account."""

    def __init__(self, knowledge: Knowledge, account: Account) -> None:
        # Pings every 30 s and pongs within 10 s break the silence of an idle account.
        super().__init__(knowledge, f"user-{account.alias}", silence_s=45.0)
        self._account = account
        self._decoder = UserDecoder(account, knowledge)
        self.handlers = {
            channel: self._wrap(_FEED_OF_FRAME.get(channel, channel), handler)
            for channel, handler in self._decoder.handlers.items()
        }

    def wanted(self) -> Iterator[Subscription]:
        """Everything about the account; open orders once per used dex."""
        alias, user = self._account.alias, self._account.address
        for feed in _FEEDS:
            yield Subscription(feed, key=alias, user=user)
        for dex in self._account.ordered_dexes():
            key = alias if dex == FIRST_DEX else f"{alias}.{dex}"
            yield Subscription("openOrders", key=key, user=user, dex=dex)

    def settled(self) -> tuple[Refresh, ...]:
        """All that the channels without replay may have missed."""
        return tuple(Refresh(poll_name(what, self._account.alias)) for what in RECONCILED)

    def _wrap(self, feed: str, handler: Handler) -> FrameHandler:
        def handle(data: msgspec.Raw, now: EngineNs) -> Output:
            events = handler(data, now)
            self.knowledge.learn_positions(events)
            channel = self.channels.get((feed, "", self._account.address, ""))
            if channel is not None:
                channel.seen_ns = now
            wants = self._decoder.wants
            if not wants:
                return Output(events) if events else NOTHING
            refresh = tuple(Refresh(poll_name(what, self._account.alias)) for what in sorted(wants))
            wants.clear()
            return Output(events, refresh=refresh)

        return handle
