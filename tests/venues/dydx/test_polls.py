"""REST re-reads: what is asked, what an answer's status means, and that only news is told."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from monitor.core.errors import AuthError, DecodeError, TransientFeedError
from monitor.core.events import (
    AccountDiscovered,
    AccountModeSeen,
    AccountReported,
    ChainTimeSeen,
    ChannelOpened,
    ChannelProgressed,
    ClockSkewSeen,
    FillsReported,
    FundingPaid,
    FundingSettled,
    OraclePricesSeen,
    OrdersReported,
    PositionsReported,
    TransfersReported,
    VenueStatusSeen,
)
from monitor.core.ports import Poll, PollOutput, Request
from monitor.core.types import SECOND_NS
from monitor.venues.dydx.venue import DydxVenue
from tests.venues.dydx.wire_talk import (
    ADDRESS,
    NOW,
    TIME,
    answer,
    fill,
    kinds,
    market,
    oracle,
    order,
    parent,
    subaccount,
    subscribe_all,
    venue,
)

HOUR_NS = 3600 * SECOND_NS
ON_THE_HOUR = NOW // HOUR_NS * HOUR_NS


def poll_of(made: DydxVenue, name: str) -> Poll:
    """The poll of that name, from the bootstrap or the periodic ones."""
    return next(
        poll for poll in (*made.polls(), *made.bootstrap()) if poll.name == f"dydx/rest.{name}"
    )


def asked(request: Request) -> tuple[str, dict[str, str]]:
    """Path and query of a request."""
    parts = urlsplit(request.url)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    return parts.path.removeprefix("/v4"), query


def of(output: PollOutput, kind: type[Any]) -> list[Any]:
    """The events of one type."""
    return [event for event in output.events if isinstance(event, kind)]


REQUESTS = {
    "perpetualMarkets": ("/perpetualMarkets", {}),
    "height": ("/height", {}),
    "time": ("/time", {}),
    "addresses/main": (f"/addresses/{ADDRESS}", {}),
    "compliance/main": (f"/compliance/screen/{ADDRESS}", {}),
    "parentSubaccount/main": (f"/addresses/{ADDRESS}/parentSubaccountNumber/0", {}),
    "orders/main": (
        "/orders/parentSubaccountNumber",
        {"status": "OPEN,UNTRIGGERED,BEST_EFFORT_OPENED", "limit": "1000"},
    ),
    "fills/main": ("/fills/parentSubaccountNumber", {"limit": "100", "page": "1"}),
    "transfers/main": ("/transfers", {"subaccountNumber": "0", "limit": "100"}),
    "fundingPayments/main": (
        "/fundingPayments/parentSubaccount",
        {"limit": "1000", "page": "1", "afterOrAt": "2025-12-07T15:11:56.000Z"},
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_are_what_the_venue_documents(name: str) -> None:
    """Paths and queries; account queries name the address, the parent forms its number."""
    path, query = asked(poll_of(venue(), name).request(NOW))
    expected_path, expected = REQUESTS[name]
    if "parentSubaccount" in expected_path and "/addresses" not in expected_path:
        expected = {"address": ADDRESS, "parentSubaccountNumber": "0"} | expected
    if name.startswith("transfers"):
        expected = {"address": ADDRESS} | expected
    assert (path, query) == (expected_path, expected)


def test_polls_are_named_as_their_channels_and_once() -> None:
    """Names are labels and the targets of refreshes."""
    made = venue(validator_urls=("http://127.0.0.1:1", "http://127.0.0.1:2"))
    names = [poll.name for poll in made.polls()]
    assert len(set(names)) == len(names)
    assert all(name.startswith("dydx/rest.") for name in names)
    wished = {
        wish.poll
        for stream in made.streams()
        for subscription in stream._subscriptions.values()  # type: ignore[attr-defined] # ours
        for wish in subscription.channel.heals
    }
    assert wished
    assert wished <= set(names)


def test_budget_keeps_a_quarter_for_the_kill_path() -> None:
    """100 requests in 10 s for one IP."""
    budget = venue().budget
    assert (budget.capacity, budget.window_s, budget.reserve) == (100.0, 10.0, 25.0)


def test_first_answer_opens_the_channel_and_every_answer_progresses_it() -> None:
    """Also where its facts hang on another channel."""
    made = venue(validator_urls=("http://127.0.0.1:1",))
    poll = poll_of(made, "time")
    slow = answer({"epoch": 1765210316.0}, elapsed_s=5.0)
    assert kinds(poll.received(slow, NOW).events) == ["ChannelOpened"]
    assert kinds(poll.received(slow, NOW).events) == ["ChannelProgressed"]
    (opened,) = of(poll_of(made, "height").received(answer({"height": "1", "time": TIME}), NOW),
                   ChannelOpened)  # fmt: skip
    assert (opened.channel, opened.feed, opened.cadence_s) == (
        "dydx/rest.height",
        "rest.height",
        5.0,
    )


# ------------------------------------------------------------------------------ statuses

LIMITED = {"errors": [{"msg": "Too many requests"}]}


def test_retry_after_is_in_milliseconds() -> None:
    """Against the HTTP standard: taken for seconds it would stop us for hours."""
    with pytest.raises(TransientFeedError, match="Too many requests") as caught:
        poll_of(venue(), "height").received(answer(LIMITED, 429, retry_after="4500"), NOW)
    assert caught.value.retry_after_s == 4.5


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (403, {"errors": [{"msg": "no"}], "code": "GEOBLOCKED"}, AuthError, "countries"),
        (403, b"<html>", AuthError, "no explanation"),
        (400, {"errors": [{"msg": "limit must be a positive integer"}]}, DecodeError, "positive"),
        (500, {"errors": [{"msg": "Internal Server Error"}]}, TransientFeedError, "500"),
        (503, b"", TransientFeedError, "503"),
        (302, b"", TransientFeedError, "302"),
        (429, b"", TransientFeedError, "429"),
        (200, b"<html>", DecodeError, "not understood"),
    ],
)
def test_statuses(status: int, body: object, error: type[Exception], words: str) -> None:
    """What each means, in words that say what to do."""
    with pytest.raises(error, match=words):
        poll_of(venue(), "height").received(answer(body, status), NOW)


@pytest.mark.parametrize(
    ("remaining", "reset_in_s", "pause_s"),
    [
        pytest.param("6", 4.0, 0.0, id="enough left"),
        pytest.param("5", 4.0, 4.0, id="nearly spent: wait for the reset"),
        pytest.param("0", -1.0, 0.0, id="spent, but already reset"),
        pytest.param("0", 9999.0, 10.0, id="never longer than the window"),
        pytest.param("many", 4.0, 0.0, id="not a number"),
    ],
)
def test_the_venue_s_own_count_is_respected(
    remaining: str, reset_in_s: float, pause_s: float
) -> None:
    """Other software behind our IP spends the same budget; Reset is a Unix time in ms."""
    reset = str(NOW // 1_000_000 + int(reset_in_s * 1000))
    response = answer(
        {"height": "1", "time": TIME},
        ratelimit_remaining=remaining,
        ratelimit_reset=reset,
    )
    assert poll_of(venue(), "height").received(response, NOW).pause_s == pytest.approx(pause_s)


# ------------------------------------------------------------------------------- accounts


def test_an_account_never_seen_exists_and_holds_nothing() -> None:
    """404 is an answer; its text tells a mistyped address from an empty one."""
    output = poll_of(venue(), "parentSubaccount/main").received(answer({}, 404), NOW)
    (mode,) = of(output, AccountModeSeen)
    (money,) = of(output, AccountReported)
    (positions,) = of(output, PositionsReported)
    assert "nothing was ever deposited" in mode.reason
    assert (money.equity_usd, money.cash_usd) == (Decimal(0), Decimal(0))
    assert (positions.complete, positions.positions) == (True, ())


def test_an_account_once_seen_is_not_emptied_by_a_404() -> None:
    """An indexer that forgets is broken; the last state grows old instead."""
    poll = poll_of(venue(), "parentSubaccount/main")
    poll.received(answer({"subaccount": parent(subaccount(0))}), NOW)
    with pytest.raises(TransientFeedError, match="forgotten"):
        poll.received(answer({}, 404), NOW)


def test_truth_states_equity_and_marks_its_source() -> None:
    """The venue's own numbers, per pool."""
    output = poll_of(venue(), "parentSubaccount/main").received(
        answer({"subaccount": parent(subaccount(0, cash="42", ETH_USD="1"))}), NOW
    )
    (money,) = of(output, AccountReported)
    assert (money.source, money.equity_usd, money.height) == ("truth", Decimal(42), 100)
    assert money.channel == "dydx/rest.parentSubaccount/main"


