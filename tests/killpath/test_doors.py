"""Every way to pull, and the way back: who is believed, what is asked twice, what sends nothing."""

from __future__ import annotations

import asyncio
import os
import time

import aiohttp
import msgspec
import pytest

from monitor.core.kill_file import KILL_FILE_NAME
from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.state import Stage
from monitor.core.operator import OperatorAnswer, OperatorRequest, Verb
from monitor.core.signatures import sign
from tests.killpath.rig import (
    HL_SCOPE,
    OPERATOR_KEY,
    OPERATOR_SECRET,
    PORTFOLIO,
    Desk,
    Rig,
    nonce_in,
    run,
)

EXPOSED = """\
- id: exposed
  for_each: venue
  summary: Too much is held
  when: gross_exposure_usd >= 600000.0
  confirm: {need: 2, of: 2, apart: 20s}
  until: gross_exposure_usd <= 550000.0
  severity: critical
  do: {level: cut, gross_to: 0.70}
  scope: venue
"""
PULL = OperatorRequest(
    id="http-1",
    verb=Verb.KILL,
    scope=str(HL_SCOPE),
    level="cut",
    gross_to_ratio=0.7,
    reason="by phone",
)


async def post(
    rig: Rig,
    request: OperatorRequest,
    *,
    key: bytes = OPERATOR_KEY,
    age_s: int = 0,
    altered: bytes = b"",
) -> tuple[int, bytes]:
    """A signed command; status and body of the answer."""
    body = msgspec.json.encode(request)
    stamp = int(time.time()) - age_s
    headers = {
        "webhook-id": request.id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign(key, request.id, stamp, body),
    }
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{rig.daemon.url}/v1/commands", data=altered or body, headers=headers) as got,
    ):
        return got.status, await got.read()


def test_signed_http_is_believed_once_and_nothing_else_is() -> None:
    """Wrong key, old or future timestamp, altered body, replay: refused, counted, nothing done."""

    async def story(rig: Rig) -> None:
        other = bytes(reversed(OPERATOR_KEY))
        louder = msgspec.json.encode(replace_(PULL, level="flatten", gross_to_ratio=None))
        assert (await post(rig, PULL, key=other))[0] == 401
        assert (await post(rig, PULL, age_s=600))[0] == 401
        assert (await post(rig, PULL, age_s=-600))[0] == 401
        assert (await post(rig, PULL, altered=louder))[0] == 401
        assert not rig.latches
        assert rig.main.requests_used == rig.requests_before
        assert rig.daemon.doors.commands is not None
        counted = rig.daemon.doors.commands.rejected
        assert (counted["signature"], counted["timestamp"]) == (2, 2)

        rig.remember()
        status, body = await post(rig, PULL)
        assert status == 200, body
        await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        causes = rig.latches[HL_SCOPE].causes
        assert [one.actor for one in causes] == ["person:risk"]
        assert (await post(rig, PULL))[0] == 401, "a replay"
        assert counted["replayed"] == 1
        assert len(rig.latches[HL_SCOPE].causes) == 1

    run(story)


def replace_(request: OperatorRequest, **changes: object) -> OperatorRequest:
    """The same request but for that."""
    return msgspec.structs.replace(request, **changes)


def leave_kill_file(rig: Rig, content: bytes) -> None:
    """Written some seconds ago by the wall's clock: a younger one may still be being written."""
    path = rig.data / KILL_FILE_NAME
    path.write_bytes(content)
    written_s = time.time() - 5.0
    os.utime(path, (written_s, written_s))


def test_the_command_line_works_while_http_is_down() -> None:
    """It comes by a socket of its own."""

    async def story(rig: Rig) -> None:
        await rig.daemon.server.close()
        assert (await rig.pull()).done
        await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        assert (await rig.rearm()).done

    run(story)


@pytest.mark.parametrize(
    ("content", "level"),
    [
        pytest.param(b"", Level.HALT, id="touched"),
        pytest.param(b'{"level": "reduce_only", "reason": "desk"}', Level.REDUCE_ONLY, id="asked"),
        pytest.param(b"flaten the bok!", Level.HALT, id="not-understood"),
    ],
)
def test_a_kill_file_is_enforced_while_running(content: bytes, level: Level) -> None:
    """Within seconds, once, and as long as it lies there nobody can re-arm."""

    async def story(rig: Rig) -> None:
        leave_kill_file(rig, content)
        await rig.until(lambda: rig.latches, within_s=3.0)
        latch = rig.latches[PORTFOLIO]
        assert latch.level is level
        await rig.until(lambda: rig.stage(PORTFOLIO) is Stage.CONTAINED)
        await rig.passes(5.0)
        assert len(latch.causes) == 1
        refused = await rig.ask(Verb.REARM)
        assert not refused.done
        assert KILL_FILE_NAME in refused.text
        (rig.data / KILL_FILE_NAME).unlink()
        assert (await rig.rearm(PORTFOLIO)).done

    run(story)


