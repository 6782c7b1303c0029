"""How concentration, pegs, buckets and caps of a view are worked out.

Lines as in ``work_words``. Asked only when a person wants to know. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from monitor.core.formulas.collateral import (
    SOURCES_MIN,
    compute_concentration,
    compute_depeg,
    compute_worst_depeg,
)
from monitor.core.formulas.structure import RISK_AVERSION
from monitor.core.measures.buckets import BEST_BAND, DRIFT_VOLATILITY, SIZE, WEIGHT
from monitor.core.measures.concentration import (
    Parts,
    by_asset,
    by_token,
    by_venue,
    is_dollar,
    prices_of,
)
from monitor.core.measures.cross_margin import cross_nets
from monitor.core.measures.definition import Key, Relation
from monitor.core.measures.gross_leverage import GROSS_TO_CAP
from monitor.core.measures.issuers import issuer_values, largest_issuer
from monitor.core.measures.kelly import CAPS
from monitor.core.measures.leverage import NET_LEVERAGE
from monitor.core.measures.tree import AccountNode, AssetNode, BucketNode, PortfolioNode, VenueNode
from monitor.core.measures.use import Use
from monitor.core.measures.volatility import read_basket_slow
from monitor.core.measures.work_parts import name_of, work_gross_to_cap
from monitor.core.measures.work_words import (
    Steps,
    Term,
    added,
    bare,
    divided,
    listed,
    ranked,
    step,
    total,
    usd,
)
from monitor.core.types import SECOND_NS, SubjectKind

# ------------------------------------------------------------------------------ concentration


def _work_index(parts_of: Parts) -> Callable[[PortfolioNode, Use], Steps]:
    def work(node: PortfolioNode, use: Use) -> Steps:
        parts = parts_of(node, use) or {}
        terms = [Term(name, part) for name, part in parts.items() if part > 0.0]
        if not terms:
            return ("nothing left: 1 while something is owed or exposed, else 0",)
        whole = total(terms)
        shares = [
            Term(name, (part / whole) ** 2, f"{bare(part / whole)}^2") for name, part, _ in terms
        ]
        index = bare(compute_concentration(parts.values()))
        return (
            *added("all", terms),
            f"sum of squared shares: {listed(shares, show=bare)} = {index}",
        )

    return work


def _work_count(parts_of: Parts) -> Callable[[PortfolioNode, Use], Steps]:
    def work(node: PortfolioNode, use: Use) -> Steps:
        parts = [one for one in (parts_of(node, use) or {}).items() if one[1] > 0.0]
        return ranked(f"{len(parts)} with more than 0 USD", parts, show=usd) or ("none: 0",)

    return work


def work_fixed(node: PortfolioNode, use: Use) -> Steps:
    """Of the largest issuer: what could be nobody else's, over all collateral."""
    values = issuer_values(node, use)
    if values is None or not values[0]:
        return ()
    everything, fixed = values
    issuer, _ = largest_issuer(everything)
    terms = [Term(name, value) for name, value in everything.items()]
    words = f"{issuer} that could be no other's / all"
    return (*added("all", terms), divided(words, fixed.get(issuer, 0.0), total(terms)))


# -------------------------------------------------------------------------------------- pegs


def _work_depeg(
    deviation: Callable[[Sequence[float]], float | None], *, single: bool
) -> Callable[[PortfolioNode, Use], Steps]:
    """Of the dollar token that is furthest away: its prices, and the one that counts."""

    def work(node: PortfolioNode, use: Use) -> Steps:
        found = []
        for token, value in (by_token(node, use) or {}).items():
            prices = prices_of(token, use) if value > 0.0 and is_dollar(token) else []
            away = deviation(prices)
            if away is not None:
                found.append((away, token, prices))
        if not found:
            return ()
        away, token, prices = max(found, key=lambda one: one[0])
        price = max(prices, key=lambda one: abs(1.0 - one)) if single else median(prices)
        which = "the furthest price" if single else f"the median ({SOURCES_MIN} or more)"
        return (
            f"prices of {token}: {', '.join(map(bare, sorted(prices)))}",
            step(f"|1 - {which}|", f"|1 - {bare(price)}|", abs(1.0 - price)),
        )

    return work


# ----------------------------------------------------------------------------------- buckets


def _weight(node: BucketNode, use: Use) -> Steps:
    sizes = [(one, use.read(one, SIZE)) for one in node.related(Relation.BUCKETS)]
    terms = [Term(name_of(one), max(size, 0.0)) for one, size in sizes if size is not None]
    mine, whole = use.read(node, SIZE), total(terms)
    if mine is None or whole <= 0.0:
        return ()
    return (*added("all buckets", terms), divided("weight, its size / all", max(mine, 0.0), whole))


def _work_drift(*, over: bool) -> Callable[[BucketNode, Use], Steps]:
    def work(node: BucketNode, use: Use) -> Steps:
        weight, bucket = use.read(node, WEIGHT), node.bucket
        if weight is None:
            return ()
        room = bucket.band_high_ratio if over else bucket.band_low_ratio
        target = bucket.target_ratio
        gap = weight / target - 1.0 if over else 1.0 - weight / target
        side = "above" if over else "below"
        if gap <= 0.0:
            return (*_weight(node, use), f"not {side} its target {target:g}: 0")
        if room <= 0.0:
            return (*_weight(node, use), f"{side} its target {target:g}, which has no band: 1000")
        share = f"{bare(weight)} / {target:g}"
        sums = f"({f'{share} - 1' if over else f'1 - {share}'}) / {room:g}"
        words = f"{side} the target, as a share of it / band of {room:g}"
        return (*_weight(node, use), step(words, sums, gap / room))

    return work


