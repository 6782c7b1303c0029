"""What lets riskd act, made from the configuration: executors, and who may command.

None of it exists in mode ``observe``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import aiohttp

from monitor.actions.desk import DeskExecutor, TruthSource
from monitor.actions.hyperliquid import HyperliquidExecutor
from monitor.actions.nonces import NonceBook
from monitor.actions.policy import KillSettings
from monitor.actions.settings import acting_accounts, exchange_url
from monitor.actions.signer import SOCKET_NAME
from monitor.actions.signer_client import SignerClient
from monitor.app.degraded import Degraded
from monitor.app.permitted import rights_of
from monitor.app.wiring import read_secret
from monitor.config import Config
from monitor.core.events import Event, OrderAnswered
from monitor.core.killswitch.policy import DaemonMode, KillPolicy
from monitor.core.ports import Clock
from monitor.core.types import EngineNs
from monitor.notify.secret import SecretSource
from monitor.notify.target import guarded_session
from monitor.notify.webhook import WebhookSettings, decode_secret
from monitor.runtime.budget import RequestBudget
from monitor.runtime.http import HttpClient
from monitor.server.settings import OperatorSettings
from monitor.venues.hyperliquid.settings import REST_URLS, VENUE

NONCES_NAME = "nonces.json"


def kill_policy(config: Config) -> KillPolicy:
    """What the desk allows the kill switch."""
    return config.kill.policy(
        DaemonMode(config.mode),
        principals=tuple(one.name for one in config.operators),
        rights=rights_of(config.operators),
    )


def build_executors(
    config: Config,
    *,
    http: HttpClient,
    budgets: Mapping[str, RequestBudget],
    clock: Clock,
    data: Path,
    signer: SignerClient,
    tell: Callable[[tuple[Event, ...]], object],
) -> tuple[HyperliquidExecutor, ...]:
    """The hands; none in ``observe``.

    Args:
        config: The whole.
        http: A client whose connections nobody else uses.
        budgets: Of each venue, shared with its reads.
        clock: Engine time.
        data: The data directory, where nonces are kept.
        signer: Whom to ask for signatures.
        tell: Takes how long the venue's answers took.

    Raises:
        ConfigError: If the mode forbids where actions would go, or an account is unknown.
    """
    settings, venue = config.actions.hyperliquid, config.venues.hyperliquid
    if config.mode == "observe" or settings is None or venue is None:
        return ()
    base = venue.rest_url or REST_URLS[venue.network]

    def answered(took_s: float) -> None:
        # Not from within: what the state makes of it must not keep a reply from the kill path.
        told = (OrderAnswered(venue=VENUE, channel="", took_s=took_s),)
        asyncio.get_running_loop().call_soon(tell, told)

    return (
        HyperliquidExecutor(
            settings,
            acting_accounts(settings, venue),
            info_url=f"{base}/info",
            exchange_url=exchange_url(config.mode, venue),
            http=http,
            budget=budgets["hyperliquid"],
            clock=clock,
            signer=signer,
            nonces=NonceBook(data / NONCES_NAME, now_ms=clock.now() // 1_000_000),
            on_answer=answered,
        ),
    )


def signer_client(data: Path) -> SignerClient:
    """The signer whose socket is in the data directory; it need not run yet."""
    return SignerClient(data / SOCKET_NAME)


def build_desks(
    config: Config,
    *,
    base: Path,
    clock: Clock,
    to_wall_ns: Callable[[EngineNs], int],
    truth: TruthSource,
    degraded: Degraded,
    environment: Mapping[str, str] = os.environ,
) -> tuple[tuple[DeskExecutor, aiohttp.ClientSession], ...]:
    """The desk's own systems as hands, each with the session to close after it; none in
    ``observe``. One whose secret is missing is left out where ``degraded`` forgives that.

    Raises:
        ConfigError: If a secret is missing or malformed.
    """
    if config.mode == "observe":
        return ()
    made = []
    # All secrets before the first session: a refusal leaves none open.
    secrets = [
        degraded.attempt(
            f"desk-{one.webhook.name}",
            partial(webhook_keys, one.webhook, base=base, what="desk", environment=environment),
            meanwhile=f"Nothing acts for its accounts at {one.venue}: act there by hand. Mend the "
            "secret and start riskd again.",
        )
        for one in config.actions.desks
    ]
    for settings, keys in zip(config.actions.desks, secrets, strict=True):
        if keys is None:
            continue
        webhook = settings.webhook
        policy = webhook.target_policy()
        session = guarded_session(policy)
        executor = DeskExecutor(
            settings,
            url=webhook.url.get_secret_value(),
            keys=keys,
            session=session,
            targets=policy,
            truth=truth,
            clock=clock,
            to_wall_ns=to_wall_ns,
        )
        made.append((executor, session))
    return tuple(made)


def operator_keys(
    operators: Sequence[OperatorSettings],
    *,
    base: Path,
    environment: Mapping[str, str] = os.environ,
) -> dict[str, tuple[bytes, ...]]:
    """Name and keys (present, previous) of everybody who may command by signed HTTP.

    Raises:
        ConfigError: If a secret is missing or malformed.
    """
    keys = {}
    for one in operators:
        what = f"operator {one.name}"
        sources = [SecretSource(file=_path(one.secret_file), env=one.secret_env)]
        if one.previous_secret_file or one.previous_secret_env:
            sources.append(
                SecretSource(file=_path(one.previous_secret_file), env=one.previous_secret_env)
            )
        keys[one.name] = tuple(
            decode_secret(
                read_secret(source, base=base, what=what, environment=environment), what=what
            )
            for source in sources
        )
    return keys


def webhook_keys(
    webhook: WebhookSettings,
    *,
    base: Path,
    what: str,
    environment: Mapping[str, str] = os.environ,
) -> tuple[bytes, ...]:
    """What messages to one receiver are signed with; ``what`` it receives, for the error text.

    Raises:
        ConfigError: If a secret is missing or malformed.
    """
    what = f"{what} webhook {webhook.name}"
    sources = [webhook.secret, *([webhook.previous_secret] if webhook.previous_secret else [])]
    return tuple(
        decode_secret(
            read_secret(source, base=base, what=what, environment=environment), what=webhook.name
        )
        for source in sources
    )


def lease_key(
    kill: KillSettings, *, base: Path, environment: Mapping[str, str] = os.environ
) -> bytes | None:
    """What leases over a planned restart are signed with; None where none are given.

    Raises:
        ConfigError: If the secret is missing or malformed.
    """
    if kill.lease_secret_file is None and kill.lease_secret_env is None:
        return None
    source = SecretSource(file=_path(kill.lease_secret_file), env=kill.lease_secret_env)
    what = "the restart lease"
    return decode_secret(
        read_secret(source, base=base, what=what, environment=environment), what=what
    )


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)
