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
        "pages": {
            "channels": [{"name": "alertmanager", "healthy": True, "proven": True, "waiting": 0}]
        },
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


def feed(**changes: Any) -> dict[str, Any]:
    """A feed of Hyperliquid's that is fresh."""
    base = {"venue": "hyperliquid", "feed": "bbo", "state": "fresh", "age_s": 2.0, "reason": ""}
    return {**base, "cadence_s": None, "channels": 1, **changes}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        pytest.param({"age_s": 21.0}, ", oldest 21 s", id="speaks on change"),
        pytest.param({"age_s": 59.0, "cadence_s": 60.0}, ", oldest 59 s", id="each minute"),
        pytest.param({"age_s": 2900.0, "cadence_s": 3600.0}, ", oldest 2 s", id="each hour"),
        pytest.param({"age_s": 2900.0, "channels": 0}, ", oldest 2 s", id="a connection"),
    ],
)
def test_the_oldest_sight_is_of_what_speaks_often(other: dict[str, Any], said: str) -> None:
    """A poll of an hour, and how long a socket has been open, would make each hour look blind."""
    lines = screen(document(feeds=[feed(), feed(feed="other", **other)]))
    assert f"SEES       hyperliquid: 2 of 2 feeds fresh{said}" in lines


def test_what_is_cut_off_shows_it() -> None:
    """The first line, the verdict and what rules ask for are never taken for whole."""
    rules = [f"rule_{count} (cut) about account:hyperliquid/main" for count in range(9)]
    state = document(
        safe={"verdict": "danger", "text": "a long story " * 40}, **kill(would_happen_now=rules)
    )
    state["riskd"]["mode_text"] = "acts with throw-away keys, on this machine or a testnet"
    lines = screen(state)
    asking = next(index for index, line in enumerate(lines) if line.startswith("ASKING NOW"))
    assert lines[0].split("  ")[1].endswith("…")
    assert lines[3].endswith("…")
    assert lines[asking + 1].endswith("…")
    assert max(map(len, lines)) <= WIDTH


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
    if count >= 20:
        assert len(lines) == HEIGHT - 1
        assert sum("more (--json shows all)" in line for line in lines) == 2


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


SUMMARY = (
    "Leverage of the whole book is 4.21, limit 3.00, of portfolio; riskd WOULD HAVE cut to 50 % of "
    "gross within 60 s"
)


def test_an_alert_is_told_to_its_end() -> None:
    """Scope and what riskd would have done stand at the end of a summary: it is wrapped."""
    alert = {"severity": "critical", "firing_s": 61.0, "summary": SUMMARY}
    state = document(alerts=[alert] * 3, safe={"verdict": "danger", "text": SUMMARY})
    told = " ".join(line.strip() for line in screen(state))
    assert told.count("WOULD HAVE cut to 50 % of gross within 60 s") == 4


def test_no_line_is_wasted_before_something_is_left_out() -> None:
    """Where not all fits, every line is used, and the worst alert is whole all the same."""
    alerts = [
        {"severity": "critical", "firing_s": 61.0, "summary": f"{n} {SUMMARY}"} for n in range(20)
    ]
    lines = screen(document(alerts=alerts))
    assert len(lines) == HEIGHT - 1
    told = [line for line in lines if line.startswith("  critical")]
    assert any("within 60 s" in line for line in lines)
    left = next(line for line in lines if "more (--json" in line)
    assert left.strip() == f"… and {20 - len(told)} more (--json shows all)"


def test_dark_feeds_of_one_cause_have_one_line() -> None:
    """By venue and state, with the longest silence and its reason, in no internal names."""
    feeds = [
        {
            "venue": "hyperliquid", "feed": f"f{n}", "state": "lost" if n < 17 else "fresh",
            "age_s": 20.0 + n, "reason": "_market: the venue closed the connection",
        }
        for n in range(27)
    ]  # fmt: skip
    lines = screen(document(feeds=feeds))
    at = lines.index("CANNOT SEE")
    assert lines[at + 1] == (
        "  hyperliquid: 17 of 27 lost, longest 36 s: the venue closed the connection"
    )
    assert lines[at + 2].startswith("ACCOUNTS")


@pytest.mark.parametrize(
    ("age_s", "said"),
    [(36.0, "bbo lost, last sign of life 36 s"), (None, "bbo lost, never heard of")],
)
def test_one_dark_feed_is_named(age_s: float | None, said: str) -> None:
    """Silence has an age, or never had a voice."""
    feed = {"venue": "dydx", "feed": "bbo", "state": "lost", "age_s": age_s, "reason": ""}
    assert f"  dydx: {said}" in screen(document(feeds=[feed]))


