"""Signed webhooks by Standard Webhooks 1.0.0, one notice per request.

``webhook-id`` is the notice's id and stays the same however often it is tried, so a receiver can
drop repeats; ``webhook-timestamp`` is this attempt's; the signature covers both and the very bytes
of the body. HTTPS only, no redirects, public targets only, unless the operator says otherwise.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable, Sequence
from typing import Annotated
from urllib.parse import urlsplit

import aiohttp
import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from monitor import __version__
from monitor.core.errors import ConfigError, NotifyError
from monitor.core.signatures import sign
from monitor.core.types import SECOND_NS, EngineNs
from monitor.notify.channel import judge_exception, judge_status
from monitor.notify.notice import Notice, rfc3339, shorten
from monitor.notify.secret import SecretSource
from monitor.notify.target import Network, TargetPolicy, TargetRefused

BODY_BYTES_MAX = 20 * 1024
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix by which the standard's secrets are known
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class WebhookSettings(BaseModel):
    """One entry of the ``webhooks`` section of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")] = "webhook"
    url: SecretStr
    """Where to post. Kept secret: many addresses hold a token."""
    secret: SecretSource
    """A ``whsec_…`` secret of 24 to 64 random bytes in base64."""
    previous_secret: SecretSource | None = None
    """During rotation: signs as well, until every receiver knows the new one."""
    timeout_s: Annotated[float, Field(gt=0, le=15)] = 15.0
    allow_loopback: bool = False
    allow_networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    """Private networks that may be reached, such as 10.20.0.0/16."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        if not parts.hostname or parts.scheme not in {"http", "https"}:
            raise ValueError("a webhook address starts with https://")
        if parts.username or parts.password:
            raise ValueError("no user or password in the address; the signature proves the sender")
        return url

    @model_validator(mode="after")
    def _check_target(self) -> WebhookSettings:
        parts = urlsplit(self.url.get_secret_value())
        host = parts.hostname or ""
        if parts.scheme == "http" and not (self.allow_loopback and host in LOOPBACK_NAMES):
            raise ValueError("http is allowed to a loopback address with allow_loopback only")
        try:
            self.target_policy().check_host(host)
        except TargetRefused:
            raise ValueError("private address; list its network in allow_networks") from None
        return self

    def target_policy(self) -> TargetPolicy:
        """What the HTTP client of this webhook may reach."""
        networks: list[Network] = list(self.allow_networks)
        return TargetPolicy(allow_loopback=self.allow_loopback, allow_networks=networks)


class WebhookChannel:
    """Signs and posts. Implements ``Channel``."""

    batch_max = 1

    def __init__(
        self,
        settings: WebhookSettings,
        session: aiohttp.ClientSession,
        *,
        secrets: Sequence[SecretStr],
        now: Callable[[], EngineNs],
        to_wall_ns: Callable[[EngineNs], int] = int,
    ) -> None:
        """Make the channel; nothing is sent yet.

        Args:
            settings: Address and deadline.
            session: Made by ``target.guarded_session(settings.target_policy())``.
            secrets: The secret that signs, and during rotation the previous one after it.
            now: Engine time.
            to_wall_ns: Engine time to wall time, for a world that runs faster than the wall.

        Raises:
            ConfigError: If a secret is not a ``whsec_`` secret of the right length.
        """
        self.name = settings.name
        self._url = settings.url
        self._policy = settings.target_policy()
        self._host = urlsplit(settings.url.get_secret_value()).hostname or ""
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        self._session = session
        if not secrets:
            raise ConfigError(f"The webhook {self.name} has no secret to sign with.")
        self._keys = tuple(_Key(decode_secret(secret, what=self.name)) for secret in secrets)
        self._now = now
        self._to_wall_ns = to_wall_ns
        self._gone = ""

    @property
    def disabled(self) -> str:
        """Set for good by a 410."""
        return self._gone

    async def send(self, notices: Sequence[Notice]) -> tuple[NotifyError | None, ...]:
        """Post one after the other."""
        return tuple([await self._send_one(notice) for notice in notices])

    async def _send_one(self, notice: Notice) -> NotifyError | None:
        who = f"Webhook {self.name}"
        if self._gone:
            return NotifyError(self._gone, retryable=False, reason="client")
        body = render_body(notice, self._to_wall_ns)
        timestamp = self._to_wall_ns(self._now()) // SECOND_NS
        try:
            self._policy.check_host(self._host)
            async with self._session.post(
                self._url.get_secret_value(),
                data=body,
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": f"riskd/{__version__}",
                    "webhook-id": notice.id,
                    "webhook-timestamp": str(timestamp),
                    "webhook-signature": self._signatures(notice.id, timestamp, body),
                },
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                status, retry_after = response.status, response.headers.get("Retry-After")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if refused := _refusal(error):
                text = f"{who} was not sent: {refused}. List its network in allow_networks."
                return NotifyError(text, retryable=False, reason="client")
            return judge_exception(error, who=who)
        if status == 410:
            self._gone = (
                f"{who} is disabled: its endpoint answered 410 Gone. "
                "Remove it from the configuration or give it a new address."
            )
            return NotifyError(self._gone, retryable=False, reason="client")
        return judge_status(status, who=who, retry_after=retry_after)

    def _signatures(self, message_id: str, timestamp: int, body: bytes) -> str:
        return " ".join(sign(key.value, message_id, timestamp, body) for key in self._keys)


class _Key:
    """Key bytes that do not show in a repr."""

    __slots__ = ("value",)

    def __init__(self, value: bytes) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "_Key(**********)"


def decode_secret(secret: SecretStr, *, what: str) -> bytes:
    """The key bytes of a ``whsec_`` secret.

    Raises:
        ConfigError: If prefix, base64 or length is wrong; the text does not show the secret.
    """
    text = secret.get_secret_value()
    wanted = (
        f"The secret of webhook {what} must be {SECRET_PREFIX} and then "
        f"{SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} random bytes in base64"
    )
    if not text.startswith(SECRET_PREFIX):
        raise ConfigError(f"{wanted}; it does not begin with {SECRET_PREFIX}.")
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"{wanted}; what follows the prefix is not base64.") from None
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise ConfigError(f"{wanted}; it has {len(key)} bytes.")
    return key


def render_body(notice: Notice, to_wall_ns: Callable[[EngineNs], int] = int) -> bytes:
    """The envelope, at most 20 KB: long texts are cut, never the identity or the summary."""
    for length in (None, 4000, 500, 100):
        body = orjson.dumps(_envelope(notice, to_wall_ns, length), option=orjson.OPT_SORT_KEYS)
        if len(body) <= BODY_BYTES_MAX:
            return body
    return orjson.dumps(_envelope(notice, to_wall_ns, 0), option=orjson.OPT_SORT_KEYS)


def _envelope(
    notice: Notice, to_wall_ns: Callable[[EngineNs], int], length: int | None
) -> dict[str, object]:
    def cut(text: str) -> str:
        return text if length is None else shorten(text, length) if length else ""

    labels = {name: cut(value) or shorten(value, 50) for name, value in notice.labels}
    annotations = {
        name: text if name == "summary" else cut(text) for name, text in notice.annotations
    }
    counts = notice.counts if length is None else notice.counts[:50]
    return {
        "type": notice.kind.value,
        "timestamp": rfc3339(to_wall_ns(notice.at_ns)),
        "data": {
            "dedup_key": notice.dedup_key,
            "severity": notice.severity.value,
            "labels": labels,
            "annotations": annotations,
            "starts_at": rfc3339(to_wall_ns(notice.starts_ns)),
            "ended_at": None if notice.ended_ns is None else rfc3339(to_wall_ns(notice.ended_ns)),
            "counts": dict(counts),
        },
    }


def _refusal(error: BaseException) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return str(cause) if isinstance(cause, TargetRefused) else ""
