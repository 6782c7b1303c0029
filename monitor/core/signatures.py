"""Signed messages, both ways: Standard Webhooks 1.0.0, symmetric keys.

The signature covers id, timestamp and the very bytes of the body, so it is made over what is sent
and checked before anything is parsed. *Pure.*
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
from collections.abc import Sequence

WINDOW_S = 300  # how far a message's timestamp may be from our clock
ID_CHARACTERS_MAX = 128


class Refusal(enum.StrEnum):
    """Why a message was not believed; for a metric and the log, never told to the sender."""

    MALFORMED = "malformed"  # a header is missing or no number
    TIMESTAMP = "timestamp"  # too old, or from the future
    SIGNATURE = "signature"  # none of our keys made it
    REPLAYED = "replayed"  # this id was seen before


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """``v1,`` and the base64 HMAC-SHA256 over ``id.timestamp.body``.

    Source: Standard Webhooks 1.0.0, "Signature scheme", symmetric.
    """
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def refuse(
    keys: Sequence[bytes],
    *,
    message_id: str,
    timestamp: str,
    signatures: str,
    body: bytes,
    now_s: float,
) -> Refusal | None:
    """Why a message is not to be believed, or None: one of ``keys`` signed it within the window.

    Args:
        keys: Present and previous; an empty key is no key.
        message_id: ``webhook-id``.
        timestamp: ``webhook-timestamp``, Unix seconds.
        signatures: ``webhook-signature``: any number of ``v1,…`` with blanks between.
        body: As received.
        now_s: Our wall clock, Unix seconds.
    """
    digits = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12
    if not message_id or len(message_id) > ID_CHARACTERS_MAX or not digits:
        return Refusal.MALFORMED
    given = [one for one in signatures.split() if one.startswith("v1,")]
    if not given:
        return Refusal.MALFORMED
    wanted = [sign(key, message_id, int(timestamp), body) for key in keys if key]
    # Every pair is compared, so that the time taken tells nothing.
    matches = [hmac.compare_digest(one.encode(), two.encode()) for one in given for two in wanted]
    if not any(matches):
        return Refusal.SIGNATURE
    if abs(now_s - int(timestamp)) > WINDOW_S:
        return Refusal.TIMESTAMP
    return None
