"""What cannot latch the book: one bad reading, one dark venue, one small account. And what a hold
does instead, and how it ends."""

from __future__ import annotations

from monitor.core.decision import ActionLevel, KillRequest, RuleMode
from monitor.core.killswitch.facts import RuleAsked
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.state import Stage
from monitor.core.operator import Verb
from monitor.core.types import Subject
from monitor.sim import levers
from monitor.sim.faults import FaultKind
from tests.killpath.rig import DYDX, HL, HL_SCOPE, MAIN_SCOPE, PORTFOLIO, Desk, Rig, nonce_in, run

SPIKE = """\
- id: spike
  for_each: venue
  summary: Too much is held
  when: gross_exposure_usd >= 800000.0
  confirm: {need: 2, of: 2, apart: 20s}
  until: gross_exposure_usd <= 700000.0
  severity: critical
  do: {level: cut, gross_to: 0.70}
  scope: portfolio
"""
VANISHED = """\
- id: vanished
  for_each: portfolio
  summary: Next to nothing is held any more
  when: gross_exposure_usd <= 100000.0
  confirm: {need: 2, of: 2, apart: 20s}
  severity: critical
  do: {level: flatten}
  scope: portfolio
"""
STALE = """\
- id: stale
  for_each: account
  summary: Account truth is stale
  when: account_age_s >= 20.0
  until: account_age_s <= 15.0
  keep_firing_for: 5s
  max_staleness: 30s
  on_unknown: fire
  severity: high
  do: {level: hold}
  scope: account
"""
HEAVY = """\
- id: heavy
  for_each: portfolio
  summary: Nothing should be added
  when: gross_exposure_usd >= 800000.0
  until: gross_exposure_usd <= 700000.0
  keep_firing_for: 10s
  severity: warning
  do: {level: hold, because: risk}
  scope: portfolio
"""
SMALL = """\
- id: small
  for_each: account
  summary: A small account holds much for its size
  when: gross_exposure_usd >= 20000.0 && gross_exposure_usd <= 60000.0
  confirm: {need: 2, of: 2, apart: 20s}
  severity: critical
  do: {level: %s}
  scope: portfolio
"""


def test_one_bad_reading_latches_nothing() -> None:
    """Prices that double for some seconds are one observation; two of them, apart, are a trip."""

    async def story(rig: Rig) -> None:
        rig.remember()
        levers.move_price(rig.world, levers.ALL, by=1.0, over_s=1.0)
        await rig.passes(8.0)
        assert rig.gross_usd() > 1_000_000, "the reading is bad indeed"
        levers.move_price(rig.world, levers.ALL, by=-0.5, over_s=1.0)
        await rig.passes(60.0)
        assert not rig.latches
        assert rig.trading()["state"] == "ACTIVE"
        assert rig.main.requests_used == rig.requests_before

        levers.move_price(rig.world, levers.ALL, by=0.8, over_s=1.0)
        await rig.until(lambda: rig.latches, within_s=60.0)
        assert rig.latches[PORTFOLIO].level is Level.CUT

    run(story, Desk(rules=SPIKE, acting=("spike",)))


def test_a_dark_venue_is_held_and_nothing_is_cut_anywhere() -> None:
    """What is absent is not zero: a rule about small numbers sees none, and one venue is held."""

    async def story(rig: Rig) -> None:
        rig.inject(FaultKind.OUTAGE)
        await rig.until(lambda: rig.trading()["scopes"], within_s=150.0)
        await rig.passes(60.0)
        assert not rig.latches, "a latch for want of data"
        (scope,) = rig.trading()["scopes"]
        assert (scope["scope"], scope["held"]) == (HL_SCOPE, True)
        assert rig.daemon.kill.machine.effective(Subject("venue:dydx")) is Level.NORMAL
        rig.heal()
        await rig.passes(30.0)
        assert not rig.latches
        assert rig.main.requests_used == rig.requests_before

    acting = ("venue_unreachable", "account_truth_stale", "venue_stalled", "vanished")
    run(story, Desk(venues=(HL, DYDX), builtin=True, rules=VANISHED, acting=acting))


