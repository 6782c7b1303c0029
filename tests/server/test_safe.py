"""SAFE is said only when the whole book is known: from facts to the words that a trader reads."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from monitor.cli.status import screen
from monitor.core import events as e
from monitor.core.engine import Engine
from monitor.core.settings import EngineSettings
from monitor.core.types import SECOND_NS
from monitor.server.document import state_document
from tests.server.desk import KILL, NOW, VENUE, Daemon, seen_events

RULES = """\
- id: drawdown_12
  for_each: portfolio
  when: drawdown_ratio >= 0.12
  severity: critical
  scope: portfolio
  do: {level: page}
  summary: the book is losing
- id: lost
  for_each: portfolio
  when: leverage >= 50.0
  severity: warning
  scope: portfolio
  do: {level: page}
  summary: much leverage
"""
CHANNEL = {"name": "alertmanager", "healthy": True, "proven": True, "waiting": 0}


def state(
    *extra: e.Event, later_s: float = 0.0, rules: str = RULES, validated: bool = False
) -> dict[str, Any]:
    """What riskd says of one account that is seen whole, after some more facts."""
    known = (VENUE,) if validated else ()
    engine = Engine(EngineSettings(accounts=((VENUE, "main"),), venues=(VENUE,), validated=known))
    engine.apply(e.RulebookLoaded(files=(("rules.yaml", rules),), loaded_by="test"), NOW)
    meta = e.ChannelOpened(
        venue=VENUE, channel=f"{VENUE}/rest.meta", feed="rest.meta", cadence_s=600.0
    )
    for event in (*seen_events(), meta, *extra):
        engine.apply(event, NOW)
    engine.evaluate(NOW)
    now = NOW + round(later_s * SECOND_NS)
    engine.evaluate(now)
    return state_document(engine, Daemon(), alerts=[], channels=[CHANNEL], kill=KILL, now=now)


def words(made: dict[str, Any]) -> str:
    """The screen in one line."""
    return " ".join(" ".join(screen(made)).split())


def unpriced() -> e.OffBookLegsDeclared:
    """A hedge in an asset that nobody here prices."""
    leg = e.OffBookLeg(asset="XYZ", size=Decimal(5), expires_at_ns=NOW + 3600 * SECOND_NS)
    return e.OffBookLegsDeclared(source="off-book.yaml", legs=(leg,))


def test_a_desk_that_is_seen_whole_is_safe() -> None:
    """With every number of the book beside it."""
    made = state()
    assert made["safe"]["verdict"] == "safe", made["safe"]
    assert made["unknowns"] == []
    assert "CANNOT SEE nothing is missing" in words(made)


def test_an_unknown_book_is_not_safe_although_every_account_is_seen() -> None:
    """One leg that nobody prices makes gross, leverage and drawdown unknown: it is said, with why,
    and with the rules that therefore cannot be judged."""
    made = state(unpriced())
    assert made["safe"]["verdict"] == "attention"
    assert "gross is unknown" in made["safe"]["text"]
    said = words(made)
    assert "CANNOT SEE nothing" not in said
    assert "XYZ" in said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("cannot be judged, inputs unknown: drawdown_12", True, id="critical"),
        pytest.param("lost", False, id="a warning is not counted"),
    ],
)
def test_rules_that_cannot_be_judged_are_named(text: str, told: bool) -> None:
    """High and critical ones."""
    unknowns = "; ".join(state(later_s=3600.0)["unknowns"])
    assert (text in unknowns) is told


def test_what_no_venue_here_could_tell_is_said_and_is_no_doubt() -> None:
    """One account's dollar has no three prices: the rule is named, and the desk is safe."""
    rules = RULES.replace("drawdown_ratio >= 0.12", "stablecoin_depeg_ratio >= 0.01")
    made = state(rules=rules)
    assert made["unfed"] == ["drawdown_12"]
    assert made["unknowns"] == []
    assert made["safe"]["verdict"] == "safe", made["safe"]
    assert "never judged: drawdown_12: no dollar token that we hold is priced" in words(made)


LAG = """\
- id: lag
  for_each: venue
  when: indexer_lag_blocks >= 100.0
  severity: high
  summary: late
"""


@pytest.mark.parametrize("named", [False, True], ids=["no validator named", "one named"])
def test_what_the_desk_has_not_configured_is_said_and_is_no_doubt(named: bool) -> None:
    """With the setting; what was configured and does not tell is no choice of the desk's."""
    block = e.ChainTimeSeen(
        venue=VENUE, channel=f"{VENUE}/rest.meta", source="indexer", time_ns=NOW, height=7
    )
    depeg = RULES.replace("drawdown_ratio >= 0.12", "stablecoin_depeg_ratio >= 0.01")
    made = state(block, rules=LAG + depeg, validated=named)
    said = f"never judged: lag: venues.{VENUE} names no validator_urls; drawdown_12: no dollar"
    assert (said in words(made)) is not named  # the setting first, where a screen has one line
    assert made["unfed"] == ["drawdown_12", *([] if named else ["lag"])]
    assert made["safe"]["verdict"] == "safe", made["safe"]


def test_a_price_out_of_reach_is_no_percentage() -> None:
    """1,000 % is the end of the scale and not a distance."""
    made = state()
    made["nearest_liquidation"] = {
        "venue": "v", "account": "a", "market": "m", "distance": 10.0,
    }  # fmt: skip
    assert "NEAREST LIQUIDATION none within reach" in words(made)
    made["nearest_liquidation"]["distance"] = 9.99
    assert "999.0 % away" in words(made)


def progressed(read: int) -> e.HistoryProgressed:
    """So many of 41 markets' prices are read, two minutes after the first."""
    names = tuple(f"M{number}" for number in range(41))
    return e.HistoryProgressed(
        venue=VENUE,
        channel=f"{VENUE}/rest.meta",
        kind="prices",
        wanted=41,
        unread=names[read:],
        waiting=41 - read,
        read=read,
        began_ns=NOW - 600 * SECOND_NS,
    )


@pytest.mark.parametrize(
    ("read", "said"),
    [
        pytest.param(
            34, f"HISTORY {VENUE}: prices 34 of 41 markets, about 3 min left", id="on the way"
        ),
        pytest.param(41, "", id="read"),
    ],
)
def test_what_history_is_still_to_be_read_is_said(read: int, said: str) -> None:
    """On the screen while it is, and in the document for as long as riskd runs."""
    made = state(progressed(read))
    assert said in words(made)
    assert ("HISTORY" in words(made)) is bool(said)
    (row,) = made["history"]
    assert (row["venue"], row["ready"]) == (VENUE, read == 41)
    assert row["kinds"] == {"prices": {"known": read, "wanted": 41}}
    assert made["safe"]["verdict"] == "safe"  # rules that need it say so themselves
