"""The two leverage caps, the book's volatility, and drawdowns that forget, over a small desk."""

from __future__ import annotations

from itertools import pairwise
from math import exp, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core import events as e
from monitor.core.engine import Engine, restore_snapshot
from monitor.core.formulas.drawdown import Flows
from monitor.core.formulas.rolling import Peaks, Window, follow_rolling
from monitor.core.settings import EngineSettings, LeverageSettings
from monitor.core.state.model import CapMemory
from monitor.core.state.series import HOUR_NS
from monitor.core.types import PORTFOLIO, Subject, TransferKind, asset_subject
from tests.core.desk import HL, HL_VENUE, MAIN, START_NS, Desk

BTC_ASSET, SOL_ASSET = asset_subject("BTC"), asset_subject("SOL")
DAY_S = 86_400.0
TARGET = 0.60
# Up and down by this every hour is a volatility of 60 % a year.
CALM = TARGET / sqrt(8760)
ACCOUNTS = ((HL, "main"),)
# Left within a quarter of an hour, a venue takes nothing off a cap.
QUICK = EngineSettings(accounts=ACCOUNTS, leverage=LeverageSettings(exit_minutes_default=15.0))


def closes(market: str, moves: tuple[float, ...], hours: int = 1700) -> e.PriceHistorySeen:
    """Hours that repeat these log returns, ending at the start at a price of 100."""
    price, prices = 100.0, [100.0]
    for index in range(hours):
        price /= exp(moves[-1 - index % len(moves)])
        prices.append(price)
    return e.PriceHistorySeen(
        venue=HL,
        channel=f"{HL}/rest.candles/{market}",
        market=market,
        closes=tuple(
            (START_NS - hour * HOUR_NS, one) for hour, one in reversed(list(enumerate(prices)))
        ),
    )


def warm(at: Desk, **moves: tuple[float, ...]) -> Desk:
    """Markets listed, half a year told, and prices for the first minutes."""
    for market, of in moves.items():
        at.list_market(market).tell(closes(market, of))
    for minute in range(5):
        for market in moves:
            at.at(minute * 60 + 1).context(market, mark_price=100.0 + minute * 1e-6)
    return at


def desk(settings_: EngineSettings | None = None, **moves: tuple[float, ...]) -> Desk:
    """One account at Hyperliquid, warm."""
    made = Desk(settings=settings_ or QUICK)
    return warm(made, **(moves or {"BTC": (CALM, -CALM), "ETH": (CALM, -CALM)}))


def hold(at: Desk, equity: float, **sizes: float) -> Desk:
    """What the account has, at a price of 100."""
    return at.money(equity).positions(*sizes.items())


def test_calm_long_book() -> None:
    """60 % a year, in the middle of its history: cap 1; all of it beta."""
    at = hold(desk(), 1000.0, BTC=10.6)
    assert at.after("volatility_slow", BTC_ASSET) == pytest.approx(TARGET, rel=1e-4)
    assert at.value("volatility_percentile", PORTFOLIO) == pytest.approx(0.5)
    assert at.value("beta_ratio", BTC_ASSET) == pytest.approx(1.0, rel=1e-3)
    assert at.value("leverage_cap_net", PORTFOLIO) == pytest.approx(1.0, rel=1e-3)
    assert at.value("leverage_net", PORTFOLIO) == pytest.approx(1.06, rel=1e-3)
    assert at.value("leverage_net_to_cap_ratio", PORTFOLIO) == pytest.approx(1.06, rel=2e-3)
    assert at.value("leverage_cap", PORTFOLIO) == pytest.approx(1.0, rel=2e-3)
    assert at.value("portfolio_volatility", PORTFOLIO) == pytest.approx(TARGET, rel=1e-3)


def test_the_terms_of_a_cap_are_said() -> None:
    """The number with what it is made of, and which of the two caps is nearer."""
    at = hold(desk(), 1000.0, BTC=10.6)
    at.load(
        """
- id: net
  for_each: portfolio
  when: leverage_net_to_cap_ratio > 9.0 || leverage_cap_net > 9.0 || leverage_to_cap_ratio > 1.0
  severity: warning
  do: {level: page}
  scope: portfolio
  summary: Leverage
"""
    )
    (transition,) = at.evaluate().transitions
    said = {one.measure: one.text for one in transition.inputs}
    assert said["leverage_cap_net"].startswith("1x: volatility slow 60 % (0.8 x fast ")
    assert said["leverage_cap_net"].endswith(
        " times 1 at percentile 50, less where leaving is slow"
    )
    assert said["leverage_to_cap_ratio"] == "106 % of the cap on net by volatility"


NET = "".join(
    f"""
- id: net_{kind}
  for_each: {kind}
  when: leverage_net_to_cap_ratio > 9.0
  severity: warning
  do: {{level: page}}
  scope: portfolio
  summary: Leverage
"""
    for kind in ("portfolio", "asset")
)