def test_a_hold_goes_by_itself_after_five_minutes_of_fresh_data() -> None:
    """REDUCE_ONLY over the one account, nothing touched; not a second earlier, and nobody asked."""

    async def story(rig: Rig) -> None:
        fault = rig.inject(FaultKind.OUTAGE)
        await rig.until(lambda: rig.trading()["scopes"], within_s=120.0)
        for scope in rig.trading()["scopes"]:
            assert scope["scope"].startswith(MAIN_SCOPE), scope
            assert (scope["state"], scope["held"]) == ("REDUCE_ONLY", True)
        assert rig.pages("KillSwitchHold")
        held = rig.trading()["scopes"][0]["scope"]
        offer = await rig.ask(Verb.REARM, scope=held)
        assert "stale still fires about" in offer.text
        refused = await rig.ask(Verb.CONFIRM, nonce=nonce_in(offer), reason="impatient")
        assert not refused.done
        assert rig.trading()["scopes"][0]["scope"] == held
        rig.world.faults.end(fault)
        await rig.until(
            lambda: any(not t.firing and t.alert == "Stale" for t in rig.told), within_s=120.0
        )
        fresh_s = rig.at_s
        await rig.passes(290.0)
        assert rig.trading()["scopes"], "too early"
        await rig.until(lambda: not rig.trading()["scopes"], within_s=30.0)
        assert rig.at_s - fresh_s >= 295.0
        assert rig.main.requests_used == rig.requests_before, "a hold sends nothing"
        await rig.until(lambda: "released" in rig.actions())
        assert any(not one.firing and one.alert == "KillSwitchHold" for one in rig.told)

    run(story, Desk(rules=STALE, acting=("stale",)))


def test_a_hold_whose_end_was_lost_goes_all_the_same() -> None:
    """The process died between noting that a rule is over and letting its hold go: the next one
    finds the hold, and the rule over on known data."""

    async def story(rig: Rig) -> None:
        asked = KillRequest(
            rule="stale",
            subject=MAIN_SCOPE,
            scope=MAIN_SCOPE,
            level=ActionLevel.HOLD,
            mode=RuleMode.ACT,
            gross_to_ratio=None,
            firing_epoch_ns=1,
        )
        rig.daemon.kill.driver.submit(RuleAsked(request=asked))
        assert rig.trading()["scopes"]
        begun_s = rig.at_s
        await rig.until(lambda: not rig.trading()["scopes"], within_s=310.0)
        assert rig.at_s - begun_s >= 300.0
        assert "released" in rig.actions()

    run(story, Desk(rules=STALE, acting=("stale",)))


def test_a_risk_is_held_for_as_long_as_its_rule_says() -> None:
    """REDUCE_ONLY over the book with hedges allowed, by a warning; nothing is sent,
    and ten seconds of calm, the rule's own, are all that it takes."""

    async def story(rig: Rig) -> None:
        rig.remember()
        levers.move_price(rig.world, levers.ALL, by=0.8, over_s=1.0)
        await rig.until(lambda: rig.trading()["state"] == "REDUCE_ONLY", within_s=60.0)
        await rig.passes(60.0)
        (scope,) = rig.trading()["scopes"]
        assert (scope["held"], scope["reasons"]) == (True, ["heavy about portfolio"])
        assert set(rig.trading()["hedge_allowed"].values()) == {True}
        levers.move_price(rig.world, levers.ALL, by=-0.6, over_s=1.0)
        calm_s = rig.at_s
        await rig.until(lambda: rig.trading()["state"] == "ACTIVE", within_s=30.0)
        assert 10.0 <= rig.at_s - calm_s <= 20.0
        assert not rig.latches
        assert rig.main.requests_used == rig.requests_before, "a hold sends nothing"
        assert not any(one.alert == "KillSwitchHold" for one in rig.told), "its rule says it"

    run(story, Desk(rules=HEAVY, acting=("heavy",)))


def test_a_small_account_latches_itself_and_not_the_book() -> None:
    """It asked for the whole portfolio, and holds a twentieth of it."""

    async def story(rig: Rig) -> None:
        rig.remember()
        await rig.until(lambda: rig.latches, within_s=60.0)
        await rig.passes(5.0)
        small = [Subject(f"account:hyperliquid/{name}") for name in ("hedge", "main.xyz")]
        assert set(rig.latches) == set(small), "each by itself: a sub-account, a dex's pool"
        await rig.until(lambda: all(rig.stage(one) is Stage.CONTAINED for one in small))
        assert rig.sizes() == rig.before
        assert len([o for o in rig.orders() if o.trigger_price is None]) == 2, "not its orders"
        assert rig.daemon.kill.machine.effective(HL_SCOPE) is Level.NORMAL

    run(story, Desk(both=True, rules=SMALL % "halt", acting=("small",)))
