"""What a trip did, written down by itself: timeline, inputs, orders, cost against plan, what stays.

One Markdown file for each trip, written anew whenever it is contained, incomplete or cleared. It is
made from the audit alone, so it says nothing that is not on record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NoReturn

import structlog

from monitor.core.errors import StoreError
from monitor.core.killswitch.facts import Step
from monitor.core.killswitch.levels import Level
from monitor.core.types import SECOND_NS
from monitor.store.audit import AuditRecord
from monitor.store.database import Store

ENDS = frozenset({"contained", "incomplete", "rearmed"})  # when there is something to report
TIMELINE_MAX = 500
FOLDER = "reports"
SETTLE_S = 1.0  # real; the record is kept within a quarter of one
Row = tuple[str, ...]


def report_text(records: Sequence[AuditRecord]) -> str:
    """The report of one trip from its records, oldest first.

    Raises:
        ValueError: There are none.
    """
    if not records:
        raise ValueError("A report needs at least one record.")
    first = next((one for one in records if one.action == "tripped"), records[0])
    last = next((one for one in reversed(records) if one.action in ENDS), records[-1])
    took_s = (last.engine_ns - first.engine_ns) / SECOND_NS
    lines = [
        f"# Trip {first.trip_id}",
        "",
        f"{Level(first.level_to).name} of {first.scope} by {first.actor}, {_moment(first)}.",
        f"Now: {last.action.upper()}, {took_s:.1f} s after it began.",
        "",
        f"Why: {first.reason or 'no reason was given'}",
        "",
        *_table("Inputs", ("what", "value"), _inputs(records, first)),
        *_table(
            "Orders",
            ("account", "order", "end", "filled", "average price", "reference", "cost USD"),
            _orders(records),
        ),
        *_costs(records),
        *_table("What stays exposed", ("what",), _left(records)),
        *_table("Timeline", ("after", "what", "details"), _timeline(records, first)),
        f"riskd {first.code_version}, configuration {first.config_hash}.",
        f"Every line is on record: `riskd audit explain {first.trip_id} --all`.",
        "",
    ]
    return "\n".join(lines)


def _inputs(records: Sequence[AuditRecord], first: AuditRecord) -> Iterator[Row]:
    for one in records:
        if one.action == "rule_asked":
            yield from one.details
    yield from first.details


def _orders(records: Sequence[AuditRecord]) -> Iterator[Row]:
    for one in records:
        if one.action != "order_ended":
            continue
        told = dict(one.details)
        cost = _cost_usd(told)
        yield (
            told.get("account", ""),
            told.get("order", ""),
            told.get("end", ""),
            told.get("filled", ""),
            told.get("average_price", ""),
            told.get("reference_price", ""),
            "" if cost is None else f"{cost:,.2f}",
        )


def _cost_usd(told: dict[str, str]) -> Decimal | None:
    """What the fill cost against its reference, fees apart; > 0 is worse than the reference."""
    try:
        filled = Decimal(told["filled"])
        average, reference = Decimal(told["average_price"]), Decimal(told["reference_price"])
    except (KeyError, InvalidOperation):
        return None
    worse = reference - average if told.get("order", "").startswith("sell") else average - reference
    return worse * filled


def _costs(records: Sequence[AuditRecord]) -> list[str]:
    planned = Decimal(0)
    for one in records:
        told = dict(one.details)
        # A plan without orders costs nothing; each plan is of what was left to do.
        if one.action == "plan" and told.get("cost_usd"):
            planned += Decimal(told["cost_usd"])
    costs = [_cost_usd(dict(one.details)) for one in records if one.action == "order_ended"]
    known = [cost for cost in costs if cost is not None]
    if not costs:
        return []
    paid, unknown = sum(known, Decimal(0)), len(costs) - len(known)
    said = f"Cost against the references: {paid:,.2f} USD, planned {planned:,.2f} USD"
    return [f"{said}; {unknown} order(s) without a price." if unknown else f"{said}.", ""]


def _left(records: Sequence[AuditRecord]) -> Iterator[Row]:
    """The last word on each account that is incomplete; of the whole book before any account was
    looked at, nothing is known."""
    accounts: dict[str, AuditRecord] = {}
    for one in records:
        account = dict(one.details).get("account", "")
        if one.action in {"account_incomplete", "account_contained"} and account:
            accounts[account] = one
    for _, one in sorted(accounts.items()):
        if one.action == "account_incomplete":
            yield from ((part.strip(),) for part in one.reason.split(";"))


def _timeline(records: Sequence[AuditRecord], first: AuditRecord) -> Iterator[Row]:
    for one in records[:TIMELINE_MAX]:
        after_s = (one.engine_ns - first.engine_ns) / SECOND_NS
        details = ", ".join(f"{name} {text}".strip() for name, text in one.details)
        said = "; ".join(part for part in (one.reason, details) if part)
        yield (f"{after_s:+.3f} s", one.action, said)
    if len(records) > TIMELINE_MAX:
        yield ("…", f"{len(records) - TIMELINE_MAX} more", "on record")


def _table(title: str, heads: Row, rows: Iterator[Row]) -> list[str]:
    found = [" | ".join(_cell(cell) for cell in row) for row in rows]
    if not found:
        return [f"## {title}", "", "nothing", ""]
    return [
        f"## {title}",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {row} |" for row in found),
        "",
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _moment(record: AuditRecord) -> str:
    at = datetime.fromtimestamp(record.engine_ns / SECOND_NS, tz=UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


class Reporter:
    """Writes the report of a trip whenever there is news of how it ended."""

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self._directory = directory / FOLDER
        self._due: dict[str, None] = {}
        self._work = asyncio.Event()
        self._log = structlog.get_logger("kill")

    @property
    def due(self) -> tuple[str, ...]:
        """Trips whose report is to be written."""
        return tuple(self._due)

    def heard(self, step: Step) -> None:
        """Note which trips have news."""
        for entry in step.audit:
            if entry.trip_id and entry.action in ENDS:
                self._due[entry.trip_id] = None
                self._work.set()

    async def run(self) -> NoReturn:
        """Write what is due, after it was kept; for ever."""
        while True:
            await self._work.wait()
            await asyncio.sleep(SETTLE_S)
            self._work.clear()
            due, self._due = self._due, {}
            for trip_id in due:
                await self.write(trip_id)

    async def write(self, trip_id: str) -> Path | None:
        """One report, whole or not at all; None where it could not be."""
        path = self._directory / f"{trip_id}.md"
        try:
            text = report_text(await self._store.audit_of(trip_id))
            await asyncio.to_thread(_replace, path, text)
        except (StoreError, OSError, ValueError) as error:
            self._log.error("report_not_written", trip=trip_id, reason=str(error))
            return None
        self._log.info("report_written", trip=trip_id, path=str(path.name))
        return path


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
