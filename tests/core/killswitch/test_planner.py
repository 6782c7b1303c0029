"""Worked plans, each by hand. Prices: BTC 100 000, ETH 4 000, SOL 200, NVDA 150, HYPE 40; lots
0.001; smallest order 10 USD; 150 bp bound, unless told."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from monitor.core.killswitch.book import AccountTruth, HeldPosition, OutsideLeg, Quote
from monitor.core.killswitch.plan import Plan, PlanLimits, Target
from monitor.core.killswitch.planner import gross_in_scope_usd, plan_cut
from monitor.core.types import PORTFOLIO, Side, Subject
from tests.core.killswitch.books import (
    CHEAP,
    DYDX,
    HL,
    PRICES,
    book,
    instrument,
    plan,
    quote,
    sizes,
    working,
)

TWIN_HERE = "hedges dydx/main/BTC-USD, which cannot be cut with it:"
STORM = (
    (HL, "main", "BTC", "3"),
    (DYDX, "main", "BTC-USD", "-2"),
    (HL, "main", "ETH", "-10"),
    (HL, "hedge", "ETH", "10"),
    (HL, "main", "xyz:NVDA", "100"),
)


def reasons(made: Plan) -> dict[str, tuple[float, str]]:
    """(USD, why) of the shortfalls by leg; the last one where a leg has two."""
    return {
        f"{s.venue}/{s.account}/{s.market}": (round(s.usd, 2), s.reason) for s in made.shortfalls
    }


def test_a_storm_cuts_the_unpaired_first_and_then_both_legs_of_pairs() -> None:
    """Gross 595 000, to 70 %: 178 500. Unpaired are 1 BTC and 100 NVDA, 115 000; the other 63 500
    of the 480 000 in pairs: 13.23 %, of 2 BTC 0.264 a side, of 10 ETH the rest, rounded up."""
    made = plan(book(*STORM), 0.7)
    assert sizes(made) == {
        "hyperliquid/main/BTC": "-1.264",
        "dydx/main/BTC-USD": "0.264",
        "hyperliquid/main/ETH": "1.338",
        "hyperliquid/hedge/ETH": "-1.338",
        "hyperliquid/main/xyz:NVDA": "-100",
    }
    assert made.goal_usd == 416_500.0
    assert made.gross_after_usd == 416_496.0
    assert made.met
    assert made.shortfalls == ()
    assert dict(made.net_before_usd) == {"BTC": 100_000.0, "ETH": 0.0, "NVDA": 15_000.0}
    assert dict(made.net_after_usd) == {"BTC": 0.0, "ETH": 0.0, "NVDA": 0.0}
    assert {o.leg: o.pair for o in made.orders} == {
        "hyperliquid/main/BTC": "dydx/main/BTC-USD",
        "dydx/main/BTC-USD": "hyperliquid/main/BTC",
        "hyperliquid/main/ETH": "hyperliquid/hedge/ETH",
        "hyperliquid/hedge/ETH": "hyperliquid/main/ETH",
        "hyperliquid/main/xyz:NVDA": "",
    }
    assert " ".join(made.notes) == (
        "gross 595,000 USD to 416,496 USD, goal 416,500 USD: "
        "cuts 115,000 USD unpaired and 63,504 USD in pairs"
    )


def test_a_cut_to_a_net_cap_takes_one_share_of_all_that_is_unpaired() -> None:
    """Net 1.25 times its cap: a fifth of 1 BTC and of 100 NVDA is 23 000 of 595 000, and no pair
    is touched. What `leverage_cap_target_usd` says rests on that."""
    made = plan(book(*STORM), 572_000.0 / 595_000.0)
    assert sizes(made) == {"hyperliquid/main/BTC": "-0.2", "hyperliquid/main/xyz:NVDA": "-20"}
    assert dict(made.net_after_usd) == {"BTC": 80_000.0, "ETH": 0.0, "NVDA": 12_000.0}


def test_flatten_takes_everything_that_can_be_ordered() -> None:
    """Every position whole, the two of a pair side by side."""
    made = plan(book(*STORM), 0.0)
    assert [(o.leg, o.closes) for o in made.orders] == [
        ("dydx/main/BTC-USD", True),
        ("hyperliquid/main/BTC", True),
        ("hyperliquid/hedge/ETH", True),
        ("hyperliquid/main/ETH", True),
        ("hyperliquid/main/xyz:NVDA", True),
    ]
    assert made.gross_after_usd == 0.0
    assert made.met


def test_unpaired_exposure_is_shared_in_proportion() -> None:
    """Two assets in two accounts, nothing paired: each gives the same share."""
    facts = book((HL, "main", "BTC", "1"), (HL, "hedge", "BTC", "3"), (HL, "main", "SOL", "-500"))
    assert sizes(plan(facts, 0.7)) == {
        "hyperliquid/main/BTC": "-0.3",
        "hyperliquid/hedge/BTC": "-0.9",
        "hyperliquid/main/SOL": "150",
    }


def test_a_sub_account_is_not_its_master() -> None:
    """Whoever acts for ``main`` does not act for its sub-account ``main.hedge``."""
    held = ((HL, "main", "BTC", "1"), (HL, "main.hedge", "ETH", "10"))
    made = plan(book(*held, executable=[(HL, "main")]), 0.5)
    assert sizes(made) == {"hyperliquid/main/BTC": "-0.7"}
    made = plan(book(*held, executable=[(HL, "main")]), 0.0)
    assert reasons(made) == {
        "hyperliquid/main.hedge/ETH": (40_000.0, "no order can be sent for this account")
    }


def test_what_hedges_a_leg_without_an_executor_stays() -> None:
    """Only Hyperliquid takes orders: 1 BTC of 3 is unpaired; the rest hedges dYdX."""
    facts = book(*STORM[:2], executable=[(HL, "main")])
    made = plan(facts, 0.5)
    assert sizes(made) == {"hyperliquid/main/BTC": "-1"}
    assert not made.met
    assert made.gross_after_usd - made.goal_usd == 150_000.0
    assert reasons(made) == {
        "hyperliquid/main/BTC": (
            75_000.0,
            f"{TWIN_HERE} no order can be sent for this account",
        ),
        "dydx/main/BTC-USD": (75_000.0, "no order can be sent for this account"),
    }
    assert made.notes[1] == "short by 150,000 USD: dydx/main/BTC-USD, hyperliquid/main/BTC"


def test_a_twin_outside_the_scope_is_not_left_naked() -> None:
    """A trip over one account leaves what hedges another one, and says so."""
    facts = book((HL, "main", "ETH", "-10"), (HL, "hedge", "ETH", "8"))
    made = plan(facts, 0.0, scope=Subject("account:hyperliquid/main"))
    assert sizes(made) == {"hyperliquid/main/ETH": "2"}
    assert made.gross_before_usd == 40_000.0
    assert reasons(made) == {
        "hyperliquid/main/ETH": (
            32_000.0,
            "hedges hyperliquid/hedge/ETH, which cannot be cut with it: outside the scope",
        ),
    }


def test_of_the_heavier_side_what_cannot_be_cut_keeps_the_hedge() -> None:
    """Two longs, one of them without an executor, against one short: the other long goes, and the
    short stays for the one that stays."""
    facts = book(
        (HL, "main", "BTC", "1"),
        (DYDX, "main", "BTC-USD", "1"),
        (HL, "hedge", "BTC", "-1"),
        executable=[(HL, "main"), (HL, "hedge")],
    )
    made = plan(facts, 0.0)
    assert sizes(made) == {"hyperliquid/main/BTC": "-1"}
    assert reasons(made)["hyperliquid/hedge/BTC"][1].startswith("hedges dydx/main/BTC-USD")
    assert dict(made.net_after_usd) == {"BTC": 0.0}


def test_a_dark_account_keeps_its_twin() -> None:
    """Its leg is UNREACHABLE: only what stands over its last known size is cut."""
    facts = book((HL, "main", "BTC", "1"), (DYDX, "main", "BTC-USD", "-0.7"), dark=[(DYDX, "main")])
    made = plan(facts, 0.0)
    assert sizes(made) == {"hyperliquid/main/BTC": "-0.3"}
    assert reasons(made)["dydx/main/BTC-USD"] == (
        70_000.0,
        "account is dark: kept at its last known size",
    )
    assert "dark, kept with its hedges: dydx/main" in made.notes


def test_a_dark_account_is_named_even_where_others_make_up_for_it() -> None:
    """Its share is cut elsewhere, and a person must still hear of it."""
    facts = book((HL, "main", "SOL", "500"), (DYDX, "main", "BTC-USD", "1"), dark=[(DYDX, "main")])
    made = plan(facts, 0.7)
    assert sizes(made) == {"hyperliquid/main/SOL": "-300"}
    assert made.met
    assert reasons(made) == {
        "dydx/main/BTC-USD": (0.0, "account is dark: kept at its last known size"),
    }


def test_an_off_book_leg_counts_as_a_hedge() -> None:
    """1 BTC here against 0.6 off-book: 0.4 may go."""
    made = plan(book((HL, "main", "BTC", "1"), outside=[("BTC", "-0.6")]), 0.0)
    assert sizes(made) == {"hyperliquid/main/BTC": "-0.4"}
    assert reasons(made) == {
        "hyperliquid/main/BTC": (
            60_000.0,
            "hedges off-book BTC, which cannot be cut with it: off-book",
        ),
    }
    assert dict(made.net_after_usd) == {"BTC": 0.0}


def test_an_off_book_leg_of_the_same_side_protects_nothing() -> None:
    """It only makes the net larger; all of the position may go."""
    made = plan(book((HL, "main", "BTC", "1"), outside=[("BTC", "0.6")]), 0.0)
    assert sizes(made) == {"hyperliquid/main/BTC": "-1"}


@pytest.mark.parametrize(
    ("order", "size", "closes"),
    [
        pytest.param(working("1", "BTC", Side.SELL, "0.4", reduce_only=True), "-0.6", False,
                     id="a resting reduce-only order counts"),
        pytest.param(working("1", "BTC", Side.SELL, "0.4"), "-0.6", False,
                     id="so does any other on the exit's side"),
        pytest.param(working("1", "BTC", Side.SELL, "0.4", trigger=True), "-0.6", False,
                     id="and a trigger that is not reduce-only"),
        pytest.param(working("1", "BTC", Side.SELL, "2"), None, False,
                     id="one larger than the position leaves nothing"),
        pytest.param(working("1", "BTC", Side.SELL, "1", reduce_only=True, trigger=True), "-1",
                     True, id="a protective stop does not count"),
        pytest.param(working("1", "BTC", Side.BUY, "1"), "-1", True,
                     id="nor does the other side"),
        pytest.param(working("1", "ETH", Side.SELL, "1"), "-1", True,
                     id="nor another market"),
    ],
)  # fmt: skip
def test_working_orders_and_ours_never_flip_a_position(
    order: object, size: str | None, closes: bool
) -> None:
    """1 BTC long, to be closed."""
    facts = book((HL, "main", "BTC", "1"), orders=[(HL, "main", order)])  # type: ignore[list-item]
    made = plan(facts, 0.0)
    assert sizes(made) == ({} if size is None else {"hyperliquid/main/BTC": size})
    assert [o.closes for o in made.orders] == ([] if size is None else [closes])
    if not closes:
        assert made.in_the_way == ((HL, "main", "1"),)
        _, why = reasons(made)["hyperliquid/main/BTC"]
        assert why == "working orders may already take it off"


@pytest.mark.parametrize(
    ("held", "ratio", "expected", "closes"),
    [
        pytest.param("0.0002", 0.0, "-0.0002", True, id="below a lot goes whole"),
        pytest.param("0.00005", 0.0, "-0.00005", True, id="below the smallest order goes whole"),
        pytest.param("0.025", 0.7, "-0.008", False, id="up to a lot that meets the goal"),
        pytest.param("0.002", 0.97, "-0.001", False, id="up to the smallest lot"),
        pytest.param("0.0015", 0.5, "-0.0015", True, id="a rest below a lot goes with it"),
        pytest.param("0.001", 0.99, "-0.001", True, id="a single lot cannot be divided"),
    ],
)
def test_lots_and_dust(held: str, ratio: float, expected: str, closes: bool) -> None:
    """BTC in lots of 0.001, worth 100 USD each."""
    made = plan(book((HL, "main", "BTC", held)), ratio)
    assert sizes(made) == {"hyperliquid/main/BTC": expected}
    assert made.orders[0].closes is closes
    assert made.met


@pytest.mark.parametrize(
    ("held", "ratio", "expected", "closes"),
    [
        pytest.param("2", 0.9, "-0.254", False, id="up to the smallest order"),
        pytest.param("0.45", 0.5, "-0.45", True, id="a rest below the smallest goes with it"),
        pytest.param("0.508", 0.5, "-0.254", False, id="a rest of just the smallest stays"),
        pytest.param("0.1", 0.5, "-0.1", True, id="all of it is below the smallest"),
    ],
)
def test_no_exit_is_dropped_for_being_small(
    held: str, ratio: float, expected: str, closes: bool
) -> None:
    """HYPE at 40 USD, sold for no less than 39.4: an order of 0.254 is worth 10 USD either way."""
    made = plan(book((HL, "main", "HYPE", held)), ratio)
    assert sizes(made) == {"hyperliquid/main/HYPE": expected}
    assert made.orders[0].closes is closes
    assert made.met


def test_many_small_shares_are_gathered_into_orders_that_venues_take() -> None:
    """20 positions of 100 USD, to 97 %: 60 USD in all. 20 orders of 3 USD would all be refused."""
    names = [f"A{number:02}" for number in range(20)]
    facts = book(
        *((HL, "main", name, "10") for name in names),
        instruments=[instrument(HL, name) for name in names],
        quotes=[quote(HL, name, 10.0) for name in names],
    )
    made = plan(facts, 0.97)
    assert {order.notional_usd for order in made.orders} <= {10.0, 12.0}
    assert made.goal_usd - 12.0 <= made.gross_after_usd <= made.goal_usd


def test_a_pair_is_cut_in_the_coarser_lot_of_both() -> None:
    """0.1 a lot here, 0.01 there: both shrink by tenths, so that the net stays."""
    facts = book(
        (HL, "main", "ETH", "5"),
        (DYDX, "main", "ETH-USD", "-5"),
        instruments=[instrument(HL, "ETH", step="0.1"), instrument(DYDX, "ETH-USD", step="0.01")],
    )
    assert sizes(plan(facts, 0.73)) == {"hyperliquid/main/ETH": "-1.4", "dydx/main/ETH-USD": "1.4"}


def test_lots_that_fit_only_in_sum_are_still_closed() -> None:
    """One leg in whole units against two in tenths: neither pair alone is whole units."""
    facts = book(
        (HL, "main", "SOL", "100"),
        (DYDX, "main", "SOL-USD", "-50.5"),
        (DYDX, "hedge", "SOL-USD", "-49.5"),
        instruments=[instrument(HL, "SOL", step="1"), instrument(DYDX, "SOL-USD", step="0.1")],
    )
    made = plan(facts, 0.0)
    assert made.gross_after_usd == 0.0
    assert [order.closes for order in made.orders] == [True, True, True]


def test_a_position_without_any_reference_holds_up_nobody() -> None:
    """It is named, its value is not guessed, and the target is not called met."""
    facts = book(
        (HL, "main", "BTC", "1"),
        (HL, "main", "HYPE", "-7.5"),
        quotes=[quote(HL, "BTC", 100_000.0), Quote(venue=HL, market="HYPE")],
    )
    made = plan(facts, 0.0)
    assert sizes(made) == {"hyperliquid/main/BTC": "-1"}
    assert reasons(made) == {
        "hyperliquid/main/HYPE": (0.0, "no reference price: -7.5 HYPE not counted"),
    }
    assert made.unpriced == ("hyperliquid/main/HYPE",)
    assert made.gross_after_usd == 0.0
    assert not made.met


def test_the_twin_of_what_nobody_can_price_stays() -> None:
    """It is a hedge all the same: sizes are known."""
    facts = book(
        (HL, "main", "BTC", "1"),
        (DYDX, "main", "BTC-USD", "-1"),
        quotes=[quote(HL, "BTC", 100_000.0)],
    )
    made = plan(facts, 0.0)
    assert made.orders == ()
    assert reasons(made)["hyperliquid/main/BTC"][1] == (
        "hedges dydx/main/BTC-USD, which cannot be cut with it: no reference price"
    )


def test_without_lot_rules_nothing_can_be_written() -> None:
    """The position is named, by its market, and the others go."""
    facts = book(*STORM[2:4])
    made = plan(msgspec.structs.replace(facts, instruments=()), 0.0)
    assert made.orders == ()
    assert {s.reason for s in made.shortfalls} == {
        "lot and tick sizes are not known",
    }


def test_a_bound_that_is_no_number_holds_up_nobody() -> None:
    """One market's broken settings stop that market only."""
    facts = book((HL, "main", "BTC", "1"), (HL, "main", "SOL", "1"))
    broken = (instrument(HL, "BTC", bound_bps=float("nan")), instrument(HL, "SOL"))
    made = plan(msgspec.structs.replace(facts, instruments=broken), 0.0)
    assert sizes(made) == {"hyperliquid/main/SOL": "-1"}
    assert reasons(made)["hyperliquid/main/BTC"][1] == "no valid price lies within the bound"


