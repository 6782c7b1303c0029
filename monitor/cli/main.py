"""The ``riskd`` command: what it can do, in a trader's words. Each verb lives in its own module.

Exit codes: 0 fine, 1 something needs a look or a check failed, 2 a mistake that you can mend (the
text says how), 3 riskd cannot see or does not answer.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol, cast

from monitor import __version__
from monitor.cli.output import hush
from monitor.core.errors import ConfigError, MonitorError, Problem

COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("demo", "monitor.cli.demo", "see riskd at work on simulated venues (at most 5 minutes)"),
    ("init", "monitor.cli.init", "write a configuration for your own addresses; no keys needed"),
    ("run", "monitor.cli.run", "watch the venues of a configuration and page"),
    ("status", "monitor.cli.status", "am I safe, what fires, what can riskd not see"),
    ("explain", "monitor.cli.explain", "why a rule says what it says, to be redone by hand"),
    ("check-trade", "monitor.cli.check_trade", "what a trade would do; go, look or no"),
    ("kill", "monitor.cli.kill", "stop the book at once, in one step; latched until re-armed"),
    ("plan", "monitor.cli.plan", "what a cut would do and cost now; sends nothing"),
    ("approve", "monitor.cli.approve", "let a proposed plan go ahead, or turn it down"),
    ("rearm", "monitor.cli.rearm", "the way back after a kill, in two steps"),
    ("rebaseline", "monitor.cli.rebaseline", "measure drawdown from today's equity"),
    ("flag", "monitor.cli.flag", "say that news is due or out, until an expiry"),
    ("reviewed", "monitor.cli.reviewed", "put on record that a risk bucket was gone through"),
    ("check-config", "monitor.cli.check_config", "find every mistake in a configuration"),
    ("rules", "monitor.cli.rules", "list the rules, or check a rulebook of your own"),
    ("noise", "monitor.cli.noise", "how many pages a week each rule gives"),
    ("limits", "monitor.cli.limits", "caps from your own last 30 days, for a person to sign"),
    ("decode", "monitor.cli.decode", "turn recorded venue frames into riskd's events"),
    ("replay", "monitor.cli.replay", "decide again from a journal and compare"),
    ("backtest", "monitor.cli.backtest", "judge recorded history with the rules, and a book"),
    ("audit", "monitor.cli.audit", "check, explain or export the record of the kill switch"),
    ("signer", "monitor.cli.signer", "hold the key and sign what makes a book smaller"),
    ("sim", "monitor.cli.sim", "serve the simulated venues alone, for your own programs"),
    ("health", "monitor.cli.health", "ask a running riskd whether it lives and is ready"),
    ("dashboard", "monitor.cli.dashboard", "print the Grafana dashboard made from the measures"),
)

EPILOG = """\
start here:
  riskd demo                                   a storm, a dead feed and the pages, simulated
  riskd init --hyperliquid 0x… --dydx dydx1…   your own accounts by address, without any key
  riskd run --config riskd.yaml                watch them; open http://127.0.0.1:9470/
  riskd status                                 the same in 24 lines

In mode observe, the default, riskd only watches: it holds no key and can send nothing to a venue.
"""


# Their exit codes 1 and 2 are verdicts, so a mistake in asking must not look like one.
ASKING = frozenset({"status", "health", "check-trade"})
MISTAKE, NO_ANSWER, INTERRUPTED = 2, 3, 130


class Parser(argparse.ArgumentParser):
    """argparse with an exit code of our choice for a mistyped command."""

    mistake = MISTAKE

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end."""
        self.print_usage(sys.stderr)
        self.exit(self.mistake, f"{self.prog}: {message}\n")


class Verb(Protocol):
    """What every module behind a verb offers."""

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe the flags."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; returns the exit code."""
        ...


def build_parser(verb: str | None) -> Parser:
    """The parser; only the verb that was asked for is imported."""
    parser = Parser(
        prog="riskd",
        description="Watches perpetual positions on Layer-2 venues, judges the risk by rules you "
        "can read, pages, and (armed) cuts.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"riskd {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name, module, text in COMMANDS:
        sub = verbs.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == verb:
            parser.mistake = sub.mistake = NO_ANSWER if verb in ASKING else MISTAKE
            loaded = cast("Verb", importlib.import_module(module))
            loaded.arguments(sub)
            sub.set_defaults(run=loaded.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except ConfigError as error:
        count = len(error.problems)
        if count > 1:
            print(f"riskd: {count} mistakes to mend:", file=sys.stderr)
        for problem in error.problems:
            print(problem_line(problem), file=sys.stderr)
        return MISTAKE
    except MonitorError as error:
        print(f"riskd: {error}", file=sys.stderr)
        return MISTAKE
    except BrokenPipeError:
        hush()  # whoever read this has seen enough (`| head`)
        return 0
    except KeyboardInterrupt:  # also while a verb is still being imported
        return INTERRUPTED


def problem_line(problem: Problem) -> str:
    """One mistake as one line; of a place that says nothing only the sentence is shown."""
    if problem.field != "-":
        text = str(problem)
    elif problem.where == "configuration":
        text = problem.message
    else:
        text = f"{problem.where}: {problem.message}"
    return " ".join(text.split())


def _run(words: Sequence[str]) -> int:
    verb = next((word for word in words if not word.startswith("-")), None)
    parser = build_parser(verb)
    close = difflib.get_close_matches(verb or "", [name for name, _, _ in COMMANDS], n=1)
    if verb is not None and close and close[0] != verb:
        parser.error(f"there is no verb {verb!r}; did you mean {close[0]!r}?")
    arguments = parser.parse_args(words)
    if arguments.verb is None:
        parser.print_help()
        return MISTAKE
    return int(arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
