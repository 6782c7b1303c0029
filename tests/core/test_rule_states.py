"""What a rule about an asset hears of others: which fires about something of it, since when."""

from __future__ import annotations

import pytest

from monitor.core.engine import Engine, restore_snapshot
from monitor.core.errors import ConfigError
from monitor.core.journal import decision_bytes
from monitor.core.measures.catalogue import CATALOGUE
from monitor.core.rules.rulebook import parse_rulebook
from monitor.core.types import Subject, asset_subject
from tests.core.desk import DYDX, HL, Desk

RULES = """\
- {id: big, for_each: position, summary: Big, severity: info,
   when: notional_usd > 1000.0 || notional_usd < -1000.0}
- {id: moved, for_each: market, summary: Moved, severity: info, when: mark_price > 110.0}
- {id: near, for_each: asset, summary: Near, severity: info, when: here__big__moved > 0.5}
"""
BTC, ETH = asset_subject("BTC"), asset_subject("ETH")


def desk_of() -> Desk:
    """BTC on two venues and ETH on one, nothing of it big."""
    desk = Desk((HL, "main"), (DYDX, "main"), rules=RULES)
    desk.list_market().list_market("BTC-USD", DYDX).list_market("ETH")
    return hold(desk)


def hold(desk: Desk, btc: float = 1.0, dydx: float = -1.0, eth: float = 1.0) -> Desk:
    """At 100 dollars each."""
    for market in ("BTC", "ETH"):
        desk.context(market, mark_price=100.0, oracle_price=100.0)
    desk.context("BTC-USD", DYDX, oracle_price=100.0)
    for source in ("stream", "truth"):
        desk.positions(("BTC", btc), ("ETH", eth), source=source)
        desk.positions(("BTC-USD", dydx), venue=DYDX, source=source)
    desk.evaluate()
    return desk


def firing(desk: Desk, asset: Subject) -> bool:
    """Whether the rule about an asset fires."""
    return desk.engine.state.rules[f"near|{asset}"].state.firing


@pytest.mark.parametrize(
    ("held", "near"),
    [
        ({}, (False, False)),
        ({"btc": 10.1}, (True, False)),
        ({"dydx": -10.1}, (True, False)),
        ({"eth": 10.1}, (False, True)),
        ({"btc": 10.1, "eth": -10.1}, (True, True)),
    ],
    ids=["nothing", "on one venue", "on the other", "another asset", "two assets"],
)
def test_a_rule_hears_what_fires_about_its_asset(
    held: dict[str, float], near: tuple[bool, bool]
) -> None:
    """On any venue; what fires about another asset is not heard, and it ends with the last one."""
    desk = hold(desk_of().at(10), **held)
    assert (firing(desk, BTC), firing(desk, ETH)) == near
    hold(desk.at(20))
    assert not firing(desk, BTC)
    assert not firing(desk, ETH)


def test_it_goes_on_while_one_of_them_fires() -> None:
    """Two positions of one asset and a market: the last of them ends it."""
    desk = hold(desk_of().at(10), btc=10.1, dydx=-10.1)
    hold(desk.at(20), dydx=-10.1)
    assert firing(desk, BTC)
    hold(desk.at(30))
    assert not firing(desk, BTC)
    desk.at(40).context("BTC", mark_price=111.0)
    desk.evaluate()
    assert firing(desk, BTC)


def test_its_text_names_whom_and_since_when() -> None:
    """For the page and `explain`; the oldest first, and not those of other assets."""
    desk = hold(desk_of().at(10), btc=10.1, eth=20.0)
    hold(desk.at(130), btc=10.1, dydx=-10.1, eth=20.0)
    seen = desk.engine.explain("near", BTC, desk.ns(430))
    assert seen.inputs[0].reading.text == (
        "big about hyperliquid/main/BTC for 7 min, big about dydx/main/BTC-USD for 5 min"
    )


def test_a_snapshot_in_the_middle_goes_on_alike() -> None:
    """What fires about an asset is found again from the state."""
    live = hold(desk_of().at(10), btc=10.1)
    again = Desk(engine=restore_snapshot(live.engine.snapshot()))
    said = []
    for desk in (live, again):
        desk.load(RULES)
        hold(desk.at(20), btc=10.1, eth=10.1)
        assert (firing(desk, BTC), firing(desk, ETH)) == (True, True)
        hold(desk.at(30), eth=10.1)
        said.append((firing(desk, BTC), firing(desk, ETH), decision_bytes(desk.evaluate())))
    assert said[0] == said[1]
    assert said[0][:2] == (False, True)


@pytest.mark.parametrize("kind", ["portfolio", "market", "position"])
def test_only_a_rule_about_an_asset_may_ask(kind: str) -> None:
    """Elsewhere it has no place; the mistake is told with what to write."""
    text = RULES.replace("for_each: asset", f"for_each: {kind}")
    with pytest.raises(ConfigError) as refused:
        parse_rulebook((("mine.yaml", text),), CATALOGUE)
    assert "here__ in a rule for each asset" in str(refused.value)


@pytest.mark.parametrize("first", [HL, DYDX])
def test_a_restart_hears_in_whatever_order_markets_are_listed(first: str) -> None:
    """A position fires from before the restart; its market is listed before or after the asset."""
    live = hold(desk_of().at(10), dydx=-10.1)
    rows, _ = live.engine.take_rule_rows()
    engine = Engine(live.engine.settings)
    engine.restore(rows, live.engine.memories(), stopped_ns=live.now)
    again = Desk(engine=engine).at(30).load(RULES)
    for venue in (first, HL if first == DYDX else DYDX):
        again.list_market(*(("BTC",) if venue == HL else ("BTC-USD", DYDX))).evaluate()
    again.list_market("ETH")
    assert firing(hold(again.at(31), dydx=-10.1), BTC)