@pytest.mark.parametrize(
    ("references", "limit", "noted"),
    [
        pytest.param((100_000.0, 100_000.0), "98500", "", id="two references, the whole bound"),
        pytest.param((100_000.0,), "99250", "half the price bound, one reference only: ",
                     id="one reference, half of it"),
        pytest.param((98_600.0, 101_400.0), "98500",
                     "references differ by more than the bound: ", id="two that differ"),
        pytest.param((90_000.0, 110_000.0), "108350",
                     "references differ by more than the bound: ", id="two of which one is wrong"),
    ],
)  # fmt: skip
def test_limits_follow_the_references(
    references: tuple[float, ...], limit: str, noted: str
) -> None:
    """And a person is told where they are less than two that agree."""
    facts = book(
        (HL, "main", "BTC", "1"),
        quotes=[msgspec.structs.replace(quote(HL, "BTC", 100_000.0), references=references)],
    )
    made = plan(facts, 0.5)
    assert [str(order.limit_price) for order in made.orders] == [limit]
    assert made.notes[1:] == ((f"{noted}hyperliquid/main/BTC",) if noted else ())


def test_a_dear_plan_is_done_in_slices_and_never_refused() -> None:
    """10 BTC, depth for 1: 150 bp. A quarter of the 500 000 now, and the price of all in a note."""
    facts = book((HL, "main", "BTC", "10"), quotes=[quote(HL, "BTC", 100_000.0, depth=1e5)])
    made = plan(facts, 0.5, limits=PlanLimits(max_cost_bps=50.0, slices=4))
    assert sizes(made) == {"hyperliquid/main/BTC": "-1.25"}
    assert made.sliced
    assert not made.met
    assert made.deferred_usd == 375_000.0
    assert made.shortfalls == ()
    assert made.cost_usd == 125_000.0 * 0.0150
    assert made.notes[1:] == (
        "dear: all of it would cost 150 bp (7,500 USD), limit 50 bp; a slice of 125,000 USD now",
        "375,000 USD left for later rounds",
    )