def test_a_kill_file_from_before_the_start_is_enforced_before_anything_connects() -> None:
    """What was asked of nobody is asked of the next one."""

    async def story(rig: Rig) -> None:
        await rig.stop()
        leave_kill_file(rig, b"")
        starting = rig.new_daemon()
        task = asyncio.create_task(rig.start(starting))
        while not task.done():
            await asyncio.sleep(0)
            assert not starting.drivers or starting.kill.machine.state.latches, "unlatched feeds"
        await task
        assert rig.latches[PORTFOLIO].level is Level.HALT
        await rig.until(lambda: rig.stage(PORTFOLIO) is Stage.CONTAINED)
        assert [one for one in rig.orders() if one.trigger_price is None] == []

    run(story)


def test_a_plan_shows_and_sends_nothing() -> None:
    """Orders with limits and cost, and not one request to act nor one signature."""

    async def story(rig: Rig) -> None:
        assert rig.signer is not None
        answer = await rig.ask(Verb.PLAN, scope=str(HL_SCOPE), gross_to_ratio=0.7)
        assert answer.done
        assert "Nothing is sent" in answer.text
        assert "ETH" in answer.text
        await rig.passes(3.0)
        assert rig.main.requests_used == rig.requests_before
        assert not rig.signer.signed
        assert not rig.latches

    run(story)


@pytest.mark.parametrize(
    "goal", ["0.70", "initial_margin_usd"], ids=["a share", "an amount of then"]
)
def test_a_proposal_waits_for_a_person(goal: str) -> None:
    """A rule in propose shows its plan; nothing happens until somebody approves it, once."""

    async def story(rig: Rig) -> None:
        proposals = rig.daemon.kill.machine.state.proposals
        await rig.until(lambda: rig.daemon.kill.machine.state.proposals, within_s=60.0)
        await rig.passes(5.0)
        assert rig.main.requests_used == rig.requests_before
        assert not rig.latches
        (page,) = rig.pages("KillSwitchProposed")  # the rule's own page may say the word as well
        proposals = rig.daemon.kill.machine.state.proposals
        name = next(iter(proposals))
        assert name in page.summary + page.description, page
        rig.remember()
        wrong = await rig.ask(Verb.APPROVE, proposal="no-such", reason="typing")
        assert not wrong.done
        answer = await rig.ask(Verb.APPROVE, proposal=name, reason="agreed")
        assert answer.done, answer
        await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        again = await rig.ask(Verb.APPROVE, proposal=name, reason="twice")
        assert not again.done

    run(story, Desk(rules=EXPOSED.replace("0.70", goal), proposing=("exposed",)))


def test_a_proposal_that_nobody_approves_expires() -> None:
    """And one that is refused is gone at once."""

    async def story(rig: Rig) -> None:
        await rig.until(lambda: rig.daemon.kill.machine.state.proposals, within_s=60.0)
        name = next(iter(rig.daemon.kill.machine.state.proposals))
        await rig.passes(31.0)
        answer = await rig.ask(Verb.APPROVE, proposal=name, reason="too late")
        assert not answer.done
        assert not rig.latches
        assert rig.main.requests_used == rig.requests_before

    run(story, Desk(rules=EXPOSED, proposing=("exposed",), kill={"proposal_ttl_s": 30.0}))


def test_observe_records_and_cannot_send() -> None:
    """There is no signer and no executor; a person is told what would have been done."""

    async def story(rig: Rig) -> None:
        await rig.until(lambda: "would_have" in rig.actions(), within_s=60.0)
        answer = await rig.pull()
        await rig.passes(5.0)
        assert not rig.daemon.executors
        assert not rig.latches
        assert rig.trading()["state"] == "ACTIVE"
        assert rig.main.requests_used == rig.requests_before
        assert isinstance(answer, OperatorAnswer)

    run(story, Desk(mode="observe", signer=False, rules=EXPOSED))


def test_two_principals_are_two_people() -> None:
    """Where a second one is required, who asked cannot confirm; the other can, with a reason."""

    async def story(rig: Rig) -> None:
        await rig.pull("reduce_only")
        await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        offer = await rig.ask(Verb.REARM, scope=str(HL_SCOPE))
        nonce = nonce_in(offer)
        same = await rig.ask(Verb.CONFIRM, nonce=nonce, reason="me again")
        assert not same.done
        assert rig.latches
        wrong = OperatorRequest(id="http-2", verb=Verb.CONFIRM, nonce="guess", reason="guess")
        status, body = await post(rig, wrong)
        assert status == 409, "believed, and refused"
        assert not msgspec.json.decode(body, type=OperatorAnswer).done
        right = OperatorRequest(id="http-3", verb=Verb.CONFIRM, nonce=nonce, reason="I looked")
        status, body = await post(rig, right)
        assert msgspec.json.decode(body, type=OperatorAnswer).done, body
        assert rig.stage() is Stage.ARMED

    run(story, Desk(kill={"second_principal": True}))


