"""``carry:`` and ``funding_stress:``: funding as an expense, and what the stress index is made of.

Left out, every value is the core's own. What contradicts itself is refused with what to write.
"""

from __future__ import annotations

from math import fsum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from monitor.core.formulas.funding_stress import ANCHORS, Z_CLIP, StressAnchors
from monitor.core.settings import CarrySettings

_CARRY = CarrySettings()
# A fraction per hour; beyond it (876 % a year) somebody meant another unit.
RATE_MAX = 0.001
_Rate = Annotated[float, Field(ge=-RATE_MAX, le=RATE_MAX)]
_PARTS = ("level", "breadth", "surprise", "change", "flips")
# What a part can reach at most: of a share, and of a z, which is cut off.
_REACHED = {"breadth": 1.0, "flips": 1.0, "surprise": Z_CLIP, "change": Z_CLIP}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CarrySection(_Section):
    """``carry:`` — what funding may cost, and where rates return to; rates are per hour, > 0 where
    longs pay."""

    budget_ratio: Annotated[float, Field(gt=0, le=1)] = _CARRY.budget_ratio
    persistence_hourly: Annotated[float, Field(ge=0, le=1)] = _CARRY.persistence_hourly
    baselines_hourly: dict[Literal["hyperliquid", "dydx"], _Rate] = Field(default_factory=dict)
    isolated_baselines_hourly: dict[Literal["hyperliquid", "dydx"], _Rate] = Field(
        default_factory=dict
    )
    baseline_hourly: _Rate = _CARRY.baseline_hourly

    def settings(self) -> CarrySettings:
        """The core's; a venue that is not named keeps the baselines the core knows of it."""
        isolated = dict(_CARRY.isolated_baselines_hourly) | self.isolated_baselines_hourly
        return CarrySettings(
            budget_ratio=self.budget_ratio,
            persistence_hourly=self.persistence_hourly,
            baselines_hourly=tuple((dict(_CARRY.baselines_hourly) | self.baselines_hourly).items()),
            isolated_baselines_hourly=tuple(isolated.items()),
            baseline_hourly=self.baseline_hourly,
        )


class RampSection(_Section):
    """One part of the index: no points at ``begin``, all of its ``weight`` from ``end`` on."""

    begin: Annotated[float, Field(ge=0, le=100)]
    end: Annotated[float, Field(gt=0, le=100)]
    weight: Annotated[float, Field(ge=0, le=100)]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.begin >= self.end:
            raise ValueError(
                f"begin {self.begin:g} must lie below end {self.end:g}: a part gives no points at "
                "begin and all of its weight at end"
            )
        return self

    @property
    def anchor(self) -> tuple[float, float, float]:
        """As the core counts it."""
        return self.begin, self.end, self.weight


def _ramp(name: Literal["level", "breadth", "surprise", "change", "flips"]) -> RampSection:
    begin, end, weight = getattr(ANCHORS, name)
    return RampSection(begin=begin, end=end, weight=weight)


class FundingStressSection(_Section):
    """``funding_stress:`` — ramps and weights of the index; APR and shares as fractions."""

    level: RampSection = _ramp("level")
    breadth: RampSection = _ramp("breadth")
    surprise: RampSection = _ramp("surprise")
    change: RampSection = _ramp("change")
    flips: RampSection = _ramp("flips")
    expensive_apr: Annotated[float, Field(gt=0, le=100)] = ANCHORS.expensive_apr
    scale_floor: Annotated[float, Field(gt=0, le=RATE_MAX)] = ANCHORS.scale_floor
    flip_rate: Annotated[float, Field(ge=0, le=RATE_MAX)] = ANCHORS.flip_rate
    universe: Annotated[int, Field(ge=3, le=200)] = ANCHORS.universe
    # With less of it known an index could look low because the dear half is dark.
    coverage_min: Annotated[float, Field(ge=ANCHORS.coverage_min, le=1)] = ANCHORS.coverage_min
    assets_min: Annotated[int, Field(ge=3, le=200)] = ANCHORS.assets_min
    calm: Annotated[float, Field(gt=0, lt=100)] = ANCHORS.calm

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        parts = {name: getattr(self, name).anchor for name in _PARTS}
        total = fsum(weight for _, _, weight in parts.values())
        if abs(total - 100.0) > 1e-6:
            told = " + ".join(f"{name} {weight:g}" for name, (_, _, weight) in parts.items())
            raise ValueError(
                f"the weights must sum to 100, the end of the index, and are {told} = {total:g}; "
                "what one part loses, give to another"
            )
        for name, most in _REACHED.items():
            if parts[name][1] > most:
                raise ValueError(
                    f"{name}.end {parts[name][1]:g} is never reached: this part is at most "
                    f"{most:g}; end at {most:g} or below"
                )
        if self.assets_min > self.universe:
            raise ValueError(
                f"assets_min {self.assets_min} is more than the universe of {self.universe}: the "
                "index would always be absent; raise universe or lower assets_min"
            )
        return self

    def settings(self) -> StressAnchors:
        """The core's."""
        return StressAnchors(
            level=self.level.anchor,
            breadth=self.breadth.anchor,
            surprise=self.surprise.anchor,
            change=self.change.anchor,
            flips=self.flips.anchor,
            expensive_apr=self.expensive_apr,
            scale_floor=self.scale_floor,
            flip_rate=self.flip_rate,
            universe=self.universe,
            coverage_min=self.coverage_min,
            assets_min=self.assets_min,
            calm=self.calm,
        )