def test_slices_come_to_an_end() -> None:
    """The last quarter is a quarter of what the trip began with, not of what is left."""
    facts = book((HL, "main", "BTC", "6.25"), quotes=[quote(HL, "BTC", 100_000.0, depth=1e4)])
    limits = PlanLimits(max_cost_bps=50.0, slices=4)
    made = plan(facts, 0.5, baseline=1_000_000.0, limits=limits)
    assert sizes(made) == {"hyperliquid/main/BTC": "-1.25"}
    assert not made.sliced
    assert made.met
    assert made.notes[1:] == (
        "dear: all of it would cost 150 bp (1,875 USD), limit 50 bp; all now",
    )


def test_an_unknown_depth_counts_as_the_bound() -> None:
    """The cost is not known, is said to be so, and slices the plan."""
    unknown = msgspec.structs.replace(quote(HL, "BTC", 100_000.0), bid_depth_usd=None)
    made = plan(book((HL, "main", "BTC", "1"), quotes=[unknown]), 0.0, limits=PlanLimits(slices=2))
    assert sizes(made) == {"hyperliquid/main/BTC": "-0.5"}
    assert made.orders[0].cost_bps is None
    assert made.cost_usd == 750.0
    assert "cost counted as the bound, depth unknown: hyperliquid/main/BTC" in made.notes


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        pytest.param(None, "-1", id="no cap"),
        pytest.param(100_000.0, "-1", id="just enough"),
        pytest.param(99_999.0, "-0.999", id="a dollar short"),
        pytest.param(40_000.0, "-0.4", id="a part"),
        pytest.param(50.0, None, id="less than a lot"),
        pytest.param(0.0, None, id="used up"),
        pytest.param(float("nan"), None, id="not a number allows nothing"),
    ],
)
def test_turnover_caps_what_goes_now(left: float | None, expected: str | None) -> None:
    """1 BTC to close; what the hour does not allow is left for later, and said."""
    limits = msgspec.structs.replace(CHEAP, turnover_left_usd=left)
    made = plan(book((HL, "main", "BTC", "1")), 0.0, limits=limits)
    assert sizes(made) == ({} if expected is None else {"hyperliquid/main/BTC": expected})
    assert made.sliced == (expected != "-1")
    assert any(note.startswith("turnover: the hour leaves") for note in made.notes) == made.sliced


