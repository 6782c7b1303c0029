"""The union of all events: what ``apply`` takes, and the journal keeps. *Pure.*"""

from __future__ import annotations

from monitor.core.events.account import AccountEvent
from monitor.core.events.control import ControlEvent
from monitor.core.events.feed import FeedEvent
from monitor.core.events.market import MarketEvent
from monitor.core.events.venue import VenueEvent

Event = MarketEvent | VenueEvent | AccountEvent | FeedEvent | ControlEvent