def test_pools_that_nobody_watches_are_named() -> None:
    """Together by kind."""
    pools = [
        {"venue": "hyperliquid", "account": name, "kind": "vault", "parent": "main"}
        for name in ("main.a", "main.b")
    ]
    lines = screen(document(unwatched=pools))
    assert "  hyperliquid: vault that nobody watches: main.a, main.b" in lines


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"age_s": 90.0}, "90 s", id="last seen"),
        pytest.param({"age_s": None}, "never", id="never seen"),
        pytest.param(
            {"age_s": None, "venue": {"value": 1.0, "age_s": 45.0}}, "45 s", id="seen by the venue"
        ),
    ],
)
def test_unknown_equity_has_an_age(change: dict[str, Any], said: str) -> None:
    """How long it has been unknown decides what to do."""
    dark = account("main", None)
    dark["rows"][0] |= {"ours": {"value": None, "age_s": None, "reason": "too old"}, **change}
    line = next(line for line in screen(document(accounts=[dark])) if "hyperliquid/main" in line)
    assert "unknown" in line
    assert line.endswith(f" {said}")


def test_the_whole_book_comes_first() -> None:
    """One line after the verdict; what is not known of it is unknown."""
    rows = [
        {"label": label, "ours": reading(value), "age_s": 1.0}
        for label, value in (
            ("equity", 1_200_000.0), ("gross", 2_400_000.0), ("net", -30_000.0),
            ("leverage", 2.0), ("drawdown", None),
        )
    ]  # fmt: skip
    told = " ".join(line.strip() for line in screen(document(portfolio=rows))[2:4])
    assert told.startswith(
        "PORTFOLIO  equity 1,200,000 gross 2,400,000 net -30,000 lever 2.00 drawdown unknown"
    )


# ------------------------------------------------------------------------------ the kill switch

LATCHED = {
    "scope": "portfolio",
    "name": "CUT",
    "goal": "to 70 % of $1.35M",
    "stage": "incomplete",
    "for_s": 190.0,
    "by": [{"actor": "rule:funding_broad_expense", "reason": "funding is expensive everywhere"}],
    "blocked": "risk-increasing orders are cancelled and blocked",
    "not_blocked": "orders that reduce",
    "left": ["dydx/main: 1 order(s) to cancel", "more"],
    "left_count": 2,
    "clears": "riskd rearm --scope portfolio",
    "explain": "riskd audit explain trip-1",
}


def kill(**changes: Any) -> dict[str, Any]:
    """The part of the document about the kill switch."""
    none: dict[str, Any] = {
        "mode": "armed", "latched": [], "held": [], "proposed": [], "would_happen_now": []
    }  # fmt: skip
    return {"kill": {**none, **changes}}


def text(**changes: Any) -> str:
    """The screen as one line of words."""
    return " ".join(" ".join(screen(document(**kill(**changes)))).split())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({}, "LATCHED nothing; nothing is blocked", id="armed and clear"),
        pytest.param(
            {"latched": [LATCHED]},
            "LATCHED CUT portfolio to 70 % of $1.35M, INCOMPLETE 3 min, 2 left: dydx/main: 1 "
            "order(s) to cancel; by rule:funding_broad_expense: funding is expensive everywhere",
            id="what is latched and why",
        ),
        pytest.param(
            {"latched": [LATCHED]},
            "blocked: risk-increasing orders are cancelled and blocked not: orders that reduce",
            id="what is blocked and what is not",
        ),
        pytest.param(
            {"latched": [LATCHED]}, "clears: riskd rearm --scope portfolio", id="what clears it"
        ),
        pytest.param(
            {"held": [{"scope": f"market:x/{of}", "by": "r", "clears": "soon"} for of in "ABCD"]},
            "HELD market:x/B by r; soon and 2 more",
            id="how many more are held",
        ),
        pytest.param(
            {"regrowing": [{"scope": "portfolio", "gross_max_usd": 150e3, "of_usd": 200e3}]},
            "MAY GROW portfolio to $150,000 gross now, by a tenth of $200,000 a day",
            id="how far gross may come back",
        ),
        pytest.param(
            {"held": [{"scope": "venue:dydx", "by": "data_stale", "clears": "by itself in 40 s"}]},
            "HELD venue:dydx by data_stale; by itself in 40 s",
            id="what is held",
        ),
        pytest.param(
            {"proposed": [{"level": "CUT", "scope": "portfolio", "by": "r",
                           "approve": "riskd approve p-1"}]},
            "PROPOSED CUT portfolio by r: riskd approve p-1",
            id="what waits for a person",
        ),
        pytest.param(
            {"would_happen_now": ["drawdown_8 (cut) about portfolio"]},
            "ASKING NOW drawdown_8 (cut) about portfolio",
            id="what would happen now",
        ),
    ],
)  # fmt: skip
def test_what_the_kill_switch_does_is_said(changes: dict[str, Any], words: str) -> None:
    """For somebody at 3 a.m."""
    assert words in text(**changes)


def test_in_observe_the_first_line_says_it_all() -> None:
    """No line more."""
    assert "LATCHED" not in text(mode="observe")


def test_the_screen_stays_a_screen() -> None:
    """With two scopes latched, too."""
    lines = screen(document(**kill(latched=[LATCHED, LATCHED, LATCHED])))
    assert len(lines) < HEIGHT
    assert max(map(len, lines)) <= WIDTH
