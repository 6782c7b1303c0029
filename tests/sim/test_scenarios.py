"""Scenarios: the shipped ones do what they say, and mistakes are reported with their lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from monitor.core.errors import ConfigError
from monitor.core.types import FillKind
from monitor.sim import addresses
from monitor.sim.accounts import SimPool
from monitor.sim.faults import NUMBERS, FaultKind
from monitor.sim.listings import DYDX, HYPERLIQUID
from monitor.sim.occurrences import Filled, Liquidated, Narrated, Transferred, WorldEvent
from monitor.sim.scenario import load_scenario, parse_scenario, play, scenario_names
from monitor.sim.world import World

SHIPPED = (
    "calm",
    "dead_channel",
    "demo",
    "flash_crash",
    "funding_storm",
    "garbage_frames",
    "half_open",
    "rate_limited",
    "stale_oracle",
    "transfer",
    "venue_outage",
)
NOW_S = 1_795_302_856.0
MAIN = (HYPERLIQUID, addresses.HYPERLIQUID_MASTER, "")
DYDX_MAIN = (DYDX, addresses.DYDX_MASTER, "0")


@dataclass
class Run:
    """A scenario played from its start, moment by moment."""

    name: str
    world: World = field(init=False)
    events: list[WorldEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        scenario = load_scenario(self.name)
        self.world = World(7, scenario.start_near(NOW_S))
        self.end_s = play(self.world, scenario)

    def to(self, seconds: float) -> World:
        """The world ``seconds`` after the scenario's start."""
        self.world.advance(self.world.start_s + seconds)
        self.events += self.world.drain()
        return self.world

    def of(self, kind: type[WorldEvent]) -> list[WorldEvent]:
        """Events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]


def expensive_share(world: World, venue: str) -> float:
    """Share of active markets whose running estimate is at least 50 % a year."""
    markets = [m for m in world.venues[venue].markets.values() if m.tradable]
    high = [m for m in markets if abs(m.funding_rate_hourly) * 8_760 >= Decimal("0.5")]
    return len(high) / len(markets)


def usage(pool: SimPool) -> float:
    """Maintenance margin by equity of the cross positions."""
    return float(pool.maintenance_margin / pool.cross_equity)


def test_all_scenarios_are_shipped() -> None:
    """By name, and each one loads and knows its name."""
    assert scenario_names() == SHIPPED
    for name in SHIPPED:
        scenario = load_scenario(name)
        assert scenario.name == name
        assert scenario.steps[0].say, "a scenario begins with a sentence"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_scenario_ends_as_it_began(name: str) -> None:
    """No fault and no pushed premium outlives its scenario."""
    run = Run(name)
    world = run.to(load_scenario(name).duration_s if name != "calm" else 600)
    assert world.faults.active == ()
    assert all(asset.premium_target == pytest.approx(0.0) for asset in world.assets.values())
    assert all(m.liquidity_factor == 1.0 for m in world.venues[HYPERLIQUID].markets.values())
    said = [event.text for event in run.of(Narrated) if isinstance(event, Narrated)]
    assert said == [step.say for step in load_scenario(name).steps if step.say]


def test_calm_hours_touch_nothing() -> None:
    """In an hour: no liquidation, no fill, cheap funding, usage and leverage far from any rule."""
    run = Run("calm")
    for minute in range(5, 61, 5):
        world = run.to(minute * 60)
        for venue in (HYPERLIQUID, DYDX):
            assert expensive_share(world, venue) < 0.25
            for account in world.venues[venue].accounts.values():
                for pool in account.pools.values():
                    if account.pooled or not pool.positions:
                        continue
                    assert usage(pool) < 0.12
                    assert pool.total_notional / pool.equity < Decimal("4.5")
                    for position in pool.positions.values():
                        assert pool.notional(position) < Decimal("1.8") * pool.equity
    assert run.of(Liquidated) == []
    assert run.of(Filled) == []


def test_calm_books_are_deep_enough_for_the_desk() -> None:
    """Every position finds eight times its size within 25 bp of mid on the side it would leave."""
    world = Run("calm").to(30)
    for venue in (HYPERLIQUID, DYDX):
        for account in world.venues[venue].accounts.values():
            for pool in account.pools.values():
                for position in pool.positions.values():
                    market = world.market(venue, position.symbol)
                    mid = market.mid_price
                    assert mid is not None
                    side = market.book.bids if position.size > 0 else market.book.asks
                    near = [p * s for p, s in side if abs(p - mid) <= mid * Decimal("0.0025")]
                    assert sum(near) > 8 * pool.notional(position), position.symbol


def test_funding_storm_reaches_every_market_and_goes() -> None:
    """Quiet, then nearly all markets of both venues above 50 % a year, then quiet again."""
    run = Run("funding_storm")
    assert expensive_share(run.to(60), HYPERLIQUID) == 0.0
    world = run.to(9 * 60)
    assert expensive_share(world, HYPERLIQUID) > 0.8
    assert expensive_share(world, DYDX) > 0.8
    world = run.to(13 * 60)
    assert expensive_share(world, HYPERLIQUID) == 0.0
    assert expensive_share(world, DYDX) < 0.25


def test_funding_storm_is_settled_at_its_rate() -> None:
    """The hour falls into the storm, so a real settlement is charged at it."""
    run = Run("funding_storm")
    world = run.to(10 * 60 + 5)
    row = world.market(HYPERLIQUID, "SOL").settled[-1]
    assert row.time_s > world.start_s
    assert row.rate_hourly > Decimal("0.0002")


def test_flash_crash_liquidates_the_exotic_and_recovers_halfway() -> None:
    """Down a quarter, thin books, a liquidation on Hyperliquid, then back up by a part."""
    run = Run("flash_crash")
    before = run.to(55).assets["BTC"].index
    world = run.to(150)
    assert world.assets["BTC"].index == pytest.approx(before * 0.75, rel=0.03)
    assert world.market(HYPERLIQUID, "BTC").liquidity_factor == 0.08
    first = next(event for event in run.events if isinstance(event, Liquidated))
    assert first.symbols == ("FARTCOIN",)
    assert any(
        event.fill.kind is FillKind.LIQUIDATION
        for event in run.of(Filled)
        if isinstance(event, Filled)
    )
    world = run.to(600)
    assert world.assets["BTC"].index == pytest.approx(before * 0.87, rel=0.04)


def test_stale_oracle_stands_four_percent_off() -> None:
    """The oracle keeps its price, the mark runs away from it, dYdX follows."""
    run = Run("stale_oracle")
    frozen = run.to(61).market(HYPERLIQUID, "BTC").oracle_price
    world = run.to(7 * 60)
    market = world.market(HYPERLIQUID, "BTC")
    assert market.oracle_price == frozen
    assert market.mark_price / frozen > Decimal("1.03")
    assert world.market(DYDX, "BTC-USD").oracle_price > frozen * Decimal("1.03")
    world = run.to(8 * 60 + 10)
    assert world.market(HYPERLIQUID, "BTC").oracle_price > frozen * Decimal("1.03")


@pytest.mark.parametrize(
    ("name", "kind", "begins_s", "ends_s"),
    [
        pytest.param("venue_outage", FaultKind.OUTAGE, 60, 360, id="outage"),
        pytest.param("dead_channel", FaultKind.DEAD_CHANNEL, 60, 300, id="dead channel"),
        pytest.param("garbage_frames", FaultKind.GARBAGE_FRAMES, 60, 240, id="garbage"),
        pytest.param("half_open", FaultKind.HALF_OPEN, 60, 300, id="half open"),
        pytest.param("rate_limited", FaultKind.RATE_LIMITED, 60, 300, id="429"),
        pytest.param("stale_oracle", FaultKind.STALE_ORACLE, 60, 480, id="stale oracle"),
    ],
)
def test_faults_hold_when_the_scenario_says(
    name: str, kind: FaultKind, begins_s: float, ends_s: float
) -> None:
    """Not a second before, until a second after."""
    run, held = Run(name), list[bool]()
    for at_s in (begins_s - 1, begins_s + 1, ends_s - 1, ends_s + 1):
        held.append(any(fault.kind is kind for fault in run.to(at_s).faults.active))
    assert held == [False, True, True, False]


def test_transfer_moves_forty_percent_and_loses_nothing() -> None:
    """Out of dYdX at two minutes, into Hyperliquid at five, to the micro-dollar."""
    run = Run("transfer")
    world = run.to(119)
    equity, cash = world.pool(*DYDX_MAIN).equity, world.pool(*MAIN).cash
    world = run.to(121)
    left = world.pool(*DYDX_MAIN).transfers[-1].amount_usd
    assert -left == pytest.approx(equity * Decimal("0.4"), rel=Decimal("0.01"))
    assert world.pool(*MAIN).cash == cash
    world = run.to(301)
    assert world.pool(*MAIN).cash == cash - left
    assert len(run.of(Transferred)) == 2
    assert usage(world.pool(*DYDX_MAIN)) < 0.15


def watched_s(name: str) -> float:
    """How long a scenario lasts for whoever watches it at the pace it asks for."""
    scenario, speed, total_s, since_s = load_scenario(name), 1.0, 0.0, 0.0
    for step in scenario.steps:
        total_s += (step.at_s - since_s) / speed
        since_s = step.at_s
        for action in step.actions:
            if action.name == "pace":
                speed = float(str(action.values["speed"]))
    return total_s + (scenario.duration_s - since_s) / speed


def test_the_demo_tells_its_story_within_three_minutes() -> None:
    """Calm, storm, a venue that refuses actions for a while, an account over its limit, a dead
    feed, a settlement, calm."""
    assert watched_s("demo") <= 170
    run = Run("demo")
    world = run.to(44)
    assert expensive_share(world, HYPERLIQUID) == 0.0
    assert usage(world.pool(*MAIN)) < 0.10
    for at_s, refused in ((249, False), (251, True), (349, True), (351, False)):
        found = run.to(at_s).faults.holds(FaultKind.ACTIONS_REFUSED, HYPERLIQUID)
        assert found is refused, at_s
    world = run.to(6 * 60)
    assert expensive_share(world, HYPERLIQUID) > 0.8
    assert expensive_share(world, DYDX) > 0.8
    assert usage(world.pool(*MAIN)) < 0.10
    world = run.to(10 * 60)
    assert 0.45 < usage(world.pool(*MAIN)) < 0.7
    assert usage(world.pool(*DYDX_MAIN)) < 0.10
    world = run.to(11 * 60)
    assert world.faults.holds(FaultKind.DEAD_CHANNEL, HYPERLIQUID, "activeAssetCtx", "BTC")
    world = run.to(15 * 60 + 5)
    row = world.market(HYPERLIQUID, "BTC").settled[-1]
    assert row.time_s > world.start_s
    assert row.rate_hourly > Decimal("0.0003")
    world = run.to(18 * 60)
    assert expensive_share(world, HYPERLIQUID) == 0.0
    assert usage(world.pool(*MAIN)) < 0.10
    assert run.of(Liquidated) == []


def test_the_demo_costs_the_desk_little() -> None:
    """The book is hedged: gains on one venue meet losses on the other, below any drawdown rule."""
    run = Run("demo")

    def equity(world: World) -> Decimal:
        return sum(
            (a.equity for venue in world.venues.values() for a in venue.accounts.values()),
            Decimal(0),
        )

    before = equity(run.world)
    lowest = min(equity(run.to(at_s)) for at_s in range(10, 1_081, 10))
    assert lowest > before * Decimal("0.97")


@pytest.mark.parametrize(
    ("minute", "now_s", "start_s"),
    [
        pytest.param(56, 3_600 * 10 + 60, 3_600 * 9 + 56 * 60, id="the one just past"),
        pytest.param(56, 3_600 * 10 + 40 * 60, 3_600 * 10 + 56 * 60, id="the one to come"),
        pytest.param(None, 36_123.0, 36_123.0, id="any time will do"),
    ],
)
def test_start_near(minute: int | None, now_s: float, start_s: float) -> None:
    """The nearest moment with the right minute."""
    text = "name: x\ntitle: x\nduration: 1m\nsteps: [{at: 0, say: x}]\n"
    text += "" if minute is None else f"start_minute: {minute}\n"
    assert parse_scenario(text, "x.yaml").start_near(now_s) == start_s


# ----------------------------------------------------------------------------------------- mistakes

HEAD = "name: x\ntitle: x\nduration: 5m\nsteps:\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("", ["x.yaml:1: -: The file is empty."], id="empty"),
        pytest.param("a: [", ["x.yaml:1: -: This is not readable as YAML"], id="no YAML"),
        pytest.param("- 1", ["x.yaml:1: -: A mapping of names to values"], id="a list"),
        pytest.param("name: x", ["title: This field is missing", "duration", "steps"], id="bare"),
        pytest.param(
            HEAD + "  - {at: soon, say: x}",
            ["x.yaml:5: steps[0].at: This is no length of time. Found: soon."],
            id="time",
        ),
        pytest.param(
            HEAD + "  - {at: 0, do: {prise: {by: 1}}}",
            ["x.yaml:5: steps[0].do: This field is not known. Found: prise.", "'price'?"],
            id="action",
        ),
        pytest.param(
            HEAD + "  - {at: 0, do: {price: {assets: [BTC, EHT], by: -2}}}",
            ["Found: None" and "steps[0].do.price.assets: This name is not known",
             "steps[0].do.price.by: This number does not fit. Found: -2. Allowed: -0.95 to 10."],
            id="values",
        ),
        pytest.param(
            HEAD + "  - {at: 0, do: {fault: {kind: outrage, venue: hyperliquid}}}",
            ["steps[0].do.fault.kind: This name is not known. Found: outrage.", "'outage'?"],
            id="fault kind",
        ),
        pytest.param(
            HEAD + "  - {at: 0, do: {fault: {venue: dydx}}}",
            ["steps[0].do.fault.kind: This field is missing."],
            id="missing field",
        ),
        pytest.param(
            HEAD + "  - {at: 0, do: {fault: {kind: bad_oracle, ratio: 0.97}}}",
            ["x.yaml:5: steps[0].do.fault.ratio: ratio means nothing to bad_oracle: it reads price",
             "x.yaml:5: steps[0].do.fault.price_ratio: bad_oracle needs price_ratio, what it"],
            id="the true price",
        ),
        pytest.param(
            HEAD + "  - at: 0\n    do:\n      fault:\n        kind: outage\n        delay: 2s",
            ["x.yaml:9: steps[0].do.fault.delay: delay means nothing to outage: it reads no num"],
            id="a number that does nothing",
        ),
        pytest.param(
            HEAD + "  - {at: 0}", ["steps[0]: A step must say or do something."], id="no-op"
        ),
        pytest.param(
            HEAD + "  - {at: 9s, say: x}\n  - {at: 3s, say: y}",
            ["x.yaml:6: steps[1].at: Steps must be in the order of time."],
            id="order",
        ),
        pytest.param(
            HEAD + "  - {at: 6m, say: x}",
            ["steps: A step lies after the scenario's end."],
            id="too late",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_reported_with_their_line(text: str, lines: list[str]) -> None:
    """File, line, field, what stands there, what may."""
    with pytest.raises(ConfigError) as caught:
        parse_scenario(text, "x.yaml")
    for line in lines:
        assert line in str(caught.value)


@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_fault_takes_the_numbers_that_it_reads(kind: FaultKind) -> None:
    """And no other: what would do nothing is not taken for a fault."""
    for name in ("ratio", "price_ratio", "filled_ratio", "delay"):
        reads = name in NUMBERS.get(kind, ())
        more = ", price_ratio: 0.5" if kind is FaultKind.BAD_ORACLE and not reads else ""
        text = f"{HEAD}  - {{at: 0, do: {{fault: {{kind: {kind}, {name}: 0.5{more}}}}}}}"
        if reads:
            assert parse_scenario(text, "x.yaml").steps
        else:
            with pytest.raises(ConfigError, match=f"{name} means nothing to {kind}"):
                parse_scenario(text, "x.yaml")


def test_all_mistakes_at_once() -> None:
    """A file with five mistakes reports five."""
    text = (
        "name: x\ntitel: x\nduration: long\nsteps:\n"
        "  - {at: 0, do: {premium: {to: much}}}\n  - {say: x}\n"
    )
    with pytest.raises(ConfigError) as caught:
        parse_scenario(text, "x.yaml")
    assert len(caught.value.problems) == 5


def test_unknown_scenarios_and_files(tmp_path: Path) -> None:
    """The message lists what there is, or says why the file cannot be read."""
    with pytest.raises(ConfigError, match="Choose from: calm, "):
        load_scenario("storm")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_scenario(str(tmp_path / "none.yaml"))


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    """Any path that ends in .yaml is read; every action can be written."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ntitle: mine\nduration: 1m\nsteps:\n"
        "  - at: 1s\n    do:\n"
        "      - {volatility: {assets: BTC, factor: 2}}\n"
        "      - {liquidity: {venues: dydx, depth: 0.5}}\n"
        "      - {deposit: {venue: hyperliquid, amount_usd: 12.5}}\n"
        "      - {trade: {venue: hyperliquid, market: 'xyz:NVDA', size: -20}}\n"
        "      - {trade: {venue: dydx, market: SOL-USD, size: 3.5}}\n"
        "      - {fault: {kind: slow, venue: dydx, delay: 2s}}\n"
        "      - {heal: {kind: slow}}\n"
        "      - {price: {assets: [BTC], by: 0.01}}\n"
    )
    world = World(7, NOW_S)
    play(world, load_scenario(str(path)))
    before = world.pool(*MAIN).cash
    world.advance(NOW_S + 2)
    assert world.assets["BTC"].volatility_factor == 2.0
    assert world.market(DYDX, "BTC-USD").liquidity_factor == 0.5
    assert world.market(HYPERLIQUID, "BTC").liquidity_factor == 1.0
    assert world.pool(*MAIN).cash == before + Decimal("12.5")
    held: Callable[[str, str, str, str], Decimal] = lambda v, a, p, s: (  # noqa: E731
        world.pool(v, a, p).positions[s].size
    )
    assert held(HYPERLIQUID, MAIN[1], "xyz", "xyz:NVDA") == 200
    assert held(*DYDX_MAIN, "SOL-USD") == Decimal("1503.5")
    assert world.faults.active == ()
