"""Cuts over a time: proposed in parts, each on what is held and allowed by then."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from monitor.core.decision import RuleMode
from monitor.core.killswitch.book import Book
from monitor.core.killswitch.episodes import waiting
from monitor.core.killswitch.episodes.amounts import LOOK_S, part_usd
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import DaemonMode, ModeOverride
from monitor.core.types import PORTFOLIO
from tests.core.killswitch.kill_desk import ARMED, MAIN, PRICES, World

CAP = "leverage_cap"
MEASURE = "leverage_cap_target_usd"
PART_S = 1200.0


def over_an_hour(usd: float = 120_000.0, size: str = "2") -> World:
    """So many BTC at 100,000 USD, of which a rule leaves so much, over an hour."""
    world = World().hold(BTC=size)
    world.amounts[MEASURE, PORTFOLIO] = usd
    world.ask(
        rule=CAP, gross_to_usd=usd, gross_to_measure=MEASURE, mode=RuleMode.PROPOSE, over_s=3600.0
    )
    return world.run(2 * LOOK_S)  # the amount is looked up from the next book on


def proposed(world: World) -> list[str]:
    """What is before people now."""
    return [one.words for one in world.machine.state.proposals.values()]


def approve(world: World) -> str:
    """Yes to the only proposal, and the time it takes; gives the answer."""
    (name,) = world.machine.state.proposals
    answer = world.approve(name).answer
    world.run(60)
    return answer


def waits(world: World) -> list[bool]:
    """Of the pages that a part waits for its amount: whether it ended, in order."""
    return [one.resolved for one in world.notices if one.alert == waiting.ALERT]


def series_end(world: World) -> list[str]:
    """Why series ended, of the record."""
    return [one.reason for one in world.audit if one.action == "series_ended"]


@pytest.mark.parametrize(
    ("gross", "goal", "part", "left"),
    [
        pytest.param(200.0, 120.0, 1, 180.0, id="a quarter of the way"),
        pytest.param(180.0, 120.0, 2, 160.0, id="a third of what is left"),
        pytest.param(140.0, 120.0, 4, 120.0, id="the last goes all the way"),
        pytest.param(100.0, 120.0, 1, 120.0, id="nothing to cut"),
    ],
)
def test_how_far_a_part_goes(gross: float, goal: float, part: int, left: float) -> None:
    """Equal parts of what is left to cut by then."""
    assert part_usd(gross, goal, part) == pytest.approx(left)


def test_four_parts_and_an_hour() -> None:
    """Each is approved, carried out as a whole and proved; between them nothing is cut."""
    world = over_an_hour()
    began = world.now
    for left, part in (("1.8", 1), ("1.6", 2), ("1.4", 3), ("1.2", 4)):
        (words,) = proposed(world)
        assert f"to ${float(left) * 100:g}k" in words
        assert f"part {part} of 4" in world.notices[-1].summary
        answer = approve(world)
        assert world.sizes() == {"BTC": left}
        assert world.stage() == "contained"
        assert ("the next is proposed in 20 min" in answer) is (part < 4)
        assert proposed(world) == []
        world.run(PART_S)
    assert world.now - began >= 3600 * 10**9
    assert (proposed(world), world.machine.state.series) == ([], {})
    assert not series_end(world)


def test_no_part_comes_before_the_last_is_proved() -> None:
    """However long that takes; then it comes by itself."""
    world = over_an_hour()
    world.slow.add(MAIN)
    approve(world)
    world.run(3 * PART_S)
    assert proposed(world) == []
    world.slow.clear()
    world.run(120)
    assert world.sizes() == {"BTC": "1.8"}
    assert len(proposed(world)) == 1


@pytest.mark.parametrize(
    ("now_usd", "left"),
    [
        pytest.param(150_000.0, "1.7", id="more may stay"),
        pytest.param(90_000.0, "1.5", id="less may stay"),
    ],
)
def test_a_part_is_of_what_is_held_and_allowed_by_then(now_usd: float, left: str) -> None:
    """Part two of four: a third of the way from 1.8 to the amount of then."""
    world = over_an_hour()
    approve(world)
    world.amounts[MEASURE, PORTFOLIO] = now_usd
    world.run(PART_S)
    approve(world)
    assert world.sizes() == {"BTC": left}


def test_a_part_waits_for_an_amount_that_is_not_known() -> None:
    """Nothing is proposed on a number nobody has, and the series is not over for that. People hear
    of it once, when it stays so, and again when it is over."""
    world = over_an_hour()
    approve(world)
    world.amounts.clear()
    world.run(PART_S - 60)  # nobody would have proposed anything yet
    assert waits(world) == []
    world.run(PART_S)
    assert proposed(world) == []
    assert waits(world) == [False]
    assert "part 2 of 4 is not proposed" in world.notices[-1].summary
    assert world.actions().count("waits") == 1
    world.amounts[MEASURE, PORTFOLIO] = 120_000.0
    world.run(10)
    assert len(proposed(world)) == 1
    assert waits(world) == [False, True]


def test_the_page_of_a_wait_ends_when_the_amount_stays_known() -> None:
    """Also where the part cannot be proposed yet, since a harder cut is being worked off."""
    world = over_an_hour()
    approve(world)
    world.amounts.clear()
    world.run(2 * PART_S)
    world.refuse = lambda command: world.fail(command, "503")
    world.pull(Level.CUT, gross_to=0.85, pull_id="harder")
    world.run(20)
    assert waits(world) == [False]
    assert world.stage() != "contained"
    world.amounts[MEASURE, PORTFOLIO] = 120_000.0
    world.run(ARMED.hold_release_s - 10)
    assert waits(world) == [False]
    world.run(20)
    assert waits(world) == [False, True]


def test_an_amount_that_comes_and_goes_is_one_page() -> None:
    """While it is known nothing is to cut, so that no part ends the wait; a restart forgets neither
    the page nor since when the amount is known."""
    world = over_an_hour()
    approve(world)
    world.run(PART_S - 120)
    for _ in range(10):
        world.amounts.clear()
        world.run(2 * world.policy.say_within_s)
        world.amounts[MEASURE, PORTFOLIO] = 190_000.0
        world.run(world.policy.say_within_s)
    assert (proposed(world), waits(world)) == ([], [False])
    assert world.actions().count("waits") == 1
    world.restart()
    world.run(ARMED.hold_release_s - world.policy.say_within_s - LOOK_S)
    assert waits(world) == [False]
    world.run(3 * LOOK_S)
    assert waits(world) == [False, True]
    world.run(PART_S)
    assert waits(world) == [False, True]


def test_a_part_that_waits_for_a_moment_is_no_news() -> None:
    """An amount is away for a moment at each restart."""
    world = over_an_hour()
    approve(world)
    world.run(PART_S - 70)
    world.amounts.clear()
    world.run(world.policy.say_within_s)
    world.amounts[MEASURE, PORTFOLIO] = 120_000.0
    world.run(10)
    assert (len(proposed(world)), waits(world)) == (1, [])


def test_a_series_that_ends_ends_its_page() -> None:
    """The rule is over while a part waits for its amount."""
    world = over_an_hour()
    approve(world)
    world.amounts.clear()
    world.run(2 * PART_S)
    world.end(rule=CAP)
    world.run(10)
    assert (waits(world), world.machine.state.series) == ([False, True], {})


def rule_over(world: World) -> None:
    """The rule says that it is over."""
    world.end(rule=CAP)


def rearmed(world: World) -> None:
    """A person cleared the scope."""
    world.rearm()


def pulled(world: World) -> None:
    """A person flattens."""
    world.pull(Level.FLATTEN)
    world.run(60)
    assert world.sizes() == {}


def halted(world: World) -> None:
    """A person stops everything but what reduces."""
    world.pull(Level.HALT)
    world.run(60)


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        pytest.param(rule_over, "the rule is over", id="the rule is over"),
        pytest.param(rearmed, "a person re-armed the scope", id="re-armed"),
        pytest.param(pulled, "portfolio is at FLATTEN", id="a pull"),
        pytest.param(halted, "portfolio is at HALT", id="a halt"),
    ],
)
def test_what_ends_a_series(happens: Callable[[World], None], why: str) -> None:
    """On record, with the parts that are not proposed; what is asked for at once is done so."""
    world = over_an_hour()
    approve(world)
    happens(world)
    world.run(2 * PART_S)
    assert (proposed(world), world.machine.state.series) == ([], {})
    assert series_end(world) == [f"{why}; from part 2 of 4 on nothing is proposed"]


@pytest.mark.parametrize("answered", [True, False], ids=["refused", "expired"])
def test_a_part_nobody_wants_is_the_last(answered: bool) -> None:
    """What was cut stays cut; the rule asks again in its next episode."""
    world = over_an_hour()
    approve(world)
    world.run(PART_S)
    (name,) = world.machine.state.proposals
    if answered:
        world.approve(name, yes=False)
    else:
        world.run(ARMED.proposal_ttl_s + 1)
        assert "no further part comes" in world.notices[-1].summary
    world.run(3 * PART_S)
    assert (proposed(world), world.sizes()) == ([], {"BTC": "1.8"})
    assert series_end(world) == [
        "part 2 was refused or expired; from part 2 of 4 on nothing is proposed"
    ]


def test_a_series_goes_on_over_a_restart() -> None:
    """The next part comes at its time, once."""
    world = over_an_hour()
    approve(world)
    world.restart()
    world.run(PART_S)
    (words,) = proposed(world)
    world.restart()
    world.run(60)
    assert proposed(world) == [words]


def test_a_cut_over_a_time_in_observe_says_its_first_part() -> None:
    """WOULD HAVE, and no series."""
    world = World().hold(BTC="2")
    world.amounts[MEASURE, PORTFOLIO] = 120_000.0
    world.ask(
        rule=CAP,
        gross_to_usd=120_000.0,
        gross_to_measure=MEASURE,
        mode=RuleMode.OBSERVE,
        over_s=3600.0,
    )
    (notice,) = world.notices
    assert "part 1 of 4" in notice.summary
    assert "to $180k" in notice.summary
    assert world.machine.state.series == {}


def test_a_harder_cut_is_done_at_once_and_the_series_waits() -> None:
    """Whatever it leaves: once the book is above the goal again the next part comes."""
    world = over_an_hour()
    approve(world)
    world.ask(gross_to=0.5)
    world.run(60)
    assert world.sizes() == {"BTC": "1"}
    world.run(2 * PART_S)
    assert (proposed(world), series_end(world)) == ([], [])
    world.amounts[MEASURE, PORTFOLIO] = 40_000.0
    world.run(10)
    assert ["to $80k" in words for words in proposed(world)] == [True]


@pytest.mark.parametrize("known", ["price", "account"])
def test_no_part_is_made_of_a_gross_that_nobody_knows(
    known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A position without a price, an account that was never read: it waits, and goes nowhere near
    the goal at once."""
    book = World.book

    def half_known(self: World) -> Book:
        whole = book(self)
        if known == "price":
            return msgspec.structs.replace(whole, quotes=())
        unread = [
            msgspec.structs.replace(one, read_ns=0, positions=(), orders=())
            if (one.venue, one.account) == MAIN
            else one
            for one in whole.accounts
        ]
        return msgspec.structs.replace(whole, accounts=tuple(unread), dark=(MAIN,))

    monkeypatch.setattr(World, "book", half_known)
    world = over_an_hour()
    world.run(600)
    assert proposed(world) == []
    monkeypatch.setattr(World, "book", book)
    world.run(10)
    assert ["to $180k" in words for words in proposed(world)] == [True]
    approve(world)
    monkeypatch.setattr(World, "book", half_known)
    world.run(PART_S + 60)
    assert (proposed(world), series_end(world)) == ([], [])
    monkeypatch.setattr(World, "book", book)
    world.run(10)
    assert ["to $160k" in words for words in proposed(world)] == [True]


