"""No bytes make Hyperliquid's decoders raise anything but ``DecodeError``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core.errors import DecodeError
from monitor.core.events import Event
from monitor.core.types import SECOND_NS
from monitor.venues.hyperliquid.decode import (
    ENDPOINTS,
    decode_body,
    decode_frame,
    decode_recording,
)
from monitor.venues.hyperliquid.settings import HyperliquidSettings
from monitor.venues.hyperliquid.stream_user import UserStream
from monitor.venues.hyperliquid.venue import HyperliquidVenue

ADDRESS = "0x00000000000000000000000000000000000000a1"
FOLDER = Path(__file__).parent.parent / "venues" / "hyperliquid" / "frames"
FRAMES = [
    msgspec.json.encode(msgspec.json.decode(path.read_bytes())["frame"])
    for path in sorted(FOLDER.glob("*.json"))
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | st.sampled_from(
        ["", "nan", "-inf", "1e5", "1e400", "1e-400", "0x1", "null", "A", "B", "BTC", "xyz:AAPL",
         "1.5", "-0.0", "cross", "funding", "deposit", "\ud7ff", "😀", ADDRESS],
    )
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def paths(value: object, here: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place in a JSON document."""
    found = [here]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += paths(inner, (*here, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += paths(inner, (*here, index))
    return found


def replaced(value: object, path: tuple[object, ...], new: object) -> object:
    """The document with one place replaced."""
    if not path:
        return new
    first, *rest = path
    if isinstance(value, dict):
        return {**value, first: replaced(value[first], tuple(rest), new)}
    assert isinstance(value, list)
    assert isinstance(first, int)
    return [*value[:first], replaced(value[first], tuple(rest), new), *value[first + 1 :]]


def encodable(value: object) -> bytes:
    """JSON bytes, with what JSON cannot say left as null."""
    return msgspec.json.encode(value, enc_hook=lambda _: None)


def must_encode(events: tuple[Event, ...]) -> None:
    """Whatever came out can be journalled."""
    msgspec.json.encode(events)


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Random bytes, on every entry point."""
    for decode in (decode_frame, decode_recording):
        try:
            must_encode(decode(data))
        except DecodeError:
            continue


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_frames_with_one_place_changed(data: st.DataObject) -> None:
    """A valid frame in which anything at all stands in one place."""
    document = msgspec.json.decode(data.draw(st.sampled_from(FRAMES)))
    path = data.draw(st.sampled_from(paths(document)))
    new = data.draw(VALUES)
    if isinstance(new, int) and not isinstance(new, bool):
        new = max(min(new, 2**63), -(2**63))
    frame = encodable(replaced(document, path, new))
    try:
        must_encode(decode_frame(frame, 1_790_000_000 * SECOND_NS, user=ADDRESS))
    except DecodeError:
        return


@QUICK
@given(st.sampled_from(FRAMES), st.data())
def test_frames_cut_or_damaged(frame: bytes, data: st.DataObject) -> None:
    """A valid frame, cut short or with one byte changed."""
    at = data.draw(st.integers(0, len(frame) - 1))
    byte = data.draw(st.integers(0, 255))
    for damaged in (frame[:at], frame[:at] + bytes([byte]) + frame[at + 1 :]):
        try:
            must_encode(decode_frame(damaged, user=ADDRESS))
        except DecodeError:
            continue


@QUICK
@given(st.sampled_from(sorted(ENDPOINTS)), VALUES)
def test_bodies_of_any_shape(endpoint: str, value: object) -> None:
    """Any JSON as the answer of any endpoint, bare and in a recording's wrapper."""
    if isinstance(value, int) and abs(value) >= 2**63:
        value = 1
    body = encodable(_bounded(value))
    wrapped = b'{"request":{"type":"%s","user":"%s"},"status":200,"response":%s}' % (
        endpoint.encode(),
        ADDRESS.encode(),
        body,
    )
    with suppress(DecodeError):
        must_encode(decode_body(endpoint, {"user": ADDRESS}, body))
    for data in (body, wrapped):
        try:
            must_encode(decode_recording(data))
        except DecodeError:
            continue


@QUICK
@given(st.lists(st.sampled_from(FRAMES) | st.binary(max_size=60), max_size=8))
def test_streams_survive_any_sequence(frames: list[bytes]) -> None:
    """Both kinds of connection, fed anything in any order, raise nothing but ``DecodeError``."""
    settings_ = HyperliquidSettings.model_validate(
        {"accounts": [{"alias": "main", "address": ADDRESS}], "markets": "held"}
    )
    venue = HyperliquidVenue(settings_)
    streams = venue.streams()
    assert any(isinstance(stream, UserStream) for stream in streams)
    now = 1_790_000_000 * SECOND_NS
    for stream in streams:
        stream.connected(now)
        for step, frame in enumerate(frames):
            try:
                must_encode(stream.received(frame, now + step).events)
            except DecodeError:
                continue
        must_encode(stream.tick(now + SECOND_NS).events)
        must_encode(stream.disconnected("over", now + 2 * SECOND_NS).events)


def _bounded(value: object) -> object:
    """Integers that JSON encoders write."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return max(min(value, 2**63), -(2**63))
    if isinstance(value, list):
        return [_bounded(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _bounded(inner) for key, inner in value.items()}
    return value
