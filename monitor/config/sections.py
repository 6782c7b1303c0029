"""The sections of the file and what they must be together; most are settings of other rooms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from monitor.actions.policy import KillSettings
from monitor.actions.settings import DeskSettings, HyperliquidActionSettings, acting_accounts
from monitor.config.funding import CarrySection, FundingStressSection
from monitor.config.oracles import OraclesSection
from monitor.config.structure import StructureSection
from monitor.config.trades import TradesSection
from monitor.core.errors import ConfigError
from monitor.core.killswitch.policy import DaemonMode, arming_problems
from monitor.core.settings import (
    BASKET,
    EXIT_MINUTES,
    FreshnessSettings,
    LeverageSettings,
    MarginSettings,
)
from monitor.notify.alertmanager import AlertmanagerSettings
from monitor.notify.webhook import WebhookSettings
from monitor.server.settings import OperatorSettings, ServerSettings
from monitor.venues.dydx.settings import DydxSettings
from monitor.venues.hyperliquid.settings import HyperliquidSettings

ALIAS = r"^[a-z0-9][a-z0-9_-]{0,31}$"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VenuesSection(_Section):
    """``venues:`` — which venues to watch; at least one."""

    hyperliquid: HyperliquidSettings | None = None
    dydx: DydxSettings | None = None

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if self.hyperliquid is None and self.dydx is None:
            raise ValueError("name at least one venue: hyperliquid or dydx")
        return self


class RulesSection(_Section):
    """``rules:`` — the built-in rulebook, and the desk's own files that extend or override it."""

    builtin: bool = True
    files: tuple[str, ...] = ()


class NotifySection(_Section):
    """``notify:`` — who is told; without a channel riskd still judges and shows."""

    alertmanager: AlertmanagerSettings | None = None
    webhooks: tuple[WebhookSettings, ...] = ()
    runbook_base_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    dashboard_url: Annotated[str, Field(pattern=r"^https?://")] | None = None


class JournalSection(_Section):
    """``journal:`` — what the core consumed, for replay; bounded on disk."""

    enabled: bool = True
    segment_mb: Annotated[int, Field(ge=1, le=1024)] = 64
    segments: Annotated[int, Field(ge=2, le=1000)] = 8


class FreshnessSection(_Section):
    """``freshness:`` — how old a fact may be before it is unknown, in seconds."""

    majors: tuple[str, ...] = ("BTC", "ETH")
    price_majors_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    price_others_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    oracle_majors_s: Annotated[float, Field(gt=0, le=3600)] = 15.0
    account_s: Annotated[float, Field(gt=0, le=3600)] = 30.0

    def settings(self) -> FreshnessSettings:
        """The core's limits."""
        return FreshnessSettings(
            majors=self.majors,
            top_majors_s=self.price_majors_s,
            mark_majors_s=self.price_majors_s,
            oracle_majors_s=self.oracle_majors_s,
            top_s=self.price_others_s,
            mark_s=self.price_others_s,
            oracle_s=self.price_others_s,
            depth_s=self.price_others_s,
            account_s=self.account_s,
        )


class FundingSection(_Section):
    """``funding:`` — what counts as expensive, as a fraction per year (0.5 is 50 %)."""

    expensive_per_year: Annotated[float, Field(gt=0, le=100)] = 0.5


class LeverageSection(_Section):
    """``leverage:`` — what the caps on leverage are made of; a risk officer signs them."""

    basket: Annotated[tuple[str, ...], Field(min_length=2, max_length=50)] = BASKET
    volatility_target: Annotated[float, Field(gt=0, le=5)] = 0.60
    gross_max: Annotated[float, Field(gt=0, le=100)] = 4.0
    account_gross_max: Annotated[float, Field(gt=0, le=100)] = 6.5
    venue_gross_max: Annotated[float, Field(gt=0, le=100)] = 5.5
    exit_minutes: dict[
        Literal["hyperliquid", "dydx"], Annotated[float, Field(gt=0, le=100_000)]
    ] = Field(default_factory=dict)
    exit_minutes_default: Annotated[float, Field(gt=0, le=100_000)] = EXIT_MINUTES

    def settings(self) -> LeverageSettings:
        """The core's."""
        return LeverageSettings(
            basket=self.basket,
            volatility_target=self.volatility_target,
            gross_max=self.gross_max,
            account_gross_max=self.account_gross_max,
            venue_gross_max=self.venue_gross_max,
            exit_minutes=tuple(self.exit_minutes.items()),
            exit_minutes_default=self.exit_minutes_default,
        )


