"""What pydantic finds, in words: field, line, what was found, what is allowed. *Pure.*"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from monitor.config.sections import ALIAS, Config
from monitor.core.errors import Problem
from monitor.core.yamltext import Path as KeyPath
from monitor.core.yamltext import YamlText, dotted, nearest


def once_each(
    document: YamlText, details: list[ErrorDetails], together: set[KeyPath]
) -> Iterator[Problem]:
    """One problem for each field, however many readings of it were tried."""
    paths = [_path(document, detail) for detail in details]
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


def _path(document: YamlText, detail: ErrorDetails) -> KeyPath:
    """Where in the file: without what pydantic calls a reading it tried, unless it is typed so."""
    path: KeyPath = ()
    for part in detail["loc"]:
        if (*path, part) in document.lines or not _is_union_tag(part):
            path = (*path, part)
    return path


def sentence(message: str) -> str:
    """A message as a sentence of ours."""
    text = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    text = text[0].lower() + text[1:] if text[1:2].islower() else text
    return text if text.endswith((".", "!", "?")) else f"{text}."


def line(problem: Problem) -> int:
    """The line a problem stands on, 0 for the whole file."""
    tail = problem.where.rpartition(":")[2]
    return int(tail) if tail.isdigit() else 0


def _problem(document: YamlText, detail: ErrorDetails, *, list_too: bool) -> Problem:
    """One pydantic error in words for a person, with the line it stands on."""
    path = _path(document, detail)
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
        message=sentence(message),
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