@pytest.mark.parametrize(
    ("hour", "part", "expected", "why"),
    [
        pytest.param(None, 40_000.0, "-0.4", "nothing was filled before", id="a part"),
        pytest.param(60_000.0, 40_000.0, "-0.4", "nothing was filled before", id="the less counts"),
        pytest.param(40_000.0, 60_000.0, "-0.4", "turnover", id="which may be the hour's"),
    ],
)
def test_a_part_is_tried_where_nothing_was_filled(
    hour: float | None, part: float, expected: str, why: str
) -> None:
    """1 BTC to close: the rest is for later, and the reason is said."""
    limits = msgspec.structs.replace(CHEAP, turnover_left_usd=hour, part_usd=part)
    made = plan(book((HL, "main", "BTC", "1")), 0.0, limits=limits)
    assert sizes(made) == {"hyperliquid/main/BTC": expected}
    assert made.sliced
    said = ("nothing was filled before", "turnover")
    assert [one for one in said if any(note.startswith(one) for note in made.notes)] == [why]


def test_a_dust_rest_does_not_break_the_turnover_cap() -> None:
    """25 USD of HYPE and 16 USD left: the rest would be 9 USD, too small to be an order, but all of
    it is over the cap. 16 USD go now, the rest goes whole later."""
    limits = msgspec.structs.replace(CHEAP, turnover_left_usd=16.0)
    made = plan(book((HL, "main", "HYPE", "0.625")), 0.0, limits=limits)
    assert sizes(made) == {"hyperliquid/main/HYPE": "-0.4"}
    assert made.sliced


