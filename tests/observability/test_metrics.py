"""The daemon's own metrics: plain slots, read at scrape, never global."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client.exposition import generate_latest

from monitor.cli.children import die_with_parent
from monitor.observability.metrics import (
    LABEL_SETS_MAX,
    DaemonMetrics,
    SlotHistogram,
)


def busy_metrics() -> DaemonMetrics:
    """Metrics of a daemon that has been through something."""
    metrics = DaemonMetrics(version="1.2.3", config_hash="abc")
    feed = metrics.feed("dydx", "indexer")
    feed.connected = True
    feed.messages = 5
    feed.bytes = 500
    feed.rejected = 2
    feed.reconnects = 1
    feed.last_message_ns = 1_700_000_000_500_000_000
    metrics.feed("dydx", "rest.account")
    metrics.watch_budget("dydx", lambda: (30.0, 70.0))
    outbox = metrics.outbox("alertmanager")
    outbox.length = 3
    outbox.oldest_ns = 1_700_000_000_000_000_000
    outbox.count("delivered")
    metrics.listener("Store")
    metrics.listener_failed("Store")
    metrics.evaluation_s.observe(0.0005)
    metrics.last_evaluation_ns = 1_700_000_000_000_000_000
    metrics.clock_offset = lambda: -0.25
    metrics.events = 9
    return metrics


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("riskd_build_info", {"version": "1.2.3"}, 1.0),
        ("riskd_config_info", {"hash": "abc"}, 1.0),
        ("riskd_collector_up", {"venue": "dydx", "feed": "indexer"}, 1.0),
        ("riskd_collector_up", {"venue": "dydx", "feed": "rest.account"}, 0.0),
        ("riskd_collector_messages_total", {"venue": "dydx", "feed": "indexer"}, 5.0),
        ("riskd_collector_received_bytes_total", {"venue": "dydx", "feed": "indexer"}, 500.0),
        ("riskd_collector_parse_errors_total", {"venue": "dydx", "feed": "indexer"}, 2.0),
        ("riskd_collector_reconnects_total", {"venue": "dydx", "feed": "indexer"}, 1.0),
        ("riskd_collector_reconnects_total", {"venue": "dydx", "feed": "rest.account"}, 0.0),
        (
            "riskd_collector_last_message_timestamp_seconds",
            {"venue": "dydx", "feed": "indexer"},
            1_700_000_000.5,
        ),
        (
            "riskd_collector_last_message_timestamp_seconds",
            {"venue": "dydx", "feed": "rest.account"},
            None,
        ),
        ("riskd_request_budget_used", {"venue": "dydx"}, 30.0),
        ("riskd_request_budget_left", {"venue": "dydx"}, 70.0),
        ("riskd_outbox_messages", {"channel": "alertmanager"}, 3.0),
        ("riskd_outbox_oldest_timestamp_seconds", {"channel": "alertmanager"}, 1_700_000_000.0),
        ("riskd_notifications_total", {"channel": "alertmanager", "result": "delivered"}, 1.0),
        ("riskd_notifications_total", {"channel": "alertmanager", "result": "timeout"}, 0.0),
        ("riskd_listener_failures_total", {"listener": "Store"}, 1.0),
        ("riskd_evaluation_duration_seconds_count", {}, 1.0),
        ("riskd_evaluation_duration_seconds_bucket", {"le": "0.001"}, 1.0),
        ("riskd_evaluation_duration_seconds_bucket", {"le": "0.0003"}, 0.0),
        ("riskd_wall_clock_offset_seconds", {}, -0.25),
        ("riskd_events_total", {}, 9.0),
        ("process_start_time_seconds", {}, ...),
    ],
)
def test_what_a_scrape_reads(name: str, labels: dict[str, str], value: object) -> None:
    """Known series exist from the start at 0; what never happened has no timestamp."""
    read = busy_metrics().registry.get_sample_value(name, labels)
    assert read is not None if value is ... else read == value


@pytest.mark.parametrize(
    ("value", "bucket"),
    [
        pytest.param(0.5, 0, id="below"),
        pytest.param(1.0, 0, id="a bound includes itself"),
        pytest.param(1.1, 1, id="above"),
        pytest.param(99.0, 2, id="beyond the last is +Inf alone"),
    ],
)
def test_the_histogram_counts_like_prometheus(value: float, bucket: int) -> None:
    """``le`` is less or equal; buckets accumulate; +Inf is the count."""
    histogram = SlotHistogram((1.0, 2.0))
    histogram.observe(value)
    cumulative = histogram.cumulative()
    assert [count for _, count in cumulative] == [float(n >= bucket) for n in range(3)]
    assert cumulative[-1][0] == "+Inf"
    assert histogram.sum == value


def test_label_sets_are_bounded() -> None:
    """Feeds without end share one series instead of filling Prometheus."""
    metrics = DaemonMetrics(version="1")
    for number in range(LABEL_SETS_MAX + 10):
        metrics.feed("dydx", f"feed{number}").messages += 1
    value = metrics.registry.get_sample_value(
        "riskd_collector_messages_total", {"venue": "other", "feed": "other"}
    )
    assert value == 10.0


def test_a_result_outside_the_closed_set_is_refused() -> None:
    """Error texts never become label values."""
    with pytest.raises(ValueError, match="no result"):
        DaemonMetrics(version="1").outbox("x").count("Connection refused by 10.0.0.1")


def test_each_daemon_has_a_registry_of_its_own() -> None:
    """Two daemons in one process (as in tests) never share a series."""
    first, second = DaemonMetrics(version="1"), DaemonMetrics(version="2")
    first.events = 5
    assert second.registry.get_sample_value("riskd_events_total") == 0.0


@pytest.mark.component
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_criticise() -> None:
    """Names, units and types as Prometheus' own linter wants them."""
    text = generate_latest(busy_metrics().registry)
    result = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text,
        capture_output=True,
        check=False,
        timeout=30,
        preexec_fn=die_with_parent(),
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_latencies_and_rule_errors_have_series_of_their_own() -> None:
    """By channel and by rule; a batch's wait has no label."""
    metrics = DaemonMetrics(version="1")
    metrics.outbox("hook").latency_s.observe(0.2)
    metrics.outbox("hook").count("rate_limited")
    metrics.event_to_decision_s.observe(0.002)
    for rule in ("a", "b", "a"):
        metrics.rule_failed(rule)
    read = metrics.registry.get_sample_value
    bucket = "riskd_notification_latency_seconds_bucket"
    assert read(bucket, {"channel": "hook", "le": "0.1"}) == 0.0
    assert read(bucket, {"channel": "hook", "le": "0.25"}) == 1.0
    assert read("riskd_event_to_decision_seconds_count") == 1.0
    assert read("riskd_rule_evaluation_errors_total", {"rule": "a"}) == 2.0
    limited = {"channel": "hook", "result": "rate_limited"}
    assert read("riskd_notifications_total", limited) == 1.0
