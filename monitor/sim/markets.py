"""One perpetual market of a simulated venue: prices, book, funding, open interest, trades, bars.

Prices live as floats (nature) and are handed out as ``Decimal`` on the venue's own grid, because
accounts reckon with exactly what the venue says. Everything a server may show is computed from the
market's present state on request; only ``step`` changes it.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from itertools import islice
from statistics import median

import msgspec

from monitor.core.types import MarketStatus
from monitor.sim.books import (
    EMPTY_BOOK,
    Book,
    BookSource,
    Level,
    Liquidity,
    impact_price,
    top_of_book,
)
from monitor.sim.funding import HOUR_S, FundingMeter, FundingRow, FundingTerms, as_rate
from monitor.sim.market_spec import MarketSpec
from monitor.sim.past import BAR_HOURS, SETTLED_HOURS, Bar, Past, fold
from monitor.sim.prices import DAY_S, ORACLE_PERIOD_S, Asset

MARK_AVERAGE_S = 150.0
TRADES_KEPT = 200
OPEN_INTEREST_PERIOD_S = 15.0
BARS_KEPT = 3_000


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One print of the tape; ``side`` is the aggressor's, ``buy`` or ``sell``."""

    trade_id: int
    time_s: float
    side: str
    price: Decimal
    size: Decimal
    liquidation: bool = False


