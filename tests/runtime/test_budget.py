"""The request budget: never more than the venue allows, and the kill path's reserve untouched."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.errors import ConfigError, TransientFeedError
from monitor.core.ports import RateBudget
from monitor.core.types import SECOND_NS
from monitor.runtime.budget import Lane, Ledger, RequestBudget, Spent
from tests.manual_clock import START_NS, ManualClock, settle

RATE = RateBudget(capacity=100.0, window_s=60.0, reserve=20.0)


async def test_reads_stop_at_the_reserve_and_the_kill_path_does_not() -> None:
    """The last twenty are there for a cancel at once, however many reads wait."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    await budget.acquire(80.0)
    async with asyncio.TaskGroup() as tasks:
        read = tasks.create_task(budget.acquire(1.0), name="read")
        await settle()
        assert not read.done()
        await budget.acquire(20.0, lane=Lane.URGENT)
        assert budget.used_and_left() == (100.0, 0.0)
        assert clock.now() == START_NS
        await clock.advance(59.0)
        assert not read.done()
        await clock.advance(1.0)
        assert read.done()


async def test_what_the_kill_path_spends_does_not_stop_the_truth() -> None:
    """A plan needs lots and ticks that a start has not read yet, and a long trip must not blind
    the rules; history gives way to it, and the background as well from half the reserve on."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    await budget.acquire(70.0, lane=Lane.URGENT)
    await budget.acquire(8.0, lane=Lane.BACKGROUND)
    async with asyncio.TaskGroup() as tasks:
        history = tasks.create_task(budget.acquire(1.0, lane=Lane.HISTORY), name="history")
        await budget.acquire(10.0)
        await clock.advance(10.0)
        more = tasks.create_task(budget.acquire(8.0, lane=Lane.BACKGROUND), name="background")
        await settle()
        assert not history.done()
        assert not more.done()
        await budget.acquire(12.0)
        assert clock.now() == START_NS + 10 * SECOND_NS
        await clock.advance(50.0)
        assert history.done()
        assert more.done()


async def test_history_leaves_room_for_the_truth() -> None:
    """However much is read in the background, the re-reads of accounts go on at once."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    await budget.acquire(48.0, lane=Lane.BACKGROUND)
    async with asyncio.TaskGroup() as tasks:
        history = tasks.create_task(budget.acquire(1.0, lane=Lane.BACKGROUND), name="history")
        await settle()
        assert not history.done()
        await budget.acquire(32.0)
        assert clock.now() == START_NS
        await clock.advance(60.0)
        assert history.done()


async def test_half_a_year_of_prices_has_a_share_of_its_own() -> None:
    """What takes half an hour to read takes no more than that, and nothing it takes keeps an
    hourly read waiting."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    await budget.acquire(24.0, lane=Lane.HISTORY)
    async with asyncio.TaskGroup() as tasks:
        prices = tasks.create_task(budget.acquire(1.0, lane=Lane.HISTORY), name="prices")
        await settle()
        assert not prices.done()
        await budget.acquire(48.0, lane=Lane.BACKGROUND)
        assert clock.now() == START_NS
        await clock.advance(60.0)
        assert prices.done()


async def test_history_comes_to_its_turn_beside_all_background_reads() -> None:
    """As much as these may spend leaves it a part at once; the last fifth is the truth's."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    await budget.acquire(48.0, lane=Lane.BACKGROUND)
    await budget.acquire(16.0, lane=Lane.HISTORY)
    async with asyncio.TaskGroup() as tasks:
        history = tasks.create_task(budget.acquire(1.0, lane=Lane.HISTORY), name="history")
        await settle()
        assert not history.done()
        await budget.acquire(16.0)
        assert clock.now() == START_NS
        await clock.advance(60.0)
        assert history.done()


async def test_what_never_reached_the_venue_is_given_back() -> None:
    """Once, and only what was spent."""
    budget = RequestBudget(RATE, ManualClock())
    unsent = await budget.acquire(20.0)
    await budget.acquire(30.0)
    budget.give_back(unsent)
    assert budget.used_and_left() == (30.0, 70.0)
    budget.give_back(unsent)
    assert budget.used_and_left() == (30.0, 70.0)


