"""Asks a running riskd over HTTP, for the verbs that look at one."""

from __future__ import annotations

import argparse
import os
import urllib.error
import urllib.request
from typing import Any

import orjson

from monitor.core.errors import MonitorError

DEFAULT_URL = "http://127.0.0.1:9470"
TIMEOUT_S = 5.0


class NoAnswerError(MonitorError):
    """Nobody answers at that address."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the riskd to ask is, and with which token."""
    parser.add_argument(
        "--url",
        default=os.environ.get("RISKD_URL", DEFAULT_URL),
        help=f"where riskd serves (default {DEFAULT_URL}, or $RISKD_URL)",
    )
    parser.add_argument(
        "--token-file", help="file with the read token, where riskd needs one ($RISKD_READ_TOKEN)"
    )


def fetch(arguments: argparse.Namespace, path: str) -> tuple[int, Any]:
    """Status and decoded JSON of one answer.

    Raises:
        NoAnswerError: When nothing answers, with what to do next.
    """
    url = arguments.url.rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise MonitorError(f"--url must start with http:// or https://; found {url!r}.")
    request = urllib.request.Request(url + path)  # noqa: S310 - scheme checked above
    token = _token(arguments)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            return answer.status, orjson.loads(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise MonitorError(
                f"riskd at {url} needs its read token: give --token-file, or set RISKD_READ_TOKEN."
            ) from error
        return error.code, orjson.loads(error.read() or b"null")
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise NoAnswerError(
            f"riskd does not answer at {url} ({reason}). If it should be running, look at its log "
            "and start it with `riskd run --config …`; nothing watches the book meanwhile."
        ) from error
    except orjson.JSONDecodeError as error:
        raise MonitorError(f"{url}{path} answers, but that is not riskd.") from error


def _token(arguments: argparse.Namespace) -> str:
    if arguments.token_file:
        try:
            with open(arguments.token_file, encoding="utf-8") as file:  # noqa: PTH123 - one read
                return file.read().strip()
        except OSError as error:
            raise MonitorError(
                f"cannot read the token file {arguments.token_file}: {error.strerror}."
            ) from error
    return os.environ.get("RISKD_READ_TOKEN", "")
