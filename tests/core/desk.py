"""A small desk for tests of the core: says facts in few words and reads measures back."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from monitor.core import events as e
from monitor.core.decision import Decision
from monitor.core.engine import Engine
from monitor.core.measures.catalogue import DEFINITIONS
from monitor.core.measures.definition import Definition, Key
from monitor.core.settings import EngineSettings
from monitor.core.types import (
    PORTFOLIO,
    SECOND_NS,
    AccountMode,
    EngineNs,
    MarginMode,
    MarketStatus,
    Subject,
    account_subject,
    market_subject,
    position_subject,
    venue_subject,
)

START_NS = 1_800_000_000 * SECOND_NS
HL = "hyperliquid"
DYDX = "dydx"
MAIN = account_subject(HL, "main")
DMAIN = account_subject(DYDX, "main")
BTC = market_subject(HL, "BTC")
DBTC = market_subject(DYDX, "BTC-USD")
HL_VENUE = venue_subject(HL)
TIERS = (e.MarginTier(0.0, 0.025, 0.0125),)


def amount(value: float | str | Decimal | None) -> Decimal | None:
    """A decimal from what tests write."""
    return None if value is None else Decimal(str(value))


class Desk:
    """An engine with a clock in seconds since the start, and short ways to tell it facts."""

    def __init__(
        self,
        *accounts: tuple[str, str],
        settings: EngineSettings | None = None,
        definitions: Mapping[Key, Definition] = DEFINITIONS,
        rules: str = "",
        engine: Engine | None = None,
    ) -> None:
        self.engine = engine or Engine(
            settings or EngineSettings(accounts=accounts, venues=()),
            definitions=definitions,
        )
        self.now: EngineNs = START_NS
        if rules:
            self.load(rules)

    # ---- time

    def at(self, seconds: float) -> Desk:
        """Move the clock to ``seconds`` after the start."""
        self.now = START_NS + round(seconds * SECOND_NS)
        return self

    def ns(self, seconds: float) -> EngineNs:
        """That instant in engine time."""
        return START_NS + round(seconds * SECOND_NS)

    def evaluate(self) -> Decision:
        """One batch ends."""
        return self.engine.evaluate(self.now)

    # ---- facts

    def tell(self, *events: e.Event) -> Desk:
        """Apply now."""
        for event in events:
            self.engine.apply(event, self.now)
        return self

    def load(self, text: str) -> Desk:
        """A rulebook takes effect."""
        return self.tell(e.RulebookLoaded(files=(("test.yaml", text),), loaded_by="test"))

    def open(
        self,
        channel: str,
        cadence_s: float | None = None,
        venue: str = HL,
        feed: str = "",
    ) -> Desk:
        """A subscription was acknowledged; the feed is the middle of the channel's name."""
        name = feed or channel.split("/")[1]
        return self.tell(
            e.ChannelOpened(venue=venue, channel=channel, feed=name, cadence_s=cadence_s)
        )

    def alive(self, channel: str, venue: str = HL) -> Desk:
        """Proof of life without news."""
        return self.tell(e.ChannelProgressed(venue=venue, channel=channel))

    def lose(self, channel: str, venue: str = HL, *, gap: bool = False) -> Desk:
        """A channel can no longer be trusted."""
        return self.tell(e.ChannelLost(venue=venue, channel=channel, reason="test", gap=gap))

    def list_market(
        self,
        market: str = "BTC",
        venue: str = HL,
        *,
        asset: str = "",
        tiers: tuple[e.MarginTier, ...] = TIERS,
        size_step: str | None = None,
        status: MarketStatus = MarketStatus.ACTIVE,
        caps: tuple[float, float] | None = None,
        interval_s: int = 3600,
        dex: str = "",
        only_isolated: bool = False,
    ) -> Desk:
        """A market's name and parameters."""
        return self.tell(
            e.MarketListed(
                venue=venue,
                channel=f"{venue}/meta",
                market=market,
                asset=asset or market.removesuffix("-USD"),
                status=status,
                has_mark=venue != DYDX,
                dex=dex,
                only_isolated=only_isolated,
                funding_interval_s=interval_s,
                margin_tiers=tiers,
                size_step=amount(size_step),
                open_interest_lower_cap_usd=None if caps is None else caps[0],
                open_interest_upper_cap_usd=None if caps is None else caps[1],
            ),
        )

    def context(self, market: str = "BTC", venue: str = HL, **fields: float) -> Desk:
        """Slow numbers of a market, by their event field names (``mark_price=...``)."""
        channel = f"{venue}/v4_markets" if venue == DYDX else f"{venue}/ctx/{market}"
        return self.tell(
            e.MarketContextSeen(venue=venue, channel=channel, market=market, **fields),  # type: ignore[arg-type]  # names of float fields
        )

    def top(
        self, bid: float | None, ask: float | None, market: str = "BTC", venue: str = HL
    ) -> Desk:
        """Best bid and ask, one unit each."""
        return self.tell(
            e.BookTopSeen(
                venue=venue,
                channel=f"{venue}/bbo/{market}",
                market=market,
                bid_price=bid,
                bid_size=1.0,
                ask_price=ask,
                ask_size=1.0,
            ),
        )

    def money(
        self,
        equity: float | str | None = None,
        *,
        cash: float | str | None = None,
        account: str = "main",
        venue: str = HL,
        source: str = "stream",
        height: int | None = None,
        time_s: float | None = None,
        maintenance: float | None = None,
    ) -> Desk:
        """What the venue states of one pool's money."""
        return self.tell(
            e.AccountReported(
                venue=venue,
                channel=f"{venue}/account.{source}/{account}",
                account=account,
                source=source,
                equity_usd=amount(equity),
                cash_usd=amount(cash),
                maintenance_margin_usd=amount(maintenance),
                height=height,
                venue_time_ns=None if time_s is None else self.ns(time_s),
            ),
        )

    def positions(
        self,
        *held: tuple[str, float | str],
        account: str = "main",
        venue: str = HL,
        source: str = "stream",
        complete: bool = True,
        height: int | None = None,
        time_s: float | None = None,
        **fields: object,
    ) -> Desk:
        """(market, signed size) each; ``fields`` go to every position."""
        reports = tuple(
            e.PositionReport(market=market, size=Decimal(str(size)), **fields)  # type: ignore[arg-type]  # by field name
            for market, size in held
        )
        return self.tell(
            e.PositionsReported(
                venue=venue,
                channel=f"{venue}/account.{source}/{account}",
                account=account,
                source=source,
                complete=complete,
                positions=reports,
                height=height,
                venue_time_ns=None if time_s is None else self.ns(time_s),
            ),
        )

    def mode(self, mode: AccountMode, account: str = "main", reason: str = "") -> Desk:
        """How the account keeps its collateral."""
        return self.tell(
            e.AccountModeSeen(
                venue=HL,
                channel=f"{HL}/mode/{account}",
                account=account,
                mode=mode,
                reason=reason,
            ),
        )

    # ---- reading

    def value(self, name: str, subject: Subject = BTC) -> float | None:
        """A measure at the desk's clock; None while absent."""
        found = self.engine.reading(name, subject, self.now)
        return None if found is None else found.value

    def why(self, name: str, subject: Subject = BTC) -> str:
        """Why it is absent."""
        return self.engine.absence(name, subject, self.now)

    def after(self, name: str, subject: Subject = BTC) -> float | None:
        """Evaluate, then read."""
        self.evaluate()
        return self.value(name, subject)


ISOLATED = MarginMode.ISOLATED
__all__ = [
    "BTC",
    "DBTC",
    "DMAIN",
    "DYDX",
    "HL",
    "HL_VENUE",
    "ISOLATED",
    "MAIN",
    "PORTFOLIO",
    "START_NS",
    "TIERS",
    "Desk",
    "account_subject",
    "market_subject",
    "position_subject",
]
