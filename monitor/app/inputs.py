"""What people write beside the configuration and riskd reads again while it runs: the rulebook, the
off-book legs and the read token.

An armed riskd that cannot read one of them goes on with what was last in force, kept in the store;
without that with the built-in rules, with no legs, and with a server that shows the book to nobody.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NoReturn

import msgspec
import structlog
from pydantic import SecretStr

from monitor.app.degraded import Degraded
from monitor.app.legs import read_legs
from monitor.app.rulebooks import Rulebooks, RuleFiles
from monitor.app.wiring import read_token
from monitor.config import Config
from monitor.core.errors import ConfigError, StoreError
from monitor.core.events import Event, OffBookLegsDeclared, RulebookLoaded
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.ports import EventSink
from monitor.core.rules import parse_rulebook
from monitor.core.types import Severity
from monitor.rulebook import builtin_files
from monitor.server.http import Server
from monitor.store.database import Store

PERIOD_S = 5.0  # how often files are looked at
RULEBOOK, LEGS, TOKEN = "rulebook", "legs", "token"
KEPT_RULES, KEPT_LEGS = "inputs.rulebook", "inputs.legs"


class Inputs:
    """The three of one daemon. ``read`` comes before anything is touched, ``recall`` once the store
    is open, ``load`` once the engine hears, ``run`` for as long as it runs.

    Args:
        config: The whole.
        base: Where relative paths begin.
        rulebooks: Reads and loads the rulebook.
        events: Where what is read goes; it calls ``in_force`` for each event that passes.
        degraded: Forgives what must not keep an armed riskd from starting.
    """

    def __init__(
        self,
        config: Config,
        *,
        base: Path,
        rulebooks: Rulebooks,
        events: EventSink,
        degraded: Degraded,
    ) -> None:
        self._config = config
        self._base = base
        self._rulebooks = rulebooks
        self._events = events
        self._degraded = degraded
        self._rules: RuleFiles | None = None
        self._rules_from = "start"
        self._legs: OffBookLegsDeclared | None = None
        self._unkept: dict[str, bytes] = {}
        self._server: Server | None = None
        self._log = structlog.get_logger("riskd")
        self.token: SecretStr | None = None
        self.sealed = False

    @property
    def legs_path(self) -> Path | None:
        """The desk's file of off-book legs; None where none is configured."""
        name = self._config.off_book_legs_file
        return self._base / name if name else None

    # -------------------------------------------------------------------------------- the start

    def read(self) -> None:
        """Read all three, once: what was checked is what is loaded.

        Raises:
            ConfigError: With what the operator must mend, where that is not forgiven.
        """
        again = "It reads the file again every few seconds, and on SIGHUP."
        try:
            self._rules = self._rulebooks.read()
        except ConfigError as error:
            self._degraded.forgive(
                RULEBOOK,
                error,
                meanwhile="riskd goes on with the rules that were last in force, or with its "
                f"built-in ones. Mend the rulebook (`riskd rules check FILE`). {again}",
                severity=Severity.CRITICAL,
                again=self._rules_again,
                wait_s_max=PERIOD_S,
            )
        try:
            self.token = read_token(self._config.server, self._base)
        except ConfigError as error:
            self.sealed = True
            self._degraded.forgive(
                TOKEN,
                error,
                meanwhile="riskd shows the book and the trading state to nobody over HTTP until "
                "the token is there, so the desk's systems fall back to REDUCE_ONLY; commands, "
                "health and pages work. Mend server.read_token_*. A file is read again every few "
                "seconds; for a variable start riskd again.",
                again=self._token_again,
                wait_s_max=PERIOD_S,
            )
        if self.legs_path is not None:
            try:
                self._legs = read_legs(self.legs_path)
            except ConfigError as error:
                self._degraded.forgive(
                    LEGS,
                    error,
                    meanwhile="riskd goes on with the legs that were last in force, as far as they "
                    "have not expired: a hedge that is missing there may be cut as if it were "
                    f"none. Mend off_book_legs_file. {again}",
                    again=self._legs_again,
                    wait_s_max=PERIOD_S,
                )

    async def recall(self, store: Store) -> None:
        """In the place of what could not be read: what an earlier process kept."""
        if self._rules is None:
            self._rules, self._rules_from = await self._last_rules(store)
        if self._legs is None and self.legs_path is not None:
            self._legs = await self._last_legs(store)

    def load(self) -> None:
        """Let the engine have them."""
        if self._rules is not None:
            self._rulebooks.load(self._rules, self._events, by=self._rules_from)
        if self._legs is not None:
            self._take_legs(self._legs)

    def in_force(self, event: Event) -> None:
        """Note what took effect, whoever brought it: the next start may need it."""
        if isinstance(event, RulebookLoaded):
            self._unkept[KEPT_RULES] = msgspec.msgpack.encode(event.files)
        elif isinstance(event, OffBookLegsDeclared):
            self._unkept[KEPT_LEGS] = msgspec.msgpack.encode(event)

    def serve_by(self, server: Server) -> None:
        """Who is told of a token that comes later."""
        self._server = server

    async def _last_rules(self, store: Store) -> tuple[RuleFiles, str]:
        kept = await _value(store, KEPT_RULES)
        if kept is not None:
            try:
                files = msgspec.msgpack.decode(kept, type=RuleFiles)
                parse_rulebook(files, CATALOGUE)
            except (msgspec.MsgspecError, ConfigError) as error:
                self._log.error("kept_rulebook_unusable", reason=str(error))
            else:
                return files, "last in force"
        return builtin_files(), "built-in"

    async def _last_legs(self, store: Store) -> OffBookLegsDeclared | None:
        kept = await _value(store, KEPT_LEGS)
        try:
            return None if kept is None else msgspec.msgpack.decode(kept, type=OffBookLegsDeclared)
        except msgspec.MsgspecError as error:
            self._log.error("kept_legs_unusable", reason=str(error))
            return None

    # -------------------------------------------------------------------------------- afterwards

    def reload_rules(self) -> bool:
        """Read the rulebook again (SIGHUP); a wrong one changes nothing and is logged whole."""
        done = self._rulebooks.reload(self._events)
        if done:
            self._degraded.mended(RULEBOOK)
        return done

    async def run(self, store: Store) -> NoReturn:
        """Take what the desk edits in its file of legs while riskd runs (a wrong edit keeps the
        last good list), and keep what came into force."""
        path = self.legs_path
        seen = None if path is None else _stamp(path)
        while True:
            await self._keep(store)
            await asyncio.sleep(PERIOD_S)
            if path is None or (stamp := _stamp(path)) == seen:
                continue
            seen = stamp
            try:
                await self._legs_again()
            except ConfigError as error:
                self._log.error("off_book_legs_refused", reason=str(error))
            else:
                self._degraded.mended(LEGS)

    async def _rules_again(self) -> None:
        self._rulebooks.load(self._rulebooks.read(), self._events, by="mended")

    async def _legs_again(self) -> None:
        if self.legs_path is not None:
            self._take_legs(read_legs(self.legs_path))

    async def _token_again(self) -> None:
        self.token = read_token(self._config.server, self._base)
        self.sealed = False
        if self._server is not None:
            self._server.unseal(self.token)

    def _take_legs(self, declared: OffBookLegsDeclared) -> None:
        self._events.submit((declared,))
        self._log.info("off_book_legs_declared", legs=len(declared.legs))

    async def _keep(self, store: Store) -> None:
        """For the next start; only of one that has to come up whatever is wrong."""
        if self._config.mode != "armed":
            self._unkept.clear()
        for name, value in list(self._unkept.items()):
            try:
                await store.put_value(name, value)
            except StoreError as error:
                self._log.warning("input_not_kept", name=name, reason=str(error))
                return
            if self._unkept.get(name) is value:
                del self._unkept[name]


async def _value(store: Store, name: str) -> bytes | None:
    try:
        return await store.value(name)
    except StoreError:
        return None


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0
