"""The venue's request limits: sliding for sockets, fixed windows for HTTP. Time is an argument.

Socket limits count *attempts* within the last second and refuse without counting the refused one;
HTTP limits give a key a number of points per window that starts with its first request.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class SlidingLimit:
    """At most ``points`` uses of a key within any ``window_s``."""

    def __init__(self, points: int, window_s: float) -> None:
        self._points = points
        self._window_s = window_s
        self._uses: dict[str, deque[float]] = {}

    def allow(self, key: str, now_s: float) -> bool:
        """Whether the key may be used now; a refused use is not counted."""
        uses = self._uses.setdefault(key, deque())
        while uses and now_s - uses[0] >= self._window_s:
            uses.popleft()
        if len(uses) >= self._points:
            return False
        uses.append(now_s)
        return True


class Allowance(NamedTuple):
    """What an HTTP request may still do, for the ``RateLimit-*`` headers."""

    allowed: bool
    limit: int
    remaining: int
    reset_in_s: float


class WindowLimit:
    """``points`` requests per key and window; the window starts with the key's first request."""

    def __init__(self, points: int, window_s: float) -> None:
        self._points = points
        self._window_s = window_s
        self._windows: dict[str, tuple[float, int]] = {}

    def use(self, key: str, now_s: float) -> Allowance:
        """Count one request of ``key`` and say what is left of its window."""
        started_s, used = self._windows.get(key, (now_s, 0))
        if not started_s <= now_s < started_s + self._window_s:
            started_s, used = now_s, 0
        used += 1
        self._windows[key] = (started_s, used)
        return Allowance(
            allowed=used <= self._points,
            limit=self._points,
            remaining=max(0, self._points - used),
            reset_in_s=started_s + self._window_s - now_s,
        )
