"""How Hyperliquid writes things: decimals as strings, times as milliseconds, its coin names.

Prices, sizes, dollars and rates are JSON strings in plain notation with at least one digit after
the point; times, order ids, leverages are JSON numbers.
"""

from __future__ import annotations

import hashlib
import re
from decimal import ROUND_DOWN, Decimal

import orjson

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
JsonObject = dict[str, Json]

MICRO = Decimal("0.000001")
TEN_DECIMALS = Decimal("0.0000000001")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\Z")


def number(value: Decimal) -> str:
    """``84198.0``, ``0.00004``, ``0.0``: plain notation, no trailing zeros but one digit."""
    if not value:
        return "0.0"
    text = str(value)
    if "E" in text:  # seldom, and to format each is three times as slow
        text = format(value, "f")
    if "." not in text:
        return f"{text}.0"
    text = text.rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def plain(value: float, decimals: int) -> str:
    """The same of a float that is told with so many decimals; half a year of bars has thousands."""
    text = f"{value:.{decimals}f}"
    if "." not in text:
        return f"{text}.0"
    text = text.rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def dollars(value: Decimal) -> str:
    """Account money: six decimals, cut off as recorded states show."""
    return number(value.quantize(MICRO, rounding=ROUND_DOWN))


def ratio(value: Decimal) -> str:
    """A rate, a premium, a return or a computed price: ten decimals."""
    return number(value.quantize(TEN_DECIMALS))


def from_float(value: float) -> Decimal:
    """A float of the world as a decimal, for volumes."""
    return Decimal(repr(value))


def ms(seconds: float) -> int:
    """Milliseconds since the epoch."""
    return round(seconds * 1_000)


def make_hash(*parts: object) -> str:
    """A transaction hash: the same for the same thing, always."""
    text = "/".join(str(part) for part in parts)
    return "0x" + hashlib.sha256(text.encode()).hexdigest()


def encode(value: Json) -> str:
    """Compact JSON text."""
    return orjson.dumps(value).decode()


def frame(channel: str, data: Json) -> str:
    """One server frame."""
    return encode({"channel": channel, "data": data})


def is_address(value: Json) -> bool:
    """Whether ``value`` is a 20-byte hex address."""
    return isinstance(value, str) and ADDRESS.match(value) is not None
