"""``riskd backtest`` as a person runs it: the four files, equal bytes, flags, mistakes."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest

from monitor.cli.main import main
from monitor.cli.progress import time_left
from tests.backtest.past import every_8h, small_past, write_funding

FILES = ("transitions.jsonl", "measures.csv", "summary.json", "report.html")
RULES = """\
mine:
  - id: hot
    for_each: portfolio
    summary: Hot
    when: funding_expensive_share_ratio >= 0.40
    confirm: {need: 2, of: 2, apart: 5m}
    until: funding_expensive_share_ratio <= 0.20
    keep_firing_for: 6h
    severity: critical
    do: {level: cut, gross_to: 0.50}
    scope: portfolio
"""
HOURS = 24 * 8
ASSETS = ("AAA", "BBB", "CCC")


def storm(hour: int) -> float:
    """Expensive on the third day."""
    return 0.001 if 48 <= hour < 72 else 0.0001


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Eight days with one hot one."""
    return small_past(
        tmp_path / "history",
        HOURS,
        rate=storm,
        price=lambda hour: 100.0 - (15.0 if hour >= 80 else 0.0) + hour % 3,
        assets=ASSETS,
    )


def backtest(history: Path, out: Path, *flags: str) -> int:
    """Run the command."""
    return main(["backtest", "--history", str(history), "--out", str(out), *flags])


def rules_file(folder: Path) -> Path:
    """One rule of our own."""
    path = folder / "mine.yaml"
    path.write_text(RULES)
    return path


def test_two_runs_give_equal_bytes(history: Path, tmp_path: Path) -> None:
    """All four files, in one process and in three; nothing in them tells when, where or by how
    many they were made."""
    rules = str(rules_file(tmp_path))
    for jobs in ("1", "2", "3"):
        assert backtest(history, tmp_path / jobs, "--rulebook", rules, "--jobs", jobs) == 0
    for file in FILES:
        first, *others = ((tmp_path / jobs / file).read_bytes() for jobs in ("1", "2", "3"))
        assert first == others[0] == others[1], file
        assert str(tmp_path).encode() not in first


def test_what_the_files_say(history: Path, tmp_path: Path) -> None:
    """A cut by our own rule: told, obeyed by three arms at their own times, costed."""
    out = tmp_path / "out"
    flags = ("--rulebook", str(rules_file(tmp_path)), "--follow", "hot")
    assert backtest(history, out, *flags) == 0
    lines = [orjson.loads(line) for line in (out / "transitions.jsonl").read_bytes().splitlines()]
    asked = [one for one in lines if one.get("request") == "cut" and one["rule"] == "hot"]
    assert [(one["arm"], one["at"]) for one in asked] == [
        (arm, "2024-01-03T01:00Z") for arm in ("rules_0m", "rules_15m", "rules_60m")
    ]
    summary = orjson.loads((out / "summary.json").read_bytes())
    arms = {one["name"]: one for one in summary["arms"]}
    assert arms["none"]["trades"] == 6  # three entries, and one rebalance of the week
    assert arms["rules_0m"]["requests"] == 1
    assert arms["rules_0m"]["exit_friction_usd"] > 0.0
    assert arms["always"]["gross_mean_ratio"] == pytest.approx(0.7, abs=0.02)
    assert len(summary["falls"]) == 1
    state = next(one for one in summary["states"] if one["state"] == "hot")
    assert (state["falls_led"], state["falls"]) == (1, 1)
    assert state["judged_ratio"] == 1.0
    # Of sixty days eight are there: what never fired was not fine, nobody could have known.
    trigger = summary["states"][-1]
    assert (trigger["active_ratio"], trigger["judged_ratio"]) == (0.0, 0.0)
    never = summary["rulebook"]["never_judged"]
    assert {"leverage_cap", "vol_percentile", "vol_percentile_high"} <= set(never)
    assert not {"hot", "drawdown_8", "leverage_portfolio"} & set(never)
    with (out / "measures.csv").open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    assert len(rows) == HOURS
    shares = [row["gross_exposure_usd:rules_0m"] for row in rows]
    assert float(shares[50]) == pytest.approx(0.5 * float(shares[48]), rel=0.03)


