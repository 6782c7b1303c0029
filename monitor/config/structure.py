"""``structure:`` of the configuration: risk buckets with targets and bands, strategies. *Pure.*

Hedge sets stand in ``kill.hedge_sets``: what is watched as one hedge is what stays paired in a cut.
"""

from __future__ import annotations

from math import fsum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from monitor.core.structure import (
    AccountRef,
    Bucket,
    HedgeSet,
    LegRef,
    Strategy,
    StructureSettings,
    WeighBy,
    covers_any,
)

NAME = r"^[a-z0-9][a-z0-9_-]{0,31}$"
ACCOUNT = r"^[a-z0-9_-]+/[a-z0-9_.-]+$"
POSITION = r"^[a-z0-9_-]+/[a-z0-9_.-]+/\S+$"
DAY_S = 86_400.0
TARGETS_ROUNDING = 1e-6

Name = Annotated[str, Field(pattern=NAME)]
Account = Annotated[str, Field(pattern=ACCOUNT)]
Position = Annotated[str, Field(pattern=POSITION)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BucketSettings(_Strict):
    """One entry of ``structure.buckets``: who belongs to it, how much it should be, how often
    somebody looks. A contingency may never fall short and may grow to half as much again."""

    name: Name
    target: Annotated[float, Field(gt=0, le=1)]
    contingency: bool = False
    band_low: Annotated[float, Field(ge=0, lt=1)] | None = None
    band_high: Annotated[float, Field(ge=0, le=10)] | None = None
    accounts: tuple[Account, ...] = ()
    assets: tuple[str, ...] = ()
    positions: tuple[Position, ...] = ()
    review_days: Annotated[float, Field(gt=0, le=366)] | None = None
    cost_bps: Annotated[float, Field(gt=0, le=1000)] = 26.2

    @model_validator(mode="after")
    def _has_members(self) -> Self:
        if not (self.accounts or self.assets or self.positions):
            raise ValueError("a bucket needs accounts, assets or positions")
        return self

    def bucket(self) -> Bucket:
        """The core's."""
        low, high = (0.0, 0.5) if self.contingency else (0.2, 0.2)
        return Bucket(
            name=self.name,
            target_ratio=self.target,
            band_low_ratio=low if self.band_low is None else self.band_low,
            band_high_ratio=high if self.band_high is None else self.band_high,
            contingency=self.contingency,
            accounts=tuple(map(_account, self.accounts)),
            assets=self.assets,
            positions=tuple(map(_position, self.positions)),
            review_s=(self.review_days or 0.0) * DAY_S,
            cost_ratio=self.cost_bps / 1e4,
        )


class StrategySettings(_Strict):
    """One entry of ``structure.strategies``: whole accounts, or everything held in some assets, and
    its share of the book's risk."""

    name: Name
    accounts: tuple[Account, ...] = ()
    assets: tuple[str, ...] = ()
    risk_share: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.accounts) == bool(self.assets):
            raise ValueError("a strategy is either accounts or assets: give one of them")
        return self

    def strategy(self) -> Strategy:
        """The core's."""
        return Strategy(
            name=self.name,
            accounts=tuple(map(_account, self.accounts)),
            assets=self.assets,
            risk_share=self.risk_share,
        )


class StructureSection(_Strict):
    """``structure:`` — what the book is made of; what is not configured is not asked about.
    Weights are shares of all buckets, by ``equity`` of their accounts or ``gross`` exposure."""

    weigh_by: WeighBy = WeighBy.EQUITY
    buckets: tuple[BucketSettings, ...] = ()
    strategies: tuple[StrategySettings, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for what, names in (
            ("bucket", [one.name for one in self.buckets]),
            ("strategy", [one.name for one in self.strategies]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"the same {what} is configured twice: {', '.join(twice)}")
        total = fsum(one.target for one in self.buckets)
        if self.buckets and abs(total - 1.0) > TARGETS_ROUNDING:
            raise ValueError(f"the targets of all buckets are to be 1 together, found {total:g}")
        if self.weigh_by is WeighBy.EQUITY:
            wrong = [one.name for one in self.buckets if one.assets or one.positions]
            if wrong:
                raise ValueError(
                    f"equity is of accounts alone: bucket {', '.join(wrong)} names assets or "
                    "positions; write weigh_by: gross"
                )
        return self

    @model_validator(mode="after")
    def _risk_shares(self) -> Self:
        """Shares are of one whole: every strategy has one, and nothing belongs to two."""
        unsaid = [one.name for one in self.strategies if one.risk_share is None]
        if len(unsaid) == len(self.strategies):
            return self
        if unsaid:
            raise ValueError(f"each strategy has a risk_share or none has: {', '.join(unsaid)}")
        total = fsum(one.risk_share or 0.0 for one in self.strategies)
        if abs(total - 1.0) > TARGETS_ROUNDING:
            raise ValueError(f"the risk_share of all is to be 1 together, found {total:g}")
        if len({bool(one.accounts) for one in self.strategies}) > 1:
            raise ValueError(
                "with risk_share strategies are all of accounts or all of assets: what belonged to "
                "two would count twice"
            )
        assets = [asset for one in self.strategies for asset in one.assets]
        refs = [_account(account) for one in self.strategies for account in one.accounts]
        twice = sorted(
            {asset for asset in assets if assets.count(asset) > 1}
            | {f"{venue}/{alias}" for venue, alias in refs
               if sum(covers_any((ref,), venue, alias) for ref in refs) > 1}
        )  # fmt: skip
        if twice:
            raise ValueError(f"with risk_share nothing is of two strategies: {', '.join(twice)}")
        return self

    def settings(self, hedge_sets: tuple[tuple[str, tuple[LegRef, ...]], ...]) -> StructureSettings:
        """The core's, with the hedge sets of ``kill.hedge_sets``."""
        return StructureSettings(
            hedge_sets=tuple(HedgeSet(name=name, legs=legs) for name, legs in hedge_sets),
            weigh_by=self.weigh_by,
            buckets=tuple(one.bucket() for one in self.buckets),
            strategies=tuple(one.strategy() for one in self.strategies),
        )

    def accounts(self) -> set[AccountRef]:
        """Every account that a bucket or strategy names."""
        named = [
            *(one.accounts for one in self.buckets),
            *(one.accounts for one in self.strategies),
        ]
        found = {_account(one) for accounts in named for one in accounts}
        legs = (_position(one) for bucket in self.buckets for one in bucket.positions)
        return found | {(venue, account) for venue, account, _ in legs}


def _account(text: str) -> AccountRef:
    venue, account = text.split("/", 1)
    return venue, account


def _position(text: str) -> LegRef:
    venue, account, market = text.split("/", 2)
    return venue, account, market
