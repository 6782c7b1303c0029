"""Questions about what a person was told, for the tests of this room."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.pages.world import Notification, Played

Page = tuple[str, str]  # alert, venue or hedge set; empty where it is about the whole book


def paged_as(one: Notification) -> Page:
    """What it was about."""
    return one.alert, _place(one.labels)


def _place(labels: dict[str, str]) -> str:
    return labels.get("venue", labels.get("hedge_set", ""))


def paged(played: Played) -> Counter[Page]:
    """How often a person was told of each alert at each place."""
    return Counter(map(paged_as, played.pages))


def firing(played: Played, minute: float) -> dict[Page, dict[str, Any]]:
    """What fires by the API at a minute, told or not."""
    return {
        (one["alert"], _place(one["labels"])): one for one in played.alerts[minute] if one["firing"]
    }


def exported(played: Played, minute: float, name: str, **labels: str) -> bool:
    """Whether /metrics had a series of that name with these labels."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return any(
        line.startswith(f"{name}{{") and all(one in line for one in wanted)
        for line in played.metrics[minute].splitlines()
    )
