"""News flags, reviews, a rulebook that loosens: by socket and signed HTTP, over restarts."""

from __future__ import annotations

import asyncio
import os

import pytest

from monitor.core.operator import OperatorRequest, Verb
from monitor.core.ports import Phase
from monitor.core.types import PORTFOLIO, bucket_subject
from tests.killpath.rig import Desk, Rig, run
from tests.killpath.test_doors import post

NEWS = """\
- {id: news, for_each: portfolio, summary: News, when: news_flag > 0.5, severity: warning}
"""
TIGHT = """\
- id: exposed
  for_each: venue
  summary: Too much is held
  when: gross_exposure_usd >= 900000000.0
  until: gross_exposure_usd <= 550000.0
  severity: high
  do: {level: block_new}
"""
LOOSE = TIGHT.replace("900000000.0", "990000000.0")
TIGHTER = TIGHT.replace("900000000.0", "800000000.0")
FILE = "flags:\n- {name: unlock, scope: portfolio, begins: 2026-09-01, expires: 2026-09-22}\n"


def limit(rig: Rig) -> float:
    """The threshold in force."""
    rule = rig.daemon.engine.rulebook.get("exposed")
    assert rule is not None
    assert rule.when is not None
    return rule.when.comparisons[0].limit


def flag(rig: Rig) -> float:
    """The portfolio's measure now."""
    reading = rig.daemon.engine.reading("news_flag", PORTFOLIO, rig.clock.now())
    assert reading is not None
    return reading.value


