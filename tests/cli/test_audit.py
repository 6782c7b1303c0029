"""``riskd audit``: the record checked, one trip on one screen, the whole of it as JSON lines."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.cli.audit import HEIGHT, WIDTH
from monitor.cli.main import main
from monitor.core.killswitch.facts import AuditEntry
from monitor.core.ports import Phase
from monitor.core.types import SECOND_NS
from monitor.store.audit import AuditStamp
from monitor.store.database import Store

START = 1_790_000_000 * SECOND_NS
TRIP = "4f2a9c"
Told = tuple[int, list[str], str]
Ask = Callable[..., Told]


def entry(
    action: str,
    after_s: float = 0.0,
    *,
    trip_id: str = TRIP,
    levels: tuple[int, int] = (3, 3),
    actor: str = "riskd",
    reason: str = "",
    details: tuple[tuple[str, str], ...] = (),
) -> AuditEntry:
    """One line of a trip, so long after its beginning."""
    return AuditEntry(
        at_ns=START + round(after_s * SECOND_NS),
        actor=actor,
        action=action,
        scope="portfolio",
        level_from=levels[0],
        level_to=levels[1],
        trip_id=trip_id,
        reason=reason,
        details=details,
    )


STORY = (
    entry(
        "tripped",
        levels=(0, 3),
        actor="rule:funding_stress",
        reason="funding_stress_index 63.2 >= 60.0, 1.2 s old, from both venues; seen twice",
        details=(("since_ns", str(START)), ("gross_to_ratio", "0.70")),
    ),
    entry("cancel", 0.412, details=(("account", "hyperliquid/main"), ("o1", "buy 2 BTC"))),
    entry(
        "plan",
        1.25,
        details=(("gross_before_usd", "4210000.00"), ("goal_usd", "2947000.00"), ("round", "1")),
    ),
    *(entry("order_ended", 2 + i / 10, details=(("client_id", f"0x{i:04x}"),)) for i in range(40)),
    entry(
        "account_incomplete",
        9.0,
        reason="hyperliquid/main BTC $12,000: the venue refuses",
        details=(("account", "hyperliquid/main"),),
    ),
    entry("account_contained", 31.0, details=(("account", "hyperliquid/main"),)),
)
OTHER = entry("refused", 40, trip_id="", levels=(0, 5), actor="rule:bad", reason="no such scope")


async def _write(directory: Path, entries: tuple[AuditEntry, ...]) -> None:
    stamp = AuditStamp(config_hash="c0ffee", code_version="0.3.0", key=b"k" * 32)
    store = Store(directory, stamp=stamp, kill_deadline_s=10.0)
    await store.persist(Phase(at_ns=START, kill_state=b"1", audit=entries))
    store.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with one trip and one refusal in its record."""
    asyncio.run(_write(tmp_path, (*STORY, OTHER)))
    return tmp_path


