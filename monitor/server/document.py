"""The documents of ``/v1/state`` and ``/v1/alerts``: what the console draws and ``status`` prints.

Made from the engine's read-only view between two events. Every number is a measure's reading or the
venue's own statement beside it; what is absent carries its reason, never a zero. *Pure.*
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from monitor.core.engine import Engine
from monitor.core.measures.attribution import unexplained_words
from monitor.core.measures.liquidation import NEARER
from monitor.core.measures.sight import is_stale
from monitor.core.measures.spec import MeasureSpec
from monitor.core.measures.use import NO_SOURCE
from monitor.core.rules import Rule
from monitor.core.rules.words import duration
from monitor.core.state.facts import Lack, StatedFact
from monitor.core.state.model import (
    AccountState,
    FeedState,
    MarketState,
    PositionState,
    RuleMemory,
    VenueState,
)
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    AccountMode,
    EngineNs,
    Severity,
    Subject,
    SubjectKind,
    position_subject,
    subject_kind,
)
from monitor.rulebook import runbook_names
from monitor.server.history_document import history_rows

Json = dict[str, Any]


class DaemonFacts(Protocol):
    """What the daemon knows beside the engine."""

    version: str
    desk: str
    mode: str
    simulated: bool
    started_ns: EngineNs


PORTFOLIO_ROWS: tuple[tuple[str, str], ...] = (
    ("equity", "equity_usd"),
    ("gross", "gross_exposure_usd"),
    ("net", "net_exposure_usd"),
    ("leverage", "leverage"),
    ("drawdown", "drawdown_ratio"),
    ("funding projected, 24 h", "funding_projected_24h_usd"),
)
# label, measure, the venue's own statement (attribute of the account) where there is one
ACCOUNT_ROWS: tuple[tuple[str, str, str], ...] = (
    ("equity", "equity_usd", "equity"),
    ("equity off its parts", "equity_difference_ratio", ""),
    ("gross", "gross_exposure_usd", ""),
    ("net", "net_exposure_usd", ""),
    ("leverage", "leverage", ""),
    ("margin usage", "margin_usage_ratio", ""),
    ("initial margin", "initial_margin_usd", "initial_margin"),
    ("maintenance margin", "maintenance_margin_usd", "maintenance_margin"),
    ("free collateral", "free_collateral_usd", "free_collateral"),
    ("funding paid, 24 h", "funding_paid_24h_usd", ""),
    ("funding projected, 24 h", "funding_projected_24h_usd", ""),
    ("drawdown", "drawdown_ratio", ""),
    ("nearest liquidation", "liquidation_distance_ratio", ""),
)
UNITS = {"leverage": "times"}  # a ratio that people read as 2.5x, not as 250 %
POSITION_CELLS: tuple[tuple[str, str], ...] = (
    ("notional", "notional_usd"),
    ("liquidation_price", "liquidation_price"),
    ("venue_liquidation_price", "venue_liquidation_price"),
    ("distance", "liquidation_distance_ratio"),
    ("funding_24h", "funding_projected_24h_usd"),
)
MEASURES_MAX = 300
# Subjects of which all that is configured is known from the start.
_WHOLE = frozenset({SubjectKind.PORTFOLIO, SubjectKind.VENUE})
NO_LIQUIDATION_PRICE = "no price of this market alone would liquidate"
TOGETHER = "all markets together"  # in place of a market's name
MODE_TEXTS = {
    "observe": "nothing can be sent to a venue",
    "rehearse": "acts with throw-away keys, on this machine or a testnet",
    "armed": "acts on your accounts",
}


def state_document(
    engine: Engine,
    daemon: DaemonFacts,
    *,
    alerts: Sequence[Json],
    channels: Sequence[Json],
    kill: Json,
    now: EngineNs,
) -> Json:
    """The whole of ``/v1/state``; ``kill`` is ``kill_document``'s."""
    unwatched = [
        {"venue": venue.venue, "account": name, "kind": pool.kind, "parent": pool.parent}
        for venue in engine.state.venues.values()
        for name, pool in venue.unwatched.items()
    ]
    nearest = nearest_liquidation(engine, now)
    accounts = [
        _account(engine, venue, account, now)
        for venue in engine.state.venues.values()
        for account in venue.accounts.values()
    ]
    feeds = feed_rows(engine, now)
    by_id = {rule.id: rule for rule in engine.rulebook.rules}
    rules = [
        _rule(by_id[memory.rule], memory, now)
        for memory in engine.rule_states()
        if memory.rule in by_id
    ]
    ignored = {
        venue.venue: venue.markets_ignored
        for venue in engine.state.venues.values()
        if venue.markets_ignored
    }
    portfolio = [_row(engine, label, name, PORTFOLIO, now) for label, name in PORTFOLIO_ROWS]
    unfed = _unfed(engine, rules, by_id, now)
    unknowns = _unknowns(portfolio, [rule for rule in rules if rule["id"] not in unfed])
    doubts = [*unknowns, *_doubts(feeds, rules, channels, unwatched, nearest)]
    doubts += [f"{venue} lists more markets than riskd follows" for venue in ignored]
    verdict = _verdict(alerts, accounts, doubts)
    return {
        "riskd": {
            "version": daemon.version,
            "desk": daemon.desk,
            "mode": daemon.mode,
            "mode_text": MODE_TEXTS[daemon.mode],
            "simulated": daemon.simulated,
            "now_ms": now // 1_000_000,
            "started_ms": daemon.started_ns // 1_000_000,
        },
        "safe": verdict,
        "portfolio": portfolio,
        "unknowns": unknowns,
        "unfed": sorted(unfed),
        "unfed_why": unfed,
        "alerts": list(alerts),
        "accounts": accounts,
        "unwatched": unwatched,
        "markets_ignored": ignored,
        "nearest_liquidation": nearest,
        "feeds": feeds,
        "history": history_rows(engine, now),
        "rules": rules,
        "pages": {"channels": list(channels)},
        "kill": kill,
    }


