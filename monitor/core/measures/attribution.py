"""Whether the equity of an account moved by more than anything told explains. *Pure.*

While it did, the account is *suspect*: where it lost, every drawdown that it matters to is an
estimate, which may page and hold and cuts nothing. It ends when the explanation comes (late
transfer, fill, payment), when the next statement is as before, or with `riskd rebaseline`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum

from monitor.core.formulas.attribution import (
    EQUITY_RATIO,
    Attribution,
    Held,
    Statement,
    follow_attribution,
    start_attribution,
)
from monitor.core.killswitch.scope import covers_account
from monitor.core.measures.accounts import EQUITY
from monitor.core.measures.aggregate import UPWARD, upward
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.holdings import positions_known
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, MarketNode, Node, VenueNode
from monitor.core.measures.use import Use, known_ns
from monitor.core.state.facts import AccountBit
from monitor.core.state.model import AccountState, MarketState, PositionState, RiskState
from monitor.core.types import SECOND_NS, AccountMode, EngineNs, SubjectKind

# Accounts are told several times a second in a rush; once a second is enough to see a step.
READ_EVERY_NS = SECOND_NS
_WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)
_POOLED = frozenset({AccountMode.UNIFIED, AccountMode.PORTFOLIO_MARGIN})


def is_suspect(accounts: Iterable[AccountState], highest_usd: float) -> bool:
    """Whether these accounts lost, for no known reason, so much that a drawdown of theirs from
    ``highest_usd`` (USD; 0 counts any loss) is an estimate.

    The limit is the tolerance of one account: half a per cent of the highest equity moves the
    drawdown by half a point at most, a tenth of the first rung of the ladder. Without it a spare
    account of a few hundred USD would disarm the whole book. A gain from nowhere makes a drawdown
    look too small, never too large: one that is past its limit all the same is true.
    """
    open_usd = [one.ledger.unexplained_usd for one in accounts if one.ledger.suspect]
    return -fsum(min(one, 0.0) for one in open_usd) > EQUITY_RATIO * max(highest_usd, 0.0)


def is_doubted(accounts: Iterable[AccountState], highest_usd: float) -> bool:
    """Whether they moved by more than that, up or down, be it confirmed or not: then no equity of
    theirs is to be remembered, for a gain from nowhere makes no peak."""
    open_usd = [one.ledger.unexplained_usd for one in accounts if one.ledger.doubted]
    return fsum(map(abs, open_usd)) > EQUITY_RATIO * max(highest_usd, 0.0)


def explained_ns(account: AccountState) -> EngineNs:
    """When the newest statement was told that leaves nothing unexplained; 0 where the newest does,
    or none was ever judged."""
    known = account.ledger.attribution
    return 0 if known is None or known.unexplained_usd else known.explained_ns


def unexplained_usd(accounts: Iterable[AccountState]) -> float:
    """What of these equities is unexplained, signed, USD."""
    known = [one.ledger.attribution for one in accounts]
    return fsum(one.unexplained_usd for one in known if one is not None)


# --------------------------------------------------------------------------- one statement


def _statement(node: AccountNode, told_ns: EngineNs, use: Use) -> Statement | None:
    """The newest statement taken apart; None, with the reason, where that cannot be done now."""
    account = node.account
    if not positions_known(node, use):
        return None
    pooled = account.mode in _POOLED
    held = _held(node, use, fresh=pooled)
    if held is None:
        return None
    if use.state.venues[account.venue].oracle_margined:
        equity = _cash(account)
        money: float | None = equity
        equity += sum(one.size * one.price for one in held.values())
    elif pooled:
        equity = account.equity.value or 0.0
        for token in account.collateral:
            if token.price_market is not None and token.price_usd is not None:
                filled = account.ledger.filled.get(token.price_market, 0.0)
                held[token.price_market] = Held(float(token.amount), filled, token.price_usd)
        money = equity - sum(one.size * one.price for one in held.values())
    else:
        equity, money = account.equity.value or 0.0, _money_of_statement(account)
    if money is None:
        use.absent("equity and positions were not told together")
        return None
    forced = (*account.forced_fills.values(), *account.liquidations_seen.values())
    return Statement(
        told_ns=told_ns,
        equity_usd=equity,
        money_usd=money,
        ledger_usd=account.ledger.total_usd,
        held=held,
        own_prices=not pooled,
        forced_ns=max(forced, default=0),
    )


def _cash(account: AccountState) -> float:
    return (account.cash.value or 0.0) + sum(account.accruals.values())


def _money_of_statement(account: AccountState) -> float | None:
    """Equity less positions, both at the statement's own prices."""
    equity, value = account.equity, account.positions_value
    if value is None or equity.value is None:
        return None
    if (value.as_of_ns, value.height) != (equity.as_of_ns, equity.height):
        return None
    return equity.value - value.amount


