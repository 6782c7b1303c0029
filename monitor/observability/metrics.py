"""Metrics of the daemon itself: what it reads, how often it fails, how long it thinks.

Hot paths write plain slots; a scrape reads them. Nothing here is global: one ``DaemonMetrics`` with
its own registry is made in ``app.wiring`` and handed down. Label values come from configuration
alone (venue, feed, channel, listener), every known series exists from the start, and what has not
happened yet has no timestamp instead of 1970. Measures of risk are exported by ``exposition``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from monitor.core.types import SECOND_NS, EngineNs

LABEL_SETS_MAX = 512  # more feeds or channels than any configuration has; then "other"
OTHER = "other"
NOTIFICATION_RESULTS = (
    "delivered",
    "client",
    "server",
    "auth",
    "rate_limited",
    "timeout",
    "dropped",
)
# From one dirty measure (some µs) to a stall that a person would notice.
DURATION_BUCKETS_S = (
    0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0,
)  # fmt: skip
# From a decision to its delivery: at once, a retry or two, an outage of the channel.
LATENCY_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0)


class FeedCounters:
    """What one feed (a connection, or a family of polls) has done; written as plain slots."""

    __slots__ = (
        "bugs",
        "bytes",
        "connected",
        "failures",
        "gaps",
        "last_message_ns",
        "messages",
        "quarantined",
        "reconnects",
        "rejected",
    )

    def __init__(self) -> None:
        self.connected = False
        self.quarantined = False
        self.messages = 0
        self.bytes = 0
        self.rejected = 0
        self.reconnects = 0
        self.failures = 0
        self.gaps = 0
        self.bugs = 0
        self.last_message_ns: EngineNs = 0


class OutboxGauges:
    """State of one notification channel; written by whoever sends."""

    __slots__ = ("capacity", "latency_s", "length", "oldest_ns", "results")

    def __init__(self) -> None:
        self.length = 0
        self.capacity = 0
        self.oldest_ns: EngineNs | None = None
        self.results = dict.fromkeys(NOTIFICATION_RESULTS, 0)
        self.latency_s = SlotHistogram(LATENCY_BUCKETS_S)

    def count(self, result: str) -> None:
        """Count one attempt; ``result`` is one of ``NOTIFICATION_RESULTS``.

        Raises:
            ValueError: If it is not, since a label set must stay closed.
        """
        if result not in self.results:
            message = f"{result!r} is no result of a notification ({NOTIFICATION_RESULTS})."
            raise ValueError(message)
        self.results[result] += 1


class SlotHistogram:
    """A histogram with fixed bounds at the cost of a bisection, about 0.15 µs an observation."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count ``value``; a bound includes itself, as Prometheus' ``le`` does."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Buckets as Prometheus wants them, ``+Inf`` last."""
        total = 0
        buckets: list[tuple[str, float]] = []
        names = [*(repr(bound) for bound in self.bounds), "+Inf"]
        for name, count in zip(names, self.counts, strict=True):
            total += count
            buckets.append((name, float(total)))
        return buckets


class DaemonMetrics(Collector):
    """Every metric of the daemon's own health, and the registry that exports them."""

    def __init__(self, *, version: str, config_hash: str = "") -> None:
        self._version = version
        self.config_hash = config_hash
        self._feeds: dict[tuple[str, str], FeedCounters] = {}
        self._outboxes: dict[str, OutboxGauges] = {}
        self._budgets: dict[str, Callable[[], tuple[float, float]]] = {}
        self._listener_failures: dict[str, int] = {}
        self.events = 0
        self.evaluation_s = SlotHistogram(DURATION_BUCKETS_S)
        self.event_to_decision_s = SlotHistogram(DURATION_BUCKETS_S)
        self.last_evaluation_ns: EngineNs | None = None
        self.loop_lag_s = 0.0
        self.measure_errors = 0
        self.rule_errors: dict[str, int] = {}
        self.clock_offset: Callable[[], float] | None = None
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def feed(self, venue: str, feed: str) -> FeedCounters:
        """Counters of one feed, made on first use; past ``LABEL_SETS_MAX`` all share ``other``."""
        key = (venue, feed)
        if key not in self._feeds and len(self._feeds) >= LABEL_SETS_MAX:
            key = (OTHER, OTHER)
        return self._feeds.setdefault(key, FeedCounters())

    def outbox(self, channel: str) -> OutboxGauges:
        """Gauges of one notification channel, made on first use."""
        key = channel
        if key not in self._outboxes and len(self._outboxes) >= LABEL_SETS_MAX:
            key = OTHER
        return self._outboxes.setdefault(key, OutboxGauges())

    def watch_budget(self, venue: str, used_and_left: Callable[[], tuple[float, float]]) -> None:
        """Export a venue's request budget, read at scrape."""
        self._budgets[venue] = used_and_left

    def rule_failed(self, rule: str) -> None:
        """Count that a rule began to fail about some subject."""
        key = rule if rule in self.rule_errors or len(self.rule_errors) < LABEL_SETS_MAX else OTHER
        self.rule_errors[key] = self.rule_errors.get(key, 0) + 1

    def listener(self, name: str) -> None:
        """Make a listener's series exist before its first failure."""
        self._listener_failures.setdefault(name, 0)

    def listener_failed(self, name: str) -> None:
        """Count one decision that a listener did not take."""
        self._listener_failures[name] = self._listener_failures.get(name, 0) + 1

    def collect(self) -> Iterable[Metric]:
        """Called by the registry at each scrape."""
        yield from self._collect_daemon()
        yield from self._collect_feeds()
        yield from self._collect_budgets()
        yield from self._collect_outboxes()

    def _collect_daemon(self) -> Iterator[Metric]:
        yield InfoMetricFamily("riskd_build", "Version of riskd.", {"version": self._version})
        yield InfoMetricFamily(
            "riskd_config", "Configuration in force, by its hash.", {"hash": self.config_hash}
        )
        yield CounterMetricFamily(
            "riskd_events", "Events applied to the risk state.", value=self.events
        )
        duration = HistogramMetricFamily(
            "riskd_evaluation_duration_seconds",
            "Time that measures and rules took after one read batch, in seconds.",
        )
        duration.add_metric([], self.evaluation_s.cumulative(), self.evaluation_s.sum)
        yield duration
        waited = HistogramMetricFamily(
            "riskd_event_to_decision_seconds",
            "From the oldest event of a read batch to the end of its evaluation, in seconds.",
        )
        waited.add_metric([], self.event_to_decision_s.cumulative(), self.event_to_decision_s.sum)
        yield waited
        if self.last_evaluation_ns is not None:
            yield GaugeMetricFamily(
                "riskd_last_evaluation_timestamp_seconds",
                "Engine time of the newest evaluation, Unix seconds.",
                value=self.last_evaluation_ns / SECOND_NS,
            )
        yield GaugeMetricFamily(
            "riskd_event_loop_lag_seconds",
            "How late the event loop woke a sleeper, worst of the last period, in seconds.",
            value=self.loop_lag_s,
        )
        yield CounterMetricFamily(
            "riskd_measure_errors",
            "Measures that failed and became absent.",
            value=self.measure_errors,
        )
        errors = CounterMetricFamily(
            "riskd_rule_evaluation_errors",
            "Times that a rule could not be evaluated any more, about any subject.",
            labels=["rule"],
        )
        for rule, count in self.rule_errors.items():
            errors.add_metric([rule], count)
        yield errors
        failures = CounterMetricFamily(
            "riskd_listener_failures",
            "Decisions that a listener could not take.",
            labels=["listener"],
        )
        for name, count in self._listener_failures.items():
            failures.add_metric([name], count)
        yield failures
        if self.clock_offset is not None:
            yield GaugeMetricFamily(
                "riskd_wall_clock_offset_seconds",
                "Wall clock minus engine time: steps of the wall clock since start, in seconds.",
                value=self.clock_offset(),
            )

    def _collect_feeds(self) -> Iterator[Metric]:
        labels = ["venue", "feed"]
        for name, text, slot in _FEED_GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=labels)
            for key, counters in self._feeds.items():
                gauge.add_metric(key, float(getattr(counters, slot)))
            yield gauge
        for name, text, slot in _FEED_COUNTERS:
            counter = CounterMetricFamily(name, text, labels=labels)
            for key, counters in self._feeds.items():
                counter.add_metric(key, getattr(counters, slot))
            yield counter
        newest = GaugeMetricFamily(
            "riskd_collector_last_message_timestamp_seconds",
            "Engine time of the newest message of a feed, Unix seconds.",
            labels=labels,
        )
        for key, counters in self._feeds.items():
            if counters.last_message_ns:
                newest.add_metric(key, counters.last_message_ns / SECOND_NS)
        yield newest

    def _collect_budgets(self) -> Iterator[Metric]:
        used = GaugeMetricFamily(
            "riskd_request_budget_used",
            "Request weight spent within the venue's window.",
            labels=["venue"],
        )
        left = GaugeMetricFamily(
            "riskd_request_budget_left",
            "Request weight left within the venue's window, the kill path's reserve included.",
            labels=["venue"],
        )
        for venue, read in self._budgets.items():
            used_weight, left_weight = read()
            used.add_metric([venue], used_weight)
            left.add_metric([venue], left_weight)
        yield used
        yield left

    def _collect_outboxes(self) -> Iterator[Metric]:
        length = GaugeMetricFamily(
            "riskd_outbox_messages", "Messages waiting to be sent.", labels=["channel"]
        )
        capacity = GaugeMetricFamily(
            "riskd_outbox_capacity", "Messages that the outbox can hold.", labels=["channel"]
        )
        oldest = GaugeMetricFamily(
            "riskd_outbox_oldest_timestamp_seconds",
            "Engine time at which the oldest waiting message was written, Unix seconds.",
            labels=["channel"],
        )
        results = CounterMetricFamily(
            "riskd_notifications", "Notifications by result.", labels=["channel", "result"]
        )
        latency = HistogramMetricFamily(
            "riskd_notification_latency_seconds",
            "From a decision to its delivery by a channel, in seconds of engine time.",
            labels=["channel"],
        )
        for channel, gauges in self._outboxes.items():
            latency.add_metric([channel], gauges.latency_s.cumulative(), gauges.latency_s.sum)
            length.add_metric([channel], gauges.length)
            capacity.add_metric([channel], gauges.capacity)
            if gauges.oldest_ns is not None:
                oldest.add_metric([channel], gauges.oldest_ns / SECOND_NS)
            for result, count in gauges.results.items():
                results.add_metric([channel, result], count)
        yield from (length, capacity, oldest, results, latency)


_FEED_GAUGES = (
    ("riskd_collector_up", "1 while the feed is connected.", "connected"),
    ("riskd_collector_quarantined", "1 while the feed is retried only rarely.", "quarantined"),
)
_FEED_COUNTERS = (
    ("riskd_collector_messages", "Frames or answers received.", "messages"),
    ("riskd_collector_received_bytes", "Bytes of frames or answers received.", "bytes"),
    ("riskd_collector_parse_errors", "Frames or answers that could not be decoded.", "rejected"),
    ("riskd_collector_reconnects", "Times the feed came back.", "reconnects"),
    ("riskd_collector_failures", "Times the feed failed or could not connect.", "failures"),
    ("riskd_collector_sequence_gaps", "Times messages were missing.", "gaps"),
    ("riskd_collector_bugs", "Unexpected errors of a venue's own code.", "bugs"),
)