def test_an_operator_uses_what_the_configuration_lists_and_nothing_else() -> None:
    """May kill and confirm: what it may not is refused, recorded and changes nothing; the host, who
    is one principal whoever types, may ask, and then the two have agreed."""

    async def story(rig: Rig) -> None:
        def asks(verb: Verb, **fields: object) -> OperatorRequest:
            return OperatorRequest(id=f"http-{verb}", verb=verb, **fields)  # type: ignore[arg-type]

        rig.remember()
        assert (await post(rig, PULL))[0] == 200
        await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        for refused in (
            asks(Verb.REARM, scope=str(HL_SCOPE)),
            asks(Verb.REBASELINE, reason="money came in"),
            asks(Verb.APPROVE, proposal="p-1"),
        ):
            status, body = await post(rig, refused)
            assert status == 409, body
            assert "risk may not use" in msgspec.json.decode(body, type=OperatorAnswer).text
        await rig.until(lambda: rig.actions().count("command_refused") == 3)
        assert "rebaselined" not in rig.actions()
        assert (await post(rig, asks(Verb.PLAN, gross_to_ratio=0.5)))[0] == 200, "only shows"

        offer = await rig.ask(Verb.REARM, scope=str(HL_SCOPE))
        status, body = await post(rig, asks(Verb.CONFIRM, nonce=nonce_in(offer), reason="I looked"))
        assert status == 200, body
        assert rig.stage() is Stage.ARMED

    may = ["kill", "rearm-confirm"]
    operator = {"name": "risk", "secret_env": OPERATOR_SECRET, "may": may}
    run(story, Desk(kill={"second_principal": True}, more={"operators": [operator]}))


def test_an_offer_to_re_arm_lives_two_minutes() -> None:
    """Later it is refused, and everything stays latched."""

    async def story(rig: Rig) -> None:
        await rig.pull("reduce_only")
        await rig.until(lambda: rig.stage() is Stage.CONTAINED)
        offer = await rig.ask(Verb.REARM, scope=str(HL_SCOPE))
        await rig.passes(121.0)
        late = await rig.ask(Verb.CONFIRM, nonce=nonce_in(offer), reason="late")
        assert not late.done
        assert rig.latches

    run(story)


def test_rebaseline_is_on_record() -> None:
    """Drawdown is measured from now on; who said so and why is in the audit."""

    async def story(rig: Rig) -> None:
        answer = await rig.ask(Verb.REBASELINE, scope=str(PORTFOLIO), reason="money came in")
        assert answer.done
        await rig.until(lambda: "rebaselined" in rig.actions())
        entry = next(one for one in rig.audit() if one.action == "rebaselined")
        assert entry.reason == "money came in"
        assert entry.actor.startswith("person:")

    run(story)


def test_rebaseline_takes_two_people_where_the_desk_says_so() -> None:
    """Who asked cannot confirm, nor can a guess; the other can, and both are on record."""

    async def story(rig: Rig) -> None:
        def confirm(nonce: str, number: int) -> OperatorRequest:
            return OperatorRequest(
                id=f"http-{number}", verb=Verb.REBASELINE, nonce=nonce, reason="agreed"
            )

        offer = await rig.ask(Verb.REBASELINE, scope=str(PORTFOLIO), reason="accepted")
        assert offer.done
        assert "rebaselined" not in rig.actions()
        same = await rig.ask(Verb.REBASELINE, nonce=nonce_in(offer), reason="me again")
        assert not same.done
        assert "second person" in same.text
        assert (await post(rig, confirm("guess", 1)))[0] == 409
        assert "rebaselined" not in rig.actions()
        status, body = await post(rig, confirm(nonce_in(offer), 2))
        assert status == 200, body
        await rig.until(lambda: "rebaselined" in rig.actions())
        entry = next(one for one in rig.audit() if one.action == "rebaselined")
        assert entry.reason == "accepted (asked by host); agreed"
        assert rig.actions().count("rebaseline_refused") == 2
        again = await post(rig, confirm(nonce_in(offer), 3))
        assert again[0] == 409, "once"
        late = await rig.ask(Verb.REBASELINE, id="late", scope=str(PORTFOLIO), reason="accepted")
        await rig.passes(121.0)
        assert (await post(rig, confirm(nonce_in(late), 4)))[0] == 409

    run(story, Desk(kill={"second_principal": True}))
