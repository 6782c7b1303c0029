"""What must not be believed: heights and times from the future, old estimates, missing children."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from monitor.core.errors import DecodeError
from monitor.core.events import (
    AccountReported,
    ChainTimeSeen,
    ChannelLost,
    ChannelOpened,
    FundingSettled,
    MarginTier,
    MarketContextSeen,
    MarketListed,
    TransfersReported,
)
from monitor.core.ports import Output, Poll, PollOutput
from monitor.core.types import SECOND_NS, MarketStatus
from monitor.venues.dydx.codec import wire
from monitor.venues.dydx.codec.markets import Universe
from monitor.venues.dydx.heights import FIRST_HEIGHT_MAX, HEIGHT_JUMP_MAX, ChainHeights
from tests.venues.dydx.test_account_stream import TRUTH, Account, cash
from tests.venues.dydx.test_polls import asked, of, poll_of, transfer_row
from tests.venues.dydx.test_stream import markets_stream
from tests.venues.dydx.wire_talk import (
    NOW,
    OTHER_ADDRESS,
    answer,
    block,
    dollars,
    frame,
    kinds,
    market,
    parent,
    subaccount,
    subscribe_all,
    venue,
)

HOUR_NS = 3600 * SECOND_NS
HOUR = NOW // HOUR_NS * HOUR_NS + HOUR_NS  # the next full hour
JUMPS = [
    pytest.param(HEIGHT_JUMP_MAX, True, id="three months ahead"),
    pytest.param(HEIGHT_JUMP_MAX + 1, False, id="further than any chain"),
]
AHEAD = [
    pytest.param(60, True, id="a minute ahead is a clock"),
    pytest.param(61, False, id="more is garbage"),
]


# -------------------------------------------------------------------------------------- heights


@pytest.mark.parametrize(("jump", "good"), JUMPS)
def test_heights_are_judged_by_the_highest_of_any_source(jump: int, *, good: bool) -> None:
    """The refusal names the field and the value; what is refused does not count."""
    heights = ChainHeights()
    heights.plausible(1000, "height")
    if good:
        assert heights.plausible(1000 + jump, "blockHeight") == 1000 + jump
        return
    with pytest.raises(DecodeError, match=f"blockHeight is {1000 + jump}"):
        heights.plausible(1000 + jump, "blockHeight")
    with pytest.raises(DecodeError):
        heights.plausible(1000 + jump + 1, "blockHeight")


@pytest.mark.parametrize(
    ("height", "good"),
    [
        pytest.param(FIRST_HEIGHT_MAX, True, id="twenty years of blocks"),
        pytest.param(FIRST_HEIGHT_MAX + 1, False, id="more than the chain is old"),
    ],
)
def test_the_first_height_has_a_ceiling_too(height: int, *, good: bool) -> None:
    """Nothing is known yet to judge it by."""
    try:
        told = ChainHeights().plausible(height, "height")
    except DecodeError:
        told = None
    assert told == (height if good else None)


def test_an_absurd_height_of_an_update_does_not_silence_the_truth() -> None:
    """It is refused, REST is asked, and what REST says next is believed."""
    account = Account()
    account.snapshot(subaccount(0, cash="900"))
    output = account.update(blockHeight="9000000000000", assetPositions=[dollars("900")])
    assert isinstance(output.fault, DecodeError)
    assert "update blockHeight is 9000000000000" in str(output.fault)
    assert TRUTH in [wish.poll for wish in output.refresh]
    _, told = account.truth(subaccount(0, cash="10", height=101))
    assert cash(told) == {"main": Decimal(10)}
    assert cash(account.update(blockHeight="102", assetPositions=[dollars("11")])) == {
        "main": Decimal(11)
    }


@pytest.mark.parametrize("where", ["snapshot", "truth"])
def test_an_absurd_height_of_a_whole_report_is_refused(where: str) -> None:
    """Neither source may lock the other out."""
    account = Account()
    account.snapshot(subaccount(0, cash="900"))
    if where == "snapshot":
        assert isinstance(account.snapshot(subaccount(0, height=10**12)).fault, DecodeError)
    else:
        with pytest.raises(DecodeError, match="latestProcessedBlockHeight of main is 10000000"):
            account.truth(subaccount(0, height=10**12))
    _, told = account.truth(subaccount(0, cash="10", height=101))
    assert cash(told) == {"main": Decimal(10)}


def test_absurd_heights_of_blocks_and_rest_are_refused() -> None:
    """Block channel and indexer are held against the same highest height."""
    made = venue()
    stream = markets_stream(made)
    _, now = subscribe_all(stream, NOW)
    stream.received(frame("connected", 0), now)
    opening = {"height": "100", "time": "2025-12-08T16:11:57.000Z"}
    key = ("v4_block_height", "v4_block_height")
    stream.received(frame("subscribed", 1, *key, contents=opening), now)
    fault = stream.received(block(2, 10**12), now).fault
    assert isinstance(fault, DecodeError)
    assert kinds(stream.received(block(3, 101), now).events) == ["ChainTimeSeen"]
    poll = poll_of(made, "height")
    with pytest.raises(DecodeError, match="indexer height is 1000000000000"):
        poll.received(answer(opening | {"height": "1000000000000"}), now)
    assert len(of(poll.received(answer(opening), now), ChainTimeSeen)) == 1


# ---------------------------------------------------------------------------------------- times


def told_or_refused(poll: Poll, body: object, now: int, field: str) -> PollOutput | None:
    """What an answer says; None if it was refused for that field."""
    try:
        return poll.received(answer(body), now)
    except DecodeError as error:
        return None if field in str(error) else pytest.fail(str(error))


@pytest.mark.parametrize(("ahead_s", "good"), AHEAD)
def test_block_times_from_the_future_are_refused(ahead_s: int, *, good: bool) -> None:
    """A block time far ahead would hide every later halt."""
    at_ns = wire.time_ns("2025-12-08T16:11:57.000Z")
    body = {"height": "100", "time": "2025-12-08T16:11:57.000Z"}
    output = told_or_refused(
        poll_of(venue(), "height"), body, at_ns - ahead_s * SECOND_NS, "block time"
    )
    assert (output is not None) is good


@pytest.mark.parametrize(("ahead_s", "good"), AHEAD)
def test_settlements_from_the_future_are_refused(ahead_s: int, *, good: bool) -> None:
    """The newest settlement told is what later ones are compared with."""
    poll = poll_of(venue(), "historicalFunding")
    ticker = asked(poll.request(NOW))[0].rpartition("/")[2]
    at = "2025-12-08T17:00:00.000Z"
    row = {"ticker": ticker, "rate": "0.000001", "price": "1", "effectiveAt": at}
    now = wire.time_ns(at) - ahead_s * SECOND_NS
    output = told_or_refused(poll, {"historicalFunding": [row]}, now, "effectiveAt")
    assert (output is not None) is good
    if output is None:
        late = {**row, "effectiveAt": "2025-12-08T16:00:00.000Z"}
        again = poll.received(answer({"historicalFunding": [late]}), now)
        assert len(of(again, FundingSettled)) == 1


@pytest.mark.parametrize(("ahead_s", "good"), AHEAD)
def test_oracle_times_from_the_future_are_refused(ahead_s: int, *, good: bool) -> None:
    """An oracle price is as old as its block."""
    at = "2025-12-08T16:11:57.000Z"
    prices = {"BTC-USD": {"oraclePrice": "1", "effectiveAt": at}}
    raw = json.dumps({"oraclePrices": prices}).encode()
    now = wire.time_ns(at) - ahead_s * SECOND_NS
    try:
        told = len(Universe().stream(raw, now))
    except DecodeError:
        told = 0
    assert told == good


# ----------------------------------------------------------------------------------- differences


def settled() -> Universe:
    """A market that is over, as it was listed."""
    universe = Universe()
    rows = {"MATIC-USD": market("MATIC-USD", status="FINAL_SETTLEMENT")}
    universe.stream(json.dumps({"markets": rows}).encode(), NOW)
    return universe


def difference(universe: Universe, **fields: str) -> list[MarketListed]:
    """What a difference of the market's row lists anew."""
    raw = json.dumps({"trading": {"MATIC-USD": fields}}).encode()
    return [event for event in universe.stream(raw, NOW) if isinstance(event, MarketListed)]


