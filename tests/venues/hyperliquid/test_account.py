"""Where equity stands in each account mode, pools, orders, and flows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from monitor.core.events import (
    AccountDiscovered,
    AccountModeSeen,
    AccountReported,
    CollateralBalance,
    CollateralReported,
    Event,
    OrdersReported,
    PositionsReported,
    TransfersReported,
)
from monitor.core.types import SECOND_NS, AccountMode, TransferKind
from monitor.venues.hyperliquid.decoders import account_wire
from monitor.venues.hyperliquid.decoders.account import (
    TERMINAL_STATUSES,
    account_events,
    order_update_events,
    orders_events,
    spot_events,
)
from monitor.venues.hyperliquid.decoders.history import transfer_events
from monitor.venues.hyperliquid.knowledge import Account, SpotPrices, mode_of, shorten, sub_alias
from tests.venues.hyperliquid.helpers import ADDRESS, MASTER, NOW, OTHER, make_venue, of_type

MARKETS = make_venue().knowledge.markets


def summary(value: str, used: str, raw: str = "0.0") -> dict[str, str]:
    """A margin summary."""
    return {
        "accountValue": value,
        "totalNtlPos": "0.0",
        "totalRawUsd": raw,
        "totalMarginUsed": used,
    }


def position(coin: str, size: str, value: str, **other: Any) -> dict[str, Any]:
    """A position on the wire."""
    return {
        "type": "oneWay",
        "position": {
            "coin": coin,
            "szi": size,
            "leverage": {"type": "cross", "value": 10},
            "positionValue": value,
            "maxLeverage": 40,
            **other,
        },
    }


def state(value: str = "100.0", used: str = "5.0", **other: Any) -> account_wire.ClearinghouseState:
    """A dex's state."""
    data = {
        "marginSummary": summary(value, used),
        "crossMarginSummary": summary(value, used),
        "crossMaintenanceMarginUsed": "1.0",
        "withdrawable": "90.0",
        "assetPositions": [],
        "time": 1_790_000_000_000,
        **other,
    }
    return msgspec.convert(data, account_wire.ClearinghouseState, strict=False)


def account(mode: str = "default", *dexes: str) -> Account:
    """An account in a mode."""
    made = Account("main", ADDRESS)
    made.set_mode(mode)
    made.dexes.update(dexes)
    return made


def told(
    made: Account,
    states: dict[str, Any],
    *,
    complete: bool = True,
    known: SpotPrices | None = None,
) -> tuple[Event, ...]:
    """Events of some dexes' states."""
    return account_events(
        made,
        states,
        source="truth",
        channel="c",
        markets=MARKETS,
        prices=known,
        now=NOW,
        complete=complete,
    )


# --------------------------------------------------------------------------------------- pools


@pytest.mark.parametrize(
    ("mode", "pools"),
    [
        pytest.param("default", ["main", "main.xyz", "main.flx"], id="each dex its own"),
        pytest.param("disabled", ["main", "main.xyz", "main.flx"], id="disabled is standard too"),
        pytest.param("unifiedAccount", ["main", "main", "main.token360"], id="by collateral token"),
        pytest.param("portfolioMargin", ["main", "main", "main"], id="all together"),
    ],
)
def test_pools(mode: str, pools: list[str]) -> None:
    """Which pool a position on the first dex, on xyz (USDC) and on flx (USDH) draws on."""
    made = account(mode)
    assert [made.pool(dex, MARKETS) for dex in ("", "xyz", "flx")] == pools


