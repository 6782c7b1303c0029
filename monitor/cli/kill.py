"""``riskd kill``: stop the book, in one step and without a question."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from monitor.cli.control import (
    REFUSED,
    NobodyThereError,
    add_arguments,
    describe,
    directory_of,
    new_id,
    send,
    share_cut,
)
from monitor.core.errors import ConfigError
from monitor.core.kill_file import KILL_FILE_NAME, kill_file_content
from monitor.core.operator import OperatorRequest, Verb, check_request

NOT_ENFORCED = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    """Scope, level and why."""
    add_arguments(parser)
    parser.add_argument(
        "--level",
        help="caution, reduce_only, cut, halt (default, or cut with --cut) or flatten, or its "
        "number 1 to 5",
    )
    parser.add_argument(
        "--cut", type=share_cut, metavar="SHARE", help="how much of it to cut: 30%%"
    )
    parser.add_argument("--reason", required=True, help="why; it goes into the audit and the pages")
    parser.epilog = (
        "levels: 1 caution    tells people, takes nothing away\n"
        "        2 reduce_only cancels what increases risk, protective stops stay\n"
        "        3 cut         and brings exposure down by plan, hedges kept\n"
        "        4 halt        cancels every order but reduce-only triggers; positions stay\n"
        "        5 flatten     and unwinds to flat by plan\n"
        "It latches: only `riskd rearm` goes back. Where no riskd answers, the request is left\n"
        "as the KILL file, which the next one enforces before anything else; exit code 3 then.\n"
        "Without riskd: `touch DATA_DIR/KILL` is the same as a halt of the portfolio."
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when riskd took it, 1 when it refused, 3 when it is only a file so far."""
    request = OperatorRequest(
        id=new_id(),
        verb=Verb.KILL,
        scope=arguments.scope,
        level=arguments.level or ("halt" if arguments.cut is None else "cut"),
        gross_to_ratio=arguments.cut,
        reason=arguments.reason,
    )
    check_request(request)
    try:
        answer = send(directory_of(arguments), request)
    except NobodyThereError as error:
        path = leave_file(error.directory, request)
        what = describe(request.level, request.scope, request.gross_to_ratio)
        print(
            f"NOT YET ENFORCED: {error}\n"
            f"{what} is left in {path}; the next riskd there enforces it before anything else.\n"
            "Until then nothing stops the book: act at the venues by hand."
        )
        return NOT_ENFORCED
    print(answer.text)
    if answer.done and not answer.kept:
        path = leave_file(directory_of(arguments), request)
        print(f"So that the next riskd does it too, it is left in {path} as well.")
        return NOT_ENFORCED
    return 0 if answer.done else REFUSED


def leave_file(directory: Path, request: OperatorRequest) -> Path:
    """Write the request as the KILL file, whole or not at all.

    Raises:
        ConfigError: When it cannot be written.
    """
    path = directory / KILL_FILE_NAME
    content = kill_file_content(
        scope=request.scope,
        level=request.level,
        reason=request.reason,
        gross_to_ratio=request.gross_to_ratio,
    )
    draft = path.with_suffix(".draft")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise ConfigError(
            f"No riskd answers, and the KILL file {path} cannot be written either: "
            f"{error.strerror}. Act at the venues by hand now."
        ) from error
    return path
