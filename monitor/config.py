"""The configuration: one YAML file, composed of the sections' own settings.

Reading it finds every mistake at once and names each with file, line, what was found, what is
allowed and the nearest name. Secrets never stand in the file: it names files or environment
variables that hold them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from monitor.actions.policy import KillSettings
from monitor.actions.settings import HyperliquidActionSettings, acting_accounts
from monitor.core.errors import ConfigError, Problem
from monitor.core.killswitch.policy import DaemonMode, arming_problems
from monitor.core.settings import FreshnessSettings
from monitor.core.yamltext import Path as KeyPath
from monitor.core.yamltext import Plain, YamlText, dotted, nearest, parse_yaml
from monitor.notify.alertmanager import AlertmanagerSettings
from monitor.notify.webhook import WebhookSettings
from monitor.server.settings import OperatorSettings, ServerSettings
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


class TradingStateSection(_Section):
    """``trading_state:`` — systems of the desk that are told what they may send; others ask."""

    webhooks: tuple[WebhookSettings, ...] = ()


class ActionsSection(_Section):
    """``actions:`` — the hands of the kill switch; without it riskd can only watch."""

    hyperliquid: HyperliquidActionSettings | None = None


class Config(_Section):
    """The whole file."""

    desk: Annotated[str, Field(pattern=ALIAS)] = "desk"
    mode: Literal["observe", "rehearse", "armed"] = "observe"
    data_dir: str = "./riskd-data"
    venues: VenuesSection
    rules: RulesSection = RulesSection()
    notify: NotifySection = NotifySection()
    server: ServerSettings = ServerSettings()
    journal: JournalSection = JournalSection()
    freshness: FreshnessSection = FreshnessSection()
    funding: FundingSection = FundingSection()
    off_book_legs_file: str | None = None
    actions: ActionsSection = ActionsSection()
    kill: KillSettings = KillSettings()
    operators: tuple[OperatorSettings, ...] = ()
    trading_state: TradingStateSection = TradingStateSection()

    @model_validator(mode="after")
    def _fit_to_arm(self) -> Self:
        problems = list(_arming(self))
        if problems:
            raise ValueError(" ".join(problems))
        return self


def _arming(config: Config) -> Iterator[str]:
    """Why a configuration may not act, in sentences; nothing in ``observe``."""
    if config.mode == "observe":
        return
    policy = config.kill.policy(
        DaemonMode(config.mode), principals=tuple(one.name for one in config.operators)
    )
    yield from arming_problems(policy)
    acting, venue = config.actions.hyperliquid, config.venues.hyperliquid
    if acting is None:
        yield (
            f"Mode {config.mode} needs hands: give actions.hyperliquid, or go back to mode observe."
        )
    elif venue is None:
        yield "actions.hyperliquid acts on accounts of venues.hyperliquid, which is not there."
    else:
        try:
            acting_accounts(acting, venue)
        except ConfigError as error:
            yield str(error)


@dataclass(frozen=True, slots=True)
class Examined:
    """A configuration file as far as it could be understood; ``config`` only without mistakes."""

    document: YamlText
    problems: tuple[Problem, ...]
    config: Config | None

    @property
    def data(self) -> Mapping[str, Any]:
        """What the file says, unchecked; empty where it says nothing usable."""
        return self.document.data if isinstance(self.document.data, dict) else {}


def load_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: With every mistake in it, or with why the file cannot be read.
    """
    return _whole(examine_config(read_config(path), source=str(path)))


def parse_config(text: str, *, source: str) -> Config:
    """Check the text of a configuration; ``source`` is the name that problems carry.

    Raises:
        ConfigError: With every mistake in it.
    """
    return _whole(examine_config(text, source=source))


