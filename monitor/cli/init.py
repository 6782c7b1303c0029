"""``riskd init``: from addresses to a commented configuration, with the first numbers on the way.

Asks the venues (which show everything by address), finds sub-accounts, vaults, dexes and children,
prints what riskd makes of the accounts, and writes the file. No key is asked for or needed.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from monitor.app.budgets import hand_over, take_along
from monitor.app.lifecycle import Daemon
from monitor.cli.first_numbers import first_numbers
from monitor.cli.runner import new_runner
from monitor.cli.sim_line import (
    SimulatedClock,
    SimulatedLine,
    living_in,
    read_line,
    simulated_clock,
)
from monitor.cli.status import dark_feeds
from monitor.config import Config, parse_config
from monitor.core.errors import ConfigError, Problem
from monitor.observability.logging import configure_logging
from monitor.runtime.clock import SystemClock
from monitor.venues.hyperliquid.venue import HyperliquidVenue

PATIENCE_S = 40.0  # accounts are read within seconds; a minute was promised
SOCKETS_S = 10.0  # longer, once the accounts are read by REST
Found = dict[str, list[str]]  # lines of the file by venue
DATA_DIR = "riskd-data"  # beside the configuration
OFFER = "# - "  # how a line begins that becomes an account without its #


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
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("riskd.yaml"),
        metavar="FILE",
        help="file to write (default riskd.yaml)",
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument(
        "--network",
        choices=["mainnet", "testnet"],
        default="mainnet",
        help="which network of the venues the addresses are on (default mainnet)",
    )
    simulated = parser.add_argument_group("for a simulator or an own node (see riskd sim)")
    for venue in ("hyperliquid", "dydx"):
        simulated.add_argument(f"--{venue}-rest", metavar="URL", help=f"of {venue}'s REST API")
        simulated.add_argument(f"--{venue}-ws", metavar="URL", help=f"of {venue}'s WebSocket")
    simulated.add_argument(
        "--dydx-validator",
        action="append",
        default=[],
        metavar="URL",
        help="RPC of a dydx node, which tells a halt from a slow API; may be given several times",
    )
    simulated.add_argument(
        "--sim",
        type=Path,
        metavar="FILE",
        help="look at the `riskd sim` whose line is in FILE, in its time; URLs and addresses that "
        "are not given are those of its line",
    )
    parser.epilog = (
        "exit code: 0 the file was written, 2 an address, the way to a venue or --out is wrong"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 with the file written; ConfigError says what is wrong with an address or the way to it."""
    if arguments.sim is not None:
        _fill_in(arguments, read_line(arguments.sim))
    if not arguments.hyperliquid and not arguments.dydx:
        raise ConfigError("Give at least one address: --hyperliquid 0x… or --dydx dydx1….")
    if arguments.out.exists() and not arguments.force:
        raise ConfigError(f"{arguments.out} exists. Name another with --out, or say --force.")
    _check_writable(arguments.out)
    configure_logging(level="critical")  # what was not reached is told in sentences
    trial = _trial(arguments)
    clock = None if arguments.sim is None else simulated_clock(arguments.sim, trial)
    kept = arguments.out.parent / DATA_DIR
    with tempfile.TemporaryDirectory(prefix="riskd-init-") as folder, new_runner() as runner:
        data = Path(folder) / DATA_DIR
        take_along(kept, data)
        found = runner.run(_look(trial, Path(folder), clock))
        text = _render(arguments, found)
        parse_config(text, source=str(arguments.out))
        try:
            arguments.out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{arguments.out} cannot be written: {error.strerror}.") from error
        hand_over(data, kept)  # the venues count this minute's requests, whoever asked
    with_sim = "" if arguments.sim is None else f" --sim {arguments.sim}"
    print(f"\nWrote {arguments.out}. Next: riskd run --config {arguments.out}{with_sim}")
    print("It only watches. How it acts where it may (cancels, cuts, proves): riskd demo")
    return 0


def _fill_in(arguments: argparse.Namespace, line: SimulatedLine) -> None:
    """What was not said, from the line of a simulator: its URLs, and its desk's main addresses
    where no address was given at all."""
    whose = {} if arguments.hyperliquid or arguments.dydx else line.addresses
    for venue, urls in line.urls.items():
        if "main" in whose.get(venue, {}):
            setattr(arguments, venue, [whose[venue]["main"]])
        for kind in ("rest", "ws"):
            name = f"{venue}_{kind}"
            setattr(arguments, name, getattr(arguments, name, None) or urls.get(kind))
    validator = line.urls.get("dydx", {}).get("rpc")
    if validator and not arguments.dydx_validator:
        arguments.dydx_validator = [validator]


def _trial(arguments: argparse.Namespace) -> Config:
    """The configuration before anything is known of the accounts.

    Raises:
        ConfigError: In the words of the flags, since nobody wrote a file yet.
    """
    try:
        return parse_config(_render(arguments, {}), source="-")
    except ConfigError as error:
        raise ConfigError([_of_flag(problem) for problem in error.problems]) from error


def _of_flag(problem: Problem) -> Problem:
    venue = next((one for one in ("hyperliquid", "dydx") if f"venues.{one}" in problem.field), "")
    tail = problem.field.rpartition(".")[2]
    kind = {"rest_url": "-rest", "ws_url": "-ws"}.get(tail, "")
    where = f"--{venue}{kind}" if venue else "the command line"
    return dataclasses.replace(problem, where=where, field=tail)


