"""dYdX v4: no bytes make a decoder raise anything but DecodeError, or a stream but FeedError.

Seeds are our own frames in the documented formats; they are mutated as text and as JSON trees with
the values that break parsers: other types, NaN in quotes, exponents of a million, missing keys.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitor.core.errors import DecodeError, FeedError
from monitor.core.events import Event
from monitor.core.ports import Response
from monitor.venues.dydx.decode import ENDPOINTS, decode_body, decode_frame, decode_recording
from monitor.venues.dydx.settings import DydxAccount, DydxSettings
from monitor.venues.dydx.venue import DydxVenue

FRAMES = Path(__file__).parent.parent / "venues" / "dydx" / "frames"
SEEDS = [json.loads(path.read_text()) for path in sorted(FRAMES.glob("*.json"))]
FRAME_SEEDS = [case["frame"] for case in SEEDS if "frame" in case]
BODY_SEEDS = [(case["endpoint"], case["body"]) for case in SEEDS if "body" in case]
ADDRESS = "dydx14zzueazeh0hj67cghhf9jypslcf9sh2n5k6art"
NOW = 1_765_210_316_000_000_000

ODD_VALUES: list[Any] = [
    None, True, -1, 0, 2**63, 10**30, 1.5, "", "NaN", "sNaN", "-inf", "Infinity", "1e400",
    "1e999999999", "0e-999999999", "-0", "1_000", " 1", "\u0663", "LONG", "short", [], {}, [[]],
    [None], {"": None}, "2024-02-30T00:00:00.000Z", "9999-12-31T23:59:59.999999999Z",
    "0001-01-01T00:00:00Z", "x" * 200, ["1", "2", "3"], {"price": "1"}, "dydx1", "128001",
]  # fmt: skip


def paths(tree: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON tree."""
    yield prefix
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in items:
            yield from paths(value, (*prefix, key))


def replaced(tree: Any, path: tuple[Any, ...], value: Any, *, drop: bool) -> Any:
    """A copy with one place changed or gone."""
    if not path:
        return value
    tree = copy.deepcopy(tree)
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    if drop:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return tree


@st.composite
def mutated_tree(draw: st.DrawFn, seeds: list[Any]) -> Any:
    """A seed with up to three places changed."""
    tree = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(paths(tree))))
        tree = replaced(tree, path, draw(st.sampled_from(ODD_VALUES)), drop=draw(st.booleans()))
        if not isinstance(tree, dict | list):
            break
    return tree


@st.composite
def mutated_bytes(draw: st.DrawFn, seeds: list[Any]) -> bytes:
    """A seed's text with some bytes overwritten, cut or doubled."""
    data = bytearray(json.dumps(draw(st.sampled_from(seeds))).encode())
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(len(data) - 1, 0)))
        end = min(start + draw(st.integers(0, 12)), len(data))
        data[start:end] = draw(st.binary(max_size=12))
    return bytes(data)


def frames() -> st.SearchStrategy[bytes]:
    """Frames in all states of disrepair."""
    return st.one_of(
        mutated_tree(FRAME_SEEDS).map(lambda tree: json.dumps(tree).encode()),
        mutated_bytes(FRAME_SEEDS),
        st.binary(max_size=200),
    )


def assert_sound(events: tuple[Event, ...]) -> None:
    """What was decoded can be journalled, and no number in it is infinite or not a number."""
    for event in events:
        json.loads(msgspec.json.encode(event))
        for value in numbers(msgspec.to_builtins(event)):
            assert math.isfinite(value)


def numbers(tree: Any) -> Iterator[float]:
    """Every float in it."""
    if isinstance(tree, float):
        yield tree
    elif isinstance(tree, dict | list | tuple):
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from numbers(inner)


def test_seeds_are_there() -> None:
    """The properties below run over something."""
    assert len(FRAME_SEEDS) >= 10
    assert len(BODY_SEEDS) >= 10


@settings(max_examples=600, deadline=None)
@given(frame=frames())
@example(frame=b'{"type":"error","message_id":1,"contents":' + b"[" * 50_000)
@example(frame=b"[" * 100_000)
def test_frames_decode_or_raise_decode_error(frame: bytes) -> None:
    """Whatever a socket says."""
    try:
        events = decode_frame(frame, NOW)
    except DecodeError as error:
        assert len(error.sample) <= 512  # noqa: PT017 - the other outcome is as good
    else:
        assert_sound(events)


@settings(max_examples=600, deadline=None)
@given(case=mutated_tree([list(seed) for seed in BODY_SEEDS]), now=st.integers(0, 2**62))
def test_bodies_decode_or_raise_decode_error(case: Any, now: int) -> None:
    """Whatever REST says, to whatever endpoint."""
    if not isinstance(case, list) or len(case) != 2 or not isinstance(case[0], str):
        return
    try:
        events = decode_body(case[0], json.dumps(case[1]).encode(), now)
    except DecodeError:
        return
    assert_sound(events)


@settings(max_examples=300, deadline=None)
@given(
    data=st.one_of(st.binary(max_size=100), mutated_bytes([seed[1] for seed in BODY_SEEDS])),
    endpoint=st.one_of(st.none(), st.sampled_from(sorted(ENDPOINTS)), st.text(max_size=8)),
)
def test_recordings_decode_or_raise_decode_error(data: bytes, endpoint: str | None) -> None:
    """Whatever file an operator points at."""
    try:
        assert_sound(decode_recording(data, endpoint, NOW))
    except DecodeError:
        return


def venue() -> DydxVenue:
    """A venue that knows the markets of its bootstrap."""
    made = DydxVenue(
        DydxSettings(
            markets=("BTC-USD",),
            accounts=(DydxAccount(alias="main", address=ADDRESS, parents=(0,)),),
            validator_urls=("http://127.0.0.1:1",),
        )
    )
    body = next(body for name, body in BODY_SEEDS if name == "perpetualMarkets")
    made.universe.truth(json.dumps(body).encode(), NOW)
    return made


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sequence=st.lists(frames(), min_size=1, max_size=12), gap_s=st.integers(0, 50))
def test_streams_survive_any_sequence_of_frames(sequence: list[bytes], gap_s: int) -> None:
    """State left behind by one broken frame never makes the next one raise something else."""
    for stream in venue().streams():
        now = NOW
        stream.connected(now)
        for frame in sequence:
            now += gap_s * 100_000_000
            with contextlib.suppress(FeedError):
                assert_sound(stream.received(frame, now).events)
            assert_sound(stream.tick(now).events)
        stream.disconnected("over", now)


@settings(max_examples=200, deadline=None)
@given(
    case=mutated_tree([list(seed) for seed in BODY_SEEDS]),
    status=st.sampled_from([200, 200, 200, 400, 403, 404, 429, 500, 302, 0]),
    header=st.sampled_from(["250", "-1", "1e9", "", "9" * 40, "x"]),
)
def test_polls_survive_any_answer(case: Any, status: int, header: str) -> None:
    """Every poll, every body, every status and header."""
    body = json.dumps(case[1] if isinstance(case, list) and len(case) == 2 else case).encode()
    headers = (
        ("retry-after", header),
        ("ratelimit-remaining", header),
        ("ratelimit-reset", header),
    )
    made = venue()
    for poll in (*made.bootstrap(), *made.polls()):
        poll.request(NOW)
        try:
            output = poll.received(Response(status=status, headers=headers, body=body), NOW)
        except FeedError:
            continue
        assert_sound(output.events)
        assert 0.0 <= output.pause_s <= 10.0
