"""``python -m bench [--quick] [--only NAME …]``: one table; exit status 1 when a must is missed."""

from __future__ import annotations

import argparse
import sys

from bench.suite import FULL, QUICK, SUITE, Row


def main() -> int:
    """Run what was asked for and print each benchmark's lines as they come."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three short rounds, a shorter soak")
    parser.add_argument("--only", nargs="+", choices=SUITE, help="leave out the others")
    asked = parser.parse_args()
    plan = QUICK if asked.quick else FULL
    print(f"{'':38} {'median':>8} {'spread':>13} {'bound':>9}")
    missed = False
    for name in asked.only or SUITE:
        for row in SUITE[name](plan):
            _print(row)
            missed = missed or row.missed
    return 1 if missed else 0


def _print(row: Row) -> None:
    verdict = "MISSED" if row.missed else ("ok" if row.bound else "")
    cells = f"{row.name:38} {row.value:>8} {row.spread:>13} {row.bound:>9}"
    print(f"{cells}  {verdict:6}  {row.note}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
