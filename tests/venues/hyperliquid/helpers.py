"""What the Hyperliquid tests share: settings, a venue that knows its markets, and answers."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from monitor.core.events import Event
from monitor.core.ports import Poll, Request, Response
from monitor.core.types import SECOND_NS
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.knowledge import Knowledge
from monitor.venues.hyperliquid.settings import HyperliquidSettings
from monitor.venues.hyperliquid.venue import HyperliquidVenue

T = TypeVar("T")
NOW = 1_790_000_000 * SECOND_NS + 1  # 2026-09-21 14:13:20 UTC
ADDRESS = "0x00000000000000000000000000000000000000a1"
OTHER = "0x00000000000000000000000000000000000000b2"
MASTER = "0x1234567890123456789012345678901234abcdef"

META: dict[str, Any] = {
    "universe": [
        {"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56},
        {"name": "ETH", "szDecimals": 4, "maxLeverage": 25, "marginTableId": 25},
        {"name": "HYPE", "szDecimals": 2, "maxLeverage": 10, "marginTableId": 10},
        {"name": "OLD", "szDecimals": 1, "maxLeverage": 3, "marginTableId": 3, "isDelisted": True},
    ],
    "marginTables": [
        [
            56,
            {
                "description": "tiered 40x",
                "marginTiers": [
                    {"lowerBound": "0.0", "maxLeverage": 40},
                    {"lowerBound": "150000000.0", "maxLeverage": 20},
                ],
            },
        ],
    ],
    "collateralToken": 0,
}
XYZ_META: dict[str, Any] = {
    "universe": [{"name": "xyz:AAPL", "szDecimals": 3, "maxLeverage": 10, "marginTableId": 10}],
    "collateralToken": 0,
}
FLX_META: dict[str, Any] = {
    "universe": [{"name": "flx:CRCL", "szDecimals": 2, "maxLeverage": 5, "marginTableId": 5}],
    "collateralToken": 360,
}


def context(mark: str = "100.0", **other: str | None) -> dict[str, Any]:
    """A perp context as the wire has it."""
    return {
        "funding": "0.0000125",
        "openInterest": "10.5",
        "prevDayPx": mark,
        "dayNtlVlm": "1000.0",
        "premium": "0.0001",
        "oraclePx": mark,
        "markPx": mark,
        "midPx": mark,
        "impactPxs": [mark, mark],
        **other,
    }


def encode(value: object) -> bytes:
    """JSON bytes."""
    return msgspec.json.encode(value)


def frame(channel: str, data: object) -> bytes:
    """A frame as the server sends it."""
    return encode({"channel": channel, "data": data})


def answer(value: object, *, status: int = 200, elapsed_s: float = 0.1) -> Response:
    """An HTTP answer with a JSON body."""
    return Response(status=status, headers=(), body=encode(value), elapsed_s=elapsed_s)


def asked(request: Request | None) -> dict[str, Any]:
    """What a request asks for."""
    assert request is not None, "no request"
    body: dict[str, Any] = msgspec.json.decode(request.body or b"")
    return body


def of_type(events: tuple[Event, ...], kind: type[T]) -> list[T]:
    """The events of one type."""
    return [event for event in events if isinstance(event, kind)]


def learn(knowledge: Knowledge, dex: str, meta: dict[str, Any]) -> None:
    """Hand a dex's meta over."""
    knowledge.markets.update(dex, msgspec.convert(meta, wire.Universe, strict=False), "test")


def make_venue(**settings: Any) -> HyperliquidVenue:
    """A venue that knows three dexes and watches one account, ``main``."""
    settings.setdefault("accounts", [{"alias": "main", "address": ADDRESS}])
    venue = HyperliquidVenue(HyperliquidSettings.model_validate(settings))
    venue.knowledge.markets.dex_names = ("", "xyz", "flx")
    for dex, meta in (("", META), ("xyz", XYZ_META), ("flx", FLX_META)):
        learn(venue.knowledge, dex, meta)
    return venue


def poll_named(venue: HyperliquidVenue, name: str) -> Poll:
    """The periodic poll of that name."""
    return next(poll for poll in venue.polls() if poll.name == name)
