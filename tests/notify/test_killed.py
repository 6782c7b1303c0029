"""``kill -9`` at every point between deciding and having noted the delivery: no page is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from monitor.cli.children import die_with_parent
from tests.alertmanager import running_alertmanager
from tests.notify.pager_process import SECRET
from tests.notify.servers import Answer, Received, serving
from tests.notify.verify import verify

PROCESS = Path(__file__).parent / "pager_process.py"


async def start(*arguments: str, epoch_ns: int) -> asyncio.subprocess.Process:
    """One process of the real path."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROCESS),
        *arguments,
        env=os.environ | {"EPOCH_NS": str(epoch_ns)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=die_with_parent(),
    )


async def run(*arguments: str, epoch_ns: int) -> int:
    """Its exit code, once it ended by itself; negative for a signal."""
    process = await start(*arguments, epoch_ns=epoch_ns)
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode in {0, -signal.SIGKILL}, output.decode()
    return process.returncode


@pytest.mark.parametrize(
    ("kill_at", "sent_before", "owed_after"),
    [
        pytest.param("phase.begun", 0, 0, id="before anything was written"),
        pytest.param("phase.written", 0, 0, id="before the commit"),
        pytest.param("phase.committed", 0, 1, id="kept and not yet sent"),
        pytest.param("marked", 1, 1, id="sent and not yet noted"),
    ],
)
async def test_no_page_is_lost_and_its_id_stays(
    tmp_path: Path, kill_at: str, sent_before: int, owed_after: int
) -> None:
    """Kept means sent after the restart, under the same id; not kept means never sent, and the
    engine, which kept nothing either, decides again and comes to the same id."""
    epoch_ns = time.time_ns()
    async with serving() as server:
        arguments = (str(tmp_path), "webhook", server.url)
        assert await run(*arguments, "fire", kill_at, epoch_ns=epoch_ns) == -signal.SIGKILL
        assert len(server.received) == sent_before
        assert await run(*arguments, "restore", epoch_ns=epoch_ns) == 0
        assert len(server.received) == sent_before + owed_after
        if not owed_after:
            assert await run(*arguments, "fire", epoch_ns=epoch_ns) == 0
        assert await run(*arguments, "restore", epoch_ns=epoch_ns) == 0
        received = server.received
    assert len(received) == max(1, sent_before + owed_after)
    for one in received:
        verify(SECRET, one.headers, one.body, now_s=int(time.time()))
    assert len({one.headers["webhook-id"] for one in received}) == 1
    assert len({one.body for one in received}) == 1


async def test_killed_in_the_middle_of_a_delivery(tmp_path: Path) -> None:
    """The request is out, the answer is not: it is sent again under the same id."""
    epoch_ns = time.time_ns()
    hold, arrived = asyncio.Event(), asyncio.Event()

    def answer(_received: Received) -> Answer:
        arrived.set()
        return Answer(hold=hold)

    async with serving(answer) as server:
        process = await start(str(tmp_path), "webhook", server.url, "fire", epoch_ns=epoch_ns)
        async with asyncio.timeout(60):
            await arrived.wait()
        process.kill()
        await process.communicate()
        hold.set()
        assert await run(str(tmp_path), "webhook", server.url, "restore", epoch_ns=epoch_ns) == 0
        first, second = server.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


@pytest.mark.component
async def test_alertmanager_pages_once_however_often_we_are_killed(tmp_path: Path) -> None:
    """Between write and send, and between send and noting it: one page at the far end."""
    epoch_ns = time.time_ns()
    async with running_alertmanager(tmp_path / "alertmanager") as alertmanager:
        arguments = (str(tmp_path / "data"), "alertmanager", alertmanager.url)
        steps = (("fire", "phase.committed"), ("restore", "marked"), ("restore", ""))
        codes = [await run(*arguments, *step, epoch_ns=epoch_ns) for step in steps]
        assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
        receiver = alertmanager.receiver
        await receiver.wait_for(lambda: bool(receiver.named("LeverageHigh", "firing")))
        found = [
            one
            for one in await alertmanager.alerts()
            if one["labels"]["alertname"] == "LeverageHigh"
        ]
        assert len(found) == 1
        assert len(receiver.named("LeverageHigh", "firing")) == 1
        assert receiver.named("LeverageHigh", "resolved") == []
