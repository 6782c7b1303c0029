"""Puts the rulebook together: the built-in files first, the desk's own after them, by id; loads
it at start and again when asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog

from monitor.actions.policy import KillSettings
from monitor.app.approval import HOST, Approval
from monitor.config import Config, RulesSection
from monitor.core.decision import narrower
from monitor.core.errors import ConfigError, Problem
from monitor.core.events import RulebookLoaded
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.ports import EventSink
from monitor.core.rules import RuleBook, parse_rulebook
from monitor.core.yamltext import YamlText, dotted, nearest
from monitor.rulebook import builtin_files

RuleFiles = tuple[tuple[str, str], ...]
# Who brought a rulebook: with a start, or later, when another one is in force.
START, LATER = "start", frozenset({"reload", "mended"})


class Rulebooks:
    """The rulebook of a running daemon."""

    def __init__(self, config: Config, *, base: Path) -> None:
        self._config = config
        self._base = base
        self._log = structlog.get_logger("riskd")
        self.approval: Approval | None = None
        self.kept: tuple[RuleFiles, RuleBook] | None = None  # in force in an earlier process

    def read(self) -> RuleFiles:
        """The rule files, read once: what was checked is what is loaded.

        Raises:
            ConfigError: With every mistake in every file.
        """
        files = rulebook_files(self._config, base=self._base)
        book = parse_rulebook(files, CATALOGUE)
        problems = [
            Problem(where="kill", field=f"rules[{index}].mode", message=message)
            for index, message in refused_modes(self._config.kill, book)
        ]
        if problems:
            raise ConfigError(problems)
        return files

    def load(self, files: RuleFiles, events: EventSink, *, by: str) -> None:
        """Let checked files take effect; what loosens an acting rule waits for a second person.
        At a start what was last in force takes effect meanwhile."""
        approval, kept = self.approval, self.kept
        if approval is not None and by in LATER:
            if not approval.admit(files, by=HOST):
                return
        elif approval is not None and by == START and kept is not None:
            before, book = kept
            if not approval.admit(files, by=HOST, before=book):
                files, by = before, "last in force"
        self.take(files, events=events, by=by)

    def take(self, files: RuleFiles, *, events: EventSink, by: str) -> None:
        """Let them take effect, whatever they change."""
        events.submit((RulebookLoaded(files=files, loaded_by=by),))
        self._log.info("rulebook_loaded", files=[name for name, _ in files], by=by)

    def reload(self, events: EventSink) -> bool:
        """Read the files again. A wrong one changes nothing, is logged whole, and gives False."""
        try:
            files = self.read()
        except ConfigError as error:
            self._log.error(
                "rulebook_refused", problems=[str(problem) for problem in error.problems]
            )
            return False
        self.load(files, events, by="reload")
        return True


def refused_modes(kill: KillSettings, book: RuleBook) -> Iterator[tuple[int, str]]:
    """(number of the entry in ``kill.rules``, why it is refused): modes wider than the rule may
    ever have."""
    for index, one in enumerate(kill.rules):
        rule = book.get(one.rule)
        if rule is not None and narrower(one.mode, rule.mode_max) is not one.mode:
            why = (
                f"{rule.id} may {rule.mode_max.value} and never {one.mode.value}: it is a "
                f"{rule.level.value} of severity {rule.severity.value}. A rule of severity "
                "critical in a file of the desk's own may act."
            )
            yield index, why


def rulebook_files(
    config: Config, *, base: Path, document: YamlText | None = None
) -> tuple[tuple[str, str], ...]:
    """(name, text) of every rule file in order; relative paths are beside the configuration, whose
    ``document`` has the lines of those that are wrong.

    Raises:
        ConfigError: Naming every file that cannot be read.
    """
    files, problems = _read(config.rules, base, document)
    if problems:
        raise ConfigError(problems)
    return tuple(files)


def load_rulebook(config: Config, *, base: Path, document: YamlText | None = None) -> RuleBook:
    """The checked rulebook of a configuration.

    Raises:
        ConfigError: With every mistake in every file.
    """
    return rulebook_of(config.rules, base=base, document=document)


def rulebook_of(rules: RulesSection, *, base: Path, document: YamlText | None = None) -> RuleBook:
    """The checked rulebook of a ``rules:`` section.

    Raises:
        ConfigError: With every file that cannot be read and every mistake in the others.
    """
    files, problems = _read(rules, base, document)
    try:
        book = parse_rulebook(files, CATALOGUE)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return book


def _read(
    rules: RulesSection, base: Path, document: YamlText | None
) -> tuple[list[tuple[str, str]], list[Problem]]:
    files = list(builtin_files()) if rules.builtin else []
    problems = []
    for index, name in enumerate(rules.files):
        path = base / name
        try:
            files.append((str(path), path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            key = ("rules", "files", index)
            problems.append(
                Problem(
                    where=document.where(key) if document else "configuration",
                    field=dotted(key),
                    message=_unreadable(path, error),
                    found=name,
                    nearest=nearest(name, _beside(path, name)),
                )
            )
    return files, problems


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> str:
    """Why a rule file cannot be read, and what to do."""
    if isinstance(error, FileNotFoundError):
        return (
            f"there is no file {path}. A path is taken from beside the configuration: mend it, put "
            "the file there, or take the entry out."
        )
    if isinstance(error, PermissionError):
        return f"{path} may not be read by this user: {error.strerror}. Let riskd's user read it."
    if isinstance(error, IsADirectoryError):
        return f"{path} is a folder: name each file in it by itself."
    why = getattr(error, "strerror", None) or "it is not UTF-8 text"
    return f"{path} cannot be read: {why}."


def _beside(path: Path, name: str) -> list[str]:
    """Rule files of the folder that a name leads to, named as that name is."""
    try:
        return [
            str(Path(name).with_name(one.name))
            for one in path.parent.iterdir()
            if one.suffix in {".yaml", ".yml"} and one != path
        ]
    except OSError:
        return []
