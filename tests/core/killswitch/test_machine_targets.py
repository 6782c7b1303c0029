"""Cuts to an amount: a cap in USD, beside shares of the gross at the first entry."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from monitor.core.decision import ActionLevel, RuleMode
from monitor.core.killswitch.episodes import waiting
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import ModeOverride
from monitor.core.killswitch.restore import more_restrictive
from monitor.core.killswitch.state import unpack
from monitor.core.types import PORTFOLIO, Severity, position_subject
from tests.core.killswitch.kill_desk import ARMED, HL, MAIN, World

CAP = "leverage_cap"
MEASURE = "leverage_cap_target_usd"


def long(size: str = "2") -> World:
    """So many BTC at 100,000 USD."""
    return World().hold(BTC=size)


def cap(world: World, usd: float, **more: object) -> World:
    """A rule cuts to so many USD."""
    world.ask(rule=CAP, gross_to_usd=usd, **more)  # type: ignore[arg-type]
    return world


@pytest.mark.parametrize(
    ("usd", "left"),
    [
        pytest.param(150_000.0, "1.5", id="to the amount"),
        pytest.param(199_000.0, "1.99", id="just below what there is"),
        pytest.param(250_000.0, "2", id="an amount above what there is cuts nothing"),
        pytest.param(0.0, "0", id="to nothing"),
    ],
)
def test_a_cut_to_an_amount_leaves_that_amount(usd: float, left: str) -> None:
    """Whatever share of gross that is."""
    world = cap(long(), usd).run(60)
    assert world.sizes().get("BTC", "0") == left
    assert world.stage() == "contained"


@pytest.mark.parametrize(
    ("share", "usd", "left"),
    [
        pytest.param(0.70, 150_000.0, "1.4", id="the share is lower"),
        pytest.param(0.70, 120_000.0, "1.2", id="the amount is lower"),
    ],
)
@pytest.mark.parametrize("amount_first", [True, False], ids=["amount-first", "share-first"])
def test_the_lower_of_amount_and_share_counts(
    share: float, usd: float, left: str, amount_first: bool
) -> None:
    """Cuts do not add, in whichever order they are asked for, and a share is of the gross at the
    first entry, not of what is left of it."""
    world = long()
    for amount in (amount_first, not amount_first):
        if amount:
            cap(world, usd)
        else:
            world.ask(gross_to=share)
        world.run(60)
    assert world.sizes() == {"BTC": left}


def test_an_amount_is_of_now_and_not_of_the_first_entry() -> None:
    """Cut to 70 % already, a cap of 130,000 asks for 10,000 more, not for a share of a share."""
    world = long()
    world.ask(gross_to=0.70)
    world.run(60)
    cap(world, 130_000.0).run(60)
    assert world.sizes() == {"BTC": "1.3"}
    assert world.latch().target_ratio == pytest.approx(0.65)


def test_an_amount_nobody_knows_cuts_nothing() -> None:
    """The rule may hold, and says why it does no more."""
    world = long()
    world.ask(rule=CAP, capped=True, gross_to=None)
    world.run(600)
    assert (world.sizes(), world.machine.state.latches) == ({"BTC": "2"}, {})
    assert len(world.machine.state.holds) == 1
    assert "missing data, so no more than a hold" in world.audit[0].reason


def test_a_cut_to_an_amount_is_proposed_kept_and_carried_out() -> None:
    """With its plan in USD; the same after a restart, and as evidence on record."""
    world = cap(long(), 150_000.0, mode=RuleMode.PROPOSE)
    (proposal,) = world.machine.state.proposals.values()
    assert "gross $200k to $150k" in proposal.words
    assert "$150k" in proposal.ask.evidence
    world.restart()
    world.approve(proposal.id)
    world.restart()
    world.run(60)
    assert world.sizes() == {"BTC": "1.5"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param(Severity.WARNING, Severity.HIGH, id="a warning's proposal can wait"),
        pytest.param(Severity.HIGH, Severity.CRITICAL, id="a loud one's runs out of time"),
    ],
)
def test_a_proposal_is_as_loud_as_it_is_urgent(said: Severity, told: Severity) -> None:
    """Of a warning somebody must look, of more somebody must act."""
    world = cap(long(), 150_000.0, mode=RuleMode.PROPOSE, severity=said)
    assert [one.severity for one in world.notices] == [told]


def measured(world: World, usd: float, **more: object) -> World:
    """A rule cuts to what a measure says, which is so much now."""
    world.amounts[MEASURE, PORTFOLIO] = usd
    return cap(world, usd, gross_to_measure=MEASURE, **more)


@pytest.mark.parametrize(
    ("now_usd", "left", "asked"),
    [
        pytest.param(180_000.0, "1.8", [], id="more may stay by now: no more is cut than that"),
        pytest.param(250_000.0, "2", [], id="all of it may"),
        pytest.param(150_000.0, "1.5", [], id="as it was"),
        pytest.param(148_600.0, "1.48", [], id="a little less: the cap that was seen"),
        pytest.param(148_400.0, "1.5", ["$148k"], id="less: what was approved, and the rest asked"),
        pytest.param(100_000.0, "1.5", ["$100k"], id="much less"),
    ],
)
def test_an_approved_cut_is_made_to_the_amount_of_now(
    now_usd: float, left: str, asked: list[str]
) -> None:
    """Never by more than a person saw without asking again, never by more than is needed now."""
    world = measured(long(), 150_000.0, mode=RuleMode.PROPOSE)
    (proposal,) = world.machine.state.proposals.values()
    world.amounts[MEASURE, PORTFOLIO] = now_usd
    step = world.approve(proposal.id)
    world.run(60)
    assert world.sizes() == {"BTC": left}
    rest = world.machine.state.proposals.values()
    assert [one.ask.evidence.split(", ")[-1] for one in rest] == [f"{usd} now" for usd in asked]
    assert all(one.id in step.answer and one.id != proposal.id for one in rest)


def test_the_rest_of_a_cut_is_approved_like_the_first() -> None:
    """And goes with its rule where nobody answers."""
    for answered in (True, False):
        world = measured(long(), 150_000.0, mode=RuleMode.PROPOSE)
        world.amounts[MEASURE, PORTFOLIO] = 100_000.0
        world.approve(*world.machine.state.proposals)
        world.run(60)
        (rest,) = world.machine.state.proposals.values()
        assert "gross $200k to $100k" in rest.words  # what was approved is on its way
        world.restart()
        if answered:
            world.approve(rest.id)
        else:
            world.end(rule=CAP)
        world.run(60)
        assert world.sizes() == {"BTC": "1" if answered else "1.5"}
        assert not world.machine.state.proposals


def test_an_approval_waits_for_an_amount_that_is_not_known_now() -> None:
    """The same proposal can be approved once it is."""
    world = measured(long(), 150_000.0, mode=RuleMode.PROPOSE)
    (proposal,) = world.machine.state.proposals.values()
    world.amounts.clear()
    assert f"{MEASURE} of portfolio is not known" in world.approve(proposal.id).answer
    world.run(60)
    assert (world.sizes(), world.actions()[-1]) == ({"BTC": "2"}, "approval_refused")
    world.amounts[MEASURE, PORTFOLIO] = 160_000.0
    world.approve(proposal.id)
    world.run(60)
    assert world.sizes() == {"BTC": "1.6"}


def waits(world: World) -> list[bool]:
    """Of the pages that a confirmed cut waits for its amount: whether it ended, in order."""
    return [one.resolved for one in world.notices if one.alert == waiting.ALERT]


def waiting_cut() -> World:
    """A confirmed cut whose amount nobody knows, after a cool-down; people were told."""
    world = long()
    world.ask()
    world.run(60)
    world.end()
    world.rearm()
    world.hold(BTC="2")
    measured(world, 150_000.0, epoch=100.0, seen=(100.0, 130.0))
    world.run(5)
    assert world.sizes() == {"BTC": "2"}  # cooling down
    world.amounts.clear()
    world.run(ARMED.cool_down_s + 60)
    assert waits(world) == [False]
    return world


@pytest.mark.parametrize("now_usd", [120_000.0, 180_000.0], ids=["less may stay", "more may"])
def test_what_cooled_down_is_cut_to_the_amount_of_then(now_usd: float) -> None:
    """A rule that acts by itself saw nobody's eyes: both ways it is the need of now."""
    world = waiting_cut()
    assert world.sizes() == {"BTC": "2"}
    assert world.actions().count("waits") == 1
    world.amounts[MEASURE, PORTFOLIO] = now_usd
    world.run(60)
    assert world.sizes() == {"BTC": f"{now_usd / 100_000:g}"}
    assert world.machine.state.amounts == set()
    assert waits(world) == [False, True]


