"""A funding storm on a desk that lets its rule act: page, cancel, cut, proof, and the way back."""

from __future__ import annotations

from decimal import Decimal

from monitor.cli.audit import choose, screen, whole
from monitor.core.killswitch.state import Stage
from monitor.core.operator import Verb
from monitor.sim import levers
from tests.killpath.rig import DYDX, HL, HL_SCOPE, Desk, Rig, nonce_in, run

STORM = """\
- id: storm
  for_each: venue
  only: {venue: [hyperliquid]}
  summary: Funding is expensive
  when: funding_expensive_share_ratio >= 0.40
  confirm: {need: 2, of: 2, apart: 20s}
  until: funding_expensive_share_ratio <= 0.20
  keep_firing_for: 20s
  reentry: funding_expensive_share_ratio <= 0.20
  severity: critical
  do: {level: cut, gross_to: %s}
  scope: venue
"""


def storm(gross_to: float) -> Desk:
    """Both venues, so that there are hedges; the rule acts on one of them."""
    return Desk(venues=(HL, DYDX), rules=STORM % gross_to, acting=("storm",))


def test_a_storm_is_paged_cancelled_cut_proved_and_cleared_by_a_person() -> None:
    """The whole way round, with the trading state at each point of it."""

    async def story(rig: Rig) -> None:
        assert rig.trading()["state"] == "ACTIVE"
        assert rig.trading()["scopes"] == []
        stops = {order.order_id for order in rig.orders() if order.trigger_price is not None}
        twins = _dydx(rig)
        rig.remember()
        began = rig.at_s
        levers.set_premium(rig.world, levers.ALL, to=0.02, over_s=1.0)

        await rig.until(lambda: rig.latches, within_s=180.0)
        assert rig.trading()["scopes"][0]["state"] == "REDUCE_ONLY"
        await rig.until(lambda: rig.stage() is Stage.CONTAINED, within_s=30.0)

        left = rig.orders()
        assert stops <= {order.order_id for order in left}, "a protective stop was cancelled"
        assert [(o.symbol, o.side) for o in left if o.trigger_price is None] == [("ETH", "sell")]
        assert _dydx(rig) == twins
        for symbol in ("BTC", "ETH", "SOL", "LINK", "FARTCOIN"):
            assert rig.sizes()[symbol] == rig.before[symbol], "a hedge was broken"
        assert rig.sizes()["HYPE"] < rig.before["HYPE"]
        assert not rig.grown()
        assert not rig.flips()
        assert not rig.traded_twice()
        _nets_did_not_grow(rig)
        _told_and_explained(rig)

        offer = await rig.ask(Verb.REARM, scope=str(HL_SCOPE))
        assert "storm" in offer.text, "the rule that still fires is named"
        refused = await rig.ask(Verb.CONFIRM, nonce=nonce_in(offer), reason="impatient")
        assert not refused.done
        assert rig.latches

        levers.set_premium(rig.world, levers.ALL, to=-0.02, over_s=1.0)
        await rig.passes(rig.at_s - began)  # the hour's mean is what funding follows
        levers.set_premium(rig.world, levers.ALL, to=0.0, over_s=1.0)
        await rig.until(lambda: not rig.daemon.kill.unmet(HL_SCOPE), within_s=400.0)
        await rig.passes(5.0)
        assert rig.latches, "nothing but a person clears a latch"
        assert rig.trading()["scopes"]
        cleared = await rig.rearm()
        assert cleared.done, cleared
        assert rig.stage() is Stage.ARMED
        assert rig.trading()["state"] == "ACTIVE"
        assert rig.trading()["scopes"] == []
        await rig.until(lambda: "rearmed" in rig.actions())
        assert not rig.verified().findings

    run(story, storm(0.95))


def test_hedges_whose_twin_cannot_be_cut_are_a_shortfall_and_stay() -> None:
    """More is asked for than is unpaired: what can go goes, the rest is said, nothing is naked."""

    async def story(rig: Rig) -> None:
        rig.remember()
        await rig.pull(keep=0.5)
        await rig.until(lambda: rig.stage() is Stage.INCOMPLETE, within_s=30.0)
        assert set(rig.sizes()) == set(rig.before) - {"HYPE", "xyz:NVDA"}
        _nets_did_not_grow(rig)
        page = rig.pages("KillSwitchTripped")[-1]
        assert "INCOMPLETE" in page.summary
        assert "twin" in page.description or "hedge" in page.description, page

    run(story, Desk(venues=(HL, DYDX)))


def _dydx(rig: Rig) -> dict[str, Decimal]:
    account = next(iter(rig.world.venues[DYDX].accounts.values()))
    return {
        name: position.size
        for pool in account.pools.values()
        for name, position in pool.positions.items()
    }


def _nets_did_not_grow(rig: Rig) -> None:
    started: dict[str, Decimal] = {}
    for venue, sizes in ((HL, rig.before), (DYDX, _dydx(rig))):
        for symbol, size in sizes.items():
            asset = rig.world.market(venue, symbol).spec.asset
            started[asset] = started.get(asset, Decimal(0)) + size
    for asset, largest in rig.largest_net.items():
        assert largest <= abs(started.get(asset, Decimal(0))), f"|net| of {asset} grew"


def _told_and_explained(rig: Rig) -> None:
    pages = rig.pages("KillSwitchTripped")
    assert len({one.key for one in pages}) == 1, "one trip is one incident"
    assert "CONTAINED" in pages[-1].summary
    assert rig.pages("Storm"), "the rule's own page"
    assert not rig.verified().findings
    records = rig.audit()
    trip = next(iter(rig.latches.values())).trip_id
    told = "\n".join(screen(choose(records, trip)))
    assert "rule:storm" in told
    assert ">= 40 %" in told, "the arithmetic of the rule"
    assert "sell" in "\n".join(whole(choose(records, trip)))
