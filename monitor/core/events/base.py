"""What every event is: immutable, and named in the journal. *Pure.*"""

from __future__ import annotations

import msgspec


class EventBase(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag=True, omit_defaults=True):
    """What all events share: nothing but being immutable and named in the journal."""


class VenueEventBase(EventBase, frozen=True, gc=False, kw_only=True):
    """What all events of a venue share: whose it is, what proves it fresh, the venue's clock."""

    venue: str
    channel: str
    venue_time_ns: int | None = None
