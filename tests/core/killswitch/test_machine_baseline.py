"""What a share is a share of: the gross that was really read, never a zero that nobody knows."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.killswitch.book import AccountTruth, Book
from monitor.core.killswitch.facts import PlaceOrders
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.plan import Plan, PlanLimits, Planner, Target
from monitor.core.killswitch.planner import plan_cut
from monitor.core.killswitch.policy import KillPolicy
from monitor.core.types import venue_subject
from tests.core.killswitch.kill_desk import (
    ARMED,
    HL,
    MAIN,
    SIDE,
    STEP,
    World,
    cutter,
    price_of,
)

Place = tuple[str, str]
WHOLE = msgspec.structs.replace(ARMED, max_cost_bps=1e6)  # not in slices, so that it is quick
UNCAPPED = msgspec.structs.replace(WHOLE, turnover_ratio_per_hour=None)
LOT_USD = 1_000.0


class YoungWorld(World):
    """A desk whose feeds have not told everything yet: ``absent`` accounts are in no book,
    ``unread`` ones are dark and never read, and ``unpriced`` markets have no quote."""

    absent: frozenset[Place] = frozenset()
    unread: frozenset[Place] = frozenset()
    unpriced: frozenset[str] = frozenset()

    def book(self) -> Book:
        """What the feeds know so far."""
        book = super().book()
        return msgspec.structs.replace(
            book,
            accounts=tuple(
                AccountTruth(
                    venue=one.venue, account=one.account, read_ns=0, positions=(), orders=()
                )
                if (one.venue, one.account) in self.unread
                else one
                for one in book.accounts
                if (one.venue, one.account) not in self.absent
            ),
            quotes=tuple(one for one in book.quotes if one.market not in self.unpriced),
            executable=tuple(one for one in book.executable if one not in self.absent),
            dark=tuple(sorted({*book.dark, *self.unread})),
        )

    def grow_up(self) -> None:
        """The feeds tell everything."""
        self.absent = self.unread = frozenset()
        self.unpriced = frozenset()


def young(policy: KillPolicy = WHOLE, planner: Planner = plan_cut) -> YoungWorld:
    """One position in each of two accounts, of 100,000 USD each."""
    world = YoungWorld(policy, planner)
    world.hold(BTC="1").hold(SIDE, ETH="25")
    return world


@pytest.mark.parametrize("policy", [pytest.param(WHOLE, id="with a cap on turnover"),
                                    pytest.param(UNCAPPED, id="without")])  # fmt: skip
@pytest.mark.parametrize("ignorance", ["absent", "unread"])
@pytest.mark.parametrize(
    ("level", "ratio", "left_usd"),
    [
        pytest.param(Level.FLATTEN, None, 0.0, id="a flatten flattens"),
        pytest.param(Level.CUT, 0.7, 140_000.0, id="a cut leaves its share"),
    ],
)
def test_a_trip_before_anything_was_read_reaches_its_goal(
    policy: KillPolicy, ignorance: str, level: Level, ratio: float | None, left_usd: float
) -> None:
    """A KILL file at the start of the daemon: the share is of what is read then, not of zero."""
    world = young(policy)
    setattr(world, ignorance, frozenset({MAIN, SIDE}))
    world.pull(level, gross_to=ratio)
    assert world.latch().baseline_usd is None
    world.run(10)
    world.grow_up()
    world.run(300)
    assert gross(world) == pytest.approx(left_usd, abs=LOT_USD)
    assert world.stage() == "contained"
    assert world.latch().baseline_usd == 200_000.0


def test_an_account_that_is_read_by_the_trip_alone_counts_with_its_first_truth() -> None:
    """The feeds stay silent; what the executor reads is enough."""
    world = young(UNCAPPED)
    world.unread = frozenset({MAIN, SIDE})
    world.pull(Level.CUT, gross_to=0.7)
    world.run(300)
    assert gross(world) == pytest.approx(140_000.0, abs=LOT_USD)
    assert world.latch().baseline_usd == 200_000.0


def test_an_account_that_answers_late_is_cut_by_its_own_share() -> None:
    """The first is cut by its share when it is read, and the sum when the other is known."""
    world = young(UNCAPPED)
    world.unread, world.slow = frozenset({SIDE}), {SIDE}
    world.pull(Level.CUT, gross_to=0.7)
    world.run(20)
    assert (world.sizes(), world.latch().baseline_usd) == ({"BTC": "0.7"}, 100_000.0)
    world.slow = set()
    world.run(300)
    assert gross(world) == pytest.approx(140_000.0, abs=LOT_USD)
    assert (world.stage(), world.latch().baseline_usd) == ("contained", 200_000.0)


def test_a_position_without_a_price_counts_when_it_has_one() -> None:
    """Unknown is not zero: it keeps its share when the price comes."""
    world = young(UNCAPPED)
    world.unpriced = frozenset({"BTC"})
    world.pull(Level.CUT, gross_to=0.7)
    world.run(60)
    assert gross(world) == pytest.approx(170_000.0, abs=LOT_USD)
    world.grow_up()
    world.run(300)
    assert gross(world) == pytest.approx(140_000.0, abs=LOT_USD)
    assert world.latch().baseline_usd == 200_000.0


@pytest.mark.parametrize(
    ("unpriced", "said"),
    [
        pytest.param(
            ("BTC", "ETH", "ETH-USD"), "of a gross that is unknown now", id="nothing has a price"
        ),
        pytest.param(("BTC",), "of $100k and 1 without a price", id="something has none"),
        pytest.param((), "of $200k", id="all is priced"),
    ],
)
def test_people_are_told_no_zero_that_nobody_knows(unpriced: tuple[str, ...], said: str) -> None:
    """A scope whose venue is dark is worth what is unknown, in the page and in the record."""
    world = young(UNCAPPED)
    world.unpriced = frozenset(unpriced)
    world.pull(Level.FLATTEN)
    assert said in world.notices[0].summary
    told = [dict(one.details) for one in world.audit if one.action == "tripped"]
    assert [bool(one.get("unpriced")) for one in told] == [bool(unpriced)]


def test_the_baseline_is_fixed_once_and_survives_a_restart() -> None:
    """What was read first counts, whatever the market and other people do afterwards."""
    world = young(UNCAPPED)
    world.pull(Level.CUT, gross_to=0.7)
    assert world.latch().baseline_usd == 200_000.0
    world.hold(BTC="0.8")
    world.restart()
    world.run(300)
    assert world.latch().baseline_usd == 200_000.0


def test_a_book_that_is_read_and_flat_is_contained() -> None:
    """A zero that was read is a zero."""
    world = YoungWorld()
    world.pull(Level.FLATTEN)
    world.run(60)
    assert (world.stage(), world.latch().baseline_usd) == ("contained", 0.0)


def test_what_grew_in_the_dark_is_not_taken_off_the_rest() -> None:
    """A dark account whose gross passes the whole baseline must not flatten the others."""
    world = young(UNCAPPED, cutter)
    world.dark = (SIDE,)
    world.executable = (MAIN,)
    world.pull(Level.CUT, gross_to=0.7)
    world.hold(SIDE, ETH="75")
    world.run(60)
    assert world.sizes() == {"BTC": "0.7"}


class Recorded:
    """A planner that keeps what it was asked for and what it said."""

    def __init__(self) -> None:
        self.plans: list[tuple[Target, Plan]] = []

    def __call__(self, target: Target, book: Book, limits: PlanLimits) -> Plan:
        """As ``plan_cut``."""
        plan = plan_cut(target, book, limits)
        self.plans.append((target, plan))
        return plan


lots = st.integers(1, 400)
places = st.frozensets(st.sampled_from([MAIN, SIDE]))


@settings(max_examples=60, deadline=None)
@given(
    held=st.tuples(lots, lots, lots),
    percent=st.integers(0, 99),
    absent=places,
    unread=places,
    unpriced=st.frozensets(st.sampled_from(["BTC", "ETH", "ETH-USD"])),
    capped=st.booleans(),
    slow=places,
    wait_s=st.floats(0.0, 90.0),
)
def test_a_cut_never_goes_below_its_goal(
    held: tuple[int, int, int],
    percent: int,
    absent: frozenset[Place],
    unread: frozenset[Place],
    unpriced: frozenset[str],
    capped: bool,
    slow: frozenset[Place],
    wait_s: float,
) -> None:
    """Whatever is known when: at least the share of the gross stays, less one lot at most, and in
    the end no more than it (a short desk, nothing pairs)."""
    planner = Recorded()
    world = YoungWorld(WHOLE if capped else UNCAPPED, planner)
    world.hold(BTC=str(held[0] * STEP), ETH=str(held[1] * STEP))
    world.hold(SIDE, ETH=str(held[2] * STEP))
    world.absent, world.unread, world.unpriced, world.slow = absent, unread, unpriced, set(slow)
    ratio = percent / 100
    begun = gross(world)
    least = begun * ratio - 2 * float(STEP) * price_of("BTC")
    world.pull(Level.CUT, gross_to=ratio)
    world.run(wait_s)
    assert gross(world) >= least
    world.grow_up()
    world.slow = set()
    world.run(7200)
    assert gross(world) >= least
    assert all(plan.gross_after_usd >= plan.goal_usd - 1_000.0 for _, plan in planner.plans)
    assert all(target.gross_to_ratio >= ratio - 1e-9 for target, _ in planner.plans)
    assert gross(world) <= begun * ratio + 2 * float(STEP) * price_of("BTC")


def gross(world: World) -> float:
    """USD of all positions."""
    return sum(
        float(abs(size)) * price_of(market)
        for held in world.positions.values()
        for market, size in held.items()
    )


def test_a_scope_of_one_venue_waits_for_that_venue_alone() -> None:
    """Accounts elsewhere do not make a baseline known."""
    world = young(UNCAPPED)
    world.unread = frozenset({MAIN})
    world.slow = {MAIN}
    world.pull(Level.CUT, venue_subject(HL), gross_to=0.7)
    assert world.latch(venue_subject(HL)).baseline_usd is None
    world.slow = set()
    world.run(120)
    assert (world.sizes(), world.sizes(SIDE)) == ({"BTC": "0.7"}, {"ETH-USD": "25"})
    assert not [one for one in world.sent(PlaceOrders) if (one.venue, one.account) == SIDE]
    assert world.positions[SIDE]["ETH-USD"] == Decimal(25)