def test_a_part_above_what_the_scope_stands_at_is_not_proposed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Approving it would do nothing: prices rose since, and the next that cuts is proposed."""
    world = over_an_hour()
    approve(world)
    monkeypatch.setitem(PRICES, "BTC", 130_000.0)  # 234,000 USD; part 2 would leave 196,000
    world.run(PART_S)
    (words,) = proposed(world)
    assert "part 3 of 4" in world.notices[-1].summary
    assert "gross $234k to $177k" in words
    approve(world)
    assert world.sizes() == {"BTC": "1.36"}


def test_a_cut_below_what_a_part_asks_for_is_not_done_in_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The latch stands at 100,000: no part of a cut to 100,000 is proposed over it."""
    world = World().hold(BTC="2")
    world.ask(gross_to=0.5)
    world.run(60)
    monkeypatch.setitem(PRICES, "BTC", 150_000.0)
    world.amounts[MEASURE, PORTFOLIO] = 100_000.0
    world.ask(
        rule=CAP, gross_to_usd=1e5, gross_to_measure=MEASURE, mode=RuleMode.PROPOSE, over_s=3600.0
    )
    world.run(600)
    assert (proposed(world), world.sizes()) == ([], {"BTC": "1"})


def test_under_a_halt_no_further_part_is_promised() -> None:
    """The answer says so."""
    world = over_an_hour()
    world.run(1)
    (name,) = world.machine.state.proposals
    world.pull(Level.HALT)
    assert world.machine.state.proposals == {}
    assert "no proposal" in world.approve(name).answer


