"""REST re-reads: bootstrap, truth, paging, refusals, and what a round does when one part fails."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from monitor.core.errors import AuthError, ConfigError, DecodeError, TransientFeedError
from monitor.core.events import (
    AccountDiscovered,
    AccountModeSeen,
    AccountReported,
    ChainTimeSeen,
    ChannelOpened,
    ClockSkewSeen,
    Event,
    FillsReported,
    FrameRejected,
    FundingPaid,
    FundingSettled,
    MarketContextSeen,
    MarketListed,
    OrdersReported,
    PositionsReported,
    RequestBudgetSeen,
    TransfersReported,
    TwapsReported,
    VenueStatusSeen,
)
from monitor.core.ports import Poll, PollOutput, Request, Response
from monitor.core.types import SECOND_NS, AccountMode
from monitor.venues.hyperliquid.venue import HyperliquidVenue
from tests.venues.hyperliquid.helpers import (
    ADDRESS,
    MASTER,
    META,
    NOW,
    OTHER,
    XYZ_META,
    answer,
    asked,
    context,
    make_venue,
    of_type,
    poll_named,
)

HOUR_NS = 3600 * SECOND_NS
NULL_500 = Response(status=500, headers=(), body=b"null")
EMPTY = {
    "marginSummary": {
        "accountValue": "0.0",
        "totalNtlPos": "0.0",
        "totalRawUsd": "0.0",
        "totalMarginUsed": "0.0",
    },
    "assetPositions": [],
}


def held(coin: str, size: str = "1") -> dict[str, Any]:
    """A dex's state with one position."""
    leverage = {"type": "cross", "value": 5}
    one = {"coin": coin, "szi": size, "leverage": leverage, "positionValue": "10"}
    return {**EMPTY, "assetPositions": [{"type": "oneWay", "position": one}]}


def run(poll: Poll, answers: Any, now: int = NOW) -> tuple[list[dict[str, Any]], tuple[Event, ...]]:
    """One round; ``answers`` gives a response by request body. Returns requests and events."""
    request: Request | None = poll.request(now)
    requests: list[dict[str, Any]] = []
    events: list[Event] = []
    while request is not None:
        requests.append(asked(request))
        given = answers(requests[-1])
        response = given if isinstance(given, Response) else answer(given)
        output: PollOutput = poll.received(response, now)
        events += output.events
        request = output.then
    return requests, tuple(events)


def by_type(**answers: Any) -> Any:
    """Answers by the request's ``type``; a callable gets the whole body."""

    def give(body: dict[str, Any]) -> Any:
        given = answers[body["type"]]
        return given(body) if callable(given) else given

    return give


def contexts_of(meta: dict[str, Any]) -> list[dict[str, Any]]:
    """As many contexts as a meta has markets."""
    return [context(str(100 + index)) for index in range(len(meta["universe"]))]


# ---------------------------------------------------------------------------------------- venue