def test_bootstrap_names_subaccounts_that_nobody_watches() -> None:
    """Money under another parent is out of sight; whoever configures must know."""
    made = venue()
    rows = [subaccount(0), subaccount(128), subaccount(3), subaccount(131)]
    assert made.unwatched == {}
    output = poll_of(made, "addresses/main").received(answer({"subaccounts": rows}), NOW)
    assert made.unwatched == {"main": (3, 131)}
    found = [(e.account, e.watched) for e in of(output, AccountDiscovered)]
    assert found == [("main.128", True), ("main.3", False), ("main.131", False)]
    assert [event.account for event in of(output, AccountReported)] == ["main", "main.128"]


def test_the_list_of_subaccounts_vouches_for_no_position() -> None:
    """It tells them once, in the name of the channel that re-reads them: an hour later, that the
    list was read says nothing of what they are."""
    poll = poll_of(venue(), "addresses/main")
    rows = [subaccount(0, ETH_USD="1"), subaccount(3)]
    first = poll.received(answer({"subaccounts": rows}), NOW)
    told = (*of(first, PositionsReported), *of(first, AccountReported))
    assert {event.channel for event in told} == {"dydx/rest.parentSubaccount/main"}
    later = poll.received(answer({"subaccounts": [subaccount(3)]}), NOW + HOUR_NS)
    assert kinds(later.events) == ["AccountDiscovered"]


