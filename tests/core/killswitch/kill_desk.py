"""A desk whose venue is a dictionary: the machine's commands are carried out on it by the rules of
a venue, so that scenarios are told in a few lines. Time is set by hand."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from monitor.core.decision import ActionLevel, Because, KillRequest, RuleMode
from monitor.core.killswitch.book import (
    AccountTruth,
    Book,
    HeldPosition,
    Instrument,
    Look,
    Quote,
    WorkingOrder,
)
from monitor.core.killswitch.facts import (
    AccountRead,
    AuditEntry,
    CancelOrders,
    CancelOutcome,
    CancelsAnswered,
    Command,
    CommandFailed,
    KillFact,
    KillNotice,
    OrderEnd,
    OrderOutcome,
    OrdersAnswered,
    PersonApproved,
    PersonPulled,
    PlaceOrders,
    ReadAccount,
    RearmConfirmed,
    RearmRequested,
    ReduceOrder,
    ResolveOrders,
    RuleAsked,
    RuleEnded,
    Step,
    TimePassed,
)
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.machine import KillMachine
from monitor.core.killswitch.plan import Plan, PlanLimits, PlannedOrder, Planner, Shortfall, Target
from monitor.core.killswitch.policy import DaemonMode, KillPolicy
from monitor.core.killswitch.scope import covers
from monitor.core.killswitch.state import Latch, pack, unpack
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    EngineNs,
    Severity,
    Side,
    Subject,
    account_subject,
)

START_NS = 1_800_000_000 * SECOND_NS
HL, DYDX = "hyperliquid", "dydx"
MAIN, SIDE = (HL, "main"), (DYDX, "main")
PRICES = {"BTC": 100_000.0, "ETH": 4_000.0, "xyz:GOLD": 2_500.0}
STEP = Decimal("0.01")
ARMED = KillPolicy(mode=DaemonMode.ARMED, unseen="nothing", watch_s=0)


def price_of(market: str) -> float:
    """One price per market, the same at both venues."""
    return PRICES[market.removesuffix("-USD")]


def cutter(target: Target, book: Book, limits: PlanLimits) -> Plan:
    """A planner without hedges: each position in scope in proportion, whole lots, within turnover.
    What cannot be ordered is a shortfall."""
    goal = target.baseline_usd * target.gross_to_ratio
    held = [
        (truth, one)
        for truth in book.accounts
        for one in truth.positions
        if covers(
            target.scope,
            venue=truth.venue,
            account=truth.account,
            asset=one.market.removesuffix("-USD"),
            market=one.market,
        )
    ]
    gross = sum(abs(float(one.size)) * price_of(one.market) for _, one in held)
    within_reach = sum(
        abs(float(one.size)) * price_of(one.market)
        for truth, one in held
        if (truth.venue, truth.account) in book.executable
    )
    share = min(1.0, max(0.0, gross - goal) / within_reach) if within_reach else 1.0
    bounds = [one for one in (limits.turnover_left_usd, limits.part_usd) if one is not None]
    orders, shortfalls, left = [], [], min(bounds, default=None)
    for truth, one in held:
        price = price_of(one.market)
        size = (
            abs(one.size) * Decimal(repr(round(share, 9))) / STEP - Decimal("1e-6")
        ).to_integral_value("ROUND_CEILING")
        size = min(size * STEP, abs(one.size))
        if left is not None:
            size = min(size, (Decimal(repr(left / price)) / STEP).__floor__() * STEP)
        if not size:
            continue
        steps = {(i.venue, i.market): i.size_step for i in book.instruments}
        kept = book.why_kept
        place = (truth.venue, truth.account, one.market)
        stuck = place in kept or not steps[truth.venue, one.market]
        if stuck or (truth.venue, truth.account) not in book.executable:
            usd = float(size) * price
            shortfalls.append(
                Shortfall(
                    venue=truth.venue,
                    account=truth.account,
                    market=one.market,
                    usd=usd,
                    reason=kept.get(place, "no order can be sent"),
                )
            )
            continue
        if left is not None:
            left -= float(size) * price
        orders.append(
            PlannedOrder(
                leg=f"{truth.venue}/{truth.account}/{one.market}",
                venue=truth.venue,
                account=truth.account,
                market=one.market,
                asset=one.market.removesuffix("-USD"),
                side=Side.SELL if one.size > 0 else Side.BUY,
                size=size,
                limit_price=Decimal(repr(price)),
                reference_price=price,
                notional_usd=float(size) * price,
                cost_bps=1.0,
            )
        )
    after = gross - sum(one.notional_usd for one in orders)
    return Plan(
        orders=tuple(orders),
        shortfalls=tuple(shortfalls),
        gross_before_usd=gross,
        gross_after_usd=after,
        goal_usd=goal,
    )


def broken_planner(target: Target, book: Book, limits: PlanLimits) -> Plan:
    """A planner with a bug."""
    raise ZeroDivisionError("division by zero")


class World:
    """A machine, and the venues it acts on. Commands wait in ``out`` until ``work`` does them.

    ``refuse`` may answer a command in the venue's place; ``slow`` accounts do not answer.
    """

    def __init__(
        self,
        policy: KillPolicy = ARMED,
        planner: Planner = cutter,
        *,
        executable: tuple[tuple[str, str], ...] = (MAIN, SIDE),
    ) -> None:
        self.policy, self.planner = policy, planner
        self.machine = KillMachine(policy, planner)
        self.now: EngineNs = START_NS
        self.executable = executable
        self.positions: dict[tuple[str, str], dict[str, Decimal]] = {MAIN: {}, SIDE: {}}
        self.orders: dict[tuple[str, str], list[WorkingOrder]] = {MAIN: [], SIDE: []}
        self.dark: tuple[tuple[str, str], ...] = ()
        self.slow: set[tuple[str, str]] = set()
        self.amounts: dict[tuple[str, Subject], float] = {}  # what cuts to an amount may leave now
        self.modes: dict[str, RuleMode] | None = {}  # what the rulebook says by now, if otherwise
        self.markets: frozenset[tuple[str, str, str]] = frozenset()  # that the venues list
        self.fed_ns: dict[tuple[str, str], EngineNs] = {}  # when, if not just now
        self.feeds: dict[tuple[str, str], dict[str, str]] = {}  # what they say differently
        self.listed: dict[tuple[str, str], tuple[EngineNs | None, EngineNs | None]] = {}
        # Orders where an account holds nothing: listed by a whole look only, and so long ago.
        self.idle: dict[tuple[str, str], tuple[EngineNs, list[WorkingOrder]]] = {}
        self.refuse: Callable[[Command], KillFact | None] = lambda _: None
        self.lose: Callable[[Command], bool] = lambda _: False
        self.out: list[Command] = []
        self.done: list[Command] = []
        self.audit: list[AuditEntry] = []
        self.notices: list[KillNotice] = []
        self.steps: list[Step] = []
        self.fates: dict[str, OrderOutcome] = {}  # what really became of each order
        self.after_step: Callable[[], None] = lambda: None

    # ------------------------------------------------------------------------------ set up

    def hold(self, place: tuple[str, str] = MAIN, **sizes: str) -> World:
        """``BTC="1.5"``, or ``GOLD`` for ``xyz:GOLD``; dYdX markets get their suffix."""
        for name, size in sizes.items():
            market = "xyz:GOLD" if name == "GOLD" else name
            market += "-USD" if place[0] == DYDX else ""
            self.positions[place][market] = Decimal(size)
        return self

    def rest(
        self,
        order_id: str,
        side: Side,
        size: str,
        *,
        market: str = "BTC",
        place: tuple[str, str] = MAIN,
        reduce_only: bool = False,
        trigger: bool = False,
        twap: bool = False,
    ) -> World:
        """A working order of somebody else."""
        self.orders[place].append(
            WorkingOrder(
                order_id=order_id,
                market=market,
                side=side,
                size=Decimal(size),
                reduce_only=reduce_only,
                trigger=trigger,
                twap=twap,
            )
        )
        return self

    def truth(self, place: tuple[str, str], read_ns: EngineNs | None = None) -> AccountTruth:
        """What the venue would answer now; ``listed`` may say that its lists are of before."""
        at_ns = self.now if read_ns is None else read_ns
        orders_ns, twaps_ns = self.listed.get(place, (at_ns, at_ns))
        return AccountTruth(
            venue=place[0],
            account=place[1],
            read_ns=at_ns,
            orders_ns=orders_ns,
            twaps_ns=twaps_ns,
            positions=tuple(
                HeldPosition(market=market, size=size)
                for market, size in sorted(self.positions[place].items())
                if size
            ),
            orders=tuple(self.orders[place]),
        )

    def fed(self, place: tuple[str, str]) -> AccountTruth:
        """An account as the feeds tell it: as it is, but for what ``feeds`` says."""
        truth = self.truth(place, self.fed_ns.get(place))
        other = self.feeds.get(place)
        if other is None:
            return truth
        return msgspec.structs.replace(
            truth,
            positions=tuple(HeldPosition(market=m, size=Decimal(s)) for m, s in other.items()),
        )

    def book(self) -> Book:
        """What the monitoring feeds know."""
        markets = [
            (place[0], market)
            for place in self.positions
            for market in {*self.positions[place], *(o.market for o in self.orders[place])}
        ]
        return Book(
            at_ns=self.now,
            accounts=tuple(self.fed(place) for place in self.positions),
            instruments=tuple(
                Instrument(
                    venue=venue,
                    market=market,
                    asset=market.removesuffix("-USD"),
                    size_step=STEP,
                    price_tick=Decimal(1),
                )
                for venue, market in sorted(markets)
            ),
            quotes=tuple(
                Quote(venue=venue, market=market, references=(price_of(market),) * 2)
                for venue, market in sorted(markets)
            ),
            executable=self.executable,
            dark=self.dark,
            listed=self.markets,
            amounts=tuple(
                (*key, usd)
                for key, usd in self.amounts.items()
                if key in self.machine.state.amounts  # the daemon looks up no other
            ),
            modes=None if self.modes is None else tuple(self.modes.items()),
        )

    # ------------------------------------------------------------------------------- facts

    def tell(self, fact: KillFact, *, blind: bool = False) -> Step:
        """Apply one fact (``blind``: without a book) and keep what came of it."""
        step = self.machine.apply(fact, self.now, None if blind else self.book())
        self.steps.append(step)
        self.audit += step.audit
        self.notices += step.notices
        self.out += step.commands
        self.after_step()
        return step

    def at(self, seconds: float) -> World:
        """Set the time, seconds from the start, and let the machine know."""
        self.now = START_NS + round(seconds * SECOND_NS)
        self.tell(TimePassed())
        return self

    def ask(
        self,
        level: ActionLevel = ActionLevel.CUT,
        *,
        rule: str = "funding_stress",
        subject: Subject = PORTFOLIO,
        scope: Subject = PORTFOLIO,
        mode: RuleMode = RuleMode.ACT,
        gross_to: float | None = 0.70,
        seen: tuple[float, ...] = (-30.0, 0.0),
        sources: tuple[str, ...] = (HL,),
        epoch: float = 0.0,
        capped: bool = False,
        most: RuleMode = RuleMode.ACT,
        because: Because = Because.DATA,
        gross_to_usd: float | None = None,
        gross_to_measure: str = "",
        severity: Severity = Severity.CRITICAL,
        over_s: float = 0.0,
    ) -> Step:
        """A rule asks; ``seen`` are its observations, seconds from the start."""
        return self.tell(
            RuleAsked(
                request=KillRequest(
                    rule=rule,
                    subject=subject,
                    scope=scope,
                    level=level,
                    mode=mode,
                    gross_to_ratio=gross_to
                    if level is ActionLevel.CUT and gross_to_usd is None
                    else None,
                    gross_to_usd=gross_to_usd,
                    gross_to_measure=gross_to_measure,
                    because=because,
                    severity=severity,
                    over_s=over_s,
                    firing_epoch_ns=START_NS + round(epoch * SECOND_NS),
                    capped_by_estimate=capped,
                    observations_ns=tuple(START_NS + round(one * SECOND_NS) for one in seen),
                    sources=sources,
                    rule_hash="r1",
                    mode_max=most,
                ),
            )
        )

    def end(self, rule: str = "funding_stress", subject: Subject = PORTFOLIO) -> Step:
        """The rule is over."""
        return self.tell(RuleEnded(rule=rule, subject=subject))

    def pull(
        self,
        level: Level,
        scope: Subject = PORTFOLIO,
        *,
        gross_to: float | None = None,
        pull_id: str = "pull-1",
    ) -> Step:
        """A person pulls."""
        return self.tell(
            PersonPulled(
                pull_id=pull_id,
                principal="ann",
                channel="cli",
                scope=scope,
                level=level,
                reason="drill",
                gross_to_ratio=gross_to,
            )
        )

    def approve(self, proposal_id: str, *, yes: bool = True) -> Step:
        """A person answers a proposal."""
        return self.tell(PersonApproved(proposal_id=proposal_id, principal="ann", approve=yes))

    def rearm(
        self,
        scope: Subject = PORTFOLIO,
        *,
        by: str = "ann",
        then: str = "ann",
        reason: str = "funding is normal again",
        unmet: tuple[str, ...] = (),
        nonce: str = "nonce-0001",
        wait_s: float = 1.0,
    ) -> Step:
        """Both steps of going back, ``wait_s`` apart."""
        self.tell(RearmRequested(principal=by, scope=scope, nonce=nonce))
        self.now += round(wait_s * SECOND_NS)
        return self.tell(RearmConfirmed(principal=then, nonce=nonce, reason=reason, unmet=unmet))

    # ------------------------------------------------------------------------- the venues

    def work(self, passes: int = 100) -> World:
        """Carry out all that waits, and what follows from it."""
        for _ in range(passes):
            ready = [c for c in self.out if (c.venue, c.account) not in self.slow]
            if not ready:
                return self
            command = ready[0]
            self.out.remove(command)
            self.done.append(command)
            if self.lose(command):  # it arrives, and its answer never comes
                self.carry_out(command)
                continue
            fact = self.refuse(command)
            self.tell(self.carry_out(command) if fact is None else fact)
        raise AssertionError("the machine does not come to rest")

    def run(self, seconds: float) -> World:
        """Work, and let time pass where the machine wants it to."""
        end = self.now + round(seconds * SECOND_NS)
        self.tell(TimePassed())
        self.work()
        while True:
            wake_ns = self.steps[-1].wake_at_ns
            if wake_ns is None or wake_ns > end:
                self.now = end
                return self
            assert wake_ns > self.now, "a deadline in the past would never end"
            self.now = wake_ns
            self.tell(TimePassed())
            self.work()

    def one(self) -> World:
        """Carry out the first command only."""
        command = self.out.pop(0)
        self.done.append(command)
        self.tell(self.carry_out(command))
        return self

    def carry_out(self, command: Command) -> KillFact:
        """As the venue would."""
        place = (command.venue, command.account)
        match command:
            case ReadAccount():
                truth = self.truth(place)
                if command.look is Look.POSITIONS:
                    truth = msgspec.structs.replace(truth, orders=(), orders_ns=None, twaps_ns=None)
                elif place in self.idle:
                    listed_ns, hidden = self.idle[place]
                    whole = command.look is Look.WHOLE
                    truth = msgspec.structs.replace(
                        truth,
                        orders=(*truth.orders, *(hidden if whole else ())),
                        idle_orders_ns=None if whole else listed_ns,
                    )
                return AccountRead(command_id=command.id, truth=truth)
            case CancelOrders():
                gone = {one.order_id for one in command.orders}
                self.orders[place] = [o for o in self.orders[place] if o.order_id not in gone]
                if place in self.idle:
                    hidden = self.idle[place][1]
                    hidden[:] = [one for one in hidden if one.order_id not in gone]
                return CancelsAnswered(
                    command_id=command.id,
                    venue=place[0],
                    account=place[1],
                    outcomes=tuple(
                        CancelOutcome(order_id=one.order_id, gone=True) for one in command.orders
                    ),
                )
            case PlaceOrders():
                outcomes = tuple(self.execute(place, order) for order in command.orders)
            case ResolveOrders():
                outcomes = tuple(
                    self.fates.get(
                        one, OrderOutcome(client_id=one, end=OrderEnd.REJECTED, detail="never came")
                    )
                    for one in command.client_ids
                )
        return OrdersAnswered(
            command_id=command.id, venue=place[0], account=place[1], outcomes=outcomes
        )

    def execute(self, place: tuple[str, str], order: ReduceOrder) -> OrderOutcome:
        """Fill one reduce-only order; a venue caps it at the position."""
        assert order.client_id not in self.fates, f"{order.client_id} was sent twice"
        held = self.positions[place].get(order.market, Decimal(0))
        side = Side.SELL if held > 0 else Side.BUY
        filled = min(order.size, abs(held)) if order.side is side else Decimal(0)
        self.positions[place][order.market] = held - filled if held > 0 else held + filled
        fate = OrderOutcome(
            client_id=order.client_id,
            end=OrderEnd.FILLED if filled else OrderEnd.REJECTED,
            filled_size=filled,
            average_price=order.limit_price,
        )
        self.fates[order.client_id] = fate
        return fate

    def fail(self, command: Command, reason: str = "refused", **more: object) -> CommandFailed:
        """The command had no effect, or nobody knows."""
        failed = CommandFailed(
            command_id=command.id, venue=command.venue, account=command.account, reason=reason
        )
        return msgspec.structs.replace(failed, **more)

    def restart(self, *, lose_commands: bool = True) -> Step:
        """``kill -9`` after the last step was kept, and a new process on the same state."""
        self.machine = KillMachine(self.policy, self.planner, unpack(pack(self.machine.state)))
        if lose_commands:
            self.out.clear()
        return self.tell(TimePassed(restarted=True))

    # ---------------------------------------------------------------------------- to look at

    def latch(self, scope: Subject = PORTFOLIO) -> Latch:
        """The latch of a scope; fails where there is none."""
        return self.machine.state.latches[scope]

    def stage(self, scope: Subject = PORTFOLIO) -> str:
        """Where a scope stands."""
        return self.machine.stage(scope).value

    def sizes(self, place: tuple[str, str] = MAIN) -> dict[str, str]:
        """What is held, as text."""
        return {
            market: f"{size.normalize():f}"
            for market, size in self.positions[place].items()
            if size
        }

    def resting(self, place: tuple[str, str] = MAIN) -> list[str]:
        """Ids of the working orders."""
        return [order.order_id for order in self.orders[place]]

    def sent(self, kind: type[Command]) -> list[Command]:
        """All commands of one kind that the machine ever gave."""
        return [one for step in self.steps for one in step.commands if isinstance(one, kind)]

    def actions(self) -> list[str]:
        """Names of all audit lines."""
        return [one.action for one in self.audit]


ACCOUNT = account_subject(*MAIN)