def test_a_standard_account_on_two_dexes() -> None:
    """Two pools, each complete in itself, the second announced once."""
    made = account("default", "xyz")
    states = {
        "": state(assetPositions=[position("BTC", "1", "84000")]),
        "xyz": state("7.0", assetPositions=[position("xyz:AAPL", "-2", "400")]),
    }
    events = told(made, states)
    assert [type(event).__name__ for event in events] == [
        "PositionsReported",
        "AccountReported",
        "AccountDiscovered",
        "AccountModeSeen",
        "PositionsReported",
        "AccountReported",
    ]
    reports = of_type(events, PositionsReported)
    assert [(r.account, r.complete, r.positions[0].market) for r in reports] == [
        ("main", True, "BTC"),
        ("main.xyz", True, "xyz:AAPL"),
    ]
    assert [m.equity_usd for m in of_type(events, AccountReported)] == [Decimal(100), Decimal(7)]
    assert of_type(told(made, states), AccountDiscovered) == []


def test_closed_positions_close_by_absence() -> None:
    """They are omitted, never reported as zero; a zero that is reported is left out as well."""
    events = told(account(), {"": state(assetPositions=[position("BTC", "0.0", "0.0")])})
    (report,) = of_type(events, PositionsReported)
    assert report.complete
    assert report.positions == ()


def test_free_collateral_is_not_withdrawable() -> None:
    """Cross value less margin used; what may be withdrawn is stated apart."""
    (money,) = of_type(told(account(), {"": state("100.0", "5.0")}), AccountReported)
    assert money.free_collateral_usd == Decimal(95)
    assert money.withdrawable_usd == Decimal(90)
    assert money.initial_margin_usd == Decimal(5)


@pytest.mark.parametrize(
    ("value", "maintenance"),
    [
        pytest.param("150000000", Decimal("1875001.0"), id="at the tier's bound: 1/80"),
        pytest.param("150000080", Decimal("1875003.0"), id="80 above it: 1/40 of the excess"),
        pytest.param("300000000", Decimal("5625001.0"), id="twice the bound"),
    ],
)
def test_isolated_maintenance_follows_the_tiers(value: str, maintenance: Decimal) -> None:
    """The venue states the cross part (1.0 here); isolated positions are computed."""
    leverage = {"type": "isolated", "value": 40, "rawUsd": "-1.0"}
    entry = position("BTC", "1", value, leverage=leverage)
    (money,) = of_type(told(account(), {"": state(assetPositions=[entry])}), AccountReported)
    assert money.maintenance_margin_usd == maintenance


def test_maintenance_is_absent_where_an_isolated_positions_tiers_are_unknown() -> None:
    """A partial sum would look safe."""
    leverage = {"type": "isolated", "value": 40, "rawUsd": "-1.0"}
    entry = position("NEW", "1", "100", leverage=leverage, maxLeverage=None)
    (money,) = of_type(told(account(), {"": state(assetPositions=[entry])}), AccountReported)
    assert money.maintenance_margin_usd is None


def test_funding_since_open_is_ours() -> None:
    """The venue's positive is paid; ours is received."""
    entry = position("BTC", "1", "84000", cumFunding={"sinceOpen": "12.5"})
    (report,) = of_type(told(account(), {"": state(assetPositions=[entry])}), PositionsReported)
    assert report.positions[0].funding_since_open_usd == Decimal("-12.5")
    assert report.positions[0].mark_price == 84000.0


# ---------------------------------------------------------------------------------- collateral


BALANCES: list[dict[str, Any]] = [
    {"coin": "USDC", "token": 0, "total": "1000.5", "hold": "200.5", "entryNtl": "0.0"},
    {"coin": "USDH", "token": 360, "total": "50.0", "hold": "10.0", "entryNtl": "0.0"},
    {"coin": "HYPE", "token": 150, "total": "2.0", "hold": "0.0", "entryNtl": "60.0"},
    {"coin": "+92260", "total": "0.0", "hold": "0.0", "entryNtl": "0.0"},
]
CASH_ONLY = BALANCES[:1]


def prices(**known: float) -> SpotPrices:
    """Prices of USDH (360) and HYPE (150) by their USDC pairs."""
    made = SpotPrices()
    made.learn_pairs({360: "@230", 150: "@107"})
    made.learn_mids({"@230": known.get("usdh", 0.0), "@107": known.get("hype", 0.0)}, NOW)
    return made