def test_a_difference_takes_back_nothing_that_it_leaves_out() -> None:
    """The indexer tells single keys: a market that is over stays over when its interest is told."""
    universe = settled()
    assert not universe.is_live("MATIC-USD")
    assert difference(universe, openInterest="11") == []
    assert not universe.is_live("MATIC-USD")


def test_a_difference_of_the_status_lists_the_market_anew() -> None:
    """With the parameters that were told before it, and none of them lost on the way."""
    universe = settled()
    difference(universe, openInterest="11")
    (listed,) = difference(universe, status="ACTIVE")
    assert (listed.market, listed.status) == ("MATIC-USD", MarketStatus.ACTIVE)
    assert listed.margin_tiers == (MarginTier(0.0, 0.02, 0.012),)
    assert (listed.size_step, listed.price_tick) == (Decimal("0.0001"), Decimal(1))
    assert universe.is_live("MATIC-USD")


# ---------------------------------------------------------------------------- running funding


def rates(universe: Universe, now: int, kind: str = "markets", rate: str = "0.1") -> list[Any]:
    """The running rates that a message leads to."""
    row = market(nextFundingRate=rate) if kind == "markets" else {"nextFundingRate": rate}
    raw = json.dumps({kind: {"BTC-USD": row}}).encode()
    events = universe.stream(raw, now)
    return [e.predicted_funding_rate_hourly for e in events if isinstance(e, MarketContextSeen)]


