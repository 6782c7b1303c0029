"""``riskd init``: from addresses to a commented configuration, with the first numbers on the way.

Asks the venues (which show everything by address), finds sub-accounts, vaults, dexes and children,
prints what riskd makes of the accounts, and writes the file. No key is asked for or needed.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from monitor.app.lifecycle import Daemon
from monitor.cli.first_numbers import first_numbers
from monitor.cli.runner import new_runner
from monitor.config import Config, parse_config
from monitor.core.errors import ConfigError
from monitor.observability.logging import configure_logging
from monitor.runtime.clock import SystemClock

PATIENCE_S = 45.0  # accounts are read within seconds; a minute was promised


def arguments(parser: argparse.ArgumentParser) -> None:
    """Addresses, and where to write."""
    parser.add_argument(
        "--hyperliquid",
        action="append",
        default=[],
        metavar="0x…",
        help="master, sub-account or vault address; may be given several times",
    )
    parser.add_argument(
        "--dydx",
        action="append",
        default=[],
        metavar="dydx1…",
        help="address; its subaccounts are found; may be given several times",
    )
    parser.add_argument("--out", type=Path, default=Path("riskd.yaml"), help="file to write")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--network", choices=["mainnet", "testnet"], default="mainnet")
    simulated = parser.add_argument_group("for a simulator or an own node (see riskd sim)")
    for venue in ("hyperliquid", "dydx"):
        simulated.add_argument(f"--{venue}-rest", metavar="URL")
        simulated.add_argument(f"--{venue}-ws", metavar="URL")


def run(arguments: argparse.Namespace) -> int:
    """0 with the file written; ConfigError says what is wrong with an address or the way to it."""
    if not arguments.hyperliquid and not arguments.dydx:
        raise ConfigError("Give at least one address: --hyperliquid 0x… or --dydx dydx1….")
    if arguments.out.exists() and not arguments.force:
        raise ConfigError(f"{arguments.out} exists. Name another with --out, or say --force.")
    configure_logging(level="error")
    trial = parse_config(_render(arguments, {}), source="the command line")
    with tempfile.TemporaryDirectory(prefix="riskd-init-") as folder, new_runner() as runner:
        found = runner.run(_look(trial, Path(folder)))
    text = _render(arguments, found)
    parse_config(text, source=str(arguments.out))
    try:
        arguments.out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{arguments.out} cannot be written: {error.strerror}.") from error
    print(f"\nWrote {arguments.out}. Next: riskd run --config {arguments.out}")
    return 0


async def _look(config: Config, folder: Path) -> dict[str, list[str]]:
    """Run a whole daemon for a moment, show its first numbers, and say what was found."""
    config = config.model_copy(
        update={
            "data_dir": "data",
            "server": config.server.model_copy(update={"port": 0}),
            "journal": config.journal.model_copy(update={"enabled": False}),
        }
    )
    daemon = Daemon(config, SystemClock(), base=folder)
    print("Asking the venues…", flush=True)
    await daemon.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(daemon.run(), name="daemon")
            await _until_seen(daemon, running)
            print("\n".join(first_numbers(daemon.source.document())))
            daemon.stop()
    finally:
        await daemon.close()
    return _findings(daemon)


async def _until_seen(daemon: Daemon, running: asyncio.Task[None]) -> None:
    """Until every account has an equity, or patience ends; what is unknown is then shown so."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not running.done():
                await asyncio.sleep(0.25)
                ready, _ = daemon.source.ready()
                if ready:
                    return
    except TimeoutError:
        return


def _findings(daemon: Daemon) -> dict[str, list[str]]:
    """Per venue: what belongs to the addresses, in words for comments of the file."""
    found: dict[str, list[str]] = {}
    for venue in daemon.engine.state.venues.values():
        pools = [account for account in venue.accounts.values() if account.parent]
        found[venue.venue] = [
            f"{account.account}: {account.kind} of {account.parent}, watched" for account in pools
        ]
        found[venue.venue] += [
            f"{name}: {pool.kind} of {pool.parent}, NOT watched"
            for name, pool in venue.unwatched.items()
        ]
    return found


def _render(arguments: argparse.Namespace, found: dict[str, list[str]]) -> str:
    """The file's text."""
    lines = [
        "# Written by riskd init. riskd reads by address what everyone may see and holds no key.",
        "# `riskd check-config` finds mistakes; deploy/config/full.yaml shows every setting.",
        "desk: desk # names this riskd in every page",
        "mode: observe # judges and pages; nothing can be sent to a venue",
        "data_dir: ./riskd-data # rule states, pages owed and the journal; keep it over restarts",
        "",
        "venues:",
    ]
    for venue in ("hyperliquid", "dydx"):
        addresses: Sequence[str] = getattr(arguments, venue)
        if not addresses:
            continue
        lines += [f"  {venue}:", f"    network: {arguments.network}"]
        for key in ("rest", "ws"):
            if url := getattr(arguments, f"{venue}_{key}"):
                lines.append(f"    {key}_url: {url}")
        lines.append("    accounts:")
        for number, address in enumerate(addresses, 1):
            alias = "main" if number == 1 else f"account{number}"
            lines.append(f'      - {{alias: {alias}, address: "{address}"}}')
        if found.get(venue):
            lines.append("    # found behind these addresses:")
            lines += [f"    #   {text}" for text in found[venue]]
    lines += [
        "",
        "# Who is told. Without a channel riskd judges and shows, and nobody is paged.",
        "# notify:",
        '#   alertmanager: {urls: ["http://127.0.0.1:9093"]}',
        "",
        "# Your own rules extend or override the built-in ones by id (`riskd rules list`).",
        "# rules: {files: [desk-rules.yaml]}",
        "",
        "server: {host: 127.0.0.1, port: 9470} # the page, the API and /metrics",
    ]
    return "\n".join(lines) + "\n"
