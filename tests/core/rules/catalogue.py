"""A small catalogue in the shape of the real one, so that these tests stand by themselves."""

from __future__ import annotations

from monitor.core.measures.spec import MeasureSpec, Reading, Unit
from monitor.core.types import SECOND_NS, SubjectKind

P, V, A, X, M, S, F = (
    SubjectKind.PORTFOLIO,
    SubjectKind.VENUE,
    SubjectKind.ACCOUNT,
    SubjectKind.POSITION,
    SubjectKind.MARKET,
    SubjectKind.ASSET,
    SubjectKind.FEED,
)


def spec(
    name: str,
    kinds: tuple[SubjectKind, ...],
    unit: Unit = Unit.RATIO,
    low: float = float("-inf"),
    high: float = float("inf"),
    max_age_s: float | None = None,
    typical: tuple[float, float] = (0.1, 0.9),
    words: tuple[str, ...] = (),
) -> MeasureSpec:
    """One measure."""
    return MeasureSpec(
        name=name,
        kinds=kinds,
        unit=unit,
        help=f"{name}.",
        low=low,
        high=high,
        max_age_s=max_age_s,
        typical=typical,
        words=words,
    )


SMALL = {
    one.name: one
    for one in (
        spec(
            "stress", (P,), Unit.COUNT, low=0.0, high=100.0, max_age_s=300.0, typical=(10.0, 70.0)
        ),
        spec("leverage", (A, V, P), low=0.0, high=1000.0, typical=(1.0, 6.0)),
        spec("margin_usage_ratio", (A, V, P), low=0.0, high=10.0, max_age_s=60.0),
        spec("spread_ratio", (M,), low=0.0),
        spec("mark_price", (M,), Unit.PRICE, low=0.0, typical=(100.0, 60000.0)),
        spec("oracle_price", (M,), Unit.PRICE, low=0.0, typical=(100.0, 60000.0)),
        spec("notional_usd", (X,), Unit.USD, typical=(1000.0, -50000.0)),
        spec("net_exposure_usd", (A, S, V, P), Unit.USD, typical=(1000.0, -50000.0)),
        spec("gross_exposure_usd", (A, S, V, P), Unit.USD, low=0.0, typical=(1e4, 1e5)),
        spec(
            "feed_connected", (F,), Unit.BOOL, low=0.0, high=1.0, typical=(1.0, 0.0),
            words=("connected", "disconnected"),
        ),
        spec(
            "feeds_stale", (V,), Unit.COUNT, low=0.0, typical=(0.0, 2.0),
            words=("feed stale", "feeds stale"),
        ),
        spec("venue_healthy", (V,), Unit.BOOL, low=0.0, high=1.0, typical=(1.0, 0.0)),
    )
}  # fmt: skip


def at(seconds: float) -> int:
    """Engine time, from seconds."""
    return round(seconds * SECOND_NS)


def reading(
    value: float,
    seconds: float,
    *,
    observed_s: float | None = None,
    estimated: bool = False,
) -> Reading:
    """A reading as of ``seconds``, told then unless said otherwise."""
    return Reading(
        value=value,
        as_of_ns=at(seconds),
        expires_ns=at(seconds + 3600),
        observed_ns=at(seconds if observed_s is None else observed_s),
        estimated=estimated,
    )
