"""``riskd decode``: recorded venue frames and bodies in, riskd's events out, one JSON line each.

A file holds one frame or body, a recording that wraps several, or one frame a line (``.jsonl``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from monitor.core.errors import DecodeError, MonitorError
from monitor.core.events import Event
from monitor.venues.dydx import decode as dydx
from monitor.venues.hyperliquid import decode as hyperliquid


class Decoder(Protocol):
    """What a venue offers for its recordings."""

    def __call__(self, data: bytes, endpoint: str | None = None) -> tuple[Event, ...]:
        """Events of one recording; raises DecodeError."""
        ...


DECODERS: Mapping[str, tuple[Decoder, tuple[str, ...]]] = {
    "hyperliquid": (hyperliquid.decode_recording, tuple(hyperliquid.ENDPOINTS)),
    "dydx": (dydx.decode_recording, tuple(dydx.ENDPOINTS)),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Venue, endpoint, files."""
    parser.add_argument("venue", choices=sorted(DECODERS), help="whose recording it is")
    parser.add_argument(
        "--endpoint",
        metavar="NAME",
        help="which REST endpoint the body came from, where the recording does not say; "
        "an unknown NAME lists them",
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a recorded frame or body, a recording of several, or (.jsonl) one a line",
    )
    parser.epilog = (
        "exit code: 0 all was read, 1 something was not (the rest is printed all the same)"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 when all was read; 1 when some recording could not be, after reading the others."""
    decode, endpoints = DECODERS[arguments.venue]
    if arguments.endpoint is not None and arguments.endpoint not in endpoints:
        raise MonitorError(
            f"{arguments.venue} has no endpoint {arguments.endpoint!r}. "
            f"Known: {', '.join(sorted(endpoints))}."
        )
    failed = 0
    for path in arguments.files:
        pieces = list(_pieces(path))
        if not pieces:
            failed += 1
            print(f"{path}: holds no frame.", file=sys.stderr)
        for where, data in pieces:
            try:
                events = decode(data, arguments.endpoint)
            except DecodeError as error:
                failed += 1
                print(f"{where}: {error}", file=sys.stderr)
                continue
            for event in events:
                sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
    sys.stdout.flush()
    if failed:
        noun = "recording" if failed == 1 else "recordings"
        print(f"{failed} {noun} could not be read.", file=sys.stderr)
    return 1 if failed else 0


def _pieces(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MonitorError(f"cannot read {path}: {error.strerror}.") from error
    if path.suffix != ".jsonl":
        if data.strip():
            yield str(path), data
        return
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            yield f"{path}:{number}", line
