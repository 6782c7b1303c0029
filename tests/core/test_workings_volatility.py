"""Jumps, betas, falls, funding shares and strategies, done again by hand from what is shown."""

from __future__ import annotations

import re

import pytest

from monitor.core.formulas.volatility import compute_jumps
from monitor.core.types import MarketStatus
from tests.core.by_hand import adds_up, right, worked
from tests.core.desk import HL_VENUE, PORTFOLIO, Desk
from tests.core.stress_desk import EXAMPLE, StressDesk, Told, settlement
from tests.core.test_carry import ETH, HOUR
from tests.core.test_carry import book as carry_book
from tests.core.test_frozen_oracle import storm
from tests.core.test_leverage_caps import CALM, hold
from tests.core.test_leverage_caps import desk as caps
from tests.core.test_strategies import (
    BY_ACCOUNT,
    LOCKSTEP,
    STRESSED,
    desk_of,
    later,
    move_market,
    play,
    tell,
)
from tests.core.test_volatility import BTC_ASSET, history, told, zigzag
from tests.core.test_volatility import desk as priced

SHARE, SIGMAS = "jump_share_ratio", "jump_sigmas_ratio"


def jumped(price: float) -> Desk:
    """A quiet day, an hour at 100, then this."""
    at = priced()
    at.tell(history(zigzag(30, 0.002)))
    for minute in range(61):
        told(at, minute, 100.0 + minute * 1e-3)
    return told(at, 70, price)


@pytest.mark.parametrize("name", [SHARE, SIGMAS])
def test_a_jump_is_what_neighbours_do_not_explain(name: str) -> None:
    """The moves are listed as they were, so that anybody can do it all again."""
    value, lines = worked(jumped(96.0), name, BTC_ASSET)
    assert adds_up(jumped(96.0), name, BTC_ASSET) == lines
    moves = [float(one) / 100 for one in lines[0].partition(": ")[2].split()]
    again = compute_jumps(moves)
    by_hand = again.share_ratio if name == SHARE else max(map(abs, moves[-2:])) / again.sigma
    assert lines[0].startswith(f"{len(moves)} hourly log moves in %, the last unfinished")
    assert by_hand == pytest.approx(value, rel=5e-3)


def test_a_quiet_day_has_no_jump() -> None:
    """Said in words: nothing below zero is divided."""
    value, lines = worked(jumped(100.06), SHARE, BTC_ASSET)
    assert value == 0.0
    assert lines[-1].endswith("all of it explained: 0")


def test_beta_names_each_asset_and_how_the_largest_came_about() -> None:
    """Correlation times volatility over that of the basket; then each times its net."""
    at = hold(caps(BTC=(CALM, -CALM), ETH=(2 * CALM, -2 * CALM)), 1000.0, BTC=10.0, ETH=-3.0)
    at.evaluate()
    lines = adds_up(at, "beta_net_usd", PORTFOLIO)
    assert lines[0].startswith("beta of BTC, correlation x volatility / the basket's: 1 x ")
    assert re.search(r" \(BTC\) - [\d.]+ x 300[\d.]* \(ETH\) = ", lines[1])
    empty = hold(caps(), 1000.0)
    empty.evaluate()
    assert worked(empty, "beta_net_usd", PORTFOLIO)[1] == ("nothing is held: 0",)


def test_a_fall_is_the_mean_of_log_moves() -> None:
    """Each member by name, the mean as a move."""
    at = priced(("hyperliquid", "BTC"), ("hyperliquid", "ETH"))
    for market, then in (("BTC", 90.0), ("ETH", 80.0)):
        at.tell(history([100.0] * 100, market=market))
        told(at, 3, then, market)
    at.evaluate()
    lines = adds_up(at, "basket_return_72h_ratio", PORTFOLIO)
    assert lines[0].startswith("log moves of 72 h: -0.2231435")
    assert "exp(mean of 2) - 1: exp(-0.32850407 / 2) - 1 = " in lines[1]


# --------------------------------------------------------------------------------------- funding


