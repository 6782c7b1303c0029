"""The real path as a process of its own: store, pager, sender, one webhook or Alertmanager.

``python pager_process.py DIRECTORY CHANNEL URL MODE [KILL_AT]``: ``fire`` decides one alert,
``restore`` takes over from a process before; both end once all is told. At KILL_AT the process
kills itself with SIGKILL: ``phase.begun``, ``phase.written``, ``phase.committed`` or ``marked``.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import aiohttp
from pydantic import SecretStr

from monitor.core.ports import DeliveryMark, OutboxEntry, PendingDelivery, Phase
from monitor.core.types import AlertState
from monitor.notify.alertmanager import AlertmanagerChannel, AlertmanagerSettings
from monitor.notify.alerts import DispatchPolicy, Route
from monitor.notify.channel import Channel
from monitor.notify.dispatch import Dispatcher
from monitor.notify.pager import Pager
from monitor.notify.queue import QueuePolicy
from monitor.notify.secret import SecretSource
from monitor.notify.sender import LanePlan, Sender
from monitor.notify.target import guarded_session
from monitor.notify.webhook import WebhookChannel, WebhookSettings
from monitor.runtime.clock import SystemClock
from monitor.store.database import Store
from tests.notify.fakes import Observer, decision, transition

SECRET = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"  # noqa: S105 - made up
SUBJECT = "account:hyperliquid/main"


def die() -> None:
    """As if the machine had taken the process away."""
    os.kill(os.getpid(), signal.SIGKILL)


class DyingOutbox:
    """The store's outbox; at ``marked`` the process dies instead of noting the delivery."""

    def __init__(self, store: Store, kill_at: str) -> None:
        self._store = store
        self._kill_at = kill_at

    async def pending(self) -> tuple[PendingDelivery, ...]:
        return await self._store.pending()

    async def mark(
        self,
        marks: tuple[DeliveryMark, ...],
        entries: tuple[OutboxEntry, ...] = (),
        owed: tuple[tuple[str, str], ...] = (),
    ) -> None:
        if self._kill_at == "marked":
            die()
        await self._store.mark(marks, entries, owed)


def make_channel(kind: str, url: str, clock: SystemClock) -> tuple[Channel, aiohttp.ClientSession]:
    """The one channel of this process and its client."""
    if kind == "alertmanager":
        session = aiohttp.ClientSession()
        return AlertmanagerChannel(
            AlertmanagerSettings(urls=[url]), session, now=clock.now, name=kind
        ), session
    settings = WebhookSettings(
        name=kind, url=SecretStr(url), secret=SecretSource(env="HOOK"), allow_loopback=True
    )
    session = guarded_session(settings.target_policy())
    secrets = [SecretStr(SECRET)]
    return WebhookChannel(settings, session, secrets=secrets, now=clock.now), session


async def main(directory: Path, kind: str, url: str, mode: str, kill_at: str) -> None:
    def checkpoint(name: str) -> None:
        if name == kill_at:
            die()

    clock = SystemClock()
    store = Store(directory, checkpoint=checkpoint, phase_deadline_s=30.0)
    channel, session = make_channel(kind, url, clock)
    policy = QueuePolicy(channel=kind, deployment="desk", holds_state=kind == "alertmanager")
    sender = Sender(
        [LanePlan(channel=channel, policy=policy)],
        DyingOutbox(store, kill_at),
        clock=clock,
        jitter=random.random,
        observer=Observer(),
    )
    route = Route(channel=kind, holds_state=kind == "alertmanager")
    dispatcher = Dispatcher(DispatchPolicy(deployment="desk", routes=(route,)), now=clock.now())
    pager = Pager(dispatcher, sender, store, clock=clock, snapshot=lambda: Phase(at_ns=clock.now()))
    if mode == "restore":
        firing = {("leverage", SUBJECT)}
        await pager.restore(await store.alerts(), firing=firing)
    else:
        # Fixed times: a process that decides the same again must come to the same ids.
        epoch_ns = int(os.environ["EPOCH_NS"])
        step = transition(AlertState.FIRING, at_ns=epoch_ns, epoch_ns=epoch_ns)
        pager.decided(decision(step))
    async with session, asyncio.TaskGroup() as group:
        tasks = [group.create_task(sender.run()), group.create_task(pager.run())]
        left = await pager.shut_down(20.0)
        for task in tasks:
            task.cancel()
    store.close()
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    _, where, kind, url, mode, *kill_at = sys.argv
    asyncio.run(main(Path(where), kind, url, mode, kill_at[0] if kill_at else ""))
