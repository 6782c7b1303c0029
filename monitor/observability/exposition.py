"""Measures as Prometheus text 0.0.4 or OpenMetrics 1.0.0, written by hand in slices.

prometheus_client needs 62 ms of the loop for 10 k series; with each series' name and labels cached
and numbers formatted in bulk this needs a few, and gives way between slices. An absent measure has
no sample (never 0, never its last value) and is counted in ``riskd_measure_absent``. Ages are
exported as the Unix time of the newest proof, so that the reader's ``time() - x`` keeps growing if
riskd stops. Names and labels come from the catalogue and from subjects, never from data; each
metric has a ceiling of series.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import msgspec
import orjson

from monitor.core.measures.spec import MeasureSpec, Reading, Unit
from monitor.core.types import SECOND_NS, EngineNs, Subject, SubjectKind

Row = tuple[MeasureSpec, Subject, Reading | None]

PREFIX = "riskd_"
SERIES_PER_METRIC_MAX = 5000
SERIES_PER_SLICE = 1000  # about 0.5 ms of the loop
TIMESTAMP = "_timestamp_seconds"
SINCE = " Shown as the Unix time that these seconds are counted from."
AGE_SUFFIX = f"_last_update{TIMESTAMP}"
RULE_STATE = "rule_state_s"
RULE_STATE_METRIC = "riskd_rule_state_since_timestamp_seconds"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPENMETRICS_END = b"# EOF\n"

# What Prometheus calls the unit, where the name does not say it already. Rates are plain ratios.
_SUFFIXES = {
    Unit.RATIO: "_ratio",
    Unit.USD: "_usd",
    Unit.SECONDS: "_seconds",
    Unit.PER_HOUR: "_ratio",
    Unit.PER_YEAR: "_ratio",
    Unit.BASE: "_base",
}
# Labels of a subject's parts. A market's own name may hold "/", so only the first cuts count.
_LABELS: dict[SubjectKind, tuple[str, ...]] = {
    SubjectKind.PORTFOLIO: (),
    SubjectKind.ACCOUNT: ("venue", "account"),
    SubjectKind.POSITION: ("venue", "account", "market"),
    SubjectKind.MARKET: ("venue", "market"),
    SubjectKind.FEED: ("venue", "feed"),
}


class Slice(msgspec.Struct, gc=False):
    """Where one metric's samples are collected."""

    spec: MeasureSpec
    age: bool
    known: dict[Subject, str]  # text of each series up to its value, kept between scrapes
    prefixes: list[str]
    values: list[float]
    absent: int = 0
    dropped: int = 0


_NO_METRIC = Slice(
    spec=MeasureSpec(name="", kinds=(), unit=Unit.COUNT, help=""),
    age=False,
    known={},
    prefixes=[],
    values=[],
)


class Exposition:
    """Writes all measures; keeps nothing but the text that names each series.

    Args:
        series_per_metric_max: Samples beyond it are left out and counted in
            ``riskd_measure_series_dropped_total``.
        series_per_slice: Samples in one chunk of ``render``.
    """

    def __init__(
        self,
        *,
        series_per_metric_max: int = SERIES_PER_METRIC_MAX,
        series_per_slice: int = SERIES_PER_SLICE,
    ) -> None:
        self._series_max = series_per_metric_max
        self._per_slice = series_per_slice
        self._known: dict[str, dict[Subject, str]] = {}
        self._dropped: dict[str, int] = {}

    def render(
        self, rows: Iterable[Row], *, now_ns: EngineNs, openmetrics: bool = False
    ) -> Iterator[bytes]:
        """Chunks of text, each a whole number of lines; empty chunks are only a place to yield.

        The caller gives way to the event loop between chunks and, for OpenMetrics, sends
        ``OPENMETRICS_END`` after everything (the daemon's own metrics come in between). ``rows``
        may come in any order and is read lazily: it must survive changes between slices. Ages are
        those at ``now_ns``, exported as ``now - age``.
        """
        metrics: dict[str, Slice] = {}
        yield from self._collect(rows, metrics, now_ns / SECOND_NS)
        for metric in metrics.values():
            total = self._dropped.get(metric.spec.name, 0) + metric.dropped
            self._dropped[metric.spec.name] = metric.dropped = total
        named = {metric_name(metric.spec): metric for metric in metrics.values()}
        waiting: list[str] = []
        for name, metric in sorted(named.items(), key=lambda item: item[0]):
            if not metric.values:
                continue
            waiting.append(_head(name, _help(name, metric.spec), openmetrics=openmetrics))
            for start in range(0, len(metric.values), self._per_slice):
                end = start + self._per_slice
                waiting.extend(_lines(metric.prefixes[start:end], metric.values[start:end]))
                if len(waiting) >= self._per_slice:
                    yield "".join(waiting).encode()
                    waiting = []
        waiting.extend(_health(metrics.values(), openmetrics=openmetrics))
        yield "".join(waiting).encode()

    def _collect(
        self, rows: Iterable[Row], metrics: dict[str, Slice], now_s: float
    ) -> Iterator[bytes]:
        """Sort every sample into its metric; yields an empty chunk per slice of rows."""
        limit = self._series_max
        left = self._per_slice
        current_spec: MeasureSpec | None = None
        current = _NO_METRIC
        known, prefixes, values, age = current.known, current.prefixes, current.values, False
        for spec, subject, reading in rows:
            left -= 1
            if left == 0:
                left = self._per_slice
                yield b""
            if spec is not current_spec:
                current_spec = spec
                current = self._metric(spec, metrics)
                known, prefixes, values = current.known, current.prefixes, current.values
                age = current.age
            if reading is None:
                current.absent += 1
                continue
            if len(values) >= limit:
                current.dropped += 1
                continue
            prefix = known.get(subject)
            prefixes.append(self._remember(current, subject) if prefix is None else prefix)
            values.append(now_s - reading.value if age else reading.value)

    def _metric(self, spec: MeasureSpec, metrics: dict[str, Slice]) -> Slice:
        metric = metrics.get(spec.name)
        if metric is None:
            known = self._known.setdefault(spec.name, {})
            metric = Slice(spec=spec, age=is_age(spec), known=known, prefixes=[], values=[])
            metrics[spec.name] = metric
        return metric

    def _remember(self, metric: Slice, subject: Subject) -> str:
        """Text of a series up to its value. Subjects that are gone are forgotten by starting anew
        when there are twice as many as may be shown."""
        if len(metric.known) >= 2 * self._series_max:
            metric.known.clear()
        prefix = f"{metric_name(metric.spec)}{{{labels_of(subject)}}} "
        metric.known[subject] = prefix
        return prefix


