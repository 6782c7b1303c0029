"""The configuration of the desk that ``riskd demo`` watches, as a file a person could have written.

It is the file that both the daemon and its signer read: ``rehearse``, one rule of the desk's own
that may act, everything else observing.
"""

from __future__ import annotations

from pathlib import Path

from monitor.config import Config, parse_config
from monitor.core.errors import ConfigError
from monitor.sim.simulation import Simulation

FILE = "riskd.yaml"
RULES_FILE = "desk-rules.yaml"
DATA = "data"
KEY_VARIABLE = "RISKD_DEMO_SIGNER_KEY"
ACTING_RULE = "funding_storm"
# What reduces is worth less than half of this in the demo: an order that is wrong by a digit stops.
SIGNED_USD_PER_HOUR = 400_000
HEDGES = {
    asset: (f"hyperliquid/{account}/{asset}", f"dydx/main/{asset}-USD")
    for asset, account in (
        ("BTC", "main"), ("ETH", "main"), ("SOL", "main"), ("LINK", "main"), ("DOGE", "hedge"),
        ("FARTCOIN", "main"),
    )
}  # fmt: skip
RULES = f"""\
# The desk's own rule. It knows the venue that riskd can act on, and asks for little.
- id: {ACTING_RULE}
  for_each: venue
  only: {{venue: [hyperliquid]}}
  summary: Funding storm, the desk's own limit
  when: funding_expensive_share_ratio >= 0.60
  confirm: {{need: 2, of: 2, apart: 60s}}
  until: funding_expensive_share_ratio <= 0.20
  keep_firing_for: 60s
  reentry: funding_expensive_share_ratio <= 0.20 && funding_markets_known_ratio >= 0.60
  severity: critical
  do: {{level: cut, gross_to: 0.95}}
  scope: venue
  runbook: funding_broad_expense
"""


def write_desk(
    folder: Path, simulation: Simulation, *, notify: str, port: int, secret: str
) -> Config:
    """Write the desk's files into ``folder``; returns what they say.

    Args:
        folder: Where the demo keeps everything.
        simulation: The venues.
        notify: An Alertmanager's URL, or the URL of a signed webhook with ``secret``.
        port: Of the page and the API.
        secret: Name of the variable with the webhook's secret; empty for an Alertmanager.
    """
    text = _text(simulation, _notify(notify, secret), port)
    (folder / RULES_FILE).write_text(RULES, encoding="utf-8")
    (folder / FILE).write_text(text, encoding="utf-8")
    try:
        return parse_config(text, source="demo")
    except ConfigError as error:
        raise ConfigError(f"The demo cannot configure itself: {error}") from error


def _notify(url: str, secret: str) -> str:
    if not secret:
        return f"alertmanager: {{urls: ['{url}']}}"
    hook = f"name: pager, url: '{url}', allow_loopback: true, secret: {{env: {secret}}}"
    return f"webhooks: [{{{hook}}}]"


def hedge_sets() -> str:
    """The hedges of the simulated desk, a line each, as ``kill.hedge_sets`` has them."""
    return "\n".join(
        f"    - {{name: {asset.lower()}, legs: [{', '.join(legs)}]}}"
        for asset, legs in HEDGES.items()
    )


def _text(simulation: Simulation, notify: str, port: int) -> str:
    urls, addresses = simulation.urls, simulation.addresses
    hyperliquid, dydx = urls["hyperliquid"], urls["dydx"]
    return f"""\
# The simulated desk of `riskd demo`.
desk: demo
mode: rehearse # acts, with a key that everybody knows, on this machine alone
data_dir: {DATA}
# This desk pays two thirds of the usual 1 % on a calm day; by evening that would be a warning.
carry: {{budget_ratio: 0.0125}}
venues:
  hyperliquid:
    rest_url: {hyperliquid["rest"]}
    ws_url: {hyperliquid["ws"]}
    accounts:
      - {{alias: main, address: "{addresses["hyperliquid"]["main"]}"}}
      - {{alias: hedge, address: "{addresses["hyperliquid"]["subaccount"]}"}}
  dydx:
    baselines: false # the history of one venue is enough for a story of minutes
    rest_url: {dydx["rest"]}
    ws_url: {dydx["ws"]}
    validator_urls: ["{dydx["rpc"]}"]
    accounts: [{{alias: main, address: "{addresses["dydx"]["main"]}"}}]
notify: {{{notify}}}
server: {{port: {port}}}
rules: {{files: [{RULES_FILE}]}}
actions:
  hyperliquid:
    accounts: [{{alias: main}}, {{alias: hedge, acts_as: sub}}]
    signer: {{key: {{env: {KEY_VARIABLE}}}, notional_usd_per_hour: {SIGNED_USD_PER_HOUR}}}
kill:
  unseen: "Nothing: this desk exists in this process only."
  hedge_sets: # long on one venue, short on the other: watched as one, and cut as one
{hedge_sets()}
  rules: [{{rule: {ACTING_RULE}, mode: act}}]
"""
