"""Quiet rules that nobody can judge: told after minutes, once a place, and not beside the cause."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from monitor.core.rule_unseen import Unseen
from monitor.core.types import SECOND_NS, AlertState, Severity
from monitor.notify.blindness import EXPLAIN_UNKNOWN, INPUTS_UNKNOWN
from monitor.notify.dispatch import Dispatcher
from tests.notify.fakes import START_NS, decision, transition
from tests.notify.test_dispatch import POLICY, told

FIRING, INACTIVE = AlertState.FIRING, AlertState.INACTIVE
ACCOUNT, VENUE, BOOK = "account:dydx/main", "venue:dydx", "portfolio"
POSITION = "position:dydx/main/BTC-USD"


class Watched:
    """A dispatcher, and what cannot be judged by the second."""

    def __init__(self) -> None:
        self.unseen: list[Unseen] = []
        self.stale: set[tuple[str, str]] = set()
        self.dispatcher = Dispatcher(
            POLICY,
            now=START_NS,
            is_stale=lambda rule, subject: (rule, subject) in self.stale,
            unseen=lambda _now: self.unseen,
        )

    def blind(
        self, subject: str, *, at: int = 0, rule: str = "some_rule", margin: bool = False,
        exposed: bool = False, why: str = "mark_price: mark price is too old",
    ) -> None:  # fmt: skip
        """A rule that cannot be judged since second ``at``."""
        since_ns = START_NS + at * SECOND_NS
        self.unseen.append(Unseen(rule, BOOK, subject, since_ns, margin, exposed, why))

    def say(
        self, rule: str, subject: str, at: int, *, ends: bool = False,
        severity: Severity = Severity.HIGH,
    ) -> None:  # fmt: skip
        """Another rule's page begins or ends."""
        before, after = (FIRING, INACTIVE) if ends else (INACTIVE, FIRING)
        at_ns = START_NS + at * SECOND_NS
        found = transition(
            after, before, rule=rule, subject=subject, at_ns=at_ns, severity=severity
        )
        self.dispatcher.decided(decision(found))

    def ticks(self, first: int, last: int) -> list[tuple[int, str]]:
        """(second, kind) of what is told of quiet rules."""
        return [
            (second, kind)
            for second in range(first, last + 1, 10)
            for name, kind, _ in told(self.dispatcher.tick(START_NS + second * SECOND_NS).phase)
            if name == INPUTS_UNKNOWN
        ]

    @property
    def places(self) -> dict[str, str]:
        """Places that are being told of, with how loudly."""
        own = [one for one in self.dispatcher.active if one.rule == f"{INPUTS_UNKNOWN}!"]
        return {one.subject: one.severity.value for one in own if one.firing}


@pytest.mark.parametrize(("margin", "second"), [(False, 300), (True, 120)], ids=["any", "margin"])
def test_told_in_its_time_and_ended_after_a_minute(margin: bool, second: int) -> None:
    """Five minutes, two where margin is not judged; both sides of each."""
    watched = Watched()
    watched.blind(ACCOUNT, margin=margin)
    assert watched.ticks(10, second - 10) == []
    assert watched.ticks(second, 1000) == [(second, "alert.firing")]
    watched.unseen.clear()
    assert watched.ticks(1010, 1070) == []
    assert watched.ticks(1080, 2000) == [(1080, "alert.resolved")]


@pytest.mark.parametrize(
    ("margin", "exposed", "severity"),
    [(True, True, "high"), (True, False, "warning"), (False, True, "warning")],
    ids=["margin of positions", "margin of nothing", "something else"],
)
def test_how_loud(margin: bool, exposed: bool, severity: str) -> None:
    """High only where the margin of something held is not judged."""
    watched = Watched()
    watched.blind(ACCOUNT, margin=margin, exposed=exposed)
    watched.ticks(30, 330)
    assert watched.places == {ACCOUNT: severity}


