"""Funding rates of markets, open interest, and how much of a venue is expensive to hold. *Pure.*"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from monitor.core.formulas.funding import annualize_hourly_rate
from monitor.core.measures.definition import ABSENT, Definition, define
from monitor.core.measures.prices import margin_price, read_oracle
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import MarketNode, PortfolioNode, VenueNode
from monitor.core.measures.use import FOREVER_NS, Use
from monitor.core.state.belief import RESTS_NS
from monitor.core.state.facts import Lack, MarketBit
from monitor.core.state.model import MarketState, RiskState, VenueState
from monitor.core.types import SECOND_NS, EngineNs, MarketStatus, Subject, SubjectKind

_MARKET = (SubjectKind.MARKET,)
_WIDE = (SubjectKind.VENUE, SubjectKind.PORTFOLIO)
_GONE = frozenset({MarketStatus.FINAL_SETTLEMENT, MarketStatus.DELISTED})


def read_predicted(node: MarketNode, use: Use) -> float | None:
    """Funding predicted for the settlement to come, fraction per hour; None while not known."""
    fact = node.market.predicted
    if fact.value is None:
        use.absent("predicted funding was never told")
        return None
    return fact.value if use.fresh(fact, node.predicted_limit, "predicted funding") else None


def _annualized(node: MarketNode, use: Use) -> float | None:
    rate = read_predicted(node, use)
    return None if rate is None else annualize_hourly_rate(rate)


def _preview_annualized(node: MarketNode) -> float:
    rate = node.market.predicted.value
    return ABSENT if rate is None else annualize_hourly_rate(rate)


def _settled(node: MarketNode, use: Use) -> float | None:
    """The newest settlement, by its own time: telling an old one again does not make it new."""
    fact = node.market.settled
    if fact.value is None:
        use.absent("no settlement was told", Lack.HISTORY)
        return None
    expires = fact.settled_at_ns + node.settled_limit
    if expires <= use.now:
        use.absent("the newest settlement is too old")
        return None
    use.as_of = min(use.as_of, fact.settled_at_ns)
    use.expires = min(use.expires, expires)
    use.observed = min(use.observed, fact.settled_at_ns)
    return fact.value


def _open_interest(node: MarketNode, use: Use) -> float | None:
    fact = node.market.open_interest
    if fact.value is None:
        use.absent("open interest was never told")
        return None
    return fact.value if use.fresh(fact, node.open_interest_limit, "open interest") else None


def _open_interest_usd(node: MarketNode, use: Use) -> float | None:
    base = _open_interest(node, use)
    if base is None:
        return None
    price = read_oracle(node, use)
    if price is None:
        price = margin_price(node, use)
    return None if price is None else base * price


def stood_still_until(venue: VenueState, majors: Collection[str], now: EngineNs) -> EngineNs:
    """When a venue last told its oracles again and again and no major's price ever changed; 0 for
    never. The premium, and with it funding, then measured how far the market ran from a dead
    number. A venue that tells only changes is never caught by it."""
    since, until, resting = 0, now, False
    for market in venue.markets.values():
        oracle = market.oracle
        if not oracle.changed_ns or market.asset not in majors or market.dex:
            continue
        if market.status.value is not MarketStatus.ACTIVE:
            continue
        rests = oracle.seen_ns - oracle.changed_ns >= RESTS_NS
        started, ended = (oracle.changed_ns, now) if rests else oracle.rested
        since, until, resting = max(since, started), min(until, ended), True
    return until if resting and until - since >= RESTS_NS else 0


def is_open(market: MarketState) -> bool:
    """Whether what a market charges is its traders' doing. One of which no status was told is taken
    to be: what is not known is not left out."""
    return market.status.value in {None, MarketStatus.ACTIVE}


def has_say(state: RiskState, market: MarketState) -> bool:
    """Whether a market belongs to what is said of funding across markets. One that is paused, or
    whose status nobody can read, does: a hot market that closes must not cool the rest. One that
    is gone for good does not, nor one that opens still, of which nothing was ever held or
    settled."""
    if not market.listed or market.status.value in _GONE:
        return False
    opens = market.status.value is MarketStatus.INITIALIZING
    return not opens or bool(market.open_interest.value) or market.subject in state.funding


class Census:
    """Markets counted, and how many of them have known and expensive funding. One that is not open
    counts and is not known. Those of a venue whose oracle stands still, or stood within the
    interval that funding is averaged over, are known, and say nothing about what the market asks.

    ``dear``, where it is given, is filled with the expensive ones: fraction per year, signed, and
    market.
    """

    def __init__(
        self,
        venues: Iterable[VenueState],
        use: Use,
        dear: list[tuple[float, MarketState]] | None = None,
    ) -> None:
        self.count = self.known = self.expensive = self.closed = 0
        self.meaningless: dict[Subject, int] = {}  # by venue
        self.as_of, self.observed, self.expires = use.now, 0, FOREVER_NS
        freshness = use.settings.freshness
        threshold = use.settings.funding_expensive_per_year
        pen, _ = use.sides
        active = MarketStatus.ACTIVE
        for venue in venues:
            dead_ns = stood_still_until(venue, freshness.majors, use.now)
            for market in venue.markets.values():
                status = market.status.value
                if status is not None and status is not active:
                    closed = has_say(use.state, market)
                    self.count += closed
                    self.closed += closed
                    continue
                if not market.listed:
                    continue
                self.count += 1
                fact = market.predicted
                limit_s = freshness.funding_intervals * market.funding_interval_s
                limit = round(limit_s * SECOND_NS) + 1
                pen.begin(use.now)
                if fact.value is None or not pen.fresh(fact, limit, "funding"):
                    continue
                self.known += 1
                self.as_of = min(self.as_of, pen.as_of)
                self.expires = min(self.expires, pen.expires)
                self.observed = max(self.observed, pen.observed)
                if dead_ns and use.now - dead_ns < market.funding_interval_s * SECOND_NS:
                    self.meaningless[venue.subject] = self.meaningless.get(venue.subject, 0) + 1
                elif abs(annualize_hourly_rate(fact.value)) >= threshold:
                    self.expensive += 1
                    if dear is not None:
                        dear.append((annualize_hourly_rate(fact.value), market))

    @property
    def counted(self) -> int:
        """Known markets whose funding means something."""
        return self.known - sum(self.meaningless.values())

    def known_ratio(self, use: Use) -> float | None:
        """Share of markets whose funding is known."""
        if not self.count:
            use.absent("no market is known")
            return None
        if self.known:
            # A share over many is observed anew when any of them is.
            use.as_of, use.observed, use.expires = self.as_of, self.observed, self.expires
        return self.known / self.count

    def expensive_ratio(self, use: Use) -> float | None:
        """Share of those that count that are expensive; None while too few count."""
        if self.known_ratio(use) is None:
            return None
        counted = self.counted
        if counted < use.settings.funding_known_ratio_min * self.count:
            # Named, so that whoever cannot judge by it, wherever, is told of as one.
            dead = "".join(
                f"; {count} more rest on the dead oracle of {venue}"
                for venue, count in self.meaningless.items()
            )
            closed = f"; {self.closed} more are not open" if self.closed else ""
            use.absent(f"funding is known for only {counted} of {self.count} markets{closed}{dead}")
            return None
        return self.expensive / counted if counted else None

    def worst_ratio(self, use: Use) -> float | None:
        """The same with every market expensive that does not count."""
        if self.expensive_ratio(use) is None:
            return None
        return (self.expensive + self.count - self.counted) / self.count


def venues_of(node: VenueNode | PortfolioNode, use: Use) -> list[VenueState]:
    """Of a venue it, of the portfolio all."""
    return [node.venue] if isinstance(node, VenueNode) else list(use.state.venues.values())


def _expensive_share(node: VenueNode | PortfolioNode, use: Use) -> float | None:
    return Census(venues_of(node, use), use).expensive_ratio(use)


def _worst_share(node: PortfolioNode, use: Use) -> float | None:
    return Census(venues_of(node, use), use).worst_ratio(use)


def _known_share(node: VenueNode | PortfolioNode, use: Use) -> float | None:
    return Census(venues_of(node, use), use).known_ratio(use)


def _rate(name: str, unit: Unit, help_text: str, typical: tuple[float, float]) -> MeasureSpec:
    # 4 % per hour is the steepest cap of any venue; ten times that is a unit error.
    high = 0.4 if unit is Unit.PER_HOUR else 3600.0
    return MeasureSpec(
        name=name,
        kinds=_MARKET,
        unit=unit,
        help=help_text,
        low=-high,
        high=high,
        typical=typical,
    )


_EXPENSIVE = MeasureSpec(
    name="funding_expensive_share_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help=(
        "Share of markets whose annualized predicted funding is at or beyond the configured "
        "threshold, either sign; absent while too few are known, and without the markets that are "
        "not open or of a venue whose oracle stands still."
    ),
    low=0.0,
    high=1.0,
    cadence_s=1.0,
    typical=(0.05, 0.6),
)
_WORST = MeasureSpec(
    name="funding_expensive_worst_share_ratio",
    kinds=(SubjectKind.PORTFOLIO,),
    unit=Unit.RATIO,
    help=(
        "Share of markets with expensive funding were every market expensive whose funding is not "
        "known or means nothing: what is missing cannot end an alert."
    ),
    low=0.0,
    high=1.0,
    cadence_s=1.0,
    typical=(0.05, 0.6),
)
_KNOWN = MeasureSpec(
    name="funding_markets_known_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help=(
        "Share of markets whose predicted funding is known and fresh; of one that is not open it "
        "is not."
    ),
    low=0.0,
    high=1.0,
    cadence_s=1.0,
    typical=(1.0, 0.5),
)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        _rate(
            "funding_rate_hourly",
            Unit.PER_HOUR,
            "Predicted funding for the settlement to come, fraction per hour; > 0: longs pay.",
            (0.0000125, 0.001),
        ),
        SubjectKind.MARKET,
        read_predicted,
        bits=MarketBit.PREDICTED,
        preview=lambda node: node.market.predicted.value,
    ),
    define(
        _rate(
            "funding_rate_settled_hourly",
            Unit.PER_HOUR,
            "Funding charged at the newest settlement, fraction per hour; > 0: longs pay.",
            (0.0000125, 0.001),
        ),
        SubjectKind.MARKET,
        _settled,
        bits=MarketBit.SETTLED,
    ),
    define(
        _rate(
            "funding_rate_annualized",
            Unit.PER_YEAR,
            "Predicted funding times 8760, fraction per year; > 0: longs pay.",
            (0.11, 8.76),
        ),
        SubjectKind.MARKET,
        _annualized,
        bits=MarketBit.PREDICTED,
        preview=_preview_annualized,
    ),
    define(
        MeasureSpec(
            name="open_interest_base",
            kinds=_MARKET,
            unit=Unit.BASE,
            help="Open interest, one side, base units.",
            low=0.0,
            typical=(10_000.0, 1_000.0),
        ),
        SubjectKind.MARKET,
        _open_interest,
        bits=MarketBit.OPEN_INTEREST,
        preview=lambda node: node.market.open_interest.value,
    ),
    define(
        MeasureSpec(
            name="open_interest_usd",
            kinds=_MARKET,
            unit=Unit.USD,
            help="Open interest, one side, at the oracle price, USD.",
            low=0.0,
            typical=(5e8, 5e7),
        ),
        SubjectKind.MARKET,
        _open_interest_usd,
        bits=MarketBit.OPEN_INTEREST | MarketBit.ORACLE | MarketBit.MARK,
    ),
    define(_EXPENSIVE, SubjectKind.VENUE, _expensive_share),
    define(_EXPENSIVE, SubjectKind.PORTFOLIO, _expensive_share),
    define(_WORST, SubjectKind.PORTFOLIO, _worst_share),
    define(_KNOWN, SubjectKind.VENUE, _known_share),
    define(_KNOWN, SubjectKind.PORTFOLIO, _known_share),
)
