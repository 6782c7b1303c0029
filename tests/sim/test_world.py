"""The simulated world: determinism, prices, books, funding and what venues make of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.sim.addresses import DYDX_MASTER, HYPERLIQUID_MASTER
from monitor.sim.books import aggregate, impact_price, top_of_book
from monitor.sim.config import WorldConfig
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.funding import FundingMeter, FundingTerms
from monitor.sim.listings import DYDX, HYPERLIQUID
from monitor.sim.occurrences import BlockMade, FundingPaid, FundingSettled, WorldEvent
from monitor.sim.prices import Ramp
from monitor.sim.world import World

START_S = 1_795_305_480.0  # two minutes before a full hour
HOUR_S = 3_600.0


def make_world(seed: int = 7, start_s: float = START_S) -> World:
    return World(seed, start_s)


def fingerprint(world: World) -> list[object]:
    """Everything that could differ between two worlds."""
    prices: list[object] = [
        (m.symbol, m.oracle_price, m.mark_price, m.mid_price, m.book, m.funding_rate_hourly)
        for venue in world.venues.values()
        for m in venue.markets.values()
    ]
    money: list[object] = [
        (name, pool.cash, pool.equity, [repr(p) for p in pool.positions.values()], pool.fills)
        for venue in world.venues.values()
        for account in venue.accounts.values()
        for name, pool in account.pools.items()
    ]
    return prices + money


def test_same_seed_same_world() -> None:
    """Two worlds of one seed agree to the last digit."""
    one, two = make_world(), make_world()
    for world in (one, two):
        world.advance(START_S + 120)
    assert fingerprint(one) == fingerprint(two)


def test_another_seed_is_another_world() -> None:
    """The seed matters."""
    one, two = make_world(1), make_world(2)
    for world in (one, two):
        world.advance(START_S + 60)
    assert fingerprint(one) != fingerprint(two)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(0.01, 40.0), max_size=12))
def test_the_way_there_does_not_matter(cuts: list[float]) -> None:
    """One long advance and many short ones lead to the same world and tell the same events."""
    world, other = make_world(), make_world()
    world.advance(START_S + 40)
    for cut in sorted(cuts):
        other.advance(START_S + cut)
    other.advance(START_S + 40)
    assert fingerprint(world) == fingerprint(other)
    assert world.drain() == other.drain()


def test_looking_changes_nothing() -> None:
    """Books and contexts may be asked for at any time."""
    watched, left_alone = make_world(), make_world()
    for second in range(1, 31):
        watched.advance(START_S + second)
        fingerprint(watched)
    left_alone.advance(START_S + 30)
    assert fingerprint(watched) == fingerprint(left_alone)


def test_time_does_not_go_back() -> None:
    """Going back is refused with both times in the message."""
    world = make_world()
    with pytest.raises(ValueError, match="cannot go back"):
        world.advance(START_S - 1)


def test_subscribers_hear_each_event_once() -> None:
    """A subscriber is called at every advance, also when nothing happened."""
    world, heard = make_world(), list[list[WorldEvent]]()
    world.subscribe(lambda events: heard.append(list(events)))
    world.advance(START_S + 0.1)
    world.advance(START_S + 3)
    assert heard[0] == []
    assert [event for events in heard for event in events] == world.drain()


def test_assets_move_together() -> None:
    """Majors share the common factor: their log returns are clearly correlated."""
    import math  # noqa: PLC0415 - this test alone needs it
    from statistics import correlation  # noqa: PLC0415 - likewise

    world = make_world()
    returns: dict[str, list[float]] = {"BTC": [], "ETH": [], "GOLD": []}
    before = {name: world.assets[name].index for name in returns}
    for step in range(1, 401):
        world.advance(START_S + 5 * step)
        for name, series in returns.items():
            series.append(math.log(world.assets[name].index / before[name]))
            before[name] = world.assets[name].index
    assert correlation(returns["BTC"], returns["ETH"]) > 0.6
    assert abs(correlation(returns["BTC"], returns["GOLD"])) < 0.4


@pytest.mark.parametrize(
    ("from_s", "to_s", "share"),
    [
        pytest.param(0, 10, 0.0, id="before"),
        pytest.param(10, 15, 0.5, id="first half"),
        pytest.param(5, 50, 1.0, id="all of it"),
        pytest.param(20, 30, 0.0, id="after"),
    ],
)
def test_a_ramp_is_spread_evenly(from_s: float, to_s: float, share: float) -> None:
    """A shock falls into steps in proportion to time."""
    assert Ramp(10, 20, 1.0).share(from_s, to_s) == pytest.approx(share)


def test_a_shock_without_length_happens_once() -> None:
    """A jump lies in exactly one step, however the steps fall."""
    ramp = Ramp(10, 10, -0.2)
    assert [ramp.share(9, 9.5), ramp.share(9.5, 10), ramp.share(10, 10.5)] == [0.0, -0.2, 0.0]


# ------------------------------------------------------------------------------------------ books


ALL_MARKETS = [
    (venue, symbol)
    for venue in (HYPERLIQUID, DYDX)
    for symbol in make_world().venues[venue].markets
]


@pytest.mark.parametrize(("venue", "symbol"), ALL_MARKETS, ids=[s for _, s in ALL_MARKETS])
def test_books_are_ordered_and_on_the_grid(venue: str, symbol: str) -> None:
    """Bids fall, asks rise, they do not touch, and every number is a multiple of its step."""
    world = make_world()
    world.advance(START_S + 7)
    market = world.market(venue, symbol)
    book = market.book
    if not market.tradable:
        assert (book.bids, book.asks, market.mid_price) == ((), (), None)
        return
    bids, asks = [p for p, _ in book.bids], [p for p, _ in book.asks]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert len(set(bids)) == len(bids)
    assert bids[0] < asks[0]
    assert market.top == (bids[0], asks[0])
    tick = market.tick
    assert all(price % tick == 0 for price in bids + asks)
    assert all(size > 0 and size % market.size_step == 0 for _, size in book.bids + book.asks)


def test_depth_is_what_the_listing_says() -> None:
    """The USD within 25 bp of mid is the market's depth, within the noise of its levels."""
    world = make_world()
    world.advance(START_S + 5)
    market = world.market(HYPERLIQUID, "BTC")
    mid = market.mid_price
    assert mid is not None
    band = mid * Decimal("0.0025")
    depth = sum(p * s for p, s in market.book.bids if p >= mid - band)
    assert 0.75 < float(depth) / market.spec.depth_25bp_usd < 1.25


