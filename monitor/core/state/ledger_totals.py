"""What the ledger of an account came to since its equity was first read: one number per kind of
money, each item counted once. *Pure.*

An item is counted where it happened after that first reading, which contains all before. Ids are
remembered for a day, in order of telling, so that an item more costs no more than the first.
"""

from __future__ import annotations

import msgspec

from monitor.core.events import FillReport
from monitor.core.formulas.attribution import Attribution, Doubt
from monitor.core.state.facts import SeenFact
from monitor.core.types import SECOND_NS, AccountMode, EngineNs

KEPT_NS = 86_400 * SECOND_NS
ITEMS_MAX = 20_000


class LedgerTotals(msgspec.Struct, omit_defaults=True):
    """Of one account.

    Args:
        since_ns: From when on items count, by the venue's time; 0 before the first equity.
        fills_usd: Cash that fills moved, fees taken off, signed.
        funding_usd: Funding received (> 0) or paid.
        flows_usd: Transfers in (> 0) and out.
        filled: Signed base units that fills bought, by market.
        fill_ids: Fills counted (id -> time).
        fills_from_ns: Fills up to then count no more: an id so new is forgotten, for age or room.
        payments: Funding counted, by market and hour; an estimate until the venue says it.
        transfers_seen: When transfers were last told; an empty list tells that there are none.
        mode: How the collateral was kept when the attribution began: another has other equity.
        attribution: What the equity was last explained as; None before the first statement.
        doubt: What an earlier process left unexplained.
    """

    since_ns: EngineNs = 0
    fills_usd: float = 0.0
    funding_usd: float = 0.0
    flows_usd: float = 0.0
    filled: dict[str, float] = msgspec.field(default_factory=dict)
    fill_ids: dict[str, int] = msgspec.field(default_factory=dict)
    fills_from_ns: EngineNs = 0
    payments: dict[str, float] = msgspec.field(default_factory=dict)
    transfers_seen: SeenFact = msgspec.field(default_factory=SeenFact)
    mode: AccountMode | None = None
    attribution: Attribution | None = None
    doubt: Doubt | None = None

    @property
    def total_usd(self) -> float:
        """All of it."""
        return self.fills_usd + self.funding_usd + self.flows_usd

    @property
    def suspect(self) -> bool:
        """Whether a step of the equity is confirmed that nothing explains."""
        if self.attribution is None:
            return self.doubt is not None
        return self.attribution.suspect_ns > 0

    @property
    def doubted(self) -> bool:
        """Whether a step awaits its explanation, confirmed or not."""
        return self.suspect or (self.attribution is not None and self.attribution.doubted_ns > 0)

    @property
    def unexplained_usd(self) -> float:
        """What the newest statement leaves unexplained, USD, signed (> 0 gained)."""
        left = self.doubt if self.attribution is None else self.attribution
        return 0.0 if left is None else left.unexplained_usd

    def fill(self, fill: FillReport, now: EngineNs) -> None:
        """One execution, told for the first time or again."""
        # An older id may be forgotten already.
        oldest_ns = max(self.since_ns, self.fills_from_ns, now - KEPT_NS)
        if not self.since_ns or fill.time_ns <= oldest_ns or fill.fill_id in self.fill_ids:
            return
        self.fill_ids[fill.fill_id] = fill.time_ns
        size = float(fill.size)
        fee = 0.0 if fill.fee_usd is None else float(fill.fee_usd)
        self.fills_usd -= size * float(fill.price) + fee
        self.filled[fill.market] = self.filled.get(fill.market, 0.0) + size
        self.fills_from_ns = max(self.fills_from_ns, _drop_old(self.fill_ids, now))

    def payment(
        self, market: str, hour: int, amount_usd: float, time_ns: int, *, stated: bool
    ) -> None:
        """Funding of one market in one hour; what the venue states replaces an estimate."""
        if not self.since_ns or time_ns <= self.since_ns:
            return
        key = f"{market}|{hour}"
        known = self.payments.get(key)
        if known is not None and not stated:
            return
        self.payments[key] = amount_usd
        self.funding_usd += amount_usd - (0.0 if known is None else known)
        while len(self.payments) > ITEMS_MAX:
            del self.payments[next(iter(self.payments))]

    def transfer(self, amount_usd: float, time_ns: int) -> None:
        """One transfer, told for the first time."""
        if self.since_ns and time_ns > self.since_ns:
            self.flows_usd += amount_usd


def _drop_old(items: dict[str, int], now: EngineNs) -> EngineNs:
    """The oldest told go first while they are old or too many; the newest time that went, or 0."""
    newest_ns = 0
    while items:
        first = next(iter(items))
        if items[first] > now - KEPT_NS and len(items) <= ITEMS_MAX:
            break
        newest_ns = max(newest_ns, items.pop(first))
    return newest_ns
