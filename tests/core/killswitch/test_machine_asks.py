"""What a rule may reach: modes, confirmation, holds, proposals, scopes, cool-down."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.decision import ActionLevel, RuleMode
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.policy import DaemonMode, ModeOverride
from monitor.core.killswitch.trading import Trading
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    Side,
    Subject,
    account_subject,
    asset_subject,
    market_subject,
    position_subject,
    venue_subject,
)
from tests.core.killswitch.kill_desk import (
    ACCOUNT,
    ARMED,
    DYDX,
    HL,
    MAIN,
    SIDE,
    START_NS,
    World,
)

OBSERVE = msgspec.structs.replace(ARMED, mode=DaemonMode.OBSERVE)


def desk(policy=ARMED) -> World:
    """One account with a position and an order that increases it."""
    return World(policy).hold(BTC="1").rest("more", Side.BUY, "0.5")


# ------------------------------------------------------------------------------------ observe


def test_in_observe_everything_is_a_would_have() -> None:
    """Nothing latched, nothing sent, the desk stays ACTIVE; the record has the plan."""
    world = desk(OBSERVE)
    world.ask()
    world.run(600)
    assert world.machine.state.latches == {}
    assert not any(step.commands for step in world.steps)
    assert world.machine.trading_state(world.now).trading is Trading.ACTIVE
    assert world.actions() == ["would_have"]
    assert "1 order(s), gross $100k to $70k" in dict(world.audit[0].details)["plan"]
    assert world.notices[0].summary.startswith("WOULD HAVE CUT portfolio by funding_stress")
    assert world.stage() == "disarmed"


def test_a_would_have_is_said_once_an_episode_and_ends_with_it() -> None:
    """Repetition is no news; the end resolves it; a new episode is told again."""
    world = desk(OBSERVE)
    world.ask()
    world.ask()
    world.end()
    world.ask(epoch=5.0)
    assert [notice.resolved for notice in world.notices] == [False, True, False]


def test_a_pull_in_observe_is_recorded_and_refused_with_words() -> None:
    """No signer exists, and the person must know."""
    world = desk(OBSERVE)
    step = world.pull(Level.HALT)
    assert "observe" in step.answer
    assert "by hand" in step.answer
    assert world.actions() == ["pull_refused"]
    assert world.machine.state.latches == {}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        pytest.param((), "tripped", id="the rulebook's own mode"),
        pytest.param(
            (ModeOverride(rule="funding_stress", mode=RuleMode.OBSERVE),), "would_have", id="any"
        ),
        pytest.param(
            (ModeOverride(rule="funding_stress", mode=RuleMode.PROPOSE, scope="portfolio"),),
            "proposed",
            id="this scope",
        ),
        pytest.param(
            (ModeOverride(rule="funding_stress", mode=RuleMode.OBSERVE, scope="venue:dydx"),),
            "tripped",
            id="another scope",
        ),
        pytest.param(
            (
                ModeOverride(rule="funding_stress", mode=RuleMode.PROPOSE, scope="portfolio"),
                ModeOverride(rule="funding_stress", mode=RuleMode.OBSERVE),
            ),
            "proposed",
            id="the more particular word counts",
        ),
    ],
)
def test_the_desk_has_the_last_word_on_a_rules_mode(
    override: tuple[ModeOverride, ...], expected: str
) -> None:
    """Per rule and scope."""
    world = desk(msgspec.structs.replace(ARMED, overrides=override))
    world.ask()
    assert world.actions()[0] == expected


@pytest.mark.parametrize("scope", ["", "portfolio"])
@pytest.mark.parametrize("mode", [RuleMode.PROPOSE, RuleMode.ACT])
def test_what_may_only_be_proposed_never_acts(scope: str, mode: RuleMode) -> None:
    """The desk's word cannot widen it, nor can two observations or a second source: nothing is
    latched and nothing leaves before a person approves, and then all of it does."""
    acting = ModeOverride(rule="leverage_cap", mode=RuleMode.ACT, scope=scope)
    world = desk(msgspec.structs.replace(ARMED, overrides=(acting,)))
    for again in range(3):
        world.ask(rule="leverage_cap", mode=mode, most=RuleMode.PROPOSE, sources=(HL, DYDX))
        world.run(30 * again)
    assert world.actions() == ["proposed"]
    assert world.machine.state.latches == {}
    assert world.machine.state.pendings == {}
    assert not any(step.commands for step in world.steps)
    (name,) = world.machine.state.proposals
    world.approve(name)
    assert world.machine.state.latches[PORTFOLIO].level is Level.CUT


def test_what_may_only_be_proposed_may_be_observed() -> None:
    """Narrower is the desk's to say."""
    watching = ModeOverride(rule="leverage_cap", mode=RuleMode.OBSERVE)
    world = desk(msgspec.structs.replace(ARMED, overrides=(watching,)))
    world.ask(rule="leverage_cap", mode=RuleMode.PROPOSE, most=RuleMode.PROPOSE)
    assert world.actions() == ["would_have"]


