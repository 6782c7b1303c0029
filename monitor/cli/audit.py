"""``riskd audit``: check the kill switch's record, explain one trip on one screen, or export it.

Reads the store's file itself and never writes to it, so it works beside a running riskd and without
one.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import orjson

from monitor.app.stores import audit_key
from monitor.config import load_config
from monitor.core.errors import MonitorError, StoreError
from monitor.core.killswitch.levels import Level
from monitor.core.types import SECOND_NS
from monitor.store.audit import AuditHead, AuditRecord, read_head, read_key, read_rows
from monitor.store.audit_check import (
    UnreadableStoreError,
    Verdict,
    decode_record,
    open_for_reading,
    verify,
)
from monitor.store.database import DATABASE_NAME
from monitor.store.second_copy import ANCHOR_NAME

WIDTH, HEIGHT = 80, 24
TRIPS_TOLD = 8  # where the one that was asked for is not there
NEWEST = "last"
PLAN_SUMS = ("gross_before_usd", "gross_after_usd", "goal_usd", "cost_usd")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Three actions, and where the record is."""
    parser.description = (
        "The record of what the kill switch was asked, decided and did. Each entry is chained to "
        "the\none before by its hash, and the newest are noted in a second file (the anchor), so "
        "that an\nedit, a deletion, an exchange and a cut-off tail all show. Works while riskd "
        "runs and when\nit is down; never writes."
    )
    parser.epilog = (
        "exit code: 0 fine, 1 the record is not as riskd wrote it (verify), 2 there is no such "
        "record,\nor a mistake you can mend"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "walk the whole chain: what is broken, where, and what to do"
    check = actions.add_parser("verify", help=text, description=f"{text.capitalize()}.")
    check.add_argument(
        "--anchor",
        type=Path,
        metavar="FILE",
        help="the heads noted outside the store, or the last line of an export (default "
        f"{ANCHOR_NAME} beside the second copy: in kill.second_copy_dir, or the data directory)",
    )
    check.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="the key of the macs (default: that of kill.audit_key_*, if one is set)",
    )
    text = "one trip or decision on one screen"
    tell = actions.add_parser("explain", help=text, description=f"Shows {text}.")
    tell.add_argument(
        "id", help="id of a trip, id or number of an entry, the first letters of one, or `last`"
    )
    tell.add_argument("--all", action="store_true", help="every entry whole, however long")
    text = "every entry as JSON lines, the newest head as the last line"
    give = actions.add_parser("export", help=text, description=f"Writes {text}.")
    give.add_argument(
        "--out", type=Path, metavar="FILE", help="a new file (default: standard output)"
    )
    for action in (check, tell, give):
        _add_place(action)


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("riskd.yaml"),
        metavar="FILE",
        help="the configuration that names the data directory (default riskd.yaml)",
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="the data directory itself, instead of --config"
    )


def run(arguments: argparse.Namespace) -> int:
    """Does one of the three; returns the exit code."""
    data, second, key = _place(arguments)
    try:
        return _run(arguments, data, second, key)
    except UnreadableStoreError as error:
        if arguments.action != "verify":
            raise
        print(f"BROKEN  {error}")
        return 1


def _run(arguments: argparse.Namespace, data: Path, second: Path, key: bytes) -> int:
    with open_for_reading(data / DATABASE_NAME) as connection:
        match arguments.action:
            case "verify":
                return _verify(arguments, second / ANCHOR_NAME, key, connection)
            case "explain":
                return _explain(arguments, connection)
            case _:
                return _export(arguments, connection)


def _place(arguments: argparse.Namespace) -> tuple[Path, Path, bytes]:
    """The directories of the store and of its second copy, and the key of the macs if it is known
    here: whoever only explains or exports needs none."""
    wanted = arguments.action == "verify"
    named = arguments.key_file if wanted else None
    key = b"" if named is None else read_key(named)
    if arguments.data is not None:
        return arguments.data, arguments.data, key
    base: Path = arguments.config.parent
    config = load_config(arguments.config)
    if wanted and named is None:
        key = audit_key(config.kill, base=base)
    data = base / config.data_dir
    second = config.kill.second_copy_dir
    return data, base / second if second else data, key


# ------------------------------------------------------------------------------------- verify


def _verify(
    arguments: argparse.Namespace, anchor: Path, key: bytes, connection: sqlite3.Connection
) -> int:
    verdict = verify(connection, anchor=arguments.anchor or anchor, key=key)
    print("\n".join(verdict_lines(verdict)))
    return 0 if verdict.intact else 1