def _held(node: AccountNode, use: Use, *, fresh: bool) -> dict[str, Held] | None:
    """What is or was held; with ``fresh`` at prices of now, else at the last ones known, which only
    say what a size that changed was worth. None where one is missing."""
    account = node.account
    markets, filled = use.state.venues[account.venue].markets, account.ledger.filled
    known = account.ledger.attribution
    found: dict[str, Held] = {}
    for name, position in account.positions.items():
        place = node.markets[name]
        price = _price(place, position, use, fresh=fresh and position.size != 0.0)
        if price is None and known is not None and name in known.guesses:
            price = None if fresh and position.size else known.guesses[name].price
        if price is None:
            if position.size == 0.0 and not filled.get(name):
                continue
            use.absent(f"no price of {name}")
            return None
        rate = _next_funding(place.market)
        found[name] = Held(position.size, filled.get(name, 0.0), price, rate)
    for name, size in filled.items():
        market = markets.get(name)
        if name not in found and size and market is not None:  # its position is not told yet
            price = _last_price(market)
            if price is None:
                use.absent(f"no price of {name}")
                return None
            found[name] = Held(0.0, size, price)
    return found


def _price(place: MarketNode, position: PositionState, use: Use, *, fresh: bool) -> float | None:
    market = place.market
    if fresh:
        fact = market.mark if market.has_mark else market.oracle
        limit = place.mark_limit if market.has_mark else place.oracle_limit
        known = known_ns(fact, use.channels.get(fact.channel))
        return fact.value if known + limit > use.now else None
    stated = None if position.adopted is None else position.adopted.mark_price
    return stated if stated and position.size else _last_price(market)


def _last_price(market: MarketState) -> float | None:
    fact = market.mark if market.has_mark else market.oracle
    return fact.reference if fact.value is None else fact.value


def _next_funding(market: MarketState) -> float:
    rate = market.predicted.value if market.predicted.value is not None else market.settled.value
    return 0.0 if rate is None else abs(rate) * market.funding_interval_s / 3600.0


# --------------------------------------------------------------------------------- following


def _inputs(node: AccountNode, use: Use) -> str:
    """What nobody could have told; empty where all that explains equity is being told."""
    account = node.account
    alias = account.account.partition(".")[0]  # the venue's lists are of all its pools
    accounts = use.state.venues[account.venue].accounts.values()
    pools = [one for one in accounts if covers_account(alias, one.account)]
    transfers = [one.ledger.transfers_seen for one in pools if one.ledger.transfers_seen.seen_ns]
    fills = [one.fills_seen for one in pools if one.fills_seen.seen_ns]
    if not transfers:
        return "transfers were never told"
    if account.positions and not fills:
        return "fills were never told"
    for fact in (*transfers, *fills, account.funding_seen):
        channel = use.channels.get(fact.channel)
        if channel is not None and channel.expected and not channel.open:
            return f"{channel.name} is lost"
    return ""


def _followed(node: AccountNode, use: Use) -> Attribution | None:
    """The attribution with the newest statement in it; None, with the reason, where the account
    cannot be read."""
    account, ledger = node.account, node.account.ledger
    if account.mode is None or account.mode is AccountMode.UNREADABLE:
        use.absent(f"the account's mode cannot be read: {account.mode_reason}")
        return None
    oracle_margined = use.state.venues[account.venue].oracle_margined
    fact = account.cash if oracle_margined else account.equity
    if fact.value is None or not use.fresh(fact, node.account_limit, "equity"):
        if fact.value is None:
            use.absent("equity is not stated")
        return None
    if ledger.mode is not account.mode:
        ledger.mode, ledger.attribution = account.mode, None
    known = ledger.attribution
    if known is not None and fact.seen_ns - known.told_ns < (
        READ_EVERY_NS if not known.doubted_ns else 1
    ):
        return known
    said = _statement(node, fact.seen_ns, use)
    if said is None:
        return None
    if known is None:
        ledger.since_ns = ledger.since_ns or fact.as_of_ns
        ledger.attribution = start_attribution(said, ledger.doubt)
        ledger.doubt = None
        return ledger.attribution
    follow_attribution(known, said, inputs_known=not _inputs(node, use))
    return known


def _unexplained(node: AccountNode, use: Use) -> float | None:
    ledger = node.account.ledger
    memory = _followed(node, use)
    if ledger.suspect:  # what is missing now makes nothing explained
        return abs(ledger.unexplained_usd)
    if memory is None:
        return None
    if memory.unexplained_usd and not memory.doubted_ns:
        use.absent(f"{_inputs(node, use) or 'the next statement is awaited'}: nobody can say why")
        return None
    return abs(memory.unexplained_usd)


def _suspect(node: AccountNode, use: Use) -> float | None:
    ledger = node.account.ledger
    if ledger.suspect:
        return 1.0
    if use.read(node, UNEXPLAINED.name) is None:
        return None
    # Told when it last became otherwise: whoever reads it is not to follow every statement.
    known = ledger.attribution
    use.observed = ledger.since_ns if known is None else max(known.suspect_ns, ledger.since_ns)
    return 0.0


