"""The verbs that need no running daemon, as processes: recordings decoded, the demo to its end."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest

from tests.e2e.rig import Finished, command
from tests.shared_data import shared_data

pytestmark = [pytest.mark.component, pytest.mark.asyncio(loop_scope="session")]

NO_RECORDING = frozenset({"README.md", "signing_vectors.json"})
DEMO_SPEED = 40  # a multiple of what people are shown
DEMO_S_MAX = 300.0
TOLD = re.compile(r"\[SIMULATED (?P<minutes>\d+):(?P<seconds>\d\d)\] (?P<who>\w+) +(?P<text>.*)")
EXPENSIVE, CRITICAL = "Funding is expensive across the book", "Margin usage is critical"
SILENT = "A feed is silent"
# Who says what between which simulated seconds, each in this order.
STORY = (
    ("world", "Markets are quiet", 0, 5),
    ("world", "Traders pile into longs", 42, 50),
    ("riskd", f"waits to be sure: {EXPENSIVE}", 50, 110),
    ("riskd", "WOULD HAVE cut gross of portfolio to 70 %, by funding_broad_expense", 350, 415),
    ("PAGE", f"critical: {EXPENSIVE}", 350, 416),
    ("world", "Margins shrink", 417, 425),
    ("riskd", f"waits to be sure: {CRITICAL}", 570, 620),
    ("riskd", "WOULD HAVE cut gross of account hyperliquid/main to 70 %", 590, 650),
    ("PAGE", f"critical: {CRITICAL}", 590, 660),
    ("world", "A feed dies", 627, 635),
    ("PAGE", SILENT, 660, 760),  # 630, silent after 10, fires after 30, waits for 45 s
    ("world", "The feed is back", 777, 785),
    ("ENDED", SILENT, 830, 920),  # 780, and 60 s of a living feed
    ("world", "Quiet again", 957, 965),
    ("ENDED", "Liquidation within 1.5 daily sigmas", 1380, 2800),
    ("ENDED", CRITICAL, 2500, 2800),
    ("gate", "the way back into venue hyperliquid is shut since ", 140, 200),
    ("gate", "to open it, funding_storm wants 60 s of ", 140, 200),
    ("desk", "Not met: funding_storm is firing about venue:hyperliquid.", 290, 420),
    ("desk", "Funding is still high: the desk does not confirm, and waits.", 290, 420),
    ("gate", "is shut since ", 360, 500),
    ("gate", "the way back into venue hyperliquid is open, ", 930, 1060),
    ("desk", "Not met: nothing.", 930, 1100),
    (
        "riskd",
        "asks a person whether to cut gross of portfolio to 70 %, by funding_stress.",
        1200,
        2600,
    ),
    ("riskd", "in 47 min of theirs", 2815, 2830),
    ("riskd", "WOULD HAVE cut gross of portfolio to 70 %", 2815, 2830),
    (
        "riskd",
        "still open: Funding stress across assets (ends after 24 h of known calm)",
        2815,
        2830,
    ),
    ("riskd", f"still open: {EXPENSIVE} (ends after 24 h of known calm)", 2815, 2830),
)


def recordings(venue: str) -> list[str]:
    """Every recorded file of a venue."""
    folder = shared_data(f"venues/{venue}")
    return sorted(
        str(path) for path in folder.rglob("*") if path.is_file() and path.name not in NO_RECORDING
    )


class Told(msgspec.Struct):
    """What every line of ``decode`` says of itself."""

    type: str


@pytest.mark.parametrize("venue", ["dydx", "hyperliquid"])
async def test_every_recording_decodes(venue: str) -> None:
    """All recorded frames and bodies of a venue become events, one JSON line each; exit code 0."""
    files = recordings(venue)
    assert len(files) > 20
    decoded = await command("decode", venue, *files)
    assert decoded.code == 0, decoded.err[-2000:]
    assert decoded.err == ""
    kinds = {msgspec.json.decode(line, type=Told).type for line in decoded.out.splitlines()}
    assert len(kinds) > 8, kinds


@pytest.mark.parametrize(
    ("venue", "name", "content", "words"),
    [
        pytest.param("hyperliquid", "cut.json", '{"channel":"bbo","data":{"co', "", id="cut short"),
        pytest.param("dydx", "binary.bin", "\x00\xff\x17", "", id="not even text"),
        pytest.param(
            "hyperliquid",
            "number.json",
            '{"channel":"bbo","data":{"coin":"BTC","time":1,"bbo":[{"px":"","sz":"1","n":1},null]}}',
            "",
            id="empty string for a number",
        ),
    ],
)
async def test_a_broken_recording_is_named(
    venue: str, name: str, content: str, words: str, tmp_path: Path
) -> None:
    """Exit code 1 and the file with the reason; what can be read is printed all the same."""
    broken = tmp_path / name
    broken.write_bytes(content.encode("latin-1"))
    good = recordings(venue)[0]
    decoded = await command("decode", venue, str(broken), good)
    assert decoded.code == 1
    told = decoded.err.splitlines()
    assert told[0].startswith(f"{broken}: ")
    assert words in told[0]
    assert told[-1] == "1 recording could not be read."
    assert "Traceback" not in decoded.err
    assert decoded.out.count("\n") > 0


async def test_decode_says_what_it_does_not_know(tmp_path: Path) -> None:
    """An unknown endpoint lists the known ones; a file that is not there is a mistake to mend."""
    wrong = await command("decode", "dydx", "--endpoint=nope", str(tmp_path / "x.json"))
    assert wrong.code == 2
    assert "no endpoint 'nope'. Known: " in wrong.err
    missing = await command("decode", "dydx", str(tmp_path / "x.json"))
    assert missing.code == 2
    assert "cannot read" in missing.err


async def test_the_demo_tells_its_story_and_ends(tmp_path: Path) -> None:
    """It is marked SIMULATED throughout, tells its story in order, points to ``init``, leaves no
    process behind, and its journal gives the same decisions byte for byte."""
    kept, temporary = tmp_path / "kept", tmp_path / "temporary"
    temporary.mkdir()
    demo = await command(
        "demo",
        f"--speed={DEMO_SPEED}",
        "--port=0",
        f"--keep={kept}",
        timeout_s=DEMO_S_MAX,
        env={"TMPDIR": str(temporary)},
    )
    assert demo.code == 0, demo
    assert demo.err == ""
    _check_story(demo)
    assert processes_about(str(tmp_path)) == []
    assert list(temporary.iterdir()) == []
    replayed = await command("replay", str(kept / "data"), timeout_s=120.0)
    assert replayed.code == 0, replayed.err
    assert "all the same byte for byte" in replayed.err


def _check_story(demo: Finished) -> None:
    lines = demo.out.splitlines()
    assert all(line.startswith(("[SIMULATED", "  riskd ")) for line in lines)
    assert "riskd init --hyperliquid 0x… --dydx dydx1…" in demo.out
    told = [match for line in lines if (match := TOLD.match(line))]
    storm = next(at for at, line in enumerate(told) if "pile into longs" in line["text"])
    assert not any(line["who"] == "PAGE" for line in told[:storm]), "calm is silent"
    # Each speaks in order; who is first in a second that two share is not the story.
    rest = {who: iter([one for one in told if one["who"] == who]) for who, *_ in STORY}
    for who, text, from_s, to_s in STORY:
        found = next((one for one in rest[who] if text in one["text"]), None)
        assert found is not None, f"{who}: {text} is not told, or not in its turn\n{demo.out}"
        at_s = 60 * int(found["minutes"]) + int(found["seconds"])
        # The same on every machine: simulated time waits for whoever lives in it.
        assert from_s <= at_s <= to_s, f"{found[0]}\n{demo.out}"


def processes_about(text: str) -> list[str]:
    """Command lines of living processes that mention ``text``, but for this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.parent.name == str(os.getpid()):
            continue
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue  # ended meanwhile
        if text in words:
            found.append(words)
    return found