def test_an_address_that_was_there_is_no_mistyped_one() -> None:
    """The indexer forgot it: the feed is lost and asked again soon, and not put aside."""
    made = venue()
    poll = poll_of(made, "addresses/main")
    poll.received(answer({"subaccounts": [subaccount(0), subaccount(3)]}), NOW)
    with pytest.raises(TransientFeedError, match="forgotten"):
        poll.received(answer({"errors": []}, 404), NOW + HOUR_NS)
    assert made.unwatched == {"main": (3,)}


def test_bootstrap_refuses_an_address_that_never_held_anything() -> None:
    """It would read as flat and safe for ever; a mistyped address looks just like that."""
    with pytest.raises(AuthError, match=r"has no subaccount.*Check the address"):
        poll_of(venue(), "addresses/main").received(answer({"errors": []}, 404), NOW)


def test_bootstrap_learns_held_markets() -> None:
    """So that their books are planned with the first connections."""
    made = venue(tickers=("BTC-USD", "DOGE-USD"), markets=("BTC-USD",))
    rows = [subaccount(0, DOGE_USD="5")]
    made.bootstrap()[1].received(answer({"subaccounts": rows}), NOW)
    sent, _ = subscribe_all(made.streams()[0], NOW)
    assert [message.get("id") for message in sent[2:]] == ["BTC-USD", "DOGE-USD"]


@pytest.mark.parametrize(
    ("status", "healthy"), [("COMPLIANT", True), ("CLOSE_ONLY", False), ("FIRST_STRIKE", False)]
)
def test_compliance_is_the_venue_s_word_on_itself(status: str, healthy: bool) -> None:
    """Close-only is worth a warning: an exit may be all that is left."""
    output = poll_of(venue(), "compliance/main").received(answer({"status": status}), NOW)
    (seen,) = of(output, VenueStatusSeen)
    assert seen.healthy == healthy


def test_a_blocked_address_is_the_operator_s_to_settle() -> None:
    """Nothing of it can be read."""
    with pytest.raises(AuthError, match="main"):
        poll_of(venue(), "compliance/main").received(answer({"status": "BLOCKED"}), NOW)


def test_one_compliant_account_does_not_hide_another() -> None:
    """The statuses of all addresses are judged together."""
    made = venue(
        accounts=(
            {"alias": "main", "address": ADDRESS},
            {"alias": "hedge", "address": "dydx155va0m7wz5n8zcqscn9afswwt04n4usj46wvp5"},
        )
    )
    poll_of(made, "compliance/hedge").received(answer({"status": "CLOSE_ONLY"}), NOW)
    output = poll_of(made, "compliance/main").received(answer({"status": "COMPLIANT"}), NOW)
    (seen,) = of(output, VenueStatusSeen)
    assert (seen.healthy, "hedge is CLOSE_ONLY" in seen.detail) == (False, True)


def test_orders_cut_off_at_the_limit_close_nothing() -> None:
    """1000 rows are a page, not a list."""
    rows = [order(f"o-{index}") for index in range(1000)]
    output = poll_of(venue(), "orders/main").received(answer(rows), NOW)
    (told,) = of(output, OrdersReported)
    assert not told.complete
    output = poll_of(venue(), "orders/main").received(answer(rows[:999]), NOW)
    (told,) = of(output, OrdersReported)
    assert told.complete


