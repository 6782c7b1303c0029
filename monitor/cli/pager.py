"""The demo's pager: a signed-webhook receiver on loopback that verifies and prints each page.

Where a real Alertmanager is installed the demo starts one between riskd and this pager, so that a
page takes the same way as on a desk.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import aiohttp
import orjson
from aiohttp import web

from monitor.cli.children import die_with_parent

ALERTMANAGERS = ("prometheus-alertmanager", "alertmanager")
START_S = 15.0

Say = Callable[[str, str, str], None]  # firing or resolved, severity, summary


class Pager:
    """Receives pages by signed webhook or from Alertmanager and says them."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._key = secrets.token_bytes(32)
        self._runner: web.AppRunner | None = None
        self._seen: set[str] = set()
        self.url = ""
        self.refused = 0

    @property
    def secret(self) -> str:
        """What riskd signs with; made anew for each demo."""
        return "whsec_" + base64.b64encode(self._key).decode()

    async def start(self) -> None:
        """Listen on a free loopback port."""
        app = web.Application()
        app.router.add_post("/riskd", self._signed)
        app.router.add_post("/alertmanager", self._alertmanager)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _signed(self, request: web.Request) -> web.Response:
        body = await request.read()
        name = request.headers.get("webhook-id", "")
        stamp = request.headers.get("webhook-timestamp", "")
        signed = f"{name}.{stamp}.".encode() + body
        digest = base64.b64encode(hmac.new(self._key, signed, hashlib.sha256).digest()).decode()
        given = request.headers.get("webhook-signature", "").split()
        if not any(hmac.compare_digest(f"v1,{digest}", one) for one in given):
            self.refused += 1
            return web.Response(status=401)
        document = orjson.loads(body)
        data = document.get("data", {})
        labels, texts = data.get("labels", {}), data.get("annotations", {})
        if name not in self._seen:
            self._seen.add(name)
            kind = "resolved" if "resolved" in document.get("type", "") else "firing"
            self._say(kind, labels.get("severity", ""), texts.get("summary", ""))
        return web.Response()

    async def _alertmanager(self, request: web.Request) -> web.Response:
        document = orjson.loads(await request.read())
        for alert in document.get("alerts", []):
            labels, texts = alert.get("labels", {}), alert.get("annotations", {})
            key = f"{alert.get('fingerprint')}/{alert.get('startsAt')}/{alert.get('status')}"
            if key not in self._seen:
                self._seen.add(key)
                self._say(
                    alert.get("status", ""), labels.get("severity", ""), texts.get("summary", "")
                )
        return web.Response()


class Alertmanager:
    """A real Alertmanager of this machine, on loopback, that pages the demo's pager."""

    def __init__(self, folder: Path, pager: Pager) -> None:
        self._folder = folder
        self._pager = pager
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    @staticmethod
    def binary() -> str | None:
        """Where it is installed, if it is."""
        return next((path for name in ALERTMANAGERS if (path := shutil.which(name))), None)

    async def start(self) -> bool:
        """True once it is ready; False where there is none or it does not come up."""
        binary = self.binary()
        if binary is None:
            return False
        port = _free_port()
        config = self._folder / "alertmanager.yml"
        config.write_text(
            "route: {receiver: none, routes: [{matchers: ['alertname!=\"RiskdWatchdog\"', "
            "'severity!=\"info\"'], receiver: pager, group_by: ['...'], group_wait: 0s, "
            "group_interval: 1s, repeat_interval: 4h}]}\n"
            "receivers:\n  - name: none\n  - name: pager\n    webhook_configs: "
            f"[{{url: '{self._pager.url}/alertmanager', send_resolved: true}}]\n",
            encoding="utf-8",
        )
        self._process = await asyncio.create_subprocess_exec(
            binary,
            f"--config.file={config}",
            f"--storage.path={self._folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", "")},
            start_new_session=True,  # Ctrl-C is for riskd, which ends it afterwards
            preexec_fn=die_with_parent(),  # also when riskd is killed and can end nothing
        )
        self.url = f"http://127.0.0.1:{port}"
        if await self._ready():
            return True
        await self.close()
        return False

    async def close(self) -> None:
        """End the process that was started here."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def _ready(self) -> bool:
        async with aiohttp.ClientSession() as session:
            for _ in range(int(START_S / 0.1)):
                if self._process is None or self._process.returncode is not None:
                    return False
                try:
                    async with session.get(f"{self.url}/-/ready") as answer:
                        if answer.status == 200:
                            return True
                except aiohttp.ClientError:
                    pass  # not listening yet
                await asyncio.sleep(0.1)
        return False


def _free_port() -> int:
    import socket  # noqa: PLC0415 - for this one line

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
