"""An oracle against the median of those that are not it, and who counts as one of those."""

from __future__ import annotations

from math import log

import pytest

from monitor.core.decision import ActionLevel, AlertTransition, Because, Decision
from monitor.core.settings import EngineSettings, OracleSettings
from monitor.core.types import (
    AlertState,
    MarketStatus,
    market_subject,
    position_subject,
)
from monitor.rulebook import builtin_files
from tests.core.desk import BTC, DBTC, DYDX, HL, Desk

DEVIATION = "oracle_reference_deviation_ratio"
TO_LIMIT = "oracle_divergence_to_limit_ratio"
AGREED = "oracle_agreed_deviation_ratio"
SOURCES = "oracle_sources_count"
THIRD = "third"


def desk(*, asset: str = "BTC", thresholds: tuple[tuple[str, float], ...] = ()) -> Desk:
    """Two venues that list the asset."""
    settings = EngineSettings(
        accounts=((HL, "main"), (DYDX, "main")), oracles=OracleSettings(thresholds=thresholds)
    )
    return Desk(settings=settings).list_market(asset).list_market(f"{asset}-USD", DYDX)


def say(
    at: Desk,
    oracle: float | None = 100.0,
    *,
    book: float | None = 100.0,
    peer: float | None = 100.0,
    peer_book: float | None = 100.0,
    mark: float | None = None,
    spread: float = 0.001,
    asset: str = "BTC",
) -> Desk:
    """Hyperliquid's oracle and book, then dYdX's; None says nothing. Twice, so that a jump is
    believed."""
    for _ in range(2):
        if oracle is not None:
            at.context(asset, oracle_price=oracle, mark_price=mark or oracle)
        if book is not None:
            at.top(book * (1 - spread / 2), book * (1 + spread / 2), asset)
        if peer is not None:
            at.context(f"{asset}-USD", DYDX, oracle_price=peer)
        if peer_book is not None:
            at.top(peer_book * 0.9995, peer_book * 1.0005, f"{asset}-USD", DYDX)
    return at


# ------------------------------------------------------------------ section 9 of the catalogue


@pytest.mark.parametrize(
    ("oracle", "to_limit"),
    [
        pytest.param(101.1, 1.1, id="101.1 fires"),
        pytest.param(101.0, 1.0, id="101.0 is not beyond 1 percent"),
        pytest.param(100.6, 0.6, id="100.6 does not"),
    ],
)
def test_the_row_of_the_check_table(oracle: float, to_limit: float) -> None:
    """BTC's oracle against a median of 100.0, of a feed that speaks of moves of 0.5 %."""
    at = say(desk(thresholds=((HL, 0.005),)), oracle)
    assert at.after(DEVIATION) == pytest.approx(oracle / 100.0 - 1.0)
    assert at.after(TO_LIMIT) == pytest.approx(to_limit)


# --------------------------------------------------------------------------------- the sources


def test_the_oracle_is_no_witness_of_itself() -> None:
    """Three others, each of which the reference is the median of."""
    at = say(desk(), 110.0, book=100.0, peer=101.0, peer_book=102.0)
    assert at.after(SOURCES) == 3.0
    assert at.after("oracle_reference_price") == 101.0
    assert at.value("oracle_reference_price", DBTC) == 102.0  # of 110, 100 and its own book


@pytest.mark.parametrize(
    ("gone", "why"),
    [
        pytest.param("book", "no source: 2 sources", id="its own book was never watched"),
        pytest.param("peer_book", "no source: 2 sources", id="the other's was not"),
        pytest.param("peer", f"oracle price of {DBTC} was never told", id="the other's oracle"),
    ],
)
def test_two_sources_are_no_median(gone: str, why: str) -> None:
    """Absent with the reason, never zero; how many there are is known."""
    at = say(desk(), 110.0, **{gone: None})  # type: ignore[arg-type]  # by name
    assert at.after(TO_LIMIT) is None
    assert why in at.why(TO_LIMIT)
    assert at.value(SOURCES) == 2.0


def test_a_source_that_falls_silent_is_missed_by_name() -> None:
    """The page that its venue does not answer explains it; a mark never stands in."""
    at = say(desk())
    assert at.after(TO_LIMIT) == 0.0
    say(at.at(30), peer=None, peer_book=None)
    assert at.after(TO_LIMIT) is None
    assert at.value(SOURCES) == 1.0
    assert f"{DBTC} is too old" in at.why(TO_LIMIT)


