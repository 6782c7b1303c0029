"""What to cut first: the sheet's own example, hedge sets together, unknown last and said."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest

from monitor.app.cut_order import Part, rank_parts, ranking_text
from monitor.app.words import plan_text
from monitor.core.killswitch.plan import Plan, PlannedOrder, Target
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.measures.spec import Reading
from monitor.core.types import PORTFOLIO, EngineNs, Side, Subject

HELD_USD = 1_000_000.0


class Told:
    """An engine that knows so much."""

    def __init__(self, values: Mapping[tuple[str, str], float]) -> None:
        self.values = values

    def reading(self, name: str, subject: Subject, now: EngineNs | None = None) -> Reading | None:
        """What the test said."""
        assert name in CATALOGUE
        value = self.values.get((name, subject))
        return None if value is None else Reading(value, 0, 1, 0)

    def absence(self, name: str, subject: Subject, now: EngineNs | None = None) -> str:
        """The one reason."""
        return f"{name} of {subject} was never told"


def order(venue: str, asset: str, usd: float, bps: float | None, pair: str = "") -> PlannedOrder:
    """To sell so much of one asset on one venue."""
    return PlannedOrder(
        leg=leg(venue, asset),
        venue=venue,
        account="main",
        market=asset,
        asset=asset,
        side=Side.SELL,
        size=Decimal(1),
        limit_price=Decimal(1),
        reference_price=1.0,
        notional_usd=usd,
        cost_bps=bps,
        pair=pair,
    )


def leg(venue: str, asset: str) -> str:
    """As plans name it."""
    return f"{venue}/main/{asset}"


def known(
    venue: str, asset: str, carry: float, volatility: float, usage: float = 0.0
) -> dict[tuple[str, str], float]:
    """Funding a year as a share of the position, volatility a year, margin usage."""
    position = f"position:{leg(venue, asset)}"
    return {
        ("funding_projected_24h_usd", position): carry * HELD_USD / 365.0,
        ("notional_usd", position): -HELD_USD,
        ("volatility_slow", f"asset:{asset}"): volatility,
        ("margin_usage_ratio", f"account:{venue}/main"): usage,
    }


def plan(*orders: PlannedOrder) -> Plan:
    """These orders."""
    return Plan(
        orders=orders, shortfalls=(), gross_before_usd=5e5, gross_after_usd=3.5e5, goal_usd=3.5e5
    )


SHEET = {
    **known("hyperliquid", "BTC", 0.35, 0.55),
    **known("paradex", "SOL", 0.90, 1.10),
    **known("dydx", "ETH", -0.20, 0.75),
    **known("aevo", "ETH", 0.60, 0.75),
}
A = order("hyperliquid", "BTC", 200_000.0, 2.0)
B = order("dydx", "ETH", 150_000.0, 3.0)
C = order("paradex", "SOL", 100_000.0, 6.0)
D = order("aevo", "ETH", 50_000.0, 8.0)


def scores(parts: tuple[Part, ...]) -> list[tuple[str, float | None]]:
    """First leg and score of each."""
    return [(part.legs[0], part.score) for part in parts]


def test_the_example_of_the_sheet() -> None:
    """A, C, B, D, however the plan lists them; what is earned by funding counts as nothing."""
    expected = [
        (A.leg, pytest.approx(0.2250)),
        (C.leg, pytest.approx(0.1667, abs=5e-5)),
        (B.leg, pytest.approx(0.1250)),
        (D.leg, pytest.approx(0.0844, abs=5e-5)),
    ]
    assert scores(rank_parts(plan(A, B, C, D), Told(SHEET), 0)) == expected
    assert scores(rank_parts(plan(D, C, B, A), Told(SHEET), 0)) == expected


def test_a_hedge_set_has_one_place() -> None:
    """B and D go together, at the mean of both by notional: carry 0, cost 4.25 bp."""
    both = (
        order("dydx", "ETH", 150_000.0, 3.0, pair=D.leg),
        order("aevo", "ETH", 50_000.0, 8.0, pair=B.leg),
    )
    parts = rank_parts(plan(*both, A), Told(SHEET), 0)
    assert [part.legs for part in parts] == [(A.leg,), (D.leg, B.leg)]
    assert (parts[1].carry_apr, parts[1].cost_bps) == (
        pytest.approx(0.0, abs=1e-9),
        pytest.approx(4.25),
    )
    assert parts[1].score == pytest.approx(0.5 * 0.75 / 4.25)
    assert parts[1].notional_usd == 200_000.0


@pytest.mark.parametrize(
    ("usage", "pressure"),
    [
        pytest.param(0.25, 0.5, id="half way"),
        pytest.param(0.5, 1.0, id="full"),
        pytest.param(2.0, 1.0, id="no more than full"),
    ],
)
def test_an_account_that_is_pressed_goes_first(usage: float, pressure: float) -> None:
    """Of two positions alike, that of the account nearer to its end."""
    values = {**known("x", "BTC", 0.1, 0.5, usage), **known("y", "BTC", 0.1, 0.5)}
    made = plan(order("y", "BTC", 9e5, 5.0), order("x", "BTC", 1e5, 5.0))
    parts = rank_parts(made, Told(values), 0)
    assert parts[0].legs == (leg("x", "BTC"),)
    assert parts[0].margin_pressure == pressure
    assert parts[0].score == pytest.approx((0.5 * 0.1 + 0.5 * 0.5 + 0.5 * pressure) / 5.0)


def test_of_two_alike_the_larger_goes_first() -> None:
    """The sheet's tie break."""
    values = {**known("x", "BTC", 0.1, 0.5), **known("y", "BTC", 0.1, 0.5)}
    made = plan(order("x", "BTC", 1e5, 5.0), order("y", "BTC", 2e5, 5.0))
    assert [part.legs[0] for part in rank_parts(made, Told(values), 0)] == [
        leg("y", "BTC"),
        leg("x", "BTC"),
    ]


