"""One account's socket. One each, because ``userEvents`` and ``orderUpdates`` name no address.

Those two never replay: once every subscription stands, the account is re-read over REST. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import ChannelProgressed, Event
from monitor.core.ports import NOTHING, Output, Refresh
from monitor.core.types import EngineNs
from monitor.venues.hyperliquid.decoders import account_wire
from monitor.venues.hyperliquid.decoders.explain import UNREADABLE_JSON
from monitor.venues.hyperliquid.decoders.user import Handler, UserDecoder
from monitor.venues.hyperliquid.knowledge import Account, Knowledge, poll_name
from monitor.venues.hyperliquid.markets import FIRST_DEX
from monitor.venues.hyperliquid.settings import VENUE
from monitor.venues.hyperliquid.stream import Connection, FrameHandler
from monitor.venues.hyperliquid.subscriptions import Subscription

_STATES = "allDexsClearinghouseState"
_STATES_BEGIN = b'{"channel":"allDexsClearinghouseState",'
_states_frame = msgspec.json.Decoder(account_wire.StatesFrame, strict=False).decode
_FEEDS = (
    _STATES,
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


class _Dexed(msgspec.Struct):
    """Which of several like subscriptions a frame is of."""

    dex: str = ""


_dexed = msgspec.json.Decoder(_Dexed).decode


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
        self.handlers["openOrders"] = self._orders

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

    def received(self, frame: bytes, now: EngineNs) -> Output:
        """One frame. The account's whole state comes most often and is the longest, so what looks
        like it is first read in one go; two stages judge everything that does not fit."""
        if frame.startswith(_STATES_BEGIN):
            try:
                hot = _states_frame(frame)
                if hot.channel == _STATES:
                    told = self._told(_STATES, self._decoder.pushed_states(hot.data, now), now)
                    self._frames += 1
                    return told
            except (DecodeError, *UNREADABLE_JSON):
                pass  # said below, with the place and the value
        return super().received(frame, now)

    def _wrap(self, feed: str, handler: Handler) -> FrameHandler:
        def handle(data: msgspec.Raw, now: EngineNs) -> Output:
            return self._told(feed, handler(data, now), now)

        return handle

    def _orders(self, data: msgspec.Raw, now: EngineNs) -> Output:
        events = self._decoder.orders(data, now)
        return self._told("openOrders", events, now, _dexed(data).dex)

    def _told(self, feed: str, events: tuple[Event, ...], now: EngineNs, dex: str = "") -> Output:
        self.knowledge.learn_positions(events)
        channel = self.channels.get((feed, "", self._account.address, dex))
        if channel is not None:
            if more := self.spoke(channel, now):
                events = (*more, *events)
            elif not events and channel.learned is not None:
                # Nothing to tell (the spot state of an account that is not pooled), yet alive.
                events = (ChannelProgressed(venue=VENUE, channel=channel.name),)
        wants = self._decoder.wants
        if not wants:
            return Output(events) if events else NOTHING
        refresh = tuple(Refresh(poll_name(what, self._account.alias)) for what in sorted(wants))
        wants.clear()
        return Output(events, refresh=refresh)
