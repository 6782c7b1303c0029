"""The alerts of one deployment as they are held: opened, folded, told, repeated, resolved, dropped.

What happened is ``dispatch``'s affair; here is what becomes of an alert from then on, and which of
it anybody is told. *Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.ports import OutboxEntry, Phase
from monitor.core.types import SECOND_NS, EngineNs, Severity
from monitor.notify.alerts import Changes, DispatchPolicy, entry_of, mark_data, notice_of
from monitor.notify.folding import (
    WAIT_NS,
    Folds,
    again_ns,
    covering,
    folded_alert,
    newcomers,
    refolded,
    unfolded,
    waits,
)
from monitor.notify.notice import ActiveAlert, at_least, with_annotation


class AlertBook:
    """Holds what fires or ended lately; says what is to be kept and told of every change."""

    def __init__(self, policy: DispatchPolicy) -> None:
        self._policy = policy
        self._active: dict[str, ActiveAlert] = {}
        self._firing: dict[tuple[str, str], str] = {}  # (rule, subject) -> identity
        self._due_ns: dict[str, EngineNs] = {}
        self._folds = Folds()

    @property
    def active(self) -> tuple[ActiveAlert, ...]:
        """Firing and lately resolved alerts, oldest episode first. Neither the watchdog nor those
        that are part of another are listed."""
        alerts = (alert for alert in self._active.values() if not alert.part_of)
        return tuple(sorted(alerts, key=lambda alert: (alert.starts_ns, alert.identity)))

    def members(self, identity: str) -> tuple[ActiveAlert, ...]:
        """What is folded into an alert now, in the order in which it joined."""
        return tuple(self._active[one] for one in self._folds.members.get(identity, ()))

    def covered_by(self, alert: ActiveAlert) -> str:
        """The name of the alert for whose sake nobody is told of this one; empty for none."""
        cover = covering(alert, self._active.values()) if alert.untold else None
        return "" if cover is None else dict(cover.labels).get("alertname", "")

    # ---------------------------------------------------------------------------- internals

    def _open(self, alert: ActiveAlert, changes: Changes, *, waited_ns: EngineNs = 0) -> None:
        if alert.place:
            self._join(alert, changes)
            return
        if waits(alert):
            alert = msgspec.structs.replace(alert, untold=True)
            self._hold(alert, changes.at_ns - waited_ns)
        else:
            self._hold(alert, changes.at_ns + self._resend_ns(alert.severity))
            changes.tell(self._entry(alert, changes.at_ns))
        changes.keep(alert)

    def _join(self, member: ActiveAlert, changes: Changes) -> None:
        """People are told about the member's place: by the alert there, or by a new one."""
        whole = folded_alert(self._policy, member)
        member = msgspec.structs.replace(member, part_of=whole.identity)
        self._hold(member, changes.at_ns)
        changes.keep(member)
        held = self._active.get(whole.identity)
        if held is None or not held.firing:
            self._hold(msgspec.structs.replace(whole, untold=True), changes.at_ns)
            changes.keep(self._active[whole.identity])

    def _conclude(self, changes: Changes) -> None:
        """Say folded alerts anew as their members are now, and tell what waited long enough."""
        changed, self._folds.changed = self._folds.changed, {}
        for identity, left in changed.items():
            whole, members = self._active.get(identity), self.members(identity)
            if whole is None or not whole.firing:
                continue
            if members:
                self._active[identity] = refolded(whole, members)
                if self._active[identity] != whole:
                    changes.keep(self._active[identity])
            elif left is not None:
                last, reason = left
                self._active[identity] = unfolded(whole, last)
                self._resolve(identity, changes, reason)
        for identity, since_ns in list(self._folds.waiting.items()):
            alert = self._active[identity]
            if alert.recovering or covering(alert, self._active.values()) is not None:
                self._folds.waiting[identity] = changes.at_ns
            elif changes.at_ns - since_ns >= WAIT_NS[alert.severity]:
                self._tell(alert, changes)

    def _concluded(self, changes: Changes) -> Phase:
        self._conclude(changes)
        return changes.phase()

    def _tell_newcomers(self, changes: Changes) -> None:
        for identity in list(self._folds.members):
            alert = self._active.get(identity)
            if (
                alert is not None
                and alert.firing
                and not alert.untold
                and changes.at_ns >= again_ns(alert)
                and newcomers(alert, self.members(identity))
                and covering(alert, self._active.values()) is None
            ):
                self._tell(alert, changes)

    def _tell(self, alert: ActiveAlert, changes: Changes) -> None:
        known = tuple(self._folds.members.get(alert.identity, ()))
        told = msgspec.structs.replace(alert, untold=False, told_ns=changes.at_ns, told_of=known)
        self._folds.waiting.pop(alert.identity, None)
        self._hold(told, changes.at_ns + self._resend_ns(alert.severity))
        changes.keep(told)
        changes.tell(self._entry(told, changes.at_ns))

    def _resolve(
        self, identity: str, changes: Changes, reason: str, *, goes_on: bool = False
    ) -> None:
        """It ends. ``goes_on``: under the same key as another alert, so that only who knows alerts
        by their labels is told; by its key the incident would be closed while it lasts."""
        held = self._active[identity]
        if self._firing.get(held.key) == identity:
            del self._firing[held.key]
        if held.part_of or held.untold:  # nobody was told of it
            if held.part_of:
                self._folds.left(held, reason)
            self._drop(identity, changes)
            return
        text = held.annotations
        if reason:
            told = dict(text).get("description", "")
            text = with_annotation(text, "description", f"{told}\nEnded: {reason}.".lstrip())
        # An end before the beginning would be refused by Alertmanager.
        ended_ns = max(changes.at_ns, held.starts_ns)
        alert = mark_data(msgspec.structs.replace(held, resolved_ns=ended_ns, annotations=text), "")
        self._active[identity] = alert
        self._due_ns[identity] = changes.at_ns + self._resend_ns(alert.severity)
        changes.keep(alert)
        changes.tell(self._entry(alert, changes.at_ns, by_labels=goes_on))

    def _hold(self, alert: ActiveAlert, due_ns: EngineNs) -> None:
        self._active[alert.identity] = alert
        if not alert.part_of:
            self._due_ns[alert.identity] = due_ns
        if alert.firing:
            self._firing[alert.key] = alert.identity
        self._folds.held(alert, due_ns)

    def _drop(self, identity: str, changes: Changes) -> None:
        del self._active[identity]
        self._due_ns.pop(identity, None)
        self._folds.gone(identity)
        changes.forget(identity)

    def _resend_ns(self, severity: Severity) -> int:
        return round(self._policy.resend_for_s(severity) * SECOND_NS)

    def _entry(
        self, alert: ActiveAlert, now: EngineNs, *, by_labels: bool = False
    ) -> OutboxEntry | None:
        channels = tuple(
            route.channel
            for route in self._policy.routes
            if at_least(alert.severity, route.severity_min)
            and route.channel != alert.not_to
            and (route.holds_state or not by_labels)
        )
        if not channels:
            return None
        return entry_of(notice_of(self._policy, alert, now), channels)

    def _repeat(
        self, alert: ActiveAlert, now: EngineNs, *, hold_s: float = 0.0, always: bool = False
    ) -> list[OutboxEntry]:
        if alert.part_of or alert.untold:
            return []
        channels = tuple(
            route.channel
            for route in self._policy.routes
            if route.holds_state
            and (always or at_least(alert.severity, route.severity_min))
            and route.channel != alert.not_to
        )
        if not channels:
            return []
        return [entry_of(notice_of(self._policy, alert, now, hold_s=hold_s), channels, repeat=True)]
