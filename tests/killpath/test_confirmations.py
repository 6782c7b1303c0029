"""What confirms a cut on a whole desk: two venues at once, or one venue seen again."""

from __future__ import annotations

import pytest

from monitor.core.killswitch.levels import Level
from monitor.core.types import SECOND_NS
from monitor.store.audit import AuditRecord
from tests.killpath.rig import DYDX, HL, PORTFOLIO, Desk, Rig, run

FLAG = """\
- id: %s
  for_each: venue
  only: {venue: [%s]}
  summary: Something is held
  when: gross_exposure_usd >= %s
  severity: warning
"""
BOTH = """\
- id: both
  for_each: portfolio
  summary: Two say so
  flags: {one: firing__one > 0.5, other: firing__other > 0.5}
  at_least: 2
  confirm: {sources: 2}
  severity: critical
  do: {level: cut, gross_to: 0.9}
  scope: portfolio
"""


def desk(*venues: str) -> Desk:
    """Both venues; a cut on two flags, each about one venue."""
    flags = [
        FLAG % (name, venue, usd)
        for name, venue, usd in zip(("one", "other"), venues, ("1000.0", "1001.0"), strict=True)
    ]
    return Desk(venues=(HL, DYDX), rules="".join(flags) + BOTH, acting=("both",))


def cuts(rig: Rig) -> list[AuditRecord]:
    """Records by which something was brought to CUT."""
    return [one for one in rig.audit() if one.level_from < one.level_to == Level.CUT]


@pytest.mark.parametrize(
    ("venues", "sources"),
    [
        pytest.param((HL, DYDX), "dydx, hyperliquid", id="two-venues"),
        pytest.param((HL, HL), "hyperliquid", id="one-venue-twice"),
    ],
)
def test_two_sources_cut_at_once_and_one_after_a_second_look(
    venues: tuple[str, str], sources: str
) -> None:
    """One source alone reaches REDUCE_ONLY and waits for an observation 20 s later; the record has
    the rule's version, when it was observed, and by whom."""

    async def story(rig: Rig) -> None:
        await rig.until(lambda: rig.latches, within_s=30.0)
        first = rig.latches[PORTFOLIO].level
        assert first is (Level.CUT if len(set(venues)) > 1 else Level.REDUCE_ONLY)
        await rig.until(lambda: rig.latches[PORTFOLIO].level is Level.CUT, within_s=30.0)
        causes = rig.latches[PORTFOLIO].causes
        waited_s = (causes[-1].at_ns - causes[0].at_ns) / SECOND_NS
        assert (15.0 <= waited_s <= 25.0) is (first is Level.REDUCE_ONLY)
        await rig.until(lambda: cuts(rig), within_s=5.0)
        details = dict(cuts(rig)[0].details)
        rule = rig.daemon.engine.rulebook.get("both")
        assert rule is not None
        assert details["rule_hash"] == rule.fingerprint
        assert details["confirmed_by"].endswith(f"by {sources}")

    run(story, desk(*venues))
