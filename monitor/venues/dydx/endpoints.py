"""Where dYdX v4 is read: networks, paths of the indexer, and what an answer's status means.

Sources: the indexer's HTTP and WebSocket pages of the v4 documentation (read 2026-04). *Pure.*
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

import msgspec

from monitor.core.errors import AuthError, DecodeError, FeedError, TransientFeedError
from monitor.core.ports import RateBudget, Request, Response
from monitor.venues.dydx.settings import DydxSettings

# 100 requests in 10 s for one IP; a quarter is kept for the kill path, which re-reads as it acts.
# No limit on new connections is documented: sixty a minute is politeness.
BUDGET = RateBudget(capacity=100.0, window_s=10.0, reserve=25.0, connects_per_minute=60)
RETRY_AFTER_S_MAX = 300.0
LOW_WATER = 5  # RateLimit-Remaining at which others behind our IP are using the budget up


class Network(msgspec.Struct, frozen=True):
    """The public indexer of one network and the id of its chain."""

    rest_url: str
    ws_url: str
    chain_id: str


NETWORKS = {
    "mainnet": Network(
        rest_url="https://indexer.dydx.trade/v4",
        ws_url="wss://indexer.dydx.trade/v4/ws",
        chain_id="dydx-mainnet-1",
    ),
    "testnet": Network(
        rest_url="https://indexer.v4testnet.dydx.exchange/v4",
        ws_url="wss://indexer.v4testnet.dydx.exchange/v4/ws",
        chain_id="dydx-testnet-4",
    ),
}


class NotFoundError(TransientFeedError):
    """404: the indexer knows no such subaccount or market. Often an answer, not an error."""


class Endpoints(msgspec.Struct, frozen=True):
    """The base URLs in force. ``chain_id`` is None where an override leaves it open."""

    rest_url: str
    ws_url: str
    chain_id: str | None

    def get(self, path: str, **query: str | int) -> Request:
        """A GET of the indexer; ``path`` starts with ``/`` and is already quoted."""
        tail = f"?{urlencode(query, safe=',:')}" if query else ""
        return Request(method="GET", url=f"{self.rest_url}{path}{tail}")


def endpoints(settings: DydxSettings) -> Endpoints:
    """The base URLs that the settings ask for."""
    network = NETWORKS[settings.network]
    return Endpoints(
        rest_url=settings.rest_url or network.rest_url,
        ws_url=settings.ws_url or network.ws_url,
        chain_id=network.chain_id if settings.rest_url is None else None,
    )


def quoted(ticker: str) -> str:
    """A ticker as a path segment; exotic ones hold commas (``NAME,RAYDIUM,<mint>-USD``)."""
    return quote(ticker, safe="")


class _Problem(msgspec.Struct):
    msg: str = ""


class _Problems(msgspec.Struct):
    errors: list[_Problem] = []
    code: str | None = None


_PROBLEMS = msgspec.json.Decoder(_Problems)


def refusal(response: Response) -> FeedError | None:
    """The error that an answer's status stands for; None for 200.

    429 carries ``Retry-After`` in milliseconds here, against the HTTP standard's seconds.
    """
    if response.status == 200:
        return None
    said = _said(response.body)
    if response.status == 429:
        return TransientFeedError(
            f"The dYdX indexer limits our requests (429): {said}",
            retry_after_s=_milliseconds(response.header("retry-after")),
        )
    if response.status == 403:
        return AuthError(
            f"The dYdX indexer refuses this client or address (403): {said}. Requests from some"
            " countries and from sanctioned addresses are blocked; run riskd elsewhere or use an"
            " indexer of your own (rest_url, ws_url)."
        )
    if response.status == 404:
        return NotFoundError(f"The dYdX indexer does not know this (404): {said}")
    if 400 <= response.status < 500:
        return DecodeError(
            f"The dYdX indexer did not accept the request ({response.status}): {said}",
            sample=response.body,
        )
    return TransientFeedError(f"The dYdX indexer answered {response.status}: {said}")


def pause_s(response: Response, now_s: float) -> float:
    """How long to leave the indexer alone, seconds, judged by its ``RateLimit-*`` headers.

    Desk software behind the same IP shares the budget, so our own count is not enough.
    ``RateLimit-Reset`` is a Unix time in milliseconds.
    """
    remaining = response.header("ratelimit-remaining")
    reset = _milliseconds(response.header("ratelimit-reset"), ceiling_s=float("inf"))
    if remaining is None or reset is None or not remaining.isdecimal():
        return 0.0
    if int(remaining[:9]) > LOW_WATER:
        return 0.0
    return min(max(reset - now_s, 0.0), BUDGET.window_s)


def _milliseconds(text: str | None, ceiling_s: float = RETRY_AFTER_S_MAX) -> float | None:
    if text is None or not text.isdecimal() or len(text) > 15:
        return None
    return min(int(text) / 1000.0, ceiling_s)


def _said(body: bytes) -> str:
    try:
        problems = _PROBLEMS.decode(body)
    except (ValueError, RecursionError):
        return "no explanation"
    texts = [problem.msg[:200] for problem in problems.errors[:3] if problem.msg]
    if problems.code:
        texts.append(problems.code[:40])
    return "; ".join(texts) or "no explanation"
