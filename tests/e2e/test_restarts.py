"""A restart, orderly or by SIGKILL, with rules in every state; and a rule that cannot be judged.

Time stands still while no daemon runs, so what a timer had left before it has left afterwards.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.alertmanager import Alertmanager, running_alertmanager
from tests.e2e.rig import RISKD, Riskd, Simulator, ended

pytestmark = [
    pytest.mark.component,
    pytest.mark.asyncio(loop_scope="session"),
]

PORTFOLIO = "portfolio"

# A position is opened at 30 s and closed at 90 s: one rule fires for it and recovers.
SCENARIO = """\
name: restarts
title: One trade, there and back
duration: 2h
steps:
  - at: 30s
    do: {trade: {venue: hyperliquid, market: LTC, size: 20}}
  - at: 90s
    do: {trade: {venue: hyperliquid, market: LTC, size: -20}}
"""
RULES = """\
rules:
  - id: always
    for_each: portfolio
    summary: There is equity
    when: equity_usd * 1.0 >= 1.0
    keep_firing_for: 10m
    severity: critical
  - id: patient
    for_each: portfolio
    summary: There has been equity for a while
    when: equity_usd * 1.0 >= 2.0
    for: 10m
    severity: high
  - id: position_opened
    for_each: account
    only: {account: [main]}
    summary: There are many positions
    when: positions_count >= 7.0
    keep_firing_for: 8m
    severity: high
"""


@dataclass
class Desk:
    """A daemon over the simulated desk with a pager behind it."""

    sim: Simulator
    riskd: Riskd
    alertmanager: Alertmanager

    async def rule(self, name: str) -> dict[str, Any]:
        """What the API says of a rule about its one subject that is not inactive; no time passes
        meanwhile."""
        with self.sim.standing_still():
            state = await self.riskd.get("/v1/state")
        found = [rule for rule in state["rules"] if rule["id"] == name]
        assert found, f"{name} is not judged"
        return next((rule for rule in found if rule["state"] != "inactive"), found[0])

    def told(self, alert: str) -> list[str]:
        """What the pager was told of an alert, in order."""
        return [
            one["status"]
            for one in self.alertmanager.receiver.alerts
            if one["labels"]["alertname"] == alert
        ]

    async def until_told(self, alert: str, statuses: list[str]) -> None:
        """Until the pager was told exactly this; Alertmanager takes its own time."""
        receiver = self.alertmanager.receiver
        await receiver.wait_for(lambda: len(self.told(alert)) >= len(statuses))
        assert sorted(self.told(alert)) == statuses

    def keys(self, alert: str) -> set[str]:
        """The keys by which a pager could tell that it was told the same again."""
        return {
            one["annotations"]["incident_id"]
            for one in self.alertmanager.receiver.alerts
            if one["labels"]["alertname"] == alert
        }


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    """The world, the pager and a daemon that was not started yet."""
    scenario = folder / "scenario.yaml"
    scenario.write_text(SCENARIO)
    (folder / "rules.yaml").write_text(RULES)
    sim = Simulator(folder)
    async with ended(sim), running_alertmanager(folder / "alertmanager") as alertmanager:
        await sim.start(str(scenario))
        config = (
            f"desk: e2e\ndata_dir: data\n{sim.venues()}"
            f"rules: {{builtin: false, files: [rules.yaml]}}\n"
            f"notify: {{alertmanager: {{urls: ['{alertmanager.url}']}}}}\n"
        )
        riskd = Riskd(folder, config, sim=sim)
        async with ended(riskd):
            yield Desk(sim, riskd, alertmanager)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
async def test_a_restart_keeps_every_rule_state(how: str, tmp_path: Path) -> None:
    """PENDING goes on waiting, FIRING goes on firing, RECOVERING goes on recovering, under the
    same keys; nobody is paged twice, and each timer ends when it would have ended."""
    async with desk(tmp_path) as one:
        await one.riskd.start()
        await one.sim.wait_for(180.0)
        states = {
            "always": "firing",
            "patient": "pending",
            "position_opened": "recovering",
        }
        looked_s = one.sim.now_s
        before = {name: await one.rule(name) for name in states}
        assert {name: rule["state"] for name, rule in before.items()} == states
        keys = {name: one.keys(name) for name in ("Always", "PositionOpened")}
        assert all(len(found) == 1 for found in keys.values())
        if how == "SIGTERM":
            assert await one.riskd.terminate() == 0
        else:
            await one.riskd.kill()
        await one.riskd.start()
        after = {name: await one.rule(name) for name in states}
        assert {name: rule["state"] for name, rule in after.items()} == states
        passed_s = one.sim.now_s - looked_s
        for name in states:
            grown_s = after[name]["since_s"] - before[name]["since_s"]
            assert 0.0 <= grown_s <= passed_s + 0.01, "the time in its state goes on"

        # One was pending since about 5 s, for 10 min; the other recovers since about 95 s, for 8.
        await one.sim.wait_for(500.0)
        assert (await one.rule("patient"))["state"] == "pending"
        assert (await one.rule("position_opened"))["state"] == "recovering"
        await one.sim.wait_for(660.0)
        assert (await one.rule("patient"))["state"] == "firing"
        assert (await one.rule("position_opened"))["state"] == "inactive"
        await one.until_told("PositionOpened", ["firing", "resolved"])
        await one.until_told("Patient", ["firing"])
        assert one.told("Always") == ["firing"]
        assert one.keys("Always") == keys["Always"]
        assert one.keys("PositionOpened") == keys["PositionOpened"]
        assert await one.riskd.terminate() == 0


async def test_ten_minutes_of_errors_resolve_nothing(tmp_path: Path) -> None:
    """While a rule cannot be judged, its alert goes on firing, its timers do not run out, people
    are told once that it fails, and the other rules are judged as ever."""
    switch = tmp_path / "cel-fails"
    launcher = (RISKD[0], str(Path(__file__).with_name("failing_cel.py")))
    async with desk(tmp_path) as one:
        await one.riskd.start(launcher=launcher, RISKD_E2E_CEL_FAILS=str(switch))
        await one.sim.wait_for(60.0)
        assert (await one.rule("always"))["state"] == "firing"
        assert (await one.rule("patient"))["state"] == "pending"
        switch.touch()
        await one.sim.wait_for(665.0)
        always, patient = await one.rule("always"), await one.rule("patient")
        assert (always["state"], patient["state"]) == ("firing", "pending")
        assert "the expression engine fails" in always["error"]
        await one.until_told("RuleEvaluationFailing", ["firing"] * 2)  # one for each rule
        # Plain comparisons need no CEL: this rule began and ended as ever.
        await one.until_told("PositionOpened", ["firing", "resolved"])
        assert one.told("Always") == ["firing"]
        switch.unlink()
        await one.sim.wait_for(720.0)
        assert (await one.rule("always"))["error"] == ""
        await one.until_told("RuleEvaluationFailing", ["firing"] * 2 + ["resolved"] * 2)
        assert one.told("Always") == ["firing"]
        assert await one.riskd.terminate() == 0