@pytest.mark.parametrize(
    ("into_hour_s", "rate", "told"),
    [
        pytest.param(0, "0.1", [None], id="at the tick the old value stands"),
        pytest.param(119, "0.1", [None], id="for two minutes"),
        pytest.param(120, "0.1", [0.1], id="then it is this hour's"),
        pytest.param(30, "0.2", [0.2], id="another value is of this hour"),
    ],
)
def test_the_last_hours_estimate_is_not_told_as_this_hours(
    into_hour_s: int, rate: str, told: list[float | None]
) -> None:
    """Unless it changed since the tick."""
    universe = Universe()
    assert rates(universe, HOUR - 600 * SECOND_NS) == [0.1]
    assert rates(universe, HOUR + into_hour_s * SECOND_NS, rate=rate) == told


def test_a_changed_estimate_stays_of_this_hour() -> None:
    """Told again, it is still news of this hour."""
    universe = Universe()
    rates(universe, HOUR - SECOND_NS)
    assert rates(universe, HOUR + 30 * SECOND_NS, "trading", "0.2") == [0.2]
    assert rates(universe, HOUR + 60 * SECOND_NS, rate="0.2") == [0.2]


def test_an_estimate_held_back_is_told_when_the_two_minutes_are_over() -> None:
    """Nobody might repeat it for half an hour; the native fields are held back with it."""
    universe = Universe()
    assert rates(universe, HOUR + SECOND_NS) == [None]
    assert universe.due(HOUR + 119 * SECOND_NS) == []
    (event,) = universe.due(HOUR + 120 * SECOND_NS)
    assert isinstance(event, MarketContextSeen)
    assert (event.predicted_funding_rate_hourly, event.native_funding_rate) == (0.1, 0.1)
    assert universe.due(HOUR + 121 * SECOND_NS) == []


def test_an_estimate_held_back_gives_way_to_a_newer_one() -> None:
    """It is not told after the change that made it old."""
    universe = Universe()
    rates(universe, HOUR + SECOND_NS)
    assert rates(universe, HOUR + 30 * SECOND_NS, "trading", "0.2") == [0.2]
    assert universe.due(HOUR + 120 * SECOND_NS) == []


# ------------------------------------------------------------------------------------ transfers


def transfers(poll: Poll, *pages: range) -> tuple[list[str], list[str | None], bool]:
    """A round over pages of numbered rows: ids told, pages asked for, and whether it is over."""
    request = poll.request(NOW)
    ids: list[str] = []
    numbers: list[str | None] = []
    then = None
    for page in pages:
        numbers.append(asked(request)[1].get("page"))
        wallet = {"sender": {"address": OTHER_ADDRESS}}
        rows = [transfer_row(f"t{number}", 1, 0) | wallet for number in reversed(page)]
        output = poll.received(answer({"transfers": rows}), NOW)
        for event in of(output, TransfersReported):
            ids += [report.transfer_id for report in event.transfers]
        then = output.then
        if then is not None:
            request = then
    return ids, numbers, then is None


