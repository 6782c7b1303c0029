"""What a channel is to the sender, and how every HTTP status is judged.

A channel takes a batch and says for each notice: accepted (None), or why not and whether trying
again can help. Nothing here knows which channels exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

import aiohttp

from monitor.core.errors import NotifyError
from monitor.notify.notice import Notice

RETRYABLE_4XX = {408: "timeout", 425: "client", 429: "rate_limited"}


class Channel(Protocol):
    """One way to reach people."""

    name: str
    batch_max: int

    @property
    def disabled(self) -> str:
        """Why it takes nothing any more until the configuration changes; ``""`` while it works."""
        ...

    async def send(self, notices: Sequence[Notice]) -> tuple[NotifyError | None, ...]:
        """One attempt; one result for each notice, in order."""
        ...


def judge_status(
    status: int, *, who: str, detail: str = "", retry_after: str | None = None
) -> NotifyError | None:
    """None for 2xx, else the error that says whether trying again can help.

    Args:
        status: HTTP status.
        who: Whose answer it is, without secrets ("Alertmanager am-1:9093").
        detail: What the answer says, already safe to show.
        retry_after: The header, seconds or an HTTP date.
    """
    if 200 <= status < 300:
        return None
    said = f": {detail}" if detail else ""
    wait_s = parse_retry_after(retry_after)
    if status >= 500 or status in RETRYABLE_4XX:
        reason = RETRYABLE_4XX.get(status, "server")
        text = f"{who} answered {status}{said}."
        return NotifyError(text, retryable=True, reason=reason, retry_after_s=wait_s)
    if status in {401, 403, 407}:
        text = f"{who} answered {status}{said}. Check the credential it is given."
        return NotifyError(text, retryable=False, reason="auth")
    if 300 <= status < 400:
        text = f"{who} answered {status}. Redirects are not followed; configure the final address."
        return NotifyError(text, retryable=False, reason="client")
    text = f"{who} answered {status}{said}."
    # 1xx never ends an exchange: whoever answers so is broken, and may be repaired.
    return NotifyError(text, retryable=status < 200, reason="server" if status < 200 else "client")


def parse_retry_after(text: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds from a ``Retry-After`` header, never negative; None where absent or unreadable."""
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text.strip())
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def judge_exception(error: Exception, *, who: str) -> NotifyError:
    """A failed exchange as a retryable error. The exception's own text is not shown: it may hold a
    URL, and URLs may hold secrets."""
    if isinstance(error, asyncio.TimeoutError):
        return NotifyError(f"{who} did not answer in time.", retryable=True, reason="timeout")
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    detail = getattr(cause, "strerror", None) or type(error).__name__
    text = f"{who} could not be reached ({detail})."
    return NotifyError(text, retryable=True, reason="server")
