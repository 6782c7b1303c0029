"""Three signs of an asset held: sampled as hours begin, worse three hours running, two of three."""

from __future__ import annotations

import pytest

from monitor.core import events as e
from monitor.core.formulas.volatility import HOURS_PER_YEAR, Ewma, bin_of
from monitor.core.settings import EngineSettings
from monitor.core.state.facts import Lack
from monitor.core.state.series import HOUR_NS, HourSeries, PriceSeries
from monitor.core.types import PORTFOLIO, asset_subject
from tests.core.desk import DYDX, HL, Desk
from tests.core.stress_desk import settlement

BTC = asset_subject("BTC")
OF_ASSET, ASSETS, DEPTH = "signals_worse_count", "assets_worse_count", "asset_depth_usd"
BOTH = ((HL, "main"), (DYDX, "main"))


def desk_of(size: float = 1.0, *, accounts: tuple[tuple[str, str], ...] = BOTH) -> Desk:
    """At the beginning of an hour; BTC on the venues of these accounts."""
    desk = Desk(settings=EngineSettings(accounts=accounts))
    desk.now += -desk.now % HOUR_NS
    desk.list_market("BTC")
    if len(accounts) > 1:
        desk.list_market("BTC-USD", DYDX)
    return say(desk, size, 0.0, 1e6, accounts=accounts)


def say(
    desk: Desk,
    size: float,
    spread: float,
    depth: float | None,
    *,
    accounts: tuple[tuple[str, str], ...] = BOTH,
) -> Desk:
    """What is held, and the signs now: a rate that one venue has above the other, and depth."""
    desk.context("BTC", mark_price=100.0, oracle_price=100.0)
    desk.positions(("BTC", size)).money(1e6)
    hour = desk.now // HOUR_NS
    desk.tell(settlement("BTC", 1e-5 + spread, hour))
    if len(accounts) > 1:
        desk.context("BTC-USD", DYDX, oracle_price=100.0)
        desk.positions(venue=DYDX).money(cash=1e6, venue=DYDX)
        desk.tell(settlement("BTC-USD", 1e-5, hour, DYDX))
    if depth is not None:
        desk.tell(
            e.DepthSeen(
                venue=HL, channel=f"{HL}/depth/BTC", market="BTC", band_ratio=0.0025,
                bid_depth_usd=depth, ask_depth_usd=2 * depth,
            )
        )  # fmt: skip
    desk.evaluate()
    desk.now += 6 * 10**9
    desk.evaluate()
    desk.now -= 6 * 10**9
    return desk


def play(
    spreads: list[float], depths: list[float | None], *, volatility: list[int] | None = None
) -> Desk:
    """Hour by hour; ``volatility`` in percent a year."""
    desk = desk_of()
    desk.engine.state.structure.signals.clear()
    for place, (spread, depth) in enumerate(zip(spreads, depths, strict=True)):
        desk.now += HOUR_NS
        if volatility is not None:
            stand(desk, volatility[place])
        say(desk, 1.0, spread, depth)
    return desk


