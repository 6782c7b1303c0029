"""``riskd rebaseline``: let drawdown begin anew from today's equity."""

from __future__ import annotations

import argparse

from monitor.cli.control import add_arguments, ask, new_id
from monitor.core.operator import OperatorRequest, Verb


def arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, and why."""
    add_arguments(parser)
    parser.add_argument("--reason", required=True, help="why; it goes into the audit")
    parser.epilog = (
        "After a loss that was accepted, the drawdown of the scope is measured from the equity of\n"
        "now. Nothing that is latched is cleared by it: that is `riskd rearm`."
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when it was done."""
    request = OperatorRequest(
        id=new_id(), verb=Verb.REBASELINE, scope=arguments.scope, reason=arguments.reason
    )
    return ask(arguments, request)
