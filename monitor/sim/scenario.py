"""Scenarios: YAML timelines of what happens in the simulated world, told in plain sentences.

A file has ``name``, ``title``, ``duration`` and ``steps``; each step has ``at`` and ``say``, ``do``
or both. Times are seconds or ``90s``, ``2m``, ``1h``, counted from the scenario's start. Every
mistake of a file is reported at once, with its line. The shipped ones are package data beside this
module; ``load_scenario`` also takes a path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from monitor.core.errors import ConfigError
from monitor.sim.occurrences import Narrated
from monitor.sim.scenario_file import Step, read_scenario
from monitor.sim.world import World


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. ``start_minute``: the minute of the hour at which it is meant to begin (so
    that a settlement falls into it), None where that does not matter; ``jumps_per_day`` the
    world's own surprises meanwhile."""

    name: str
    title: str
    duration_s: float
    steps: tuple[Step, ...]
    start_minute: int | None = None
    jumps_per_day: float = 0.0

    def start_near(self, now_s: float) -> float:
        """The moment nearest to ``now_s`` at which the scenario is meant to begin."""
        if self.start_minute is None:
            return now_s
        hour_s = now_s // 3_600 * 3_600 + self.start_minute * 60
        return min((hour_s - 3_600, hour_s, hour_s + 3_600), key=lambda at: abs(at - now_s))


def scenario_names() -> tuple[str, ...]:
    """Names of the shipped scenarios."""
    folder = resources.files("monitor.sim") / "scenarios"
    return tuple(
        sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if _is_yaml(item.name))
    )


def load_scenario(name_or_path: str) -> Scenario:
    """A shipped scenario by name, or any by path (anything that ends in ``.yaml`` or ``.yml``).

    Raises:
        ConfigError: If there is none, or its file has mistakes; all of them are listed.
    """
    if _is_yaml(name_or_path):
        try:
            text = Path(name_or_path).read_text(encoding="utf-8")
        except OSError as error:
            message = f"The scenario file {name_or_path} cannot be read: {error.strerror}."
            raise ConfigError(message) from error
        return parse_scenario(text, name_or_path)
    names = scenario_names()
    if name_or_path not in names:
        message = f"There is no scenario {name_or_path!r}. Choose from: {', '.join(names)}."
        raise ConfigError(message)
    path = resources.files("monitor.sim") / "scenarios" / f"{name_or_path}.yaml"
    return parse_scenario(path.read_text(encoding="utf-8"), f"{name_or_path}.yaml")


def parse_scenario(text: str, where: str) -> Scenario:
    """Read a scenario's text.

    Raises:
        ConfigError: With every mistake and its line.
    """
    found = read_scenario(text, where)
    return Scenario(
        name=found.name,
        title=found.title,
        duration_s=found.duration_s,
        steps=found.steps,
        start_minute=found.start_minute,
        jumps_per_day=found.jumps_per_day,
    )


def play(world: World, scenario: Scenario) -> float:
    """Put a scenario's steps on the world's timeline, from now; returns when it ends.

    Each step first says its sentence (a ``Narrated`` event), then acts.
    """
    world.jumps_per_day = scenario.jumps_per_day
    start_s = world.now_s
    for step in scenario.steps:
        world.schedule(start_s + step.at_s, _runner(world, step))
    return start_s + scenario.duration_s


def _runner(world: World, step: Step) -> Callable[[], None]:
    def run() -> None:
        if step.say:
            world.emit(Narrated(world.now_s, step.say))
        for action in step.actions:
            action.run(world)

    return run


def _is_yaml(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))