def _any(node: Node, use: Use) -> float | None:
    """1 where more than the limit is suspect within; unknown where one of the others is."""
    unknown = None
    for other in node.related(UPWARD[node.kind]):
        if use.read(other, SUSPECT.name) is None:
            unknown = use.why
    venues = [node.venue] if isinstance(node, VenueNode) else use.state.venues.values()
    suspects = [one for venue in venues for one in venue.accounts.values() if one.ledger.suspect]
    if suspects:
        peak = use.state.drawdowns.get(node.subject)
        equity_usd = node.instances[EQUITY.name].cell.value or 0.0  # also while it is too old
        highest_usd = equity_usd if peak is None else max(equity_usd, peak.peak_usd)
        if is_suspect(suspects, highest_usd):
            return 1.0
    if unknown is not None:
        use.why = unknown
        return None
    return 0.0


# ------------------------------------------------------------------------------- for people


def unexplained_words(account: AccountState, now: EngineNs) -> str:
    """``lost 12,000 USD 95 s ago that no price, fill, funding or transfer explains; ...``; empty
    where all is explained."""
    known, doubt = account.ledger.attribution, account.ledger.doubt
    left = doubt if known is None else known
    if left is None or not left.unexplained_usd:
        return ""
    since_ns = left.suspect_ns or (now if known is None else known.doubted_ns or known.told_ns)
    verb = "gained" if left.unexplained_usd > 0.0 else "lost"
    words = (
        f"{verb} {abs(left.unexplained_usd):,.0f} USD {(now - since_ns) // SECOND_NS} s ago that "
        "no price, fill, funding or transfer explains"
    )
    return words + (f"; {known.tolerance_usd:,.0f} USD would be overlooked" if known else "")


def _said(node: Node, _state: RiskState, now: EngineNs) -> str:
    return unexplained_words(node.account, now) if isinstance(node, AccountNode) else ""


def _steps(node: AccountNode, use: Use) -> tuple[str, ...]:
    """Money now, ledger, guesses and what money was last explained as."""
    ledger = node.account.ledger
    known = ledger.attribution
    if known is None:
        return ()
    guessed = sum(one.cash_usd for one in known.guesses.values())
    money = known.base_usd + ledger.total_usd + guessed + known.unexplained_usd
    untold = sorted(name for name, one in known.guesses.items() if one.untold)
    told = (
        f"- fills {ledger.fills_usd:,.2f}, funding {ledger.funding_usd:,.2f}, transfers "
        f"{ledger.flows_usd:,.2f} told since riskd first read the account"
    )
    lines = [
        f"equity less what is held, at prices {money:,.2f} USD",
        told,
        f"- sizes that changed without a fill, at the price then {guessed:,.2f}"
        + (f" ({', '.join(untold[:5])})" if untold else ""),
        f"- the same when it was last explained {known.base_usd:,.2f}",
        f"= {known.unexplained_usd:,.2f} USD; up to {known.tolerance_usd:,.2f} are overlooked",
    ]
    if missing := _inputs(node, use):
        lines.append(f"nobody could say why: {missing}")
    return tuple(lines)


UNEXPLAINED = MeasureSpec(
    name="equity_unexplained_usd",
    kinds=_WIDE,
    unit=Unit.USD,
    help="Change of equity that no price, fill, funding or transfer explains, USD, either way; 0 "
    "within the tolerance.",
    low=0.0,
    typical=(0.0, 5e4),
    aggregate=Aggregate.SUM,
)
SUSPECT = MeasureSpec(
    name="equity_suspect",
    kinds=_WIDE,
    unit=Unit.BOOL,
    help="1 while a step of equity is confirmed that nothing explains; of a venue or the "
    "portfolio, while such losses are enough to make their drawdowns estimates.",
    low=0.0,
    high=1.0,
    typical=(0.0, 1.0),
    words=("equity moved and nothing explains it", "equity is explained"),
)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        UNEXPLAINED,
        SubjectKind.ACCOUNT,
        _unexplained,
        bits=AccountBit.MONEY | AccountBit.POSITIONS | AccountBit.LEDGER | AccountBit.MODE,
        always=True,
        detail=_said,
        arithmetic=_steps,
    ),
    *upward(UNEXPLAINED),
    define(
        SUSPECT,
        SubjectKind.ACCOUNT,
        _suspect,
        needs=((Relation.SELF, UNEXPLAINED.name),),
        detail=_said,
    ),
    *(
        define(
            SUSPECT,
            kind,
            _any,
            needs=((relation, SUSPECT.name), (Relation.SELF, UNEXPLAINED.name)),
        )
        for kind, relation in UPWARD.items()
    ),
)