def test_one_page_names_all_rules_of_the_place_and_the_first_reason() -> None:
    """Also those of the account's positions; what rests on the account is no page of its own."""
    watched = Watched()
    watched.blind(ACCOUNT, rule="first")
    watched.blind(POSITION, rule="second")
    watched.blind(VENUE, rule="third")
    assert watched.ticks(30, 900) == [(300, "alert.firing")]
    assert watched.places == {ACCOUNT: "warning"}
    (own,) = [one for one in watched.dispatcher.active if one.rule == f"{INPUTS_UNKNOWN}!"]
    texts = dict(own.annotations)
    assert "first, second" in texts["description"]
    assert "first: mark_price: mark price is too old" in texts["description"]
    assert texts["summary"] == f"Nobody judges first and 1 more: inputs are unknown; {ACCOUNT}"


@pytest.mark.parametrize(
    ("rule", "where", "blind", "covers"),
    [
        ("venue_unreachable", VENUE, ACCOUNT, True),
        ("account_truth_stale", VENUE, ACCOUNT, True),
        ("channel_lost", VENUE, ACCOUNT, True),
        ("venue_unreachable", VENUE, BOOK, True),
        ("channel_lost", VENUE, BOOK, False),
        ("oracle_frozen", VENUE, BOOK, True),
        ("oracle_stale", POSITION, ACCOUNT, True),
        ("oracle_stale", POSITION, BOOK, False),
        ("venue_unreachable", "venue:hyperliquid", ACCOUNT, False),
        ("funding_blind", VENUE, ACCOUNT, False),
        ("funding_blind", VENUE, VENUE, False),
        ("funding_stress_blind", BOOK, BOOK, False),
        ("funding_stress_blind", BOOK, ACCOUNT, False),
        ("drawdown_8", BOOK, BOOK, False),
    ],
)
def test_the_cause_covers(rule: str, where: str, blind: str, covers: bool) -> None:
    """A page that says already what cannot be seen silences what follows from it; when it ends, the
    time begins anew. Of the book as a whole nothing small speaks."""
    watched = Watched()
    watched.say(rule, where, 0)
    watched.blind(blind)
    assert watched.ticks(30, 600) == ([] if covers else [(300, "alert.firing")])
    if covers:
        watched.say(rule, where, 601, ends=True)
        assert watched.ticks(610, 1500) == [(900, "alert.firing")]


@pytest.mark.parametrize(
    ("rule", "where"), [("funding_blind", VENUE), ("funding_stress_blind", BOOK)]
)
def test_of_funding_it_speaks(rule: str, where: str) -> None:
    """What funding makes unknown is told once."""
    watched = Watched()
    watched.say(rule, where, 0, severity=Severity.WARNING)
    watched.blind(where, why="funding_rate_annualized: fewer than 60 % of markets are known")
    assert watched.ticks(30, 600) == []


@pytest.mark.parametrize(
    ("rule", "where", "severity", "covers"),
    [
        ("account_truth_stale", ACCOUNT, "high", True),
        ("account_truth_stale", VENUE, "high", True),
        ("venue_unreachable", VENUE, "high", True),
        ("venue_stalled", VENUE, "critical", True),
        ("venue_unreachable", VENUE, "warning", False),
        ("venue_unreachable", "venue:hyperliquid", "high", False),
        ("account_truth_stale", "account:dydx/other", "high", False),
        ("funding_blind", VENUE, "warning", False),
        ("funding_stress_blind", BOOK, "warning", False),
        ("channel_lost", VENUE, "warning", False),
        ("data_stale", VENUE, "warning", False),
        ("feed_disconnected", VENUE, "warning", False),
        ("oracle_stale", POSITION, "high", False),
        ("venue_unhealthy", VENUE, "high", False),
    ],
)
def test_what_covers_margin_of_positions(
    rule: str, where: str, severity: str, covers: bool
) -> None:
    """That margin of something held is not judged is hidden by nothing but a loud page that says
    that the account or its venue cannot be seen."""
    watched = Watched()
    watched.say(rule, where, 0, severity=Severity(severity))
    watched.blind(ACCOUNT, margin=True, exposed=True)
    assert watched.ticks(30, 600) == ([] if covers else [(120, "alert.firing")])
    assert watched.places == ({} if covers else {ACCOUNT: "high"})


@pytest.mark.parametrize("loud", [False, True], ids=["quiet", "loud"])
def test_who_is_blind_covers_nothing(loud: bool) -> None:
    """A page that no longer sees what it judges explains nothing."""
    watched = Watched()
    watched.say("venue_unreachable", VENUE, 0)
    watched.stale.add(("venue_unreachable", VENUE))
    watched.blind(ACCOUNT, margin=loud, exposed=loud)
    assert watched.ticks(30, 600) == [(120 if loud else 300, "alert.firing")]


