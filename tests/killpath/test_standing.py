"""What stands at the venue when a trip begins, on a whole desk: TWAPs, and a thousand orders."""

from __future__ import annotations

from decimal import Decimal

import pytest

from monitor.core.killswitch.state import Stage
from monitor.sim import standing
from monitor.sim.addresses import HYPERLIQUID_MASTER
from monitor.sim.orders import Place
from monitor.sim.standing import SimTwap
from tests.killpath.rig import HL, Rig, run


def start_twap(
    rig: Rig, side: str, *, symbol: str = "ETH", size: str = "30", reduce_only: bool = False
) -> SimTwap:
    """Somebody of the desk has an hour of slices sent, one every half minute."""
    twap = SimTwap(
        twap_id=rig.world.next_id(),
        symbol=symbol,
        side=side,
        size=Decimal(size),
        minutes=60,
        reduce_only=reduce_only,
        randomize=False,
        started_s=rig.world.now_s,
    )
    standing.start(Place(rig.world, HL, HYPERLIQUID_MASTER, "", symbol), twap)
    return twap


def bought_by(rig: Rig, twap: SimTwap) -> Decimal:
    """What it has traded."""
    return sum((fill.size for fill in rig.fills if fill.twap_id == twap.twap_id), Decimal(0))


@pytest.mark.parametrize("level", ["cut", "halt"])
def test_a_running_twap_is_found_and_cancelled(level: str) -> None:
    """No list of orders has it; it trades no slice more, and what it bought is cut as well."""

    async def story(rig: Rig) -> None:
        twap = start_twap(rig, "buy")
        await rig.until(lambda: bought_by(rig, twap))
        await rig.pull(level)
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=90.0)
        assert twap.status == standing.TERMINATED
        assert rig.main.twaps == {}
        traded = bought_by(rig, twap)
        await rig.passes(65.0)  # two slices would have been due
        assert bought_by(rig, twap) == traded
        assert not rig.grown()
        assert not rig.flips()

    run(story)


def test_a_twap_that_can_only_reduce_is_no_risk_below_halt() -> None:
    """The desk's own exit goes on under a cut."""

    async def story(rig: Rig) -> None:
        start_twap(rig, "sell", size="3", reduce_only=True)
        await rig.pull()
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=90.0)
        assert len(rig.main.twaps) == 1
        assert not rig.flips()

    run(story)


def test_more_than_a_thousand_orders_are_all_cancelled() -> None:
    """In batches, within the venue's budget for requests, and proved by an empty list; the stops
    stay."""

    async def story(rig: Rig) -> None:
        placed = set()
        for number in range(1_001):
            price = Decimal(2_000) - Decimal(number) / 10
            order = rig.world.place_order(
                HL, HYPERLIQUID_MASTER, "", "ETH", "buy", Decimal("0.05"), price
            )
            placed.add(order.order_id)
        await rig.pull("reduce_only")
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=120.0)
        left = rig.orders()
        assert not placed & {order.order_id for order in left}
        assert [one for one in left if one.side == "buy" and one.trigger_price is None] == []
        assert len([one for one in left if one.trigger_price is not None]) == 4
        cancels = [one for one in rig.audit() if one.action == "cancels_answered"]
        assert sum(int(dict(one.details)["gone"]) for one in cancels) >= len(placed)
        assert rig.actions().count("cancel") == 1, "one command, ten requests and one"
        assert not any("429" in one.reason for one in rig.audit())

    run(story)