@dataclass(slots=True)
class SimMarket:
    """A market now. Floats are USD; see the properties for what the venue would print."""

    spec: MarketSpec
    asset: Asset
    rng: random.Random
    salt: int
    now_s: float
    oracle: float
    mark: float
    own_premium: float = 0.0
    basis_average: float = 0.0
    last_trade: float = 0.0
    open_interest: float = 0.0
    status: MarketStatus = MarketStatus.ACTIVE
    liquidity_factor: float = 1.0
    spread_factor: float = 1.0
    epoch: int = 0
    oracle_due_s: float = 0.0
    interest_due_s: float = 0.0
    meter: FundingMeter = field(default_factory=lambda: FundingMeter(FundingTerms()))
    funding_index: Decimal = Decimal(0)  # USD per base unit that a long has paid since the start
    trades: deque[Trade] = field(default_factory=lambda: deque(maxlen=TRADES_KEPT))
    next_trade_id: int = 1
    past: Past | None = None
    settled_written: bool = False
    bars_written: bool = False
    hours_written: bool = False
    _settled: deque[FundingRow] = field(default_factory=lambda: deque(maxlen=SETTLED_HOURS * 2))
    _bars: deque[Bar] = field(default_factory=lambda: deque(maxlen=BARS_KEPT))
    _hours: deque[Bar] = field(default_factory=lambda: deque(maxlen=BAR_HOURS))
    _book: tuple[int, Book] | None = None
    _book_source: BookSource | None = None
    _day: tuple[tuple[int, int], tuple[float, float, float]] | None = None
    _printed_mark: tuple[float, Decimal] | None = None  # of the mark it was printed from
    _printed_oracle: tuple[float, Decimal] | None = None
    eaten: tuple[int, dict[tuple[int, Decimal], Decimal]] = (-1, {})  # see ``orders``

    # ------------------------------------------------------------------ what the venue prints

    @property
    def settled(self) -> deque[FundingRow]:
        """Settlements, oldest first, from ``SETTLED_HOURS`` before the start."""
        if self.past is not None and not self.settled_written:
            self.settled_written = True
            past = self.past.settlements(self.oracle_at(self.past.price))
            # What a deque would drop on the right is kept: the newest matters.
            self._settled = deque([*past, *self._settled], maxlen=self._settled.maxlen)
        return self._settled

    @settled.setter
    def settled(self, rows: deque[FundingRow]) -> None:
        self._settled = rows

    @property
    def bars(self) -> deque[Bar]:
        """Minute bars, oldest first, from a day before the start."""
        if self.past is not None and not self.bars_written:
            self.bars_written = True
            self._bars = deque([*self.past.minutes(), *self._bars], maxlen=self._bars.maxlen)
        return self._bars

    @bars.setter
    def bars(self, rows: deque[Bar]) -> None:
        self._bars = rows

    def bars_of(self, width_s: int) -> list[Bar]:
        """What bars of ``width_s`` are made of, oldest first: minutes and, where whole hours will
        do, the hours before the first of them."""
        minutes = list(self.bars)
        if width_s % HOUR_S or not minutes:
            return minutes
        if self.past is not None and not self.hours_written:
            self.hours_written = True
            self._hours = deque([*self.past.hours(), *self._hours], maxlen=BAR_HOURS)
        first_s = minutes[0].start_s
        return [*(hour for hour in self._hours if hour.start_s + HOUR_S <= first_s), *minutes]

    @property
    def day(self) -> tuple[float, float, float]:
        """(USD traded, base traded, first price) over the last 24 hours."""
        bars = self.bars
        if not bars:
            return 0.0, 0.0, self.mark
        since = self.now_s - DAY_S
        running = bars[-1]
        # All but the running minute changes once a minute; there are 1,440 of them.
        key = (running.start_s, math.ceil(since / 60.0))
        if self._day is None or self._day[0] != key:
            rows = [bar for bar in bars if bar.start_s >= since and bar is not running]
            usd = sum(bar.volume * bar.close for bar in rows)
            self._day = (
                key,
                (usd, sum(bar.volume for bar in rows), (rows or [running])[0].open),
            )
        usd, base, opened = self._day[1]
        return usd + running.volume * running.close, base + running.volume, opened

    @property
    def symbol(self) -> str:
        """The venue's own name of the market."""
        return self.spec.symbol

    @property
    def tick(self) -> Decimal:
        """The present price step; follows the price where the venue limits significant figures."""
        return self.tick_at(self.mid)

    @property
    def size_step(self) -> Decimal:
        """The smallest size."""
        return _step_of(self.spec.size_decimals)

    @property
    def tradable(self) -> bool:
        """Whether anybody quotes; a delisted market keeps its name and nothing else."""
        return self.status is MarketStatus.ACTIVE

    @property
    def oracle_price(self) -> Decimal:
        """The venue's last oracle price."""
        if self._printed_oracle is None or self._printed_oracle[0] != self.oracle:
            self._printed_oracle = (self.oracle, self.oracle_at(self.oracle))
        return self._printed_oracle[1]

    def oracle_at(self, price: float) -> Decimal:
        """``price`` as the venue's oracle would print it."""
        decimals = self.spec.oracle_decimals
        if decimals is None:
            return self._on_grid(price)
        return Decimal(repr(price)).quantize(_step_of(decimals), ROUND_HALF_EVEN)

    @property
    def mark_price(self) -> Decimal:
        """The price that margins positions: the mark, or the oracle where the venue has none."""
        if not self.spec.has_mark:
            return self.oracle_price
        if self._printed_mark is None or self._printed_mark[0] != self.mark:
            self._printed_mark = (self.mark, self._on_grid(self.mark))
        return self._printed_mark[1]

    @property
    def mid_price(self) -> Decimal | None:
        """Middle of the best bid and ask; None when nobody quotes."""
        top = self.top
        return None if top is None else (top[0] + top[1]) / 2

    @property
    def top(self) -> tuple[Decimal, Decimal] | None:
        """(best bid, best ask) without making the book; None when nobody quotes."""
        return self._top() if self.tradable else None

    @property
    def book(self) -> Book:
        """The whole book, best first."""
        if not self.tradable:
            return EMPTY_BOOK
        if self._book is None or self._book[0] != self.epoch:
            self._book = (self.epoch, self._quotes().book())
        return self._book[1]

    @property
    def levels(self) -> tuple[Iterable[Level], Iterable[Level]]:
        """Bids and asks of the book, best first, for whoever looks at the first few: where nobody
        has asked for the whole, the rest is not made."""
        if not self.tradable or (self._book is not None and self._book[0] == self.epoch):
            return self.book.bids, self.book.asks
        source = self._quotes()
        return source.bids(), source.asks()

    @property
    def best(self) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """The best level of each side of the book, without making the rest; () where none is."""
        if not self.tradable:
            return (), ()
        source = self._quotes()
        return tuple(islice(source.bids(), 1)), tuple(islice(source.asks(), 1))

    @property
    def impact_prices(self) -> tuple[Decimal, Decimal] | None:
        """(bid, ask) at which the impact notional would trade; None when a side is too thin."""
        if not self.tradable:
            return None
        source = self._source()
        bid = impact_price(source.bids(), self.spec.impact_notional_usd)
        ask = impact_price(source.asks(), self.spec.impact_notional_usd)
        return None if bid is None or ask is None else (self._near_grid(bid), self._near_grid(ask))

    @property
    def premium(self) -> Decimal | None:
        """Premium from impact prices against the oracle, a fraction; None without both sides."""
        return self.premium_of(self.impact_prices)

    def premium_of(self, impact: tuple[Decimal, Decimal] | None) -> Decimal | None:
        """The premium that impact prices (bid, ask) make; None without them."""
        oracle = self.oracle_price
        if impact is None:
            return None
        if self.spec.averages_impact:
            return (impact[0] + impact[1]) / 2 / oracle - 1
        return (max(impact[0] - oracle, Decimal(0)) - max(oracle - impact[1], Decimal(0))) / oracle

    @property
    def funding_rate_hourly(self) -> Decimal:
        """Running estimate of the rate of the next settlement, fraction per hour."""
        rate = self.meter.published
        return as_rate(self.meter.rate_hourly(0.0, settled=True) if rate is None else rate)

    @property
    def open_interest_base(self) -> Decimal:
        """Open interest of one side, base units."""
        return Decimal(round(self.open_interest / float(self.size_step))) * self.size_step

    @property
    def mid(self) -> float:
        """Where this market trades, before rounding, USD."""
        price = self.asset.index * (1.0 + self.asset.premium + self.own_premium)
        return price * self.spec.multiplier

    def tick_at(self, price: float) -> Decimal:
        """The price step at ``price``."""
        return _step_of(self.decimals_at(price))

    def decimals_at(self, price: float) -> int:
        """How many decimals a price of about ``price`` is printed with."""
        figures = self.spec.significant_figures
        decimals = self.spec.price_decimals
        if figures and price > 0:
            decimals = min(decimals, figures - 1 - math.floor(math.log10(price)))
        return max(0, decimals) if figures else decimals

    # --------------------------------------------------------------------------------- margin

    def maintenance_margin(self, notional_usd: Decimal) -> Decimal:
        """Maintenance margin of a position, tier by tier (equal to rate x notional - deduction)."""
        total = Decimal(0)
        for number, tier in enumerate(self.spec.tiers):
            if notional_usd <= tier.lower_bound_usd:
                break
            above = self.spec.tiers[number + 1 :]
            top = min(notional_usd, above[0].lower_bound_usd) if above else notional_usd
            total += (top - tier.lower_bound_usd) * tier.maintenance_rate
        return total

    @property
    def initial_rate(self) -> Decimal:
        """The lowest initial margin rate now; dYdX's rises with open interest between its caps."""
        base = self.spec.tiers[0].initial_rate
        lower, upper = self.spec.open_interest_lower_cap_usd, self.spec.open_interest_upper_cap_usd
        if lower is None or upper is None or upper == 0:
            return base
        notional = self.open_interest_base * self.oracle_price
        if notional <= lower:
            return base
        if notional >= upper:
            return Decimal(1)
        scaled = base + (1 - base) * (notional - lower) / (upper - lower)
        return scaled.quantize(Decimal("0.000001"), rounding="ROUND_FLOOR")

    # ---------------------------------------------------------------------------------- change

    def step(self, to_s: float, *, oracle_frozen: bool, oracle_share: float = 1.0) -> bool:
        """Follow the asset to ``to_s``; returns whether the oracle (and mark) moved. The oracle
        prints ``oracle_share`` times the price."""
        seconds, self.now_s = to_s - self.now_s, to_s
        self.epoch += 1
        if not self.tradable:
            return False
        self.own_premium += -self.own_premium * min(1.0, seconds / 60.0)
        self.own_premium += 0.00002 * math.sqrt(seconds) * self.rng.gauss(0.0, 1.0)
        self._step_tape(to_s, seconds)
        if to_s >= self.interest_due_s:
            self.interest_due_s = to_s + OPEN_INTEREST_PERIOD_S
            usual = self.spec.open_interest_usd / (self.spec.multiplier * self.asset.spec.price)
            self.open_interest += (usual - self.open_interest) * 0.001
            self.open_interest *= 1.0 + 0.0004 * self.rng.gauss(0.0, 1.0)
        moved = to_s >= self.oracle_due_s
        if moved:
            self.oracle_due_s = to_s + ORACLE_PERIOD_S
            if not oracle_frozen:
                self.oracle = self.asset.index * self.spec.multiplier * oracle_share
            self._step_mark(seconds=ORACLE_PERIOD_S)
        if to_s >= self.meter.due_s:
            self.sample(to_s)
        return moved

    def sample(self, now_s: float) -> None:
        """Take a premium sample for funding."""
        premium = self.premium
        self.meter.sample(0.0 if premium is None else float(premium), now_s)

    def settle_funding(self, time_s: float) -> FundingRow:
        """Charge the hour: append and return its row and move the funding index."""
        rate, premium = self.meter.settle()
        row = FundingRow(time_s, as_rate(rate), as_rate(premium), self.oracle_price)
        self._settled.append(row)
        self.funding_index += row.rate_hourly * row.price
        return row

    def record_trade(
        self, time_s: float, side: str, price: Decimal, size: Decimal, *, liquidation: bool = False
    ) -> Trade:
        """Print one trade."""
        trade = Trade(self.next_trade_id, time_s, side, price, size, liquidation)
        self.next_trade_id += 1
        self.trades.append(trade)
        self.last_trade = float(price)
        self._bar(time_s, float(price), float(size))
        return trade

    def _quotes(self) -> BookSource:
        """What the book is made of until the market is stepped again: a halted one stands still."""
        if self._book_source is None or self._book_source.epoch != self.epoch:
            self._book_source = self._source()
        return self._book_source

    def _top(self) -> tuple[Decimal, Decimal]:
        mid = self.mid
        half = self.spec.half_spread_ratio * self.spread_factor
        return top_of_book(mid, self.tick_at(mid), half)

    def source_liquidity(self) -> Liquidity:
        """The liquidity curve now, with the scenario's factors."""
        return Liquidity(
            half_spread_ratio=self.spec.half_spread_ratio * self.spread_factor,
            depth_25bp_usd=self.spec.depth_25bp_usd * self.liquidity_factor,
        )

    def _source(self) -> BookSource:
        mid = self.mid
        return BookSource(
            mid=mid,
            tick=self.tick_at(mid),
            size_step=self.size_step,
            liquidity=self.source_liquidity(),
            salt=self.salt,
            epoch=self.epoch,
        )

    def _step_mark(self, seconds: float) -> None:
        # The venue's own rule: median of the oracle plus the slow basis, the book with the last
        # trade, and perpetuals elsewhere.
        mid = self.mid
        half = self.spec.half_spread_ratio * self.spread_factor
        weight = 1.0 - math.exp(-seconds / MARK_AVERAGE_S)
        self.basis_average += (mid - self.oracle - self.basis_average) * weight
        book = median((mid * (1.0 - half), mid * (1.0 + half), self.last_trade or mid))
        elsewhere = self.asset.mark * self.spec.multiplier
        self.mark = median((self.oracle + self.basis_average, book, elsewhere))

    def _step_tape(self, to_s: float, seconds: float) -> None:
        if self.rng.random() >= self.spec.trades_per_minute * seconds / 60.0:
            self._bar(to_s, self.mid, 0.0)
            return
        bid, ask = self._top()
        side = "buy" if self.rng.random() < 0.5 else "sell"
        usd = self.spec.depth_25bp_usd * 0.002 * self.rng.expovariate(1.0)
        units = max(1, round(usd / float(ask) / float(self.size_step)))
        self.record_trade(to_s, side, ask if side == "buy" else bid, units * self.size_step)

    def _bar(self, time_s: float, price: float, size: float) -> None:
        start = int(time_s // 60) * 60
        if not self._bars or self._bars[-1].start_s != start:
            if self._bars and self._bars[-1].start_s // HOUR_S != start // HOUR_S:
                ended = self._bars[-1].start_s // HOUR_S
                self._hours += fold(bar for bar in self._bars if bar.start_s // HOUR_S == ended)
            first = self._bars[-1].close if self._bars else price
            self._bars.append(Bar(start, first, first, first, first, 0.0, 0))
        bar = self._bars[-1]
        bar.high, bar.low, bar.close = max(bar.high, price), min(bar.low, price), price
        bar.volume += size
        bar.trades += size > 0

    def _on_grid(self, price: float) -> Decimal:
        tick = self.tick_at(price)
        return (Decimal(repr(price)) / tick).quantize(Decimal(1), ROUND_HALF_EVEN) * tick

    def _near_grid(self, price: Decimal) -> Decimal:
        # Impact prices are printed one digit finer than the tick, as recorded contexts show.
        return price.quantize(self.tick_at(float(price)) / 10, ROUND_HALF_EVEN)


@lru_cache(maxsize=64)
def _step_of(decimals: int) -> Decimal:
    """The step of a grid of so many decimals; printed prices ask for it all the time."""
    return Decimal(1).scaleb(-decimals)


def make_market(spec: MarketSpec, asset: Asset, seed: int, venue: str, start_s: float) -> SimMarket:
    """A fresh market, with a past."""
    rng = random.Random(f"{seed}/{venue}/{spec.symbol}")  # noqa: S311 - nature, not a secret
    price = asset.index * spec.multiplier
    market = SimMarket(
        spec=spec,
        asset=asset,
        rng=rng,
        salt=rng.getrandbits(31),
        now_s=start_s,
        oracle=price,
        mark=price,
        last_trade=price,
        open_interest=spec.open_interest_usd / price,
        status=spec.status,
        meter=FundingMeter(spec.terms),
    )
    # Minute samples are taken at half past the minute, as dYdX does.
    period = spec.terms.sample_period_s
    market.meter.due_s = (start_s // period) * period + period / 2
    market.past = Past(seed, f"{venue}/{spec.symbol}", start_s, price, asset.spec, spec)
    return market
