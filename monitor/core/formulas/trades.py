"""What a trade costs to enter and leave, what it may lose, and what a hedged pair earns. *Pure.*

Costs and edges are fractions of the notional of one leg; funding rates signed fractions per hour,
> 0 where longs pay. Sources: the sheets *exits-and-congestion* section 5 (round trip),
*volatility-and-leverage* section 6 (loss at the stop) and the rule HARVEST of the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum

from monitor.core.formulas.funding import DAYS_PER_YEAR, HOURS_PER_YEAR

FEE_RATIO = 0.00045  # taker
SLIPPAGE_RATIO = 0.0006  # half the spread and the impact of our size
PERSISTENCE_SETTLEMENTS = 21
EDGE_MAX = 1000.0
# One step in which nobody trades, down or up: the leaders by name, everything else.
CRASH_GAP: Mapping[str, float] = {"BTC": 0.15, "ETH": 0.20}
CRASH_GAP_OTHERS = 0.30
LOSS_MAX = 1000.0


def compute_round_trip(
    *,
    fee_ratio: float,
    slippage_ratio: float,
    notional_usd: float = 1.0,
    fixed_usd: float = 0.0,
    bridge_ratio: float = 0.0,
    opportunity_per_year: float = 0.0,
    exit_days: float = 0.0,
) -> float:
    """Cost of going in and out again, as a fraction of ``notional_usd``.

    Args:
        fee_ratio: One way.
        slippage_ratio: One way.
        notional_usd: What is traded; it only matters beside ``fixed_usd``.
        fixed_usd: Gas both ways and the bridge's fixed fee; 0 where nothing is bridged.
        bridge_ratio: What the bridge takes of the amount.
        opportunity_per_year: What the capital would have earned while it is locked.
        exit_days: How long leaving locks it.
    """
    return (
        2.0 * fee_ratio
        + 2.0 * slippage_ratio
        + fixed_usd / notional_usd
        + bridge_ratio
        + opportunity_per_year * exit_days / DAYS_PER_YEAR
    )


def compute_planned_loss(
    *,
    notional_usd: float,
    stop_distance_ratio: float | None,
    gap_factor: float,
    round_trip_ratio: float,
    funding_usd: float,
) -> float:
    """USD lost where the stop is gapped through: with the costs of the trade and the funding to be
    paid until then. Without a stop (None) all of the notional is at stake, before costs.

    Args:
        notional_usd: Unsigned.
        stop_distance_ratio: From the price to the stop, ``>= 0``.
        gap_factor: By how much a gap makes the distance longer, ``>= 1``.
        round_trip_ratio: Of the notional.
        funding_usd: Projected, > 0 paid by us; what is received pays for no loss.
    """
    lost = 1.0 if stop_distance_ratio is None else stop_distance_ratio * gap_factor
    return notional_usd * (lost + round_trip_ratio) + max(funding_usd, 0.0)


def gap_of(asset: str) -> float:
    """By how much an asset moves in the crash gap, ``> 0``."""
    return CRASH_GAP.get(asset, CRASH_GAP_OTHERS)


def compute_crash_gap_loss(notionals_usd: Mapping[str, float]) -> tuple[float, float]:
    """USD lost (``>= 0``) in the worse of a crash and a melt-up of everything in one step, and its
    sign: -1 down, 1 up.

    Args:
        notionals_usd: Signed net by asset, hedges included.
    """
    down = fsum(usd * gap_of(asset) for asset, usd in notionals_usd.items())
    return (down, -1.0) if down >= 0.0 else (-down, 1.0)


def compute_loss_ratio(loss_usd: float, equity_usd: float) -> float:
    """A loss ``>= 0`` over equity, in ``[0, 1000]``; 1000 where equity is gone and a loss is not,
    0 where there is none."""
    if loss_usd <= 0.0:
        return 0.0
    return min(loss_usd / equity_usd, LOSS_MAX) if equity_usd > 0.0 else LOSS_MAX


# ------------------------------------------------------------------------------------- carry


def compute_edge_ratio(*, expected: float, cost: float) -> float:
    """What is left of expected funding after its cost, in units of that cost, in
    ``[-1000, 1000]``.

    Args:
        expected: Funding received over the holding time, fraction of a leg; < 0 where it is paid.
        cost: Of entering and leaving all legs, fraction of a leg, > 0.
    """
    return min(max((expected - cost) / cost, -EDGE_MAX), EDGE_MAX)


def compute_persistence(received: Sequence[float | None]) -> float:
    """Share of settlements at which something was received (> 0), in ``[0, 1]``; an unknown one
    counts as not.

    Raises:
        ValueError: Without a settlement.
    """
    if not received:
        raise ValueError("no settlement to count")
    return sum(one is not None and one > 0.0 for one in received) / len(received)


def compute_net_drift(
    *, drift_per_year: float, funding_hourly: float, round_trip_ratio: float, holding_hours: float
) -> float:
    """Expected return a year of a long (of a short with the signs of the first two turned), net of
    funding and of a round trip each ``holding_hours``.

    Args:
        drift_per_year: What the desk expects before costs, signed.
        funding_hourly: As this side feels it, > 0 paid.
        round_trip_ratio: Cost of going in and out.
        holding_hours: How long a trade is held, > 0.
    """
    hourly = funding_hourly + round_trip_ratio / holding_hours
    return drift_per_year - hourly * HOURS_PER_YEAR
