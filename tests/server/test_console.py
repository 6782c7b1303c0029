"""The console in a real browser: what a trader reads, live and when riskd is gone."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from monitor.server.document import measures_document, state_document
from monitor.server.http import Server
from monitor.server.settings import ServerSettings
from tests.server.desk import KILL, NOW, Daemon, engine_of, seen_events

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
    """A desk with one seen and one dark account."""

    def __init__(self) -> None:
        self._engine = engine_of(*seen_events())

    def state(self) -> object:
        return state_document(
            self._engine,
            Daemon(),
            alerts=[ALERT],
            channels=[{"name": "alertmanager", "healthy": True, "proven": True, "waiting": 0}],
            kill={**KILL, "would_have": [WOULD_HAVE]},
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
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    return out.decode()


async def test_the_console_shows_the_desk(url: str, tmp_path: Path) -> None:
    """Banner, alert, accounts beside the venue's numbers, feeds, rules and measures."""
    page = await rendered(url, tmp_path)
    assert '<strong id="verdict" class="danger">Danger</strong>' in page
    assert "observe: nothing can be sent to a venue" in page
    assert ">SIMULATED<" in page
    assert '<span id="simulated" class="chip sim">' in page
    assert "hyperliquid · main" in page
    assert "50,000.25" in page
    assert "WOULD HAVE cut gross to 70 %" in page
    assert "margin_high" in page
    assert "activeAssetCtx" in page
    assert "WOULD HAVE blocked new risk on account &lt;hyperliquid/main&gt;" in page
    assert "equity_usd" in page


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