def test_an_answer_comes_once_it_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies right after it leaves the flag, the review and who it was of both."""

    async def story(rig: Rig) -> None:
        store = rig.daemon.store
        persist = store.persist

        async def slowly(phase: Phase) -> None:
            await asyncio.sleep(0.2)
            await persist(phase)

        monkeypatch.setattr(store, "persist", slowly)
        await rig.ask(Verb.FLAG_SET, flag="us-cpi", lasts_s=130.0, reason="US CPI")
        assert "flag_set" in rig.actions()
        await rig.ask(Verb.FLAG_CLEAR, flag="us-cpi", reason="out")
        assert "flag_cleared" in rig.actions()
        await rig.ask(Verb.REVIEWED, bucket="hedges", reason="all well")
        assert "bucket_reviewed" in rig.actions()

    accounts = {"accounts": ["hyperliquid/main"]}
    buckets = [{"name": "hedges", "target": 1.0, "review_days": 1.0, **accounts}]
    run(story, Desk(more={"structure": {"buckets": buckets}}))


def test_flags_of_people_and_of_a_file() -> None:
    """Set over the socket and by signed HTTP, listed, kept over ``kill -9``, cleared or fallen, on
    record; a wrong edit of the file keeps the last good list."""

    def write(rig: Rig, text: str, second: int) -> None:
        path = rig.folder / "news.yaml"
        path.write_text(text)
        os.utime(path, (second, second))  # two edits within the clock's step are two edits

    async def story(rig: Rig) -> None:
        assert flag(rig) == 1.0
        write(rig, "flags: [{name: UNLOCK}]", 2)
        await rig.passes(6)
        assert flag(rig) == 1.0
        write(rig, "flags: []", 3)
        await rig.passes(6)
        assert flag(rig) == 0.0

        assert not (await rig.ask(Verb.FLAG_CLEAR, flag="us-cpi")).done
        refused = await rig.ask(Verb.FLAG_SET, flag="us-cpi", reason="x")
        assert "needs an expiry" in refused.text
        refused = await rig.ask(
            Verb.FLAG_SET, flag="us-cpi", reason="x", lasts_s=60.0, scope="market:dydx/BTC-USD"
        )
        assert "Allowed: portfolio, asset:X, venue:V." in refused.text
        answer = await rig.ask(Verb.FLAG_SET, flag="us-cpi", lasts_s=130.0, reason="US CPI")
        assert answer.text.startswith("Set: us-cpi of portfolio, up for 2.17 min more (US CPI), by")
        await rig.until(lambda: len(rig.pages("News")) == 2)  # the file's, and this one
        assert "news flag: us-cpi (US CPI, 2 min left)" in rig.pages("News")[1].summary
        request = OperatorRequest(
            id="feed-1", verb=Verb.FLAG_SET, flag="hack", lasts_s=600.0, reason="bridge drained"
        )
        status, body = await post(rig, request)
        assert (status, b"by risk. It falls by itself." in body) == (200, True)

        await rig.kill_process()
        write(rig, "flags: []", 4)
        await rig.start()
        assert flag(rig) == 1.0
        listed = (await rig.ask(Verb.FLAGS)).text.splitlines()
        assert [line.partition(" ")[0] for line in listed] == ["us-cpi", "hack"]
        assert (await rig.ask(Verb.FLAG_CLEAR, flag="hack", reason="no")).done
        assert flag(rig) == 1.0
        await rig.passes(140)
        assert flag(rig) == 0.0
        assert (await rig.ask(Verb.FLAGS)).text == "No news flag is set."
        actions = [one for one in rig.actions() if one.startswith("flag_")]
        assert actions == ["flag_set", "flag_set", "flag_cleared"]

    run(
        story,
        Desk(rules=NEWS, more={"news_flags_file": "news.yaml"}),
        before=lambda rig: write(rig, FILE, 1),
    )


def test_a_review_is_on_record_over_a_restart() -> None:
    """A word over the socket ends the rule, and `kill -9` does not unsay it."""
    late = "- {id: late, for_each: bucket, summary: Late, severity: warning, when: "
    rules = f"{late}bucket_review_overdue_ratio > 1.25}}\n"
    accounts = {"accounts": ["hyperliquid/main"]}
    minute = 1.0 / 1440.0
    buckets = [{"name": "hedges", "target": 1.0, "review_days": minute, **accounts}]

    async def story(rig: Rig) -> None:
        await rig.passes(140)  # the clock of a review is looked at by the minute
        await rig.until(lambda: len(rig.pages("Late")) == 1)
        assert "never reviewed" in (await rig.ask(Verb.REVIEWED)).text
        assert not (await rig.ask(Verb.REVIEWED, bucket="hedge", reason="x")).done
        answer = await rig.ask(Verb.REVIEWED, bucket="hedges", reason="all of it")
        assert answer.done
        assert answer.kept
        assert "bucket_reviewed" in rig.actions()
        await rig.kill_process()
        await rig.start()
        assert "(all of it)" in (await rig.ask(Verb.REVIEWED)).text
        reading = rig.daemon.engine.reading(
            "bucket_review_overdue_ratio", bucket_subject("hedges"), rig.clock.now()
        )
        assert reading is not None
        assert reading.value < 1.25
        assert [one for one in rig.actions() if one == "bucket_reviewed"] == ["bucket_reviewed"]

    run(story, Desk(rules=rules, more={"structure": {"buckets": buckets}}))


def reload(rig: Rig, text: str) -> str:
    """As SIGHUP after an edit; the id of what then waits, or nothing."""
    (rig.folder / "rules.yaml").write_text(text)
    assert rig.daemon.reload_rules()
    waiting = rig.daemon.desk.approval.waiting
    return "" if waiting is None else waiting.id


def test_a_reload_that_loosens_waits_for_a_person() -> None:
    """The old rules stay, people are told, and the page ends with the approval. What tightens
    needs nobody, and ends the waiting."""

    async def story(rig: Rig) -> None:
        assert reload(rig, TIGHTER) == ""
        await rig.until(lambda: limit(rig) == 800_000_000.0)
        assert (await rig.ask(Verb.APPROVE_RULES)).text == "No rulebook waits for an approval."

        number = reload(rig, LOOSE)
        await rig.until(lambda: rig.pages("RulebookWaiting"))
        assert limit(rig) == 800_000_000.0
        assert "exposed may fire later" in (await rig.ask(Verb.APPROVE_RULES)).text
        assert not (await rig.ask(Verb.APPROVE_RULES, proposal="other", reason="x")).done
        assert not (await rig.ask(Verb.APPROVE_RULES, proposal=number)).done
        assert limit(rig) == 800_000_000.0
        assert reload(rig, TIGHTER) == ""
        await rig.passes(2)
        assert reload(rig, LOOSE) == number
        await rig.passes(2)
        assert (await rig.ask(Verb.APPROVE_RULES, proposal=number, reason="agreed")).done
        await rig.until(lambda: limit(rig) == 990_000_000.0)
        waiting = [one for one in rig.told if one.alert == "RulebookWaiting"]
        await rig.until(lambda: not rig.told[-1].firing)
        assert rig.told[-1].key == waiting[0].key
        actions = [one for one in rig.actions() if one.startswith("rules_")]
        assert actions == ["rules_waiting", "rules_waiting", "rules_approved"]

    run(story, Desk(rules=TIGHT, acting=("exposed",)))


def test_with_two_principals_the_host_does_not_approve_itself() -> None:
    """Who reloaded is somebody on the host, and all of them are one."""

    async def story(rig: Rig) -> None:
        number = reload(rig, LOOSE)
        refused = await rig.ask(Verb.APPROVE_RULES, proposal=number, reason="me again")
        assert "a second person must approve" in refused.text
        assert limit(rig) == 900_000_000.0
        request = OperatorRequest(
            id="http-9", verb=Verb.APPROVE_RULES, proposal=number, reason="agreed"
        )
        assert (await post(rig, request))[0] == 200
        await rig.until(lambda: limit(rig) == 990_000_000.0)

    run(story, Desk(rules=TIGHT, acting=("exposed",), kill={"second_principal": True}))


def test_a_rule_that_only_pages_is_the_desks_own_business() -> None:
    """Nothing waits where nothing acts."""

    async def story(rig: Rig) -> None:
        assert reload(rig, LOOSE) == ""
        await rig.until(lambda: limit(rig) == 990_000_000.0)

    run(story, Desk(rules=TIGHT))