def test_a_new_episode_ends_the_series_of_the_one_before() -> None:
    """One series of one rule at a time: two would halve the time between parts."""
    world = over_an_hour()
    approve(world)
    world.run(PART_S)
    assert len(proposed(world)) == 1
    world.ask(
        rule=CAP,
        gross_to_usd=120_000.0,
        gross_to_measure=MEASURE,
        mode=RuleMode.PROPOSE,
        over_s=3600.0,
        epoch=1200.0,
    )
    world.run(2 * LOOK_S)
    assert len(proposed(world)) == 1
    assert "part 1 of 4" in world.notices[-1].summary


def test_a_rearm_takes_back_a_part_that_is_before_people() -> None:
    """Nobody can latch the scope again by an old page."""
    world = over_an_hour()
    approve(world)
    world.run(PART_S)
    (name,) = world.machine.state.proposals
    world.rearm()
    assert (proposed(world), world.machine.state.series) == ([], {})
    assert "no proposal" in world.approve(name).answer


def test_the_desk_takes_the_rule_back_over_a_restart() -> None:
    """Observing since: nothing more is proposed."""
    world = over_an_hour()
    approve(world)
    world.policy = msgspec.structs.replace(
        world.policy, overrides=(ModeOverride(rule=CAP, mode=RuleMode.OBSERVE),)
    )
    world.restart()
    world.run(2 * PART_S)
    assert proposed(world) == []
    assert "observe only" in series_end(world)[0]