def spot(
    mode: str,
    balances: list[dict[str, Any]],
    known: SpotPrices | None = None,
    *,
    ratio: str | None = None,
    now: int = NOW,
    eligible: list[Any] | None = None,
) -> tuple[Event, ...]:
    """Events of a spot state."""
    data = {
        "balances": balances,
        "portfolioMarginRatio": ratio,
        "tokenToAvailableAfterMaintenance": eligible,
    }
    return spot_events(
        account(mode),
        msgspec.convert(data, account_wire.SpotState, strict=False),
        source="truth",
        channel="c",
        prices=known,
        collateral_tokens=(0, 360),
        now=now,
    )


def test_spot_of_a_standard_account_is_not_its_collateral() -> None:
    """Nothing is told."""
    assert spot("default", BALANCES) == ()


def test_unified_equity_is_the_balance_of_the_margining_token() -> None:
    """USDC is one pool, USDH (which margins flx) another; HYPE margins nothing and counts for
    nothing; unrealized profit is in the total already."""
    events = spot("unifiedAccount", BALANCES, prices(usdh=0.99, hype=30.0))
    money = {event.account: event for event in of_type(events, AccountReported)}
    assert set(money) == {"main", "main.token360"}
    assert money["main"].equity_usd == Decimal("1000.5")
    assert money["main"].free_collateral_usd == Decimal("800.0")
    assert money["main.token360"].equity_usd == Decimal("49.500")
    assert money["main.token360"].free_collateral_usd == Decimal("39.600")
    assert [event.mode for event in of_type(events, AccountModeSeen)] == [AccountMode.UNIFIED] * 2
    collateral = {event.account: event.balances for event in of_type(events, CollateralReported)}
    assert collateral["main.token360"] == (
        CollateralBalance(
            token="USDH",  # noqa: S106 - a collateral token
            amount=Decimal("50.0"),
            price_market="@230",
            price_usd=0.99,
        ),
    )
    assert [balance.token for balance in collateral["main"]] == ["USDC"]


def test_unified_without_any_balance_is_worth_nothing() -> None:
    """An empty list is a statement: zero, not absent."""
    events = spot("unifiedAccount", [])
    (money,) = of_type(events, AccountReported)
    assert (money.account, money.equity_usd) == ("main", Decimal(0))


def test_portfolio_margin_counts_every_balance_at_its_price() -> None:
    """1000.5 + 50 x 0.99 + 2 x 30; maintenance is the venue's ratio of it."""
    (mode, _, money) = spot("portfolioMargin", BALANCES, prices(usdh=0.99, hype=30.0), ratio="0.25")
    assert isinstance(mode, AccountModeSeen)
    assert isinstance(money, AccountReported)
    assert mode.mode is AccountMode.PORTFOLIO_MARGIN
    assert money.equity_usd == Decimal("1110.0")
    assert money.maintenance_margin_usd == Decimal("277.5")


def test_a_token_sent_unasked_does_not_blind_a_portfolio() -> None:
    """Where the venue lists what is eligible, other balances are no collateral, priced or not."""
    worthless = {"coin": "SCAM", "token": 999, "total": "1e6", "hold": "0.0"}
    events = spot(
        "portfolioMargin",
        [*BALANCES, worthless],
        prices(hype=30.0),
        eligible=[[0, "800.0"], [150, "1.0"]],
    )
    (money,) = of_type(events, AccountReported)
    assert money.equity_usd == Decimal("1060.5")


def test_portfolio_margin_without_ratio_has_no_maintenance() -> None:
    """What it borrowed counts too, so the perp part alone is not told."""
    (_, _, money) = spot("portfolioMargin", CASH_ONLY)
    assert isinstance(money, AccountReported)
    assert money.maintenance_margin_usd is None
    (margins,) = of_type(told(account("portfolioMargin"), {"": state()}), AccountReported)
    assert margins.maintenance_margin_usd is None
    assert margins.initial_margin_usd == Decimal(5)


