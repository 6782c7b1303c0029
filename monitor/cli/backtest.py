"""``riskd backtest``: the rulebook over recorded history, with a book that follows it."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from monitor.backtest.bootstrap import DRAWS
from monitor.backtest.figures import compute_figures
from monitor.backtest.history import FUNDING_FILES, History, read_history
from monitor.backtest.measures import chosen_measures
from monitor.backtest.outputs import (
    MEASURES,
    REPORT,
    SUMMARY,
    TRANSITIONS,
    TransitionLog,
    opened,
    write_measures,
    write_summary,
)
from monitor.backtest.overlay import NO_OUTAGES, Overlay, read_overlay
from monitor.backtest.processes import run_backtest
from monitor.backtest.report import write_report
from monitor.backtest.rules import HourlyRules, hourly_rules
from monitor.backtest.run import REACTIONS_MIN, Task
from monitor.backtest.settings import BookSettings, default_book, load_book
from monitor.cli.progress import Bar
from monitor.core.errors import ConfigError, MonitorError
from monitor.rulebook import builtin_files

OUTAGES = "outages"


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to read, what to judge and where to write."""
    parser.description = (
        "Runs the rulebook over recorded history with the daemon's own engine, hour by hour, and a "
        "\nsimulated book that does what the rules ask: at once, after 15 and after 60 minutes, "
        "beside\nthe same book without rules, one that always holds 70 %, and one that follows "
        "volatility and\na fall. Fees, slippage, exit friction and funding are charged."
    )
    parser.add_argument(
        "--history", type=Path, required=True, metavar="DIR", help="prices/, funding/, oi/, …"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where the four files go"
    )
    parser.add_argument(
        "--rulebook", type=Path, action="append", default=[], metavar="FILE",
        help="your rules, after the built-in ones (repeatable)",
    )  # fmt: skip
    parser.add_argument("--book", type=Path, metavar="FILE", help="the desk; see the epilogue")
    parser.add_argument(
        "--from",
        dest="start",
        type=_day,
        metavar="DAY",
        help="e.g. 2023-01-01; what stands before it is told, not judged",
    )
    parser.add_argument("--to", dest="end", type=_day, metavar="DAY", help="left out itself")
    parser.add_argument(
        "--venue", action="append", choices=sorted(FUNDING_FILES), default=[],
        help="whose funding the rules see (default: the book's venues)",
    )  # fmt: skip
    parser.add_argument(
        "--follow", action="append", default=[], metavar="RULE",
        help="obey only this rule (repeatable; default: every rule that asks for something)",
    )  # fmt: skip
    parser.add_argument(
        "--measure", action="append", default=[], metavar="NAME[@SUBJECT]",
        help="further measures to keep, e.g. leverage@account:binance/main",
    )  # fmt: skip
    parser.add_argument(
        "--overlay", choices=[OUTAGES], help="lay recorded outages and congestion over it"
    )
    parser.add_argument(
        "--reentry-delay", type=float, metavar="HOURS",
        help="how long a person takes to re-arm (default: the book file's, 0)",
    )  # fmt: skip
    parser.add_argument(
        "--reaction", action="append", type=int, default=[], metavar="MINUTES",
        help="how long the desk takes to obey (repeatable; default: 0, 15 and 60)",
    )  # fmt: skip
    parser.add_argument(
        "--every-rule", action="store_true",
        help="ask rules that only page about one account, market or feed, too (twice the time)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N",
        help="processes that share the reaction times (default: one a core; equal bytes)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the bootstrap (default 1)")
    parser.epilog = (
        "a book file:\n"
        "  start_equity_usd: 1000000\n"
        "  positions:\n"
        "    - {venue: binance, asset: BTC, weight: 0.5}     # share of equity; or size: 1.5\n"
        "    - {venue: hyperliquid, asset: BTC, weight: -0.2}\n"
        "  venues:\n"
        "    binance: {fee_bps: 4.5, slippage_bps: 6}\n"
        "  exit_friction_bps: 5\n\n"
        f"writes {TRANSITIONS}, {MEASURES}, {SUMMARY} and {REPORT}; two runs give equal bytes.\n"
        "exit code: 0 done, 2 a mistake in the files or flags, each told with its line"
    )


