"""A story: one simulated world over several scenarios, with a daemon, a pager and Prometheus.

It is played once, from beginning to end, and kept: what the pager was told and when, what
``riskd status`` said, what the journal replays to. Tests look at what was kept.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.alertmanager import Receiver, running_alertmanager
from tests.e2e.rig import Finished, Prometheus, Riskd, Simulator, command, ended
from tests.e2e.scenarios import Story, compose

MINUTE_S = 60.0
WATCHDOG = "RiskdWatchdog"
SCRAPES_S = 3.0  # real seconds that Prometheus may lag behind a moment
Subject = frozenset[tuple[str, str]]
IDENTITY = ("alertname", "venue", "account", "market", "feed", "rule", "episode")


@dataclass(frozen=True, slots=True)
class Told:
    """One thing the pager was told."""

    alert: str
    subject: Subject
    severity: str
    status: str
    summary: str
    at_s: float

    def about(self, **labels: str) -> bool:
        """Whether its labels hold all of these."""
        return set(labels.items()) <= self.subject


@dataclass
class Played:
    """What is kept of a story."""

    name: str
    story: Story
    sim: Simulator
    prometheus: Prometheus
    told: list[Told] = field(default_factory=list)
    statuses: dict[float, Finished] = field(default_factory=dict)
    status_after: Finished | None = None
    exit_code: int = -1
    replayed: Finished | None = None
    metrics: str = ""

    def within(self, scenario: str) -> list[Told]:
        """What was told while a scenario was played."""
        part = self.story.parts[scenario]
        return [one for one in self.told if part.begins_s <= one.at_s < part.ends_s]

    async def value(self, series: str, scenario: str, at_min: float) -> float | None:
        """A series' value at a minute of a scenario as Prometheus has it; None where absent.

        ``series`` has braces, in which this story is added.
        """
        at_s = self.story.parts[scenario].begins_s + at_min * MINUTE_S
        found = await self.prometheus.at(self._mine(series), self.sim.wall_s(at_s))
        assert len(found) <= 1, found
        return found[0].points[0][1] if found else None

    async def values(
        self, series: str, scenario: str, from_min: float = 0.0, to_min: float = math.inf
    ) -> list[float]:
        """Every value that Prometheus has of a series between two minutes of a scenario."""
        part = self.story.parts[scenario]
        from_s = part.begins_s + from_min * MINUTE_S
        to_s = min(part.ends_s, part.begins_s + to_min * MINUTE_S)
        found = await self.prometheus.between(
            self._mine(series), self.sim.wall_s(from_s), self.sim.wall_s(to_s)
        )
        assert len(found) <= 1, found
        return [value for _, value in found[0].points] if found else []

    def _mine(self, series: str) -> str:
        assert series.count("{") == 1, series
        return series.replace("{", f'{{run="{self.name}",')


async def play(
    name: str,
    folder: Path,
    prometheus: Prometheus,
    scenarios: Sequence[tuple[str, float]],
    *,
    look_at: Sequence[tuple[str, float]] = (),
    vault: bool = False,
) -> Played:
    """Play scenarios (name, minutes) in turn on one daemon; run ``riskd status`` at each of
    ``look_at`` (scenario, minute)."""
    story = compose(folder, *[(one, minutes * MINUTE_S) for one, minutes in scenarios])
    sim = Simulator(folder)
    async with ended(sim), running_alertmanager(folder / "alertmanager") as alertmanager:
        await sim.start(str(story.path))
        config = (
            # The simulated desk pays two thirds of the usual budget on a calm day.
            f"desk: e2e\ndata_dir: data\ncarry: {{budget_ratio: 0.0125}}\n{sim.venues(vault=vault)}"
            f"notify: {{alertmanager: {{urls: ['{alertmanager.url}']}}}}\n"
        )
        riskd = Riskd(folder, config, sim=sim)
        played = Played(name, story, sim, prometheus)
        async with ended(riskd):
            await riskd.start()
            prometheus.scrape(name, riskd.url)
            looks = sorted(story.parts[one].begins_s + at * MINUTE_S for one, at in look_at)
            for at_s in looks:
                await sim.wait_for(at_s)
                with sim.standing_still():
                    played.statuses[at_s] = await command("status", f"--url={riskd.url}")
            await sim.wait_for(story.ends_s)
            played.metrics = await riskd.metrics()
            prometheus.forget(name)
            played.exit_code = await riskd.terminate()
            played.status_after = await command("status", f"--url={riskd.url}")
            played.told = _told(alertmanager.receiver, sim)
    played.replayed = await command("replay", str(folder / "data"), timeout_s=240.0)
    return played


def _told(receiver: Receiver, sim: Simulator) -> list[Told]:
    return [
        Told(
            alert=one["labels"]["alertname"],
            subject=frozenset(
                (key, value) for key, value in one["labels"].items() if key in IDENTITY
            ),
            severity=one["labels"]["severity"],
            status=one["status"],
            summary=one["annotations"].get("summary", ""),
            # When riskd says it was: how long Alertmanager took depends on the machine.
            at_s=sim.at_s(_wall_s(one["startsAt" if one["status"] == "firing" else "endsAt"])),
        )
        for one in receiver.alerts
        if one["labels"]["alertname"] != WATCHDOG
    ]


def _wall_s(text: str) -> float:
    """Seconds since the epoch of a time as Alertmanager writes it (to the nanosecond)."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).timestamp()


def episodes(told: Sequence[Told]) -> Mapping[tuple[str, Subject], tuple[int, int]]:
    """For each alert about each subject: how often it was told firing, and how often resolved."""
    firing: Counter[Any] = Counter()
    resolved: Counter[Any] = Counter()
    for one in told:
        (firing if one.status == "firing" else resolved)[one.alert, one.subject] += 1
    return {key: (firing[key], resolved[key]) for key in firing | resolved}


def readable(told: Sequence[Told]) -> str:
    """For the message of a failed assertion."""
    return "\n".join(
        f"{one.at_s / 60:7.2f} min {one.status:<8} {one.alert} {one.summary}" for one in told
    )
