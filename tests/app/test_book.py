"""The book the kill switch plans on: what is old is dark or absent, what is one account is one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.app.book import book_of
from monitor.core import events as e
from monitor.core.decision import RuleMode
from monitor.core.engine import Engine
from monitor.core.killswitch.book import Book, Quote
from monitor.core.killswitch.facts import Command, KillFact
from monitor.core.killswitch.planning.legs import read_legs
from monitor.core.settings import EngineSettings
from monitor.core.types import PORTFOLIO, MarketStatus, Side, Subject
from tests.core.desk import DYDX, HL, Desk
from tests.core.test_owed import RULES


class Hands:
    """Acts for one account of Hyperliquid."""

    venue = HL

    def acts_for(self, account: str) -> bool:
        """For main alone."""
        return account == "main"

    async def run(self, command: Command) -> KillFact:
        """Never asked here."""
        raise AssertionError(command)


def listed(desk: Desk, market: str, venue: str, asset: str) -> Desk:
    """A market with lot rules."""
    return desk.tell(
        e.MarketListed(
            venue=venue,
            channel=f"{venue}/meta",
            market=market,
            asset=asset,
            status=MarketStatus.ACTIVE,
            has_mark=venue != DYDX,
            funding_interval_s=3600,
            margin_tiers=(),
            size_step=Decimal("0.001"),
            price_tick=Decimal("0.1"),
        )
    )


def hedged() -> Desk:
    """Long 2 BTC at Hyperliquid at 100, short 2 at dYdX at 101."""
    desk = Desk((HL, "main"), (DYDX, "main"))
    listed(listed(desk, "BTC", HL, "BTC"), "BTC-USD", DYDX, "BTC")
    desk.context("BTC", mark_price=100.0, oracle_price=100.2)
    desk.context("BTC-USD", DYDX, oracle_price=101.0)
    desk.positions(("BTC", 2)).positions(("BTC-USD", -2), venue=DYDX)
    desk.evaluate()
    return desk


def book(desk: Desk) -> Book:
    """As the driver asks for it."""
    return book_of(desk.engine, desk.now, executors=[Hands()], majors=("BTC",))


def quote(found: Book, market: str) -> Quote:
    """Of one market."""
    return next(one for one in found.quotes if one.market == market)


def test_accounts_lots_and_references_of_both_venues() -> None:
    """Sizes in the venue's own digits; a peer's oracle is a reference."""
    found = book(hedged())
    assert [(one.venue, one.account, one.positions[0].size) for one in found.accounts] == [
        (DYDX, "main", Decimal(-2)),
        (HL, "main", Decimal(2)),
    ]
    assert quote(found, "BTC").references == (100.0, 100.2, 101.0)
    assert quote(found, "BTC").bid_price is None
    assert found.executable == ((HL, "main"),)
    assert found.dark == ()
    lots = {one.market: one for one in found.instruments}
    assert (lots["BTC"].size_step, lots["BTC"].price_tick) == (Decimal("0.001"), Decimal("0.1"))
    assert (lots["BTC"].price_figures, lots["BTC-USD"].price_figures) == (5, None)
    assert lots["BTC"].bound_bps == 50.0


def test_what_is_old_is_dark_and_has_no_price() -> None:
    """The last known positions stay listed, so that their twins are not taken for unpaired."""
    desk = hedged().at(600)
    desk.positions(("BTC", 2), source="truth").context("BTC", mark_price=100.0)
    desk.evaluate()
    found = book(desk)
    assert found.dark == ((DYDX, "main"),)
    assert [one.positions[0].size for one in found.accounts] == [Decimal(-2), Decimal(2)]
    assert quote(found, "BTC-USD").references == ()
    assert quote(found, "BTC").references == (100.0,)


@pytest.mark.parametrize(
    ("peer", "counts"),
    [(81.0, True), (79.0, False), (124.0, True), (126.0, False)],
)
def test_a_peer_in_another_unit_is_no_reference(peer: float, counts: bool) -> None:
    """Within a fifth below and a quarter above, else it is another contract's price."""
    desk = Desk((HL, "main"), (DYDX, "main"))
    listed(listed(desk, "BTC", HL, "BTC"), "BTC-USD", DYDX, "BTC")
    desk.context("BTC", mark_price=100.0).context("BTC-USD", DYDX, oracle_price=peer)
    desk.positions(("BTC", 2))
    desk.evaluate()
    assert (peer in quote(book(desk), "BTC").references) is counts


