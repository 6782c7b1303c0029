"""One fault, one page: what is folded, what is covered, and that neither hides another fault."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.decision import AlertTransition
from monitor.core.ports import Phase
from monitor.core.types import SECOND_NS, AlertState, Severity
from monitor.notify.alerts import DispatchPolicy, Route
from monitor.notify.dispatch import Dispatcher
from monitor.notify.folding import lies_in, name_in
from monitor.notify.notice import decode_notice
from tests.notify.fakes import START_NS, decision, health, transition

FIRING, RECOVERING, INACTIVE = AlertState.FIRING, AlertState.RECOVERING, AlertState.INACTIVE
POLICY = DispatchPolicy(deployment="desk", routes=(Route(channel="pager", holds_state=True),))
VENUE = "venue:hyperliquid"
Told = tuple[int, str, str]  # second, rule and where, firing or resolved


def market(
    name: str,
    after: AlertState = FIRING,
    before: AlertState = INACTIVE,
    *,
    severity: Severity = Severity.WARNING,
    venue: str = "hyperliquid",
    covered_by: tuple[str, ...] = (),
) -> AlertTransition:
    """A rule for each market, told per venue."""
    step = transition(
        after,
        before,
        rule="divergence",
        subject=f"market:{venue}/{name}",
        severity=severity,
        summary=f"Far from oracle: 3 % >= 1 %; market {venue}/{name}",
    )
    return msgspec.structs.replace(
        step,
        place=f"venue:{venue}",
        title="Far from oracle",
        fact="3 % >= 1 %",
        action="",
        covered_by=covered_by,
    )


def about(
    rule: str,
    subject: str = VENUE,
    after: AlertState = FIRING,
    before: AlertState = INACTIVE,
    *,
    severity: Severity = Severity.WARNING,
    covered_by: tuple[str, ...] = ("gone",),
) -> AlertTransition:
    """A rule about one subject that louder ones may cover."""
    step = transition(after, before, rule=rule, subject=subject, severity=severity)
    return msgspec.structs.replace(step, covered_by=covered_by)


GONE = about("gone", severity=Severity.HIGH, covered_by=())
OVER = about("gone", after=INACTIVE, before=FIRING, severity=Severity.HIGH, covered_by=())


class Desk:
    """A dispatcher, ticked every second, and what left it."""

    def __init__(self) -> None:
        self.blind: set[tuple[str, str]] = set()
        self.dispatcher = self.new()
        self.second = 0
        self.told: list[Told] = []
        self.summaries: list[str] = []
        self.phases: list[Phase] = []

    def new(self) -> Dispatcher:
        return Dispatcher(
            POLICY, now=START_NS, is_stale=lambda rule, subject: (rule, subject) in self.blind
        )

    def at(self, second: int, *steps: AlertTransition) -> Desk:
        """Let time pass until a second, and something be decided there."""
        while self.second < second:
            self.second += 1
            self._take(self.dispatcher.tick(self.now).phase)
        if steps:
            moved = [msgspec.structs.replace(one, at_ns=self.now) for one in steps]
            self._take(self.dispatcher.decided(decision(*moved)))
        return self

    @property
    def now(self) -> int:
        return START_NS + self.second * SECOND_NS

    def restart(self, firing: Collection[tuple[str, str]]) -> Desk:
        """Another process takes over what was kept."""
        rows = {row.identity: row for phase in self.phases for row in phase.alerts}
        gone = {identity for phase in self.phases for identity in phase.alerts_gone}
        self.dispatcher = self.new()
        kept = [row for identity, row in rows.items() if identity not in gone]
        assert self.dispatcher.restore(kept, self.now) == 0
        self._take(self.dispatcher.reconcile(firing, self.now))
        return self

    def _take(self, phase: Phase) -> None:
        self.phases.append(phase)
        for entry in phase.entries:
            notice = decode_notice(entry.notice)
            where = "/".join(notice.label(name) for name in ("venue", "account", "market"))
            name = f"{notice.label('rule')} {where.rstrip('/')}".rstrip()
            self.told.append((self.second, name, notice.kind.value.removeprefix("alert.")))
            self.summaries.append(notice.annotation("summary"))


# ---------------------------------------------------------------------------------------- folded


def test_many_markets_are_one_page_that_names_them() -> None:
    """Whoever joins within the wait is on the page; the end is told once, with the last."""
    names = [f"M{number}" for number in range(20)]
    desk = Desk().at(0, market("BTC"), market("ETH")).at(5, *map(market, names)).at(60)
    assert desk.told == [(45, "divergence hyperliquid", "firing")]
    (summary,) = desk.summaries
    assert summary.startswith("Far from oracle: BTC 3 % >= 1 %, ETH, M0, M1")
    assert summary.endswith(" more; venue hyperliquid")
    assert len(summary) <= 120
    (page,) = desk.dispatcher.active
    assert [one.subject for one in desk.dispatcher.members(page.identity)] == [
        f"market:hyperliquid/{name}" for name in ("BTC", "ETH", *names)
    ]
    text = dict(page.annotations)["description"]
    assert all(f"hyperliquid/{name}" in text for name in names)
    desk.at(100, *[market(name, INACTIVE, FIRING) for name in ("ETH", *names)]).at(200)
    assert len(desk.told) == 1
    desk.at(300, market("BTC", INACTIVE, FIRING))
    assert desk.told[1:] == [(300, "divergence hyperliquid", "resolved")]


def test_a_page_about_one_reads_as_if_it_were_alone() -> None:
    """Nothing of the folding shows where there is nothing to fold."""
    desk = Desk().at(0, market("BTC")).at(46)
    assert desk.summaries == ["Far from oracle: 3 % >= 1 %; market hyperliquid/BTC"]


def test_each_venue_is_a_page_of_its_own() -> None:
    """The same rule at another venue is another fault."""
    desk = Desk().at(0, market("BTC")).at(100, market("BTC-USD", venue="dydx")).at(200)
    assert [told[1] for told in desk.told] == ["divergence hyperliquid", "divergence dydx"]


@pytest.mark.parametrize(
    ("severity", "again_s"),
    [(Severity.CRITICAL, 300), (Severity.HIGH, 1800), (Severity.WARNING, 3600)],
)
def test_who_joins_later_is_told_of_together(severity: Severity, again_s: int) -> None:
    """Not with every one, and never not at all: the page comes again under the same key."""
    desk = Desk().at(0, market("BTC", severity=severity)).at(60)
    first_s = desk.told[0][0]
    for number in range(10):
        desk.at(100 + number, market(f"M{number}", severity=severity))
    desk.at(first_s + again_s - 1)
    assert len(desk.told) == 1
    desk.at(first_s + 3 * again_s)
    assert desk.told[1:] == [(first_s + again_s, "divergence hyperliquid", "firing")]
    assert "M0" in desk.summaries[1]
    entries = [decode_notice(entry.notice) for phase in desk.phases for entry in phase.entries]
    assert len({one.dedup_key for one in entries}) == 1


def test_what_is_critical_waits_for_nobody() -> None:
    """Not for others to join, and not for something to cover it."""
    desk = Desk().at(0, market("BTC", severity=Severity.CRITICAL))
    desk.at(0, about("worst", severity=Severity.CRITICAL))
    assert [told[0] for told in desk.told] == [0, 0]


def test_a_restart_keeps_a_folded_page() -> None:
    """Nobody is told again, members that ended meanwhile are gone, and the end is told once."""
    desk = Desk().at(0, market("BTC"), market("ETH")).at(60)
    desk.restart({("divergence", "market:hyperliquid/BTC")}).at(100)
    assert len(desk.told) == 1
    (page,) = desk.dispatcher.active
    assert len(desk.dispatcher.members(page.identity)) == 1
    desk.at(120, market("BTC", INACTIVE, FIRING)).at(200)
    assert desk.told[1:] == [(120, "divergence hyperliquid", "resolved")]


def test_a_restart_before_the_page_left_loses_nothing() -> None:
    """What still waited is told by the next process."""
    desk = Desk().at(0, market("BTC")).at(10)
    desk.restart({("divergence", "market:hyperliquid/BTC")}).at(100)
    assert desk.told == [(55, "divergence hyperliquid", "firing")]


def test_a_rule_that_fails_everywhere_is_one_page() -> None:
    """Of the rule, with all it is asked about; each heals alone."""
    desk = Desk()
    for error in ("broken", ""):
        for _ in range(2):
            desk.phases.append(desk.dispatcher.decided(health(error)))
    broken = [health("broken"), health("broken", rule="margin")]
    for number in range(5):
        for one in broken:
            failed = msgspec.structs.replace(one.health[0], subject=f"market:dydx/M{number}")
            desk._take(desk.dispatcher.decided(msgspec.structs.replace(one, health=(failed,))))
    desk.at(60)
    assert [told[1:] for told in desk.told] == [("leverage", "firing"), ("margin", "firing")]


# --------------------------------------------------------------------------------------- covered


def test_what_a_louder_page_says_is_not_said_again() -> None:
    """It fires, nobody is told, and nobody is told of its end."""
    desk = Desk().at(0, GONE).at(5, about("silent")).at(300)
    assert desk.told == [(0, "gone hyperliquid", "firing")]
    (quiet,) = [one for one in desk.dispatcher.active if one.rule == "silent"]
    assert quiet.firing
    assert desk.dispatcher.covered_by(quiet) != ""
    desk.at(301, about("silent", after=INACTIVE, before=FIRING)).at(400)
    assert len(desk.told) == 1


@pytest.mark.parametrize(
    ("later_s", "pages"),
    [pytest.param(44, 1, id="in time"), pytest.param(46, 2, id="too late")],
)
def test_the_louder_one_may_come_a_little_later(later_s: int, pages: int) -> None:
    """A warning waits 45 s for what explains it, and no longer."""
    desk = Desk().at(0, about("silent")).at(later_s, GONE).at(300)
    assert len(desk.told) == pages


def test_what_still_fires_when_its_cover_ends_is_told_then() -> None:
    """45 s after it, so that what heals with it stays silent."""
    desk = Desk().at(0, GONE, about("silent")).at(100, OVER).at(200)
    assert desk.told[1:] == [
        (100, "gone hyperliquid", "resolved"),
        (145, "silent hyperliquid", "firing"),
    ]


def test_what_recovers_when_its_cover_ends_is_not_told() -> None:
    """Its condition holds no more; should it hold again, that is told."""
    recovering = about("silent", after=RECOVERING, before=FIRING)
    desk = Desk().at(0, GONE, about("silent")).at(90, recovering).at(100, OVER).at(300)
    assert len(desk.told) == 2
    desk.at(301, about("silent", after=FIRING, before=RECOVERING)).at(400)
    assert desk.told[2:] == [(346, "silent hyperliquid", "firing")]


def test_whoever_is_blind_silences_nobody() -> None:
    """A cover that lost its own inputs does not explain anything any more."""
    desk = Desk().at(0, GONE, about("silent")).at(50)
    desk.blind = {("gone", VENUE)}
    desk.at(100)
    assert [told[1] for told in desk.told] == ["gone hyperliquid", "silent hyperliquid"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(about("silent", "venue:dydx"), id="another venue"),
        pytest.param(about("silent", "portfolio"), id="a wider place"),
        pytest.param(about("silent", severity=Severity.HIGH), id="its equal"),
        pytest.param(about("silent", severity=Severity.CRITICAL), id="louder"),
        pytest.param(about("silent", covered_by=("other",)), id="another cause"),
        pytest.param(about("silent", covered_by=()), id="no cause"),
    ],
)
def test_a_second_fault_is_always_told(other: AlertTransition) -> None:
    """Only what is quieter, named, and about the same place is covered."""
    desk = Desk().at(0, GONE).at(5, other).at(120)
    assert len(desk.told) == 2, desk.told


def test_what_was_told_before_is_ended_for_people_too() -> None:
    """A cover that comes later takes nothing back: whoever was told is told the end."""
    desk = Desk().at(0, about("silent")).at(50, GONE)
    desk.at(100, about("silent", after=INACTIVE, before=FIRING))
    assert [told[1:] for told in desk.told] == [
        ("silent hyperliquid", "firing"),
        ("gone hyperliquid", "firing"),
        ("silent hyperliquid", "resolved"),
    ]


def test_a_folded_page_is_covered_as_one() -> None:
    """And told whole when its cover ends."""
    steps = [market(name, covered_by=("gone",)) for name in ("BTC", "ETH", "SOL")]
    desk = Desk().at(0, GONE, *steps).at(100, OVER).at(200)
    assert desk.told[2:] == [(145, "divergence hyperliquid", "firing")]
    assert "BTC 3 % >= 1 %, ETH, SOL; venue hyperliquid" in desk.summaries[2]


def test_covered_alerts_are_not_repeated_either() -> None:
    """Alertmanager does not hold what nobody was told of; a planned stop does not tell it."""
    desk = Desk().at(0, GONE, about("silent")).at(200)
    due = desk.dispatcher.tick(desk.now + 60 * SECOND_NS)
    last = desk.dispatcher.shutting_down(desk.now)
    for entries in (due.repeats, last):
        rules = {decode_notice(entry.notice).label("rule") for entry in entries}
        assert "gone" in rules
        assert "silent" not in rules


EVENTS = st.lists(
    st.tuples(
        st.integers(min_value=1, max_value=90),
        st.sampled_from(["gone", "silent", "dull"]),
        st.sampled_from([VENUE, "venue:dydx"]),
    ),
    max_size=14,
)
LOUD = {"gone": Severity.HIGH, "silent": Severity.WARNING, "dull": Severity.INFO}


@settings(deadline=None, max_examples=60)  # each walks through minutes of ticks
@given(events=EVENTS)
def test_nothing_that_fires_alone_stays_untold(events: list[tuple[int, str, str]]) -> None:
    """Whatever comes and goes: what fires for a minute without a cover has been told, each episode
    at most once, and nothing ends for people that never began."""
    desk = Desk()
    fires: set[tuple[str, str]] = set()
    for wait_s, rule, where in events:
        key = (rule, where)
        after, before = (INACTIVE, FIRING) if key in fires else (FIRING, INACTIVE)
        fires ^= {key}
        step = about(rule, where, after, before, severity=LOUD[rule])
        epoch = msgspec.structs.replace(step, firing_epoch_ns=desk.now)
        desk.at(desk.second + wait_s, epoch if after is FIRING else step)
    desk.at(desk.second + 61)
    balance: dict[str, int] = {}
    for _, name, kind in desk.told:
        balance[name] = balance.get(name, 0) + (1 if kind == "firing" else -1)
        assert balance[name] in {0, 1}
    for rule, where in fires:
        covered = rule != "gone" and ("gone", where) in fires
        told = balance.get(f"{rule} {where.partition(':')[2]}", 0)
        assert told == 1 or covered


@pytest.mark.parametrize(
    ("subject", "place", "lies"),
    [
        ("market:dydx/BTC-USD", "venue:dydx", True),
        ("market:dydx/BTC-USD", "venue:dy", False),
        ("position:dydx/main/BTC-USD", "account:dydx/main", True),
        ("position:dydx/main.128/BTC-USD", "account:dydx/main", False),
        ("account:dydx/main", "venue:dydx", True),
        ("venue:dydx", "venue:dydx", True),
        ("venue:dydx", "portfolio", True),
        ("portfolio", "venue:dydx", False),
        ("account:dydx/main", "market:dydx/main", False),
        ("asset:BTC", "venue:dydx", False),
    ],
)
def test_places_lie_in_places(subject: str, place: str, lies: bool) -> None:
    """By whole names, never by their beginnings."""
    assert lies_in(subject, place) is lies


@pytest.mark.parametrize(
    ("subject", "place", "name"),
    [
        ("market:hyperliquid/xyz:NVDA", "venue:hyperliquid", "xyz:NVDA"),
        ("position:dydx/main/BTC-USD", "venue:dydx", "main/BTC-USD"),
        ("position:dydx/main/BTC-USD", "account:dydx/main", "BTC-USD"),
        ("account:dydx/main", "portfolio", "dydx/main"),
    ],
)
def test_names_within_a_place(subject: str, place: str, name: str) -> None:
    """What tells them apart there, and nothing more."""
    assert name_in(subject, place) == name
