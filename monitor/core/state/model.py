"""The risk state: a tree that one ``msgspec.msgpack.encode`` turns into a snapshot and back.

Nothing here computes. ``dirty`` holds (subject, fact bits) told since the last evaluation, in
order; ``appeared`` the subjects that are new. Everything is bounded by the venues' universes, the
configured accounts and windows of a day (a week for transfers). *Pure.*
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from monitor.core.decision import CrossCheck
from monitor.core.events import (
    CollateralBalance,
    MarginTier,
    NewsFlag,
    OffBookLeg,
    OrderReport,
    PositionReport,
)
from monitor.core.formulas.attribution import Doubt
from monitor.core.formulas.drawdown import DrawdownMemory
from monitor.core.formulas.rolling import RollingMemory
from monitor.core.rules.rule import NEW, RuleState
from monitor.core.state.book_history import BookHistory
from monitor.core.state.facts import (
    BlockFact,
    Channel,
    ComputedFact,
    DepthFact,
    FlagFact,
    Lack,
    NumberFact,
    PriceFact,
    Refusals,
    SeenFact,
    SettledFact,
    StatedFact,
    StatusFact,
    TopFact,
)
from monitor.core.state.flows import AcceptedStep, Flow, KeptTransfers
from monitor.core.state.funding import FundingSeries, StressMemory
from monitor.core.state.ledger_totals import LedgerTotals
from monitor.core.state.series import HourSeries, PriceSeries
from monitor.core.state.spare import SpareMemory
from monitor.core.state.structure import StructureMemory
from monitor.core.types import AccountMode, EngineNs, MarginMode, Severity, Subject

DAY_NS = 86_400 * 1_000_000_000


class MarginTerms(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a venue asks of whoever holds a market, as far as it moves liquidation or margin."""

    tiers: tuple[MarginTier, ...]
    max_leverage: float | None
    lower_cap_usd: float | None
    upper_cap_usd: float | None


@dataclass(slots=True)
class MarketState:
    """One market of one venue. ``listed`` once the venue named its parameters."""

    venue: str
    market: str
    subject: Subject
    listed: bool = False
    asset: str = ""
    dex: str = ""
    has_mark: bool = True
    has_index: bool = False
    only_isolated: bool = False
    funding_interval_s: int = 3600
    margin_tiers: tuple[MarginTier, ...] = ()
    size_step: float | None = None
    price_tick: float | None = None
    max_leverage: float | None = None
    open_interest_lower_cap_usd: float | None = None
    open_interest_upper_cap_usd: float | None = None
    mark: PriceFact = field(default_factory=PriceFact)
    oracle: PriceFact = field(default_factory=PriceFact)
    index: PriceFact = field(default_factory=PriceFact)
    mid: PriceFact = field(default_factory=PriceFact)
    top: TopFact = field(default_factory=TopFact)
    depth: DepthFact = field(default_factory=DepthFact)
    predicted: NumberFact = field(default_factory=NumberFact)
    settled: SettledFact = field(default_factory=SettledFact)
    open_interest: NumberFact = field(default_factory=NumberFact)
    status: StatusFact = field(default_factory=StatusFact)
    next_funding_time_ns: int = 0
    suspects: int = 0
    volume_24h: NumberFact = field(default_factory=NumberFact)  # USD, every few seconds
    volume_due_ns: EngineNs = 0
    books: BookHistory = field(default_factory=BookHistory)
    spread_due_ns: EngineNs = 0  # when the history of the book is to be sampled next
    depth_due_ns: EngineNs = 0
    terms: MarginTerms | None = None  # what the venue asked before it last changed its mind
    terms_changed_ns: EngineNs = 0  # when that was; 0: never
    # From when on a value told again as it was asks for an evaluation.
    context_due_ns: EngineNs = 0
    context_said_ns: int = 0  # the venue's time of the newest context; 0 where it says none
    top_due_ns: EngineNs = 0
    sample_due_ns: EngineNs = 0  # when the asset's price series takes the next sample