def test_a_cut_that_waits_for_its_amount_and_is_over_ends_its_page() -> None:
    """Once told, and ended with its rule; a restart between tells nobody twice."""
    world = waiting_cut()
    world.restart()
    world.run(60)
    assert waits(world) == [False]
    assert "riskd explain leverage_cap portfolio" in world.notices[-1].description
    world.end(rule=CAP)
    assert (waits(world), world.sizes()) == ([False, True], {"BTC": "2"})


def test_one_position_is_cut_to_its_own_amount() -> None:
    """Its market elsewhere, and all else, stays."""
    world = World().hold(BTC="2", ETH="10")
    where = position_subject(HL, "main", "BTC")
    cap(world, 50_000.0, subject=where, scope=where).run(60)
    assert world.sizes(MAIN) == {"BTC": "0.5", "ETH": "10"}


@pytest.mark.parametrize("newer_first", [True, False], ids=["newer-is-lower", "older-is-lower"])
def test_of_two_kept_states_the_lower_amount_counts(newer_first: bool) -> None:
    """As with shares: of two records the more restrictive."""
    one, other = (cap(long(), usd).machine.packed() for usd in (150_000.0, 120_000.0))
    states = (other, one) if newer_first else (one, other)
    # The same trip of two desks: another id makes them two trips of one scope.
    merged = unpack(more_restrictive(states[0], states[1].replace(b"trip-", b"trap-")))
    assert merged.latches[PORTFOLIO].gross_to_usd == 120_000.0


