"""What the files that a desk writes by hand have in common: they are read, and they hold times."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from monitor.core.errors import ConfigError
from monitor.core.yamltext import YamlText, parse_yaml


def read_desk_file(path: Path, what: str) -> YamlText:
    """The document in a file, its mistakes listed in it.

    Raises:
        ConfigError: Naming ``what`` the file is, if it cannot be read at all.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"The {what} file {path} cannot be read: {reason}.") from error
    return parse_yaml(text, source=str(path))


def unix_seconds(value: object) -> int | None:
    """Unix seconds of a date and time (UTC where it names no zone); None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        moment = dt.datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return round(moment.timestamp())
