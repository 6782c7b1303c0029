"""``POST /info`` of the simulated Hyperliquid: which request gets which answer, and which error.

The error table is the measured one: 422 for a request the server cannot read, 500 with ``null`` for
an unknown dex or an unknown coin's funding history, 200 with ``null`` for an unknown book.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from monitor.sim.faults import FaultKind
from monitor.sim.hyperliquid import account_views as accounts
from monitor.sim.hyperliquid import history_views as history
from monitor.sim.hyperliquid import market_views as markets
from monitor.sim.hyperliquid import profile_views as profiles
from monitor.sim.hyperliquid import twap_views as twaps
from monitor.sim.hyperliquid.limits import weight_of
from monitor.sim.hyperliquid.wire import Json, JsonObject, is_address, ms
from monitor.sim.markets import SimMarket
from monitor.sim.world import World

UNREADABLE = "Failed to deserialize the JSON body into the target type"
NOT_JSON = "Failed to parse the request body as JSON"
WRONG_TYPE = "Expected request with `Content-Type: application/json`"
# What tells of an account's orders and positions.
ACCOUNT_READS = frozenset(
    {
        "clearinghouseState", "openOrders", "frontendOpenOrders", "orderStatus",
        "historicalOrders", "userFills", "userFillsByTime", "twapHistory",
    },
)  # fmt: skip
FILLS_MAX = 2_000
FILLS_REACHABLE = 10_000
FAR_FUTURE_MS = 2**53


class BadRequestError(Exception):
    """422: a field is missing or has the wrong form, or the type is unknown."""


class UnknownNameError(Exception):
    """500 with ``null``: a dex or coin that does not exist."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; ``json`` tells ``application/json`` from ``text/plain``."""

    status: int
    body: bytes
    json: bool = True
    weight: float = 0.0


def answer(world: World, body: bytes) -> Answer:
    """The answer to one request body, with what it costs of the caller's budget."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Answer(400, NOT_JSON.encode(), json=False, weight=20.0)
    kind = request.get("type") if isinstance(request, dict) else None
    if not isinstance(kind, str) or kind not in HANDLERS:
        return Answer(422, UNREADABLE.encode(), json=False, weight=20.0)
    try:
        result = HANDLERS[kind](world, request)
    except BadRequestError:
        return Answer(422, UNREADABLE.encode(), json=False, weight=weight_of(kind, 0))
    except UnknownNameError:
        return Answer(500, b"null", weight=weight_of(kind, 0))
    rows = len(result) if isinstance(result, list) else 0
    return Answer(200, orjson.dumps(result), weight=weight_of(kind, rows))


def kind_of(body: bytes) -> str:
    """The type that a request names; empty where it names none."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    kind = request.get("type") if isinstance(request, dict) else None
    return kind if isinstance(kind, str) else ""


def reply(world: World, request: JsonObject) -> Json:
    """The payload of an ``info`` request that came over the socket.

    Raises:
        BadRequestError: If the request cannot be read.
        UnknownNameError: If it names something that does not exist.
    """
    kind = request.get("type")
    if not isinstance(kind, str) or kind not in HANDLERS:
        raise BadRequestError
    return HANDLERS[kind](world, request)


# ------------------------------------------------------------------------------------- arguments


def _user(request: JsonObject) -> str:
    user = request.get("user")
    if not is_address(user):
        raise BadRequestError
    return str(user).lower()


def _dex(world: World, request: JsonObject) -> str:
    dex = request.get("dex")
    if dex is None:
        return ""
    if not isinstance(dex, str):
        raise BadRequestError
    if dex not in markets.venue_of(world).dexes():
        raise UnknownNameError
    return dex


def _whole(request: JsonObject, key: str, default: int | None = None) -> int:
    value = request.get(key)
    if value is None:
        if default is None:
            raise BadRequestError
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequestError
    return value


