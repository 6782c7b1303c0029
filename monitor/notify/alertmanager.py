"""Alertmanager v2: every member of the cluster is told, one acceptance is success.

A 400 is partial: Alertmanager keeps the valid alerts of the batch and refuses the rest, so the
offenders are found by halving, dropped and named; the batch is never sent in a loop. Alertmanager
takes an alert for resolved when nobody repeats it: ``endsAt`` is what the notice says it may hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated
from urllib.parse import urlsplit

import aiohttp
import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from monitor.core.errors import NotifyError
from monitor.core.types import SECOND_NS, EngineNs
from monitor.notify.channel import judge_exception, judge_status
from monitor.notify.notice import Notice, rfc3339
from monitor.notify.secret import SecretSource

BATCH_MAX = 256
MEMBER_GRACE_S = 2.0  # how much longer than the first acceptance the other members may take
OFFENDERS_MAX = 32  # more than this is no bad alert but a bad endpoint
REASON_MAX = 300


class AlertmanagerSettings(BaseModel):
    """The ``alertmanager`` section of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    urls: Annotated[list[str], Field(min_length=1)]
    """Base address of every member, never of a load balancer: ``http://am-1:9093``."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    resend_critical_s: Annotated[float, Field(ge=5, le=300)] = 30.0
    resend_s: Annotated[float, Field(ge=5, le=300)] = 60.0
    bearer_token: SecretSource | None = None

    @field_validator("urls")
    @classmethod
    def _check_urls(cls, urls: list[str]) -> list[str]:
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError("an Alertmanager address starts with http:// or https://")
            if parts.username or parts.password:
                raise ValueError("no user or password in an address; use bearer_token")
            if parts.query or parts.fragment:
                raise ValueError("only the base address, such as http://127.0.0.1:9093")
        return [url.rstrip("/") for url in urls]


class AlertmanagerChannel:
    """Posts batches of alerts to all members. Implements ``Channel``."""

    batch_max = BATCH_MAX
    disabled = ""

    def __init__(
        self,
        settings: AlertmanagerSettings,
        session: aiohttp.ClientSession,
        *,
        now: Callable[[], EngineNs],
        to_wall_ns: Callable[[EngineNs], int] = int,
        bearer_token: SecretStr | None = None,
        name: str = "alertmanager",
    ) -> None:
        """Make the channel; nothing is sent yet.

        Args:
            settings: Members and deadlines.
            session: The process's HTTP client.
            now: Engine time; ``endsAt`` counts from the moment of sending.
            to_wall_ns: Engine time to wall time, for a world that runs faster than the wall.
            bearer_token: What ``settings.bearer_token`` read.
            name: Label of logs and metrics.
        """
        self.name = name
        self._session = session
        self._now = now
        self._to_wall_ns = to_wall_ns
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        self._members = tuple(settings.urls)
        self._token = bearer_token
        self.member_failures = dict.fromkeys(map(_host, self._members), 0)
        self.dropped = 0

    async def send(self, notices: Sequence[Notice]) -> tuple[NotifyError | None, ...]:
        """Post to every member; an alert is accepted when one of them took it."""
        now = self._now()
        alerts = [render_alert(notice, now, self._to_wall_ns) for notice in notices]
        answers = await self._everywhere(alerts)
        results: list[NotifyError | None] = []
        for position in range(len(notices)):
            outcomes = [answer[position] for answer in answers]
            results.append(_best(outcomes))
        self.dropped += sum(1 for error in results if error is not None and not error.retryable)
        return tuple(results)

    async def _everywhere(self, alerts: list[bytes]) -> list[list[NotifyError | None]]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._post_to(url, alerts), name=f"alertmanager:{_host(url)}")
                for url in self._members
            ]
            waiting = set(tasks)
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if any(error is None for task in done for error in task.result()):
                    break
            if waiting:  # one has it: a member that hangs must not hold up the next batch
                _, waiting = await asyncio.wait(waiting, timeout=MEMBER_GRACE_S)
                for task in waiting:
                    task.cancel()
        answers = []
        for url, task in zip(self._members, tasks, strict=True):
            late = NotifyError(f"{_who(url)} was too slow.", retryable=True, reason="timeout")
            answer: list[NotifyError | None] = [late] * len(alerts)
            if not task.cancelled():
                answer = task.result()
            if all(error is not None for error in answer):
                self.member_failures[_host(url)] += 1
            answers.append(answer)
        return answers

    async def _post_to(self, url: str, alerts: list[bytes]) -> list[NotifyError | None]:
        error = await self._post(url, alerts)
        if error is None or error.reason != "invalid":
            return [error] * len(alerts)
        results: list[NotifyError | None] = [None] * len(alerts)
        offenders = 0
        # Depth first, so that a single bad alert costs two requests for each halving.
        spans = [(0, len(alerts), error)]
        while spans:
            start, end, told = spans.pop()
            if end - start == 1 or offenders >= OFFENDERS_MAX:
                offenders += 1
                results[start:end] = [_refused(told)] * (end - start)
                continue
            middle = (start + end) // 2
            for left, right in ((middle, end), (start, middle)):
                half = await self._post(url, alerts[left:right])
                if half is not None and half.reason == "invalid":
                    spans.append((left, right, half))
                else:
                    results[left:right] = [half] * (right - left)
        return results

    async def _post(self, url: str, alerts: Sequence[bytes]) -> NotifyError | None:
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        try:
            async with self._session.post(
                f"{url}/api/v2/alerts",
                data=b"[" + b",".join(alerts) + b"]",
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                body = await response.content.read(REASON_MAX)
                status, retry_after = response.status, response.headers.get("Retry-After")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return judge_exception(error, who=_who(url))
        detail = " ".join(body.decode("utf-8", "replace").split())
        if status in {400, 422}:
            text = f"{_who(url)} refused the alert ({status}): {detail}"
            return NotifyError(text, retryable=False, reason="invalid")
        return judge_status(status, who=_who(url), detail=detail, retry_after=retry_after)


def render_alert(
    notice: Notice, now: EngineNs, to_wall_ns: Callable[[EngineNs], int] = int
) -> bytes:
    """One alert as Alertmanager v2 wants it, serialised.

    ``endsAt`` is the end of a resolved alert, and ``hold_s`` from now for one that fires: on the
    wall, where Alertmanager lives, also in a world that runs faster. Such a world may stall at any
    moment, and what would be held for its five minutes is then resolved by Alertmanager alone.
    """
    starts_ns = to_wall_ns(notice.starts_ns)
    if notice.ended_ns is None:
        ends_ns = to_wall_ns(now) + round(notice.hold_s * SECOND_NS)
    else:
        ends_ns = to_wall_ns(notice.ended_ns)
    alert: dict[str, object] = {
        "labels": dict(notice.labels),
        "annotations": dict(notice.annotations),
        "startsAt": rfc3339(starts_ns),
        "endsAt": rfc3339(max(ends_ns, starts_ns)),
    }
    link = notice.annotation("dashboard_url")
    if link.startswith(("http://", "https://")):
        alert["generatorURL"] = link
    return orjson.dumps(alert)


def _best(outcomes: Sequence[NotifyError | None]) -> NotifyError | None:
    """Accepted by one is accepted; else a member that may yet take it decides over one that
    refused."""
    errors = [error for error in outcomes if error is not None]
    if len(errors) < len(outcomes):
        return None
    return next((error for error in errors if error.retryable), errors[0])


def _refused(error: NotifyError) -> NotifyError:
    return NotifyError(str(error), retryable=False, reason="client")


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _who(url: str) -> str:
    return f"Alertmanager {_host(url)}"
