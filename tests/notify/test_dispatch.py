"""What is news, what is repeated, and that nothing ends because it was not mentioned."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.decision import Decision, RuleHealth
from monitor.core.ports import OutboxEntry, Phase
from monitor.core.types import PORTFOLIO, SECOND_NS, AlertState, Severity
from monitor.notify.alerts import DispatchPolicy, Route
from monitor.notify.blindness import place_of
from monitor.notify.dispatch import Dispatcher
from monitor.notify.notice import (
    Notice,
    NoticeKind,
    alert_labels,
    decode_active,
    decode_notice,
    rfc3339,
    subject_labels,
)
from tests.notify.fakes import START_NS, decision, health, transition

FIRING, RECOVERING = AlertState.FIRING, AlertState.RECOVERING
INACTIVE, PENDING = AlertState.INACTIVE, AlertState.PENDING
MINUTE_NS = 60 * SECOND_NS
KEY = ("leverage", "account:hyperliquid/main")

POLICY = DispatchPolicy(
    deployment="desk-a",
    routes=(
        Route(channel="alertmanager", holds_state=True),
        Route(channel="webhook", severity_min=Severity.HIGH),
    ),
    runbook_base_url="https://runbooks.example/riskd/",
    dashboard_url="https://risk.example/",
)


@pytest.fixture
def dispatcher() -> Dispatcher:
    """A dispatcher that has just started."""
    return Dispatcher(POLICY, now=START_NS)


def told(phase: Phase) -> list[tuple[str, str, tuple[str, ...]]]:
    """(alert, kind, channels) of each entry."""
    notices = [(decode_notice(entry.notice), entry.channels) for entry in phase.entries]
    return [(one.label("alertname"), one.kind.value, channels) for one, channels in notices]


def notices(entries: tuple[OutboxEntry, ...], *, watchdog: bool = False) -> list[Notice]:
    """The notices of repeats, without the watchdog's."""
    found = [decode_notice(entry.notice) for entry in entries]
    return [one for one in found if watchdog or one.label("alertname") != "RiskdWatchdog"]


# ------------------------------------------------------------------------------------- news


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([(INACTIVE, PENDING)], [], id="pending is nobody's business"),
        pytest.param([(INACTIVE, FIRING)], ["alert.firing"], id="firing at once"),
        pytest.param([(PENDING, FIRING)], ["alert.firing"], id="firing after its hold"),
        pytest.param([(PENDING, INACTIVE)], [], id="a breach that passed"),
        pytest.param(
            [(PENDING, FIRING), (FIRING, RECOVERING), (RECOVERING, FIRING)],
            ["alert.firing"],
            id="a relapse is the same episode",
        ),
        pytest.param(
            [(PENDING, FIRING), (FIRING, RECOVERING)], ["alert.firing"], id="recovering still fires"
        ),
        pytest.param(
            [(PENDING, FIRING), (FIRING, RECOVERING), (RECOVERING, INACTIVE)],
            ["alert.firing", "alert.resolved"],
            id="recovered",
        ),
        pytest.param(
            [(RECOVERING, INACTIVE)], ["alert.resolved"], id="an end whose beginning was lost"
        ),
    ],
)
def test_only_beginnings_and_ends_are_news(
    dispatcher: Dispatcher, steps: list[tuple[AlertState, AlertState]], expected: list[str]
) -> None:
    """Transitions inside an episode tell nobody anything new."""
    found = []
    for number, (before, after) in enumerate(steps):
        step = transition(after, before, at_ns=START_NS + number * SECOND_NS)
        found += told(dispatcher.decided(decision(step)))
    assert [kind for _, kind, _ in found] == expected


@pytest.mark.parametrize(
    ("severity", "channels"),
    [
        (Severity.CRITICAL, ("alertmanager", "webhook")),
        (Severity.HIGH, ("alertmanager", "webhook")),
        (Severity.WARNING, ("alertmanager",)),
    ],
)
def test_routes_take_from_their_severity_up(
    dispatcher: Dispatcher, severity: Severity, channels: tuple[str, ...]
) -> None:
    """A quiet alert does not reach a loud channel."""
    phase = dispatcher.decided(decision(transition(FIRING, severity=severity)))
    assert told(phase) == [("LeverageHigh", "alert.firing", channels)]