def feed_rows(engine: Engine, now: EngineNs) -> list[Json]:
    """Every feed: fresh, old, lost or not yet heard of, with its age and why."""
    return [
        _feed(engine, venue, feed, now)
        for venue in engine.state.venues.values()
        for feed in venue.feeds.values()
    ]


def nearest_liquidation(engine: Engine, now: EngineNs) -> Json | None:
    """The open position closest to its liquidation price, or the account that all its markets
    moving together would liquidate sooner; None where nothing is open.

    Where the distance of an open position is unknown, that is the answer: another's number would
    pass for the nearest.
    """
    nearest: Json | None = None
    for venue in engine.state.venues.values():
        for account in venue.accounts.values():
            if any(one.size != 0.0 for one in account.positions.values()):
                joint = engine.reading("liquidation_distance_ratio", account.subject, now)
            else:
                joint = None
            for position in account.positions.values():
                if position.size == 0.0:
                    continue
                subject = position_subject(venue.venue, account.account, position.market)
                found = {
                    "venue": venue.venue,
                    "account": account.account,
                    "market": position.market,
                    "distance": None,
                }
                reading = engine.reading("liquidation_distance_ratio", subject, now)
                if reading is None:
                    reason = engine.absence("liquidation_distance_ratio", subject, now)
                    if reason == NO_LIQUIDATION_PRICE:
                        continue
                    return {**found, "reason": reason}
                if nearest is None or reading.value < nearest["distance"]:
                    nearest = {**found, "distance": reading.value}
            if joint and nearest and joint.value < nearest["distance"] * NEARER:
                nearest = {
                    "venue": venue.venue,
                    "account": account.account,
                    "market": TOGETHER,
                    "distance": joint.value,
                }
    return nearest


