"""Who may read the trading state, who may command, and what is left at a planned stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import structlog

from monitor.app.degraded import Degraded
from monitor.app.desk import Desk
from monitor.app.hands import lease_key, operator_keys, webhook_keys
from monitor.app.permitted import Permitted, rights_of
from monitor.app.trading_push import TradingPush
from monitor.config import Config
from monitor.core.errors import ConfigError, StoreError
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.trading import Trading
from monitor.core.ports import Clock
from monitor.core.types import EngineNs
from monitor.notify.target import guarded_session
from monitor.notify.webhook import WebhookSettings
from monitor.server.commands import SignedCommands
from monitor.server.control import ControlServer
from monitor.server.http import COMMANDS_PATH, Server
from monitor.server.trading import TradingFeed, trading_document, with_lease
from monitor.store.database import Store

LEASE_SHOWN_S = 3.0  # those who ask every two seconds shall see it
LEASE_LOOK_S = 0.25


class Doors:
    """The trading state, signed commands and the control socket of one daemon.

    Raises:
        ConfigError: If the secret of an operator or of the lease is missing or malformed.
    """

    def __init__(
        self,
        config: Config,
        *,
        base: Path,
        clock: Clock,
        to_wall_ns: Callable[[EngineNs], int],
        degraded: Degraded,
    ) -> None:
        self._config = config
        self._clock = clock
        self._to_wall_ns = to_wall_ns
        self._degraded = degraded
        self._operators: dict[str, tuple[bytes, ...]] = {}
        for one in config.operators:
            believed = degraded.attempt(
                f"operator-{one.name}",
                partial(operator_keys, [one], base=base),
                meanwhile=f"{one.name} cannot command by signed HTTP; `riskd` on this machine "
                "works. Mend the secret and start riskd again.",
            )
            self._operators |= believed or {}
        self._lease_key = degraded.attempt(
            "lease",
            partial(lease_key, config.kill, base=base),
            meanwhile="A planned restart leaves no lease: the desk falls back to REDUCE_ONLY "
            "meanwhile. Mend kill.lease_secret_* and start riskd again.",
        )
        self._push_keys = [
            (webhook, keys)
            for webhook in config.trading_state.webhooks
            if (
                keys := degraded.attempt(
                    f"trading-state-{webhook.name}",
                    partial(webhook_keys, webhook, base=base, what="trading state"),
                    meanwhile=f"{webhook.name} is not told the trading state and falls back to "
                    "REDUCE_ONLY. Mend the secret and start riskd again.",
                )
            )
            is not None
        ]
        self._log = structlog.get_logger("control")
        self.trading = TradingFeed(self.document)
        self._sessions: list[aiohttp.ClientSession] = []
        self.pushes: tuple[TradingPush, ...] = ()
        self.commands: SignedCommands | None = None

    async def open(self, desk: Desk, *, server: Server, store: Store, data: Path) -> None:
        """Let people in, who ask ``desk``; before the server starts.

        Raises:
            ConfigError: If the control socket cannot be made.
        """
        self._kill = desk.kill
        self._store = store
        server.add("GET", "/v1/trading-state", self.trading.once)
        server.add("GET", "/v1/trading-state/stream", self.trading.stream)
        self.commands = SignedCommands(
            self._operators,
            Permitted(desk, rights_of(self._config.operators), desk.kill.driver.note),
            remember=self._remember,
        )
        server.add("POST", COMMANDS_PATH, self.commands.handle)
        self.pushes = tuple(self._push(webhook, keys) for webhook, keys in self._push_keys)
        self._control = ControlServer(data, desk)
        try:
            await self._control.start()
        except ConfigError as error:
            self._degraded.forgive(
                "control-socket",
                error,
                meanwhile="`riskd kill` and `riskd rearm` do not reach it on this machine; signed "
                "HTTP works. It tries again at least every minute.",
                again=self._control.start,
            )

    def _push(self, webhook: WebhookSettings, keys: Sequence[bytes]) -> TradingPush:
        session = guarded_session(webhook.target_policy())
        self._sessions.append(session)
        return TradingPush(
            webhook,
            session,
            keys,
            document=self.document,
            now_wall_ns=lambda: self._to_wall_ns(self._clock.now()),
        )

    async def shut(self) -> None:
        """Take no command any more, before the kill switch stops: `riskd kill` then leaves the
        KILL file, which the next riskd enforces."""
        await self._control.close()
        if self.commands is not None:
            self.commands.closed = True

    async def close(self) -> None:
        """Give back what was opened; safe to call twice."""
        await self._control.close()
        for session in self._sessions:
            await session.close()

    def changed(self) -> None:
        """The trading state may read differently now: tell everybody who wants to know."""
        self.trading.changed()
        for push in self.pushes:
            push.changed()

    def document(self) -> dict[str, Any]:
        """What the desk's own systems read."""
        return trading_document(
            self._kill.trading_state(), desk=self._config.desk, to_wall_ns=self._to_wall_ns
        )

    async def leave(self) -> None:
        """A planned stop of an unlatched book lets the desk go on for a while; anything else does
        not: the state that was last told runs out after its 15 s. A KILL file that comes while the
        lease is shown takes it back."""
        document = self.document()
        clear = document["state"] == Trading.ACTIVE and not document["scopes"]
        why = self._kill.unsettled
        if self._lease_key is None or not clear or why:
            self._log.info("no_lease", state=document["state"], unsettled=why)
            await self._last_words(document)
            return
        await self._last_words(
            with_lease(
                document,
                key=self._lease_key,
                lease_s=self._config.kill.restart_lease_s,
                now_wall_ns=self._to_wall_ns(self._clock.now()),
            )
        )
        shown_s = 0.0
        while shown_s < LEASE_SHOWN_S:
            await asyncio.sleep(LEASE_LOOK_S)
            shown_s += LEASE_LOOK_S
            if why := self._kill.unsettled:
                self._log.warning("lease_taken_back", reason=why)
                document = self.document()
                stopped = {"state": Trading.REDUCE_ONLY.value, "level": int(Level.REDUCE_ONLY)}
                await self._last_words({**document, **stopped, "reasons": [why]})

    async def _last_words(self, document: dict[str, Any]) -> None:
        self.trading.leave(document)
        await asyncio.gather(*(push.send(document) for push in self.pushes))

    async def _remember(self, message_id: str, until_s: int) -> bool:
        """Whether a signed message is new. A store that fails cannot keep a kill from happening:
        the process itself remembers meanwhile."""
        try:
            return await self._store.remember_once(
                message_id, until_s=until_s, now_s=int(time.time())
            )
        except StoreError as error:
            self._log.error("command_id_not_kept", reason=str(error))
            return True
