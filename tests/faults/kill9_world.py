"""The world of the enumerated ``kill -9``: a venue that is a file, a page that is a line, a clock
that runs fast, and a counter of points that kills the process at one of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from monitor.core.killswitch.book import (
    AccountTruth,
    Book,
    HeldPosition,
    Instrument,
    Quote,
    WorkingOrder,
)
from monitor.core.killswitch.facts import (
    AccountRead,
    CancelOrders,
    CancelOutcome,
    CancelsAnswered,
    Command,
    KillFact,
    KillNotice,
    OrderEnd,
    OrderOutcome,
    OrdersAnswered,
    PlaceOrders,
    ReadAccount,
    ReduceOrder,
)
from monitor.core.ports import OutboxEntry, Phase
from monitor.core.types import SECOND_NS, EngineNs, Side
from monitor.notify.alerts import DispatchPolicy, Route
from monitor.notify.dispatch import Dispatcher
from monitor.notify.notice import decode_notice
from monitor.notify.pager import merge

SPEED = 20.0
HELD = {"BTC": Decimal(2), "ETH": Decimal(-30)}
RESTING = ("o-1", "o-2")
PRICES = {"BTC": 100_000.0, "ETH": 4_000.0}
VENUE, ACCOUNT = "hyperliquid", "main"


def gross_usd(sizes: Mapping[str, Decimal]) -> float:
    """What is held, signs aside."""
    return sum(abs(float(size)) * PRICES[market] for market, size in sizes.items())


Checkpoint = Callable[[str], None]


class Killer:
    """Notes every point that is passed, and kills the process at one."""

    def __init__(self, victim: str = "") -> None:
        self._victim = victim
        self._lock = threading.Lock()
        self._times: dict[str, int] = {}
        self.passed: list[str] = []

    def __call__(self, name: str) -> None:
        with self._lock:
            self._times[name] = self._times.get(name, 0) + 1
            point = f"{name} {self._times[name]}"
            self.passed.append(point)
            if point == self._victim:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()  # not one instruction more, should the signal take its time


class Log:
    """A file of JSON lines; one write each, so that a kill leaves whole ones."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, **line: object) -> None:
        """Append one."""
        number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(number, json.dumps(line).encode() + b"\n")
        os.close(number)

    def lines(self) -> list[dict[str, str]]:
        """All of them."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text().splitlines()]


class FastClock:
    """Engine time at many times the speed; after a restart it goes on behind the last phase."""

    def __init__(self, start_ns: EngineNs) -> None:
        self._start_ns = start_ns
        self._since = time.monotonic()

    def now(self) -> EngineNs:
        """Engine time."""
        return self._start_ns + round((time.monotonic() - self._since) * SPEED * SECOND_NS)

    async def sleep(self, seconds: float) -> None:
        """Wait in engine time."""
        await asyncio.sleep(seconds / SPEED)


class Venue:
    """An executor, and the venue behind it: a file of what was done there."""

    venue = VENUE

    def __init__(self, log: Log, clock: FastClock, point: Checkpoint) -> None:
        self.log = log
        self._clock = clock
        self._point = point
        self._astray = self._sent_and_not_there()

    def acts_for(self, account: str) -> bool:
        """For its one account."""
        return account == ACCOUNT

    def truth(self) -> AccountTruth:
        """What the venue would answer now."""
        read_ns = self._clock.now()
        sizes, cancelled = dict(HELD), set()
        for line in self.log.lines():
            if line["kind"] == "fill":
                sizes[line["market"]] += Decimal(line["signed"])
            elif line["kind"] == "cancel":
                cancelled.add(line["order_id"])
        orders = tuple(
            WorkingOrder(order_id=name, market="BTC", side=Side.BUY, size=Decimal(1))
            for name in RESTING
            if name not in cancelled
        )
        positions = tuple(HeldPosition(market=m, size=size) for m, size in sizes.items() if size)
        return AccountTruth(
            venue=VENUE,
            account=ACCOUNT,
            read_ns=read_ns,
            orders_ns=read_ns,
            twaps_ns=read_ns,
            positions=positions,
            orders=orders,
        )

    async def run(self, command: Command) -> KillFact:
        """Carry out, with a point before it, within it, and before its answer is heard."""
        name = type(command).__name__
        if isinstance(command, PlaceOrders):
            for order in command.orders:
                self.log.add(kind="sent", order=msgspec.json.encode(order).decode())
        self._point(f"{name} leaves")
        fact = self._do(command)
        self._point(f"{name} done")
        if isinstance(command, ReadAccount):
            self._arrive_late()
        await asyncio.sleep(0)
        return fact

    def _sent_and_not_there(self) -> list[ReduceOrder]:
        """Orders of the life before that were on their way when it ended."""
        lines = self.log.lines()
        there = {line["client_id"] for line in lines if line["kind"] == "fill"}
        sent = [line["order"] for line in lines if line["kind"] == "sent"]
        orders = [msgspec.json.decode(order, type=ReduceOrder) for order in sent]
        return [order for order in orders if order.client_id not in there]

    def _arrive_late(self) -> None:
        """They come when it hurts: after the account was read anew. Burnt ones are refused."""
        astray, self._astray = self._astray, []
        burnt = {line["client_id"] for line in self.log.lines() if line["kind"] == "burnt"}
        for order in astray:
            if order.client_id not in burnt:
                self._fill(order)

    def _do(self, command: Command) -> KillFact:
        match command:
            case ReadAccount():
                return AccountRead(command_id=command.id, truth=self.truth())
            case CancelOrders():
                gone = tuple(self._cancel(order.order_id) for order in command.orders)
                return CancelsAnswered(
                    command_id=command.id, venue=VENUE, account=ACCOUNT, outcomes=gone
                )
            case PlaceOrders():
                outcomes = tuple(self._fill(order) for order in command.orders)
            case _:
                outcomes = tuple(self._resolve(each) for each in command.client_ids)
        return OrdersAnswered(
            command_id=command.id, venue=VENUE, account=ACCOUNT, outcomes=outcomes
        )

    def _cancel(self, order_id: str) -> CancelOutcome:
        self.log.add(kind="cancel", order_id=order_id)
        self._point("one cancelled")
        return CancelOutcome(order_id=order_id, gone=True)

    def _fill(self, order: ReduceOrder) -> OrderOutcome:
        sizes = {one.market: one.size for one in self.truth().positions}
        held = sizes.get(order.market, Decimal(0))
        signed = order.size if order.side is Side.BUY else -order.size
        if held * signed >= 0 or abs(signed) > abs(held):
            self.log.add(kind="wrong", what=f"{signed} {order.market} against {held}")
        self.log.add(
            kind="fill", client_id=order.client_id, market=order.market, signed=str(signed)
        )
        self._point("one filled")
        return OrderOutcome(
            client_id=order.client_id,
            end=OrderEnd.FILLED,
            filled_size=order.size,
            average_price=order.limit_price,
        )

    def _resolve(self, client_id: str) -> OrderOutcome:
        for line in self.log.lines():
            if line["kind"] == "fill" and line["client_id"] == client_id:
                size = abs(Decimal(line["signed"]))
                return OrderOutcome(client_id=client_id, end=OrderEnd.FILLED, filled_size=size)
        self.log.add(kind="burnt", client_id=client_id)
        return OrderOutcome(client_id=client_id, end=OrderEnd.REJECTED, detail="never came")

    def book(self, now: EngineNs) -> Book:
        """What the feeds know."""
        return Book(
            at_ns=now,
            accounts=(self.truth(),),
            instruments=tuple(
                Instrument(
                    venue=VENUE,
                    market=market,
                    asset=market,
                    size_step=Decimal("0.01"),
                    price_tick=Decimal(1),
                )
                for market in PRICES
            ),
            quotes=tuple(
                Quote(
                    venue=VENUE,
                    market=market,
                    references=(price, price),
                    bid_price=price - 1,
                    ask_price=price + 1,
                    bid_depth_usd=1e9,
                    ask_depth_usd=1e9,
                )
                for market, price in PRICES.items()
            ),
            executable=((VENUE, ACCOUNT),),
        )


class Pages:
    """The real dispatcher; what leaves is a line in a file."""

    def __init__(self, log: Log, point: Checkpoint, now: EngineNs) -> None:
        policy = DispatchPolicy(deployment="desk", routes=(Route(channel="pager"),))
        self.dispatcher = Dispatcher(policy, now=now)
        self._log = log
        self._point = point

    def prepare(self, notices: Sequence[KillNotice]) -> Phase:
        """What is to be told."""
        return merge([self.dispatcher.killed(notice) for notice in notices])

    def leave(self, entries: tuple[OutboxEntry, ...]) -> None:
        """Told."""
        for entry in entries:
            notice = decode_notice(entry.notice)
            self._log.add(
                id=entry.id, key=notice.dedup_key, alert=notice.label("alertname"), kind=notice.kind
            )
            self._point("page left")
