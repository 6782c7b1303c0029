"""``riskd check-config``: every mistake in a configuration at once, before anything starts."""

from __future__ import annotations

import argparse
from pathlib import Path

from monitor.app.checks import check_configuration
from monitor.cli.rules_check import contradictory
from monitor.config import Config
from monitor.core.decision import RuleMode
from monitor.core.killswitch.levels import LEVEL_OF_ACTION, Level
from monitor.core.rules import Rule, RuleBook
from monitor.core.rules.words import listed


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which file."""
    parser.add_argument(
        "config",
        nargs="?",
        default="riskd.yaml",
        type=Path,
        help="the configuration (default riskd.yaml); what it names is checked too: rule files, "
        "off-book legs, secrets and the read token, none of which is ever shown",
    )
    parser.add_argument("--config", dest="named", type=Path, help="the same, as run says it")
    parser.epilog = "exit code: 0 riskd run would accept it, 2 there are mistakes to mend"


def run(arguments: argparse.Namespace) -> int:
    """0 when it can be used; mistakes are raised as ConfigError and printed one per line."""
    path: Path = arguments.named or arguments.config
    config, rulebook = check_configuration(path)
    names = {"hyperliquid": config.venues.hyperliquid, "dydx": config.venues.dydx}
    watched = [f"{name}: {len(venue.accounts)}" for name, venue in names.items() if venue]
    print(f"{path}: fine. Accounts: {', '.join(watched)}. Rules: {len(rulebook.rules)}.")
    if config.notify.alertmanager is None and not config.notify.webhooks:
        print("Note: nobody would be paged, since notify: names no channel.")
    if config.server.everywhere and config.notify.runbook_base_url is None:
        print(
            "Note: pages name their runbook without a link, since server.host"
            f" {config.server.host} is no address to open. Write where people reach riskd, such as"
            f" notify.runbook_base_url: http://riskd.example.com:{config.server.port}/runbooks."
        )
    dydx = config.venues.dydx
    if dydx is not None and not dydx.validator_urls:
        print(
            "Note: the rule indexer_lag is never judged and a lagging dYdX indexer goes unseen,"
            " since venues.dydx names no validator_urls; they also tell a halted chain from a slow"
            " API."
        )
    base = path.resolve().parent
    own = {str(base / name) for name in config.rules.files}
    for text in contradictory(rulebook, own, config.leverage):
        print(f"Note: {text}")
    cutting = _cutting_alone(config, rulebook)
    if cutting:
        print(
            f"Note: one person may re-arm what {listed(cutting)} cut, since"
            " kill.second_principal is not set."
        )
    return 0


def _cutting_alone(config: Config, rulebook: RuleBook) -> list[str]:
    """Ids of rules that cut or more by themselves somewhere in an armed daemon whose re-arm wants
    no second person; none elsewhere."""
    if config.mode != "armed" or config.kill.second_principal:
        return []
    cutting = (one for one in rulebook.rules if LEVEL_OF_ACTION[one.level] >= Level.CUT)
    return [one.id for one in cutting if _acts(config, one)]


def _acts(config: Config, rule: Rule) -> bool:
    """Over any scope: the desk's word about all of them stands in place of the rulebook's."""
    words = [one for one in config.kill.rules if one.rule == rule.id]
    modes = [one.mode for one in words]
    if all(one.scope for one in words):
        modes.append(rule.mode)
    return RuleMode.ACT in modes
