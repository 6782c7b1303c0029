"""Alertmanager against servers by hand: members, halving, times. The real one is beside it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import msgspec
import pytest
from pydantic import SecretStr, ValidationError

from monitor.core.types import SECOND_NS
from monitor.notify.alertmanager import (
    BATCH_MAX,
    AlertmanagerChannel,
    AlertmanagerSettings,
    render_alert,
)
from monitor.notify.notice import Notice, NoticeKind
from tests.notify.fakes import START_NS, notice
from tests.notify.servers import Answer, Received, serving


def names(received: Received) -> list[str]:
    """Which test notices a request carried."""
    return [alert["labels"]["test"] for alert in json.loads(received.body)]


def refuse_bad(received: Received) -> Answer:
    """A 400 for every batch that holds a bad alert, as Alertmanager does."""
    bad = [name for name in names(received) if name.startswith("bad")]
    return Answer(400, body=f'"invalid label name {bad[0]}"') if bad else Answer()


def channel(session: aiohttp.ClientSession, *urls: str, **more: Any) -> AlertmanagerChannel:
    """A channel to these members."""
    settings = AlertmanagerSettings(urls=list(urls), timeout_s=more.pop("timeout_s", 5.0))
    return AlertmanagerChannel(settings, session, now=lambda: START_NS, **more)


def test_an_alert_as_version_2_wants_it() -> None:
    """Labels, annotations, RFC 3339 times, and ``endsAt`` ahead of now by what it may hold."""
    alert = json.loads(render_alert(notice("a"), START_NS + 60 * SECOND_NS))
    assert alert == {
        "labels": {"alertname": "LeverageHigh", "severity": "critical", "test": "a"},
        "annotations": {"description": "long text", "summary": "summary of a"},
        "startsAt": "2026-11-21T14:03:11.482Z",
        "endsAt": "2026-11-21T14:09:11.482Z",
    }


def test_an_end_is_the_time_of_the_end() -> None:
    """However late it is sent."""
    one = notice("a", kind=NoticeKind.RESOLVED)
    alert = json.loads(render_alert(one, START_NS + 600 * SECOND_NS))
    assert alert["endsAt"] == "2026-11-21T14:03:11.482Z"


def test_a_faster_world_is_told_in_wall_time() -> None:
    """Where an hour passes in a minute, Alertmanager still lives by the wall: what fires is held
    for five of its minutes, for the world may stall; an end is when it was."""

    def to_wall_ns(engine_ns: int) -> int:
        return START_NS + (engine_ns - START_NS) // 60

    now = START_NS + 600 * SECOND_NS
    alert = json.loads(render_alert(notice("a"), now, to_wall_ns))
    assert alert["endsAt"] == "2026-11-21T14:08:21.482Z"
    ended = msgspec.structs.replace(notice("a", kind=NoticeKind.RESOLVED), ended_ns=now)
    alert = json.loads(render_alert(ended, now + 60 * SECOND_NS, to_wall_ns))
    assert alert["endsAt"] == "2026-11-21T14:03:21.482Z"


async def test_every_member_is_told() -> None:
    """Each gets the whole batch, in one request."""
    async with serving() as one, serving() as two, aiohttp.ClientSession() as session:
        results = await channel(session, one.url, two.url).send([notice("a"), notice("b")])
        assert results == (None, None)
        for server in (one, two):
            (received,) = server.received
            assert (received.path, names(received)) == ("/api/v2/alerts", ["a", "b"])
            assert received.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("statuses", "retryable"),
    [
        pytest.param((200, 503), None, id="one accepts, one is in trouble"),
        pytest.param((401, 200), None, id="one accepts, one refuses us"),
        pytest.param((503, 503), True, id="both are in trouble"),
        pytest.param((401, 503), True, id="one may yet accept"),
        pytest.param((401, 404), False, id="neither ever will"),
    ],
)
async def test_one_acceptance_is_success(statuses: tuple[int, int], retryable: bool | None) -> None:
    """Success is at least one member; the worst of the others only counts."""
    async with (
        serving(Answer(statuses[0])) as one,
        serving(Answer(statuses[1])) as two,
        aiohttp.ClientSession() as session,
    ):
        one_channel = channel(session, one.url, two.url)
        (error,) = await one_channel.send([notice()])
    assert (error.retryable if error else None) == retryable
    failures = sum(one_channel.member_failures.values())
    assert failures == sum(1 for status in statuses if status != 200)


async def test_a_member_that_hangs_holds_nobody_up() -> None:
    """Once one accepted, the others get a short grace."""
    hold = asyncio.Event()
    async with (
        serving(Answer(hold=hold)) as stuck,
        serving() as fine,
        aiohttp.ClientSession() as session,
    ):
        one_channel = channel(session, stuck.url, fine.url, timeout_s=60.0)
        async with asyncio.timeout(10):
            assert await one_channel.send([notice()]) == (None,)
        hold.set()
        assert list(one_channel.member_failures.values()) == [1, 0]


async def test_an_unreachable_member_is_tried_again() -> None:
    """Nobody listens: retryable, and the text names the member without more."""
    async with serving() as gone:
        url = gone.url
    async with aiohttp.ClientSession() as session:
        (error,) = await channel(session, url).send([notice()])
    assert error is not None
    assert (error.retryable, error.reason) == (True, "server")
    assert url.removeprefix("http://") in str(error)


async def test_a_member_that_does_not_answer_is_a_timeout() -> None:
    """The deadline is kept."""
    hold = asyncio.Event()
    async with serving(Answer(hold=hold)) as stuck, aiohttp.ClientSession() as session:
        (error,) = await channel(session, stuck.url, timeout_s=0.1).send([notice()])
        hold.set()
    assert error is not None
    assert (error.retryable, error.reason) == (True, "timeout")


@pytest.mark.parametrize("bad", [(0,), (3,), (7,), (0, 7), (2, 3, 4)])
async def test_a_400_is_partial(bad: tuple[int, ...]) -> None:
    """The offenders are found and named, everything else is accepted, and it ends."""
    notices = [notice(f"bad{n}" if n in bad else f"good{n}") for n in range(8)]
    async with serving(refuse_bad) as server, aiohttp.ClientSession() as session:
        one_channel = channel(session, server.url)
        results = await one_channel.send(notices)
        accepted = {
            name
            for received in server.received
            if refuse_bad(received).status == 200
            for name in names(received)
        }
        requests = len(server.received)
    for number, error in enumerate(results):
        if number in bad:
            assert error is not None
            assert not error.retryable
            assert "invalid label name bad" in str(error)
        else:
            assert error is None
            assert f"good{number}" in accepted
    assert one_channel.dropped == len(bad)
    assert requests <= 1 + 2 * 3 * len(bad)


async def test_a_400_to_everything_ends() -> None:
    """An endpoint that refuses whatever it gets costs a bounded number of requests."""
    notices = [notice(f"bad{number}") for number in range(BATCH_MAX)]
    async with serving(refuse_bad) as server, aiohttp.ClientSession() as session:
        results = await channel(session, server.url).send(notices)
        assert all(error is not None and not error.retryable for error in results)
        assert len(server.received) < 150


async def test_the_token_is_sent_and_never_shown() -> None:
    """Bearer in the header; not in the repr, not in an error."""
    async with serving(Answer(401)) as server, aiohttp.ClientSession() as session:
        one_channel = channel(session, server.url, bearer_token=SecretStr("t0p-secret"))
        (error,) = await one_channel.send([notice()])
        assert server.received[0].headers["authorization"] == "Bearer t0p-secret"
    assert "t0p-secret" not in f"{error!r} {error} {one_channel!r} {vars(one_channel)}"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("am:9093", "starts with http"),
        ("ftp://am:9093", "starts with http"),
        ("http://user:hunter2@am:9093", "no user or password"),
        ("http://am:9093/?x=1", "only the base address"),
    ],
)
def test_a_bad_address_is_refused_without_showing_it(url: str, says: str) -> None:
    """What a person wrote wrong is named; a password in it is not repeated."""
    with pytest.raises(ValidationError, match=says) as caught:
        AlertmanagerSettings(urls=[url])
    assert "hunter2" not in str(caught.value)


def test_a_trailing_slash_is_forgiven() -> None:
    """Both spellings of a base address are the same."""
    assert AlertmanagerSettings(urls=["http://am:9093/"]).urls == ["http://am:9093"]


def test_batches_are_as_large_as_prometheus_makes_them() -> None:
    """256 alerts at most in one request."""
    assert AlertmanagerChannel.batch_max == 256
    assert isinstance(notice(), Notice)
