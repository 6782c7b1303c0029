"""The product: facts in, decisions out. ``apply`` and ``evaluate`` are pure and synchronous.

``apply`` takes one fact into the state in about a microsecond; ``evaluate``, run once per batch of
facts, recomputes what they moved, asks the rules concerned and says when it must run again even if
nothing is heard. Same facts, same times: same decisions, byte for byte. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from monitor.core.decision import Decision, RuleMode
from monitor.core.events import Event, RulebookLoaded
from monitor.core.formulas.drawdown import DrawdownMemory, resume_drawdown
from monitor.core.keeping import Keeping, recall
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.precedence import rank_of
from monitor.core.measures.catalogue import CATALOGUE, DEFINITIONS
from monitor.core.measures.definition import Definition, Key
from monitor.core.measures.evaluator import Evaluator
from monitor.core.measures.looking import reading_of
from monitor.core.measures.spec import MeasureSpec, Reading
from monitor.core.measures.trade_case import Asked, Check
from monitor.core.measures.trade_check import check_trade
from monitor.core.measures.tree import AccountNode, AssetNode, MarketNode
from monitor.core.measures.use import Use
from monitor.core.ports import RuleStateRow
from monitor.core.rule_runner import RuleRunner
from monitor.core.rule_view import Explanation, explain
from monitor.core.rules import RuleBook, parse_rulebook
from monitor.core.settings import EngineSettings
from monitor.core.state import apply as apply_event
from monitor.core.state.accounts import account_of, recall_account
from monitor.core.state.apply import NEWS
from monitor.core.state.facts import PRESENT, Why
from monitor.core.state.flows import Flow, KeptTransfers
from monitor.core.state.legs import follow_legs
from monitor.core.state.markets import venue_of
from monitor.core.state.model import (
    DAY_NS,
    RiskState,
    RuleMemory,
)
from monitor.core.types import SECOND_NS, EngineNs, Subject, SubjectKind

# Shorter than a person notices, long enough to spare a burst most of its evaluations.
RESTATED_NS = SECOND_NS // 10
_DRAWDOWN = "drawdown|"
_FLOWS = "flows|"
_TRANSFERS = "transfers|"


class Snapshot(msgspec.Struct, frozen=True):
    """Everything an engine is: settings and state. Code and catalogue are not in it."""

    settings: EngineSettings
    state: RiskState


class Engine:
    """One risk state with its measures and rules.

    Single writer: whoever calls ``apply`` and ``evaluate`` owns it; everyone else reads.
    """

    def __init__(
        self,
        settings: EngineSettings,
        catalogue: Mapping[str, MeasureSpec] = CATALOGUE,
        *,
        definitions: Mapping[Key, Definition] = DEFINITIONS,
        state: RiskState | None = None,
    ) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self._definitions = definitions
        self._book = RuleBook(())
        self._loaded = False
        resumed = state is not None
        self.state = state if state is not None else _first_state(settings)
        self._evaluator = Evaluator(self.state, settings, definitions)
        self._lookout = self._evaluator.lookout
        self._evaluator.build()
        allowed = RuleMode.ACT if settings.acting else RuleMode.OBSERVE
        self._modes = dict(settings.rule_modes)
        self._keeping = Keeping()
        self._rules = RuleRunner(self.state, self._evaluator, allowed=allowed)
        if not resumed:
            self.state.appeared.clear()
        elif self.state.rulebook:
            self._book = parse_rulebook(self.state.rulebook, catalogue).with_modes(self._modes)
            self._rules.load(self._book, self.state.now_ns, resumed=True)

    # ---------------------------------------------------------------------- what it is for

    def apply(self, event: Event, now: EngineNs) -> None:
        """Take one fact.

        Raises:
            ConfigError: If it is a rulebook that cannot be used; nothing has changed then.
        """
        # The hot path of ``state.apply`` by hand: one call less for each of thousands a second.
        state = self.state
        try:
            handler = NEWS[type(event)]
            channel = state.channels[event.channel]  # type: ignore[union-attr]  # news has one
        except KeyError:
            if type(event) is RulebookLoaded:
                book = parse_rulebook(event.files, self.catalogue)
                self._book = book.with_modes(self._modes)
                self._loaded = True
            apply_event(state, event, now)
        else:
            channel.progress_ns = now
            handler(state, event, now, channel)  # type: ignore[arg-type]  # of its type

    def evaluate(self, now: EngineNs) -> Decision:
        """Conclude from everything applied since the last time, as of ``now``."""
        state, evaluator, rules = self.state, self._evaluator, self._rules
        state.now_ns = now
        if state.appeared:
            rules.attach(evaluator.appear())
        if self._loaded:
            self._loaded = False
            rules.load(self._book, now)
        evaluator.run(now)
        rules.run(now)
        state.heeds_all = rules.attentive_count > 0
        wake = evaluator.next_deadline_ns()
        asked_at = rules.next_deadline_ns()
        if wake is None or (asked_at is not None and asked_at < wake):
            wake = asked_at
        if not (
            rules.transitions
            or rules.kill_requests
            or rules.health
            or state.cross_checks
            or evaluator.requests
            or evaluator.errors
        ):
            return Decision(at_ns=now, wake_at_ns=wake)
        decision = Decision(
            at_ns=now,
            transitions=tuple(rules.transitions),
            kill_requests=tuple(sorted(rules.kill_requests, key=lambda one: rank_of(one.rule))),
            health=tuple(rules.health),
            cross_checks=tuple(state.cross_checks),
            computations=tuple(evaluator.requests),
            measure_errors=tuple(sorted(evaluator.errors)),
            wake_at_ns=wake,
        )
        rules.transitions.clear()
        rules.kill_requests.clear()
        rules.health.clear()
        state.cross_checks.clear()
        evaluator.requests.clear()
        evaluator.errors.clear()
        return decision

    # ---------------------------------------------------------------------------- reading

    @property
    def now_ns(self) -> EngineNs:
        """Time of the last evaluation."""
        return self.state.now_ns

    @property
    def rulebook(self) -> RuleBook:
        """The rules in force (after the next evaluation, where one was just loaded)."""
        return self._book

    @property
    def recomputed_total(self) -> int:
        """Measures computed so far."""
        return self._evaluator.recomputed_total

    @property
    def steps_total(self) -> int:
        """Rules asked so far."""
        return self._rules.steps_total

    @property
    def measure_errors_total(self) -> Mapping[str, int]:
        """How often each measure failed."""
        return self._evaluator.errors_total

    def subjects(self, kind: SubjectKind | None = None) -> Iterator[Subject]:
        """Every subject known, or those of one kind."""
        for node in self._evaluator.tree.nodes.values():
            if kind is None or node.kind is kind:
                yield node.subject

    def reading(self, name: str, subject: Subject, now: EngineNs | None = None) -> Reading | None:
        """A measure now, whether or not any rule reads it; None where it is absent."""
        node = self._evaluator.tree.nodes.get(subject)
        if node is None or not self._lookout.exists(name, node.kind):
            return None
        at = self.state.now_ns if now is None else now
        return reading_of(self._lookout.cell(name, node, at))

    def absence(self, name: str, subject: Subject, now: EngineNs | None = None) -> str:
        """Why a measure is absent, in words; empty where it is present."""
        return self.why_absent(name, subject, now).reason

    def why_absent(self, name: str, subject: Subject, now: EngineNs | None = None) -> Why:
        """The same with the kind of its absence."""
        node = self._evaluator.tree.nodes.get(subject)
        if node is None:
            return Why(f"nothing is known of {subject}")
        if not self._lookout.exists(name, node.kind):
            return Why(f"{name} does not exist for a {node.kind.value}")
        at = self.state.now_ns if now is None else now
        cell = self._lookout.cell(name, node, at)
        return PRESENT if cell.value is not None else Why(cell.reason, cell.lack)

    def instances(
        self,
        now: EngineNs | None = None,
    ) -> Iterator[tuple[MeasureSpec, Subject, Reading | None]]:
        """Every measure of every subject, present or not; lazily, to be consumed in slices.

        Subjects that appear meanwhile may be missed, none is told twice.
        """
        names: dict[SubjectKind, list[MeasureSpec]] = {}
        for (_, kind), definition in self._definitions.items():
            if not definition.hidden:
                names.setdefault(kind, []).append(definition.spec)
        at = self.state.now_ns if now is None else now
        for node in list(self._evaluator.tree.nodes.values()):
            for spec in names.get(node.kind, ()):
                yield spec, node.subject, reading_of(self._lookout.cell(spec.name, node, at))

    def rule_states(self) -> Iterator[RuleMemory]:
        """State of every rule about every subject it was asked about; not to be changed."""
        yield from self.state.rules.values()

    def explain(
        self, rule: str, subject: Subject, now: EngineNs | None = None, *, workings: bool = True
    ) -> Explanation | None:
        """A rule about a subject as it stands, with the steps to each number or without; None where
        it is not asked about that one."""
        asked = self._rules.asked(rule, subject)
        at = self.state.now_ns if now is None else now
        if asked is None:
            return None
        return explain(asked, self._lookout, self.state, at, workings=workings)

    def check_trade(
        self,
        account: Subject,
        market: Subject,
        asked: Asked,
        now: EngineNs | None = None,
        *,
        levels_of: Callable[[Subject], tuple[Level, Level]] = lambda _: (Level.NORMAL,) * 2,
    ) -> tuple[Check, ...] | None:
        """What a trade in mind would do, by what is known now; changes nothing. None where the
        account, the market or the asset it is of is not known. ``levels_of``: the kill switch's
        level for a scope, and what of it holds for hedges."""
        nodes = self._evaluator.tree.nodes
        pool, place = nodes.get(account), nodes.get(market)
        asset = place.ancestors[0] if isinstance(place, MarketNode) else None
        if not isinstance(pool, AccountNode) or not isinstance(place, MarketNode):
            return None
        if not isinstance(asset, AssetNode):
            return None
        use = Use(self.state, self.settings, self._lookout.peek)
        use.begin(self.state.now_ns if now is None else now)
        around = (*pool.ancestors, *place.ancestors)
        about = {pool.subject, place.subject, *(one.subject for one in around)}
        scopes = (account, market, asset.subject)
        return check_trade(
            pool,
            place,
            asset,
            asked,
            latched=tuple(map(max, zip(*map(levels_of, scopes), strict=True))),
            blocks=self._rules.blocking(about, but_hedges=False),
            freezes=self._rules.blocking(about, but_hedges=True),
            use=use.with_sides(),
        )

    def absent_inputs(
        self, rule: str, subject: Subject, now: EngineNs | None = None
    ) -> list[tuple[str, Why]]:
        """What a rule reads about a subject and is absent, each with the reason of now; nothing
        where the rule is not asked about it."""
        at = self.state.now_ns if now is None else now
        asked = self._rules.asked(rule, subject)
        found = []
        for name, one in () if asked is None else asked.inputs.items():
            if one is None:
                found.append((name, Why("there is no such measure here")))
            elif (why := self._lookout.why_absent(one.node, one.definition.name, at)).reason:
                found.append((name, why))
        return found

    def permits_reentry(self, rule: str, subject: Subject, now: EngineNs) -> bool:
        """Whether a rule that has ended permits going back now; never on data that is not known."""
        return self._rules.permits(rule, subject, now)

    # ---------------------------------------------------------------------------- keeping

    def snapshot(self) -> bytes:
        """Everything, from which ``restore_snapshot`` goes on as if nothing had happened. Between
        batches only: what was applied but not evaluated is in it, what was concluded is not."""
        return msgspec.msgpack.encode(Snapshot(self.settings, self.state))

    def take_rule_rows(self) -> tuple[tuple[RuleStateRow, ...], tuple[tuple[str, str], ...]]:
        """Rule states changed since the last call, and (rule, subject) of those gone."""
        changed, gone = sorted(self._rules.changed), sorted(self._rules.gone)
        self._rules.changed.clear()
        self._rules.gone.clear()
        rows = []
        for rule, subject in changed:
            memory = self.state.rules[f"{rule}|{subject}"]
            rows.append(
                RuleStateRow(
                    rule=rule,
                    subject=subject,
                    definition_hash=memory.definition,
                    state=msgspec.msgpack.encode(memory),
                ),
            )
        return tuple(rows), tuple(gone)

    def memories(self) -> tuple[tuple[str, bytes], ...]:
        """What a restart must not forget besides rule states: peaks, caps, prices, recent
        transfers, and which of them were told: one seen in the equity only is still to be counted
        by who comes next."""
        kept = [
            (f"{_DRAWDOWN}{subject}", msgspec.msgpack.encode(memory))
            for subject, memory in self.state.drawdowns.items()
        ]
        for venue in self.state.venues.values():
            for account in venue.accounts.values():
                if account.recent_flows:
                    packed = msgspec.msgpack.encode(account.recent_flows)
                    kept.append((f"{_FLOWS}{account.subject}", packed))
                if account.since_ns:
                    told = KeptTransfers(account.since_ns, account.transfers, account.accepted)
                    kept.append((f"{_TRANSFERS}{account.subject}", msgspec.msgpack.encode(told)))
        kept.extend(self._keeping.memories(self.state))
        return tuple(kept)

    def restore(
        self,
        rows: tuple[RuleStateRow, ...],
        memories: tuple[tuple[str, bytes], ...],
        *,
        stopped_ns: EngineNs,
    ) -> None:
        """Take over what another process kept, before the first event.

        Rule states wait for their rules (the first ``RulebookLoaded``) and for their subjects;
        transfers made while nobody watched are counted when they are told.

        Raises:
            ValueError: If something cannot be read, or events were applied already.
        """
        if self.state.now_ns or self.state.rules:
            raise ValueError("kept state can only be restored before the first event")
        self.state.stopped_ns = stopped_ns
        for row in rows:
            memory = msgspec.msgpack.decode(row.state, type=RuleMemory)
            memory.restored, memory.armed_ns, memory.attentive = True, 0, True
            memory.owed, memory.quiet = memory.state.firing, False
            self.state.rules[f"{row.rule}|{row.subject}"] = memory
        recall(self.state, memories)
        flows = self.state.kept_flows
        for name, packed in memories:
            if name.startswith(_DRAWDOWN):
                # Totals count from the start of a process.
                peak = resume_drawdown(msgspec.msgpack.decode(packed, type=DrawdownMemory))
                self.state.drawdowns[name.removeprefix(_DRAWDOWN)] = peak
            elif name.startswith(_FLOWS):
                flows[name.removeprefix(_FLOWS)] = msgspec.msgpack.decode(packed, type=list[Flow])
            elif name.startswith(_TRANSFERS):
                told = msgspec.msgpack.decode(packed, type=KeptTransfers)
                self.state.kept_transfers[name.removeprefix(_TRANSFERS)] = told
        for venue in self.state.venues.values():
            for account in venue.accounts.values():
                if account.subject in self.state.drawdowns:
                    account.since_ns = stopped_ns
                recall_account(self.state, account)


def restore_snapshot(
    packed: bytes,
    catalogue: Mapping[str, MeasureSpec] = CATALOGUE,
    *,
    definitions: Mapping[Key, Definition] = DEFINITIONS,
) -> Engine:
    """The engine that ``Engine.snapshot`` packed.

    Raises:
        ValueError: If it is not a snapshot of this version.
    """
    try:
        kept = msgspec.msgpack.decode(packed, type=Snapshot)
    except msgspec.MsgspecError as error:
        raise ValueError(f"this is no snapshot that this version can read: {error}") from error
    return Engine(kept.settings, catalogue, definitions=definitions, state=kept.state)


def _first_state(settings: EngineSettings) -> RiskState:
    state = RiskState(
        price_low=1.0 - settings.price_jump_ratio,
        price_high=1.0 + settings.price_jump_ratio,
        transit_ns=min(round(settings.transit_s * SECOND_NS), DAY_NS),
        markets_max=settings.markets_max,
        restated_ns=min(RESTATED_NS, round(settings.freshness.shortest_s * SECOND_NS)),
        basket_assets=settings.leverage.basket,
        gap_minutes=round(settings.leverage.price_gap_minutes),
    )
    for venue in settings.venues:
        venue_of(state, venue)
    for venue, alias in settings.accounts:
        account_of(state, venue, alias, 0).configured = True
    follow_legs(state, settings.structure.hedge_sets)
    return state