@pytest.mark.parametrize(
    ("known", "now"),
    [
        pytest.param(None, NOW, id="no prices at all"),
        pytest.param(prices(usdh=1.0), NOW, id="a price of zero is no price"),
        pytest.param(prices(usdh=1.0, hype=30.0), NOW + 181 * SECOND_NS, id="prices too old"),
    ],
)
@pytest.mark.parametrize("turned", [False, True], ids=["unpriced last", "unpriced first"])
def test_equity_is_absent_while_a_balance_is_unpriced(
    known: SpotPrices | None, now: int, *, turned: bool
) -> None:
    """Absent for a reason that names the token; never the sum of the rest, whether that comes
    before it or after."""
    balances = BALANCES[::-1] if turned else BALANCES
    (mode, _, money) = spot("portfolioMargin", balances, known, now=now)
    assert isinstance(mode, AccountModeSeen)
    assert isinstance(money, AccountReported)
    assert mode.mode is AccountMode.UNREADABLE
    assert "2.0 HYPE" in mode.reason
    assert money.equity_usd is None
    assert money.free_collateral_usd is None


def test_prices_are_good_for_three_minutes() -> None:
    """The other side of the limit."""
    known = prices(usdh=1.0, hype=30.0)
    (mode, _, _) = spot("portfolioMargin", BALANCES, known, now=NOW + 180 * SECOND_NS)
    assert isinstance(mode, AccountModeSeen)
    assert mode.mode is AccountMode.PORTFOLIO_MARGIN


def test_pooled_margins_come_from_all_dexes_of_the_pool() -> None:
    """First dex and xyz share USDC: one list of positions, summed margins, no equity."""
    made = account("unifiedAccount", "xyz", "flx")
    states = {
        "": state("0.0", "5.0", assetPositions=[position("BTC", "1", "84000")]),
        "xyz": state("0.0", "2.0", assetPositions=[position("xyz:AAPL", "-2", "400")]),
        "flx": state("0.0", "1.0"),
    }
    events = told(made, states, known=prices(usdh=0.98))
    reports = {event.account: event for event in of_type(events, PositionsReported)}
    assert [p.market for p in reports["main"].positions] == ["BTC", "xyz:AAPL"]
    assert reports["main"].complete
    money = {event.account: event for event in of_type(events, AccountReported)}
    assert money["main"].equity_usd is None
    assert money["main"].initial_margin_usd == Decimal(7)
    assert money["main"].maintenance_margin_usd == Decimal(2)
    assert money["main.token360"].initial_margin_usd == Decimal("0.98")


def flx(known: SpotPrices | None) -> tuple[Event, ...]:
    """A standard account's dex that is margined in USDH: 100 of it, a short of 40 dollars."""
    whole = summary("100.0", "8.0", raw="140.0")
    held = [position("flx:CRCL", "-0.5", "40.0")]
    return told(
        account("default", "flx"),
        {"flx": state(marginSummary=whole, crossMarginSummary=whole, assetPositions=held)},
        known=known,
    )


