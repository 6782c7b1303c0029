"""``riskd noise``: how many pages a week each rule gives: of what was told, kept, or backtested.

Reads the store's file and never writes to it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import fsum
from pathlib import Path

import msgspec
import orjson

from monitor.app.rulebooks import rulebook_files
from monitor.cli.control import directory_of
from monitor.cli.noise_history import kept_history, noise_of
from monitor.config import load_document
from monitor.core.errors import ConfigError
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import parse_rulebook
from monitor.core.types import SECOND_NS, Severity
from monitor.notify.notice import Notice, NoticeKind
from monitor.rulebook import builtin_files
from monitor.store.audit_check import open_for_reading
from monitor.store.database import DATABASE_NAME
from monitor.store.rows import read_last_phase_ns

WEEK_NS = 7 * 86_400 * SECOND_NS
SHORT_NS = 86_400 * SECOND_NS  # of less than a day nothing can be said about a week
LOUD_A_WEEK = 10.0  # of all rules together: beyond it people stop reading (catalogue, section 7)
TOO_LOUD = 1


class Page(msgspec.Struct, frozen=True):
    """One episode that people were told of (``rule``), and when it began."""

    rule: str
    at_ns: int


def arguments(parser: argparse.ArgumentParser) -> None:
    """From the store, or from a file of transitions."""
    parser.add_argument(
        "--transitions",
        type=Path,
        metavar="FILE",
        help="of a backtest (transitions.jsonl), instead of what this riskd told in its last week",
    )
    parser.add_argument(
        "--history",
        action="store_true",
        help="judge the market rules anew over the history that riskd keeps: 30 days of funding, "
        "180 of prices",
    )
    parser.add_argument("--arm", default="", help="which run of that file (default: its first)")
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("riskd.yaml"),
        metavar="FILE",
        help="the configuration that names the data directory (default riskd.yaml)",
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="the data directory itself")
    parser.epilog = (
        "An episode counts once, however often it was sent again; what was folded into another\n"
        "page or is for the record alone does not count. What was told is kept for seven days.\n"
        f"exit code: 0 at most {LOUD_A_WEEK:g} pages a week, 1 more, 2 there is nothing to read"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 where people can still read them all."""
    if arguments.history and arguments.transitions is None:
        return _over_history(arguments)
    if arguments.transitions is not None:
        pages, since_ns, until_ns = from_transitions(arguments.transitions, arguments.arm)
    else:
        with open_for_reading(directory_of(arguments) / DATABASE_NAME) as connection:
            pages, since_ns, until_ns = from_outbox(connection)
    lines, a_week = table(pages, until_ns - since_ns)
    print("\n".join(lines))
    return TOO_LOUD if a_week > LOUD_A_WEEK else 0


def _over_history(arguments: argparse.Namespace) -> int:
    with open_for_reading(directory_of(arguments) / DATABASE_NAME) as connection:
        history = kept_history(connection)
    found = noise_of(history, _rule_files(arguments))
    print(f"{'pages a week':>12}  {'seen':>5}  {'of days':>7}  rule          over kept history")
    for one in found:
        days = f"{one.hours / 24:.1f}"
        if one.hours * 3600 * SECOND_NS < SHORT_NS:
            print(f"{'-':>12}  {one.pages:>5}  {days:>7}  {one.rule}: nothing can be said yet")
        else:
            print(f"{one.a_week:>12.1f}  {one.pages:>5}  {days:>7}  {one.rule}")
    total = fsum(one.a_week for one in found if one.hours * 3600 * SECOND_NS >= SHORT_NS)
    print(f"{total:>12.1f}  {'':>5}  {'':>7}  together; rules about the book have no history here")
    return TOO_LOUD if total > LOUD_A_WEEK else 0


def _rule_files(arguments: argparse.Namespace) -> Sequence[tuple[str, str]]:
    """The desk's rulebook where its configuration is at hand, else the built-in one."""
    path = Path(arguments.config)
    if not path.exists():
        return builtin_files()
    config, document = load_document(path)
    return rulebook_files(config, base=path.resolve().parent, document=document)


def table(pages: Iterable[Page], span_ns: int) -> tuple[list[str], float]:
    """The loudest rule first, with how often in the whole span and a week; and the sum a week."""
    counted: dict[str, int] = {}
    for page in pages:
        counted[page.rule] = counted.get(page.rule, 0) + 1
    days = span_ns / (86_400 * SECOND_NS)
    head = f"{'pages a week':>12}  {'seen':>5}  rule          over {days:.1f} days"
    if span_ns < SHORT_NS:
        return [head, "Less than a day was seen: nothing can be said about a week."], 0.0
    weeks = span_ns / WEEK_NS
    rows = sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    lines = [f"{count / weeks:>12.1f}  {count:>5}  {rule}" for rule, count in rows]
    total = sum(counted.values())
    lines.append(f"{total / weeks:>12.1f}  {total:>5}  together")
    if total / weeks > LOUD_A_WEEK:
        lines.append(f"More than {LOUD_A_WEEK:g} a week: people stop reading. Retune the loudest.")
    return [head, *lines], total / weeks


def from_outbox(connection: sqlite3.Connection) -> tuple[list[Page], int, int]:
    """(pages, from, to) of what this riskd told and still keeps."""
    names = {rule.alert: rule.id for rule in parse_rulebook(builtin_files(), CATALOGUE).rules}
    seen: dict[tuple[str, int], Page] = {}
    first_ns = None
    rows = connection.execute("SELECT created_ns, notice FROM outbox ORDER BY created_ns")
    for created_ns, packed in rows:
        first_ns = created_ns if first_ns is None else first_ns
        notice = msgspec.msgpack.decode(packed, type=Notice)
        quiet = notice.severity is Severity.INFO or notice.label("alertname") == "RiskdWatchdog"
        if notice.kind is NoticeKind.FIRING and not quiet:
            alert = notice.label("alertname")
            page = Page(names.get(alert, alert), notice.starts_ns)
            seen.setdefault((notice.identity, notice.starts_ns), page)
    last_ns = read_last_phase_ns(connection) or 0
    if first_ns is None:
        return [], last_ns, last_ns
    return list(seen.values()), max(first_ns, last_ns - WEEK_NS), last_ns


def from_transitions(path: Path, arm: str) -> tuple[list[Page], int, int]:
    """(pages, from, to) of a backtest: what was covered by a louder rule is not taken out there.

    Raises:
        ConfigError: When the file cannot be read, or holds no such run.
    """
    try:
        with path.open("rb") as file:
            rows = [orjson.loads(line) for line in file if line.strip()]
    except (OSError, orjson.JSONDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as transitions: {error}.") from error
    arms = list(dict.fromkeys(str(one.get("arm", "")) for one in rows))
    wanted = arm or (arms[0] if arms else "")
    chosen = [one for one in rows if str(one.get("arm", "")) == wanted]
    if not chosen:
        held = ", ".join(arms) or "none"
        raise ConfigError(f"{path} holds no run {wanted!r}. It holds: {held}.")
    times = [_at_ns(one) for one in chosen]
    return list(_begun(chosen)), min(times), max(times)


def _at_ns(row: Mapping[str, object]) -> int:
    moment = dt.datetime.fromisoformat(str(row.get("at", "1970-01-01T00:00:00Z")))
    return round(moment.timestamp()) * SECOND_NS


def _begun(rows: Iterable[Mapping[str, object]]) -> Iterator[Page]:
    for one in rows:
        began = one.get("after") == "firing" and one.get("before") in {"inactive", "pending"}
        if began and one.get("severity") != Severity.INFO.value:
            yield Page(str(one["rule"]), _at_ns(one))
