"""The Grafana Overview dashboard, made from the measure catalogue so that it cannot go stale.

One row per subject kind that a desk looks at, a panel per measure, units from the specs, plus a row
about riskd itself. The same catalogue gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.types import SubjectKind
from monitor.observability.exposition import is_age, metric_name

DATASOURCE = {"type": "prometheus", "uid": "riskd-prometheus"}
COLUMNS = 24
PANEL_WIDTH = 8
PANEL_HEIGHT = 7

# What a risk officer looks at, from the whole book down; other kinds follow the same pattern.
ROWS: tuple[tuple[SubjectKind, str, str], ...] = (
    (SubjectKind.PORTFOLIO, "Portfolio", "whole book"),
    (SubjectKind.ACCOUNT, "Accounts", "{{venue}} {{account}}"),
    (SubjectKind.POSITION, "Positions", "{{venue}} {{account}} {{market}}"),
    (SubjectKind.ASSET, "Assets", "{{asset}}"),
    (SubjectKind.MARKET, "Markets", "{{venue}} {{market}}"),
    (SubjectKind.VENUE, "Venues", "{{venue}}"),
    (SubjectKind.HEDGE_SET, "Hedge sets", "{{hedge_set}}"),
    (SubjectKind.BUCKET, "Risk buckets", "{{bucket}}"),
    (SubjectKind.STRATEGY, "Strategies", "{{strategy}}"),
    (SubjectKind.FEED, "What riskd can see", "{{venue}} {{feed}}"),
    (SubjectKind.RULE, "Rules", "{{rule}}"),
)
GRAFANA_UNITS: Mapping[Unit, str] = {
    Unit.RATIO: "percentunit",
    Unit.USD: "currencyUSD",
    Unit.SECONDS: "s",
    Unit.PER_HOUR: "percentunit",
    Unit.PER_YEAR: "percentunit",
    Unit.BOOL: "bool_yes_no",
}
# One panel an asset: (measure, legend, on the right axis).
SIGNS_TITLE = "Signs of an asset"
SIGNS: tuple[tuple[str, str, bool], ...] = (
    ("funding_dispersion_apr", "funding spread a year", False),
    ("volatility_percentile", "volatility percentile", False),
    ("asset_depth_usd", "depth, USD", True),
)
DAEMON_PANELS: tuple[tuple[str, str, str, str], ...] = (
    ("Seconds since the last evaluation", "time() - riskd_last_evaluation_timestamp_seconds", "s",
     "riskd"),
    ("Events applied per second", "rate(riskd_events_total[5m])", "short", "events"),
    ("Event loop lag", "riskd_event_loop_lag_seconds", "s", "lag"),
    ("Frames that could not be decoded", "increase(riskd_collector_parse_errors_total[5m])",
     "short", "{{venue}} {{feed}}"),
    ("Reconnects", "increase(riskd_collector_reconnects_total[15m])", "short",
     "{{venue}} {{feed}}"),
    ("Request budget left", "riskd_request_budget_left", "short", "{{venue}}"),
    ("Pages waiting", "riskd_outbox_messages", "short", "{{channel}}"),
    ("Pages by result", "increase(riskd_notifications_total[15m])", "short",
     "{{channel}} {{result}}"),
    ("Measures absent", "riskd_measure_absent > 0", "short", "{{measure}}"),
)  # fmt: skip

Json = dict[str, object]


def dashboard(specs: Iterable[MeasureSpec]) -> bytes:
    """The dashboard as Grafana's JSON, indented, ending in a newline."""
    known = sorted(specs, key=lambda spec: spec.name)
    panels: list[Json] = []
    top = 0
    for kind, title, legend in ROWS:
        group = [spec for spec in known if kind in spec.kinds]
        if group:
            top = _row(panels, title, top)
            for index, spec in enumerate(group):
                panels.append(_measure_panel(spec, kind, legend, _place(index, top)))
            top += PANEL_HEIGHT * (1 + (len(group) - 1) // (COLUMNS // PANEL_WIDTH))
    names = {spec.name: metric_name(spec) for spec in known}
    if all(name in names for name, _, _ in SIGNS):
        top = _row(panels, SIGNS_TITLE, top)
        place: Json = {"x": 0, "y": top, "w": COLUMNS, "h": PANEL_HEIGHT}
        panels.append(_signs_panel(names, place))
        top += PANEL_HEIGHT
    top = _row(panels, "riskd itself", top)
    for index, (title, query, unit, legend) in enumerate(DAEMON_PANELS):
        panels.append(_panel(title, "", query, unit, legend, _place(index, top)))
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    document: Json = {
        "uid": "riskd-overview",
        "title": "riskd Overview",
        "tags": ["riskd"],
        "editable": True,
        "refresh": "10s",
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "templating": {
            "list": [
                _variable("venue"),
                _variable("account"),
                _variable("asset", "riskd_gross_exposure_usd"),
            ]
        },
        "annotations": {"list": []},
        "panels": panels,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _place(index: int, top: int) -> Json:
    per_row = COLUMNS // PANEL_WIDTH
    return {
        "x": (index % per_row) * PANEL_WIDTH,
        "y": top + (index // per_row) * PANEL_HEIGHT,
        "w": PANEL_WIDTH,
        "h": PANEL_HEIGHT,
    }


def _row(panels: list[Json], title: str, top: int) -> int:
    place: Json = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
    panels.append({"type": "row", "title": title, "collapsed": False, "gridPos": place})
    return top + 1


def _measure_panel(spec: MeasureSpec, kind: SubjectKind, legend: str, place: Json) -> Json:
    matchers = [f'kind="{kind.value}"']
    if kind in {SubjectKind.ACCOUNT, SubjectKind.POSITION}:
        matchers += ['venue=~"$venue"', 'account=~"$account"']
    elif kind in {SubjectKind.MARKET, SubjectKind.VENUE, SubjectKind.FEED}:
        matchers.append('venue=~"$venue"')
    query = f"{metric_name(spec)}{{{','.join(matchers)}}}"
    if is_age(spec):
        query = f"time() - {query}"
    title = spec.name.replace("_", " ")
    return _panel(title, spec.help, query, GRAFANA_UNITS.get(spec.unit, "short"), legend, place)


def _panel(title: str, text: str, query: str, unit: str, legend: str, place: Json) -> Json:
    return {
        "type": "timeseries",
        "title": title,
        "description": text,
        "datasource": DATASOURCE,
        "gridPos": place,
        # A gap is drawn as a gap: absent is not zero and not the last value.
        "fieldConfig": {
            "defaults": {"unit": unit, "custom": {"spanNulls": False}},
            "overrides": [],
        },
        "options": {"legend": {"showLegend": True}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": "A", "expr": query, "legendFormat": legend, "datasource": DATASOURCE}
        ],
    }


def _signs_panel(names: Mapping[str, str], place: Json) -> Json:
    """Repeated for each asset chosen."""
    targets: list[Json] = [
        {
            "refId": ref,
            "expr": f'{names[name]}{{kind="asset",asset="$asset"}}',
            "legendFormat": legend,
            "datasource": DATASOURCE,
        }
        for ref, (name, legend, _) in zip("ABC", SIGNS, strict=True)
    ]
    overrides: list[Json] = [
        {
            "matcher": {"id": "byName", "options": legend},
            "properties": [
                {"id": "unit", "value": "currencyUSD"},
                {"id": "custom.axisPlacement", "value": "right"},
            ],
        }
        for _, legend, right in SIGNS
        if right
    ]
    panel = _panel(
        "$asset",
        "What signal_crossref compares by the hour: two of three worse three hours running.",
        "",
        "percentunit",
        "",
        place,
    )
    field = {"unit": "percentunit", "custom": {"spanNulls": False}}
    return {
        **panel,
        "fieldConfig": {"defaults": field, "overrides": overrides},
        "targets": targets,
        "repeat": "asset",
        "repeatDirection": "h",
        "maxPerRow": 3,
    }


def _variable(label: str, measure: str = "riskd_equity_usd") -> Json:
    query = f"label_values({measure}, {label})"
    return {
        "name": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": query,
        "definition": query,
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }
