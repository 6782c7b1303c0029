"""What the kill switch says becomes one incident per episode, told again whenever it changes."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.killswitch.facts import KillNotice
from monitor.core.ports import AlertRow, Phase
from monitor.core.types import PORTFOLIO, SECOND_NS, Severity, venue_subject
from monitor.notify.alerts import DispatchPolicy, Route
from monitor.notify.dispatch import Dispatcher
from monitor.notify.notice import Notice, decode_notice
from tests.notify.fakes import START_NS

POLICY = DispatchPolicy(
    deployment="desk-a",
    routes=(Route(channel="alertmanager", holds_state=True),),
)
TRIPPED = KillNotice(
    key="trip-1",
    alert="KillSwitchTripped",
    severity=Severity.CRITICAL,
    scope=PORTFOLIO,
    at_ns=START_NS,
    summary="CUT of the portfolio to 70 %: cancelling 12 orders",
    description="By funding_stress.",
)


def notices(phase: Phase) -> list[Notice]:
    """What is owed."""
    return [decode_notice(entry.notice) for entry in phase.entries]


def restarted(phase: Phase) -> Dispatcher:
    """A new process that took over what the phase kept."""
    dispatcher = Dispatcher(POLICY, now=START_NS + SECOND_NS)
    assert dispatcher.restore(phase.alerts, START_NS + SECOND_NS) == 0
    return dispatcher


def later(**changes: object) -> KillNotice:
    """The same episode some seconds later, with other words."""
    return msgspec.structs.replace(TRIPPED, **{"at_ns": START_NS + 5 * SECOND_NS} | changes)


def test_an_episode_is_told_once_and_again_when_its_words_change() -> None:
    """Saying the same again is no news; progress is, under the same key and start."""
    dispatcher = Dispatcher(POLICY, now=START_NS)
    (first,) = notices(dispatcher.killed(TRIPPED))
    assert dispatcher.killed(later()).empty
    (second,) = notices(dispatcher.killed(later(summary="INCOMPLETE: 2 orders left")))
    assert second.annotation("summary") == "INCOMPLETE: 2 orders left"
    assert (second.dedup_key, second.identity) == (first.dedup_key, first.identity)
    assert (second.starts_ns, second.id) == (first.starts_ns, second.id)
    assert second.id != first.id


def test_the_key_is_the_episodes_over_a_restart() -> None:
    """``kill -9`` after the phase was kept: the same words are no news, others keep the key."""
    phase = Dispatcher(POLICY, now=START_NS).killed(TRIPPED)
    dispatcher = restarted(phase)
    assert dispatcher.killed(later()).empty
    (after,) = notices(dispatcher.killed(later(summary="CONTAINED")))
    assert after.dedup_key == notices(phase)[0].dedup_key


def test_a_restart_before_the_phase_was_kept_gives_the_same_key() -> None:
    """The page may leave twice then; the receiver drops the second by its key."""
    one = notices(Dispatcher(POLICY, now=START_NS).killed(TRIPPED))
    two = notices(Dispatcher(POLICY, now=START_NS + SECOND_NS).killed(later()))
    assert one[0].dedup_key == two[0].dedup_key


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        pytest.param({"resolved": True}, ["alert.resolved"], id="cleared"),
        pytest.param(
            {"severity": Severity.HIGH},
            ["alert.resolved", "alert.firing"],
            id="another severity is another alert",
        ),
        pytest.param(
            {"stage": "incomplete"},
            ["alert.resolved", "alert.firing"],
            id="another thing to do is another alert",
        ),
    ],
)
def test_how_an_episode_goes_on(changes: dict[str, object], kinds: list[str]) -> None:
    """It ends, or goes on as another alert of a channel that knows alerts by their labels."""
    dispatcher = Dispatcher(POLICY, now=START_NS)
    dispatcher.killed(TRIPPED)
    told = notices(dispatcher.killed(later(**changes)))
    assert [one.kind.value for one in told] == kinds
    assert {one.starts_ns for one in told} == {START_NS}, "the episode began when it began"


def test_an_incident_is_not_closed_by_becoming_milder() -> None:
    """A channel that goes by the key hears of the other severity, and of no end before the end."""
    folding = Route(channel="pagerduty")
    policy = msgspec.structs.replace(POLICY, routes=(*POLICY.routes, folding))
    dispatcher = Dispatcher(policy, now=START_NS)
    dispatcher.killed(TRIPPED)
    milder = dispatcher.killed(later(severity=Severity.HIGH, stage="contained"))
    heard = [(decode_notice(entry.notice).kind.value, entry.channels) for entry in milder.entries]
    assert heard == [
        ("alert.resolved", ("alertmanager",)),
        ("alert.firing", ("alertmanager", "pagerduty")),
    ]
    (over,) = dispatcher.killed(
        later(severity=Severity.HIGH, stage="contained", resolved=True)
    ).entries
    assert over.channels == ("alertmanager", "pagerduty")


def test_an_end_is_told_although_its_beginning_was_lost() -> None:
    """An earlier process told it and its record is gone; other scopes are other alerts."""
    dispatcher = Dispatcher(POLICY, now=START_NS)
    (ended,) = notices(dispatcher.killed(later(resolved=True)))
    assert ended.kind.value == "alert.resolved"
    dispatcher = Dispatcher(POLICY, now=START_NS)
    dispatcher.killed(TRIPPED)
    (other,) = notices(dispatcher.killed(later(key="trip-2", scope=venue_subject("dydx"))))
    assert other.label("venue") == "dydx"
    assert len(dispatcher.active) == 2


def test_two_episodes_about_one_scope_end_by_themselves() -> None:
    """Two rules that ask for the same of the same book: one is over, the other goes on, and what
    is told at an end may name another scope."""
    dispatcher = Dispatcher(POLICY, now=START_NS)
    (first,) = notices(dispatcher.killed(TRIPPED))
    (second,) = notices(dispatcher.killed(later(key="trip-2")))
    assert first.identity != second.identity
    ended = later(resolved=True, scope=venue_subject("dydx"), severity=Severity.HIGH)
    (over,) = notices(dispatcher.killed(ended))
    assert (over.identity, over.kind.value) == (first.identity, "alert.resolved")
    assert [alert.firing for alert in dispatcher.active] == [False, True]
    (also,) = notices(dispatcher.killed(msgspec.structs.replace(ended, key="trip-2")))
    assert (also.identity, also.kind.value) == (second.identity, "alert.resolved")


STAGES = ("acting", "incomplete", "acting", "incomplete", "contained")


@pytest.mark.parametrize("dies_after", range(len(STAGES)))
def test_a_stage_that_is_over_leaves_nothing_firing(dies_after: int) -> None:
    """One label set fires at a time, wherever a process died, and none comes back, for a channel
    that heard of its end a moment ago would not ring; the end ends the last of them."""
    dispatcher = Dispatcher(POLICY, now=START_NS)
    rows: dict[str, AlertRow] = {}
    firing: set[str] = set()
    rang: list[str] = []

    def told(phase: Phase) -> None:
        rows.update({row.identity: row for row in phase.alerts})
        for one in notices(phase):
            (firing.add if one.kind.value == "alert.firing" else firing.discard)(one.identity)

    for number, stage in enumerate(STAGES):
        told(dispatcher.killed(later(at_ns=START_NS + number * SECOND_NS, stage=stage)))
        assert len(firing) == 1
        rang += firing
        if number == dies_after:
            dispatcher = Dispatcher(POLICY, now=START_NS)
            dispatcher.restore(tuple(rows.values()), START_NS)
    told(
        dispatcher.killed(later(at_ns=START_NS + 60 * SECOND_NS, stage="contained", resolved=True))
    )
    assert not firing
    assert len(set(rang)) == len(STAGES)
    assert not [one for one in dispatcher.active if one.firing]


def test_what_a_second_copy_alone_knows_ends_what_the_store_still_has() -> None:
    """The store has the stage before, the copy its end and the next one."""
    dispatcher = Dispatcher(POLICY, now=START_NS)
    before = dispatcher.killed(later(stage="acting"))
    unkept = dispatcher.killed(later(at_ns=START_NS + 6 * SECOND_NS, stage="incomplete"))
    for rows in (unkept.alerts, tuple(reversed(unkept.alerts))):
        restored = Dispatcher(POLICY, now=START_NS)
        restored.restore(before.alerts, START_NS)
        restored.restore(rows, START_NS)
        (firing,) = [one for one in restored.active if one.firing]
        assert dict(firing.labels)["stage"] == "incomplete"
        (ended,) = notices(
            restored.killed(later(at_ns=START_NS + 9 * SECOND_NS, stage="contained", resolved=True))
        )
        assert ended.identity == firing.identity
