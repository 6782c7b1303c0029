"""Who carries out what people ask: the kill switch its own verbs, others news and rulebooks; and
what answers why a rule says what it says.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from monitor.app.approval import HOST, Approval, kept_book
from monitor.app.inputs import KEPT_RULES
from monitor.app.news import NewsDesk
from monitor.app.reviews import ReviewDesk
from monitor.app.samples import Sampler
from monitor.core.errors import StoreError
from monitor.core.operator import OperatorAnswer, OperatorRequest, Verb
from monitor.core.types import Subject
from monitor.server import trade_check
from monitor.server.explain import PATH, Explainer

if TYPE_CHECKING:
    from monitor.app.lifecycle import Daemon

_NEWS = frozenset({Verb.FLAG_SET, Verb.FLAG_CLEAR})


class Desk:
    """Implements ``OperatorDesk`` for both doors; ``restore`` before the rulebook is loaded."""

    def __init__(self, daemon: Daemon) -> None:
        """Of a daemon whose kill switch is made."""
        config, self.kill = daemon.config, daemon.kill
        self._store = daemon.store
        self._rulebooks = daemon.rulebooks
        path = daemon.base / config.news_flags_file if config.news_flags_file else None
        self.news = NewsDesk(
            path, events=daemon, store=daemon.store, clock=daemon.clock, note=self._note
        )
        self.reviews = ReviewDesk(
            tuple(one.name for one in config.structure.buckets if one.review_days is not None),
            events=daemon,
            store=daemon.store,
            clock=daemon.clock,
            note=self._note,
        )
        self._rulebooks.approval = self.approval = Approval(
            config,
            engine=daemon.engine,
            clock=daemon.clock,
            load=partial(self._rulebooks.take, events=daemon, by="approved"),
            note=self._note,
            tell=self.kill.driver.tell,
        )
        self._sampler = Sampler(daemon)
        explainer = Explainer(daemon.engine, daemon.clock.now)
        daemon.server.add("GET", PATH, explainer.handle)
        checker = trade_check.TradeChecker(
            daemon.engine, daemon.clock.now, daemon.kill.machine.levels
        )
        daemon.server.add("GET", trade_check.PATH, checker.handle)

    def work(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs for as long as the daemon: the file of news is watched, samples are taken."""
        return [("news", self.news.watch()), ("samples", self._sampler.run())]

    async def restore(self) -> None:
        """What an earlier process kept: news flags, reviews, and which rules were in force."""
        await self.news.restore()
        await self.reviews.restore()
        try:
            self._rulebooks.kept = kept_book(await self._store.value(KEPT_RULES))
        except StoreError:
            self._rulebooks.kept = None

    async def run(
        self, request: OperatorRequest, *, principal: str, channel: str
    ) -> OperatorAnswer:
        """Hand a request to whom it is for."""
        if request.verb is Verb.FLAGS:
            return await self.news.run(request, principal=principal)
        if request.verb in _NEWS:
            answer = await self.news.run(request, principal=principal)
        elif request.verb is Verb.REVIEWED:
            answer = await self.reviews.run(request, principal=principal)
        elif request.verb is Verb.APPROVE_RULES:
            # Whoever may open the socket is one principal, as for a re-arm.
            who = HOST if channel == "cli" else principal
            answer = await self.approval.run(request, principal=who, channel=channel)
        else:
            return await self.kill.run(request, principal=principal, channel=channel)
        changed = answer.done and (request.verb is not Verb.REVIEWED or request.bucket)
        return await self.kill.on_record(answer) if changed else answer

    def _note(
        self,
        action: str,
        actor: str,
        scope: Subject,
        reason: str,
        details: tuple[tuple[str, str], ...],
    ) -> None:
        self.kill.driver.note(
            action=action, actor=actor, scope=scope, reason=reason, details=details
        )