def test_a_cut_that_never_came_is_told(tmp_path: Path) -> None:
    """One hot settlement is one observation, and a cut wants two: the report has the rule all the
    same, with no episode and the reason."""
    history = small_past(
        tmp_path / "history",
        HOURS,
        rate=lambda hour: 0.001 if hour == 48 else 0.0001,
        price=lambda hour: 100.0 + hour % 3,
        assets=ASSETS,
    )
    out = tmp_path / "out"
    rules = rules_file(tmp_path)
    rules.write_text(RULES.replace("apart: 5m", "apart: 9h"))
    assert backtest(history, out, "--rulebook", str(rules)) == 0
    summary = orjson.loads((out / "summary.json").read_bytes())
    state = next(one for one in summary["states"] if one["state"] == "hot")
    assert (state["active_ratio"], state["judged_ratio"]) == (0.0, 1.0)
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "hot as a warning" in report
    assert "1 time it held at one observation and no longer at the next" in report


class Page(HTMLParser):
    """Collects what a page would load, and checks that tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note links, sources and scripts."""
        self.tags.append(tag)
        self.loads += [f"{name}={value}" for name, value in attrs if name in {"src", "href"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closed in itself."""
        self.tags.append(tag)
        self.loads += [f"{name}={value}" for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        """Must close what is open."""
        assert self.open.pop() == tag


def test_the_report_stands_alone(history: Path, tmp_path: Path) -> None:
    """One well-formed page without a script or anything to load, with every drawing and table."""
    assert backtest(history, tmp_path / "out") == 0
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.loads == []
    assert "script" not in page.tags
    assert "url(" not in text
    assert "@import" not in text
    assert page.tags.count("svg") >= 6
    assert page.tags.count("table") >= 4
    assert not re.search(r"\b(nan|inf|None)\b", re.sub(r"<style>.*?</style>", "", text))
    assert text.count('<div class="wide"><table>') == page.tags.count("table")
    drawings = len(re.findall(r'<svg viewBox="0 0 1120 ', text))
    apart = len(re.findall(r'<div class="wide"><svg viewBox="0 0 1120 ', text))
    assert drawings == apart + 1 == 6  # drawdown stands under equity: they scroll together
    assert "It could be judged in no hour: what it reads was never known." in text
    for title in ("What the numbers say", "Rule states", "Against no rules", "How it was made"):
        assert f"<h2>{title}</h2>" in text


def test_from_and_to(history: Path, tmp_path: Path) -> None:
    """Only the days asked for; the hot day left out, nothing is cut."""
    out = tmp_path / "out"
    assert backtest(history, out, "--from", "2024-01-04", "--to", "2024-01-07T12:00Z") == 0
    summary = orjson.loads((out / "summary.json").read_bytes())
    assert summary["period"]["from"] == "2024-01-04T00:00Z"
    assert summary["period"]["hours"] == 84
    arms = {one["name"]: one for one in summary["arms"]}
    assert arms["only_funding_stress"]["requests"] == 0


BOOK = """\
start_equity_usd: 100000
positions:
  - {venue: binance, asset: AAA, weight: 0.5}
  - {venue: hyperliquid, asset: BBB, weight: 0.5}
venues:
  hyperliquid: {fee_bps: 0, slippage_bps: 0}
  binance: {fee_bps: 0, slippage_bps: 0}
"""


def test_an_outage_blocks_what_the_rules_ask(history: Path, tmp_path: Path) -> None:
    """While one venue is dark only the other is cut, at whatever reaction."""
    hourly = [(hour, asset, 1, storm(hour) / 8) for asset in ASSETS for hour in range(HOURS)]
    write_funding(history, hourly, venue="hyperliquid")
    (history / "outages").mkdir()
    (history / "outages" / "outages.csv").write_text(
        "system,kind,start_utc,duration_min,duration_hi_min,scope\n"
        "hyperliquid,api,2024-01-03T00:30:00Z,60,240,\n"
        "hyperliquid,governance,2024-01-05T00:30:00Z,,,\n"
        "linea,sequencer,2024-01-03T00:30:00Z,60,,\n"
    )
    (tmp_path / "book.yaml").write_text(BOOK)
    common = (
        *("--rulebook", str(rules_file(tmp_path)), "--follow", "hot", "--venue", "binance"),
        *("--reaction", "0", "--book", str(tmp_path / "book.yaml")),
    )
    gross = {}
    for name, flags in (("calm", ()), ("dark", ("--overlay", "outages"))):
        out = tmp_path / name
        assert backtest(history, out, *common, *flags) == 0
        with (out / "measures.csv").open(encoding="utf-8", newline="") as text:
            rows = list(csv.DictReader(text))
        gross[name] = [float(row["gross_exposure_usd:rules_0m"]) for row in rows]
    summary = orjson.loads((tmp_path / "dark" / "summary.json").read_bytes())
    assert summary["inputs"]["outages"] == 1
    assert len(summary["inputs"]["outages_without_duration"]) == 1
    # Asked at 01:00 with half of the book out of reach until 04:30.
    assert gross["calm"][51] == pytest.approx(50_000.0, rel=0.05)
    assert gross["dark"][51] > 1.3 * gross["calm"][51]
    assert gross["dark"][54] == pytest.approx(50_000.0, rel=0.05)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--follow", "nope"), "there is no such rule"),
        (("--follow", "account_truth_stale"), "is about seconds"),
        (("--measure", "leverag"), "Did you mean 'leverage'"),
        (("--measure", "leverage@nonsense"), "is no subject"),
        (("--rulebook", "/does/not/exist.yaml"), "cannot be read"),
        (("--book", "/does/not/exist.yaml"), "cannot be read"),
        (("--reentry-delay", "-1"), "zero or more"),
        (("--reaction", "-5"), "zero or more"),
        (("--jobs", "0"), "one or more"),
    ],
    ids=[
        "no rule",
        "seconds",
        "no measure",
        "no subject",
        "no rulebook",
        "no book",
        "delay",
        "reaction",
        "jobs",
    ],
)
def test_mistakes_are_told(
    history: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    words: str,
) -> None:
    """Exit code 2, a sentence, no traceback."""
    assert backtest(history, tmp_path / "out", *flags) == 2
    assert words in capsys.readouterr().err


def test_a_day_that_is_none(history: Path, tmp_path: Path) -> None:
    """argparse says so."""
    with pytest.raises(SystemExit) as caught:
        backtest(history, tmp_path / "out", "--from", "yesterday")
    assert caught.value.code == 2


def test_a_book_of_what_nobody_recorded(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held without prices or funding it would cost nothing: refused."""
    book = tmp_path / "book.yaml"
    for asset, words in (("ZZZ", "no prices"), ("AAA", "no funding")):
        venue = "binance" if asset == "ZZZ" else "hyperliquid"
        book.write_text(f"positions: [{{venue: {venue}, asset: {asset}, weight: 1}}]\n")
        write_funding(history, every_8h(8, "BBB", 0.0001), venue="hyperliquid")
        assert backtest(history, tmp_path / "out", "--book", str(book)) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("taken_s", "done", "words"),
    [
        pytest.param(0.9, 10, "", id="too soon to say"),
        pytest.param(1.0, 10, ", about 9 s left", id="seconds"),
        pytest.param(9.9, 10, ", about 89 s left", id="just below a minute and a half"),
        pytest.param(10.0, 10, ", about 2 min left", id="a minute and a half"),
        pytest.param(60.0, 10, ", about 9 min left", id="minutes"),
        pytest.param(60.0, 0, "", id="nothing done"),
        pytest.param(60.0, 100, "", id="nothing left"),
    ],
)
def test_the_bar_says_how_long(taken_s: float, done: int, words: str) -> None:
    """From the pace so far, of a hundred."""
    assert time_left(taken_s, done, 100) == words