def _lines(prefixes: list[str], values: list[float]) -> list[str]:
    """Sample lines; orjson writes a thousand numbers in the time ``repr`` needs for a hundred."""
    texts = orjson.dumps(values)[1:-1].decode().split(",")
    if "null" in texts:  # JSON has no NaN or infinity; a finite measure never comes here
        texts = [_number(value) for value in values]
    return [f"{prefix}{text}\n" for prefix, text in zip(prefixes, texts, strict=True)]


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0.0 else "-Inf")


def is_age(spec: MeasureSpec) -> bool:
    """Whether a measure is the age of something, exported as the time it was last proven."""
    return spec.unit is Unit.SECONDS and (spec.name.endswith("_age_s") or spec.name == RULE_STATE)


def metric_name(spec: MeasureSpec) -> str:
    """Prometheus name of a measure: ``riskd_<name>[_<unit>]``.

    ``oracle_age_s`` becomes ``riskd_oracle_last_update_timestamp_seconds``, ``clock_skew_s``
    ``riskd_clock_skew_seconds``; counts lose ``_count``, which Prometheus keeps for histograms.
    """
    name = spec.name
    if name == RULE_STATE:
        return RULE_STATE_METRIC
    if is_age(spec):
        return f"{PREFIX}{name.removesuffix('_age_s')}{AGE_SUFFIX}"
    if spec.unit is Unit.SECONDS:
        name = name.removesuffix("_s")
    elif spec.unit is Unit.COUNT:
        name = name.removesuffix("_count")
    suffix = _SUFFIXES.get(spec.unit, "")
    if suffix and not name.endswith(suffix):
        name += suffix
    return PREFIX + name


def labels_of(subject: Subject) -> str:
    """``kind="position",venue="dydx",account="main",market="BTC-USD"``, escaped.

    ``kind`` is always there: one measure exists for accounts and for what sums them up.
    """
    kind_text, _, rest = subject.partition(":")
    kind = SubjectKind(kind_text)
    names = _LABELS.get(kind, (kind_text,))
    parts = rest.split("/", len(names) - 1) if names else []
    pairs = [f'kind="{kind_text}"']
    pairs += [f'{name}="{_escape(part)}"' for name, part in zip(names, parts, strict=True)]
    return ",".join(pairs)


def wants_openmetrics(accept: str | None) -> bool:
    """Whether an ``Accept`` header prefers OpenMetrics 1.0.0 to plain text, by its q-values."""
    best_open = best_text = 0.0
    for part in (accept or "").split(","):
        kind, *parameters = (item.strip().lower() for item in part.split(";"))
        options = dict(item.partition("=")[::2] for item in parameters)
        weight = _weight(options.get("q", "1"))
        if kind == "application/openmetrics-text":
            if options.get("version", "1.0.0").strip('"') == "1.0.0":
                best_open = max(best_open, weight)
        elif kind == "text/plain":
            best_text = max(best_text, weight)
    return best_open > 0.0 and best_open >= best_text


def _weight(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def _escape(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text


def _help(name: str, spec: MeasureSpec) -> str:
    """The measure's own, which speaks of an age; the metric is when that began."""
    return (
        spec.help + SINCE if name.endswith(TIMESTAMP) and spec.unit is Unit.SECONDS else spec.help
    )


def _head(name: str, text: str, *, openmetrics: bool, kind: str = "gauge") -> str:
    said = _escape(text) if openmetrics else text.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {said}\n# TYPE {name} {kind}\n"


def _health(metrics: Iterable[Slice], *, openmetrics: bool) -> Iterator[str]:
    """What is not shown, and how much of it: zero is said too, so that a rule can watch it."""
    ordered = sorted(metrics, key=lambda metric: metric.spec.name)
    for name, kind, text, slot in _HEALTH:
        # OpenMetrics names a counter's family without the suffix of its samples.
        family = name.removesuffix("_total") if openmetrics else name
        yield _head(family, text, openmetrics=openmetrics, kind=kind)
        for metric in ordered:
            yield f'{name}{{measure="{metric.spec.name}"}} {getattr(metric, slot)}\n'


_HEALTH = (
    (
        "riskd_measure_absent",
        "gauge",
        "Subjects for which a measure is absent now: an input is missing or too old.",
        "absent",
    ),
    (
        "riskd_measure_series_dropped_total",
        "counter",
        "Samples left out of expositions because the metric has too many series.",
        "dropped",
    ),
)
