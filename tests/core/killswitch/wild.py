"""Books as no desk would have them, for the planner's properties: from one seed each, so that every
kind of trouble comes up about as often as asked (a drawn one is nearly always the simplest).
"""

from __future__ import annotations

from decimal import Decimal
from random import Random

from monitor.core.killswitch.book import (
    AccountTruth,
    Book,
    HeldPosition,
    Instrument,
    OutsideLeg,
    Quote,
    WorkingOrder,
)
from monitor.core.killswitch.plan import PlanLimits, Target
from monitor.core.killswitch.planner import gross_in_scope_usd
from monitor.core.types import PORTFOLIO, Side, Subject

ASSETS = ("BTC", "ETH", "PEPE")
BASE_PRICE = {"BTC": 61_234.5, "ETH": 2_345.67, "PEPE": 0.000_012_345}
ACCOUNTS = (("hyperliquid", "main"), ("hyperliquid", "hedge"), ("dydx", "main"))
MARKETS = tuple(
    (venue, asset if venue == "hyperliquid" else f"{asset}-USD", asset)
    for venue in ("hyperliquid", "dydx")
    for asset in ASSETS
)
SCOPES = (
    PORTFOLIO,
    PORTFOLIO,
    Subject("venue:hyperliquid"),
    Subject("account:hyperliquid/main"),
    Subject("asset:BTC"),
    Subject("market:dydx/ETH-USD"),
    Subject("position:hyperliquid/hedge/BTC"),
)
# Dust, below a minimum order, ordinary, large; USD.
_WORTHS = ((0.001, 9.0), (9.0, 60.0), (60.0, 3e4), (60.0, 3e4), (1e5, 5e6))

Case = tuple[Target, Book, PlanLimits]


def wild_case(seed: int) -> Case:
    """A target for a wild book: the baseline is what is there, or was more, or was less."""
    random = Random(seed)  # noqa: S311 - no secret, a test
    book = wild_book(random)
    scope = random.choice(SCOPES)
    baseline = gross_in_scope_usd(scope, book) * random.choice((0.6, 1.0, 1.0, 1.2))
    ratio = random.choice((0.0, 0.2, 0.5, 0.7, 0.97, 1.0))
    target = Target(scope=scope, baseline_usd=baseline, gross_to_ratio=ratio)
    return target, book, _limits(random)


def wild_book(random: Random) -> Book:
    """A whole book; in one of three everything can be reached, so that pairs are cut too."""
    trouble = random.choice((0.0, 0.1, 0.3))
    rules = {(v, m): _instrument(random, v, m, a) for v, m, a in MARKETS}
    net = dict.fromkeys(ASSETS, Decimal(0))
    return Book(
        at_ns=0,
        accounts=tuple(_account(random, v, a, rules, net, trouble) for v, a in ACCOUNTS),
        instruments=tuple(r for r in rules.values() if random.random() >= trouble / 4),
        quotes=tuple(_quote(random, v, m, a, trouble) for v, m, a in MARKETS),
        outside=tuple(
            OutsideLeg(
                asset=asset,
                size=Decimal(repr(_worth(random) / BASE_PRICE[asset])) * random.choice((1, -1)),
                hedge_set=random.choice(("", "a")),
            )
            for asset in ASSETS
            if random.random() < 0.3
        ),
        executable=tuple(one for one in ACCOUNTS if random.random() >= trouble),
        dark=tuple(one for one in ACCOUNTS if random.random() < trouble / 2),
    )


def _worth(random: Random) -> float:
    return random.uniform(*random.choice(_WORTHS))


def _instrument(random: Random, venue: str, market: str, asset: str) -> Instrument:
    """Lots worth between a thousandth of a dollar and some 500 dollars."""
    places = Decimal(repr(BASE_PRICE[asset])).adjusted()
    return Instrument(
        venue=venue,
        market=market,
        asset=asset,
        size_step=Decimal(random.choice((1, 1, 1, 2, 5))).scaleb(random.randint(-3, 2) - places),
        price_tick=Decimal(random.choice((1, 1, 5))).scaleb(places - random.randint(3, 6)),
        price_figures=5 if venue == "hyperliquid" else None,
        min_notional_usd=Decimal(random.choice((0, 1, 10))),
        bound_bps=random.choice((50.0, 150.0)),
    )


def _quote(random: Random, venue: str, market: str, asset: str, trouble: float) -> Quote:
    price = BASE_PRICE[asset]
    references = [price * random.uniform(0.98, 1.02) for _ in range(random.randint(1, 4))]
    if random.random() < trouble / 2:
        references = []
    if random.random() < trouble:
        references += [float("nan"), 0.0]

    def depth() -> float | None:
        return random.choice((None, 0.0, random.uniform(0, 1e6), random.uniform(0, 1e8)))

    return Quote(
        venue=venue,
        market=market,
        references=tuple(references),
        bid_price=random.choice((None, price * 0.999, price * 0.9995, price * 1.001)),
        ask_price=random.choice((None, price * 1.001, price * 1.0005, price * 0.999)),
        bid_depth_usd=depth(),
        ask_depth_usd=depth(),
    )


def _account(
    random: Random,
    venue: str,
    account: str,
    rules: dict[tuple[str, str], Instrument],
    net: dict[str, Decimal],
    trouble: float,
) -> AccountTruth:
    """Positions of both signs, mostly in whole lots, every other one a hedge of what other accounts
    hold, and working orders of every kind."""
    positions: list[HeldPosition] = []
    orders: list[WorkingOrder] = []
    for its_venue, market, asset in MARKETS:
        if its_venue != venue or random.random() < 0.2:
            continue
        step = rules[venue, market].size_step
        wanted = Decimal(repr(_worth(random) / BASE_PRICE[asset])) * random.choice((1, -1))
        if net[asset] and random.random() < 0.6:
            wanted = -net[asset] * random.choice((Decimal(1), Decimal("0.9"), Decimal("1.1")))
        lots = max(int(abs(wanted) / step), 1)
        size = step * lots
        if random.random() < trouble:
            size += step / 4  # dust below a lot, left by an older lot size
        size = size.copy_sign(wanted)
        net[asset] += size
        positions.append(HeldPosition(market=market, size=size))
        while random.random() < trouble:
            orders.append(
                WorkingOrder(
                    order_id=f"{account}-{market}-{len(orders)}",
                    market=market,
                    side=random.choice((Side.BUY, Side.SELL)),
                    size=step * random.randint(1, lots),
                    reduce_only=random.random() < 0.5,
                    trigger=random.random() < 0.5,
                    twap=random.random() < 0.2,
                ),
            )
    return AccountTruth(
        venue=venue,
        account=account,
        read_ns=0,
        positions=tuple(positions),
        orders=tuple(orders),
    )


def _limits(random: Random) -> PlanLimits:
    """Cheap or dear, capped or not, with or without sets (over assets too)."""
    legs = [(v, a, m) for v, a in ACCOUNTS for its_venue, m, _ in MARKETS if v == its_venue]
    return PlanLimits(
        max_cost_bps=random.choice((1.0, 150.0, 1_000.0)),
        slices=random.randint(1, 5),
        turnover_left_usd=random.choice((None, None, random.uniform(-1, 100.0), 1e5)),
        hedge_sets=tuple(
            (name, tuple(random.sample(legs, random.randint(2, 4))))
            for name in ("a", "b")[: random.randint(0, 2)]
        ),
    )
