"""The ``riskd`` command."""

from __future__ import annotations


def main() -> int:
    """Entry point of the console script."""
    return 0
