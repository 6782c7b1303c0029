"""``riskd status``: am I safe, in 80 columns and 24 lines.

Exit code: 0 safe, 1 something wants a look, 2 danger, 3 riskd is blind, does not answer or could
not be asked.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from monitor.cli.client import NoAnswerError, add_arguments, fetch, print_json, stranger
from monitor.core.formulas.liquidation import OUT_OF_REACH_RATIO

WIDTH = 80
HEIGHT = 24
EXIT = {"safe": 0, "attention": 1, "danger": 2, "blind": 3}
WORDS = {"safe": "SAFE", "attention": "LOOK", "danger": "DANGER", "blind": "BLIND"}
UNKNOWN = "unknown"
NEEDED = frozenset({"riskd", "safe", "alerts", "accounts", "feeds"})
# Of what fires, what is dark and the accounts: the title, the worst and how many more there are.
LINES_MIN = (4, 3, 3)
OFTEN_S = 60.0  # what speaks less often is old by design, and its age says nothing

Document = dict[str, Any]
Item = list[str]  # one thing to say, over as many lines as it takes


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to ask and how to print it."""
    add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="the whole state as JSON")
    parser.epilog = (
        "exit code: 0 safe, 1 look, 2 danger, 3 blind, no answer, or it could not be asked\n"
        "(a wrong --url or flag, a missing read token): whoever is not told is not safe"
    )


def run(arguments: argparse.Namespace) -> int:
    """Ask, print, and say it in the exit code too."""
    try:
        status, state = fetch(arguments, "/v1/state")
        if status != 200 or not state.keys() >= NEEDED:
            raise stranger(arguments.url)
    except NoAnswerError as error:
        if arguments.json:
            print(orjson.dumps({"safe": {"verdict": "blind", "text": str(error)}}).decode())
        else:
            print("\n".join(_wrapped("BLIND  ", str(error), 7)))
        return EXIT["blind"]
    if arguments.json:
        print_json(state)
    else:
        print("\n".join(screen(state)))
    return EXIT.get(state["safe"]["verdict"], EXIT["blind"])


def screen(state: Document) -> list[str]:
    """The state as at most ``HEIGHT`` lines of at most ``WIDTH`` characters, worst first."""
    head = [*_head(state), *_kill(state)]
    tail = [*_nearest(state), *_paged(state)]
    seen = _sees(state)
    room = HEIGHT - 1 - len(head) - len(tail) - len(seen)  # one line stays for the shell's prompt
    fires, blind, accounts = _fit([_fires(state), _cannot_see(state), _accounts(state)], room)
    lines = [*head, *fires, *seen, *blind, *accounts, *tail]
    return [_cut(line) for line in lines][: HEIGHT - 1]


def _fit(blocks: Sequence[list[Item]], room: int) -> list[list[str]]:
    """Each block (its title first) in the lines there are: all of it where that fits, else each
    item on one line, the last first, and only then fewer items with their number."""
    blocks = [list(block) for block in blocks]
    free = room - sum(len(item) for block in blocks for item in block)
    for block in reversed(blocks):
        for index in range(len(block) - 1, 1, -1):  # the worst of each stays whole
            if free < 0 and len(block[index]) > 1:
                free += len(block[index]) - 1
                block[index] = [_cut(" ".join([block[index][0], *_stripped(block[index][1:])]))]
    lines = [[line for item in block for line in item] for block in blocks]
    wanted = [len(block) for block in lines]
    given = [min(want, least) for want, least in zip(wanted, LINES_MIN, strict=True)]
    while sum(given) < room and given != wanted:
        for index, want in enumerate(wanted):
            if given[index] < want and sum(given) < room:
                given[index] += 1
    return [_at_most(block, count) for block, count in zip(lines, given, strict=True)]


def _head(state: Document) -> list[str]:
    daemon = state["riskd"]
    now = dt.datetime.fromtimestamp(daemon["now_ms"] / 1000, tz=dt.UTC)
    left = f"riskd {daemon['desk']}  {daemon['mode'].upper()}: {daemon['mode_text']}"
    if daemon["simulated"]:
        left = f"SIMULATED  {left}"
    right = f"{now:%H:%M:%S} UTC"
    room = WIDTH - len(right) - 2
    left = left if len(left) <= room else f"{left[: room - 1]}…"
    safe = state["safe"]
    return [
        f"{left:<{WIDTH - len(right)}}{right}",
        *_first(3, _wrapped(f"{WORDS.get(safe['verdict'], 'BLIND')}  ", safe["text"])),
        *_portfolio(state),
    ]