def test_turnover_cuts_pairs_together() -> None:
    """40 000 of 80 000 in a pair: half of each leg."""
    limits = msgspec.structs.replace(CHEAP, turnover_left_usd=40_000.0)
    made = plan(book(*STORM[2:4]), 0.0, limits=limits)
    assert sizes(made) == {"hyperliquid/main/ETH": "5", "hyperliquid/hedge/ETH": "-5"}


def test_a_configured_set_pairs_over_assets_by_value() -> None:
    """1 BTC long against 20 ETH short, 80 000 USD: 0.2 BTC are unpaired, the rest shrinks with its
    twin. Gross 180 000, to 60 000: 20 000 alone and 100 000 of the 160 000 in the pair."""
    facts = book((HL, "main", "BTC", "1"), (DYDX, "main", "ETH-USD", "-20"))
    sets = (("pair", ((HL, "main", "BTC"), (DYDX, "main", "ETH-USD"))),)
    limits = msgspec.structs.replace(CHEAP, hedge_sets=sets)
    made = plan(facts, 1 / 3, limits=limits)
    assert sizes(made) == {"hyperliquid/main/BTC": "-0.7", "dydx/main/ETH-USD": "12.5"}
    alone = plan(facts, 1 / 3)
    assert sizes(alone) == {"hyperliquid/main/BTC": "-0.666", "dydx/main/ETH-USD": "13.35"}


