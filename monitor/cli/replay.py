"""``riskd replay``: decide again from a journal, and prove that the decisions are the same."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from monitor import __version__
from monitor.cli.progress import Bar
from monitor.core.errors import MonitorError
from monitor.core.journal import decision_bytes, replay, written_by
from monitor.store.journal import TornTail, read_segment, segment_paths


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to read and how to tell."""
    parser.add_argument(
        "journal", type=Path, help="a journal directory (…/journal), or one segment of it"
    )
    parser.add_argument(
        "--all", action="store_true", help="print quiet decisions too, not only those with news"
    )
    parser.epilog = (
        "exit code: 0 every decision is the same byte for byte, 1 one differs or a record cannot "
        "be\nread, 2 there is no journal or nothing in it. Only the riskd version that wrote a "
        "journal\nmust decide the same again."
    )


def run(arguments: argparse.Namespace) -> int:
    """Decisions as JSON lines on standard output; a summary on standard error."""
    paths = _segments(arguments.journal)
    count = told = 0
    torn: list[TornTail] = []
    bar = Bar("MB", per=1_000_000)
    records = _records(paths, torn, bar)
    first = next(records, None)
    if first is None:
        raise MonitorError(
            f"The journal at {arguments.journal} holds no record: riskd ended before it wrote one."
        )
    try:
        for decision in replay(chain((first,), records)):
            count += 1
            if arguments.all or not decision.quiet:
                told += 1
                bar.end()
                sys.stdout.buffer.write(decision_bytes(decision) + b"\n")
                if sys.stdout.isatty():
                    sys.stdout.flush()  # in its place between two bars
    except MonitorError as error:
        bar.end()
        print(f"After {count} equal decisions: {error}{_other_version(first)}", file=sys.stderr)
        return 1
    finally:
        sys.stdout.flush()
        bar.end()
    for tail in torn:
        print(
            f"{tail.segment} ends in {tail.bytes_left} unreadable bytes ({tail.reason}); "
            "everything before them was read.",
            file=sys.stderr,
        )
    print(
        f"{count} decisions, all the same byte for byte; {told} printed.",
        file=sys.stderr,
    )
    return 0


def _other_version(first: bytes) -> str:
    """Why a replay may rightly differ, where another riskd wrote the journal."""
    version = written_by(first)
    if version == __version__:
        return ""
    writer = f"riskd {version}" if version else "an older riskd, which did not say its version"
    return f"\nThis journal was written by {writer}; this is riskd {__version__}. Replay it there."


def _segments(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    folder = path / "journal" if (path / "journal").is_dir() else path
    paths = segment_paths(folder) if folder.is_dir() else []
    if not paths:
        raise MonitorError(
            f"There is no journal at {path}. riskd writes one to <data_dir>/journal while "
            "journal.enabled is true."
        )
    return paths


def _records(paths: list[Path], torn: list[TornTail], bar: Bar) -> Iterator[bytes]:
    """Payloads of all segments; ``bar`` follows in bytes."""
    whole = sum(path.stat().st_size for path in paths)
    done = 0
    for path in paths:
        for record in read_segment(path):
            if isinstance(record, TornTail):
                torn.append(record)
                continue
            done += len(record.payload)
            bar.at(done, whole)
            yield record.payload