def _portfolio(state: Document) -> list[str]:
    rows = {row["label"]: row for row in state.get("portfolio", ())}
    if not rows:
        return []
    whole = "\N{NO-BREAK SPACE}"  # a number stays beside its name
    shown = [
        f"{word} {show(rows.get(label))}".replace(" ", whole)
        for label, word, show in (
            ("equity", "equity", _money),
            ("gross", "gross", _money),
            ("net", "net", _money),
            ("leverage", "lever", _plain),
            ("drawdown", "drawdown", _percent),
        )
    ]
    lines = _wrapped("PORTFOLIO  ", " ".join(shown), 11)
    return [line.replace(whole, " ") for line in lines]


def _kill(state: Document) -> list[str]:
    """What is latched and why, what is left, what clears it, what is and is not blocked, and what
    would happen now; nothing in ``observe``, whose line says it."""
    kill = state.get("kill", {})
    if kill.get("mode", "observe") == "observe":
        return []
    lines = []
    for one in kill["latched"][:2]:
        by = ", ".join(f"{who['actor']}: {who['reason']}" for who in one["by"][:1])
        what = " ".join(word for word in (one["name"], one["scope"], one["goal"]) if word)
        left = f", {one['left_count']} left: {one['left'][0]}" if one["left"] else ""
        said = f"{what}, {one['stage'].upper()} {age(one['for_s'])}{left}; by {by}"
        lines += _first(3, _wrapped("LATCHED    ", said, 11))
        lines += _first(2, _wrapped("  blocked: ", one["blocked"], 11))
        lines += _first(2, _wrapped("  not:     ", one["not_blocked"], 11))
        lines.append(f"  clears:  {one['clears']}; {one['explain']}")
    lines += [
        f"HELD       {one['scope']} by {one['by']}; {one['clears']}" for one in kill["held"][:2]
    ]
    more = len(kill["held"]) - 2
    lines += [f"           and {more} more (/v1/trading-state lists them)"] * (more > 0)
    lines += [
        f"PROPOSED   {one['level']} {one['scope']} by {one['by']}: {one['approve']}"
        for one in kill["proposed"][:2]
    ]
    lines += [
        f"MAY GROW   {one['scope']} to ${one['gross_max_usd']:,.0f} gross now, by a tenth of "
        f"${one['of_usd']:,.0f} a day"
        for one in kill.get("regrowing", ())[:2]
    ]
    now = kill["would_happen_now"]
    if now:
        lines += _first(2, _wrapped("ASKING NOW ", ", ".join(now), 11))
    return lines or ["LATCHED    nothing; nothing is blocked"]


def _fires(state: Document) -> list[Item]:
    if not state["alerts"]:
        return [["FIRES      nothing"]]
    return [
        ["FIRES"],
        *(
            _wrapped(f"  {alert['severity']:<8} {age(alert['firing_s']):>6}  ", _said(alert), 4)
            for alert in state["alerts"]
        ),
    ]


def _said(alert: Document) -> str:
    """Its summary, and for whose sake nobody is told of it."""
    cover = alert.get("covered_by")
    return f"{alert['summary']} (within {cover})" if cover else str(alert["summary"])


def _sees(state: Document) -> list[str]:
    venues: dict[str, list[Document]] = {}
    for feed in state["feeds"]:
        venues.setdefault(feed["venue"], []).append(feed)
    lines = []
    for venue, feeds in sorted(venues.items()):
        fresh = [feed for feed in feeds if feed["state"] == "fresh"]
        ages = [feed["age_s"] for feed in fresh if feed["age_s"] is not None and _often(feed)]
        since = f", oldest {age(max(ages))}" if ages else ""
        lines.append(f"SEES       {venue}: {len(fresh)} of {len(feeds)} feeds fresh{since}")
    for row in state.get("history", ()):
        past = row.get("past") or {"known": 0, "wanted": 0}
        if not row["ready"] or past["known"] < past["wanted"]:
            lines += _first(2, _wrapped("HISTORY    ", row["text"], 11))
    return lines or ["SEES       nothing yet"]


def _often(feed: Document) -> bool:
    """Whether a feed's age tells how current the sight is: no poll of an hour, and no connection,
    whose age is how long it has been open."""
    return feed.get("channels") != 0 and (feed.get("cadence_s") or 0.0) <= OFTEN_S


def _cannot_see(state: Document) -> list[Item]:
    notes = [
        _wrapped(f"  {account['venue']}/{account['account']}: ", _outward(account["note"]), 4)
        for account in state["accounts"]
        if account.get("note")
    ]
    unknowns = [_wrapped("  ", _outward(text), 4) for text in state.get("unknowns", [])]
    unfed: dict[str, list[str]] = {}  # rules by why nothing here could feed them
    for rule, why in state.get("unfed_why", {}).items():
        unfed.setdefault(why, []).append(rule)
    # The shortest first: where a screen has one line for each, what the desk can set is on it.
    said = sorted((f"{', '.join(names)}: {why}" for why, names in unfed.items()), key=len)
    if said:
        unknowns.append(_wrapped("  never judged: ", "; ".join(said), 4))
    items = [
        *notes,
        *unknowns,
        *dark_feeds(state["feeds"]),
        *_unwatched(state.get("unwatched", [])),
    ]
    return [["CANNOT SEE"], *items] if items else [["CANNOT SEE nothing is missing"]]


