"""A small desk for tests of the documents: one account that is seen, one that is dark."""

from __future__ import annotations

from decimal import Decimal

from monitor.core import events as e
from monitor.core.engine import Engine
from monitor.core.killswitch.machine import KillMachine
from monitor.core.killswitch.planner import plan_cut
from monitor.core.killswitch.policy import KillPolicy
from monitor.core.settings import EngineSettings
from monitor.core.types import SECOND_NS, MarginMode, MarketStatus
from monitor.server.kill_document import kill_document

NOW = 1_790_000_000 * SECOND_NS
VENUE = "hyperliquid"
TIER = e.MarginTier(0.0, 0.025, 0.0125)

RULES = """\
- id: margin_high
  for_each: account
  when: margin_usage_ratio >= 0.01
  until: margin_usage_ratio <= 0.005
  severity: critical
  scope: account
  do: {level: page}
  summary: margin usage is high
  runbook: margin_usage_high
- id: feed_quiet
  for_each: feed
  when: feed_age_s >= 60.0
  severity: warning
  scope: venue
  do: {level: page}
  summary: a feed is quiet
"""


class Daemon:
    """What a document needs to know beside the engine."""

    version = "0.0"
    desk = "desk-a"
    mode = "observe"
    simulated = True
    started_ns = NOW


def seen_events() -> tuple[e.Event, ...]:
    """A market, an account with one long, and its feeds."""
    ctx = f"{VENUE}/activeAssetCtx/BTC"
    truth = f"{VENUE}/rest.clearinghouseState/main"
    return (
        e.FeedConnected(venue=VENUE, channel=f"{VENUE}/market-1", feed="market-1"),
        e.ChannelOpened(venue=VENUE, channel=ctx, feed="activeAssetCtx", cadence_s=1.0),
        e.ChannelOpened(
            venue=VENUE, channel=truth, feed="rest.clearinghouseState", cadence_s=10.0
        ),
        e.MarketListed(
            venue=VENUE, channel=f"{VENUE}/rest.meta", market="BTC", asset="BTC",
            status=MarketStatus.ACTIVE, has_mark=True, funding_interval_s=3600,
            margin_tiers=(TIER,), size_step=Decimal("0.00001"),
        ),
        e.MarketContextSeen(
            venue=VENUE, channel=ctx, market="BTC", mark_price=100_000.0, oracle_price=100_000.0,
            predicted_funding_rate_hourly=0.0000125, open_interest_base=1000.0,
        ),
        e.AccountReported(
            venue=VENUE, channel=truth, account="main", source="truth",
            equity_usd=Decimal("50000.25"), maintenance_margin_usd=Decimal(1250),
            initial_margin_usd=Decimal(5000), free_collateral_usd=Decimal("45000.25"),
        ),
        e.PositionsReported(
            venue=VENUE, channel=truth, account="main", source="truth", complete=True,
            positions=(
                e.PositionReport(
                    market="BTC", size=Decimal(1), margin_mode=MarginMode.CROSS,
                    entry_price=Decimal(99000), leverage=20.0, liquidation_price=50_627.6,
                    mark_price=100_000.0,
                ),
            ),
        ),
    )  # fmt: skip


def engine_of(*events: e.Event, rules: str = RULES) -> Engine:
    """An engine with two configured accounts that was told these events at NOW."""
    engine = Engine(EngineSettings(accounts=((VENUE, "main"), (VENUE, "dark")), venues=(VENUE,)))
    engine.apply(e.RulebookLoaded(files=(("rules.yaml", rules),), loaded_by="test"), NOW)
    for event in events:
        engine.apply(event, NOW)
    engine.evaluate(NOW)
    return engine


KILL = kill_document(
    KillMachine(KillPolicy(), plan_cut),
    would_have=[],
    would_fire=[],
    problem="",
    now=NOW,
)
