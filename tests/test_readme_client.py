"""The README's client of the trading state: it runs as printed, and silence is never permission."""

from __future__ import annotations

import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import DaemonMode
from monitor.core.killswitch.state import KillState, Latch, Sight
from monitor.core.killswitch.trading import trading_state
from monitor.core.types import PORTFOLIO, SECOND_NS, Subject, venue_subject
from monitor.server.trading import Json, trading_document, with_lease

README = Path(__file__).parent.parent / "README.md"
KEY = b"k" * 24
LEGS = (("hyperliquid", "main", "BTC", "BTC"),)
BTC = ("hyperliquid", "main", "BTC", "BTC")


def printed() -> str:
    """The block that a reader copies."""
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return str(block)


class Riskd(http.server.BaseHTTPRequestHandler):
    """Answers with the class's document, or not at all."""

    document: Json | None = None

    def do_GET(self) -> None:
        """``/v1/trading-state``."""
        body = json.dumps(self.document).encode()
        self.send_response(200 if self.document is not None else 503)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def url() -> Iterator[str]:
    """Where it serves."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Riskd) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/trading-state"
        server.shutdown()
        thread.join()


def client(url: str) -> Any:
    """As printed in the README."""
    names: dict[str, Any] = {}
    exec(compile(printed(), "README", "exec"), names)  # noqa: S102 - our own README
    return names["TradingState"](url, KEY)


def document(*latches: tuple[Subject, Level], age_s: float = 0.0) -> Json:
    """What riskd says with these latched, ``age_s`` ago."""
    now = time.time_ns() - round(age_s * SECOND_NS)
    state = KillState(
        latches={
            scope: Latch(trip_id="t", scope=scope, level=level, since_ns=now)
            for scope, level in latches
        },
        sight=Sight(legs=LEGS),
    )
    told = trading_state(state, DaemonMode.ARMED, now)
    return trading_document(told, desk="desk-a", to_wall_ns=int)


@pytest.mark.parametrize(
    ("latches", "opens", "reduces", "hedges"),
    [
        pytest.param([], True, True, True, id="active"),
        pytest.param([(PORTFOLIO, Level.CUT)], False, True, True, id="reduce only; hedges exit"),
        pytest.param([(PORTFOLIO, Level.HALT)], False, False, False, id="halted"),
        pytest.param([(venue_subject("hyperliquid"), Level.CUT)], False, True, True, id="venue"),
        pytest.param([(venue_subject("dydx"), Level.HALT)], True, True, True, id="another venue"),
        pytest.param(
            [(Subject("account:hyperliquid/main.xyz"), Level.CUT)], False, True, True, id="a pool"
        ),
        pytest.param([(Subject("account:hyperliquid/main2"), Level.HALT)], True, True, True,
                     id="an account of a longer name"),
        pytest.param(
            [(PORTFOLIO, Level.CUT), (Subject("account:hyperliquid/main"), Level.HALT)],
            False, False, False,
            id="the stricter holds",
        ),
    ],
)  # fmt: skip
def test_what_it_allows(
    url: str, latches: list[tuple[Subject, Level]], opens: bool, reduces: bool, hedges: bool
) -> None:
    """For one market of one account."""
    Riskd.document = document(*latches)
    state = client(url)
    state.refresh()
    assert state.allows(*BTC, reduces=False) is opens
    assert state.allows(*BTC, reduces=True) is reduces
    assert state.allows(*BTC, reduces=False, lowers_net=True) is hedges


def test_silence_is_reduce_only(url: str) -> None:
    """Never asked, not answered, and an answer that has run out."""
    state = client(url)
    assert not state.allows(*BTC, reduces=False)
    Riskd.document = None
    state.refresh()
    assert state.state(*BTC) == "REDUCE_ONLY"
    assert state.allows(*BTC, reduces=True)
    Riskd.document = document(age_s=14.0)
    state.refresh()
    assert state.state(*BTC) == "ACTIVE"
    Riskd.document = document(age_s=15.5)
    state.refresh()
    assert state.state(*BTC) == "REDUCE_ONLY"
    assert not state.allows(*BTC, reduces=False, lowers_net=True), "the net is not known"
    Riskd.document = document((PORTFOLIO, Level.HALT), age_s=15.5)
    state.refresh()
    assert state.state(*BTC) == "HALTED", "silence never loosens"


@pytest.mark.parametrize(
    ("key", "desk", "state"),
    [
        pytest.param(KEY, "desk-a", "ACTIVE", id="signed"),
        pytest.param(b"x" * 24, "desk-a", "REDUCE_ONLY", id="by somebody else"),
        pytest.param(KEY, "desk-b", "REDUCE_ONLY", id="for another desk"),
    ],
)
def test_a_lease_is_believed_when_it_is_signed(url: str, key: bytes, desk: str, state: str) -> None:
    """Until it ends."""
    old = document(age_s=60.0)
    leased = with_lease({**old, "desk": desk}, key=key, lease_s=120, now_wall_ns=time.time_ns())
    Riskd.document = {**leased, "desk": "desk-a"}
    asked = client(url)
    asked.refresh()
    assert asked.state(*BTC) == state


def test_it_is_about_thirty_lines() -> None:
    """Short enough to be read before it is copied."""
    lines = [line for line in printed().splitlines() if line.strip()]
    assert len(lines) <= 35
