"""Reads the desk's file of off-book legs: what is held elsewhere and counts in the exposure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path

from monitor.app.desk_files import read_desk_file, unix_seconds
from monitor.core.errors import ConfigError, Problem
from monitor.core.events import OffBookLeg, OffBookLegsDeclared
from monitor.core.filekinds import FileKind, mistaken
from monitor.core.types import SECOND_NS
from monitor.core.yamltext import Plain, YamlText, dotted, nearest

FIELDS = ("asset", "size", "expires", "note", "hedge_set")
REQUIRED = ("asset", "size", "expires")


def read_legs(path: Path) -> OffBookLegsDeclared:
    """The whole list of legs in a file.

    Raises:
        ConfigError: With every mistake and its line; nothing of a wrong file is used.
    """
    document = read_desk_file(path, "off-book legs")
    if (other := mistaken(document, FileKind.LEGS)) is not None:
        raise ConfigError([*document.problems, other])
    problems = list(document.problems)
    data = document.data if isinstance(document.data, dict) else {}
    rows = data.get("legs")
    if not isinstance(rows, list):
        problems.append(
            Problem(
                where=document.where(("legs",)),
                field="legs",
                message="must be a list of legs, each with asset, size and expires.",
            )
        )
        rows = []
    legs = [_leg(document, index, row, problems) for index, row in enumerate(rows)]
    if problems:
        raise ConfigError(problems)
    return OffBookLegsDeclared(source=str(path), legs=tuple(leg for leg in legs if leg))


def _leg(document: YamlText, index: int, row: Plain, problems: list[Problem]) -> OffBookLeg | None:
    path: tuple[str | int, ...] = ("legs", index)

    def wrong(name: str, message: str, found: object = None) -> None:
        problems.append(
            Problem(
                where=document.where((*path, name)),
                field=dotted((*path, name)),
                message=message,
                found=None if found is None else repr(found),
                nearest=nearest(name, FIELDS) if name not in FIELDS else None,
            )
        )

    if not isinstance(row, dict):
        wrong("asset", "a leg is written as {asset: …, size: …, expires: …}.", row)
        return None
    for name in row:
        if name not in FIELDS:
            wrong(name, "there is no such field in a leg.")
    for name in REQUIRED:
        if row.get(name) in (None, ""):
            wrong(name, "is required and missing.")
    size = _size(row.get("size"))
    if row.get("size") is not None and size is None:
        wrong("size", "must be a number of base units, negative for a short.", row["size"])
    expires_s = unix_seconds(row.get("expires"))
    if row.get("expires") is not None and expires_s is None:
        wrong("expires", "must be a date and time such as 2027-06-30T00:00:00Z.", row["expires"])
    asset = row.get("asset")
    if size is None or expires_s is None or not isinstance(asset, str):
        return None
    return OffBookLeg(
        asset=asset,
        size=size,
        expires_at_ns=expires_s * SECOND_NS,
        note=str(row.get("note") or ""),
        hedge_set=str(row.get("hedge_set") or ""),
    )


def _size(value: Plain) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        size = Decimal(str(value))
    except InvalidOperation:
        return None
    return size if size.is_finite() else None