def test_a_hold_asks_for_no_amount() -> None:
    """Only a cut has a target."""
    world = long()
    world.ask(ActionLevel.BLOCK_NEW, gross_to_usd=1.0)
    assert world.latch().gross_to_usd is None


def rearmed(world: World) -> None:
    """The scope is cleared."""
    world.rearm()


def flattened(world: World) -> None:
    """A person unwinds it."""
    world.pull(Level.FLATTEN)
    world.run(60)


def taken_back(world: World) -> None:
    """The desk lets the rule observe only, from a restart on."""
    world.policy = msgspec.structs.replace(
        world.policy, overrides=(ModeOverride(rule=CAP, mode=RuleMode.OBSERVE),)
    )
    world.restart()


@pytest.mark.parametrize(
    ("happens", "left"),
    [
        pytest.param(rearmed, {"BTC": "2"}, id="re-armed"),
        pytest.param(flattened, {}, id="flattened"),
        pytest.param(taken_back, {"BTC": "2"}, id="taken back"),
    ],
)
def test_what_else_ends_the_wait_for_an_amount(
    happens: Callable[[World], None], left: dict[str, str]
) -> None:
    """The page ends, and the cut is not made later without anybody's word."""
    world = waiting_cut()
    assert "it is at REDUCE_ONLY" in next(
        one.description for one in world.notices if one.alert == waiting.ALERT
    )
    happens(world)
    world.amounts[MEASURE, PORTFOLIO] = 150_000.0
    world.run(600)
    assert (waits(world), world.sizes()) == ([False, True], left)
