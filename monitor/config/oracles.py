"""``oracles:``: how far a venue's oracle may be from what others say. Left out, the core's own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from monitor.core.settings import OracleSettings

_OWN = OracleSettings()
# Beyond a tenth a fraction was written in percent.
_Ratio = Annotated[float, Field(gt=0, le=0.1)]


class OraclesSection(BaseModel):
    """``oracles:`` — deviations are fractions of the price; a threshold is the move that a venue's
    feed waits for before it speaks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    majors: tuple[str, ...] = _OWN.majors
    major_ratio: _Ratio = _OWN.major_ratio
    other_ratio: _Ratio = _OWN.other_ratio
    thresholds: dict[Literal["hyperliquid", "dydx"], _Ratio] = Field(default_factory=dict)

    def settings(self) -> OracleSettings:
        """The core's."""
        return OracleSettings(
            majors=self.majors,
            major_ratio=self.major_ratio,
            other_ratio=self.other_ratio,
            thresholds=tuple(self.thresholds.items()),
        )
