"""What the HTTP server shows of a daemon, and what the sender tells it. Implements
``server.http.Source`` and ``notify.sender.SenderObserver``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from monitor import __version__
from monitor.core.rule_unseen import HISTORY_NS, Unseen, UnseenRules
from monitor.core.rules.rule import OnUnknown
from monitor.core.state.model import RuleMemory
from monitor.core.types import PORTFOLIO, SECOND_NS, EngineNs, Severity
from monitor.notify.notice import ActiveAlert
from monitor.observability.exposition import OPENMETRICS_TYPE, TEXT_TYPE, Exposition
from monitor.observability.metrics import NOTIFICATION_RESULTS
from monitor.server.document import measures_document, state_document, unseen_accounts
from monitor.server.kill_document import kill_document

if TYPE_CHECKING:
    from monitor.app.lifecycle import Daemon

LIVE_S = 10.0  # an evaluation that is due and this late: the core hangs
Json = dict[str, Any]


class DaemonSource:
    """Reads the daemon between two events; changes nothing but counters."""

    version = __version__

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._exposition = Exposition()
        self._unseen = UnseenRules()
        self.desk = daemon.config.desk
        self.mode: str = daemon.config.mode
        self.simulated = daemon.simulated
        self.started_ns = daemon.started_ns

    # --------------------------------------------------------------------------------- rules

    def rules_held(self) -> Iterator[tuple[tuple[str, str], RuleMemory]]:
        """Every (rule, subject) with what the engine holds of it."""
        for memory in self._daemon.engine.rule_states():
            yield (memory.rule, str(memory.subject)), memory

    def is_stale(self, rule: str, subject: str) -> bool:
        """Whether a rule's verdict about a subject is UNKNOWN now.

        Not for a rule that fires because its data is missing: there the absence is the news.
        """
        engine = self._daemon.engine
        memory = engine.state.rules.get(f"{rule}|{subject}")
        if memory is None or memory.state.unknown_since_ns is None:
            return False
        loaded = next((one for one in engine.rulebook.rules if one.id == rule), None)
        return loaded is None or loaded.on_unknown is not OnUnknown.FIRE

    def unseen(self, now: EngineNs) -> list[Unseen]:
        """Quiet rules that cannot be judged though their inputs should be told."""
        engine, venues = self._daemon.engine, self._daemon.config.venues
        read = any(one is not None and one.baselines for one in (venues.hyperliquid, venues.dydx))
        return self._unseen.look(
            engine.state,
            engine.rulebook.rules,
            partial(engine.absent_inputs, now=now),
            now,
            history_due_ns=self.started_ns + HISTORY_NS if read else None,
        )

    # -------------------------------------------------------------------------------- server

    def state(self) -> object:
        """The document of ``/v1/state``."""
        return self.document()

    def document(self) -> Json:
        """The same, for those inside the process."""
        daemon = self._daemon
        return state_document(
            daemon.engine,
            self,
            alerts=[self._alert(alert) for alert in _worst_first(daemon.dispatcher.active)],
            channels=self._channels(),
            kill=kill_document(
                daemon.kill.machine,
                would_have=[
                    {"at_ms": act.at_ns // 1_000_000, "rule": act.rule, "text": act.text}
                    for act in daemon.decisions.would_have
                ],
                would_fire=daemon.kill.would_fire(PORTFOLIO),
                problem=daemon.kill.problem,
                now=daemon.clock.now(),
            ),
            now=daemon.clock.now(),
        )

    def measures(self, words: str) -> object:
        """The document of ``/v1/measures``: those whose name and subject hold all ``words``."""
        return measures_document(self._daemon.engine, words, self._daemon.clock.now())

    def alerts(self) -> object:
        """Firing and lately resolved alerts."""
        return [self._alert(alert) for alert in self._daemon.dispatcher.active]

    def live(self) -> tuple[bool, object]:
        """The loop answers (or this would not run), and the core judges when that is due."""
        writer = self._daemon.writer
        if writer.failed is not None:
            return False, {"core": type(writer.failed).__name__}
        due_ns = writer.evaluation_due_ns
        # A scaled clock passes ten seconds sooner than a process can be called stuck.
        limit_s = LIVE_S * getattr(self._daemon.clock, "speed", 1.0)
        late_s = 0.0 if due_ns is None else (self._daemon.clock.now() - due_ns) / SECOND_NS
        if late_s > limit_s:
            return False, {"core": f"nothing judged although due {late_s:.0f} s ago"}
        return True, {}

    def ready(self) -> tuple[bool, object]:
        """Every venue bootstrapped and seen, rules judged, store writable, with what is missing."""
        daemon = self._daemon
        missing: dict[str, str] = {}
        for driver in daemon.drivers:
            if not driver.ready:
                missing[driver.venue.name] = "not reached yet"
        missing |= unseen_accounts(daemon.engine, daemon.clock.now())
        if any(
            alert.firing and alert.rule == "StoreFailing!" for alert in daemon.dispatcher.active
        ):
            missing["store"] = "cannot be written"
        if daemon.writer.failed is not None:
            missing["core"] = "failed"
        return not missing, missing

    def metrics(self, *, openmetrics: bool) -> tuple[str, Iterable[bytes]]:
        """Measures by our own writer in slices, then the daemon's own metrics."""
        return OPENMETRICS_TYPE if openmetrics else TEXT_TYPE, self._metric_chunks(openmetrics)

    def _metric_chunks(self, openmetrics: bool) -> Iterator[bytes]:
        daemon = self._daemon
        self._refresh_outboxes()
        now = daemon.clock.now()
        yield from self._exposition.render(
            daemon.engine.instances(now), now_ns=now, openmetrics=openmetrics
        )
        if openmetrics:
            # Untyped in prometheus_client; it returns bytes that end in "# EOF".
            yield generate_openmetrics(daemon.metrics.registry)  # type: ignore[no-untyped-call]
        else:
            yield generate_latest(daemon.metrics.registry)

    # -------------------------------------------------------------------------------- sender

    def attempted(self, channel: str, result: str, latency_s: float) -> None:
        """One attempt to page ended."""
        gauges = self._daemon.metrics.outbox(channel)
        gauges.count(result if result in NOTIFICATION_RESULTS else "server")
        if result == "delivered":
            gauges.latency_s.observe(latency_s)

    def failing(self, channel: str, reason: str) -> None:
        """A channel stopped delivering, or delivers again."""
        self._daemon.pager.channel_failing(channel, reason)

    # ----------------------------------------------------------------------------- internals

    def _refresh_outboxes(self) -> None:
        for status in self._daemon.sender.status():
            gauges = self._daemon.metrics.outbox(status.channel)
            gauges.length = status.pending
            gauges.capacity = status.capacity
            gauges.oldest_ns = status.oldest_ns

    def _channels(self) -> list[Json]:
        now = self._daemon.clock.now()
        return [
            {
                "name": status.channel,
                "healthy": not status.failing,
                "proven": status.last_delivered_ns is not None,
                "waiting": status.pending,
                "delivered": status.delivered,
                "last_delivered_s": None
                if status.last_delivered_ns is None
                else (now - status.last_delivered_ns) / SECOND_NS,
                "detail": status.last_error if status.failing else "",
            }
            for status in self._daemon.sender.status()
        ]

    def _alert(self, alert: ActiveAlert) -> Json:
        daemon = self._daemon
        now = daemon.clock.now()
        texts = dict(alert.annotations)
        return {
            "alert": dict(alert.labels).get("alertname", ""),
            "rule": alert.rule.removesuffix("!"),
            "subject": alert.subject,
            "severity": alert.severity.value,
            "firing": alert.firing,
            "firing_s": (now - alert.starts_ns) / SECOND_NS,
            "resolved_s": None
            if alert.resolved_ns is None
            else (now - alert.resolved_ns) / SECOND_NS,
            "summary": texts.get("summary", ""),
            "description": texts.get("description", ""),
            "action": texts.get("action_taken", ""),
            "runbook": texts.get("runbook_url", ""),
            "stale": alert.data == "stale",
            "labels": dict(alert.labels),
            # Nobody was told of it yet, because of that alert, or because it waits for one.
            "told": not alert.untold,
            "covered_by": daemon.dispatcher.covered_by(alert),
            "members": [
                {
                    "subject": one.subject,
                    "labels": dict(one.labels),
                    "firing_s": (now - one.starts_ns) / SECOND_NS,
                    "summary": dict(one.annotations).get("summary", ""),
                    "stale": one.data == "stale",
                }
                for one in daemon.dispatcher.members(alert.identity)
            ],
        }


def _worst_first(alerts: Iterable[ActiveAlert]) -> list[ActiveAlert]:
    """What fires: the most severe first, the newest of them before the older."""
    order = list(Severity)
    return sorted(
        (alert for alert in alerts if alert.firing),
        key=lambda alert: (-order.index(alert.severity), -alert.starts_ns),
    )
