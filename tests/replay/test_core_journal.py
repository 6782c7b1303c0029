"""Same journal in, same decisions out, byte for byte; from any snapshot on the way too."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core import events as e
from monitor.core.decision import Decision
from monitor.core.engine import Engine, restore_snapshot
from monitor.core.journal import (
    BatchRecord,
    JournalError,
    decision_bytes,
    decode_record,
    encode_batch,
    encode_event,
    encode_snapshot,
    replay,
)
from monitor.core.settings import EngineSettings
from monitor.core.types import SECOND_NS
from tests.core.desk import DYDX, HL, START_NS, Desk
from tests.properties.core_events import SETTINGS, batches, opening


class Recorder:
    """An engine whose every event and batch is journalled, as the writer does it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.records = [encode_snapshot(engine)]
        self.decisions: list[bytes] = []

    def apply(self, event: e.Event, now: int) -> None:
        """Apply and keep."""
        self.engine.apply(event, now)
        self.records.append(encode_event(event, now))

    def evaluate(self, now: int) -> Decision:
        """Evaluate and keep."""
        decision = self.engine.evaluate(now)
        self.records.append(encode_batch(decision))
        self.decisions.append(decision_bytes(decision))
        return decision


def record(given_batches: list[tuple[int, list[e.Event]]]) -> Recorder:
    """Play batches (nanoseconds since the start, events) under the test rules."""
    recorder = Recorder(Engine(SETTINGS))
    for event in opening():
        recorder.apply(event, START_NS)
    recorder.evaluate(START_NS)
    for after_ns, events in given_batches:
        for event in events:
            recorder.apply(event, START_NS + after_ns)
        recorder.evaluate(START_NS + after_ns)
    return recorder


@given(batches())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_replay_is_byte_identical(played: list[tuple[int, list[e.Event]]]) -> None:
    """Whatever happened, living it again gives the same bytes."""
    recorder = record(played)
    assert [decision_bytes(one) for one in replay(recorder.records)] == recorder.decisions


