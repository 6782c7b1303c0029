"""What a person may set about the core: limits of freshness, accounts expected, thresholds.

Plain values; the configuration file is parsed elsewhere and handed in. *Pure.*
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from monitor.core.decision import RuleMode
from monitor.core.formulas.funding import PERSISTENCE_HOURLY
from monitor.core.formulas.funding_stress import StressAnchors
from monitor.core.formulas.leverage import KELLY_FRACTION, RISK_PER_TRADE
from monitor.core.formulas.trades import FEE_RATIO, SLIPPAGE_RATIO, compute_round_trip
from monitor.core.structure import StructureSettings
from monitor.core.types import SECOND_NS


class FreshnessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How old a fact may be, in seconds, by its kind (``design.md`` §1).

    A fact is fresh while the newer of its arrival and its open channel's progress is no older.
    ``majors`` are base assets held to the tighter limits; ``funding_intervals`` counts a market's
    own funding interval, and a settlement may arrive ``settled_slack_s`` late.
    ``feed_cadences`` times a channel's own cadence, at least ``feed_floor_s``, is when its feed
    counts as stale; ``feed_quiet_s`` where it has no cadence.
    """

    majors: tuple[str, ...] = ("BTC", "ETH")  # a set has no order to snapshot
    top_majors_s: float = 10.0
    top_s: float = 60.0
    mark_majors_s: float = 10.0
    mark_s: float = 60.0
    oracle_majors_s: float = 15.0
    oracle_s: float = 60.0
    depth_s: float = 60.0
    open_interest_s: float = 300.0
    status_s: float = 7200.0
    account_s: float = 30.0
    orders_s: float = 120.0
    ledger_s: float = 7200.0
    funding_intervals: float = 2.0
    settled_slack_s: float = 900.0
    block_s: float = 60.0
    venue_status_s: float = 120.0
    clock_skew_s: float = 600.0
    feed_cadences: float = 3.0
    feed_floor_s: float = 10.0
    feed_quiet_s: float = 60.0

    @property
    def shortest_s(self) -> float:
        """The tightest limit that a market's facts are held to, seconds."""
        return min(
            self.top_majors_s,
            self.top_s,
            self.mark_majors_s,
            self.mark_s,
            self.oracle_majors_s,
            self.oracle_s,
            self.open_interest_s,
        )


# The assets of the shared history on which the rules about volatility were tried.
BASKET = (
    "BTC", "ETH", "BNB", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "DOT", "LTC", "ATOM",
)  # fmt: skip
# p99 of a withdrawal with the tail of an outage (sheet *exits-and-congestion* §2); a desk that has
# rehearsed its exits sets its own.
EXIT_MINUTES = 226.0


class LeverageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What leverage caps are made of.

    Args:
        basket: Assets whose mean return is "the market": the reference of betas, and whose
            volatility the portfolio's percentile is of. Those that no watched venue lists are left.
        volatility_target: Volatility a year that leverage 1 should have; the cap is this over the
            volatility there is.
        gross_max: Gross exposure over equity of the whole book at most, before exit times.
        account_gross_max: The same of one account, which may hold one side of a hedge.
        venue_gross_max: The same of all accounts at one venue: money beside the leg counts.
        exit_minutes: (venue, minutes) that leaving takes at worst.
        exit_minutes_default: The same for venues not named.
        price_gap_minutes: Prices further apart make no return; more than ten for recordings that
            are coarser than a minute.
    """

    basket: tuple[str, ...] = BASKET
    volatility_target: float = 0.60
    gross_max: float = 4.0
    account_gross_max: float = 6.5
    venue_gross_max: float = 5.5
    exit_minutes: tuple[tuple[str, float], ...] = ()
    exit_minutes_default: float = EXIT_MINUTES
    price_gap_minutes: float = 10.0


class MarginSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How fast help can be where margin runs out.

    Args:
        reach_minutes: (venue, minutes) that collateral needs to arrive there, or a position to be
            left, at worst.
        reach_minutes_default: The same for venues not named.
        participation_ratio: Share of a market's volume that leaving may be.
        issuers: (token in capitals, who issues it) where the desk says otherwise than riskd.
    """

    reach_minutes: tuple[tuple[str, float], ...] = ()
    reach_minutes_default: float = 60.0
    participation_ratio: float = 0.10
    issuers: tuple[tuple[str, str], ...] = ()

    def reach_s(self, venue: str) -> float:
        """Of one venue, in seconds."""
        return 60.0 * dict(self.reach_minutes).get(venue, self.reach_minutes_default)


class OracleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How far a venue's oracle may be from what others say of the same asset.

    Args:
        majors: Base assets held to ``major_ratio``; the rules on marks name the same ones.
        major_ratio: Deviation from the median of others that is allowed of them, as a fraction.
        other_ratio: The same of all others.
        thresholds: (venue, fraction) that a price must move before its oracle speaks; a venue that
            is not named tells every move.
    """

    majors: tuple[str, ...] = ("BTC", "ETH", "SOL")
    major_ratio: float = 0.01
    other_ratio: float = 0.025
    thresholds: tuple[tuple[str, float], ...] = ()

    def floor(self, asset: str) -> float:
        """Of one asset, fraction of the price."""
        return self.major_ratio if asset in self.majors else self.other_ratio

    def threshold(self, venue: str) -> float:
        """Of one venue's oracle, fraction of the price; 0 where it tells every move."""
        return dict(self.thresholds).get(venue, 0.0)


class CarrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Funding as an expense line.

    Args:
        budget_ratio: What funding may cost in thirty days, as a share of equity.
        persistence_hourly: Share of a rate's distance to its baseline that is left after an hour.
        baselines_hourly: (venue, rate) that funding falls back to, signed fraction per hour.
        isolated_baselines_hourly: The same for markets that can only be held isolated, where that
            differs: dYdX charges those interest (1 bp in 8 h) and the others none.
        baseline_hourly: The same for venues not named: the interest floor of most.
    """

    budget_ratio: float = 0.01
    persistence_hourly: float = PERSISTENCE_HOURLY
    baselines_hourly: tuple[tuple[str, float], ...] = (("dydx", 0.0),)
    isolated_baselines_hourly: tuple[tuple[str, float], ...] = (("dydx", 1.25e-5),)
    baseline_hourly: float = 1.25e-5

    def baseline(self, venue: str, *, only_isolated: bool) -> float:
        """Of a market of one venue, signed fraction per hour."""
        shared = dict(self.baselines_hourly).get(venue, self.baseline_hourly)
        return dict(self.isolated_baselines_hourly).get(venue, shared) if only_isolated else shared


class TradeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How this desk trades: what one trade may lose, what it costs, and what is expected of it.

    Args:
        risk_ratio: What one trade may lose at its stop, as a share of the book's equity.
        stops_required: Whether each position that is no hedge must have a stop. Left False, the
            desk is taken to hold hedged books, and only what has a stop is judged by it.
        holding_hours: How long a trade is held: the horizon of its funding, and what its costs are
            spread over.
        fee_ratios: (venue, taker fee) one way, fraction of notional.
        fee_ratio: The same for venues not named.
        slippage_ratio: Half the spread and the impact of our size, one way.
        drifts: (asset, return a year expected before costs, signed) where the desk has a view.
        kelly_fraction: Share of full Kelly that is taken.
    """

    risk_ratio: float = RISK_PER_TRADE
    stops_required: bool = False
    holding_hours: float = 168.0
    fee_ratios: tuple[tuple[str, float], ...] = ()
    fee_ratio: float = FEE_RATIO
    slippage_ratio: float = SLIPPAGE_RATIO
    drifts: tuple[tuple[str, float], ...] = ()
    kelly_fraction: float = KELLY_FRACTION

    def round_trip(self, venue: str) -> float:
        """Cost of going in and out on one venue, fraction of notional."""
        fee = dict(self.fee_ratios).get(venue, self.fee_ratio)
        return compute_round_trip(fee_ratio=fee, slippage_ratio=self.slippage_ratio)

    def drift(self, asset: str) -> float | None:
        """Return a year that the desk expects of an asset; None where it has no view."""
        return dict(self.drifts).get(asset)


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine must know before the first event.

    Args:
        accounts: (venue, account alias) of every configured account: while one of them is
            unknown, so is every sum over it.
        venues: Names of the configured venues.
        validated: Those of which validators are asked too, beside the venue's own API.
        freshness: Limits of age.
        price_jump_ratio: A price that moves by more than this share in one message is suspect.
        funding_expensive_per_year: |annualized predicted funding| from which a market counts as
            expensive.
        funding_known_ratio_min: Share of markets whose funding must be known for the share of
            expensive ones to mean anything.
        valuation_cadence_s: While prices stream, an account's positions are revalued at most this
            often (at once after a pause, and at once for news about the account itself); 0 for
            every batch.
        transit_s: How long money on its way between own accounts still counts as ours.
        flow_settling_s: How long after a transfer was told the equity may lag behind it.
        markets_max: Markets of one venue that are followed; further ones are ignored and counted.
        acting: False in ``observe``: everything is told as what riskd WOULD HAVE done.
        rule_modes: (rule, mode) where the desk says otherwise than the rulebook.
        margin: How fast help can be where margin runs out.
        leverage: What leverage caps are made of.
        oracles: How far a venue's oracle may be from what others say.
        funding_stress: Anchors of the funding stress index.
        carry: Funding as an expense line.
        trades: How this desk trades.
        structure: Hedge sets, risk buckets and strategies of the desk.
    """

    accounts: tuple[tuple[str, str], ...] = ()
    venues: tuple[str, ...] = ()
    validated: tuple[str, ...] = ()
    freshness: FreshnessSettings = FreshnessSettings()
    price_jump_ratio: float = 0.25
    funding_expensive_per_year: float = 0.50
    funding_known_ratio_min: float = 0.60
    valuation_cadence_s: float = 0.02
    transit_s: float = 21_600.0
    flow_settling_s: float = 120.0
    markets_max: int = 5_000
    acting: bool = False
    rule_modes: tuple[tuple[str, RuleMode], ...] = ()
    margin: MarginSettings = MarginSettings()
    leverage: LeverageSettings = LeverageSettings()
    oracles: OracleSettings = OracleSettings()
    funding_stress: StressAnchors = StressAnchors()
    carry: CarrySettings = CarrySettings()
    trades: TradeSettings = TradeSettings()
    structure: StructureSettings = StructureSettings()


@lru_cache(maxsize=256)  # all markets share one number; there are some dozens of them
def limit_ns(seconds: float) -> int:
    """A limit in seconds as the first age that is too old, nanoseconds."""
    return round(seconds * SECOND_NS) + 1


@lru_cache(maxsize=256)  # likewise
def cadence_ns(seconds: float) -> int:
    """A cadence in seconds as nanoseconds."""
    return round(seconds * SECOND_NS)
