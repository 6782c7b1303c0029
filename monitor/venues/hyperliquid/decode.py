"""Entry points of decoding: one frame, one body, or one recorded file, without a connection.

They raise nothing but ``DecodeError`` whatever the bytes (a recorded refusal raises what it means).
Without configuration an account is called by its shortened address and counts as standard. *Pure.*
"""

from __future__ import annotations

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import ChannelOpened, Event, FrameRejected
from monitor.core.types import channel_id
from monitor.venues.hyperliquid.decoders import wire
from monitor.venues.hyperliquid.decoders.body import (
    ENDPOINTS,
    account_of,
    decode_body,
    unwrap_recording,
)
from monitor.venues.hyperliquid.decoders.explain import decoding
from monitor.venues.hyperliquid.decoders.market import MarketDecoder
from monitor.venues.hyperliquid.decoders.user import UserDecoder
from monitor.venues.hyperliquid.knowledge import Knowledge, shorten
from monitor.venues.hyperliquid.markets import Markets
from monitor.venues.hyperliquid.settings import VENUE, HyperliquidSettings
from monitor.venues.hyperliquid.subscriptions import CADENCE_S

__all__ = ["ENDPOINTS", "decode_body", "decode_frame", "decode_recording"]

_ENVELOPE = msgspec.json.Decoder(wire.Envelope)
SILENT_CHANNELS = frozenset(
    {"pong", "notification", "webData2", "webData3", "activeAssetData", "activeSpotAssetCtx"},
)


class _Named(msgspec.Struct):
    user: str = ""


def decode_frame(
    frame: bytes,
    now: int | None = None,
    *,
    markets: Markets | None = None,
    user: str = "",
) -> tuple[Event, ...]:
    """Events of one WebSocket frame from the server.

    ``markets`` names the contexts of ``allDexsAssetCtxs`` (else ``#12``, ``xyz:#3``); ``user`` is
    the address that frames without one (``user``, ``orderUpdates``) are about.
    """
    with decoding("frame", frame):
        envelope = _ENVELOPE.decode(frame)
        channel = envelope.channel
        if channel in SILENT_CHANNELS:
            return ()
        if channel == "subscriptionResponse":
            return _opened(msgspec.json.decode(envelope.data, type=wire.Acknowledgement))
        if channel == "error":
            return (error_event(msgspec.json.decode(envelope.data, type=str), frame),)
        handler = MarketDecoder(markets).handlers.get(channel)
        if handler is not None:
            return handler(envelope.data, now)
        named = user
        if bytes(envelope.data).lstrip()[:1] == b"{":
            named = msgspec.json.decode(envelope.data, type=_Named).user or user
        knowledge = Knowledge(HyperliquidSettings())
        if markets is not None:
            knowledge.markets = markets
        user_handler = UserDecoder(account_of(named), knowledge).handlers.get(channel)
        if user_handler is None:
            raise DecodeError(f"hyperliquid frame: channel is {channel[:40]!r}, which is unknown")
        return user_handler(envelope.data, now)


def error_event(text: str, frame: bytes) -> FrameRejected:
    """The server's complaint about something that was sent, as a counted event."""
    return FrameRejected(
        venue=VENUE,
        channel=channel_id(VENUE, "error"),
        feed="error",
        reason=f"the venue answered: {text[:200]}",
        sample=frame[:512],
    )


def _opened(acknowledgement: wire.Acknowledgement) -> tuple[Event, ...]:
    echo = acknowledgement.subscription
    feed = str(echo.get("type") or "")
    if not feed:
        raise DecodeError("hyperliquid subscriptionResponse: subscription.type is missing")
    if acknowledgement.method != "subscribe":
        return ()
    user = str(echo.get("user") or "")
    key = str(echo.get("coin") or "") or (shorten(user) if user else "")
    return (
        ChannelOpened(
            venue=VENUE,
            channel=channel_id(VENUE, feed, key),
            feed=feed,
            cadence_s=CADENCE_S.get(feed),
        ),
    )


def decode_recording(
    data: bytes,
    endpoint: str | None = None,
    *,
    markets: Markets | None = None,
) -> tuple[Event, ...]:
    """Events of a recorded file: frames, bodies, or the wrappers that recordings come in.

    Understands a bare frame; ``{request, status, response}`` or a list of such, the endpoint taken
    from the request's ``type``; a list of ``{dir, frame}``, of which the server's frames are read;
    and a bare body, whose endpoint is ``endpoint`` or told by keys that only one endpoint has.

    Raises:
        DecodeError: Naming the field and the value found, where a file cannot be read.
    """
    with decoding("recording", data):
        events: list[Event] = []
        for item in unwrap_recording(data, endpoint):
            if item.frame is not None:
                events.extend(decode_frame(item.frame, markets=markets))
            else:
                events.extend(
                    decode_body(item.endpoint, item.request, item.body, markets=markets),
                )
        return tuple(events)
