"""The console in a real browser: what a trader reads, live and when riskd is gone."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from monitor.cli.children import die_with_parent
from monitor.core.killswitch.state import Stage
from monitor.server.document import measures_document, state_document
from monitor.server.http import Server
from monitor.server.settings import ServerSettings
from tests.server.desk import KILL, NOW, Daemon, engine_of, seen_events
from tests.server.kill_desk import ASKED, contained, holds, incomplete, kill_of, proposal

pytestmark = pytest.mark.component

ALERT = {
    "alert": "MarginHigh", "rule": "margin_high", "subject": "account:hyperliquid/main",
    "severity": "critical", "firing_s": 61.0, "summary": "Margin <b>usage</b> 71 % >= 45 %",
    "action": "WOULD HAVE cut gross to 70 %", "stale": False,
    "runbook": "http://127.0.0.1:9470/runbooks/margin_usage_high",
}  # fmt: skip
WOULD_HAVE = {
    "at_ms": NOW // 1_000_000, "rule": "margin_high",
    "text": "WOULD HAVE blocked new risk on account <hyperliquid/main>, by margin_high",
}  # fmt: skip
HEADLESS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class DeskSource:
    """A desk with one seen and one dark account, and this kill switch."""

    def __init__(self, kill: object = None, mode: str = "observe") -> None:
        self._engine = engine_of(*seen_events())
        self._kill = {**KILL, "would_have": [WOULD_HAVE]} if kill is None else kill
        self._daemon = Daemon()
        self._daemon.mode = mode

    def state(self) -> object:
        return state_document(
            self._engine,
            self._daemon,
            alerts=[ALERT],
            channels=[{"name": "alertmanager", "healthy": True, "proven": True, "waiting": 0}],
            kill=self._kill,
            now=NOW,
        )

    def measures(self, words: str) -> object:
        return measures_document(self._engine, words, NOW)

    def alerts(self) -> object:
        return [ALERT]

    def live(self) -> tuple[bool, object]:
        return True, {}

    def ready(self) -> tuple[bool, object]:
        return True, {}

    def metrics(self, *, openmetrics: bool) -> tuple[str, Iterable[bytes]]:
        return "text/plain", []


def browser() -> str:
    """Path of Chromium; skips where there is none, fails in CI."""
    path = shutil.which("chromium")
    if path is None:
        message = "chromium is not installed, so the console was not looked at"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A served console."""
    server = Server(ServerSettings(port=0), DeskSource())
    await server.start()
    yield server.url
    await server.close()


