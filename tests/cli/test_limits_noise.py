"""``riskd limits propose`` and ``riskd noise``: from what a store kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from monitor.app.samples import KEPT, packed
from monitor.cli.limits import rulebook_text
from monitor.cli.main import main
from monitor.cli.noise import LOUD_A_WEEK, Page, table
from monitor.core.limits import HOURS_MIN, propose
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.ports import OutboxEntry, Phase
from monitor.core.rules import parse_rulebook
from monitor.core.types import PORTFOLIO, SECOND_NS, Severity, Subject
from monitor.notify.notice import Notice, NoticeKind, encode
from monitor.store.database import Store

NOW = 1_790_000_000 * SECOND_NS
DAY = 86_400 * SECOND_NS
SAMPLES = {
    ("leverage", PORTFOLIO): [(hour, 2.0) for hour in range(HOURS_MIN)],
    ("leverage", Subject("account:hyperliquid/main.xyz")): [
        (hour, 3.0) for hour in range(HOURS_MIN)
    ],
    ("leverage_net", Subject("asset:BTC")): [(hour, 0.41) for hour in range(HOURS_MIN)],
    ("leverage_net", Subject("venue:dydx")): [(hour, 0.8) for hour in range(HOURS_MIN)],
    ("leverage_gross", Subject("asset:BTC")): [(hour, 1.6) for hour in range(HOURS_MIN)],
    ("liquidation_distance_ratio", PORTFOLIO): [(hour, 0.3) for hour in range(HOURS_MIN)],
    ("margin_usage_ratio", PORTFOLIO): [(0, 0.1)],
}


def keep(folder: Path, *, samples: bytes | None = None, phase: Phase | None = None) -> None:
    """A store with that in it."""

    async def fill() -> None:
        store = Store(folder)
        try:
            if samples is not None:
                await store.put_value(KEPT, samples)
            if phase is not None:
                await store.persist(phase)
        finally:
            store.close()

    asyncio.run(fill())


def test_proposed_caps_are_a_rulebook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It loads beside the built-in rules; what is too short is said; nothing is in force."""
    keep(tmp_path, samples=packed(SAMPLES))
    assert main(["limits", "propose", f"--data-dir={tmp_path}"]) == 1
    text = capsys.readouterr().out
    assert "NOT IN FORCE" in text
    assert "signed by: ____" in text
    assert "# margin_usage_ratio of portfolio: no cap, 1 of 168 hours known" in text
    rules = parse_rulebook([("p.yaml", text)], CATALOGUE).rules
    assert {(rule.id, rule.condition) for rule in rules} == {
        ("limit_leverage", "leverage > 2.5"),
        ("limit_leverage_hyperliquid_main_xyz", "leverage > 3.8"),
        ("limit_leverage_net_btc", "leverage_net > 0.52"),
        ("limit_leverage_net_dydx", "leverage_net > 1.0"),
        ("limit_leverage_gross_btc", "leverage_gross > 2.0"),
        ("limit_liquidation_distance", "liquidation_distance_ratio < 0.24"),
    }
    assert text.splitlines()[-2:] == ["#   gross_max: 2.5", "#   account_gross_max: 3.8"]
    scopes = {rule.id: rule.scope.value for rule in rules}
    assert scopes["limit_leverage_net_dydx"] == "venue"
    assert scopes["limit_leverage_gross_btc"] == "portfolio"
    account = next(rule for rule in rules if rule.id.endswith("xyz"))
    assert account.matches(Subject("account:hyperliquid/main.xyz"))
    assert not account.matches(Subject("account:hyperliquid/main"))


def test_without_samples_nothing_is_proposed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what it needs; a file that is there is not written over."""
    keep(tmp_path)
    out = tmp_path / "caps.yaml"
    flags = ["limits", "propose", f"--data-dir={tmp_path}", f"--out={out}"]
    assert main(flags) == 1
    assert "needs 168 of them" in out.read_text()
    assert parse_rulebook([("p.yaml", rulebook_text(propose({})))], CATALOGUE).rules == ()
    assert main(flags) == 2
    assert "is there already" in capsys.readouterr().err


def entry(number: int, alert: str, *, days: float, begun: float, severity: str) -> OutboxEntry:
    """One message about an alert that began so many days ago."""
    notice = Notice(
        id=f"n{number}",
        kind=NoticeKind.FIRING,
        identity=alert,
        dedup_key=alert,
        severity=Severity(severity),
        labels=(("alertname", alert),),
        annotations=(),
        starts_ns=NOW - round(begun * DAY),
        at_ns=NOW,
    )
    return OutboxEntry(
        id=f"n{number}",
        identity=alert,
        urgency=1,
        created_ns=NOW - round(days * DAY),
        notice=encode(notice),
        channels=("pager",),
    )


def test_pages_are_counted_once_for_each_episode(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Re-sent ones are one, the watchdog and what is for the record are none."""
    entries = (
        entry(1, "MarginUsageHigh", days=3.5, begun=3.5, severity="high"),
        entry(2, "MarginUsageHigh", days=3.0, begun=3.5, severity="high"),
        entry(3, "MarginUsageHigh", days=1.0, begun=1.0, severity="high"),
        entry(4, "EventFilter", days=1.0, begun=1.0, severity="info"),
        entry(5, "RiskdWatchdog", days=1.0, begun=1.0, severity="warning"),
    )
    keep(tmp_path, phase=Phase(at_ns=NOW, entries=entries, memories=(("watching", b""),)))
    assert main(["noise", f"--data-dir={tmp_path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("over 3.5 days")
    assert [line.split() for line in lines[1:]] == [
        ["4.0", "2", "margin_usage_high"],
        ["4.0", "2", "together"],
    ]


@pytest.mark.parametrize(
    ("count", "loud"), [(int(LOUD_A_WEEK), False), (int(LOUD_A_WEEK) + 1, True)], ids=str
)
def test_more_than_ten_a_week_is_too_loud(count: int, loud: bool) -> None:
    """Over exactly a week."""
    lines, a_week = table([Page("x", index) for index in range(count)], 7 * DAY)
    assert a_week == count
    assert any("people stop reading" in line for line in lines) is loud


def test_less_than_a_day_says_nothing() -> None:
    """A noisy first hour is no week."""
    lines, a_week = table([Page("x", 0)], DAY - 1)
    assert (a_week, lines[1]) == (
        0.0,
        "Less than a day was seen: nothing can be said about a week.",
    )


def test_transitions_of_a_backtest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beginnings of episodes, of one run of the file."""
    rows = [
        {"at": "2026-01-01T00:00:00Z", "arm": "rules", "rule": "a", "before": "pending",
         "after": "firing", "severity": "high"},
        {"at": "2026-01-03T00:00:00Z", "arm": "rules", "rule": "a", "before": "recovering",
         "after": "firing", "severity": "high"},
        {"at": "2026-01-08T00:00:00Z", "arm": "rules", "rule": "a", "request": "cut"},
        {"at": "2026-01-08T00:00:00Z", "arm": "other", "rule": "b", "before": "inactive",
         "after": "firing", "severity": "high"},
    ]  # fmt: skip
    path = tmp_path / "transitions.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    assert main(["noise", f"--transitions={path}"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["1.0", "1", "a"],
        ["1.0", "1", "together"],
    ]
    assert main(["noise", f"--transitions={path}", "--arm=third"]) == 2
    assert "It holds: rules, other." in capsys.readouterr().err
