"""The share of markets with expensive funding: what closes is not known, and is not left out."""

from __future__ import annotations

import pytest

from monitor.core.types import PORTFOLIO, MarketStatus, venue_subject
from monitor.rulebook import builtin_files
from tests.core.desk import HL
from tests.core.stress_desk import StressDesk, Told

SHARE = "funding_expensive_share_ratio"
WORST = "funding_expensive_worst_share_ratio"
KNOWN = "funding_markets_known_ratio"
HL_VENUE = venue_subject(HL)
DEAR, CHEAP = 2.0 / 8760.0, 0.0
NAMES = tuple(f"M{number}" for number in range(10))
CLOSED = (
    MarketStatus.PAUSED, MarketStatus.CANCEL_ONLY, MarketStatus.POST_ONLY,
    MarketStatus.INITIALIZING, MarketStatus.UNKNOWN,
)  # fmt: skip
RULES = dict(builtin_files())["funding.yaml"].replace(
    "covered_by: [venue_unreachable, venue_stalled, account_truth_stale, feed_rejecting_frames]", ""
)


def close(desk: StressDesk, status: MarketStatus, *names: str) -> StressDesk:
    """What may be done in these markets changes."""
    return desk.become(status, *(Told(name, 0, 0, 0) for name in names))


def rates(desk: StressDesk, dear: int) -> StressDesk:
    """The first ``dear`` of ten markets at 200 % a year, the others at nothing."""
    for number, name in enumerate(NAMES):
        desk.context(name, predicted_funding_rate_hourly=DEAR if number < dear else CHEAP)
    return desk


def ten(dear: int, rules: str = "") -> StressDesk:
    """Ten markets of which something is held, whose settlements nobody told."""
    told = (Told(name, 0, 0, 0) for name in NAMES)
    return rates(StressDesk(*told, rules=rules, history=0), dear)


@pytest.mark.parametrize("status", CLOSED)
def test_expensive_markets_that_close_are_not_known(status: MarketStatus) -> None:
    """Four of ten are the least that six known ones may be missing; with five there is no share."""
    desk = ten(5)
    assert desk.after(SHARE, PORTFOLIO) == 0.5
    assert (desk.value(WORST, PORTFOLIO), desk.value(KNOWN, PORTFOLIO)) == (0.5, 1.0)
    close(desk, status, *NAMES[:4]).later(1)
    assert desk.after(SHARE, PORTFOLIO) == pytest.approx(1 / 6)
    assert (desk.value(WORST, PORTFOLIO), desk.value(KNOWN, PORTFOLIO)) == (0.5, 0.6)
    close(desk, status, NAMES[4]).later(1).evaluate()
    for subject in (PORTFOLIO, HL_VENUE):
        assert desk.value(SHARE, subject) is None
        assert desk.value(KNOWN, subject) == 0.5
        assert "only 5 of 10 markets; 5 more are not open" in desk.why(SHARE, subject)
    assert desk.value(WORST, PORTFOLIO) is None


@pytest.mark.parametrize("status", [MarketStatus.FINAL_SETTLEMENT, MarketStatus.DELISTED])
def test_what_is_gone_for_good_has_no_say(status: MarketStatus) -> None:
    """Nobody can hold it any more."""
    desk = close(ten(5), status, *NAMES[:5])
    assert desk.after(SHARE, PORTFOLIO) == 0.0
    assert (desk.value(WORST, PORTFOLIO), desk.value(KNOWN, PORTFOLIO)) == (0.0, 1.0)


def test_a_market_that_opens_still_has_no_say() -> None:
    """Nothing was ever held or settled in it; once it opens it is one that is not known."""
    desk = ten(5)
    new = [f"N{number}" for number in range(10)]
    for name in new:
        desk.list_market(name, status=MarketStatus.INITIALIZING)
    assert desk.after(SHARE, PORTFOLIO) == 0.5
    assert desk.value(KNOWN, PORTFOLIO) == 1.0
    close(desk, MarketStatus.ACTIVE, *new).later(1).evaluate()
    assert desk.value(KNOWN, PORTFOLIO) == 0.5


def states(desk: StressDesk) -> dict[str, str]:
    """Of the two rules, by name."""
    return {
        one.rule: one.state.state.value
        for one in desk.engine.rule_states()
        if one.rule.startswith("funding_broad")
    }


def fired() -> StressDesk:
    """Four of ten are dear until both rules are out."""
    desk = ten(4, RULES)
    for _ in range(4):
        rates(desk, 4).evaluate()
        desk.later(300)
    assert set(states(desk).values()) == {"firing"}
    return desk


@pytest.mark.parametrize(
    ("closes", "after"),
    [pytest.param(True, "firing", id="closed"), pytest.param(False, "recovering", id="calm")],
)
def test_markets_that_close_end_no_alert(closes: bool, after: str) -> None:
    """The four dear ones of ten pause, and the share of the six known ones is nothing; that it is
    nothing while all of them are open is another thing."""
    desk = fired()
    if closes:
        close(desk, MarketStatus.PAUSED, *NAMES[:4])
    for _ in range(3):
        rates(desk, 4 if closes else 0).evaluate()
        desk.later(60)
    assert desk.value(SHARE, PORTFOLIO) == 0.0
    assert set(states(desk).values()) == {after}


@pytest.mark.parametrize(
    ("count", "permitted"), [pytest.param(2, True, id="a few"), pytest.param(3, False, id="many")]
)
def test_markets_that_close_permit_no_return(count: int, permitted: bool) -> None:
    """After a day of calm; nothing that is known is dear, and three of ten that close may be."""
    desk = fired()
    for _ in range(26):
        rates(desk.later(3600), 0).evaluate()
    assert states(desk)["funding_broad_expense"] == "inactive"
    assert desk.engine.permits_reentry("funding_broad_expense", PORTFOLIO, desk.now)
    close(desk, MarketStatus.PAUSED, *NAMES[:count]).later(1).evaluate()
    assert desk.value(SHARE, PORTFOLIO) == 0.0
    assert desk.engine.permits_reentry("funding_broad_expense", PORTFOLIO, desk.now) is permitted