async def test_weight_returns_one_window_after_it_was_spent() -> None:
    """Not a moment earlier: in no window is more than the capacity used."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    await budget.acquire(50.0)
    await clock.advance(30.0)
    await budget.acquire(30.0)
    await clock.advance(29.999)
    assert budget.used_and_left() == (80.0, 20.0)
    await clock.advance(0.001)
    assert budget.used_and_left() == (30.0, 70.0)


async def test_reads_are_served_in_order_even_heavy_ones() -> None:
    """A light request behind a heavy one waits for it, so that the heavy one is not starved."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    await budget.acquire(70.0)
    served: list[str] = []

    async def read(name: str, weight: float) -> None:
        await budget.acquire(weight)
        served.append(name)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(read("heavy", 60.0), name="heavy")
        tasks.create_task(read("light", 1.0), name="light")
        await settle()
        assert served == []
        await clock.advance(60.0)
    assert served == ["heavy", "light"]


async def test_a_wait_has_an_end() -> None:
    """Whoever would wait longer than the limit is told so at once, and spends nothing."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    await budget.acquire(80.0)
    with pytest.raises(
        TransientFeedError, match=r"60\.0 s after it was asked for, and may wait 59 s\.$"
    ):
        await budget.acquire(1.0, wait_s_max=59.0)
    assert budget.used_and_left()[0] == 80.0


async def test_what_was_waited_in_the_queue_counts_and_is_told() -> None:
    """Behind another one, too: the numbers of the refusal agree with each other."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    await budget.acquire(80.0)

    async def second() -> str:
        with pytest.raises(TransientFeedError) as refused:
            await budget.acquire(80.0, wait_s_max=90.0)
        return str(refused.value)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(budget.acquire(80.0), name="first")
        told = tasks.create_task(second(), name="second")
        await settle()
        await clock.advance(60.0)
    assert "120.0 s after it was asked for, and may wait 90 s (60.0 s of it are over)" in (
        told.result()
    )


async def test_a_cancelled_wait_leaves_the_queue() -> None:
    """Who gives up neither spends nor blocks those behind."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    await budget.acquire(80.0)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(budget.acquire(80.0), name="first")
        second = tasks.create_task(budget.acquire(1.0), name="second")
        await settle()
        first.cancel()
        await clock.advance(60.0)
        assert second.done()
    assert budget.used_and_left()[0] == 1.0


async def test_a_pause_asked_for_by_the_venue_holds_reads_alone() -> None:
    """After a 429 reads wait as told; a cancel leaves at once."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    budget.hold_reads(10.0)
    async with asyncio.TaskGroup() as tasks:
        read = tasks.create_task(budget.acquire(1.0), name="read")
        await budget.acquire(1.0, lane=Lane.URGENT)
        await clock.advance(9.999)
        assert not read.done()
        await clock.advance(0.001)
        assert read.done()


async def test_what_can_never_be_sent_is_a_mistake_of_the_configuration() -> None:
    """Waiting would not help, so it is refused."""
    budget = RequestBudget(RATE, ManualClock())
    with pytest.raises(ConfigError, match="can never be sent"):
        await budget.acquire(80.5)
    await budget.acquire(80.5, lane=Lane.URGENT)
    with pytest.raises(ConfigError, match="reserve"):
        RequestBudget(RateBudget(capacity=10.0, window_s=1.0, reserve=10.0), ManualClock())


Asks = list[tuple[float, float, bool]]  # (seconds since the last, weight, urgent)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.5, 7.0, 61.0]), st.integers(1, 30).map(float), st.booleans()
        ),
        max_size=25,
    )
)
def test_no_window_is_overspent_and_no_read_enters_the_reserve(asks: Asks) -> None:
    """Wherever a window begins: all spending fits the capacity, and that of reads what the
    reserve leaves of it."""
    asyncio.run(_spend(asks))


async def _spend(asks: Asks) -> None:
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    spent: list[tuple[int, float, bool]] = []

    async def ask(weight: float, *, urgent: bool) -> None:
        try:
            await budget.acquire(
                min(weight, 20.0) if urgent else weight, lane=Lane.URGENT if urgent else Lane.READ
            )
        except TransientFeedError:
            return
        spent.append((clock.now(), min(weight, 20.0) if urgent else weight, urgent))

    async with asyncio.TaskGroup() as tasks:
        for pause_s, weight, urgent in asks:
            await clock.advance(pause_s)
            tasks.create_task(ask(weight, urgent=urgent), name="ask")
        await clock.advance(600.0)
    window_ns = round(RATE.window_s * SECOND_NS)
    for start_ns, _, _ in spent:
        within = [one for one in spent if start_ns <= one[0] < start_ns + window_ns]
        assert sum(weight for _, weight, _ in within) <= RATE.capacity
        reads = sum(weight for _, weight, urgent in within if not urgent)
        assert reads <= RATE.capacity - RATE.reserve


