"""How far the history of each venue is read: ``history`` in ``/v1/state``. *Pure.*"""

from __future__ import annotations

from typing import Any

from monitor.core.engine import Engine
from monitor.core.types import EngineNs
from monitor.core.warm_up import PAST

Json = dict[str, Any]


def history_rows(engine: Engine, now: EngineNs) -> list[Json]:
    """One row a venue that reads any: markets known and wanted by kind, ``eta_s`` (None while it
    is not known, with the reason), ``ready``, and all of it as a sentence. Funding of before the
    last month is apart (``past``, in pages): nothing but the highest index waits for it."""
    rows = []
    for venue in engine.state.venues.values():
        if not venue.histories.keys() - {PAST}:
            continue
        kinds = {
            kind: {"known": found.wanted - len(found.cold), "wanted": found.wanted}
            for kind, found in sorted(venue.histories.items())
            if kind != PAST
        }
        ready = all(one["known"] == one["wanted"] for one in kinds.values())
        eta = engine.reading("baseline_eta_s", venue.subject, now)
        reason = "" if eta else engine.absence("baseline_eta_s", venue.subject, now)
        older = venue.histories.get(PAST)
        pages = None if older is None else (older.wanted - len(older.unread), older.wanted)
        rows.append(
            {
                "venue": venue.venue,
                "kinds": kinds,
                "ready": ready,
                "eta_s": eta.value if eta else None,
                "reason": reason,
                "past": None if pages is None else {"known": pages[0], "wanted": pages[1]},
                "text": _sentence(venue.venue, kinds, eta.value if eta else None, reason)
                + _older(pages),
            }
        )
    return rows


def _sentence(
    venue: str, kinds: dict[str, dict[str, int]], eta_s: float | None, reason: str
) -> str:
    """``hyperliquid: funding 41 of 41, prices 34 of 41 markets, about 3 min left``."""
    counts = ", ".join(f"{kind} {one['known']} of {one['wanted']}" for kind, one in kinds.items())
    said = f"{venue}: {counts} markets"
    if eta_s is None:
        return f"{said}; {reason}"
    return f"{said}, about {_about(eta_s)} left" if eta_s > 0.0 else said


def _older(pages: tuple[int, int] | None) -> str:
    """``; 90 days of index: 34 of 100 pages``; nothing once all are read."""
    if pages is None or pages[0] == pages[1]:
        return ""
    return f"; for the index of 90 days {pages[0]} of {pages[1]} pages"


def _about(seconds: float) -> str:
    """Rounded up: nobody minds that it is done sooner."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds > 2 * size:
            return f"{-(-seconds // size):.0f} {unit}"
    return f"{max(-(-seconds // 10) * 10, 10):.0f} s"
