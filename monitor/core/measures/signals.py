"""Three signs side by side, for each asset held: how far venues disagree on its funding, how high
its volatility stands against its own past, how thin its books are.

Each is sampled as an hour begins; it worsens while it was worse three hours running. What one venue
alone lists has no spread of funding, which then cannot worsen. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from math import fsum

from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, AssetNode, Node, PortfolioNode, PositionNode
from monitor.core.measures.use import Use
from monitor.core.settings import limit_ns
from monitor.core.state.facts import Lack
from monitor.core.state.model import RiskState
from monitor.core.state.series import HOUR_NS
from monitor.core.state.structure import SignalHours
from monitor.core.types import SECOND_NS, EngineNs, SubjectKind

# A sample is of an hour's beginning when it is known within ten minutes of it.
BEGINS_NS = 600 * SECOND_NS
LOOK_NS = 60 * SECOND_NS
WORSE_NEEDED = 2  # of the three
DEPTH = "asset_depth_usd"
# Of each: the measure, how people say it, whether it worsens by growing.
SIGNALS = (
    ("funding_dispersion_apr", "funding spread", True),
    ("volatility_percentile", "volatility percentile", True),
    (DEPTH, "depth", False),
)


def _depth(node: AssetNode, use: Use) -> float | None:
    """Over the books that are watched, of each the thinner side."""
    limit = limit_ns(use.settings.freshness.depth_s)
    sides = []
    for place in node.markets:
        depth = place.market.depth
        if not depth.seen_ns:
            continue
        if not use.fresh(depth, limit, f"depth of {place.market.market}"):
            return None
        known = [side for side in (depth.bid_usd, depth.ask_usd) if side is not None]
        if len(known) < 2 and 0.0 not in known:  # one that is gone is the thinner one
            use.absent(f"the book of {place.market.market} seen does not reach 25 bp")
            return None
        sides.append(min(known))
    if not sides:
        use.absent(f"no book of {node.asset} is watched")
        return None
    use.wake_at(use.now + LOOK_NS)
    return fsum(sides)


def _held(node: PortfolioNode, use: Use) -> dict[str, AssetNode] | None:
    """Assets of open positions, by name; None where some account's are not known."""
    found: dict[str, AssetNode] = {}
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        if use.read(account, HOLDINGS) is None:
            return None
        for one in account.related(Relation.POSITIONS):
            if isinstance(one, PositionNode) and one.position.size != 0.0:
                found |= {
                    asset.asset: asset
                    for asset in one.related(Relation.ASSET)
                    if isinstance(asset, AssetNode)
                }
    return dict(sorted(found.items()))


def _sample(node: AssetNode, hour: int, use: Use) -> None:
    """Note what is known of this hour and was not yet."""
    memory = use.state.structure.signals
    known = memory.get(node.asset)
    if known is None:
        known = memory[node.asset] = SignalHours()
    pen, _ = use.sides
    for number, (name, _, _) in enumerate(SIGNALS):
        if not known.has(hour, number):
            pen.begin(use.now)
            value = pen.read(node, name)
            if value is not None and not pen.estimated:
                known.note(hour, number, value)


def _lone(node: AssetNode) -> bool:
    """Whether one venue alone lists it, which disagrees with nobody."""
    return len({one.market.venue for one in node.markets}) < 2


def _lack(nodes: Iterable[AssetNode], use: Use) -> Lack:
    """Of which kind it is that signs of these are unknown: where all are known now, time fills
    it."""
    pen, _ = use.sides
    found = Lack.FILLING
    for node in nodes:
        for name, _, _ in SIGNALS[1 if _lone(node) else 0 :]:
            pen.begin(use.now)
            if pen.read(node, name) is None:
                found = min(found, pen.why.lack, key=lambda lack: lack.value)
    return found


def _worse(node: AssetNode, number: int, hour: int, known: SignalHours) -> bool | None:
    """Whether one sign worsened three hours running up to ``hour``; None where that is unknown."""
    if number == 0 and _lone(node):
        return False
    levels = known.last(hour, number)
    return None if levels is None else _worsens(number, levels)


def _worsens(number: int, levels: list[float]) -> bool:
    """Whether each sample of a sign is worse than the one before."""
    grows = SIGNALS[number][2]
    return all(
        (after > before) if grows else (after < before) for before, after in pairwise(levels)
    )


def _newest(known: SignalHours, now: EngineNs) -> int:
    """The hour whose samples count: this one's once any was taken, else the last one's."""
    hour = now // HOUR_NS
    return hour if any(known.has(hour, number) for number in range(len(SIGNALS))) else hour - 1


