"""Account messages of the socket: what is believed, in which order, and what REST must settle."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from monitor.core.errors import DecodeError
from monitor.core.events import (
    AccountModeSeen,
    AccountReported,
    FillsReported,
    LiquidationSeen,
    OrdersReported,
    PositionsReported,
    TransfersReported,
)
from monitor.core.ports import Output, StreamProtocol
from monitor.core.types import SECOND_NS, AccountMode, FillKind
from monitor.venues.dydx.account_channel import OVERTAKEN_MAX
from monitor.venues.dydx.venue import DydxVenue
from tests.venues.dydx.wire_talk import (
    ADDRESS,
    NOW,
    OTHER_ADDRESS,
    TIME,
    answer,
    dollars,
    events_of,
    fill,
    frame,
    kinds,
    order,
    parent,
    position,
    snapshot,
    subaccount,
    subscribe_all,
    update,
    venue,
)

TRUTH = "dydx/rest.parentSubaccount/main"
ORDERS = "dydx/rest.orders/main"


class Account:
    """The account connection of a venue, with message ids counted."""

    def __init__(self, made: DydxVenue | None = None) -> None:
        self.venue = made or venue()
        self.stream: StreamProtocol = self.venue.streams()[-1]
        _, self.now = subscribe_all(self.stream, NOW)
        self.message_id = 0

    def says(self, message: bytes) -> Output:
        """A frame comes."""
        return self.stream.received(message, self.now)

    def snapshot(self, *children: dict[str, object], **rest: object) -> Output:
        """The first message."""
        self.message_id += 1
        return self.says(snapshot(self.message_id, *children, **rest))  # type: ignore[arg-type] # heights and orders

    def update(self, number: int = 0, **contents: object) -> Output:
        """A change."""
        self.message_id += 1
        return self.says(update(self.message_id, number, **contents))

    def truth(self, *children: dict[str, object]) -> tuple[list[str], Output]:
        """REST is asked and answers."""
        poll = next(poll for poll in self.venue.polls() if poll.name == TRUTH)
        output = poll.received(answer({"subaccount": parent(*children)}), self.now)
        return kinds(output.events), Output(output.events, refresh=output.refresh)


def sizes(output: Output) -> dict[str, Decimal]:
    """Sizes told, by account/market."""
    return {
        f"{event.account}/{report.market}": report.size
        for event in events_of(output, PositionsReported)
        for report in event.positions
    }


def cash(output: Output) -> dict[str, Decimal | None]:
    """Balances told, by account."""
    return {event.account: event.cash_usd for event in events_of(output, AccountReported)}


# --------------------------------------------------------------------------- snapshots


def test_snapshot_tells_every_child_as_a_pool_of_its_own() -> None:
    """The parent's sums are meaningless for liquidation and are left out."""
    account = Account()
    output = account.snapshot(
        subaccount(0, cash="900", ETH_USD="-0.5"), subaccount(256, cash="50", APE_USD="20")
    )
    reported = events_of(output, AccountReported)
    assert [(event.account, event.equity_usd) for event in reported] == [
        ("main", Decimal(900)),
        ("main.256", Decimal(50)),
    ]
    assert sizes(output) == {"main/ETH-USD": Decimal("-0.5"), "main.256/APE-USD": Decimal(20)}
    assert all(event.complete for event in events_of(output, PositionsReported))


def test_after_each_snapshot_rest_is_asked() -> None:
    """Between the fetch of a snapshot and its registration, events are lost, not buffered."""
    output = Account().snapshot(subaccount(0))
    assert [(wish.poll, wish.after_s) for wish in output.refresh] == [(TRUTH, 3.0), (ORDERS, 3.0)]


def test_an_empty_snapshot_says_nothing_and_updates_still_flow() -> None:
    """``{}`` is a subaccount never seen: no error, and no zero either."""
    account = Account()
    key = f"{ADDRESS}/0"
    output = account.says(frame("subscribed", 1, "v4_parent_subaccounts", key, contents={}))
    assert kinds(output.events) == ["ChannelOpened"]
    account.message_id = 1
    assert cash(account.update(assetPositions=[dollars("5")])) == {"main": Decimal(5)}


def test_a_pool_that_held_positions_cannot_vanish() -> None:
    """An answer that leaves it out is not believed."""
    account = Account()
    account.snapshot(subaccount(0), subaccount(128, APE_USD="20"))
    output = account.snapshot(subaccount(0))
    assert isinstance(output.fault, DecodeError)


def test_other_collateral_makes_the_account_unreadable() -> None:
    """The chain takes USDC alone; should that change, equity must not be guessed."""
    account = Account()
    child = subaccount(0)
    child["assetPositions"]["TDAI"] = {"symbol": "TDAI", "side": "LONG", "size": "3"}
    modes = events_of(account.snapshot(child), AccountModeSeen)
    assert modes[-1].mode is AccountMode.UNREADABLE
    assert "TDAI" in modes[-1].reason


