"""Which of two statements is newer, and what two sources of the same fact contradict.

Only like is compared with like. Sizes, cash and token balances do not move with prices, so two
statements about them may be seconds apart; equity does, so it is compared only where both were made
at the same height or within a moment of the venue's own time. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable

from monitor.core.decision import CrossCheck
from monitor.core.events import (
    AccountReported,
    CollateralReported,
    PositionReport,
    PositionsReported,
)
from monitor.core.state.facts import Refusals
from monitor.core.state.model import AccountState, PositionState, RiskState, Sides, Statement
from monitor.core.types import SECOND_NS, EngineNs, position_subject

TRUTH = "truth"
DIFFERENCE_RATIO = 0.005  # rules-catalogue §7 CROSS_CHECK: half a per cent, or one lot
# In a crash a levered equity moves by a per cent a second: two statements of it must be nearer.
EQUITY_COMPARED_WITHIN_NS = 100_000_000
DIFFERENCE_MAX = 2.0
# So often and for so long in a row one source must say something older before it is believed: a
# re-read that lags behind a stream is overtaken long before, a bad height never.
INSISTS = 3
INSISTS_FOR_NS = 20 * SECOND_NS


def insists(refused: Refusals, source: str, now: EngineNs) -> bool:
    """Note one more older statement of ``source``; True when it has said so often and long
    enough while nothing newer came that it is the known one that must be wrong."""
    count, first_ns = refused.get(source, (0, now))
    refused[source] = (count + 1, first_ns)
    return count + 1 >= INSISTS and now - first_ns >= INSISTS_FOR_NS


def not_older(
    height: int | None,
    as_of: int,
    known_height: int | None,
    known_as_of: int,
) -> bool:
    """Whether a statement is at least as new as the known one: by height, else by time."""
    if height is not None and known_height is not None:
        return height >= known_height
    return as_of >= known_as_of


def cross_check(
    state: RiskState,
    account: AccountState,
    position: PositionState,
    event: PositionsReported,
    size: float,
    as_of: int,
    now: EngineNs,
) -> None:
    """Judge this statement against what the other source last said, before it is taken over.

    Truth that is newer than the stream's last word and differs means a lost message. A stream that
    says something new after truth is news, not contradiction; one that repeats what it said before
    leaves an earlier judgement standing.
    """
    if event.source == TRUTH:
        stream = position.stream_size
        if stream is None or not not_older(
            event.height, as_of, position.stream_height, position.stream_as_of_ns
        ):
            return
        pair = (stream, size)
    else:
        truth = position.truth_size
        if truth is None or size == position.stream_size:
            return
        if not_older(event.height, as_of, position.truth_height, position.truth_as_of_ns):
            position.difference_ratio, position.told_pair = 0.0, None
            return
        # An older stream message than the truth we hold: late, and not adopted either.
        return
    position.difference_ratio = _size_difference(state, account, position.market, *pair)
    if position.difference_ratio == 0.0:
        position.told_pair = None
    elif position.told_pair != pair:
        position.told_pair = pair
        state.cross_checks.append(
            CrossCheck(
                subject=position_subject(account.venue, account.account, position.market),
                field="size",
                stream=repr(pair[0]),
                truth=repr(pair[1]),
                at_ns=now,
            ),
        )


def _size_difference(
    state: RiskState,
    account: AccountState,
    market: str,
    stream: float,
    truth: float,
) -> float:
    """Relative difference of two sizes; 0.0 while they agree to less than a lot (or, where the lot
    is not known, to half a per cent)."""
    larger = max(abs(stream), abs(truth))
    if larger == 0.0:
        return 0.0
    gap = abs(stream - truth)
    known = state.venues[account.venue].markets.get(market)
    lot = None if known is None else known.size_step
    # A thousandth of a lot forgives binary fractions, nothing more.
    agree = gap < lot * 0.999 if lot else gap / larger <= DIFFERENCE_RATIO
    return 0.0 if agree else gap / larger


# -------------------------------------------------------------------------------------- money


def compare_money(
    state: RiskState,
    account: AccountState,
    event: AccountReported,
    as_of: int,
    now: EngineNs,
) -> None:
    """Lay the cash and equity that one source states beside the other's."""
    truth = event.source == TRUTH
    cash, equity = event.cash_usd, event.equity_usd
    if cash is not None and cash.is_finite():
        sides = account.cash_sides
        if _lay(sides, Statement(float(cash), as_of, event.height), truth=truth):
            _judge(state, account, sides, "cash_usd", _scale(account, sides), now)
    if equity is not None and equity.is_finite():
        timed = event.venue_time_ns is not None
        said = Statement(float(equity), as_of, event.height, timed)
        _compare_equity(state, account, said, now, truth=truth)