@dataclass(slots=True)
class PositionState:
    """One position, adopted from the newer of stream and truth; both sides are kept to compare.

    ``size`` is signed base units, ``exact`` the venue's own digits. A closed position stays with
    size zero: known to be nothing is not unknown.
    """

    market: str
    size: float = 0.0
    exact: Decimal = Decimal(0)
    margin_mode: MarginMode = MarginMode.CROSS
    entry_price: float | None = None
    leverage: float | None = None
    venue_liquidation_price: float | None = None
    margin_used_usd: float | None = None
    isolated_cash_usd: float | None = None
    stated_mark: float | None = None
    seen_ns: EngineNs = 0
    as_of_ns: EngineNs = 0
    height: int | None = None
    stream_size: float | None = None
    stream_as_of_ns: EngineNs = 0
    stream_height: int | None = None
    truth_size: float | None = None
    truth_as_of_ns: EngineNs = 0
    truth_height: int | None = None
    difference_ratio: float = 0.0
    told_pair: tuple[float, float] | None = None  # the disagreement already reported
    refused: Refusals = field(default_factory=dict)
    adopted: PositionReport | None = None  # the statement that all of this is from


@dataclass(slots=True)
class Statement:
    """An amount as one source stated it. ``timed`` when ``as_of_ns`` is the venue's own time."""

    amount: float
    as_of_ns: int
    height: int | None = None
    timed: bool = False


@dataclass(slots=True)
class Sides:
    """What stream and truth last said of one amount, and by how much they contradict each other.

    ``drift`` is what the venue has charged since the stream spoke without saying so (dYdX funding).
    """

    stream: Statement | None = None
    truth: Statement | None = None
    drift: float = 0.0
    difference_ratio: float = 0.0
    told_pair: tuple[float, float] | None = None  # the disagreement already reported


class AccountState(msgspec.Struct, omit_defaults=True):
    """One margin pool. ``since_ns`` is when riskd first knew of it: older transfers are no news."""

    venue: str
    account: str
    subject: Subject
    since_ns: EngineNs = 0
    configured: bool = False
    parent: str = ""
    kind: str = ""
    mode: AccountMode | None = None
    mode_reason: str = ""
    equity: StatedFact = msgspec.field(default_factory=StatedFact)
    cash: StatedFact = msgspec.field(default_factory=StatedFact)
    free_collateral: StatedFact = msgspec.field(default_factory=StatedFact)
    initial_margin: StatedFact = msgspec.field(default_factory=StatedFact)
    maintenance_margin: StatedFact = msgspec.field(default_factory=StatedFact)
    withdrawable: StatedFact = msgspec.field(default_factory=StatedFact)
    cash_sides: Sides = msgspec.field(default_factory=Sides)
    equity_sides: Sides = msgspec.field(default_factory=Sides)
    collateral_sides: dict[str, Sides] = msgspec.field(default_factory=dict)  # by token
    positions_value: Statement | None = None  # all of them, at the venue's own prices
    truth: SeenFact = msgspec.field(default_factory=SeenFact)
    collateral: tuple[CollateralBalance, ...] = ()
    positions: dict[str, PositionState] = msgspec.field(default_factory=dict)
    positions_stream: SeenFact = msgspec.field(default_factory=SeenFact)
    positions_truth: SeenFact = msgspec.field(default_factory=SeenFact)
    positions_complete: bool = False  # a complete report came: what is not listed is zero
    stream_changed_ns: EngineNs = 0  # when the stream last altered what truth had said
    orders: dict[str, OrderReport] = msgspec.field(default_factory=dict)
    orders_seen: SeenFact = msgspec.field(default_factory=SeenFact)
    orders_listed_ns: EngineNs = 0  # when all of them were last told at once; 0: never
    twaps: tuple[OrderReport, ...] = ()
    twaps_listed_ns: EngineNs = 0  # likewise
    fills_seen: SeenFact = msgspec.field(default_factory=SeenFact)
    forced_fills: dict[str, int] = msgspec.field(default_factory=dict)  # id -> time, one day
    liquidations_seen: dict[str, int] = msgspec.field(default_factory=dict)
    funding_seen: SeenFact = msgspec.field(default_factory=SeenFact)
    funding: dict[str, tuple[int, float]] = msgspec.field(default_factory=dict)  # one day
    accruals: dict[int, float] = msgspec.field(default_factory=dict)  # settled_at_ns -> USD
    transfers: dict[str, int] = msgspec.field(default_factory=dict)  # id -> time, one week
    accepted: tuple[AcceptedStep, ...] = ()  # one week
    flow_total_usd: float = 0.0  # all counted transfers, and accepted steps, since the start
    external_total_usd: float = 0.0  # those whose other side is not ours
    own_in_total_usd: float = 0.0  # arrivals from our other accounts
    recent_flows: list[Flow] = msgspec.field(default_factory=list)  # counted in the last day
    ledger: LedgerTotals = msgspec.field(default_factory=LedgerTotals)
    requests_used: int | None = None
    requests_cap: int | None = None