# ----------------------------------------------------------------------------- updates


def test_only_sizes_are_believed_of_an_update() -> None:
    """A split event shows entryPrice 0 and a profit of the whole notional."""
    output = Account().update(perpetualPositions=[position("ETH-USD", "17")])
    (told,) = events_of(output, PositionsReported)
    (report,) = told.positions
    assert (report.size, report.entry_price, report.unrealized_pnl_usd) == (Decimal(17), None, None)
    assert not told.complete


@pytest.mark.parametrize(
    ("side", "expected"),
    [pytest.param("LONG", "5.25", id="a balance"), pytest.param("SHORT", "-5.25", id="a debt")],
)
def test_asset_sizes_are_unsigned(side: str, expected: str) -> None:
    """Their side is the sign; no update states equity."""
    (report,) = events_of(
        Account().update(assetPositions=[dollars("5.25", side=side)]), AccountReported
    )
    assert report.cash_usd == Decimal(expected)
    assert report.equity_usd is None
    assert report.free_collateral_usd is None


@pytest.mark.parametrize("size", ["0", "0.00", "0E-10"])
def test_closed_is_compared_as_a_number(size: str) -> None:
    """``"0.00"`` is a closed position."""
    account = Account()
    account.snapshot(subaccount(0, ETH_USD="1"))
    assert account.venue.accounts.held() == {"ETH-USD"}
    output = account.update(perpetualPositions=[position("ETH-USD", size, status="CLOSED")])
    assert sizes(output) == {"main/ETH-USD": Decimal(0)}
    assert account.venue.accounts.held() == set()


def test_a_liquidated_position_is_told_as_such() -> None:
    """Besides its fills, which may come in another message."""
    output = Account().update(perpetualPositions=[position("ETH-USD", "0", status="LIQUIDATED")])
    (seen,) = events_of(output, LiquidationSeen)
    assert seen.account == "main"
    assert "ETH-USD" in seen.detail


def test_rows_without_a_number_belong_to_the_envelope() -> None:
    """Orders and fills do not repeat the child's number."""
    row = fill("f-1")
    del row["subaccountNumber"]
    output = Account().update(128, fills=[row])
    assert [event.account for event in events_of(output, FillsReported)] == ["main.128"]


@pytest.mark.parametrize(
    ("kind", "expected", "reread"),
    [
        pytest.param("LIMIT", FillKind.TRADE, False, id="a trade"),
        pytest.param("TWAP_SUBORDER", FillKind.TRADE, False, id="a slice of a TWAP"),
        pytest.param("LIQUIDATION", FillKind.TRADE, False, id="somebody else was liquidated"),
        pytest.param("LIQUIDATED", FillKind.LIQUIDATION, True, id="we were liquidated"),
        pytest.param("DELEVERAGED", FillKind.DELEVERAGING, True, id="we were deleveraged"),
        pytest.param("OFFSETTING", FillKind.DELEVERAGING, True, id="our profit was deleveraged"),
    ],
)
def test_forced_fills_are_told_apart(kind: str, expected: FillKind, reread: bool) -> None:
    """The three that a risk daemon must page on also have the truth re-read at once."""
    account = Account()
    account.snapshot(subaccount(0))
    output = account.update(fills=[fill("f-1", kind)])
    (told,) = events_of(output, FillsReported)
    assert [report.kind for report in told.fills] == [expected]
    assert bool(output.refresh) == reread


def test_a_fill_is_told_once() -> None:
    """However often the socket repeats it."""
    account = Account()
    assert events_of(account.update(fills=[fill("f-1")]), FillsReported)
    assert not events_of(account.update(fills=[fill("f-1")]), FillsReported)


def test_fills_of_a_broken_message_are_told_by_the_next_source() -> None:
    """They were not told when the rest of their message could not be read."""
    account = Account()
    broken = account.update(fills=[fill("f-1")], transfers={"symbol": "USDC"})
    assert isinstance(broken.fault, DecodeError)
    bad = dict(transfer(), symbol="GOLD")
    assert isinstance(account.update(fills=[fill("f-1")], transfers=bad).fault, DecodeError)
    assert events_of(account.update(fills=[fill("f-1")]), FillsReported)


def test_an_undecodable_account_message_is_healed_over_rest() -> None:
    """What it said is in the truth."""
    output = Account().update(perpetualPositions=[position("ETH-USD", "x")])
    assert isinstance(output.fault, DecodeError)
    assert [wish.poll for wish in output.refresh] == [TRUTH, ORDERS]


# ------------------------------------------------------------------- which is the newer