def test_no_orders_close_all() -> None:
    """An empty list is complete, and so is 404."""
    for response in (answer([]), answer({}, 404)):
        output = poll_of(venue(), "orders/main").received(response, NOW)
        (told,) = of(output, OrdersReported)
        assert (told.complete, told.orders) == (True, ())


# ------------------------------------------------------------------------------ histories


def test_fills_begin_as_history_and_go_on_as_news() -> None:
    """And each is told once, whatever source was first."""
    made = venue()
    poll = poll_of(made, "fills/main")
    first = poll.received(answer({"fills": [fill("f-2"), fill("f-1")]}), NOW)
    second = poll.received(answer({"fills": [fill("f-3"), fill("f-2")]}), NOW)
    (history,) = of(first, FillsReported)
    (news,) = of(second, FillsReported)
    assert (history.history, len(history.fills)) == (True, 2)
    assert (news.history, [told.fill_id for told in news.fills]) == (False, ["f-3"])


def test_a_page_full_of_news_is_followed_by_the_next() -> None:
    """After a long outage more than one page is missing."""
    poll = poll_of(venue(), "fills/main")
    poll.received(answer({"fills": []}), NOW)
    page = poll.received(answer({"fills": [fill(f"f-{index}") for index in range(100)]}), NOW)
    assert page.then is not None
    assert asked(page.then)[1]["page"] == "2"
    rest = [fill(f"g-{index}") for index in range(99)] + [fill("f-99")]
    assert poll.received(answer({"fills": rest}), NOW).then is None


def transfer_row(row_id: str, sender: int, recipient: int) -> dict[str, object]:
    """Money between two subaccounts of the address."""
    return {
        "id": row_id,
        "sender": {"address": ADDRESS, "subaccountNumber": sender},
        "recipient": {"address": ADDRESS, "subaccountNumber": recipient},
        "symbol": "USDC",
        "size": "7",
        "type": "TRANSFER_OUT",
        "createdAt": TIME,
        "createdAtHeight": "9",
        "transactionHash": row_id,
    }


def test_transfers_are_read_for_every_pool_in_turn() -> None:
    """The parent form leaves out what moves between children."""
    made = venue()
    poll_of(made, "parentSubaccount/main").received(
        answer({"subaccount": parent(subaccount(0), subaccount(128))}), NOW
    )
    poll = poll_of(made, "transfers/main")
    assert asked(poll.request(NOW))[1]["subaccountNumber"] == "0"
    first = poll.received(answer({"transfers": [transfer_row("t", 0, 128)]}), NOW)
    assert first.then is not None
    assert asked(first.then)[1]["subaccountNumber"] == "128"
    second = poll.received(answer({"transfers": [transfer_row("t", 0, 128)]}), NOW)
    assert second.then is None
    seen = [
        (event.account, event.history, event.transfers[0].amount_usd, event.transfers[0].own)
        for output in (first, second)
        for event in of(output, TransfersReported)
    ]
    assert seen == [("main", True, Decimal(-7), True), ("main.128", True, Decimal(7), True)]


def test_a_transfer_is_news_once() -> None:
    """The first round is history; later only what the page before did not have."""
    poll = poll_of(venue(), "transfers/main")
    poll.request(NOW)
    poll.received(answer({"transfers": []}), NOW)
    poll.request(NOW)
    rows = {"transfers": [transfer_row("t", 128, 0)]}
    (told,) = of(poll.received(answer(rows), NOW), TransfersReported)
    assert (told.history, told.transfers[0].counterparty) == (False, "main.128")
    poll.request(NOW)
    assert not of(poll.received(answer(rows), NOW), TransfersReported)


def payment(at: str, amount: str = "-0.5", number: str = "0") -> dict[str, object]:
    """One funding payment."""
    return {
        "createdAt": at,
        "createdAtHeight": "9",
        "perpetualId": "0",
        "ticker": "BTC-USD",
        "oraclePrice": "90000",
        "size": "0.5",
        "side": "LONG",
        "rate": "0.00001",
        "payment": amount,
        "subaccountNumber": number,
        "fundingIndex": "1",
    }


