"""``riskd run``: watch the venues of a configuration and page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from monitor.app.lifecycle import Daemon, run_daemon
from monitor.cli.runner import new_runner
from monitor.config import Config, load_config
from monitor.observability.logging import configure_logging
from monitor.runtime.clock import SystemClock


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which configuration, and how to log."""
    parser.add_argument(
        "--config", type=Path, default=Path("riskd.yaml"), help="default: riskd.yaml"
    )
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning"])


def run(arguments: argparse.Namespace) -> int:
    """0 after an orderly stop; mistakes are raised before anything is started."""
    config = load_config(arguments.config)
    configure_logging(level=arguments.log_level)
    with new_runner() as runner:
        runner.run(_main(config, arguments.config.resolve().parent))
    return 0


async def _main(config: Config, base: Path) -> None:
    daemon = Daemon(config, SystemClock(), base=base)
    await run_daemon(daemon, started=_greet)


def _greet(daemon: Daemon) -> None:
    if sys.stdout.isatty():
        print(f"riskd watches; look at {daemon.url}/ or `riskd status --url {daemon.url}`.")