def test_exchange_status_tells_clock_health_and_skew() -> None:
    """The middle of the round trip is when the venue looked at its clock."""
    poll = poll_named(make_venue(), "hyperliquid/exchangeStatus")
    assert poll.period_s == 5.0
    status = {"specialStatuses": None, "time": NOW // 1_000_000}
    output = poll.received(answer(status, elapsed_s=0.4), NOW)
    assert [type(event) for event in output.events] == [
        ChannelOpened,
        ChainTimeSeen,
        VenueStatusSeen,
        ClockSkewSeen,
    ]
    (skew,) = of_type(output.events, ClockSkewSeen)
    assert skew.skew_s == pytest.approx(0.2, abs=1e-6)
    slow = poll.received(answer(status, elapsed_s=1.1), NOW)
    assert of_type(slow.events, ClockSkewSeen) == []


def test_markets_are_read_per_followed_dex() -> None:
    """``perpDexs``, then the first dex and those in use; others are left alone."""
    venue = make_venue()
    venue.knowledge.accounts[0].use("xyz")
    dexes = [None, {"name": "xyz"}, {"name": "flx"}]
    metas = {None: META, "xyz": XYZ_META}

    def meta(body: dict[str, Any]) -> Any:
        found = metas[body.get("dex")]
        return [found, contexts_of(found)]

    requests, events = run(
        poll_named(venue, "hyperliquid/metaAndAssetCtxs"),
        by_type(perpDexs=dexes, metaAndAssetCtxs=meta),
    )
    assert [(body["type"], body.get("dex")) for body in requests] == [
        ("perpDexs", None),
        ("metaAndAssetCtxs", None),
        ("metaAndAssetCtxs", "xyz"),
    ]
    assert [event.market for event in of_type(events, MarketListed)] == [
        "BTC",
        "ETH",
        "HYPE",
        "OLD",
        "xyz:AAPL",
    ]
    assert [event.market for event in of_type(events, MarketContextSeen)][-1] == "xyz:AAPL"
    assert venue.knowledge.reference_prices["ETH"] == 101.0


def test_a_dex_that_cannot_be_read_is_rejected_by_itself() -> None:
    """500 with null is permanent for that dex, not for the venue."""
    venue = make_venue()
    venue.knowledge.accounts[0].use("xyz")
    poll = poll_named(venue, "hyperliquid/metaAndAssetCtxs")
    answers = by_type(
        perpDexs=[None, {"name": "xyz"}],
        metaAndAssetCtxs=lambda body: NULL_500 if "dex" in body else [META, contexts_of(META)],
    )
    _, events = run(poll, answers)
    assert len(of_type(events, FrameRejected)) == 1
    assert len(of_type(events, MarketListed)) == 4


def test_contexts_of_another_length_than_the_meta_are_refused() -> None:
    """A shifted list would put one market's price on another."""
    poll = poll_named(make_venue(), "hyperliquid/metaAndAssetCtxs")
    answers = by_type(perpDexs=[None], metaAndAssetCtxs=[META, contexts_of(META)[1:]])
    with pytest.raises(DecodeError, match="3 contexts for 4 markets"):
        run(poll, answers)


def test_funding_history_goes_over_watched_markets_and_pages_forward() -> None:
    """A day back at first, then from just after the last row; a full page is read on."""
    venue = make_venue()
    venue.knowledge.watchlist.add(["BTC", "OLD", "ETH"])
    poll = poll_named(venue, "hyperliquid/fundingHistory")
    start_ms = (NOW - 25 * HOUR_NS) // 1_000_000

    def rows(body: dict[str, Any]) -> Any:
        count = 500 if body["startTime"] == start_ms and body["coin"] == "BTC" else 1
        return [
            {"coin": body["coin"], "fundingRate": "0.00001", "time": body["startTime"] + index}
            for index in range(count)
        ]

    requests, events = run(poll, by_type(fundingHistory=rows))
    assert [(body["coin"], body["startTime"] - start_ms) for body in requests] == [
        ("BTC", 0),
        ("BTC", 500),
        ("OLD", 0),
        ("ETH", 0),
    ]
    assert len(of_type(events, FundingSettled)) == 503
    again, _ = run(poll, by_type(fundingHistory=[]))
    assert [body["startTime"] - start_ms for body in again] == [501, 1, 1]


def test_funding_history_skips_a_market_the_venue_does_not_know() -> None:
    """500 null for one coin, and the next is asked."""
    venue = make_venue()
    venue.knowledge.watchlist.add(["BTC", "ETH"])
    poll = poll_named(venue, "hyperliquid/fundingHistory")
    answers = by_type(fundingHistory=lambda body: NULL_500 if body["coin"] == "BTC" else [])
    requests, events = run(poll, answers)
    assert [body["coin"] for body in requests] == ["BTC", "ETH"]
    assert len(of_type(events, FrameRejected)) == 1


def test_funding_history_without_watched_markets_still_answers() -> None:
    """A round must ask something."""
    requests, events = run(
        poll_named(make_venue(), "hyperliquid/fundingHistory"),
        by_type(exchangeStatus={"time": 1, "specialStatuses": None}),
    )
    assert [body["type"] for body in requests] == ["exchangeStatus"]
    assert events == ()


def test_spot_prices_learn_the_pairs_once() -> None:
    """USDC pairs only; then mids alone."""
    venue = make_venue()
    venue.knowledge.accounts[0].set_mode("portfolioMargin")
    poll = poll_named(venue, "hyperliquid/allMids")
    meta = {
        "universe": [
            {"name": "@107", "tokens": [150, 0]},
            {"name": "@999", "tokens": [150, 360]},
            {"name": "PURR/USDC", "tokens": [1, 0]},
        ],
        "tokens": [{"name": "HYPE", "index": 150}],
    }
    answers = by_type(spotMeta=meta, allMids={"@107": "30.5", "@999": "31", "BTC": "84000"})
    requests, _ = run(poll, answers)
    assert [body["type"] for body in requests] == ["spotMeta", "allMids"]
    assert venue.knowledge.prices.price(150, NOW) == 30.5
    assert venue.knowledge.prices.price(1, NOW) is None
    assert venue.knowledge.prices.price(None, NOW) is None
    assert [body["type"] for body in run(poll, answers)[0]] == ["allMids"]


def test_prices_are_not_asked_for_without_accounts() -> None:
    """Only collateral needs them."""
    assert all(poll.name != "hyperliquid/allMids" for poll in make_venue(accounts=[]).polls())


# ------------------------------------------------------------------------------------ bootstrap


def bootstrap(
    *,
    role: Any = None,
    mode: Any = "default",
    subs: Any = None,
    vaults: Any = (),
    states: dict[str, Any] | None = None,
    **settings: Any,
) -> tuple[HyperliquidVenue, tuple[Event, ...], list[dict[str, Any]]]:
    """A bootstrap against a venue that answers as told."""
    venue = make_venue(**settings)
    known = states or {}
    answers = by_type(
        perpDexs=[None, {"name": "xyz"}, {"name": "flx"}],
        userRole=role or {"role": "user"},
        userAbstraction=mode,
        subAccounts=lambda body: subs if body["user"] == ADDRESS else None,
        userVaultEquities=list(vaults),
        clearinghouseState=lambda body: known.get(body.get("dex", ""), EMPTY),
        metaAndAssetCtxs=lambda body: (
            [XYZ_META, contexts_of(XYZ_META)] if "dex" in body else [META, contexts_of(META)]
        ),
    )
    events: list[Event] = []
    requests: list[dict[str, Any]] = []
    for poll in venue.bootstrap():
        more, told = run(poll, answers)
        requests += more
        events += told
    return venue, tuple(events), requests


def test_bootstrap_asks_in_order() -> None:
    """Dexes, role, mode, relatives, every dex's state, then the metas of those in use."""
    venue, events, requests = bootstrap(states={"xyz": held("xyz:AAPL")})
    assert [body["type"] for body in requests] == [
        "perpDexs",
        "userRole",
        "userAbstraction",
        "subAccounts",
        "userVaultEquities",
        "clearinghouseState",
        "clearinghouseState",
        "clearinghouseState",
        "perpDexs",
        "metaAndAssetCtxs",
        "metaAndAssetCtxs",
    ]
    assert venue.knowledge.accounts[0].dexes == {"", "xyz"}
    assert venue.knowledge.watchlist.coins() == ("xyz:AAPL",)
    (mode,) = of_type(events, AccountModeSeen)
    assert (mode.account, mode.mode) == ("main", AccountMode.STANDARD)


def test_bootstrap_leaves_no_feed_behind() -> None:
    """A channel opened at start that no periodic poll keeps alive would grow old for ever."""
    venue, events, _ = bootstrap(states={"xyz": held("xyz:AAPL")})
    periodic = {poll.name for poll in venue.polls()}
    assert {poll.name for poll in venue.bootstrap()} <= periodic
    kept = {f"hyperliquid/rest.{name.removeprefix('hyperliquid/')}" for name in periodic}
    opened = {event.channel for event in of_type(events, ChannelOpened)}
    assert opened - kept == {"hyperliquid/rest.metaAndAssetCtxs/xyz"}


def test_an_api_wallet_is_refused_with_what_to_configure() -> None:
    """It would read as flat."""
    with pytest.raises(AuthError) as caught:
        bootstrap(role={"role": "agent", "data": {"user": MASTER}})
    text = str(caught.value)
    assert "0x1234…cdef" in text
    assert "API wallet" in text
    assert "would read as flat" in text
    assert MASTER not in text
    assert ADDRESS not in text


def test_an_address_the_network_does_not_know_is_refused() -> None:
    """A typo or the wrong network would read as flat too."""
    with pytest.raises(AuthError, match="testnet does not know 0x0000…00a1"):
        bootstrap(role={"role": "missing"}, network="testnet")


@pytest.mark.parametrize("role", ["user", "vault", "subAccount"])
def test_readable_roles(role: str) -> None:
    """Each has an account of its own."""
    bootstrap(role={"role": role, "data": {"master": MASTER}})


def test_an_unknown_role_is_unreadable_not_flat() -> None:
    """Told with its reason; the mode asked next decides what it is then."""
    _, events, _ = bootstrap(role={"role": "multiverse"})
    first = of_type(events, AccountModeSeen)[0]
    assert first.mode is AccountMode.UNREADABLE
    assert "multiverse" in first.reason


@pytest.mark.parametrize(
    ("abstraction", "mode"),
    [
        pytest.param("disabled", AccountMode.STANDARD, id="standard"),
        pytest.param("unifiedAccount", AccountMode.UNIFIED, id="unified"),
        pytest.param("portfolioMargin", AccountMode.PORTFOLIO_MARGIN, id="portfolio margin"),
        pytest.param("dexAbstraction", AccountMode.UNREADABLE, id="discontinued"),
    ],
)
def test_modes(abstraction: str, mode: AccountMode) -> None:
    """As ``userAbstraction`` states them."""
    venue, events, _ = bootstrap(mode=abstraction)
    assert of_type(events, AccountModeSeen)[-1].mode is mode
    assert venue.knowledge.accounts[0].mode is mode


SUBS = [
    {"name": "Arb 2", "subAccountUser": OTHER, "master": ADDRESS, "clearinghouseState": {}},
    {"name": "arb-2", "subAccountUser": MASTER, "master": ADDRESS},
]
VAULT = {"vaultAddress": "0x07fd993f0fa3a185f7207adccd29f7a87404689d", "equity": "100.0"}


def test_sub_accounts_are_watched_and_vaults_told() -> None:
    """Each sub-account is an account with its own connection; names that clash stay apart."""
    venue, events, requests = bootstrap(subs=SUBS, vaults=[VAULT])
    assert [account.alias for account in venue.accounts()] == [
        "main",
        "main.arb-2",
        "main.arb-2-2",
    ]
    assert [(event.account, event.kind) for event in of_type(events, AccountDiscovered)] == [
        ("main.arb-2", "subaccount"),
        ("main.arb-2-2", "subaccount"),
        ("main.vault-0x07fd-689d", "vault"),
    ]
    modes = [body for body in requests if body["type"] == "userAbstraction"]
    assert [body["user"] for body in modes] == [ADDRESS, OTHER, MASTER]
    assert [stream.name for stream in venue.streams()][1:] == [
        "hyperliquid/user-main",
        "hyperliquid/user-main.arb-2",
        "hyperliquid/user-main.arb-2-2",
    ]
    assert [found.kind for found in venue.discovered()] == ["vault"]


def test_a_vault_that_is_configured_is_not_told_as_unwatched() -> None:
    """Who watches the vault's own address has seen to it; the deposit is not reported for ever."""
    accounts = [
        {"alias": "main", "address": ADDRESS},
        {"alias": "vault", "address": VAULT["vaultAddress"]},
    ]
    venue, events, _ = bootstrap(vaults=[VAULT], accounts=accounts)
    assert of_type(events, AccountDiscovered) == []
    assert venue.discovered() == ()


def test_bootstrap_run_twice_watches_each_sub_account_once() -> None:
    """A failure half-way starts the round anew."""
    venue, _, _ = bootstrap(subs=SUBS)
    poll = venue.bootstrap()[1]
    answers = by_type(
        userRole={"role": "user"},
        userAbstraction="default",
        subAccounts=SUBS,
        userVaultEquities=[],
        clearinghouseState=EMPTY,
    )
    run(poll, answers)
    assert len(venue.accounts()) == 3


def test_sub_accounts_can_be_left_alone() -> None:
    """Then they are listed for the operator and not expected."""
    venue, events, _ = bootstrap(subs=SUBS, watch_subaccounts=False)
    assert [found.watched for found in of_type(events, AccountDiscovered)] == [False, False]
    assert len(venue.accounts()) == 1
    assert [(found.alias, found.address) for found in venue.discovered()] == [
        ("main.arb-2", OTHER),
        ("main.arb-2-2", MASTER),
    ]


def test_more_sub_accounts_than_connections_are_refused() -> None:
    """Nine accounts and one market connection make ten."""
    many = [
        {"name": f"s{n}", "subAccountUser": f"0x{n + 1:040x}", "master": ADDRESS}
        for n in range(0xC0, 0xC9)
    ]
    with pytest.raises(ConfigError, match="watch_subaccounts"):
        bootstrap(subs=many)
    venue, _, _ = bootstrap(subs=many[:-1])
    assert len(venue.streams()) == 10


def test_a_configured_sub_account_is_not_discovered() -> None:
    """It is watched under its own name already."""
    accounts = [
        {"alias": "main", "address": ADDRESS},
        {"alias": "arb", "address": OTHER.upper().replace("0X", "0x")},
    ]
    venue, _, _ = bootstrap(subs=SUBS[:1], accounts=accounts)
    assert [account.alias for account in venue.accounts()] == ["main", "arb"]


def test_a_builder_dex_that_fails_does_not_hold_up_the_start() -> None:
    """The first dex does."""
    _, events, _ = bootstrap(states={"xyz": NULL_500})
    assert len(of_type(events, FrameRejected)) == 1
    with pytest.raises(DecodeError):
        bootstrap(states={"": NULL_500})


# ---------------------------------------------------------------------------------------- truth


def test_positions_of_each_used_dex() -> None:
    """A standard account's pools are told as they answer, as truth."""
    venue = make_venue()
    venue.knowledge.accounts[0].use("xyz")
    poll = poll_named(venue, "hyperliquid/clearinghouseState/main")
    assert poll.period_s == 10.0
    requests, events = run(
        poll,
        by_type(clearinghouseState=lambda body: held("xyz:AAPL") if "dex" in body else EMPTY),
    )
    assert requests == [
        {"type": "clearinghouseState", "user": ADDRESS},
        {"type": "clearinghouseState", "user": ADDRESS, "dex": "xyz"},
    ]
    assert [(r.account, r.source) for r in of_type(events, PositionsReported)] == [
        ("main", "truth"),
        ("main.xyz", "truth"),
    ]
    opened = of_type(events, ChannelOpened)[0]
    assert opened.channel == "hyperliquid/rest.clearinghouseState/main"
    assert (opened.feed, opened.cadence_s) == ("rest.clearinghouseState", 10.0)
    assert venue.knowledge.watchlist.coins() == ("xyz:AAPL",)


def test_positions_of_a_pooled_account_are_told_together() -> None:
    """After the last dex; incomplete when one failed, so that nothing is closed by it."""
    venue = make_venue()
    account = venue.knowledge.accounts[0]
    account.set_mode("unifiedAccount")
    account.use("xyz")
    poll = poll_named(venue, "hyperliquid/clearinghouseState/main")
    answers = by_type(
        clearinghouseState=lambda body: held("xyz:AAPL") if "dex" in body else held("BTC")
    )
    _, events = run(poll, answers)
    (report,) = of_type(events, PositionsReported)
    assert [position.market for position in report.positions] == ["BTC", "xyz:AAPL"]
    assert report.complete
    failing = by_type(clearinghouseState=lambda body: NULL_500 if "dex" in body else held("BTC"))
    _, events = run(poll, failing)
    (report,) = of_type(events, PositionsReported)
    assert not report.complete
    assert len(of_type(events, FrameRejected)) == 1


def test_a_failing_first_dex_fails_the_round() -> None:
    """Nothing is told about an account whose main pool cannot be read."""
    poll = poll_named(make_venue(), "hyperliquid/clearinghouseState/main")
    with pytest.raises(DecodeError):
        run(poll, by_type(clearinghouseState=NULL_500))


def test_orders_and_budget() -> None:
    """The frontend form; used and cap of the address."""
    venue = make_venue()
    row = {"coin": "BTC", "side": "A", "limitPx": "1", "sz": "1", "oid": 1, "reduceOnly": True}
    requests, events = run(
        poll_named(venue, "hyperliquid/frontendOpenOrders/main"),
        by_type(frontendOpenOrders=[row]),
    )
    assert requests == [{"type": "frontendOpenOrders", "user": ADDRESS}]
    (orders,) = of_type(events, OrdersReported)
    assert orders.complete
    assert orders.orders[0].reduce_only
    _, events = run(
        poll_named(venue, "hyperliquid/userRateLimit/main"),
        by_type(userRateLimit={"cumVlm": "1", "nRequestsUsed": 10358, "nRequestsCap": 10357}),
    )
    (budget,) = of_type(events, RequestBudgetSeen)
    assert (budget.account, budget.used, budget.cap) == ("main", 10358, 10357)


def test_balances_hurry_where_they_are_the_collateral() -> None:
    """Every 10 s for pooled accounts, 30 s else; told only for the former."""
    venue = make_venue()
    state = {"balances": [{"coin": "USDC", "token": 0, "total": "5", "hold": "1"}]}
    poll = poll_named(venue, "hyperliquid/spotClearinghouseState/main")
    assert poll.period_s == 30.0
    _, events = run(poll, by_type(spotClearinghouseState=state))
    assert of_type(events, AccountReported) == []
    venue.knowledge.accounts[0].set_mode("unifiedAccount")
    poll = poll_named(venue, "hyperliquid/spotClearinghouseState/main")
    assert poll.period_s == 10.0
    _, events = run(poll, by_type(spotClearinghouseState=state))
    (money,) = of_type(events, AccountReported)
    assert (money.equity_usd, money.free_collateral_usd) == (Decimal(5), Decimal(4))


def test_a_mode_that_changes_empties_the_earlier_pools() -> None:
    """Else their positions would count twice; everything is re-read at once."""
    venue = make_venue()
    account = venue.knowledge.accounts[0]
    account.use("xyz")
    run(
        poll_named(venue, "hyperliquid/clearinghouseState/main"),
        by_type(clearinghouseState=lambda body: held("xyz:AAPL") if "dex" in body else EMPTY),
    )
    poll = poll_named(venue, "hyperliquid/userAbstraction/main")
    poll.request(NOW)
    output = poll.received(answer("unifiedAccount"), NOW)
    (mode,) = of_type(output.events, AccountModeSeen)
    assert mode.mode is AccountMode.UNIFIED
    (closed,) = of_type(output.events, PositionsReported)
    assert (closed.account, closed.complete, closed.positions) == ("main.xyz", True, ())
    (money,) = of_type(output.events, AccountReported)
    assert (money.account, money.equity_usd) == ("main.xyz", Decimal(0))
    assert len(output.refresh) == 3
    poll.request(NOW)
    again = poll.received(answer("unifiedAccount"), NOW)
    assert again.refresh == ()
    assert of_type(again.events, AccountModeSeen) == []  # told with the balances


def test_a_mode_that_becomes_unknown_is_told_for_every_pool() -> None:
    """Else a builder dex's pool would keep its last equity."""
    venue = make_venue()
    venue.knowledge.accounts[0].use("xyz")
    run(
        poll_named(venue, "hyperliquid/clearinghouseState/main"),
        by_type(clearinghouseState=EMPTY),
    )
    poll = poll_named(venue, "hyperliquid/userAbstraction/main")
    for _ in range(2):
        poll.request(NOW)
        output = poll.received(answer("neverHeardOf"), NOW)
        assert [
            (event.account, event.mode) for event in of_type(output.events, AccountModeSeen)
        ] == [
            ("main", AccountMode.UNREADABLE),
            ("main.xyz", AccountMode.UNREADABLE),
        ]
    assert of_type(output.events, PositionsReported) == []


# -------------------------------------------------------------------------------------- history


def fill(time_ms: int) -> dict[str, Any]:
    """A fill on the wire."""
    return {
        "coin": "BTC",
        "px": "1",
        "sz": "1",
        "side": "B",
        "time": time_ms,
        "hash": "0x0",
        "oid": time_ms,
        "tid": 1,
    }


def test_fills_are_read_forward_and_the_first_round_is_history() -> None:
    """A full page leads to the next; news begin with the second round."""
    poll = poll_named(make_venue(), "hyperliquid/userFillsByTime/main")
    start_ms = (NOW - 26 * HOUR_NS) // 1_000_000

    def rows(body: dict[str, Any]) -> Any:
        count = 500 if body["startTime"] == start_ms else 2
        return [fill(body["startTime"] + index) for index in range(count)]

    requests, events = run(poll, by_type(userFillsByTime=rows))
    assert [body["startTime"] - start_ms for body in requests] == [0, 500]
    assert requests[0] == {"type": "userFillsByTime", "user": ADDRESS, "startTime": start_ms}
    assert [event.history for event in of_type(events, FillsReported)] == [True, True]
    requests, events = run(poll, by_type(userFillsByTime=rows), NOW + HOUR_NS)
    assert [body["startTime"] - start_ms for body in requests] == [502]
    assert [event.history for event in of_type(events, FillsReported)] == [False]


def test_an_empty_history_is_history_all_the_same() -> None:
    """That nothing was ever paid is told, in every round; what comes in a later one is news; the
    start does not move without rows."""
    poll = poll_named(make_venue(), "hyperliquid/userFunding/main")
    first, events = run(poll, by_type(userFunding=[]))
    (none,) = of_type(events, FundingPaid)
    assert (none.account, none.history, none.payments) == ("main", True, ())
    _, events = run(poll, by_type(userFunding=[]), NOW + HOUR_NS // 2)
    (none,) = of_type(events, FundingPaid)
    assert (none.account, none.history, none.payments) == ("main", False, ())
    delta = {"type": "funding", "coin": "BTC", "usdc": "-1", "szi": "1", "fundingRate": "0.1"}
    row = {"time": NOW // 1_000_000, "hash": "0x0", "delta": {**delta, "nSamples": None}}
    second, events = run(poll, by_type(userFunding=[row]), NOW + HOUR_NS)
    assert [body["startTime"] for body in first] == [body["startTime"] for body in second]
    (paid,) = of_type(events, FundingPaid)
    assert (paid.history, paid.payments[0].amount_usd) == (False, Decimal(-1))


def test_transfers_between_own_accounts_are_recognised() -> None:
    """By address, whatever its case; told by alias."""
    accounts = [{"alias": "main", "address": ADDRESS}, {"alias": "second", "address": OTHER}]
    venue = make_venue(accounts=accounts)
    delta = {
        "type": "internalTransfer",
        "usdc": "7",
        "user": ADDRESS,
        "destination": OTHER.upper().replace("0X", "0x"),
    }
    _, events = run(
        poll_named(venue, "hyperliquid/userNonFundingLedgerUpdates/main"),
        by_type(userNonFundingLedgerUpdates=[{"time": 5, "hash": "0x0", "delta": delta}]),
    )
    (told,) = of_type(events, TransfersReported)
    flow = told.transfers[0]
    assert (flow.amount_usd, flow.counterparty, flow.own) == (Decimal(-7), "second", True)


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("response", "error", "says"),
    [
        pytest.param(NULL_500, DecodeError, "unknown dex or coin", id="500 null is permanent"),
        pytest.param(
            Response(status=500, headers=(), body=b"oops"),
            TransientFeedError,
            "500 oops",
            id="500 with a text is not",
        ),
        pytest.param(
            Response(status=200, headers=(), body=b"null"),
            DecodeError,
            "200 with null",
            id="200 null",
        ),
        pytest.param(
            Response(status=422, headers=(), body=b"Failed to deserialize the JSON body"),
            DecodeError,
            "422 Failed to deserialize",
            id="422",
        ),
        pytest.param(
            Response(status=400, headers=(), body=b"Failed to parse"), DecodeError, "400", id="400"
        ),
        pytest.param(
            Response(status=415, headers=(), body=b"Expected request with"),
            DecodeError,
            "415",
            id="415",
        ),
        pytest.param(Response(status=405, headers=(), body=b""), DecodeError, "405", id="405"),
        pytest.param(
            Response(status=502, headers=(), body=b"<html>"), TransientFeedError, "502", id="502"
        ),
        pytest.param(
            Response(status=200, headers=(), body=b"<html>"), DecodeError, "malformed", id="HTML"
        ),
    ],
)
def test_refusals(response: Response, error: type[Exception], says: str) -> None:
    """What may be tried again, and what would only be refused again."""
    poll = poll_named(make_venue(), "hyperliquid/userRateLimit/main")
    poll.request(NOW)
    with pytest.raises(error, match=says):
        poll.received(response, NOW)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        pytest.param((), 10.0, id="no header: ten seconds"),
        pytest.param((("retry-after", "3"),), 10.0, id="less than ten is ten"),
        pytest.param((("retry-after", "30"),), 30.0, id="the venue's word"),
        pytest.param((("retry-after", "soon"),), 10.0, id="no number"),
        pytest.param((("retry-after", "nan"),), 10.0, id="not a number at all"),
        pytest.param((("retry-after", "1e9"),), 10.0, id="absurd"),
    ],
)
def test_over_budget_waits(headers: tuple[tuple[str, str], ...], wait_s: float) -> None:
    """429 is transient and waits at least ten seconds."""
    poll = poll_named(make_venue(), "hyperliquid/exchangeStatus")
    with pytest.raises(TransientFeedError) as caught:
        poll.received(Response(status=429, headers=headers, body=b"null"), NOW)
    assert caught.value.retry_after_s == wait_s


