"""A full node beside the indexer: CometBFT RPC and the chain's REST queries (LCD), reading only.

It knows the newest block even while the indexer lags, which tells two kinds of trouble
apart. Numbers are the chain's: base and quote quantums, exponents, funding indices; 64-bit ones as
strings, 32-bit ones as numbers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

import msgspec
from aiohttp import web

from monitor.sim.accounts import SimPool
from monitor.sim.dydx.indexer import Indexer
from monitor.sim.dydx.payloads.markets import resolution_exponent
from monitor.sim.dydx.payloads.text import iso_nanos, stable_hash
from monitor.sim.listings import DYDX
from monitor.sim.markets import SimMarket

CHAIN_ID = "dydx-sim-1"
QUOTE_EXPONENT = 6
Row = dict[str, object]
# The funding index counts quote quantums per million base quantums.
FUNDING_INDEX_EXPONENT = 12


class Node:
    """Queries of one node over the simulated chain."""

    def __init__(self, indexer: Indexer) -> None:
        self._indexer = indexer
        self._chain = indexer.chain
        self._venue = indexer.world.venues[DYDX]

    def routes(self) -> list[web.RouteDef]:
        """Routes for aiohttp; RPC and LCD share one port."""
        blocked = "/dydxprotocol/subaccounts/withdrawals_and_transfers_blocked_info"
        table: dict[str, Callable[[web.Request], Row]] = {
            "/status": self.status,
            "/health": self.health,
            "/block": self.block,
            "/cosmos/base/tendermint/v1beta1/blocks/latest": self.latest_block,
            f"{blocked}/{{perpetual_id}}": self.gate,
            "/dydxprotocol/prices/market": self.prices,
            "/dydxprotocol/perpetuals/perpetual": self.perpetuals,
            "/dydxprotocol/subaccounts/subaccount/{owner}/{number}": self.subaccount,
        }
        return [web.get(path, _handler(query)) for path, query in table.items()]

    def status(self, request: web.Request) -> Row:
        """``/status``: the newest block and whether the node is behind."""
        newest = self._chain.newest
        return _rpc(
            {
                "node_info": {"network": CHAIN_ID, "moniker": "sim", "version": "0.38.17"},
                "sync_info": {
                    "latest_block_hash": stable_hash("block", newest.height),
                    "latest_block_height": str(newest.height),
                    "latest_block_time": iso_nanos(newest.time_s),
                    "catching_up": False,
                },
            }
        )

    def health(self, request: web.Request) -> Row:
        """``/health``: an empty result."""
        return _rpc({})

    def block(self, request: web.Request) -> Row:
        """``/block``: the newest header."""
        return _rpc(self._block())

    def latest_block(self, request: web.Request) -> Row:
        """LCD: the newest header."""
        return self._block()

    def gate(self, request: web.Request) -> Row:
        """LCD: why and until when withdrawals and transfers are blocked; zero means never."""
        return {
            "negative_tnc_subaccount_seen_at_block": self._chain.negative_seen_at,
            "chain_outage_seen_at_block": self._chain.outage_seen_at,
            "withdrawals_and_transfers_unblocked_at_block": self._chain.unblocked_at,
        }

    def prices(self, request: web.Request) -> Row:
        """LCD: oracle prices as integers and exponents."""
        rows = []
        for ticker, market in self._venue.markets.items():
            price = market.oracle_price
            exponent = -(market.spec.oracle_decimals or 0)
            listing = self._indexer.listings[ticker]
            rows.append(
                {
                    "id": listing.market_id,
                    "exponent": exponent,
                    "price": str(int(price.scaleb(-exponent))),
                }
            )
        return {"market_prices": rows}

    def perpetuals(self, request: web.Request) -> Row:
        """LCD: perpetuals with live open interest and funding index."""
        return {
            "perpetual": [
                {
                    "params": {
                        "id": self._indexer.listings[ticker].clob_pair_id,
                        "ticker": ticker,
                        "market_id": self._indexer.listings[ticker].market_id,
                        "atomic_resolution": resolution_exponent(market),
                        "market_type": "PERPETUAL_MARKET_TYPE_"
                        + ("ISOLATED" if market.spec.only_isolated else "CROSS"),
                    },
                    "funding_index": str(_index(market, market.funding_index)),
                    "open_interest": str(_quantums(market, market.open_interest_base)),
                }
                for ticker, market in self._venue.markets.items()
            ]
        }

    def subaccount(self, request: web.Request) -> Row:
        """LCD: a subaccount as the chain holds it: settled USDC, signed quantums."""
        owner, number = request.match_info["owner"], request.match_info["number"]
        if not number.isdecimal():
            raise web.HTTPBadRequest(text="type mismatch, parameter: number")
        account = self._venue.accounts.get(owner)
        pool = None if account is None else account.pools.get(number)
        row: Row = {
            "id": {"owner": owner, "number": int(number)},
            "asset_positions": [],
            "perpetual_positions": [],
            "margin_enabled": False,
        }
        # The chain answers for every possible subaccount; one never used is empty.
        return {"subaccount": row if pool is None else {**row, **self._contents(pool)}}

    def _contents(self, pool: SimPool) -> Row:
        cash = int(pool.cash.scaleb(QUOTE_EXPONENT))
        assets = [{"asset_id": 0, "quantums": str(cash), "index": "0"}] if cash else []
        return {
            "asset_positions": assets,
            "perpetual_positions": [
                {
                    "perpetual_id": self._indexer.listings[symbol].clob_pair_id,
                    "quantums": str(_quantums(pool.markets[symbol], position.size)),
                    "funding_index": str(_index(pool.markets[symbol], position.funding_index)),
                    "quote_balance": "0",
                }
                for symbol, position in pool.positions.items()
            ],
            "margin_enabled": True,
        }

    def _block(self) -> Row:
        newest = self._chain.newest
        return {
            "block_id": {"hash": stable_hash("block", newest.height)},
            "block": {
                "header": {
                    "chain_id": CHAIN_ID,
                    "height": str(newest.height),
                    "time": iso_nanos(newest.time_s),
                }
            },
        }


def _rpc(result: Row) -> Row:
    return {"jsonrpc": "2.0", "id": -1, "result": result}


def _handler(
    query: Callable[[web.Request], Row],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = msgspec.json.encode(query(request))
        return web.Response(body=body, content_type="application/json")

    return answer


def _quantums(market: SimMarket, size: Decimal) -> int:
    return int(size.scaleb(-resolution_exponent(market)))


def _index(market: SimMarket, usd_per_unit: Decimal) -> int:
    return int(usd_per_unit.scaleb(resolution_exponent(market) + FUNDING_INDEX_EXPONENT))
