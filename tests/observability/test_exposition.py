"""Measures as Prometheus reads them: names, labels, absence, ceilings, both formats."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics import exposition as open_writer
from prometheus_client.openmetrics import parser as open_parser
from prometheus_client.parser import text_string_to_metric_families

from monitor.cli.children import die_with_parent
from monitor.core.measures.spec import MeasureSpec, Reading, Unit
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    Subject,
    SubjectKind,
    account_subject,
    asset_subject,
    feed_subject,
    market_subject,
    position_subject,
    rule_subject,
    venue_subject,
)
from monitor.observability.exposition import (
    OPENMETRICS_END,
    Exposition,
    Row,
    labels_of,
    metric_name,
    wants_openmetrics,
)
from monitor.observability.metrics import DaemonMetrics


def spec(name: str, unit: Unit, text: str = "Said in one sentence.") -> MeasureSpec:
    """A measure that exists for every kind."""
    return MeasureSpec(name=name, kinds=tuple(SubjectKind), unit=unit, help=text)


NOW_NS = 1_700_000_007_250_000_000


def reading(value: float, as_of_s: float = 1_700_000_000.0) -> Reading:
    """A present value."""
    as_of_ns = int(as_of_s) * SECOND_NS + round(as_of_s % 1.0 * SECOND_NS)
    return Reading(value=value, as_of_ns=as_of_ns, expires_ns=as_of_ns, observed_ns=as_of_ns)


# The library's own annotations are missing here.
parse_open: Callable[[str], Iterable[Metric]] = open_parser.text_string_to_metric_families
generate_open: Callable[[CollectorRegistry], bytes] = open_writer.generate_latest

EQUITY = spec("equity_usd", Unit.USD)
LEVERAGE = spec("leverage", Unit.RATIO)
MAIN = account_subject("dydx", "main")


def text_of(rows: Iterable[Row], exposition: Exposition | None = None, **how: bool) -> str:
    """The whole page."""
    return b"".join((exposition or Exposition()).render(rows, now_ns=NOW_NS, **how)).decode()


@pytest.mark.parametrize(
    ("name", "unit", "exported"),
    [
        ("equity_usd", Unit.USD, "riskd_equity_usd"),
        ("leverage", Unit.RATIO, "riskd_leverage_ratio"),
        ("margin_usage_ratio", Unit.RATIO, "riskd_margin_usage_ratio"),
        ("funding_rate_hourly", Unit.PER_HOUR, "riskd_funding_rate_hourly_ratio"),
        ("funding_rate_annualized", Unit.PER_YEAR, "riskd_funding_rate_annualized_ratio"),
        ("mark_price", Unit.PRICE, "riskd_mark_price"),
        ("open_interest_base", Unit.BASE, "riskd_open_interest_base"),
        ("clock_skew_s", Unit.SECONDS, "riskd_clock_skew_seconds"),
        ("rule_state_s", Unit.SECONDS, "riskd_rule_state_since_timestamp_seconds"),
        ("oracle_age_s", Unit.SECONDS, "riskd_oracle_last_update_timestamp_seconds"),
        ("feed_age_s", Unit.SECONDS, "riskd_feed_last_update_timestamp_seconds"),
        ("open_orders_count", Unit.COUNT, "riskd_open_orders"),
        ("feed_rejected_frames", Unit.COUNT, "riskd_feed_rejected_frames"),
        ("rule_firing", Unit.BOOL, "riskd_rule_firing"),
    ],
)
def test_names_follow_prometheus(name: str, unit: Unit, exported: str) -> None:
    """The unit is said once, in Prometheus' words."""
    assert metric_name(spec(name, unit)) == exported


@pytest.mark.parametrize(
    ("subject", "labels"),
    [
        (PORTFOLIO, 'kind="portfolio"'),
        (venue_subject("dydx"), 'kind="venue",venue="dydx"'),
        (
            account_subject("hyperliquid", "main.xyz"),
            'kind="account",venue="hyperliquid",account="main.xyz"',
        ),
        (
            position_subject("hyperliquid", "main", "PURR/USDC"),
            'kind="position",venue="hyperliquid",account="main",market="PURR/USDC"',
        ),
        (
            market_subject("hyperliquid", "xyz:TSLA"),
            'kind="market",venue="hyperliquid",market="xyz:TSLA"',
        ),
        (asset_subject("BTC"), 'kind="asset",asset="BTC"'),
        (
            feed_subject("dydx", "v4_markets"),
            'kind="feed",venue="dydx",feed="v4_markets"',
        ),
        (rule_subject("funding_stress"), 'kind="rule",rule="funding_stress"'),
        (Subject("hedge_set:btc"), 'kind="hedge_set",hedge_set="btc"'),
        (
            market_subject("dydx", 'a"b\\c\nd'),
            'kind="market",venue="dydx",market="a\\"b\\\\c\\nd"',
        ),
    ],
)
def test_labels_are_the_parts_of_the_subject(subject: Subject, labels: str) -> None:
    """Always with the kind, since sums carry the same name; escaped; a market may hold a slash."""
    assert labels_of(subject) == labels