# ------------------------------------------------------------------------------- confirmation


@pytest.mark.parametrize(
    ("seen", "sources", "level"),
    [
        pytest.param((0.0,), (HL,), Level.REDUCE_ONLY, id="one observation"),
        pytest.param((), (HL,), Level.REDUCE_ONLY, id="none at all"),
        pytest.param((0.0, 0.0, 0.0), (HL,), Level.REDUCE_ONLY, id="the same one repeated"),
        pytest.param((0.0, 19.999), (HL,), Level.REDUCE_ONLY, id="two too close"),
        pytest.param((0.0, 20.0), (HL,), Level.CUT, id="two 20 s apart"),
        pytest.param((0.0,), (HL, DYDX), Level.CUT, id="two sources"),
        pytest.param((0.0,), (HL, HL), Level.REDUCE_ONLY, id="one source twice"),
        pytest.param((0.0,), (), Level.REDUCE_ONLY, id="no source known"),
        pytest.param((), (HL, DYDX), Level.CUT, id="two sources at unknown times"),
    ],
)
def test_a_costly_level_wants_confirmation(
    seen: tuple[float, ...], sources: tuple[str, ...], level: Level
) -> None:
    """One bad reading reaches REDUCE_ONLY and no more."""
    world = desk()
    world.ask(seen=seen, sources=sources)
    world.run(60)
    assert world.latch().level is level
    assert world.sizes() == {"BTC": "1" if level is Level.REDUCE_ONLY else "0.7"}


def test_what_confirmed_a_trip_and_which_rule_it_was_is_on_record() -> None:
    """The version by its hash; the observations by their own times; the sources by name."""
    world = desk()
    world.ask(seen=(0.0, 20.0), sources=(HL,))
    entry = next(one for one in world.audit if one.action == "tripped")
    details = dict(entry.details)
    assert details["rule_hash"] == "r1"
    times = f"{START_NS}, {START_NS + 20 * SECOND_NS}"
    assert details["confirmed_by"] == f"observed at {times} by hyperliquid"
    world.pull(Level.HALT)
    raised = next(one for one in world.audit if one.action == "raised")
    assert "rule_hash" not in dict(raised.details), "a person is no rule"


def test_the_second_observation_raises_the_same_latch_at_once() -> None:
    """Same trip, same page key."""
    world = desk()
    world.ask(seen=(0.0,))
    world.run(10)
    trip_id = world.latch().trip_id
    world.ask(seen=(21.0,))
    assert world.latch().level is Level.CUT
    world.run(30)
    assert world.latch().trip_id == trip_id
    assert world.stage() == "contained"
    assert {notice.key for notice in world.notices} == {trip_id}