def steps(at: Desk, subject: str) -> str:
    """The arithmetic of net leverage against its cap, as explained."""
    at.evaluate()
    at.load(NET)
    assert at.after("leverage_net_to_cap_ratio", Subject(subject)) is not None
    seen = at.engine.explain(f"net_{subject.partition(':')[0]}", Subject(subject), at.now)
    assert seen is not None
    return "; ".join(seen.inputs[0].arithmetic)


@pytest.mark.parametrize("subject", [PORTFOLIO, BTC_ASSET])
def test_a_cap_is_worked_out_by_hand(subject: str) -> None:
    """Ratio, which volatility binds, target, base, its limits, the percentile's multiplier, and
    how fast a cap may rise."""
    said = steps(hold(desk(), 1000.0, BTC=10.6), subject)
    assert said.startswith("leverage_net 1.06 / cap 1 = 1.06; slow 0.6, 0.8 x fast = ")
    assert "slow binds; base 0.6 / 0.6 = 1, within 0.5 to 3: 1; " in said
    assert said.endswith(
        "cap 1 x 1 at percentile 0.5 x 1 by exit time = 1; falls at once, rises at most 10 % a day"
    )


@pytest.mark.parametrize("subject", [PORTFOLIO, BTC_ASSET])
def test_the_fast_volatility_is_named_where_it_binds(subject: str) -> None:
    """A quarter of an hour of one percent a minute: the floor of the base is told as one."""
    at = hold(desk(), 1000.0, BTC=1.0)
    for minute in range(5, 20):
        for market in ("BTC", "ETH"):
            at.at(minute * 60 + 1).context(market, mark_price=100.0 * exp(0.01 * (minute % 2)))
        at.evaluate()
    hold(at, 1000.0, BTC=1.0)
    said = steps(at, subject)
    fast = at.value("leverage_cap_net", Subject(subject))
    assert fast == pytest.approx(0.5, abs=0.01)
    assert "0.8 x fast binds; base 0.6 / " in said
    assert "within 0.5 to 3: 0.5; cap 0.5 x 1 at percentile 0.5 x 1 by exit time = 0.5" in said
    assert "held" not in said
    at.engine.state.caps[f"leverage_cap_net|{subject}"] = CapMemory(0.4, at.now)
    at.at(1202.0)
    for market in ("BTC", "ETH"):
        at.context(market, mark_price=100.0)
    said = steps(hold(at, 1000.0, BTC=1.0), subject)
    assert said.endswith("rises at most 10 % a day; held at 0.4 until then")


def test_neutral_book_is_not_cut_by_volatility() -> None:
    """Long one, short the other of two that move together: no net, and gross binds."""
    at = hold(desk(), 1000.0, BTC=10.0, ETH=-10.0)
    assert at.after("leverage_net", PORTFOLIO) == pytest.approx(0.0, abs=1e-3)
    assert at.value("portfolio_volatility", PORTFOLIO) == pytest.approx(0.0, abs=1e-3)
    assert at.value("portfolio_volatility_stressed", PORTFOLIO) == pytest.approx(
        TARGET * sqrt(0.5), rel=1e-3
    )
    assert at.value("leverage_cap", PORTFOLIO) == pytest.approx(4.0, rel=1e-3)
    assert at.value("leverage_to_cap_ratio", PORTFOLIO) == pytest.approx(2.0 / 4.0, rel=1e-3)


def test_a_wilder_asset_has_more_beta_and_a_smaller_cap() -> None:
    """Three times the moves of the others: three times their cap's share of it."""
    wild = 2.0 * CALM
    at = hold(desk(BTC=(CALM, -CALM), ETH=(CALM, -CALM), SOL=(wild, -wild)), 1000.0, SOL=5.0)
    basket = 4.0 / 3.0 * TARGET
    assert at.after("basket_volatility", PORTFOLIO) == pytest.approx(basket, rel=1e-3)
    assert at.value("beta_ratio", SOL_ASSET) == pytest.approx(2.0 * TARGET / basket, rel=1e-3)
    assert at.value("leverage_net", PORTFOLIO) == pytest.approx(0.75, rel=1e-3)
    assert at.value("leverage_net", SOL_ASSET) == pytest.approx(0.5, rel=1e-3)
    assert at.value("leverage_cap_net", SOL_ASSET) == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("minutes", "cap"),
    [
        pytest.param(15.0, 6.5, id="fast exit"),
        pytest.param(226.0, 4.875, id="the default"),
        pytest.param(1440.0, 3.25, id="a day"),
        pytest.param(10_080.0, 1.625, id="a week of dispute"),
    ],
)
def test_gross_cap_by_exit_time(minutes: float, cap: float) -> None:
    """The venue's own worst exit time decides, from the first minute on and without any history."""
    leverage = LeverageSettings(exit_minutes=((HL, minutes),))
    at = Desk(settings=EngineSettings(accounts=ACCOUNTS, leverage=leverage))
    at.list_market().context(mark_price=100.0)
    hold(at, 1000.0, BTC=10.0)
    assert at.after("leverage_cap_gross", MAIN) == pytest.approx(cap)
    assert at.value("leverage_gross_to_cap_ratio", MAIN) == pytest.approx(1.0 / cap)
    assert at.value("leverage_cap_gross", HL_VENUE) == pytest.approx(cap * 5.5 / 6.5)
    assert at.value("leverage_worst_account_ratio", HL_VENUE) == pytest.approx(1.0 / cap)
    assert at.value("leverage_cap_gross", PORTFOLIO) == pytest.approx(cap * 4.0 / 6.5)
    assert at.value("leverage_net_to_cap_ratio", PORTFOLIO) is None


