"""What share of a leverage cap is left by how long leaving takes, where positions are.

A venue's worst exit time is configured; an asset is left no faster than its markets' volume allows.
Of what is spread over venues each counts with its share of gross. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum
from operator import mul
from typing import NamedTuple

from monitor.core.formulas.leverage import compute_venue_multiplier
from monitor.core.measures.definition import HOLDINGS, Relation
from monitor.core.measures.tree import (
    AccountNode,
    AssetNode,
    MarketNode,
    Node,
    PortfolioNode,
    VenueNode,
)
from monitor.core.measures.use import Use


def exit_minutes(venue: str, use: Use) -> float:
    """That leaving a venue takes at worst."""
    settings = use.settings.leverage
    return dict(settings.exit_minutes).get(venue, settings.exit_minutes_default)


def venue_multiplier(venue: str, use: Use) -> float:
    """Share of a cap that is left at one venue, in ``[0.25, 1]``."""
    return compute_venue_multiplier(exit_minutes(venue, use))


def weigh(multipliers: Iterable[float], gross_usd: Iterable[float]) -> float:
    """Mean multiplier by gross; the least where nothing is held, 1 where nothing could be."""
    shares, parts = list(multipliers), list(gross_usd)
    total = fsum(parts)
    if total > 0.0:
        return fsum(map(mul, shares, parts)) / total
    return min(shares, default=1.0)


def _valued(accounts: Iterable[Node], use: Use) -> list[AccountNode] | None:
    """Accounts with all that they hold; None where that of one is not known."""
    found = []
    for one in accounts:
        if isinstance(one, AccountNode):
            if use.read(one, HOLDINGS) is None or not use.join(one.holdings.exposure):
                return None
            found.append(one)
    return found


def markets_held(node: AssetNode, use: Use) -> list[tuple[MarketNode, float]] | None:
    """Every market of an asset with the gross that all accounts have there, USD, 0 for none; None
    where that of one account is not known."""
    holders = _valued(node.related(Relation.HOLDERS), use)
    if holders is None:
        return None
    found = []
    for place in node.markets:
        name, venue = place.market.market, place.market.venue
        gross = [
            abs(holding.notional_usd)
            for holder in holders
            if holder.account.venue == venue
            if (holding := holder.holdings.held.get(name)) is not None
        ]
        found.append((place, fsum(gross)))
    return found


class Exit(NamedTuple):
    """The share of a cap that is left, and the gross that it was weighed by, USD; None of a venue,
    whose exit is what it is whatever is held there."""

    multiplier: float
    gross_usd: float | None


def held_exit(node: Node, use: Use) -> Exit | None:
    """Of a venue its own; of an asset or the portfolio by where its gross lies, None where that is
    not known."""
    if isinstance(node, VenueNode):
        return Exit(venue_multiplier(node.venue.venue, use), None)
    if isinstance(node, AssetNode):
        places = markets_held(node, use)
        if places is None:
            return None
        held = [(place.market.venue, gross) for place, gross in places]
    elif isinstance(node, PortfolioNode):
        accounts = _valued(node.related(Relation.ALL_ACCOUNTS), use)
        if accounts is None:
            return None
        held = [(one.account.venue, one.holdings.gross_usd) for one in accounts]
    else:
        raise TypeError(f"{node.subject} is left by no exit of its own")
    gross_usd = [gross for _, gross in held]
    left = weigh((venue_multiplier(venue, use) for venue, _ in held), gross_usd)
    return Exit(left, fsum(gross_usd))
