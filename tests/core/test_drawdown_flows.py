"""A flow by itself leaves the drawdown what it was, in whichever order it is told and shows."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.formulas.drawdown import (
    DrawdownMemory,
    Flows,
    follow_drawdown,
    level_of,
    peak_of,
    resume_drawdown,
    start_drawdown,
)
from monitor.core.types import SECOND_NS

SETTLING_S = 120


class Account:
    """One subject's equity and what was told of it, looked at whenever something changes."""

    def __init__(self, equity: float) -> None:
        self.equity, self.now_s = equity, 0.0
        self.told: list[tuple[float, float]] = []
        self.memory: DrawdownMemory = start_drawdown(equity, Flows(0.0))

    def look(self, wait_s: float = 1.0) -> float:
        """The drawdown a moment later."""
        self.now_s += wait_s
        recent = [usd for at, usd in self.told if self.now_s - at < SETTLING_S]
        self.memory, found = follow_drawdown(
            self.memory,
            self.equity,
            Flows(
                external_total_usd=sum(usd for _, usd in self.told),
                settling_external_usd=sum(recent),
                settling=bool(recent),
            ),
            exposed=True,
            now=round(self.now_s * SECOND_NS),
            settling_ns=SETTLING_S * SECOND_NS,
        )
        return found

    def earn(self, usd: float) -> float:
        """Profit or loss, then a look."""
        self.equity += usd
        return self.look()

    def tell(self, usd: float) -> None:
        """The ledger says so from the next look on."""
        self.told.append((self.now_s + 1.0, usd))


def flow(account: Account, usd: float, order: str) -> list[float]:
    """Money moves; every drawdown seen from its telling on, until long after."""
    found = []
    if order == "shown first":
        account.earn(usd)
        account.look(5.0)
        account.tell(usd)
    elif order == "told first":
        account.tell(usd)
        found += [account.look(), account.look(5.0)]
        account.equity += usd
    else:
        account.tell(usd)
        account.equity += usd
    return [*found, account.look(), account.look(30.0), account.look(SETTLING_S), account.look()]


ORDERS = ["told first", "at once", "shown first"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("fall", "usd"),
    [(12.0, 88.0), (12.0, 5.0), (4.0, -48.0), (12.0, -44.0), (12.0, 880.0), (12.0, -87.0)],
    ids=["doubled", "little in", "half out", "half out deeper", "tenfold", "nearly all out"],
)
def test_a_flow_under_water_changes_nothing(order: str, fall: float, usd: float) -> None:
    """The sheet's scaling: 12 % stays 12 % where as much comes in, 4 % where half goes out; and a
    later loss of a tenth is a tenth."""
    account = Account(100.0)
    before = account.earn(-fall)
    account.look(SETTLING_S)
    assert flow(account, usd, order) == pytest.approx([before] * (6 if order == ORDERS[0] else 4))
    assert account.earn(-account.equity / 10) == pytest.approx(1 - (1 - before) * 0.9)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(-0.3, 0.3),
            st.one_of(st.floats(-0.8, -0.02), st.floats(0.02, 4.0)),
            st.sampled_from(ORDERS),
        ),
        max_size=8,
    )
)
def test_only_gains_and_losses_move_it(steps: list[tuple[float, float, str]]) -> None:
    """Whatever flows, the drawdown is that of the gains and losses in per cent."""
    account, level, highest = Account(1000.0), 1.0, 1.0
    for gain, share, order in steps:
        account.earn(account.equity * gain)
        account.look(2 * SETTLING_S)
        level *= 1.0 + gain
        highest = max(highest, level)
        expected = 1.0 - level / highest
        for found in flow(account, account.equity * share, order):
            assert found == pytest.approx(expected, abs=1e-9)
        account.look(2 * SETTLING_S)


def test_a_deposit_that_shows_after_the_settling_time_shifts() -> None:
    """Its equity is not known: the amount is taken, and comes right in dollars when it shows."""
    account = Account(100.0)
    account.earn(-12.0)
    account.look(SETTLING_S)
    account.tell(22.0)
    assert account.look() == pytest.approx(0.12)
    assert account.look(SETTLING_S + 1.0) == pytest.approx(1 - 88 / 122)
    assert account.earn(22.0) == pytest.approx(1 - 110 / 122)


@pytest.mark.parametrize(
    ("fall", "usd", "peak"),
    [(100.0, 50.0, 150.0), (110.0, 50.0, 150.0), (60.0, -40.0, 60.0), (60.0, -50.0, 50.0)],
    ids=["nothing there", "less than nothing", "all out", "more than all out"],
)
def test_what_cannot_scale_shifts(fall: float, usd: float, peak: float) -> None:
    """Where no equity is above zero before and after: the dollars lost stay lost."""
    account = Account(100.0)
    account.earn(-fall)
    account.look(SETTLING_S)
    flow(account, usd, "at once")
    assert account.memory.peak_usd == pytest.approx(peak)


def test_two_told_before_either_shows() -> None:
    """They are one flow of both until they show."""
    account = Account(100.0)
    account.earn(-12.0)
    account.look(SETTLING_S)
    account.tell(-20.0)
    assert account.look() == pytest.approx(0.12)
    account.tell(-24.0)
    assert account.look() == pytest.approx(0.12)
    assert account.earn(-44.0) == pytest.approx(0.12)
    assert account.look(SETTLING_S + 1.0) == pytest.approx(0.12)
    assert account.memory.unsettled is None


def test_a_restart_while_it_settles() -> None:
    """The next process settles it as this one would have."""
    account = Account(100.0)
    account.earn(-12.0)
    account.look(SETTLING_S)
    account.tell(-44.0)
    account.look()
    packed = msgspec.msgpack.encode(account.memory)
    account.memory = resume_drawdown(msgspec.msgpack.decode(packed, type=DrawdownMemory))
    account.told.clear()
    assert account.earn(-44.0) == pytest.approx(0.12)
    assert account.look(SETTLING_S + 1.0) == pytest.approx(0.12)


def test_peaks_of_before_and_after_flows_compare() -> None:
    """With the flows taken out, a peak is the same after one that shifted and one that scaled."""
    account = Account(100.0)
    account.earn(-12.0)
    account.look(SETTLING_S)
    account.tell(22.0)
    account.look()
    account.look(SETTLING_S + 1.0)
    account.earn(22.0)
    assert level_of(account.memory, account.memory.peak_usd) == pytest.approx(100.0)
    account.look(SETTLING_S)
    flow(account, -55.0, "at once")
    assert account.memory.peak_usd == pytest.approx(61.0)
    assert level_of(account.memory, 61.0) == pytest.approx(100.0)
    assert peak_of(account.memory, 100.0) == pytest.approx(61.0)


def test_a_deposit_that_showed_with_a_gain_is_known_by_the_peak_it_lifted() -> None:
    """No step has its size, but what is taken back from the peak says that it shows."""
    account = Account(100.0)
    account.earn(-12.0)
    account.look(SETTLING_S)
    account.earn(10.0 + 50.0)
    account.tell(50.0)
    assert account.look() == pytest.approx(0.02)
    assert account.look(SETTLING_S + 1.0) == pytest.approx(0.02)