def test_a_rule_that_ends_before_its_confirmation_never_cuts() -> None:
    """What is latched stays; what waited is dropped."""
    world = desk()
    world.ask(seen=(0.0,))
    world.end()
    world.ask(seen=(30.0,), epoch=30.0)
    world.run(600)
    assert world.latch().level is Level.REDUCE_ONLY
    assert "dropped" in world.actions()


def test_level_two_trips_on_one_observation() -> None:
    """Blocking new risk is cheap."""
    world = desk()
    world.ask(ActionLevel.BLOCK_NEW, seen=(0.0,))
    world.run(5)
    assert (world.latch().level, world.resting()) == (Level.REDUCE_ONLY, [])


# --------------------------------------------------------------------------------------- holds


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param({"level": ActionLevel.HOLD}, id="a rule that holds"),
        pytest.param({"level": ActionLevel.CUT, "capped": True}, id="a cut on estimates"),
        pytest.param({"level": ActionLevel.FLATTEN, "capped": True}, id="a flatten on estimates"),
    ],
)
def test_a_hold_blocks_and_touches_nothing(ask: dict[str, object]) -> None:
    """REDUCE_ONLY in the trading state; no latch, no order, no read."""
    world = desk()
    world.ask(scope=venue_subject(HL), subject=venue_subject(HL), **ask)
    world.run(600)
    assert world.machine.state.latches == {}
    assert not any(step.commands for step in world.steps)
    assert world.machine.effective(ACCOUNT) is Level.REDUCE_ONLY
    assert world.machine.effective(account_subject(*SIDE)) is Level.NORMAL
    (scope,) = world.machine.trading_state(world.now).scopes
    assert (scope.held, scope.trading) == (True, Trading.REDUCE_ONLY)


@pytest.mark.parametrize(
    ("seconds", "level"),
    [
        pytest.param(299.9, Level.REDUCE_ONLY, id="five minutes not over"),
        pytest.param(300.0, Level.NORMAL, id="five minutes over"),
    ],
)
def test_a_hold_goes_by_itself_after_five_good_minutes(seconds: float, level: Level) -> None:
    """From the end of its rule, which needs known data."""
    world = desk()
    world.ask(ActionLevel.HOLD, scope=venue_subject(HL))
    world.at(1000)
    step = world.end()
    assert step.wake_at_ns == world.now + 300 * 10**9
    world.at(1000 + seconds)
    assert world.machine.effective(venue_subject(HL)) is level
    assert world.notices[-1].resolved is (level is Level.NORMAL)
    assert world.steps[-1].loosens is (level is Level.NORMAL)


def test_a_hold_stays_as_long_as_its_rule() -> None:
    """No time and no restart releases it while nobody said that the data is good."""
    world = desk()
    world.ask(ActionLevel.HOLD, scope=venue_subject(HL))
    world.at(10_000_000)
    world.restart()
    world.at(20_000_000)
    assert world.machine.effective(venue_subject(HL)) is Level.REDUCE_ONLY


def test_a_hold_that_is_asked_again_begins_anew() -> None:
    """Flapping data keeps the hold."""
    world = desk()
    world.ask(ActionLevel.HOLD, scope=venue_subject(HL))
    world.end()
    world.at(200)
    world.ask(ActionLevel.HOLD, scope=venue_subject(HL), epoch=200.0)
    world.at(900)
    assert world.machine.effective(venue_subject(HL)) is Level.REDUCE_ONLY


def test_the_end_of_a_rule_never_releases_a_latch() -> None:
    """Neither does time."""
    world = desk()
    world.ask(ActionLevel.BLOCK_NEW)
    world.end()
    world.run(100_000)
    assert world.latch().level is Level.REDUCE_ONLY


# ----------------------------------------------------------------------------------- proposals


def test_a_proposal_says_plan_and_cost_and_does_nothing() -> None:
    """No latch and no command until a person says yes."""
    world = desk()
    world.ask(mode=RuleMode.PROPOSE)
    world.run(100)
    (proposal,) = world.machine.state.proposals.values()
    assert "1 order(s), gross $100k to $70k" in proposal.words
    assert world.machine.state.latches == {}
    assert not any(step.commands for step in world.steps)


