"""The KILL file: whatever lies there stops the book, and the same file is the same request."""

from __future__ import annotations

import pytest

from monitor.core.kill_file import kill_file_content, parse_kill_file


@pytest.mark.parametrize("content", [b"", b" \n", b"stop everything!", b"\xff\xfe", b"[]"])
def test_what_cannot_be_understood_is_a_halt_of_the_portfolio(content: bytes) -> None:
    """A typing mistake must not let the book run on."""
    request = parse_kill_file(content, "1")
    assert (request.scope, request.level) == ("portfolio", "halt")
    assert request.reason


@pytest.mark.parametrize(
    "content",
    [b'{"level": "stop"}', b'{"scope": "everything"}', b'{"level": "cut"}', b'{"Level": "halt"}'],
)
def test_a_mistake_in_it_is_a_halt_and_says_so(content: bytes) -> None:
    """The audit then holds what was wrong."""
    request = parse_kill_file(content, "1")
    assert (request.scope, request.level) == ("portfolio", "halt")
    assert "could not be understood" in request.reason


def test_what_was_written_is_read() -> None:
    """Scope, level, target and reason."""
    content = kill_file_content(
        scope="venue:dydx", level="cut", reason="bridge", gross_to_ratio=0.5
    )
    request = parse_kill_file(content, "1")
    assert (request.scope, request.level) == ("venue:dydx", "cut")
    assert (request.gross_to_ratio, request.reason) == (0.5, "bridge")


def test_the_same_file_is_the_same_request_and_another_is_another() -> None:
    """By content and time of writing."""
    assert parse_kill_file(b"", "1").id == parse_kill_file(b"", "1").id
    assert parse_kill_file(b"", "1").id != parse_kill_file(b"", "2").id
    assert parse_kill_file(b"", "1").id != parse_kill_file(b" ", "1").id
