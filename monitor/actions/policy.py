"""``kill:`` of the configuration: what the desk allows, and the way back. *Pure.*"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from monitor.core.decision import RuleMode
from monitor.core.killswitch.policy import (
    DaemonMode,
    HedgeSets,
    KillPolicy,
    ModeOverride,
    RearmPolicy,
)
from monitor.core.rights import Rights

Ratio = Annotated[float, Field(gt=0, le=100)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
ACCOUNT_OF_MARKET = r"^[a-z0-9_-]+/[a-z0-9_.-]+/\S+$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RuleModeSettings(_Strict):
    """One entry of ``kill.rules``: what one rule may do by itself, everywhere or over one scope.
    A rule that is not listed does what the rulebook says, which is observe for a new one."""

    rule: str
    mode: RuleMode
    scope: str = ""


class HedgeSetSettings(_Strict):
    """One entry of ``kill.hedge_sets``: legs that stay paired, as venue/account/market."""

    name: str
    legs: Annotated[
        tuple[Annotated[str, Field(pattern=ACCOUNT_OF_MARKET)], ...], Field(min_length=2)
    ]


class KillSettings(_Strict):
    """``kill:`` — read in mode ``rehearse`` and ``armed``; the defaults suit a careful desk."""

    unseen: str = Field(
        default="",
        description="What riskd cannot see (accounts, venues, off-book positions), in your words.",
    )
    second_principal: bool = Field(
        default=False, description="Another person than who asked must confirm a re-arm."
    )
    rules: tuple[RuleModeSettings, ...] = ()
    hedge_sets: tuple[HedgeSetSettings, ...] = ()
    max_cost_bps: Annotated[float, Field(gt=0, le=1000)] = 50.0
    slices: Annotated[int, Field(ge=1, le=100)] = 4
    turnover_usd_per_hour: Annotated[float, Field(gt=0)] | None = None
    turnover_ratio_per_hour: Ratio | None = 1.25
    cool_down_s: Seconds = 600.0
    hold_release_s: Seconds = 300.0
    proposal_ttl_s: Annotated[float, Field(ge=30, le=86_400)] = 900.0
    small_account_share: Annotated[float, Field(ge=0, le=1)] = 0.10
    regrowth_tolerance: Annotated[float, Field(ge=0, le=1)] = 0.02
    halt_cancels_protective: bool = False
    restart_lease_s: Annotated[int, Field(ge=0, le=600)] = Field(
        default=120,
        description="After a planned stop the desk may go on for so long; needs lease_secret_*.",
    )
    lease_secret_env: str | None = None
    lease_secret_file: str | None = None
    second_copy_dir: str | None = Field(
        default=None, description="Where latches are kept once more; better on another disk."
    )
    audit_key_env: str | None = None
    audit_key_file: str | None = Field(
        default=None,
        description="Signs each audit record and its anchor (HMAC); keep a copy off this machine.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.lease_secret_env and self.lease_secret_file:
            raise ValueError("give lease_secret_env or lease_secret_file, not both")
        if self.audit_key_env and self.audit_key_file:
            raise ValueError("give audit_key_env or audit_key_file, not both")
        return self

    def named_hedge_sets(self) -> HedgeSets:
        """Sets that stay paired, each with its legs as (venue, account, market)."""
        return tuple((one.name, tuple(_leg(leg) for leg in one.legs)) for one in self.hedge_sets)

    def policy(
        self, mode: DaemonMode, *, principals: tuple[str, ...], rights: Rights = ()
    ) -> KillPolicy:
        """What the machine runs on; ``principals`` may command by signed HTTP, as far as their
        ``rights`` go."""
        return KillPolicy(
            mode=mode,
            overrides=tuple(
                ModeOverride(rule=one.rule, mode=one.mode, scope=one.scope) for one in self.rules
            ),
            unseen=self.unseen,
            rearm=RearmPolicy(
                principals=principals,
                rights=rights,
                second_principal_required=self.second_principal,
            ),
            hedge_sets=self.named_hedge_sets(),
            max_cost_bps=self.max_cost_bps,
            slices=self.slices,
            turnover_usd_per_hour=self.turnover_usd_per_hour,
            turnover_ratio_per_hour=self.turnover_ratio_per_hour,
            cool_down_s=self.cool_down_s,
            hold_release_s=self.hold_release_s,
            proposal_ttl_s=self.proposal_ttl_s,
            small_account_share_ratio=self.small_account_share,
            regrowth_tolerance_ratio=self.regrowth_tolerance,
            halt_cancels_protective=self.halt_cancels_protective,
        )


def _leg(text: str) -> tuple[str, str, str]:
    venue, account, market = text.split("/", 2)
    return venue, account, market
