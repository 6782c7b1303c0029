"""``riskd rules``: list what is judged, or check a rulebook before it is loaded."""

from __future__ import annotations

import argparse
from pathlib import Path

from monitor.app.checks import mode_mistakes
from monitor.app.rulebooks import load_rulebook
from monitor.cli import client, rules_approve, rules_test
from monitor.cli.rules_check import check, read_rules
from monitor.cli.rules_list import list_rules
from monitor.config import load_document
from monitor.core.errors import ConfigError
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import RuleBook, parse_rulebook
from monitor.rulebook import builtin_files


def arguments(parser: argparse.ArgumentParser) -> None:
    """Two actions."""
    parser.description = (
        "Lists what riskd judges: the built-in rules, and your own files after them, which extend "
        "or\noverride them by id. Or checks your files before you put them under rules.files."
    )
    parser.epilog = (
        "exit code: 0 the rulebook can be used, 1 it can and something in it is odd, 2 it has\n"
        "mistakes, each told with its line"
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
    listing.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="list the rulebook that this configuration names, each rule in the mode that holds: "
        "its kill.rules come before the rule files, which alone are shown without",
    )
    text = "every mistake in your files, each with its line; each threshold beside a value"
    checking = actions.add_parser(
        "check",
        help=text,
        description=f"Tells {text}\n(of now where riskd answers, else typical ones), and warns of "
        "what is never or always crossed.",
    )
    checking.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="default: the built-in rulebook"
    )
    checking.add_argument(
        "--alone", action="store_true", help="without the built-in rules before them"
    )
    checking.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="check the rulebook that this configuration names, and its caps, instead of files",
    )
    client.add_arguments(checking)
    text = "let a rulebook that loosens what acts take effect, or turn it down"
    rules_approve.arguments(actions.add_parser("approve", help=text, description=f"{text}."))
    text = "unit tests of rules: series of measures in, expected states and requests out"
    rules_test.arguments(actions.add_parser("test", help=text, description=f"Runs {text}."))


def run(arguments: argparse.Namespace) -> int:
    """0 when the rulebook can be used; its mistakes are raised as ConfigError."""
    if arguments.action == "test":
        return rules_test.run(arguments)
    if arguments.action == "approve":
        return rules_approve.run(arguments)
    if arguments.config is not None:
        return _configured(arguments)
    alone = arguments.action == "check" and arguments.alone
    book = _book(arguments.files, alone=alone)
    if arguments.action == "check":
        return check(arguments, book)
    list_rules(book)
    return 0


def _configured(arguments: argparse.Namespace) -> int:
    """The rules that a configuration names: checked with what it says about leverage, or listed
    with the modes that it lets them have."""
    if arguments.files:
        raise ConfigError("Give files, or --config with the files that it names; not both.")
    config, document = load_document(arguments.config)
    base: Path = arguments.config.parent
    arguments.files = [base / name for name in config.rules.files]
    book = load_rulebook(config, base=base, document=document)
    if arguments.action == "check":
        return check(arguments, book, caps=config.leverage)
    mistakes = mode_mistakes(config.kill, document, book)
    if mistakes:
        raise ConfigError(mistakes)
    list_rules(book, (config, document))
    return 0


def _book(paths: list[Path], *, alone: bool) -> RuleBook:
    files = [] if alone else list(builtin_files())
    return parse_rulebook([*files, *read_rules(paths)], CATALOGUE)