def test_expensive_markets_are_named_the_dearest_first() -> None:
    """A few by name, the rest counted, and the division."""
    desk = Desk()
    for number in range(8):
        desk.list_market(f"M{number}")
        desk.context(f"M{number}", predicted_funding_rate_hourly=1e-5 * number * (-1) ** number)
    desk.list_market("GONE", status=MarketStatus.DELISTED)
    for name in ("SHUT", "STILL"):
        desk.list_market(name, status=MarketStatus.PAUSED)
    desk.evaluate()
    lines = adds_up(desk, "funding_expensive_share_ratio", HL_VENUE)
    assert lines[0] == "dearest -61.3 %/yr (M7 on hyperliquid), +52.6 %/yr (M6 on hyperliquid)"
    assert lines[1] == "8 of 10 markets are known; 2 are not open"
    assert lines[2].endswith("markets whose funding counts: 2 / 8 = 0.25")
    (line,) = adds_up(desk, "funding_markets_known_ratio", HL_VENUE)
    assert line == "known / markets: 8 / 10 = 0.8"


def test_markets_of_a_dead_oracle_are_left_out_and_told() -> None:
    """Of what is known, what counts."""
    lines = adds_up(storm(False, 7), "funding_expensive_share_ratio", PORTFOLIO)
    assert lines[0] == "10 of 10 markets are known; 3 rest on a dead oracle"


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        pytest.param([-1e-5, 1e-5, 2e-5], "paid 2 in a row, of an hour: 2e-05 (0 h ago)", id="two"),
        pytest.param([-1e-5, *[1e-5] * 7], "1e-05 (3 h ago) and 3 more", id="many"),
    ],
)
def test_funding_that_turned_shows_the_settlements(rates: list[float], said: str) -> None:
    """Those paid in a row, and the one before them."""
    desk = carry_book()
    hour = desk.now // (HOUR * 10**9)
    for back, rate in enumerate(reversed(rates)):
        desk.tell(settlement("ETH", rate, hour - back))
    desk.evaluate()
    value, lines = worked(desk, "funding_flip_against", ETH)
    assert value == 1.0
    assert said in lines[0]
    assert lines[1] == f"before them -1e-05 ({len(rates) - 1} h ago)"


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        pytest.param(False, "every asset is known: the index itself", id="all known"),
        pytest.param(True, "NEW at their worst, as not known", id="one not known"),
    ],
)
def test_the_worst_index_names_what_is_not_known(unknown: bool, said: str) -> None:
    """Each part with its points, which add up; then whom they take at their worst."""
    desk = StressDesk(*EXAMPLE)
    if unknown:
        desk.join(Told("NEW", 0.1, 0.0, 0.0, open_interest_usd=1e6), history=5)
    desk.evaluate()
    value, lines = worked(desk, "funding_stress_worst_index", PORTFOLIO)
    assert (value > 69.4) is unknown
    assert lines[-2:] == (said, f"all points {value:.2f}")
    points = [float(text) for line in lines for text in re.findall(r"x \d+ = ([\d.]+)$", line)]
    assert sum(points) == pytest.approx(value, abs=0.025)


def test_a_part_of_which_most_is_not_known_is_told_as_at_its_worst() -> None:
    """A number without end would say nothing to whoever does the sum again."""
    desk = StressDesk(*EXAMPLE)
    for number in range(len(EXAMPLE) + 2):
        desk.join(Told(f"NEW{number}", 0.1, 0.0, 0.0, open_interest_usd=1e3), history=5)
    desk.evaluate()
    _, lines = worked(desk, "funding_stress_worst_index", PORTFOLIO)
    assert lines[0] == "level not known, at its worst: 1 x 25 = 25.00"
    assert "inf" not in " ".join(lines)


# ------------------------------------------------------------------------------------ strategies


def test_lockstep_is_the_mean_of_pairs() -> None:
    """Both over all hours and over the restless ones."""
    desk = desk_of(*BY_ACCOUNT)
    play(desk, 250, (5.0, -3.0, 1.0), (10.0, -6.0, 2.5))
    move_market(desk, 250, 10)
    tell(later(desk, 0.1), 1.0, 1.0)
    (line,) = adds_up(desk, LOCKSTEP, PORTFOLIO)
    assert line.startswith("mean correlation of each two, over 250 hours or more: (")
    assert "(carry with basis)" in line
    (line,) = adds_up(desk, STRESSED, PORTFOLIO)
    assert "over 25 hours or more" in line
    assert right((line,))