def test_payments_are_told_once_with_their_sign() -> None:
    """Received > 0; a day at first, then the last hours again and again."""
    poll = poll_of(venue(), "fundingPayments/main")
    poll.request(NOW)
    rows = [payment("2025-12-08T16:00:00.200Z"), payment("2025-12-08T15:00:00.200Z", "0.25", "128")]
    first = of(poll.received(answer({"fundingPayments": rows}), NOW), FundingPaid)
    assert [(e.account, e.history, e.payments[0].amount_usd) for e in first] == [
        ("main", True, Decimal("-0.5")),
        ("main.128", True, Decimal("0.25")),
    ]
    assert asked(poll.request(NOW))[1]["afterOrAt"] == "2025-12-08T13:11:56.000Z"
    rows.insert(0, payment("2025-12-08T17:00:00.100Z"))
    (news,) = of(poll.received(answer({"fundingPayments": rows}), NOW), FundingPaid)
    assert (news.history, len(news.payments)) == (False, 1)


def test_that_nothing_was_paid_is_told() -> None:
    """In every round: an account that never pays is known not to."""
    poll = poll_of(venue(), "fundingPayments/main")
    for history in (True, False):
        poll.request(NOW)
        (none,) = of(poll.received(answer({"fundingPayments": []}), NOW), FundingPaid)
        assert (none.account, none.history, none.payments) == ("main", history, ())


# -------------------------------------------------------------------------------- markets


def test_rest_prices_do_not_undo_the_socket_s() -> None:
    """REST is cached; within 10 s of a price from the socket its own is left out."""
    made = venue(tickers=("BTC-USD",))
    stream = made.streams()[0]
    _, now = subscribe_all(stream, NOW)
    stream.received(oracle(1, "91000"), now)
    poll = poll_of(made, "perpetualMarkets")
    body = answer({"markets": {"BTC-USD": market(), "ETH-USD": market("ETH-USD")}})

    def prices(at: int) -> dict[str, float]:
        (told,) = of(poll.received(body, at), OraclePricesSeen)
        return dict(told.prices)

    assert prices(now + 9 * SECOND_NS) == {"ETH-USD": 90000.0}
    assert prices(now + 10 * SECOND_NS) == {"BTC-USD": 90000.0, "ETH-USD": 90000.0}


def test_a_market_that_does_not_exist_is_the_operator_s_mistake() -> None:
    """Told at the start, in a sentence."""
    with pytest.raises(AuthError, match="'BTCUSD'"):
        venue(markets=("BTCUSD",))


def test_default_majors_need_not_exist() -> None:
    """A testnet may list fewer; nobody asked for them by name."""
    assert venue(tickers=("BTC-USD",)).universe.tickers == ("BTC-USD",)


def settled(ticker: str, at: str, rate: str = "0.000001") -> dict[str, object]:
    """One hourly settlement."""
    return {
        "ticker": ticker,
        "rate": rate,
        "price": "90000",
        "effectiveAtHeight": "1",
        "effectiveAt": at,
    }


def test_funding_of_watched_markets_is_read_soon_after_the_hour() -> None:
    """20 s are left for the block; until then the sweep goes through all markets."""
    made = venue(tickers=("BTC-USD", "X-USD", "Y-USD"), markets=("BTC-USD",))
    poll = poll_of(made, "historicalFunding")
    assert asked(poll.request(ON_THE_HOUR)) == ("/historicalFunding/BTC-USD", {"limit": "24"})
    rows = [settled("BTC-USD", "2025-12-08T15:00:00.219Z")]
    assert len(of(poll.received(answer({"historicalFunding": rows}), NOW), FundingSettled)) == 1
    swept = [asked(poll.request(ON_THE_HOUR + 19 * SECOND_NS))[0] for _ in range(3)]
    assert sorted(swept) == [f"/historicalFunding/{t}" for t in ("BTC-USD", "X-USD", "Y-USD")]
    due = poll.request(ON_THE_HOUR + 100 * SECOND_NS)
    assert asked(due) == ("/historicalFunding/BTC-USD", {"limit": "24"})
    # Asked but not answered with this hour's row: not again within a minute.
    assert asked(poll.request(ON_THE_HOUR + 110 * SECOND_NS))[1] == {"limit": "4"}


def test_a_burst_of_settlements_after_a_halt_is_normal() -> None:
    """One epoch a block: rows seconds apart are all told, oldest first, once."""
    poll = poll_of(venue(markets=("BTC-USD",)), "historicalFunding")
    poll.request(NOW)
    rows = [settled("BTC-USD", f"2025-12-08T16:00:0{second}.000Z") for second in (3, 2, 1)]
    body = answer({"historicalFunding": rows})
    told = of(poll.received(body, NOW), FundingSettled)
    assert [event.settled_at_ns for event in told] == sorted(e.settled_at_ns for e in told)
    assert len(told) == 3
    poll.request(NOW + HOUR_NS)
    assert not of(poll.received(body, NOW + HOUR_NS), FundingSettled)