def test_a_configured_twin_that_cannot_be_cut_keeps_its_leg() -> None:
    """Over assets too: only the 0.2 BTC over its value go."""
    facts = book(
        (HL, "main", "BTC", "1"), (DYDX, "main", "ETH-USD", "-20"), executable=[(HL, "main")]
    )
    sets = (("pair", ((HL, "main", "BTC"), (DYDX, "main", "ETH-USD"))),)
    made = plan(facts, 0.0, limits=msgspec.structs.replace(CHEAP, hedge_sets=sets))
    assert sizes(made) == {"hyperliquid/main/BTC": "-0.2"}
    assert reasons(made)["hyperliquid/main/BTC"][1].startswith("hedges dydx/main/ETH-USD")


def test_a_set_never_makes_an_asset_s_net_grow() -> None:
    """The short ETH of the set hedges the long one elsewhere first: cutting it for the set's sake
    would leave that one naked."""
    facts = book(
        (HL, "main", "BTC", "1"), (HL, "main", "ETH", "-20"), (HL, "hedge", "ETH", "25"),
        executable=[(HL, "main")],
    )  # fmt: skip
    sets = (("pair", ((HL, "main", "BTC"), (HL, "main", "ETH"))),)
    made = plan(facts, 0.0, limits=msgspec.structs.replace(CHEAP, hedge_sets=sets))
    assert sizes(made) == {"hyperliquid/main/BTC": "-1"}


