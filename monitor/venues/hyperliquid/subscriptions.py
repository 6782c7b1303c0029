"""Subscriptions of Hyperliquid's socket: what is sent, how an acknowledgement is recognised.

The server echoes a subscription with its defaults filled in, so an echo is matched by subset. One
subscription per message; one bad coin drops the whole connection without a word. *Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.types import channel_id
from monitor.venues.hyperliquid.decoders.wire import SubscriptionEcho
from monitor.venues.hyperliquid.markets import Aggregation
from monitor.venues.hyperliquid.settings import VENUE

# Measured 2026-09; a feed not listed speaks only on change (or at a cadence nobody measured) and
# is proven alive by its socket's pongs.
CADENCE_S = {
    "activeAssetCtx": 1.0,
    "l2Book": 5.4,
    "allDexsAssetCtxs": 13.6,
    "allMids": 5.05,
}
# Tell the whole state at each push, at a cadence that nobody measured: it is learned from their own
# frames, since a pong would vouch for a dead one for ever.
FULL_STATE = frozenset({"allDexsClearinghouseState", "openOrders", "spotState"})
PING = b'{"method":"ping"}'
Key = tuple[str, str, str, str]


class Subscription(msgspec.Struct, frozen=True):
    """One subscription; ``key`` is the last part of its channel (coin, or account alias)."""

    feed: str
    key: str = ""
    coin: str = ""
    user: str = ""
    dex: str = ""
    aggregation: Aggregation = Aggregation()

    @property
    def channel(self) -> str:
        """``hyperliquid/bbo/BTC``."""
        return channel_id(VENUE, self.feed, self.key)

    @property
    def cadence_s(self) -> float | None:
        """How often it speaks while nothing is wrong; None: only on change."""
        return CADENCE_S.get(self.feed)

    @property
    def full_state(self) -> bool:
        """Whether each push tells all there is, and a new subscription does so at once."""
        return self.feed in FULL_STATE

    @property
    def name(self) -> str:
        """What to call it in a reason: ``bbo BTC``; never an address."""
        return f"{self.feed} {self.key}".rstrip()

    @property
    def index(self) -> Key:
        """What tells two subscriptions apart on the wire."""
        return self.feed, self.coin, self.user, self.dex

    def wire(self) -> SubscriptionEcho:
        """The subscription object; the first dex is named by leaving ``dex`` out."""
        fields: SubscriptionEcho = {"type": self.feed}
        if self.coin:
            fields["coin"] = self.coin
        if self.user:
            fields["user"] = self.user
        if self.dex:
            fields["dex"] = self.dex
        if self.aggregation.significant_figures is not None:
            fields["nSigFigs"] = self.aggregation.significant_figures
        if self.aggregation.mantissa is not None:
            fields["mantissa"] = self.aggregation.mantissa
        return fields

    def message(self, method: str = "subscribe") -> bytes:
        """The frame to send."""
        return msgspec.json.encode({"method": method, "subscription": self.wire()})

    def matches(self, echo: SubscriptionEcho) -> bool:
        """Whether an echo is of this subscription: ours is a subset of it."""
        return all(_same(echo.get(name), value) for name, value in self.wire().items())


def _same(echoed: object, ours: object) -> bool:
    if isinstance(echoed, str) and isinstance(ours, str):
        return echoed == ours or echoed.lower() == ours  # addresses come back in lower case
    return echoed == ours


def echo_index(echo: SubscriptionEcho) -> Key:
    """The ``index`` of the subscription that an echo is of."""
    return (
        str(echo.get("type") or ""),
        str(echo.get("coin") or ""),
        str(echo.get("user") or "").lower(),
        str(echo.get("dex") or ""),
    )