def _check_writable(out: Path) -> None:
    """Before the venues are asked: a minute's wait must not end in a refusal.

    Raises:
        ConfigError: With why.
    """
    try:
        if out.exists():
            out.open("a", encoding="utf-8").close()
        else:
            with tempfile.TemporaryFile(dir=out.parent):
                return
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be written ({error.strerror}). Name another with --out."
        ) from error


async def _look(config: Config, folder: Path, clock: SimulatedClock | None) -> Found:
    """Run a whole daemon for a moment, show its first numbers, and say what was found."""
    config = config.model_copy(
        update={
            "data_dir": DATA_DIR,
            "server": config.server.model_copy(update={"port": 0}),
            "journal": config.journal.model_copy(update={"enabled": False}),
            "venues": config.venues.model_copy(update=_without_history(config)),
        }
    )
    if clock is None:
        return await _first_look(Daemon(config, SystemClock(), base=folder))
    async with living_in(clock):
        return await _first_look(
            Daemon(config, clock, base=folder, to_wall_ns=clock.to_wall_ns, simulated=True)
        )


async def _first_look(daemon: Daemon) -> Found:
    print("Asking the venues…", flush=True)
    await daemon.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(daemon.run(), name="daemon")
            await _until_seen(daemon, running)
            document = daemon.source.document()
            print("\n".join([*first_numbers(document), *_not_reached(document)]))
            daemon.stop()
    finally:
        await daemon.close()
    return _findings(daemon)


def _without_history(config: Config) -> dict[str, BaseModel]:
    """The venues' settings for a look: their history would spend the minute that the desk's
    ``riskd run`` needs right after."""
    named = (("hyperliquid", config.venues.hyperliquid), ("dydx", config.venues.dydx))
    return {
        name: settings.model_copy(update={"baselines": False})
        for name, settings in named
        if settings is not None
    }


async def _until_seen(daemon: Daemon, running: asyncio.Task[None]) -> None:
    """Until every account has an equity and every feed spoke, or patience ends; what is unknown is
    then shown so."""
    await _until(lambda: daemon.source.ready()[0], running, PATIENCE_S)
    await _until(lambda: not _silent(daemon.source.document()), running, SOCKETS_S)


async def _until(seen: Callable[[], bool], running: asyncio.Task[None], wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            while not running.done():
                if seen():
                    return
                await asyncio.sleep(0.25)
    except TimeoutError:
        return


def _silent(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [feed for feed in document["feeds"] if feed["state"] in {"lost", "unknown"}]


def _not_reached(document: dict[str, Any]) -> list[str]:
    """What to say of feeds that never spoke; the file is right all the same."""
    lost = [feed for feed in _silent(document) if feed["state"] == "lost"]
    if not lost:
        return []
    venues = {feed["venue"] for feed in lost}
    every = [feed for feed in document["feeds"] if feed["venue"] in venues]
    lines = [
        line for item in dark_feeds([f for f in every if f["state"] != "old"]) for line in item
    ]
    return [
        "",
        "Not every feed could be reached, so this was read once; `riskd run` goes on trying:",
        *lines,
    ]


def _findings(daemon: Daemon) -> Found:
    """Per venue, as comments of its accounts: what belongs to the addresses. What nobody watches
    yet is an account line to uncomment, where its address is known."""
    found: Found = {}
    for venue in daemon.engine.state.venues.values():
        pools = [account for account in venue.accounts.values() if account.parent]
        found[venue.venue] = [
            f"#   {account.account}: {account.kind} of {account.parent}, watched"
            for account in pools
        ]
        driver = next(one.venue for one in daemon.drivers if one.venue.name == venue.venue)
        named = driver.discovered() if isinstance(driver, HyperliquidVenue) else ()
        found[venue.venue] += [
            f'{OFFER}{{alias: {one.alias.replace(".", "-")}, address: "{one.address}"}}'
            f" # {one.kind} of {one.parent}, NOT watched"
            for one in named
        ]
        addresses = {one.alias for one in named}
        found[venue.venue] += [
            f"#   {name}: {pool.kind} of {pool.parent}, NOT watched"
            for name, pool in venue.unwatched.items()
            if name not in addresses
        ]
    return found


def _render(arguments: argparse.Namespace, found: Found) -> str:
    """The file's text."""
    lines = [
        "# Written by riskd init. riskd reads by address what everyone may see and holds no key.",
        "# After a change `riskd check-config` finds every mistake and names what is allowed.",
        "desk: desk # names this riskd in every page",
        "mode: observe # judges and pages; nothing can be sent to a venue",
        f"data_dir: ./{DATA_DIR} # rule states, pages owed and the journal; keep it over restarts",
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
        if texts := found.get(venue):
            offered = any(text.startswith(OFFER) for text in texts)
            how = " (to watch one with an address, remove its #)" if offered else ""
            lines.append(f"      # Found behind these addresses{how}:")
            lines += [f"      {text}" for text in texts]
        if venue == "dydx" and arguments.dydx_validator:
            urls = ", ".join(f'"{url}"' for url in arguments.dydx_validator)
            lines.append(f"    validator_urls: [{urls}]")
        elif venue == "dydx":
            lines += [
                "    # A validator, your own or a public one, tells a halt from a slow API;",
                "    # without one nobody sees the indexer lag (indexer_lag_blocks is unknown):",
                '    # validator_urls: ["https://dydx-rpc.publicnode.com"]',
            ]
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
