"""One engine over the history: facts in at full hours, ticks at its own deadlines between. *Pure.*

The engine is the daemon's. Its settings say only what hourly data make necessary: how old a fact
may be, and how far a price may move from one message to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from monitor.backtest.book import ACCOUNT, Book, Held
from monitor.backtest.history import HOUR_S
from monitor.backtest.hourly import hourly_definitions, hourly_freshness
from monitor.core.decision import AlertTransition, KillRequest
from monitor.core.engine import Engine
from monitor.core.events import (
    AccountReported,
    ChannelLost,
    ChannelOpened,
    Event,
    FundingPaid,
    FundingPayment,
    PositionReport,
    PositionsReported,
    RulebookLoaded,
    Tick,
)
from monitor.core.formulas.funding_stress import StressAnchors
from monitor.core.measures.definition import Definition, Key
from monitor.core.settings import EngineSettings, LeverageSettings
from monitor.core.types import PORTFOLIO, SECOND_NS, AlertState, EngineNs, Subject, channel_id

HOUR_NS = HOUR_S * SECOND_NS
MINUTE_NS = 60 * SECOND_NS
# Between two hourly closes a real price may well move by a quarter (12 March 2020); a data error of
# a factor is still suspect.
PRICE_JUMP_RATIO = 0.6
# Two closes in a row make a return; a missing hour makes none.
PRICE_GAP_MINUTES = 60.0
_ACCOUNT_FEED = "account"


@dataclass(slots=True)
class Ruling:
    """What one evaluation concluded, and when."""

    at_ns: EngineNs
    transitions: tuple[AlertTransition, ...]
    requests: tuple[KillRequest, ...]


@dataclass(slots=True)
class _Told:
    """What was last told of one account."""

    open: bool = False
    units: tuple[float, ...] | None = None


@dataclass(slots=True)
class Judge:
    """An engine, the accounts it watches and which of its rules are not at rest."""

    engine: Engine
    venues: tuple[str, ...]
    awake: dict[tuple[str, Subject], AlertState] = field(default_factory=dict)
    evaluations: int = 0
    wake_ns: EngineNs | None = None
    measure_errors: dict[str, int] = field(default_factory=dict)
    _told: dict[str, _Told] = field(default_factory=dict)

    def tell(self, events: Iterable[Event], at: EngineNs) -> None:
        """Apply what was told at ``at``."""
        for event in events:
            self.engine.apply(event, at)

    def state_account(self, book: Book, index: int, at: EngineNs, dark: frozenset[str]) -> None:
        """Tell the engine of the book: sizes, funding, equity and cash per venue, as venues would.

        Collateral is one pool, told per venue by its share of the gross exposure. While a price is
        missing nobody knows the equity and nothing is told; a dark venue tells nothing.
        """
        gross = book.gross_usd
        known = book.known(index)
        for venue in self.venues:
            channel = channel_id(venue, _ACCOUNT_FEED, ACCOUNT)
            told = self._told.setdefault(venue, _Told())
            if not known or venue in dark:
                if told.open:
                    told.open = False
                    lost = ChannelLost(venue=venue, channel=channel, reason="no rows", gap=True)
                    self.engine.apply(lost, at)
                continue
            if not told.open:
                told.open, told.units = True, None
                opened = ChannelOpened(
                    venue=venue, channel=channel, feed=_ACCOUNT_FEED, cadence_s=float(HOUR_S)
                )
                self.engine.apply(opened, at)
            held = [one for one in book.held if one.venue == venue]
            units = tuple(one.units for one in held)
            if units != told.units:
                told.units = units
                self.engine.apply(_positions(venue, channel, held, at), at)
            self.engine.apply(_payments(venue, channel, book, at), at)
            own = sum(abs(one.notional_usd) for one in held)
            equity = book.equity_usd * (own / gross if gross else 1.0 / len(self.venues))
            net = sum(one.notional_usd for one in held)
            self.engine.apply(
                AccountReported(
                    venue=venue,
                    channel=channel,
                    venue_time_ns=at,
                    account=ACCOUNT,
                    source="stream",
                    equity_usd=Decimal(repr(equity)),
                    cash_usd=Decimal(repr(equity - net)),
                ),
                at,
            )

    def hour(self, at: EngineNs) -> Ruling:
        """Conclude from what was told on the full hour."""
        return self._evaluate(at)

    def between(
        self, at: EngineNs, losses: Sequence[tuple[EngineNs, ChannelLost]]
    ) -> Iterator[Ruling]:
        """Each deadline of the engine before the next full hour, in whole minutes, and each loss of
        a channel; only what brought news is told."""
        waiting = list(losses)
        end = at + HOUR_NS
        last = at
        while True:
            wake = end if self.wake_ns is None else -(-self.wake_ns // MINUTE_NS) * MINUTE_NS
            wake = max(wake, last + MINUTE_NS)
            if waiting and waiting[0][0] <= wake:
                last = max(last + 1, waiting[0][0])  # one at the full hour comes after it
                while waiting and waiting[0][0] <= last:
                    self._lose(waiting.pop(0)[1], last)
            elif wake < end:
                last = wake
                self.engine.apply(Tick(), wake)
            else:
                return
            ruling = self._evaluate(last)
            if ruling.transitions or ruling.requests:
                yield ruling

    def _lose(self, event: ChannelLost, at: EngineNs) -> None:
        """A market's channel is gone, and with the first of a venue its account."""
        self.engine.apply(event, at)
        told = self._told.get(event.venue)
        if told is not None and told.open:
            told.open = False
            channel = channel_id(event.venue, _ACCOUNT_FEED, ACCOUNT)
            lost = ChannelLost(venue=event.venue, channel=channel, reason=event.reason, gap=True)
            self.engine.apply(lost, at)

    def over(self, keys: Iterable[tuple[str, Subject]], at: EngineNs) -> list[tuple[str, Subject]]:
        """Those that have ended and whose rule permits going back now, on known data."""
        return [
            key for key in keys if key not in self.awake and self.engine.permits_reentry(*key, at)
        ]

    def blind(self, rule: str) -> bool:
        """Whether a rule about the whole book could not be judged when it was last asked: it reads
        what is not known, or it cannot be asked at all."""
        known = self.engine.state.rules.get(f"{rule}|{PORTFOLIO}")
        return known is None or known.state.unknown_since_ns is not None or bool(known.state.error)

    def _evaluate(self, at: EngineNs) -> Ruling:
        self.evaluations += 1
        decision = self.engine.evaluate(at)
        self.wake_ns = decision.wake_at_ns
        for transition in decision.transitions:
            key = (transition.rule, transition.subject)
            if transition.after is AlertState.INACTIVE:
                self.awake.pop(key, None)
            else:
                self.awake[key] = transition.after
        for text in decision.measure_errors:
            name = text.partition(" of ")[0]
            self.measure_errors[name] = self.measure_errors.get(name, 0) + 1
        return Ruling(at, decision.transitions, decision.kill_requests)


