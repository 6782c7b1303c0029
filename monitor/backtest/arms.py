"""The arms of a run: the same book under different rules of conduct, side by side. *Pure.*"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from monitor.backtest.book import Book
from monitor.backtest.judge import Judge, Ruling
from monitor.backtest.restraint import Restraints
from monitor.core.decision import ActionLevel, KillRequest, RuleMode
from monitor.core.types import PORTFOLIO, SECOND_NS, EngineNs

PLAIN_CUT_RATIO = 0.70
_MODE = RuleMode.ACT
TRIGGER = "volatility_and_fall"


@dataclass(slots=True)
class Arm:
    """One book with its conduct and its path, hourly.

    ``judge`` is set where the arm has an engine of its own, whose account is this very book, for
    as long as the run lasts; ``judged`` says so for ever. ``follows`` says which requests it obeys.
    """

    name: str
    title: str
    book: Book
    follows: Callable[[KillRequest], bool]
    reaction_ns: int = 0
    judge: Judge | None = None
    judged: bool = False
    restraints: Restraints = field(default_factory=Restraints)
    equity: list[float] = field(default_factory=list)
    gross: list[float] = field(default_factory=list)
    paid: list[float] = field(default_factory=list)  # trading costs so far
    restrained_h: int = 0

    def rest(self) -> None:
        """Let go of the engine: what came of it stays, and can be sent elsewhere."""
        self.judge, self.follows = None, obeys_none

    def take(self, ruling: Ruling) -> None:
        """Obey what a ruling asks, after the time the desk takes."""
        for request in ruling.requests:
            if request.level is not ActionLevel.PAGE and self.follows(request):
                gross = self.book.gross_in(request.scope)
                self.restraints.ask(request, ruling.at_ns, self.reaction_ns, gross)

    def give_back(self, judge: Judge, at: EngineNs) -> None:
        """Release what has ended and may go."""
        if self.restraints.active:
            over = judge.over(self.restraints.active, at)
            delay = round(self.book.settings.reentry_delay_h * 3600) * SECOND_NS
            self.restraints.settle(over, at, delay_ns=delay)

    def record(self) -> None:
        """Keep where the book stands at the end of the hour."""
        self.equity.append(self.book.equity_usd)
        self.gross.append(self.book.gross_usd)
        self.paid.append(self.book.costs.trading_usd)
        self.restrained_h += bool(self.restraints.active)

    def trigger(self, at: EngineNs, *, on: bool) -> None:
        """The plain trigger's conduct: a cut to 70 % of the whole book while it is on."""
        key = (TRIGGER, PORTFOLIO)
        known = self.restraints.active.get(key)
        if on and known is None:
            request = KillRequest(
                rule=TRIGGER,
                subject=PORTFOLIO,
                scope=PORTFOLIO,
                level=ActionLevel.CUT,
                mode=_MODE,
                gross_to_ratio=PLAIN_CUT_RATIO,
                firing_epoch_ns=at,
            )
            self.restraints.ask(request, at, self.reaction_ns, self.book.gross_usd)
        elif known is not None and not on:
            self.restraints.release(known)


def obeys_all(request: KillRequest) -> bool:
    """Every request of every rule that may ever act; what can only be proposed waits for a person,
    and no person is simulated."""
    return request.mode_max is RuleMode.ACT


def obeys_none(_request: KillRequest) -> bool:
    """No rule at all."""
    return False


def obeys(rules: Sequence[str]) -> Callable[[KillRequest], bool]:
    """Only the requests of these rules."""
    wanted = frozenset(rules)
    return lambda request: request.rule in wanted