def stand(desk: Desk, percent: int) -> None:
    """BTC's volatility is so many percent a year now; over two months it was all from 0 to 150."""
    series = desk.engine.state.prices.setdefault("BTC", PriceSeries(asset="BTC"))
    hours = series.hours = HourSeries()
    bins = [bin_of(one / 1000) + 1 for one in range(1, 1501)]
    slow = Ewma(variance=(percent / 100) ** 2 / HOURS_PER_YEAR, fed_ratio=1.0)
    hours.rewrite(desk.now // HOUR_NS - 1, slow, [0.0] * 1500, bins, [100.0] * 74)
    series.seen.seen_ns = desk.now


WORSE = [1e-6, 2e-6, 3e-6, 4e-6]
THIN: list[float | None] = [4e6, 3e6, 2e6, 1e6]
SAME: list[float | None] = [1e6] * 4


@pytest.mark.parametrize(
    ("spreads", "depths", "volatility", "worse", "assets"),
    [
        pytest.param(WORSE, THIN, [50, 50, 50, 50], 2.0, 1.0, id="spread and depth"),
        pytest.param(WORSE, SAME, [50, 50, 50, 50], 1.0, 0.0, id="the spread alone"),
        pytest.param(WORSE, SAME, [50, 60, 70, 80], 2.0, 1.0, id="spread and volatility"),
        pytest.param(WORSE, THIN, [50, 60, 70, 80], 3.0, 1.0, id="all three"),
        pytest.param([*WORSE[:3], 3e-6], THIN, [50] * 4, 1.0, 0.0, id="two hours and a pause"),
        pytest.param(WORSE[::-1], [1e6, 2e6, 3e6, 4e6], [80, 70, 60, 50], 0.0, 0.0, id="better"),
        pytest.param(WORSE, THIN, None, None, 1.0, id="two decide without the third"),
        pytest.param(WORSE, SAME, None, None, None, id="one, and one unknown"),
        pytest.param([2e-6] * 4, SAME, None, None, 0.0, id="none, and one unknown"),
        pytest.param(WORSE, [4e6, None, 2e6, 1e6], [50] * 4, None, None, id="an hour is missing"),
    ],
)
def test_two_of_three_three_hours_running(
    spreads: list[float],
    depths: list[float | None],
    volatility: list[int] | None,
    worse: float | None,
    assets: float | None,
) -> None:
    """What is not known neither worsens nor is fine."""
    desk = play(spreads, depths, volatility=volatility)
    assert desk.value(OF_ASSET, BTC) == worse
    assert desk.value(ASSETS, PORTFOLIO) == assets


def test_the_alert_names_what_worsens() -> None:
    """Asset, sign and its four samples; not what is as it was."""
    desk = play(WORSE, THIN, volatility=[50] * 4)
    desk.load(
        "- id: worse\n  summary: Worse\n  for_each: portfolio\n"
        "  when: assets_worse_count >= 1.0\n  severity: info\n"
    )
    (told,) = desk.evaluate().transitions
    assert (
        "BTC: funding spread 0.00876, 0.0175, 0.0263, 0.035; depth 4e+06, 3e+06, 2e+06, 1e+06"
        in (told.description)
    )
    assert "volatility percentile" not in told.description


def test_what_is_held_no_more_is_followed_no_more() -> None:
    """And where nothing is held, no asset worsens."""
    desk = play(WORSE, THIN)
    assert set(desk.engine.state.structure.signals) == {"BTC"}
    say(desk, 0.0, 0.0, 1e6)
    assert desk.value(ASSETS, PORTFOLIO) == 0.0
    assert not desk.engine.state.structure.signals
    assert desk.value(OF_ASSET, BTC) is None


def test_one_venue_has_no_spread() -> None:
    """Then the other two have to worsen."""
    alone = ((HL, "main"),)
    desk = desk_of(accounts=alone)
    for depth in THIN:
        desk.now += HOUR_NS
        say(desk, 1.0, 0.0, depth, accounts=alone)
    assert desk.value(OF_ASSET, BTC) is None  # volatility is not known
    assert desk.value(ASSETS, PORTFOLIO) is None


def test_depth_of_an_asset_is_the_thinner_side_of_each_watched_book() -> None:
    """A book that went silent makes it unknown, not smaller."""
    desk = desk_of()
    assert desk.value(DEPTH, BTC) == 1e6
    desk.tell(
        e.DepthSeen(
            venue=DYDX, channel=f"{DYDX}/v4_orderbook/BTC-USD", market="BTC-USD",
            band_ratio=0.0025, bid_depth_usd=3e6, ask_depth_usd=2e6,
        )
    )  # fmt: skip
    desk.now += 10 * 10**9
    assert desk.value(DEPTH, BTC) == 3e6
    desk.now += 55 * 10**9
    assert desk.value(DEPTH, BTC) is None
    assert "too old" in desk.why(DEPTH, BTC)


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        pytest.param(0.0, None, 0.0, id="no bids: no other side is thinner"),
        pytest.param(None, 0.0, 0.0, id="no offers"),
        pytest.param(1e6, None, None, id="one side that is not seen may be the thinner one"),
    ],
)
def test_depth_of_an_asset_whose_book_has_one_side(
    bid: float | None, ask: float | None, expected: float | None
) -> None:
    """A side that is gone is known to be the thinner one."""
    desk = desk_of()
    desk.now += 10 * 10**9
    desk.tell(
        e.DepthSeen(
            venue=HL, channel=f"{HL}/depth/BTC", market="BTC", band_ratio=0.0025,
            bid_depth_usd=bid, ask_depth_usd=ask,
        )
    )  # fmt: skip
    assert desk.after(DEPTH, BTC) == expected


def test_signs_that_are_known_now_only_want_time() -> None:
    """What is sampled hour by hour is no blindness while it is; a sign that stopped is."""
    desk = play(WORSE[:2], THIN[:2], volatility=[50, 50])
    assert desk.engine.why_absent(OF_ASSET, BTC, desk.now).lack is Lack.FILLING
    stopped = play(WORSE, SAME)  # no price since the hour before
    assert stopped.engine.why_absent(ASSETS, PORTFOLIO, stopped.now).lack is Lack.MISSING


def test_a_restart_goes_on_with_the_hours_that_were_sampled() -> None:
    """Else four hours pass before the signs say anything."""
    before = play(WORSE[:3], THIN[:3], volatility=[50] * 3)
    kept = before.engine.memories()
    after = Desk(settings=EngineSettings(accounts=BOTH))
    after.engine.restore((), kept, stopped_ns=before.now)
    after.now = before.now + HOUR_NS
    after.list_market("BTC").list_market("BTC-USD", DYDX)
    after.evaluate()  # what is held is not told yet
    stand(after, 50)
    say(after, 1.0, WORSE[3], THIN[3])
    assert after.value(ASSETS, PORTFOLIO) == 1.0
    assert after.value(OF_ASSET, BTC) == 2.0
    # And what it then keeps is what both knew.
    assert dict(after.engine.memories())["signals|BTC"] != dict(kept)["signals|BTC"]