def test_a_wrong_mark_does_not_silence_the_peers() -> None:
    """Another venue's price near any of ours counts: it decides which of ours is wrong."""
    desk = Desk((HL, "main"), (DYDX, "main"))
    listed(listed(desk, "BTC", HL, "BTC"), "BTC-USD", DYDX, "BTC")
    desk.context("BTC", mark_price=200.0, oracle_price=100.0)
    desk.context("BTC-USD", DYDX, oracle_price=101.0)
    desk.positions(("BTC", 2))
    desk.evaluate()
    assert quote(book(desk), "BTC").references == (200.0, 100.0, 101.0)


@pytest.mark.parametrize(
    ("size", "wrong", "limits"),
    [
        pytest.param(2, 103.1, ("99.5", "100.5"), id="too high"),
        pytest.param(2, 96.9, ("99.5", "100.5"), id="too low"),
        pytest.param(-2, 103.1, ("100.5", "99.5"), id="too high, other side"),
        pytest.param(-2, 96.9, ("100.5", "99.5"), id="too low, other side"),
    ],
)
def test_reductions_while_an_oracle_is_off_are_limited_by_the_median(
    size: int, wrong: float, limits: tuple[str, str]
) -> None:
    """No order of the kill switch is a market order, and one wrong oracle moves no limit: where the
    rule ``oracle_contradicted`` holds a market, exits there leave at its true price, 50 bp at most.
    """
    desk = Desk((HL, "main"), (DYDX, "main"))
    listed(listed(desk, "BTC", HL, "BTC"), "BTC-USD", DYDX, "BTC")
    found = []
    for own, peer in ((wrong, 100.0), (100.0, wrong)):
        for _ in range(2):
            desk.context("BTC", mark_price=100.0, oracle_price=own).top(99.99, 100.01)
            desk.context("BTC-USD", DYDX, oracle_price=peer).top(99.99, 100.01, "BTC-USD", DYDX)
        desk.positions(("BTC", size)).positions(("BTC-USD", -size), venue=DYDX)
        desk.evaluate()
        found.append({leg.venue: str(leg.limit) for leg in read_legs(PORTFOLIO, book(desk))})
    assert found == [{HL: limits[0], DYDX: limits[1]}] * 2


def test_dexes_of_one_address_are_one_account() -> None:
    """Their orders and positions are read and acted on together."""
    desk = hedged()
    listed(desk, "xyz:GOLD", HL, "GOLD")
    desk.tell(
        e.AccountDiscovered(
            venue=HL, channel=f"{HL}/meta", account="main.xyz", parent="main", kind="dex"
        ),
        e.OrdersReported(
            venue=HL,
            channel=f"{HL}/account.stream/main",
            account="main",
            source="stream",
            complete=True,
            orders=(
                e.OrderReport(
                    order_id="7",
                    market="BTC",
                    side=Side.SELL,
                    size=Decimal(1),
                    trigger_price=Decimal(90),
                    reduce_only=True,
                ),
                e.OrderReport(
                    order_id="8", market="BTC", side=Side.BUY, size=Decimal(1), open=False
                ),
            ),
        ),
    )
    desk.positions(("xyz:GOLD", 3), account="main.xyz")
    desk.evaluate()
    (_, main) = book(desk).accounts
    assert [(one.market, one.size) for one in main.positions] == [
        ("BTC", Decimal(2)),
        ("xyz:GOLD", Decimal(3)),
    ]
    assert [(one.order_id, one.trigger, one.reduce_only) for one in main.orders] == [
        ("7", True, True)
    ]


def test_an_off_book_leg_counts_until_it_expires() -> None:
    """To the nanosecond."""
    desk = hedged()
    expires_ns = desk.ns(60)
    leg = e.OffBookLeg(asset="BTC", size=Decimal(1), expires_at_ns=expires_ns)
    desk.tell(e.OffBookLegsDeclared(source="t", legs=(leg,)))
    desk.evaluate()
    for now, count in ((expires_ns - 1, 1), (expires_ns, 0)):
        found = book_of(desk.engine, now, executors=[], majors=())
        assert len(found.outside) == count


def test_a_market_without_lot_rules_cannot_be_planned_for() -> None:
    """No instrument: the planner names it as what it cannot cut."""
    desk = Desk((HL, "main")).list_market("BTC").context("BTC", mark_price=100.0)
    desk.positions(("BTC", 2))
    desk.evaluate()
    found = book(desk)
    assert found.instruments == ()
    assert len(found.quotes) == 1


def orders_told(desk: Desk, *, venue: str = HL, complete: bool = True) -> Desk:
    """A list of working orders without any, or a message about one of them."""
    return desk.tell(
        e.OrdersReported(
            venue=venue,
            channel=f"{venue}/orders/main",
            account="main",
            source="truth",
            complete=complete,
            orders=(),
        )
    )


