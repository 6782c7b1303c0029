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
        pytest.param({"verb": "disarm"}, "one of kill, plan, .*, not 'disarm'", id="no such verb"),
        pytest.param({"verb": "aprove"}, "Did you mean 'approve'", id="a verb mistyped"),
        pytest.param({"verb": ["kill"]}, "one of kill, plan", id="a list of verbs"),
        pytest.param({"colour": "red"}, "'colour' is no field .* leave it out", id="no such field"),
        pytest.param({"reasn": "R"}, "did you mean 'reason'", id="a field mistyped"),
        pytest.param({"id": 7}, "needs an id: a text of 1 to 128", id="id as a number"),
        pytest.param({"id": "x" * 129}, "needs an id: a text of 1 to 128", id="a long id"),
        pytest.param({"reason": 7}, "reason must be text", id="reason as a number"),
        pytest.param({"gross_to_ratio": "0.7"}, "must be a number", id="share as text"),
        pytest.param({"lasts_s": True}, "must be a number of seconds", id="time as a switch"),
        pytest.param({"refuse": "yes"}, "refuse must be true or false", id="switch as text"),
        pytest.param({"level": ""}, "No level was given. Allowed: 1 caution", id="no level"),
        pytest.param({"verb": "flag_clear"}, "`flag_clear` needs a flag", id="which flag?"),
    ],
)
def test_a_mistake_says_what_is_missing(changes: dict[str, object], words: str) -> None:
    """In words that name it."""
    with pytest.raises(ConfigError, match=words):
        decode_request(msgspec.json.encode({**GOOD, **changes}))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"\xff", b"null", b'"a"', b"[" * 16_000, b'{"a":' * 2_000]
)
def test_what_is_no_request(body: bytes) -> None:
    """Bytes of any kind are a clear error, with what a command looks like."""
    with pytest.raises(ConfigError, match="A command is one JSON object, such as"):
        decode_request(body)


def test_all_that_is_missing_is_told_at_once() -> None:
    """Without a decoder's own words."""
    with pytest.raises(ConfigError) as caught:
        decode_request(b'{"reason": 1, "scop": "portfolio"}')
    told = str(caught.value)
    assert "'scop' is no field of a command: did you mean 'scope'?" in told
    assert "needs an id: a text of 1 to 128 characters of your own, new for each command" in told
    assert "needs a verb, one of kill, plan, approve, " in told
    assert "reason must be text." in told
    assert "$" not in told
    assert "Object" not in told


@pytest.mark.parametrize("name", [n for n in OperatorRequest.__struct_fields__ if n != "verb"])
@pytest.mark.parametrize("value", [[1], {"a": 1}])
def test_no_field_of_a_wrong_type_is_told_in_a_decoders_words(name: str, value: object) -> None:
    """Each field of a request has a sentence of its own."""
    with pytest.raises(ConfigError) as caught:
        decode_request(msgspec.json.encode({**GOOD, name: value}))
    assert f"{name} must be " in str(caught.value) or "needs an id" in str(caught.value)
    assert "Expected" not in str(caught.value)


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
