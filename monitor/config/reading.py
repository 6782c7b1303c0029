"""Reading the file: a text in, a configuration or every mistake out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from monitor.config.sections import Config, arming, unwatched
from monitor.config.together import across_fields
from monitor.config.words import line, once_each, sentence
from monitor.core.errors import ConfigError, Problem
from monitor.core.filekinds import FileKind, mistaken
from monitor.core.yamltext import YamlText, dotted, parse_yaml


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
    return load_document(path)[0]


def load_document(path: Path) -> tuple[Config, YamlText]:
    """Read and check a configuration file; also its text, which knows the lines.

    Raises:
        ConfigError: As ``load_config``.
    """
    examined = examine_config(read_config(path), source=str(path))
    return _whole(examined), examined.document


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
    if (other := mistaken(document, FileKind.CONFIGURATION)) is not None:
        return Examined(document, (*document.problems, other), None)
    if not isinstance(document.data, dict):
        return Examined(document, tuple(problems), None)
    config: Config | None = None
    details: list[ErrorDetails] = []
    try:
        config = Config.model_validate(document.data)
    except ValidationError as error:
        details = error.errors()
    problems += [
        Problem(where=document.where(("mode",)), field="mode", message=sentence(message))
        for message in (arming(config) if config is not None else ())
    ]
    problems += [
        Problem(where=document.where(path), field=dotted(path), message=message)
        for path, message in (unwatched(config) if config is not None else ())
    ]
    together = list(across_fields(document.data))
    problems += once_each(document, details, {path for path, _ in together})
    problems += [
        Problem(where=document.where(path), field=dotted(path), message=sentence(message))
        for path, message in together
    ]
    return Examined(document, tuple(sorted(problems, key=line)), None if problems else config)


def _whole(examined: Examined) -> Config:
    if examined.config is None:
        raise ConfigError(list(examined.problems))
    return examined.config
