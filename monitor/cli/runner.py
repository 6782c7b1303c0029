"""The event loop that verbs with a loop run on."""

from __future__ import annotations

import asyncio


def new_runner() -> asyncio.Runner:
    """A runner on uvloop where it is installed: its wake-ups cost half."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
