"""A trade in mind: each check at both sides of its limit, the arithmetic, and unknown as no go."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import settings as property_settings
from hypothesis import strategies as st

from monitor.core import events as e
from monitor.core.killswitch.levels import Level
from monitor.core.measures.trade_case import Answer, Asked, Check, rank
from monitor.core.measures.trade_check import worst
from monitor.core.settings import CarrySettings, EngineSettings, LeverageSettings, TradeSettings
from monitor.core.types import Subject, account_subject, asset_subject, market_subject
from tests.core.desk import DYDX, HL, MAIN, Desk
from tests.core.test_leverage_caps import CALM, warm

BTC = market_subject(HL, "BTC")
GO, LOOK, NO = Answer.GO, Answer.LOOK, Answer.NO
RULE = """
- id: full
  summary: full
  for_each: account
  when: gross_exposure_usd > 1.0
  severity: high
  do: {level: block_new}
  scope: account
- id: told
  summary: told
  for_each: account
  when: gross_exposure_usd > 1.0
  severity: high
"""


def desk(
    held: float = 0.0,
    *,
    equity: float = 1e6,
    rate: float = 0.0,
    elsewhere: float = 0.0,
    drift: float | None = None,
    depth: float | None = 1e6,
) -> Desk:
    """BTC at 100 and 60 % volatility on Hyperliquid, a twin on dYdX; costs are nothing."""
    settings = EngineSettings(
        accounts=((HL, "main"), (DYDX, "main")),
        carry=CarrySettings(persistence_hourly=1.0, baselines_hourly=(), baseline_hourly=0.0),
        trades=TradeSettings(
            fee_ratio=0.0,
            slippage_ratio=0.0,
            drifts=() if drift is None else (("BTC", drift),),
        ),
        leverage=LeverageSettings(basket=("BTC", "ETH"), exit_minutes_default=15.0),
    )
    made = warm(Desk(settings=settings), BTC=(CALM, -CALM), ETH=(CALM, -CALM))
    made.list_market("BTC-USD", DYDX)
    made.context("BTC-USD", DYDX, oracle_price=100.0)
    made.context("BTC", mark_price=100.0, oracle_price=100.0, predicted_funding_rate_hourly=rate)
    made.positions(("BTC", held)).money(equity / 2)
    made.positions(("BTC-USD", elsewhere), venue=DYDX)
    made.money(cash=equity / 2 - elsewhere * 100.0, venue=DYDX, time_s=0)
    if depth is not None:
        made.tell(
            e.DepthSeen(
                venue=HL,
                channel=f"{HL}/depth/BTC",
                market="BTC",
                band_ratio=0.0025,
                bid_depth_usd=depth,
                ask_depth_usd=depth,
            )
        )
    made.evaluate()
    return made


@cache
def kept(terms: tuple[tuple[str, float], ...]) -> Desk:
    """The same desk for all who only look: looking changes nothing."""
    return desk(**dict(terms))


def ask(made: Desk, side: int, size: float, stop: float | None = None) -> dict[str, Check]:
    """What is said of it, by name."""
    found = made.engine.check_trade(MAIN, BTC, Asked(float(side), size, stop), made.now)
    assert found is not None
    return {one.name: one for one in found}


def test_a_trade_within_all_limits_is_a_go() -> None:
    """Each check with its arithmetic; and looking changes nothing."""
    made = desk()
    before = made.engine.snapshot()
    checks = ask(made, 1, 833.0, 96.0)
    assert worst(tuple(checks.values())) is GO, checks
    assert checks["loss"].text.startswith("4,998 of 5,000 USD: 83,300 x (4 % x 1.5")
    assert checks["loss"].text.endswith("at most 833.333 fits")
    assert checks["size"].text.startswith("net 0.0833x equity, volatility binds at 1x")
    assert "account gross 0x to 0.167x of 6.5x" in checks["leverage"].text
    assert "book gross 0x to 0.0833x of 4x" in checks["leverage"].text
    assert checks["depth"].text == "1,000,000 USD within 25 bp, 12 times the trade"
    assert checks["crash gap"].text == "takes 0 % of equity before, 1.25 % after"
    assert made.engine.snapshot() == before


@pytest.mark.parametrize(
    ("terms", "trade", "name", "answer"),
    [
        pytest.param({}, (1, 833.0, 96.0), "loss", GO, id="loses what one may"),
        pytest.param({}, (1, 834.0, 96.0), "loss", NO, id="loses more"),
        pytest.param({}, (-1, 833.0, 104.0), "loss", GO, id="a sale, its stop above"),
        pytest.param({}, (1, 10.0, None), "loss", NO, id="no stop"),
        pytest.param({}, (1, 10.0, 104.0), "loss", NO, id="a stop on the winning side"),
        pytest.param({"elsewhere": 500.0}, (-1, 500.0, None), "loss", GO, id="a hedge needs none"),
        pytest.param({"elsewhere": 500.0}, (-1, 501.0, None), "loss", NO, id="its rest does"),
        pytest.param(
            {"held": 500.0, "elsewhere": -500.0}, (-1, 500.0, None), "loss", NO, id="unhedges"
        ),
        pytest.param({"held": 500.0}, (-1, 500.0, None), "loss", GO, id="closes"),
        pytest.param({}, (1, 9_990.0, 99.0), "size", GO, id="below the cap"),
        pytest.param({}, (1, 10_400.0, 99.0), "size", LOOK, id="above the cap"),
        pytest.param({}, (1, 10_600.0, 99.0), "size", NO, id="far above the cap"),
        pytest.param({"drift": 0.36}, (1, 2_450.0, 99.0), "size", GO, id="below Kelly"),
        pytest.param({"drift": 0.36}, (1, 2_700.0, 99.0), "size", NO, id="above Kelly"),
        pytest.param({"drift": -0.36}, (1, 1.0, 99.0), "size", NO, id="against the view"),
        pytest.param({"drift": -0.36}, (-1, 2_450.0, 101.0), "size", GO, id="a view of a fall"),
        pytest.param(
            {"rate": 0.299 / 8760}, (1, 1.0, 99.0), "funding", GO, id="funding below 30 %"
        ),
        pytest.param({"rate": 0.301 / 8760}, (1, 1.0, 99.0), "funding", LOOK, id="30 % and more"),
        pytest.param({"rate": 0.301 / 8760}, (-1, 1.0, 101.0), "funding", GO, id="received"),
        pytest.param({}, (1, 32_400.0, 99.0), "leverage", GO, id="account below its cap"),
        pytest.param({}, (1, 33_000.0, 99.0), "leverage", LOOK, id="account above its cap"),
        pytest.param({}, (1, 34_200.0, 99.0), "leverage", NO, id="account far above its cap"),
        pytest.param(
            {"held": 35_000.0}, (-1, 100.0, None), "leverage", GO, id="what shrinks is not refused"
        ),
        pytest.param({}, (1, 199_000.0, 99.0), "margin", GO, id="margin that is free"),
        pytest.param({}, (1, 201_000.0, 99.0), "margin", NO, id="margin that is not"),
        pytest.param({}, (1, 40_000.0, 99.0), "liquidation", GO, id="liquidation far enough"),
        pytest.param({}, (1, 50_000.0, 99.0), "liquidation", LOOK, id="liquidation within 10 %"),
        pytest.param({}, (1, 75_000.0, 99.0), "liquidation", NO, id="liquidation within 6 %"),
        pytest.param({}, (1, 2_000.0, 99.0), "depth", GO, id="a fifth of the depth"),
        pytest.param({}, (1, 2_001.0, 99.0), "depth", LOOK, id="more than a fifth"),
        pytest.param({}, (1, 7_999.0, 99.0), "crash gap", GO, id="12 % of equity"),
        pytest.param({}, (1, 8_001.0, 99.0), "crash gap", LOOK, id="more than 12 %"),
        pytest.param({}, (1, 1.0, 99.0), "hedge", GO, id="no leg of a hedge"),
        pytest.param(
            {"elsewhere": 5.0}, (-1, 1.0, None), "hedge", LOOK, id="a hedge, stress not known"
        ),
    ],
)
def test_both_sides_of_each_limit(
    terms: dict[str, float], trade: tuple[int, float, float | None], name: str, answer: Answer
) -> None:
    """By the thresholds of the rules of the same names."""
    found = ask(kept(tuple(sorted(terms.items()))), *trade)[name]
    assert found.answer is answer, found


def test_the_nearest_liquidation_may_be_another_markets() -> None:
    """What is held stays in view: before the trade it is what the account's own measures say."""
    made = desk(-20_000.0)
    made.positions(("BTC", -20_000.0), ("ETH", 30_000.0))
    made.evaluate()
    before = min(
        made.value("liquidation_distance_ratio", MAIN) or 0.0,
        made.value("liquidation_uniform_move_ratio", MAIN) or 0.0,
    )
    text = ask(made, 1, 1.0, 99.0)["liquidation"].text
    assert text.startswith(f"nearest {before * 100:.3g} % before")
    assert ask(desk(), 1, 1.0, 99.0)["liquidation"].text == (
        "nearest out of reach before, out of reach after"
    )


