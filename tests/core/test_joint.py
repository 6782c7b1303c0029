"""The chance that two accounts go within a day: by what they hold, and by who is known."""

from __future__ import annotations

import re

import pytest

from monitor.core.engine import restore_snapshot
from monitor.core.formulas.copula import compute_joint_student
from monitor.core.settings import EngineSettings, LeverageSettings
from monitor.core.types import account_subject
from tests.core.desk import HL, PORTFOLIO, Desk
from tests.core.test_hedge_break import APART
from tests.core.test_leverage_caps import closes
from tests.core.test_shocks import THREE

JOINT, CHANCE = "accounts_joint_liquidation_24h_ratio", "liquidation_probability_24h_ratio"
NAMES = ("main", "second", "third")
# 10 % away by a fall: a chance of a little above one percent, jumps included, though these calm
# pasts held none.
NEAR = 127.0
Book = tuple[tuple[str, float], ...]
LONG: Book = (("BTC", 10.0),)
SHORT: Book = (("BTC", -10.0),)
OTHER: Book = (("ETH", 10.0),)


def desk(*books: Book, equity: float = NEAR, tell: int = 3) -> Desk:
    """An account for each book; ``tell`` of them are ever heard of."""
    names = NAMES[: len(books)]
    made = Desk(
        settings=EngineSettings(
            accounts=tuple((HL, name) for name in names),
            leverage=LeverageSettings(basket=("BTC", "ETH", "SOL", "XRP")),
        )
    )
    for market, of in APART.items():
        made.list_market(market, tiers=THREE).tell(closes(market, of))
    for minute in range(5):
        for market in APART:
            made.at(minute * 60 + 1).context(market, mark_price=100.0 + minute * 1e-6)
    for name, book in list(zip(names, books, strict=True))[:tell]:
        made.positions(*book, account=name).money(equity, account=name)
    made.evaluate()
    return made


def chance(made: Desk, name: str) -> float:
    """Of one account alone."""
    return made.value(CHANCE, account_subject(HL, name)) or 0.0


def test_two_longs_of_one_asset_are_one_risk() -> None:
    """As likely as either, and the page would name them."""
    made = desk(LONG, LONG)
    alone = chance(made, "main")
    assert 0.008 < alone < 0.02
    assert made.value(JOINT, PORTFOLIO) == pytest.approx(alone, rel=1e-6)
    text = said(made)
    assert text.startswith("hyperliquid/main and hyperliquid/second 1")
    assert text.endswith("correlation 1.00")


def test_of_more_accounts_the_page_says_the_chance_of_all_before_the_likeliest_pair() -> None:
    """A rule judges the first; the pair alone may be below its limit."""
    text = said(desk(LONG, LONG, OTHER))
    assert re.match(
        r"1\.\d % of 3 accounts; likeliest hyperliquid/main and hyperliquid/second 1\.\d %, ", text
    )


def test_a_restored_engine_says_the_same() -> None:
    """What is told beside a value is kept with it; whoever only looks changes none of it."""
    made = desk(LONG, LONG)
    text = said(made)
    again = restore_snapshot(made.engine.snapshot())
    for engine in (made.engine, again):
        explained = engine.explain("two", PORTFOLIO, made.now + 10**9)
        assert explained is not None
        assert [one.reading.text for one in explained.inputs] == [text]
    assert again.snapshot() == made.engine.snapshot()


def test_who_only_looks_changes_no_words() -> None:
    """Else what a person reads would decide what the next page says."""
    made = desk(LONG, LONG)
    assert made.engine.reading(JOINT, PORTFOLIO, made.now) is not None
    assert made.engine.state.words == {}


def said(made: Desk) -> str:
    """What a page says of the chance."""
    rule = f"{{id: two, summary: Two, for_each: portfolio, when: {JOINT} > 0.005, severity: info}}"
    made.load(f"- {rule}\n")
    (told,) = made.at(242).evaluate().transitions
    (text,) = [one.text for one in told.inputs if one.measure == JOINT]
    return text


def test_legs_of_a_hedge_hardly_ever_go_together() -> None:
    """What takes the one pays the other."""
    found = desk(LONG, SHORT).value(JOINT, PORTFOLIO)
    assert found is not None
    assert found < 1e-6


def test_uncorrelated_assets_still_have_their_extremes_in_common() -> None:
    """Far above the product, far below either: the Student-t copula at 0."""
    made = desk(LONG, OTHER)
    one, other = chance(made, "main"), chance(made, "second")
    found = made.value(JOINT, PORTFOLIO)
    assert found == pytest.approx(compute_joint_student(one, other, 0.0), rel=0.05)
    assert one * other * 3 < (found or 0.0) < min(one, other) / 3


def test_a_third_of_the_same_kind_adds_nothing_and_another_a_little() -> None:
    """Never less than the likeliest pair."""
    alone = chance(desk(LONG, LONG), "main")
    same = desk(LONG, LONG, LONG).value(JOINT, PORTFOLIO)
    assert same == pytest.approx(alone, rel=0.1)
    other = desk(LONG, LONG, OTHER).value(JOINT, PORTFOLIO)
    assert alone * 0.999 <= (other or 0.0) < alone * 1.3


def test_one_account_is_never_two() -> None:
    """And safe ones are none."""
    assert desk(LONG).value(JOINT, PORTFOLIO) == 0.0
    assert desk(LONG, LONG, equity=900.0).value(JOINT, PORTFOLIO) == 0.0


def test_a_dark_account_makes_a_low_chance_unknown_and_leaves_a_high_one() -> None:
    """Removing data never makes it look better."""
    assert desk(LONG, LONG, LONG, tell=2).value(JOINT, PORTFOLIO) is not None
    quiet = desk(LONG, SHORT, LONG, tell=2)
    assert quiet.value(JOINT, PORTFOLIO) is None
    assert "third" in quiet.why(JOINT, PORTFOLIO)


@pytest.mark.parametrize("equity", [30.0, 0.0], ids=["at maintenance", "gone"])
def test_accounts_at_their_end_are_certain(equity: float) -> None:
    """Both."""
    assert desk(LONG, LONG, equity=equity).value(JOINT, PORTFOLIO) == 1.0


def test_without_history_it_is_unknown() -> None:
    """No chance, no joint chance."""
    made = Desk((HL, "main"), (HL, "second")).list_market(tiers=THREE)
    made.context(mark_price=100.0, oracle_price=100.0)
    for name in ("main", "second"):
        made.positions(*LONG, account=name).money(NEAR, account=name)
    assert made.after(JOINT, PORTFOLIO) is None
    assert "volatility" in made.why(JOINT, PORTFOLIO)
