"""``riskd flag``: news that is due or out, for the rules that heed it."""

from __future__ import annotations

import argparse
import datetime as dt

from monitor.app.desk_files import unix_seconds
from monitor.app.news_file import AFTER_S, BEFORE_S
from monitor.cli.control import add_arguments, ask, new_id
from monitor.core.operator import OperatorRequest, Verb
from monitor.core.rules.fields import duration_ns
from monitor.core.types import SECOND_NS


def arguments(parser: argparse.ArgumentParser) -> None:
    """Set, clear or list."""
    parser.description = (
        "A news flag says that something is due or out (macro, an unlock, an upgrade) that prices\n"
        "and depth may react to. It falls by itself. Rules read it as `news_flag`; the built-in\n"
        "any_two counts it as one of its flags. A file can set them too: news_flags_file."
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    setting = actions.add_parser("set", help="set one, with its expiry")
    setting.add_argument("name", help="such as us-cpi; the same name again replaces it")
    when = setting.add_mutually_exclusive_group(required=True)
    when.add_argument("--expires", metavar="DURATION", help="from now: 90m, 2h, 3d")
    when.add_argument(
        "--at",
        metavar="TIME",
        help="of something scheduled, 2027-06-30T13:30Z: up from 2 h before it to 1 h after",
    )
    setting.add_argument("--reason", required=True, help="what it is; pages and audit say it")
    add_arguments(setting)
    clearing = actions.add_parser("clear", help="take one away before it falls by itself")
    clearing.add_argument("name", help="as it was set")
    clearing.add_argument("--reason", default="", help="why; it goes into the audit")
    add_arguments(clearing, scope=False)
    add_arguments(actions.add_parser("list", help="those that stand"), scope=False)


def run(arguments: argparse.Namespace) -> int:
    """0 when it was done, 1 when it was refused."""
    if arguments.action == "list":
        return ask(arguments, OperatorRequest(id=new_id(), verb=Verb.FLAGS))
    if arguments.action == "clear":
        request = OperatorRequest(
            id=new_id(), verb=Verb.FLAG_CLEAR, flag=arguments.name, reason=arguments.reason
        )
        return ask(arguments, request)
    begins_in_s, lasts_s = window(arguments, dt.datetime.now(tz=dt.UTC).timestamp())
    request = OperatorRequest(
        id=new_id(),
        verb=Verb.FLAG_SET,
        flag=arguments.name,
        scope=arguments.scope,
        lasts_s=lasts_s,
        begins_in_s=begins_in_s,
        reason=arguments.reason,
    )
    return ask(arguments, request)


def window(arguments: argparse.Namespace, now_s: float) -> tuple[float, float | None]:
    """(seconds until it begins, seconds that it lasts) as of ``now_s``, Unix seconds; None where no
    time can be read."""
    if arguments.expires is not None:
        lasts_ns = duration_ns(arguments.expires)
        return 0.0, None if lasts_ns is None else lasts_ns / SECOND_NS
    at_s = unix_seconds(arguments.at)
    if at_s is None:
        return 0.0, None
    begins_s = max(0.0, at_s - BEFORE_S - now_s)
    return begins_s, at_s + AFTER_S - now_s - begins_s
