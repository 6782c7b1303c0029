"""Money of accounts: equity, its history, funding, and whether the sources agree. *Pure.*"""

from __future__ import annotations

from math import fsum

from monitor.core.formulas.funding import compute_projected_funding_cost_24h
from monitor.core.formulas.ratios import compute_difference
from monitor.core.killswitch.scope import covers_account
from monitor.core.measures.aggregate import summed, upward
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.disputes import is_disputed
from monitor.core.measures.exposure import is_closed
from monitor.core.measures.holdings import positions_known
from monitor.core.measures.remark import read_parts, woken_by
from monitor.core.measures.spec import Aggregate, MeasureSpec, Unit
from monitor.core.measures.tree import (
    AccountNode,
    MarketNode,
    Node,
    PortfolioNode,
    PositionNode,
    VenueNode,
)
from monitor.core.measures.use import Use, known_ns
from monitor.core.state.facts import AccountBit, Lack, StatedFact
from monitor.core.state.model import DAY_NS, AccountState, DifferenceMemory
from monitor.core.types import SECOND_NS, AccountMode, SubjectKind

# Looking a member up in its class costs more than all else around it (before Python 3.12).
_UNREADABLE, _STANDARD = AccountMode.UNREADABLE, AccountMode.STANDARD
_ACCOUNT = (SubjectKind.ACCOUNT,)
_WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)
_SELF_HOLDINGS = ((Relation.SELF, HOLDINGS),)


def read_pools(node: Node, venue: str, alias: str, use: Use) -> list[AccountNode] | None:
    """Every margin pool of an account that the desk names, among those a node is about; None, with
    the reason, where none was ever heard of."""
    pools = [
        one
        for one in node.related(Relation.ACCOUNTS)
        if isinstance(one, AccountNode)
        and one.account.venue == venue
        and covers_account(alias, one.account.account)
    ]
    if not pools:
        use.absent(f"nothing was ever heard of account {venue}/{alias}")
        return None
    return pools


def _stated(node: AccountNode, fact: StatedFact, what: str, use: Use) -> float | None:
    if fact.value is None:
        use.absent(f"{what} is not stated" if fact.seen_ns else f"{what} was never stated")
        return None
    return fact.value if use.fresh(fact, node.account_limit, what) else None


def _readable(account: AccountState, use: Use) -> bool:
    if account.mode is _UNREADABLE:
        use.absent(f"the account's mode cannot be read: {account.mode_reason}")
        return False
    return True


def _computed_equity(node: AccountNode, use: Use) -> float | None:
    """Cash, what funding was charged since it was stated, and positions at the margin price."""
    account = node.account
    cash = _stated(node, account.cash, "cash", use)
    if cash is None or not use.join(node.holdings.exposure):
        return None
    return fsum((cash, *account.accruals.values(), node.holdings.net_usd))


def _equity(node: AccountNode, use: Use) -> float | None:
    """Computed where the venue margins on its oracle and states equity only now and then (dYdX),
    else as the venue states it (Hyperliquid)."""
    account = node.account
    if not _readable(account, use):
        return None
    if use.state.venues[account.venue].oracle_margined:
        return _computed_equity(node, use)
    return _stated(node, account.equity, "equity", use)


def _portfolio_equity(node: PortfolioNode, use: Use) -> float | None:
    """What cannot be reached is re-marked from peers, here and nowhere else; and what rests on
    prices that their own books contradict is an estimate."""
    parts = read_parts(node, EQUITY.name, use)
    if parts is None:
        return None
    equity = fsum(parts)
    if not use.estimated and is_disputed(node, equity, use):
        use.estimated = True
        use.retry()  # books are not followed message by message
    return equity


def _venue_equity(node: AccountNode, use: Use) -> float | None:
    if not _readable(node.account, use):
        return None
    return _stated(node, node.account.equity, "equity", use)