@pytest.fixture
def ask(data: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs the verb on it: exit code, lines, and what was said on standard error."""

    def run(action: str, *words: str) -> Told:
        code = main(["audit", action, "--data", str(data), *words])
        told = capsys.readouterr()
        return code, told.out.splitlines(), told.err

    return run


def change(data: Path, statement: str) -> None:
    """Behind riskd's back."""
    with sqlite3.connect(data / "riskd.db") as connection:
        connection.execute("DROP TRIGGER audit_no_update")
        connection.execute("DROP TRIGGER audit_no_delete")
        connection.execute(statement)
    connection.close()


# ------------------------------------------------------------------------------------- verify


def test_a_whole_record(ask: Ask) -> None:
    """Says how much, and the head to note elsewhere."""
    code, lines, _ = ask("verify")
    assert code == 0
    assert lines[0] == f"{len(STORY) + 1} entries, all as riskd wrote them; anchored up to 46."
    assert lines[1].startswith("Head 46 ")


def test_a_key_is_told(ask: Ask, data: Path) -> None:
    """A good one by what it vouches for; a wrong one by its findings."""
    (data / "key").write_bytes(b"k" * 32)
    assert "46 keyed" in ask("verify", "--key-file", str(data / "key"))[1][0]
    (data / "key").write_bytes(b"x" * 32)
    assert ask("verify", "--key-file", str(data / "key"))[0] == 1
    (data / "key").write_bytes(b"x")
    code, _, said = ask("verify", "--key-file", str(data / "key"))
    assert (code, "is too short" in said) == (2, True)


def test_a_broken_record_says_what_where_and_what_to_do(ask: Ask, data: Path) -> None:
    """Exit code 1."""
    change(data, "UPDATE audit SET record = replace(record, '63.2', '59.9') WHERE seq = 1")
    code, lines, _ = ask("verify")
    assert code == 1
    assert "BROKEN  Entry 1: its content is not what was hashed: edited." in lines
    assert any(line.startswith("        To do: Keep a copy") for line in lines)
    assert not any("all as riskd wrote them" in line for line in lines)


def test_a_file_that_is_no_database_is_broken(ask: Ask, data: Path) -> None:
    """The record is not as riskd wrote it: exit code 1, not a mistake in asking."""
    for name in ("riskd.db-wal", "riskd.db-shm"):
        (data / name).unlink(missing_ok=True)
    (data / "riskd.db").write_bytes(b"garbage " * 1000)
    code, lines, _ = ask("verify")
    assert (code, lines[0].startswith("BROKEN  The store")) == (1, True)
    assert ask("explain", TRIP)[0] == 2


def test_an_empty_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new riskd was never asked for anything; nothing can be explained."""
    Store(tmp_path).close()
    assert main(["audit", "verify", "--data", str(tmp_path)]) == 0
    assert "never asked for anything" in capsys.readouterr().out
    assert main(["audit", "explain", "last", "--data", str(tmp_path)]) == 2
    assert "There is no trip." in capsys.readouterr().err


def test_the_place_is_the_configurations(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --data the configuration says where, beside itself; without either, what to do."""
    monkeypatch.chdir(data)
    (data / "riskd.yaml").write_text(
        "data_dir: .\nvenues: {hyperliquid: {accounts: "
        "[{alias: main, address: '0x14791697260E4c9A71f18484C9f997B308e59325'}]}}\n"
    )
    assert main(["audit", "verify"]) == 0
    (data / "second").mkdir()
    (data / "audit.anchor").rename(data / "second" / "audit.anchor")
    assert main(["audit", "verify"]) == 1
    with (data / "riskd.yaml").open("a") as config:
        config.write("kill: {second_copy_dir: second}\n")
    assert main(["audit", "verify"]) == 0
    (data / "riskd.yaml").unlink()
    capsys.readouterr()
    assert main(["audit", "verify"]) == 2
    assert "There is no configuration at riskd.yaml" in capsys.readouterr().err
    assert main(["audit", "verify", "--data", str(data / "none")]) == 2
    assert "There is no store at" in capsys.readouterr().err


async def test_beside_a_running_riskd(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is read, not held: a phase is kept meanwhile, and neither waits."""
    store = Store(data, kill_deadline_s=10.0)
    await store.persist(Phase(at_ns=START, audit=(entry("later", 50),)))
    assert await asyncio.to_thread(main, ["audit", "explain", "last", "--data", str(data)]) == 0
    await store.persist(Phase(at_ns=START, audit=(entry("still later", 51),)))
    store.close()
    assert "later" in capsys.readouterr().out


# ------------------------------------------------------------------------------------ explain


def test_a_trip_on_one_screen(ask: Ask) -> None:
    """Who and why with the inputs, the plan's numbers, the times, the end; 80 columns, 24 lines."""
    code, lines, _ = ask("explain", TRIP)
    assert code == 0
    assert len(lines) <= HEIGHT
    assert max(map(len, lines)) <= WIDTH
    text = "\n".join(lines)
    for part in (
        f"Trip {TRIP}: CUT of portfolio, tripped by rule:funding_stress",
        "2026-09-21 14:13:20.000 UTC; entries 1 to 45 of the record",
        "Why   funding_stress_index 63.2 >= 60.0, 1.2 s old",
        "gross_to_ratio: 0.70",
        "Plan  round 1: gross before $4,210,000, goal $2,947,000",
        "    +0.000 s  tripped  NORMAL → CUT",
        "    +0.412 s  cancel  CUT  hyperliquid/main o1 buy 2 BTC",
        "    +9.000 s  account_incomplete  CUT  hyperliquid/main",
        "   +31.000 s  account_contained  CUT",
        "more",
        "End   hyperliquid/main CONTAINED",
        "riskd 0.3.0, configuration c0ffee",
    ):
        assert part in text


def plan(after_s: float, number: int, *more: tuple[str, str]) -> AuditEntry:
    """One round of a trip."""
    sums = (("round", str(number)), ("gross_before_usd", "673674.9"), ("cost_usd", "4.8"))
    return entry("plan", after_s, details=(*sums, *more))


SOLD = ("hyperliquid/main/BTC", "sell 0.4 BTC at 84579")
BOUGHT = ("hyperliquid/main/SOL", "buy 459 SOL at 221")
SHORT = ("shortfall", "dydx/main ETH-USD $1,000: no executor")
MET = ("note", "gross 470,720 USD is within the goal: nothing to cut")


@pytest.mark.parametrize(
    ("plans", "shown"),
    [
        pytest.param(
            (plan(1, 1, SOLD, BOUGHT, SHORT), plan(2, 2, MET)),
            (
                "Plan  round 1: gross before $673,675, cost $5",
                "      sell 0.4 BTC at 84579 (hyperliquid/main/BTC)",
                "      buy 459 SOL at 221 (hyperliquid/main/SOL)",
                "      shortfall: dydx/main ETH-USD $1,000: no executor",
            ),
            id="one that was sent, and then nothing was left",
        ),
        pytest.param(
            (plan(1, 1, SOLD), plan(2, 2, BOUGHT), plan(3, 3, MET)),
            (
                "Plan  round 1 of 2 with orders: gross before $673,675, cost $5",
                "      sell 0.4 BTC at 84579 (hyperliquid/main/BTC)",
            ),
            id="the first of several",
        ),
        pytest.param(
            (plan(1, 1, MET), plan(2, 2, SHORT)),
            (
                "Plan  round 2: gross before $673,675, cost $5",
                "      shortfall: dydx/main ETH-USD $1,000: no executor",
            ),
            id="none was sent: the newest says why",
        ),
    ],
)
def test_the_plan_that_was_carried_out_is_shown(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    plans: tuple[AuditEntry, ...],
    shown: tuple[str, ...],
) -> None:
    """Not the last one, which finds nothing left to do."""
    asyncio.run(_write(tmp_path, (STORY[0], *plans)))
    assert main(["audit", "explain", TRIP, "--data", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index(shown[0])
    assert tuple(lines[start : start + len(shown)]) == shown


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param("4f2", id="first letters"),
        pytest.param("2", id="number of an entry of it"),
        pytest.param("last", id="last"),
    ],
)
def test_ways_to_name_a_trip(ask: Ask, wanted: str) -> None:
    """All the same trip."""
    assert ask("explain", wanted)[1][0].startswith(f"Trip {TRIP}: CUT")


def test_a_decision_without_a_trip(ask: Ask) -> None:
    """A refusal, or what an observing riskd would have done, is explained by its entry."""
    code, lines, _ = ask("explain", "46")
    assert code == 0
    assert lines[0] == "Entry 46: FLATTEN of portfolio, refused by rule:bad"
    assert "Why   no such scope" in lines


def test_every_entry_whole(ask: Ask) -> None:
    """Nothing is cut off with --all."""
    lines = ask("explain", TRIP, "--all")[1]
    assert sum("order_ended" in line for line in lines) == 40
    assert any("0x0027" in line for line in lines)


def test_nothing_of_that_id(ask: Ask) -> None:
    """Exit code 2, and what there is."""
    code, _, said = ask("explain", "nothing")
    assert code == 2
    assert said == (
        f"riskd: The record has nothing of the id 'nothing'. The newest trips: {TRIP}.\n"
    )


def test_the_beginning_of_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are named."""
    trips = tuple(entry("tripped", i, trip_id=f"t-{i}") for i in range(3))
    asyncio.run(_write(tmp_path, trips))
    assert main(["audit", "explain", "t-", "--data", str(tmp_path)]) == 2
    assert "the beginning of several: t-0, t-1, t-2." in capsys.readouterr().err


def test_a_damaged_entry_hides_no_other(ask: Ask, data: Path) -> None:
    """The rest of the trip is still explained, and the damage is named."""
    change(data, "UPDATE audit SET record = 'x' WHERE seq = 3")
    code, lines, said = ask("explain", TRIP)
    assert (code, lines[0].startswith("Trip")) == (0, True)
    assert "Entry 3 of the audit cannot be read" in said


# ------------------------------------------------------------------------------------- export


def test_an_export_is_the_record_byte_for_byte(ask: Ask, data: Path) -> None:
    """A line for each entry, the head last; it can be checked, and be an anchor, elsewhere."""
    out = data / "export.jsonl"
    code, lines, said = ask("export")
    assert (code, said) == (0, "46 entries exported.\n")
    assert ask("export", "--out", str(out))[0] == 0
    assert out.read_text().splitlines() == lines
    rows = [json.loads(line) for line in lines]
    assert rows[0]["record"]["action"] == "tripped"
    assert rows[-1] == {
        "lineage": rows[-1]["lineage"],
        "seq": 46,
        "hash": rows[-2]["hash"],
        "mac": rows[-2]["mac"],
        "ts_wall_ns": 0,
    }
    head = data / "head"
    head.write_text(lines[-1] + "\n")
    assert ask("verify", "--anchor", str(head))[0] == 0
    change(data, "DELETE FROM audit WHERE seq = 46")
    assert "the tail was cut off" in "\n".join(ask("verify", "--anchor", str(head))[1])


def test_an_export_replaces_nothing(ask: Ask, data: Path) -> None:
    """A file that is there is kept: exit code 2."""
    out = data / "export.jsonl"
    out.write_text("mine")
    code, _, said = ask("export", "--out", str(out))
    assert (code, "cannot be written: file exists" in said) == (2, True)
    assert out.read_text() == "mine"
