"""Which frames a Hyperliquid subscription gets: its first one, its periodic ones, and on events.

Cadence as measured on the real venue (September 2026), in simulated seconds; the user channels'
was never measured and is chosen here. Functions of the world and a small state per subscription.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson

from monitor.core.types import FillKind
from monitor.sim.hyperliquid import account_views as accounts
from monitor.sim.hyperliquid import history_views as history
from monitor.sim.hyperliquid import market_views as markets
from monitor.sim.hyperliquid import profile_views as profiles
from monitor.sim.hyperliquid import twap_views as twaps
from monitor.sim.hyperliquid.market_views import SPOT_COINS, venue_of
from monitor.sim.hyperliquid.subscriptions import Subscription
from monitor.sim.hyperliquid.wire import Json, JsonObject, encode, frame, number
from monitor.sim.occurrences import (
    Filled,
    FundingPaid,
    Liquidated,
    OrderChanged,
    PositionChanged,
    Transferred,
    TwapChanged,
    WorldEvent,
)
from monitor.sim.world import World

BOOK_PERIOD_S = 5.36  # one clock for all default books of a connection
FAST_BOOK_PERIOD_S = 0.54
PERIOD_S = {
    "activeAssetCtx": 1.01,
    "fastAssetCtxs": 1.0,
    "allMids": 5.05,
    "allDexsAssetCtxs": 13.6,
    "candle": 1.0,
    "clearinghouseState": 5.0,
    "allDexsClearinghouseState": 5.0,
    "openOrders": 5.0,
    "spotState": 5.0,
    "webData2": 5.0,
    "webData3": 5.0,
    "activeAssetData": 5.0,
    "twapStates": 5.0,
}
TRADES_BEFORE_S = 20.0
SNAPSHOT_ROWS = 2_000
# Changes that make a full-state user channel speak before its period is over.
CHANGES = (
    Filled, FundingPaid, Liquidated, OrderChanged, PositionChanged, Transferred, TwapChanged,
)  # fmt: skip
# The field that holds the rows of a channel that has rows.
ROWS_OF = {
    "userFills": "fills",
    "userFundings": "fundings",
    "userNonFundingLedgerUpdates": "nonFundingLedgerUpdates",
    "userTwapSliceFills": "twapSliceFills",
    "userTwapHistory": "history",
}
NOT_BY_THE_USER = frozenset(
    {"liquidatedCanceled", "reduceOnlyCanceled", "siblingFilledCanceled", "scheduledCancel"}
)
LIQUIDATOR = "0x51a00000000000000000000000000000000000e1"


@dataclass(slots=True)
class Feed:
    """One subscription of one connection and how far it has been served."""

    subscription: Subscription
    due_s: float = float("inf")
    last_trade_id: int = 0
    last_top: Json = None
    last_fast: dict[str, Json] = field(default_factory=dict)


def first_frames(world: World, feed: Feed) -> list[str]:
    """What follows the acknowledgement at once."""
    sub = feed.subscription
    if sub.kind in PERIOD_S:
        feed.due_s = world.now_s + PERIOD_S[sub.kind]
    if sub.kind == "explorerBlock":
        return ["[]"]
    if sub.kind == "trades":
        return _trades(world, feed, since_s=world.now_s - TRADES_BEFORE_S)
    if sub.kind == "bbo":
        return _bbo(world, feed)
    return [frame(sub.channel, data) for data in _snapshot(world, feed)]


def _snapshot(world: World, feed: Feed) -> list[Json]:
    sub = feed.subscription
    if sub.kind == "userFills":
        rows = history.fills(world, sub.user)[-SNAPSHOT_ROWS:]
        shown: list[Json] = [history.fill_view(fill) for fill in reversed(rows)]
        return [{"user": sub.user, "isSnapshot": True, "fills": shown}]
    if sub.kind == "userFundings":
        paid = history.fundings(world, sub.user)[-SNAPSHOT_ROWS:]
        listed: list[Json] = [history.funding_view(row) for row in reversed(paid)]
        return [{"user": sub.user, "isSnapshot": True, "fundings": listed}]
    if sub.kind == "userNonFundingLedgerUpdates":
        moved: list[Json] = [
            history.ledger_view(world, sub.user, pool, row)
            for pool, row in history.transfers(world, sub.user)[-SNAPSHOT_ROWS:]
        ]
        return [{"user": sub.user, "isSnapshot": True, "nonFundingLedgerUpdates": moved}]
    if sub.kind == "userTwapSliceFills":
        slices = twaps.slice_fills(world, sub.user, 0, 2**53)
        return [{"user": sub.user, "isSnapshot": True, "twapSliceFills": slices}]
    if sub.kind == "userTwapHistory":
        past = twaps.twap_history(world, sub.user)
        return [{"user": sub.user, "isSnapshot": True, "history": past}]
    state = _state(world, feed)
    return [] if state is None else [state]


def due_frames(world: World, feed: Feed) -> list[str]:
    """Frames that are due by the clock, or because prices or the tape moved."""
    sub = feed.subscription
    if sub.kind == "trades":
        return _trades(world, feed, since_s=0.0)
    if sub.kind == "bbo":
        return _bbo(world, feed)
    if world.now_s < feed.due_s:
        return []
    # After a leap in time one frame stands for all that were missed.
    feed.due_s = max(feed.due_s + PERIOD_S[sub.kind], world.now_s)
    state = _state(world, feed)
    return [] if state is None else [frame(sub.channel, state)]


def book_frame(world: World, sub: Subscription) -> str:
    """A whole book, pushed on the connection's book clock."""
    market = venue_of(world).markets[sub.coin]
    if sub.fast:
        return frame(sub.channel, markets.fast_book(world, market))
    return frame(sub.channel, markets.l2_book(world, market, sub.figures, sub.mantissa))


