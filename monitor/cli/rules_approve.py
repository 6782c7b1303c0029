"""``riskd rules approve``: let a rulebook that loosens what acts take effect, or turn it down."""

from __future__ import annotations

import argparse

from monitor.cli.control import add_arguments, ask, new_id
from monitor.core.operator import OperatorRequest, Verb


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which one; without an id what waits is shown."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("id", nargs="?", default="", help="of what waits, as the page says")
    parser.add_argument("--refuse", action="store_true", help="turn it down instead")
    parser.add_argument("--reason", default="", help="why; needed to approve, for the audit")
    add_arguments(parser, scope=False)
    parser.epilog = (
        "A reload that disables, loosens or widens a rule that may act is read and not loaded:\n"
        "the rules in force stay until a person has approved. With kill.second_principal that\n"
        "must be another one than who reloaded; everybody on this machine is one, so it is a\n"
        'signed HTTP command then: {"verb": "approve_rules", "proposal": ID, "reason": …}.\n'
        "exit code: 0 done, or shown; 1 refused"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when it was taken."""
    request = OperatorRequest(
        id=new_id(),
        verb=Verb.APPROVE_RULES,
        proposal=arguments.id,
        refuse=arguments.refuse,
        reason=arguments.reason,
    )
    return ask(arguments, request)
