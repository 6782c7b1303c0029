"""No secret leaves through a log, whoever logs it and however deep it lies."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog

from monitor.observability.logging import configure_logging, redact_text

KEY = "0x" + "ab" * 32
ADDRESS = "0x1234" + "00" * 16 + "abcd"
BECH32 = "dydx1qqqsyqcyq5rqwzqfpg9scrgwpugpzysn6yq6sl"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A log that is no terminal; the process's own set-up is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    out = io.StringIO()
    configure_logging(stream=out)
    yield out
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"key {KEY}", "key [redacted]", id="a private key"),
        pytest.param("key " + "AB" * 32, "key [redacted]", id="a key without 0x"),
        pytest.param(f"at {ADDRESS}!", "at 0x1234…abcd!", id="an EVM address is shortened"),
        pytest.param(f"at {BECH32}", "at dydx1qqqs…q6sl", id="a bech32 address is shortened"),
        pytest.param("whsec_MfKQ9r8GKYqrTw+/=", "whsec_[redacted]", id="a webhook secret"),
        pytest.param("Bearer abc.def-123", "Bearer [redacted]", id="a bearer token"),
        pytest.param("wss://me:pw@host/x", "wss://[redacted]@host/x", id="user and password"),
        pytest.param("https://h/p?a=1&token=s3&b=2", "https://h/p?a=1&token=[redacted]&b=2",
                     id="a token in a query"),
        pytest.param("https://h/p?apiKey=s3", "https://h/p?apiKey=[redacted]", id="apiKey"),
        pytest.param("https://rpc.example/v3/0123456789abcdef0123456789abcdef/x",
                     "https://rpc.example/v3/[redacted]/x", id="a key in a path"),
        pytest.param("https://hooks.example/services/T0/B0/a1B2c3D4e5F6g7H8i9J0k1L2",
                     "https://hooks.example/services/T0/B0/[redacted]", id="a chat webhook"),
        pytest.param("BTC-USD mark 64000.5 on dydx/markets", "BTC-USD mark 64000.5 on dydx/markets",
                     id="ordinary text stays"),
        pytest.param("0x1234…abcd", "0x1234…abcd", id="what is short already stays"),
    ],
)  # fmt: skip
def test_text_is_redacted(text: str, shown: str) -> None:
    """Each kind of secret, and what must stay readable."""
    assert redact_text(text) == shown


def test_lines_are_json_without_secrets(stream: io.StringIO) -> None:
    """Values, nested values, names that say secret, bytes, and tracebacks."""
    log = structlog.get_logger().bind(venue="dydx")
    try:
        int(KEY + "x", 10)  # a message that repeats what it was given
    except ValueError:
        log.exception(
            "feed_lost",
            silence_s=31.2,
            api_key="short",
            accounts=[{"main": ADDRESS}],
            sample=f"body {KEY}".encode(),
            headers={"Authorization": "x", "Accept": "y"},
        )
    line = orjson.loads(stream.getvalue())
    assert KEY not in stream.getvalue()
    assert line["event"] == "feed_lost"
    assert line["level"] == "error"
    assert line["venue"] == "dydx"
    assert line["silence_s"] == 31.2
    assert line["api_key"] == "[redacted]"
    assert line["accounts"] == [{"main": "0x1234…abcd"}]
    assert line["sample"] == "body [redacted]"
    assert line["headers"] == {"Authorization": "[redacted]", "Accept": "y"}
    assert "ValueError: invalid literal" in line["exception"]
    assert line["timestamp"].endswith("Z")


def test_other_libraries_pass_through_the_same_filter(stream: io.StringIO) -> None:
    """Warnings of the standard library's logging are JSON and redacted; their chatter is not."""
    logging.getLogger("aiohttp.client").warning("failed for %s", KEY)
    logging.getLogger("aiohttp.client").info("chatter")
    line = orjson.loads(stream.getvalue())
    assert line["event"] == "failed for [redacted]"
    assert line["level"] == "warning"


def test_quieter_levels_are_dropped(stream: io.StringIO) -> None:
    """The level is a limit: info is out, debug is not."""
    structlog.get_logger().debug("detail")
    assert stream.getvalue() == ""
    structlog.get_logger().info("state")
    assert '"state"' in stream.getvalue()


@pytest.mark.usefixtures("stream")
def test_a_person_gets_plain_lines() -> None:
    """The human form is no JSON, and as clean."""
    out = io.StringIO()
    configure_logging(human=True, stream=out)
    structlog.get_logger().warning("feed_lost", reason=f"at {ADDRESS}", token="x")  # noqa: S106 - made up
    assert "feed_lost" in out.getvalue()
    assert "0x1234…abcd" in out.getvalue()
    assert "token=[redacted]" in out.getvalue()
    assert not out.getvalue().startswith("{")
