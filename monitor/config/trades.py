"""``trades:``: how this desk trades, what it costs, and what it expects.

Left out, every value is the core's own, and what only a person can say (stops, expected returns) is
asked of nobody.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from monitor.core.settings import TradeSettings

_OWN = TradeSettings()
BPS = 10_000.0  # of one
_Bps = Annotated[float, Field(ge=0, le=1_000)]


class TradesSection(BaseModel):
    """``trades:`` — ratios are fractions, costs basis points of notional one way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    risk_ratio: Annotated[float, Field(gt=0, le=0.5)] = _OWN.risk_ratio
    stops_required: bool = _OWN.stops_required
    holding_hours: Annotated[float, Field(ge=1, le=8_760)] = _OWN.holding_hours
    fees_bps: dict[Literal["hyperliquid", "dydx"], _Bps] = Field(default_factory=dict)
    # Free trades would make any edge infinite.
    fee_bps: Annotated[float, Field(gt=0, le=1_000)] = _OWN.fee_ratio * BPS
    slippage_bps: Annotated[float, Field(gt=0, le=1_000)] = _OWN.slippage_ratio * BPS
    drifts: dict[str, Annotated[float, Field(ge=-10, le=10)]] = Field(default_factory=dict)
    # Beyond half of Kelly growth falls faster than risk rises; beyond 1 it is gambling.
    kelly_fraction: Annotated[float, Field(gt=0, le=1)] = _OWN.kelly_fraction

    def settings(self) -> TradeSettings:
        """The core's."""
        return TradeSettings(
            risk_ratio=self.risk_ratio,
            stops_required=self.stops_required,
            holding_hours=self.holding_hours,
            fee_ratios=tuple((venue, bps / BPS) for venue, bps in self.fees_bps.items()),
            fee_ratio=self.fee_bps / BPS,
            slippage_ratio=self.slippage_bps / BPS,
            drifts=tuple(self.drifts.items()),
            kelly_fraction=self.kelly_fraction,
        )