def test_an_alert_is_told_completely(dispatcher: Dispatcher) -> None:
    """Labels are identity, everything else is annotation, keys are as documented."""
    (entry,) = dispatcher.decided(decision(transition(FIRING))).entries
    notice = decode_notice(entry.notice)
    assert dict(notice.labels) == {
        "alertname": "LeverageHigh",
        "severity": "critical",
        "deployment": "desk-a",
        "rule": "leverage",
        "venue": "hyperliquid",
        "account": "main",
    }
    texts = dict(notice.annotations)
    assert texts.pop("incident_id").startswith("inc_")
    assert texts == {
        "summary": "Leverage 4.2 over 3.0 on hyperliquid/main; WOULD HAVE cut",
        "description": "Gross exposure 420 000 USD on equity 100 000 USD.",
        "runbook_url": "https://runbooks.example/riskd/leverage.md",
        "dashboard_url": "https://risk.example/",
        "value": "leverage=4.2",
        "threshold": "leverage >= 3.0",
        "inputs_age": "oldest 0.5 s (leverage)",
        "action_taken": "would have cut to 0.70 (observe)",
        "next_step": "Open the runbook; `riskd status` shows every input with its age.",
    }
    assert notice.dedup_key.startswith("riskd/desk-a/")
    assert entry.urgency == 0
    assert notice.starts_ns == START_NS


def test_keys_are_the_same_in_another_process_and_other_in_another_episode() -> None:
    """The same decision gives the same ids after a restart; the next episode does not."""
    ids: list[tuple[str, str, str]] = []
    for epoch_ns in (START_NS, START_NS, START_NS + 1):
        step = transition(FIRING, epoch_ns=epoch_ns)
        (entry,) = Dispatcher(POLICY, now=START_NS + len(ids)).decided(decision(step)).entries
        ids.append((entry.id, decode_notice(entry.notice).dedup_key, entry.identity))
    assert ids[0] == ids[1]
    assert ids[0][:2] != ids[2][:2]
    assert ids[0][2] == ids[2][2]
    # Written down so that a change of the derivation is noticed: it would double every open page.
    assert ids[0][1] == "riskd/desk-a/d2d0396bd98a8007970d0de40b8b5f0e"


def test_a_number_that_moves_is_no_new_alert(dispatcher: Dispatcher) -> None:
    """Firing told again with other values refreshes the text and pages nobody."""
    dispatcher.decided(decision(transition(FIRING)))
    again = transition(FIRING, FIRING, summary="Leverage 5.0 over 3.0", at_ns=START_NS + SECOND_NS)
    phase = dispatcher.decided(decision(again))
    assert phase.entries == ()
    (alert,) = dispatcher.active
    assert dict(alert.annotations)["summary"] == "Leverage 5.0 over 3.0"
    assert [decode_active(row.alert) for row in phase.alerts] == [alert]


def test_a_severity_that_rises_ends_the_quieter_alert(dispatcher: Dispatcher) -> None:
    """Severity is a label: the old alert must not linger beside the new one."""
    dispatcher.decided(decision(transition(FIRING, severity=Severity.WARNING)))
    phase = dispatcher.decided(decision(transition(FIRING, FIRING, at_ns=START_NS + SECOND_NS)))
    kinds = [
        (one.label("severity"), one.kind.value)
        for one in map(decode_notice, (entry.notice for entry in phase.entries))
    ]
    assert kinds == [("warning", "alert.resolved"), ("critical", "alert.firing")]


@pytest.mark.parametrize(
    ("length", "shown"), [(120, 120), (121, 120)], ids=["fits exactly", "one too many is cut"]
)
def test_a_summary_has_at_most_120_characters(
    dispatcher: Dispatcher, length: int, shown: int
) -> None:
    """What a phone shows is never cut by somebody else."""
    step = transition(FIRING, summary="x" * length)
    (entry,) = dispatcher.decided(decision(step)).entries
    summary = decode_notice(entry.notice).annotation("summary")
    assert len(summary) == shown
    assert summary.endswith("…") == (length > 120)