def twaps_told(desk: Desk, *twaps: e.OrderReport) -> Desk:
    """All TWAPs that run."""
    return desk.tell(
        e.TwapsReported(venue=HL, channel=f"{HL}/twaps/main", account="main", twaps=twaps)
    )


def test_how_old_orders_and_twaps_are_is_said() -> None:
    """Of the last whole list; one message about one order does not make it younger."""
    desk = hedged()
    (dydx, main) = book(desk).accounts
    assert (main.orders_ns, main.twaps_ns, dydx.orders_ns) == (None, None, None)
    told_ns = orders_told(orders_told(desk.at(5)), venue=DYDX).now
    orders_told(desk.at(6), complete=False)
    (dydx, main) = book(desk).accounts
    assert (main.orders_ns, main.twaps_ns) == (told_ns, None)
    assert (dydx.orders_ns, dydx.twaps_ns) == (told_ns, told_ns)  # there they are in the list
    twap = e.OrderReport(order_id="7", market="BTC", side=Side.BUY, size=Decimal(1))
    twaps_told(desk.at(8), twap)
    (_, main) = book(desk).accounts
    assert main.twaps_ns == desk.now
    assert [(one.order_id, one.twap) for one in main.orders] == [("7", True)]
    twaps_told(desk.at(9))
    assert book(desk).accounts[1].orders == ()


def test_what_the_stream_says_beside_a_newer_truth_is_a_second_reading() -> None:
    """Both sizes reach the planner where the two contradict each other, and only there."""
    desk = hedged()
    desk.at(1).positions(("BTC", 2), source="truth")
    assert book(desk).second == ()
    desk.at(2).positions(("BTC", 3), source="truth")
    found = book(desk)
    assert found.accounts[1].positions[0].size == 3
    assert [(o.venue, o.account, o.positions[0].size) for o in found.second] == [
        (HL, "main", Decimal("2.0"))
    ]


def test_markets_that_nobody_is_in_are_listed_all_the_same() -> None:
    """So that a scope in which nothing is held is told from a mistyped one."""
    desk = hedged()
    listed(desk, "ETH", HL, "ETH")
    desk.context("DOGE", mark_price=1.0)
    assert book(desk).listed == {(HL, "BTC", "BTC"), (HL, "ETH", "ETH"), (DYDX, "BTC-USD", "BTC")}


def test_amounts_that_cuts_wait_with_are_those_of_now() -> None:
    """Only what is asked for and known for certain; of what is old there is none."""
    desk = hedged()
    gross = ("gross_exposure_usd", PORTFOLIO)
    asked = {gross, ("equity_usd", PORTFOLIO)}

    def amounts() -> tuple[tuple[str, Subject, float], ...]:
        return book_of(desk.engine, desk.now, executors=[], majors=(), amounts=asked).amounts

    assert amounts() == ((*gross, 402.0),)
    assert book(desk).amounts == ()
    desk.at(1).context("BTC", mark_price=101.0).evaluate()
    assert amounts() == ((*gross, 404.0),)
    # One account falls silent, and its peer is heard: re-marked, which is an estimate.
    for second in (20, 40, 60):
        desk.at(second).context("BTC", mark_price=101.0, oracle_price=101.0)
        desk.context("BTC-USD", DYDX, oracle_price=101.0)
        desk.positions(("BTC", 2)).evaluate()
    assert desk.engine.reading(*gross, desk.now).estimated
    assert amounts() == ()


@pytest.mark.parametrize(
    ("level", "said", "expected"),
    [
        pytest.param("block_new", (), RuleMode.ACT, id="the rulebook's word"),
        pytest.param("block_new", (("mark_low", RuleMode.PROPOSE),), RuleMode.PROPOSE,
                     id="the desk's word"),
        pytest.param("page", (), RuleMode.OBSERVE, id="it only pages by now"),
    ],
)  # fmt: skip
def test_what_rules_may_do_of_which_something_waits(
    level: str, said: tuple[tuple[str, RuleMode], ...], expected: RuleMode
) -> None:
    """As the rulebook in force and the desk say; nobody knows before there is one."""
    engine = Engine(EngineSettings(accounts=((HL, "main"),), rule_modes=said))

    def modes(*rules: str) -> tuple[tuple[str, RuleMode], ...] | None:
        return book_of(engine, 0, executors=[], majors=(), rules=rules).modes

    assert modes("mark_low") is None
    desk = Desk((HL, "main"), rules="", engine=engine)
    desk.load(RULES.replace("LEVEL", level))
    desk.evaluate()
    assert modes() == ()
    assert modes("mark_low", "gone") == (("gone", RuleMode.OBSERVE), ("mark_low", expected))
    desk.load("none: []\n")
    desk.evaluate()
    assert modes("mark_low") == (("mark_low", RuleMode.OBSERVE),), "a rulebook, though empty"
