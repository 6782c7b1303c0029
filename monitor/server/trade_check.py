"""``GET /v1/check-trade?market=…&side=…&size=…&stop=…&account=…``: what a trade in mind would do.

Reads only; nothing is sent anywhere. What is not known is a look and never a go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import orjson
from aiohttp import web

from monitor.core.engine import Engine
from monitor.core.killswitch.levels import Level
from monitor.core.measures.trade_case import Asked
from monitor.core.measures.trade_check import worst
from monitor.core.types import EngineNs, Side, Subject, SubjectKind, market_subject
from monitor.core.yamltext import nearest

PATH = "/v1/check-trade"
ASKED_CHARS_MAX = 300
_NAMES = ("market", "side", "size", "stop", "account")
Json = dict[str, Any]
Levels = Callable[[Subject], tuple[Level, Level]]  # of a scope: for what adds, and for hedges


class TradeChecker:
    """Serves ``PATH`` from an engine; ``levels_of`` are the kill switch's for a scope."""

    def __init__(self, engine: Engine, now: Callable[[], EngineNs], levels_of: Levels) -> None:
        self._engine = engine
        self._now = now
        self._levels_of = levels_of

    async def handle(self, request: web.Request) -> web.Response:
        """One question; 404 with a sentence where it cannot be understood."""
        words = {name: request.query.get(name, "")[:ASKED_CHARS_MAX] for name in _NAMES}
        document = check_document(self._engine, words, self._now(), self._levels_of)
        return web.Response(
            body=orjson.dumps(document),
            content_type="application/json",
            status=404 if "error" in document else 200,
        )


def check_document(
    engine: Engine,
    words: Mapping[str, str],
    now: EngineNs,
    levels_of: Levels,
) -> Json:
    """Checks with their answers, the worst of them as ``answer``; ``error`` says what cannot be
    understood."""
    venue, _, name = words["market"].partition("/")
    asked = _asked(words)
    if isinstance(asked, str):
        return {"error": asked}
    markets = [str(one) for one in engine.subjects(SubjectKind.MARKET)]
    market = market_subject(venue, name)
    if market not in markets:
        return {"error": _no_such(words["market"], markets, "market")}
    account = _account(engine, venue, words["account"])
    if account is None:
        return {"error": f"Which account of {venue}? --account: {_names(_pools(engine, venue))}."}
    checks = engine.check_trade(account, market, asked, now, levels_of=levels_of)
    if checks is None:
        return {"error": f"{words['market']} is not listed by the venue yet; try again shortly."}
    return {
        "market": words["market"],
        "account": account.partition(":")[2],
        "side": words["side"],
        "size": asked.size,
        "stop": asked.stop,
        "answer": worst(checks).value,
        "checks": [
            {"name": one.name, "answer": one.answer.value, "text": one.text} for one in checks
        ],
        "at_ms": now // 1_000_000,
    }


def _asked(words: Mapping[str, str]) -> Asked | str:
    if words["side"] not in {Side.BUY, Side.SELL}:
        return f"side must be buy or sell. Found: {words['side'] or 'nothing'}."
    size = _positive(words["size"])
    stop = _positive(words["stop"])
    if size is None:
        return f"size must be base units above 0. Found: {words['size'] or 'nothing'}."
    if stop is None and words["stop"]:
        return f"stop must be a price above 0. Found: {words['stop']}."
    return Asked(1.0 if words["side"] == Side.BUY else -1.0, size, stop)


def _positive(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and number > 0.0 else None


def _account(engine: Engine, venue: str, alias: str) -> Subject | None:
    """The one named; the only one of the venue where none is."""
    pools = _pools(engine, venue)
    if not alias:
        return pools[0] if len(pools) == 1 else None
    return next((one for one in pools if one.endswith(f"/{alias}")), None)


def _pools(engine: Engine, venue: str) -> list[Subject]:
    prefix = f"{SubjectKind.ACCOUNT}:{venue}/"
    return [one for one in engine.subjects(SubjectKind.ACCOUNT) if one.startswith(prefix)]


def _names(pools: list[Subject]) -> str:
    return ", ".join(one.partition("/")[2] for one in pools) or "none is watched there"


def _no_such(found: str, known: list[str], what: str) -> str:
    near = nearest(found, [one.partition(":")[2] for one in known])
    hint = f" Did you mean {near!r}?" if near else " Write it as VENUE/MARKET."
    return f"There is no {what} {found!r}.{hint}"
