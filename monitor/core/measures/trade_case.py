"""A trade that somebody has in mind, in the book it would go to. *Pure.*"""

from __future__ import annotations

import enum
from typing import NamedTuple

from monitor.core.measures.accounts import EQUITY
from monitor.core.measures.book_risk import read_book
from monitor.core.measures.prices import margin_price
from monitor.core.measures.tree import AccountNode, AssetNode, MarketNode, PortfolioNode
from monitor.core.measures.use import Use


class Answer(enum.StrEnum):
    """What a check says; the worst of all is the answer."""

    GO = "go"
    LOOK = "look"
    NO = "no"


_ORDER = tuple(Answer)


def rank(answer: Answer) -> int:
    """Higher is worse."""
    return _ORDER.index(answer)


class Check(NamedTuple):
    """One thing looked at, its answer, and the arithmetic in words."""

    name: str
    answer: Answer
    text: str


class Asked(NamedTuple):
    """A trade: ``sign`` 1 buys, ``size`` base units > 0, ``stop`` quote per base or None."""

    sign: float
    size: float
    stop: float | None


class Case(NamedTuple):
    """The trade in the book it would go to; USD signed, long > 0.

    ``net`` is of the asset over the whole book, ``held`` the position of the account in the market,
    both before the trade; ``usd`` is the trade at ``price``.
    """

    asked: Asked
    account: AccountNode
    place: MarketNode
    asset: AssetNode
    whole: PortfolioNode
    price: float
    usd: float
    held: float
    net: float
    book: dict[str, float]
    equity: float

    @property
    def adds(self) -> float:
        """By how much the position grows, USD; below 0 where it shrinks."""
        return abs(self.held + self.usd) - abs(self.held)

    @property
    def opens(self) -> bool:
        """Whether any of it is new risk: the position grows, or ends on the other side."""
        return self.adds > 0.0 or self.held * (self.held + self.usd) < 0.0

    @property
    def hedges(self) -> bool:
        """Whether all of it is against the asset's net in the whole book, and not beyond it."""
        return self.asked.sign * self.net < 0.0 and abs(self.usd) <= abs(self.net)

    @property
    def unhedged(self) -> float:
        """What of the trade stays unhedged in the whole book, USD, ``>= 0``."""
        return min(abs(self.usd), max(self.asked.sign * (self.net + self.usd), 0.0))


# What a check found; None where an input is not known.
Found = tuple[Answer, str] | None


def make_case(
    account: AccountNode, place: MarketNode, asset: AssetNode, asked: Asked, use: Use
) -> Case | None:
    """The trade in today's book; None, with the reason, where that is not known."""
    whole = account.ancestors[-1]
    if not isinstance(whole, PortfolioNode):
        raise TypeError(f"{account.subject} is of no portfolio")
    price = margin_price(place, use)
    book = None if price is None else read_book(whole, use)
    equity = None if book is None else use.read(whole, EQUITY.name)
    if price is None or book is None or equity is None:
        return None
    if not use.join(account.holdings.exposure):
        return None
    holding = account.holdings.held.get(place.market.market)
    return Case(
        asked=asked,
        account=account,
        place=place,
        asset=asset,
        whole=whole,
        price=price,
        usd=asked.sign * asked.size * price,
        held=0.0 if holding is None else holding.notional_usd,
        net=book.get(asset.asset, 0.0),
        book=book,
        equity=equity,
    )
