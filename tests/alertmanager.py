"""A real Alertmanager on loopback, with a webhook receiver behind it.

``async with running_alertmanager(tmp_path) as alertmanager:`` gives its URL, what it holds and what
it notified. Skips where the binary is missing, fails instead when ``CI=true``. Only the process
started here is ended, by its own id.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from monitor.cli.children import die_with_parent

BINARY = "prometheus-alertmanager"
READY_S = 30.0

CONFIG = """\
global:
  resolve_timeout: 5m
route:
  receiver: test
  group_by: ['...']
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 4h
receivers:
  - name: test
    webhook_configs:
      - url: {url}
        send_resolved: true
"""


class Receiver:
    """Takes Alertmanager's webhooks and remembers each alert notified, and when (the wall's
    seconds, as ``receivedAt``)."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        application = web.Application()
        application.router.add_post("/", self._handle)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def named(self, alertname: str, status: str) -> list[dict[str, Any]]:
        """Alerts notified under that name with ``firing`` or ``resolved``, in order."""
        return [
            one
            for one in self.alerts
            if one["labels"]["alertname"] == alertname and one["status"] == status
        ]

    async def wait_for(self, wanted: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Until ``wanted()`` holds after a notification; TimeoutError after ``timeout_s``."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(wanted)

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        async with self._changed:
            self.alerts += [alert | {"receivedAt": time.time()} for alert in body["alerts"]]
            self._changed.notify_all()
        return web.Response()


class Alertmanager:
    """One running Alertmanager."""

    def __init__(self, url: str, receiver: Receiver, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self.receiver = receiver
        self.process = process

    async def alerts(self) -> list[dict[str, Any]]:
        """What it holds as active now."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v2/alerts") as response,
        ):
            found: list[dict[str, Any]] = await response.json()
            return found


def find_alertmanager() -> str:
    """Path of the binary; skips the test where there is none, fails it in CI."""
    path = shutil.which(BINARY) or shutil.which("alertmanager")
    if path is None:
        message = "no Alertmanager on this machine; tests/install-components installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running_alertmanager(
    directory: Path, *, config: str = CONFIG
) -> AsyncIterator[Alertmanager]:
    """Alertmanager with ``config`` (``{url}`` is the receiver's), ready to take alerts."""
    binary = find_alertmanager()
    receiver = Receiver()
    await receiver.start()
    try:
        process, url, log_path = _start(binary, directory, config.replace("{url}", receiver.url))
        try:
            await _ready(url, process, log_path)
            yield Alertmanager(url, receiver, process)
        finally:
            process.kill()
            process.wait()
    finally:
        await receiver.stop()


def _start(binary: str, directory: Path, config: str) -> tuple[subprocess.Popen[bytes], str, Path]:
    directory.mkdir(parents=True, exist_ok=True)
    config_path = directory / "alertmanager.yml"
    config_path.write_text(config)
    log_path = directory / "alertmanager.log"
    port = free_port()
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={config_path}",
                f"--storage.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - it takes no lock
        )
    return process, f"http://127.0.0.1:{port}", log_path


def _fail_ended(log_path: Path) -> None:
    pytest.fail(f"Alertmanager ended at once: {log_path.read_text()[-2000:]}")


async def _ready(url: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    async with asyncio.timeout(READY_S), aiohttp.ClientSession() as session:
        while True:
            if process.poll() is not None:
                _fail_ended(log_path)
            try:
                async with session.get(f"{url}/-/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)  # a real process comes up; it cannot be told when
