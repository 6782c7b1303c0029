"""How the simulated dYdX indexer writes things down: numbers, instants and ids.

Money, sizes, prices and heights are decimal strings without exponent; instants are ISO 8601 with
milliseconds and ``Z``; ids are UUIDs and hashes derived from what they name, so that the same seed
gives the same bytes.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from monitor.sim.addresses import bech32_address

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_ADDRESS_WORDS = 32  # twenty bytes, five bits at a time
_CHECKSUM_WORDS = 6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMESPACE = uuid.UUID("0f9da948-a6fb-4c45-9edc-4685c3f3317d")


def number(value: Decimal | float | str) -> str:
    """A plain decimal string: no exponent, no trailing zeros, never ``-0``. What is written
    already is only trimmed."""
    if isinstance(value, Decimal):
        written = str(value)
        if "E" in written:  # seldom, and to format each is three times as slow
            written = format(value, "f")
    elif isinstance(value, str):
        written = value
    else:
        written = repr(float(value))
        if "e" in written:
            written = format(Decimal(written), "f")
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    return "0" if written in {"-0", ""} else written


def iso(at_s: float) -> str:
    """Seconds since 1970 as ``2025-12-08T16:11:59.450Z``."""
    moment = _EPOCH + timedelta(milliseconds=round(at_s * 1000))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_nanos(at_s: float) -> str:
    """Seconds since 1970 as CometBFT writes them, with nanoseconds."""
    return iso(at_s)[:-1] + "000000Z"


def parse_iso(written: str) -> float:
    """Seconds since 1970 of an ISO 8601 instant; without a zone it is UTC.

    Raises:
        ValueError: If it is not ISO 8601.
    """
    moment = datetime.fromisoformat(written)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH).total_seconds()


def stable_uuid(*parts: object) -> str:
    """The same UUID for the same parts, in every run."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(str(part) for part in parts)))


def stable_hash(*parts: object) -> str:
    """64 upper-case hexadecimal digits, like a transaction hash."""
    return hashlib.sha256("/".join(str(part) for part in parts).encode()).hexdigest().upper()


def event_id(height: int, index: int) -> str:
    """24 hexadecimal digits: height, transaction index, event index, as the indexer writes them."""
    return f"{height & 0xFFFFFFFF:08x}{2:08x}{index & 0xFFFFFFFF:08x}"


def is_address(written: str) -> bool:
    """Whether this is a dYdX address with a right checksum."""
    words = written.removeprefix("dydx1")
    if words == written or len(words) != _ADDRESS_WORDS + _CHECKSUM_WORDS:
        return False
    if any(word not in _BECH32 for word in words):
        return False
    bits = "".join(f"{_BECH32.index(word):05b}" for word in words[:_ADDRESS_WORDS])
    return bech32_address("dydx", int(bits, 2).to_bytes(20, "big")) == written