def test_a_set_s_member_nobody_can_price_keeps_the_other_side() -> None:
    """How much it hedges is not known, so none of it is cut."""
    facts = book(
        (HL, "main", "BTC", "1"), (DYDX, "main", "ETH-USD", "-20"),
        quotes=[quote(HL, "BTC", 100_000.0)],
    )  # fmt: skip
    sets = (("pair", ((HL, "main", "BTC"), (DYDX, "main", "ETH-USD"))),)
    made = plan(facts, 0.0, limits=msgspec.structs.replace(CHEAP, hedge_sets=sets))
    assert made.orders == ()
    assert reasons(made)["hyperliquid/main/BTC"][1] == (
        "hedges dydx/main/ETH-USD, which cannot be cut with it: no reference price"
    )


def test_a_set_s_own_hedge_is_kept_before_another_account_s() -> None:
    """Of two longs, the one configured with the short keeps it; the other one goes alone."""
    facts = book(
        (HL, "main", "BTC", "1"), (HL, "hedge", "BTC", "1"), (DYDX, "main", "BTC-USD", "-1")
    )
    sets = (("pair", ((HL, "hedge", "BTC"), (DYDX, "main", "BTC-USD"))),)
    made = plan(facts, 2 / 3, limits=msgspec.structs.replace(CHEAP, hedge_sets=sets))
    assert sizes(made) == {"hyperliquid/main/BTC": "-1"}


def test_a_declared_leg_joins_its_set() -> None:
    """An off-book ETH leg in a set with BTC: the set is hedged, and stays."""
    facts = msgspec.structs.replace(
        book((HL, "main", "BTC", "1"), (HL, "main", "ETH", "1")),
        outside=(OutsideLeg(asset="ETH", size=Decimal(-26), hedge_set="pair"),),
    )
    sets = (("pair", ((HL, "main", "BTC"),)),)
    made = plan(facts, 0.0, limits=msgspec.structs.replace(CHEAP, hedge_sets=sets))
    assert made.orders == ()
    assert reasons(made)["hyperliquid/main/BTC"][1].startswith("hedges off-book ETH")


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        pytest.param(1_000_000.0, {}, id="already within the goal"),
        pytest.param(142_857.0, {}, id="just within it, by a dollar's tenth"),
        pytest.param(100_000.0, {"hyperliquid/main/BTC": "-0.3"}, id="the first round"),
        pytest.param(50_000.0, {"hyperliquid/main/BTC": "-0.65"}, id="it grew since"),
    ],
)
def test_targets_do_not_add(baseline: float, expected: dict[str, str]) -> None:
    """The goal is a share of what was there when the trip began: 1 BTC now, to 70 % of that."""
    facts = book((HL, "main", "BTC", "1"), quotes=[quote(HL, "BTC", 99_999.9)])
    got = sizes(plan(facts, 0.7, baseline=baseline))
    assert got.keys() == expected.keys()
    for leg, size in expected.items():
        assert Decimal(got[leg]) == Decimal(size)