def test_a_plain_view_of_a_major_ends_early() -> None:
    """Twenty plain levels of BTC end within 25 bp: only an aggregated book reaches that far."""
    world = make_world()
    market = world.market(HYPERLIQUID, "BTC")
    mid, book = market.mid_price, market.book
    assert mid is not None
    assert (mid - book.bids[19][0]) / mid < Decimal("0.0025")
    merged = aggregate(book.bids, Decimal(100), is_bid=True)
    assert (mid - merged[19][0][0]) / mid > Decimal("0.0025")


def test_aggregation_loses_nothing() -> None:
    """Merged levels hold the same base units, bids rounded down and asks up."""
    book = make_world().market(HYPERLIQUID, "ETH").book
    for side, is_bid in ((book.bids, True), (book.asks, False)):
        merged = aggregate(side, Decimal(10), is_bid=is_bid)
        assert sum(size for (_, size), _ in merged) == sum(size for _, size in side)
        assert all(price % 10 == 0 for (price, _), _ in merged)
    assert aggregate(book.bids, Decimal(10), is_bid=True)[0][0][0] <= book.bids[0][0]
    assert aggregate(book.asks, Decimal(10), is_bid=False)[0][0][0] >= book.asks[0][0]


@pytest.mark.parametrize(
    ("notional", "price"),
    [
        pytest.param(100, "10", id="within the first level"),
        pytest.param(200, "10", id="exactly the first level"),
        pytest.param(420, "10.5", id="both levels evenly"),
        pytest.param(421, None, id="one dollar more than there is"),
    ],
)
def test_impact_price(notional: int, price: str | None) -> None:
    """The average price of taking a notional, None beyond the book."""
    levels = ((Decimal(10), Decimal(20)), (Decimal(11), Decimal(20)))
    got = impact_price(levels, Decimal(notional))
    if notional == 420:
        # 200 USD buy 20 units at 10, the other 220 buy 20 at 11: 40 units for 420.
        assert got == Decimal("10.5")
    else:
        assert got == (None if price is None else Decimal(price))


