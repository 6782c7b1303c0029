"""The conversations with official clients that several test files look at, each held once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.hyperliquid_conversation import Conversation, converse
from tests.official_clients import clients_python


@pytest.fixture(scope="session")
def talk() -> Conversation:
    """What the official Hyperliquid client said about a world, and that world."""
    return asyncio.run(converse(clients_python()), debug=True)


@pytest.fixture
def rest(talk: Conversation) -> dict[str, Any]:
    """What the client's methods returned while the world stood still."""
    answers: dict[str, Any] = talk.standing["rest"]
    return answers