async def test_what_an_earlier_process_spent_still_counts() -> None:
    """The next one waits for the same minute, and the reserve of the kill path is there at once."""
    clock = ManualClock()
    before = RequestBudget(RATE, clock)
    await before.acquire(50.0)
    await clock.advance(20.0)
    await before.acquire(30.0)
    ledger = before.ledger()
    assert ledger == (Spent(START_NS, 50.0), Spent(START_NS + 20 * SECOND_NS, 30.0))
    await clock.advance(10.0)
    budget = RequestBudget(RATE, clock)
    budget.recall(ledger)
    assert budget.used_and_left() == (80.0, 20.0)
    async with asyncio.TaskGroup() as tasks:
        read = tasks.create_task(budget.acquire(1.0), name="read")
        await settle()
        await budget.acquire(20.0, lane=Lane.URGENT)
        await clock.advance(29.9)
        assert not read.done()
        await clock.advance(0.1)
        assert read.done()


async def test_who_spent_it_is_known_after_a_restart() -> None:
    """What the kill path spent stops no truth in the next process either; a ledger that does not
    say (an older one) counts as reads."""
    clock = ManualClock()
    before = RequestBudget(RATE, clock)
    await before.acquire(60.0, lane=Lane.URGENT)
    await before.acquire(10.0)
    budget = RequestBudget(RATE, clock)
    budget.recall(msgspec.msgpack.decode(msgspec.msgpack.encode(before.ledger()), type=Ledger))
    await budget.acquire(30.0)
    assert clock.now() == START_NS
    older = RequestBudget(RATE, clock)
    older.recall(msgspec.msgpack.decode(msgspec.msgpack.encode([[START_NS, 80.0]]), type=Ledger))
    with pytest.raises(TransientFeedError):
        await older.acquire(1.0, wait_s_max=1.0)


async def test_reads_never_pass_the_capacity() -> None:
    """Whatever the kill path spent: the venue counts it all."""
    budget = RequestBudget(RATE, ManualClock())
    await budget.acquire(90.0, lane=Lane.URGENT)
    await budget.acquire(10.0)
    with pytest.raises(TransientFeedError):
        await budget.acquire(1.0, wait_s_max=1.0)


async def test_what_is_given_back_is_what_was_not_sent() -> None:
    """Neither a later one of the same weight, which the venue counts for longer, nor what the kill
    path spent."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    unsent = await budget.acquire(10.0)
    await budget.acquire(10.0, lane=Lane.URGENT)
    await clock.advance(9.0)
    await budget.acquire(10.0)
    budget.give_back(unsent)
    kept = [(one.at_ns, one.lane) for one in budget.ledger()]
    assert kept == [(START_NS, Lane.URGENT), (START_NS + 9 * SECOND_NS, Lane.READ)]


async def test_a_ledger_is_short_and_never_too_early() -> None:
    """A burst is one entry, at the time of its last request."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    for _ in range(10):
        await budget.acquire(2.0)
        await clock.advance(0.01)
    (entry,) = budget.ledger()
    assert entry == Spent(clock.now() - 10_000_000, 20.0)


@pytest.mark.parametrize(
    ("age_s", "used"),
    [
        pytest.param(59.9, 40.0, id="within the window"),
        pytest.param(60.0, 0.0, id="one window ago"),
        pytest.param(-3600.0, 40.0, id="the clock was set back"),
    ],
)
async def test_how_long_an_earlier_process_counts(age_s: float, used: float) -> None:
    """One window; what seems to lie in the future counts from now."""
    clock = ManualClock()
    budget = RequestBudget(RATE, clock)
    budget.recall((Spent(clock.now() - round(age_s * SECOND_NS), 40.0),))
    assert budget.used_and_left()[0] == used
    await clock.advance(60.0)
    assert budget.used_and_left()[0] == 0.0
