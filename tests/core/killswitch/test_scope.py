"""Scopes: what they cover, which is wider, which level then holds."""

from __future__ import annotations

import pytest

from monitor.core.killswitch.levels import Level
from monitor.core.killswitch.scope import contains, covers, level_at, pool_of, scope_parts
from monitor.core.types import PORTFOLIO, Subject, SubjectKind

HELD = {"venue": "hyperliquid", "account": "main", "asset": "BTC", "market": "BTC"}
POOLED = {"venue": "hyperliquid", "account": "main.xyz", "asset": "NVDA", "market": "xyz:NVDA"}
UNPOOLED = {**POOLED, "account": "main"}
ASSETS = {("hyperliquid", "BTC"): "BTC", ("dydx", "BTC-USD"): "BTC"}


@pytest.mark.parametrize(
    ("scope", "held", "expected"),
    [
        pytest.param("portfolio", HELD, True, id="the portfolio covers all"),
        pytest.param("venue:hyperliquid", HELD, True, id="its venue"),
        pytest.param("venue:dydx", HELD, False, id="another venue"),
        pytest.param("account:hyperliquid/main", HELD, True, id="its account"),
        pytest.param("account:dydx/main", HELD, False, id="the same alias elsewhere"),
        pytest.param("account:hyperliquid/hedge", HELD, False, id="another account"),
        pytest.param("account:hyperliquid/main", POOLED, True, id="an account means its pools"),
        pytest.param("account:hyperliquid/main.xyz", HELD, False, id="a pool is not its account"),
        pytest.param("account:hyperliquid/main.xyz", POOLED, True, id="its pool"),
        pytest.param("account:hyperliquid/main.xyz", UNPOOLED, True, id="its pool by the market"),
        pytest.param("account:hyperliquid/mai", HELD, False, id="a prefix is no account"),
        pytest.param("asset:BTC", HELD, True, id="its asset"),
        pytest.param("asset:ETH", HELD, False, id="another asset"),
        pytest.param("market:hyperliquid/BTC", HELD, True, id="its market"),
        pytest.param("market:dydx/BTC", HELD, False, id="the symbol on another venue"),
        pytest.param("position:hyperliquid/main/BTC", HELD, True, id="its position"),
        pytest.param("position:hyperliquid/main/ETH", HELD, False, id="another position"),
        pytest.param("position:hyperliquid/main/xyz:NVDA", POOLED, True, id="a pool's position"),
    ],
)
def test_a_scope_covers_what_lies_in_it(scope: str, held: dict[str, str], expected: bool) -> None:
    """Each kind of scope, inside and outside."""
    assert covers(Subject(scope), **held) is expected


@pytest.mark.parametrize(
    "scope",
    [
        "feed:hyperliquid/l2Book",
        "rule:x",
        "account:hyperliquid",
        "venue:",
        "portfolio:x",
        "market:/BTC",
    ],
)
def test_what_is_no_scope_is_refused(scope: str) -> None:
    """A trip over nothing anybody can resolve must not be taken for one over nothing."""
    with pytest.raises(ValueError, match=r"scope|part"):
        scope_parts(Subject(scope))


def test_a_market_may_have_a_slash() -> None:
    """Only the last part is the rest of the text."""
    assert scope_parts(Subject("position:x/main/BTC/USD")) == (
        SubjectKind.POSITION,
        ("x", "main", "BTC/USD"),
    )


@pytest.mark.parametrize(
    ("account", "market", "pool"),
    [
        pytest.param("main", "BTC", "main", id="the first dex has no pool of its own"),
        pytest.param("main", "xyz:NVDA", "main.xyz", id="a dex has"),
        pytest.param("main.xyz", "xyz:NVDA", "main.xyz", id="named already"),
    ],
)
def test_a_dex_is_a_pool(account: str, market: str, pool: str) -> None:
    """Where a market's positions are kept."""
    assert pool_of(account, market) == pool


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param("portfolio", "venue:dydx", "portfolio", id="portfolio over venue"),
        pytest.param("asset:BTC", "portfolio", "portfolio", id="portfolio over asset"),
        pytest.param("account:dydx/a", "venue:dydx", "venue:dydx", id="venue over account"),
        pytest.param("venue:dydx", "account:hyperliquid/a", None, id="another venue's account"),
        pytest.param("venue:dydx", "asset:BTC", None, id="venue and asset cross"),
        pytest.param("account:dydx/a", "asset:BTC", None, id="account and asset cross"),
        pytest.param("account:dydx/a", "market:dydx/BTC-USD", None, id="account and market cross"),
        pytest.param("account:dydx/a.1", "account:dydx/a", "account:dydx/a", id="over its pool"),
        pytest.param("account:dydx/a", "account:dydx/b", None, id="two accounts"),
        pytest.param("market:dydx/BTC-USD", "asset:BTC", "asset:BTC", id="asset over market"),
        pytest.param("market:dydx/ETH-USD", "asset:BTC", None, id="another asset's market"),
        pytest.param("position:dydx/a/BTC-USD", "asset:BTC", "asset:BTC", id="over position"),
        pytest.param(
            "market:dydx/BTC-USD",
            "position:dydx/a/BTC-USD",
            "market:dydx/BTC-USD",
            id="market over position",
        ),
        pytest.param(
            "account:dydx/a", "position:dydx/a.1/X", "account:dydx/a", id="account over position"
        ),
        pytest.param("position:dydx/a/X", "position:dydx/a/Y", None, id="two positions"),
        pytest.param("venue:dydx", "market:dydx/X", "venue:dydx", id="venue over market"),
    ],
)
def test_the_wider_scope_takes_in_the_other(one: str, other: str, expected: str | None) -> None:
    """Whichever comes first; None where neither takes in the other."""
    pairs = ((one, other), (other, one))
    found = {outer for outer, inner in pairs if contains(Subject(outer), Subject(inner), ASSETS)}
    assert found == ({expected} if expected else set())


def test_an_asset_contains_no_market_that_nobody_describes() -> None:
    """Not known is not contained."""
    assert not contains(Subject("asset:BTC"), Subject("market:dydx/BTC-USD"))


@pytest.mark.parametrize(
    ("latched", "expected"),
    [
        pytest.param((), Level.NORMAL, id="nothing latched"),
        pytest.param((("venue:dydx", Level.HALT),), Level.NORMAL, id="latched elsewhere"),
        pytest.param(
            ((PORTFOLIO, Level.REDUCE_ONLY), ("market:hyperliquid/BTC", Level.HALT)),
            Level.HALT,
            id="narrow and strict wins over wide and mild",
        ),
        pytest.param(
            ((PORTFOLIO, Level.CUT), ("asset:BTC", Level.CAUTION)),
            Level.CUT,
            id="wide and strict wins over narrow and mild",
        ),
    ],
)
def test_the_most_restrictive_level_wins(
    latched: tuple[tuple[str, Level], ...], expected: Level
) -> None:
    """Of all scopes that cover a position."""
    given = [(Subject(scope), level) for scope, level in latched]
    assert level_at(given, **HELD) is expected
