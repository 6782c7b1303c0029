"""A desk whose markets have a month of settled funding, made so that the stress index is known."""

from __future__ import annotations

from typing import NamedTuple

from monitor.core import events as e
from monitor.core.formulas.funding import HOURS_PER_YEAR
from monitor.core.settings import EngineSettings
from monitor.core.state.series import HOUR_NS
from monitor.core.types import EngineNs, MarketStatus
from tests.core.desk import HL, START_NS, Desk

FLOOR = 3e-6
HOUR_S = 3600
START_HOUR = START_NS // HOUR_NS
HISTORY_HOURS = 744


class Told(NamedTuple):
    """What the newest settlement of one market is to look like."""

    market: str
    apr: float
    z: float
    change_z: float
    flipped: bool = False
    open_interest_usd: float = 1e6
    venue: str = HL


# The worked example of the sheet: index 69.31.
EXAMPLE = (
    Told("AAA", 0.48, 5.5, 3.0, flipped=True),
    Told("BBB", 0.62, 7.0, 5.0),
    Told("CCC", 0.35, 2.4, 1.0),
    Told("DDD", 0.90, 8.0, 9.0),
    Told("EEE", 0.55, 6.1, 4.0),
)
# Nothing is the matter: every market rests on the interest floor.
CALM = tuple(Told(one.market, 0.1095, 0.0, 0.0) for one in EXAMPLE)


def past(told: Told, hour: int, hours: int = HISTORY_HOURS) -> e.FundingHistorySeen:
    """A month that rested at the level from which the newest settlement of ``hour`` stands out by
    ``z`` floors, and that was ``change_z`` floors away eight hours ago."""
    rate = told.apr / HOURS_PER_YEAR
    base = rate - told.z * FLOOR
    rates = {hour - back: base for back in range(hours)}
    rates[hour] = rate
    rates[hour - 8] = rate - told.change_z * FLOOR
    if told.flipped:
        rates[hour - 24] = -base
    return e.FundingHistorySeen(
        venue=told.venue,
        channel=f"{told.venue}/history/{told.market}",
        market=told.market,
        rates=tuple((at * HOUR_NS, rates[at]) for at in sorted(rates) if at > hour - hours),
    )


def settlement(market: str, rate: float, hour: int, venue: str = HL) -> e.FundingSettled:
    """One hour of one market."""
    return e.FundingSettled(
        venue=venue,
        channel=f"{venue}/settled/{market}",
        market=market,
        funding_rate_hourly=rate,
        native_funding_rate=rate,
        native_funding_interval_s=3600,
        settled_at_ns=hour * HOUR_NS,
    )


class StressDesk(Desk):
    """Markets of one dollar each, so that open interest in USD is what is said."""

    def __init__(self, *markets: Told, rules: str = "", history: int = HISTORY_HOURS) -> None:
        super().__init__(settings=EngineSettings(), rules=rules)
        self.now = START_HOUR * HOUR_NS
        for told in markets:
            self.join(told, history=history)

    @property
    def hour(self) -> int:
        """Now, in hours since 1970."""
        return self.now // HOUR_NS

    def join(self, told: Told, history: int = HISTORY_HOURS) -> StressDesk:
        """List a market and tell its past."""
        self.list_market(told.market, told.venue)
        self.context(told.market, told.venue, oracle_price=1.0, mark_price=1.0)
        self.context(told.market, told.venue, open_interest_base=told.open_interest_usd)
        if history:
            self.tell(past(told, self.hour, history))
        return self

    def become(self, status: MarketStatus, *markets: Told) -> StressDesk:
        """The venues say what may be done in these markets from now on."""
        for one in markets:
            channel = f"{one.venue}/v4_markets"
            self.tell(
                e.MarketStatusSeen(
                    venue=one.venue, channel=channel, market=one.market, status=status
                )
            )
        return self

    def settle_all(self, rate: float, *markets: str) -> StressDesk:
        """Every named market (all of the example, else) settles at ``rate`` this hour."""
        for market in markets or [one.market for one in EXAMPLE]:
            self.tell(settlement(market, rate, self.hour))
        return self

    def later(self, seconds: float) -> StressDesk:
        """Time passes."""
        self.now += round(seconds * 1_000_000_000)
        return self

    def until(self, now: EngineNs) -> StressDesk:
        """Time passes up to ``now``, evaluating whenever the engine asks for it."""
        while True:
            wake = self.evaluate().wake_at_ns
            if wake is None or wake > now:
                self.now = now
                self.evaluate()
                return self
            self.now = max(wake, self.now + 1)
