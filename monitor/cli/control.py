"""Asks a running riskd to act, over its control socket; what all such verbs share."""

from __future__ import annotations

import argparse
import contextlib
import re
import socket
import uuid
from pathlib import Path

import msgspec

from monitor.core.errors import ConfigError, MonitorError
from monitor.core.killswitch.levels import Level
from monitor.core.operator import OperatorAnswer, OperatorRequest, check_request, level_of
from monitor.core.types import PORTFOLIO
from monitor.core.yamltext import parse_yaml
from monitor.runtime.unix_path import reachable
from monitor.server.control import SOCKET_NAME

ANSWER_S = 15.0  # a plan may read accounts first
REFUSED = 1
DATA_DIR = "./riskd-data"  # where the configuration says nothing else
_LINE = re.compile(r"^data_dir:.*\n?", re.MULTILINE)
ANSWER_BYTES_MAX = 1024 * 1024


class NobodyThereError(MonitorError):
    """No riskd serves that data directory; ``directory`` says which."""

    def __init__(self, directory: Path, why: str) -> None:
        super().__init__(
            f"No riskd answers in {directory} ({why}). Name its configuration with --config, or "
            "start it with `riskd run`."
        )
        self.directory = directory


def add_arguments(parser: argparse.ArgumentParser, *, scope: bool = True) -> None:
    """Which riskd, and about what."""
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("riskd.yaml"),
        metavar="FILE",
        help="the configuration that riskd runs with (default riskd.yaml)",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="its data directory, where the configuration cannot be read",
    )
    if scope:
        parser.add_argument(
            "--scope",
            default=str(PORTFOLIO),
            help="portfolio (default), venue:V, account:V/A, asset:X or market:V/M",
        )


def new_id() -> str:
    """An id for one request."""
    return f"cli-{uuid.uuid4().hex}"


def directory_of(arguments: argparse.Namespace) -> Path:
    """The data directory of the riskd that is meant. Of the configuration nothing else is read, so
    that a mistake elsewhere in it stands in nobody's way, not even one that makes it no YAML.

    Raises:
        ConfigError: When the file cannot be read, or does not say it clearly; says what works
            without it. A stop left in another directory would stop nobody.
    """
    if arguments.data_dir is not None:
        return Path(arguments.data_dir)
    path = Path(arguments.config)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _nowhere(path, getattr(error, "strerror", None) or "it is not UTF-8 text") from error
    document = parse_yaml(text, source=str(path))
    if not isinstance(document.data, dict):
        document = parse_yaml("".join(_LINE.findall(text)), source=str(path))
    named: object = None if document.problems else DATA_DIR
    if isinstance(document.data, dict):
        named = document.data.get("data_dir", DATA_DIR)
    if not isinstance(named, str) or any(one.field == "data_dir" for one in document.problems):
        raise _nowhere(path, "its data_dir is not plain text, or stands twice")
    return path.resolve().parent / named


def _nowhere(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path} cannot be read ({why}), so nobody knows where riskd's data is. Name it with "
        "--data-dir DIR. To stop the book without riskd's help: touch DIR/KILL"
    )


def ask(arguments: argparse.Namespace, request: OperatorRequest) -> int:
    """Check, send, print the answer; 0 when it was done, 1 when it was refused.

    Raises:
        ConfigError: When the request could be misunderstood.
        NobodyThereError: When nobody is there.
    """
    check_request(request)
    answer = send(directory_of(arguments), request)
    print(answer.text)
    return 0 if answer.done else REFUSED


def send(directory: Path, request: OperatorRequest) -> OperatorAnswer:
    """One request to the riskd of a data directory.

    Raises:
        NobodyThereError: When nobody is there, or no answer came.
    """
    path = directory / SOCKET_NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_S)
        try:
            with reachable(path) as name:
                connection.connect(name)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            answer = _line(connection)
        except TimeoutError as error:
            raise NobodyThereError(directory, f"no answer within {ANSWER_S:g} s") from error
        except OSError as error:
            raise NobodyThereError(directory, error.strerror or str(error)) from error
    try:
        return msgspec.json.decode(answer, type=OperatorAnswer)
    except msgspec.DecodeError as error:
        raise NobodyThereError(directory, "something else answers there") from error


def _line(connection: socket.socket) -> bytes:
    read = b""
    while not read.endswith(b"\n") and len(read) <= ANSWER_BYTES_MAX:
        piece = connection.recv(65536)
        if not piece:
            break
        read += piece
    return read


def share_cut(text: str) -> float:
    """``30%`` or ``0.3`` to be cut, as the share that may stay, for argparse.

    Raises:
        argparse.ArgumentTypeError: It is no share, or one that could be meant in two ways.
    """
    number, percent, rest = text.strip().partition("%")
    value: float | None = None
    with contextlib.suppress(ValueError):
        value = float(number) / (100.0 if percent else 1.0)
    if value is None or rest or not 0.0 < value <= 1.0:
        raise argparse.ArgumentTypeError(
            f"a cut is a share such as 30% or 0.3, above nothing and at most all; found {text!r}"
        )
    return round(1.0 - value, 9)


def describe(level: str, scope: str, gross_to_ratio: float | None) -> str:
    """What a kill is, for a sentence."""
    asked = level_of(level)
    how = ""
    if asked is Level.CUT and gross_to_ratio is not None:
        how = f" to {gross_to_ratio * 100.0:.3g} %"
    return f"{asked.name}{how} of {scope}"
