"""What a person may write about dYdX, and in what words they are told of a mistake."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from monitor.venues.dydx.endpoints import endpoints
from monitor.venues.dydx.settings import DydxSettings, check_address

GOOD = "dydx14zzueazeh0hj67cghhf9jypslcf9sh2n5k6art"


@pytest.mark.parametrize(
    "address",
    [
        GOOD,
        "dydx155va0m7wz5n8zcqscn9afswwt04n4usj46wvp5",
        "dydx10d07y265gmmuvt4z0w9aw880jnsr700jnmapky",
    ],
)
def test_real_addresses_pass(address: str) -> None:
    """Accounts and the governance module."""
    assert check_address(address) == address


@pytest.mark.parametrize(
    ("address", "words"),
    [
        pytest.param(GOOD[:-1] + "a", "checksum", id="last character mistyped"),
        pytest.param(GOOD[:10] + GOOD[11] + GOOD[10] + GOOD[12:], "checksum", id="two swapped"),
        pytest.param(GOOD[:-1], "43 characters", id="one character short"),
        pytest.param(GOOD + "q", "43 characters", id="one character long"),
        pytest.param(GOOD.replace("z", "b", 1), "'b'", id="a letter that does not occur"),
        pytest.param("0x8ba1f109551bD432803012645Ac136ddd64DBA72", "dydx1", id="a wallet address"),
        pytest.param("cosmos1" + GOOD[5:], "starts with dydx1", id="another chain"),
        pytest.param("", "dydx1", id="nothing"),
    ],
)
def test_wrong_addresses_are_refused_in_words(address: str, words: str) -> None:
    """A mistyped address would read as an account that is empty and safe."""
    with pytest.raises(ValueError, match=words):
        check_address(address)


def test_any_single_mistyped_character_is_found() -> None:
    """The checksum of bech32 finds every substitution."""
    for index in range(5, len(GOOD)):
        for other in "qpz":
            if GOOD[index] != other:
                with pytest.raises(ValueError, match="checksum"):
                    check_address(GOOD[:index] + other + GOOD[index + 1 :])


def _account(**changes: object) -> dict[str, object]:
    return {"alias": "main", "address": GOOD, **changes}


@pytest.mark.parametrize(
    ("section", "words"),
    [
        pytest.param({"netwrok": "mainnet"}, "netwrok", id="an unknown key"),
        pytest.param({"network": "devnet"}, "mainnet", id="an unknown network"),
        pytest.param({"rest_url": "indexer"}, "http://", id="a URL without a scheme"),
        pytest.param({"ws_url": "http://x"}, "ws://", id="a socket over http"),
        pytest.param({"validator_urls": ["ftp://x"]}, "http://", id="a validator over ftp"),
        pytest.param({"accounts": [_account(alias="Main")]}, "alias", id="an alias in capitals"),
        pytest.param({"accounts": [_account(parents=[128])]}, "0 to 127", id="a child as parent"),
        pytest.param({"accounts": [_account(parents=[1, 1])]}, "twice", id="a parent twice"),
        pytest.param({"accounts": [_account(), _account(parents=[1])]}, "alias", id="alias twice"),
        pytest.param({"accounts": [_account(), _account(alias="other")]}, "twice", id="twice"),
        pytest.param({"periods": {"account_s": 0}}, "account_s", id="a period of nothing"),
    ],
)  # fmt: skip
def test_mistakes_are_named(section: dict[str, object], words: str) -> None:
    """Each mistake's text says what is wrong."""
    with pytest.raises(ValidationError, match=words):
        DydxSettings.model_validate(section)


def test_defaults_watch_the_majors_on_mainnet() -> None:
    """Nothing but accounts needs to be written."""
    made = endpoints(DydxSettings())
    assert made.ws_url == "wss://indexer.dydx.trade/v4/ws"
    assert made.chain_id == "dydx-mainnet-1"
    assert DydxSettings().markets == ("BTC-USD", "ETH-USD", "SOL-USD")


def test_overrides_reach_a_simulator() -> None:
    """With another indexer the chain id is not known and not checked."""
    made = endpoints(
        DydxSettings(rest_url="http://127.0.0.1:1/v4/", ws_url="ws://127.0.0.1:1/v4/ws")
    )
    assert made.rest_url == "http://127.0.0.1:1/v4"
    assert made.chain_id is None
    assert made.get("/orders", status="OPEN,UNTRIGGERED").url == (
        "http://127.0.0.1:1/v4/orders?status=OPEN,UNTRIGGERED"
    )