def run(arguments: argparse.Namespace) -> int:
    """Read, run, write; the paths written go to standard output."""
    if arguments.seed < 0:
        raise ConfigError("--seed must be zero or more.")
    if arguments.jobs < 1:
        raise ConfigError("--jobs must be one or more.")
    rules = _rules(arguments.rulebook, arguments.follow, every=arguments.every_rule)
    book = load_book(arguments.book) if arguments.book else None
    bar = Bar("hours")
    history = _history(arguments, book, bar)
    settings = book or default_book(_assets(history))
    if arguments.reentry_delay is not None:
        if arguments.reentry_delay < 0.0:
            raise ConfigError("--reentry-delay must be zero or more hours.")
        settings = settings.model_copy(update={"reentry_delay_h": arguments.reentry_delay})
    _check_held(settings, history)
    venues = tuple(sorted({*(arguments.venue or settings.held_venues), *settings.held_venues}))
    task = Task(
        history=history,
        rules=rules,
        settings=settings,
        venues=venues,
        measures=chosen_measures(arguments.measure),
        overlay=_overlay(arguments, settings, venues),
        follow=tuple(arguments.follow),
        reactions_min=_reactions(arguments.reaction),
    )
    _make(arguments.out)
    with opened(arguments.out / TRANSITIONS) as text:
        log = TransitionLog(text)
        result = run_backtest(task, tell=log.tell, progress=bar.at, jobs=arguments.jobs)
    bar.say("judging the outcome")
    figures = compute_figures(result, seed=arguments.seed, draws=DRAWS)
    write_measures(result, arguments.out / MEASURES)
    write_summary(figures, arguments.out / SUMMARY)
    write_report(figures, arguments.out / REPORT)
    bar.end()
    for name in (TRANSITIONS, MEASURES, SUMMARY, REPORT):
        print(arguments.out / name)
    return 0


def _day(text: str) -> int:
    """Unix seconds of a day or an instant, UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no day such as 2023-01-01 (or 2023-01-01T12:00Z)"
        ) from None
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())


def _rules(paths: list[Path], follow: list[str], *, every: bool) -> HourlyRules:
    files = list(builtin_files())
    for path in paths:
        try:
            files.append((str(path), path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError(f"The rulebook {path} cannot be read: {reason}.") from error
    rules = hourly_rules(files, every=every)
    for name in follow:
        if name in rules.left_out:
            raise ConfigError(f"--follow {name}: this rule is about seconds; hours cannot ask it.")
        if rules.rule(name) is None:
            raise ConfigError(f"--follow {name}: there is no such rule (see `riskd rules list`).")
    return rules


def _reactions(minutes: list[int]) -> tuple[int, ...]:
    if any(one < 0 for one in minutes):
        raise ConfigError("--reaction must be zero or more minutes.")
    return tuple(sorted(set(minutes))) or REACTIONS_MIN


def _history(arguments: argparse.Namespace, book: BookSettings | None, bar: Bar) -> History:
    wanted = set(arguments.venue) | set(book.held_venues if book else ("binance",))
    return read_history(
        arguments.history,
        sorted(wanted),
        from_s=arguments.start,
        until_s=arguments.end,
        told=bar.say,
    )


def _assets(history: History) -> tuple[str, ...]:
    """Assets that the default book can hold: with prices, and funding on Binance."""
    found = tuple(asset for asset in history.assets if ("binance", asset) in history.settlements)
    if not found:
        raise ConfigError("The history has no asset with prices and Binance funding: give --book.")
    return found


def _check_held(settings: BookSettings, history: History) -> None:
    """Funding and prices must exist for what is held, or its cost would silently be zero."""
    for one in settings.positions:
        if one.asset not in history.closes:
            raise ConfigError(f"The book holds {one.asset}, of which the history has no prices.")
        if (one.venue, one.asset) not in history.settlements:
            raise ConfigError(
                f"The book holds {one.asset} on {one.venue}, of which the history has no funding."
            )


def _overlay(
    arguments: argparse.Namespace, settings: BookSettings, venues: tuple[str, ...]
) -> Overlay:
    if arguments.overlay is None:
        return NO_OUTAGES
    stands_on = {venue: settings.costs_of(venue).depends_on for venue in venues}
    overlay = read_overlay(arguments.history, stands_on)
    if not overlay.outages:
        print(
            f"No recorded outage concerns {', '.join(venues)}: name what they stand on under "
            "venues.<name>.depends_on of the book file.",
            file=sys.stderr,
        )
    return overlay


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MonitorError(f"{folder} cannot be made: {error.strerror}.") from error
