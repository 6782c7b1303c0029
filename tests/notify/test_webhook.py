"""Signed webhooks, verified by a receiver written from the specification; targets; secrets."""

from __future__ import annotations

import base64
import ipaddress
import json
import logging
import socket
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from monitor.core.errors import ConfigError
from monitor.core.types import SECOND_NS
from monitor.notify.notice import Notice, NoticeKind
from monitor.notify.secret import SecretSource
from monitor.notify.target import GuardedResolver, TargetPolicy, TargetRefused, guarded_session
from monitor.notify.webhook import (
    BODY_BYTES_MAX,
    WebhookChannel,
    WebhookSettings,
    decode_secret,
    render_body,
    sign,
)
from tests.notify.fakes import START_NS, notice
from tests.notify.servers import Answer, Server, serving
from tests.notify.verify import Refused, verify

LOOPBACK = TargetPolicy(allow_loopback=True)


def secret_of(byte: int, size: int = 32) -> str:
    """A secret of ``size`` equal bytes."""
    return "whsec_" + base64.b64encode(bytes([byte]) * size).decode()


NEW, OLD = secret_of(1), secret_of(2)


def channel(
    url: str, session: aiohttp.ClientSession, *secrets: str, now_ns: int = START_NS
) -> WebhookChannel:
    """A channel to loopback that signs with these secrets."""
    settings = WebhookSettings(
        url=SecretStr(url), secret=SecretSource(env="HOOK"), allow_loopback=True
    )
    kept = [SecretStr(one) for one in secrets or (NEW,)]
    return WebhookChannel(settings, session, secrets=kept, now=lambda: now_ns)


async def send(server: Server, *secrets: str, now_ns: int = START_NS, one: Notice | None = None):  # type: ignore[no-untyped-def]
    """One attempt against the server."""
    async with guarded_session(LOOPBACK) as session:
        return await channel(server.url, session, *secrets, now_ns=now_ns).send([one or notice()])


# -------------------------------------------------------------------------------- signature


