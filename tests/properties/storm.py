"""A funding storm with a crash in it, as venues tell it, and what goes wrong on the way.

Told every half hour with limits of freshness to match, so that one message lost is a gap. The
line drops, delays, repeats and falls silent; who reads the decisions knows what was delivered.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from math import exp, sqrt

from monitor.core import events as e
from monitor.core.settings import EngineSettings, FreshnessSettings, LeverageSettings
from monitor.core.state.series import HOUR_NS
from monitor.core.types import SECOND_NS, MarketStatus
from monitor.rulebook import builtin_files

HL, DYDX = "hyperliquid", "dydx"
TICK_S = 1800
HOUR_TICKS = 3600 // TICK_S
TICKS = 40 * HOUR_TICKS  # the storm, and the day of calm that it takes to end
STORM = (2.0, 10.0)  # hours from the start
CRASH = (4.0, 5.0)
FALL = 0.24
ASSETS = ("BTC", "ETH", "BNB", "SOL", "XRP", "DOGE")
MARKETS = tuple((HL, one) for one in ASSETS) + tuple((DYDX, f"{one}-USD") for one in ASSETS[:2])
# (market: size at a price of 100), long more than short: it loses in the crash.
HELD = {HL: {"BTC": 80, "SOL": 80}, DYDX: {"ETH-USD": -30, "BTC-USD": 30}}
CASH = {HL: 10_000.0, DYDX: 8_000.0}
START_NS = 1_800_000_000 // 3600 * 3600 * SECOND_NS
START_HOUR = START_NS // HOUR_NS
CALM_RATE, STORM_RATE = 1.25e-5, 2.5e-4
AGE_S = 0.9 * TICK_S  # every fact may be as old as this
TIERS = (e.MarginTier(0.0, 0.05, 0.025),)

SETTINGS = EngineSettings(
    accounts=((HL, "main"), (DYDX, "main")),
    venues=(HL, DYDX),
    freshness=FreshnessSettings(
        top_majors_s=AGE_S,
        top_s=AGE_S,
        mark_majors_s=AGE_S,
        mark_s=AGE_S,
        oracle_majors_s=AGE_S,
        oracle_s=AGE_S,
        depth_s=AGE_S,
        open_interest_s=AGE_S,
        account_s=AGE_S,
        block_s=AGE_S,
    ),
    leverage=LeverageSettings(basket=ASSETS, price_gap_minutes=35.0),
    acting=True,
)


def price_at(hours: float) -> float:
    """Of every asset: a crash that half recovers over the day after, and noise."""
    noise = 0.002 * (round(hours * HOUR_TICKS) % 3 - 1)
    began, ended = CRASH
    if hours <= began:
        fall = 0.0
    elif hours <= ended:
        fall = FALL * (hours - began) / (ended - began)
    else:
        fall = FALL * max(1.0 - (hours - ended) / 6.0, 0.0)
    return 100.0 * (1.0 - fall) * (1.0 + noise)


def rate_at(hours: float) -> float:
    """Funding of every market, signed fraction per hour; never twice the same in a row."""
    rate = STORM_RATE if STORM[0] <= hours < STORM[1] else CALM_RATE
    return rate * (1.0 + 0.01 * (int(hours) % 5))


def opening() -> list[e.Event]:
    """Rules, listings, open channels and what the venues' histories say of before."""
    told: list[e.Event] = [e.RulebookLoaded(files=builtin_files(), loaded_by="test")]
    for venue, market in MARKETS:
        told.append(
            e.MarketListed(
                venue=venue,
                channel=f"{venue}/meta",
                market=market,
                asset=market.removesuffix("-USD"),
                status=MarketStatus.ACTIVE,
                has_mark=venue == HL,
                funding_interval_s=3600,
                margin_tiers=TIERS,
                size_step=Decimal("0.1"),
            )
        )
        told.extend(_past(venue, market))
        told.extend(
            e.ChannelOpened(
                venue=venue, channel=channel, feed=channel.split("/")[1], cadence_s=TICK_S
            )
            for channel in (f"{venue}/ctx/{market}", f"{venue}/settled/{market}")
        )
    for venue in HELD:
        for source in ("stream", "truth"):
            channel = f"{venue}/account.{source}/main"
            told.append(
                e.ChannelOpened(
                    venue=venue, channel=channel, feed=f"account.{source}", cadence_s=TICK_S
                )
            )
    return told


