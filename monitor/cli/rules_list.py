"""``riskd rules list``: every rule in words, and with a configuration the mode that holds."""

from __future__ import annotations

from monitor.actions.policy import RuleModeSettings
from monitor.cli.status import age
from monitor.config import Config
from monitor.core.decision import RuleMode
from monitor.core.rules import Rule, RuleBook
from monitor.core.types import SECOND_NS
from monitor.core.yamltext import YamlText

_DAEMON = {
    "observe": "nothing is sent, whatever a rule's mode: riskd says what it would have done",
    "rehearse": "on this machine or a testnet each rule does what its mode says",
    "armed": "each rule does what its mode says",
}


def list_rules(book: RuleBook, named: tuple[Config, YamlText] | None = None) -> None:
    """Print every rule; ``named`` is a configuration with its lines, whose ``kill.rules`` hold."""
    if named is not None:
        config, document = named
        said = document.where(("mode",)) if "mode" in config.model_fields_set else "by default"
        print(f"mode {config.mode} ({said}): {_DAEMON[config.mode]}.\n")
    width = max((len(rule.id) for rule in book.rules), default=4)
    for rule in book.rules:
        mode, sources = (rule.mode, []) if named is None else _modes(rule, *named)
        target = f" to {rule.target}" if rule.target else ""
        print(
            f"{rule.id:<{width}}  {rule.severity.value:<8}  {rule.for_each.value:<9}  "
            f"{rule.level.value}{target} ({mode.value})"
        )
        for line in (*sources, rule.summary, *_conditions(rule)):
            print(f"{'':<{width}}  {line}")


def _modes(rule: Rule, config: Config, document: YamlText) -> tuple[RuleMode, list[str]]:
    """The mode that holds for a rule everywhere; where it comes from, and those of single
    scopes."""
    mode, source = rule.mode, f"mode {rule.mode.value}: {rule.where}"
    scoped: dict[str, str] = {}
    for index, one in enumerate(config.kill.rules):
        if one.rule != rule.id:
            continue
        place = f"kill.rules, {document.where(('kill', 'rules', index))}"
        if one.scope:
            scoped[one.scope] = f"mode {one.mode.value} over {one.scope}: {place}"
        else:
            mode = one.mode
            source = f"mode {mode.value}: {place}{_instead(one, rule)}"
    return mode, [source, *scoped.values()]


def _instead(one: RuleModeSettings, rule: Rule) -> str:
    same = one.mode is rule.mode
    return "" if same else f", in place of {rule.mode.value} ({rule.where})"


def _conditions(rule: Rule) -> list[str]:
    lines = [f"when {rule.condition}{_held(rule)}"]
    if rule.until is not None:
        kept = rule.keep_firing_for_ns
        last = f" for {age(kept / SECOND_NS)}" if kept else ""
        lines.append(f"until {rule.until.text}{last}")
    return lines


def _held(rule: Rule) -> str:
    """How long, and how often seen, before it fires."""
    said = f" for {age(rule.for_ns / SECOND_NS)}" if rule.for_ns else ""
    confirm = rule.confirm
    if confirm is not None:
        apart = age(confirm.apart_ns / SECOND_NS)
        said += f", seen {confirm.need} of {confirm.of} times {apart} apart"
    return said