def test_a_stale_oracle_is_not_judged() -> None:
    """What it would be now nobody knows."""
    at = say(desk())
    say(at.at(30), None)
    assert at.after(TO_LIMIT) is None
    assert "oracle price is too old" in at.why(TO_LIMIT)
    assert at.value(SOURCES) == 3.0


@pytest.mark.parametrize(
    ("asset", "spread", "sources"),
    [
        pytest.param("BTC", 0.0049, 3.0, id="a major's book"),
        pytest.param("BTC", 0.0051, 2.0, id="a major's book is wide"),
        pytest.param("DOGE", 0.0124, 3.0, id="another's book"),
        pytest.param("DOGE", 0.0126, 2.0, id="another's book is wide"),
    ],
)
def test_the_middle_of_a_wide_book_is_no_price(asset: str, spread: float, sources: float) -> None:
    """Wide is more than half of what the oracle may be off by: it is no source for now, and not
    one that is missing."""
    market = market_subject(HL, asset)
    at = say(desk(asset=asset), asset=asset, spread=spread)
    assert at.after(SOURCES, market) == sources
    assert ("1 books make no price" in at.why(TO_LIMIT, market)) == (sources < 3.0)


@pytest.mark.parametrize(
    ("bid", "ask"),
    [
        pytest.param(99.9, None, id="nobody offers"),
        pytest.param(None, 100.1, id="nobody bids"),
        pytest.param(100.1, 99.9, id="crossed"),
    ],
)
def test_half_a_book_is_no_source(bid: float | None, ask: float | None) -> None:
    """Nor one that is crossed."""
    at = say(desk(), book=None).top(bid, ask)
    assert at.after(SOURCES) == 2.0


def test_marks_and_indices_are_faces_of_what_is_counted_already() -> None:
    """A mark is made of oracle and book, an index is what an oracle is made of."""
    at = say(desk(), 110.0, book=None).context(mark_price=100.0, index_price=100.0)
    assert at.after(SOURCES) == 2.0


def test_a_builder_may_call_anything_by_any_name() -> None:
    """Neither judged by others nor one of them."""
    at = say(desk(), book=None).list_market("xyz:BTC", asset="BTC", dex="xyz")
    for _ in range(2):
        at.context("xyz:BTC", oracle_price=50.0).top(49.99, 50.01, "xyz:BTC")
    assert at.after(SOURCES) == 2.0
    assert at.value(SOURCES, market_subject(HL, "xyz:BTC")) == 0.0
    assert at.value(TO_LIMIT, market_subject(HL, "xyz:BTC")) is None
    assert "a builder's oracle" in at.why(TO_LIMIT, market_subject(HL, "xyz:BTC"))
    first = Desk((HL, "main")).list_market("xyz:BTC", asset="BTC", dex="xyz")
    first.list_market().list_market("BTC-USD", DYDX)
    for _ in range(2):
        first.context("xyz:BTC", oracle_price=50.0).top(49.99, 50.01, "xyz:BTC")
    assert say(first).after("oracle_reference_price", DBTC) == 100.0  # by the venue's own market
    assert first.value(SOURCES, DBTC) == 3.0


def test_a_market_that_does_not_trade_says_nothing() -> None:
    """Delisted ones go on telling a last price."""
    at = say(desk())
    at.list_market("BTC-USD", DYDX, status=MarketStatus.FINAL_SETTLEMENT)
    assert at.after(SOURCES) == 1.0
    assert at.value(TO_LIMIT, DBTC) is None


@pytest.mark.parametrize(
    ("peers", "sources"),
    [
        pytest.param(21.0, 3.0, id="a fall by four fifths"),
        pytest.param(19.0, 1.0, id="something else"),
        pytest.param(499.0, 3.0, id="five times"),
        pytest.param(501.0, 1.0, id="something else, dearer"),
    ],
)
def test_another_asset_of_the_same_name_is_no_source(peers: float, sources: float) -> None:
    """By what our own book says that ours is worth; an oracle in the wrong unit is still judged."""
    at = say(desk(), 100.0, peer=peers, peer_book=peers)
    assert at.after(SOURCES) == sources
    wrong = say(desk(), 12.4)
    assert wrong.after(DEVIATION) == pytest.approx(-0.876)


