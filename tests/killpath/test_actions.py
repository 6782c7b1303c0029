"""The action lines of the acceptance checklist, on a whole desk: what a venue can do to a kill.

Each pulls by the command line's door, lets the venue misbehave, and judges by the venue's own
books: nothing twice, nothing larger, nothing on the other side, no claim that is not so.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core.killswitch.state import Stage
from monitor.sim import levers
from monitor.sim.addresses import HYPERLIQUID_MASTER, HYPERLIQUID_SUBACCOUNT
from monitor.sim.faults import FaultKind
from tests.killpath.rig import HL, Desk, Rig, run


async def is_contained(rig: Rig, *, within_s: float = 60.0, goal: float = 0.7) -> None:
    """The trip ends well, and by what the venue shows it is so."""
    await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=within_s)
    assert not rig.grown(), "a position grew or turned over"
    await honest(rig)
    started = sum(float(abs(size)) * _mark(rig, symbol) for symbol, size in rig.before.items())
    assert rig.gross_usd() <= started * goal * 1.01


async def honest(rig: Rig) -> None:
    """What must hold however it went."""
    await rig.passes(2.0)  # the venue tells of fills when it moves next
    assert not rig.flips(), "an order of ours made a position larger or turned it over"
    assert not rig.traded_twice(), "an order was sent twice"
    pages = [one for one in rig.told if one.alert == "KillSwitchTripped"]
    assert len({one.key for one in pages}) == 1, "one incident"
    assert all(one.firing for one in pages), "it was called over while the book is latched"
    assert not rig.verified().findings
    stops = [one for one in rig.orders() if one.trigger_price is not None]
    assert len(stops) == 4, "protective stops stay below HALT"


async def is_incomplete(rig: Rig, *words: str, within_s: float = 150.0) -> None:
    """It is said that it is not done, and why; never that it is."""
    await rig.until(lambda: rig.stage() is Stage.INCOMPLETE, within_s=within_s)
    await rig.until(lambda: any("INCOMPLETE" in one.summary for one in rig.told), within_s=5.0)
    page = next(one for one in reversed(rig.told) if "INCOMPLETE" in one.summary)
    for word in words:
        assert word in page.summary + page.description, page
    never_claimed(rig)


def never_claimed(rig: Rig) -> None:
    """Nobody was told, and nowhere is it written, that the venue is contained."""
    assert not any("CONTAINED" in one.summary for one in rig.told), rig.told
    assert "contained" not in rig.actions()


def _mark(rig: Rig, symbol: str) -> float:
    return float(rig.world.market(HL, symbol).mark_price)


def increasing(rig: Rig) -> list[int]:
    """The desk's working orders that increase risk: its ETH position is long."""
    return [o.order_id for o in rig.orders() if o.side == "buy" and o.trigger_price is None]


async def holds_doge(rig: Rig) -> None:
    """A position of four dollars, which riskd knows."""
    rig.world.trade(HL, HYPERLIQUID_MASTER, "", "DOGE", Decimal(30))
    await rig.until(lambda: "DOGE" in known(rig))


def known(rig: Rig) -> set[str]:
    """Markets in which riskd knows a position."""
    book = rig.daemon.kill.book(rig.clock.now())
    return {position.market for account in book.accounts for position in account.positions}


def rest_buys(rig: Rig, count: int) -> list[int]:
    """More working orders that increase risk, far from the market; their ids."""
    price = Decimal(2000)
    return [
        rig.world.place_order(
            HL, HYPERLIQUID_MASTER, "", "ETH", "buy", Decimal(1), price - number
        ).order_id
        for number in range(count)
    ]


# ------------------------------------------------------------------------------------- cancels


def test_cancels_that_half_fail_are_tried_again_until_none_is_left() -> None:
    """Re-enumerated after each attempt, and CONTAINED only when the venue lists none."""

    async def story(rig: Rig) -> None:
        resting = set(rest_buys(rig, 8))
        rig.inject(FaultKind.CANCELS_FAIL, ratio=0.5)
        await rig.pull("reduce_only")
        await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        assert rig.actions().count("cancel") >= 2
        assert not resting & {order.order_id for order in rig.orders()}
        await honest(rig)

    run(story)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(FaultKind.CANCELS_FAIL, id="refused"),
        pytest.param(FaultKind.CANCELS_LOST, id="confirmed-but-alive"),
    ],
)
def test_orders_that_live_on_are_residuals_and_nothing_is_contained(kind: FaultKind) -> None:
    """An acknowledged cancel proves nothing: INCOMPLETE with what is left, and later CONTAINED."""

    async def story(rig: Rig) -> None:
        resting = set(rest_buys(rig, 3))
        rig.inject(kind)
        await rig.pull("reduce_only")
        await is_incomplete(rig, *map(str, resting))
        assert resting <= {order.order_id for order in rig.orders()}
        rig.heal()
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=60.0)
        assert not resting & {order.order_id for order in rig.orders()}
        assert "CONTAINED" in rig.pages("KillSwitchTripped")[-1].summary
        await honest(rig)

    run(story)