def test_the_example_of_the_specification() -> None:
    """The published test vector of the standard's symmetric scheme."""
    key = decode_secret(SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), what="x")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_receiver_accepts_what_we_send() -> None:
    """Verified over the raw bytes; the id is the notice's."""
    async with serving() as server:
        assert await send(server) == (None,)
    (got,) = server.received
    verify(NEW, got.headers, got.body, now_s=START_NS // SECOND_NS)
    assert got.headers["webhook-id"] == "n1"
    assert got.headers["webhook-timestamp"] == str(START_NS // SECOND_NS)
    assert got.headers["content-type"] == "application/json"


async def test_a_receiver_refuses_what_was_altered_or_is_old() -> None:
    """Another byte, another secret, or another time."""
    async with serving() as server:
        await send(server)
    (got,) = server.received
    now_s = START_NS // SECOND_NS
    with pytest.raises(Refused, match="no signature"):
        verify(NEW, got.headers, got.body + b" ", now_s=now_s)
    with pytest.raises(Refused, match="no signature"):
        verify(OLD, got.headers, got.body, now_s=now_s)
    with pytest.raises(Refused, match="no signature"):
        verify(NEW, got.headers | {"webhook-id": "other"}, got.body, now_s=now_s)
    with pytest.raises(Refused, match="window"):
        verify(NEW, got.headers, got.body, now_s=now_s + 301)


async def test_rotation_signs_with_both_secrets() -> None:
    """A receiver that knows either secret accepts."""
    async with serving() as server:
        await send(server, NEW, OLD)
    (got,) = server.received
    for secret in (NEW, OLD):
        verify(secret, got.headers, got.body, now_s=START_NS // SECOND_NS)
    assert len(got.headers["webhook-signature"].split(" ")) == 2


async def test_a_retry_has_the_same_id_and_body_and_its_own_time() -> None:
    """A receiver can drop the repeat and still trust its time."""
    async with serving(Answer(503)) as server:
        await send(server)
        await send(server, now_ns=START_NS + 90 * SECOND_NS)
    first, second = server.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    times = [int(one.headers["webhook-timestamp"]) for one in (first, second)]
    assert times[1] - times[0] == 90
    verify(NEW, second.headers, second.body, now_s=times[1])


async def test_the_envelope() -> None:
    """Type, time of the event, and everything that is told."""
    one = notice("n1", kind=NoticeKind.RESOLVED)
    assert json.loads(render_body(one)) == {
        "type": "alert.resolved",
        "timestamp": "2026-11-21T14:03:11.482Z",
        "data": {
            "dedup_key": "riskd/desk/n1",
            "severity": "critical",
            "labels": {"alertname": "LeverageHigh", "severity": "critical", "test": "n1"},
            "annotations": {"description": "long text", "summary": "summary of n1"},
            "starts_at": "2026-11-21T14:03:11.482Z",
            "ended_at": "2026-11-21T14:03:11.482Z",
            "counts": {},
        },
    }


@pytest.mark.parametrize("size", [100, 19_000, 25_000, 1_000_000])
def test_a_body_has_at_most_20_kb(size: int) -> None:
    """Long texts are cut; identity and summary are not."""
    base = notice()
    texts = tuple(sorted({"description": "é" * size, "value": "v" * size, "summary": "s"}.items()))
    one = Notice(
        **{name: getattr(base, name) for name in base.__struct_fields__ if name != "annotations"},
        annotations=texts,
    )
    body = render_body(one)
    assert len(body) <= BODY_BYTES_MAX
    data = json.loads(body)["data"]
    assert data["labels"] == dict(base.labels)
    assert data["dedup_key"] == base.dedup_key
    assert data["annotations"]["summary"] == "s"


# ---------------------------------------------------------------------------------- answers


async def test_redirects_are_not_followed() -> None:
    """The place it points to never hears of it."""
    async with serving() as elsewhere:
        async with serving(Answer(302, headers={"Location": elsewhere.url})) as server:
            (error,) = await send(server)
        assert error is not None
        assert not error.retryable
        assert elsewhere.received == []


async def test_410_disables_the_endpoint_for_good() -> None:
    """Nothing is sent after it, and the text says what to do."""
    async with serving(Answer(410)) as server, guarded_session(LOOPBACK) as session:
        one = channel(server.url, session)
        assert one.disabled == ""
        await one.send([notice("a")])
        await one.send([notice("b")])
    assert len(server.received) == 1
    assert "410 Gone" in one.disabled
    assert "configuration" in one.disabled


# ---------------------------------------------------------------------------------- targets


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("::1", False),
        ("0.0.0.0", False),  # noqa: S104 - refused
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("255.255.255.255", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("2002:0a00:0001::1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::5db8:d822", True),
    ],
)
def test_only_public_addresses_are_reached(address: str, allowed: bool) -> None:
    """Private, link-local, metadata, multicast, and IPv6 forms that stand for them."""
    assert TargetPolicy().allows(ipaddress.ip_address(address)) == allowed


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.20.0.1", True),
        ("10.20.255.255", True),
        ("10.21.0.0", False),
        ("::ffff:10.20.0.1", True),
    ],
)
def test_listed_networks_are_reached(address: str, allowed: bool) -> None:
    """Both sides of a listed network."""
    policy = TargetPolicy(allow_networks=[ipaddress.ip_network("10.20.0.0/16")])
    assert policy.allows(ipaddress.ip_address(address)) == allowed


