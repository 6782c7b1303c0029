"""What the desk lets a rule do by itself, and where: a word about a scope reaches all within it."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.decision import RuleMode
from monitor.core.killswitch.policy import ModeOverride
from monitor.core.types import PORTFOLIO, Subject, account_subject, position_subject
from tests.core.killswitch.kill_desk import ACCOUNT, ARMED, MAIN, SIDE, World


@pytest.mark.parametrize(
    ("said", "scope", "expected"),
    [
        pytest.param({"": "act", "venue:hyperliquid": "observe"}, ACCOUNT, "observe",
                     id="an account of the venue"),
        pytest.param({"": "act", "venue:dydx": "observe"}, ACCOUNT, "act", id="of another venue"),
        pytest.param({"": "act", "venue:hyperliquid": "observe"}, PORTFOLIO, "act", id="more"),
        pytest.param({"": "observe", "venue:hyperliquid": "act"}, ACCOUNT, "act", id="acts there"),
        pytest.param({"venue:hyperliquid": "observe", str(ACCOUNT): "propose"}, ACCOUNT, "propose",
                     id="the account's own word"),
        pytest.param({str(ACCOUNT): "observe", f"{ACCOUNT}.xyz": "act"},
                     Subject(f"{ACCOUNT}.xyz"), "act", id="its margin pool's own word"),
        pytest.param({str(ACCOUNT): "act", "market:hyperliquid/BTC": "observe"},
                     position_subject(*MAIN, "BTC"), "observe", id="two as particular"),
        pytest.param({"": "observe", "venue hyperliquid": "act"}, ACCOUNT, "observe",
                     id="words that name nothing"),
    ],
)  # fmt: skip
def test_a_word_about_a_scope_holds_for_what_lies_in_it(
    said: dict[str, str], scope: Subject, expected: str
) -> None:
    """Whoever lets a rule only observe at a venue is not traded for in its accounts."""
    policy = msgspec.structs.replace(
        ARMED,
        overrides=tuple(
            ModeOverride(rule="r", mode=RuleMode(mode), scope=where) for where, mode in said.items()
        ),
    )
    assert policy.mode_of("r", scope, RuleMode.ACT) is RuleMode(expected)
    assert policy.mode_of("another", scope, RuleMode.PROPOSE) is RuleMode.PROPOSE


def test_a_small_account_is_not_acted_for_where_its_venue_observes() -> None:
    """The rule asked for the portfolio, and reaches no more than the account."""
    watching = ModeOverride(rule="funding_stress", mode=RuleMode.OBSERVE, scope=f"venue:{SIDE[0]}")
    world = World(msgspec.structs.replace(ARMED, overrides=(watching,)))
    world.hold(BTC="1").hold(SIDE, BTC="-0.05")
    world.ask(subject=account_subject(*SIDE))
    assert world.actions() == ["would_have"]
    assert world.machine.state.latches == {}