@pytest.mark.parametrize(
    ("height", "believed"),
    [
        pytest.param(99, False, id="older than the truth"),
        pytest.param(100, True, id="of the same block"),
        pytest.param(101, True, id="newer"),
    ],
)
def test_updates_older_than_the_truth_change_no_position(height: int, believed: bool) -> None:
    """The socket may lag REST; fills in such a message are still news."""
    account = Account()
    account.truth(subaccount(0, height=100, ETH_USD="2"))
    output = account.update(
        blockHeight=str(height),
        perpetualPositions=[position("ETH-USD", "1")],
        assetPositions=[dollars("5")],
        fills=[fill("f-1")],
    )
    assert bool(sizes(output)) == believed
    assert bool(cash(output)) == believed
    assert events_of(output, FillsReported)


@pytest.mark.parametrize(
    ("height", "believed"),
    [
        pytest.param(100, False, id="older than the socket"),
        pytest.param(101, True, id="of the same block"),
    ],
)
def test_truth_older_than_the_socket_is_asked_again(height: int, believed: bool) -> None:
    """REST is cached and may lag; it must not undo what the socket said."""
    account = Account()
    account.update(blockHeight="101", perpetualPositions=[position("ETH-USD", "1")])
    _, output = account.truth(subaccount(0, height=height, ETH_USD="2"))
    assert bool(sizes(output)) == believed
    assert [wish.poll for wish in output.refresh] == ([] if believed else [TRUTH])


def test_a_snapshot_older_than_the_truth_is_not_believed() -> None:
    """The snapshot was fetched before REST was read."""
    account = Account()
    account.truth(subaccount(0, height=105, ETH_USD="2"))
    assert sizes(account.snapshot(subaccount(0, height=100, ETH_USD="1"), height=100)) == {}


def sent_in(account: Account, seconds: int) -> list[str]:
    """What goes out in the next seconds, by type."""
    types = []
    for _ in range(seconds):
        account.now += SECOND_NS
        types += [msgspec.json.decode(one)["type"] for one in account.stream.tick(account.now).send]
    return types


def test_a_snapshot_that_the_truth_overtook_is_asked_for_anew() -> None:
    """Of an account that rests the socket would tell nothing more, and nobody could compare."""
    account = Account()
    account.truth(subaccount(0, height=105, ETH_USD="2"))
    account.snapshot(subaccount(0, height=104, ETH_USD="2"), height=104)
    assert sent_in(account, 3) == ["unsubscribe", "subscribe"]
    told = account.snapshot(subaccount(0, height=106, ETH_USD="2"), height=106)
    assert sizes(told) == {"main/ETH-USD": Decimal(2)}
    assert sent_in(account, 3) == []


def test_a_socket_that_stays_behind_is_not_asked_for_ever() -> None:
    """Three times, then it is left to tell its changes."""
    account = Account()
    account.truth(subaccount(0, height=105, ETH_USD="2"))
    types = []
    for height in range(95, 102):
        account.snapshot(subaccount(0, height=height, ETH_USD="2"), height=height)
        types += sent_in(account, 3)
    assert types == ["unsubscribe", "subscribe"] * OVERTAKEN_MAX


# ------------------------------------------------------------------------------ orders


def open_orders(output: Output) -> dict[str, bool]:
    """Orders told, and whether they are open."""
    return {
        report.order_id: report.open
        for event in events_of(output, OrdersReported)
        for report in event.orders
    }


@pytest.mark.parametrize(
    ("status", "is_open"),
    [
        ("OPEN", True),
        ("UNTRIGGERED", True),
        ("BEST_EFFORT_OPENED", True),
        ("BEST_EFFORT_CANCELED", True),
        ("SOMETHING_NEW", True),
        ("FILLED", False),
        ("CANCELED", False),
        ("ERROR", False),
    ],
)
def test_best_effort_is_not_final(status: str, is_open: bool) -> None:
    """FILLED may follow BEST_EFFORT_CANCELED; unknown words are not final either."""
    assert open_orders(Account().update(orders=[order(status=status)])) == {"o-1": is_open}


@pytest.mark.parametrize(
    ("height", "is_open"),
    [
        pytest.param("120", True, id="in its last block"),
        pytest.param("121", False, id="a block later"),
    ],
)
def test_short_term_orders_end_with_their_block(height: str, is_open: bool) -> None:
    """The one certain end of what a node called cancelled."""
    row = order(status="BEST_EFFORT_CANCELED", goodTilBlock="120", orderFlags="0")
    assert open_orders(Account().update(blockHeight=height, orders=[row])) == {"o-1": is_open}


