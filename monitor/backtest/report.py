"""One HTML page that tells a run: drawings, tables, findings, method. No script, no other file.

Everything in it comes from the figures; the page adds words and layout, never a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

from monitor import __version__
from monitor.backtest.arms import Arm
from monitor.backtest.bootstrap import DRAWS, Interval
from monitor.backtest.charts import (
    bar_cell,
    drawdown_chart,
    equity_chart,
    gauge_chart,
    gross_chart,
    price_chart,
    state_chart,
)
from monitor.backtest.figures import TRIGGER_NAME, ArmFigures, Figures, never_judged
from monitor.backtest.findings import findings, market_cuts, percent, times
from monitor.backtest.outputs import MEASURES, SUMMARY, TRANSITIONS, instant, opened
from monitor.backtest.run import ONLY
from monitor.backtest.statistics import Bin, Span
from monitor.backtest.words import DASH, METHOD, MINUS, STYLE, TIMES, contribution_names
from monitor.core.decision import ActionLevel
from monitor.core.rules.checks import expressions_of
from monitor.core.types import PORTFOLIO

ROWS_MAX = 16


def write_report(figures: Figures, path: Path) -> None:
    """Write the page."""
    with opened(path) as text:
        text.write(report_html(figures))


def report_html(figures: Figures) -> str:
    """The whole page."""
    result = figures.result
    history = result.task.history
    start, end = instant(history.start_s), instant(history.time_s(history.hours - 1))
    parts = contribution_names(result.measures)
    drawn = _drawn(figures)
    body = [
        _header(figures, start, end),
        _section("What the numbers say", _findings(figures)),
        _section(
            "Price",
            _wide(price_chart(figures)),
            "Equal-weight basket of all assets with a price, 100 at the start, log scale. "
            "▾ marks each fall of 12 % or more within 48 hours; hatched: no data.",
        ),
        _section(
            "Funding stress",
            _wide(gauge_chart(figures, [(name, css) for name, _, css in parts], _limits(figures))),
            f"{figures.gauge}, highest of each column. A break is unknown, never low.",
            _legend((css, words) for _, words, css in parts) if parts else "",
        ),
        _section(
            "Rule states",
            _wide(state_chart(result, _rows(figures))),
            "When each rule about the whole book was firing (recovering included), and the plain "
            "trigger; rules that read the book are those of the first engine.",
        ),
        _section(
            "Gross exposure",
            _wide(gross_chart(result, drawn)),
            "Over equity. Cut at once or late, back by steps of "
            f"{percent(result.task.settings.reentry_rise_per_day_ratio)} of the book a day.",
            _legend((css, arm.title) for arm, css in drawn),
        ),
        _section(
            "Equity and drawdown",
            _wide(equity_chart(result, drawn) + drawdown_chart(result, drawn)),
            "Net of fees, slippage, exit friction and funding; equity on a log scale.",
            _legend((css, arm.title) for arm, css in drawn),
        ),
        _section("What it cost and what it brought", _arm_table(figures)),
        _section("Against no rules", _difference_table(figures)),
        _section("States as warnings", _state_table(figures)),
        _section("What followed, by the gauge", _bin_tables(figures)),
        _section("How it was made", _method(figures)),
    ]
    title = f"riskd backtest, {start[:10]} to {end[:10]}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n<main>"
        + "\n".join(body)
        + "</main>\n</body></html>\n"
    )


def _section(title: str, content: str, note: str = "", legend: str = "") -> str:
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{said}{legend}{content}</section>"


def _wide(content: str) -> str:
    """What may be wider than a phone: it scrolls, the page does not."""
    return f'<div class="wide">{content}</div>'


def _header(figures: Figures, start: str, end: str) -> str:
    task = figures.result.task
    plain = figures.arms[0]
    rules = next((one for one in figures.arms if one.arm.judged), plain)
    returns = f"{percent(plain.net.return_ratio)} → {percent(rules.net.return_ratio)}"
    tiles = (
        ("hours judged", f"{task.history.hours - figures.missing_h:,}"),
        ("markets", f"{len(figures.result.markets)}"),
        ("falls ≥ 12 %", f"{len(figures.falls)}"),
        ("worst drawdown without rules", percent(plain.net.drawdown_max_ratio, 1)),
        ("with all rules, at once", percent(rules.net.drawdown_max_ratio, 1)),
        ("return without → with", returns),
    )  # fmt: skip
    cells = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for name, value in tiles
    )
    return (
        f"<header><h1>Backtest of the rulebook</h1><p>{escape(start)} to {escape(end)} · hourly · "
        f"{escape(', '.join(task.venues))} · riskd {escape(__version__)}</p>"
        f'<div class="tiles">{cells}</div></header>'
    )


def _findings(figures: Figures) -> str:
    return "<dl>" + "".join(
        f"<dt>{escape(title)}</dt><dd>{escape(text)}</dd>" for title, text in findings(figures)
    ) + "</dl>"  # fmt: skip


def _drawn(figures: Figures) -> list[tuple[Arm, str]]:
    """The arms that are drawn, and how: the quickest and the slowest of those with rules."""
    arms = figures.result.arms
    judged = [arm for arm in arms if arm.judged]
    only = [arm for arm in arms if arm.name.startswith(ONLY)]
    chosen = [(arms[0], "arm-none"), *((arm, "arm-rules") for arm in judged[:1])]
    chosen += [(arm, "arm-late") for arm in judged[1:][-1:]]
    chosen += [(arm, "arm-trigger") for arm in arms if arm.name == "trigger"]
    return [*chosen, *((arm, "arm-only") for arm in only[:1])]


def _limits(figures: Figures) -> list[tuple[float, str]]:
    """Where rules that cut by the gauge begin and end."""
    wanted = set(market_cuts(figures))
    found: dict[float, str] = {}
    for rule in figures.result.task.rules.book.rules:
        if rule.id not in wanted:
            continue
        for field, expression in expressions_of(rule):
            for one in expression.comparisons:
                if one.name == figures.gauge and field in {"when", "until"}:
                    word = "begins" if field == "when" else "ends"
                    found.setdefault(one.limit, f"{rule.id} {word}")
    return sorted(found.items())


def _rows(figures: Figures) -> list[tuple[str, Sequence[Span], str]]:
    result = figures.result
    rows: list[tuple[str, Sequence[Span], str]] = []
    for rule in result.task.rules.book.rules:
        spans = result.spans.get((rule.id, PORTFOLIO))
        if spans:
            cuts = rule.level in {ActionLevel.CUT, ActionLevel.FLATTEN}
            acts = "state-cut" if cuts else "state-hold"
            rows.append((rule.id, spans, "state-page" if rule.level is ActionLevel.PAGE else acts))
    order = {"state-cut": 0, "state-hold": 1, "state-page": 2}
    rows.sort(key=lambda row: order[row[2]])
    return [*rows[: ROWS_MAX - 1], (TRIGGER_NAME, result.trigger, "state-plain")]


def _legend(entries: Iterable[tuple[str, str]]) -> str:
    return '<p class="legend">' + "".join(
        f'<span><i class="{css}"></i>{escape(words)}</span>' for css, words in entries
    ) + "</p>"  # fmt: skip


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], foot: str = "") -> str:
    """A table; the first column is text, the others numbers. Cells are already HTML."""
    top = "".join(f"<th>{escape(one)}</th>" for one in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" for cells in rows
    )
    note = f'<p class="note">{escape(foot)}</p>' if foot else ""
    return _wide(f"<table><thead><tr>{top}</tr></thead>{lines}</table>") + note


def _interval(one: Interval, say: Callable[[float | None], str]) -> str:
    """A value with its interval below it."""
    if one.value is None:
        return DASH
    between = f"{say(one.low)} … {say(one.high)}" if one.low is not None else "no interval"
    return f'{say(one.value)}<span class="ci">{between}</span>'


def _arm_table(figures: Figures) -> str:
    start = figures.result.task.settings.start_equity_usd

    def row(one: ArmFigures) -> list[str]:
        costs = one.arm.book.costs
        return [
            escape(one.arm.title),
            percent(one.before_costs_usd / start - 1.0),
            f"<b>{percent(one.net.return_ratio)}</b>",
            percent(one.net.drawdown_max_ratio, 1),
            percent(one.net.worst_days_ratio, 2),
            percent(one.net.volatility),
            times(one.net.gross_mean_ratio),
            f"{costs.fees_usd:,.0f}",
            f"{costs.slippage_usd:,.0f}",
            f"{costs.friction_usd:,.0f}",
            f"{costs.funding_usd:,.0f}".replace("-", MINUS),
            f"{costs.trades:,}",
            percent(one.arm.restrained_h / figures.result.task.history.hours, 1),
        ]

    head = (
        "arm", "return before trading costs", "return, net", "worst drawdown", "worst 5 % of days",
        "volatility", "mean gross", "fees $", "slippage $", "friction $", "funding $", "trades",
        "restrained",
    )  # fmt: skip
    return _table(
        head,
        (row(one) for one in figures.arms),
        "Funding > 0 is paid by the book and is in both returns. Before trading costs: net plus "
        "fees, slippage and friction as paid, not reinvested. Restrained: share of hours in which "
        "a rule (or the trigger) held the book down.",
    )


def _difference_table(figures: Figures) -> str:
    rows = []
    for one in figures.arms:
        difference = one.difference
        if difference is not None:
            rows.append(
                [
                    escape(one.arm.title),
                    _interval(difference.tail, percent),
                    _interval(difference.exposure, percent),
                    _interval(difference.ratio, times),
                    _interval(difference.return_per_year, percent),
                ]
            )
    head = ("arm", "tail removed", "exposure given up", "tail per exposure", "return a year")
    return _table(
        head,
        rows,
        f"Value and 5-95 % interval of {DRAWS} block bootstraps (weeks). Tail: mean of the worst "
        f"5 % of days. 1.00{TIMES} per exposure is what always holding less gives. Return a year: "
        "difference of the mean daily returns times 365; compounded, what swings less keeps more.",
    )


def _state_table(figures: Figures) -> str:
    rows = []
    for one in figures.states:
        timing = one.timing
        lead = timing.lead_h_median
        rows.append(
            [
                escape(one.name),
                escape(one.period.title),
                percent(one.judged_ratio),
                f"{bar_cell(timing.active_ratio)} {percent(timing.active_ratio, 1)}",
                f"{timing.episodes:,}",
                f"{timing.false_per_month:.2f}",
                f"{timing.led} of {timing.falls}",
                DASH if lead is None else f"{lead:.0f}",
                _interval(one.lift.crash, times),
                _interval(one.lift.volatility, times),
                percent(one.funding_on),
                percent(one.funding_off),
            ]
        )
    head = (
        "state", "period", "judged", "active", "episodes", "false a month", "falls led",
        "median lead h", "crash odds, 24 h", "next day's volatility", "funding, on", "off",
    )  # fmt: skip
    return _table(
        head,
        rows,
        "Judged: share of the hours in which what it reads was known; off in the others is no "
        "verdict. Led: on at some time from 72 h before the peak up to the breach. False: no fall "
        "until 72 h after the end. Crash: the basket falls 10 % within the next 24 h. Funding: a "
        "year's cost of being long, mean of the first venue's settlements.",
    )


def _bin_tables(figures: Figures) -> str:
    scale = 1.0 if figures.gauge.endswith("_index") else 100.0
    unit = "" if scale == 1.0 else " %"

    def row(one: Bin) -> list[str]:
        return [
            f"{one.low * scale:g} {DASH} {one.high * scale:g}{unit}",
            f"{one.hours:,}",
            f"{bar_cell((one.crash_ratio or 0.0) / 0.15)} {percent(one.crash_ratio, 1)}",
            percent(one.volatility),
        ]

    tables = []
    for title, bins in figures.bins.items():
        base = figures.crash_ratio.get(title)
        tables.append(
            f"<div><h3>{escape(title)}: a crash followed {percent(base, 1)} of all hours</h3>"
            + _table(
                (figures.gauge, "hours", "crash within 24 h", "volatility of them"),
                (row(one) for one in bins),
            )
            + "</div>"
        )
    return f'<div class="columns">{"".join(tables)}</div>'


def _method(figures: Figures) -> str:
    task = figures.result.task
    left_out = ", ".join(task.rules.left_out) or "none"
    widened = ", ".join(task.rules.widened) or "none"
    outages = [
        f"{one.venue} ({one.system}, {one.kind}) from {instant(one.start_s)} for "
        f"{(one.end_s - one.start_s) // 60} min"
        for one in task.overlay.outages
        if one.end_s > task.history.start_s
        and one.start_s < task.history.time_s(task.history.hours)
    ]
    never = ", ".join(never_judged(figures.result)) or "none"
    past = task.history.before
    back = task.settings
    soonest = "" if back.reentry_delay_h else ", the earliest a desk could be back"
    said = [
        *METHOD,
        (
            f"That person is there {back.reentry_delay_h:g} h after the rule permits it{soonest}; "
            f"from then on at most {percent(back.reentry_rise_per_day_ratio)} of the full book is "
            "added a day, at midnight UTC."
        ),
        (
            f"Rules not asked because they only page about a part of the book: "
            f"{', '.join(task.rules.unasked) or 'none'} (--every-rule asks them). Left out because "
            f"they judge seconds: {left_out}. Age limits widened to two "
            f"hours: {widened}."
        ),
        (
            "Rules about the whole book that could be judged in no hour, since what they read was "
            "never known (volatility percentiles need sixty days of hours, the stress index ten): "
            f"{never}."
        ),
        (
            "Nothing is on record before the first hour: what needs a past waits for it."
            if past is None
            else f"Of the {past.hours:,} hours before the first one the engine was told what a "
            "starting daemon reads from its venues: closes and a month of funding. Nothing was "
            "judged on them."
        ),
        "Outages laid over it: " + ("; ".join(outages) if outages else "none") + ".",
        f"Hours without any price: {figures.missing_h:,}. Rows left out: "
        + (
            ", ".join(f"{count:,} of {name}" for name, count in task.history.dropped.items())
            or "none"
        )
        + ".",
        f"Beside this page: {TRANSITIONS}, {MEASURES}, {SUMMARY} (every number above).",
    ]
    return "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in said) + "</ul>"
