"""Who may read the trading state, who may command, and what is left at a planned stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from monitor.app.hands import lease_key, operator_keys
from monitor.app.kill import KillSwitch
from monitor.config import Config
from monitor.core.errors import StoreError
from monitor.core.killswitch.trading import Trading
from monitor.core.ports import Clock
from monitor.core.types import EngineNs
from monitor.server.commands import SignedCommands
from monitor.server.control import ControlServer
from monitor.server.http import COMMANDS_PATH, Server
from monitor.server.trading import TradingFeed, trading_document, with_lease
from monitor.store.database import Store


class Doors:
    """The trading state, signed commands and the control socket of one daemon.

    Raises:
        ConfigError: If the secret of an operator or of the lease is missing or malformed.
    """

    def __init__(
        self, config: Config, *, base: Path, clock: Clock, to_wall_ns: Callable[[EngineNs], int]
    ) -> None:
        self._config = config
        self._clock = clock
        self._to_wall_ns = to_wall_ns
        self._operators = operator_keys(config.operators, base=base)
        self._lease_key = lease_key(config, base=base)
        self._log = structlog.get_logger("control")
        self.trading = TradingFeed(self.document)
        self.commands: SignedCommands | None = None

    async def open(self, kill: KillSwitch, *, server: Server, store: Store, data: Path) -> None:
        """Let people in; before the server starts.

        Raises:
            ConfigError: If the control socket cannot be made.
        """
        self._kill = kill
        self._store = store
        server.add("GET", "/v1/trading-state", self.trading.once)
        server.add("GET", "/v1/trading-state/stream", self.trading.stream)
        if self._operators:
            self.commands = SignedCommands(self._operators, kill, remember=self._remember)
            server.add("POST", COMMANDS_PATH, self.commands.handle)
        self._control = ControlServer(data, kill)
        await self._control.start()

    async def close(self) -> None:
        """Nobody comes in any more."""
        await self._control.close()

    def document(self) -> dict[str, Any]:
        """What the desk's own systems read."""
        return trading_document(
            self._kill.trading_state(), desk=self._config.desk, to_wall_ns=self._to_wall_ns
        )

    def leave(self) -> None:
        """A planned stop of an unlatched book lets the desk go on for a while; anything else does
        not: the state that was last told runs out after its 15 s."""
        document = self.document()
        if self._lease_key is not None and document["state"] == Trading.ACTIVE:
            document = with_lease(
                document,
                key=self._lease_key,
                lease_s=self._config.kill.restart_lease_s,
                now_wall_ns=self._to_wall_ns(self._clock.now()),
            )
        self.trading.leave(document)

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
