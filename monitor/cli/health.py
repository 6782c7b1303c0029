"""``riskd health``: the container's probe, with the same binary and no shell."""

from __future__ import annotations

import argparse

from monitor.cli.client import NoAnswerError, add_arguments, fetch, stranger


def arguments(parser: argparse.ArgumentParser) -> None:
    """Live or ready."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--live", action="store_true", help="is the process alive (default; for restarts)"
    )
    which.add_argument(
        "--ready", action="store_true", help="can others rely on it (never restart on this one)"
    )
    add_arguments(parser)
    parser.epilog = "exit code: 0 yes, 1 no, 3 it could not be asked or does not answer"


def run(arguments: argparse.Namespace) -> int:
    """0 yes, 1 no, 3 no answer."""
    path = "/readyz" if arguments.ready else "/livez"
    try:
        status, document = fetch(arguments, path)
        if "detail" not in document:
            raise stranger(arguments.url)
    except NoAnswerError as error:
        print(error)
        return 3
    good = status == 200
    print(f"{path[1:-1]}: {'yes' if good else 'no'}")
    detail = document.get("detail")
    if isinstance(detail, dict):
        for name, text in detail.items():
            print(f"  {name}: {text}")
    return 0 if good else 1