@pytest.mark.parametrize(
    ("subject", "labels"),
    [
        ("portfolio", {}),
        ("venue:dydx", {"venue": "dydx"}),
        ("account:dydx/main.128", {"venue": "dydx", "account": "main.128"}),
        (
            "position:hyperliquid/main/PURR/USDC",
            {"venue": "hyperliquid", "account": "main", "market": "PURR/USDC"},
        ),
        ("market:hyperliquid/xyz:TSLA", {"venue": "hyperliquid", "market": "xyz:TSLA"}),
        ("asset:BTC", {"asset": "BTC"}),
        ("feed:dydx/v4_markets", {"venue": "dydx", "feed": "v4_markets"}),
        ("rule:leverage", {"about_rule": "leverage"}),
        ("chain:arbitrum", {"chain": "arbitrum"}),
    ],
)
def test_subjects_become_labels(subject: str, labels: dict[str, str]) -> None:
    """Each part of a subject is a label of its own."""
    assert subject_labels(subject) == labels


@given(
    rule=st.text(min_size=1, max_size=10),
    alert=st.text(min_size=1, max_size=10),
    account=st.from_regex(r"[a-z0-9_-]{1,8}(\.[a-z]{1,3})?", fullmatch=True),
)
def test_labels_hold_identity_only(rule: str, alert: str, account: str) -> None:
    """No value, time or price can become a label: the set of names is closed."""
    labels = alert_labels(
        alert=alert,
        severity=Severity.HIGH,
        deployment="d",
        rule=rule,
        subject=f"account:dydx/{account}",
    )
    assert [name for name, _ in labels] == [
        "account", "alertname", "deployment", "rule", "severity", "venue"
    ]  # fmt: skip


def test_times_are_utc_with_milliseconds() -> None:
    """RFC 3339 as Alertmanager and Standard Webhooks read it."""
    assert rfc3339(START_NS) == "2026-11-21T14:03:11.482Z"
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"


# ---------------------------------------------------------------------------------- repeats


@pytest.mark.parametrize(
    ("severity", "resend_s"), [(Severity.CRITICAL, 30), (Severity.HIGH, 60), (Severity.INFO, 60)]
)
def test_firing_alerts_are_repeated(
    dispatcher: Dispatcher, severity: Severity, resend_s: int
) -> None:
    """To the channels that hold state, every 30 s when critical, else every 60 s."""
    dispatcher.decided(decision(transition(FIRING, severity=severity)))
    early = dispatcher.tick(START_NS + resend_s * SECOND_NS - 1)
    assert notices(early.repeats) == []
    due = dispatcher.tick(START_NS + resend_s * SECOND_NS)
    (entry,) = [one for one in due.repeats if notices((one,))]
    assert entry.channels == ("alertmanager",)
    notice = decode_notice(entry.notice)
    assert notice.kind is NoticeKind.FIRING
    assert notice.hold_s == 300.0
    assert due.phase.empty


def test_slow_repeats_hold_four_times_as_long() -> None:
    """``endsAt`` is four repeats ahead, and never under five minutes."""
    slow = DispatchPolicy(deployment="d", routes=POLICY.routes, resend_s=120.0)
    dispatcher = Dispatcher(slow, now=START_NS)
    (entry,) = dispatcher.decided(decision(transition(FIRING, severity=Severity.HIGH))).entries
    assert decode_notice(entry.notice).hold_s == 480.0


def test_an_end_is_repeated_for_fifteen_minutes(dispatcher: Dispatcher) -> None:
    """A resolve survives a restart of Alertmanager, then the alert is forgotten."""
    dispatcher.decided(decision(transition(FIRING)))
    dispatcher.decided(decision(transition(INACTIVE, FIRING, at_ns=START_NS + SECOND_NS)))
    ended_ns = START_NS + SECOND_NS
    repeats = 0
    for second in range(1, 900):
        due = dispatcher.tick(ended_ns + second * SECOND_NS)
        for notice in notices(due.repeats):
            assert (notice.kind, notice.ended_ns) == (NoticeKind.RESOLVED, ended_ns)
            repeats += 1
        assert due.phase.empty
    assert repeats == 29
    last = dispatcher.tick(ended_ns + 900 * SECOND_NS)
    assert len(last.phase.alerts_gone) == 1
    assert dispatcher.active == ()