def work_band_to_best(node: BucketNode, use: Use) -> Steps:
    """The cheapest half-band by its cube root, and half of the band over it."""
    best, moves = use.read(node, BEST_BAND), use.read(node, DRIFT_VOLATILITY)
    volatility, bucket = read_basket_slow(use), node.bucket
    if not best or moves is None or volatility is None:
        return ()
    half = bucket.target_ratio * (bucket.band_low_ratio + bucket.band_high_ratio) / 2.0
    cheapest = (
        f"(3 x {bare(bucket.cost_ratio)} x {bare(moves)}^2 / "
        f"({RISK_AVERSION:g} x {bare(volatility)}^2))^(1 / 3)"
    )
    bands = f"({bucket.band_low_ratio:g} + {bucket.band_high_ratio:g})"
    return (
        step("cheapest, (3 x cost x drift^2 / (2 x volatility^2))^(1/3)", cheapest, best),
        step(
            "target x (low + high) / 2 / cheapest",
            f"{bucket.target_ratio:g} x {bands} / 2 / {bare(best)}",
            half / best,
        ),
    )


def work_overdue(node: BucketNode, use: Use) -> Steps:
    """Seconds since the last review over those between two."""
    review, every_s = use.state.structure.reviews.get(node.bucket.name), node.bucket.review_s
    if every_s <= 0.0:
        return ("no review is asked for: 0",)
    if review is None:
        return ()
    elapsed_s = max(use.now - review.at_ns, 0) / SECOND_NS
    sums = f"{bare(elapsed_s)} / {bare(every_s)}"
    return (step("seconds since the last review / between two", sums, elapsed_s / every_s),)


# -------------------------------------------------------------------------------------- caps


def work_view_cap(node: AssetNode, use: Use) -> Steps:
    """The caps, the least first, and net leverage over that."""
    words = ("Kelly", "volatility", "funding")
    caps = [
        (name, cap)
        for name, one in zip(words, CAPS, strict=True)
        if (cap := use.read(node, one.name)) is not None
    ]
    held = use.read(node, NET_LEVERAGE.name)
    if len(caps) < len(words) or held is None:
        return ()
    least = min(cap for _, cap in caps)
    lines = ranked("caps", caps, highest=False)
    if least <= 0.0:
        return (*lines, f"net leverage {bare(held)} where nothing is allowed")
    return (*lines, divided("net leverage / the least cap", held, least))


def work_worst_account(node: VenueNode, use: Use) -> Steps:
    """Leverage over its cap by account, and how the highest came about."""
    found = [
        (one, ratio)
        for one in node.related(Relation.ACCOUNTS)
        if (ratio := use.read(one, GROSS_TO_CAP.name)) is not None
    ]
    if not found:
        return ()
    worst = max(found, key=lambda one: one[1])[0]
    named = [(name_of(one), ratio) for one, ratio in found]
    return (*ranked("highest of its accounts", named), *work_gross_to_cap(worst, use))


def work_sharing(node: AccountNode, use: Use) -> Steps:
    """What shares the pool, by asset, signed."""
    held = [Term(asset, usd) for asset, usd in cross_nets(node).items()]
    names = ", ".join(one.name for one in use.settings.structure.strategies)
    return (*added("net USD of the pool", held), f"counted of the strategies {names}")


WORKINGS: Mapping[Key, Callable[..., Steps]] = {
    ("equity_concentration_hhi", SubjectKind.PORTFOLIO): _work_index(by_venue),
    ("equity_venues_count", SubjectKind.PORTFOLIO): _work_count(by_venue),
    ("asset_concentration_hhi", SubjectKind.PORTFOLIO): _work_index(by_asset),
    ("assets_held_count", SubjectKind.PORTFOLIO): _work_count(by_asset),
    ("collateral_concentration_hhi", SubjectKind.PORTFOLIO): _work_index(by_token),
    ("collateral_issuer_fixed_ratio", SubjectKind.PORTFOLIO): work_fixed,
    ("stablecoin_depeg_ratio", SubjectKind.PORTFOLIO): _work_depeg(compute_depeg, single=False),
    ("stablecoin_depeg_single_ratio", SubjectKind.PORTFOLIO): _work_depeg(
        compute_worst_depeg, single=True
    ),
    ("bucket_over_band_ratio", SubjectKind.BUCKET): _work_drift(over=True),
    ("bucket_under_band_ratio", SubjectKind.BUCKET): _work_drift(over=False),
    ("bucket_band_to_best_ratio", SubjectKind.BUCKET): work_band_to_best,
    ("bucket_review_overdue_ratio", SubjectKind.BUCKET): work_overdue,
    ("net_to_view_cap_ratio", SubjectKind.ASSET): work_view_cap,
    ("leverage_worst_account_ratio", SubjectKind.VENUE): work_worst_account,
    ("cross_margin_strategies_count", SubjectKind.ACCOUNT): work_sharing,
}
