"""The desk's own system as executor: what it is told, and what its answers are worth."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from monitor.actions.desk import BODY_BYTES_MAX, DeskExecutor
from monitor.actions.settings import DeskSettings
from monitor.core.errors import ConfigError
from monitor.core.killswitch.book import AccountTruth, WorkingOrder
from monitor.core.killswitch.facts import (
    AccountRead,
    CancelOrders,
    CancelsAnswered,
    Command,
    CommandFailed,
    OrderEnd,
    OrdersAnswered,
    PlaceOrders,
    ReadAccount,
    ReduceOrder,
    ResolveOrders,
)
from monitor.core.signatures import refuse
from monitor.core.types import SECOND_NS, Side
from monitor.notify.target import TargetPolicy, guarded_session
from tests.manual_clock import START_NS, ManualClock

KEYS = (b"k" * 32, b"before" * 5)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
LIMIT = Decimal("99.50")
ORDER = ReduceOrder(
    client_id="a",
    market="ETH-USD",
    side=Side.SELL,
    size=Decimal("1.50"),
    limit_price=LIMIT,
    reference_price=100.0,
    expires_at_ns=START_NS + 10 * SECOND_NS,
)
WORKING = WorkingOrder(order_id="7", market="ETH-USD", side=Side.BUY, size=Decimal(2))
TRUTH = AccountTruth(venue="dydx", account="main", read_ns=START_NS, positions=(), orders=())
COMMON = {"id": "c1", "trip_id": "t1", "venue": "dydx", "account": "main"}
PLACE = PlaceOrders(orders=(ORDER,), **COMMON)  # type: ignore[arg-type]  # names of texts
CANCEL = CancelOrders(orders=(WORKING,), **COMMON)  # type: ignore[arg-type]  # likewise
RESOLVE = ResolveOrders(client_ids=("a",), **COMMON)  # type: ignore[arg-type]  # likewise


class Desk:
    """A webhook of the desk: keeps what it got, answers by script (the last one for ever)."""

    def __init__(self, *script: object) -> None:
        self.script = list(script)
        self.got: list[tuple[dict[str, str], bytes]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The next answer of the script."""
        self.got.append((dict(request.headers), await request.read()))
        one = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(one, web.Response):
            return web.Response(status=one.status, body=one.body, headers=one.headers)
        if one is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.json_response(one)