def test_what_is_not_known_is_no_go() -> None:
    """Depth that nobody told, funding too old, an account that is dark."""
    assert ask(desk(depth=None), 1, 1.0, 99.0)["depth"].answer is LOOK
    made = desk()
    made.now += 3 * 3600 * 10**9
    made.context("BTC", mark_price=100.0)
    (only,) = ask(made, 1, 1.0, 99.0).values()
    assert (only.name, only.answer) == ("book", LOOK)
    assert only.text.startswith("unknown: ")
    nobody = account_subject(HL, "nobody")
    assert made.engine.check_trade(nobody, BTC, Asked(1.0, 1.0, None)) is None


def test_a_rule_that_allows_nothing_new_refuses_what_adds() -> None:
    """It lets go what makes a position smaller."""
    made = desk(500.0).load(RULE)
    made.evaluate()
    assert ask(made, 1, 1.0, 99.0)["rules"] == Check(
        "rules", NO, "nothing new while these fire: full"
    )
    assert ask(made, -1, 1.0)["rules"].answer is GO


@property_settings(max_examples=40, deadline=None)
@given(small=st.floats(1.0, 3e5), more=st.floats(1.0, 10.0))
def test_a_larger_trade_is_never_answered_milder(small: float, more: float) -> None:
    """Check by check."""
    first, second = (ask(kept(()), 1, size, 98.0) for size in (small, small * more))
    assert all(rank(second[name].answer) >= rank(one.answer) for name, one in first.items())