# ----------------------------------------------------------------------------------- the limit


def test_a_wild_minute_widens_the_limit() -> None:
    """Three standard deviations of a minute; of a calm or unknown one the floor stands."""
    at = say(desk())
    limit = "oracle_divergence_limit_ratio"
    assert at.after(limit) == 0.01
    for minute in range(1, 200):
        price = 100.0 * (1.005 if minute % 2 else 1.0)
        say(at.at(60.0 * minute), price, book=price, peer=price, peer_book=price)
        at.evaluate()
    assert at.value(limit) == pytest.approx(3.0 * log(1.005), rel=1e-3)


def test_other_assets_may_be_further_off() -> None:
    """2.5 % of what is no major."""
    at = say(desk(asset="DOGE"), 102.6, asset="DOGE")
    assert at.after(TO_LIMIT, market_subject(HL, "DOGE")) == pytest.approx(0.026 / 0.025)


@pytest.mark.parametrize(("peer", "ratio"), [(101.5, 0.0), (101.0, 0.4950), (None, None)])
def test_books_that_leave_all_oracles_contradict_none(
    peer: float | None, ratio: float | None
) -> None:
    """In a crash perpetuals leave their oracles at every venue alike."""
    found = say(desk(), 101.5, peer=peer).after(TO_LIMIT)
    assert found == (None if ratio is None else pytest.approx(ratio, abs=1e-3))


# --------------------------------------------------------------------------------- two venues


@pytest.mark.parametrize(
    ("prices", "agreed"),
    [
        pytest.param({}, 0.04, id="everybody"),
        pytest.param({"peer": None}, 0.04, id="its book and the other venue's"),
        pytest.param({"peer_book": None}, 0.04, id="its book and the other venue's oracle"),
        pytest.param({"book": None}, None, id="one venue alone, twice"),
        pytest.param({"book": 104.0}, 0.0, id="its own book is with it"),
        pytest.param({"peer": 104.0}, 0.04, id="two oracles against both books"),
        pytest.param({"peer": 104.0, "peer_book": 104.0}, 0.0, id="the other venue is with it"),
    ],
)
def test_two_venues_are_enough(prices: dict[str, float | None], agreed: float | None) -> None:
    """Of an oracle at 104 and a world at 100."""
    at = say(desk(), 104.0, **prices)  # type: ignore[arg-type]  # by name
    assert at.after(AGREED) == (None if agreed is None else pytest.approx(agreed))


def test_who_is_dark_could_have_been_the_second() -> None:
    """Below 3 % that two agree is known only while nobody is silent; from there on whoever is."""
    for oracle, known in ((102.0, None), (104.0, 0.04)):
        at = desk().list_market("BTC", THIRD)
        say(at)
        at.context("BTC", THIRD, oracle_price=100.0)
        assert at.after(AGREED) == 0.0
        say(at.at(30), oracle)
        assert at.after(AGREED) == (known if known is None else pytest.approx(known))
    assert at.value(SOURCES) == 3.0


# --------------------------------------------------------------------------- rules and words

HELD = position_subject(HL, "main", "BTC")
RULE, CRITICAL, ON_MARK = (
    "oracle_contradicted",
    "oracle_contradicted_critical",
    "oracle_divergence_majors",
)


_MARKET = dict(builtin_files())["market.yaml"]
RULES = "market:\n" + _MARKET[
    _MARKET.index("  - id: oracle_contradicted\n") : _MARKET.index("  # dYdX has no mark")
].replace(", venue_stalled]", "]")


def judged(thresholds: tuple[tuple[str, float], ...] = (), **prices: float | None) -> Desk:
    """A long of a hundred, of which 40 are its own money, judged by the rules about oracles."""
    at = desk(thresholds=thresholds).load(RULES)
    say(at, **prices).positions(("BTC", 1)).money(40).evaluate()  # type: ignore[arg-type]  # by name
    return at


def last(at: Desk, oracle: float, *, until: int, **prices: float | None) -> list[Decision]:
    """The oracle stays there up to second ``until``, told every other one; what was decided."""
    found = []
    for second in range(1, until + 1, 2):
        say(at.at(second), oracle, **prices)  # type: ignore[arg-type]  # by name
        at.positions(("BTC", 1)).money(40)
        found.append(at.evaluate())
    return found