def _verdict(alerts: Sequence[Json], accounts: Sequence[Json], doubts: Sequence[str]) -> Json:
    """Am I safe? Danger before blindness before attention; safe only when all is seen and told."""
    critical = [alert for alert in alerts if alert["severity"] == Severity.CRITICAL]
    if critical:
        return {"verdict": "danger", "text": critical[0]["summary"]}
    if not accounts:
        return {"verdict": "blind", "text": "No account has been read yet."}
    dark = [a for a in accounts if a["rows"][0]["ours"]["value"] is None]
    if dark:
        names = ", ".join(f"{account['venue']}/{account['account']}" for account in dark)
        return {"verdict": "blind", "text": f"The equity of {names} is unknown."}
    loud = sum(1 for alert in alerts if alert["severity"] != Severity.INFO)
    parts = [*([f"{loud} alerts fire" if loud != 1 else "1 alert fires"] if loud else []), *doubts]
    if parts:
        return {"verdict": "attention", "text": f"{'; '.join(parts)}."}
    return {"verdict": "safe", "text": "Nothing fires, every account and every feed is seen."}


def _unfed(
    engine: Engine, rules: Sequence[Json], by_id: Mapping[str, Rule], now: EngineNs
) -> dict[str, str]:
    """Rules about the portfolio or venues that nothing the desk watches or has configured could
    feed about any of them, each with the first reason: said, and no doubt."""
    found: dict[str, str] = {}
    fed = set[str]()
    for row in (one for one in rules if subject_kind(one["subject"]) in _WHOLE):
        named = sorted(by_id[row["id"]].measures) if row["verdict"] == "unknown" else []
        whys = [engine.why_absent(one, row["subject"], now) for one in named]
        lacking = [why for why in whys if why.reason]
        if lacking and all(why.lack is Lack.CHOICE for why in lacking):
            found.setdefault(row["id"], lacking[0].reason.removeprefix(NO_SOURCE))
        else:
            fed.add(row["id"])
    return {rule: why for rule, why in sorted(found.items()) if rule not in fed}


def _unknowns(portfolio: Sequence[Json], rules: Sequence[Json]) -> list[str]:
    """What of the whole book is not known, and what can therefore not be judged."""
    absent = [row for row in portfolio if row["ours"]["value"] is None]
    found = [
        f"the portfolio's {row['label']} is unknown: {row['ours']['reason']}" for row in absent
    ]
    grave = {Severity.HIGH.value, Severity.CRITICAL.value}
    blind = sorted(
        {
            rule["id"]
            for rule in rules
            if rule["verdict"] == "unknown"
            and rule["severity"] in grave
            # What is unknown of a venue, a feed or an account is said with it.
            and rule["subject"] == PORTFOLIO
        }
    )
    if blind:
        more = f" and {len(blind) - 3} more" if len(blind) > 3 else ""
        found.append(f"cannot be judged, inputs unknown: {', '.join(blind[:3])}{more}")
    return found


def _doubts(
    feeds: Sequence[Json],
    rules: Sequence[Json],
    channels: Sequence[Json],
    unwatched: Sequence[Json],
    nearest: Json | None,
) -> list[str]:
    """What keeps a quiet desk from being called safe."""
    doubts = []
    if old := sum(1 for feed in feeds if feed["state"] != "fresh"):
        doubts.append(f"{old} of {len(feeds)} feeds are not fresh")
    if failing := sum(1 for rule in rules if rule["error"]):
        doubts.append(f"{failing} rules cannot be judged")
    if nearest is not None and nearest["distance"] is None:
        doubts.append("the nearest liquidation is unknown")
    if unwatched:
        count = len(unwatched)
        doubts.append(f"nobody watches {count} pool{'s' if count > 1 else ''} of yours")
    if not channels:
        doubts.append("nobody would be paged: no channel is configured")
    for channel in channels:
        if not channel["healthy"]:
            doubts.append(f"pages do not leave by {channel['name']}")
        elif channel["waiting"] and not channel["proven"]:
            doubts.append(f"nothing has been delivered by {channel['name']} yet")
    return doubts


