"""Every verb has its right, or only shows."""

from __future__ import annotations

from monitor.app.permitted import RIGHT_OF
from monitor.core.operator import Verb
from monitor.core.rights import Right


def test_every_verb_has_a_right_or_only_shows() -> None:
    """A verb that is added must be placed; and no right stands for nothing."""
    assert set(RIGHT_OF) == {verb.value for verb in Verb}
    assert {verb for verb, right in RIGHT_OF.items() if right is None} == {"plan", "flags"}
    assert {right for right in RIGHT_OF.values() if right is not None} == set(Right)
