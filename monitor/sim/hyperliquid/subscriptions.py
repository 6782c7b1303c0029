"""What can be subscribed to on the simulated Hyperliquid, and how a request for it is judged.

Three kinds of refusal, as on the real venue: a request that cannot be read gets a parse error, some
invalid ones get a text, and a coin (or book aggregation) that does not exist gets nothing at all:
the connection is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitor.sim.hyperliquid.market_views import INTERVALS_S, SPOT_COINS, venue_of
from monitor.sim.hyperliquid.wire import Json, JsonObject, encode, is_address
from monitor.sim.world import World

MARKET_KINDS = frozenset({"l2Book", "bbo", "trades", "candle", "activeAssetCtx"})
USER_KINDS = frozenset(
    {
        "notification", "webData2", "webData3", "orderUpdates", "userEvents", "userFills",
        "userFundings", "userNonFundingLedgerUpdates", "clearinghouseState",
        "allDexsClearinghouseState", "openOrders", "spotState", "activeAssetData",
        "userTwapSliceFills", "userTwapHistory", "twapStates",
    },
)  # fmt: skip
OTHER_KINDS = frozenset({"allMids", "allDexsAssetCtxs", "fastAssetCtxs", "explorerBlock"})
CHANNEL_OF = {"userEvents": "user"}


class UnreadableError(Exception):
    """Answered with the parse error text, which repeats the whole frame."""


class InvalidSubscriptionError(Exception):
    """Answered with a text that starts ``Invalid subscription``."""


class DropConnectionError(Exception):
    """Answered with nothing: the connection is cut."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One accepted subscription. ``echo`` is what the server says back, its defaults filled in;
    ``key`` names it on this connection."""

    kind: str
    key: str
    echo: JsonObject
    coin: str = ""
    user: str = ""
    dex: str = ""
    interval: str = ""
    figures: int | None = None
    mantissa: int | None = None
    fast: bool = False

    @property
    def channel(self) -> str:
        """The channel its frames carry."""
        if self.kind == "activeAssetCtx" and self.coin in SPOT_COINS:
            return "activeSpotAssetCtx"
        return CHANNEL_OF.get(self.kind, self.kind)

    @property
    def subject(self) -> str:
        """What a fault may name as its market: the coin, or the user."""
        return self.coin or self.user


def parse_subscription(world: World, raw: Json) -> Subscription:
    """Judge the ``subscription`` object of a frame.

    Raises:
        UnreadableError: If a field is missing, has the wrong type, or the type is unknown.
        InvalidSubscriptionError: If it names an interval or dex that does not exist.
        DropConnectionError: If it names a coin or an aggregation that does not exist.
    """
    if not isinstance(raw, dict):
        raise UnreadableError
    kind = raw.get("type")
    if not isinstance(kind, str) or kind not in MARKET_KINDS | USER_KINDS | OTHER_KINDS:
        raise UnreadableError
    echo: JsonObject = {"type": kind}
    coin = user = dex = interval = ""
    if kind in USER_KINDS:
        user = _user(raw)
        echo["user"] = user
    if kind in MARKET_KINDS or kind == "activeAssetData":
        coin = _text(raw, "coin")
        echo["coin"] = coin
    if kind == "candle":
        interval = _text(raw, "interval")
        echo["interval"] = interval
        if interval not in INTERVALS_S:
            raise InvalidSubscriptionError(encode(raw))
    if kind in {"allMids", "clearinghouseState", "openOrders", "twapStates"}:
        dex = _dex(world, raw)
        echo["dex"] = dex or None
    if kind == "userFills":
        echo["aggregateByTime"] = raw.get("aggregateByTime") is True
    figures, mantissa, fast = _aggregation(raw, echo) if kind == "l2Book" else (None, None, False)
    if coin and not _listed(world, kind, coin):
        raise DropConnectionError
    return Subscription(
        kind, encode(echo), echo, coin, user, dex, interval, figures, mantissa, fast
    )


def _listed(world: World, kind: str, coin: str) -> bool:
    if coin in venue_of(world).markets:
        return True
    return kind == "activeAssetCtx" and coin in SPOT_COINS


def _aggregation(raw: JsonObject, echo: JsonObject) -> tuple[int | None, int | None, bool]:
    figures, mantissa = raw.get("nSigFigs"), raw.get("mantissa")
    fast = raw.get("fast") is True
    for value in (figures, mantissa):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise UnreadableError
    whole = figures if isinstance(figures, int) else None
    part = mantissa if isinstance(mantissa, int) else None
    if whole is not None and whole not in range(2, 6):
        raise DropConnectionError
    if part is not None and (whole != 5 or part not in {1, 2, 5}):
        raise DropConnectionError
    echo.update(nSigFigs=whole, mantissa=part, fast=fast)
    return whole, part, fast


def _user(raw: JsonObject) -> str:
    user = raw.get("user")
    if not is_address(user):
        raise UnreadableError
    return str(user).lower()


def _text(raw: JsonObject, key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        raise UnreadableError
    return value


def _dex(world: World, raw: JsonObject) -> str:
    dex = raw.get("dex")
    if dex is None:
        return ""
    if not isinstance(dex, str):
        raise UnreadableError
    if dex not in venue_of(world).dexes():
        raise InvalidSubscriptionError(encode(raw))
    return dex
