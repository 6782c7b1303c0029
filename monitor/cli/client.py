"""Asks a running riskd over HTTP, for the verbs that look at one."""

from __future__ import annotations

import argparse
import http.client
import os
import sys
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import orjson

from monitor.core.errors import MonitorError

DEFAULT_URL = "http://127.0.0.1:9470"
TIMEOUT_S = 5.0


class NoAnswerError(MonitorError):
    """The question could not be asked or was not answered: nobody there, a stranger, a token."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """riskd never redirects, and the read token is for nobody else."""

    def redirect_request(self, *_: object) -> None:
        return None


# No proxy, whatever the environment says: it would see the token and the book, and a riskd on
# loopback is not behind it.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the riskd to ask is, and with which token."""
    parser.add_argument(
        "--url",
        default=os.environ.get("RISKD_URL", DEFAULT_URL),
        help=f"where riskd serves (default {DEFAULT_URL}, or $RISKD_URL)",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="file with the read token, where riskd needs one (or put it into $RISKD_READ_TOKEN)",
    )


def fetch(arguments: argparse.Namespace, path: str) -> tuple[int, dict[str, Any]]:
    """Status and decoded JSON document of one answer.

    Raises:
        NoAnswerError: When it cannot be asked or riskd does not answer, with what to do next.
    """
    url = _checked(arguments.url).rstrip("/")
    request = urllib.request.Request(url + path)  # noqa: S310 - scheme checked
    token = _token(arguments)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        if error.code == 401:
            raise NoAnswerError(
                f"riskd at {url} needs its read token: give --token-file, or set RISKD_READ_TOKEN."
            ) from error
        with error:
            status, body = error.code, error.read()
    except (OSError, http.client.HTTPException) as error:
        reason = _reason(error)
        raise NoAnswerError(
            f"riskd does not answer at {url} ({reason}). If it should be running, look at its log "
            "and start it with `riskd run --config …`; nothing watches the book meanwhile."
        ) from error
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise stranger(url) from error
    if not isinstance(document, dict):
        raise stranger(url)
    return status, document


def ask(arguments: argparse.Namespace, path: str, *, key: str) -> dict[str, Any]:
    """The document that answers a question: it holds ``key``, or ``error`` with what was wrong.

    Raises:
        NoAnswerError: As ``fetch``, and when something answers that is not riskd.
    """
    status, document = fetch(arguments, path)
    if status not in {200, 404} or not document.keys() & {key, "error"}:
        raise stranger(arguments.url)
    return document


def print_json(document: dict[str, Any]) -> None:
    """All of a document, for other programs."""
    sys.stdout.buffer.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.flush()


def stranger(url: str) -> NoAnswerError:
    """What to say when something else answers."""
    return NoAnswerError(f"Something answers at {url}, but it is not riskd. Give riskd's --url.")


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        good = False
    if not good or not url.isascii() or any(character.isspace() for character in url):
        raise NoAnswerError(f"--url must be an address such as {DEFAULT_URL}; found {url!r}.")
    return url


def _reason(error: Exception) -> str:
    """Why nobody answered, in words: what the system says, without its number."""
    inner = getattr(error, "reason", None)
    for one in (inner, error):
        words = getattr(one, "strerror", None)
        if words:
            return str(words)
    return str(inner or error) or type(error).__name__


def _token(arguments: argparse.Namespace) -> str:
    origin = "$RISKD_READ_TOKEN"
    token = os.environ.get("RISKD_READ_TOKEN", "")
    if arguments.token_file:
        origin = f"the token file {arguments.token_file}"
        try:
            with open(arguments.token_file, encoding="utf-8") as file:  # noqa: PTH123 - one read
                token = file.read()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            raise NoAnswerError(f"Cannot read {origin}: {why}.") from error
    token = token.strip()
    if not token.isascii() or not token.isprintable():
        raise NoAnswerError(f"The read token in {origin} must be one line of plain characters.")
    return token