def test_fills_during_a_cancel_are_cut_as_well() -> None:
    """The plan is made on positions read after the cancels, not on those of the trip."""

    async def story(rig: Rig) -> None:
        market = rig.world.market(HL, "ETH")
        price = (market.mark_price * Decimal("0.99") / market.tick).to_integral_value()
        rig.world.place_order(
            HL, HYPERLIQUID_MASTER, "", "ETH", "buy", Decimal(20), price * market.tick
        )
        rig.inject(FaultKind.FILLS_DURING_CANCEL, filled_ratio=0.5)
        await rig.pull(keep=0.7)
        await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        await rig.passes(2.0)
        bought = sum(fill.size for fill in rig.fills if fill.side == "buy" and fill.symbol == "ETH")
        assert bought >= 10, "the fault did what it is for"
        sold = sum(fill.size for fill in rig.fills if fill.side == "sell" and fill.symbol == "ETH")
        assert sold > 10
        started = sum(float(abs(size)) * _mark(rig, symbol) for symbol, size in rig.before.items())
        assert rig.gross_usd() <= started * 0.7 * 1.01
        await honest(rig)

    run(story)


def test_who_places_cancelled_orders_again_is_not_outrun_in_silence() -> None:
    """Another program of the desk puts each cancelled order back: said, and cancelled again."""

    async def story(rig: Rig) -> None:
        levers.replace_cancelled(rig.world, HL, every_s=1.0, for_s=15.0)
        await rig.pull("reduce_only")
        await rig.passes(20.0)
        await rig.until(
            lambda: rig.stage() is Stage.CONTAINED and not increasing(rig), within_s=120.0
        )
        await honest(rig)

    run(story)


# ------------------------------------------------------------------------------------ reductions


def test_an_outsider_who_closes_first_cannot_make_us_flip() -> None:
    """Our order arrives after somebody else sold nearly all: it sells what is left, no more."""

    async def story(rig: Rig) -> None:
        rig.inject(FaultKind.ACTIONS_DELAYED, channel="order", delay_s=2.0)
        await rig.pull(keep=0.5)
        await rig.until(lambda: "plan" in rig.actions())
        rig.world.trade(HL, HYPERLIQUID_MASTER, "", "ETH", Decimal(-29))
        await is_contained(rig, goal=0.5, within_s=90.0)
        assert rig.sizes().get("ETH", Decimal(0)) >= 0

    run(story)


def test_flatten_closes_everything_however_small() -> None:
    """A position below the venue's minimum goes too, and nothing that rests can open one again."""

    async def story(rig: Rig) -> None:
        await holds_doge(rig)
        await rig.pull("flatten")
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=120.0)
        assert rig.sizes() == {}
        assert [one for one in rig.orders() if not one.reduce_only] == []
        assert not rig.flips()
        assert not rig.traded_twice()

    run(story)


def test_an_exit_that_the_venue_finds_too_small_is_a_residual() -> None:
    """A venue that binds full closes by its minimum: everything else goes, the rest is said."""

    async def story(rig: Rig) -> None:
        await holds_doge(rig)
        rig.inject(FaultKind.SMALL_CLOSES_REFUSED)
        await rig.pull("flatten")
        await is_incomplete(rig, "DOGE", within_s=120.0)
        assert set(rig.sizes()) == {"DOGE"}
        rig.heal()
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=120.0)
        assert rig.sizes() == {}

    run(story)