def test_the_rounding_of_a_float_is_no_reason_for_an_order() -> None:
    """Gross is exact, the baseline is not: within 1e-12 of the goal nothing is cut."""
    facts = book((HL, "main", "BTC", "0.123"), quotes=[quote(HL, "BTC", 99_999.1)])
    gross = gross_in_scope_usd(PORTFOLIO, facts)
    made = plan(facts, 1.0, baseline=gross * (1 - 2e-16))
    assert made.orders == ()
    assert made.met


def reading(**sizes: str) -> AccountTruth:
    """What another source says of the account."""
    return AccountTruth(
        venue=HL,
        account="main",
        read_ns=1,
        positions=tuple(HeldPosition(market=m, size=Decimal(size)) for m, size in sizes.items()),
        orders=(),
    )


@pytest.mark.parametrize(
    ("second", "btc"),
    [
        pytest.param({"BTC": "0.8"}, "-0.8", id="the second is smaller"),
        pytest.param({"BTC": "1.2"}, "-1", id="the first is smaller"),
        pytest.param({}, "-1", id="absent from the second"),
        pytest.param({"BTC": "1", "SOL": "5"}, "-1", id="absent from the first, which lists all"),
        pytest.param({"BTC": "-0.8"}, "", id="on opposite sides"),
    ],
)
def test_two_readings_allow_the_smaller_size_only(second: dict[str, str], btc: str) -> None:
    """Read twice, an account gives up no more than either shows; on opposite sides nothing; and
    what only one of them has is that one's."""
    markets = ("BTC", "ETH", "SOL")
    facts = book(
        (HL, "main", "BTC", "1"),
        (HL, "main", "ETH", "10"),
        instruments=[instrument(HL, market) for market in markets],
        quotes=[quote(HL, market, PRICES[market]) for market in markets],
    )
    made = plan(msgspec.structs.replace(facts, second=(reading(**second),)), 0.0)
    wanted = {"hyperliquid/main/BTC": btc, "hyperliquid/main/ETH": "-10"}
    assert sizes(made) == {leg: size for leg, size in wanted.items() if size}
    if not btc:
        assert reasons(made)["hyperliquid/main/BTC"][1] == "two readings disagree on its side"


def test_an_account_that_only_the_second_source_knows_is_planned_for() -> None:
    """Never refuse all exits because one source is silent."""
    facts = book((HL, "main", "BTC", "1"))
    alone = msgspec.structs.replace(facts, accounts=(), second=(reading(BTC="1"),))
    assert sizes(plan(alone, 0.5)) == {"hyperliquid/main/BTC": "-0.5"}


@pytest.mark.parametrize(
    ("scope", "baseline", "ratio"),
    [
        pytest.param("feed:x/y", 1.0, 0.5, id="no scope"),
        pytest.param("portfolio", -1.0, 0.5, id="negative baseline"),
        pytest.param("portfolio", float("nan"), 0.5, id="unknown baseline"),
        pytest.param("portfolio", 1.0, 1.1, id="more than all may stay"),
        pytest.param("portfolio", 1.0, float("nan"), id="unknown share"),
    ],
)
def test_a_target_that_means_nothing_is_refused(scope: str, baseline: float, ratio: float) -> None:
    """A number nobody knows must not become a plan."""
    target = Target(scope=Subject(scope), baseline_usd=baseline, gross_to_ratio=ratio)
    with pytest.raises(ValueError, match=r"scope|baseline_usd|gross_to_ratio"):
        plan_cut(target, book((HL, "main", "BTC", "1")), CHEAP)


def test_a_scope_over_a_pool_takes_its_dex_only() -> None:
    """``main.xyz`` is what ``main`` holds on that dex."""
    made = plan(book(*STORM), 0.0, scope=Subject("account:hyperliquid/main.xyz"))
    assert sizes(made) == {"hyperliquid/main/xyz:NVDA": "-100"}
