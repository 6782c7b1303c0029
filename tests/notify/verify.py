"""A receiver's side of Standard Webhooks 1.0.0, written from the specification alone.

Shares nothing with the sender: it reads the three headers and the raw body as any receiver would.
"""

from __future__ import annotations

import base64
import hashlib
import hmac


class Refused(Exception):  # noqa: N818 - a receiver's verdict
    """The message is not from who holds the secret, or not from now."""


def verify(
    secret: str, headers: dict[str, str], body: bytes, *, now_s: int, tolerance_s: int = 300
) -> None:
    """Raise ``Refused`` unless one signature fits and the timestamp is within tolerance."""
    key = base64.b64decode(secret.split("_", 1)[1])
    message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs(now_s - int(timestamp)) > tolerance_s:
        raise Refused("the timestamp is outside the window")
    hasher = hmac.new(key, digestmod=hashlib.sha256)
    for part in (message_id.encode("utf-8"), b".", timestamp.encode("ascii"), b".", body):
        hasher.update(part)
    wanted = hasher.digest()
    for versioned in headers["webhook-signature"].split(" "):
        version, _, encoded = versioned.partition(",")
        if version == "v1" and hmac.compare_digest(base64.b64decode(encoded), wanted):
            return
    raise Refused("no signature fits")
