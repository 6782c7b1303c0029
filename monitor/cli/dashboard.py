"""``riskd dashboard``: prints the Grafana dashboard made from the measure catalogue."""

from __future__ import annotations

import argparse
import sys

from monitor.core.measures.catalogue import CATALOGUE
from monitor.observability.dashboard import dashboard


def arguments(_: argparse.ArgumentParser) -> None:
    """None needed."""


def run(_: argparse.Namespace) -> int:
    """Always 0."""
    sys.stdout.buffer.write(dashboard(CATALOGUE.values()))
    return 0