@pytest.mark.parametrize(
    "missing",
    [pytest.param(name, id=name[0]) for name in known("hyperliquid", "BTC", 0.35, 0.55)],
)
def test_what_is_not_known_is_not_ranked(missing: tuple[str, str]) -> None:
    """Never as if it were zero: it stands last, with why."""
    values = {key: value for key, value in SHEET.items() if key != missing}
    parts = rank_parts(plan(A, B), Told(values), 0)
    assert [part.legs[0] for part in parts] == [B.leg, A.leg]
    assert parts[1].score is None
    said = ranking_text(parts)[1]
    assert "not ranked" in said
    assert f"{missing[0]} of {missing[1]} was never told" in said


def test_a_cost_that_is_not_known_is_no_cheap_one() -> None:
    """Without a book nobody knows what it costs."""
    parts = rank_parts(plan(order("hyperliquid", "BTC", 2e5, None), B), Told(SHEET), 0)
    assert parts[1].reason == f"the cost of {A.leg} is not known"


def test_the_plan_says_it_in_words() -> None:
    """A line for each part; where there is nothing to choose between, none."""
    target = Target(scope=PORTFOLIO, baseline_usd=5e5, gross_to_ratio=0.7)
    made = plan(A, B)
    said = plan_text(made, target, ranking_text(rank_parts(made, Told(SHEET), 0)))
    assert (
        "\n  to cut less or by hand, take first what does most per bp:\n"
        "  1. hyperliquid/main/BTC ($200,000): 0.225 per bp; funding costs 35%/yr, volatility 55%, "
        "margin pressure 0%, 2.0 bp\n"
        "  2. dydx/main/ETH ($150,000): 0.125 per bp; funding earns 20%/yr" in said
    )
    alone = plan(A)
    ranking = ranking_text(rank_parts(alone, Told(SHEET), 0))
    assert ranking == []
    assert "per bp:" not in plan_text(alone, target, ranking)