def verdict_lines(verdict: Verdict) -> list[str]:
    """What a walk found, in words."""
    lines = []
    for finding in verdict.findings:
        where = "The chain" if finding.seq is None else f"Entry {finding.seq}"
        lines.append(f"BROKEN  {where}: {finding.what}")
    lines += [f"        To do: {todo}" for todo in dict.fromkeys(f.todo for f in verdict.findings)]
    lines += [f"note    {note}" for note in verdict.notes]
    if not verdict.intact:
        return lines
    if verdict.head is None:
        return [*lines, "The record is empty: the kill switch was never asked for anything."]
    keyed = "" if verdict.keyed is None else f", {verdict.keyed} keyed"
    count, anchored = verdict.records, verdict.anchored or 0
    fine = f"{count} entries, all as riskd wrote them{keyed}; anchored up to {anchored}."
    return [*lines, fine, f"Head {verdict.head.seq} {verdict.head.hash}"]


# ------------------------------------------------------------------------------------ explain


def _explain(arguments: argparse.Namespace, connection: sqlite3.Connection) -> int:
    records = list(_readable(connection))
    chosen = choose(records, arguments.id)
    lines = whole(chosen) if arguments.all else screen(chosen)
    print("\n".join(lines))
    return 0


def _readable(connection: sqlite3.Connection) -> Iterator[AuditRecord]:
    for row in read_rows(connection):
        try:
            yield decode_record(row)
        except StoreError as error:
            print(f"{error} Run `riskd audit verify`.", file=sys.stderr)


def choose(records: list[AuditRecord], wanted: str) -> list[AuditRecord]:
    """The entries of one trip, or the one entry that belongs to none.

    Raises:
        MonitorError: There is none, or more than one; the text lists what there is.
    """
    if wanted == NEWEST and records:
        newest = next((one for one in reversed(records) if one.trip_id), records[-1])
        wanted = newest.trip_id or newest.id
    trips = {one.trip_id for one in records if one.trip_id}
    by_name = {one.id: one for one in records} | {str(one.seq): one for one in records}
    if wanted in trips:
        return [one for one in records if one.trip_id == wanted]
    if wanted in by_name:
        return _with_its_trip(records, by_name[wanted])
    near = sorted(name for name in (*trips, *by_name) if wanted and name.startswith(wanted))
    if len(near) == 1:
        return choose(records, near[0])
    if near:
        raise MonitorError(f"{wanted} is the beginning of several: {', '.join(near[:TRIPS_TOLD])}.")
    known = list(dict.fromkeys(one.trip_id for one in reversed(records) if one.trip_id))
    told = f"The newest trips: {', '.join(known[:TRIPS_TOLD])}." if known else "There is no trip."
    raise MonitorError(f"The record has nothing of the id {wanted!r}. {told}")


def _with_its_trip(records: list[AuditRecord], one: AuditRecord) -> list[AuditRecord]:
    return [each for each in records if each.trip_id == one.trip_id] if one.trip_id else [one]


def screen(records: list[AuditRecord]) -> list[str]:
    """One trip in 80 columns and 24 lines: who and why, the plan, what happened when, the end."""
    first, last = records[0], records[-1]
    top = max(records, key=lambda one: one.level_to)
    name = f"Trip {first.trip_id}" if first.trip_id else f"Entry {first.seq}"
    lines = [
        _cut(f"{name}: {_level(top.level_to)} of {first.scope}, {top.action} by {top.actor}"),
        _cut(f"{_moment(first.engine_ns)}; entries {first.seq} to {last.seq} of the record"),
    ]
    lines += _section("Why", [first.reason, *_pairs(first)], most=6)
    lines += _section("Plan", _plan(records), most=6)
    end = _ends(records)
    written = f"riskd {first.code_version or '-'}, configuration {first.config_hash or '-'}"
    foot = [
        *_section("End", end or ["not settled yet"], most=4),
        f"{written}; --all shows every entry whole",
    ]
    room = max(3, HEIGHT - len(lines) - len(foot))
    lines += _timeline(records, room)
    return [*lines, *(_cut(line) for line in foot)]


def _plan(records: list[AuditRecord]) -> list[str]:
    """The plan that was carried out: the first with orders, since those of later rounds do what it
    left. Without any the newest, which says what stood in the way; nothing where none was made."""
    plans = [one for one in records if one.action == "plan"]
    sent = [one for one in plans if _orders(one)]
    if not plans:
        return []
    chosen = sent[0] if sent else plans[-1]
    told = dict(chosen.details)
    sums = ", ".join(
        f"{name.removesuffix('_usd').replace('_', ' ')} {_usd(told[name])}"
        for name in PLAN_SUMS
        if name in told
    )
    of = f" of {len(sent)} with orders" if len(sent) > 1 else ""
    head = f"round {told.get('round', '?')}{of}: {sums}"
    rest = [f"{name}: {value}" for name, value in chosen.details if name in {"shortfall", "note"}]
    return [head, *_orders(chosen), chosen.reason, *rest]


