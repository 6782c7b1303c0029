"""Settings of the whole suite."""

from __future__ import annotations

import asyncio.constants
import logging
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# The same examples on every run of CI, so that what lands does not depend on luck; elsewhere new
# ones each time, which is how new counterexamples are found.
settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI") == "true":
    settings.load_profile("ci")

# Debugging says where each callback and coroutine was made; the nearest frames of that will do, and
# all ten of them cost more than what is tested.
asyncio.constants.DEBUG_STACK_DEPTH = 3

# What takes minutes, the longest first: begun last, one of them would leave the other workers idle.
LONG = (
    "e2e/test_stories.py",
    "pages/",
    "e2e/test_commands.py",
    "e2e/",
    "cli/test_demo.py",
    "faults/",
    "sim/test_scenarios.py",
    "killpath/",
    "backtest/",
    "core/formulas/test_funding_history.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where workers share the files (``make test``), they begin with the long ones; a person who
    runs the tests sees the quick ones first."""
    if hasattr(config, "workerinput"):
        items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    place = item.nodeid.removeprefix("tests/")
    return next((at for at, start in enumerate(LONG) if place.startswith(start)), len(LONG))


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A command that a test runs in this process sets up logging: for that test alone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level
