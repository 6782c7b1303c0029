"""The indexer's REST API over a simulated world: limits, errors, and the market side.

Every answer passes one guard: faults first (late, 500, 429), then the venue's own limit of 100
requests per 10 s, client and route group, then the route. Account routes are in ``rest.accounts``.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from monitor.core.ports import Clock
from monitor.core.types import SECOND_NS
from monitor.sim.dydx.indexer import Indexer, NotKnownError
from monitor.sim.dydx.limits import Allowance, WindowLimit
from monitor.sim.dydx.payloads import markets as payloads
from monitor.sim.dydx.payloads.text import iso
from monitor.sim.dydx.rest.query import ApiError, Query, Row, not_after, paged
from monitor.sim.dydx.session import RESOLUTIONS
from monitor.sim.faults import FaultKind, Faults
from monitor.sim.listings import DYDX

WINDOW_S = 10.0
DEFAULT_POINTS = 100
CANDLE_POINTS = 1000
# First path segment to route group; everything else shares one group.
GROUPS = {
    "orders": "orders",
    "fills": "fills",
    "candles": "candles",
    "sparklines": "sparklines",
    "historical-pnl": "historical_pnl",
    "pnl": "pnl",
    "fundingPayments": "funding",
}
SLOW_CHANGING = {"historicalFunding", "fundingPayments", "historical-pnl", "pnl", "sparklines"}
SPARKLINES = {"ONE_DAY": ("1HOUR", 24), "SEVEN_DAYS": ("4HOURS", 42)}

Route = Callable[[web.Request], Awaitable[Row | list[Row]]]


class Guard:
    """Limits, faults and error bodies around every route."""

    def __init__(self, indexer: Indexer, faults: Faults, clock: Clock) -> None:
        self._indexer = indexer
        self._faults = faults
        self._clock = clock
        self._limits = {
            group: WindowLimit(CANDLE_POINTS if group == "candles" else DEFAULT_POINTS, WINDOW_S)
            for group in {"get", *GROUPS.values()}
        }
        seed = f"{indexer.world.seed}/dydx/rest"
        self._rng = random.Random(seed)  # noqa: S311 - nature, not a secret

    def around(self, route: Route) -> Callable[[web.Request], Awaitable[web.Response]]:
        """The aiohttp handler of a route."""

        async def answer(request: web.Request) -> web.Response:
            slow = self._faults.find(FaultKind.SLOW, DYDX)
            if slow is not None:
                await self._clock.sleep(slow.delay_s)
            allowance = self._use(request)
            headers = self._headers(request, allowance)
            if self._hits(FaultKind.API_ERRORS):
                return _answer(500, _errors("Internal Server Error"), headers)
            if not allowance.allowed:
                headers["Retry-After"] = str(max(1, round(allowance.reset_in_s * 1000)))
                return _answer(429, _errors("Too many requests"), headers)
            try:
                body = await route(request)
            except ApiError as error:
                return _answer(error.status, {"errors": error.errors}, headers)
            except NotKnownError as error:
                return _answer(404, _errors(str(error)), headers)
            headers["Cache-Control"] = f"public, max-age={10 if _is_slow(request) else 1}"
            return _answer(200, body, headers)

        return answer

    def _use(self, request: web.Request) -> Allowance:
        group = GROUPS.get(_segment(request), "get")
        used = self._limits[group].use(request.remote or "", self._clock.now() / SECOND_NS)
        if self._hits(FaultKind.RATE_LIMITED):
            return used._replace(allowed=False, remaining=0)
        return used

    def _headers(self, request: web.Request, allowance: Allowance) -> dict[str, str]:
        now_ms = self._clock.now() / SECOND_NS * 1000
        return {
            "RateLimit-Limit": str(allowance.limit),
            "RateLimit-Remaining": str(allowance.remaining),
            "RateLimit-Reset": str(round(now_ms + allowance.reset_in_s * 1000)),
        }

    def _hits(self, kind: FaultKind) -> bool:
        fault = self._faults.find(kind, DYDX)
        return fault is not None and self._rng.random() < fault.ratio


class MarketRoutes:
    """Routes that need no address."""

    def __init__(self, indexer: Indexer) -> None:
        self._indexer = indexer

    def table(self) -> dict[str, Route]:
        """Path to route, relative to ``/v4``."""
        return {
            "/height": self.height,
            "/time": self.time,
            "/perpetualMarkets": self.perpetual_markets,
            "/historicalFunding/{ticker}": self.historical_funding,
            "/candles/perpetualMarkets/{ticker}": self.candles,
            "/orderbooks/perpetualMarket/{ticker}": self.orderbook,
            "/trades/perpetualMarket/{ticker}": self.trades,
            "/sparklines": self.sparklines,
        }

    async def height(self, request: web.Request) -> Row:
        """The last processed block."""
        return self._indexer.height()

    async def time(self, request: web.Request) -> Row:
        """The server's own clock, which runs on while the indexer lags."""
        now_s = self._indexer.world.wall_s
        return {"iso": iso(now_s), "epoch": round(now_s, 3)}

    async def perpetual_markets(self, request: web.Request) -> Row:
        """All markets, or one."""
        query = Query(request)
        only = query.ticker(self._indexer.is_ticker, "market")
        limit = query.limit()
        query.check()
        markets = self._indexer.market_objects(only)
        return {"markets": dict(list(markets.items())[:limit])}

    async def historical_funding(self, request: web.Request) -> Row:
        """Settled hourly rates, newest first."""
        query = Query(request)
        ticker = query.ticker(self._indexer.is_ticker) or ""
        limit = query.limit()
        before_s = query.instant("effectiveBeforeOrAt")
        before_height = query.height("effectiveBeforeOrAtHeight")
        query.check()
        rows = self._indexer.historical_funding(
            ticker, before_s=before_s, before_height=before_height, most=limit
        )
        return {"historicalFunding": rows}

    async def candles(self, request: web.Request) -> Row:
        """Candles of one resolution, newest first."""
        query = Query(request)
        ticker = query.ticker(self._indexer.is_ticker) or ""
        resolution = query.choice("resolution", RESOLUTIONS)
        if resolution is None:
            query.complain("resolution", f"resolution must be one of {','.join(RESOLUTIONS)}")
        limit, from_s, to_s = query.limit(), query.instant("fromISO"), query.instant("toISO")
        query.check()
        rows = self._indexer.candles(
            ticker, resolution or "1MIN", since_s=from_s, before_s=to_s, most=limit
        )
        return {"candles": rows}

    async def orderbook(self, request: web.Request) -> Row:
        """Both sides as objects, best first."""
        query = Query(request)
        ticker = query.ticker(self._indexer.is_ticker) or ""
        query.check()
        return payloads.book_snapshot(self._indexer.book(ticker))

    async def trades(self, request: web.Request) -> Row:
        """The tape, newest first."""
        query = Query(request)
        ticker = query.ticker(self._indexer.is_ticker) or ""
        limit, page = query.limit(), query.page()
        before_s = query.instant("createdBeforeOrAt")
        before_height = query.height("createdBeforeOrAtHeight")
        query.check()
        rows = not_after(self._indexer.trades(ticker), before_s, before_height)
        return paged("trades", rows, limit, page)

    async def sparklines(self, request: web.Request) -> Row:
        """Closing prices of every market, newest first."""
        query = Query(request)
        period = query.choice("timePeriod", SPARKLINES)
        if period is None:
            query.complain("timePeriod", f"timePeriod must be one of {','.join(SPARKLINES)}")
        query.check()
        resolution, count = SPARKLINES[period or "ONE_DAY"]
        return {
            ticker: [row["close"] for row in self._indexer.candles(ticker, resolution, most=count)]
            for ticker in self._indexer.markets
        }


def _segment(request: web.Request) -> str:
    """The first path segment after the version."""
    parts = request.path.split("/")
    return parts[2] if len(parts) > 2 else ""


def _is_slow(request: web.Request) -> bool:
    return _segment(request) in SLOW_CHANGING


def _errors(text: str) -> Row:
    return {"errors": [{"msg": text}]}


def _answer(status: int, body: Row | list[Row], headers: dict[str, str]) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )
