"""Risk buckets: how much of the book each is, where that lies in its band, what the band costs, and
when somebody last looked.

A bucket's weight is its share of all buckets together, by equity or by gross exposure as the desk
says. What belongs to two buckets is of the first that names it. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable
from math import fsum

from monitor.core.formulas.structure import (
    OUTSIDE_MAX,
    BestBand,
    Drift,
    compute_annual_deviation,
    compute_best_band,
    compute_drift,
)
from monitor.core.formulas.volatility import HOURS_PER_YEAR
from monitor.core.killswitch.scope import covers_account
from monitor.core.measures.accounts import EQUITY, read_pools
from monitor.core.measures.definition import HOLDINGS, Definition, Relation, define
from monitor.core.measures.prices import price_of_asset
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, BucketNode, Node
from monitor.core.measures.use import Use
from monitor.core.measures.volatility import read_basket_slow
from monitor.core.state.facts import REVIEW_BIT, Lack
from monitor.core.state.model import RiskState
from monitor.core.state.series import HOUR_NS
from monitor.core.state.structure import HourlyLevels
from monitor.core.structure import Bucket, WeighBy, covers_any
from monitor.core.types import SECOND_NS, EngineNs, SubjectKind

_KINDS = (SubjectKind.BUCKET,)
REVIEW_EVERY_NS = 60 * SECOND_NS
# A weight is of an hour's beginning when it is known within ten minutes of it.
BEGINS_NS = 600 * SECOND_NS
DRIFT_HOURS_MIN = 168


def bucket_of(
    buckets: tuple[Bucket, ...], venue: str, account: str, market: str, asset: str
) -> str:
    """The first bucket that names a position, its asset or its account; empty for none."""
    for one in buckets:
        if (
            covers_any(one.accounts, venue, account)
            or asset in one.assets
            or any(
                (venue, market) == (leg[0], leg[2]) and covers_account(leg[1], account)
                for leg in one.positions
            )
        ):
            return one.name
    return ""


def _size(node: BucketNode, use: Use) -> float | None:
    structure = use.settings.structure
    if structure.weigh_by is WeighBy.EQUITY:
        return _equity(node, structure.buckets, use)
    return _gross(node, structure.buckets, use)


def _equity(node: BucketNode, buckets: tuple[Bucket, ...], use: Use) -> float | None:
    parts = []
    for venue, alias in node.bucket.accounts:
        pools = read_pools(node, venue, alias, use)
        if pools is None:
            return None
        for pool in pools:
            if bucket_of(buckets, venue, pool.account.account, "", "") != node.bucket.name:
                continue
            value = use.read(pool, EQUITY.name)
            if value is None:
                return None
            parts.append(value)
    return fsum(parts)


def _gross(node: BucketNode, buckets: tuple[Bucket, ...], use: Use) -> float | None:
    parts = []
    for account in node.related(Relation.ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        if use.read(account, HOLDINGS) is None:
            return None
        state = account.account
        for market, position in state.positions.items():
            asset = account.markets[market].market.asset
            if (
                position.size == 0.0
                or bucket_of(buckets, state.venue, state.account, market, asset) != node.bucket.name
            ):
                continue
            holding = account.holdings.held.get(market)
            if holding is None:
                use.absent(account.holdings.exposure.reason, account.holdings.exposure.lack)
                return None
            parts.append(abs(holding.notional_usd))
    return fsum(parts) if _add_off_book(node, buckets, use, parts) else None


def _add_off_book(
    node: BucketNode, buckets: tuple[Bucket, ...], use: Use, parts: list[float]
) -> bool:
    for leg in use.state.off_book:
        mine = bucket_of(buckets, "", "", "", leg.asset) == node.bucket.name
        if not mine or leg.expires_at_ns <= use.now:
            continue
        use.wake_at(leg.expires_at_ns)
        use.retry()
        price = price_of_asset(use.state, leg.asset, use)
        if price is None:
            use.absent(f"no fresh price of {leg.asset}, which the desk holds off-book")
            return False
        parts.append(abs(float(leg.size) * price))
    return True


def _weight(node: BucketNode, use: Use) -> float | None:
    sizes: dict[str, float] = {}
    for other in node.related(Relation.BUCKETS):
        size = use.read(other, SIZE)
        if size is None:
            return None
        sizes[other.subject] = max(size, 0.0)
    total = fsum(sizes.values())
    return sizes[node.subject] / total if total > 0.0 else 0.0


def _drift(node: BucketNode, use: Use) -> Drift | None:
    weight = use.read(node, WEIGHT)
    bucket = node.bucket
    return (
        None
        if weight is None
        else compute_drift(
            weight,
            target_ratio=bucket.target_ratio,
            band_low_ratio=bucket.band_low_ratio,
            band_high_ratio=bucket.band_high_ratio,
        )
    )


def _over(node: BucketNode, use: Use) -> float | None:
    drift = _drift(node, use)
    return None if drift is None else drift.over_ratio


def _under(node: BucketNode, use: Use) -> float | None:
    drift = _drift(node, use)
    return None if drift is None else drift.under_ratio


def _contingency(node: BucketNode, _use: Use) -> float:
    return float(node.bucket.contingency)


def _weight_told(node: Node, state: RiskState, _now: EngineNs) -> str:
    """``weight 24.9 %, target 25.0 % (25.0 % to 37.5 %)``."""
    if not isinstance(node, BucketNode):
        return ""
    bucket = node.bucket
    cell = state.cells.get(f"{WEIGHT}|{node.subject}")
    if cell is None or cell.value is None:
        return ""
    low = bucket.target_ratio * (1.0 - bucket.band_low_ratio)
    high = bucket.target_ratio * (1.0 + bucket.band_high_ratio)
    return (
        f"weight {cell.value:.1%}, target {bucket.target_ratio:.1%} ({low:.1%} to {high:.1%})"
    ).replace("%", " %")


# -------------------------------------------------------------------------- what a band costs


def _drift_volatility(node: BucketNode, use: Use) -> float | None:
    """Of the weights as hours begin, over thirty days; they are noted here."""
    levels = use.state.structure.weights.get(node.bucket.name)
    if levels is None:
        levels = use.state.structure.weights[node.bucket.name] = HourlyLevels()
    hour, into = divmod(use.now, HOUR_NS)
    use.wake_at((hour + 1) * HOUR_NS)
    weight = use.read(node, WEIGHT)
    if weight is None:
        return None
    if into < BEGINS_NS and not use.estimated:
        levels.note(hour, weight)
    changes = list(levels.changes().values())
    if len(changes) < DRIFT_HOURS_MIN:
        use.absent(f"{len(changes)} of {DRIFT_HOURS_MIN} hours of its weight known", Lack.FILLING)
        return None
    return compute_annual_deviation(changes, per_year=HOURS_PER_YEAR)


def _best(node: BucketNode, use: Use) -> BestBand | None:
    moves = use.read(node, DRIFT_VOLATILITY)
    volatility = None if moves is None else read_basket_slow(use)
    if moves is None or volatility is None:
        return None
    if min(moves, volatility, node.bucket.cost_ratio) <= 0.0:
        use.absent("its weight, or the market, does not move")
        return None
    return compute_best_band(
        cost_ratio=node.bucket.cost_ratio, gap_volatility=moves, volatility=volatility
    )


def _best_band(node: BucketNode, use: Use) -> float | None:
    best = _best(node, use)
    return None if best is None else best.half_band_ratio


def _band_to_best(node: BucketNode, use: Use) -> float | None:
    best = use.read(node, BEST_BAND)
    bucket = node.bucket
    if best is None:
        return None
    half = bucket.target_ratio * (bucket.band_low_ratio + bucket.band_high_ratio) / 2.0
    return min(half / best, OUTSIDE_MAX)


# ---------------------------------------------------------------------------------- reviews


def _overdue(node: BucketNode, use: Use) -> float | None:
    """Time since the last review over the time between two."""
    if node.bucket.review_s <= 0.0:
        return 0.0
    review = use.state.structure.reviews.get(node.bucket.name)
    if review is None:
        use.absent("it is not on record when it was last reviewed")
        return None
    use.wake_at(use.now + REVIEW_EVERY_NS)
    use.observed = min(use.observed, max(review.at_ns, 0))
    elapsed_s = max(use.now - review.at_ns, 0) / SECOND_NS
    return min(elapsed_s / node.bucket.review_s, OUTSIDE_MAX)


def _review_told(node: Node, state: RiskState, now: EngineNs) -> str:
    """``reviewed 1.4 days ago by ana``."""
    review = state.structure.reviews.get(node.subject.partition(":")[2])
    if review is None:
        return ""
    days = (now - review.at_ns) / (24 * HOUR_NS)
    if review.by:
        return f"reviewed {days:.1f} days ago by {review.by}"
    return f"never reviewed in the {days:.1f} days that it is watched"


SIZE = "bucket_size_usd"
WEIGHT = "bucket_weight_ratio"
DRIFT_VOLATILITY = "bucket_weight_volatility"
BEST_BAND = "bucket_best_band_ratio"


def _spec(
    name: str,
    unit: Unit,
    help_text: str,
    typical: tuple[float, float],
    *,
    high: float = OUTSIDE_MAX,
    at_zero: str = "",
    words: tuple[str, ...] = (),
    cadence_s: float = 0.0,
) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_KINDS,
        unit=unit,
        help=help_text,
        low=-1e60 if unit is Unit.USD else 0.0,
        high=high,
        cadence_s=cadence_s,
        at_zero=at_zero,
        typical=typical,
        words=words,
    )


_OF_WEIGHT = ((Relation.SELF, WEIGHT),)
_EDGE = "1 is the edge; 1000 beyond an edge that is the target itself"


def _of_weight(
    name: str, help_text: str, compute: Callable[[BucketNode, Use], float | None]
) -> Definition:
    spec = _spec(name, Unit.RATIO, help_text, (0.4, 1.5), words=("x",))
    return define(spec, SubjectKind.BUCKET, compute, needs=_OF_WEIGHT, detail=_weight_told)


DEFINITIONS: tuple[Definition, ...] = (
    define(
        _spec(
            SIZE,
            Unit.USD,
            "What a risk bucket holds, USD: equity of its accounts, or gross exposure.",
            (250_000.0, 100_000.0),
            high=1e60,
            cadence_s=5.0,
        ),
        SubjectKind.BUCKET,
        _size,
        needs=((Relation.ACCOUNTS, EQUITY.name), (Relation.ACCOUNTS, HOLDINGS)),
    ),
    define(
        _spec(
            WEIGHT,
            Unit.RATIO,
            "Share of a risk bucket in all of them.",
            (0.25, 0.1),
            high=1.0,
            at_zero="0 where all buckets together hold nothing",
        ),
        SubjectKind.BUCKET,
        _weight,
        needs=((Relation.BUCKETS, SIZE),),
    ),
    _of_weight(
        "bucket_over_band_ratio",
        f"How far a bucket's weight is above its target, against its band: {_EDGE}.",
        _over,
    ),
    _of_weight(
        "bucket_under_band_ratio",
        f"How far a bucket's weight is below its target, against its band: {_EDGE}.",
        _under,
    ),
    define(
        _spec(
            "bucket_contingency",
            Unit.BOOL,
            "1 for the bucket that is kept for the worst day.",
            (0.0, 1.0),
            high=1.0,
            words=("contingency", "no contingency"),
        ),
        SubjectKind.BUCKET,
        _contingency,
    ),
    define(
        _spec(
            DRIFT_VOLATILITY,
            Unit.PER_YEAR,
            "Volatility a year of a bucket's weight, from a month of hours.",
            (0.05, 0.3),
            cadence_s=60.0,
        ),
        SubjectKind.BUCKET,
        _drift_volatility,
        needs=_OF_WEIGHT,
        always=True,
    ),
    define(
        _spec(
            BEST_BAND,
            Unit.RATIO,
            "Half-band of a bucket's weight at which drift and trading cost least together.",
            (0.1, 0.05),
            cadence_s=60.0,
        ),
        SubjectKind.BUCKET,
        _best_band,
        needs=((Relation.SELF, DRIFT_VOLATILITY),),
    ),
    define(
        _spec(
            "bucket_band_to_best_ratio",
            Unit.RATIO,
            "Half of a bucket's band over the cheapest half-band: below 1 it trades too often.",
            (1.0, 3.0),
            words=("x",),
        ),
        SubjectKind.BUCKET,
        _band_to_best,
        needs=((Relation.SELF, BEST_BAND),),
    ),
    define(
        _spec(
            "bucket_review_overdue_ratio",
            Unit.RATIO,
            "Time since a bucket was last reviewed over the time between two reviews.",
            (0.5, 2.0),
            at_zero="0 where no review is asked for",
            words=("x",),
        ),
        SubjectKind.BUCKET,
        _overdue,
        bits=REVIEW_BIT,
        detail=_review_told,
    ),
)
