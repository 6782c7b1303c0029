"""The built-in rules (YAML) and their runbooks (Markdown), as package data.

Texts only: they are parsed by ``monitor.core.rules`` and read by people.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

_PACKAGE = "monitor.rulebook"
_RUNBOOKS = "runbooks"


@cache
def builtin_files() -> tuple[tuple[str, str], ...]:
    """(file name, text) of every built-in rulebook file, in name order."""
    return tuple(
        (entry.name, entry.read_text(encoding="utf-8"))
        for entry in sorted(resources.files(_PACKAGE).iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    )


@cache
def runbook_names() -> tuple[str, ...]:
    """Names of all runbook pages, without their ending."""
    pages = resources.files(_PACKAGE).joinpath(_RUNBOOKS).iterdir()
    return tuple(
        sorted(page.name.removesuffix(".md") for page in pages if page.name.endswith(".md"))
    )


def runbook(rule_id: str) -> str | None:
    """The runbook page of a rule as Markdown; None where there is none (a desk's own rule)."""
    # Only names that exist are opened, so that a request's path cannot lead elsewhere.
    if rule_id not in runbook_names():
        return None
    page = resources.files(_PACKAGE).joinpath(_RUNBOOKS, f"{rule_id}.md")
    return page.read_text(encoding="utf-8")
