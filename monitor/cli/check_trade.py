"""``riskd check-trade``: what a trade would do to the book, before it is sent. Sends nothing."""

from __future__ import annotations

import argparse
import sys
import textwrap
from typing import Any
from urllib.parse import urlencode

from monitor.cli.client import NoAnswerError, add_arguments, ask, print_json
from monitor.cli.status import HEIGHT, WIDTH

Document = dict[str, Any]
EXIT = {"go": 0, "look": 1, "no": 2}
NO_ANSWER = 3
_INDENT = 17


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which trade, in which account, of which riskd."""
    parser.add_argument("--market", required=True, metavar="VENUE/MARKET", help="hyperliquid/BTC")
    parser.add_argument("--side", required=True, choices=("buy", "sell"), help="which way")
    parser.add_argument("--size", required=True, help="base units, above 0")
    parser.add_argument("--stop", default="", metavar="PRICE", help="where it would be ended")
    parser.add_argument("--account", default="", metavar="ALIAS", help="where a venue has several")
    add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="all of it as JSON")
    parser.epilog = (
        "By the live state, at the margin price and the costs of `trades:`; nothing is sent.\n"
        "What is not known is a look, never a go. A go is no advice: no limit is broken, no more.\n"
        "exit code: 0 go, 1 look, 2 no, 3 riskd does not answer or the question is wrong"
    )


def run(arguments: argparse.Namespace) -> int:
    """Ask and print."""
    names = ("market", "side", "size", "stop", "account")
    query = urlencode({name: getattr(arguments, name) for name in names})
    try:
        document = ask(arguments, f"/v1/check-trade?{query}", key="answer")
    except NoAnswerError as error:
        print(error, file=sys.stderr)
        return NO_ANSWER
    if "error" in document:
        print(document["error"], file=sys.stderr)
        return NO_ANSWER
    if arguments.json:
        print_json(document)
    else:
        print("\n".join(screen(document)))
    return EXIT[document["answer"]]


def screen(document: Document) -> list[str]:
    """At most ``HEIGHT`` - 1 lines of at most ``WIDTH`` characters; the worst first."""
    stop = "no stop" if document["stop"] is None else f"stop {document['stop']:g}"
    title = (
        f"{document['side']} {document['size']:g} {document['market']} in {document['account']}, "
        f"{stop}"
    )
    answer = document["answer"].upper()
    lines = [f"{title[: WIDTH - len(answer) - 1]:<{WIDTH - len(answer) - 1}} {answer}"]
    order = list(EXIT)
    for one in sorted(document["checks"], key=lambda one: -order.index(one["answer"])):
        first = f"{one['answer'].upper():<5}{one['name']:<{_INDENT - 5}}"
        lines += textwrap.wrap(
            one["text"], WIDTH, initial_indent=first, subsequent_indent=" " * _INDENT
        )
    room = HEIGHT - 1
    if len(lines) <= room:
        return lines
    return [*lines[: room - 1], f"  … and {len(lines) - room + 1} more lines (--json shows all)"]
