"""Settings, limits and budget of the composed venue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from monitor.core.errors import ConfigError
from monitor.core.types import SECOND_NS
from monitor.venues import hyperliquid
from monitor.venues.hyperliquid.endpoints import BUDGET, info_request, request_weight
from monitor.venues.hyperliquid.knowledge import SendBudget
from monitor.venues.hyperliquid.settings import HyperliquidSettings
from tests.venues.hyperliquid.helpers import ADDRESS, NOW, asked, make_venue


def accounts(count: int) -> list[dict[str, str]]:
    """Some accounts."""
    return [{"alias": f"a{n}", "address": f"0x{n + 1:040x}"} for n in range(count)]


def weight_per_minute(venue: Any) -> float:
    """What the periodic re-reads cost a minute, first pages only."""
    total = 0.0
    for poll in venue.polls():
        requests = 1
        account = venue.knowledge.account_named(poll.key)
        if poll.kind in {"clearinghouseState", "frontendOpenOrders"}:
            requests = len(account.dexes)
        elif poll.kind == "metaAndAssetCtxs":
            requests = len(venue.knowledge.followed) + 1
        elif poll.kind == "userAbstraction":
            requests = 3
        total += request_weight(poll.kind) * requests * 60 / poll.period_s
    return total


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        pytest.param({"accounts": [{"alias": "m", "address": "0x12"}]}, "40 hex", id="short"),
        pytest.param(
            {"accounts": [{"alias": "m", "address": "0x" + "g" * 40}]}, "40 hex", id="no hex digit"
        ),
        pytest.param({"accounts": [{"alias": "m", "address": ADDRESS[2:]}]}, "40 hex", id="no 0x"),
        pytest.param(
            {"accounts": [{"alias": "Main", "address": ADDRESS}]}, "small letters", id="alias"
        ),
        pytest.param(
            {
                "accounts": [
                    {"alias": "a", "address": ADDRESS},
                    {"alias": "b", "address": ADDRESS.upper().replace("0X", "0x")},
                ]
            },
            "same address",
            id="one address twice",
        ),
        pytest.param(
            {
                "accounts": [
                    {"alias": "a", "address": ADDRESS},
                    {"alias": "a", "address": "0x" + "1" * 40},
                ]
            },
            "same alias",
            id="one alias twice",
        ),
        pytest.param({"accounts": accounts(10)}, "10 accounts need", id="too many connections"),
        pytest.param({"network": "mainet"}, "mainnet", id="unknown network"),
        pytest.param({"rest_url": "ftp://x"}, "http", id="rest_url"),
        pytest.param({"ws_url": "http://x"}, "ws://", id="ws_url"),
        pytest.param({"polls": {"positions_s": 0}}, "greater than 0", id="period of zero"),
        pytest.param({"unheard": 1}, "Extra inputs", id="unknown field"),
        pytest.param({"markets": "everything"}, "majors", id="markets"),
        pytest.param({"depth_band_ratio": 0.2}, "less than 0.2", id="band"),
    ],
)
def test_mistakes_in_the_settings(settings: dict[str, Any], says: str) -> None:
    """Each refused with what would be right."""
    with pytest.raises(ValidationError, match=says):
        HyperliquidSettings.model_validate(settings)


def test_settings_that_are_right() -> None:
    """Nine accounts fit; addresses are kept in lower case; URLs follow the network."""
    settings = HyperliquidSettings.model_validate({"accounts": accounts(9), "network": "testnet"})
    assert settings.info_url == "https://api.hyperliquid-testnet.xyz/info"
    assert settings.socket_url == "wss://api.hyperliquid-testnet.xyz/ws"
    own = HyperliquidSettings.model_validate(
        {"rest_url": "http://127.0.0.1:9/", "ws_url": "ws://127.0.0.1:9/ws"}
    )
    assert own.info_url == "http://127.0.0.1:9/info"
    assert own.socket_url == "ws://127.0.0.1:9/ws"


def test_nine_accounts_take_ten_connections() -> None:
    """One is the market's."""
    venue = make_venue(accounts=accounts(9))
    assert len(venue.streams()) == 10
    names = [stream.name for stream in venue.streams()]
    assert len(set(names)) == 10


@pytest.mark.parametrize(
    ("markets", "watched"),
    [
        pytest.param("held", (), id="held alone"),
        pytest.param("majors", ("BTC", "ETH", "HYPE"), id="majors that the venue lists"),
        pytest.param(["HYPE"], ("HYPE",), id="a list"),
    ],
)
def test_watched_markets(markets: Any, watched: tuple[str, ...]) -> None:
    """SOL is not listed by the test's venue, and is not asked for."""
    venue = make_venue(markets=markets)
    venue.streams()
    assert venue.knowledge.watchlist.coins() == watched


