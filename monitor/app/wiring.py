"""The only place where things are constructed: a configuration in, the parts of a daemon out."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
from pydantic import SecretStr

from monitor.app.degraded import Degraded
from monitor.config import Config
from monitor.core.errors import ConfigError
from monitor.core.ports import Clock, Venue
from monitor.core.settings import EngineSettings
from monitor.core.types import EngineNs, Severity
from monitor.notify.alertmanager import AlertmanagerChannel, AlertmanagerSettings
from monitor.notify.alerts import DispatchPolicy, Route
from monitor.notify.channel import Channel
from monitor.notify.queue import QueuePolicy
from monitor.notify.secret import SecretSource
from monitor.notify.sender import LanePlan, Sender, SenderObserver
from monitor.notify.target import guarded_session
from monitor.notify.webhook import WebhookChannel, WebhookSettings, decode_secret
from monitor.server.settings import ServerSettings, checked_token
from monitor.store.database import Store
from monitor.venues.dydx.venue import DydxVenue
from monitor.venues.hyperliquid.venue import HyperliquidVenue

ALERTMANAGER = "alertmanager"
ToWall = Callable[[EngineNs], int]


def build_venues(config: Config) -> tuple[Venue, ...]:
    """The configured venues."""
    venues: list[Venue] = []
    if config.venues.hyperliquid is not None:
        venues.append(HyperliquidVenue(config.venues.hyperliquid))
    if config.venues.dydx is not None:
        venues.append(DydxVenue(config.venues.dydx))
    return tuple(venues)


def engine_settings(config: Config) -> EngineSettings:
    """What the core must know before the first event."""
    accounts: list[tuple[str, str]] = []
    names: list[str] = []
    for name, venue in (
        ("hyperliquid", config.venues.hyperliquid),
        ("dydx", config.venues.dydx),
    ):
        if venue is not None:
            names.append(name)
            accounts += [(name, account.alias) for account in venue.accounts]
    return EngineSettings(
        accounts=tuple(accounts),
        venues=tuple(names),
        validated=("dydx",) if (dydx := config.venues.dydx) and dydx.validator_urls else (),
        freshness=config.freshness.settings(),
        funding_expensive_per_year=config.funding.expensive_per_year,
        leverage=config.leverage.settings(),
        margin=config.margin.settings(),
        oracles=config.oracles.settings(),
        carry=config.carry.settings(),
        trades=config.trades.settings(),
        funding_stress=config.funding_stress.settings(),
        structure=config.structure.settings(config.kill.named_hedge_sets()),
        acting=config.mode != "observe",
        # A word about one scope alone is the kill machine's to know.
        rule_modes=tuple((one.rule, one.mode) for one in config.kill.rules if not one.scope),
    )


def runbook_base_url(config: Config, server_url: str) -> str:
    """Where a page's runbook is read: the desk's own place, else riskd serves them itself; empty
    where it listens everywhere, for then nobody but the desk knows how it is reached: a page names
    its runbook without a link sooner than with a dead one."""
    own = f"{server_url}/runbooks" if server_url and not config.server.everywhere else ""
    return config.notify.runbook_base_url or own


def dispatch_policy(config: Config, *, server_url: str = "") -> DispatchPolicy:
    """Which channel hears what. Alertmanager holds alert state and is told everything; what is for
    the record alone (info) wakes nobody behind a webhook."""
    alertmanager = config.notify.alertmanager
    routes = [Route(channel=ALERTMANAGER, holds_state=True)] if alertmanager else []
    routes += [
        Route(channel=webhook.name, severity_min=Severity.WARNING)
        for webhook in config.notify.webhooks
    ]
    policy = DispatchPolicy(
        deployment=config.desk,
        routes=tuple(routes),
        runbook_base_url=runbook_base_url(config, server_url),
        dashboard_url=config.notify.dashboard_url or "",
    )
    if alertmanager is None:
        return policy
    return msgspec.structs.replace(
        policy,
        resend_critical_s=alertmanager.resend_critical_s,
        resend_s=alertmanager.resend_s,
    )


def build_sender(
    config: Config,
    session: aiohttp.ClientSession,
    store: Store,
    *,
    clock: Clock,
    to_wall_ns: ToWall,
    observer: SenderObserver,
    base: Path,
    degraded: Degraded,
    server_url: str = "",
) -> tuple[Sender, tuple[aiohttp.ClientSession, ...]]:
    """The sender with its channels, and the guarded sessions to close after it.

    Secrets' files are beside the configuration, in ``base``. A channel whose secret is missing is
    left out where ``degraded`` forgives that.

    Raises:
        ConfigError: If a secret is missing or malformed.
    """
    channels: list[tuple[Channel, bool]] = []
    sessions: list[aiohttp.ClientSession] = []
    meanwhile = "Pages do not go there. Mend the secret and start riskd again."
    if config.notify.alertmanager is not None:
        made = degraded.attempt(
            f"channel-{ALERTMANAGER}",
            partial(_alertmanager, config.notify.alertmanager, session, clock, to_wall_ns, base),
            meanwhile=meanwhile,
        )
        if made is not None:
            channels.append((made, True))
    # All secrets before the first session: a refusal leaves none open.
    secrets = [
        (
            webhook,
            degraded.attempt(
                f"channel-{webhook.name}", partial(_secrets, webhook, base), meanwhile=meanwhile
            ),
        )
        for webhook in config.notify.webhooks
    ]
    for webhook, keys in secrets:
        if keys is None:
            continue
        guarded = guarded_session(webhook.target_policy())
        sessions.append(guarded)
        hook = WebhookChannel(webhook, guarded, secrets=keys, now=clock.now, to_wall_ns=to_wall_ns)
        channels.append((hook, False))
    names = [channel.name for channel, _ in channels]
    plans = [
        LanePlan(
            channel=channel,
            policy=QueuePolicy(
                channel=channel.name,
                deployment=config.desk,
                holds_state=holds_state,
                runbook_base_url=runbook_base_url(config, server_url),
            ),
            # What one channel cannot deliver goes to the next; the last has the first behind it.
            escalate_to=names[(index + 1) % len(names)] if len(names) > 1 else "",
        )
        for index, (channel, holds_state) in enumerate(channels)
    ]
    sender = Sender(plans, store, clock=clock, jitter=random.random, observer=observer)
    return sender, tuple(sessions)


def _alertmanager(
    settings: AlertmanagerSettings,
    session: aiohttp.ClientSession,
    clock: Clock,
    to_wall_ns: ToWall,
    base: Path,
) -> AlertmanagerChannel:
    bearer = settings.bearer_token
    return AlertmanagerChannel(
        settings,
        session,
        now=clock.now,
        to_wall_ns=to_wall_ns,
        bearer_token=read_secret(bearer, base=base, what=ALERTMANAGER) if bearer else None,
        name=ALERTMANAGER,
    )


def _secrets(webhook: WebhookSettings, base: Path) -> list[SecretStr]:
    sources = [webhook.secret, *([webhook.previous_secret] if webhook.previous_secret else [])]
    what = f"webhook {webhook.name}"
    found = [read_secret(source, base=base, what=what) for source in sources]
    for secret in found:
        decode_secret(secret, what=webhook.name)
    return found


def read_secret(
    source: SecretSource,
    *,
    base: Path,
    what: str,
    environment: Mapping[str, str] = os.environ,
) -> SecretStr:
    """A secret; a file of a relative name is beside the configuration, in ``base``.

    Raises:
        ConfigError: If it is missing or empty; ``what`` says what it is for.
    """
    if source.file is not None:
        source = source.model_copy(update={"file": base / source.file})
    return source.read(environment, what=what)


def read_token(
    settings: ServerSettings, base: Path, *, environment: Mapping[str, str] = os.environ
) -> SecretStr | None:
    """The server's read token, if one is configured; its file is beside the configuration.

    Raises:
        ConfigError: If it cannot be read or is too short.
    """
    try:
        if settings.read_token_file:
            path = base / settings.read_token_file
            return checked_token(path.read_text(encoding="utf-8"), origin=str(path))
        if settings.read_token_env:
            name = settings.read_token_env
            return checked_token(environment.get(name, ""), origin=f"${name}")
    except OSError as error:
        raise ConfigError(
            f"The read token cannot be read from {settings.read_token_file}: {error.strerror}."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The read token in {settings.read_token_file} is not text.") from error
    except ValueError as error:
        raise ConfigError(f"{error}.") from error
    return None