def asked_again(world: World, *, mode: RuleMode, over_s: float, epoch: float = 0.0) -> None:
    """The rule as a changed rulebook has it asks once more."""
    world.ask(
        rule=CAP,
        gross_to_usd=120_000.0,
        gross_to_measure=MEASURE,
        mode=mode,
        over_s=over_s,
        epoch=epoch,
    )


def after_a_part(what: str) -> World:
    """One part was cut; the next is not due, before people, or waits for an amount."""
    world = over_an_hour()
    approve(world)
    if what == "unknown":
        world.amounts.clear()
    if what != "between two":
        world.run(PART_S + 60)
    return world


@pytest.mark.parametrize("over_s", [3600.0, 0.0], ids=["in parts", "whole"])
@pytest.mark.parametrize("before", ["between two", "before people", "unknown"])
def test_a_rulebook_that_lets_the_rule_observe_ends_the_series(before: str, over_s: float) -> None:
    """What is before people goes, nothing more is proposed, and what would have been done is said;
    what was cut stays cut."""
    world = after_a_part(before)
    asked_again(world, mode=RuleMode.OBSERVE, over_s=over_s)
    assert world.actions().count("would_have") == 1
    world.amounts[MEASURE, PORTFOLIO] = 120_000.0
    world.run(2 * PART_S)
    assert (proposed(world), world.machine.state.series) == ([], {})
    assert waits(world) == ([False, True] if before == "unknown" else [])
    assert series_end(world) == [
        "the rule is to observe only; from part 2 of 4 on nothing is proposed"
    ]
    assert (world.sizes(), world.stage()) == ({"BTC": "1.8"}, "contained")