def test_refiring_ends_the_repeat_of_the_end(dispatcher: Dispatcher) -> None:
    """The end of the last episode must not put out the next one."""
    dispatcher.decided(decision(transition(FIRING)))
    dispatcher.decided(decision(transition(INACTIVE, FIRING, at_ns=START_NS + SECOND_NS)))
    epoch_ns = START_NS + 2 * SECOND_NS
    dispatcher.decided(decision(transition(FIRING, at_ns=epoch_ns, epoch_ns=epoch_ns)))
    found = notices(dispatcher.tick(START_NS + MINUTE_NS).repeats)
    assert [(one.kind, one.starts_ns) for one in found] == [(NoticeKind.FIRING, epoch_ns)]


def test_the_watchdog_is_repeated_for_ever(dispatcher: Dispatcher) -> None:
    """It goes to whoever holds state, whatever the routes' severity, and is kept nowhere."""
    for minute in range(5):
        due = dispatcher.tick(START_NS + minute * MINUTE_NS)
        names = [one.label("alertname") for one in notices(due.repeats, watchdog=True)]
        assert names == ["RiskdWatchdog"]
        assert due.phase.empty


def test_ten_minutes_of_rule_errors_resolve_nothing(dispatcher: Dispatcher) -> None:
    """An alert whose rule cannot be judged goes on being sent, says so, and has a companion."""
    dispatcher.decided(decision(transition(FIRING)))
    broken = dispatcher.decided(health("TypeError: no such overload", at_ns=START_NS + SECOND_NS))
    assert told(broken) == []  # others of the same rule may join it within ten seconds
    phase = dispatcher.tick(START_NS + 11 * SECOND_NS).phase
    assert told(phase) == [("RuleEvaluationFailing", "alert.firing", ("alertmanager", "webhook"))]
    times = []
    for second in range(1, 600):
        due = dispatcher.tick(START_NS + second * SECOND_NS)
        for notice in notices(due.repeats):
            assert notice.kind is NoticeKind.FIRING
            if notice.label("alertname") == "LeverageHigh":
                assert notice.annotation("data") == "error"
                times.append(second)
    assert times == list(range(30, 600, 30))
    healed = dispatcher.decided(health("", at_ns=START_NS + 600 * SECOND_NS))
    assert [(name, kind) for name, kind, _ in told(healed)] == [
        ("RuleEvaluationFailing", "alert.resolved")
    ]
    (leverage,) = [one for one in dispatcher.active if one.rule == "leverage"]
    assert leverage.firing
    assert "data" not in dict(leverage.annotations)


def test_errors_about_the_whole_book_end_as_well(dispatcher: Dispatcher) -> None:
    """Where a rule's subject is the place that its failures are told about."""
    broken = RuleHealth(rule="book", subject=PORTFOLIO, error="ValueError: x", at_ns=START_NS)
    dispatcher.decided(Decision(at_ns=START_NS, health=(broken,)))
    dispatcher.tick(START_NS + 11 * SECOND_NS)
    healed = msgspec.structs.replace(broken, error="", at_ns=START_NS + MINUTE_NS)
    phase = dispatcher.decided(Decision(at_ns=healed.at_ns, health=(healed,)))
    assert [(name, kind) for name, kind, _ in told(phase)] == [
        ("RuleEvaluationFailing", "alert.resolved")
    ]


class Blind:
    """A dispatcher with two firing rules of one account and one of a venue, and who is blind."""

    OTHER = ("margin", KEY[1])
    VENUE = ("venue_slow", "venue:dydx")

    def __init__(self) -> None:
        self.now: set[tuple[str, str]] = set()
        self.dispatcher = Dispatcher(
            POLICY, now=START_NS, is_stale=lambda rule, subject: (rule, subject) in self.now
        )
        for rule, subject in (KEY, self.OTHER, self.VENUE):
            self.dispatcher.decided(decision(transition(FIRING, rule=rule, subject=subject)))

    def ticks(self, first: int, last: int) -> list[tuple[int, str, str]]:
        """(second, alert, kind) of what is told from second ``first`` to ``last``."""
        return [
            (second, name, kind)
            for second in range(first, last + 1)
            for name, kind, _ in told(self.dispatcher.tick(START_NS + second * SECOND_NS).phase)
        ]


def test_lost_inputs_mark_the_alert_at_once_and_resolve_nothing() -> None:
    """UNKNOWN while firing: still firing, and data="stale" with the very next repeat."""
    blind = Blind()
    blind.now.add(KEY)
    due = blind.dispatcher.tick(START_NS + 30 * SECOND_NS)
    assert told(due.phase) == []
    marks = {one.annotation("data") for one in notices(due.repeats)}
    assert {one.kind for one in notices(due.repeats)} == {NoticeKind.FIRING}
    assert marks == {"stale", ""}