def _equity_difference(node: AccountNode, use: Use) -> float | None:
    """The venue's equity against its own parts as we understood them, at the prices it stated them
    with: cash, and every position. Later prices, and parts told at another moment, are no
    difference."""
    account = node.account
    if not _readable(account, use):
        return None
    if account.mode is not None and account.mode is not _STANDARD:
        use.absent(
            "the equity of a unified or portfolio-margin account is the worth of its spot balances;"
            " no cash and positions are stated with it",
            Lack.CHOICE,
        )
        return None
    stated = _stated(node, account.equity, "equity", use)
    if stated is None:
        return None
    known = use.state.differences.get(node.subject)
    if known is None or known.statement_ns != account.equity.seen_ns:
        parts = _parts_as_stated(account)
        if parts is not None:
            known = DifferenceMemory(account.equity.seen_ns, compute_difference(parts, stated))
            use.state.differences[node.subject] = known
    if known is None or use.now - known.statement_ns >= node.account_limit:
        use.absent("equity, cash and priced positions were not told together lately")
        return None
    use.expires = min(use.expires, known.statement_ns + node.account_limit)
    return known.ratio


def _parts_as_stated(account: AccountState) -> float | None:
    """Cash and positions from the very statement that the equity is from; None where one is newer
    or older."""
    equity, cash, value = account.equity, account.cash, account.positions_value
    if cash.value is None or value is None:
        return None
    moment = (equity.as_of_ns, equity.height)
    if (cash.as_of_ns, cash.height) != moment or (value.as_of_ns, value.height) != moment:
        return None
    return cash.value + value.amount


def _preview_difference(node: AccountNode) -> float | None:
    """The same statement gives the same difference."""
    seen = node.instances["equity_difference_ratio"].cell
    return seen.value if node.account.equity.seen_ns <= seen.computed_ns else None


# ----------------------------------------------------------------------------------- funding


def payments_known(node: AccountNode, use: Use) -> bool:
    """Whether an account's funding payments are known: a venue's list is of all pools of an
    account, so that the newest word about any of them counts."""
    alias = node.account.account.partition(".")[0]
    pools = use.state.venues[node.account.venue].accounts.values()
    newest = max(
        (one.funding_seen for one in pools if covers_account(alias, one.account)),
        key=lambda fact: known_ns(fact, use.channels.get(fact.channel)),
    )
    return use.fresh(newest, node.ledger_limit, "funding history")


def _funding_paid(node: AccountNode, use: Use) -> float | None:
    account = node.account
    if not payments_known(node, use):
        return None
    limit = use.now - DAY_NS
    kept = [(at, amount) for at, amount in account.funding.values() if at > limit]
    if kept:
        use.wake_at(min(kept)[0] + DAY_NS)
    return -fsum(amount for _, amount in kept)


def _projected(place: MarketNode, size: float, use: Use) -> float | None:
    market = place.market
    rate, oracle = market.predicted.value, market.oracle.value
    if rate is None or oracle is None:
        use.absent(f"predicted funding or oracle price of {market.market} is not known")
        return None
    if not use.fresh(market.predicted, place.predicted_limit, "predicted funding"):
        return None
    if not use.fresh(market.oracle, place.oracle_limit, "oracle price"):
        return None
    return compute_projected_funding_cost_24h(
        size=size,
        oracle_price=oracle,
        funding_rate_hourly=rate,
    )


def _funding_projected(node: AccountNode, use: Use) -> float | None:
    if use.read(node, HOLDINGS) is None:
        return None
    costs = []
    for name, position in node.account.positions.items():
        if position.size != 0.0:
            cost = _projected(node.markets[name], position.size, use)
            if cost is None:
                return None
            costs.append(cost)
    return fsum(costs)


def _position_funding(node: PositionNode, use: Use) -> float | None:
    if is_closed(node, use):
        return 0.0
    if use.read(node.owner, HOLDINGS) is None:
        return None
    return _projected(node.market, node.position.size, use)


# ------------------------------------------------------------------------- truth and counts


def _oldest_truth(accounts: list[AccountState], use: Use) -> float | None:
    oldest = use.now
    for account in accounts:
        if not account.truth.seen_ns:
            use.absent(f"{account.subject} was never re-read")
            return None
        seen = account.truth
        known = known_ns(seen, use.channels.get(seen.channel)) or seen.seen_ns
        oldest = min(oldest, known)
    return (use.now - oldest) / SECOND_NS


