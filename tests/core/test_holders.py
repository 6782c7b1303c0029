"""Exposure by asset follows those who hold it; of the others it matters that they are known."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.types import asset_subject
from tests.core.desk import HL, Desk

RULE = """
- id: held
  for_each: asset
  when: gross_exposure_usd > 1000000.0 && net_exposure_usd > 1000000.0
  severity: warning
  do: {level: page}
  scope: portfolio
  summary: Much is held
"""
COINS = ("BTC", "ETH", "SOL")
BTC, SOL = asset_subject("BTC"), asset_subject("SOL")
GROSS, NET = "gross_exposure_usd", "net_exposure_usd"


def desk_of_two(rules: str = RULE) -> Desk:
    """main holds BTC, second holds SOL, everything at 100."""
    desk = Desk((HL, "main"), (HL, "second"), rules=rules)
    for coin in COINS:
        desk.list_market(coin).context(coin, mark_price=100.0, oracle_price=100.0)
    desk.positions(("BTC", 2)).positions(("SOL", -3), account="second")
    desk.evaluate()
    return desk


def computed_ns(desk: Desk, name: str) -> int:
    """When a reading was last computed."""
    return desk.engine.state.cells[name].computed_ns


def test_who_never_held_it_is_no_news() -> None:
    """SOL moves: second is valued anew and so is SOL; BTC is left alone."""
    desk = desk_of_two()
    desk.at(1).context("SOL", mark_price=110.0).evaluate()
    assert computed_ns(desk, f"_holdings|account:{HL}/second") == desk.now
    assert desk.value(GROSS, SOL) == 330.0
    assert computed_ns(desk, f"{GROSS}|{SOL}") == desk.now
    assert computed_ns(desk, f"{GROSS}|{BTC}") == desk.ns(0)


def test_but_it_must_be_known() -> None:
    """What second holds cannot be read: nobody knows what is held of BTC, at once; and again."""
    desk = desk_of_two()
    desk.at(1).positions(("SOL", "NaN"), account="second").evaluate()
    assert desk.value(GROSS, BTC) is None
    assert computed_ns(desk, f"{GROSS}|{BTC}") == desk.now
    desk.at(2).positions(("SOL", -3), account="second").evaluate()
    assert desk.value(GROSS, BTC) == 200.0


def test_a_first_position_joins() -> None:
    """From then on its account's valuations count."""
    desk = desk_of_two()
    desk.at(1).positions(("SOL", -3), ("BTC", -1), account="second").evaluate()
    assert (desk.value(GROSS, BTC), desk.value(NET, BTC)) == (300.0, 100.0)
    desk.at(2).context(mark_price=90.0).evaluate()
    assert (desk.value(GROSS, BTC), desk.value(NET, BTC)) == (270.0, 90.0)


def test_a_position_may_come_before_its_market() -> None:
    """Held before the venue listed what it is of, and before anybody knew the asset."""
    desk = Desk((HL, "main"), rules=RULE).positions(("ETH", 1)).context("ETH", mark_price=10.0)
    desk.evaluate()
    desk.at(1).list_market("ETH").evaluate()
    assert desk.value(GROSS, asset_subject("ETH")) == 10.0
    desk.at(2).context("ETH", mark_price=11.0).evaluate()
    assert desk.value(GROSS, asset_subject("ETH")) == 11.0


sizes = st.sampled_from(["0", "1", "-2", "0.5", "NaN"])
held = st.tuples(
    st.just("positions"),
    st.sampled_from(["main", "second"]),
    st.lists(st.tuples(st.sampled_from(COINS), sizes), max_size=3, unique_by=lambda one: one[0]),
)
marks = st.tuples(st.just("mark"), st.sampled_from(COINS), st.sampled_from([90.0, 100.0, 105.0]))
listed = st.tuples(st.just("list"), st.sampled_from(COINS), st.none())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(held, marks, listed), max_size=14))
def test_following_is_computing_anew(steps: list[tuple[str, str, object]]) -> None:
    """What is kept up to date for a rule is what somebody who asks out of nowhere is told."""
    desks = [Desk((HL, "main"), (HL, "second"), rules=rules) for rules in (RULE, "")]
    for second, (kind, name, rest) in enumerate(steps):
        for desk in desks:
            desk.at(second * 0.25)
            if kind == "positions":
                desk.positions(*rest, account=name)  # type: ignore[misc]  # drawn as such
            elif kind == "mark":
                desk.context(name, mark_price=rest, oracle_price=rest)  # type: ignore[arg-type]  # drawn as such
            else:
                desk.list_market(name)
            desk.evaluate()
        for coin in COINS:
            for measure in (GROSS, NET):
                followed, anew = (desk.value(measure, asset_subject(coin)) for desk in desks)
                assert followed == anew, (coin, measure)