def test_blindness_is_told_after_a_minute_and_ended_after_another() -> None:
    """Both sides of both minutes; the alert itself never ends."""
    blind = Blind()
    blind.now.add(KEY)
    assert blind.ticks(30, 89) == []
    assert blind.ticks(90, 90) == [(90, "RuleInputsStale", "alert.firing")]
    assert blind.ticks(91, 700) == []
    blind.now.clear()
    assert blind.ticks(701, 760) == []
    assert blind.ticks(761, 761) == [(761, "RuleInputsStale", "alert.resolved")]
    assert sum(one.firing for one in blind.dispatcher.active) == 3


@pytest.mark.parametrize(
    ("seconds_blind", "seconds_seeing"),
    [pytest.param(59, 1, id="blind too short"), pytest.param(17, 17, id="to and fro")],
)
def test_short_blindness_is_nobodys_business(seconds_blind: int, seconds_seeing: int) -> None:
    """A reconnect every minute tells nobody anything."""
    blind = Blind()
    second = 0
    for _ in range(10):
        for keys, lasts in (({KEY}, seconds_blind), (set[tuple[str, str]](), seconds_seeing)):
            blind.now = keys
            assert blind.ticks(second, second + lasts - 1) == []
            second += lasts


def test_short_sight_ends_nothing() -> None:
    """Once told, it goes on until sight has lasted."""
    blind = Blind()
    blind.now.add(KEY)
    assert len(blind.ticks(0, 60)) == 1
    for start in range(61, 661, 60):
        blind.now = set()
        assert blind.ticks(start, start + 39) == []
        blind.now = {KEY}
        assert blind.ticks(start + 40, start + 59) == []


def test_one_page_per_account_or_venue() -> None:
    """Two blind rules of an account are one page that names the place; a venue has its own."""
    blind = Blind()
    blind.now = {KEY, Blind.OTHER, Blind.VENUE}
    assert [name for _, name, _ in blind.ticks(0, 300)] == ["RuleInputsStale"] * 2
    own = [one for one in blind.dispatcher.active if one.rule == "RuleInputsStale!"]
    assert {one.subject for one in own} == {KEY[1], "venue:dydx"}
    (account,) = [one for one in own if one.subject == KEY[1]]
    assert {"leverage", "margin"} <= set(
        dict(account.annotations)["description"].replace(",", "").replace(".", "").split()
    )
    blind.now = {Blind.OTHER}
    assert blind.ticks(301, 500) == [(361, "RuleInputsStale", "alert.resolved")]


def test_blindness_survives_a_restart() -> None:
    """What was told before is neither told again nor forgotten, and ends as it should."""
    blind = Blind()
    blind.now.add(KEY)
    rows = []
    for second in range(61):
        rows += blind.dispatcher.tick(START_NS + second * SECOND_NS).phase.alerts
    again = Blind()
    again.dispatcher.restore(rows, START_NS + 61 * SECOND_NS)
    again.now.add(KEY)
    assert again.ticks(61, 200) == []
    again.now.clear()
    assert again.ticks(201, 261) == [(261, "RuleInputsStale", "alert.resolved")]


@pytest.mark.parametrize(
    ("subject", "place"),
    [
        ("account:hyperliquid/main", "account:hyperliquid/main"),
        ("position:hyperliquid/main.xyz/xyz:AAPL", "account:hyperliquid/main.xyz"),
        ("market:dydx/BTC-USD", "venue:dydx"),
        ("feed:dydx/rest.height", "venue:dydx"),
        ("venue:dydx", "venue:dydx"),
        ("asset:BTC", "portfolio"),
        ("rule:data_stale", "portfolio"),
        ("portfolio", "portfolio"),
    ],
)
def test_places(subject: str, place: str) -> None:
    """An account, else a venue, else everything."""
    assert place_of(subject) == place