def test_the_spread_never_closes() -> None:
    """Even without any spread the ask lies one tick above the bid."""
    assert top_of_book(100.0, Decimal("0.1"), 0.0) == (Decimal("100.0"), Decimal("100.1"))


# ---------------------------------------------------------------------------------------- funding


@pytest.mark.parametrize(
    ("premium", "rate"),
    [
        pytest.param(0.0, 0.0000125, id="no premium: the interest alone, the floor"),
        pytest.param(0.0005, 0.0000125, id="within the clamp: still the floor"),
        pytest.param(0.0006, 0.0000125, id="the edge of the clamp"),
        pytest.param(0.0014, 0.0009 / 8, id="above the clamp"),
        pytest.param(-0.0004, 0.0000125, id="the lower edge"),
        pytest.param(-0.001, -0.0005 / 8, id="below it: shorts pay"),
        pytest.param(1.0, 0.04, id="capped at 4 % an hour"),
        pytest.param(-1.0, -0.04, id="capped below"),
    ],
)
def test_hyperliquid_funding_formula(premium: float, rate: float) -> None:
    """F8h = P + clamp(interest - P, +-0.0005), one eighth an hour, capped (docs, page Funding)."""
    meter = FundingMeter(FundingTerms())
    assert meter.rate_hourly(premium, settled=True) == pytest.approx(rate)


def test_dydx_pads_the_hour_with_zeros() -> None:
    """Ten minutes of premium count for a sixth of the hour, but the estimate does not pad."""
    terms = FundingTerms(interest_8h=0.0, padded_to=60, clamped_interest=False)
    meter = FundingMeter(terms)
    for minute in range(10):
        meter.sample(0.008, minute * 60.0)
    assert meter.published == pytest.approx(0.001)
    assert meter.settle() == pytest.approx((0.001 / 6, 0.008 / 6))


def test_recorded_dydx_rate() -> None:
    """19 ppm over eight hours are 0.000002375 an hour, as recorded."""
    terms = FundingTerms(interest_8h=0.0, clamped_interest=False)
    assert FundingMeter(terms).rate_hourly(0.000019, settled=True) == pytest.approx(0.000002375)


