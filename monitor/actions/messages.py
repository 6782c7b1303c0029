"""What the daemon and its signer say to each other: one JSON object a line, over a unix socket.

The daemon never sends bytes to sign; it says what it wants, and the signer writes the action
itself. Accounts are named by alias: addresses come from the signer's own configuration.
"""

from __future__ import annotations

import enum
from decimal import Decimal

import msgspec

from monitor.venues.hyperliquid.actions import SignableAction
from monitor.venues.hyperliquid.signing import Signature

LINE_BYTES_MAX = 256 * 1024


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """What all messages share. A field that the other side does not know is refused."""


class SignRequest(_Message, frozen=True, kw_only=True):
    """Sign this for that account.

    ``references`` are the fair prices behind the limits of a ``Reduce``, one a line.
    ``expires_after_ms`` (ms since the epoch) is needed for a ``Reduce``. ``nonce`` is for a
    ``Noop`` alone: the nonce of the request that must never take effect.
    """

    account: str
    action: SignableAction
    references: tuple[Decimal, ...] = ()
    expires_after_ms: int | None = None
    nonce: int | None = None


class CountersRequest(_Message, frozen=True, kw_only=True):
    """How much was signed and refused, and what is left of the hour's cap."""


class RefusedFor(enum.StrEnum):
    """Why the signer refused; a small closed set, for metrics."""

    MALFORMED = "malformed"  # not understood, or nothing that may ever be signed
    ACCOUNT = "account"  # not one of the signer's
    BOUND = "bound"  # a limit too far from its reference
    CAP = "cap"  # the hour's notional is used up
    EXPIRY = "expiry"  # no expiry, or one too far away
    NONCE = "nonce"  # a nonce that was never given out
    PEER = "peer"  # another user of this machine
    UNREACHABLE = "unreachable"  # said by the client: no signer answered


class Signed(_Message, frozen=True, kw_only=True):
    """The signature, and what it covers besides the action."""

    nonce: int
    signature: Signature
    vault: str | None = None


class SignRefused(_Message, frozen=True, kw_only=True):
    """Not signed. ``lines`` are the positions of the orders that are to blame; without them the
    rest may be asked for again. Empty: the whole request is."""

    reason: RefusedFor
    words: str
    lines: tuple[int, ...] = ()


class Counters(_Message, frozen=True, kw_only=True):
    """Since the signer's start, by kind of action and by reason; the hour's notional in USD."""

    signed: dict[str, int]
    refused: dict[str, int]
    notional_used_usd: Decimal
    notional_cap_usd: Decimal
    state_failures: int = 0


ToSigner = SignRequest | CountersRequest
FromSigner = Signed | SignRefused | Counters
SignAnswer = Signed | SignRefused
