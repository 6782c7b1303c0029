"""The configuration: one YAML file, composed of the sections' own settings.

Reading it finds every mistake at once and names each with file, line, what was found, what is
allowed and the nearest name. Secrets never stand in the file: it names files or environment
variables that hold them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from monitor.core.errors import ConfigError, Problem
from monitor.core.settings import FreshnessSettings
from monitor.core.yamltext import Plain, YamlText, dotted, nearest, parse_yaml
from monitor.notify.alertmanager import AlertmanagerSettings
from monitor.notify.webhook import WebhookSettings
from monitor.server.settings import ServerSettings
from monitor.venues.dydx.settings import DydxSettings
from monitor.venues.hyperliquid.settings import HyperliquidSettings

ALIAS = r"^[a-z0-9][a-z0-9_-]{0,31}$"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VenuesSection(_Section):
    """``venues:`` — which venues to watch; at least one."""

    hyperliquid: HyperliquidSettings | None = None
    dydx: DydxSettings | None = None

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if self.hyperliquid is None and self.dydx is None:
            raise ValueError("name at least one venue: hyperliquid or dydx")
        return self


class RulesSection(_Section):
    """``rules:`` — the built-in rulebook, and the desk's own files that extend or override it."""

    builtin: bool = True
    files: tuple[str, ...] = ()


class NotifySection(_Section):
    """``notify:`` — who is told; without a channel riskd still judges and shows."""

    alertmanager: AlertmanagerSettings | None = None
    webhooks: tuple[WebhookSettings, ...] = ()
    runbook_base_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    dashboard_url: Annotated[str, Field(pattern=r"^https?://")] | None = None


class JournalSection(_Section):
    """``journal:`` — what the core consumed, for replay; bounded on disk."""

    enabled: bool = True
    segment_mb: Annotated[int, Field(ge=1, le=1024)] = 64
    segments: Annotated[int, Field(ge=2, le=1000)] = 8


class FreshnessSection(_Section):
    """``freshness:`` — how old a fact may be before it is unknown, in seconds."""

    majors: tuple[str, ...] = ("BTC", "ETH")
    price_majors_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    price_others_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    oracle_majors_s: Annotated[float, Field(gt=0, le=3600)] = 15.0
    account_s: Annotated[float, Field(gt=0, le=3600)] = 30.0

    def settings(self) -> FreshnessSettings:
        """The core's limits."""
        return FreshnessSettings(
            majors=self.majors,
            top_majors_s=self.price_majors_s,
            mark_majors_s=self.price_majors_s,
            oracle_majors_s=self.oracle_majors_s,
            top_s=self.price_others_s,
            mark_s=self.price_others_s,
            oracle_s=self.price_others_s,
            depth_s=self.price_others_s,
            account_s=self.account_s,
        )


class FundingSection(_Section):
    """``funding:`` — what counts as expensive, as a fraction per year (0.5 is 50 %)."""

    expensive_per_year: Annotated[float, Field(gt=0, le=100)] = 0.5


class Config(_Section):
    """The whole file."""

    desk: Annotated[str, Field(pattern=ALIAS)] = "desk"
    mode: Literal["observe"] = "observe"
    data_dir: str = "./riskd-data"
    venues: VenuesSection
    rules: RulesSection = RulesSection()
    notify: NotifySection = NotifySection()
    server: ServerSettings = ServerSettings()
    journal: JournalSection = JournalSection()
    freshness: FreshnessSection = FreshnessSection()
    funding: FundingSection = FundingSection()
    off_book_legs_file: str | None = None

    @model_validator(mode="after")
    def _webhook_names_once(self) -> Self:
        names = [webhook.name for webhook in self.notify.webhooks]
        for name in sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"notify.webhooks: two webhooks have the name {name!r}")
        return self


def load_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: With every mistake in it, or with why the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no configuration at {path}. Write one with "
            "`riskd init --hyperliquid 0x… --dydx dydx1…`, or name another with --config."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration {path} cannot be read: {error}.") from error
    return parse_config(text, source=str(path))


