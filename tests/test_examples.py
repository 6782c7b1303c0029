"""Every example that is shipped loads, and what is generated is what is in the tree."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from monitor.app.legs import read_legs
from monitor.app.news_file import read_news
from monitor.app.rulebooks import load_rulebook
from monitor.cli.generated import with_inhibitions, with_rule_table
from monitor.config import load_config
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules import parse_rulebook
from monitor.core.types import louder_than
from monitor.notify.blindness import INPUTS_STALE
from monitor.notify.dispatch import WATCHDOG
from monitor.observability.dashboard import dashboard
from monitor.observability.exposition import metric_name
from monitor.rulebook import builtin_files

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
CONFIGS = sorted(
    path
    for path in (DEPLOY / "config").glob("*.yaml")
    if path.name not in {"desk-rules.yaml", "off-book.yaml", "news.yaml"}
)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_example_configurations_load_with_their_rulebooks(path: Path) -> None:
    """A newcomer who copies one starts without a mistake."""
    config = load_config(path)
    # One that acts is for rehearsals first: nothing that is shipped is armed.
    assert config.mode == ("rehearse" if path.name == "armed.yaml" else "observe")
    assert load_rulebook(config, base=path.parent).rules
    if config.off_book_legs_file:
        assert read_legs(path.parent / config.off_book_legs_file).legs
    if config.news_flags_file:
        assert read_news(path.parent / config.news_flags_file).flags


def test_alertmanager_example_names_alerts_that_exist() -> None:
    """A renamed rule must not leave an inhibition or a route that matches nothing."""
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    known = {rule.alert for rule in parse_rulebook(builtin_files(), CATALOGUE).rules}
    known |= {WATCHDOG, INPUTS_STALE}
    found = re.findall(r'alertname=~?"([^"]+)"', text)
    assert len(found) >= 2
    assert {name for one in found for name in one.split("|")} <= known


def test_alertmanager_inhibits_what_the_rulebook_covers() -> None:
    """After a change of the rulebook: `make generated`. Each names a place, and nothing silences
    its equal."""
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    assert text == with_inhibitions(text)
    rules = {rule.alert: rule for rule in parse_rulebook(builtin_files(), CATALOGUE).rules}
    found: set[tuple[str, str]] = set()
    for one in yaml.safe_load(text)["inhibit_rules"]:
        (source,) = re.findall('alertname="(.+)"', one["source_matchers"][0])
        (targets,) = re.findall('alertname=~"(.+)"', one["target_matchers"][0])
        assert "deployment" in one["equal"]
        for target in set(targets.split("|")) - {INPUTS_STALE}:
            assert louder_than(rules[source].severity, rules[target].severity)
            found.add((rules[target].id, rules[source].id))
    assert found == {(rule.id, name) for rule in rules.values() for name in rule.covered_by}


def test_prometheus_example_names_rules_that_exist() -> None:
    """Prometheus tells of stale feeds only while none of riskd's own rules does."""
    text = (DEPLOY / "prometheus" / "riskd.rules.yml").read_text(encoding="utf-8")
    (named,) = re.findall(r'rule=~"([^"]+)"', text)
    sight = parse_rulebook(builtin_files(), CATALOGUE)
    assert all(sight.get(name) is not None for name in named.split("|"))


def test_one_example_is_the_real_mainnets_by_address() -> None:
    """No key, no override: the public endpoints."""
    config = load_config(DEPLOY / "config" / "mainnet.yaml")
    assert config.venues.hyperliquid is not None
    assert config.venues.dydx is not None
    assert config.venues.hyperliquid.info_url == "https://api.hyperliquid.xyz/info"
    assert config.venues.dydx.network == "mainnet"
    assert config.venues.dydx.rest_url is None


def test_the_dashboard_in_the_tree_is_the_generated_one() -> None:
    """After a change of the catalogue: `make generated`."""
    path = DEPLOY / "grafana" / "dashboards" / "overview.json"
    assert path.read_bytes() == dashboard(CATALOGUE.values())


def test_the_rule_table_in_the_readme_is_the_generated_one() -> None:
    """After a change of the rulebook: `make generated`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == with_rule_table(text)


def test_every_measure_has_a_panel() -> None:
    """Nothing that is exported is invisible."""
    document = json.loads(dashboard(CATALOGUE.values()))
    queries = " ".join(
        target["expr"] for panel in document["panels"] for target in panel.get("targets", ())
    )
    assert [spec.name for spec in CATALOGUE.values() if metric_name(spec) not in queries] == []


@pytest.mark.parametrize(
    "path",
    sorted([ROOT / "docker-compose.yml", *DEPLOY.rglob("*.yml")]),
    ids=lambda path: path.name,
)
def test_deployment_files_are_valid_yaml(path: Path) -> None:
    """What compose and Prometheus read is at least well formed."""
    assert yaml.safe_load(path.read_text(encoding="utf-8"))


def test_compose_mounts_only_what_exists() -> None:
    """Apart from the secrets, which a desk makes itself."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./") and "secrets" not in source:
                assert (ROOT / source).exists(), source


def test_only_what_has_a_page_is_asked_for_its_health() -> None:
    """The image's check asks the page; a signer has none and would be unhealthy for ever."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    asked = {
        name
        for name, service in compose["services"].items()
        if "build" in service and not service.get("healthcheck", {}).get("disable")
    }
    assert asked == {"riskd"}
