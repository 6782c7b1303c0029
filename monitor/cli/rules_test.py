"""``riskd rules test``: unit tests of rules, with what differs and why."""

from __future__ import annotations

import argparse
from itertools import groupby
from pathlib import Path

from monitor.cli.rules_check import read_rules
from monitor.core.errors import ConfigError
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import parse_rulebook
from monitor.core.trial.file import check_rules, parse_trials
from monitor.core.trial.run import play
from monitor.core.trial.trial import Difference, Trial
from monitor.rulebook import builtin_files

FAILED = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which files."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="files of rule tests")
    parser.add_argument(
        "--rulebook",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a rulebook of yours to test with, after those that the test files name",
    )
    parser.epilog = (
        "a file of tests:\n"
        "  rulebook: [own.yaml]                   # beside the file; after the built-in rules\n"
        "  tests:\n"
        "    - name: drawdown pages and does not flap\n"
        "      step: 1m                           # one entry of a series each\n"
        "      series:\n"
        "        drawdown_ratio: 0.01 0.06x3 _x2 0.01x60\n"
        "      expect:\n"
        "        - {at: 4m, rule: drawdown_5, state: firing, verdict: unknown}\n"
        "entries: a number, _ absent, = the same value not told anew, 61~ an estimate, each with\n"
        "x and how often; `measure account:V/A: …` for another subject than the portfolio\n"
        "exit code: 0 all hold, 1 one does not, 2 a file has mistakes, each told with its line"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when every test holds, ``FAILED`` when one does not."""
    failed = total = 0
    for path in arguments.files:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError(f"The tests {path} cannot be read: {reason}.") from error
        file = parse_trials(text, source=str(path), catalogue=CATALOGUE)
        named = [path.parent / name for name in file.rulebook]
        rules = [
            *(builtin_files() if file.builtin else ()),
            *read_rules([*named, *arguments.rulebook]),
        ]
        check_rules(file, parse_rulebook(rules, CATALOGUE))
        print(path)
        for trial in file.trials:
            total += 1
            differences = play(trial, rules, CATALOGUE)
            failed += bool(differences)
            print("\n".join(told(trial, differences)))
    print(f"{failed} of {total} tests failed." if failed else f"{total} tests, all hold.")
    return FAILED if failed else 0


def told(trial: Trial, differences: tuple[Difference, ...]) -> list[str]:
    """One test as lines: ok, or each difference once with the inputs behind it."""
    if not differences:
        return [f"  ok    {trial.name}"]
    lines = [f"  FAIL  {trial.name}"]
    for asked, group in groupby(differences, key=lambda one: one.expectation):
        found = list(group)
        lines.append(f"        {asked.where}: at {asked.at_text}, {asked.rule} of {asked.subject}")
        for one in found:
            lines.append(f"          - {one.what}: expected {one.expected}")
            lines.append(f"          + {one.what}: found    {one.found}")
        lines += [f"            read: {note}" for note in found[0].notes]
    return lines