def _coin(world: World, request: JsonObject) -> SimMarket | None:
    coin = request.get("coin")
    if not isinstance(coin, str):
        raise BadRequestError
    return markets.venue_of(world).markets.get(coin)


def _range(request: JsonObject, *, start_optional: bool = False) -> tuple[int, int]:
    start = _whole(request, "startTime", 0 if start_optional else None)
    return start, _whole(request, "endTime", FAR_FUTURE_MS)


# -------------------------------------------------------------------------------------- handlers


def _l2_book(world: World, request: JsonObject) -> Json:
    market = _coin(world, request)
    figures, mantissa = request.get("nSigFigs"), request.get("mantissa")
    if figures is not None and (not isinstance(figures, int) or figures not in range(2, 6)):
        raise BadRequestError
    if mantissa is not None and (not isinstance(mantissa, int) or mantissa not in {1, 2, 5}):
        raise BadRequestError
    if mantissa is not None and figures != 5:
        raise BadRequestError
    return None if market is None else markets.l2_book(world, market, figures, mantissa)


def _funding_history(world: World, request: JsonObject) -> Json:
    market = _coin(world, request)
    start, end = _range(request)
    if market is None:
        raise UnknownNameError
    return markets.funding_history(market, start, end)


def _candles(world: World, request: JsonObject) -> Json:
    inner = request.get("req")
    if not isinstance(inner, dict):
        raise BadRequestError
    interval = inner.get("interval")
    if not isinstance(interval, str) or interval not in markets.INTERVALS_S:
        raise BadRequestError
    market = _coin(world, inner)
    start, end = _range(inner)
    if market is None:
        raise UnknownNameError
    return markets.candles(market, interval, start, end)[-5_000:]


def _recent_trades(world: World, request: JsonObject) -> Json:
    market = _coin(world, request)
    if market is None:
        raise UnknownNameError
    return markets.recent_trades(market)


def _margin_table(world: World, request: JsonObject) -> Json:
    _dex(world, request)
    table = markets.margin_table(world, _whole(request, "id"))
    if table is None:
        raise UnknownNameError
    return table


def _user_fills(world: World, request: JsonObject) -> Json:
    rows = history.fills(world, _user(request))[-FILLS_MAX:]
    return [history.fill_view(fill) for fill in reversed(rows)]


def _user_fills_by_time(world: World, request: JsonObject) -> Json:
    user = _user(request)
    start, end = _range(request)
    rows = history.fills(world, user)[-FILLS_REACHABLE:]
    within = [fill for fill in rows if start <= ms(fill.time_s) <= end]
    return [history.fill_view(fill) for fill in within[:FILLS_MAX]]


def _order_status(world: World, request: JsonObject) -> Json:
    oid = request.get("oid")
    if isinstance(oid, bool) or not isinstance(oid, int | str):
        raise BadRequestError
    return history.order_status(world, _user(request), oid)


def _active_asset_data(world: World, request: JsonObject) -> Json:
    market = _coin(world, request)
    if market is None:
        raise UnknownNameError
    return profiles.active_asset_data(world, _user(request), market)


def _web_data2(world: World, request: JsonObject) -> Json:
    return profiles.web_data2(world, _user(request))


def _exchange_status(world: World, _: JsonObject) -> Json:
    venue = markets.venue_of(world)
    # The time of the newest block, of which there are fifteen a second while the chain runs.
    at_s = venue.block_time_s if venue.halted else max(world.wall_s, venue.block_time_s)
    return {"specialStatuses": None, "time": round((at_s + markets.clock_offset_s(world)) * 1_000)}


def _spot_contexts(world: World, _: JsonObject) -> Json:
    contexts: list[Json] = [
        markets.spot_context(world, name) for name, _index, _base in markets.SPOT_PAIRS
    ]
    return [markets.spot_meta(), contexts]


def _all_perp_metas(world: World, _: JsonObject) -> Json:
    return [markets.meta(world, dex) for dex in markets.venue_of(world).dexes()]


