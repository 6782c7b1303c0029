"""Signed messages: the published example verifies, and every way of tampering is refused."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.signatures import WINDOW_S, Refusal, refuse, sign

KEY = b"k" * 24
NOW_S = 1_800_000_000


def judged(**changes: object) -> Refusal | None:
    """The verdict about a good message with some parts changed."""
    message = {"message_id": "m-1", "timestamp": str(NOW_S), "body": b"{}", "now_s": float(NOW_S)}
    good = sign(KEY, "m-1", NOW_S, b"{}")
    return refuse([KEY], **{**message, "signatures": good, **changes})  # type: ignore[arg-type]  # by name


def test_the_published_example() -> None:
    """The vector of the Standard Webhooks reference libraries."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        pytest.param({}, None, id="good"),
        pytest.param({"body": b"{} "}, Refusal.SIGNATURE, id="altered body"),
        pytest.param({"message_id": "m-2"}, Refusal.SIGNATURE, id="altered id"),
        pytest.param({"message_id": ""}, Refusal.MALFORMED, id="no id"),
        pytest.param({"message_id": "m" * 129}, Refusal.MALFORMED, id="endless id"),
        pytest.param({"timestamp": str(NOW_S + 1)}, Refusal.SIGNATURE, id="altered time"),
        pytest.param({"timestamp": "soon"}, Refusal.MALFORMED, id="no time"),
        pytest.param({"timestamp": "-5"}, Refusal.MALFORMED, id="negative time"),
        pytest.param({"timestamp": "٣"}, Refusal.MALFORMED, id="digits of another script"),
        pytest.param({"signatures": ""}, Refusal.MALFORMED, id="unsigned"),
        pytest.param({"signatures": "v2,abc"}, Refusal.MALFORMED, id="unknown scheme"),
        pytest.param({"signatures": "v1,é"}, Refusal.SIGNATURE, id="not base64"),
        pytest.param({"now_s": NOW_S + WINDOW_S}, None, id="as old as may be"),
        pytest.param({"now_s": NOW_S + WINDOW_S + 1}, Refusal.TIMESTAMP, id="too old"),
        pytest.param({"now_s": NOW_S - WINDOW_S}, None, id="as new as may be"),
        pytest.param({"now_s": NOW_S - WINDOW_S - 1}, Refusal.TIMESTAMP, id="from the future"),
    ],
)
def test_what_is_believed(changes: dict[str, object], refusal: Refusal | None) -> None:
    """Both sides of every limit."""
    assert judged(**changes) is refusal


def test_any_of_our_keys_and_any_of_its_signatures() -> None:
    """Rotation: old and new key, two signatures; an empty key is no key."""
    other = sign(b"o" * 24, "m-1", NOW_S, b"{}")
    good = sign(KEY, "m-1", NOW_S, b"{}")
    common = {"message_id": "m-1", "timestamp": str(NOW_S), "body": b"{}", "now_s": NOW_S}
    assert refuse([b"x" * 24, KEY], signatures=f"{other} {good}", **common) is None  # type: ignore[arg-type]  # by name
    empty = sign(b"", "m-1", NOW_S, b"{}")
    assert refuse([b""], signatures=empty, **common) is Refusal.SIGNATURE  # type: ignore[arg-type]  # by name


@given(st.binary(max_size=64), st.text(max_size=20), st.text(max_size=12), st.text(max_size=60))
def test_no_message_of_a_stranger_is_believed(
    body: bytes, message_id: str, timestamp: str, signatures: str
) -> None:
    """Nor does any make it raise."""
    assert judged(
        body=body, message_id=message_id, timestamp=timestamp, signatures=signatures
    ) in set(Refusal)
