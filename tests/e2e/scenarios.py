"""Several shipped scenarios as one story, so that one simulator and one daemon serve them all."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str | float) -> float:
    """``90s``, ``2m``, ``1h`` or a number, in seconds."""
    if isinstance(text, str) and text[-1] in UNIT_S:
        return float(text[:-1]) * UNIT_S[text[-1]]
    return float(text)


@dataclass(frozen=True, slots=True)
class Part:
    """One shipped scenario within a story, in seconds since the story's start."""

    name: str
    begins_s: float
    ends_s: float


@dataclass(frozen=True, slots=True)
class Story:
    """A scenario file made of shipped ones, and where each of them lies in it."""

    path: Path
    parts: dict[str, Part]
    ends_s: float


def compose(folder: Path, *names: tuple[str, float]) -> Story:
    """Write a scenario that plays the named ones in turn, each for so many seconds: all its steps
    and what its alerts need to end afterwards."""
    steps: list[dict[str, Any]] = []
    parts: dict[str, Part] = {}
    document: dict[str, Any] = {"name": "story", "title": "Several scenarios in turn"}
    at_s = 0.0
    for name, lasts_s in names:
        source = resources.files("monitor.sim") / "scenarios" / f"{name}.yaml"
        shipped = yaml.safe_load(source.read_text(encoding="utf-8"))
        assert seconds(shipped["steps"][-1]["at"]) < lasts_s, name
        steps += [step | {"at": f"{at_s + seconds(step['at']):g}s"} for step in shipped["steps"]]
        for setting in ("start_minute", "jumps_per_day"):
            if setting in shipped:
                assert not parts, f"{name} must come first: it has a {setting}"
                document[setting] = shipped[setting]
        parts[name] = Part(name, at_s, at_s + lasts_s)
        at_s += lasts_s
    document |= {"duration": f"{at_s:g}s", "steps": steps}
    path = folder / "story.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return Story(path, parts, at_s)
