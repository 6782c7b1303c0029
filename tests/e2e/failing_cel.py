"""Runs ``riskd`` with an expression engine that fails while a file exists.

The rule language leaves no way to write a rule that fails only at run time, so the failure is put
where it would come from: into the library that evaluates. Conditions of plain comparisons never
reach it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cel

from monitor.cli.main import main

SWITCH = Path(os.environ["RISKD_E2E_CEL_FAILS"])


class Program:
    """A compiled expression that fails while the file exists."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled

    def references(self) -> Any:
        """What it reads."""
        return self._compiled.references()

    def execute(self, context: Any) -> Any:
        """Its result, or the failure."""
        if SWITCH.exists():
            raise ValueError("the expression engine fails")
        return self._compiled.execute(context)


def failing(compile_text: Callable[[str], Any]) -> Callable[[str], Program]:
    """``cel.compile``, made to fail on demand."""
    return lambda text: Program(compile_text(text))


if __name__ == "__main__":
    cel.compile = failing(cel.compile)  # type: ignore[assignment]  # it only has what is used
    sys.exit(main())