def _usd(text: str) -> str:
    try:
        return f"${float(text):,.0f}"
    except ValueError:
        return text  # edited: `riskd audit verify` says so


def _orders(plan: AuditRecord) -> list[str]:
    """What a plan sent; a leg is named by venue, account and market."""
    return [f"{value} ({name})" for name, value in plan.details if name.count("/") >= 2]


def whole(records: list[AuditRecord]) -> list[str]:
    """Every entry with all that it carries."""
    lines: list[str] = []
    for one in records:
        lines.append(
            f"{one.seq}  {_moment(one.engine_ns)}  {one.action}  {_levels(one)}  {one.scope}  "
            f"by {one.actor}"
        )
        lines += [f"    {text}" for text in filter(None, (one.reason, *_pairs(one)))]
        lines.append(f"    id {one.id}, riskd {one.code_version}, configuration {one.config_hash}")
    return lines


def _timeline(records: list[AuditRecord], room: int) -> list[str]:
    start_ns = records[0].engine_ns
    lines = []
    for one in records:
        seconds = (one.engine_ns - start_ns) / SECOND_NS
        account = dict(one.details).get("account", "")
        text = " ".join(filter(None, (account, _gist(one))))
        lines.append(_cut(f"{seconds:+10.3f} s  {one.action}  {_levels(one)}  {text}".rstrip()))
    if len(lines) > room:
        head = max(1, room // 2 - 1)
        tail = room - head - 1
        left_out = len(lines) - head - tail
        lines = [*lines[:head], f"{'…':>12}  {left_out} more", *lines[len(lines) - tail :]]
    return lines


def _gist(one: AuditRecord) -> str:
    if one.reason:
        return one.reason
    return ", ".join(f"{name} {value}" for name, value in one.details if name != "account")


def _ends(records: list[AuditRecord]) -> list[str]:
    """How each account stands by the newest entry about its end."""
    ends: dict[str, str] = {}
    for one in records:
        if one.action.startswith("account_"):
            account = dict(one.details).get("account", one.scope)
            word = one.action.removeprefix("account_").upper()
            ends[account] = f"{account} {word}{f': {one.reason}' if one.reason else ''}"
    return list(ends.values())


def _section(name: str, texts: list[str], *, most: int) -> list[str]:
    rows = [row for text in texts if text for row in textwrap.wrap(text, WIDTH - 6)]
    if len(rows) > most:
        rows = [*rows[: most - 1], f"… {len(rows) - most + 1} more lines"]
    return [f"{name if i == 0 else '':<6}{row}" for i, row in enumerate(rows)]


def _pairs(one: AuditRecord) -> Iterator[str]:
    for name, value in one.details:
        if value:
            yield f"{name}: {value}"


def _levels(one: AuditRecord) -> str:
    before, after = _level(one.level_from), _level(one.level_to)
    return after if before == after else f"{before} → {after}"


def _level(number: int) -> str:
    return Level(number).name if number in Level.__members__.values() else f"level {number}"


def _moment(engine_ns: int) -> str:
    at = datetime.fromtimestamp(engine_ns // SECOND_NS, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{engine_ns % SECOND_NS // 1_000_000:03d} UTC"


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1].rstrip() + "…"


# ------------------------------------------------------------------------------------- export


def _export(arguments: argparse.Namespace, connection: sqlite3.Connection) -> int:
    head = read_head(connection)
    if arguments.out is None:
        count = _write(connection, head, sys.stdout.buffer.write)
        sys.stdout.flush()
    else:
        path: Path = arguments.out
        try:
            with path.open("xb") as file:
                count = _write(connection, head, file.write)
        except OSError as error:
            why = (error.strerror or type(error).__name__).lower()
            raise StoreError(f"The export {path} cannot be written: {why}.") from error
    print(f"{count} entries exported.", file=sys.stderr)
    return 0


def _write(
    connection: sqlite3.Connection, head: AuditHead | None, write: Callable[[bytes], int]
) -> int:
    """One line for each entry, ``record`` byte for byte as it was hashed; then the head."""
    count = 0
    for row in read_rows(connection):
        outside: Mapping[str, str] = {"hash": row.hash, "mac": row.mac, "prev_hash": row.prev_hash}
        write(orjson.dumps(outside)[:-1] + b',"record":' + row.record.encode() + b"}\n")
        count += 1
    if head is not None:
        write(msgspec.json.encode(head) + b"\n")
    return count