def test_a_warning_becomes_high_when_margin_is_not_judged_either() -> None:
    """What was told quietly is told anew, louder, as the same place; and loud stays loud."""
    watched = Watched()
    watched.blind(ACCOUNT, rule="second")
    watched.ticks(30, 400)
    assert watched.places == {ACCOUNT: "warning"}
    watched.blind(ACCOUNT, at=420, rule="first", margin=True, exposed=True)
    watched.blind(ACCOUNT, at=420, rule="third", margin=True)
    assert watched.ticks(410, 530) == []
    # Alertmanager knows it by its labels, where the severity is one of them.
    assert watched.ticks(540, 900) == [(540, "alert.resolved"), (540, "alert.firing")]
    assert watched.places == {ACCOUNT: "high"}
    (own,) = [one for one in watched.dispatcher.active if one.firing]
    assert dict(own.annotations)["summary"].startswith("Nobody judges first and 2 more")
    watched.unseen.clear()
    watched.blind(ACCOUNT, rule="second")
    assert watched.ticks(910, 2000) == []
    assert watched.places == {ACCOUNT: "high"}


def test_a_loud_page_of_sight_keeps_a_warning_a_warning() -> None:
    """Somebody woken by the venue's own page is not woken again."""
    watched = Watched()
    watched.blind(ACCOUNT)
    watched.ticks(30, 330)
    watched.say("venue_unreachable", VENUE, 340)
    watched.blind(ACCOUNT, at=340, rule="usage", margin=True, exposed=True)
    assert watched.ticks(340, 900) == []
    assert watched.places == {ACCOUNT: "warning"}


def test_the_book_does_not_speak_for_an_account() -> None:
    """A history that failed, told of the portfolio, hides no margin that is not judged."""
    watched = Watched()
    watched.blind(BOOK)
    watched.ticks(30, 330)
    watched.blind(ACCOUNT, at=400, margin=True, exposed=True)
    watched.ticks(340, 600)
    assert watched.places == {BOOK: "warning", ACCOUNT: "high"}


def test_what_comes_and_goes_is_nobodys_business() -> None:
    """Unknown for four minutes, seen, unknown again."""
    watched = Watched()
    for start in range(0, 3000, 300):
        watched.unseen.clear()
        assert watched.ticks(start, start + 50) == []
        watched.blind(BOOK, at=start + 60)
        assert watched.ticks(start + 60, start + 290) == []


def test_it_survives_a_restart() -> None:
    """Told once, whoever goes on telling it."""
    watched = Watched()
    watched.blind(BOOK)
    rows = []
    for second in range(30, 330, 10):
        rows += watched.dispatcher.tick(START_NS + second * SECOND_NS).phase.alerts
    later = Dispatcher(POLICY, now=START_NS, unseen=lambda _now: watched.unseen)
    assert later.restore(rows, START_NS + 330 * SECOND_NS) == 0
    watched.dispatcher = later
    assert watched.ticks(340, 900) == []
    watched.unseen.clear()
    assert [kind for _, kind in watched.ticks(910, 1100)] == ["alert.resolved"]


def test_its_own_words_are_among_the_causes() -> None:
    """What is told of an account is not told again of its venue."""
    assert f"{INPUTS_UNKNOWN}!" in EXPLAIN_UNKNOWN


@pytest.mark.parametrize("name", ["main", "other"])
def test_one_account_does_not_speak_for_another(name: str) -> None:
    """Told of their venue, each account's stale truth still is its own."""
    watched = Watched()
    found = transition(
        FIRING, rule="account_truth_stale", subject=f"account:dydx/{name}", at_ns=START_NS,
        severity=Severity.HIGH,
    )  # fmt: skip
    watched.dispatcher.decided(decision(replace(found, place=VENUE)))
    watched.dispatcher.tick(START_NS + 20 * SECOND_NS)
    watched.blind(ACCOUNT, margin=True, exposed=True)
    assert watched.ticks(30, 600) == ([] if name == "main" else [(120, "alert.firing")])
