"""Drawdown of accounts, venues and the portfolio: measures that remember their peaks. *Pure.*

``drawdown_ratio`` is the fall from the highest equity ever seen; those of a window forget what is
older. All of them take transfers, and money on its way between own accounts, out; and while more
than a little of it was lost for no known reason (``attribution``) all of them are estimates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import fsum

from monitor.core.formulas.drawdown import (
    DrawdownMemory,
    Flows,
    doubt_drawdown,
    follow_drawdown,
    in_transit,
    start_drawdown,
)
from monitor.core.formulas.rolling import Window, follow_rolling
from monitor.core.measures.accounts import EQUITY
from monitor.core.measures.attribution import (
    SUSPECT,
    explained_ns,
    is_doubted,
    is_suspect,
    unexplained_usd,
)
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.exposure import GROSS
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, Node, PortfolioNode, VenueNode
from monitor.core.measures.use import Use
from monitor.core.state.facts import FLOWS_BIT, AccountBit, VenueBit
from monitor.core.state.model import DAY_NS, AccountState
from monitor.core.types import SECOND_NS, SubjectKind


def _flows(accounts: list[AccountState], use: Use, *, whole: bool) -> Flows:
    """What moved in and out of these accounts. Over the whole book, money between own accounts is
    not gone: it is in transit until it arrives or the limit passes. So is what went to a wallet:
    its arrival elsewhere is told as a deposit of its own, and only then are the two known to be
    one."""
    if whole:
        external = fsum([account.external_total_usd for account in accounts])
        own_in = fsum([account.own_in_total_usd for account in accounts])
    else:
        external, own_in = fsum([account.flow_total_usd for account in accounts]), 0.0
    if not any([account.recent_flows for account in accounts]):  # noqa: C419 - a third of its cost
        return Flows(external, own_in)
    settling_ns = round(use.settings.flow_settling_s * SECOND_NS)
    transit_ns = min(round(use.settings.transit_s * SECOND_NS), DAY_NS)
    settling_external: list[float] = []
    own: list[float] = []
    own_settled: list[float] = []
    awaiting: list[float] = []
    settling, shown = False, True
    for account in accounts:
        judged_ns = explained_ns(account)
        for flow in account.recent_flows:
            age = use.now - flow.told_ns
            shown = shown and flow.told_ns < judged_ns
            recent = age < settling_ns
            if recent:
                settling = True
                use.wake_at(flow.told_ns + settling_ns)
            if whole and (flow.own or (flow.open and flow.amount_usd < 0.0)):
                if age < transit_ns:
                    own.append(flow.amount_usd)
                    if not flow.own:
                        awaiting.append(flow.amount_usd)
                    use.wake_at(flow.told_ns + transit_ns)
                    if not recent:
                        own_settled.append(flow.amount_usd)
            elif recent:
                settling_external.append(flow.amount_usd)
    return Flows(
        external_total_usd=external - fsum(awaiting),
        own_in_total_usd=own_in,
        transit_usd=in_transit(own),
        settling_external_usd=fsum(settling_external),
        transit_settled_usd=in_transit(own_settled),
        settling=settling,
        awaiting_usd=fsum(awaiting),
        shown=shown,
    )


def _drawdown(node: Node, use: Use, accounts: list[AccountState], *, whole: bool) -> float | None:
    equity = use.read(node, EQUITY.name)
    if equity is None:
        return None
    gross = use.read(node, GROSS.name)
    if gross is None:
        return None
    flows = _flows(accounts, use, whole=whole)
    memory = use.state.drawdowns.get(node.subject)
    highest_usd = 0.0 if isinstance(node, AccountNode) else _highest(equity, memory)
    doubted = is_doubted(accounts, highest_usd)
    if is_suspect(accounts, highest_usd):
        if memory is not None and not use.estimated:
            memory = doubt_drawdown(memory, equity, flows, unexplained_usd(accounts))
            use.state.drawdowns[node.subject] = memory
        use.estimated = True
    if memory is None:
        if use.estimated:
            use.absent("no peak is known, and an estimate is none")
            return None
        memory = start_drawdown(equity, flows)
    memory, drawdown = follow_drawdown(
        memory,
        equity,
        flows,
        exposed=gross > 0.0,
        now=use.now,
        settling_ns=round(use.settings.flow_settling_s * SECOND_NS),
    )
    # An estimate that is too high must not become the peak, nor what a moment may explain.
    if not use.estimated and not doubted:
        use.state.drawdowns[node.subject] = memory
    return drawdown


def _highest(equity_usd: float, memory: DrawdownMemory | None) -> float:
    """What a fall is measured from: were it the equity of now, a crash would make little much."""
    return equity_usd if memory is None else max(equity_usd, memory.peak_usd)


def _preview_drawdown(
    node: AccountNode | VenueNode | PortfolioNode, accounts: Iterable[AccountState], *, whole: bool
) -> float | None:
    """While nothing flows and no new peak is reached, the peak alone decides."""
    memory = node.drawdowns.get(node.subject)
    cell = node.instances[EQUITY.name].cell
    equity = cell.value
    suspect = node.instances[SUSPECT.name].cell.value
    if cell.estimated or suspect == 1.0 or node.instances[DRAWDOWN.name].cell.estimated:
        return None  # that it is an estimate, or none any more, has to be told
    if memory is None or memory.raised or memory.unsettled is not None:
        return None
    if equity is None or not 0.0 < equity <= memory.peak_usd:
        return None
    total = 0.0
    for account in accounts:
        if account.recent_flows:
            return None
        total += account.external_total_usd if whole else account.flow_total_usd
    return None if total != memory.external_total_usd else 1.0 - equity / memory.peak_usd


def _preview_account_drawdown(node: AccountNode) -> float | None:
    return _preview_drawdown(node, (node.account,), whole=False)


def _preview_venue_drawdown(node: VenueNode) -> float | None:
    return _preview_drawdown(node, node.venue.accounts.values(), whole=False)


def _preview_portfolio_drawdown(node: PortfolioNode) -> float | None:
    accounts = (one for place in node.venues for one in place.venue.accounts.values())
    return _preview_drawdown(node, accounts, whole=True)


def _account_drawdown(node: AccountNode, use: Use) -> float | None:
    return _drawdown(node, use, [node.account], whole=False)


def _venue_drawdown(node: VenueNode, use: Use) -> float | None:
    return _drawdown(node, use, list(node.venue.accounts.values()), whole=False)


def _all_accounts(use: Use) -> list[AccountState]:
    return [account for venue in use.state.venues.values() for account in venue.accounts.values()]


def _portfolio_drawdown(node: PortfolioNode, use: Use) -> float | None:
    return _drawdown(node, use, _all_accounts(use), whole=True)


def _rolling(name: str, window: Window) -> Callable[[PortfolioNode, Use], float | None]:
    def compute(node: PortfolioNode, use: Use) -> float | None:
        equity = use.read(node, EQUITY.name)
        gross = use.read(node, GROSS.name)
        if equity is None or gross is None:
            return None
        accounts = _all_accounts(use)
        flows = _flows(accounts, use, whole=True)
        key = f"{name}|{node.subject}"
        known = use.state.rolling.get(key)
        highest_usd = _highest(equity, None if known is None else known.drawdown)
        if is_suspect(accounts, highest_usd):
            if known is not None and not use.estimated:
                left = unexplained_usd(accounts)
                known.drawdown = doubt_drawdown(known.drawdown, equity, flows, left)
            use.estimated = True
        kept = not use.estimated and not is_doubted(accounts, highest_usd)
        if use.estimated and known is None:
            use.absent("no peak is known, and an estimate is none")
            return None
        if not kept and known is not None:
            known = known.copy()
        memory, drawdown = follow_rolling(
            known,
            equity,
            flows,
            exposed=gross > 0.0,
            now=use.now,
            settling_ns=round(use.settings.flow_settling_s * SECOND_NS),
            window=window,
        )
        if kept:  # likewise
            use.state.rolling[key] = memory
        return drawdown

    return compute


DRAWDOWN = MeasureSpec(
    name="drawdown_ratio",
    kinds=(SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO),
    unit=Unit.RATIO,
    help="Loss of equity from its running peak, transfers and money in transit taken out.",
    low=0.0,
    high=1.0,
    at_zero="1 when equity is gone",
    typical=(0.02, 0.2),
)
_MINUTE_NS = 60 * SECOND_NS
# Ten minutes in thirty days are near enough; in an hour they are not.
WINDOWS = (
    ("1h", "hour", Window(60 * _MINUTE_NS, _MINUTE_NS)),
    ("24h", "24 hours", Window(DAY_NS, 10 * _MINUTE_NS)),
    ("7d", "7 days", Window(7 * DAY_NS, 10 * _MINUTE_NS)),
    ("30d", "30 days", Window(30 * DAY_NS, 10 * _MINUTE_NS)),
)


def _windowed(short: str, words: str) -> MeasureSpec:
    return MeasureSpec(
        name=f"drawdown_{short}_ratio",
        kinds=(SubjectKind.PORTFOLIO,),
        unit=Unit.RATIO,
        help=f"Loss of equity from its highest of the last {words}, transfers taken out.",
        low=0.0,
        high=1.0,
        cadence_s=1.0,
        at_zero="1 when equity is gone",
        typical=(0.02, 0.2),
    )


_DRAWDOWN_NEEDS = (
    (Relation.SELF, EQUITY.name),
    (Relation.SELF, GROSS.name),
    (Relation.SELF, SUSPECT.name),
)

DEFINITIONS: tuple[Definition, ...] = (
    *(
        define(
            DRAWDOWN,
            kind,
            compute,
            bits=bits,
            needs=_DRAWDOWN_NEEDS,
            always=True,
            preview=preview,
        )
        for kind, compute, preview, bits in (
            (
                SubjectKind.ACCOUNT,
                _account_drawdown,
                _preview_account_drawdown,
                AccountBit.LEDGER,
            ),
            (SubjectKind.VENUE, _venue_drawdown, _preview_venue_drawdown, VenueBit.FLOWS),
            (SubjectKind.PORTFOLIO, _portfolio_drawdown, _preview_portfolio_drawdown, FLOWS_BIT),
        )
    ),
    *(
        define(
            _windowed(short, words),
            SubjectKind.PORTFOLIO,
            _rolling(f"drawdown_{short}_ratio", window),
            bits=FLOWS_BIT,
            needs=_DRAWDOWN_NEEDS,
            always=True,
        )
        for short, words, window in WINDOWS
    ),
)