def _past(venue: str, market: str) -> Iterator[e.Event]:
    rates = tuple(
        ((START_HOUR - back) * HOUR_NS, CALM_RATE * (1.0 + 0.1 * (back % 3 - 1)))
        for back in range(743, 0, -1)
    )
    channel = f"{venue}/history/{market}"
    yield e.FundingHistorySeen(venue=venue, channel=channel, market=market, rates=rates)
    move = 0.60 / sqrt(8760)  # sixty percent a year, up and down
    closes = tuple(
        (START_NS - back * HOUR_NS, price_at(0.0) * exp(move * (back % 2)))
        for back in range(1700, 0, -1)
    )
    yield e.PriceHistorySeen(venue=venue, channel=channel, market=market, closes=closes)


def tick(number: int) -> list[e.Event]:
    """Everything that both venues say at one tick."""
    now = START_NS + number * TICK_S * SECOND_NS
    hours = number * TICK_S / 3600
    price, rate = price_at(hours), rate_at(hours)
    told: list[e.Event] = []
    for venue, market in MARKETS:
        told.append(
            e.MarketContextSeen(
                venue=venue,
                channel=f"{venue}/ctx/{market}",
                venue_time_ns=now,
                market=market,
                mark_price=price if venue == HL else None,
                oracle_price=price,
                predicted_funding_rate_hourly=rate,
                open_interest_base=1e6,
            )
        )
        if number % HOUR_TICKS == 0:
            told.append(
                e.FundingSettled(
                    venue=venue,
                    channel=f"{venue}/settled/{market}",
                    venue_time_ns=now,
                    market=market,
                    funding_rate_hourly=rate,
                    native_funding_rate=rate,
                    native_funding_interval_s=3600,
                    settled_at_ns=now,
                )
            )
    for venue, held in HELD.items():
        for source in ("stream", "truth"):
            told.extend(_account(venue, held, source, number, now, price))
    return told


def equity_at(venue: str, price: float) -> float:
    """What the venue states at this price."""
    return CASH[venue] + sum(size * (price - 100.0) for size in HELD[venue].values())


def _account(
    venue: str, held: dict[str, int], source: str, number: int, now: int, price: float
) -> Iterator[e.Event]:
    channel = f"{venue}/account.{source}/main"
    cash = CASH[venue] - sum(size * 100.0 for size in held.values())
    yield e.AccountReported(
        venue=venue,
        channel=channel,
        venue_time_ns=now,
        account="main",
        source=source,
        equity_usd=Decimal(repr(equity_at(venue, price))) if venue == HL else None,
        cash_usd=Decimal(repr(cash)),
        height=number + 1,
    )
    yield e.PositionsReported(
        venue=venue,
        channel=channel,
        venue_time_ns=now,
        account="main",
        source=source,
        complete=True,
        positions=tuple(
            e.PositionReport(market=market, size=Decimal(size)) for market, size in held.items()
        ),
        height=number + 1,
    )


@dataclass(frozen=True)
class Line:
    """What is delivered, tick by tick: ``share`` of the messages lost, as many late (out of order)
    and as many told again when they are stale; and venues that fall silent for hours."""

    seed: int
    share: float = 0.05
    silences: tuple[tuple[str, float, float], ...] = ()  # (venue, from hour, to hour)

    def ticks(self) -> Iterator[tuple[int, list[e.Event]]]:
        """(engine time, what arrives) of every tick."""
        chance = random.Random(self.seed)  # noqa: S311 - the same storm every time
        waiting: dict[int, list[e.Event]] = {}
        for number in range(TICKS):
            arriving = waiting.pop(number, [])
            for event in tick(number):
                if self._silent(event, number):
                    continue
                drawn = chance.random()
                if drawn < self.share:
                    continue
                if drawn < 2 * self.share:
                    waiting.setdefault(number + chance.randint(1, 3), []).append(event)
                    continue
                if drawn < 3 * self.share:
                    waiting.setdefault(number + chance.randint(1, 6), []).append(event)
                arriving.append(event)
            chance.shuffle(arriving)
            yield START_NS + number * TICK_S * SECOND_NS, arriving

    def _silent(self, event: e.Event, number: int) -> bool:
        hours = number * TICK_S / 3600
        venue = getattr(event, "venue", "")
        return any(venue == one and begins <= hours < ends for one, begins, ends in self.silences)