def twaps_told(*states: tuple[int, str, int]) -> tuple[Event, ...]:
    """What one round says of TWAPs: (id, status, seconds ago)."""
    venue = make_venue()
    rows = [
        {
            "time": NOW // SECOND_NS - ago_s,
            "state": {
                "coin": "BTC",
                "user": ADDRESS,
                "side": "B",
                "sz": "2.0",
                "executedSz": "0.5",
                "executedNtl": "50000.0",
                "minutes": 30,
                "reduceOnly": False,
                "randomize": False,
                "timestamp": (NOW // SECOND_NS - ago_s) * 1000,
            },
            "status": {"status": status},
            "twapId": twap_id,
        }
        for twap_id, status, ago_s in states
    ]
    _, events = run(poll_named(venue, "hyperliquid/twapHistory/main"), by_type(twapHistory=rows))
    return events


def test_running_twaps_are_told_whole_with_what_they_have_not_traded() -> None:
    """One that ended is none; that there is none is told as well."""
    (told,) = of_type(twaps_told((7, "activated", 60), (6, "finished", 90)), TwapsReported)
    assert [(one.order_id, one.market, one.size) for one in told.twaps] == [
        ("7", "BTC", Decimal("1.5"))
    ]
    assert (told.account, told.twaps[0].reduce_only) == ("main", False)
    (none,) = of_type(twaps_told((6, "finished", 90)), TwapsReported)
    assert none.twaps == ()
