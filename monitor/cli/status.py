"""``riskd status``: am I safe, in 80 columns and 24 lines.

Exit code: 0 safe, 1 something wants a look, 2 danger, 3 riskd is blind or does not answer.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Iterable
from typing import Any

import orjson

from monitor.cli.client import NoAnswerError, add_arguments, fetch

WIDTH = 80
HEIGHT = 24
EXIT = {"safe": 0, "attention": 1, "danger": 2, "blind": 3}
WORDS = {"safe": "SAFE", "attention": "LOOK", "danger": "DANGER", "blind": "BLIND"}
UNKNOWN = "unknown"

Document = dict[str, Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to ask and how to print it."""
    add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="the whole state as JSON")
    parser.epilog = "exit code: 0 safe, 1 look, 2 danger, 3 blind or no answer"


def run(arguments: argparse.Namespace) -> int:
    """Ask, print, and say it in the exit code too."""
    try:
        _, state = fetch(arguments, "/v1/state")
    except NoAnswerError as error:
        if arguments.json:
            print(orjson.dumps({"safe": {"verdict": "blind", "text": str(error)}}).decode())
        else:
            print(f"BLIND  {error}")
        return EXIT["blind"]
    if arguments.json:
        sys.stdout.buffer.write(orjson.dumps(state, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        print("\n".join(screen(state)))
    return EXIT.get(state["safe"]["verdict"], EXIT["blind"])


def screen(state: Document) -> list[str]:
    """The state as at most ``HEIGHT`` lines of at most ``WIDTH`` characters, worst first."""
    head = _head(state)
    tail = [*_nearest(state), *_paged(state)]
    room = HEIGHT - 1 - len(head) - len(tail)  # one line stays for the shell's prompt
    accounts = _accounts(state)
    blind = _cannot_see(state)
    fires = _fires(state)
    seen = _sees(state)
    # What fires and what cannot be seen come before the good news when room is short.
    fires = _at_most(fires, max(2, min(len(fires), room // 3)))
    blind = _at_most(blind, max(1, min(len(blind), room // 4)))
    accounts = _at_most(accounts, max(2, room - len(fires) - len(blind) - len(seen)))
    lines = [*head, *fires, *seen, *blind, *accounts, *tail]
    return [line if len(line) <= WIDTH else line[: WIDTH - 1] + "…" for line in lines][: HEIGHT - 1]


def _head(state: Document) -> list[str]:
    daemon = state["riskd"]
    now = dt.datetime.fromtimestamp(daemon["now_ms"] / 1000, tz=dt.UTC)
    left = f"riskd {daemon['desk']}  {daemon['mode'].upper()}: {daemon['mode_text']}"
    if daemon["simulated"]:
        left = f"SIMULATED  {left}"
    right = f"{now:%H:%M:%S} UTC"
    safe = state["safe"]
    return [
        f"{left[: WIDTH - len(right) - 2]:<{WIDTH - len(right)}}{right}",
        f"{WORDS.get(safe['verdict'], 'BLIND')}  {safe['text']}",
    ]


def _fires(state: Document) -> list[str]:
    if not state["alerts"]:
        return ["FIRES      nothing"]
    return [
        "FIRES",
        *(
            f"  {alert['severity']:<8} {age(alert['firing_s']):>6}  {alert['summary']}"
            for alert in state["alerts"]
        ),
    ]


def _sees(state: Document) -> list[str]:
    venues: dict[str, list[Document]] = {}
    for feed in state["feeds"]:
        venues.setdefault(feed["venue"], []).append(feed)
    lines = []
    for venue, feeds in sorted(venues.items()):
        fresh = [feed for feed in feeds if feed["state"] == "fresh"]
        oldest = max((feed["age_s"] or 0.0 for feed in fresh), default=0.0)
        lines.append(
            f"SEES       {venue}: {len(fresh)} of {len(feeds)} feeds fresh, oldest {age(oldest)}"
        )
    return lines or ["SEES       nothing yet"]


def _cannot_see(state: Document) -> list[str]:
    dark = [feed for feed in state["feeds"] if feed["state"] != "fresh"]
    unwatched = [
        f"  {pool['venue']}/{pool['account']}: {pool['kind']} that nobody watches"
        for pool in state.get("unwatched", [])
    ]
    notes = [
        f"  {account['venue']}/{account['account']}: {account['note']}"
        for account in state["accounts"]
        if account.get("note")
    ]
    if not dark and not notes and not unwatched:
        return ["CANNOT SEE nothing is missing"]
    return [
        "CANNOT SEE",
        *notes,
        *(
            f"  {feed['venue']}/{feed['feed']}: {feed['state']}, last sign of life "
            f"{age(feed['age_s']) if feed['age_s'] is not None else 'never'}"
            + (f" ({feed['reason']})" if feed.get("reason") else "")
            for feed in dark
        ),
        *unwatched,
    ]


def _accounts(state: Document) -> list[str]:
    lines = [f"{'ACCOUNTS':<26}{'equity':>14}{'gross':>14}{'lever':>8}{'margin':>9}{'age':>8}"]
    for account in state["accounts"]:
        rows = {row["label"]: row for row in account["rows"]}
        name = f"  {account['venue']}/{account['account']}"
        lines.append(
            f"{name[:25]:<26}{_money(rows.get('equity')):>14}{_money(rows.get('gross')):>14}"
            f"{_plain(rows.get('leverage')):>8}{_percent(rows.get('margin usage')):>9}"
            f"{age((rows.get('equity') or {}).get('age_s')):>8}"
        )
    return lines


def _nearest(state: Document) -> list[str]:
    nearest = state.get("nearest_liquidation")
    if nearest is None:
        return ["NEAREST LIQUIDATION  no open position has one"]
    if nearest.get("distance") is None:
        return [f"NEAREST LIQUIDATION  {UNKNOWN}: {nearest.get('reason', '')}"]
    where = f"{nearest['venue']}/{nearest['account']} {nearest['market']}"
    return [f"NEAREST LIQUIDATION  {where}: {nearest['distance'] * 100:.1f} % away"]


def _paged(state: Document) -> list[str]:
    channels = state.get("pages", {}).get("channels", [])
    if not channels:
        return ["PAGED      nobody: no channel is configured"]
    words = [
        f"{channel['name']} {'ok' if channel['healthy'] else 'FAILING'}"
        + (f", {channel['waiting']} waiting" if channel["waiting"] else "")
        for channel in channels
    ]
    return ["PAGED      " + "; ".join(words)]


def age(seconds: float | None) -> str:
    """A duration for people: ``4 s``, ``12 min``, ``3 h``, ``2 d``; ``-`` where there is none."""
    if seconds is None:
        return "-"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def _value(row: Document | None) -> float | None:
    return row["ours"]["value"] if row and row.get("ours") else None


def _money(row: Document | None) -> str:
    value = _value(row)
    return UNKNOWN if value is None else f"{value:,.0f}"


def _plain(row: Document | None) -> str:
    value = _value(row)
    return UNKNOWN if value is None else f"{value:.2f}"


def _percent(row: Document | None) -> str:
    value = _value(row)
    return UNKNOWN if value is None else f"{value * 100:.1f} %"


def _at_most(lines: Iterable[str], count: int) -> list[str]:
    kept = list(lines)
    if len(kept) <= count:
        return kept
    return [*kept[: count - 1], f"  … and {len(kept) - count + 1} more (--json shows all)"]