@given(batches(), st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_restored_engine_goes_on_byte_for_byte(
    played: list[tuple[int, list[e.Event]]],
    data: st.DataObject,
) -> None:
    """From a snapshot at any batch boundary: decisions, deadlines and the next snapshot alike."""
    cut = data.draw(st.integers(0, len(played)))
    live = Engine(SETTINGS)
    for event in opening():
        live.apply(event, START_NS)
    live.evaluate(START_NS)
    other: Engine | None = None
    for number, (after_ns, events) in enumerate(
        [*played, (played[-1][0] + 1 if played else 1, [])]
    ):
        if number == cut:
            other = restore_snapshot(live.snapshot())
            assert other.snapshot() == live.snapshot()
        now = START_NS + after_ns
        for event in events:
            live.apply(event, now)
            if other is not None:
                other.apply(event, now)
        decision = decision_bytes(live.evaluate(now))
        if other is not None:
            assert decision_bytes(other.evaluate(now)) == decision
    if other is not None:
        assert other.snapshot() == live.snapshot()


def test_accounts_are_named_in_the_same_order_after_a_restore() -> None:
    """However they came: here one venue's market first, and the other venue's account."""
    live = Engine(SETTINGS)
    for event in opening():
        live.apply(event, START_NS)

    def hold(venue: str, market: str) -> e.PositionsReported:
        return e.PositionsReported(
            venue=venue,
            channel=f"{venue}/account.truth/main",
            account="main",
            source="truth",
            complete=True,
            positions=(e.PositionReport(market=market, size=Decimal("0.1")),),
        )

    live.apply(
        e.MarketContextSeen(venue="hyperliquid", channel="hyperliquid/ctx/BTC", market="BTC"),
        START_NS,
    )
    live.apply(hold("dydx", "BTC-USD"), START_NS)
    live.evaluate(START_NS)
    live.apply(hold("hyperliquid", "BTC"), START_NS)
    live.evaluate(START_NS)
    other = restore_snapshot(live.snapshot())
    for engine in (live, other):
        engine.evaluate(START_NS + 20 * SECOND_NS)
    assert other.snapshot() == live.snapshot()


class Pen:
    """Stands where the desk has its engine and writes down what it is told."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, e.Event]] = []

    def apply(self, event: e.Event, now: int) -> None:
        """Keep it for later."""
        self.kept.append((now, event))


def a_day() -> Recorder:
    """A hand-written story: a position, a fall, a disagreement, a gap, silence, recovery."""
    pen = Pen()
    story = Desk(engine=pen)  # type: ignore[arg-type]  # only ever applied to
    story.tell(*opening())
    story.at(1).open(f"{HL}/ctx/BTC", 1.0).context(mark_price=100.0, oracle_price=100.0)
    story.positions(("BTC", 100)).money(500).positions(("BTC", 100), source="truth")
    for second in range(2, 30):
        story.at(second).context(mark_price=100.0 - second, oracle_price=100.0 - second)
        story.positions(("BTC", 100)).money(500 - 10 * second)
        if second == 10:
            story.positions(("BTC", 90), source="truth")
    story.at(31).lose(f"{HL}/ctx/BTC", gap=True)
    for second in range(60, 90, 3):
        story.at(second).context(mark_price=100.0, oracle_price=100.0).positions(("BTC", 1))
        story.money(500)
    recorder = Recorder(Engine(SETTINGS))
    last = START_NS
    for now, event in pen.kept:
        if now != last:
            recorder.evaluate(last)
        recorder.apply(event, now)
        last = now
    recorder.evaluate(story.ns(200))
    return recorder


def test_a_hand_written_day() -> None:
    """Rules fired, sources disagreed, and the replay says the same."""
    recorder = a_day()
    decisions = list(replay(recorder.records))
    assert [decision_bytes(one) for one in decisions] == recorder.decisions
    fired = {one.rule for decision in decisions for one in decision.transitions}
    assert {"mark_low", "usage_high", "blind_spot"} <= fired
    assert any(decision.cross_checks for decision in decisions)


def test_a_replay_that_differs_is_noticed() -> None:
    """At the batch where it does."""
    recorder = a_day()
    event = e.MarketContextSeen(
        venue=HL, channel=f"{HL}/ctx/BTC", market="BTC", mark_price=99.0, oracle_price=99.0
    )
    broken = [*recorder.records]
    kinds = [type(decode_record(one)) for one in broken]
    third = kinds.index(BatchRecord, len(broken) // 3)
    broken.insert(third, encode_event(event, decode_record(broken[third]).at_ns))
    with pytest.raises(JournalError, match="differs"):
        list(replay(broken))
    assert list(replay(broken, check=False))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        pytest.param([b"\x93\xa1e"], "no journal record", id="truncated"),
        pytest.param([b"rubbish"], "no journal record", id="rubbish"),
        pytest.param(
            [encode_event(e.Tick(), 1)], "begin with a snapshot", id="no snapshot to begin with"
        ),
    ],
)
def test_what_is_no_journal(records: list[bytes], message: str) -> None:
    """Said in words."""
    with pytest.raises(JournalError, match=message):
        list(replay(records))


def test_a_refused_rulebook_in_a_journal_is_refused_again() -> None:
    """It changed nothing then, and does not stop the replay now."""
    recorder = Recorder(Engine(EngineSettings()))
    recorder.apply(e.Tick(), START_NS)
    recorder.records.append(
        encode_event(e.RulebookLoaded(files=(("x", "- id: broken"),), loaded_by="x"), START_NS)
    )
    recorder.evaluate(START_NS)
    assert [decision_bytes(one) for one in replay(recorder.records)] == recorder.decisions


def test_decimals_survive_the_journal() -> None:
    """Account money keeps its digits."""
    recorder = Recorder(Engine(EngineSettings(accounts=((DYDX, "main"),))))
    amount = Decimal("123456789.123456789012345678")
    recorder.apply(
        e.AccountReported(venue=DYDX, channel="c", account="main", source="truth", cash_usd=amount),
        START_NS,
    )
    recorder.evaluate(START_NS)
    restored = restore_snapshot(recorder.engine.snapshot())
    assert restored.state.venues[DYDX].accounts["main"].cash.exact == amount
