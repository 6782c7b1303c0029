"""How it is worked out that a venue, or what it tells, is not to be relied on.

Lines as in ``work_words``. Asked only when a person wants to know. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import fsum

from monitor.core.measures.definition import Key
from monitor.core.measures.health import parts_of
from monitor.core.measures.oracles import contradicted
from monitor.core.measures.price_sources import listen
from monitor.core.measures.sight import seen
from monitor.core.measures.tree import AccountNode, MarketNode, VenueNode
from monitor.core.measures.use import Use
from monitor.core.measures.work_words import Steps, bare, ranked, step
from monitor.core.state.model import DAY_NS
from monitor.core.types import SubjectKind


def work_dark(node: VenueNode, use: Use) -> Steps:
    """Feeds lost of all, and sockets mute of those that push; the lesser counts."""
    sight = seen(node, use.state, use.now)
    if not sight.known:
        return ()
    lost = len(sight.lost) / sight.known
    lines = [(lost, step("feeds lost / all", f"{len(sight.lost)} / {sight.known}", lost))]
    if sight.pushed:
        mute = sight.mute / sight.pushed
        words = "sockets that are mute / all that push"
        lines.append((mute, step(words, f"{sight.mute} / {sight.pushed}", mute)))
    # The one that counts stands last.
    return tuple(line for _, line in sorted(lines, key=lambda one: -one[0]))


def work_health(node: VenueNode, use: Use) -> Steps:
    """Each part's weight times its score, what costs most first, over all weights."""
    parts = parts_of(node, lambda name: use.read(node, name), use.now)
    weights = fsum(weight for _, weight, _ in parts)
    if weights <= 0.0:
        return ()
    costly = sorted(parts, key=lambda one: (-one[1] * (1.0 - one[2]), one[0]))
    sums = " + ".join(f"{weight:g} x {bare(score)} ({name})" for name, weight, score in costly)
    score = fsum(weight * score for _, weight, score in parts) / weights
    return (step("weight x score / all weights", f"({sums}) / {weights:g}", score),)


def work_lag(node: VenueNode, _use: Use) -> Steps:
    """The validators' height less what the indexer told."""
    heights = {
        name: fact.height for name, fact in node.venue.blocks.items() if fact.height is not None
    }
    validator = heights.get("validator")
    told = [heights[name] for name in ("indexer", "stream") if name in heights]
    if validator is None or not told:
        return ()
    lag = max(0, validator - max(told))
    if validator < max(told):
        return (f"the indexer is at {max(told)}, ahead of the validators at {validator}: 0",)
    return (f"height of the validators - of the indexer: {validator} - {max(told)} = {lag}",)


def work_contradicted(node: VenueNode, use: Use) -> Steps:
    """Held markets whose oracles are away beyond their limit, the furthest first."""
    found, _ = contradicted(node, use)
    words = "away by what two venues agree on, beyond the limit"
    named = [(name, away) for away, name in found]
    return ranked(words, named) or ("no oracle of a held market is away beyond its limit: 0",)


def work_sources(node: MarketNode, use: Use) -> Steps:
    """Who else says what."""
    sources = listen(node, use).sources
    told = ", ".join(f"{bare(one.price)} ({one.venue} {one.what})" for one in sources)
    return (f"{len(sources)} beside its own oracle: {told or 'none'}",)


def work_liquidations(node: AccountNode, use: Use) -> Steps:
    """Forced fills told, and announcements of the venue; whichever are more."""
    since, account = use.now - DAY_NS, node.account
    fills = sum(at > since for at in account.forced_fills.values())
    announced = sum(at > since for at in account.liquidations_seen.values())
    return (f"in 24 h {fills} forced fills and {announced} announced: the more count",)


WORKINGS: Mapping[Key, Callable[..., Steps]] = {
    ("venue_dark_ratio", SubjectKind.VENUE): work_dark,
    ("venue_health_ratio", SubjectKind.VENUE): work_health,
    ("indexer_lag_blocks", SubjectKind.VENUE): work_lag,
    ("oracle_agreed_worst_ratio", SubjectKind.VENUE): work_contradicted,
    ("oracle_sources_count", SubjectKind.MARKET): work_sources,
    ("liquidations_24h", SubjectKind.ACCOUNT): work_liquidations,
}
