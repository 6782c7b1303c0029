"""``riskd plan``: what a cut would do and cost now. Shows, sends nothing."""

from __future__ import annotations

import argparse

from monitor.cli.control import add_arguments, ask, new_id, share_cut
from monitor.core.operator import OperatorRequest, Verb


def arguments(parser: argparse.ArgumentParser) -> None:
    """How much, of what."""
    add_arguments(parser)
    parser.add_argument(
        "--cut", type=share_cut, required=True, metavar="SHARE", help="how much to cut: 30%%"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when a plan could be made."""
    request = OperatorRequest(
        id=new_id(), verb=Verb.PLAN, scope=arguments.scope, gross_to_ratio=arguments.cut
    )
    return ask(arguments, request)
