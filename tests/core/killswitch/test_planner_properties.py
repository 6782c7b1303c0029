"""What holds of every plan, on generated books: shorts and longs over accounts and venues, lots of
every fineness, dust, working orders, dark and closed accounts, off-book legs, hedge sets."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from random import Random
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.killswitch.book import Book
from monitor.core.killswitch.plan import Plan, PlanLimits, Target
from monitor.core.killswitch.planner import gross_in_scope_usd, plan_cut
from monitor.core.killswitch.scope import covers
from monitor.core.types import Side
from tests.core.killswitch.wild import BASE_PRICE, wild_case

_Fact = TypeVar("_Fact")


def held(book: Book) -> dict[str, Decimal]:
    """Signed size by leg."""
    return {
        f"{truth.venue}/{truth.account}/{position.market}": position.size
        for truth in book.accounts
        for position in truth.positions
    }


def taken(plan: Plan) -> dict[str, Decimal]:
    """Signed change by leg."""
    return {o.leg: o.size if o.side is Side.BUY else -o.size for o in plan.orders}


def is_listed(accounts_named: tuple[tuple[str, str], ...], venue: str, account: str) -> bool:
    """Whether an account is in a list of the book."""
    return (venue, account) in accounts_named


planned = settings(max_examples=80, deadline=None)
seeds = st.integers(0, 2**32)


@planned
@given(seeds)
def test_no_order_increases_or_flips_a_position(seed: int) -> None:
    """Each order is against its position and, with the working orders that may take it off too, no
    larger; there is one order per position."""
    case = wild_case(seed)
    plan = plan_cut(*case)
    sizes = held(case[1])
    legs = {order.leg for order in plan.orders}
    assert len(legs) == len(plan.orders)
    assert {order.pair for order in plan.orders} <= legs | {""}
    for order in plan.orders:
        size = sizes[order.leg]
        assert order.size > 0
        assert (order.side is Side.SELL) == (size > 0)
        resting = sum(
            (
                one.size
                for truth in case[1].accounts
                if (truth.venue, truth.account) == (order.venue, order.account)
                for one in truth.orders
                # A protective stop is kept on purpose; the venue caps it when it fires.
                if one.market == order.market
                and one.side is order.side
                and not (one.reduce_only and one.trigger)
            ),
            Decimal(0),
        )
        assert order.size + resting <= abs(size)
        assert order.closes == (order.size == abs(size))


@planned
@given(seeds)
def test_no_net_per_asset_grows(seed: int) -> None:
    """In base units, off-book legs counted, over the whole book, with no tolerance at all."""
    case = wild_case(seed)
    plan = plan_cut(*case)
    book = case[1]
    asset = {(i.venue, i.market): i.asset for i in book.instruments}
    before: dict[str, Decimal] = defaultdict(Decimal)
    after: dict[str, Decimal] = defaultdict(Decimal)
    change = taken(plan)
    for truth in book.accounts:
        for position in truth.positions:
            name = asset.get((truth.venue, position.market), position.market)
            leg = f"{truth.venue}/{truth.account}/{position.market}"
            before[name] += position.size
            after[name] += position.size + change.get(leg, Decimal(0))
    for outside in book.outside:
        before[outside.asset] += outside.size
        after[outside.asset] += outside.size
    for name, net in before.items():
        assert abs(after[name]) <= abs(net), name


@planned
@given(seeds)
def test_the_cut_is_met_or_what_is_missing_is_stated(seed: int) -> None:
    """Gross after is gross before less the orders; above the goal, it is shortfalls and what later
    rounds take, to the dollar."""
    case = wild_case(seed)
    plan = plan_cut(*case)
    cut_usd = sum(order.notional_usd for order in plan.orders)
    assert plan.gross_before_usd - cut_usd == pytest.approx(plan.gross_after_usd, abs=0.01)
    explained = sum(shortfall.usd for shortfall in plan.shortfalls) + plan.deferred_usd
    above = max(plan.gross_after_usd - plan.goal_usd, 0.0)
    assert explained == pytest.approx(above, rel=1e-9, abs=0.01)
    assert all(shortfall.usd >= 0.0 and shortfall.reason for shortfall in plan.shortfalls)
    assert plan.sliced == (plan.deferred_usd > 0.0)
    if not plan.sliced and not plan.unpriced:
        assert plan.met == (not any(shortfall.usd for shortfall in plan.shortfalls))


@planned
@given(seeds)
def test_the_same_facts_give_the_same_plan(seed: int) -> None:
    """Whatever order accounts, positions, orders, rules, quotes, references and sets come in."""
    case = wild_case(seed)
    target, book, given_limits = case
    random = Random(seed)  # noqa: S311 - no secret, a test

    def mixed(facts: tuple[_Fact, ...]) -> tuple[_Fact, ...]:
        return tuple(random.sample(facts, len(facts)))

    accounts_mixed = tuple(
        msgspec.structs.replace(truth, positions=mixed(truth.positions), orders=mixed(truth.orders))
        for truth in mixed(book.accounts)
    )
    quotes_mixed = tuple(
        msgspec.structs.replace(quote, references=mixed(quote.references))
        for quote in mixed(book.quotes)
    )
    other = Book(
        at_ns=book.at_ns,
        accounts=accounts_mixed,
        quotes=quotes_mixed,
        instruments=mixed(book.instruments),
        outside=mixed(book.outside),
        executable=mixed(book.executable),
        dark=mixed(book.dark),
    )
    sets = tuple((name, mixed(legs)) for name, legs in mixed(given_limits.hedge_sets))
    again = plan_cut(target, other, msgspec.structs.replace(given_limits, hedge_sets=sets))
    assert again == plan_cut(target, book, given_limits)


@planned
@given(seeds)
def test_orders_are_written_as_the_venue_wants_them(seed: int) -> None:
    """Whole lots or the whole position, valid ticks and figures, limits within the bound of a
    reference and never worse than that of their median, plain decimals."""
    case = wild_case(seed)
    plan = plan_cut(*case)
    rules = {(i.venue, i.market): i for i in case[1].instruments}
    references = {(q.venue, q.market): q.references for q in case[1].quotes}
    for order in plan.orders:
        rule = rules[order.venue, order.market]
        assert order.closes or order.size % rule.size_step == 0
        assert order.limit_price % rule.price_tick == 0
        digits = order.limit_price.normalize().as_tuple().digits
        whole = order.limit_price == order.limit_price.to_integral_value()
        assert rule.price_figures is None or whole or len(digits) <= rule.price_figures
        reference = Decimal(repr(order.reference_price))
        usable = [price for price in references[order.venue, order.market] if price > 0.0]
        bound = Decimal(repr(rule.bound_bps)) / (1 if len(usable) > 1 else 2)
        sign = 1 if order.side is Side.BUY else -1
        assert sign * (order.limit_price / reference - 1) * 10_000 <= bound
        fair = [Decimal(repr(price)) for price in (*usable, order.reference_price)]
        assert any(abs(order.limit_price / price - 1) * 10_000 <= bound for price in fair)
        assert min(usable) <= order.reference_price <= max(usable)
        for number in (order.size, order.limit_price):
            assert int(number.as_tuple().exponent) <= 0
            assert number > 0


@planned
@given(seeds)
def test_nothing_outside_the_scope_or_out_of_reach_is_touched(seed: int) -> None:
    """Orders stay in scope, on accounts that take orders, and away from dark ones."""
    case = wild_case(seed)
    target, book, _ = case
    for order in plan_cut(*case).orders:
        assert covers(
            target.scope,
            venue=order.venue,
            account=order.account,
            asset=order.asset,
            market=order.market,
        )
        assert is_listed(book.executable, order.venue, order.account)
        assert not is_listed(book.dark, order.venue, order.account)


@planned
@given(seeds)
def test_the_hour_s_turnover_is_never_passed(seed: int) -> None:
    """The sum of notionals stays within what the hour leaves."""
    case = wild_case(seed)
    left = case[2].turnover_left_usd
    total = sum(order.notional_usd for order in plan_cut(*case).orders)
    assert left is None or total <= max(left, 0.0) * (1 + 1e-12)


@planned
@given(seeds)
def test_a_pair_of_one_asset_shrinks_together(seed: int) -> None:
    """A leg on the lighter side of its asset shrinks by as much as its heavier side does at least:
    a hedge is never cut alone."""
    case = wild_case(seed)
    plan = plan_cut(*case)
    change = taken(plan)
    asset = {(i.venue, i.market): i.asset for i in case[1].instruments}
    net: dict[str, Decimal] = defaultdict(Decimal)
    bought: dict[str, Decimal] = defaultdict(Decimal)
    sold: dict[str, Decimal] = defaultdict(Decimal)
    for truth in case[1].accounts:
        for position in truth.positions:
            name = asset.get((truth.venue, position.market), position.market)
            net[name] += position.size
            delta = change.get(f"{truth.venue}/{truth.account}/{position.market}", Decimal(0))
            if delta > 0:
                bought[name] += delta
            else:
                sold[name] -= delta
    for outside in case[1].outside:
        net[outside.asset] += outside.size
    for name, size in net.items():
        heavy, light = (sold, bought) if size > 0 else (bought, sold)
        assert light[name] <= heavy[name] <= light[name] + abs(size), name


@planned
@given(seeds)
def test_what_is_cut_is_about_what_was_asked(seed: int) -> None:
    """A plan that is not in part takes what is needed and less than one lot or smallest order more,
    of each leg of a pair."""
    target, book, _ = wild_case(seed)
    gross = gross_in_scope_usd(target.scope, book)
    target = Target(scope=target.scope, baseline_usd=gross, gross_to_ratio=0.7)
    plan = plan_cut(target, book, PlanLimits(max_cost_bps=1e6))
    # A pair's lot is at most twice the coarser of its lots; a rest below the smallest order goes
    # with it; and there may be two legs.
    largest = max(
        (
            2.1 * float(rule.size_step) * BASE_PRICE[rule.asset] + float(rule.min_notional_usd)
            for rule in book.instruments
        ),
        default=0.0,
    )
    assert plan.goal_usd - plan.gross_after_usd <= 4 * largest + 0.01