@pytest.mark.parametrize(
    ("scope", "level", "trade", "answer"),
    [
        pytest.param(MAIN, Level.CAUTION, (1, 1.0), GO, id="caution takes nothing away"),
        pytest.param(MAIN, Level.REDUCE_ONLY, (1, 1.0), NO, id="adds"),
        pytest.param(MAIN, Level.CUT, (-1, 500.0), GO, id="closes"),
        pytest.param(MAIN, Level.CUT, (-1, 501.0), NO, id="ends on the other side"),
        pytest.param(BTC, Level.REDUCE_ONLY, (1, 1.0), NO, id="the market"),
        pytest.param(asset_subject("BTC"), Level.REDUCE_ONLY, (1, 1.0), NO, id="the asset"),
        pytest.param(MAIN, Level.HALT, (-1, 500.0), NO, id="halted: not even that"),
    ],
)
def test_what_is_latched_is_asked(
    scope: Subject, level: Level, trade: tuple[int, float], answer: Answer
) -> None:
    """Of the account, the market and the asset; riskd would cancel the order."""
    made = kept((("held", 500.0),))
    found = made.engine.check_trade(
        MAIN,
        BTC,
        Asked(float(trade[0]), trade[1], None),
        made.now,
        levels_of=lambda one: (level if one == scope else Level.NORMAL,) * 2,
    )
    assert found is not None
    assert {one.name: one.answer for one in found}["kill switch"] is answer