def test_a_proposal_of_a_rule_that_is_to_observe_is_withdrawn() -> None:
    """Nobody can latch by an old page what the rulebook took back."""
    world = World().hold(BTC="2")
    world.amounts[MEASURE, PORTFOLIO] = 120_000.0
    asked_again(world, mode=RuleMode.PROPOSE, over_s=0.0)
    (name,) = world.machine.state.proposals
    asked_again(world, mode=RuleMode.OBSERVE, over_s=0.0)
    assert proposed(world) == []
    assert "no proposal" in world.approve(name).answer


@pytest.mark.parametrize("epoch", [0.0, 1200.0], ids=["this episode", "the next"])
@pytest.mark.parametrize("before", ["between two", "before people", "unknown"])
def test_a_rule_that_asks_for_all_at_once_ends_its_series(before: str, epoch: float) -> None:
    """Its page ends with it, and the whole is proposed in its place: a part that was approved is
    no answer to that."""
    world = after_a_part(before)
    world.amounts[MEASURE, PORTFOLIO] = 120_000.0
    asked_again(world, mode=RuleMode.PROPOSE, over_s=0.0, epoch=epoch)
    assert waits(world) == ([False, True] if before == "unknown" else [])
    assert series_end(world) == [
        "the rule asks in parts no longer; from part 2 of 4 on nothing is proposed"
    ]
    world.run(ARMED.proposal_ttl_s / 2)
    assert ["to $120k" in words for words in proposed(world)] == [True]
    approve(world)
    assert world.sizes() == {"BTC": "1.2"}
    world.run(2 * PART_S)
    assert (proposed(world), world.machine.state.series) == ([], {})


def test_a_hold_on_estimates_ends_no_series() -> None:
    """The rule asks for a cut in parts all the same: its numbers are estimates for a while."""
    world = over_an_hour()
    approve(world)
    world.ask(rule=CAP, mode=RuleMode.PROPOSE, capped=True)
    world.run(PART_S)
    assert series_end(world) == []
    assert ["to $160k" in words for words in proposed(world) if "order" in words] == [True]


def test_what_the_rulebook_says_counts_again_once_the_desk_says_nothing() -> None:
    """The desk let the rule propose, and does not since a restart: the rule itself observes."""
    world = World().hold(BTC="2")
    let = ModeOverride(rule=CAP, mode=RuleMode.PROPOSE)
    world.policy = msgspec.structs.replace(world.policy, overrides=(let,))
    world.restart()
    world.amounts[MEASURE, PORTFOLIO] = 120_000.0
    asked_again(world, mode=RuleMode.OBSERVE, over_s=3600.0)
    world.run(2 * LOOK_S)
    approve(world)
    world.policy = ARMED
    world.restart()
    world.run(2 * PART_S)
    assert (proposed(world), world.machine.state.series) == ([], {})
    assert "to observe only" in series_end(world)[0]