class FixedResolver(AbstractResolver):
    """Answers every name with these addresses."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=one, port=port, family=family, proto=0, flags=0)
            for one in self._addresses
        ]

    async def close(self) -> None:
        return None


async def test_a_name_is_judged_by_what_it_resolves_to() -> None:
    """Private addresses are dropped from the answer; a name with no other is refused."""
    resolver = GuardedResolver(TargetPolicy(), FixedResolver("10.0.0.1", "93.184.216.34"))
    assert [one["host"] for one in await resolver.resolve("mixed.example")] == ["93.184.216.34"]
    resolver = GuardedResolver(TargetPolicy(), FixedResolver("169.254.169.254"))
    with pytest.raises(TargetRefused, match=r"evil\.example resolves to a private"):
        await resolver.resolve("evil.example")


async def test_a_name_that_resolves_inside_is_never_connected_to() -> None:
    """Through the whole client: refused for good, and the server never hears of it."""
    async with serving() as server:
        port = server.url.rpartition(":")[2]
        settings = WebhookSettings(
            url=SecretStr(f"https://hooks.example:{port}/x"), secret=SecretSource(env="HOOK")
        )
        connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(settings.target_policy(), FixedResolver("127.0.0.1"))
        )
        async with aiohttp.ClientSession(connector=connector) as session:
            one = WebhookChannel(settings, session, secrets=[SecretStr(NEW)], now=lambda: START_NS)
            (error,) = await one.send([notice()])
        assert server.received == []
    assert error is not None
    assert not error.retryable
    assert "private or reserved" in str(error)


# --------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"url": "http://hooks.example/x"}, "http is allowed to a loopback"),
        ({"url": "http://127.0.0.1/x"}, "http is allowed to a loopback"),
        ({"url": "http://hooks.example/x", "allow_loopback": True}, "http is allowed to a loop"),
        ({"url": "https://127.0.0.1/x"}, "private address"),
        ({"url": "https://10.0.0.1/x"}, "private address"),
        ({"url": "https://[::ffff:169.254.169.254]/x"}, "private address"),
        ({"url": "https://user:tok3n@hooks.example/"}, "no user or password"),
        ({"url": "ftp://hooks.example/tok3n"}, "starts with https"),
        ({"url": "hooks.example/tok3n"}, "starts with https"),
        ({"url": "https://hooks.example/tok3n", "timeout_s": 16}, "less than or equal to 15"),
        ({"url": "https://hooks.example/tok3n", "secret": {}}, "either env or file"),
        (
            {"url": "https://hooks.example/tok3n", "secret": {"env": "A", "file": "b"}},
            "either env or file",
        ),
        ({"url": "https://hooks.example/tok3n", "colour": "red"}, "Extra inputs"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, object], says: str) -> None:
    """Each mistake is named, and no address is shown in the text."""
    with pytest.raises(ValidationError, match=says) as caught:
        WebhookSettings.model_validate({"secret": {"env": "HOOK"}} | settings)
    assert "tok3n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "https://hooks.example/x"},
        {"url": "http://127.0.0.1:8080/x", "allow_loopback": True},
        {"url": "http://localhost/x", "allow_loopback": True},
        {"url": "http://[::1]/x", "allow_loopback": True},
        {"url": "https://10.20.1.1/x", "allow_networks": ["10.20.0.0/16"]},
    ],
)
def test_settings_that_are_taken(settings: dict[str, object]) -> None:
    """HTTPS anywhere public; plain HTTP to loopback where said; listed networks."""
    WebhookSettings.model_validate({"secret": {"env": "HOOK"}} | settings)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "does not begin with whsec_"),
        ("whsec_not base64!", "is not base64"),
        (secret_of(7, 23), "it has 23 bytes"),
        (secret_of(7, 65), "it has 65 bytes"),
    ],
)
def test_a_secret_that_is_none(text: str, says: str) -> None:
    """What is wrong is said; the secret is not."""
    with pytest.raises(ConfigError, match=says) as caught:
        decode_secret(SecretStr(text), what="ops")
    assert text not in str(caught.value)


@pytest.mark.parametrize("size", [24, 64])
def test_both_ends_of_the_length_of_a_secret(size: int) -> None:
    """24 and 64 bytes are taken."""
    assert decode_secret(SecretStr(secret_of(7, size)), what="ops") == bytes([7]) * size


def test_a_secret_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """Blanks around it are dropped; a missing or empty one is the operator's to mend."""
    path = tmp_path / "secret"
    path.write_text(f"{NEW}\n")
    assert SecretSource(file=path).read({}, what="x").get_secret_value() == NEW
    assert SecretSource(env="HOOK").read({"HOOK": NEW}, what="x").get_secret_value() == NEW
    for source in (SecretSource(env="HOOK"), SecretSource(file=tmp_path / "none")):
        with pytest.raises(ConfigError, match=r"secret of webhook ops"):
            source.read({"HOOK": " "}, what="webhook ops")


async def test_nothing_secret_is_shown_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    """Not in reprs of settings or channel, not in errors, not in any log."""
    caplog.set_level(logging.DEBUG)
    token = "pa7h-t0ken"  # noqa: S105 - made up
    with capture_logs() as logs:
        async with serving(Answer(403)) as server, guarded_session(LOOPBACK) as session:
            url = f"{server.url}/{token}"
            settings = WebhookSettings(
                url=SecretStr(url), secret=SecretSource(env="HOOK"), allow_loopback=True
            )
            one = WebhookChannel(settings, session, secrets=[SecretStr(NEW)], now=lambda: START_NS)
            (refused,) = await one.send([notice()])
        async with guarded_session(LOOPBACK) as session:
            gone = WebhookChannel(settings, session, secrets=[SecretStr(NEW)], now=lambda: 0)
            (unreachable,) = await gone.send([notice()])
    shown = " ".join(
        [
            repr(settings),
            str(settings),
            settings.model_dump_json(),
            repr(one),
            repr(vars(one)),
            f"{refused} {refused!r} {unreachable} {unreachable!r}",
            str(logs),
            caplog.text,
        ]
    )
    key = NEW.removeprefix("whsec_")
    for secret in (token, key, repr(base64.b64decode(key))[2:-1]):
        assert secret not in shown