class FeedState(msgspec.Struct, omit_defaults=True):
    """One kind of channel of one venue, or one connection (the two share the namespace)."""

    venue: str
    feed: str
    subject: Subject
    channels: list[str] = msgspec.field(default_factory=list)
    connected: bool | None = None
    connection_seen_ns: EngineNs = 0
    lost_reason: str = ""
    quarantined: bool = False
    rejected_ns: list[int] = msgspec.field(default_factory=list)  # five minutes, bounded
    rejected_total: int = 0


class Unwatched(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A pool of ours that exists and that nobody looks at."""

    kind: str
    parent: str


class HistoryState(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How far one kind of history of a venue is read: the newest ``HistoryProgressed``, and when.

    ``cold`` are those unread of which no earlier process left enough either.
    """

    told_ns: EngineNs
    began_ns: EngineNs
    wanted: int
    unread: tuple[str, ...]
    waiting: int
    read: int
    cold: tuple[str, ...]


class RequestCount(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Requests to a venue, and those of them that failed, until ``at_ns``."""

    at_ns: EngineNs
    asked: int
    failed: int


class OrderAnswer(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How long the venue took to answer an order or a cancel of ours, seconds."""

    at_ns: EngineNs
    took_s: float


class VenueState(msgspec.Struct, omit_defaults=True):
    """One venue. ``unwatched`` are pools found behind configured addresses that nobody reads;
    ``requests`` and ``gaps_ns`` (when a stream was found to lack messages) of some minutes."""

    venue: str
    subject: Subject
    markets: dict[str, MarketState] = msgspec.field(default_factory=dict)
    accounts: dict[str, AccountState] = msgspec.field(default_factory=dict)
    unwatched: dict[str, Unwatched] = msgspec.field(default_factory=dict)
    feeds: dict[str, FeedState] = msgspec.field(default_factory=dict)
    blocks: dict[str, BlockFact] = msgspec.field(default_factory=dict)
    health: FlagFact = msgspec.field(default_factory=FlagFact)
    skew: NumberFact = msgspec.field(default_factory=NumberFact)
    oracle_margined: bool = False  # no mark here: equity is computed from cash and oracle
    histories: dict[str, HistoryState] = msgspec.field(default_factory=dict)  # by kind
    markets_ignored: int = 0  # messages about markets beyond ``RiskState.markets_max``
    requests: list[RequestCount] = msgspec.field(default_factory=list)
    gaps_ns: list[int] = msgspec.field(default_factory=list)
    answers: list[OrderAnswer] = msgspec.field(default_factory=list)


class OperatorRecord(msgspec.Struct, frozen=True, gc=False):
    """What a person told riskd."""

    at_ns: EngineNs
    principal: str
    verb: str
    arguments: tuple[tuple[str, str], ...]
    reason: str


@dataclass(slots=True)
class Cell:
    """The last reading of one measure about one subject, kept so that a restored engine answers
    exactly as the one that was stopped. ``armed_ns`` is its deadline in the heap, 0 for none."""

    value: float | None = None
    as_of_ns: EngineNs = 0
    expires_ns: EngineNs = 0
    observed_ns: EngineNs = 0
    estimated: bool = False
    reason: str = "never computed"
    computed_ns: EngineNs = -1
    armed_ns: EngineNs = 0
    lack: Lack = Lack.MISSING  # of which kind the absence is that ``reason`` tells of


@dataclass(slots=True)
class Freshness:
    """How old a group of inputs is; ``reason`` says why it is absent, empty while present, and
    ``lack`` of which kind that is."""

    as_of_ns: EngineNs = 0
    expires_ns: EngineNs = 0
    observed_ns: EngineNs = 0
    estimated: bool = False
    reason: str = "never computed"
    lack: Lack = Lack.MISSING


@dataclass(slots=True)
class Holding:
    """One open position at its margin price. None where an input is absent.

    ``margin_equity_usd`` is an isolated position's own margin with its profit, None for cross.
    ``liquidation_price`` and ``distance_ratio`` are filled in once the account's equity is known.
    """

    size: float = 0.0
    price: float = 0.0
    notional_usd: float = 0.0
    maintenance_usd: float | None = None
    isolated: bool = False
    margin_equity_usd: float | None = None
    liquidation_price: float | None = None
    distance_ratio: float | None = None


@dataclass(slots=True)
class Holdings:
    """All positions of one account valued in one pass; each group of numbers ages by itself.

    ``pool_equity_usd`` and the two after it are of the cross part: what is left when isolated
    positions are taken out.
    """

    held: dict[str, Holding] = field(default_factory=dict)
    gross_usd: float = 0.0
    net_usd: float = 0.0
    maintenance_usd: float = 0.0
    pool_equity_usd: float = 0.0
    pool_maintenance_usd: float = 0.0
    pool_net_usd: float = 0.0
    exposure: Freshness = field(default_factory=Freshness)
    maintenance: Freshness = field(default_factory=Freshness)
    liquidation: Freshness = field(default_factory=Freshness)


class CapMemory(msgspec.Struct, frozen=True):
    """A cap that falls at once and rises slowly: how high it was at ``at_ns``."""

    cap: float
    at_ns: EngineNs


class DifferenceMemory(msgspec.Struct):
    """Computed against stated equity, as of the statement told at ``statement_ns``."""

    statement_ns: EngineNs
    ratio: float


class RuleMemory(msgspec.Struct, omit_defaults=True):
    """One (rule, subject): the rule's state, and what decides when to ask it again.

    ``definition`` is the text the state was judged by. ``attentive`` while every observation counts
    and not only those that cross a limit. ``capped`` while a stronger action than estimates allow
    is still owed. ``confirmed`` once its action was asked for with all that confirms it, and
    ``seen_ns`` the distinct observations until then. ``asked`` once it was asked since it was
    loaded or changed. ``restored`` until the rule has been met again after a restart, and ``owed``
    until the action of one that fires was asked for since then: the request may be lost with the
    process that made it.
    """

    rule: str
    subject: Subject
    definition: str
    severity: Severity
    state: RuleState = NEW
    armed_ns: EngineNs = 0
    attentive: bool = False
    capped: bool = False
    confirmed: bool = False
    seen_ns: tuple[EngineNs, ...] = ()
    asked: bool = False
    quiet: bool = False  # inactive, and its condition last known to be false
    restored: bool = False
    owed: bool = False


class RuleStatus(msgspec.Struct, omit_defaults=True):
    """Whether a rule fires about any subject, and since when that has been so."""

    firing: bool = False
    since_ns: EngineNs = 0


class RiskState(msgspec.Struct):
    """Everything riskd knows. Only the engine's owner writes it."""

    now_ns: EngineNs = 0
    price_low: float = 0.75  # a price below this share of the last one is suspect
    price_high: float = 1.25
    transit_ns: int = 21_600 * 1_000_000_000  # how long money between own accounts may be away
    markets_max: int = 5_000  # of one venue; further ones are ignored and counted
    restated_ns: int = 0  # how often a value told again as it was asks for an evaluation
    heeds_all: bool = False  # some rule counts observations: each of them asks for one
    venues: dict[str, VenueState] = msgspec.field(default_factory=dict)
    channels: dict[str, Channel] = msgspec.field(default_factory=dict)
    assets: dict[str, list[tuple[str, str]]] = msgspec.field(default_factory=dict)
    off_book: tuple[OffBookLeg, ...] = ()
    news: dict[str, tuple[NewsFlag, ...]] = msgspec.field(default_factory=dict)  # by source
    computed: dict[str, ComputedFact] = msgspec.field(default_factory=dict)
    operator: list[OperatorRecord] = msgspec.field(default_factory=list)
    rulebook: tuple[tuple[str, str], ...] = ()
    rules: dict[str, RuleMemory] = msgspec.field(default_factory=dict)  # "rule|subject"
    rule_status: dict[str, RuleStatus] = msgspec.field(default_factory=dict)
    kept_flows: dict[str, list[Flow]] = msgspec.field(default_factory=dict)  # of before a restart
    kept_transfers: dict[str, KeptTransfers] = msgspec.field(default_factory=dict)
    kept_doubts: dict[str, Doubt] = msgspec.field(default_factory=dict)  # likewise
    # Of markets not heard of since the restart: (hour, median spread), as ``BookHistory.hours``.
    kept_spreads: dict[str, list[tuple[int, float]]] = msgspec.field(default_factory=dict)
    stopped_ns: EngineNs = 0  # when the process before this one last evaluated; 0: none
    cells: dict[str, Cell] = msgspec.field(default_factory=dict)  # "measure|subject"
    words: dict[str, str] = msgspec.field(default_factory=dict)  # to some of them, likewise
    holdings: dict[str, Holdings] = msgspec.field(default_factory=dict)  # account subject
    drawdowns: dict[str, DrawdownMemory] = msgspec.field(default_factory=dict)
    differences: dict[str, DifferenceMemory] = msgspec.field(default_factory=dict)
    agreed_equity_usd: float | None = None  # the portfolio's, when its prices were last agreed on
    rolling: dict[str, RollingMemory] = msgspec.field(default_factory=dict)  # "measure|subject"
    caps: dict[str, CapMemory] = msgspec.field(default_factory=dict)  # "measure|subject"
    spare: dict[str, SpareMemory] = msgspec.field(default_factory=dict)  # account subject
    prices: dict[str, PriceSeries] = msgspec.field(default_factory=dict)  # by asset
    basket: HourSeries = msgspec.field(default_factory=HourSeries)
    basket_assets: tuple[str, ...] = ()
    basket_renew: bool = False  # a member's history came: the basket is to be made anew
    funding: dict[str, FundingSeries] = msgspec.field(default_factory=dict)  # market subject
    stress: StressMemory = msgspec.field(default_factory=StressMemory)
    structure: StructureMemory = msgspec.field(default_factory=StructureMemory)
    gap_minutes: int = 10  # how far apart two prices may be that make a return
    dirty: dict[Subject, int] = msgspec.field(default_factory=dict)
    appeared: list[tuple[str, str, str, str]] = msgspec.field(default_factory=list)
    cross_checks: list[CrossCheck] = msgspec.field(default_factory=list)
    suspects_total: int = 0