def read_config(path: Path) -> str:
    """The text of a configuration file.

    Raises:
        ConfigError: Why it cannot be read, and how to make one.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no configuration at {path}. Write one with "
            "`riskd init --hyperliquid 0x… --dydx dydx1…`, or name another with --config."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"The configuration {path} cannot be read: {why}.") from error


def examine_config(text: str, *, source: str) -> Examined:
    """Everything that is wrong with a configuration, and the configuration if nothing is."""
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
        return Examined(document, tuple(problems), None)
    config: Config | None = None
    details: list[ErrorDetails] = []
    try:
        config = Config.model_validate(document.data)
    except ValidationError as error:
        details = error.errors()
    together = list(_across_fields(document.data))
    problems += _once_each(document, details, {path for path, _ in together})
    problems += [
        Problem(where=document.where(path), field=dotted(path), message=_sentence(message))
        for path, message in together
    ]
    return Examined(document, tuple(sorted(problems, key=_line)), None if problems else config)


def _whole(examined: Examined) -> Config:
    if examined.config is None:
        raise ConfigError(list(examined.problems))
    return examined.config


# ---------------------------------------------------------------------------- across fields
# What is wrong with several fields together. The settings check it too, but only once every field
# by itself is right; a person wants to hear of both at once, so here it is asked of the raw data.


def _across_fields(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    yield from _server_together(data)
    yield from _webhooks_together(data)
    for venue, address_twice in (("hyperliquid", True), ("dydx", False)):
        yield from _accounts_together(data, venue, address_twice=address_twice)


def _server_together(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    names = ("host", "read_token_file", "read_token_env")
    section = data.get("server")
    if isinstance(section, dict):
        given = {name: section[name] for name in names if name in section}
        for message in _model_mistakes(ServerSettings, given):
            yield ("server", "host" if "host" in section else names[1]), message


def _webhooks_together(data: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    rows = _rows(data, "notify", "webhooks")
    names = ("url", "allow_loopback", "allow_networks")
    for index, row in rows:
        given = {name: row[name] for name in names if name in row}
        for message in _model_mistakes(WebhookSettings, {**given, "secret": {"env": "ANY"}}):
            yield ("notify", "webhooks", index, "url"), message
    default = WebhookSettings.model_fields["name"].default
    yield from _twice(
        ("notify", "webhooks"), [(i, "name", row.get("name", default)) for i, row in rows]
    )


def _accounts_together(
    data: Mapping[str, Any], venue: str, *, address_twice: bool
) -> Iterator[tuple[KeyPath, str]]:
    rows = _rows(data, "venues", venue, "accounts")
    place = ("venues", venue, "accounts")
    yield from _twice(place, [(i, "alias", row["alias"]) for i, row in rows if "alias" in row])
    if address_twice:
        found = [(i, "address", str(row.get("address", i)).lower()) for i, row in rows]
        yield from _twice(place, found)
        invented = [{"alias": f"a{i}", "address": f"0x{i:040x}"} for i, _ in rows]
        for message in _model_mistakes(HyperliquidSettings, {"accounts": invented}):
            yield place, message
        return
    seen: dict[tuple[object, object], int] = {}
    for index, row in rows:
        parents = row.get("parents", [0])
        for parent in parents if isinstance(parents, list) else []:
            key = (row.get("address", index), str(parent))
            first = seen.setdefault(key, index)
            if first != index:
                yield (
                    (*place, index, "address"),
                    f"the same address and parent subaccount {parent} as in accounts[{first}]",
                )


def _rows(data: Mapping[str, Any], *path: str) -> list[tuple[int, dict[str, Any]]]:
    """The well-formed entries of a list somewhere in the file, with their numbers."""
    at: Any = data
    for name in path:
        at = at.get(name) if isinstance(at, dict) else None
    return [(i, row) for i, row in enumerate(at if isinstance(at, list) else []) if _is_row(row)]


def _is_row(row: object) -> bool:
    return isinstance(row, dict)


def _twice(
    place: tuple[str, ...], found: Sequence[tuple[int, str, object]]
) -> Iterator[tuple[KeyPath, str]]:
    first: dict[str, int] = {}
    for index, name, value in found:
        other = first.setdefault(str(value), index)
        if other != index:
            shown = f" {value!r}" if name != "address" else ""
            yield (
                (*place, index, name),
                f"the same {name}{shown} is configured twice, first in {place[-1]}[{other}]",
            )


def _model_mistakes(model: type[BaseModel], given: Mapping[str, Any]) -> list[str]:
    """What a model says of fields that are right one by one; nothing where one of them is not."""
    try:
        model.model_validate(given)
    except ValidationError as error:
        details = error.errors()
        return [] if any(detail["loc"] for detail in details) else [one["msg"] for one in details]
    return []


# -------------------------------------------------------------------------------- in words


def _once_each(
    document: YamlText, details: list[ErrorDetails], together: set[KeyPath]
) -> Iterator[Problem]:
    """One problem for each field, however many readings of it were tried."""
    paths = [_path(detail) for detail in details]
    told: set[KeyPath] = set()
    for path, detail in zip(paths, details, strict=True):
        below = [other for other in (*paths, *together) if other[: len(path)] == path]
        whole = detail["type"] == "value_error" and any(other in together for other in below)
        # Of a list that could also be a word, the wrong entries are the news.
        one_reading = detail["type"] == "literal_error" and any(
            len(other) > len(path) for other in below
        )
        if path in told or whole or one_reading:
            continue
        told.add(path)
        kinds = {one["type"] for one, at in zip(details, paths, strict=True) if at == path}
        yield _problem(document, detail, list_too=bool(kinds & {"tuple_type", "list_type"}))


def _path(detail: ErrorDetails) -> KeyPath:
    return tuple(part for part in detail["loc"] if not _is_union_tag(part))


def _sentence(message: str) -> str:
    text = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    text = text[0].lower() + text[1:] if text[1:2].islower() else text
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _line(problem: Problem) -> int:
    tail = problem.where.rpartition(":")[2]
    return int(tail) if tail.isdigit() else 0


def _problem(document: YamlText, detail: ErrorDetails, *, list_too: bool) -> Problem:
    """One pydantic error in words for a person, with the line it stands on."""
    path = _path(detail)
    kind = detail["type"]
    context: dict[str, Any] = detail.get("ctx") or {}
    found: str | None = None
    allowed: str | None = None
    close: str | None = None
    message = _plain_words(kind, detail["msg"], path)
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
            if list_too:
                allowed += f", or a list such as {_list_example(path)}"
        elif "pattern" in context:
            allowed = _pattern_words(str(context["pattern"]))
            message = "is not of the right form."
    return Problem(
        where=document.where(path),
        field=dotted(path),
        message=_sentence(message),
        found=found,
        allowed=allowed,
        nearest=close,
    )


LIST_EXAMPLES = {
    "accounts": "[{alias: main, address: …}]",
    "webhooks": "[{name: ops, url: https://…, secret: {env: …}}]",
    "allow_networks": "[10.20.0.0/16]",
    "urls": '["http://127.0.0.1:9093"]',
    "validator_urls": '["https://…"]',
    "files": "[desk-rules.yaml]",
    "parents": "[0]",
    "dexes": "[xyz]",
}
WORDS = (
    ("model_type", "must be a section of `name: value` lines"),
    ("dict_type", "must be a section of `name: value` lines"),
    ("string_type", "must be text"),
    ("bool_", "must be true or false"),
    ("int_", "must be a whole number"),
    ("float_", "must be a number"),
    ("ip_", "must be a network such as 10.20.0.0/16"),
)


def _list_example(path: KeyPath) -> str:
    return LIST_EXAMPLES.get(str(path[-1]), "[BTC, ETH]")


def _plain_words(kind: str, message: str, path: KeyPath) -> str:
    """What pydantic says, without its own vocabulary."""
    if kind in {"tuple_type", "list_type"}:
        return f"must be a list such as {_list_example(path)}"
    for start, words in WORDS:
        if kind.startswith(start):
            return words
    message = message.removesuffix(" after validation, not 0")
    message = re.sub(r"^(Tuple|List|String|Input|Value) should ", "must ", message)
    return message.replace("must be a valid ", "must be a ")


def _is_union_tag(part: str | int) -> bool:
    return isinstance(part, str) and ("[" in part or part.startswith("function-"))


def _pattern_words(pattern: str) -> str:
    known = {
        ALIAS: "1 to 32 of a-z, 0-9, _ and -, beginning with a letter or digit",
        r"^[a-z0-9_-]+$": "letters a-z, digits, _ and -",
        r"^[a-z0-9_-]{1,32}$": "1 to 32 of a-z, 0-9, _ and -",
        r"^https?://": "an address that begins with http:// or https://",
    }
    return known.get(pattern, f"text matching {pattern}")


def _shown(path: tuple[str | int, ...], value: object) -> str | None:
    """What was found, short; never the value of something secret."""
    hidden = any(word in str(part).lower() for part in path for word in ("secret", "token", "key"))
    if hidden or ("webhooks" in path and path[-1] == "url"):  # many addresses hold a token
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
