"""Funding that a venue has charged but not yet taken from the stated cash (dYdX settles lazily).

No message says it: each settlement is accrued here for the positions then held, until a statement
of cash that is newer than the settlement arrives. *Pure.*
"""

from __future__ import annotations

from monitor.core.events import FundingSettled
from monitor.core.formulas.funding import compute_funding_payment
from monitor.core.state.facts import AccountBit
from monitor.core.state.funding import hour_of
from monitor.core.state.model import AccountState, MarketState, RiskState
from monitor.core.types import EngineNs

ACCRUALS_MAX = 72  # hours kept apart; older ones are added to the oldest kept


def accrue_funding(state: RiskState, market: MarketState, event: FundingSettled) -> None:
    """Add what this settlement charged to every account of an oracle-margined venue that holds the
    market and whose stated cash is older than it."""
    venue = state.venues[event.venue]
    if not venue.oracle_margined:
        return
    price = event.oracle_price if event.oracle_price is not None else market.oracle.value
    for account in venue.accounts.values():
        position = account.positions.get(event.market)
        if position is None or position.size == 0.0 or price is None:
            continue
        if account.cash.value is None:
            continue
        paid = compute_funding_payment(
            size=position.size,
            oracle_price=price,
            funding_rate_hourly=event.funding_rate_hourly,
        )
        hour = hour_of(event.settled_at_ns)
        account.ledger.payment(event.market, hour, paid, event.settled_at_ns, stated=False)
        told = account.cash_sides.stream
        if told is not None and told.as_of_ns < event.settled_at_ns:
            account.cash_sides.drift += paid
        if account.cash.as_of_ns >= event.settled_at_ns:
            continue
        accruals = account.accruals
        accruals[event.settled_at_ns] = accruals.get(event.settled_at_ns, 0.0) + paid
        if len(accruals) > ACCRUALS_MAX:
            first, second = sorted(accruals)[:2]
            accruals[second] += accruals.pop(first)
        state.dirty[account.subject] = state.dirty.get(account.subject, 0) | AccountBit.MONEY


def forget_settled(account: AccountState, cash_as_of_ns: EngineNs) -> None:
    """The cash stated as of then contains every settlement up to then."""
    if account.accruals:
        account.accruals = {at: paid for at, paid in account.accruals.items() if at > cash_as_of_ns}
