"""``riskd limits propose``: caps seeded from the desk's own last thirty days, for a person to sign.

Reads the store's file and never writes to it, so it works beside a running riskd and without one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from monitor.app.samples import KEPT, unpacked
from monitor.cli.control import directory_of
from monitor.core.errors import ConfigError
from monitor.core.limits import HOURS_KEPT, HOURS_MIN, Proposal, propose
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import parse_rulebook
from monitor.core.rules.rule import subject_parts
from monitor.core.rules.words import number
from monitor.core.types import SubjectKind, subject_kind
from monitor.store.audit_check import open_for_reading
from monitor.store.database import DATABASE_NAME

TOO_LITTLE = 1
EASED = 0.9  # an alert ends this much below its cap (above, of a low one)
SETTINGS = (
    ("gross_max", SubjectKind.PORTFOLIO),
    ("account_gross_max", SubjectKind.ACCOUNT),
    ("venue_gross_max", SubjectKind.VENUE),
)
HEAD = """\
# Proposed by `riskd limits propose` from what this desk did in its last {days} days. NOT IN FORCE:
# read it, change it, sign it, and name the file under rules.files.
#   signed by: ____________________   on: ____________________
# Each cap is 1.25 times the value that 95 % of the hours did not exceed (of a distance, the other
# way round). What is usual is not what is safe: whoever ran too hot gets caps that are too high.

limits:
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """One action, and where the samples are."""
    parser.description = (
        "riskd keeps an hourly value of leverage, margin use, distance to liquidation, funding "
        "cost\nand concentration, thirty days of them. From these it proposes a rulebook of caps."
    )
    parser.epilog = (
        "exit code: 0 every cap could be proposed, 1 some or all need more known hours, 2 there\n"
        "is no store"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    proposing = actions.add_parser("propose", help="a rulebook of caps, for a person to sign")
    proposing.add_argument(
        "--out", type=Path, metavar="FILE", help="a new file (default: standard output)"
    )
    proposing.add_argument(
        "--config",
        type=Path,
        default=Path("riskd.yaml"),
        metavar="FILE",
        help="the configuration that names the data directory (default riskd.yaml)",
    )
    proposing.add_argument("--data-dir", type=Path, metavar="DIR", help="the data directory itself")


def run(arguments: argparse.Namespace) -> int:
    """0 when every cap could be proposed."""
    with open_for_reading(directory_of(arguments) / DATABASE_NAME) as connection:
        row = connection.execute("SELECT value FROM kv WHERE name = ?", (KEPT,)).fetchone()
    proposals = propose(unpacked(None if row is None else row[0]))
    text = rulebook_text(proposals)
    parse_rulebook([("proposed.yaml", text)], CATALOGUE)  # nobody signs what does not load
    if arguments.out is None:
        print(text, end="")
    else:
        _write(arguments.out, text)
    return 0 if proposals and all(one.limit is not None for one in proposals) else TOO_LITTLE


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already; somebody may have signed it.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from error


def rulebook_text(proposals: Sequence[Proposal]) -> str:
    """A rulebook file with one rule per cap, and what could not be proposed as comments."""
    lines = [HEAD.format(days=HOURS_KEPT // 24).rstrip("\n")]
    for one in proposals:
        lines += _rule(one) if one.limit is not None else [_refusal(one)]
    if not any(one.limit is not None for one in proposals):
        lines.append("  []")
    if not proposals:
        lines.append(
            f"# Nothing was sampled yet: riskd takes a value an hour and needs {HOURS_MIN} of them."
        )
    lines += _settings(proposals)
    return "\n".join(lines) + "\n"


def _settings(proposals: Sequence[Proposal]) -> Iterator[str]:
    """What the built-in caps on gross are made of: the widest of each kind, since a setting is for
    all of them."""
    found = {
        setting: max(limits)
        for setting, kind in SETTINGS
        if (
            limits := [
                one.limit
                for one in proposals
                if one.measure == "leverage"
                and one.limit is not None
                and subject_kind(one.subject) is kind
            ]
        )
    }
    if found:
        yield "# For `leverage:` in the configuration, that built-in caps are made of (less of it"
        yield "# where leaving a venue is slow), from the same hours:"
        for setting, limit in found.items():
            yield f"#   {setting}: {_decimal(limit)}"


def _refusal(one: Proposal) -> str:
    return f"  # {one.measure} of {one.subject}: no cap, {one.why}"


def _rule(one: Proposal) -> Iterator[str]:
    spec, kind, limit = CATALOGUE[one.measure], subject_kind(one.subject), one.limit or 0.0
    shown = [number(value, spec.unit, spec.words) for value in (one.median, one.usual, one.worst)]
    parts = subject_parts(kind, one.subject.partition(":")[2])
    words = "_".join(part for part in (one.measure.removesuffix("_ratio"), *parts.values()) if part)
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in words.lower())
    begins, ends = (("<", ">="), limit / EASED) if one.low else ((">", "<="), limit * EASED)
    worst = "lowest" if one.low else "highest"
    yield f"  # {one.hours} hours: median {shown[0]}, 95 % within {shown[1]}, {worst} {shown[2]}"
    yield f"  - id: {'_'.join(word for word in f'limit_{name}'.split('_') if word)}"
    yield f"    for_each: {kind.value}"
    if kind is not SubjectKind.PORTFOLIO:
        only = ", ".join(f"{key}: ['{part}']" for key, part in parts.items())
        yield f"    only: {{{only}}}"
    what = "below" if one.low else "above"
    yield f"    summary: {f'{one.measure[:23]} {what} the signed cap'}"
    yield f"    when: {one.measure} {begins[0]} {_decimal(limit)}"
    yield "    for: 5m"
    yield f"    until: {one.measure} {begins[1]} {_decimal(ends)}"
    yield "    keep_firing_for: 1h"
    yield "    severity: high"
    yield "    do: {level: block_new}"
    yield f"    scope: {'portfolio' if kind is SubjectKind.ASSET else kind.value}"
    yield "    runbook: leverage_portfolio"


def _decimal(value: float) -> str:
    """With a decimal point, as conditions want it."""
    text = f"{value:.6f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text