def began(found: list[Decision]) -> list[AlertTransition]:
    """What began to fire."""
    changes = [change for one in found for change in one.transitions]
    told = [one for one in changes if one.after is AlertState.FIRING]
    return [one for one in told if one.rule in {RULE, CRITICAL, ON_MARK}]


@pytest.mark.parametrize(
    ("oracle", "mark", "prices", "fires"),
    [
        pytest.param(100.9, 100.9, {}, [], id="within the limit"),
        pytest.param(101.1, 101.1, {}, [RULE], id="beyond it"),
        pytest.param(101.1, 100.0, {}, [RULE], id="and its mark is where the others are"),
        pytest.param(100.0, 101.1, {}, [ON_MARK], id="its mark is what is wrong"),
        pytest.param(101.1, 100.0, {"peer_book": None}, [ON_MARK], id="nobody can tell which"),
        pytest.param(103.1, 100.0, {}, [RULE, CRITICAL], id="two venues have it 3 % away"),
        pytest.param(96.9, 100.0, {}, [RULE, CRITICAL], id="below them"),
        pytest.param(103.1, 103.1, {"peer_book": None}, [CRITICAL], id="told by two sources"),
        pytest.param(102.0, 102.0, {"book": None}, [], id="nobody but one venue to ask"),
    ],
)
def test_who_says_it(
    oracle: float, mark: float, prices: dict[str, float | None], fires: list[str]
) -> None:
    """What the oracle is known to be is said by these rules and by none about its mark."""
    found = last(judged(**prices), oracle, until=65, mark=mark, **prices)
    assert sorted(one.rule for one in began(found)) == sorted(fires)


def test_it_takes_a_minute() -> None:
    """No second less; half of a minute is nothing."""
    at = judged()
    assert began(last(at, 101.1, until=60)) == []
    assert began([at.at(60.9).evaluate()]) == []
    (one,) = began([at.at(61).evaluate()])
    assert (one.rule, one.subject) == (RULE, HELD)


def test_the_page_says_how_far_liquidation_is_at_both_prices() -> None:
    """``check d at both prices``: the median is the nearer one here."""
    (one,) = began(last(judged(), 101.1, until=65))
    assert "Oracle is off: 1.1x > 1x, +1.10 %; position hyperliquid/main/BTC" in one.summary
    told = "account:hyperliquid/main is liquidated at 61.8734: 38.8 % from 101.1, 38.1 % from the "
    assert f"{told}median 100" in one.description


def test_the_louder_page_names_the_markets() -> None:
    """And by how much two venues have them away."""
    (one,) = [one for one in began(last(judged(), 103.1, until=65)) if one.rule == CRITICAL]
    assert "BTC 3.1 %; venue hyperliquid" in one.summary


def test_the_arithmetic_can_be_done_again_by_hand() -> None:
    """Every source, the median, the limit and its terms."""
    at = judged(thresholds=((HL, 0.005),))
    last(at, 101.1, until=2)
    seen = at.engine.explain(RULE, HELD, at.now)
    assert seen is not None
    (lines,) = [one.arithmetic for one in seen.inputs if one.variable == TO_LIMIT]
    assert lines == (
        "oracle of hyperliquid 101.1",
        "median of 3 sources 100: hyperliquid book 100, dydx oracle 100, dydx book 100",
        "(101.1 - 100) / 100 = +0.01100",
        "from the other oracles 0.01100; the less of both counts",
        "limit = max(0.01, 2 x 0.005, 3 x unknown) = 0.01000",
    )


def test_a_hold_of_the_market_is_all_it_asks_for() -> None:
    """Because of a risk that is known: hedges elsewhere stay exits, and nothing is cut."""
    at = judged()
    asked = [one for decision in last(at, 101.1, until=65) for one in decision.kill_requests]
    (one,) = {(one.rule, one.scope, one.level, one.because) for one in asked}
    assert one == (RULE, BTC, ActionLevel.HOLD, Because.RISK)


def test_frames_between_two_looks_cost_nothing() -> None:
    """It is looked at once a second, however often prices are told."""
    at = judged()
    counted = []
    for far in (100.0, 100.001):
        before = at.engine.recomputed_total
        for frame in range(20):
            at.at(1.0 + frame * 0.04).context("ETH-USD", DYDX, oracle_price=far + frame * 1e-6)
            at.evaluate()
        counted.append(at.engine.recomputed_total - before)
    assert counted[1] <= counted[0]