def test_the_page_is_exactly_this() -> None:
    """Sorted by name, head once, absent measures without a sample and counted."""
    age = spec("oracle_age_s", Unit.SECONDS, 'Age of the "oracle" \\ price.')
    rows: list[Row] = [
        (LEVERAGE, MAIN, reading(2.5)),
        (EQUITY, MAIN, reading(1000.0)),
        (age, market_subject("dydx", "BTC-USD"), reading(7.0, as_of_s=1_700_000_000.25)),
        (EQUITY, PORTFOLIO, None),
        (LEVERAGE, PORTFOLIO, reading(0.0)),
    ]
    assert text_of(rows) == (
        "# HELP riskd_equity_usd Said in one sentence.\n"
        "# TYPE riskd_equity_usd gauge\n"
        'riskd_equity_usd{kind="account",venue="dydx",account="main"} 1000.0\n'
        "# HELP riskd_leverage_ratio Said in one sentence.\n"
        "# TYPE riskd_leverage_ratio gauge\n"
        'riskd_leverage_ratio{kind="account",venue="dydx",account="main"} 2.5\n'
        'riskd_leverage_ratio{kind="portfolio"} 0.0\n'
        '# HELP riskd_oracle_last_update_timestamp_seconds Age of the "oracle" \\\\ price. Shown'
        " as the Unix time that these seconds are counted from.\n"
        "# TYPE riskd_oracle_last_update_timestamp_seconds gauge\n"
        'riskd_oracle_last_update_timestamp_seconds{kind="market",venue="dydx",market="BTC-USD"}'
        " 1700000000.25\n"
        "# HELP riskd_measure_absent Subjects for which a measure is absent now: an input is"
        " missing or too old.\n"
        "# TYPE riskd_measure_absent gauge\n"
        'riskd_measure_absent{measure="equity_usd"} 1\n'
        'riskd_measure_absent{measure="leverage"} 0\n'
        'riskd_measure_absent{measure="oracle_age_s"} 0\n'
        "# HELP riskd_measure_series_dropped_total Samples left out of expositions because the "
        "metric has too many series.\n"
        "# TYPE riskd_measure_series_dropped_total counter\n"
        'riskd_measure_series_dropped_total{measure="equity_usd"} 0\n'
        'riskd_measure_series_dropped_total{measure="leverage"} 0\n'
        'riskd_measure_series_dropped_total{measure="oracle_age_s"} 0\n'
    )


def test_a_measure_that_becomes_absent_leaves_the_page() -> None:
    """Neither frozen at its last value nor 0: the series is gone, and back when it is known."""
    exposition = Exposition()
    assert "riskd_equity_usd{" in text_of([(EQUITY, MAIN, reading(5.0))], exposition)
    absent = text_of([(EQUITY, MAIN, None)], exposition)
    assert "riskd_equity_usd{" not in absent
    assert 'riskd_measure_absent{measure="equity_usd"} 1' in absent
    assert "} 6.0\n" in text_of([(EQUITY, MAIN, reading(6.0))], exposition)


@pytest.mark.parametrize(
    ("series", "shown", "dropped"),
    [pytest.param(10, 10, 0, id="at the ceiling"), pytest.param(11, 10, 1, id="one beyond")],
)
def test_each_metric_has_a_ceiling(series: int, shown: int, dropped: int) -> None:
    """What is left out is counted; the other metrics are not touched."""
    exposition = Exposition(series_per_metric_max=10)
    rows: list[Row] = [
        (EQUITY, market_subject("dydx", f"M{n}"), reading(1.0)) for n in range(series)
    ]
    text = text_of([*rows, (LEVERAGE, MAIN, reading(1.0))], exposition)
    assert text.count("\nriskd_equity_usd{") == shown
    assert f'riskd_measure_series_dropped_total{{measure="equity_usd"}} {dropped}\n' in text
    assert "\nriskd_leverage_ratio{" in text


def test_subjects_that_are_gone_are_forgotten() -> None:
    """Listings and delistings for years do not grow the cache, and the page stays right."""
    exposition = Exposition(series_per_metric_max=10)
    for round_number in range(50):
        rows: list[Row] = [
            (EQUITY, market_subject("dydx", f"M{round_number}-{n}"), reading(1.0)) for n in range(5)
        ]
        assert text_of(rows, exposition).count("\nriskd_equity_usd{") == 5
    assert sum(len(known) for known in exposition._known.values()) <= 20


def test_the_page_comes_in_slices_of_whole_lines() -> None:
    """No slice holds much more than its share of series, collecting included."""
    exposition = Exposition(series_per_slice=100)
    rows: list[Row] = [
        (EQUITY, market_subject("dydx", f"M{n}"), reading(float(n))) for n in range(1000)
    ]
    chunks = list(exposition.render(iter(rows), now_ns=NOW_NS))
    assert chunks.count(b"") >= 10, "places to yield while collecting"
    full = [chunk for chunk in chunks if chunk]
    assert len(full) >= 10
    assert all(chunk.endswith(b"\n") for chunk in full)
    assert max(chunk.count(b"\nriskd_equity_usd{") for chunk in full) <= 101


