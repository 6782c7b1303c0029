"""What comes from people, files and the daemon itself, and from no venue. *Pure.*"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from monitor.core.events.base import EventBase


class OffBookLeg(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Exposure the desk declares that no venue reports (a spot hedge, a CEX leg).

    ``size`` is signed base units of ``asset``; not counted after ``expires_at_ns``.
    """

    asset: str
    size: Decimal
    expires_at_ns: int
    note: str = ""
    hedge_set: str = ""


class OffBookLegsDeclared(EventBase, frozen=True, gc=False, kw_only=True):
    """The desk's whole list of off-book legs; replaces the earlier list."""

    source: str
    legs: tuple[OffBookLeg, ...]


class NewsFlag(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """News that is due or out, until it expires. ``scope`` is the portfolio, an asset or a venue;
    ``set_by`` who said so."""

    name: str
    scope: str
    begins_at_ns: int
    expires_at_ns: int
    reason: str = ""
    set_by: str = ""


class NewsFlagsDeclared(EventBase, frozen=True, gc=False, kw_only=True):
    """All news flags of one source (operators, or a file); replaces its earlier list."""

    source: str
    flags: tuple[NewsFlag, ...]


class BucketReview(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A risk bucket was reviewed; ``by`` is empty where it only began to be watched then."""

    bucket: str
    at_ns: int
    by: str = ""
    reason: str = ""


class BucketsReviewed(EventBase, frozen=True, gc=False, kw_only=True):
    """The newest review of every risk bucket that has one; replaces the earlier list."""

    reviews: tuple[BucketReview, ...]


class RulebookLoaded(EventBase, frozen=True, gc=False, kw_only=True):
    """A rulebook's texts took effect: (file name, text) in order, later files override by id."""

    files: tuple[tuple[str, str], ...]
    loaded_by: str


class OperatorCommanded(EventBase, frozen=True, gc=False, kw_only=True):
    """A person told riskd something; ``verb`` from a closed set, ``arguments`` for the record."""

    principal: str
    verb: str
    arguments: tuple[tuple[str, str], ...] = ()
    reason: str = ""


class ComputationFinished(EventBase, frozen=True, gc=False, kw_only=True):
    """A heavy measure came back from off the loop, with the ``as_of`` of its inputs."""

    measure: str
    subject: str
    value: float | None
    as_of_ns: int
    error: str = ""


class Tick(EventBase, frozen=True, gc=False, kw_only=True):
    """Time passed to a deadline that ``evaluate`` asked for."""


ControlEvent = (
    OffBookLegsDeclared
    | NewsFlagsDeclared
    | BucketsReviewed
    | RulebookLoaded
    | OperatorCommanded
    | ComputationFinished
    | Tick
)
