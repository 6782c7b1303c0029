"""Every HTTP status means one thing: delivered, try again, or never."""

from __future__ import annotations

from datetime import UTC, datetime

import aiohttp
import pytest
from pydantic import SecretStr

from monitor.core.errors import NotifyError
from monitor.notify.alertmanager import AlertmanagerChannel, AlertmanagerSettings
from monitor.notify.channel import judge_status, parse_retry_after
from monitor.notify.secret import SecretSource
from monitor.notify.target import TargetPolicy, guarded_session
from monitor.notify.webhook import WebhookChannel, WebhookSettings
from tests.notify.fakes import START_NS, notice
from tests.notify.servers import Answer, serving

SECRET = SecretStr("whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY")

RETRY_SERVER = (True, "server")
RETRY_LIMITED = (True, "rate_limited")
RETRY_TIMEOUT = (True, "timeout")
RETRY_CLIENT = (True, "client")
NEVER = (False, "client")
NEVER_AUTH = (False, "auth")

COMMON: dict[int, tuple[bool, str] | None] = (
    dict.fromkeys((200, 201, 202, 204, 206, 208, 226, 299), None)
    | dict.fromkeys((300, 301, 302, 303, 304, 305, 307, 308), NEVER)
    | dict.fromkeys((401, 403, 407), NEVER_AUTH)
    | dict.fromkeys(
        (402, 404, 405, 406, 409, 411, 412, 413, 414, 415, 416, 417, 418, 421, 423, 424, 426, 428,
         431, 451, 499), NEVER)
    | {408: RETRY_TIMEOUT, 425: RETRY_CLIENT, 429: RETRY_LIMITED}
    | dict.fromkeys((500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511, 520, 599), RETRY_SERVER)
)  # fmt: skip
ALERTMANAGER = COMMON | {400: NEVER, 410: NEVER, 422: NEVER}
WEBHOOK = COMMON | {400: NEVER, 410: NEVER, 422: NEVER}


def outcome(error: NotifyError | None) -> tuple[bool, str] | None:
    """(retryable, reason), or None for delivered."""
    return None if error is None else (error.retryable, error.reason)


def webhook(url: str, session: aiohttp.ClientSession) -> WebhookChannel:
    """A webhook channel to loopback."""
    settings = WebhookSettings(
        url=SecretStr(url), secret=SecretSource(env="HOOK"), allow_loopback=True
    )
    return WebhookChannel(settings, session, secrets=[SECRET], now=lambda: START_NS)


@pytest.mark.parametrize(("status", "expected"), sorted(ALERTMANAGER.items()))
async def test_alertmanager_statuses(status: int, expected: tuple[bool, str] | None) -> None:
    """What each answer of an Alertmanager means for the alert."""
    async with serving(Answer(status)) as server, aiohttp.ClientSession() as session:
        settings = AlertmanagerSettings(urls=[server.url])
        channel = AlertmanagerChannel(settings, session, now=lambda: START_NS)
        (error,) = await channel.send([notice()])
    assert outcome(error) == expected


@pytest.mark.parametrize(("status", "expected"), sorted(WEBHOOK.items()))
async def test_webhook_statuses(status: int, expected: tuple[bool, str] | None) -> None:
    """What each answer of a webhook's endpoint means; only 410 disables it."""
    async with (
        serving(Answer(status)) as server,
        guarded_session(TargetPolicy(allow_loopback=True)) as session,
    ):
        channel = webhook(server.url, session)
        (error,) = await channel.send([notice()])
    assert outcome(error) == expected
    assert bool(channel.disabled) == (status == 410)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_retry_after_is_passed_on(status: int) -> None:
    """Both channels hand the server's wish to the queue."""
    answer = Answer(status, headers={"Retry-After": "17"})
    async with (
        serving(answer) as server,
        guarded_session(TargetPolicy(allow_loopback=True)) as session,
    ):
        settings = AlertmanagerSettings(urls=[server.url])
        alertmanager = AlertmanagerChannel(settings, session, now=lambda: START_NS)
        for channel in (alertmanager, webhook(server.url, session)):
            (error,) = await channel.send([notice()])
            assert error is not None
            assert error.retry_after_s == 17.0


def test_an_unfinished_exchange_is_tried_again() -> None:
    """1xx as a final answer is a broken server, not a verdict."""
    assert outcome(judge_status(103, who="x")) == (True, "server")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        ("Sat, 21 Nov 2026 14:05:00 GMT", 60.0),
        ("Sat, 21 Nov 2026 14:03:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(text: str | None, seconds: float | None) -> None:
    """Both forms of RFC 9110; the past is now, nonsense is nothing."""
    now = datetime(2026, 11, 21, 14, 4, tzinfo=UTC)
    assert parse_retry_after(text, now=now) == seconds
