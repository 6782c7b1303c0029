"""Every error riskd raises on purpose.

::

    MonitorError
    ├─ ConfigError            the operator can fix it; lists every problem; refuse to start
    ├─ FeedError              contained to one feed; carries its name
    │  ├─ TransientFeedError  network, 5xx, 429 (retry_after_s) → reconnect
    │  ├─ DecodeError         not understood (keeps a trimmed copy) → count, alert, never guess
    │  ├─ SequenceGap         → discard, resync from a snapshot
    │  └─ AuthError           → do not retry; alert
    ├─ StoreError             the disk said no; what could not be kept is named
    └─ NotifyError            retryable: bool, reason (client, server, auth, rate_limited, timeout)

Messages are full sentences with value and unit and say what to do next; never a secret. *Pure.*
"""

from __future__ import annotations

from dataclasses import dataclass

SAMPLE_BYTES_MAX = 512


class MonitorError(Exception):
    """Root of all errors that riskd raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file that a person wrote.

    ``found`` is what stands there, ``allowed`` what may stand there, ``nearest`` the closest name
    where one is close enough.
    """

    where: str  # file, or file:line
    field: str  # dotted path
    message: str
    found: str | None = None
    allowed: str | None = None
    nearest: str | None = None

    def __str__(self) -> str:
        text = f"{self.where}: {self.field}: {self.message}"
        if self.found is not None:
            text += f" Found: {self.found}."
        if self.allowed is not None:
            text += f" Allowed: {self.allowed.rstrip('.')}."
        if self.nearest is not None:
            text += f" Did you mean {self.nearest!r}?"
        return text


class ConfigError(MonitorError):
    """Something the operator wrote cannot be used; every problem found is listed."""

    def __init__(self, problems: list[Problem] | str) -> None:
        self.problems = (
            [Problem(where="configuration", field="-", message=problems)]
            if isinstance(problems, str)
            else problems
        )
        super().__init__(
            problems
            if isinstance(problems, str)
            else "\n".join(str(problem) for problem in self.problems)
        )


class FeedError(MonitorError):
    """Contained to one feed."""


class TransientFeedError(FeedError):
    """The network or the venue failed in a way that a later try may survive. ``unsent``: nothing
    of the request reached anybody, so nobody counts it."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.unsent = False


class DecodeError(FeedError):
    """A payload was not understood. Keeps at most ``SAMPLE_BYTES_MAX`` bytes of it."""

    def __init__(self, message: str, *, sample: bytes = b"") -> None:
        super().__init__(message)
        self.sample = sample[:SAMPLE_BYTES_MAX]


class SequenceGap(FeedError):  # noqa: N818 - the field says gap, not error
    """Messages are missing: what was built from them is discarded and read anew."""


class AuthError(FeedError):
    """The venue refuses this client or this address; trying again would not help."""


class StoreError(MonitorError):
    """The store could not keep or read something."""


class NotifyError(MonitorError):
    """A notification was not accepted.

    ``reason`` is one of ``client``, ``server``, ``auth``, ``rate_limited``, ``timeout``.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool,
        reason: str,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.reason = reason
        self.retry_after_s = retry_after_s