def compare_collateral(
    state: RiskState,
    account: AccountState,
    event: CollateralReported,
    as_of: int,
    now: EngineNs,
) -> None:
    """Lay the token balances that one source states beside the other's; what it does not list is
    zero."""
    truth = event.source == TRUTH
    known = account.collateral_sides
    told = {one.token: one for one in event.balances if one.amount.is_finite()}
    for token in (*told, *(name for name in known if name not in told)):
        sides = known.get(token)
        if sides is None:
            sides = known[token] = Sides()
        balance = told.get(token)
        amount = 0.0 if balance is None else float(balance.amount)
        if not _lay(sides, Statement(amount, as_of), truth=truth):
            continue
        price = None if balance is None else balance.price_usd
        # Against the whole equity where the token's worth is known, else against the balance.
        scale = _scale(account, sides) / price if price else _larger(sides)
        _judge(state, account, sides, token, scale, now)


def forget_sides(account: AccountState) -> None:
    """The order of what was said before is void: both sides start anew."""
    account.cash_sides, account.equity_sides = Sides(), Sides()


def stated_value(reports: Iterable[PositionReport]) -> float | None:
    """Signed value of positions at the prices behind the venue's own statement, USD; None where it
    does not tell them."""
    total = 0.0
    for report in reports:
        if report.mark_price is not None:
            total += float(report.size) * report.mark_price
        elif report.entry_price is not None and report.unrealized_pnl_usd is not None:
            total += float(report.size * report.entry_price + report.unrealized_pnl_usd)
        elif report.size:
            return None
    return total


def _lay(sides: Sides, said: Statement, *, truth: bool) -> bool:
    """Keep the statement; True where the two sides can be judged by it.

    Truth that is newer than the stream's last word and differs means a lost message. A stream that
    says something new after truth is news, not contradiction; one that repeats what it said before
    leaves an earlier judgement standing.
    """
    before = sides.truth if truth else sides.stream
    if before is not None and _older(said, before):
        return False
    if truth:
        sides.truth = said
        return sides.stream is not None and not _older(said, sides.stream)
    sides.stream = said
    if before is not None and before.amount == said.amount:
        return False
    sides.drift = 0.0
    if sides.truth is None or not _older(said, sides.truth):
        sides.difference_ratio, sides.told_pair = 0.0, None
    return False


def _judge(
    state: RiskState,
    account: AccountState,
    sides: Sides,
    field: str,
    scale: float,
    now: EngineNs,
) -> None:
    if sides.stream is None or sides.truth is None:
        return
    pair = (sides.stream.amount + sides.drift, sides.truth.amount)
    gap = abs(pair[0] - pair[1])
    ratio = min(gap / scale, DIFFERENCE_MAX) if scale > 0.0 else 0.0
    sides.difference_ratio = ratio if ratio > DIFFERENCE_RATIO else 0.0
    if sides.difference_ratio == 0.0:
        sides.told_pair = None
    elif sides.told_pair != pair:
        sides.told_pair = pair
        state.cross_checks.append(
            CrossCheck(
                subject=account.subject,
                field=field,
                stream=repr(pair[0]),
                truth=repr(pair[1]),
                at_ns=now,
            ),
        )


def _compare_equity(
    state: RiskState,
    account: AccountState,
    said: Statement,
    now: EngineNs,
    *,
    truth: bool,
) -> None:
    """Judged only against a statement of the same moment; any other ends the judgement, for what
    was different then may be prices now."""
    sides = account.equity_sides
    if truth:
        sides.truth, other = said, sides.stream
    else:
        sides.stream, other = said, sides.truth
    if other is None:
        return
    if said.height is not None and other.height is not None:
        together = said.height == other.height
    else:
        apart = abs(said.as_of_ns - other.as_of_ns)
        together = said.timed and other.timed and apart <= EQUITY_COMPARED_WITHIN_NS
    if together:
        _judge(state, account, sides, "equity_usd", _larger(sides), now)
    else:
        sides.difference_ratio, sides.told_pair = 0.0, None


def _scale(account: AccountState, sides: Sides) -> float:
    """What a difference is held against: the account's equity, or where it has none the amounts."""
    equity = account.equity.value
    return equity if equity is not None and equity > 0.0 else _larger(sides)


def _larger(sides: Sides) -> float:
    amounts = [abs(one.amount) for one in (sides.stream, sides.truth) if one is not None]
    return max(amounts, default=0.0)


def _older(said: Statement, known: Statement) -> bool:
    return not not_older(said.height, said.as_of_ns, known.height, known.as_of_ns)
