"""Which of two statements is newer, and what two sources of the same fact contradict. *Pure.*"""

from __future__ import annotations

from monitor.core.decision import CrossCheck
from monitor.core.events import PositionsReported
from monitor.core.state.facts import Refusals
from monitor.core.state.model import AccountState, PositionState, RiskState
from monitor.core.types import SECOND_NS, EngineNs, position_subject

TRUTH = "truth"
DIFFERENCE_RATIO = 0.005  # rules-catalogue §7 CROSS_CHECK: half a per cent, or one lot
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