def _state(world: World, feed: Feed) -> Json:
    """The full present state a subscription shows; None for one that has none."""
    sub = feed.subscription
    if sub.kind == "activeAssetCtx":
        if sub.coin in SPOT_COINS:
            return {"coin": sub.coin, "ctx": markets.spot_context(world, sub.coin)}
        return {"coin": sub.coin, "ctx": markets.context(venue_of(world).markets[sub.coin])}
    if sub.kind == "candle":
        return markets.open_candle(venue_of(world).markets[sub.coin], sub.interval)
    if sub.kind == "l2Book":
        return None
    if sub.kind == "fastAssetCtxs":
        return _fast_contexts(world, feed)
    if sub.kind in {"allMids", "allDexsAssetCtxs"}:
        return _all_markets(world, sub)
    return _account_state(world, sub)


def _all_markets(world: World, sub: Subscription) -> Json:
    if sub.kind == "allDexsAssetCtxs":
        dexes = venue_of(world).dexes()
        return {"ctxs": [[dex, markets.contexts(world, dex)] for dex in dexes]}
    body: JsonObject = {"mids": markets.all_mids(world, sub.dex)}
    if sub.dex:
        body["dex"] = sub.dex
    return body


def _account_state(world: World, sub: Subscription) -> Json:
    user = sub.user
    if sub.kind == "clearinghouseState":
        state = accounts.clearinghouse_state(world, user, sub.dex)
        return {"dex": sub.dex, "user": user, "clearinghouseState": state}
    if sub.kind == "allDexsClearinghouseState":
        states: list[Json] = [
            [dex, accounts.clearinghouse_state(world, user, dex)] for dex in venue_of(world).dexes()
        ]
        return {"user": user, "clearinghouseStates": states}
    if sub.kind == "openOrders":
        orders = history.open_orders(world, user, sub.dex, history.order_full)
        return {"dex": sub.dex, "user": user, "orders": orders}
    if sub.kind == "twapStates":
        running = twaps.running_twaps(world, user, sub.dex)
        return {"dex": sub.dex, "user": user, "states": running}
    if sub.kind == "spotState":
        return {"user": user, "spotState": accounts.spot_state(world, user)}
    if sub.kind == "activeAssetData":
        return profiles.active_asset_data(world, user, venue_of(world).markets[sub.coin])
    if sub.kind == "webData2":
        return profiles.web_data2(world, user)
    if sub.kind == "webData3":
        return profiles.web_data3(world, user)
    # userEvents, orderUpdates, notification: what happened before the subscription (or during a
    # disconnect) is never told.
    return None


def _fast_contexts(world: World, feed: Feed) -> Json:
    prices: dict[str, Json] = {}
    for market in venue_of(world).markets.values():
        mid = market.mid_price
        prices[market.symbol] = {
            "markPx": number(market.mark_price),
            "midPx": None if mid is None else number(mid),
        }
    changed = {coin: row for coin, row in prices.items() if feed.last_fast.get(coin) != row}
    feed.last_fast = prices
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(orjson.dumps(changed)) + packer.flush()
    return base64.b64encode(packed).decode()


def _trades(world: World, feed: Feed, *, since_s: float) -> list[str]:
    market = venue_of(world).markets[feed.subscription.coin]
    rows = [
        row for row in market.trades if row.trade_id > feed.last_trade_id and row.time_s >= since_s
    ]
    if not rows:
        return []
    feed.last_trade_id = rows[-1].trade_id
    return [frame("trades", [markets.trade(market, row) for row in rows])]


def _bbo(world: World, feed: Feed) -> list[str]:
    body = markets.bbo(world, venue_of(world).markets[feed.subscription.coin])
    if body["bbo"] == feed.last_top:
        return []
    feed.last_top = body["bbo"]
    return [frame("bbo", body)]


