"""Reviews of risk buckets: put on record by people, kept over a restart, told to the core."""

from __future__ import annotations

import msgspec
import structlog

from monitor.app.news import Note
from monitor.core.errors import StoreError
from monitor.core.events import BucketReview, BucketsReviewed
from monitor.core.operator import OperatorAnswer, OperatorRequest
from monitor.core.ports import Clock, EventSink
from monitor.core.rules.words import duration
from monitor.core.types import SECOND_NS, EngineNs, bucket_subject
from monitor.core.yamltext import nearest
from monitor.store.database import Store

KEPT = "reviews.buckets"  # in the store


class ReviewDesk:
    """Records reviews and lists them; ``restore`` before the first venue is heard.

    Args:
        buckets: Names of the buckets that are to be reviewed.
        events: Where the list goes.
        store, clock: The daemon's.
        note: Writes one audit line.
    """

    def __init__(
        self,
        buckets: tuple[str, ...],
        *,
        events: EventSink,
        store: Store,
        clock: Clock,
        note: Note,
    ) -> None:
        self._buckets = buckets
        self._events = events
        self._store = store
        self._clock = clock
        self._note = note
        self._known: dict[str, BucketReview] = {}
        self._log = structlog.get_logger("reviews")

    async def restore(self) -> None:
        """What is on record. A bucket that is not begins to be watched now: whether it was ever
        reviewed before is nobody's word."""
        if not self._buckets:
            return
        try:
            packed = await self._store.value(KEPT)
            kept = msgspec.msgpack.decode(packed or b"\x90", type=tuple[BucketReview, ...])
        except (StoreError, msgspec.MsgspecError) as error:
            self._log.error("reviews_not_restored", reason=str(error))
            kept = ()
        self._known = {one.bucket: one for one in kept}
        new = [name for name in self._buckets if name not in self._known]
        now = self._clock.now()
        for name in new:
            self._known[name] = BucketReview(bucket=name, at_ns=now)
        if new and (failed := await self._keep()):
            self._log.error("reviews_not_kept", reason=failed)
        self._tell()

    async def run(self, request: OperatorRequest, *, principal: str) -> OperatorAnswer:
        """Record that a bucket was reviewed; without a bucket only show."""
        now = self._clock.now()
        name = request.bucket
        if not name:
            return OperatorAnswer(done=True, text=self.text(now))
        if name not in self._buckets:
            return OperatorAnswer(done=False, text=self._unknown(name))
        review = BucketReview(bucket=name, at_ns=now, by=principal, reason=request.reason)
        self._known[name] = review
        self._tell()
        self._note(
            "bucket_reviewed", f"person:{principal}", bucket_subject(name), request.reason, ()
        )
        text = f"On record: {name} was reviewed by {principal} now."
        if failed := await self._keep():
            return OperatorAnswer(
                done=True, text=f"{text}\nA restart will not know of it: {failed}", kept=False
            )
        return OperatorAnswer(done=True, text=text)

    def text(self, now: EngineNs) -> str:
        """Each bucket with its last review, one a line."""
        lines = []
        for name in self._buckets:
            review = self._known.get(name)
            if review is None:
                lines.append(f"{name}: nothing is on record")
                continue
            ago = duration(max(now - review.at_ns, 0) / SECOND_NS)
            who = f"reviewed {ago} ago by {review.by}"
            why = f" ({review.reason})" if review.reason else ""
            lines.append(
                f"{name}: {who}{why}"
                if review.by
                else f"{name}: never reviewed in the {ago} that it is watched"
            )
        return "\n".join(lines) or "No bucket is to be reviewed (structure.buckets, review_days)."

    def _unknown(self, name: str) -> str:
        near = nearest(name, self._buckets)
        hint = f" Did you mean {near}?" if near else ""
        return (
            f"{name} is no bucket with a rhythm of reviews.{hint}\n{self.text(self._clock.now())}"
        )

    async def _keep(self) -> str:
        """Why it could not be kept; empty where it was."""
        try:
            await self._store.put_value(KEPT, msgspec.msgpack.encode(tuple(self._known.values())))
        except StoreError as error:
            return str(error)
        return ""

    def _tell(self) -> None:
        known = (self._known[name] for name in self._buckets if name in self._known)
        self._events.submit((BucketsReviewed(reviews=tuple(known)),))