@pytest.mark.parametrize("before", ["between two", "before people", "unknown"])
def test_a_series_ends_with_the_right_of_its_rule(before: str) -> None:
    """The rulebook takes it back while the rule itself sees nothing to ask about."""
    world = after_a_part(before)
    world.modes = {CAP: RuleMode.OBSERVE}
    world.run(2 * PART_S)
    assert (proposed(world), world.machine.state.series) == ([], {})
    assert waits(world) == ([False, True] if before == "unknown" else [])
    assert series_end(world) == [
        "the rule is to observe only; from part 2 of 4 on nothing is proposed"
    ]


@pytest.mark.parametrize("acting", [True, False], ids=["amount unknown", "observe"])
def test_a_series_that_waits_does_not_spin(acting: bool) -> None:
    """It is looked at every few seconds, and in observe never."""
    world = over_an_hour()
    approve(world)
    world.amounts.clear()
    if not acting:
        world.policy = msgspec.structs.replace(world.policy, mode=DaemonMode.OBSERVE)
        world.restart()
    world.run(PART_S)
    before = len(world.steps)
    world.run(600)
    assert len(world.steps) - before <= (600 / LOOK_S + 5 if acting else 2)


def test_what_may_act_is_proposed_in_parts_all_the_same() -> None:
    """A cut over a time is never made without a person."""
    world = World().hold(BTC="2")
    world.amounts[MEASURE, PORTFOLIO] = 120_000.0
    world.ask(
        rule=CAP, gross_to_usd=120_000.0, gross_to_measure=MEASURE, mode=RuleMode.ACT, over_s=3600.0
    )
    world.run(600)
    assert (world.sizes(), len(proposed(world))) == ({"BTC": "2"}, 1)


def test_an_approval_that_would_cut_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices rose over the page: the part is not used up, and comes again."""
    world = over_an_hour()
    approve(world)
    world.run(PART_S)
    (name,) = world.machine.state.proposals
    monkeypatch.setitem(PRICES, "BTC", 125_000.0)
    answer = world.approve(name).answer
    assert "Nothing was done: prices moved" in answer
    assert world.sizes() == {"BTC": "1.8"}
    world.run(2 * LOOK_S)
    assert len(proposed(world)) == 1
    assert "of 4" in world.notices[-1].summary


def test_a_rearm_of_somebody_elses_cut_ends_no_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first part that was proposed was not the first of all, and none was approved."""
    world = World().hold(BTC="2")
    world.pull(Level.CUT, gross_to=0.85)
    world.run(60)
    monkeypatch.setitem(PRICES, "BTC", 115_000.0)
    world.amounts[MEASURE, PORTFOLIO] = 120_000.0
    world.ask(
        rule=CAP, gross_to_usd=1.2e5, gross_to_measure=MEASURE, mode=RuleMode.PROPOSE, over_s=3600.0
    )
    world.run(2 * LOOK_S)
    assert len(proposed(world)) == 1
    world.rearm()
    world.run(2 * LOOK_S)
    assert (len(proposed(world)), series_end(world)) == (1, [])


def test_a_whole_cut_that_waits_goes_when_its_rule_asks_in_parts() -> None:
    """A reloaded rule says `over`: nothing of it is done without a person any more."""
    world = World().hold(BTC="2")
    world.pull(Level.REDUCE_ONLY)
    world.run(30)
    world.rearm()
    for over_s in (0.0, 3600.0):
        world.amounts[MEASURE, PORTFOLIO] = 120_000.0
        world.ask(rule=CAP, gross_to_usd=1.2e5, gross_to_measure=MEASURE, over_s=over_s)
    world.run(4 * 3600)
    assert world.sizes() == {"BTC": "2"}
