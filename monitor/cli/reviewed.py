"""``riskd reviewed``: put on record that a risk bucket was gone through."""

from __future__ import annotations

import argparse

from monitor.cli.control import add_arguments, ask, new_id
from monitor.core.operator import OperatorRequest, Verb


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which bucket, and what was found."""
    parser.add_argument(
        "bucket", nargs="?", default="", help="its name; without one, all are shown"
    )
    parser.add_argument("--reason", default="", help="what was found; it goes into the audit")
    add_arguments(parser, scope=False)
    parser.epilog = (
        "The rule `cadence` counts from the last review on record. The clock alone never trades,\n"
        "and riskd does not check what was looked at: it is your word, with your name."
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when it was done, 1 when it was refused."""
    request = OperatorRequest(
        id=new_id(), verb=Verb.REVIEWED, bucket=arguments.bucket, reason=arguments.reason
    )
    return ask(arguments, request)
