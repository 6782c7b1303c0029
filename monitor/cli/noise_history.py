"""How often the rules about the market alone would have paged over the history that riskd keeps:
thirty days of settlements, half a year of hourly prices.

The same engine as live, hour by hour, without a book; a rule counts over the hours in which it
could be judged. What needs quotes, feeds or positions has no history here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from math import exp

import msgspec

from monitor.backtest.feed import MarketFeed
from monitor.backtest.history import History, Settlement
from monitor.backtest.judge import Judge, Ruling, make_judge
from monitor.backtest.rules import hourly_rules
from monitor.core.errors import ConfigError
from monitor.core.measures import funding, stress_index, volatility
from monitor.core.rules import Rule
from monitor.core.state.funding import FundingSeries
from monitor.core.state.series import HOUR_NS, PriceSeries
from monitor.core.types import SECOND_NS, AlertState, Severity
from monitor.venues.dydx.codec.markets import asset_of as dydx_asset
from monitor.venues.hyperliquid.markets import asset_of as hyperliquid_asset

_ASSET_OF = {"hyperliquid": hyperliquid_asset, "dydx": dydx_asset}
_TOLD_BY_HISTORY = frozenset(
    definition.name
    for definition in (
        *volatility.DEFINITIONS, *stress_index.DEFINITIONS, *funding.DEFINITIONS
    )
)  # fmt: skip
HOUR_S = HOUR_NS // SECOND_NS
HOURS_A_WEEK = 7 * 24


class RuleNoise(msgspec.Struct, frozen=True):
    """One rule over the past: how many pages, and in how many hours it could be judged."""

    rule: str
    pages: int
    hours: int

    @property
    def a_week(self) -> float:
        """Pages a week of the hours in which it could be judged; 0 where it never could."""
        return self.pages * HOURS_A_WEEK / self.hours if self.hours else 0.0


def kept_history(connection: sqlite3.Connection) -> History:
    """What the store of a riskd keeps of prices and settlements.

    Raises:
        ConfigError: Where it keeps none yet.
    """
    found = connection.execute("SELECT name, memory FROM memories ORDER BY name").fetchall()
    return history_of(dict(found))


def history_of(memories: Mapping[str, bytes]) -> History:
    """Prices and settlements as ``Engine.memories`` packed them, on one hourly grid.

    Raises:
        ConfigError: Where there are none.
    """
    closes: dict[str, dict[int, float]] = {}
    settled: dict[tuple[str, str], dict[int, Settlement]] = {}
    for name, packed in memories.items():
        kind, _, key = name.partition("|")
        if kind == "prices":
            closes[key] = _levels(msgspec.msgpack.decode(packed, type=PriceSeries))
        elif kind == "funding":
            venue, _, market = key.partition(":")[2].partition("/")
            if venue in _ASSET_OF:
                series = msgspec.msgpack.decode(packed, type=FundingSeries)
                settled[venue, _ASSET_OF[venue](market)] = _settlements(series)
    hours = sorted(set().union(*closes.values(), *settled.values()))
    if not hours:
        raise ConfigError(
            "Nothing is kept of prices or funding yet; history is read after a start."
        )
    first, count = hours[0], hours[-1] - hours[0] + 1
    return History(
        start_s=first * HOUR_S,
        hours=count,
        closes={asset: [of.get(first + at) for at in range(count)] for asset, of in closes.items()},
        settlements={
            key: [of.get(first + at) for at in range(count)] for key, of in settled.items()
        },
        open_interest={},
    )


def _levels(series: PriceSeries) -> dict[int, float]:
    """Price by the hour it closed at, from returns: only their proportions matter. A gap is one."""
    found: dict[int, float] = {}
    returns = series.hours.list_returns()
    level = 100.0
    for hour, move in enumerate(returns, start=series.hours.hour - len(returns) + 1):
        if move is None:
            continue
        # Beside the close before a gap, its beginning would make a return that nobody knows.
        if hour not in found and hour - 1 not in found:
            found[hour] = level
        level *= exp(move)
        found[hour + 1] = level
    return found


def _settlements(series: FundingSeries) -> dict[int, Settlement]:
    first = series.newest - len(series.rates) + 1
    return {
        hour: Settlement(rate, 1)
        for hour, rate in enumerate(series.rates, start=first)
        if rate is not None
    }


def noise_of(history: History, files: Sequence[tuple[str, str]]) -> list[RuleNoise]:
    """Each rule that this history can tell about, the loudest first.

    Raises:
        ConfigError: If the rulebook cannot be used.
    """
    hourly = hourly_rules(files, every=True)
    wanted = {rule.id: rule for rule in hourly.book.rules if _fed(rule)}
    others = [rule.id for rule in hourly.book.rules if rule.id not in wanted]
    out = "".join(f"- {{id: {name}, enabled: false}}\n" for name in others)
    texts = (*hourly.files, *((("others.yaml", out),) if out else ()))
    judge = make_judge(texts, (), history.start_s * SECOND_NS)
    feed = MarketFeed(history, sorted({venue for venue, _ in history.settlements}))
    episodes = _Episodes()
    hours = dict.fromkeys(wanted, 0)
    for index in range(history.hours):
        at = history.time_s(index) * SECOND_NS
        judge.tell(feed.hour(index), at)
        episodes.hear(judge.hour(at))
        for name in _known(judge):
            hours[name] += 1
        for ruling in judge.between(at, ()):
            episodes.hear(ruling)
    found = [RuleNoise(name, episodes.pages.get(name, 0), hours[name]) for name in wanted]
    return sorted(found, key=lambda one: (-one.a_week, one.rule))


def _fed(rule: Rule) -> bool:
    told = rule.measures and rule.measures <= _TOLD_BY_HISTORY and not rule.rule_inputs
    return bool(told) and rule.severity is not Severity.INFO


def _known(judge: Judge) -> Iterable[str]:
    """Rules that are known about some subject now."""
    return {
        one.rule
        for one in judge.engine.rule_states()
        if one.asked and not one.state.unknown_since_ns
    }


class _Episodes:
    """Counts pages: one for all subjects of a place, for as long as any of them fires."""

    def __init__(self) -> None:
        self.pages: dict[str, int] = {}
        self._firing: dict[tuple[str, str], set[str]] = {}

    def hear(self, ruling: Ruling) -> None:
        """What one evaluation changed."""
        for change in ruling.transitions:
            lit = self._firing.setdefault((change.rule, change.place or change.subject), set())
            if change.after is AlertState.INACTIVE:
                lit.discard(change.subject)
            elif change.after is AlertState.FIRING and change.subject not in lit:
                if not lit:
                    self.pages[change.rule] = self.pages.get(change.rule, 0) + 1
                lit.add(change.subject)