def test_the_hour_is_settled_just_after_it() -> None:
    """Every tradable market settles once an hour, stamped milliseconds after, never on the hour."""
    world = make_world()
    world.advance(START_S + 300)
    rows = [event for event in world.drain() if isinstance(event, FundingSettled)]
    hour = (START_S // HOUR_S + 1) * HOUR_S
    tradable = [m for v in world.venues.values() for m in v.markets.values() if m.tradable]
    assert len(rows) == len(tradable)
    assert all(0.0 < row.row.time_s - hour < 0.12 for row in rows)


def test_hyperliquid_books_funding_at_once() -> None:
    """Each position pays size x oracle x rate out of its pool's cash, on the hour."""
    world = make_world()
    world.advance((START_S // HOUR_S + 1) * HOUR_S - 0.5)
    pool = world.pool(HYPERLIQUID, HYPERLIQUID_MASTER, "")
    cash, isolated = pool.cash, pool.positions["FARTCOIN"].isolated_cash
    assert isolated is not None
    world.drain()
    world.advance(world.now_s + 0.5)
    paid = {
        event.payment.symbol: event.payment
        for event in world.drain()
        if isinstance(event, FundingPaid)
        and (event.venue, event.address, event.pool) == (HYPERLIQUID, HYPERLIQUID_MASTER, "")
    }
    assert paid.keys() == pool.positions.keys()
    for symbol, payment in paid.items():
        row = world.market(HYPERLIQUID, symbol).settled[-1]
        owed = pool.positions[symbol].size * row.price * row.rate_hourly
        assert abs(payment.payment_usd + owed) < Decimal("0.000001")
    cross = sum(p.payment_usd for s, p in paid.items() if s != "FARTCOIN")
    assert pool.cash == cash + cross
    assert pool.positions["FARTCOIN"].isolated_cash == isolated + paid["FARTCOIN"].payment_usd


def test_dydx_books_funding_at_the_next_change() -> None:
    """The index moves at the hour, cash does not; equity counts what is due; a deposit books it."""
    world = make_world()
    pool = world.pool(DYDX, DYDX_MASTER, "128")
    cash = pool.cash
    world.advance((START_S // HOUR_S + 1) * HOUR_S + 1)
    position = pool.positions["FARTCOIN-USD"]
    due = pool.funding_due(position)
    assert due < 0  # a short receives the isolated market's interest
    assert pool.cash == cash
    assert pool.cash_with_funding == cash - due
    equity = pool.equity
    world.deposit(DYDX, DYDX_MASTER, "128", Decimal(100))
    assert pool.cash == cash - due + 100
    assert pool.equity == equity + 100
    assert pool.funding_due(position) == 0
    assert pool.funding[-1].payment_usd == -due


def test_a_premium_shows_in_funding_and_mark() -> None:
    """Premium up: impact bid above oracle, estimate above the floor, mark above oracle."""
    world = make_world()
    for asset in world.assets.values():
        asset.premium = asset.premium_target = 0.01
    world.advance(START_S + 120)
    market = world.market(HYPERLIQUID, "SOL")
    impact = market.impact_prices
    assert impact is not None
    assert impact[0] > market.oracle_price
    assert market.funding_rate_hourly > Decimal("0.0005")
    assert market.mark_price > market.oracle_price


# ----------------------------------------------------------------------------------------- faults


def test_a_stale_oracle_stands_while_mids_move() -> None:
    """Frozen on the venue and market named, and only there; healing moves it at once."""
    world = make_world()
    world.advance(START_S + 6)
    world.faults.inject(Fault(kind=FaultKind.STALE_ORACLE, venue=HYPERLIQUID, market="ETH"))
    frozen = world.market(HYPERLIQUID, "ETH").oracle_price
    mid = world.market(HYPERLIQUID, "ETH").mid_price
    for asset in world.assets.values():
        asset.shocks.append(Ramp(world.now_s, world.now_s + 10, 0.05))
    world.advance(START_S + 60)
    assert world.market(HYPERLIQUID, "ETH").oracle_price == frozen
    moved = world.market(HYPERLIQUID, "ETH").mid_price
    assert moved is not None
    assert mid is not None
    assert moved > mid * Decimal("1.03")
    assert world.market(HYPERLIQUID, "BTC").oracle_price > Decimal(86_000)
    world.faults.heal(FaultKind.STALE_ORACLE)
    world.advance(START_S + 66)
    assert world.market(HYPERLIQUID, "ETH").oracle_price > frozen * Decimal("1.03")


def test_a_bad_oracle_prints_a_share_of_the_price() -> None:
    """On the venue and market named, and only there; the books know nothing of it."""
    world = make_world()
    world.advance(START_S + 6)
    before = world.market(HYPERLIQUID, "ETH").oracle_price
    world.faults.inject(
        Fault(kind=FaultKind.BAD_ORACLE, venue=HYPERLIQUID, market="ETH", price_ratio=0.1)
    )
    world.advance(START_S + 12)
    market = world.market(HYPERLIQUID, "ETH")
    assert Decimal("0.09") < market.oracle_price / before < Decimal("0.11")
    assert market.mid_price is not None
    assert market.mid_price > before * Decimal("0.97")
    assert world.market(HYPERLIQUID, "BTC").oracle_price > Decimal(80_000)
    world.faults.heal()
    world.advance(START_S + 18)
    assert world.market(HYPERLIQUID, "ETH").oracle_price > before * Decimal("0.97")


def test_a_halted_chain_makes_no_blocks() -> None:
    """Height, prices and settlements of the venue stand still; the other venue goes on."""
    world = make_world()
    world.advance(START_S + 5)
    world.drain()
    world.faults.inject(Fault(kind=FaultKind.HALTED, venue=DYDX))
    before = fingerprint_of_venue(world, DYDX)
    world.advance(START_S + 60)
    assert fingerprint_of_venue(world, DYDX) == before
    blocks = {event.venue for event in world.drain() if isinstance(event, BlockMade)}
    assert blocks == {HYPERLIQUID}


def fingerprint_of_venue(world: World, venue: str) -> list[object]:
    """Height, block time and prices of one venue."""
    one = world.venues[venue]
    prices = [(m.oracle_price, m.funding_rate_hourly) for m in one.markets.values()]
    return [one.height, one.block_time_s, prices]


@pytest.mark.parametrize(
    ("fault", "asked", "hit"),
    [
        pytest.param(Fault(kind=FaultKind.OUTAGE), ("dydx", "*", "*"), True, id="everywhere"),
        pytest.param(
            Fault(kind=FaultKind.OUTAGE, venue="dydx"), ("hyperliquid", "*", "*"), False,
            id="the other venue",
        ),
        pytest.param(
            Fault(kind=FaultKind.OUTAGE, channel="bbo"), ("dydx", "bbo", "BTC"), True,
            id="the channel, any market",
        ),
        pytest.param(
            Fault(kind=FaultKind.OUTAGE, channel="bbo", market="BTC"), ("dydx", "bbo", "ETH"),
            False, id="another market",
        ),
    ],
)  # fmt: skip
def test_faults_hit_what_they_name(fault: Fault, asked: tuple[str, str, str], hit: bool) -> None:
    """A fault narrows by venue, channel and market."""
    world = make_world()
    world.faults.inject(fault)
    assert world.faults.holds(FaultKind.OUTAGE, *asked) is hit


def test_fault_listeners_hear_both_ends() -> None:
    """Injecting twice tells once; healing tells each fault that ended."""
    faults, heard = make_world().faults, list[tuple[FaultKind, bool]]()
    listen: Callable[[Fault, bool], None] = lambda fault, on: heard.append((fault.kind, on))  # noqa: E731
    faults.subscribe(listen)
    fault = Fault(kind=FaultKind.SLOW, venue="dydx")
    faults.inject(fault)
    faults.inject(fault)
    assert faults.heal(FaultKind.SLOW, "hyperliquid") == 0
    assert faults.heal() == 1
    assert heard == [(FaultKind.SLOW, True), (FaultKind.SLOW, False)]


def test_a_world_without_a_desk_has_no_accounts() -> None:
    """The desk is optional."""
    world = World(1, START_S, WorldConfig(desk=False))
    assert all(not venue.accounts for venue in world.venues.values())


def test_the_past_moved_as_the_world_does() -> None:
    """An asset moved alike at both venues, and assets with their common factor."""
    world = World(7, START_S)

    def returns(venue: str, symbol: str) -> list[float]:
        bars = world.venues[venue].markets[symbol].bars_of(3_600)
        return [math.log(bar.close / bar.open) for bar in bars[:4_000]]

    btc, eth = returns("hyperliquid", "BTC"), returns("hyperliquid", "ETH")
    assert btc == pytest.approx(returns("dydx", "BTC-USD"))
    assert 0.4 < statistics.correlation(btc, eth) < 0.9
    yearly = statistics.pstdev(btc) * math.sqrt(8_760)
    assert yearly == pytest.approx(world.assets["BTC"].spec.volatility, rel=0.15)


def test_worlds_of_one_seed_share_a_past_that_none_of_them_changes() -> None:
    """It is written once; a world that goes on leaves another's as it was."""
    one, other = make_world(), make_world()
    market, twin = (world.venues["hyperliquid"].markets["BTC"] for world in (one, other))
    assert market.bars[0] is twin.bars[0]
    told, settled = [replace(bar) for bar in twin.bars_of(3_600)], list(twin.settled)
    one.advance(START_S + HOUR_S)
    assert market.bars[-1].start_s > told[-1].start_s
    assert twin.bars_of(3_600) == told
    assert list(twin.settled) == settled