def test_a_planned_stop_holds_what_fires(dispatcher: Dispatcher) -> None:
    """The last word before a restart holds for the restart budget and ends nothing."""
    dispatcher.decided(decision(transition(FIRING)))
    dispatcher.decided(decision(transition(FIRING, rule="funding_stress", subject="portfolio")))
    dispatcher.decided(decision(transition(INACTIVE, FIRING, at_ns=START_NS + SECOND_NS)))
    found = notices(dispatcher.shutting_down(START_NS + MINUTE_NS), watchdog=True)
    assert {(one.label("alertname"), one.kind, one.hold_s) for one in found} == {
        ("FundingStress", NoticeKind.FIRING, 600.0),
        ("RiskdWatchdog", NoticeKind.FIRING, 600.0),
    }


# ---------------------------------------------------------------------------------- restart


def restarted(*phases: Phase) -> Dispatcher:
    """A new dispatcher that took over the alerts of these phases, a minute later."""
    rows = {row.identity: row for phase in phases for row in phase.alerts}
    dispatcher = Dispatcher(POLICY, now=START_NS + MINUTE_NS)
    assert dispatcher.restore(list(rows.values()), START_NS + MINUTE_NS) == 0
    return dispatcher


def test_a_restart_repeats_at_once_under_the_same_key(dispatcher: Dispatcher) -> None:
    """What fired before goes on, with the same key and beginning, and is no news."""
    phase = dispatcher.decided(decision(transition(FIRING)))
    second = restarted(phase)
    assert second.reconcile({KEY}, START_NS + MINUTE_NS).empty
    (repeat,) = notices(second.tick(START_NS + MINUTE_NS).repeats)
    first = decode_notice(phase.entries[0].notice)
    assert (repeat.dedup_key, repeat.starts_ns) == (first.dedup_key, START_NS)
    again = transition(FIRING, FIRING, at_ns=START_NS + MINUTE_NS + 1)
    assert second.decided(decision(again)).entries == ()


def test_a_rule_removed_over_a_restart_ends(dispatcher: Dispatcher) -> None:
    """An alert that the engine no longer knows would otherwise fire for ever."""
    phase = dispatcher.decided(decision(transition(FIRING)))
    ended = restarted(phase).reconcile(set(), START_NS + MINUTE_NS)
    assert [(name, kind) for name, kind, _ in told(ended)] == [("LeverageHigh", "alert.resolved")]
    notice = decode_notice(ended.entries[0].notice)
    assert "Ended: rule_removed." in notice.annotation("description")


@pytest.mark.parametrize(
    ("failing", "ends"), [({KEY}, False), (set(), True)], ids=["still failing", "healed meanwhile"]
)
def test_a_failing_rule_over_a_restart(
    dispatcher: Dispatcher, failing: set[tuple[str, str]], ends: bool
) -> None:
    """Its companion lasts exactly as long as the engine says that it fails."""
    first = dispatcher.decided(decision(transition(FIRING)))
    second = dispatcher.decided(health("broken", at_ns=START_NS + SECOND_NS))
    third = dispatcher.tick(START_NS + 20 * SECOND_NS).phase
    phase = restarted(first, second, third).reconcile({KEY}, START_NS + MINUTE_NS, failing=failing)
    assert bool(told(phase)) == ends


def test_a_row_of_another_version_does_not_stop_the_others(dispatcher: Dispatcher) -> None:
    """What cannot be read is counted; the rest is taken over."""
    phase = dispatcher.decided(decision(transition(FIRING)))
    damaged = type(phase.alerts[0])(identity="x", alert=b"\x80")
    assert Dispatcher(POLICY, now=0).restore([damaged, *phase.alerts], START_NS) == 1


# ------------------------------------------------------------------------------- conditions


def test_a_failing_channel_is_told_over_the_others(dispatcher: Dispatcher) -> None:
    """Once, not over itself, and ended once."""

    def say(active: bool, second: int) -> Phase:
        return dispatcher.condition(
            "NotifyFailing",
            active=active,
            severity=Severity.HIGH,
            summary="Channel webhook delivers nothing",
            description="",
            now=START_NS + second * SECOND_NS,
            not_to="webhook",
        )

    assert told(say(True, 0)) == [("NotifyFailing", "alert.firing", ("alertmanager",))]
    (alert,) = dispatcher.active
    assert alert.subject == "portfolio"
    assert dict(alert.annotations)["runbook_url"].endswith("/riskd/notify_failing")
    assert say(True, 1).empty
    assert told(say(False, 2)) == [("NotifyFailing", "alert.resolved", ("alertmanager",))]
    assert say(False, 3).empty
