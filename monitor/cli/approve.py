"""``riskd approve``: let a proposed plan go ahead, or turn it down."""

from __future__ import annotations

import argparse

from monitor.cli.control import add_arguments, ask, new_id
from monitor.core.operator import OperatorRequest, Verb


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which proposal."""
    add_arguments(parser, scope=False)
    parser.add_argument("proposal", help="its id, as the page and `riskd status` say")
    parser.add_argument("--refuse", action="store_true", help="turn it down instead")
    parser.add_argument("--reason", default="", help="why; it goes into the audit")


def run(arguments: argparse.Namespace) -> int:
    """0 when it was taken in time."""
    request = OperatorRequest(
        id=new_id(),
        verb=Verb.APPROVE,
        proposal=arguments.proposal,
        refuse=arguments.refuse,
        reason=arguments.reason,
    )
    return ask(arguments, request)
