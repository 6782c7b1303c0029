"""Everything that ``riskd run`` refuses before it touches anything, found at once.

Beside the configuration's own text: the rulebook, the off-book legs, the read token and every
secret, each with the line that names it. What a secret holds is never shown. Paths are beside the
configuration.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from monitor.actions.policy import KillSettings
from monitor.app.hands import lease_key, operator_keys, webhook_keys
from monitor.app.legs import read_legs
from monitor.app.news_file import read_news
from monitor.app.rulebooks import refused_modes, rulebook_of
from monitor.app.stores import audit_key
from monitor.app.wiring import ALERTMANAGER, read_secret, read_token
from monitor.config import (
    ActionsSection,
    Config,
    Examined,
    RulesSection,
    TradingStateSection,
    examine_config,
    read_config,
)
from monitor.core.errors import ConfigError, Problem
from monitor.core.killswitch.scope import scope_parts
from monitor.core.operator import SCOPES
from monitor.core.rules import RuleBook
from monitor.core.types import PORTFOLIO, Subject
from monitor.core.yamltext import Path as KeyPath
from monitor.core.yamltext import YamlText, dotted
from monitor.notify.secret import SecretSource
from monitor.notify.webhook import WebhookSettings, decode_secret
from monitor.server.settings import OperatorSettings, ServerSettings

Model = TypeVar("Model", bound=BaseModel)


def check_configuration(
    path: Path, *, environment: Mapping[str, str] = os.environ
) -> tuple[Config, RuleBook]:
    """The configuration in a file and its rulebook, when a start would not be refused.

    Args:
        path: Of the configuration.
        environment: Where secrets named by variable are looked up.

    Raises:
        ConfigError: With every mistake, in this file and in those that it names.
    """
    examined = examine_config(read_config(path), source=str(path))
    base = path.resolve().parent
    problems = list(examined.problems)
    book: RuleBook | None = None
    rules = _section(RulesSection, examined.data.get("rules", {}))
    if rules is not None:
        try:
            book = rulebook_of(rules, base=base, document=examined.document)
        except ConfigError as error:
            problems += error.problems
    kill = _section(KillSettings, examined.data.get("kill", {}))
    if kill is not None and book is not None:
        problems += mode_mistakes(kill, examined.document, book)
    problems += _lists(examined, base)
    problems += _token(examined, base, environment)
    problems += _secrets(examined, base, environment)
    problems += _acting_secrets(examined, base, environment)
    if problems or examined.config is None or book is None:
        raise ConfigError(problems)
    return examined.config, book


def mode_mistakes(kill: KillSettings, document: YamlText, book: RuleBook) -> list[Problem]:
    """What the desk lets a rule do that it may never do, and words about no rule or no scope: what
    was meant to observe would act."""
    found = [("mode", index, message) for index, message in refused_modes(kill, book)]
    for index, one in enumerate(kill.rules):
        if book.get(one.rule) is None:
            found.append(("rule", index, "is the id of no rule of the rulebook."))
        try:
            scope_parts(Subject(one.scope or PORTFOLIO))
        except ValueError:
            message = f"is no scope. Allowed: {', '.join(SCOPES)}, position:V/A/M."
            found.append(("scope", index, message))
    return [
        Problem(
            where=document.where(("kill", "rules", index, key)),
            field=f"kill.rules[{index}].{key}",
            message=message,
            found=str(getattr(kill.rules[index], key)),
        )
        for key, index, message in found
    ]


def _section(model: type[Model], data: object) -> Model | None:
    """A section that is right by itself, whatever the others are."""
    try:
        return model.model_validate(data)
    except ValidationError:
        return None


def _lists(examined: Examined, base: Path) -> list[Problem]:
    """What the desk keeps beside its configuration: off-book legs and news."""
    problems: list[Problem] = []
    readers = (("off_book_legs_file", read_legs), ("news_flags_file", read_news))
    for key, read in readers:
        name = examined.data.get(key)
        if not isinstance(name, str):
            continue
        try:
            read(base / name)
        except ConfigError as error:
            problems += _placed(examined, (key,), error)
    return problems


def _token(examined: Examined, base: Path, environment: Mapping[str, str]) -> list[Problem]:
    server = _section(ServerSettings, examined.data.get("server", {}))
    if server is None:
        return []
    name = "read_token_file" if server.read_token_file else "read_token_env"
    try:
        read_token(server, base, environment=environment)
    except ConfigError as error:
        return _placed(examined, ("server", name), error)
    return []


def _secrets(examined: Examined, base: Path, environment: Mapping[str, str]) -> Iterator[Problem]:
    for path, what, data in _secret_sources(examined.data):
        source = _section(SecretSource, data)
        if source is None:
            continue  # told with the text of the configuration
        try:
            secret = read_secret(source, base=base, what=what, environment=environment)
            if what != ALERTMANAGER:
                decode_secret(secret, what=what.removeprefix("webhook "))
        except ConfigError as error:
            yield from _placed(examined, path, error)


def _acting_secrets(
    examined: Examined, base: Path, environment: Mapping[str, str]
) -> Iterator[Problem]:
    """Those of operators, the restart lease, the audit and of who is told the trading state. The
    signer's own key is not read here: it is for the signer's eyes alone."""
    rows = examined.data.get("operators")
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        operator = _section(OperatorSettings, row)
        if operator is not None:
            try:
                operator_keys([operator], base=base, environment=environment)
            except ConfigError as error:
                yield from _placed(examined, ("operators", index), error)
    kill = _section(KillSettings, examined.data.get("kill", {}))
    if kill is not None:
        for read in (lease_key, audit_key):
            try:
                read(kill, base=base, environment=environment)
            except ConfigError as error:
                yield from _placed(examined, ("kill",), error)
    told = _section(TradingStateSection, examined.data.get("trading_state", {}))
    hands = _section(ActionsSection, examined.data.get("actions", {}))
    receivers: list[tuple[KeyPath, str, WebhookSettings]] = [
        (("trading_state", "webhooks", index), "trading state", webhook)
        for index, webhook in enumerate(told.webhooks if told else ())
    ]
    receivers += [
        (("actions", "desks", index), "desk", desk.webhook)
        for index, desk in enumerate(hands.desks if hands else ())
    ]
    for path, what, webhook in receivers:
        try:
            webhook_keys(webhook, base=base, what=what, environment=environment)
        except ConfigError as error:
            yield from _placed(examined, path, error)


def _secret_sources(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str, object]]:
    notify = data.get("notify")
    if not isinstance(notify, dict):
        return
    alertmanager = notify.get("alertmanager")
    if isinstance(alertmanager, dict) and alertmanager.get("bearer_token") is not None:
        yield ("notify", "alertmanager", "bearer_token"), ALERTMANAGER, alertmanager["bearer_token"]
    webhooks = notify.get("webhooks")
    for index, webhook in enumerate(webhooks if isinstance(webhooks, list) else []):
        for name in ("secret", "previous_secret"):
            if isinstance(webhook, dict) and webhook.get(name) is not None:
                what = f"webhook {webhook.get('name', 'webhook')}"
                yield ("notify", "webhooks", index, name), what, webhook[name]


def _placed(examined: Examined, path: KeyPath, error: ConfigError) -> list[Problem]:
    """The problems of a named file as they are; a lone sentence at the line that names it."""
    return [
        Problem(where=examined.document.where(path), field=dotted(path), message=problem.message)
        if problem.field == "-" and problem.where == "configuration"
        else problem
        for problem in error.problems
    ]
