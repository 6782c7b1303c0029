"""Account routes of the simulated indexer's REST API.

A blocked address (or country) gets 403 here and only here. An unknown subaccount is 404 where the
venue looks it up, and an empty list where it merely filters rows.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from monitor.sim.accounts import SimPool
from monitor.sim.dydx.history import PnlLog, PnlTick, payment_rows
from monitor.sim.dydx.indexer import Indexer, NotKnownError
from monitor.sim.dydx.payloads import accounts
from monitor.sim.dydx.payloads.text import iso, number, parse_iso
from monitor.sim.dydx.rest.markets import Route
from monitor.sim.dydx.rest.query import ApiError, Query, Row, not_after, paged
from monitor.sim.dydx.session import BLOCKED_TEXT

ORDER_STATUSES = (
    "OPEN", "FILLED", "CANCELED", "BEST_EFFORT_CANCELED", "UNTRIGGERED", "ERROR",
    "BEST_EFFORT_OPENED",
)  # fmt: skip
ORDER_TYPES = (
    "LIMIT", "MARKET", "STOP_LIMIT", "STOP_MARKET", "TRAILING_STOP", "TAKE_PROFIT",
    "TAKE_PROFIT_MARKET", "TWAP", "TWAP_SUBORDER",
)  # fmt: skip
POSITION_STATUSES = ("OPEN", "CLOSED", "LIQUIDATED")
GEOBLOCKED_TEXT = "The simulated venue does not serve this country: you have been blocked."


class AccountRoutes:
    """Routes about an address. ``blocked`` answers ``None``, ``GEOBLOCKED`` or
    ``COMPLIANCE_BLOCKED`` for one."""

    def __init__(self, indexer: Indexer, pnl: PnlLog, blocked: Callable[[str], str | None]) -> None:
        self._indexer = indexer
        self._pnl = pnl
        self._blocked = blocked

    def table(self) -> dict[str, Route]:
        """Path to route, relative to ``/v4``."""
        parent = "parentSubaccountNumber"
        return {
            "/addresses/{address}": self.addresses,
            "/addresses/{address}/subaccountNumber/{subaccountNumber}": self.subaccount,
            f"/addresses/{{address}}/{parent}/{{{parent}}}": self.parent,
            "/perpetualPositions": self.perpetual_positions,
            f"/perpetualPositions/{parent}": self.perpetual_positions,
            "/assetPositions": self.asset_positions,
            f"/assetPositions/{parent}": self.asset_positions,
            "/orders": self.orders,
            f"/orders/{parent}": self.orders,
            "/orders/{orderId}": self.order,
            "/fills": self.fills,
            f"/fills/{parent}": self.fills,
            "/transfers": self.transfers,
            f"/transfers/{parent}": self.transfers,
            "/fundingPayments": self.funding_payments,
            "/fundingPayments/parentSubaccount": self.funding_payments,
            "/historical-pnl": self.historical_pnl,
            f"/historical-pnl/{parent}": self.historical_pnl,
            "/pnl": self.pnl,
            f"/pnl/{parent}": self.pnl,
            "/compliance/screen/{address}": self.compliance,
            "/screen": self.screen,
        }

    async def addresses(self, request: web.Request) -> Row:
        """Every subaccount of an address."""
        query = Query(request)
        address = query.address()
        self._admit(query, address)
        numbers = list(self._indexer.pools(address))
        if not numbers:
            raise NotKnownError(f"No subaccounts found for address {address}")
        return {
            "subaccounts": [self._indexer.subaccount(address, number_) for number_ in numbers],
            "totalTradingRewards": number(self._indexer.rewards(address)),
        }

    async def subaccount(self, request: web.Request) -> Row:
        """One subaccount."""
        query = Query(request)
        address, number_ = query.address(), query.subaccount()
        self._admit(query, address)
        return {"subaccount": self._indexer.subaccount(address, number_)}

    async def parent(self, request: web.Request) -> Row:
        """A parent subaccount with its children."""
        query = Query(request)
        address, parent = query.address(), query.parent()
        self._admit(query, address)
        return {"subaccount": self._indexer.parent(address, parent)}

    async def perpetual_positions(self, request: web.Request) -> Row:
        """Open and closed positions, newest first."""
        query = Query(request)
        address, numbers = self._whose(request, query)
        statuses = query.choices("status", POSITION_STATUSES)
        limit = query.limit()
        before_s = query.instant("createdBeforeOrAt")
        before_height = query.height("createdBeforeOrAtHeight")
        self._admit(query, address)
        rows = [
            accounts.position_row(pool, position, number_, self._indexer.chain)
            for number_, pool in self._held(address, numbers)
            for position in (*pool.positions.values(), *pool.closed_positions)
        ]
        rows = not_after(rows, before_s, before_height)
        rows = [row for row in rows if not statuses or row["status"] in statuses]
        rows.sort(key=lambda row: int(str(row["createdAtHeight"])), reverse=True)
        return {"positions": rows[:limit]}

    async def asset_positions(self, request: web.Request) -> Row:
        """USDC, adjusted for funding that is due."""
        query = Query(request)
        address, numbers = self._whose(request, query)
        self._admit(query, address)
        rows = [
            accounts.asset_row(cash, number_)
            for number_, pool in self._known(address, numbers)
            if (cash := pool.cash_with_funding)
        ]
        return {"positions": rows}

    async def orders(self, request: web.Request) -> list[Row]:
        """Orders as a bare array: by height descending, or the newest first when asked for."""
        query = Query(request)
        address, numbers = self._whose(request, query)
        statuses = query.choices("status", ORDER_STATUSES)
        ticker = query.ticker(self._indexer.is_ticker)
        side = query.choice("side", ("BUY", "SELL"))
        kind = query.choice("type", ORDER_TYPES)
        limit, latest = query.limit(), query.flag("returnLatestOrders")
        after = query.height("goodTilBlockAfter", 1)
        before = query.height("goodTilBlockBeforeOrAt", 1)
        self._admit(query, address)
        rows = [
            row
            for row in self._indexer.orders(address, numbers)
            if (not statuses or row["status"] in statuses)
            and ticker in {None, row["ticker"]}
            and side in {None, row["side"]}
            and kind in {None, row["type"]}
            and _within(row.get("goodTilBlock"), after, before)
        ]
        name = "updatedAtHeight" if latest else "createdAtHeight"
        rows.sort(key=lambda row: int(str(row[name])), reverse=True)
        return rows[:limit]

    async def order(self, request: web.Request) -> Row:
        """One order by its id."""
        wanted = request.match_info["orderId"]
        for address in self._indexer.addresses():
            numbers = list(self._indexer.pools(address))
            for row in self._indexer.orders(address, numbers):
                if row["id"] == wanted:
                    return row
        raise NotKnownError(f"Unable to find order id {wanted}")

    async def fills(self, request: web.Request) -> Row:
        """Executions, newest first."""
        query = Query(request)
        address, numbers = self._whose(request, query)
        market = query.ticker(self._indexer.is_ticker, "market")
        kind = query.choice("marketType", ("PERPETUAL", "SPOT"))
        if market is not None and kind is None:
            query.complain("marketType", "marketType must be provided if market is provided")
        if kind is not None and market is None:
            query.complain("market", "market must be provided if marketType is provided")
        limit, page = query.limit(), query.page()
        before_s = query.instant("createdBeforeOrAt")
        before_height = query.height("createdBeforeOrAtHeight")
        self._admit(query, address)
        rows = [
            accounts.fill_row(address, number_, fill, self._indexer.chain)
            for number_, pool in self._held(address, numbers)
            for fill in reversed(pool.fills)
            if market in {None, fill.symbol}
        ]
        rows.sort(key=lambda row: str(row["createdAt"]), reverse=True)
        return paged("fills", not_after(rows, before_s, before_height), limit, page)

    async def transfers(self, request: web.Request) -> Row:
        """Deposits, withdrawals and transfers, newest first."""
        query = Query(request)
        address, numbers = self._whose(request, query)
        limit, page = query.limit(), query.page()
        before_s = query.instant("createdBeforeOrAt")
        before_height = query.height("createdBeforeOrAtHeight")
        self._admit(query, address)
        as_parent = "parentSubaccountNumber" in request.query
        rows = [
            accounts.transfer_row(
                address, number_, transfer, self._indexer.chain, as_parent=as_parent
            )
            for number_, pool in self._known(address, numbers)
            for transfer in reversed(pool.transfers)
            if not (as_parent and accounts.is_between_children(address, number_, transfer))
        ]
        rows.sort(key=lambda row: str(row["createdAt"]), reverse=True)
        return paged("transfers", not_after(rows, before_s, before_height), limit, page)

    async def funding_payments(self, request: web.Request) -> Row:
        """Hourly payments per market, newest first; zero ones only when asked for."""
        query = Query(request)
        address, numbers = self._whose(request, query)
        ticker = query.ticker(self._indexer.is_ticker)
        limit, page = query.limit(), query.page()
        # The published client and the service disagree on the names; both are understood here.
        after_s = query.instant("afterOrAt")
        after_s = query.instant("createdOnOrAfter") if after_s is None else after_s
        zeros = query.flag("showZeroPayments") or query.flag("zeroPayments")
        self._admit(query, address)
        rows = [
            row
            for row in payment_rows(self._indexer, address, numbers)
            if ticker in {None, row["ticker"]}
            and (zeros or row["payment"] != "0")
            and (after_s is None or parse_iso(str(row["createdAt"])) >= after_s)
        ]
        return paged("fundingPayments", rows, limit, page)

    async def historical_pnl(self, request: web.Request) -> Row:
        """Hourly equity, older form."""
        rows = [
            {
                "equity": number(tick.equity),
                "totalPnl": number(tick.total_pnl),
                "netTransfers": number(tick.net_transfers),
                "createdAt": iso(tick.stamp.time_s),
                "blockHeight": str(tick.stamp.height),
                "blockTime": iso(tick.stamp.time_s),
            }
            for tick in self._ticks(request)
        ]
        return {"historicalPnl": rows}

    async def pnl(self, request: web.Request) -> Row:
        """Hourly (or daily) equity, newer form."""
        query = Query(request)
        daily = query.flag("daily")
        query.check()
        seen: set[str] = set()
        rows: list[Row] = []
        for tick in self._ticks(request):
            day = iso(tick.stamp.time_s)[:10]
            if daily and day in seen:
                continue
            seen.add(day)
            rows.append(
                {
                    "equity": number(tick.equity),
                    "totalPnl": number(tick.total_pnl),
                    "netTransfers": number(tick.net_transfers),
                    "createdAt": iso(tick.stamp.time_s),
                    "createdAtHeight": str(tick.stamp.height),
                }
            )
        return {"pnl": rows}

    async def compliance(self, request: web.Request) -> Row:
        """The compliance status of an address."""
        query = Query(request)
        address = query.address()
        query.check()
        blocked = self._blocked(address) is not None
        status = "BLOCKED" if blocked else "COMPLIANT"
        row: Row = {"status": status, "updatedAt": iso(self._indexer.world.start_s)}
        return {**row, "reason": "COMPLIANCE_PROVIDER"} if blocked else row

    async def screen(self, request: web.Request) -> Row:
        """The old form of the same question."""
        query = Query(request)
        address = query.address()
        query.check()
        if self._blocked(address) is None:
            return {"restricted": False}
        return {"restricted": True, "reason": BLOCKED_TEXT}

    # -------------------------------------------------------------------------------------- helpers

    def _admit(self, query: Query, address: str) -> None:
        """Refuse wrong parameters, then blocked addresses, in the venue's order."""
        query.check()
        code = self._blocked(address)
        if code is not None:
            text = GEOBLOCKED_TEXT if code == "GEOBLOCKED" else BLOCKED_TEXT
            raise ApiError(403, [{"msg": text, "code": code}])

    def _whose(self, request: web.Request, query: Query) -> tuple[str, list[int]]:
        """Address and subaccount numbers: one, or all children of a parent."""
        address = query.address()
        if "parentSubaccount" in request.path:
            parent = query.parent()
            return address, self._indexer.children(address, parent)
        return address, [query.subaccount()]

    def _held(self, address: str, numbers: list[int]) -> list[tuple[int, SimPool]]:
        pools = self._indexer.pools(address)
        return [(number_, pools[number_]) for number_ in numbers if number_ in pools]

    def _known(self, address: str, numbers: list[int]) -> list[tuple[int, SimPool]]:
        """Like ``_held``, for routes that look the subaccount up."""
        held = self._held(address, numbers)
        if not held:
            listed = ", ".join(str(number_) for number_ in numbers)
            raise NotKnownError(
                f"No subaccount found with address {address} and subaccountNumber {listed}"
            )
        return held

    def _ticks(self, request: web.Request) -> list[PnlTick]:
        query = Query(request)
        address, numbers = self._whose(request, query)
        limit = query.limit()
        after_s = query.instant("createdOnOrAfter")
        before_s = query.instant("createdBeforeOrAt")
        self._admit(query, address)
        return [
            tick
            for tick in self._pnl.rows(address, numbers)
            if (after_s is None or tick.stamp.time_s >= after_s)
            and (before_s is None or tick.stamp.time_s <= before_s)
        ][:limit]


def _within(height: object, after: int | None, before: int | None) -> bool:
    """Whether a short-term order's last block lies in the asked range; a stateful one has none."""
    if after is None and before is None:
        return True
    if height is None:
        return False
    block = int(str(height))
    return (after is None or block > after) and (before is None or block <= before)
