"""Small stand-ins for the neighbours of the runtime, checked by the type checker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from monitor.core.errors import AuthError, DecodeError, SequenceGap, TransientFeedError
from monitor.core.events import ChannelProgressed, Event
from monitor.core.ports import NOTHING, Output, Refresh
from monitor.core.types import EngineNs

E = TypeVar("E")
VENUE = "fake"
STREAM = "fake/market-1"


class RecordingSink:
    """An ``EventSink`` that keeps what it was given."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.on_submit: Callable[[], object] | None = None

    def submit(self, events: tuple[Event, ...]) -> None:
        """Keep them."""
        self.events.extend(events)
        if self.on_submit is not None:
            self.on_submit()

    def of(self, kind: type[E]) -> list[E]:
        """Events of one type, in order."""
        return [event for event in self.events if isinstance(event, kind)]


class WordProtocol:
    """A venue whose frames are single words; each word is one behaviour."""

    def __init__(self, url: str, *, silence_s: float = 30.0) -> None:
        self.venue = VENUE
        self.name = STREAM
        self.url = url
        self.silence_s = silence_s
        self.calls: list[str] = []
        self.reasons: list[str] = []

    def connected(self, now: EngineNs) -> Output:
        """Subscribe."""
        self.calls.append("connected")
        return Output(send=(b"subscribe",))

    def received(self, frame: bytes, now: EngineNs) -> Output:
        """Do what the word says."""
        word = frame.decode()
        self.calls.append(word)
        if word == "bad":
            raise DecodeError("the word is bad")
        if word == "bug":
            raise KeyError("missing")
        if word == "quiet":
            return NOTHING
        return {
            "bad-output": Output(fault=DecodeError("half of it is bad"), events=(progress(word),)),
            "gap": Output(fault=SequenceGap("Messages 4 to 6 are missing.")),
            "auth": Output(fault=AuthError("The address is not known.")),
            "slow": Output(fault=TransientFeedError("Too fast.", retry_after_s=40.0)),
            "ask": Output(send=(b"answer",)),
            "refresh": Output(refresh=(Refresh("fake/account/main", 2.0),)),
        }.get(word, Output(events=(progress(word),)))

    def heartbeat(self, now: EngineNs) -> Output:
        """A control frame."""
        self.calls.append("heartbeat")
        return Output(events=(progress("heartbeat"),))

    def tick(self, now: EngineNs) -> Output:
        """A second passed."""
        self.calls.append("tick")
        return NOTHING

    def disconnected(self, reason: str, now: EngineNs) -> Output:
        """The socket is gone."""
        self.calls.append("disconnected")
        self.reasons.append(reason)
        return Output(events=(progress("disconnected"),))


def progress(word: str) -> ChannelProgressed:
    """A fact that names what caused it."""
    return ChannelProgressed(venue=VENUE, channel=f"fake/words/{word}")
