"""News flags of a daemon: set and cleared by people, read from a file, kept over a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec
import structlog

from monitor.app.news_file import read_news
from monitor.core.errors import ConfigError, StoreError
from monitor.core.events import NewsFlag, NewsFlagsDeclared
from monitor.core.operator import OperatorAnswer, OperatorRequest, Verb
from monitor.core.ports import Clock, EventSink
from monitor.core.rules.words import duration
from monitor.core.types import SECOND_NS, EngineNs, Subject
from monitor.store.database import Store

OPERATORS = "operators"
KEPT = "news.operators"  # in the store
PERIOD_S = 5.0  # how often the file is looked at
FLAGS_MAX = 200
# How an audit line is written: action, actor, scope, reason, details.
Note = Callable[[str, str, Subject, str, tuple[tuple[str, str], ...]], None]


class NewsDesk:
    """Sets, clears and lists flags; ``restore`` before the first venue is heard.

    Args:
        path: The desk's file of scheduled news, or None.
        events: Where the lists go.
        store, clock: The daemon's.
        note: Writes one audit line.
    """

    def __init__(
        self, path: Path | None, *, events: EventSink, store: Store, clock: Clock, note: Note
    ) -> None:
        self._path = path
        self._events = events
        self._store = store
        self._clock = clock
        self._note = note
        self._set: tuple[NewsFlag, ...] = ()
        self._read: tuple[NewsFlag, ...] = ()
        self._stamp = -1
        self._log = structlog.get_logger("news")

    async def restore(self) -> None:
        """What people had set, as far as it has not fallen, and what the file says."""
        try:
            packed = await self._store.value(KEPT)
            kept = msgspec.msgpack.decode(packed or b"\x90", type=tuple[NewsFlag, ...])
        except (StoreError, msgspec.MsgspecError) as error:
            self._log.error("news_flags_not_restored", reason=str(error))
            kept = ()
        self._declare(_standing(kept, self._clock.now()))
        self.look()

    async def run(self, request: OperatorRequest, *, principal: str) -> OperatorAnswer:
        """Carry out one of the three verbs about flags."""
        now = self._clock.now()
        if request.verb is Verb.FLAGS:
            return OperatorAnswer(done=True, text=self.text(now))
        others = tuple(one for one in _standing(self._set, now) if one.name != request.flag)
        if request.verb is Verb.FLAG_SET:
            flag = _flag(request, principal, now)
            if len(others) >= FLAGS_MAX:
                return OperatorAnswer(done=False, text=f"There are {FLAGS_MAX} flags already.")
            said, scope = f"{_line(flag, now)}", Subject(flag.scope)
            await self._change((*others, flag), "flag_set", principal, scope, request)
            return await self._kept(f"Set: {said}. It falls by itself.")
        gone = next((one for one in self._set if one.name == request.flag), None)
        if gone is None or gone.expires_at_ns <= now:
            what = "is not set by a person" if self._in_file(request.flag) else "is not set"
            return OperatorAnswer(done=False, text=f"{request.flag} {what}.\n{self.text(now)}")
        await self._change(others, "flag_cleared", principal, Subject(gone.scope), request)
        return await self._kept(f"Cleared: {request.flag}.")

    def text(self, now: EngineNs) -> str:
        """The flags that stand, one a line, the next to fall first."""
        flags = sorted(_standing((*self._set, *self._read), now), key=lambda one: one.expires_at_ns)
        return "\n".join(_line(one, now) for one in flags) or "No news flag is set."

    def look(self) -> None:
        """Read the file where it changed; a wrong edit keeps the last good list."""
        if self._path is None:
            return
        stamp = self._path.stat().st_mtime_ns if self._path.exists() else 0
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            declared = read_news(self._path)
        except ConfigError as error:
            self._log.error("news_flags_refused", problems=[str(one) for one in error.problems])
            return
        self._read = declared.flags
        self._events.submit((declared,))
        self._log.info("news_flags_read", flags=len(declared.flags))

    async def watch(self) -> NoReturn:
        """Look at the file for ever."""
        while True:
            await asyncio.sleep(PERIOD_S)
            self.look()

    def _in_file(self, name: str) -> bool:
        return any(one.name == name for one in self._read)

    async def _change(
        self,
        flags: tuple[NewsFlag, ...],
        action: str,
        principal: str,
        scope: Subject,
        request: OperatorRequest,
    ) -> None:
        self._declare(flags)
        details = (("flag", request.flag), ("lasts_s", f"{request.lasts_s or 0:g}"))
        self._note(action, f"person:{principal}", scope, request.reason, details)

    async def _kept(self, text: str) -> OperatorAnswer:
        try:
            await self._store.put_value(KEPT, msgspec.msgpack.encode(self._set))
        except StoreError as error:
            return OperatorAnswer(
                done=True, text=f"{text}\nA restart will not know of it: {error}", kept=False
            )
        return OperatorAnswer(done=True, text=text)

    def _declare(self, flags: tuple[NewsFlag, ...]) -> None:
        self._set = flags
        self._events.submit((NewsFlagsDeclared(source=OPERATORS, flags=flags),))


def _standing(flags: Sequence[NewsFlag], now: EngineNs) -> tuple[NewsFlag, ...]:
    return tuple(one for one in flags if one.expires_at_ns > now)


def _flag(request: OperatorRequest, principal: str, now: EngineNs) -> NewsFlag:
    begins_ns = now + round(request.begins_in_s * SECOND_NS)
    return NewsFlag(
        name=request.flag,
        scope=request.scope,
        begins_at_ns=begins_ns,
        expires_at_ns=begins_ns + round((request.lasts_s or 0.0) * SECOND_NS),
        reason=request.reason,
        set_by=principal,
    )


def _line(flag: NewsFlag, now: EngineNs) -> str:
    """``us-cpi of portfolio, up for 90 min more (US CPI), by ana``."""
    left = duration((flag.expires_at_ns - now) / SECOND_NS)
    begins = flag.begins_at_ns - now
    when = f"up for {left} more"
    if begins > 0:
        when = f"from in {duration(begins / SECOND_NS)} until in {left}"
    reason = f" ({flag.reason})" if flag.reason else ""
    return f"{flag.name} of {flag.scope}, {when}{reason}, by {flag.set_by}"
