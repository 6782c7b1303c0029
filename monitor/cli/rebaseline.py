"""``riskd rebaseline``: let drawdown begin anew from today's equity."""

from __future__ import annotations

import argparse

from monitor.cli.control import add_arguments, ask, new_id
from monitor.core.operator import OperatorRequest, Verb


def arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, and why; the second step by nonce."""
    add_arguments(parser)
    parser.add_argument(
        "--confirm",
        metavar="NONCE",
        help="step two, by a second person: the nonce that step one answered with, within 120 s",
    )
    parser.add_argument("--reason", required=True, help="why; it goes into the audit")
    parser.epilog = (
        "After a loss that was accepted, the drawdown of the scope is measured from the equity of\n"
        "now. Nothing that is latched is cleared by it: that is `riskd rearm`. Where the\n"
        "configuration asks for a second person (kill.second_principal), the first is answered\n"
        "with a nonce, and the second confirms it with a reason."
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when the step was taken, 1 when it was refused."""
    request = OperatorRequest(
        id=new_id(),
        verb=Verb.REBASELINE,
        scope=arguments.scope,
        nonce=arguments.confirm or "",
        reason=arguments.reason,
    )
    return ask(arguments, request)
