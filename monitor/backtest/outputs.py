"""The files a run leaves: transitions as JSON lines, measures as CSV, a summary, a report.

Nothing in them tells when or where they were made: the same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from monitor.backtest.bootstrap import Difference, Interval
from monitor.backtest.figures import ArmFigures, Figures, StateFigures, never_judged
from monitor.backtest.judge import Ruling
from monitor.backtest.run import Result
from monitor.core.decision import AlertTransition, KillRequest
from monitor.core.errors import MonitorError
from monitor.core.types import SECOND_NS, EngineNs

TRANSITIONS = "transitions.jsonl"
MEASURES = "measures.csv"
SUMMARY = "summary.json"
REPORT = "report.html"
_DIGITS = 8

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def instant(seconds: float) -> str:
    """``2025-10-10T21:00Z``."""
    return f"{datetime.fromtimestamp(seconds, tz=UTC):%Y-%m-%dT%H:%MZ}"


class TransitionLog:
    """One JSON line for each transition and each request, in the order they were concluded."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self.lines = 0

    def tell(self, arm: str, ruling: Ruling) -> None:
        """Write what one evaluation of one arm's engine concluded."""
        for transition in ruling.transitions:
            self._write(_transition(arm, ruling.at_ns, transition))
        for request in ruling.requests:
            self._write(_request(arm, ruling.at_ns, request))

    def _write(self, fields: dict[str, Json]) -> None:
        self._text.write(json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n")
        self.lines += 1


def _transition(arm: str, at: EngineNs, one: AlertTransition) -> dict[str, Json]:
    return {
        "at": instant(at / SECOND_NS),
        "arm": arm,
        "rule": one.rule,
        "subject": one.subject,
        "before": one.before.value,
        "after": one.after.value,
        "severity": one.severity.value,
        "inputs": {
            cited.measure: None if cited.value is None else round(cited.value, _DIGITS)
            for cited in one.inputs
        },
        "summary": one.summary,
    }


def _request(arm: str, at: EngineNs, one: KillRequest) -> dict[str, Json]:
    return {
        "at": instant(at / SECOND_NS),
        "arm": arm,
        "rule": one.rule,
        "subject": one.subject,
        "request": one.level.value,
        "scope": one.scope,
        "gross_to_ratio": one.gross_to_ratio,
        "gross_to_usd": one.gross_to_usd,
    }


def write_measures(result: Result, path: Path) -> None:
    """One row an hour: level and volatility (a year) of the basket, each measure (empty while
    absent), equity and gross exposure of each arm in USD."""
    history = result.task.history
    names = [f"{name}@{subject}" for name, subject in result.measures]
    arms = [f"equity_usd:{arm.name}" for arm in result.arms]
    gross = [f"gross_exposure_usd:{arm.name}" for arm in result.arms]
    with opened(path) as text:
        text.write(",".join(("time", "basket", "basket_volatility", *names, *arms, *gross)) + "\n")
        for index in range(history.hours):
            cells = [instant(history.time_s(index))]
            known = result.basket.known[index]
            cells.append(f"{result.basket.levels[index]:.6f}" if known else "")
            stir = result.trigger_volatility[index]
            cells.append("" if stir is None else f"{stir:.6g}")
            for series in result.measures.values():
                value = series[index]
                cells.append("" if value is None else f"{value:.6g}")
            cells += [f"{arm.equity[index]:.2f}" for arm in result.arms]
            cells += [f"{arm.gross[index]:.2f}" for arm in result.arms]
            text.write(",".join(cells) + "\n")


def write_summary(figures: Figures, path: Path) -> None:
    """Every number of the report."""
    with opened(path) as text:
        json.dump(summary_of(figures), text, ensure_ascii=False, indent=1)
        text.write("\n")


def summary_of(figures: Figures) -> dict[str, Json]:
    """The figures as plain data, rounded for people."""
    result = figures.result
    task, history = result.task, result.task.history
    digest = hashlib.sha256("\0".join(text for _, text in task.rules.files).encode()).hexdigest()
    return {
        "period": {
            "from": instant(history.start_s),
            "to": instant(history.time_s(history.hours - 1)),
            "hours": history.hours,
            "hours_without_any_price": figures.missing_h,
        },
        "inputs": {
            "venues": list(task.venues),
            "markets": [f"{venue}/{asset}" for venue, asset in result.markets],
            "rows": dict(history.rows),
            "rows_left_out": dict(history.dropped),
            "outages": len(task.overlay.outages),
            "outages_without_duration": list(task.overlay.unused),
        },
        "rulebook": {
            "sha256": digest,
            "rules": len(task.rules.book.rules),
            "left_out": list(task.rules.left_out),
            "widened": list(task.rules.widened),
            "unasked": list(task.rules.unasked),
            "never_judged": [*never_judged(result)],
            "followed": list(task.follow) or "all",
        },
        "book": task.settings.model_dump(mode="json"),
        "evaluations": result.evaluations,
        "transitions": dict(result.rulings),
        "falls": [
            {
                "peak": instant(history.time_s(fall.peak)),
                "breach": instant(history.time_s(fall.breach)),
            }
            for fall in figures.falls
        ],
        "crash_ratio": {name: _rounded(value) for name, value in figures.crash_ratio.items()},
        "arms": [_arm(one) for one in figures.arms],
        "states": [_state(one) for one in figures.states],
        "gauge": figures.gauge,
        "bins": {
            title: [
                {
                    "from": one.low,
                    "to": one.high,
                    "hours": one.hours,
                    "crash_ratio": _rounded(one.crash_ratio),
                    "volatility": _rounded(one.volatility),
                }
                for one in bins
            ]
            for title, bins in figures.bins.items()
        },
    }


def _arm(one: ArmFigures) -> dict[str, Json]:
    costs, net = one.arm.book.costs, one.net
    return {
        "name": one.arm.name,
        "title": one.arm.title,
        "equity_end_usd": round(net.end_usd, 2),
        "equity_end_before_trading_costs_usd": round(one.before_costs_usd, 2),
        "return_ratio": _rounded(net.return_ratio),
        "drawdown_max_ratio": _rounded(net.drawdown_max_ratio),
        "volatility": _rounded(net.volatility),
        "worst_5_percent_of_days_ratio": _rounded(net.worst_days_ratio),
        "gross_mean_ratio": _rounded(net.gross_mean_ratio),
        "fees_usd": round(costs.fees_usd, 2),
        "slippage_usd": round(costs.slippage_usd, 2),
        "exit_friction_usd": round(costs.friction_usd, 2),
        "funding_paid_usd": round(costs.funding_usd, 2),
        "turnover_usd": round(costs.turnover_usd, 2),
        "trades": costs.trades,
        "requests": one.arm.restraints.asked_total,
        "restrained_h": one.arm.restrained_h,
        "liquidated": None
        if one.arm.book.liquidated_s is None
        else instant(one.arm.book.liquidated_s),
        "gaps_bridged": one.arm.book.gaps,
        "against_no_rules": None if one.difference is None else _difference(one.difference),
    }


def _difference(one: Difference) -> dict[str, Json]:
    return {
        "tail_removed_ratio": _interval(one.tail),
        "exposure_given_up_ratio": _interval(one.exposure),
        "tail_per_exposure": _interval(one.ratio),
        "return_per_year": _interval(one.return_per_year),
    }


def _state(one: StateFigures) -> dict[str, Json]:
    timing = one.timing
    return {
        "state": one.name,
        "period": one.period.title,
        "hours": timing.hours,
        "active_ratio": _rounded(timing.active_ratio),
        "judged_ratio": _rounded(one.judged_ratio),
        "episodes": timing.episodes,
        "false_episodes": timing.false_episodes,
        "false_per_month": _rounded(timing.false_per_month),
        "falls": timing.falls,
        "falls_led": timing.led,
        "lead_h_median": timing.lead_h_median,
        "crash_lift": _interval(one.lift.crash),
        "volatility_lift": _interval(one.lift.volatility),
        "funding_on_per_year": _rounded(one.funding_on),
        "funding_off_per_year": _rounded(one.funding_off),
    }


def _interval(one: Interval) -> dict[str, Json]:
    return {
        "value": _rounded(one.value),
        "p05": _rounded(one.low),
        "p95": _rounded(one.high),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def opened(path: Path) -> TextIO:
    """A text file to write, with line ends that are the same everywhere.

    Raises:
        MonitorError: If it cannot be written.
    """
    try:
        return path.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise MonitorError(f"{path} cannot be written: {error.strerror}.") from error
