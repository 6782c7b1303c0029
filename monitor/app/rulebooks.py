"""Puts the rulebook together: the built-in files first, the desk's own after them, by id."""

from __future__ import annotations

from pathlib import Path

from monitor.config import Config
from monitor.core.errors import ConfigError, Problem
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import RuleBook, parse_rulebook
from monitor.rulebook import builtin_files


def rulebook_files(config: Config, *, base: Path) -> tuple[tuple[str, str], ...]:
    """(name, text) of every rule file in order; relative paths are beside the configuration.

    Raises:
        ConfigError: Naming every file that cannot be read.
    """
    files = list(builtin_files()) if config.rules.builtin else []
    problems = []
    for name in config.rules.files:
        path = base / name
        try:
            files.append((str(path), path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            problems.append(
                Problem(where=str(path), field="rules.files", message=f"cannot be read: {error}.")
            )
    if problems:
        raise ConfigError(problems)
    return tuple(files)


def load_rulebook(config: Config, *, base: Path) -> RuleBook:
    """The checked rulebook of a configuration.

    Raises:
        ConfigError: With every mistake in every file.
    """
    return parse_rulebook(rulebook_files(config, base=base), CATALOGUE)