def _positions(venue: str, channel: str, held: Sequence[Held], at: EngineNs) -> PositionsReported:
    return PositionsReported(
        venue=venue,
        channel=channel,
        venue_time_ns=at,
        account=ACCOUNT,
        source="stream",
        complete=True,
        positions=tuple(
            PositionReport(market=one.asset, size=Decimal(repr(one.units)))
            for one in held
            if one.units
        ),
    )


def _payments(venue: str, channel: str, book: Book, at: EngineNs) -> FundingPaid:
    """What the book paid at this venue in the hour; that it paid nothing is told, too."""
    return FundingPaid(
        venue=venue,
        channel=channel,
        venue_time_ns=at,
        account=ACCOUNT,
        history=False,
        payments=tuple(
            FundingPayment(market=asset, amount_usd=Decimal(repr(usd)), time_ns=at)
            for where, asset, usd in book.payments
            if where == venue
        ),
    )


def make_judge(
    rulebook: tuple[tuple[str, str], ...],
    account_venues: tuple[str, ...],
    at: EngineNs,
    definitions: Mapping[Key, Definition] | None = None,
) -> Judge:
    """An engine with the rulebook's texts loaded, before the first hour."""
    engine = Engine(
        EngineSettings(
            accounts=tuple((venue, ACCOUNT) for venue in account_venues),
            freshness=hourly_freshness(),
            funding_stress=StressAnchors(equal_weights=True),
            leverage=LeverageSettings(price_gap_minutes=PRICE_GAP_MINUTES),
            price_jump_ratio=PRICE_JUMP_RATIO,
            valuation_cadence_s=0.0,
        ),
        definitions=hourly_definitions() if definitions is None else definitions,
    )
    engine.apply(RulebookLoaded(files=rulebook, loaded_by="backtest"), at)
    return Judge(engine, account_venues)
