"""How Hyperliquid's ``/info`` is asked, what each question weighs, and what its refusals mean.

Every read is a POST with a JSON body naming its ``type``; no signature, accounts by address.
Source: rate limits page (2026 copies) and error shapes measured 2026-09. *Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.errors import DecodeError, FeedError, TransientFeedError
from monitor.core.ports import RateBudget, Request, Response

Argument = str | int | dict[str, str | int] | None
BUDGET = RateBudget(capacity=1200.0, window_s=60.0, reserve=300.0, connects_per_minute=30)
RETRY_AFTER_MIN_S = 10.0  # no Retry-After was ever observed on a 429

_LIGHT = frozenset(
    {
        "l2Book",
        "allMids",
        "clearinghouseState",
        "orderStatus",
        "spotClearinghouseState",
        "exchangeStatus",
    },
)
_ROWS_PER_WEIGHT = {
    **dict.fromkeys(
        (
            "recentTrades",
            "historicalOrders",
            "userFills",
            "userFillsByTime",
            "fundingHistory",
            "userFunding",
            "userNonFundingLedgerUpdates",
            "twapHistory",
        ),
        20,
    ),
    "candleSnapshot": 60,
}


def request_weight(kind: str, rows: int = 0) -> float:
    """What a request of this type costs of the 1200 a minute, with ``rows`` expected back."""
    base = 2.0 if kind in _LIGHT else 60.0 if kind == "userRole" else 20.0
    per_weight = _ROWS_PER_WEIGHT.get(kind)
    return base if per_weight is None else base + rows // per_weight


def info_request(
    url: str,
    kind: str,
    *,
    rows: int = 0,
    **arguments: Argument,
) -> Request:
    """A POST to ``/info``; arguments that are None are left out."""
    body: dict[str, Argument] = {"type": kind}
    body.update({name: value for name, value in arguments.items() if value is not None})
    return Request(
        method="POST",
        url=url,
        body=msgspec.json.encode(body),
        headers=(("content-type", "application/json"),),
        weight=request_weight(kind, rows),
    )


def check_response(response: Response, what: str, *, null_is_answer: bool = False) -> bytes:
    """The body of a good answer; ``null_is_answer`` where null means "none" (sub-accounts).

    Raises:
        TransientFeedError: 429 (waits at least 10 s), 5xx with a text, and anything odd in transit.
        DecodeError: The venue says the question itself is wrong: 400, 404, 405, 415, 422, or 500
            with body ``null`` (an unknown dex or coin, permanent for that argument), or 200
            ``null`` where an answer was due.
    """
    body = response.body.strip()
    status = response.status
    if status == 200:
        if body == b"null" and not null_is_answer:
            raise DecodeError(
                f"hyperliquid {what}: 200 with null, so the venue does not know what was asked for",
                sample=response.body,
            )
        return response.body
    raise refusal(status, body, what, response.header("retry-after"))


def refusal(status: int, body: bytes, what: str, retry_after: str | None = None) -> FeedError:
    """The error that a status other than 200 means."""
    text = body[:120].decode("utf-8", "replace")
    if status == 429:
        try:
            wait_s = float(retry_after) if retry_after else RETRY_AFTER_MIN_S
        except ValueError:
            wait_s = RETRY_AFTER_MIN_S
        if not RETRY_AFTER_MIN_S <= wait_s <= 3600.0:
            wait_s = RETRY_AFTER_MIN_S
        return TransientFeedError(
            f"hyperliquid {what}: 429, the request budget of this IP address is used up; "
            f"trying again after {wait_s:.0f} s",
            retry_after_s=wait_s,
        )
    if status == 500 and body == b"null":
        return DecodeError(
            f"hyperliquid {what}: 500 with null, which the venue answers for an unknown dex or "
            "coin; asking again with the same argument will not help",
            sample=body,
        )
    if status in {400, 404, 405, 415, 422}:
        return DecodeError(f"hyperliquid {what}: {status} {text}", sample=body)
    return TransientFeedError(f"hyperliquid {what}: {status} {text}")
