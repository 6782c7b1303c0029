"""Writes the parts of the tree that are made from the code: rule table, Grafana dashboard.

For developers (``make generated``); a test compares what is in the tree with what this makes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import Rule, parse_rulebook
from monitor.observability.dashboard import dashboard
from monitor.rulebook import builtin_files

BEGIN, END = "<!-- rules: made by `make generated` -->", "<!-- end of rules -->"
DASHBOARD = Path("deploy/grafana/dashboards/overview.json")


def rule_table(rules: Iterable[Rule]) -> str:
    """The README's table of built-in rules, one line each, with its runbook."""
    lines = ["| rule | about | when | severity | asks for |", "|---|---|---|---|---|"]
    for rule in sorted(rules, key=lambda one: (one.family, one.id)):
        target = "" if rule.gross_to_ratio is None else f" to {rule.gross_to_ratio:.0%}"
        page = f"monitor/rulebook/runbooks/{rule.id}.md"
        condition = rule.condition.replace("|", "\\|")
        lines.append(
            f"| [{rule.id}]({page}) | {rule.for_each.value} | `{condition}` "
            f"| {rule.severity.value} | {rule.level.value}{target} |"
        )
    return "\n".join(lines)


def with_rule_table(readme: str) -> str:
    """The README with its rule table made anew."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    rules = parse_rulebook(builtin_files(), CATALOGUE).rules
    return f"{head}{BEGIN}\n{rule_table(rules)}\n{END}{tail}"


def main() -> None:
    """Rewrite both, from the root of the tree."""
    readme = Path("README.md")
    readme.write_text(with_rule_table(readme.read_text(encoding="utf-8")), encoding="utf-8")
    DASHBOARD.parent.mkdir(parents=True, exist_ok=True)
    DASHBOARD.write_bytes(dashboard(CATALOGUE.values()))


if __name__ == "__main__":
    main()
