"""Heights of the simulated chain through halts, and the withdrawal gate."""

from __future__ import annotations

import pytest

from monitor.sim.dydx.chain import Chain, Stamp

START = Stamp(1_000_000.0 * 3_600, 500)


def chain_after_halt(length_s: float) -> Chain:
    """A chain that made ten blocks, stood still, and made one more."""
    chain = Chain(START, 1.0)
    for number in range(1, 11):
        chain.make_block(500 + number, START.time_s + number)
    chain.halt()
    resumed = 10 + int(length_s)
    chain.make_block(500 + resumed, START.time_s + resumed)
    return chain


@pytest.mark.parametrize(
    ("length_s", "seen_at", "unblocked_at"),
    [
        pytest.param(299.0, 0, 0, id="one second short of an outage"),
        pytest.param(300.0, 511, 561, id="an outage gates for fifty blocks"),
    ],
)
def test_gate_opens_after_an_outage(length_s: float, seen_at: int, unblocked_at: int) -> None:
    """Only 300 s or more count, from the first block after it."""
    chain = chain_after_halt(length_s)
    assert (chain.outage_seen_at, chain.unblocked_at) == (seen_at, unblocked_at)


def test_height_goes_on_from_where_it_stood() -> None:
    """The first block after a halt is the next one; instants map to the same heights."""
    chain = chain_after_halt(400)
    assert chain.newest.height == 511
    assert chain.stamp(chain.newest.time_s).height == 511
    assert chain.stamp(START.time_s + 5).height == 505
    assert chain.make_block(500 + 412, START.time_s + 412).height == 513
    assert chain.stamp(START.time_s + 412).height == 513


def test_missed_hours_are_stamped_block_after_block() -> None:
    """Three hours inside a halt land in the first three blocks after it."""
    chain = chain_after_halt(4 * 3_600)
    ends_s = START.time_s + 10 + 4 * 3_600
    stamps = [chain.stamp(START.time_s + hour * 3_600 + 0.02) for hour in (1, 2, 3)]
    assert [stamp.height for stamp in stamps] == [511, 512, 513]
    assert [stamp.time_s for stamp in stamps] == [ends_s, ends_s + 1, ends_s + 2]


def test_two_halts_add_up() -> None:
    """Blocks that were never made are missing from every later height."""
    chain = chain_after_halt(100)
    chain.halt()
    chain.make_block(500 + 400, START.time_s + 400)
    assert chain.newest.height == 512
    assert chain.stamp(START.time_s + 401).height == 513


def test_negative_equity_gates_from_the_newest_block() -> None:
    """The window starts anew with each block that still sees it."""
    chain = Chain(START, 1.0)
    chain.see_negative_equity()
    assert chain.unblocked_at == 550
    chain.make_block(501, START.time_s + 1)
    chain.see_negative_equity()
    assert chain.unblocked_at == 551
