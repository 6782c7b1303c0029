"""Request parameters, error bodies and paging of the simulated indexer's REST API.

Every wrong parameter of a request is reported at once, as the venue does: status 400 and one entry
each with ``msg``, ``param``, ``location`` and, where one was given, ``value``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from aiohttp import web

from monitor.sim.dydx.payloads.text import is_address, parse_iso
from monitor.sim.dydx.session import PARENT_NUMBERS, SUBACCOUNT_NUMBERS

MAX_LIMIT = 1000
Row = dict[str, object]


class ApiError(Exception):
    """An answer that is not 200, with the venue's error entries."""

    def __init__(self, status: int, errors: Sequence[Mapping[str, object]]) -> None:
        super().__init__(f"{status}: {errors}")
        self.status = status
        self.errors = list(errors)


class Query:
    """The parameters of one request, from the path or the query string."""

    def __init__(self, request: web.Request) -> None:
        self._path = request.match_info
        self._query = request.query
        self._problems: list[Row] = []

    def check(self) -> None:
        """Raise what was wrong so far.

        Raises:
            ApiError: 400, with every problem.
        """
        if self._problems:
            raise ApiError(400, self._problems)

    def address(self, name: str = "address") -> str:
        """A dYdX address."""
        written = self._read(name)
        if written is None or not is_address(written):
            self._complain(name, f"{name} must be a valid dydx address")
        return written or ""

    def subaccount(self) -> int:
        """A subaccount number, 0 to 128000."""
        name = "subaccountNumber"
        text = f"{name} must be a non-negative integer less than {SUBACCOUNT_NUMBERS + 1}"
        return self._whole(name, 0, SUBACCOUNT_NUMBERS, text) or 0

    def parent(self) -> int:
        """A parent subaccount number, 0 to 127."""
        name = "parentSubaccountNumber"
        text = f"{name} must be a non-negative integer less than {PARENT_NUMBERS}"
        return self._whole(name, 0, PARENT_NUMBERS - 1, text) or 0

    def limit(self) -> int:
        """How many rows at most; 1000 unless told, and never more."""
        text = f"limit must be a positive integer that is not greater than max: {MAX_LIMIT}"
        if self._read("limit") is None:
            return MAX_LIMIT
        return self._whole("limit", 1, MAX_LIMIT, text) or MAX_LIMIT

    def page(self) -> int | None:
        """Which page, from 1; ``None`` when not paged."""
        if self._read("page") is None:
            return None
        return self._whole("page", 1, None, "page must be a non-negative integer")

    def height(self, name: str, lowest: int = 0) -> int | None:
        """An optional block height."""
        if self._read(name) is None:
            return None
        return self._whole(name, lowest, None, f"{name} must be a non-negative integer")

    def instant(self, name: str) -> float | None:
        """An optional ISO 8601 instant, seconds since 1970."""
        written = self._read(name)
        if written is None:
            return None
        try:
            return parse_iso(written)
        except ValueError:
            self._complain(name, "Invalid value")
            return None

    def ticker(self, known: Callable[[str], bool], name: str = "ticker") -> str | None:
        """An optional market; one that is not listed is refused."""
        written = self._read(name)
        if written is not None and not known(written):
            self._complain(name, "ticker must be a valid ticker (BTC-USD, etc)")
        return written

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        """An optional word out of a closed set."""
        written = self._read(name)
        if written is not None and written not in allowed:
            self._complain(name, f"{name} must be one of {','.join(allowed)}")
        return written

    def choices(self, name: str, allowed: Collection[str]) -> tuple[str, ...]:
        """Comma-separated words out of a closed set; empty when not given."""
        written = self._read(name)
        if not written:
            return ()
        words = tuple(written.split(","))
        if any(word not in allowed for word in words):
            self._complain(name, f"{name} must be one of {','.join(allowed)}")
        return words

    def flag(self, name: str) -> bool:
        """An optional ``true`` or ``false``."""
        written = self._read(name)
        if written is not None and written.lower() not in {"true", "false", "1", "0"}:
            self._complain(name, "Invalid value")
        return (written or "").lower() in {"true", "1"}

    def complain(self, name: str, text: str) -> None:
        """Add a problem that only the route knows."""
        self._complain(name, text)

    def _whole(self, name: str, low: int, high: int | None, text: str) -> int | None:
        written = self._read(name)
        if written is None or not written.isascii() or not written.isdigit():
            self._complain(name, text)
            return None
        value = int(written)
        if value < low or (high is not None and value > high):
            self._complain(name, text)
            return None
        return value

    def _read(self, name: str) -> str | None:
        return self._path.get(name, self._query.get(name))

    def _complain(self, name: str, text: str) -> None:
        problem: Row = {"msg": text, "param": name}
        problem["location"] = "params" if name in self._path else "query"
        written = self._read(name)
        if written is not None:
            problem["value"] = written
        self._problems.append(problem)


def paged(name: str, rows: list[Row], limit: int, page: int | None) -> Row:
    """A body with one page of rows (newest first); paged answers also say where they stand."""
    if page is None:
        return {name: rows[:limit]}
    offset = (page - 1) * limit
    return {
        "pageSize": limit,
        "totalResults": len(rows),
        "offset": offset,
        name: rows[offset : offset + limit],
    }


def not_after(rows: list[Row], before_s: float | None, before_height: int | None) -> list[Row]:
    """Rows made at or before an instant and a height."""
    if before_s is not None:
        rows = [row for row in rows if parse_iso(str(row["createdAt"])) <= before_s]
    if before_height is not None:
        rows = [row for row in rows if int(str(row["createdAtHeight"])) <= before_height]
    return rows
