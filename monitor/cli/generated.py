"""Writes the parts of the tree that are made from the code: rule table, Grafana dashboard, and
Alertmanager's inhibitions, which say the same as the rulebook's ``covered_by``.

For developers (``make generated``); a test compares what is in the tree with what this makes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from monitor.core.decision import ActionLevel
from monitor.core.killswitch.levels import LEVEL_OF_ACTION
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import Rule, parse_rulebook
from monitor.core.rules.rule import PARTS
from monitor.notify.blindness import EXPLAIN_BLINDNESS, INPUTS_STALE
from monitor.observability.dashboard import dashboard
from monitor.rulebook import builtin_files

BEGIN, END = "<!-- rules: made by `make generated` -->", "<!-- end of rules -->"
COLUMNS = (
    "rule", "about", "when", "severity", "level", "target", "scope", "mode", "one page per",
    "silent while",
)  # fmt: skip
DASHBOARD = Path("deploy/grafana/dashboards/overview.json")
INHIBIT, INHIBITED = "  # made by `make generated`, from covered_by", "  # end of what is made"
ALERTMANAGER = Path("deploy/alertmanager/alertmanager.yml")


def rule_table(rules: Iterable[Rule]) -> str:
    """The README's table of built-in rules, one line each, with its runbook: what a rule asks for
    is a level (of the kill switch, 0 for telling people), the share of gross that may stay, whose,
    and what it may do by itself."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    for rule in sorted(rules, key=lambda one: (one.family, one.id)):
        page = f"monitor/rulebook/runbooks/{rule.id}.md"
        condition = rule.condition.replace("|", "\\|")
        lines.append(
            f"| [{rule.id}]({page}) | {rule.for_each.value} | `{condition}` "
            f"| {rule.severity.value} | {' | '.join(asked(rule))} "
            f"| {(rule.page_per or rule.for_each).value} | {', '.join(rule.covered_by)} |"
        )
    return "\n".join(lines)


def asked(rule: Rule) -> tuple[str, str, str, str]:
    """(level, target, scope, mode) of a rule as words; the last three are empty where it only
    tells people."""
    if rule.level is ActionLevel.PAGE:
        return "0 page", "", "", ""
    level = f"{LEVEL_OF_ACTION[rule.level].value} {rule.level.value}"
    return level, rule.target, rule.scope.value, rule.mode.value


def with_rule_table(readme: str) -> str:
    """The README with its rule table made anew."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    rules = parse_rulebook(builtin_files(), CATALOGUE).rules
    return f"{head}{BEGIN}\n{rule_table(rules)}\n{END}{tail}"


def inhibitions(rules: Iterable[Rule]) -> str:
    """For each rule that covers others: what it silences about the place it is told of."""
    by_id = {rule.id: rule for rule in rules}
    covered: dict[str, list[str]] = {}
    for rule in by_id.values():
        for name in rule.covered_by:
            covered.setdefault(name, []).append(rule.alert)
    for name in EXPLAIN_BLINDNESS:
        covered[name].append(INPUTS_STALE)
    lines = []
    for name in sorted(covered):
        cover = by_id[name]
        place = ["deployment", *PARTS.get(cover.page_per or cover.for_each, ())]
        lines += [
            f"  - source_matchers: ['alertname=\"{cover.alert}\"']",
            "    target_matchers:",
            f"      - 'alertname=~\"{'|'.join(sorted(covered[name]))}\"'",
            f"    equal: [{', '.join(place)}]",
        ]
    return "\n".join(lines)


def with_inhibitions(configuration: str) -> str:
    """Alertmanager's configuration with its inhibitions made anew."""
    head, _, rest = configuration.partition(INHIBIT)
    _, _, tail = rest.partition(INHIBITED)
    rules = parse_rulebook(builtin_files(), CATALOGUE).rules
    return f"{head}{INHIBIT}\n{inhibitions(rules)}\n{INHIBITED}{tail}"


def main() -> None:
    """Rewrite all of it, from the root of the tree."""
    readme = Path("README.md")
    readme.write_text(with_rule_table(readme.read_text(encoding="utf-8")), encoding="utf-8")
    alertmanager = ALERTMANAGER.read_text(encoding="utf-8")
    ALERTMANAGER.write_text(with_inhibitions(alertmanager), encoding="utf-8")
    DASHBOARD.parent.mkdir(parents=True, exist_ok=True)
    DASHBOARD.write_bytes(dashboard(CATALOGUE.values()))


if __name__ == "__main__":
    main()