class MarginSection(_Section):
    """``margin:`` — how fast help can be where margin runs out; rehearse it, then write it down."""

    reach_minutes: dict[
        Literal["hyperliquid", "dydx"], Annotated[float, Field(gt=0, le=100_000)]
    ] = Field(default_factory=dict)
    reach_minutes_default: Annotated[float, Field(gt=0, le=100_000)] = 60.0
    participation_ratio: Annotated[float, Field(gt=0, le=1)] = 0.10
    issuers: dict[
        Annotated[str, Field(min_length=1, max_length=20)],
        Annotated[str, Field(min_length=1, max_length=30)],
    ] = Field(default_factory=dict)

    def settings(self) -> MarginSettings:
        """The core's."""
        return MarginSettings(
            reach_minutes=tuple(self.reach_minutes.items()),
            reach_minutes_default=self.reach_minutes_default,
            participation_ratio=self.participation_ratio,
            issuers=tuple(
                (token.upper(), issuer.lower()) for token, issuer in self.issuers.items()
            ),
        )


class TradingStateSection(_Section):
    """``trading_state:`` — systems of the desk that are told what they may send; others ask."""

    webhooks: tuple[WebhookSettings, ...] = ()


class DeskSection(DeskSettings):
    """One entry of ``actions.desks``: the desk's own system acts where riskd cannot."""

    webhook: WebhookSettings


class ActionsSection(_Section):
    """``actions:`` — the hands of the kill switch; without it riskd can only watch."""

    hyperliquid: HyperliquidActionSettings | None = None
    desks: tuple[DeskSection, ...] = ()


class Config(_Section):
    """The whole file."""

    desk: Annotated[str, Field(pattern=ALIAS)] = "desk"
    mode: Literal["observe", "rehearse", "armed"] = "observe"
    data_dir: str = "./riskd-data"
    venues: VenuesSection
    rules: RulesSection = RulesSection()
    notify: NotifySection = NotifySection()
    server: ServerSettings = ServerSettings()
    journal: JournalSection = JournalSection()
    freshness: FreshnessSection = FreshnessSection()
    funding: FundingSection = FundingSection()
    carry: CarrySection = CarrySection()
    funding_stress: FundingStressSection = FundingStressSection()
    leverage: LeverageSection = LeverageSection()
    margin: MarginSection = MarginSection()
    oracles: OraclesSection = OraclesSection()
    trades: TradesSection = TradesSection()
    structure: StructureSection = StructureSection()
    off_book_legs_file: str | None = None
    news_flags_file: str | None = None
    actions: ActionsSection = ActionsSection()
    kill: KillSettings = KillSettings()
    operators: tuple[OperatorSettings, ...] = ()
    trading_state: TradingStateSection = TradingStateSection()


def arming(config: Config) -> Iterator[str]:
    """Why a configuration may not act in its mode, in sentences; nothing in ``observe``."""
    if config.mode == "observe":
        return
    policy = config.kill.policy(
        DaemonMode(config.mode),
        principals=tuple(one.name for one in config.operators),
        rights=tuple((one.name, one.may) for one in config.operators),
    )
    yield from arming_problems(policy)
    acting, venue = config.actions.hyperliquid, config.venues.hyperliquid
    if acting is None and not config.actions.desks:
        yield (
            f"Mode {config.mode} needs hands: give actions.hyperliquid or actions.desks, or go "
            "back to mode observe."
        )
    if acting is not None and venue is None:
        yield "actions.hyperliquid acts on accounts of venues.hyperliquid, which is not there."
    if acting is not None and venue is not None:
        try:
            acting_accounts(acting, venue)
        except ConfigError as error:
            yield str(error)
    watched = _watched(config)
    for desk in config.actions.desks:
        for alias in desk.accounts:
            if (desk.venue, alias.partition(".")[0]) not in watched:
                yield f"actions.desks names {desk.venue}/{alias}, which riskd does not watch."


def unwatched(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """(field, sentence) for each account that the book is said to be made of and nobody watches:
    what is asked about it would never be known."""
    watched = _watched(config)
    named = {
        ("structure",): config.structure.accounts(),
        ("kill", "hedge_sets"): {
            (venue, account)
            for one in config.kill.hedge_sets
            for venue, account, _ in (leg.split("/", 2) for leg in one.legs)
        },
    }
    for path, accounts in named.items():
        for venue, account in sorted(accounts):
            if (venue, account.partition(".")[0]) not in watched:
                yield path, f"names {venue}/{account}, which riskd does not watch."


def _watched(config: Config) -> set[tuple[str, str]]:
    """(venue, alias) of every configured account."""
    venues = (("hyperliquid", config.venues.hyperliquid), ("dydx", config.venues.dydx))
    return {
        (name, account.alias)
        for name, section in venues
        for account in (section.accounts if section is not None else ())
    }
