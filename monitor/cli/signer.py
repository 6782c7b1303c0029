"""``riskd signer``: the process that holds the key.

It reads its own part of the configuration only, so that a mistake elsewhere in the file cannot
leave the kill switch without hands.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from monitor.actions.settings import (
    HyperliquidActionSettings,
    Mode,
    acting_accounts,
    exchange_url,
    signs_for_mainnet,
)
from monitor.actions.signer import (
    SOCKET_NAME,
    STATE_NAME,
    Signer,
    SignerServer,
    SignerState,
)
from monitor.cli.runner import new_runner
from monitor.cli.sim_line import clock_of_line
from monitor.config import read_config
from monitor.core.errors import ConfigError, Problem
from monitor.core.ports import Clock
from monitor.core.yamltext import dotted, parse_yaml
from monitor.observability.logging import configure_logging
from monitor.runtime.clock import SystemClock
from monitor.venues.hyperliquid.knowledge import shorten
from monitor.venues.hyperliquid.settings import HyperliquidSettings


class _Part(BaseModel):
    """Of the configuration only what a signer needs; the rest is the daemon's to judge."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class _Venues(_Part):
    hyperliquid: HyperliquidSettings


class _Actions(_Part):
    hyperliquid: HyperliquidActionSettings


class SignerPart(_Part):
    """What a signer reads of a configuration."""

    mode: Literal["observe", "rehearse", "armed"] = "observe"
    data_dir: Path = Path("./riskd-data")
    venues: _Venues
    actions: _Actions


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which configuration, and how to log."""
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("riskd.yaml"),
        metavar="FILE",
        help="the daemon's configuration (default riskd.yaml); the signer reads mode, data_dir, "
        "venues.hyperliquid and actions.hyperliquid of it",
    )
    parser.add_argument(
        "--log-level",
        default="info",
        choices=["debug", "info", "warning"],
        help="how much is logged, on standard error (default info)",
    )
    parser.add_argument(
        "--sim",
        type=Path,
        metavar="FILE",
        help="for rehearsals: live in the time of the `riskd sim` whose line is in FILE",
    )
    parser.epilog = (
        "It signs cancels and reduce-only orders within its bounds, for its accounts, and nothing "
        "else;\nthe daemon asks it over a socket in data_dir that only the same user can open. In "
        "mode observe\nit refuses to start.\n"
        "exit code: 0 stopped in order, 2 refused to start (the text says what to mend)"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 after an orderly stop."""
    part = read_part(arguments.config)
    clock = _clock(arguments.sim, part.mode)
    configure_logging(level=arguments.log_level)
    with new_runner() as runner:
        runner.run(_serve(part, arguments.config.resolve().parent, clock))
    return 0


def read_part(path: Path) -> SignerPart:
    """The signer's part of a configuration.

    Raises:
        ConfigError: With every mistake in that part, or because it says observe.
    """
    document = parse_yaml(read_config(path), source=str(path))
    if document.problems:
        raise ConfigError(document.problems)
    data: Mapping[str, Any] = document.data if isinstance(document.data, dict) else {}
    if data.get("mode", "observe") == "observe":
        raise ConfigError(
            f"{path} says mode observe: riskd watches only, holds no key, and no signer starts. "
            "Write mode: rehearse to try it without risk."
        )
    try:
        return SignerPart.model_validate(data)
    except ValidationError as error:
        raise ConfigError(
            [
                Problem(
                    where=document.where(detail["loc"]),
                    field=dotted(detail["loc"]),
                    message=f"{detail['msg'].removeprefix('Value error, ')}.",
                )
                for detail in error.errors(include_input=False)
            ]
        ) from None


def _clock(sim: Path | None, mode: Mode) -> Clock:
    if sim is None:
        return SystemClock()
    if mode != "rehearse":
        raise ConfigError("--sim is for rehearsals: an armed signer lives in real time.")
    return clock_of_line(sim)


async def _serve(part: SignerPart, base: Path, clock: Clock) -> None:
    settings, venue = part.actions.hyperliquid, part.venues.hyperliquid
    url = exchange_url(part.mode, venue)
    data_dir = base / part.data_dir
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = settings.signer.key.read(os.environ, base=base)
    if settings.signer.key.env is not None:
        os.environ.pop(settings.signer.key.env, None)  # no child shall inherit it
    mainnet = signs_for_mainnet(part.mode, venue)
    signer = Signer(
        key,
        acting_accounts(settings, venue),
        settings.signer,
        mainnet=mainnet,
        state=SignerState(data_dir / STATE_NAME),
        clock=clock,
    )
    server = SignerServer(signer, data_dir / SOCKET_NAME)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await server.start()
    log = structlog.get_logger()
    log.info(
        "signer_started",
        mode=part.mode,
        network="mainnet" if mainnet else "testnet",
        wallet=shorten(key.address),
        accounts=[account.alias for account in settings.accounts],
        url=url,
        notional_usd_per_hour=float(settings.signer.notional_usd_per_hour),
    )
    try:
        await stopping.wait()
    finally:
        await server.close()
        log.info("signer_stopped", **dict(signer.signed))
