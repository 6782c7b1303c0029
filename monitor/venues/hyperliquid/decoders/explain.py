"""Turns whatever the JSON layer raises into a ``DecodeError`` that says field and value. *Pure.*"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from monitor.core.errors import SAMPLE_BYTES_MAX, DecodeError

# RecursionError: nested too deep. ValueError: no UTF-8. ArithmeticError: an absurd amount.
UNREADABLE_JSON = (msgspec.MsgspecError, RecursionError, ValueError, ArithmeticError)

_PLACE = re.compile(r"at `\$([^`]*)`")
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_SHOWN_MAX = 40


def refused(what: str, error: Exception, data: bytes) -> DecodeError:
    """The error for ``data`` (a frame or a body), with the value that stands where it names."""
    found = _value_at(str(error), data)
    value = "" if found is None else f" (found {found})"
    return DecodeError(f"hyperliquid {what}: {error}{value}", sample=bytes(data[:SAMPLE_BYTES_MAX]))


@contextmanager
def decoding(what: str, data: bytes) -> Iterator[None]:
    """``refused`` for everything unreadable that happens inside."""
    try:
        yield
    except DecodeError as error:
        if error.sample:
            raise
        raise DecodeError(str(error), sample=bytes(data[:SAMPLE_BYTES_MAX])) from error
    except UNREADABLE_JSON as error:
        raise refused(what, error, data) from error


def _value_at(message: str, data: bytes) -> str | None:
    place = _PLACE.search(message)
    if place is None:
        return None
    try:
        value: Any = msgspec.json.decode(data)
        if isinstance(value, dict) and "channel" in value:
            value = value.get("data")  # places are told relative to the payload
        rest = place[1]
        while step := _STEP.match(rest):
            value = value[step[1] or int(step[2])]
            rest = rest[step.end() :]
        text = msgspec.json.encode(value).decode()
    except (*UNREADABLE_JSON, KeyError, IndexError, TypeError):
        return None
    return None if rest else text[:_SHOWN_MAX]