def test_money_of_a_dex_is_told_at_the_price_of_its_token() -> None:
    """USDH at 0.95: 100 of it are 95 dollars. The position is in dollars, so that what is left of
    them without it is 135; margins and what is free are in the token."""
    events = flx(prices(usdh=0.95))
    (money,) = of_type(events, AccountReported)
    assert money.account == "main.flx"
    assert (money.equity_usd, money.cash_usd) == (Decimal(95), Decimal(135))
    assert money.free_collateral_usd == Decimal("87.4")  # of 92
    assert money.initial_margin_usd == Decimal("7.6")
    assert money.maintenance_margin_usd == Decimal("0.95")
    assert money.withdrawable_usd == Decimal("85.5")
    (collateral,) = of_type(events, CollateralReported)
    (balance,) = collateral.balances
    assert (balance.amount, balance.price_market, balance.price_usd) == (100, "@230", 0.95)
    assert [one.mode for one in of_type(events, AccountModeSeen)] == [AccountMode.STANDARD]


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(None, id="no prices at all"),
        pytest.param(prices(hype=30.0), id="none of this token"),
    ],
)
def test_money_that_nothing_prices_is_unknown(known: SpotPrices | None) -> None:
    """Never at par: unreadable for that reason, until something prices it."""
    made = account("default", "flx")
    for priced in (False, True, True):
        events = told(made, {"flx": state()}, known=prices(usdh=0.95) if priced else known)
        (money,) = of_type(events, AccountReported)
        assert money.complete
        assert money.equity_usd == (Decimal(95) if priced else None)
        assert (money.cash_usd is None) is (money.maintenance_margin_usd is None) is not priced
        modes = of_type(events, AccountModeSeen)
        assert [one.mode is AccountMode.UNREADABLE for one in modes[1:]] == [True] * (not priced)
        if not priced:
            assert "no price for" in modes[-1].reason
            continue
        if modes:
            assert [one.mode for one in modes] == [AccountMode.STANDARD]


def test_the_token_of_an_unread_dex_is_unknown() -> None:
    """Its meta says in what it is margined; until then no money of it is known, and no reason to
    call the account unreadable."""
    events = told(account("default", "new"), {"new": state()}, known=prices(usdh=0.95))
    (money,) = of_type(events, AccountReported)
    assert (money.equity_usd, money.initial_margin_usd) == (None, None)
    assert [one.mode for one in of_type(events, AccountModeSeen)] == [AccountMode.STANDARD]
    assert of_type(events, CollateralReported) == []


def test_a_pooled_account_told_in_part_closes_nothing() -> None:
    """Without every dex the list is not complete and the margins are not summed."""
    events = told(account("unifiedAccount", "xyz"), {"": state()}, complete=False)
    (report,) = of_type(events, PositionsReported)
    assert not report.complete
    assert of_type(events, AccountReported) == []


@pytest.mark.parametrize("abstraction", ["dexAbstraction", "somethingNew", ""])
def test_unknown_modes_are_unreadable(abstraction: str) -> None:
    """Positions are told; no money is, and the reason names the mode."""
    mode, reason = mode_of(abstraction)
    assert mode is AccountMode.UNREADABLE
    assert repr(abstraction) in reason
    events = told(account(abstraction), {"": state()})
    (money,) = of_type(events, AccountReported)
    assert (money.equity_usd, money.free_collateral_usd) == (None, None)
    assert len(of_type(events, PositionsReported)) == 1


# -------------------------------------------------------------------------------------- orders


def order(oid: int, coin: str = "BTC", **other: Any) -> dict[str, Any]:
    """An order on the wire."""
    return {"coin": coin, "side": "B", "limitPx": "1", "sz": "2", "oid": oid, **other}


def order_list(*orders: dict[str, Any]) -> list[account_wire.Order]:
    """Typed orders."""
    return msgspec.convert(list(orders), list[account_wire.Order], strict=False)


def update(oid: int, status: str, **other: Any) -> account_wire.OrderUpdate:
    """One order update."""
    data = {"order": order(oid, **other), "status": status, "statusTimestamp": 5}
    return msgspec.convert(data, account_wire.OrderUpdate, strict=False)


def test_updates_keep_what_the_list_said() -> None:
    """A stop that is updated stays reduce-only with its trigger; a new order counts as neither."""
    made = account()
    stop = order(1, reduceOnly=True, isTrigger=True, triggerPx="0.9")
    orders_events(made, {"": order_list(stop)}, source="stream", channel="c", markets=MARKETS)
    (event,) = order_update_events(
        made,
        [update(1, "open"), update(2, "open")],
        source="stream",
        channel="c",
        markets=MARKETS,
    )
    assert isinstance(event, OrdersReported)
    assert [(o.reduce_only, o.trigger_price) for o in event.orders] == [
        (True, Decimal("0.9")),
        (False, None),
    ]
    assert not event.complete