def _age_s(at_ns: EngineNs | None, now: EngineNs) -> float | None:
    return None if not at_ns else round(max(0, now - at_ns) / SECOND_NS, 3)


def _shown(engine: Engine, name: str, subject: Subject, now: EngineNs) -> Json:
    reading = engine.reading(name, subject, now)
    if reading is None:
        reason = engine.absence(name, subject, now)
        shown = {"value": None, "estimated": False, "reason": reason, "age_s": None}
        # Not unknown: known to have none.
        return {**shown, "none": True} if reason == NO_LIQUIDATION_PRICE else shown
    return {
        "value": reading.value,
        "estimated": reading.estimated,
        "reason": "",
        "age_s": _age_s(reading.as_of_ns, now),
    }


def _row(engine: Engine, label: str, measure: str, subject: Subject, now: EngineNs) -> Json:
    ours = _shown(engine, measure, subject, now)
    unit = UNITS.get(measure, engine.catalogue[measure].unit.value)
    return {
        "label": label,
        "measure": measure,
        "unit": unit,
        "ours": ours,
        "age_s": ours["age_s"],
    }


def _account(engine: Engine, venue: VenueState, account: AccountState, now: EngineNs) -> Json:
    rows: list[Json] = []
    for label, measure, attribute in ACCOUNT_ROWS:
        row = _row(engine, label, measure, account.subject, now)
        ours = row["ours"]
        stated: StatedFact | None = getattr(account, attribute) if attribute else None
        if stated is not None and stated.value is not None:
            row["venue"] = {
                "value": stated.value,
                "estimated": False,
                "reason": "",
                "age_s": _age_s(stated.seen_ns, now),
            }
            # Where the equity is the venue's own statement, that they agree would say nothing.
            repeated = measure == "equity_usd" and not venue.oracle_margined
            if ours["value"] is not None and not repeated:
                row["difference"] = ours["value"] - stated.value
        rows.append(row)
    mode = account.mode
    note = account.mode_reason if mode is AccountMode.UNREADABLE else ""
    seen_s = _age_s(max(account.positions_truth.seen_ns, account.positions_stream.seen_ns), now)
    if not note and rows[0]["ours"]["value"] is None:
        when = "never seen" if seen_s is None else f"last seen {duration(seen_s)} ago"
        note = f"equity unknown: {rows[0]['ours']['reason']}; {when}"
    elif not note and account.ledger.suspect:
        note = f"equity is suspect: {unexplained_words(account, now)}"
    return {
        "venue": venue.venue,
        "account": account.account,
        "subject": account.subject,
        "mode": mode.value if mode is not None else "",
        "note": note,
        "seen_s": seen_s,
        "rows": rows,
        "positions_known": account.positions_complete,
        "positions": [
            _position(engine, venue, account, position, now)
            for position in account.positions.values()
            if position.size != 0.0
        ],
        "orders": len(account.orders),
    }


def _position(
    engine: Engine,
    venue: VenueState,
    account: AccountState,
    position: PositionState,
    now: EngineNs,
) -> Json:
    subject = position_subject(venue.venue, account.account, position.market)
    market = venue.markets.get(position.market)
    cells: Json = {
        label: _shown(engine, measure, subject, now) for label, measure in POSITION_CELLS
    }
    mark = "mark_price" if market is None or market.has_mark else "oracle_price"
    cells["mark"] = (
        {"value": None, "reason": "the market is not listed", "age_s": None, "estimated": False}
        if market is None
        else _shown(engine, mark, market.subject, now)
    )
    return {
        "market": position.market,
        "size": str(position.exact),
        "margin_mode": position.margin_mode.value,
        "entry_price": position.entry_price,
        "funding_next_s": _funding_next_s(market, now),
        **cells,
    }


