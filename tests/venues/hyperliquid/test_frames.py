"""Frames written from the documented formats, each with the exact events it must become."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from monitor.core.errors import DecodeError
from monitor.venues.hyperliquid.decode import decode_frame
from tests.venues.hyperliquid.helpers import ADDRESS, context, frame

FRAMES = sorted((Path(__file__).parent / "frames").glob("*.json"))


class Written(msgspec.Struct):
    """A frame and its events."""

    frame: msgspec.Raw
    events: list[object]


@pytest.mark.parametrize("path", FRAMES, ids=lambda path: path.stem)
def test_frame_becomes_its_events(path: Path) -> None:
    """Exact events, byte for byte as the journal would have them."""
    written = msgspec.json.decode(path.read_bytes(), type=Written)
    compact = msgspec.json.encode(msgspec.json.decode(written.frame))
    events = decode_frame(compact, user=ADDRESS)
    assert msgspec.json.decode(msgspec.json.encode(events)) == written.events


def test_every_channel_has_a_frame() -> None:
    """Nothing that can be subscribed goes without a written frame."""
    channels = {msgspec.json.decode(path.read_bytes())["frame"]["channel"] for path in FRAMES}
    assert {
        "activeAssetCtx",
        "bbo",
        "l2Book",
        "allDexsAssetCtxs",
        "trades",
        "allMids",
        "candle",
        "allDexsClearinghouseState",
        "clearinghouseState",
        "openOrders",
        "orderUpdates",
        "spotState",
        "user",
        "userFills",
        "userFundings",
        "userNonFundingLedgerUpdates",
    } <= channels


def bbo(**other: object) -> bytes:
    """A best-prices frame with something changed."""
    level = {"px": "1.0", "sz": "1.0", "n": 1}
    return frame("bbo", {"coin": "BTC", "time": 1, "bbo": [{**level, **other}, level]})


ORDER = {"coin": "BTC", "side": "B", "limitPx": "1", "sz": "1", "oid": 1, "timestamp": 1}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(bbo(px=""), 'bbo[0].px` (found "")', id="empty string for a number"),
        pytest.param(bbo(px="nan"), "bbo[0].px", id="not a number"),
        pytest.param(bbo(px="inf"), "bbo[0].px", id="infinite"),
        pytest.param(bbo(px="1e400"), "bbo[0].px", id="out of range"),
        pytest.param(bbo(px="1,5"), '(found "1,5")', id="comma"),
        pytest.param(bbo(px=None), "bbo[0].px", id="null price"),
        pytest.param(frame("bbo", {"coin": "BTC", "time": 1, "bbo": [None]}), "bbo", id="one side"),
        pytest.param(
            frame("bbo", {"coin": "", "time": 1, "bbo": [None, None]}), "coin", id="no coin"
        ),
        pytest.param(
            frame("bbo", {"coin": "BTC", "time": 10**19, "bbo": [None, None]}),
            "time",
            id="time out of range",
        ),
        pytest.param(
            frame("activeAssetCtx", {"coin": "BTC", "ctx": context(markPx=None)}),
            "ctx.markPx",
            id="null mark",
        ),
        pytest.param(
            frame("orderUpdates", [{"order": {**ORDER, "side": "X"}, "status": "open"}]),
            "order.side",
            id="unknown side",
        ),
        pytest.param(
            frame("orderUpdates", [{"order": {**ORDER, "sz": "NaN"}, "status": "open"}]),
            "sz",
            id="money that is no number",
        ),
        pytest.param(
            frame("orderUpdates", [{"order": {**ORDER, "sz": "1e999999"}, "status": "open"}]),
            "sz",
            id="money beyond reason",
        ),
        pytest.param(
            frame("openOrders", {"user": "0x" + "cd" * 20, "dex": 5, "orders": []}),
            "dex",
            id="a number where a name belongs",
        ),
        pytest.param(b'{"channel":"bbo"', "frame", id="truncated"),
        pytest.param(b"\xff\xfe", "frame", id="not even text"),
        pytest.param(b'{"channel":"bbo","data":' + b"[" * 200_000, "frame", id="giant and nested"),
        pytest.param(b'{"channel":"nope","data":{}}', "'nope'", id="unknown channel"),
        pytest.param(b'{"channel":"candle","data":{"t":1,"s":"B","i":"5y","o":1,"c":1,"h":1,"l":1,'
                     b'"v":1}}', "'5y'", id="unknown interval"),
    ],
)  # fmt: skip
def test_unreadable_frames_name_the_field(data: bytes, says: str) -> None:
    """A frame that is not understood is refused with the place, and a trimmed copy is kept."""
    with pytest.raises(DecodeError) as caught:
        decode_frame(data, user=ADDRESS)
    assert says in str(caught.value)
    assert caught.value.sample == data[:512]


POSITION = {
    "coin": "BTC",
    "szi": "1",
    "leverage": {"type": "cross", "value": 1},
    "positionValue": "10",
}
STATE = {"assetPositions": [{"type": "oneWay", "position": POSITION}]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"leverage": {"type": "portfolio", "value": 1}}, "leverage.type", id="mode"),
        pytest.param({"szi": ""}, "szi", id="empty size"),
        pytest.param({"liquidationPx": "inf"}, "liquidationPx", id="infinite liquidation price"),
    ],
)
def test_enums_and_amounts_that_drive_risk_are_strict(
    change: dict[str, object],
    says: str,
) -> None:
    """An unknown margin mode is never taken for a known one."""
    entry = {"type": "oneWay", "position": {**POSITION, **change}}
    data = {"user": ADDRESS, "dex": "", "clearinghouseState": {"assetPositions": [entry]}}
    with pytest.raises(DecodeError, match=says):
        decode_frame(frame("clearinghouseState", data))


def test_a_netting_mode_other_than_one_way_is_refused() -> None:
    """In another mode a size would mean something else."""
    entry = {"type": "hedge", "position": POSITION}
    data = {"user": ADDRESS, "dex": "", "clearinghouseState": {"assetPositions": [entry]}}
    with pytest.raises(DecodeError, match=r"assetPositions\[0\].type"):
        decode_frame(frame("clearinghouseState", data))


def test_unknown_keys_are_skipped() -> None:
    """The venue adds fields without notice."""
    level = {"px": "1.0", "sz": "1.0", "n": 1, "new": {"deep": [1]}}
    data = {"coin": "BTC", "time": 1, "bbo": [level, None], "extra": None}
    (event,) = decode_frame(frame("bbo", data))
    assert msgspec.structs.asdict(event)["bid_price"] == 1.0
