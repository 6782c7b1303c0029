"""What a person may ask: every mistake is answered with what is allowed."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.errors import ConfigError
from monitor.core.killswitch.levels import Level
from monitor.core.operator import OperatorRequest, Verb, decode_request, level_of, scope_of

GOOD = {"id": "1", "verb": "kill", "level": "halt", "reason": "drill"}


@pytest.mark.parametrize(
    ("text", "level"),
    [("halt", Level.HALT), ("HALT", Level.HALT), ("reduce-only", Level.REDUCE_ONLY),
     ("5", Level.FLATTEN), ("1", Level.CAUTION)],
)  # fmt: skip
def test_levels_by_name_and_number(text: str, level: Level) -> None:
    """As a person writes them."""
    assert level_of(text) is level


@pytest.mark.parametrize("text", ["", "0", "6", "stop", "-1"])
def test_no_other_level(text: str) -> None:
    """0 is not asked for: that way back is `rearm`."""
    with pytest.raises(ConfigError, match="Allowed: 1 caution"):
        level_of(text)


@pytest.mark.parametrize(
    "text",
    ["portfolio", "venue:hyperliquid", "account:hyperliquid/main.xyz", "asset:BTC",
     "market:hyperliquid/xyz:GOLD", "market:hyperliquid/PURR/USDC"],
)  # fmt: skip
def test_scopes(text: str) -> None:
    """What can be latched."""
    assert scope_of(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "all", "portfolio:x", "venue:", "venue:a/b", "account:main", "asset:", "market:BTC",
     "rule:x", "position:a/b/c", "Venue:x"],
)  # fmt: skip
def test_no_other_scope(text: str) -> None:
    """Each refusal lists what is allowed."""
    with pytest.raises(ConfigError, match="Allowed: portfolio"):
        scope_of(text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"id": ""}, "id", id="no id"),
        pytest.param({"reason": " "}, "reason", id="no reason"),
        pytest.param({"reason": "x" * 501}, "500", id="a novel"),
        pytest.param({"level": "cut"}, "gross_to", id="a cut of how much?"),
        pytest.param({"level": "cut", "gross_to_ratio": 1.0}, "0.7", id="a cut of nothing"),
        pytest.param({"level": "cut", "gross_to_ratio": -0.1}, "0.7", id="less than nothing"),
        pytest.param({"level": "cut", "gross_to_ratio": 70.0}, "0.7", id="percent for a share"),
        pytest.param({"verb": "plan"}, "gross_to", id="a plan of what?"),
        pytest.param({"verb": "approve"}, "proposal", id="approve what?"),
        pytest.param({"verb": "confirm"}, "nonce", id="confirm what?"),
        pytest.param({"verb": "confirm", "nonce": "n", "reason": ""}, "reason", id="why?"),
        pytest.param({"verb": "rebaseline", "reason": ""}, "reason", id="why anew?"),
        pytest.param({"verb": "disarm"}, "disarm", id="no such verb"),
        pytest.param({"colour": "red"}, "colour", id="no such field"),
    ],
)
def test_a_mistake_says_what_is_missing(changes: dict[str, object], words: str) -> None:
    """In words that name it."""
    with pytest.raises(ConfigError, match=words):
        decode_request(msgspec.json.encode({**GOOD, **changes}))


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"null", b"{}"])
def test_what_is_no_request(body: bytes) -> None:
    """Bytes of any kind are a clear error."""
    with pytest.raises(ConfigError):
        decode_request(body)


def test_a_good_request() -> None:
    """And a cut to nothing is a share too."""
    wanted = {**GOOD, "level": "cut", "gross_to_ratio": 0.0, "scope": "venue:dydx"}
    assert decode_request(msgspec.json.encode(wanted)) == OperatorRequest(
        id="1",
        verb=Verb.KILL,
        level="cut",
        gross_to_ratio=0.0,
        scope="venue:dydx",
        reason="drill",
    )
