"""``riskd rearm``: the way back, in two steps."""

from __future__ import annotations

import argparse

from monitor.cli.control import add_arguments, ask, new_id
from monitor.core.operator import OperatorRequest, Verb


def arguments(parser: argparse.ArgumentParser) -> None:
    """The first step by scope, the second by nonce."""
    add_arguments(parser)
    parser.add_argument(
        "--confirm",
        metavar="NONCE",
        help="step two: the nonce that step one answered with, within 120 s",
    )
    parser.add_argument("--reason", default="", help="why it is safe again; needed to confirm")
    parser.epilog = (
        "step one:  riskd rearm --scope portfolio\n"
        "           says what is latched, what is held, which conditions are not met, which rules\n"
        "           would fire again at once, what re-arming does and does not do, and a nonce\n"
        'step two:  riskd rearm --confirm NONCE --reason "…"\n'
        "           by a second person where the configuration says so"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when the step was taken, 1 when it was refused."""
    request = OperatorRequest(
        id=new_id(),
        verb=Verb.REARM if arguments.confirm is None else Verb.CONFIRM,
        scope=arguments.scope,
        nonce=arguments.confirm or "",
        reason=arguments.reason,
    )
    return ask(arguments, request)
