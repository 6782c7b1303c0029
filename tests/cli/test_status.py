"""``riskd status``: the worst first, in 80 columns and 24 lines, and in the exit code."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.cli.status import EXIT, HEIGHT, WIDTH, age, screen


def reading(value: float | None, age_s: float = 1.0) -> dict[str, Any]:
    """A reading as /v1/state gives it."""
    return {"value": value, "age_s": age_s, "estimated": False, "reason": ""}


def account(name: str, equity: float | None, note: str = "") -> dict[str, Any]:
    """One account of the document."""
    rows = [
        ("equity", "usd", equity),
        ("gross", "usd", 1_000_000.0),
        ("leverage", "count", 2.5),
        ("margin usage", "ratio", 0.123),
    ]
    return {
        "venue": "hyperliquid",
        "account": name,
        "note": note,
        "positions": [],
        "rows": [
            {"label": label, "unit": unit, "ours": reading(value), "age_s": 1.0}
            for label, unit, value in rows
        ],
    }


def document(**changes: Any) -> dict[str, Any]:
    """A quiet desk."""
    base: dict[str, Any] = {
        "riskd": {
            "desk": "desk-a", "mode": "observe", "mode_text": "nothing can be sent",
            "simulated": False, "now_ms": 1_790_000_000_000,
        },
        "safe": {"verdict": "safe", "text": "Nothing fires and every account is seen."},
        "alerts": [],
        "accounts": [account("main", 400_000.0)],
        "feeds": [
            {"venue": "hyperliquid", "feed": "bbo", "state": "fresh", "age_s": 2.0, "reason": ""}
        ],
        "nearest_liquidation": None,
        "pages": {"channels": [{"name": "alertmanager", "healthy": True, "proven": True, "waiting": 0}]},
    }  # fmt: skip
    return {**base, **changes}


def test_a_quiet_desk() -> None:
    """All that matters stands in a few lines."""
    lines = screen(document())
    assert lines[1] == "SAFE  Nothing fires and every account is seen."
    assert "FIRES      nothing" in lines
    assert "SEES       hyperliquid: 1 of 1 feeds fresh, oldest 2 s" in lines
    assert any("400,000" in line and "12.3 %" in line for line in lines)
    assert lines[-1] == "PAGED      alertmanager ok"


def test_simulated_is_said_first() -> None:
    """Nobody takes a demo for his book."""
    state = document()
    state["riskd"]["simulated"] = True
    assert screen(state)[0].startswith("SIMULATED")


def test_unknown_is_a_word_never_a_zero() -> None:
    """An absent equity reads unknown."""
    lines = screen(document(accounts=[account("main", None, note="equity absent: too old")]))
    assert any("unknown" in line for line in lines)
    assert any("equity absent" in line for line in lines)
    assert not any(" 0 " in line for line in lines if "hyperliquid/main" in line)


@pytest.mark.parametrize("count", [0, 1, 20, 300])
def test_always_fits_the_terminal(count: int) -> None:
    """A storm of alerts and dead feeds is cut with its number, never scrolled away."""
    alert = {"severity": "critical", "firing_s": 61.0, "summary": "x" * 118}
    feed = {
        "venue": "dydx", "feed": "v4_markets", "state": "lost", "age_s": 99.0,
        "reason": "silent " * 20,
    }  # fmt: skip
    state = document(
        alerts=[alert] * count,
        feeds=[feed] * count,
        accounts=[account(f"a{n}", 1.0) for n in range(count)],
    )
    lines = screen(state)
    assert len(lines) < HEIGHT
    assert all(len(line) <= WIDTH for line in lines)
    if count > 20:
        assert sum("more (--json shows all)" in line for line in lines) == 3


def test_exit_codes_tell_the_four_verdicts_apart() -> None:
    """Scripts can act on it."""
    assert EXIT == {"safe": 0, "attention": 1, "danger": 2, "blind": 3}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(None, "-", id="never"),
        pytest.param(4.0, "4 s", id="seconds"),
        pytest.param(119.0, "119 s", id="under two minutes"),
        pytest.param(120.0, "2 min", id="two minutes"),
        pytest.param(7200.0, "2 h", id="two hours"),
        pytest.param(172_800.0, "2 d", id="two days"),
    ],
)
def test_ages_for_people(seconds: float | None, text: str) -> None:
    """Both sides of each unit."""
    assert age(seconds) == text