def _account_age(node: AccountNode, use: Use) -> float | None:
    return _oldest_truth([node.account], use)


def _venue_age(node: VenueNode, use: Use) -> float | None:
    return _oldest_truth(list(node.venue.accounts.values()), use)


def _portfolio_age(_node: PortfolioNode, use: Use) -> float | None:
    venues = use.state.venues.values()
    return _oldest_truth(
        [account for venue in venues for account in venue.accounts.values()],
        use,
    )


def _cross_check(node: AccountNode, use: Use) -> float | None:
    """The largest disagreement of stream and truth that still stands; 0 while they agree."""
    account = node.account
    compared = account.positions_stream.seen_ns and account.positions_truth.seen_ns
    if not compared:
        use.absent("stream and truth have not both spoken yet")
        return None
    if not use.fresh(account.truth, node.account_limit, "account truth"):
        return None
    return max(_differences(account))


def _differences(account: AccountState) -> list[float]:
    return [
        account.cash_sides.difference_ratio,
        account.equity_sides.difference_ratio,
        *(sides.difference_ratio for sides in account.collateral_sides.values()),
        *(position.difference_ratio for position in account.positions.values()),
    ]


def _preview_cross_check(node: AccountNode) -> float | None:
    """Nothing differs and nothing did."""
    account = node.account
    if any(_differences(account)):
        return None
    return 0.0 if account.positions_stream.seen_ns and account.positions_truth.seen_ns else None


def _open_orders(node: AccountNode, use: Use) -> float | None:
    account = node.account
    if not use.fresh(account.orders_seen, node.orders_limit, "open orders"):
        return None
    return float(len(account.orders))


def _positions_count(node: AccountNode, use: Use) -> float | None:
    if not positions_known(node, use):
        return None
    return float(sum(one.size != 0.0 for one in node.account.positions.values()))


def _liquidations(node: AccountNode, use: Use) -> float | None:
    """Forced fills of the last day. The venue's own announcement counts where fills have not told
    (yet), so that neither source alone can hide one. A known one stands by itself; that there was
    none is known only while fills are told."""
    account = node.account
    limit = use.now - DAY_NS
    fills = [at for at in account.forced_fills.values() if at > limit]
    announced = [at for at in account.liquidations_seen.values() if at > limit]
    if not fills and not announced:
        return 0.0 if use.fresh(account.fills_seen, node.ledger_limit, "news of fills") else None
    use.wake_at(min((*fills, *announced)) + DAY_NS)
    return float(max(len(fills), len(announced)))


def _usd(name: str, help_text: str, typical: tuple[float, float]) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_WIDE,
        unit=Unit.USD,
        help=help_text,
        typical=typical,
        aggregate=Aggregate.SUM,
    )


def _count(
    name: str,
    help_text: str,
    words: tuple[str, str],
    kinds: tuple[SubjectKind, ...] = _WIDE,
    typical: tuple[float, float] = (3.0, 300.0),
) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=kinds,
        unit=Unit.COUNT,
        help=help_text,
        low=0.0,
        typical=typical,
        aggregate=Aggregate.SUM if kinds is _WIDE else Aggregate.NONE,
        words=words,
    )