def _count(node: AssetNode, now: EngineNs, known: SignalHours) -> tuple[int, int]:
    """How many of the three worsen, and of how many that is not known."""
    hour = _newest(known, now)
    found = [_worse(node, number, hour, known) for number in range(len(SIGNALS))]
    return sum(one is True for one in found), sum(one is None for one in found)


def _of_asset(node: AssetNode, use: Use) -> float | None:
    known = use.state.structure.signals.get(node.asset)
    if known is None:
        use.absent("followed for what is held, from the beginning of the next hour", Lack.FILLING)
        return None
    worse, unknown = _count(node, use.now, known)
    if unknown:
        use.absent(
            f"{unknown} of 3 signs are not known for four hours in a row", _lack([node], use)
        )
        return None
    return float(worse)


def _of_portfolio(node: PortfolioNode, use: Use) -> float | None:
    """Assets of which two signs worsen; the samples are taken here."""
    held = _held(node, use)
    if held is None:
        return None
    memory = use.state.structure.signals
    for gone in [name for name in memory if name not in held]:
        del memory[gone]
    hour, into = divmod(use.now, HOUR_NS)
    use.wake_at(use.now + LOOK_NS if into < BEGINS_NS else (hour + 1) * HOUR_NS)
    count, open_assets = 0, []
    for name, asset in held.items():
        if into < BEGINS_NS:
            _sample(asset, hour, use)
        worse, unknown = _count(asset, use.now, memory.get(name, SignalHours()))
        count += worse >= WORSE_NEEDED
        if worse < WORSE_NEEDED <= worse + unknown:
            open_assets.append(name)
    if not count and open_assets:
        use.absent(
            f"too few of the signs of {', '.join(open_assets[:5])} are known for four hours",
            _lack([held[name] for name in open_assets], use),
        )
        return None
    if held:  # as old as the beginning of the hour that was judged
        use.as_of = use.observed = min(use.as_of, max(hour - 1, 0) * HOUR_NS)
    return float(count)


def _named(node: Node, state: RiskState, now: EngineNs) -> str:
    """``BTC: funding spread 0.12, 0.15, 0.2, 0.3; depth 5e+06, 4e+06, 3e+06, 2e+06``."""
    if not isinstance(node, PortfolioNode):
        return ""
    told = []
    for name, known in sorted(state.structure.signals.items()):
        hour, lines = _newest(known, now), []
        for number, (_, words, _) in enumerate(SIGNALS):
            levels = known.last(hour, number)
            if levels is not None and _worsens(number, levels):
                lines.append(f"{words} {', '.join(f'{one:.3g}' for one in levels)}")
        if len(lines) >= WORSE_NEEDED:
            told.append(f"{name}: {'; '.join(lines)}")
    return " | ".join(told)


DEFINITIONS: tuple[Definition, ...] = (
    define(
        MeasureSpec(
            name=DEPTH,
            kinds=(SubjectKind.ASSET,),
            unit=Unit.USD,
            help=(
                "USD that rest within 25 bp in the watched books of an asset, of each book the "
                "thinner side."
            ),
            low=0.0,
            cadence_s=5.0,
            typical=(5e6, 5e5),
        ),
        SubjectKind.ASSET,
        _depth,
    ),
    define(
        MeasureSpec(
            name="signals_worse_count",
            kinds=(SubjectKind.ASSET,),
            unit=Unit.COUNT,
            help=(
                "Of funding spread, volatility percentile and depth of an asset held: how many "
                "were worse than an hour before, three hours running."
            ),
            low=0.0,
            high=3.0,
            cadence_s=5.0,
            typical=(0.0, 2.0),
            words=("sign", "signs"),
        ),
        SubjectKind.ASSET,
        _of_asset,
    ),
    define(
        MeasureSpec(
            name="assets_worse_count",
            kinds=(SubjectKind.PORTFOLIO,),
            unit=Unit.COUNT,
            help=(
                "Assets held of which two of funding spread, volatility percentile and depth were "
                "worse than an hour before, three hours running."
            ),
            low=0.0,
            cadence_s=5.0,
            at_zero="0 with nothing held",
            typical=(0.0, 2.0),
            words=("asset", "assets"),
        ),
        SubjectKind.PORTFOLIO,
        _of_portfolio,
        needs=((Relation.ALL_ACCOUNTS, HOLDINGS),),
        always=True,
        detail=_named,
    ),
)
