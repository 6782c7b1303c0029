"""What ``riskd explain`` prints under a number is done again here, as a person would by hand."""

from __future__ import annotations

from functools import cache

import pytest

from monitor.core import events as e
from monitor.core.measures import looking
from monitor.core.measures.catalogue import DEFINITIONS
from monitor.core.measures.definition import Key
from monitor.core.measures.work_accounts import WORKINGS as OF_ACCOUNTS
from monitor.core.measures.work_funding import WORKINGS as OF_FUNDING
from monitor.core.measures.work_liquidation import WORKINGS as OF_LIQUIDATION
from monitor.core.measures.work_markets import WORKINGS as OF_MARKETS
from monitor.core.measures.work_parts import WORKINGS as OF_PARTS
from monitor.core.settings import EngineSettings
from monitor.core.state.series import HOUR_NS
from monitor.core.structure import HedgeSet, StructureSettings
from monitor.core.types import SECOND_NS, position_subject, subject_kind
from tests.core.by_hand import ROOM, RULE, sums
from tests.core.desk import DYDX, HL, MAIN, START_NS, TIERS, Desk
from tests.core.test_leverage_caps import closes

FAMILIES = (OF_ACCOUNTS, OF_FUNDING, OF_LIQUIDATION, OF_MARKETS, OF_PARTS)
ALL = {key: work for family in FAMILIES for key, work in family.items()}
Worked = tuple[float, tuple[str, ...]]
SETTLED = ((HL, "BTC", 1e-5), (HL, "ETH", 2e-5), (DYDX, "BTC-USD", -3e-6))  # an hour
RICH, POOR = 2000.0, 1900.0  # equity before and after the loss
# Of these the larger (or the nearer) of several sums counts, or its size alone.
_ONE_OF = {
    "margin_usage_ratio", "liquidation_distance_ratio", "depth_drop_ratio",
    "liquidation_probability_24h_ratio", "equity_difference_ratio", "cross_check_difference_ratio",
}  # fmt: skip
# Sums of chances have no closed form; two sources at odds are put beside each other; settlements
# in a row are shown one by one.
_NO_SUM = {
    "liquidation_probability_24h_ratio", "equity_difference_ratio", "cross_check_difference_ratio",
    "funding_flip_against",
}  # fmt: skip


def told(at: Desk, second: float, equity: float) -> None:
    """Everything there is to know, at one instant."""
    at.at(second)
    for market, price in (("BTC", 100.0), ("ETH", 50.0)):
        at.context(
            market,
            mark_price=price * 1.004 + second * 1e-6,
            volume_24h_usd=1e6,
            oracle_price=price + second * 1e-6,
            index_price=price * 1.001,
            predicted_funding_rate_hourly=1.2e-4,
            open_interest_base=1e5,
        )
        at.top(price * 0.9995, price * 1.0005, market)
        depth = e.DepthSeen(
            venue=HL,
            channel=f"{HL}/l2/{market}",
            market=market,
            band_ratio=0.0025,
            bid_depth_usd=5e4 if equity == RICH else 2e4,
            ask_depth_usd=6e4,
        )
        at.tell(depth)
    at.context("BTC-USD", DYDX, oracle_price=100.0, predicted_funding_rate_hourly=5e-5)
    at.money(equity, cash=equity - 1500.0).positions(("BTC", 20), ("ETH", -10))
    at.money(350.0, cash=1750.0, venue=DYDX).positions(("BTC-USD", -14), venue=DYDX)
    for venue in (HL, DYDX):
        at.tell(
            e.FundingPaid(
                venue=venue, channel=f"{venue}/paid", account="main", history=True, payments=()
            )
        )
    at.evaluate()
    at.at(second + 6.0).evaluate()  # measures with a cadence


def settle(at: Desk) -> None:
    """The hour's funding is charged, dearer than usual."""
    for venue, market, base in SETTLED:
        at.tell(
            e.FundingSettled(
                venue=venue,
                channel=f"{venue}/funding/{market}",
                market=market,
                funding_rate_hourly=5 * base,
                native_funding_rate=5 * base,
                native_funding_interval_s=3600,
                settled_at_ns=at.now - at.now % HOUR_NS,
            )
        )


