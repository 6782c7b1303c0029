"""Puts the rulebook together: the built-in files first, the desk's own after them, by id."""

from __future__ import annotations

from pathlib import Path

from monitor.config import Config, RulesSection
from monitor.core.errors import ConfigError, Problem
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import RuleBook, parse_rulebook
from monitor.rulebook import builtin_files


def rulebook_files(config: Config, *, base: Path) -> tuple[tuple[str, str], ...]:
    """(name, text) of every rule file in order; relative paths are beside the configuration.

    Raises:
        ConfigError: Naming every file that cannot be read.
    """
    files, problems = _read(config.rules, base)
    if problems:
        raise ConfigError(problems)
    return tuple(files)


def load_rulebook(config: Config, *, base: Path) -> RuleBook:
    """The checked rulebook of a configuration.

    Raises:
        ConfigError: With every mistake in every file.
    """
    return rulebook_of(config.rules, base=base)


def rulebook_of(rules: RulesSection, *, base: Path) -> RuleBook:
    """The checked rulebook of a ``rules:`` section.

    Raises:
        ConfigError: With every file that cannot be read and every mistake in the others.
    """
    files, problems = _read(rules, base)
    try:
        book = parse_rulebook(files, CATALOGUE)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return book


def _read(rules: RulesSection, base: Path) -> tuple[list[tuple[str, str]], list[Problem]]:
    files = list(builtin_files()) if rules.builtin else []
    problems = []
    for name in rules.files:
        path = base / name
        try:
            files.append((str(path), path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8 text"
            problems.append(
                Problem(where=str(path), field="rules.files", message=f"cannot be read: {why}.")
            )
    return files, problems