def test_due_tickers_follow_as_pages_of_one_round() -> None:
    """And one that is gone (404) does not hold up the others."""
    poll = poll_of(venue(), "historicalFunding")
    assert asked(poll.request(NOW))[0] == "/historicalFunding/BTC-USD"
    gone = poll.received(answer({"errors": []}, 404), NOW)
    assert gone.then is not None
    assert asked(gone.then)[0] == "/historicalFunding/ETH-USD"


def test_exotic_tickers_are_quoted() -> None:
    """Commas and dashes belong to the name."""
    ticker = "FARTS,RAYDIUM,9BB6-x-USD"
    poll = poll_of(venue(tickers=(ticker,), markets=(ticker,)), "historicalFunding")
    assert "/historicalFunding/FARTS%2CRAYDIUM%2C9BB6-x-USD?" in poll.request(NOW).url


# ------------------------------------------------------------------------- heights, clock


@pytest.mark.parametrize(
    ("elapsed_s", "told"),
    [pytest.param(1.0, True, id="short trip"), pytest.param(1.1, False, id="long trip")],
)
def test_clock_skew_needs_a_short_round_trip(elapsed_s: float, told: bool) -> None:
    """Venue minus ours, at the middle of the trip."""
    response = answer({"iso": "-", "epoch": 1765210317.0}, elapsed_s=elapsed_s)
    seen = of(poll_of(venue(), "time").received(response, NOW), ClockSkewSeen)
    assert [event.skew_s for event in seen] == ([pytest.approx(1.5)] if told else [])


def status_body(height: int, network: str = "dydx-mainnet-1", *, catching_up: bool = False) -> Any:
    """A validator's /status."""
    info = {
        "latest_block_height": str(height),
        "latest_block_time": TIME,
        "catching_up": catching_up,
    }
    return {
        "jsonrpc": "2.0",
        "id": -1,
        "result": {"node_info": {"network": network}, "sync_info": info},
    }


def test_the_highest_validator_counts() -> None:
    """A node that lags says nothing about the chain."""
    made = venue(validator_urls=("http://127.0.0.1:1", "http://127.0.0.1:2"))
    first, second = (poll for poll in made.polls() if "rest.status" in poll.name)
    assert first.request(NOW).url == "http://127.0.0.1:1/status"
    assert first.request(NOW).weight == 0.0
    (seen,) = of(first.received(answer(status_body(100)), NOW), ChainTimeSeen)
    assert (seen.source, seen.height) == ("validator", 100)
    assert not of(second.received(answer(status_body(99)), NOW), ChainTimeSeen)
    assert of(second.received(answer(status_body(101)), NOW), ChainTimeSeen)


def test_a_validator_that_catches_up_is_not_believed() -> None:
    """Its head is history."""
    poll = poll_of(venue(validator_urls=("http://127.0.0.1:1",)), "status/1")
    with pytest.raises(TransientFeedError, match="catching up"):
        poll.received(answer(status_body(100, catching_up=True)), NOW)


@pytest.mark.parametrize("overridden", [False, True])
def test_a_validator_of_another_chain_is_refused(overridden: bool) -> None:
    """Unless the indexer itself was replaced: then the chain is not known."""
    changes: dict[str, Any] = {"rest_url": "http://127.0.0.1:9/v4"} if overridden else {}
    poll = poll_of(venue(validator_urls=("http://127.0.0.1:1",), **changes), "status/1")
    response = answer(status_body(100, "dydx-testnet-4"))
    if overridden:
        assert of(poll.received(response, NOW), ChainTimeSeen)
    else:
        with pytest.raises(AuthError, match="dydx-testnet-4"):
            poll.received(response, NOW)


def test_a_failing_poll_opens_its_channel_anew() -> None:
    """So that the core knows when it is back."""
    poll = poll_of(venue(), "height")
    good = answer({"height": "1", "time": TIME})
    poll.received(good, NOW)
    with pytest.raises(TransientFeedError):
        poll.received(answer({}, 500), NOW)
    output = poll.received(good, NOW)
    assert of(output, ChannelOpened)
    assert not of(output, ChannelProgressed)
