"""``riskd rules``: list what is judged, or check a rulebook before it is loaded."""

from __future__ import annotations

import argparse
from pathlib import Path

from monitor.core.errors import ConfigError
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import RuleBook, parse_rulebook
from monitor.rulebook import builtin_files

MINUTE_NS = 60_000_000_000


def arguments(parser: argparse.ArgumentParser) -> None:
    """Two actions."""
    parser.description = (
        "Lists what riskd judges: the built-in rules, and your own files after them, which extend "
        "or\noverride them by id. Or checks your files before you put them under rules.files."
    )
    parser.epilog = (
        "exit code: 0 the rulebook can be used, 2 it has mistakes, each told with its line"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "every rule: what it says, when it fires, how severe it is and what it asks for"
    listing = actions.add_parser("list", help=text, description=f"Lists {text}.")
    listing.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="your own files, after the built-in ones",
    )
    text = "every mistake in your files, each with its line"
    check = actions.add_parser("check", help=text, description=f"Tells {text}.")
    check.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="default: the built-in rulebook"
    )
    check.add_argument(
        "--alone", action="store_true", help="without the built-in rules before them"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when the rulebook can be used; its mistakes are raised as ConfigError."""
    alone = arguments.action == "check" and arguments.alone
    book = _book(arguments.files, alone=alone)
    if arguments.action == "check":
        print(f"{len(book.rules)} rules, no mistakes.")
        return 0
    width = max((len(rule.id) for rule in book.rules), default=4)
    for rule in book.rules:
        wait = f" for {rule.for_ns / MINUTE_NS:g} min" if rule.for_ns else ""
        target = "" if rule.gross_to_ratio is None else f" to {rule.gross_to_ratio:.0%} of gross"
        print(
            f"{rule.id:<{width}}  {rule.severity.value:<8}  {rule.for_each.value:<9}  "
            f"{rule.level.value}{target} ({rule.mode.value})"
        )
        print(f"{'':<{width}}  {rule.summary}")
        print(f"{'':<{width}}  when {rule.condition}{wait}")
    return 0


def _book(paths: list[Path], *, alone: bool) -> RuleBook:
    files = [] if alone else list(builtin_files())
    for path in paths:
        try:
            files.append((str(path), path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError(f"The rulebook {path} cannot be read: {reason}.") from error
    return parse_rulebook(files, CATALOGUE)