floats = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(st.dictionaries(names, floats, max_size=20))
def test_a_parser_reads_back_what_was_written(values: dict[str, float]) -> None:
    """Any market name and any finite value survive, to the last bit, in both formats."""
    rows: list[Row] = [
        (EQUITY, market_subject("v", name), reading(value)) for name, value in values.items()
    ]
    text = text_of(rows)
    if "\r" not in text:  # the reference parser splits lines at \r, the format only at \n
        read = {
            sample.labels["market"]: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "riskd_equity_usd"
        }
        assert read == values
    open_text = text_of(rows, openmetrics=True) + OPENMETRICS_END.decode()
    read = {
        sample.labels["market"]: sample.value
        for family in parse_open(open_text)
        for sample in family.samples
        if sample.name == "riskd_equity_usd"
    }
    assert read == values


def test_a_value_that_is_no_number_does_not_break_the_page() -> None:
    """Measures are finite by contract; if one is not, the page stays readable."""
    rows: list[Row] = [
        (EQUITY, market_subject("v", "a"), reading(float("nan"))),
        (EQUITY, market_subject("v", "b"), reading(float("-inf"))),
        (EQUITY, market_subject("v", "c"), reading(1.5)),
    ]
    text = text_of(rows)
    assert 'market="a"} NaN\n' in text
    assert 'market="b"} -Inf\n' in text
    assert 'market="c"} 1.5\n' in text


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        pytest.param(None, False, id="nothing said"),
        pytest.param("*/*", False, id="anything"),
        pytest.param("text/plain", False, id="a person with curl"),
        pytest.param("application/openmetrics-text", True, id="without a version"),
        pytest.param(
            "application/openmetrics-text;version=1.0.0,"
            "application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            True,
            id="Prometheus 2.42",
        ),
        pytest.param("application/openmetrics-text;version=0.0.1", False, id="only an old version"),
        pytest.param(
            "application/openmetrics-text;version=1.0.0;q=0.3,text/plain;q=0.5",
            False,
            id="text preferred",
        ),
        pytest.param("application/openmetrics-text;q=0", False, id="refused"),
        pytest.param("application/openmetrics-text;q=x, ,;", False, id="nonsense"),
    ],
)
def test_the_format_is_what_the_reader_prefers(accept: str | None, *, openmetrics: bool) -> None:
    """By q-values, plain text where in doubt."""
    assert wants_openmetrics(accept) is openmetrics


def test_the_whole_page_is_one_valid_openmetrics_page() -> None:
    """Measures first, then the daemon's own with the end mark: the reference parser takes it."""
    own = generate_open(DaemonMetrics(version="1").registry)
    assert own.endswith(OPENMETRICS_END)
    page = text_of([(EQUITY, MAIN, reading(1.0))], openmetrics=True) + own.decode()
    families = {family.name for family in parse_open(page)}
    assert {"riskd_equity_usd", "riskd_measure_absent", "riskd_build"} <= families


@pytest.mark.component
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_page() -> None:
    """Prometheus' own linter has nothing to say about names, heads, labels and values."""
    rows: list[Row] = [
        (spec(name, unit), market_subject("dydx", 'odd "\\\n name'), reading(1e-9))
        for name, unit in (
            ("equity_usd", Unit.USD),
            ("leverage", Unit.RATIO),
            ("mark_price", Unit.PRICE),
            ("funding_rate_hourly", Unit.PER_HOUR),
            ("funding_rate_annualized", Unit.PER_YEAR),
            ("funding_paid_24h_usd", Unit.USD),
            ("open_interest_base", Unit.BASE),
            ("clock_skew_s", Unit.SECONDS),
            ("feed_age_s", Unit.SECONDS),
            ("positions_count", Unit.COUNT),
            ("liquidations_24h", Unit.COUNT),
            ("indexer_lag_blocks", Unit.COUNT),
            ("venue_healthy", Unit.BOOL),
        )
    ]
    result = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text_of(rows).encode(),
        capture_output=True,
        check=False,
        timeout=30,
        preexec_fn=die_with_parent(),
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_what_was_dropped_is_counted_over_scrapes() -> None:
    """A counter: it grows with every scrape that leaves something out, and never falls."""
    exposition = Exposition(series_per_metric_max=1)
    gross = spec("equity_usd", Unit.USD)
    rows = [(gross, account_subject("v", name), reading(1.0)) for name in ("a", "b", "c")]
    for total in (2, 4):
        assert f'_dropped_total{{measure="equity_usd"}} {total}\n' in text_of(rows, exposition)
    assert '_dropped_total{measure="equity_usd"} 4\n' in text_of(rows[:1], exposition)
