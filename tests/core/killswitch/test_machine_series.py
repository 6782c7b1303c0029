"""Cuts over a time: proposed in parts, each on what is held and allowed by then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from monitor.core.decision import RuleMode
from monitor.core.killswitch.episodes.amounts import part_usd
from monitor.core.killswitch.levels import Level
from monitor.core.types import PORTFOLIO
from tests.core.killswitch.kill_desk import ARMED, MAIN, World

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
    return world


def proposed(world: World) -> list[str]:
    """What is before people now."""
    return [one.words for one in world.machine.state.proposals.values()]


def approve(world: World) -> str:
    """Yes to the only proposal, and the time it takes; gives the answer."""
    (name,) = world.machine.state.proposals
    answer = world.approve(name).answer
    world.run(60)
    return answer


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
    """Nothing is proposed on a number nobody has, and the series is not over for that."""
    world = over_an_hour()
    approve(world)
    world.amounts.clear()
    world.run(2 * PART_S)
    assert proposed(world) == []
    world.amounts[MEASURE, PORTFOLIO] = 120_000.0
    world.run(10)
    assert len(proposed(world)) == 1


def rule_over(world: World) -> None:
    """The rule says that it is over."""
    world.end(rule=CAP)


def rearmed(world: World) -> None:
    """A person cleared the scope."""
    world.rearm()


def cut_at_once(world: World) -> None:
    """Somebody else's cut goes further than this one would."""
    world.ask(gross_to=0.5)
    world.run(60)
    assert world.sizes() == {"BTC": "1"}


def pulled(world: World) -> None:
    """A person flattens."""
    world.pull(Level.FLATTEN)
    world.run(60)
    assert world.sizes() == {}


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        pytest.param(rule_over, "the rule is over", id="the rule is over"),
        pytest.param(rearmed, "a person re-armed the scope", id="re-armed"),
        pytest.param(cut_at_once, "nothing is left to cut", id="a harder cut"),
        pytest.param(pulled, "nothing is left to cut", id="a pull"),
    ],
)
def test_what_ends_a_series(happens: Callable[[World], None], why: str) -> None:
    """On record, with the parts that are not proposed; what is asked for at once is done so."""
    world = over_an_hour()
    approve(world)
    happens(world)
    world.run(2 * PART_S)
    assert (proposed(world), world.machine.state.series) == ([], {})
    assert series_end(world) == [f"{why}; parts 2 to 4 are not proposed"]


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
    world.run(3 * PART_S)
    assert (proposed(world), world.sizes()) == ([], {"BTC": "1.8"})


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