@pytest.mark.parametrize("status", sorted(TERMINAL_STATUSES))
def test_terminal_statuses_end_an_order(status: str) -> None:
    """Every status of the documented list that ends an order."""
    (event,) = order_update_events(
        account(), [update(1, status)], source="stream", channel="c", markets=MARKETS
    )
    assert isinstance(event, OrdersReported)
    assert not event.orders[0].open


@pytest.mark.parametrize("status", ["open", "triggered", "neverHeardOf", ""])
def test_other_statuses_leave_it_working(status: str) -> None:
    """Unknown is not terminal."""
    (event,) = order_update_events(
        account(), [update(1, status)], source="stream", channel="c", markets=MARKETS
    )
    assert isinstance(event, OrdersReported)
    assert event.orders[0].open


def test_a_pooled_list_is_complete_once_every_dex_told() -> None:
    """One dex's list must not close the orders of another in the same pool."""
    made = account("unifiedAccount", "xyz")

    def tell(dex: str, *orders: dict[str, Any]) -> OrdersReported:
        (event,) = orders_events(
            made, {dex: order_list(*orders)}, source="truth", channel="c", markets=MARKETS
        )
        assert isinstance(event, OrdersReported)
        return event

    first = tell("", order(1))
    assert (first.account, first.complete) == ("main", False)
    second = tell("xyz", order(2, "xyz:AAPL"))
    assert second.complete
    assert [o.order_id for o in second.orders] == ["1", "2"]
    assert [o.order_id for o in tell("", order(3)).orders] == ["3", "2"]


def test_a_standard_list_is_complete_per_dex() -> None:
    """Each dex is a pool of its own."""
    (event,) = orders_events(
        account("default", "xyz"),
        {"xyz": order_list(order(2, "xyz:AAPL"))},
        source="truth",
        channel="c",
        markets=MARKETS,
    )
    assert isinstance(event, OrdersReported)
    assert (event.account, event.complete) == ("main.xyz", True)


# ----------------------------------------------------------------------------------- transfers


def flows(mode: str, *deltas: dict[str, Any]) -> list[tuple[str, TransferKind, Decimal, str, bool]]:
    """(pool, kind, amount, other side, own) of some ledger deltas; ``OTHER`` is ours too."""
    rows = [{"time": index, "hash": "0x0", "delta": delta} for index, delta in enumerate(deltas)]
    events = transfer_events(
        account(mode),
        msgspec.json.decode(msgspec.json.encode(rows), type=list[account_wire.LedgerRow]),
        history=False,
        channel="c",
        markets=MARKETS,
        alias_of={OTHER: "second", ADDRESS: "main"}.get,
    )
    return [
        (event.account, flow.kind, flow.amount_usd, flow.counterparty, flow.own)
        for event in of_type(events, TransfersReported)
        for flow in event.transfers
    ]


def send(source: str, target: str, token: str = "USDC", **other: Any) -> dict[str, Any]:  # noqa: S107 - likewise
    """A ``send`` delta from us to ``OTHER``."""
    return {
        "type": "send",
        "user": ADDRESS,
        "destination": OTHER,
        "sourceDex": source,
        "destinationDex": target,
        "token": token,
        "amount": "9",
        "usdcValue": "9",
        **other,
    }


TO_SECOND = {"type": "internalTransfer", "usdc": "7", "user": ADDRESS, "destination": OTHER}
SPOT = {"type": "spotTransfer", "usdcValue": "3", "user": OTHER, "destination": ADDRESS}
INTERNAL, NINE = TransferKind.INTERNAL, Decimal(9)


