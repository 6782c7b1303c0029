"""Seeded prices on a tick grid, and accounts that hold positions at them.

A tick is about one basis point, so that books of forty levels reach past the 25 bp band. Books and
balances stay coherent however long the stream is: nothing grows but time.
"""

from __future__ import annotations

import math
import random

NAMES = (
    "BTC", "ETH", "SOL", "XRP", "DOGE", "AVAX", "LINK", "LTC", "ADA", "DOT",
    "BNB", "ATOM", "ARB", "OP", "SUI", "APT", "NEAR", "TIA", "SEI", "INJ",
)  # fmt: skip
FIRST_PRICE = 50_000.0
MOVE_PROBABILITY = 0.05
EQUITY_USD = 100_000.0
POSITION_USD = 10_000.0


class Asset:
    """One asset's middle price in whole ticks."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = NAMES[index] if index < len(NAMES) else f"C{index}"
        price = FIRST_PRICE / 1.6 ** (index % 20) + 1.0
        exponent = math.floor(math.log10(price * 1e-4))
        self.digits = max(0, -exponent)
        self.tick: float = round(price * 1e-4 / 10.0**exponent) * 10.0**exponent
        self.mid = round(price / self.tick)

    @property
    def price(self) -> float:
        """The middle, USD."""
        return self.mid * self.tick

    def text(self, ticks: float) -> str:
        """A price of so many ticks, as the venues write it."""
        return f"{ticks * self.tick:.{self.digits}f}"

    def move(self, chance: random.Random) -> int:
        """Perhaps move by one tick; by how many it moved."""
        if chance.random() >= MOVE_PROBABILITY:
            return 0
        moved = 1 if chance.random() < 0.5 else -1
        self.mid += moved
        return moved


def level_size(asset: Asset, chance: random.Random) -> str:
    """What rests on one price level, in base units; worth 1,000 to 50,000 USD."""
    return f"{chance.uniform(1e3, 5e4) / asset.price:.4f}"


def order_size(asset: Asset) -> str:
    """What a working order is for, in base units; worth 1,000 USD, little beside what rests within
    25 bp: orders larger than a slice of that are told of, and a calm desk has none."""
    return f"{1e3 / asset.price:.4f}"


class Holder:
    """One account: positions of about 10,000 USD, long and short in turn, and the cash beside."""

    def __init__(
        self, alias: str, address: str, assets: tuple[Asset, ...], first_sign: int
    ) -> None:
        self.alias = alias
        self.address = address
        self.held = assets
        self.sizes: dict[str, float] = {
            asset.name: round(first_sign * (-1.0) ** i * POSITION_USD / asset.price, 4)
            for i, asset in enumerate(assets)
        }
        self.cash: float = EQUITY_USD - sum(
            self.sizes[asset.name] * asset.price for asset in assets
        )

    def trade(self, asset: Asset, chance: random.Random) -> float:
        """Change one position by a per cent towards or from its first size; what was bought."""
        size = self.sizes[asset.name]
        target = math.copysign(POSITION_USD / asset.price, size)
        bought = round((target - size) * 0.5 + target * chance.uniform(-0.01, 0.01), 4)
        self.sizes[asset.name] = round(size + bought, 4)
        self.cash -= bought * asset.price
        return bought

    @property
    def equity(self) -> float:
        """Cash and positions at the present prices, USD."""
        return self.cash + sum(self.sizes[asset.name] * asset.price for asset in self.held)