def test_names_that_do_not_exist_are_refused_all_at_once() -> None:
    """With the nearest name of each."""
    venue = make_venue(markets=["BTCC", "ETH"], dexes=["xyzz"])
    with pytest.raises(ConfigError) as caught:
        venue.streams()
    text = str(caught.value)
    assert "'BTCC' is not a market" in text
    assert "Did you mean 'BTC'?" in text
    assert "'xyzz' is not a perp dex" in text
    assert "Did you mean 'xyz'?" in text


@pytest.mark.parametrize(
    ("kind", "rows", "weight"),
    [
        pytest.param("clearinghouseState", 0, 2, id="light"),
        pytest.param("spotClearinghouseState", 0, 2, id="light too"),
        pytest.param("exchangeStatus", 0, 2, id="health"),
        pytest.param("l2Book", 0, 2, id="book"),
        pytest.param("allMids", 0, 2, id="mids"),
        pytest.param("orderStatus", 0, 2, id="order status"),
        pytest.param("meta", 0, 20, id="everything else"),
        pytest.param("frontendOpenOrders", 0, 20, id="orders"),
        pytest.param("userRole", 0, 60, id="role"),
        pytest.param("userFills", 19, 20, id="19 rows are free"),
        pytest.param("userFills", 20, 21, id="20 rows are not"),
        pytest.param("fundingHistory", 500, 45, id="a full page"),
        pytest.param("candleSnapshot", 60, 21, id="candles by 60"),
        pytest.param("portfolio", 500, 20, id="rows that are not counted"),
    ],
)
def test_weights(kind: str, rows: int, weight: float) -> None:
    """As the rate-limit page states them."""
    assert request_weight(kind, rows) == weight


def test_requests() -> None:
    """POST with a JSON body; arguments that are None are left out."""
    request = info_request("http://h/info", "userFunding", rows=40, user="0x1", dex=None)
    assert (request.method, request.url, request.weight) == ("POST", "http://h/info", 22)
    assert request.headers == (("content-type", "application/json"),)
    assert asked(request) == {"type": "userFunding", "user": "0x1"}


def test_budget_keeps_a_reserve_for_the_kill_path() -> None:
    """1200 a minute, of which 300 are not for reading."""
    assert (BUDGET.capacity, BUDGET.window_s, BUDGET.reserve) == (1200.0, 60.0, 300.0)


def test_one_account_keeps_its_pace() -> None:
    """Nothing is stretched where the plan fits."""
    venue = make_venue()
    periods = {poll.name: poll.period_s for poll in venue.polls()}
    assert periods["hyperliquid/frontendOpenOrders/main"] == 60.0
    assert weight_per_minute(venue) < 200


def test_many_accounts_are_read_within_the_budget() -> None:
    """The slow re-reads give way; the truth and the venue's health do not."""
    venue = make_venue(accounts=accounts(9))
    for account in venue.knowledge.accounts:
        account.dexes.update({"xyz", "flx"})
    periods = {poll.name: poll.period_s for poll in venue.polls()}
    assert periods["hyperliquid/clearinghouseState/a0"] == 10.0
    assert periods["hyperliquid/exchangeStatus"] == 5.0
    assert periods["hyperliquid/frontendOpenOrders/a0"] > 60.0
    assert weight_per_minute(venue) <= 900.0


def test_a_truth_that_does_not_fit_is_refused() -> None:
    """With what to change."""
    venue = make_venue(accounts=accounts(9), polls={"positions_s": 1.0})
    with pytest.raises(ConfigError, match=r"polls\.positions_s"):
        venue.polls()


def test_poll_names_are_unique() -> None:
    """They label logs and metrics."""
    names = [poll.name for poll in make_venue(accounts=accounts(3)).polls()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("at_s", "allowed"),
    [pytest.param(59, 0, id="within the minute"), pytest.param(60, 10, id="a minute later")],
)
def test_send_budget(at_s: int, allowed: int) -> None:
    """What was sent is free again after a minute."""
    budget = SendBudget(limit=10)
    assert budget.take(8, NOW) == 8
    assert budget.take(8, NOW) == 2
    assert budget.take(20, NOW + at_s * SECOND_NS) == allowed


def test_the_readme_says_what_is_read_from_where() -> None:
    """Every poll, every subscription and the three levels stand in the venue's own README."""
    text = (Path(hyperliquid.__file__).parent / "README.md").read_text()
    venue = make_venue(accounts=accounts(1))
    read = {getattr(poll, "kind", "") for poll in venue.polls()}
    for stream in venue.streams():
        sent = [msgspec.json.decode(message) for message in stream.connected(NOW).send]
        read |= {message["subscription"]["type"] for message in sent}
    assert {"l2Book", "userEvents", "clearinghouseState"} <= read
    assert {name for name in read if f"`{name}`" not in text} == set()
    assert all(f"| {level} |" in text for level in ("bronze", "silver", "gold"))