@cache
def desk() -> Desk:
    """A month of funding, half a year of prices and a day of books; then a loss."""
    legs = ((HL, "main", "BTC"), (DYDX, "main", "BTC-USD"))
    at = Desk(
        settings=EngineSettings(
            accounts=((HL, "main"), (DYDX, "main")),
            structure=StructureSettings(hedge_sets=(HedgeSet(name="btc", legs=legs),)),
        )
    )
    for market in ("BTC", "ETH"):
        at.list_market(market, tiers=(*TIERS, e.MarginTier(1200.0, 0.05, 0.025)))
        at.tell(closes(market, (0.006, -0.006, 0.004, -0.005)))
    at.list_market("BTC-USD", DYDX, interval_s=3600)
    for venue, market, base in SETTLED:
        rates = tuple(
            (START_NS - hour * HOUR_NS, base + hour % 7 * 1e-6) for hour in range(743, 0, -1)
        )
        at.tell(
            e.FundingHistorySeen(
                venue=venue, channel=f"{venue}/history/{market}", market=market, rates=rates
            )
        )
    for tick in range(26 * 6):
        told(at, 600.0 * tick + 1.0, RICH)
        if tick % 6 == 0:
            settle(at)
    for minute in range(60):
        told(at, 3600.0 * 26 + 60.0 * minute + 1.0, RICH)
    for minute in range(5):
        told(at, 3600.0 * 27 + 60.0 * minute + 1.0, POOR)
        settle(at)
    return at


@cache
def worked() -> dict[Key, list[Worked]]:
    """(value, lines) of every subject of every measure that can be worked out, as ``riskd explain``
    has them: through a rule about each."""
    at, keys = desk(), sorted(ALL)
    rules = "".join(
        RULE.format(
            id=f"rule_{place}",
            kind=kind.value,
            name=name,
            limit=max(DEFINITIONS[name, kind].spec.typical),
        )
        for place, (name, kind) in enumerate(keys)
    )
    at.load(rules)
    at.evaluate()
    found: dict[Key, list[Worked]] = {key: [] for key in keys}
    for memory in at.engine.rule_states():
        seen = at.engine.explain(memory.rule, memory.subject, at.now)
        assert seen is not None
        (one,) = seen.inputs
        if one.reading.value is not None:
            key = one.reading.measure, subject_kind(one.reading.subject)
            found[key].append((one.reading.value, one.arithmetic))
    return found


@pytest.mark.parametrize("key", sorted(ALL), ids="-".join)
def test_every_sum_is_right_and_gives_the_value(key: Key) -> None:
    """Of some subject there are steps; each is what it says, and the value is among them."""
    seen = worked()[key]
    steps = [(value, list(sums(lines))) for value, lines in seen]
    for _, found in steps:
        for done, printed in found:
            assert done == pytest.approx(printed, rel=ROOM, abs=ROOM * 0.05)
    if key[0] in _NO_SUM:
        return
    assert any(found for _, found in steps), seen
    for value, found in steps:
        if found:
            results = [printed for _, printed in found]
            last = results if key[0] in _ONE_OF else results[-1:]
            assert any(abs(one) == pytest.approx(abs(value), rel=1e-6, abs=1e-7) for one in last)


def test_each_is_worked_out_once() -> None:
    """By its definition, or by one family of workings; and whatever is worked out is a measure."""
    families = [
        module.WORKINGS for name, module in vars(looking).items() if name.startswith("work_")
    ]
    assert len(looking.WORKINGS) == sum(map(len, families))
    for key in looking.WORKINGS:
        assert DEFINITIONS[key].arithmetic is None


def test_two_sources_at_odds_are_put_beside_each_other() -> None:
    """Which size, and what either says."""
    at = Desk(settings=EngineSettings(accounts=((HL, "main"),)))
    at.list_market().context(mark_price=100.0, oracle_price=100.0)
    at.money(1000.0, cash=1000.0).positions(("BTC", 3))
    at.load(
        RULE.format(id="odds", kind="account", name="cross_check_difference_ratio", limit=0.005)
    )
    at.at(10).positions(("BTC", 3)).positions(("BTC", 2), source="truth").evaluate()
    at.at(40).positions(("BTC", 3)).positions(("BTC", 2), source="truth").evaluate()
    seen = at.engine.explain("odds", MAIN, at.now)
    assert seen is not None
    assert seen.inputs[0].arithmetic == (
        "size of BTC: the stream says 3.0, the re-read 2.0; differs by 0.33333333",
    )
    assert seen.inputs[0].reading.value == pytest.approx(1 / 3)


