"""The report of a trip: what was asked, done, paid and left, from the record alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.app.report import Reporter, report_text
from monitor.core.killswitch.facts import AuditEntry, Step
from monitor.core.ports import Phase
from monitor.core.types import PORTFOLIO, SECOND_NS
from monitor.store.audit import AuditRecord, AuditStamp
from monitor.store.database import Store

T0 = 1_800_000_000 * SECOND_NS


def entry(action: str, after_s: float = 0.0, reason: str = "", **details: str) -> AuditEntry:
    """One line of one trip."""
    return AuditEntry(
        at_ns=T0 + round(after_s * SECOND_NS),
        actor="rule:storm",
        action=action,
        scope=PORTFOLIO,
        level_from=0,
        level_to=3,
        trip_id="trip-1",
        reason=reason,
        details=tuple(details.items()),
    )


ENTRIES = (
    entry("tripped", reason="storm about portfolio", gross_to_ratio="0.7"),
    entry("rule_asked", share="0.53 ratio, 2.1 s old"),
    entry("plan", 0.2, cost_usd="19.48", shortfall="dydx/main BTC-USD $10: no executor"),
    entry(
        "order_ended", 0.5, account="hyperliquid/main", order="sell 800 HYPE", end="filled",
        filled="800", average_price="31.5", reference_price="31.6",
    ),
    entry(
        "order_ended", 0.5, account="hyperliquid/main", order="buy 2 BTC", end="filled",
        filled="2", average_price="101", reference_price="100",
    ),
    entry(
        "order_ended", 0.6, account="hyperliquid/main", order="sell 1 ETH", end="rejected",
        filled="0",
    ),
    entry("account_incomplete", 0.7, "hyperliquid/main: 1 order", account="hyperliquid/main"),
    entry("account_incomplete", 0.8, "dydx/main: no executor; act by hand", account="dydx/main"),
    entry("account_contained", 1.0, account="hyperliquid/main"),
    entry("incomplete", 1.4),
)  # fmt: skip


def records(*entries: AuditEntry) -> list[AuditRecord]:
    """As the store gives them."""
    return [
        AuditRecord(
            seq=number,
            id=str(number),
            ts_wall_ns=one.at_ns,
            engine_ns=one.at_ns,
            actor=one.actor,
            action=one.action,
            scope=one.scope,
            level_from=one.level_from,
            level_to=one.level_to,
            trip_id=one.trip_id,
            reason=one.reason,
            details=one.details,
            config_hash="abc",
            code_version="1.2",
        )
        for number, one in enumerate(entries, 1)
    ]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("CUT of portfolio by rule:storm, 2027-01-15 08:00:00 UTC.", id="what and who"),
        pytest.param("Now: INCOMPLETE, 1.4 s after it began.", id="how it stands"),
        pytest.param("| share | 0.53 ratio, 2.1 s old |", id="what the rule had read"),
        pytest.param("| hyperliquid/main | sell 800 HYPE | filled | 800 | 31.5 | 31.6 | 80.00 |",
                     id="sold below the reference: a cost"),
        pytest.param("| hyperliquid/main | buy 2 BTC | filled | 2 | 101 | 100 | 2.00 |",
                     id="bought above the reference: a cost"),
        pytest.param("references: 82.00 USD, planned 19.48 USD; 1 order(s) without a price.",
                     id="paid against planned"),
        pytest.param("| dydx/main: no executor |", id="what stays"),
        pytest.param("| +0.700 s | account_incomplete |", id="when"),
        pytest.param("riskd 1.2, configuration abc.", id="by which code and settings"),
    ],
)  # fmt: skip
def test_what_a_report_says(words: str) -> None:
    """Each part, from hand-written records."""
    assert words in report_text(records(*ENTRIES))


def test_what_is_contained_is_not_left() -> None:
    """The last word on an account counts."""
    left = report_text(records(*ENTRIES)).partition("## What stays exposed")[2].partition("##")[0]
    assert "hyperliquid/main" not in left


def test_a_report_of_nothing_is_refused() -> None:
    """And one with a line break or a bar in a reason stays one table."""
    with pytest.raises(ValueError, match="at least one"):
        report_text([])
    text = report_text(records(entry("tripped"), entry("incomplete", 1.0, "a|b\nc")))
    assert "a\\|b c" in text


async def test_it_is_written_when_a_trip_ends_and_again_when_it_is_cleared(tmp_path: Path) -> None:
    """From the store, whole; what is no end writes nothing, what fails ends nothing."""
    store = Store(tmp_path / "data", stamp=AuditStamp(config_hash="abc", code_version="1.2"))
    try:
        await store.persist(Phase(at_ns=T0, kill_state=b"1", audit=ENTRIES))
        reporter = Reporter(store, tmp_path)
        path = await reporter.write("trip-1")
        assert path == tmp_path / "reports" / "trip-1.md"
        assert "INCOMPLETE" in path.read_text()
        cleared = entry("rearmed", 60.0, "calm")
        await store.persist(Phase(at_ns=T0, kill_state=b"2", audit=(cleared,)))
        assert await reporter.write("trip-1") == path
        assert "Now: REARMED, 60.0 s" in path.read_text()
        assert await reporter.write("trip-2") is None
        reporter.heard(Step(audit=(entry("plan"),)))
        assert not reporter.due
        reporter.heard(Step(audit=(entry("contained"),)))
        assert reporter.due == ("trip-1",)
    finally:
        store.close()