@pytest.mark.parametrize(
    ("mode", "delta", "expected"),
    [
        pytest.param(
            "default",
            TO_SECOND,
            [("main", INTERNAL, Decimal(-7), "second", True)],
            id="to an account of ours nothing is lost",
        ),
        pytest.param(
            "default",
            {**TO_SECOND, "destination": MASTER},
            [("main", INTERNAL, Decimal(-7), "0x1234…cdef", False)],
            id="to a stranger it is, and only the short address is told",
        ),
        pytest.param(
            "default", {**TO_SECOND, "user": MASTER, "destination": MASTER}, [], id="not about us"
        ),
        pytest.param(
            "default",
            {"type": "accountClassTransfer", "usdc": "5", "toPerp": False},
            [("main", INTERNAL, Decimal(-5), "spot", False)],
            id="standard: to spot leaves the pool",
        ),
        pytest.param(
            "unifiedAccount",
            {"type": "accountClassTransfer", "usdc": "5", "toPerp": False},
            [],
            id="unified: to spot is no move",
        ),
        pytest.param("default", {**SPOT, "token": "USDC"}, [], id="standard: spot is elsewhere"),
        pytest.param(
            "unifiedAccount",
            {**SPOT, "token": "USDC"},
            [("main", INTERNAL, Decimal(3), "second", True)],
            id="unified: USDC counts",
        ),
        pytest.param("unifiedAccount", {**SPOT, "token": "HYPE"}, [], id="unified: HYPE does not"),
        pytest.param(
            "portfolioMargin",
            {**SPOT, "token": "HYPE"},
            [("main", INTERNAL, Decimal(3), "second", True)],
            id="portfolio margin: HYPE does",
        ),
        pytest.param(
            "default",
            send("xyz", ""),
            [("main.xyz", INTERNAL, -NINE, "second", True)],
            id="standard: from the dex it was sent from",
        ),
        pytest.param("default", send("spot", ""), [], id="standard: from spot is elsewhere"),
        pytest.param(
            "default",
            send("", "spot", destination=ADDRESS),
            [("main", INTERNAL, -NINE, "spot", False)],
            id="standard: to its own spot leaves the pool",
        ),
        pytest.param(
            "default",
            send("", "xyz", destination=ADDRESS),
            [
                ("main", INTERNAL, -NINE, "main", True),
                ("main.xyz", INTERNAL, NINE, "main", True),
            ],
            id="standard: between own dexes both sides are told",
        ),
        pytest.param(
            "unifiedAccount", send("", "xyz", destination=ADDRESS), [], id="unified: no move"
        ),
        pytest.param("unifiedAccount", send("", "", "HYPE"), [], id="unified: not collateral"),
        pytest.param("default", {"type": "neverHeardOf", "usdc": {"x": 1}}, [], id="unknown kind"),
        pytest.param("default", {"type": "deposit"}, [], id="a deposit that names no amount"),
    ],
)
def test_flows(
    mode: str,
    delta: dict[str, Any],
    expected: list[tuple[str, TransferKind, Decimal, str, bool]],
) -> None:
    """What moved, of which pool, to whom."""
    assert flows(mode, delta) == expected


@pytest.mark.parametrize(
    ("address", "short"),
    [
        pytest.param(MASTER, "0x1234…cdef", id="an address"),
        pytest.param(MASTER.upper().replace("0X", "0x"), "0x1234…cdef", id="whatever its case"),
        pytest.param("mtiz", "mtiz", id="not an address"),
    ],
)
def test_addresses_are_shortened(address: str, short: str) -> None:
    """Full addresses never leave."""
    assert shorten(address) == short


def test_sub_account_names_become_aliases() -> None:
    """Whatever their owner typed."""
    assert sub_alias("main", "Arb 2 (hedge)") == "main.arb-2-hedge"
    assert sub_alias("main", "***") == "main.sub"
