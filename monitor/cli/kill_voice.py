"""What the kill switch does, one plain sentence for each step that a trader would want to know.

Made from the audit entries, so that nothing is told that is not on record. A repeated try that went
as the one before is not told again. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from monitor.core.killswitch.facts import AuditEntry, KillNotice, Step
from monitor.core.killswitch.levels import Level
from monitor.core.rules.words import duration
from monitor.core.types import SECOND_NS, EngineNs

NAMED_MAX = 4
_PLAN_FIGURES = frozenset(
    {"round", "gross_before_usd", "gross_after_usd", "goal_usd", "cost_usd", "sliced", "shortfall",
     "note"}
)  # fmt: skip
BEGINS = frozenset({"tripped", "raised"})
LEFT = "Left: "
SMALL_RATIO = 0.01  # of what the first plan cut: what prices moved since, cut on top


@dataclass
class KillVoice:
    """Says steps by ``say``; ``eventful`` is called whenever something happens at a venue."""

    say: Callable[[str], None]
    eventful: Callable[[], None]
    trips: list[str] = field(default_factory=list)
    _began_ns: dict[str, EngineNs] = field(default_factory=dict)
    _told: set[tuple[str, str]] = field(default_factory=set)
    _contained: set[str] = field(default_factory=set)
    _planned: dict[str, float] = field(default_factory=dict)
    _small: set[tuple[str, str]] = field(default_factory=set)

    def heard(self, step: Step) -> None:
        """One step of the kill machine."""
        for entry in step.audit:
            if entry.action in BEGINS:
                self._begins(entry)
            text = self._sentence(entry, step.notices)
            # What was told of this trip already is not told again.
            if not text or (entry.trip_id, text) in self._told:
                continue
            if entry.action == "contained" and entry.trip_id in self._contained:
                continue  # an offer to go back that ran out is no news
            self._contained.discard(entry.trip_id)
            if entry.action == "contained":
                self._contained.add(entry.trip_id)
            self._told.add((entry.trip_id, text))
            self.eventful()
            self.say(text)

    def _begins(self, entry: AuditEntry) -> None:
        self._began_ns.setdefault(entry.trip_id, entry.at_ns)
        if entry.trip_id not in self.trips:
            self.trips.append(entry.trip_id)

    def _sentence(self, entry: AuditEntry, notices: Sequence[KillNotice]) -> str:
        """Empty for what is only for the record."""
        if entry.action == "incomplete":
            return _incomplete(entry, self._after(entry), _left(entry.trip_id, notices))
        if entry.action == "plan" and self._tops_up(entry):
            return "cuts a little more, for prices moved meanwhile."
        if entry.action == "order_ended" and _round(entry) in self._small:
            return ""
        words = _SENTENCES.get(entry.action)
        return "" if words is None else words(entry, self._after(entry))

    def _tops_up(self, entry: AuditEntry) -> bool:
        told, orders = _split(entry.details, _PLAN_FIGURES)
        if not orders:
            return False
        usd = float(told["gross_before_usd"]) - float(told["gross_after_usd"])
        small = usd < SMALL_RATIO * self._planned.get(entry.trip_id, 0.0)
        if small:
            self._small.add(_round(entry))
        else:
            self._planned[entry.trip_id] = usd
        return small

    def _after(self, entry: AuditEntry) -> str:
        began_ns = self._began_ns.get(entry.trip_id)
        return "" if began_ns is None else duration((entry.at_ns - began_ns) / SECOND_NS)


def _round(entry: AuditEntry) -> tuple[str, str]:
    return entry.trip_id, dict(entry.details).get("round", "")


def _tripped(entry: AuditEntry, _after: str) -> str:
    told = dict(entry.details)
    goal, why = "", ""
    if entry.actor.startswith("person:") and entry.reason:
        why = f': "{entry.reason}"'
    if "baseline_usd" in told:
        share = float(told["gross_to_ratio"])
        goal = f" to {share * 100:.3g} % of {_gross(told)}"
    level = Level(entry.level_to).name.lower()
    return (
        f"LATCHED: {level} {entry.scope}{goal}, by {_who(entry.actor)}{why}. On record before "
        "anything is sent; only a person can clear it."
    )


def _gross(told: Mapping[str, str]) -> str:
    """What the share is of; what has no price now is unknown, and no zero."""
    usd, unpriced = float(told["baseline_usd"]), told.get("unpriced", "")
    if not unpriced:
        return f"${usd:,.0f}"
    return (
        f"${usd:,.0f} and of {unpriced}, not priced now" if usd else f"{unpriced}, not priced now"
    )


def _cancel(entry: AuditEntry, _after: str) -> str:
    account, orders = _split(entry.details, {"account", "attempt"})
    return (
        f"cancels what adds risk at {account.get('account', '')}: {_some(orders.values())}. "
        "Stops that protect stay."
    )


def _plan(entry: AuditEntry, _after: str) -> str:
    told, orders = _split(entry.details, _PLAN_FIGURES)
    if not orders:
        return ""
    kept = "hedges stay paired"
    return (
        f"plans on positions read again: {_some(orders.values())}. Gross "
        f"${float(told['gross_before_usd']):,.0f} to ${float(told['gross_after_usd']):,.0f}, "
        f"expected cost ${float(told['cost_usd']):,.0f}; {kept}."
    )


def _order_ended(entry: AuditEntry, _after: str) -> str:
    told = dict(entry.details)
    side, size, market = (*told.get("order", "").split(" ", 2), "", "", "")[:3]
    if told.get("end") == "filled":
        did = "sold" if side == "sell" else "bought"
        return (
            f"{did} {told['filled']} of {size} {market} at {told['average_price']}, reduce-only "
            f"(reference {float(told['reference_price']):.6g})."
        )
    why = told.get("detail", "")
    return f"{side} {size} {market} is {told.get('end', '')}{f': {why}' if why else ''}."


def _failed(entry: AuditEntry, _after: str) -> str:
    told = dict(entry.details)
    known = "nobody knows yet what became of it" if told.get("uncertain") == "yes" else "not done"
    why = entry.reason.rstrip(".")
    return f"{told.get('account', entry.scope)} {told.get('stage', '')}: {known}: {why}."


def _contained(entry: AuditEntry, after: str) -> str:
    return f"CONTAINED: {entry.scope}, {after} after it began, proved from the venue's own data."


def _incomplete(entry: AuditEntry, after: str, left: str) -> str:
    return f"INCOMPLETE: {entry.scope}, {after} after it began. {left}It is tried again until done."


def _left(trip_id: str, notices: Sequence[KillNotice]) -> str:
    """What the page of a trip says is left, as a sentence; the record has it by account only."""
    for notice in notices:
        if notice.key == trip_id:
            lines = notice.description.splitlines()
            return next((f"{line} " for line in lines if line.startswith(LEFT)), "")
    return ""


def _rearm_refused(entry: AuditEntry, _after: str) -> str:
    return f"stays latched: {entry.scope}. {entry.reason}"


def _rearmed(entry: AuditEntry, after: str) -> str:
    return f"CLEARED: {entry.scope} by {_who(entry.actor)}, {after} after it began."


def _held(entry: AuditEntry, _after: str) -> str:
    why = "while its data is bad" if _for_data(entry) else "while its rule lasts"
    return f"HOLDS {entry.scope}: no new risk {why} ({_who(entry.actor)})."


def _released(entry: AuditEntry, _after: str) -> str:
    why = "its data is good again" if _for_data(entry) else "its rule is over"
    return f"releases {entry.scope}: {why}."


def _for_data(entry: AuditEntry) -> bool:
    return dict(entry.details).get("because", "data") == "data"


def _who(actor: str) -> str:
    kind, _, name = actor.partition(":")
    return name if kind == "person" else f"{kind} {name}".rstrip()


def _split(
    details: Iterable[tuple[str, str]], known: Iterable[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """What is known by name, and the orders by leg or id beside it."""
    names = frozenset(known)
    pairs: Mapping[str, str] = dict(details)
    return (
        {key: value for key, value in pairs.items() if key in names},
        {key: value for key, value in pairs.items() if key not in names},
    )


def _some(texts: Iterable[str]) -> str:
    found = list(texts)
    more = f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
    return f"{', '.join(found[:NAMED_MAX])}{more}"


_SENTENCES: Mapping[str, Callable[[AuditEntry, str], str]] = {
    "tripped": _tripped,
    "raised": _tripped,
    "cancel": _cancel,
    "plan": _plan,
    "order_ended": _order_ended,
    "command_failed": _failed,
    "contained": _contained,
    "rearm_refused": _rearm_refused,
    "rearmed": _rearmed,
    "held": _held,
    "released": _released,
}
