"""A client that signs: the plainest user of the simulated ``/exchange``, without a socket."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import coincurve

from monitor.sim.addresses import HYPERLIQUID_MASTER, HYPERLIQUID_SIGNER_KEY
from monitor.sim.hyperliquid import exchange, signatures
from monitor.sim.hyperliquid.info import Answer
from monitor.sim.listings import HYPERLIQUID
from monitor.sim.world import World
from tests.sim.hyperliquid.rig import START_S

BTC, ETH, SOL, DOGE, LINK, HYPE, FARTCOIN, NVDA = 0, 1, 2, 6, 9, 19, 20, 110_000


def sign(
    action: Any,
    nonce: int,
    *,
    vault: str | None = None,
    expires_after: int | None = None,
    key: str = HYPERLIQUID_SIGNER_KEY,
    source: str = signatures.TESTNET,
) -> dict[str, Any]:
    """A whole request body; the action is packed as it stands, in its own order of keys."""
    connection = signatures.connection_id(action, nonce, vault, expires_after)
    message = signatures.digest(connection, source)
    raw = coincurve.PrivateKey.from_hex(key[2:]).sign_recoverable(message, hasher=None)
    return {
        "action": action,
        "nonce": nonce,
        "signature": {"r": f"0x{raw[:32].hex()}", "s": f"0x{raw[32:64].hex()}", "v": 27 + raw[64]},
        "vaultAddress": vault,
        "expiresAfter": expires_after,
    }


def order(
    asset: int,
    size: str,
    price: str,
    *,
    buy: bool,
    tif: str = "Ioc",
    reduce: bool = False,
    cloid: str | None = None,
) -> dict[str, Any]:
    """One order as it stands on the wire."""
    wire = {"a": asset, "b": buy, "p": price, "s": size, "r": reduce, "t": {"limit": {"tif": tif}}}
    return wire if cloid is None else {**wire, "c": cloid}


def stop(
    asset: int,
    size: str,
    trigger: str,
    *,
    buy: bool,
    tpsl: str = "sl",
    price: str | None = None,
    market: bool = True,
    reduce: bool = True,
) -> dict[str, Any]:
    """One trigger order."""
    kind = {"isMarket": market, "triggerPx": trigger, "tpsl": tpsl}
    return {
        "a": asset, "b": buy, "p": price or trigger, "s": size, "r": reduce, "t": {"trigger": kind},
    }  # fmt: skip


@dataclass
class Trader:
    """Sends signed actions to a world, each with the next nonce."""

    world: World = field(default_factory=lambda: World(7, START_S))
    key: str = HYPERLIQUID_SIGNER_KEY
    vault: str | None = None
    nonce: int = round(START_S * 1_000)
    answers: list[Answer] = field(default_factory=list)

    def send(self, action: Any, **options: Any) -> Answer | None:
        """Sign and submit; the answer if there was one at once."""
        self.nonce += 1
        nonce = options.pop("nonce", self.nonce)
        options = {"vault": self.vault, "key": self.key, **options}
        return self.submit(sign(action, nonce, **options))

    def submit(self, body: object) -> Answer | None:
        """Submit a body; ``bytes`` as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        before = len(self.answers)
        exchange.submit(self.world, raw, self.answers.append)
        return self.answers[before] if len(self.answers) > before else None

    def do(self, action: Any, **options: Any) -> Any:
        """The ``response`` of an action that must be accepted."""
        answer = self.send(action, **options)
        assert answer is not None
        said = json.loads(answer.body)
        assert (answer.status, said["status"]) == (200, "ok"), said
        return said["response"]

    def refused(self, action: Any, **options: Any) -> str:
        """The text with which an action is refused as a whole."""
        answer = self.send(action, **options)
        assert answer is not None
        said = json.loads(answer.body)
        assert (answer.status, said["status"]) == (200, "err"), said
        text: str = said["response"]
        return text

    def orders(self, *wires: Any, grouping: Any = "na", **options: Any) -> list[Any]:
        """The statuses of a batch of orders."""
        action = {"type": "order", "orders": list(wires), "grouping": grouping}
        statuses: list[Any] = self.do(action, **options)["data"]["statuses"]
        return statuses

    def cancel(self, *pairs: tuple[int, int], **more: Any) -> list[Any]:
        """The statuses of a batch of cancels by (asset, order id)."""
        cancels = [{"a": asset, "o": oid} for asset, oid in pairs]
        statuses: list[Any] = self.do({"type": "cancel", "cancels": cancels, **more})["data"][
            "statuses"
        ]
        return statuses

    def position(self, coin: str, address: str = HYPERLIQUID_MASTER, pool: str = "") -> Any:
        """The signed size held; None where there is none."""
        held = self.world.pool(HYPERLIQUID, address, pool).positions.get(coin)
        return None if held is None else held.size

    def mark(self, coin: str, ratio: str = "1") -> str:
        """A price the venue takes, near ``ratio`` times the mark."""
        market = self.world.market(HYPERLIQUID, coin)
        price = round(float(market.mark_price) * float(ratio) / float(market.tick))
        return f"{(price * market.tick).normalize():f}"
