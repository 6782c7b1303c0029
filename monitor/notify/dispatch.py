"""From decisions to what must be told: which alerts are active, what is news, what is repeated.

A state machine without clock or socket. News (an alert began, an alert ended) becomes outbox
entries, which are kept before they leave. Channels that hold alert state (Alertmanager) are told
again and again on this machine's own timer, whatever the rules do meanwhile: nothing ends because
it was not mentioned. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec

from monitor.core.decision import AlertTransition, Decision, RuleHealth
from monitor.core.killswitch.facts import KillNotice
from monitor.core.ports import AlertRow, OutboxEntry, Phase
from monitor.core.rule_unseen import Unseen
from monitor.core.types import PORTFOLIO, SECOND_NS, AlertState, EngineNs, Severity
from monitor.notify.alerts import (
    Changes,
    DispatchPolicy,
    alert_of,
    kill_alert,
    mark_data,
    own_alert,
)
from monitor.notify.blindness import (
    EXPLAIN_BLINDNESS,
    INPUTS_STALE,
    INPUTS_UNKNOWN,
    Blindness,
    Quiet,
    explains,
    is_loud,
)
from monitor.notify.book import AlertBook
from monitor.notify.folding import WAIT_NS, folded_alert, lies_in
from monitor.notify.notice import (
    ActiveAlert,
    at_least,
    decode_active,
    with_annotation,
)

WATCHDOG = "RiskdWatchdog"
RULE_FAILING = "RuleEvaluationFailing"
LOOK_NS = 30 * SECOND_NS
RULES_NAMED = 12
_ALIVE = (AlertState.FIRING, AlertState.RECOVERING)

StaleProbe = Callable[[str, str], bool]
UnseenProbe = Callable[[EngineNs], Sequence[Unseen]]


class Due(msgspec.Struct, frozen=True, gc=False):
    """What one tick gives: changes to keep (and then tell), and repeats that need no keeping."""

    phase: Phase
    repeats: tuple[OutboxEntry, ...]


class Dispatcher(AlertBook):
    """Holds the active alerts of one deployment."""

    def __init__(
        self,
        policy: DispatchPolicy,
        *,
        now: EngineNs,
        is_stale: StaleProbe | None = None,
        unseen: UnseenProbe | None = None,
    ) -> None:
        """Start with no alert but the watchdog.

        Args:
            policy: Names, routes and intervals.
            now: Start of the watchdog's episode.
            is_stale: Asked for each firing (rule, subject) whether its verdict is UNKNOWN now.
            unseen: Asked every half minute for the quiet rules that cannot be judged.
        """
        super().__init__(policy)
        self._is_stale = is_stale
        self._blindness = Blindness()
        self._unseen = unseen
        self._quiet = Quiet()
        self._look_ns = now + LOOK_NS
        self._watchdog = own_alert(
            self._policy,
            WATCHDOG,
            severity=Severity.INFO,
            subject=PORTFOLIO,
            summary="riskd is alive. Page when this stops.",
            description="Always firing: an external receiver pages when it no longer arrives.",
            now=now,
        )
        self._watchdog_due_ns = now

    # ------------------------------------------------------------------------------- inputs

    def decided(self, decision: Decision) -> Phase:
        """The news of one decision, to be kept before any of it leaves."""
        changes = Changes(decision.at_ns)
        for transition in decision.transitions:
            self._transition(transition, changes)
        for health in decision.health:
            self._health(health, changes)
        return self._concluded(changes)

    def condition(
        self,
        name: str,
        *,
        active: bool,
        severity: Severity,
        summary: str,
        description: str,
        now: EngineNs,
        subject: str = PORTFOLIO,
        not_to: str = "",
    ) -> Phase:
        """A condition of riskd itself began or ended (``NotifyFailing``, ``StoreFailing``).

        Saying the same again is no news. ``not_to`` names the channel that would not carry it.
        """
        changes = Changes(now)
        about = f"{not_to}|{subject}"
        if active:
            self._raise_own(
                name, severity, about, subject, summary, description, changes, not_to=not_to
            )
        else:
            self._clear_own(name, about, summary, changes)
        return changes.phase()

    def killed(self, notice: KillNotice) -> Phase:
        """What the kill switch says of one episode; every change of its words is told.

        The key of a channel that folds (PagerDuty, the webhook) is the notice's own, so that an
        episode stays one incident over any restart.
        """
        changes = Changes(notice.at_ns)
        key = (f"{notice.alert}!", notice.key)
        held = self._active.get(self._firing.get(key, ""))
        alert = kill_alert(self._policy, notice, 0 if held is None else held.revision)
        if held is not None:
            alert = msgspec.structs.replace(alert, starts_ns=held.starts_ns)
        if held is not None and notice.resolved:
            # Its last words may speak of a rule's subject, or be milder: it ends as what it was.
            self._active[held.identity] = msgspec.structs.replace(
                held, annotations=alert.annotations
            )
            self._resolve(held.identity, changes, "")
        elif held is not None and alert.identity != held.identity:
            # Another severity or stage is another alert for a channel that knows them by labels.
            self._resolve(held.identity, changes, "superseded", goes_on=True)
            another = kill_alert(self._policy, notice, held.revision + 1)
            self._open(msgspec.structs.replace(another, starts_ns=held.starts_ns), changes)
        elif notice.resolved and held is None:
            # An earlier process may have told it and lost its record: channels still hold it.
            self._hold(alert, notice.at_ns)
            self._resolve(alert.identity, changes, "")
        elif not notice.resolved and alert != held:
            self._open(alert, changes)
        return changes.phase()

    def restore(self, rows: Sequence[AlertRow], now: EngineNs) -> int:
        """Take over what an earlier process was sending; all of it is repeated at once.

        Returns:
            How many rows could not be read (another version wrote them); the others are held.
        """
        unreadable = 0
        for row in rows:
            try:
                self._hold(decode_active(row.alert), now)
            except msgspec.DecodeError:
                unreadable += 1
        return unreadable

    def reconcile(
        self,
        firing: Collection[tuple[str, str]],
        now: EngineNs,
        *,
        failing: Collection[tuple[str, str]] = (),
    ) -> Phase:
        """After a restart, what the engine says against what was being sent.

        Args:
            firing: Every (rule, subject) that the engine holds as firing or recovering. An alert of
                any other ends as ``rule_removed``; nobody else would ever resolve it.
            now: Engine time.
            failing: Every (rule, subject) that the engine still cannot evaluate.
        """
        changes = Changes(now)
        for (rule, subject), identity in list(self._firing.items()):
            if _is_own(rule) or self._active[identity].folds:
                continue
            if (rule, subject) not in firing:
                self._resolve(identity, changes, "rule_removed")
                self._clear_companions(rule, subject, changes)
            elif self._active[identity].data == "error" and (rule, subject) not in failing:
                self._set_data(rule, subject, "", changes)
        still = {f"{rule}|{subject}" for rule, subject in failing}
        for name, about in list(self._firing):
            if name == f"{RULE_FAILING}!" and "|" in about and about not in still:
                self._clear_own(RULE_FAILING, about, "the rule is evaluated again", changes)
        return self._concluded(changes)

    # ------------------------------------------------------------------------------ outputs

    def tick(self, now: EngineNs) -> Due:
        """Repeats that are due at ``now``, and resolved alerts that were repeated long enough."""
        changes = Changes(now)
        self._probe(changes)
        self._tell_blindness(changes)
        if self._unseen is not None and now >= self._look_ns:
            self._look_ns = now + LOOK_NS
            self._tell_unseen(self._unseen(now), changes)
        self._conclude(changes)
        self._tell_newcomers(changes)
        repeats: list[OutboxEntry] = []
        keep_ns = round(self._policy.resolve_repeat_s * SECOND_NS)
        for identity, alert in list(self._active.items()):
            if alert.part_of:
                continue
            if alert.resolved_ns is not None and now - alert.resolved_ns >= keep_ns:
                self._drop(identity, changes)
            elif now >= self._due_ns[identity]:
                self._due_ns[identity] = now + self._resend_ns(alert.severity)
                repeats += self._repeat(alert, now)
        if now >= self._watchdog_due_ns:
            self._watchdog_due_ns = now + self._resend_ns(Severity.CRITICAL)
            repeats += self._repeat(self._watchdog, now, always=True)
        return Due(changes.phase(), tuple(repeats))

    def shutting_down(self, now: EngineNs) -> tuple[OutboxEntry, ...]:
        """One last repeat of everything that fires, which holds for the restart budget."""
        return tuple(
            entry
            for alert in (*self._active.values(), self._watchdog)
            if alert.firing
            for entry in self._repeat(
                alert,
                now,
                hold_s=self._policy.restart_budget_s,
                always=alert is self._watchdog,
            )
        )

    # ---------------------------------------------------------------------------- internals

    def _transition(self, transition: AlertTransition, changes: Changes) -> None:
        rule, subject = transition.rule, str(transition.subject)
        held = self._active.get(self._firing.get((rule, subject), ""))
        if transition.after not in _ALIVE:
            if held is not None or transition.before in _ALIVE:
                self._end(transition, held, changes)
            return
        alert = alert_of(self._policy, transition)
        if held is not None and held.dedup_key == alert.dedup_key:
            if transition.after is AlertState.RECOVERING:  # its text stays that of the beginning
                alert = msgspec.structs.replace(held, recovering=True)
            kept = mark_data(
                msgspec.structs.replace(
                    alert, part_of=held.part_of, untold=held.untold, told_ns=held.told_ns
                ),
                held.data,
            )
            self._hold(kept, self._due_ns.get(held.identity, changes.at_ns))
            changes.keep(kept)
            return
        if held is not None:
            self._resolve(held.identity, changes, "superseded")
        self._open(alert, changes)

    def _end(self, transition: AlertTransition, held: ActiveAlert | None, changes: Changes) -> None:
        # Without a held alert the store was lost: the channels may still hold it as firing.
        alert = alert_of(self._policy, transition)
        if held is None:
            held = folded_alert(self._policy, alert) if alert.place else alert
            if held.identity in self._active:
                return
            self._hold(held, transition.at_ns)
        self._active[held.identity] = msgspec.structs.replace(
            held, annotations=alert.annotations, data="", fact=alert.fact
        )
        self._resolve(held.identity, changes, transition.reason)
        self._clear_companions(transition.rule, str(transition.subject), changes)

    def _health(self, health: RuleHealth, changes: Changes) -> None:
        rule, subject = health.rule, str(health.subject)
        if health.error:
            self._raise_own(
                RULE_FAILING,
                Severity.HIGH,
                f"{rule}|{subject}",
                subject,
                f"Rule {rule} cannot be evaluated: {health.error}",
                f"{health.error}\nThe rule keeps its last state and its alert goes on being sent.",
                changes,
                rule=rule,
                place=PORTFOLIO,
            )
            self._set_data(rule, subject, "error", changes)
        else:
            summary = f"Rule {rule} is evaluated again"
            self._clear_own(RULE_FAILING, f"{rule}|{subject}", summary, changes)
            self._set_data(rule, subject, "", changes)

    def _probe(self, changes: Changes) -> None:
        if self._is_stale is None:
            return
        for (rule, subject), identity in list(self._firing.items()):
            alert = self._active[identity]
            if not _is_own(rule) and not alert.folds and alert.data != "error":
                self._set_data(
                    rule, subject, "stale" if self._is_stale(rule, subject) else "", changes
                )

    def _set_data(self, rule: str, subject: str, data: str, changes: Changes) -> None:
        held = self._active.get(self._firing.get((rule, subject), ""))
        if held is None or held.data == data:
            return
        self._hold(mark_data(held, data), self._due_ns.get(held.identity, changes.at_ns))
        changes.keep(self._active[held.identity])

    def _tell_blindness(self, changes: Changes) -> None:
        own = f"{INPUTS_STALE}!"
        told = [about for rule, about in self._firing if rule == own]
        # Of what never woke anybody, its "stale" on the page that told of it is enough.
        blind = [
            key
            for key, one in self._firing.items()
            if (alert := self._active[one]).data == "stale"
            and not alert.folds
            and at_least(alert.severity, Severity.HIGH)
        ]
        begins, ends = self._blindness.judge(blind, told, changes.at_ns)
        for place, rules in begins.items():
            more = f" and {len(rules) - 1} more" if len(rules) > 1 else ""
            self._raise_own(
                INPUTS_STALE,
                Severity.WARNING,
                place,
                place,
                f"Firing rules no longer see their inputs: {rules[0]}{more}; {place}",
                f"Blind for a minute: {', '.join(rules)}. Their alerts stay as they were: what is "
                "unknown is never taken for fine.",
                changes,
                covered_by=EXPLAIN_BLINDNESS,
            )
        for place in ends:
            self._clear_own(own[:-1], place, f"Rules see their inputs again; {place}", changes)

    def _tell_unseen(self, unseen: Sequence[Unseen], changes: Changes) -> None:
        """Quiet rules that cannot be judged: one page a place, and none where another explains it.
        High where margin of open positions is not judged, also where it was a warning before."""
        own = f"{INPUTS_UNKNOWN}!"
        held = {about: one for (rule, about), one in self._firing.items() if rule == own}
        told = {about: self._active[one].severity for about, one in held.items()}
        begins, ends = self._quiet.judge(unseen, told, self._said, changes.at_ns)
        # Narrow places first: what is wider rests on them.
        for place in sorted(begins, key=lambda one: (one == PORTFOLIO, one.count("/") == 0, one)):
            if place in held:
                self._resolve(held[place], changes, "superseded")
            found = [one for one in begins[place] if not self._said(one)]
            if not found:
                continue
            rules = list(dict.fromkeys(one.rule for one in found))
            loud = any(is_loud(one) for one in found)
            more = f" and {len(rules) - 1} more" if len(rules) > 1 else ""
            named = ", ".join(rules[:RULES_NAMED])
            rest = len(rules) - RULES_NAMED
            first = found[0]
            self._raise_own(
                INPUTS_UNKNOWN,
                Severity.HIGH if loud else Severity.WARNING,
                place,
                place,
                f"Nobody judges {rules[0]}{more}: inputs are unknown; {place}",
                f"Unknown for minutes: {named}{f' and {rest} more' if rest > 0 else ''}. Whether "
                f"they should fire cannot be said, and unknown is not fine. {first.rule}: "
                f"{first.why}",
                changes,
            )
        for place in ends:
            self._clear_own(own[:-1], place, f"Rules see their inputs again; {place}", changes)

    def _said(self, unseen: Unseen) -> bool:
        """Whether people were told already why a rule cannot be judged."""
        return any(
            one.firing
            and not (one.untold or one.part_of or one.data)
            and explains(one, unseen)
            and (not (is_loud(unseen) and one.folds) or self._names(one, unseen))
            for one in self._active.values()
        )

    def _names(self, alert: ActiveAlert, unseen: Unseen) -> bool:
        """Whether what a page of a venue names is wider than accounts, or the account in doubt."""
        members = (self._active[one] for one in self._folds.members.get(alert.identity, ()))
        return any(
            not one.subject.startswith("account:")
            or lies_in(unseen.at, one.subject)
            or lies_in(unseen.subject, one.subject)
            for one in members
        )

    def _clear_companions(self, rule: str, subject: str, changes: Changes) -> None:
        self._clear_own(RULE_FAILING, f"{rule}|{subject}", f"{rule} ended", changes)

    def _raise_own(
        self,
        name: str,
        severity: Severity,
        about: str,
        subject: str,
        summary: str,
        description: str,
        changes: Changes,
        *,
        rule: str = "",
        not_to: str = "",
        place: str = "",
        covered_by: tuple[str, ...] = (),
    ) -> None:
        key = (f"{name}!", about)
        if key in self._firing:
            return
        alert = own_alert(
            self._policy,
            name,
            severity=severity,
            rule=rule,
            subject=subject,
            summary=summary,
            description=description,
            now=changes.at_ns,
            not_to=not_to,
        )
        kept = msgspec.structs.replace(
            alert,
            rule=key[0],
            about=about,
            place="" if place == subject else place,  # nothing is a part of itself
            covered_by=covered_by,
            title=f"Rule {rule} cannot be evaluated",
        )
        # A condition of riskd's own has lasted before it is raised.
        self._open(kept, changes, waited_ns=WAIT_NS[severity])

    def _clear_own(self, name: str, about: str, summary: str, changes: Changes) -> None:
        identity = self._firing.get((f"{name}!", about))
        if identity is not None:
            held = self._active[identity]
            self._active[identity] = msgspec.structs.replace(
                held, annotations=with_annotation(held.annotations, "summary", summary)
            )
            self._resolve(identity, changes, "")


def _is_own(rule: str) -> bool:
    return rule.endswith("!")  # no rule id has one: they are CamelCase-able words