# ---------------------------------------------------------------------------- what is not answered


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(FaultKind.ACTIONS_UNANSWERED, id="timeout-after-send"),
        pytest.param(FaultKind.ACTIONS_OVERLOADED, id="error-although-executed"),
        pytest.param(FaultKind.ACTIONS_DELAYED, id="executed-after-the-timeout"),
    ],
)
@pytest.mark.parametrize("ratio", [pytest.param(1.0, id="all"), pytest.param(0.5, id="half")])
def test_what_was_executed_unseen_is_found_and_never_sent_again(
    kind: FaultKind, ratio: float
) -> None:
    """The outcome is unknown, so it is asked for by client id before anything else is sent."""

    async def story(rig: Rig) -> None:
        fault = rig.inject(kind, channel="order", ratio=ratio, delay_s=8.0)
        rig.world.schedule(rig.world.now_s + 30.0, lambda: rig.world.faults.end(fault))
        await rig.pull()
        await is_contained(rig, within_s=120.0)
        await rig.passes(10.0)  # nothing is on its way any more
        sold = sum(fill.size for fill in rig.fills if fill.symbol == "HYPE")
        assert sold <= Decimal("0.31") * rig.before["HYPE"], "more was sold than planned"

    run(story)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        pytest.param(FaultKind.ACTIONS_FAIL, (), id="500-not-executed"),
        pytest.param(FaultKind.ACTIONS_LIMITED, (), id="429-storm"),
        pytest.param(FaultKind.ACTIONS_REFUSED, ("could not be processed",), id="refuses-all"),
        pytest.param(FaultKind.AGENTS_PRUNED, ("does not exist",), id="pruned-key"),
        pytest.param(FaultKind.OUTAGE, (), id="venue-dark"),
    ],
)
def test_a_venue_that_takes_nothing_is_incomplete_then_contained(
    kind: FaultKind, words: tuple[str, ...]
) -> None:
    """It is said with the reason, tried again, and done as soon as the venue takes it."""

    async def story(rig: Rig) -> None:
        rig.inject(kind)
        answer = await rig.pull()
        assert answer.done, "a person is never told no because a venue is"
        await is_incomplete(rig, *words)
        assert rig.sizes() == rig.before
        rig.heal()
        await is_contained(rig, within_s=240.0)

    run(story)


def test_a_wrong_clock_lets_cancels_through_and_is_named() -> None:
    """The venue's clock is two minutes ahead: orders arrive expired, cancels do not expire."""

    async def story(rig: Rig) -> None:
        rig.inject(FaultKind.CLOCK_OFFSET, delay_s=120.0)
        await rig.pull()
        await is_incomplete(rig, "expire")
        assert increasing(rig) == [], "the risk-increasing order is gone"
        assert rig.sizes() == rig.before
        rig.heal()
        await is_contained(rig, within_s=240.0)

    run(story)


def test_a_post_only_window_is_waited_for() -> None:
    """After an upgrade the venue takes no order that executes at once; cancels work."""

    async def story(rig: Rig) -> None:
        fault = rig.inject(FaultKind.POST_ONLY)
        rig.world.schedule(rig.world.now_s + 25.0, lambda: rig.world.faults.end(fault))
        await rig.pull()
        await is_contained(rig, within_s=120.0)
        assert rig.at_s > 20.0

    run(story)


def test_without_a_signer_nothing_leaves_and_with_one_it_does() -> None:
    """The trip latches and pages what to start; it acts as soon as that runs."""

    async def story(rig: Rig) -> None:
        await rig.stop_signer()
        await rig.pull()
        await is_incomplete(rig, "signer")
        assert rig.trading()["scopes"][0]["state"] == "REDUCE_ONLY"
        assert rig.sizes() == rig.before
        await rig.start_signer()
        await is_contained(rig, within_s=120.0)

    run(story)


def test_the_signers_cap_ends_a_cut_before_the_money_does() -> None:
    """Whatever riskd asks for, no more than the hour's notional is signed; it is said."""

    async def story(rig: Rig) -> None:
        await rig.pull()
        await is_incomplete(rig, "USD an hour")
        traded = sum(float(fill.size * fill.price) for fill in rig.fills)
        assert 0 < traded <= 50_000

    run(story, Desk(cap_usd=50_000))


# -------------------------------------------------------------------------------- two accounts


def test_one_account_that_hangs_delays_no_other() -> None:
    """The main account's actions are not answered; the other's are done in the meantime."""

    async def story(rig: Rig) -> None:
        rig.inject(FaultKind.ACTIONS_UNANSWERED, market=HYPERLIQUID_MASTER)
        await rig.pull("halt")
        sub = rig.world.account(HL, HYPERLIQUID_SUBACCOUNT)
        began = rig.at_s
        await rig.until(lambda: not any(pool.orders for pool in sub.pools.values()), within_s=3.0)
        assert rig.at_s - began < 3.0

    run(story, Desk(both=True))