@asynccontextmanager
async def served(desk: Desk, **more: Any) -> AsyncIterator[DeskExecutor]:
    """An executor that posts to a server of this test."""
    app = web.Application()
    app.router.add_post("/orders", desk.answer)
    app.router.add_post("/elsewhere", Desk(filled()).answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    policy = TargetPolicy(allow_loopback=more.pop("allow_loopback", True))
    session = guarded_session(policy)
    url = more.pop("url", f"http://127.0.0.1:{port}/orders")
    try:
        yield DeskExecutor(
            DeskSettings.model_validate(
                {"venue": "dydx", "accounts": ["main"], "command_deadline_s": 20, **more}
            ),
            url=url,
            keys=KEYS,
            session=session,
            targets=policy,
            truth=lambda venue, account: TRUTH if venue == "dydx" else None,
            clock=SteppingClock(),
        )
    finally:
        await session.close()
        await runner.cleanup()


class SteppingClock(ManualClock):
    """Time that passes by itself while somebody waits for it."""

    async def sleep(self, seconds: float) -> None:
        """Pass it."""
        self.jump(seconds)


def said(state: str = "done", **more: object) -> dict[str, object]:
    """An answer of the desk."""
    return {"command_id": "c1", "state": state, **more}


def filled(end: str = "filled", size: str = "1.5", **more: object) -> dict[str, object]:
    """How the one order ended."""
    one = {"client_id": "a", "end": end, "filled_size": size, "average_price": "99.8", **more}
    return said(orders=[one])


# ------------------------------------------------------------------------------------- what is said


async def test_a_command_is_posted_signed_by_both_keys() -> None:
    """Standard Webhooks: the id is the command's, the signature covers the very bytes."""
    desk = Desk(filled())
    async with served(desk) as executor:
        assert isinstance(await executor.run(PLACE), OrdersAnswered)
    ((headers, body),) = desk.got
    for key in KEYS:
        assert (
            refuse(
                (key,),
                message_id=headers["webhook-id"],
                timestamp=headers["webhook-timestamp"],
                signatures=headers["webhook-signature"],
                body=body,
                now_s=START_NS / SECOND_NS,
            )
            is None
        )
    assert headers["webhook-id"] == "c1"
    assert json.loads(body) == {
        "type": "riskd.command",
        "timestamp": "2023-11-14T22:13:20.000Z",
        "data": {
            "command_id": "c1",
            "trip_id": "t1",
            "venue": "dydx",
            "account": "main",
            "do": "reduce",
            "orders": [
                {
                    "client_id": "a",
                    "market": "ETH-USD",
                    "side": "sell",
                    "size": "1.50",
                    "limit_price": "99.50",
                    "reduce_only": True,
                    "immediate_or_cancel": True,
                    "expires_at": "2023-11-14T22:13:30.000Z",
                }
            ],
        },
    }


@pytest.mark.parametrize(
    ("command", "do", "what"),
    [
        pytest.param(CANCEL, "cancel", "cancels", id="cancels"),
        pytest.param(RESOLVE, "resolve", "client_ids", id="what became of them"),
    ],
)
async def test_each_command_says_what_to_do(command: Command, do: str, what: str) -> None:
    """In words of its own."""
    desk = Desk(said())
    async with served(desk) as executor:
        await executor.run(command)
    data = json.loads(desk.got[0][1])["data"]
    assert data["do"] == do
    assert len(data[what]) == 1


async def test_an_account_is_read_from_our_own_feeds() -> None:
    """The desk is not asked whether it did well."""
    desk = Desk(said())
    async with served(desk) as executor:
        read = await executor.run(ReadAccount(**COMMON))  # type: ignore[arg-type]  # names of texts
        other = await executor.run(ReadAccount(**{**COMMON, "venue": "else"}))  # type: ignore[arg-type]  # likewise
    assert isinstance(read, AccountRead)
    assert (read.truth, desk.got) == (TRUTH, [])
    assert isinstance(other, CommandFailed)
    assert not other.uncertain


# --------------------------------------------------------------------------------- what is answered


@pytest.mark.parametrize(
    ("answer", "end", "size"),
    [
        pytest.param(filled(), OrderEnd.FILLED, "1.5", id="filled"),
        pytest.param(filled("rejected", "0"), OrderEnd.REJECTED, "0", id="rejected"),
        pytest.param(filled("unknown", "0"), OrderEnd.UNKNOWN, "0", id="not known"),
        pytest.param(filled("filled", "0"), OrderEnd.UNKNOWN, "0", id="filled by nothing"),
        pytest.param(filled("rejected", "1"), OrderEnd.UNKNOWN, "0", id="rejected, yet filled"),
        pytest.param(filled("filled", "NaN"), OrderEnd.UNKNOWN, "0", id="no number"),
        pytest.param(filled("filled", "-1"), OrderEnd.UNKNOWN, "0", id="below zero"),
        pytest.param(filled(client_id="b"), OrderEnd.UNKNOWN, "0", id="another order"),
        pytest.param(said(), OrderEnd.UNKNOWN, "0", id="none named"),
    ],
)
async def test_an_order_ends_as_the_desk_says_or_is_unknown(
    answer: dict[str, object], end: OrderEnd, size: str
) -> None:
    """A contradiction, and silence about an order, are no end."""
    for command in (PLACE, RESOLVE):
        async with served(Desk(answer)) as executor:
            fact = await executor.run(command)
        assert isinstance(fact, OrdersAnswered)
        (outcome,) = fact.outcomes
        assert (outcome.client_id, outcome.end) == ("a", end)
        assert outcome.filled_size == Decimal(size)


@pytest.mark.parametrize(
    ("cancels", "gone"),
    [
        pytest.param([{"order_id": "7", "gone": True}], True, id="gone"),
        pytest.param([{"order_id": "7", "gone": False, "detail": "busy"}], False, id="not gone"),
        pytest.param([], False, id="not named"),
    ],
)
async def test_a_cancel_is_gone_only_in_so_many_words(
    cancels: list[dict[str, object]], gone: bool
) -> None:
    """Each one for itself."""
    async with served(Desk(said(cancels=cancels))) as executor:
        fact = await executor.run(CANCEL)
    assert isinstance(fact, CancelsAnswered)
    assert [outcome.gone for outcome in fact.outcomes] == [gone]


async def test_work_in_progress_is_asked_again_with_the_same_id_and_bytes() -> None:
    """Until it is done; the desk does it once."""
    desk = Desk(said("accepted"), said("working"), filled())
    async with served(desk) as executor:
        assert isinstance(await executor.run(PLACE), OrdersAnswered)
    assert len(desk.got) == 3
    assert {body for _, body in desk.got} == {desk.got[0][1]}
    assert {headers["webhook-id"] for headers, _ in desk.got} == {"c1"}
    assert [int(headers["webhook-timestamp"]) for headers, _ in desk.got] == [
        START_NS // SECOND_NS + passed for passed in (0, 1, 2)
    ]


async def test_work_that_does_not_end_is_uncertain() -> None:
    """When the command's time is over."""
    desk = Desk(said("working", reason="queue"))
    async with served(desk) as executor:
        fact = await executor.run(PLACE)
    assert isinstance(fact, CommandFailed)
    assert (fact.uncertain, "queue" in fact.reason, len(desk.got)) == (True, True, 20)


@pytest.mark.parametrize(
    ("answer", "uncertain"),
    [
        pytest.param(said("refused", reason="not today"), False, id="refused in words"),
        pytest.param(web.Response(status=401), False, id="401"),
        pytest.param(web.Response(status=404), False, id="404"),
        pytest.param(
            web.Response(status=307, headers={"Location": "/elsewhere"}),
            False,
            id="redirect",
        ),
        pytest.param(web.Response(status=429), False, id="429"),
        pytest.param(web.Response(status=500), True, id="500"),
        pytest.param(web.Response(status=502), True, id="502"),
        pytest.param(web.Response(status=204), True, id="no content"),
        pytest.param(web.Response(body=b"ok"), True, id="no JSON"),
        pytest.param(web.Response(body=b"[" * 50_000), True, id="nested too deep"),
        pytest.param({"state": "done"}, True, id="no id"),
        pytest.param({"command_id": "c2", "state": "done"}, True, id="another command"),
        pytest.param({"command_id": "c1", "state": "fine"}, True, id="an unknown state"),
        pytest.param(web.Response(body=b" " * (BODY_BYTES_MAX + 1)), True, id="endless"),
        pytest.param(None, True, id="hung up"),
    ],
)
async def test_an_unclear_answer_is_uncertain(answer: object, uncertain: bool) -> None:
    """Only what was certainly not taken is a certain failure."""
    desk = Desk(answer)
    async with served(desk) as executor:
        fact = await executor.run(PLACE)
    assert isinstance(fact, CommandFailed)
    assert fact.uncertain is uncertain
    assert fact.reason


async def test_after_an_unclear_answer_a_refusal_does_not_make_it_certain() -> None:
    """The first attempt may have been taken."""
    async with served(Desk(web.Response(status=500), web.Response(status=404))) as executor:
        fact = await executor.run(PLACE)
    assert isinstance(fact, CommandFailed)
    assert fact.uncertain


async def test_an_unclear_answer_is_asked_about_again() -> None:
    """With the same id, the desk says how it stands."""
    async with served(Desk(web.Response(status=502), None, filled())) as executor:
        assert isinstance(await executor.run(PLACE), OrdersAnswered)


async def test_a_longer_wait_is_honoured() -> None:
    """429 with Retry-After, within the deadline."""
    desk = Desk(web.Response(status=429, headers={"Retry-After": "7"}), filled())
    async with served(desk) as executor:
        assert isinstance(await executor.run(PLACE), OrdersAnswered)
    first, second = (int(headers["webhook-timestamp"]) for headers, _ in desk.got)
    assert second - first == 7


async def test_a_desk_that_cannot_be_reached_got_nothing() -> None:
    """Refused connections are certain."""
    async with served(Desk(filled()), url="http://127.0.0.1:1/orders") as executor:
        fact = await executor.run(PLACE)
    assert isinstance(fact, CommandFailed)
    assert (fact.uncertain, "nothing was sent" in fact.reason) == (False, True)


async def test_an_address_that_may_not_be_reached_is_not_posted_to() -> None:
    """The same policy as for every webhook, by address and by name."""
    for url in (None, "http://localhost:1/orders"):
        desk = Desk(filled())
        more = {} if url is None else {"url": url}
        async with served(desk, allow_loopback=False, **more) as executor:
            fact = await executor.run(PLACE)
        assert isinstance(fact, CommandFailed)
        assert (fact.uncertain, desk.got) == (False, [])


async def test_without_an_answer_the_deadline_ends_it() -> None:
    """In real time, whatever the desk does."""

    class Silent(Desk):
        async def answer(self, request: web.Request) -> web.StreamResponse:
            await asyncio.Event().wait()  # until the server is closed
            raise AssertionError

    async with served(Silent(None), command_deadline_s=0.3) as executor:
        fact = await executor.run(PLACE)
    assert isinstance(fact, CommandFailed)
    assert fact.uncertain


async def test_a_strangers_account_is_not_its_own() -> None:
    """Only what is configured."""
    desk = Desk(filled())
    async with served(desk) as executor:
        assert executor.acts_for("main")
        assert not executor.acts_for("other")
        fact = await executor.run(ReadAccount(**{**COMMON, "account": "other"}))  # type: ignore[arg-type]  # names of texts
    assert isinstance(fact, CommandFailed)
    assert desk.got == []


@pytest.mark.parametrize("keys", [(), (b"",)])
async def test_without_a_secret_there_is_no_such_executor(keys: tuple[bytes, ...]) -> None:
    """An unsigned command is none."""
    async with guarded_session(TargetPolicy()) as session:
        with pytest.raises(ConfigError, match="no secret"):
            DeskExecutor(
                DeskSettings(venue="dydx", accounts=("main",)),
                url="https://desk.example",
                keys=keys,
                session=session,
                targets=TargetPolicy(),
                truth=lambda venue, account: None,
                clock=ManualClock(),
            )