# ---------------------------------------------------------------------------------------- events


def event_frames(world: World, feed: Feed, events: Sequence[WorldEvent]) -> list[str]:
    """Frames of a user subscription because of what happened to that user."""
    sub = feed.subscription
    mine = [event for event in events if isinstance(event, CHANGES) and event.address == sub.user]
    if not mine:
        return []
    if sub.kind in PERIOD_S:
        if sub.kind != "activeAssetData":
            feed.due_s = world.now_s  # served with what is due
        return []
    if sub.kind == "userEvents":
        return _user_events(mine)
    if sub.kind == "notification":
        return [
            frame(sub.channel, {"notification": _resting_fill_text(event)})
            for event in mine
            if isinstance(event, Filled) and not event.fill.taker
        ]
    rows = _rows(world, sub, mine)
    if not rows:
        return []
    if sub.kind == "orderUpdates":
        return [frame(sub.channel, rows)]
    return [frame(sub.channel, {"user": sub.user, ROWS_OF[sub.kind]: rows})]


def _rows(world: World, sub: Subscription, events: Sequence[WorldEvent]) -> list[Json]:
    """What a channel of rows says about ``events``."""
    if sub.kind == "userFills":
        return _fills(events)
    if sub.kind == "userTwapSliceFills":
        return _slices(events)
    if sub.kind == "userTwapHistory":
        return _twap_changes(events)
    if sub.kind == "orderUpdates":
        return [history.order_update(e.order) for e in events if isinstance(e, OrderChanged)]
    if sub.kind == "userFundings":
        return [history.funding_view(e.payment) for e in events if isinstance(e, FundingPaid)]
    return [
        history.ledger_view(world, sub.user, accounts.pool_of(world, sub.user, e.pool), e.transfer)
        for e in events
        if isinstance(e, Transferred)
    ]


def _fills(events: Iterable[WorldEvent]) -> list[Json]:
    return [history.fill_view(event.fill) for event in events if isinstance(event, Filled)]


def _slices(events: Iterable[WorldEvent]) -> list[Json]:
    return [
        {"fill": history.fill_view(event.fill), "twapId": event.fill.twap_id}
        for event in events
        if isinstance(event, Filled) and event.fill.twap_id is not None
    ]


def _twap_changes(events: Iterable[WorldEvent]) -> list[Json]:
    return [
        twaps.history_row(event.address, event.twap)
        for event in events
        if isinstance(event, TwapChanged)
    ]


def _user_events(events: Sequence[WorldEvent]) -> list[str]:
    """Each frame holds exactly one kind of thing, and no user address."""
    frames: list[str] = []
    fills = _fills(events)
    if fills:
        frames.append(frame("user", {"fills": fills}))
    for event in events:
        if isinstance(event, FundingPaid):
            frames.append(frame("user", {"funding": history.funding_view(event.payment)}))
        elif isinstance(event, Liquidated):
            body: JsonObject = {
                "lid": event.liquidation_id,
                "liquidator": LIQUIDATOR,
                "liquidated_user": event.address,
                "liquidated_ntl_pos": number(event.notional_usd),
                "liquidated_account_value": number(event.equity_usd),
            }
            frames.append(frame("user", {"liquidation": body}))
    for name, rows in (("twapSliceFills", _slices(events)), ("twapHistory", _twap_changes(events))):
        if rows:
            frames.append(frame("user", {name: rows}))
    cancels: list[Json] = [
        {"coin": event.order.symbol, "oid": event.order.order_id}
        for event in events
        if isinstance(event, OrderChanged) and event.order.status in NOT_BY_THE_USER
    ]
    if cancels:
        frames.append(frame("user", {"nonUserCancel": cancels}))
    return frames


def _resting_fill_text(event: Filled) -> str:
    fill = event.fill
    verb = "Bought" if fill.side == "buy" else "Sold"
    if fill.kind is FillKind.LIQUIDATION:
        return f"Liquidated: {verb} {fill.size:f} {fill.symbol} at ${fill.price:f}"
    return f"Resting order filled: {verb} {fill.size:f} {fill.symbol} at ${fill.price:f}"


def post_reply(request_id: int, kind: str, payload: Json) -> str:
    """One answer on channel ``post``."""
    return frame("post", {"id": request_id, "response": {"type": kind, "payload": payload}})


def acknowledgement(method: str, echo: JsonObject) -> str:
    """The answer to a subscribe or unsubscribe that was accepted."""
    return frame("subscriptionResponse", {"method": method, "subscription": echo})


def error(text: str) -> str:
    """One frame on channel ``error``."""
    return frame("error", text)


PONG = encode({"channel": "pong"})
