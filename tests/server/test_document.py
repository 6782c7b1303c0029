"""The state document: our number beside the venue's, absent with its reason, never a zero."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from monitor.core import events as e
from monitor.core.formulas.attribution import Doubt
from monitor.core.types import SECOND_NS, MarketStatus
from monitor.server.document import measures_document, state_document, unseen_accounts
from tests.server.desk import KILL, NOW, TIER, VENUE, Daemon, engine_of, seen_events


def document(*extra: e.Event, now: int = NOW, alerts: list[Any] | None = None) -> dict[str, Any]:
    """The document after the usual events and some more."""
    engine = engine_of(*seen_events(), *extra)
    engine.evaluate(now)
    made = state_document(engine, Daemon(), alerts=alerts or [], channels=[], kill=KILL, now=now)
    assert orjson.dumps(made)
    return made


def account(made: dict[str, Any], name: str) -> dict[str, Any]:
    """One account of a document."""
    return next(row for row in made["accounts"] if row["account"] == name)


def row(found: dict[str, Any], label: str) -> dict[str, Any]:
    """One line of an account."""
    return next(line for line in found["rows"] if line["label"] == label)


def test_our_number_stands_beside_the_venues_own() -> None:
    """With the difference between them, where ours is not what the venue said; its parts are ours
    in either case."""
    found = account(document(), "main")
    equity = row(found, "equity")
    assert equity["ours"]["value"] == 50_000.25
    assert equity["venue"]["value"] == 50_000.25
    assert "difference" not in equity
    assert row(found, "equity off its parts")["measure"] == "equity_difference_ratio"
    engine = engine_of(*seen_events())
    engine.state.venues[VENUE].oracle_margined = True
    engine.apply(
        e.AccountReported(
            venue=VENUE,
            channel="x",
            account="main",
            source="rest",
            equity_usd=Decimal(50000),
            cash_usd=Decimal(50010),
        ),
        NOW,
    )
    made = state_document(engine, Daemon(), alerts=[], channels=[], kill=KILL, now=NOW)
    computed = row(account(made, "main"), "equity")
    assert computed["difference"] == computed["ours"]["value"] - 50_000.0


def test_a_dark_account_is_unknown_with_a_reason() -> None:
    """Never zero, and it makes the verdict blind."""
    made = document()
    dark = account(made, "dark")
    assert row(dark, "equity")["ours"]["value"] is None
    assert "never" in row(dark, "equity")["ours"]["reason"]
    assert dark["note"].startswith("equity unknown")
    assert dark["note"].endswith("; never seen")
    assert dark["seen_s"] is None
    assert not dark["positions_known"]
    assert made["safe"]["verdict"] == "blind"
    assert f"{VENUE}/dark" in made["safe"]["text"]


def test_an_account_that_went_dark_says_when_it_was_seen() -> None:
    """How old the last word is decides what one does next."""
    assert account(document(), "main")["note"] == ""
    gone = account(document(now=NOW + 600 * SECOND_NS), "main")
    assert gone["seen_s"] >= 600.0
    assert gone["note"].startswith("equity unknown: ")
    assert gone["note"].endswith("; last seen 10 min ago")


def test_a_suspect_equity_is_said_beside_it() -> None:
    """How much, since when: until that is explained no drawdown of it cuts."""
    engine = engine_of(*seen_events())
    ledger = engine.state.venues[VENUE].accounts["main"].ledger
    ledger.attribution, ledger.doubt = None, Doubt(-12_000.0, NOW - 95 * SECOND_NS)
    made = state_document(engine, Daemon(), alerts=[], channels=[], kill=KILL, now=NOW)
    assert account(made, "main")["note"] == (
        "equity is suspect: lost 12,000 USD 95 s ago that no price, fill, funding or transfer "
        "explains"
    )


def test_markets_beyond_the_limit_are_counted() -> None:
    """riskd does not follow them, and says so."""
    engine = engine_of(*seen_events())
    engine.evaluate(NOW)
    assert engine.state.venues[VENUE].markets_ignored == 0
    engine.state.venues[VENUE].markets_ignored = 3
    made = state_document(engine, Daemon(), alerts=[], channels=[], kill=KILL, now=NOW)
    assert made["markets_ignored"] == {VENUE: 3}
    assert document()["markets_ignored"] == {}


def test_a_critical_alert_is_danger_even_when_something_is_dark() -> None:
    """The worst is said first."""
    alert = {"severity": "critical", "summary": "Margin usage is critical"}
    made = document(alerts=[alert])
    assert made["safe"] == {"verdict": "danger", "text": "Margin usage is critical"}


def test_old_data_becomes_unknown_and_not_its_last_value() -> None:
    """Two minutes of silence take every number of the account away."""
    made = document(now=NOW + 120 * SECOND_NS)
    found = account(made, "main")
    assert row(found, "equity")["ours"]["value"] is None
    assert found["positions"][0]["notional"]["value"] is None
    assert any(feed["state"] == "old" for feed in made["feeds"])


def test_positions_keep_the_venues_digits() -> None:
    """Sizes are text, exactly as the venue wrote them."""
    position = account(document(), "main")["positions"][0]
    assert position["size"] == "1"
    assert position["notional"]["value"] == 100_000.0
    assert position["venue_liquidation_price"]["value"] == 50_627.6


def test_the_nearest_liquidation_may_be_of_all_markets_together() -> None:
    """Two longs under one cushion: neither market alone comes as near as both. Of one position the
    two moves are the same, and it is named."""
    nearest = document()["nearest_liquidation"]
    assert nearest["market"] == "BTC"
    truth = f"{VENUE}/rest.clearinghouseState/main"
    meta, ctx = f"{VENUE}/rest.meta", f"{VENUE}/activeAssetCtx/ETH"
    made = document(
        e.MarketListed(
            venue=VENUE, channel=meta, market="ETH", asset="ETH", status=MarketStatus.ACTIVE,
            has_mark=True, funding_interval_s=3600, margin_tiers=(TIER,),
        ),
        e.MarketContextSeen(venue=VENUE, channel=ctx, market="ETH", mark_price=1_000.0),
        e.PositionsReported(
            venue=VENUE, channel=truth, account="main", source="truth", complete=False,
            positions=(e.PositionReport(market="ETH", size=Decimal(100)),),
        ),
    )  # fmt: skip
    joint = made["nearest_liquidation"]
    assert (joint["account"], joint["market"]) == ("main", "all markets together")
    (row_,) = [r for r in account(made, "main")["rows"] if r["label"] == "nearest liquidation"]
    assert joint["distance"] == row_["ours"]["value"]
    positions = account(made, "main")["positions"]
    assert joint["distance"] < 0.6 * min(one["distance"]["value"] for one in positions)


@pytest.mark.parametrize(
    ("in_s", "shown"), [(0.001, 0.001), (1800.0, 1800.0), (0.0, None), (-5.0, None), (None, None)]
)
def test_the_next_funding_is_counted_down(in_s: float | None, shown: float | None) -> None:
    """As announced; a time that has passed says nothing about the next."""
    at = None if in_s is None else NOW + round(in_s * SECOND_NS)
    made = document(
        e.MarketContextSeen(
            venue=VENUE,
            channel=f"{VENUE}/activeAssetCtx/BTC",
            market="BTC",
            next_funding_time_ns=at,
        )
    )
    assert account(made, "main")["positions"][0]["funding_next_s"] == shown


def test_a_feed_speaks_as_often_as_its_slowest_channel() -> None:
    """Its age is that of the oldest channel: the two are read side by side."""
    made = document(
        *(
            e.ChannelOpened(
                venue=VENUE, channel=f"{VENUE}/rest.past/{kind}", feed="rest.past", cadence_s=often
            )
            for kind, often in (("page", 10.0), ("month", 900.0), ("hour", 60.0))
        )
    )
    found = next(one for one in made["feeds"] if one["feed"] == "rest.past")
    assert (found["channels"], found["cadence_s"]) == (3, 900.0)


def test_a_lost_feed_says_why() -> None:
    """The reason is the venue's or the network's own."""
    lost = e.FeedLost(
        venue=VENUE,
        channel=f"{VENUE}/market-1",
        feed="market-1",
        reason="it refused the connection",
        retry_s=1.0,
    )
    feed = next(one for one in document(lost)["feeds"] if one["feed"] == "market-1")
    assert (feed["state"], feed["reason"]) == ("lost", "it refused the connection")


def test_unwatched_pools_are_named() -> None:
    """Money that nobody looks at is said, not silently left out."""
    found = e.AccountDiscovered(
        venue=VENUE, channel="x", account="main.vault", parent="main", kind="vault", watched=False
    )
    made = document(found)
    assert made["unwatched"] == [
        {"venue": VENUE, "account": "main.vault", "kind": "vault", "parent": "main"}
    ]
    assert [a["account"] for a in made["accounts"]] == ["main", "dark"]


def test_measures_are_filtered_by_words_and_bounded() -> None:
    """A page asks for what it shows and no more."""
    engine = engine_of(*seen_events())
    few = measures_document(engine, "equity_usd ACCOUNT:", NOW)
    assert {m["subject"] for m in few["measures"]} == {
        "account:hyperliquid/main",
        "account:hyperliquid/dark",
    }
    bounded = measures_document(engine, "", NOW, limit=5)
    assert len(bounded["measures"]) == 5
    assert bounded["total"] > 5


def test_readiness_lists_the_unseen() -> None:
    """Who is missing and why."""
    assert list(unseen_accounts(engine_of(*seen_events()), NOW)) == [f"{VENUE}/dark"]


def test_rules_name_where_their_runbook_is_read() -> None:
    """Ours are served here; a page that nobody ships is no link."""
    pages = {one["id"]: one["runbook"] for one in document()["rules"]}
    assert pages == {"margin_high": "/runbooks/margin_usage_high", "feed_quiet": ""}