@pytest.mark.parametrize("equity", [0.0, -100.0], ids=["gone", "negative"])
def test_equity_gone_is_a_breach(equity: float) -> None:
    """Both ratios are far above their caps, neither is absent."""
    at = hold(desk(), equity, BTC=1.0)
    for name in ("leverage_net_to_cap_ratio", "leverage_gross_to_cap_ratio"):
        found = at.after(name, PORTFOLIO)
        assert found is not None
        assert found > 100.0


def test_what_is_not_known_is_absent_and_says_so() -> None:
    """A position in an asset without history: its net cannot be judged; gross still is."""
    at = hold(desk(), 1000.0, BTC=5.0)
    at.list_market("NEW").context("NEW", mark_price=100.0)
    hold(at, 1000.0, BTC=5.0, NEW=40.0)
    assert at.after("leverage_net", PORTFOLIO) is None
    assert "0 of 24 hours of NEW known" in at.why("beta_net_usd", PORTFOLIO)
    found = at.value("leverage_gross_to_cap_ratio", PORTFOLIO)
    assert found is not None
    assert found > 1.05


def test_caps_fall_at_once_and_rise_slowly() -> None:
    """A shock halves the cap within minutes; after it, a tenth a day, over a restart too."""
    settings_ = EngineSettings(
        accounts=ACCOUNTS, leverage=LeverageSettings(exit_minutes=((HL, 15.0),))
    )
    at = hold(desk(settings_), 1000.0, BTC=1.0)
    before = at.after("leverage_cap_net", PORTFOLIO)
    assert before == pytest.approx(1.0, rel=1e-3)
    for minute in range(5, 20):
        for market in ("BTC", "ETH"):
            at.at(minute * 60 + 1).context(market, mark_price=100.0 * exp(0.01 * (minute % 2)))
        hold(at, 1000.0, BTC=1.0).evaluate()
    low = at.value("leverage_cap_net", PORTFOLIO)
    assert low is not None
    assert low < 0.6
    kept = at.engine.memories()
    again = Engine(settings_)
    again.restore((), kept, stopped_ns=at.now)
    after = Desk(engine=again)
    for market in ("BTC", "ETH"):
        after.list_market(market)
    for minute in range(30, 26 * 60, 2):
        for market in ("BTC", "ETH"):
            after.at(minute * 60 + 1).context(market, mark_price=100.0 + minute % 3 * 1e-4)
        hold(after, 1000.0, BTC=1.0)
        after.evaluate()
    risen = after.value("leverage_cap_net", PORTFOLIO)
    assert risen == pytest.approx(low * 1.1 ** ((26 * 60 - 32) / 1440), rel=0.01)


def test_snapshot_round_trip() -> None:
    """Caps, peaks and prices go on as if nothing had happened."""
    at = hold(desk(), 1000.0, BTC=10.6)
    at.evaluate()
    other = Desk(engine=restore_snapshot(at.engine.snapshot()))
    for one in (at, other):
        one.at(600.0).context(mark_price=99.0)
        hold(one, 950.0, BTC=10.6).evaluate()
    assert at.engine.snapshot() == other.engine.snapshot()


# --------------------------------------------------------------------------------- drawdowns


def book(at: Desk, seconds: float, equity: float) -> float | None:
    """State equity at a time, and read the fall from the day's highest."""
    at.at(seconds).context(mark_price=100.0)
    hold(at, equity, BTC=1.0)
    return at.after("drawdown_24h_ratio", PORTFOLIO)


def small() -> Desk:
    """A desk with one account and one market."""
    return Desk(settings=EngineSettings(accounts=ACCOUNTS)).list_market()