async def rendered(url: str, folder: Path, *, width: int = 1300) -> str:
    """The page's DOM after its script ran."""
    process = await asyncio.create_subprocess_exec(
        browser(), *HEADLESS, f"--user-data-dir={folder}", f"--window-size={width},900",
        "--virtual-time-budget=3000", "--dump-dom", f"{url}/",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=die_with_parent(),
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    return out.decode()


async def test_the_console_shows_the_desk(url: str, tmp_path: Path) -> None:
    """Banner, alert, accounts beside the venue's numbers, feeds, rules and measures."""
    page = await rendered(url, tmp_path)
    assert '<strong id="verdict" class="danger">Danger</strong>' in page
    assert "<b>OBSERVE</b> nothing can be sent to a venue" in page
    assert ">SIMULATED<" in page
    assert '<span id="simulated" class="chip sim">' in page
    assert "hyperliquid · main" in page
    assert "50,000.25" in page
    assert "WOULD HAVE cut gross to 70 %" in page
    assert "margin_high" in page
    assert "activeAssetCtx" in page
    assert "WOULD HAVE blocked new risk on account &lt;hyperliquid/main&gt;" in page
    assert "equity_usd" in page


async def kill_panel(folder: Path, kill: object, mode: str = "rehearse") -> tuple[str, str]:
    """The header and the kill switch's panel as they are drawn."""
    server = Server(ServerSettings(port=0), DeskSource(kill, mode))
    await server.start()
    try:
        page = await rendered(server.url, folder)
    finally:
        await server.close()
    header = page.split("<header")[1].split("</header>")[0]
    return header, page.split('<section id="kill-box"')[1].split("</section>")[0]


@pytest.mark.parametrize("mode", ["observe", "rehearse", "armed"])
async def test_each_mode_has_a_banner_of_its_own(mode: str, tmp_path: Path) -> None:
    """Its word in capitals, and the mark that the style sheet colours it by."""
    header, panel = await kill_panel(tmp_path, kill_of(mode=mode), mode)
    assert f"<b>{mode.upper()}</b>" in header
    assert f'data-mode="{mode}"' in header
    assert 'data-tone="quiet"' in panel
    assert "Nothing is latched, nothing is blocked." in panel
    assert 'id="latched" hidden' in header


async def test_a_latch_says_all_that_a_person_needs(tmp_path: Path) -> None:
    """Scope, level, goal, stage, since, by whom, what is blocked and not, what is left, and the
    command that clears it; the worst stage colours the panel."""
    kill = kill_of(contained(), incomplete(), would_fire=(ASKED,))
    header, panel = await kill_panel(tmp_path, kill)
    assert "CUT venue:hyperliquid: contained" in header
    assert "FLATTEN asset:HYPE: incomplete" in header
    assert 'data-tone="danger"' in panel
    first, second = panel.split("<article")[1:]
    for text in (
        "stage-contained", ">CUT<", ">venue:hyperliquid<", "to 95 % of $710k", ">contained<",
        "3 min", "rule:funding_storm", "risk-increasing orders are cancelled and blocked",
        "orders that reduce, hedges stay paired", ">nothing<",
        ">riskd rearm --scope venue:hyperliquid<", ">riskd audit explain trip-90cb10dc7c7d<",
    ):  # fmt: skip
        assert text in first, text
    for text in (
        "stage-incomplete", ">FLATTEN<", ">asset:HYPE<", "person:ana", "out of HYPE &lt;i&gt;now",
        "hyperliquid/main HYPE $11,361: refused: &lt;b&gt;trading is halted",
        "dydx/main: no executor: act at the venue by hand", ">riskd rearm --scope asset:HYPE<",
    ):  # fmt: skip
        assert text in second, text
    assert ASKED in second


async def test_a_trip_that_works_does_not_say_that_nothing_is_left(tmp_path: Path) -> None:
    """Before the venue has answered, what is left is unknown."""
    latch = contained()
    latch.stage = Stage.EXECUTING
    _, panel = await kill_panel(tmp_path, kill_of(latch))
    assert '<span class="unknown">not known yet</span>' in panel
    assert ">nothing<" not in panel


async def test_holds_and_proposals_say_when_they_end(tmp_path: Path) -> None:
    """A hold with its release, a proposal with the time left and both commands."""
    kill = kill_of(held=tuple(holds()), proposed=(proposal(),))
    header, panel = await kill_panel(tmp_path, kill)
    assert "hold venue:dydx · hold account:hyperliquid/main" in header
    assert 'data-tone="attention"' in panel
    assert "by itself, 300 s after its data is good" in panel
    assert "by itself in 120 s" in panel
    assert "Nothing is latched" not in panel
    assert "11 min left" in panel
    assert ">riskd approve p-7f3a<" in panel
    assert ">riskd approve p-7f3a --refuse<" in panel


async def test_an_expired_proposal_is_not_shown_as_open(tmp_path: Path) -> None:
    """Nobody is sent to approve what cannot be approved any more."""
    _, panel = await kill_panel(tmp_path, kill_of(proposed=(proposal(left_s=0.0),)))
    assert ">expired<" in panel
    assert "left<" not in panel.split("it would")[0]


@pytest.mark.parametrize("kill", [{}, {"mode": None}], ids=["no document", "no mode"])
async def test_an_unknown_switch_is_drawn_as_unknown(kill: object, tmp_path: Path) -> None:
    """Never as one that blocks nothing."""
    _, panel = await kill_panel(tmp_path, kill)
    assert '<span class="unknown">unknown</span>' in panel
    assert "take everything for blocked" in panel
    assert "Nothing is latched" not in panel


async def test_a_switch_that_started_stricter_says_why(tmp_path: Path) -> None:
    """A store that could not be read is no footnote."""
    _, panel = await kill_panel(tmp_path, kill_of(problem="the store cannot be read"))
    assert 'data-tone="danger"' in panel
    assert "It started stricter than it was kept: the store cannot be read" in panel


async def test_unknown_is_drawn_as_unknown(url: str, tmp_path: Path) -> None:
    """The dark account has the word, hatched, and no number."""
    page = await rendered(url, tmp_path)
    dark = page.split("hyperliquid · dark")[1].split("</table>")[0]
    assert dark.count('class="unknown"') >= 12
    assert "0.00" not in dark


async def test_venue_text_is_never_taken_as_html(url: str, tmp_path: Path) -> None:
    """A name or a reason cannot inject markup."""
    page = await rendered(url, tmp_path)
    assert "Margin &lt;b&gt;usage&lt;/b&gt; 71 %" in page


async def test_alerts_link_to_their_runbooks(url: str, tmp_path: Path) -> None:
    """One click from what fires to what to do about it."""
    page = await rendered(url, tmp_path)
    assert '<a href="http://127.0.0.1:9470/runbooks/margin_usage_high"' in page
    assert '<a href="/runbooks/margin_usage_high"' in page


async def test_a_silent_daemon_is_said_loudly(tmp_path: Path) -> None:
    """When the API does not answer, the page says so instead of keeping old numbers."""

    class Gone(DeskSource):
        def state(self) -> object:
            raise RuntimeError

    server = Server(ServerSettings(port=0), Gone())
    await server.start()
    try:
        page = await rendered(server.url, tmp_path)
    finally:
        await server.close()
    assert "riskd does not answer" in page
    assert "It answered with status 500." in page
    panel = page.split('<section id="kill-box"')[1].split("</section>")[0]
    assert 'data-tone="unknown"' in panel
    assert '<span class="unknown">unknown</span>' in panel
