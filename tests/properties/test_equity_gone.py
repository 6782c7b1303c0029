"""Equity at zero or below is a breach: of every measure that divides by it, and of every rule."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import sqrt

import pytest

from monitor.core import events as e
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.measures.spec import Unit
from monitor.core.settings import EngineSettings
from monitor.core.state.series import HOUR_NS
from monitor.core.types import AlertState, Subject, SubjectKind, subject_kind
from monitor.rulebook import builtin_files
from tests.core.desk import HL, START_NS, Desk
from tests.core.test_leverage_caps import closes

MARKETS = ("BTC", "ETH")
HOURLY = 0.6 / sqrt(8760)
COST = 1e-4  # funding an hour that we pay
# From well off to owing: 1000 USD held, of which this is ours.
EQUITIES = (4000.0, 1000.0, 100.0, 1.0, 0.0, -50.0)
GONE = (0.0, -50.0)
Seen = dict[tuple[str, Subject], float | None]

# What must be out when everything is lost and something is still held.
LOST = {
    "drawdown_5", "drawdown_8", "drawdown_12", "drawdown_15", "loss_speed", "loss_and_margin",
    "margin_usage_warning", "margin_usage_high", "margin_usage_critical",
    "liquidation_distance_warning", "liquidation_distance_high", "liquidation_distance_critical",
    "leverage_account", "leverage_portfolio", "leverage_cap", "leverage_cap_critical",
    "leverage_cap_asset", "position_concentrated", "funding_budget", "funding_budget_warning",
    "funding_notional_cap", "runway_short",
}  # fmt: skip


def tell(at: Desk, second: float, equity: float, size: float) -> None:
    """Everything that is known, at one instant."""
    at.at(second)
    for market in MARKETS:
        at.context(
            market,
            mark_price=100.0,
            oracle_price=100.0 + second * 1e-6,
            predicted_funding_rate_hourly=COST,
            open_interest_base=1e5,
        )
    at.money(equity, cash=equity - 100.0 * size).positions(("BTC", size))
    paid = e.FundingPaid(venue=HL, channel=f"{HL}/paid", account="main", history=True, payments=())
    at.tell(paid).evaluate()
    at.at(second + 6.0).evaluate()  # measures with a cadence


@cache
def desk(equity: float, size: float = 10.0) -> Desk:
    """A month of funding and half a year of prices known; well off for a while, then this."""
    at = Desk(settings=EngineSettings(accounts=((HL, "main"),)))
    at.tell(e.RulebookLoaded(files=builtin_files(), loaded_by="test"))
    rates = tuple((START_NS - hour * HOUR_NS, 1e-5 + hour % 3 * 1e-6) for hour in range(743, 0, -1))
    for market in MARKETS:
        at.list_market(market).tell(closes(market, (HOURLY, -HOURLY)))
        channel = f"{HL}/history/{market}"
        at.tell(e.FundingHistorySeen(venue=HL, channel=channel, market=market, rates=rates))
    for minute in range(5):
        tell(at, 60.0 * minute + 1.0, 4000.0, size)
    for minute in range(5, 16):
        tell(at, 60.0 * minute + 1.0, equity, size)
    return at


@cache
def seen(equity: float, size: float = 10.0) -> Seen:
    """Every measure but amounts, about every subject."""
    at = desk(equity, size)
    return {
        (spec.name, subject): None if reading is None else reading.value
        for spec, subject, reading in at.engine.instances(at.now)
        if spec.unit is not Unit.USD and subject_kind(subject) is not SubjectKind.RULE
    }


def on_equity() -> list[tuple[str, Subject]]:
    """What another equity makes another number."""
    one, others = seen(1000.0), [seen(equity) for equity in EQUITIES]
    known = [key for key in one if one[key] is not None]
    return sorted(key for key in known if any(other.get(key) != one[key] for other in others))


def test_measures_over_equity_are_found() -> None:
    """And by name the ones that everybody looks at."""
    names = {name for name, _ in on_equity()}
    assert len(names) >= 20
    assert names > {
        "leverage", "leverage_net", "leverage_net_to_cap_ratio", "leverage_gross_to_cap_ratio",
        "margin_usage_ratio", "margin_usage_stressed_ratio", "free_collateral_ratio",
        "drawdown_ratio", "drawdown_1h_ratio", "drawdown_30d_ratio", "equity_share_ratio",
        "carry_budget_used_ratio", "funding_cost_30d_ratio", "funding_notional_cap_ratio",
        "collateral_haircut_ratio", "liquidation_distance_ratio", "runway_net_s",
        "liquidation_probability_24h_ratio",
    }  # fmt: skip
    assert names < set(CATALOGUE)


def test_less_equity_is_never_better_and_none_is_the_worst() -> None:
    """From four times what is held down to a debt: each number moves one way only, is known to the
    end, and at zero stands at least as badly as with the last dollar."""
    wrong = []
    for key in on_equity():
        values = [seen(equity)[key] for equity in EQUITIES]
        known = [value for value in values if value is not None]
        worse = 1.0 if known[-1] > known[0] else -1.0
        steps = [worse * (after - before) for before, after in pairwise(known)]
        if len(known) < len(values) or min(steps) < -1e-9:
            wrong.append((key, values))
    assert not wrong


@pytest.mark.parametrize("equity", GONE)
def test_every_rule_about_the_book_is_out(equity: float) -> None:
    """Those by name, and whatever fires with a dollar left."""

    def out(at: Desk) -> set[tuple[str, Subject]]:
        return {
            (one.rule, one.subject)
            for one in at.engine.rule_states()
            if one.state.state is AlertState.FIRING
        }

    found = out(desk(equity))
    assert {rule for rule, _ in found} >= LOST
    assert found >= out(desk(1.0))


def test_nothing_held_and_nothing_owned_is_no_breach() -> None:
    """An empty account divides nothing by nothing, and that is 0."""
    empty = seen(0.0, 0.0)
    over = {"leverage", "margin_usage_ratio", "collateral_haircut_ratio", "free_collateral_ratio"}
    values = {value for (name, _), value in empty.items() if name in over}
    assert values == {0.0}