EQUITY = _usd(
    "equity_usd",
    "Account value by the venue's own definition, USD; computed between its statements on dYdX.",
    (1e6, 5e5),
)
VENUE_EQUITY = _usd("venue_equity_usd", "Equity as the venue last stated it, USD.", (1e6, 5e5))
PAID = _usd("funding_paid_24h_usd", "Funding paid (> 0) in 24 hours, USD.", (100.0, 5e4))
PROJECTED = MeasureSpec(
    name="funding_projected_24h_usd",
    kinds=(SubjectKind.POSITION, *_WIDE),
    unit=Unit.USD,
    help="Cost (> 0) of the next 24 hours at present predicted rates, USD.",
    cadence_s=1.0,  # rates are means of minutes
    typical=(100.0, 5e4),
    aggregate=Aggregate.SUM,
)
DIFFERENCE = MeasureSpec(
    name="equity_difference_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help="The venue's equity against the cash and positions it stated with it, over the larger.",
    low=0.0,
    high=2.0,
    typical=(0.0001, 0.05),
    aggregate=Aggregate.MAX,
)
AGE = MeasureSpec(
    name="account_age_s",
    kinds=_WIDE,
    unit=Unit.SECONDS,
    help="Seconds since the account was last re-read from the venue.",
    low=0.0,
    typical=(10.0, 120.0),
    aggregate=Aggregate.MAX,
)
CROSS_CHECK = MeasureSpec(
    name="cross_check_difference_ratio",
    kinds=_WIDE,
    unit=Unit.RATIO,
    help="Largest disagreement between stream and re-read truth that still stands; 0: they agree.",
    low=0.0,
    high=2.0,
    typical=(0.0, 0.1),
    aggregate=Aggregate.MAX,
)
ORDERS = _count(
    "open_orders_count", "Working orders, triggers included.", ("open order", "open orders")
)
POSITIONS = _count("positions_count", "Open positions.", ("position", "positions"))
_MONEY = AccountBit.MONEY | AccountBit.MODE

DEFINITIONS: tuple[Definition, ...] = (
    define(EQUITY, SubjectKind.ACCOUNT, _equity, bits=_MONEY, needs=_SELF_HOLDINGS),
    define(
        EQUITY,
        SubjectKind.VENUE,
        summed(Relation.ACCOUNTS, EQUITY.name),
        needs=((Relation.ACCOUNTS, EQUITY.name),),
    ),
    define(
        EQUITY,
        SubjectKind.PORTFOLIO,
        _portfolio_equity,
        needs=((Relation.VENUES, EQUITY.name),),
        knows=woken_by(EQUITY.name),
    ),
    define(VENUE_EQUITY, SubjectKind.ACCOUNT, _venue_equity, bits=_MONEY),
    *upward(VENUE_EQUITY),
    define(
        DIFFERENCE,
        SubjectKind.ACCOUNT,
        _equity_difference,
        bits=_MONEY,
        always=True,
        preview=_preview_difference,
    ),
    *upward(DIFFERENCE),
    define(PAID, SubjectKind.ACCOUNT, _funding_paid, bits=AccountBit.LEDGER),
    *upward(PAID),
    define(PROJECTED, SubjectKind.ACCOUNT, _funding_projected, needs=_SELF_HOLDINGS),
    define(
        PROJECTED,
        SubjectKind.POSITION,
        _position_funding,
        needs=((Relation.ACCOUNT, HOLDINGS),),
    ),
    *upward(PROJECTED),
    define(AGE, SubjectKind.ACCOUNT, _account_age, bits=AccountBit.TRUTH, clock=True),
    define(AGE, SubjectKind.VENUE, _venue_age, clock=True),
    define(AGE, SubjectKind.PORTFOLIO, _portfolio_age, clock=True),
    define(
        CROSS_CHECK,
        SubjectKind.ACCOUNT,
        _cross_check,
        preview=_preview_cross_check,
        bits=AccountBit.TRUTH | AccountBit.POSITIONS | AccountBit.MONEY,
    ),
    *upward(CROSS_CHECK),
    define(ORDERS, SubjectKind.ACCOUNT, _open_orders, bits=AccountBit.ORDERS),
    *upward(ORDERS),
    define(POSITIONS, SubjectKind.ACCOUNT, _positions_count, bits=AccountBit.POSITIONS),
    *upward(POSITIONS),
    define(
        _count(
            "liquidations_24h",
            "Fills by which this account was liquidated or auto-deleveraged in 24 hours.",
            ("forced fill in 24 h", "forced fills in 24 h"),
            _ACCOUNT,
            (0.0, 2.0),
        ),
        SubjectKind.ACCOUNT,
        _liquidations,
        bits=AccountBit.LEDGER,
    ),
)