def parse_config(text: str, *, source: str) -> Config:
    """Check the text of a configuration; ``source`` is the name that problems carry.

    Raises:
        ConfigError: With every mistake in it.
    """
    document = parse_yaml(text, source=source)
    problems = list(document.problems)
    if document.data is None and not problems:
        problems.append(Problem(where=f"{source}:1", field="-", message="the file is empty."))
    if document.data is not None and not isinstance(document.data, dict):
        problems.append(
            Problem(
                where=f"{source}:1",
                field="-",
                message="a configuration is a list of `name: value` lines.",
                found=type(document.data).__name__,
            )
        )
    if not isinstance(document.data, dict):
        raise ConfigError(problems)
    config: Config | None = None
    try:
        config = Config.model_validate(document.data)
    except ValidationError as error:
        problems.extend(_problem(document, detail) for detail in error.errors())
    if problems or config is None:
        raise ConfigError(sorted(problems, key=_line))
    return config


def _line(problem: Problem) -> int:
    tail = problem.where.rpartition(":")[2]
    return int(tail) if tail.isdigit() else 0


def _problem(document: YamlText, detail: ErrorDetails) -> Problem:
    """One pydantic error in words for a person, with the line it stands on."""
    path = tuple(part for part in detail["loc"] if not _is_union_tag(part))
    kind = detail["type"]
    context: dict[str, Any] = detail.get("ctx") or {}
    found: str | None = None
    allowed: str | None = None
    close: str | None = None
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind == "extra_forbidden":
        names = _names_at(path[:-1])
        message = "there is no such setting."
        allowed = ", ".join(names) or None
        close = nearest(str(path[-1]), names)
    elif kind == "missing":
        message = "is required and missing."
        allowed = _description(path)
    else:
        found = _shown(path, detail["input"])
        if "expected" in context:
            allowed = str(context["expected"])
            message = "is not one of the allowed values."
            if isinstance(detail["input"], str):
                close = nearest(detail["input"], re.findall(r"'([^']*)'", allowed))
        elif "pattern" in context:
            allowed = _pattern_words(str(context["pattern"]))
            message = "is not of the right form."
    if not message.endswith((".", "!", "?")):
        message += "."
    return Problem(
        where=document.where(path),
        field=dotted(path),
        message=message[0].lower() + message[1:] if message[1:2].islower() else message,
        found=found,
        allowed=allowed,
        nearest=close,
    )


def _is_union_tag(part: str | int) -> bool:
    return isinstance(part, str) and ("[" in part or part.startswith("function-"))


def _pattern_words(pattern: str) -> str:
    known = {
        ALIAS: "1 to 32 of a-z, 0-9, _ and -, beginning with a letter or digit",
        r"^https?://": "an address that begins with http:// or https://",
    }
    return known.get(pattern, f"text matching {pattern}")


def _shown(path: tuple[str | int, ...], value: object) -> str | None:
    """What was found, short; never the value of something secret."""
    if any(word in str(part).lower() for part in path for word in ("secret", "token", "key")):
        return "(not shown)"
    if isinstance(value, dict | list | tuple) or value is None:
        return None
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _model_at(path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The settings model that a path of the file leads to."""
    model: type[BaseModel] | None = Config
    for part in path:
        if isinstance(part, int):
            continue
        if model is None or part not in model.model_fields:
            return None
        model = _model_in(model.model_fields[part].annotation)
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is None:
        return None
    return next(
        (model for argument in get_args(annotation) if (model := _model_in(argument))), None
    )


def _names_at(path: tuple[str | int, ...]) -> list[str]:
    model = _model_at(path)
    return list(model.model_fields) if model else []


def _description(path: tuple[str | int, ...]) -> str | None:
    model = _model_at(path[:-1])
    field = model.model_fields.get(str(path[-1])) if model else None
    return field.description if field else None


def plain_config(config: Config) -> Plain:
    """The configuration as plain data with secrets masked, for logs and ``check-config``."""
    data: Plain = config.model_dump(mode="json", exclude_defaults=True)
    return data
