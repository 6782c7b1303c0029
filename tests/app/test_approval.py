"""A rulebook that loosens does not come in with a restart either."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from monitor.app.approval import Approval, kept_book
from monitor.app.rulebooks import Rulebooks
from monitor.config import parse_config
from monitor.core.engine import Engine
from monitor.core.events import Event, RulebookLoaded
from monitor.core.killswitch.facts import KillNotice
from monitor.core.settings import EngineSettings
from monitor.core.types import Subject
from tests.manual_clock import ManualClock

RULE = """\
- id: exposed
  for_each: venue
  summary: Too much is held
  when: gross_exposure_usd >= {limit}.0
  severity: high
  do: {{level: block_new}}
  mode: act
"""
CONFIG = f"venues: {{hyperliquid: {{accounts: [{{alias: main, address: '0x{'1' * 40}'}}]}}}}"


class Desk:
    """What the daemon would be: takes events, audit lines and pages."""

    def __init__(self, *, mode: str = "armed") -> None:
        config = parse_config(CONFIG, source="riskd.yaml").model_copy(update={"mode": mode})
        self.events: list[Event] = []
        self.notes: list[str] = []
        self.notices: list[KillNotice] = []
        self.rulebooks = Rulebooks(config, base=Path())
        self.rulebooks.approval = Approval(
            config,
            engine=Engine(EngineSettings(acting=True)),
            clock=ManualClock(),
            load=lambda files: self.rulebooks.take(files, events=self, by="approved"),
            note=self.note,
            tell=self.notices.append,
        )

    def submit(self, events: tuple[Event, ...]) -> None:
        """As an ``EventSink``."""
        self.events += events

    def note(
        self, action: str, _actor: str, _scope: Subject, _why: str, _more: tuple[object, ...]
    ) -> None:
        """One audit line."""
        self.notes.append(action)

    @property
    def loaded(self) -> list[tuple[str, str]]:
        """(by whom, text) of what took effect."""
        return [
            (one.loaded_by, one.files[0][1])
            for one in self.events
            if isinstance(one, RulebookLoaded)
        ]


def files(limit: int) -> tuple[tuple[str, str], ...]:
    """The rulebook with that limit."""
    return (("rules.yaml", RULE.format(limit=limit)),)


@pytest.mark.parametrize(
    ("mode", "kept", "new", "loaded"),
    [
        pytest.param("armed", 600_000, 700_000, ("last in force", 600_000), id="looser"),
        pytest.param("armed", 600_000, 500_000, ("start", 500_000), id="tighter"),
        pytest.param("armed", 600_000, 600_000, ("start", 600_000), id="the same"),
        pytest.param("armed", None, 700_000, ("start", 700_000), id="nothing was kept"),
        pytest.param("observe", 600_000, 700_000, ("start", 700_000), id="nothing can act"),
    ],
)
def test_a_start_with_other_files(
    mode: str, kept: int | None, new: int, loaded: tuple[str, int]
) -> None:
    """What was last in force goes on, and the new ones wait for a person."""
    desk = Desk(mode=mode)
    packed = None if kept is None else msgspec.msgpack.encode(files(kept))
    desk.rulebooks.kept = kept_book(packed)
    desk.rulebooks.load(files(new), desk, by="start")
    by, limit = loaded
    assert desk.loaded == [(by, files(limit)[0][1])]
    waits = by == "last in force"
    assert desk.notes == (["rules_waiting"] if waits else [])
    assert [one.resolved for one in desk.notices] == ([False] if waits else [])


@pytest.mark.parametrize("packed", [b"", b"\x93", msgspec.msgpack.encode([["r.yaml", "- id: ["]])])
def test_what_was_kept_and_cannot_be_used(packed: bytes) -> None:
    """Is nothing: an older riskd's rules may name measures that are gone."""
    assert kept_book(packed) is None