def test_a_window_forgets_its_peak() -> None:
    """A fall of 10 % is one for a day; then the next highest counts. The running peak stays."""
    at = small()
    assert book(at, 0.0, 1000.0) == 0.0
    assert book(at, 3600.0, 900.0) == pytest.approx(0.1)
    assert book(at, DAY_S - 60.0, 900.0) == pytest.approx(0.1)
    assert book(at, DAY_S + 1200.0, 891.0) == pytest.approx(0.01)
    assert at.value("drawdown_7d_ratio", PORTFOLIO) == pytest.approx(0.109)
    assert at.value("drawdown_1h_ratio", PORTFOLIO) == pytest.approx(0.01)
    assert at.value("drawdown_ratio", PORTFOLIO) == pytest.approx(0.109)


def test_a_withdrawal_is_no_fall_in_any_window() -> None:
    """Half of the money leaves and is told: nothing was lost."""
    at = small()
    book(at, 0.0, 1000.0)
    at.at(60.0).tell(
        e.TransfersReported(
            venue=HL,
            channel=f"{HL}/transfers/main",
            account="main",
            history=False,
            transfers=(
                e.TransferReport(
                    transfer_id="1",
                    amount_usd=-500,  # type: ignore[arg-type]  # a whole number is exact too
                    time_ns=at.now,
                    kind=TransferKind.OTHER,
                ),
            ),
        )
    )
    assert book(at, 61.0, 500.0) == pytest.approx(0.0, abs=1e-9)
    assert book(at, 600.0, 450.0) == pytest.approx(0.1)


def test_a_restart_keeps_the_peaks() -> None:
    """The highest equity of the day is known to the next process."""
    at = small()
    book(at, 0.0, 1000.0)
    book(at, 3600.0, 950.0)
    again = Engine(EngineSettings(accounts=ACCOUNTS))
    again.restore((), at.engine.memories(), stopped_ns=at.now)
    after = Desk(engine=again).list_market()
    assert book(after, 3700.0, 900.0) == pytest.approx(0.1)


def test_a_person_lets_all_windows_begin_anew() -> None:
    """After a cut: today's equity is the peak of every window, for the next process, too."""
    at = small()
    book(at, 0.0, 1000.0)
    assert book(at, 1200.0, 800.0) == pytest.approx(0.2)
    at.engine.memories()
    at.at(1300.0).tell(
        e.OperatorCommanded(
            principal="ops", verb="rebaseline", arguments=(("subject", "portfolio"),), reason="cut"
        )
    )
    assert book(at, 1301.0, 800.0) == 0.0
    assert at.value("drawdown_30d_ratio", PORTFOLIO) == 0.0
    again = Engine(EngineSettings(accounts=ACCOUNTS))
    again.restore((), at.engine.memories(), stopped_ns=at.now)
    assert book(Desk(engine=again).list_market(), 1400.0, 720.0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("level", "slots", "levels"),
    [
        pytest.param(9.0, [1, 2, 3], [9.0, 7.0, 5.0], id="as it was"),
        pytest.param(9.0 * (1 + 1e-12), [1, 2, 3], [9.0, 7.0, 5.0], id="but for rounding"),
        pytest.param(11.0, [3], [11.0], id="reached since"),
        pytest.param(7.0, [2, 3], [7.0, 5.0], id="a higher one forgotten since"),
        pytest.param(3.0, [3], [3.0], id="begun anew since"),
    ],
)
def test_packed_peaks_follow_the_newer_peak(
    level: float, slots: list[int], levels: list[float]
) -> None:
    """Peaks are packed now and then, the highest of them at every step."""
    peaks = Peaks([1, 2, 3], [9.0, 7.0, 5.0])
    peaks.lead_with(level)
    assert (peaks.slots, peaks.levels) == (slots, levels)


WINDOW = Window(length_ns=100, slot_ns=1)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.floats(0.5, 2.0), st.floats(-0.5, 2.0)),
        min_size=1,
        max_size=60,
    )
)
def test_rolling_drawdown_is_the_batch(steps: list[tuple[int, float, float]]) -> None:
    """With any flows told as they show, the fall is that from the highest the window's gains alone
    would have reached."""
    memory, now, flowed, shown, level = None, 0, 0.0, 100.0, 1.0
    levels: list[tuple[int, float]] = []
    for wait, gain, flow in steps:
        now += wait
        for growth, share in ((gain, 0.0), (1.0, flow)):
            moved = shown * share
            level, shown, flowed = level * growth, shown * growth + moved, flowed + moved
            memory, found = follow_rolling(
                memory, shown, Flows(flowed), exposed=True, now=now, settling_ns=0, window=WINDOW
            )
            levels.append((now, level))
            peak = max(one for at, one in levels if at >= now - 100)
            assert found == pytest.approx(1.0 - level / peak, abs=1e-6)
    kept = memory.peaks if memory is not None else None
    assert kept is not None
    assert all(a < b for a, b in pairwise(kept.slots))
    assert all(a > b for a, b in pairwise(kept.levels))