@pytest.mark.parametrize(
    ("seconds", "latched"),
    [pytest.param(900.0, True, id="in time"), pytest.param(900.001, False, id="too late")],
)
def test_a_proposal_is_approved_within_its_time(seconds: float, latched: bool) -> None:
    """Afterwards it is said that nothing was done."""
    world = desk()
    world.ask(mode=RuleMode.PROPOSE, seen=(0.0,))
    (name,) = world.machine.state.proposals
    world.now += round(seconds * 10**9)
    answer = world.approve(name).answer
    assert (PORTFOLIO in world.machine.state.latches) is latched
    assert ("is latched at CUT" in answer) is latched
    if not latched:
        assert "EXPIRED, nothing was done" in world.notices[-1].summary
    assert world.machine.state.proposals == {}


def test_a_proposal_nobody_answers_expires_by_itself() -> None:
    """The machine asks to be woken for it."""
    world = desk()
    step = world.ask(mode=RuleMode.PROPOSE)
    assert step.wake_at_ns is not None
    world.run(1000)
    assert "proposal_expired" in world.actions()


def test_a_refused_proposal_is_not_made_again_in_the_same_episode() -> None:
    """In the next one it is."""
    world = desk()
    world.ask(mode=RuleMode.PROPOSE)
    (name,) = world.machine.state.proposals
    world.approve(name, yes=False)
    world.ask(mode=RuleMode.PROPOSE)
    assert world.machine.state.proposals == {}
    world.ask(mode=RuleMode.PROPOSE, epoch=9.0)
    assert len(world.machine.state.proposals) == 1


def test_a_proposal_goes_with_its_rule() -> None:
    """What is no longer wanted cannot be approved."""
    world = desk()
    world.ask(mode=RuleMode.PROPOSE)
    (name,) = world.machine.state.proposals
    world.end()
    assert "no proposal" in world.approve(name).answer
    assert world.machine.state.latches == {}


def test_a_person_pulls_what_a_rule_only_proposes() -> None:
    """People are not bound by a rule's mode."""
    world = desk()
    world.ask(mode=RuleMode.OBSERVE)
    world.ask(mode=RuleMode.PROPOSE, rule="other")
    world.pull(Level.CUT, gross_to=0.5)
    world.run(30)
    assert world.sizes() == {"BTC": "0.5"}


# -------------------------------------------------------------------------------------- scopes


@pytest.mark.parametrize(
    ("subject", "share", "scope"),
    [
        pytest.param(account_subject(*SIDE), "0.05", account_subject(*SIDE), id="a small account"),
        pytest.param(account_subject(*SIDE), "0.20", PORTFOLIO, id="a large account"),
        pytest.param(
            position_subject(*SIDE, "BTC-USD"), "0.05", account_subject(*SIDE), id="its position"
        ),
        pytest.param(
            account_subject("dydx", "gone"), "0.05", account_subject("dydx", "gone"), id="unknown"
        ),
        pytest.param(PORTFOLIO, "0.05", PORTFOLIO, id="a rule about the whole"),
    ],
)
def test_one_small_account_cannot_latch_the_book(
    subject: Subject, share: str, scope: Subject
) -> None:
    """A rule about an account reaches as far as that account is a part of what it would latch."""
    world = World().hold(BTC="1").hold(SIDE, BTC=share)
    world.ask(ActionLevel.BLOCK_NEW, subject=subject, scope=PORTFOLIO)
    assert list(world.machine.state.latches) == [scope]


def test_without_a_book_an_account_latches_only_itself() -> None:
    """Nobody knows how large a part it is; and the latch does not wait for a book."""
    world = desk()
    policy_book = world.book
    world.book = lambda: None  # type: ignore[method-assign,assignment,return-value]
    world.ask(ActionLevel.BLOCK_NEW, subject=ACCOUNT)
    assert list(world.machine.state.latches) == [ACCOUNT]
    assert world.stage(ACCOUNT) == "tripped"
    world.book = policy_book  # type: ignore[method-assign]
    world.run(10)
    assert world.stage(ACCOUNT) == "contained"


