"""The subjects that exist, as nodes over the risk state, and how they nest.

Nodes hold what the state does not keep: limits of freshness, links to related subjects, and the
measure instances in demand. They are rebuilt from the state after a restore. *Pure.*
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, NamedTuple

from monitor.core.formulas.drawdown import DrawdownMemory
from monitor.core.measures.definition import Relation
from monitor.core.measures.funding_windows import MarketWindows
from monitor.core.settings import EngineSettings, limit_ns
from monitor.core.state.model import (
    AccountState,
    FeedState,
    Holdings,
    MarketState,
    PositionState,
    RiskState,
    VenueState,
)
from monitor.core.structure import Bucket, HedgeSet, Strategy, covers_any
from monitor.core.types import (
    PORTFOLIO,
    EngineNs,
    Subject,
    SubjectKind,
    account_subject,
    asset_subject,
    bucket_subject,
    hedge_set_subject,
    market_subject,
    position_subject,
    rule_subject,
    rules_in,
    strategy_subject,
    venue_subject,
)

if TYPE_CHECKING:
    from monitor.core.measures.instance import Instance


_SELF = Relation.SELF


class Node:
    """One subject. ``ancestors`` are where a rule about it looks for a measure, nearest first."""

    kind = SubjectKind.PORTFOLIO

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.instances: dict[str, Instance] = {}
        self.by_bits: dict[int, tuple[Instance, ...]] = {}
        self.links: dict[Relation, list[Node]] = {}
        self.ancestors: list[Node] = []
        self.owners: list[Node] = []  # who has this node among its links

    def related(self, relation: Relation) -> list[Node]:
        """Nodes on the other end; empty where there are none (yet)."""
        return [self] if relation is _SELF else self.links.get(relation, [])


def _by_name(node: Node) -> str:
    return node.subject


class Correlation(NamedTuple):
    """Of two series as they were at ``versions``; None while they share too few hours."""

    versions: tuple[int, int]
    value: float | None


class PortfolioNode(Node):
    """Everything."""

    def __init__(self, drawdowns: dict[str, DrawdownMemory]) -> None:
        super().__init__(PORTFOLIO)
        self.drawdowns = drawdowns  # the state's own, as in the nodes below
        self.venues: list[VenueNode] = []
        self.funding_windows: dict[str, MarketWindows] = {}  # by market subject
        # Of two series of hourly returns, by their names; dear, and true until one of them changes.
        self.correlations: dict[tuple[str, str], Correlation] = {}
        self.issuers: dict[str, str] = {}  # of tokens, where the desk says otherwise


class VenueNode(Node):
    """One venue."""

    kind = SubjectKind.VENUE

    def __init__(
        self,
        venue: VenueState,
        drawdowns: dict[str, DrawdownMemory],
        settings: EngineSettings,
    ) -> None:
        super().__init__(venue.subject)
        self.venue = venue
        self.drawdowns = drawdowns
        self.freshness = freshness = settings.freshness
        self.block_limit = limit_ns(freshness.block_s)
        self.health_limit = limit_ns(freshness.venue_status_s)
        self.skew_limit = limit_ns(freshness.clock_skew_s)
        self.oracle_limit = limit_ns(freshness.oracle_majors_s)  # of majors


class MarketNode(Node):
    """One market; ``holders`` are the accounts that have (had) a position in it."""

    kind = SubjectKind.MARKET

    def __init__(self, market: MarketState, settings: EngineSettings) -> None:
        super().__init__(market.subject)
        self.market = market
        self.holders: list[AccountNode] = []
        self.followers: list[Instance] = []  # of positions, dirtied by this market's facts
        self.set_limits(settings)

    def set_limits(self, settings: EngineSettings) -> None:
        """Limits follow the asset and the funding interval, known once the market is listed."""
        freshness = settings.freshness
        major = self.market.asset in freshness.majors
        self.top_limit = limit_ns(freshness.top_majors_s if major else freshness.top_s)
        self.mark_limit = limit_ns(freshness.mark_majors_s if major else freshness.mark_s)
        self.oracle_limit = limit_ns(freshness.oracle_majors_s if major else freshness.oracle_s)
        self.depth_limit = limit_ns(freshness.depth_s)
        self.open_interest_limit = limit_ns(freshness.open_interest_s)
        self.status_limit = limit_ns(freshness.status_s)
        intervals_s = freshness.funding_intervals * self.market.funding_interval_s
        self.predicted_limit = limit_ns(intervals_s)
        self.settled_limit = limit_ns(intervals_s + freshness.settled_slack_s)


class AssetNode(Node):
    """One base asset over all venues."""

    kind = SubjectKind.ASSET

    def __init__(self, asset: str) -> None:
        super().__init__(asset_subject(asset))
        self.asset = asset
        self.markets: list[MarketNode] = []


class AccountNode(Node):
    """One margin pool. ``holdings`` lives in the state, so that a snapshot keeps it."""

    kind = SubjectKind.ACCOUNT

    def __init__(
        self,
        account: AccountState,
        holdings: Holdings,
        drawdowns: dict[str, DrawdownMemory],
        settings: EngineSettings,
    ) -> None:
        super().__init__(account.subject)
        self.account = account
        self.holdings = holdings
        self.drawdowns = drawdowns
        self.markets: dict[str, MarketNode] = {}
        freshness = settings.freshness
        self.account_limit = limit_ns(freshness.account_s)
        self.orders_limit = limit_ns(freshness.orders_s)
        self.ledger_limit = limit_ns(freshness.ledger_s)


class PositionNode(Node):
    """One position, open or closed."""

    kind = SubjectKind.POSITION

    def __init__(
        self,
        subject: Subject,
        position: PositionState,
        account: AccountNode,
        market: MarketNode,
    ) -> None:
        super().__init__(subject)
        self.position = position
        self.owner = account
        self.market = market


class FeedNode(Node):
    """One kind of channel, or one connection."""

    kind = SubjectKind.FEED

    def __init__(self, feed: FeedState) -> None:
        super().__init__(feed.subject)
        self.feed = feed


class HedgeSetNode(Node):
    """Legs that the desk keeps paired."""

    kind = SubjectKind.HEDGE_SET

    def __init__(self, hedge: HedgeSet) -> None:
        super().__init__(hedge_set_subject(hedge.name))
        self.hedge = hedge

    def takes(self, venue: str, account: str) -> bool:
        """Whether a margin pool may hold one of its legs."""
        return self.hedge.has_account(venue, account)


class BucketNode(Node):
    """A part of the book with a target weight."""

    kind = SubjectKind.BUCKET

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket_subject(bucket.name))
        self.bucket = bucket

    def takes(self, venue: str, account: str) -> bool:
        """Whether something of a margin pool may belong to it."""
        bucket = self.bucket
        named = (*bucket.accounts, *((leg[0], leg[1]) for leg in bucket.positions))
        return bool(bucket.assets) or covers_any(named, venue, account)


class StrategyNode(Node):
    """What makes or loses money by one idea."""

    kind = SubjectKind.STRATEGY

    def __init__(self, strategy: Strategy) -> None:
        super().__init__(strategy_subject(strategy.name))
        self.strategy = strategy

    def takes(self, venue: str, account: str) -> bool:
        """Whether something of a margin pool may belong to it."""
        return bool(self.strategy.assets) or covers_any(self.strategy.accounts, venue, account)


GroupNode = HedgeSetNode | BucketNode | StrategyNode


class RuleNode(Node):
    """One rule of the rulebook, or several together (``a__b``), anywhere or about one asset alone
    (``a@asset:BTC``); ``firing`` and ``since_ns`` are kept by whoever steps them."""

    kind = SubjectKind.RULE

    def __init__(self, rule_id: str) -> None:
        super().__init__(rule_subject(rule_id))
        self.rules = rules_in(rule_id)
        self.asset = rule_id.partition("@asset:")[2]
        self.firing = False
        self.since_ns: EngineNs = 0


class Tree:
    """All nodes, by subject."""

    def __init__(self, state: RiskState, settings: EngineSettings) -> None:
        self._state = state
        self._settings = settings
        self.portfolio = PortfolioNode(state.drawdowns)
        self.portfolio.issuers = dict(settings.margin.issuers)
        self.nodes: dict[Subject, Node] = {PORTFOLIO: self.portfolio}
        self._groups = self._add_groups()

    def build(self) -> list[Node]:
        """Nodes for everything in the state, widest first; those made now."""
        made: list[Node] = []
        for venue in self._state.venues.values():
            made += self.add("venue", venue.venue, "", "")
            for market in venue.markets.values():
                made += self.add("market", venue.venue, market.market, "")
                if market.listed:
                    made += self.add("asset", venue.venue, market.market, market.asset)
            for feed in venue.feeds.values():
                made += self.add("feed", venue.venue, feed.feed, "")
            for account in venue.accounts.values():
                made += self.add("account", venue.venue, account.account, "")
                for position in account.positions.values():
                    made += self.add("position", venue.venue, account.account, position.market)
        for asset in self._state.assets:
            made += self.add("asset", "", "", asset)
        return made

    def add(self, kind: str, venue: str, name: str, rest: str) -> list[Node]:
        """The node for a subject that appeared, and any it needs; empty if it is known."""
        match kind:
            case "venue":
                return self._add_venue(venue)
            case "market":
                return self._add_market(venue, name)
            case "feed":
                return self._add_feed(venue, name)
            case "account":
                return self._add_account(venue, name)
            case "position":
                return self._add_position(venue, name, rest)
            case _:
                return self._add_asset(venue, name, rest)

    def add_rule(self, rule_id: str) -> RuleNode:
        """The node of a rule; an existing one is kept."""
        found = self.nodes.get(rule_subject(rule_id))
        if isinstance(found, RuleNode):
            return found
        node = RuleNode(rule_id)
        self.nodes[node.subject] = node
        return node

    def _add_groups(self) -> tuple[GroupNode, ...]:
        """What the desk's settings name; known before anything is told."""
        structure = self._settings.structure
        buckets = [BucketNode(one) for one in structure.buckets]
        strategies = [StrategyNode(one) for one in structure.strategies]
        groups: tuple[GroupNode, ...] = (
            *(HedgeSetNode(one) for one in structure.hedge_sets),
            *buckets,
            *strategies,
        )
        for node in groups:
            node.ancestors = [self.portfolio]
            self.nodes[node.subject] = node
        for bucket in buckets:
            for other in buckets:
                self._link(bucket, Relation.BUCKETS, other)
        for strategy in strategies:
            self._link(self.portfolio, Relation.STRATEGIES, strategy)
            for every in strategies:
                self._link(strategy, Relation.STRATEGIES, every)
        return groups

    def _add_venue(self, name: str) -> list[Node]:
        if venue_subject(name) in self.nodes:
            return []
        node = VenueNode(self._state.venues[name], self._state.drawdowns, self._settings)
        node.ancestors = [self.portfolio]
        node.links[Relation.PORTFOLIO] = [self.portfolio]
        self.portfolio.venues.append(node)
        self._link(self.portfolio, Relation.VENUES, node)
        self.nodes[node.subject] = node
        return [node]

    def _add_market(self, venue: str, name: str) -> list[Node]:
        if market_subject(venue, name) in self.nodes:
            return []
        made = self._add_venue(venue)
        node = MarketNode(self._state.venues[venue].markets[name], self._settings)
        node.ancestors = [self.nodes[venue_subject(venue)], self.portfolio]
        self.nodes[node.subject] = node
        return [*made, node]

    def _add_feed(self, venue: str, name: str) -> list[Node]:
        feed = self._state.venues[venue].feeds[name]
        if feed.subject in self.nodes:
            return []
        made = self._add_venue(venue)
        node = FeedNode(feed)
        node.ancestors = [self.nodes[venue_subject(venue)], self.portfolio]
        self.nodes[node.subject] = node
        return [*made, node]

    def _add_account(self, venue: str, name: str) -> list[Node]:
        subject = account_subject(venue, name)
        if subject in self.nodes:
            return []
        made = self._add_venue(venue)
        holdings = self._state.holdings.setdefault(subject, Holdings())
        account, drawdowns = self._state.venues[venue].accounts[name], self._state.drawdowns
        node = AccountNode(account, holdings, drawdowns, self._settings)
        owner = self.nodes[venue_subject(venue)]
        node.ancestors = [owner, self.portfolio]
        self._link(owner, Relation.ACCOUNTS, node)
        self._link(self.portfolio, Relation.ALL_ACCOUNTS, node)
        for other in self.nodes.values():
            if isinstance(other, AssetNode):
                self._link(other, Relation.ALL_ACCOUNTS, node)
        for group in self._groups:
            if group.takes(venue, name):
                self._link(group, Relation.ACCOUNTS, node)
        self.nodes[subject] = node
        return [*made, node]

    def _add_position(self, venue: str, account: str, market: str) -> list[Node]:
        subject = position_subject(venue, account, market)
        if subject in self.nodes:
            return []
        if market not in self._state.venues[venue].markets:
            # A position in a market nobody has named yet: its price is unknown, and so is its
            # value, but it exists.
            self._state.venues[venue].markets[market] = MarketState(
                venue=venue,
                market=market,
                subject=market_subject(venue, market),
            )
        made = [*self._add_account(venue, account), *self._add_market(venue, market)]
        owner = self.nodes[account_subject(venue, account)]
        place = self.nodes[market_subject(venue, market)]
        if not isinstance(owner, AccountNode) or not isinstance(place, MarketNode):
            raise TypeError(f"{subject} has no account or market")
        node = PositionNode(subject, owner.account.positions[market], owner, place)
        node.links[Relation.ACCOUNT] = [owner]
        node.links[Relation.MARKET] = [place]
        node.ancestors = [owner, place, *place.ancestors]
        self._link_asset(node)
        owner.markets[market] = place
        self._link(owner, Relation.POSITIONS, node)
        insort(place.holders, owner, key=_by_name)
        place.by_bits.clear()
        self.nodes[subject] = node
        return [*made, node]

    def _add_asset(self, venue: str, market: str, asset: str) -> list[Node]:
        made: list[Node] = []
        node = self.nodes.get(asset_subject(asset))
        if not isinstance(node, AssetNode):
            node = AssetNode(asset)
            node.ancestors = [self.portfolio]
            for other in self.portfolio.related(Relation.ALL_ACCOUNTS):
                self._link(node, Relation.ALL_ACCOUNTS, other)
            self.nodes[node.subject] = node
            made.append(node)
        place = self.nodes.get(market_subject(venue, market)) if market else None
        if isinstance(place, MarketNode) and place not in node.markets:
            node.markets.append(place)
            place.set_limits(self._settings)
            place.ancestors = [node, *place.ancestors]
            for holder in place.holders:
                for position in holder.related(Relation.POSITIONS):
                    if isinstance(position, PositionNode) and position.market is place:
                        position.ancestors = [holder, place, *place.ancestors]
                        self._link_asset(position)
        return made

    def _link_asset(self, node: PositionNode) -> None:
        """A market is of no asset before it is listed."""
        asset = self.nodes.get(asset_subject(node.market.market.asset))
        if isinstance(asset, AssetNode) and not node.related(Relation.ASSET):
            self._link(node, Relation.ASSET, asset)
            if node.owner not in asset.related(Relation.HOLDERS):
                self._link(asset, Relation.HOLDERS, node.owner)

    @staticmethod
    def _link(owner: Node, relation: Relation, node: Node) -> None:
        """By name, so that a tree made anew from its state says the same in the same order."""
        insort(owner.links.setdefault(relation, []), node, key=_by_name)
        node.owners.append(owner)