def test_a_minimal_removal_is_completed_from_what_is_known() -> None:
    """It names id and status only."""
    account = Account()
    account.snapshot(subaccount(0), orders=[order()])
    minimal = {"id": "o-1", "status": "CANCELED", "orderFlags": "64", "ticker": "ETH-USD"}
    output = account.update(orders=[minimal])
    (told,) = events_of(output, OrdersReported)
    (report,) = told.orders
    assert (report.open, report.limit_price, report.size) == (False, Decimal(3500), Decimal("1.5"))


@pytest.mark.parametrize(
    ("status", "reread"),
    [
        pytest.param("CANCELED", False, id="gone: no news"),
        pytest.param("BEST_EFFORT_OPENED", True, id="working: REST must say more"),
    ],
)
def test_a_minimal_order_never_heard_of(status: str, reread: bool) -> None:
    """Its side and size are not guessed."""
    account = Account()
    account.snapshot(subaccount(0))
    output = account.update(orders=[{"id": "o-9", "status": status}])
    assert not open_orders(output)
    assert bool(output.refresh) == reread


def orders_of_rest(account: Account, *rows: dict[str, object]) -> dict[str, bool]:
    """REST lists working orders."""
    poll = next(poll for poll in account.venue.polls() if poll.name == ORDERS)
    return open_orders(Output(poll.received(answer(list(rows)), account.now).events))


def test_rest_orders_are_united_with_what_the_socket_just_said() -> None:
    """Short-term orders may be missing from one node's view, and REST lags by a second."""
    account = Account()
    account.update(orders=[order("o-1"), order("o-2")])
    account.update(orders=[order("o-2", "CANCELED")])
    assert orders_of_rest(account, order("o-2"), order("o-3")) == {"o-3": True, "o-1": True}
    account.now += 15 * SECOND_NS
    assert orders_of_rest(account, order("o-2"), order("o-3")) == {"o-2": True, "o-3": True}


# --------------------------------------------------------------------------- transfers


def transfer(**changes: object) -> dict[str, object]:
    """Money from child 128 to the parent."""
    row: dict[str, object] = {
        "sender": {"address": ADDRESS, "subaccountNumber": 128},
        "recipient": {"address": ADDRESS, "subaccountNumber": 0},
        "symbol": "USDC",
        "size": "120.50",
        "type": "TRANSFER_IN",
        "createdAt": TIME,
        "createdAtHeight": "9",
        "transactionHash": "AB",
    }
    return row | changes


def side(address: str, number: int | None = None) -> dict[str, object]:
    """One end of a transfer."""
    return (
        {"address": address} if number is None else {"address": address, "subaccountNumber": number}
    )


@pytest.mark.parametrize(
    ("sender", "kind", "counterparty", "own"),
    [
        pytest.param(side(ADDRESS, 128), "internal", "main.128", True, id="from a child"),
        pytest.param(side(OTHER_ADDRESS, 5), "internal", "hedge", True, id="from another account"),
        pytest.param(side(ADDRESS, 7), "internal", "dydx14zz…k6art", False,
                     id="from a parent that nobody watches"),
        pytest.param(side(ADDRESS), "deposit", "dydx14zz…k6art", False, id="from our own wallet"),
        pytest.param(side("dydx1pnvf90r7uyfcrgs35fh2ksc5ld4rxw8jr2gsat", 0), "internal",
                     "dydx1pnv…2gsat", False, id="from a stranger"),
    ],
)  # fmt: skip
def test_own_transfers_are_told_apart(
    sender: dict[str, object], kind: str, counterparty: str, own: bool
) -> None:
    """Money that moves between watched accounts was not lost."""
    account = Account(
        venue(
            accounts=(
                {"alias": "main", "address": ADDRESS},
                {"alias": "hedge", "address": OTHER_ADDRESS, "parents": [5]},
            )
        )
    )
    name = "DEPOSIT" if kind == "deposit" else "TRANSFER_IN"
    (told,) = events_of(
        account.update(transfers=transfer(sender=sender, type=name)), TransfersReported
    )
    (report,) = told.transfers
    assert (told.account, report.amount_usd) == ("main", Decimal("120.50"))
    assert (report.kind, report.counterparty, report.own) == (kind, counterparty, own)


def test_money_out_is_negative() -> None:
    """Seen from the account."""
    row = transfer(sender=side(ADDRESS, 0), recipient=side(ADDRESS), type="WITHDRAWAL")
    (told,) = events_of(Account().update(transfers=row), TransfersReported)
    assert told.transfers[0].amount_usd == Decimal("-120.50")


def test_a_height_alone_is_a_sign_of_life() -> None:
    """What is left when transfers between children are stripped."""
    account = Account()
    account.snapshot(subaccount(0))
    account.now += SECOND_NS
    assert kinds(account.update(blockHeight="101").events) == ["ChannelProgressed"]