def _meta_and_contexts(world: World, request: JsonObject) -> Json:
    dex = _dex(world, request)
    return [markets.meta(world, dex), markets.contexts(world, dex)]


def _at_cap(world: World, request: JsonObject) -> Json:
    listed = markets.venue_of(world).markets_of(_dex(world, request))
    return [
        market.symbol
        for market in listed
        if world.faults.holds(FaultKind.INTEREST_CAPPED, "hyperliquid", market=market.symbol)
    ]


def _open_orders(world: World, request: JsonObject) -> Json:
    return history.open_orders(world, _user(request), _dex(world, request), history.order_basic)


def _frontend_orders(world: World, request: JsonObject) -> Json:
    return history.open_orders(world, _user(request), _dex(world, request), history.order_full)


def _user_funding(world: World, request: JsonObject) -> Json:
    return history.user_funding(world, _user(request), *_range(request, start_optional=True))


def _ledger(world: World, request: JsonObject) -> Json:
    return history.ledger(world, _user(request), *_range(request, start_optional=True))


def _dex_status(world: World, request: JsonObject) -> Json:
    _dex(world, request)
    return {"totalNetDeposit": "250000000.0"}


Handler = Callable[[World, JsonObject], Json]
HANDLERS: dict[str, Handler] = {
    # markets
    "meta": lambda w, r: markets.meta(w, _dex(w, r)),
    "metaAndAssetCtxs": _meta_and_contexts,
    "allPerpMetas": _all_perp_metas,
    "perpDexs": lambda w, _: markets.perp_dexs(w),
    "perpDexLimits": lambda w, r: markets.perp_dex_limits(w, _dex(w, r)),
    "perpDexStatus": _dex_status,
    "perpsAtOpenInterestCap": _at_cap,
    "marginTable": _margin_table,
    "l2Book": _l2_book,
    "allMids": lambda w, r: markets.all_mids(w, _dex(w, r)),
    "recentTrades": _recent_trades,
    "candleSnapshot": _candles,
    "fundingHistory": _funding_history,
    "predictedFundings": lambda w, _: markets.predicted_fundings(w),
    "spotMeta": lambda _, __: markets.spot_meta(),
    "spotMetaAndAssetCtxs": _spot_contexts,
    "exchangeStatus": _exchange_status,
    # accounts
    "clearinghouseState": lambda w, r: accounts.clearinghouse_state(w, _user(r), _dex(w, r)),
    "spotClearinghouseState": lambda w, r: accounts.spot_state(w, _user(r)),
    "openOrders": _open_orders,
    "frontendOpenOrders": _frontend_orders,
    "historicalOrders": lambda w, r: history.historical_orders(w, _user(r)),
    "orderStatus": _order_status,
    "userFills": _user_fills,
    "userFillsByTime": _user_fills_by_time,
    "userFunding": _user_funding,
    "userNonFundingLedgerUpdates": _ledger,
    "userRateLimit": lambda w, r: profiles.rate_limit(w, _user(r)),
    "userRole": lambda w, r: profiles.user_role(w, _user(r)),
    "userAbstraction": lambda w, r: profiles.abstraction(w, _user(r)),
    "subAccounts": lambda w, r: profiles.sub_accounts(w, _user(r)),
    "userVaultEquities": lambda w, r: profiles.vault_equities(w, _user(r)),
    "extraAgents": lambda w, r: profiles.extra_agents(w, _user(r)),
    "portfolio": lambda w, r: profiles.portfolio(w, _user(r)),
    "activeAssetData": _active_asset_data,
    "webData2": _web_data2,
    "twapHistory": lambda w, r: twaps.twap_history(w, _user(r)),
    "userTwapSliceFills": lambda w, r: twaps.slice_fills(w, _user(r), 0, FAR_FUTURE_MS),
    "userTwapSliceFillsByTime": lambda w, r: twaps.slice_fills(w, _user(r), *_range(r)),
}