def begun() -> Poll:
    """A transfers poll whose first round, of one known row, is over."""
    poll = poll_of(venue(), "transfers/main")
    transfers(poll, range(1))
    return poll


def test_transfers_are_paged_until_a_known_one() -> None:
    """Two hundred and fifty between two rounds: none is lost, none told twice."""
    poll = begun()
    ids, pages, over = transfers(poll, range(151, 251), range(51, 151), range(51))
    assert pages == [None, "2", "3"]
    assert over
    assert len(ids) == len(set(ids)) == 250
    assert transfers(poll, range(151, 251)) == ([], [None], True)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(range(1, 100), id="a page that is not full"),
        pytest.param(range(100), id="a full page with a known one"),
    ],
)
def test_transfers_stop_at_what_is_known(page: range) -> None:
    """One request a round is the rule."""
    ids, _, over = transfers(begun(), page)
    assert over
    assert len(ids) == 99


def test_a_venue_that_repeats_its_page_is_not_asked_for_ever() -> None:
    """If ``page`` were ignored, the second answer would hold nothing new."""
    ids, pages, over = transfers(begun(), range(151, 251), range(151, 251))
    assert (len(ids), pages, over) == (100, [None, "2"], True)


def test_pages_of_a_round_end_somewhere() -> None:
    """Ten pages, whatever the venue says."""
    pages = [range(start, start + 100) for start in range(5000, 4000, -100)]
    ids, numbers, over = transfers(begun(), *pages)
    assert (len(ids), len(numbers), over) == (1000, 10, True)


# ------------------------------------------------------------------------------ missing children


def answers(poll: Poll, *children: dict[str, Any]) -> PollOutput:
    """REST answers with these children."""
    return poll.received(answer({"subaccount": parent(*children)}), NOW)


def test_a_child_with_money_that_vanishes_is_told_by_name() -> None:
    """Its absence is no word that it is empty: the others are told, the channel proves nothing."""
    poll = poll_of(venue(), "parentSubaccount/main")
    answers(poll, subaccount(0, cash="900"), subaccount(128, cash="50"))
    output = answers(poll, subaccount(0, cash="901"))
    assert cash(Output(output.events)) == {"main": Decimal(901)}
    (lost,) = of(output, ChannelLost)
    assert kinds(output.events)[-1] == "ChannelLost"
    assert lost.channel == TRUTH
    assert "main.128" in lost.reason
    again = answers(poll, subaccount(0, cash="901"))
    assert of(again, ChannelLost) == [lost]
    back = answers(poll, subaccount(0, cash="901"), subaccount(128, cash="50"))
    assert of(back, ChannelLost) == []
    assert len(of(back, ChannelOpened)) == 1


@pytest.mark.parametrize("emptied_by", ["truth", "socket"])
def test_an_empty_child_may_be_left_out(emptied_by: str) -> None:
    """There is nothing to lose sight of."""
    account = Account()
    poll = next(poll for poll in account.venue.polls() if poll.name == TRUTH)
    account.snapshot(subaccount(0), subaccount(128, cash="50"))
    if emptied_by == "truth":
        answers(poll, subaccount(0), subaccount(128, cash="0"))
    else:
        account.update(128, blockHeight="101", assetPositions=[dollars("0", 128)])
    output = answers(poll, subaccount(0, height=102))
    assert of(output, ChannelLost) == []
    assert len(of(output, AccountReported)) == 1


def test_money_that_the_socket_told_of_can_vanish_too() -> None:
    """Whoever told of it: it must be in the whole answer."""
    account = Account()
    account.snapshot(subaccount(0), subaccount(128, cash="0"))
    account.update(128, blockHeight="101", assetPositions=[dollars("5", 128)])
    poll = next(poll for poll in account.venue.polls() if poll.name == TRUTH)
    (lost,) = of(answers(poll, subaccount(0, height=102)), ChannelLost)
    assert "main.128" in lost.reason