def dark_feeds(feeds: Sequence[Document]) -> list[Item]:
    """Feeds that do not tell, together by venue and state: one cause has one line."""
    groups: dict[tuple[str, str], list[Document]] = {}
    for feed in feeds:
        if feed["state"] != "fresh":
            groups.setdefault((feed["venue"], feed["state"]), []).append(feed)
    items = []
    for (venue, state), dark in groups.items():
        total = sum(1 for feed in feeds if feed["venue"] == venue)
        # A feed that was never heard of is darker than any that was.
        longest = max(
            dark, key=lambda feed: float("inf") if feed["age_s"] is None else feed["age_s"]
        )
        since = "never heard of" if longest["age_s"] is None else age(longest["age_s"])
        word = "not heard of yet" if state == "unknown" else state
        if len(dark) == 1:
            what = f"{longest['feed']} {word}, last sign of life {since}"
            what = what.replace("last sign of life never heard of", "never heard of")
        else:
            what = f"{len(dark)} of {total} {word}, longest {since}"
        reason = _outward(longest.get("reason") or "")
        items.append(_wrapped(f"  {venue}: ", f"{what}: {reason}" if reason else what, 4))
    return items


def _unwatched(pools: Sequence[Document]) -> list[Item]:
    groups: dict[tuple[str, str], list[str]] = {}
    for pool in pools:
        groups.setdefault((pool["venue"], pool["kind"]), []).append(pool["account"])
    return [
        _wrapped(f"  {venue}: ", f"{kind} that nobody watches: {', '.join(names)}", 4)
        for (venue, kind), names in groups.items()
    ]


def _accounts(state: Document) -> list[Item]:
    head = f"{'ACCOUNTS':<26}{'equity':>14}{'gross':>14}{'lever':>8}{'margin':>9}{'age':>8}"
    items = [[head]]
    for account in state["accounts"]:
        rows = {row["label"]: row for row in account["rows"]}
        name = f"  {account['venue']}/{account['account']}"
        line = (
            f"{name if len(name) <= 25 else name[:24] + '…':<26}"
            f"{_money(rows.get('equity')):>14}{_money(rows.get('gross')):>14}"
            f"{_plain(rows.get('leverage')):>8}{_percent(rows.get('margin usage')):>9}"
            f"{_last_seen(rows.get('equity')):>8}"
        )
        items.append([line])
    return items


def _last_seen(row: Document | None) -> str:
    """Age of the equity, or of what was last seen of it where it is unknown now."""
    row = row or {}
    ages = ((row.get("ours") or {}).get("age_s"), row.get("age_s"))
    known = next((found for found in ages if found is not None), None)
    if known is None:
        known = (row.get("venue") or {}).get("age_s")
    return "never" if known is None else age(known)


def _nearest(state: Document) -> list[str]:
    nearest = state.get("nearest_liquidation")
    if nearest is None:
        return ["NEAREST LIQUIDATION  no open position has one"]
    where = f"{nearest['venue']}/{nearest['account']} {nearest['market']}"
    if nearest.get("distance") is None:
        reason = _outward(nearest.get("reason", ""))
        return _first(2, _wrapped("NEAREST LIQUIDATION  ", f"{UNKNOWN}, {where}: {reason}", 4))
    if nearest["distance"] >= OUT_OF_REACH_RATIO:
        return ["NEAREST LIQUIDATION  none within reach"]
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
    return _first(2, _wrapped("PAGED      ", "; ".join(words), 11))


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


def _outward(reason: str) -> str:
    """A reason without the names that only riskd itself uses (they begin with ``_``)."""
    return " ".join(re.sub(r"(?<!\w)_\w+:?", "", reason).split())


def _wrapped(first: str, text: str, indent: int = 0) -> Item:
    """``text`` after ``first``, over as many lines as it takes."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,  # a path or an address stays whole
    ) or [first.rstrip()]


def _stripped(lines: Iterable[str]) -> list[str]:
    return [line.strip() for line in lines]


def _first(count: int, lines: Item) -> Item:
    """The first lines; where more is said, the last of them shows it."""
    if len(lines) <= count:
        return lines
    return [*lines[: count - 1], f"{lines[count - 1][: WIDTH - 1]}…"]


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def _at_most(lines: Sequence[str], count: int) -> list[str]:
    if len(lines) <= count:
        return list(lines)
    left = len(lines) - count + 1
    return [*lines[: count - 1], f"  … and {left} more (--json shows all)"]