def _funding_next_s(market: MarketState | None, now: EngineNs) -> float | None:
    """Seconds to the next settlement as announced; None where nothing was, or none
    since the last one passed."""
    at_ns = 0 if market is None else market.next_funding_time_ns
    return round((at_ns - now) / SECOND_NS, 3) if at_ns > now else None


def _feed(engine: Engine, venue: VenueState, feed: FeedState, now: EngineNs) -> Json:
    age = engine.reading("feed_age_s", feed.subject, now)
    lost = engine.reading("feed_lost_channels", feed.subject, now)
    channels = [engine.state.channels[name] for name in feed.channels]
    cadences = [channel.cadence_s for channel in channels if channel.cadence_s is not None]
    reason = feed.lost_reason
    if feed.connected is False or feed.quarantined or (lost is not None and lost.value > 0.0):
        state = "lost"
        reason = reason or next((c.lost_reason for c in channels if c.lost_reason), "")
    elif age is None and not feed.connection_seen_ns:
        state, reason = "unknown", engine.absence("feed_age_s", feed.subject, now)
    elif is_stale(engine.state, feed, now, engine.settings.freshness):
        state = "old"
    else:
        state, reason = "fresh", ""
    return {
        "venue": venue.venue,
        "feed": feed.feed,
        "state": state,
        "age_s": age.value if age is not None else _age_s(feed.connection_seen_ns, now),
        # The slowest of them, as the age is of the oldest: ten seconds beside an age of ten minutes
        # would read as dead.
        "cadence_s": max(cadences) if cadences else None,
        "channels": len(channels),
        "reason": reason,
    }


def _page(rule: Rule) -> str:
    """Where the runbook is read: its own address, or what riskd serves; empty for neither."""
    if "://" in rule.runbook:
        return rule.runbook
    return f"/runbooks/{rule.runbook}" if rule.runbook in runbook_names() else ""


def _rule(rule: Rule, memory: RuleMemory, now: EngineNs) -> Json:
    state = memory.state
    verdict = "unknown" if state.unknown_since_ns is not None else ""
    return {
        "id": rule.id,
        "subject": memory.subject,
        "state": state.state.value,
        "severity": rule.severity.value,
        "since_s": _age_s(state.since_ns, now),
        "verdict": verdict,
        "error": state.error,
        "expression": rule.condition,
        "runbook": _page(rule),
        "mode": rule.mode.value,
        "level": rule.level.value,
    }


def measures_document(
    engine: Engine, words: str, now: EngineNs, *, limit: int = MEASURES_MAX
) -> Json:
    """Measures whose name and subject hold all the ``words``; at most ``limit`` are computed."""
    wanted = words.lower().split()
    total = 0
    rows: list[Json] = []
    by_kind: dict[SubjectKind, list[MeasureSpec]] = {}
    for spec in engine.catalogue.values():
        for kind in spec.kinds:
            by_kind.setdefault(kind, []).append(spec)
    for subject in engine.subjects():
        for spec in by_kind.get(subject_kind(subject), ()):
            text = f"{spec.name} {subject}".lower()
            if all(word in text for word in wanted):
                total += 1
                if len(rows) < limit:
                    shown = _shown(engine, spec.name, subject, now)
                    rows.append({"name": spec.name, "subject": subject, "unit": spec.unit, **shown})
    return {"total": total, "measures": rows}


def unseen_accounts(engine: Engine, now: EngineNs) -> dict[str, str]:
    """Accounts whose equity is unknown, with why; what keeps riskd from being ready."""
    missing: dict[str, str] = {}
    for venue in engine.state.venues.values():
        for account in venue.accounts.values():
            if engine.reading("equity_usd", account.subject, now) is None:
                why = engine.absence("equity_usd", account.subject, now)
                missing[f"{venue.venue}/{account.account}"] = why
    return missing
