"""What people, the rulebook and finished computations do to the risk state. *Pure.*"""

from __future__ import annotations

from collections.abc import Set

from monitor.core.events import (
    BucketsReviewed,
    ComputationFinished,
    OffBookLegsDeclared,
    OperatorCommanded,
    RulebookLoaded,
    Tick,
)
from monitor.core.formulas.drawdown import accept_drawdown
from monitor.core.state.facts import COMPUTED_BIT, LEGS_BIT, OFF_BOOK_BIT, REVIEW_BIT, AccountBit
from monitor.core.state.flows import TRANSFER_WINDOW_NS, AcceptedStep
from monitor.core.state.model import (
    AccountState,
    OperatorRecord,
    RiskState,
)
from monitor.core.types import (
    PORTFOLIO,
    EngineNs,
    Subject,
    asset_subject,
    bucket_subject,
    hedge_set_subject,
)

OPERATOR_RECORDS_MAX = 100
# "rebaseline": the running peak of a subject (argument "subject"), or of all, starts anew.
REBASELINE = "rebaseline"


def off_book_declared(state: RiskState, event: OffBookLegsDeclared, _now: EngineNs) -> None:
    """The desk's whole list replaces the earlier one."""
    assets = {leg.asset for leg in (*state.off_book, *event.legs)}
    sets = {leg.hedge_set for leg in (*state.off_book, *event.legs) if leg.hedge_set}
    state.off_book = event.legs
    for asset in sorted(assets):
        if asset not in state.assets:
            state.assets[asset] = []
            state.appeared.append(("asset", "", "", asset))
        subject = asset_subject(asset)
        state.dirty[subject] = state.dirty.get(subject, 0) | OFF_BOOK_BIT
    for name in sorted(sets):
        subject = hedge_set_subject(name)
        state.dirty[subject] = state.dirty.get(subject, 0) | LEGS_BIT
    state.dirty[PORTFOLIO] = state.dirty.get(PORTFOLIO, 0) | OFF_BOOK_BIT


def buckets_reviewed(state: RiskState, event: BucketsReviewed, _now: EngineNs) -> None:
    """Who last looked at which risk bucket."""
    before, state.structure.reviews = (
        state.structure.reviews,
        {one.bucket: one for one in event.reviews},
    )
    for name in sorted(before.keys() | state.structure.reviews.keys()):
        subject = bucket_subject(name)
        state.dirty[subject] = state.dirty.get(subject, 0) | REVIEW_BIT


def rulebook_loaded(state: RiskState, event: RulebookLoaded, _now: EngineNs) -> None:
    """The texts are part of the state, so that a restored engine judges by the same rules."""
    state.rulebook = event.files


def operator_commanded(state: RiskState, event: OperatorCommanded, now: EngineNs) -> None:
    """Keep the record; ``rebaseline`` forgets running peaks, and what no one could explain."""
    state.operator.append(
        OperatorRecord(
            at_ns=now,
            principal=event.principal,
            verb=event.verb,
            arguments=event.arguments,
            reason=event.reason,
        ),
    )
    del state.operator[:-OPERATOR_RECORDS_MAX]
    if event.verb == REBASELINE:
        chosen = dict(event.arguments).get("subject")
        _accept_equity(state, chosen, now)
        for subject in list(state.drawdowns):
            if chosen in {None, subject}:
                del state.drawdowns[subject]
        for key in list(state.rolling):
            if chosen in {None, key.partition("|")[2]}:
                del state.rolling[key]


def _accept_equity(state: RiskState, chosen: str | None, now: EngineNs) -> None:
    """What was unexplained of the accounts in the subject is taken as it is from now on. To the
    peaks around them it is a flow: else they would fall by it as soon as it is no estimate.

    It is counted among the transfers: one that it was, told later, must not count again. And the
    equity is explained anew, as by the first statement, in which all is that happened before.
    """
    for venue in state.venues.values():
        for account in venue.accounts.values():
            if chosen in {None, PORTFOLIO, venue.subject, account.subject}:
                ledger = account.ledger
                if ledger.doubted and ledger.unexplained_usd:
                    around = {account.subject, venue.subject, PORTFOLIO}
                    _book_step(state, around, ledger.unexplained_usd)
                    # It is in the last statement; what moved since then is not.
                    stated_ns = min(account.equity.seen_ns or now, now)
                    _count_step(account, ledger.unexplained_usd, stated_ns)
                ledger.attribution = ledger.doubt = None
                ledger.since_ns = 0
                state.dirty[account.subject] = (
                    state.dirty.get(account.subject, 0) | AccountBit.MONEY
                )


def _book_step(state: RiskState, subjects: Set[str], usd: float) -> None:
    for subject in state.drawdowns.keys() & subjects:
        state.drawdowns[subject] = accept_drawdown(state.drawdowns[subject], usd)
    for key, memory in state.rolling.items():
        if key.partition("|")[2] in subjects:
            memory.drawdown = accept_drawdown(memory.drawdown, usd)


def _count_step(account: AccountState, usd: float, now: EngineNs) -> None:
    account.flow_total_usd += usd
    account.external_total_usd += usd
    kept = [one for one in account.accepted if now - one.at_ns < TRANSFER_WINDOW_NS]
    account.accepted = (*kept, AcceptedStep(now, usd))


def computation_finished(state: RiskState, event: ComputationFinished, now: EngineNs) -> None:
    """The answer of a heavy computation; an older one than the known changes nothing, nor does one
    that nobody asked for."""
    known = state.computed.get(f"{event.measure}|{event.subject}")
    if known is None or (known.seen_ns and known.as_of_ns > event.as_of_ns):
        return
    known.value, known.error = event.value, event.error
    known.as_of_ns, known.seen_ns = event.as_of_ns, now
    subject = Subject(event.subject)
    state.dirty[subject] = state.dirty.get(subject, 0) | COMPUTED_BIT


def tick(_state: RiskState, _event: Tick, _now: EngineNs) -> None:
    """Time passed; what that means is found by ``evaluate``."""