def test_what_is_nearest_in_sigmas_is_named_not_what_is_nearest() -> None:
    """A calm market nearby and a wild one further off: the page sends people to the wild one."""
    at = Desk(settings=EngineSettings(accounts=((HL, "main"),)))
    for market, move in (("CALM", 0.0005), ("WILD", 0.03)):
        at.list_market(market).tell(closes(market, (move, -move)))
    for minute in range(65):
        for market in ("CALM", "WILD"):
            price = 100.0 + minute * 1e-6
            at.at(60.0 * minute + 1.0).context(market, mark_price=price, oracle_price=price)
        at.money(400.0, cash=0.0).positions(("CALM", 12), ("WILD", -8)).evaluate()
    at.load(RULE.format(id="near", kind="account", name="liquidation_distance_sigmas", limit=8.0))
    at.evaluate()
    seen = at.engine.explain("near", MAIN, at.now)
    assert seen is not None
    (one,) = seen.inputs
    assert one.arithmetic[0].startswith("WILD up, in sigmas of a day: ln(1 + ")
    assert one.reading.text.startswith("WILD +")
    near, far = (
        at.value("liquidation_distance_ratio", position_subject(HL, "main", market)) or 0.0
        for market in ("CALM", "WILD")
    )
    assert 0.0 < near < far


@pytest.mark.parametrize(
    ("short", "named"),
    [pytest.param(-8, "CALM -", id="beyond a quarter"), pytest.param(-18, "WILD +", id="within")],
)
def test_what_is_not_within_a_quarter_is_not_named_as_near(short: int, named: str) -> None:
    """Fewer sigmas away than the calm one is the wild one either way."""
    at = Desk(settings=EngineSettings(accounts=((HL, "main"),)))
    for market, move in (("CALM", 0.0005), ("WILD", 0.03)):
        at.list_market(market).tell(closes(market, (move, -move)))
    for minute in range(65):
        for market in ("CALM", "WILD"):
            price = 100.0 + minute * 1e-6
            at.at(60.0 * minute + 1.0).context(market, mark_price=price, oracle_price=price)
        at.money(400.0, cash=0.0).positions(("CALM", 20), ("WILD", short)).evaluate()
    at.load(RULE.format(id="near", kind="account", name="liquidation_near_sigmas", limit=1e3))
    at.evaluate()
    seen = at.engine.explain("near", MAIN, at.now)
    assert seen is not None
    (one,) = seen.inputs
    assert one.reading.text.startswith(named)
    assert one.arithmetic[0].startswith(named.replace("-", "down,").replace("+", "up,"))
    market = named.partition(" ")[0]
    sigmas = [
        at.value("liquidation_distance_sigmas", position_subject(HL, "main", name)) or 0.0
        for name in (market, "WILD")
    ]
    assert one.reading.value == pytest.approx(sigmas[0])
    assert sigmas[1] <= sigmas[0]


def test_gone_equity_is_said_and_divides_nothing() -> None:
    """The worst there is, in words."""
    at = Desk(settings=EngineSettings(accounts=((HL, "main"),)))
    at.list_market().context(mark_price=100.0, oracle_price=100.0)
    at.money(-5.0, cash=-305.0).positions(("BTC", 3))
    at.load(RULE.format(id="full", kind="account", name="margin_usage_ratio", limit=0.5)).evaluate()
    seen = at.engine.explain("full", MAIN, at.now)
    assert seen is not None
    assert seen.inputs[0].arithmetic == ("account: equity -5 is gone: 10",)


def test_to_be_asked_changes_nothing() -> None:
    """Neither what is known nor what is remembered, though everything is computed anew."""
    at = desk()
    at.load(
        "".join(
            RULE.format(
                id=f"asked_{place}",
                kind=kind.value,
                name=name,
                limit=max(DEFINITIONS[name, kind].spec.typical),
            )
            for place, (name, kind) in enumerate(sorted(looking.WORKINGS))
        )
    )
    at.evaluate()
    before = at.engine.snapshot()
    later = at.now + SECOND_NS // 2
    asked = [at.engine.explain(one.rule, one.subject, later) for one in at.engine.rule_states()]
    assert (
        sum(bool(one.arithmetic) for seen in asked if seen is not None for one in seen.inputs) > 60
    )
    assert at.engine.snapshot() == before