def test_a_scope_the_switch_cannot_act_on_is_refused_and_recorded() -> None:
    """A rule about a feed that asks for its feed latches nothing."""
    world = desk()
    world.ask(ActionLevel.BLOCK_NEW, scope=Subject("feed:hyperliquid/l2Book"))
    assert world.actions() == ["refused"]
    assert "no scope" in world.pull(Level.HALT, Subject("feed:x/y")).answer


@pytest.mark.parametrize(
    ("scope", "sizes", "side"),
    [
        pytest.param(PORTFOLIO, {}, {}, id="portfolio"),
        pytest.param(venue_subject(HL), {}, {"BTC-USD": "-2", "ETH-USD": "5"}, id="venue"),
        pytest.param(ACCOUNT, {}, {"BTC-USD": "-2", "ETH-USD": "5"}, id="account"),
        pytest.param(
            account_subject(HL, "main.xyz"),
            {"BTC": "1", "ETH": "3"},
            {"BTC-USD": "-2", "ETH-USD": "5"},
            id="margin pool",
        ),
        pytest.param(
            asset_subject("BTC"),
            {"ETH": "3", "xyz:GOLD": "7"},
            {"ETH-USD": "5"},
            id="asset over venues",
        ),
        pytest.param(
            market_subject(HL, "ETH"),
            {"BTC": "1", "xyz:GOLD": "7"},
            {"BTC-USD": "-2", "ETH-USD": "5"},
            id="market",
        ),
        pytest.param(
            position_subject(*MAIN, "BTC"),
            {"ETH": "3", "xyz:GOLD": "7"},
            {"BTC-USD": "-2", "ETH-USD": "5"},
            id="position",
        ),
    ],
)
def test_a_trip_reaches_its_scope_and_no_further(
    scope: Subject, sizes: dict[str, str], side: dict[str, str]
) -> None:
    """FLATTEN of each kind of scope."""
    world = World().hold(BTC="1", ETH="3", GOLD="7").hold(SIDE, BTC="-2", ETH="5")
    world.pull(Level.FLATTEN, scope)
    world.run(60)
    assert (world.sizes(), world.sizes(SIDE)) == (sizes, side)
    assert world.stage(scope) == "contained"


# ----------------------------------------------------------------------------------- cool-down


@pytest.mark.parametrize(
    ("seconds", "level"),
    [
        pytest.param(599.0, Level.REDUCE_ONLY, id="within ten minutes"),
        pytest.param(601.0, Level.CUT, id="after them"),
    ],
)
def test_after_a_re_arm_a_rule_does_not_cut_again_at_once(seconds: float, level: Level) -> None:
    """It blocks meanwhile, and cuts at the end of the cool-down if it still asks."""
    world = desk()
    world.ask()
    world.run(30)
    world.rearm()
    cleared = (world.now - world.steps[0].audit[0].at_ns) / 1e9
    world.ask(seen=(40.0, 80.0), epoch=40.0)
    world.run(1)
    assert world.latch().level is Level.REDUCE_ONLY
    world.at(cleared + seconds)
    assert world.latch().level is level


def test_a_person_knows_no_cool_down() -> None:
    """A pull right after the re-arm acts."""
    world = desk()
    world.ask()
    world.run(30)
    world.rearm()
    world.pull(Level.CUT, gross_to=0.5, pull_id="pull-2")
    assert world.latch().level is Level.CUT


def test_the_same_episode_does_not_trip_again_after_a_re_arm() -> None:
    """A person cleared it knowing that the rule fires; a new episode is another matter."""
    world = desk()
    world.ask()
    world.run(30)
    world.rearm()
    world.ask()
    assert world.machine.state.latches == {}
