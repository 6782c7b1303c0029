"""Recorded incidents of chains, oracles and venues, each as what a trading desk sees of it.

Whatever fails, riskd may hold the venue that failed; nothing reaches level 3 outside it.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from monitor.app.rulebooks import rulebook_of
from monitor.config import RulesSection
from monitor.core.decision import RuleMode
from monitor.core.killswitch.levels import LEVEL_OF_ACTION, Level
from monitor.core.types import Subject
from monitor.sim import levers
from monitor.sim.faults import FaultKind
from tests.killpath.rig import DYDX, HL, Desk, Rig, run
from tests.shared_data import shared_data

# What an incident of each kind is on these venues. A kind that is about something these venues do
# not have (a bridge, a proof system, blobs, another chain's finality, a collateral they do not
# take) cannot be played; it is named, so that a new kind fails here until somebody has thought.
PLAYED: dict[str, FaultKind] = {
    "sequencer_outage": FaultKind.HALTED,
    "sequencer_outage_reorg": FaultKind.HALTED,
    "operator_pause": FaultKind.HALTED,
    "venue_chain_outage": FaultKind.OUTAGE,
    "sequencer_slowdown": FaultKind.SLOW,
    "batch_posting_outage": FaultKind.STALE_INDEXER,
    "oracle_outage": FaultKind.STALE_ORACLE,
    "oracle_circuit_breaker": FaultKind.STALE_ORACLE,
    "oracle_bad_price": FaultKind.BAD_ORACLE,
    "oracle_misconfiguration": FaultKind.BAD_ORACLE,
}
NOT_HERE = frozenset(
    {
        "collateral_depeg",
        "stablecoin_depeg",
        "venue_collateral_depeg",
        "finality_stall",
        "participation_drop",
        "fee_spike",
        "proof_system_fallback",
        "withdrawal_rule_change",
    }
)
# Simulated seconds of each: long enough for every rule about data to fire and act, and for what is
# only a warning to be told.
SECONDS = {
    FaultKind.STALE_ORACLE: 400.0,
    FaultKind.BAD_ORACLE: 45.0,
    FaultKind.STALE_INDEXER: 120.0,
}
SECONDS_ELSE = 100.0
# Only dYdX is read through an indexer, and only it margins on the oracle alone.
WHERE = {FaultKind.STALE_INDEXER: DYDX, FaultKind.BAD_ORACLE: DYDX}
# The desk's largest position there, at the share of its price that Pyth once printed of BTC's.
HOW: dict[FaultKind, dict[str, object]] = {
    FaultKind.BAD_ORACLE: {"market": "SOL-USD", "price_ratio": 0.124}
}


def incidents() -> dict[str, list[str]]:
    """Ids of the recorded incidents by kind."""
    text = shared_data("chains/incidents.json").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for one in json.loads(text)["incidents"]:
        found.setdefault(one["kind"], []).append(one["id"])
    return found


def acting_rules() -> tuple[str, ...]:
    """Every built-in rule that asks for anything and may ever do it by itself."""
    book = rulebook_of(RulesSection(), base=Path())
    return tuple(
        rule.id
        for rule in book.rules
        if LEVEL_OF_ACTION[rule.level] > Level.NORMAL and rule.mode_max is RuleMode.ACT
    )


def test_every_recorded_incident_is_played_or_is_about_something_else() -> None:
    """Nothing that happened is left out without a reason."""
    kinds = set(incidents())
    assert kinds <= {*PLAYED, *NOT_HERE}
    assert sum(len(ids) for kind, ids in incidents().items() if kind in PLAYED) >= 20


@pytest.mark.parametrize("kind", sorted(set(PLAYED.values())))
def test_an_incident_reaches_level_3_nowhere_but_where_it_is(kind: FaultKind) -> None:
    """With every rule allowed to act: the failed venue is held at most, the other goes on."""
    assert [one for name, one in incidents().items() if PLAYED.get(name) is kind]

    async def story(rig: Rig) -> None:
        machine = rig.daemon.kill.machine
        began = rig.at_s
        failed = WHERE.get(kind, HL)
        other = HL if failed == DYDX else DYDX
        held = sizes_at(rig, other)
        rig.inject(kind, venue=failed, **({"delay_s": 8.0} | HOW.get(kind, {})))
        if kind is FaultKind.STALE_ORACLE:
            levers.move_price(rig.world, levers.ALL, by=0.04, over_s=60.0)
        seen = Level.NORMAL
        while rig.at_s - began < SECONDS.get(kind, SECONDS_ELSE):
            await rig.passes(2.0)
            seen = max(seen, machine.effective(Subject(f"venue:{failed}")))
            for scope in ("portfolio", f"venue:{other}", f"account:{other}/main"):
                level = machine.effective(Subject(scope))
                causes = [one.causes for one in rig.latches.values()]
                assert level < Level.CUT, f"{scope} at {level.name} by {causes}"
        now = sizes_at(rig, other)
        assert all(abs(now[name]) >= abs(size) for name, size in held.items()), (
            "nothing was sold there; an order of the desk's own may have filled on the way"
        )
        assert kind is FaultKind.SLOW or rig.told, "somebody was told"
        rig.heal()
        await rig.passes(10.0)
        assert machine.effective(Subject("portfolio")) < Level.CUT

    run(story, Desk(venues=(HL, DYDX), builtin=True, acting=acting_rules()))


def sizes_at(rig: Rig, venue: str) -> dict[str, Decimal]:
    """What the desk's main account holds at a venue."""
    return {
        name: position.size
        for account in rig.world.venues[venue].accounts.values()
        if account.label == "main"
        for pool in account.pools.values()
        for name, position in pool.positions.items()
    }
