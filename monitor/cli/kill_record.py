"""What is left of the kill switch's work when ``riskd demo`` is over: reports and the record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from monitor.app.report import FOLDER
from monitor.cli.audit import verdict_lines
from monitor.core.errors import StoreError
from monitor.store.audit_check import open_for_reading, verify
from monitor.store.database import DATABASE_NAME
from monitor.store.second_copy import ANCHOR_NAME


def record_lines(data: Path, trips: Iterable[str], *, kept: bool) -> Iterator[str]:
    """Where each trip's report is, and what ``riskd audit verify`` says.

    Args:
        data: The data directory of a riskd that has ended.
        trips: Ids, oldest first.
        kept: False where the directory goes away now.
    """
    for trip in trips:
        path = data / FOLDER / f"{trip}.md"
        if path.is_file():
            yield f"report of trip {trip}: {path}"
        else:
            yield f"trip {trip} has no report yet: it was not over."
    try:
        with open_for_reading(data / DATABASE_NAME) as connection:
            verdict = verify(connection, anchor=data / ANCHOR_NAME)
    except StoreError as error:
        yield f"riskd audit verify: {error}"
        return
    for line in verdict_lines(verdict):
        if verdict.intact and line.startswith("Head "):
            continue
        yield f"riskd audit verify: {line}"
    if not kept:
        yield "all of this goes with the demo; `riskd demo --keep DIR` keeps it to read."