FREEZE = """
- id: frozen
  summary: frozen
  for_each: portfolio
  when: equity_usd > 1.0
  severity: warning
  do: {level: hold, because: risk}
  scope: portfolio
"""


@pytest.mark.parametrize(
    ("trade", "answer"),
    [
        pytest.param((1, 1.0), NO, id="it adds"),
        pytest.param((-1, 1.0), LOOK, id="it hedges what another account holds"),
        pytest.param((-1, 300.0), LOOK, id="all of it"),
        pytest.param((-1, 301.0), NO, id="more than that is a new short"),
    ],
)
def test_what_is_frozen_may_be_hedged(trade: tuple[int, float], answer: Answer) -> None:
    """By the rule that fires, and by the hold that it has placed; of a latch nothing is said."""
    made = desk(elsewhere=300.0).load(FREEZE)
    made.evaluate()
    asked = Asked(float(trade[0]), trade[1], None)
    for hedging, said in ((Level.NORMAL, answer), (Level.REDUCE_ONLY, NO)):
        found = made.engine.check_trade(
            MAIN,
            BTC,
            asked,
            made.now,
            levels_of=lambda _, hedging=hedging: (Level.REDUCE_ONLY, hedging),  # type: ignore[misc]
        )
        assert found is not None
        told = {one.name: one.answer for one in found}
        assert (told["rules"], told["kill switch"]) == (answer, said)


def test_a_flip_is_new_risk_while_a_rule_blocks() -> None:
    """A smaller position on the other side was not there before."""
    made = desk(held=500.0).load(RULE)
    made.evaluate()
    assert ask(made, -1, 500.0)["rules"].answer is GO
    assert ask(made, -1, 501.0)["rules"].answer is NO


@pytest.mark.parametrize(
    ("oracle", "held", "side", "answer"),
    [
        pytest.param(101.0, 0.0, 1, GO, id="at the limit"),
        pytest.param(101.1, 0.0, 1, NO, id="beyond it nothing new"),
        pytest.param(98.9, 0.0, 1, NO, id="below them neither"),
        pytest.param(101.1, 10.0, -1, LOOK, id="what reduces goes, and not at the market"),
    ],
)
def test_an_oracle_that_others_contradict(
    oracle: float, held: float, side: int, answer: Answer
) -> None:
    """As the rule, without its minute."""
    made = desk(held)
    for _ in range(2):
        made.top(99.99, 100.01).top(99.99, 100.01, "BTC-USD", DYDX)
        made.context("BTC", mark_price=100.0, oracle_price=oracle)
    made.evaluate()
    check = ask(made, side, 1.0, 99.0)["oracle"]
    assert check.answer is answer
    assert check.text.startswith(f"{oracle - 100.0:+.3g} % from the median of others, ")
    assert check.text.endswith(": no market order") is (answer is not GO)


def test_where_nobody_else_is_watched_an_oracle_is_not_compared() -> None:
    """A choice is no doubt; a source that fell silent is one."""
    made = desk()
    alone = ask(made, 1, 1.0, 99.0)["oracle"]
    assert alone == Check("oracle", GO, "not compared: 1 source beside the oracle, 3 are needed")
    made.top(99.99, 100.01).top(99.99, 100.01, "BTC-USD", DYDX)
    made.now += 30 * 1_000_000_000
    made.context("BTC", mark_price=100.0, oracle_price=100.0).evaluate()
    assert ask(made, 1, 1.0, 99.0)["oracle"].answer is LOOK
