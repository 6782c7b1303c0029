"""What a person writes in the configuration to watch Hyperliquid: addresses, no credentials.

*Pure.*
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

VENUE = "hyperliquid"
CONNECTIONS_MAX = 10  # per IP; older documents say 100, the stricter figure holds everywhere
USERS_MAX = 10  # distinct users over all user channels, per IP

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_ALIAS = re.compile(r"[a-z0-9_-]+")

REST_URLS = {
    "mainnet": "https://api.hyperliquid.xyz",
    "testnet": "https://api.hyperliquid-testnet.xyz",
}
WS_URLS = {
    "mainnet": "wss://api.hyperliquid.xyz/ws",
    "testnet": "wss://api.hyperliquid-testnet.xyz/ws",
}

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HyperliquidAccount(_Strict):
    """One address to watch, under a name of your own."""

    alias: str = Field(description="Your short name for it: small letters, digits, - and _.")
    address: str = Field(
        description="Master, sub-account or vault address: 0x and 40 hex digits. Never the API "
        "wallet: its own account is empty and would read as flat.",
    )

    @field_validator("alias")
    @classmethod
    def _alias_is_a_name(cls, value: str) -> str:
        if not _ALIAS.fullmatch(value):
            raise ValueError("an alias consists of small letters, digits, - and _ (e.g. main)")
        return value

    @field_validator("address")
    @classmethod
    def _address_is_hexadecimal(cls, value: str) -> str:
        if not _ADDRESS.fullmatch(value):
            raise ValueError("an address is 0x followed by exactly 40 hexadecimal digits")
        return value.lower()


class PollPeriods(_Strict):
    """How often each fact is re-read over REST, seconds. The IP budget is 1200 weight a minute."""

    positions_s: Seconds = 10.0  # weight 2 per dex: the truth that streams are checked against
    balances_s: Seconds = 30.0  # weight 2
    balances_pooled_s: Seconds = 10.0  # where the balances are the collateral itself
    orders_s: Seconds = 60.0  # weight 20 per dex; the stream tells changes
    twaps_s: Seconds = 60.0  # weight 20 and rows; no other list has them
    fills_s: Seconds = 120.0  # weight 20 and rows
    funding_payments_s: Seconds = 600.0
    ledger_s: Seconds = 120.0
    request_budget_s: Seconds = 60.0
    account_mode_s: Seconds = 600.0
    exchange_status_s: Seconds = 5.0  # weight 2
    markets_s: Seconds = 600.0  # weight 20 per dex
    funding_history_s: Seconds = 3600.0  # weight 20 per market; also just after each hour
    baselines_s: Seconds = 900.0  # weight 20 per leading market; 170 the first time


class HyperliquidSettings(_Strict):
    """The ``hyperliquid`` section."""

    network: Literal["mainnet", "testnet"] = "mainnet"
    rest_url: str | None = Field(default=None, description="Override, e.g. a simulator's URL.")
    ws_url: str | None = Field(default=None, description="Override, e.g. a simulator's URL.")
    accounts: tuple[HyperliquidAccount, ...] = ()
    dexes: Literal["auto"] | tuple[str, ...] = Field(
        default="auto",
        description="Builder (HIP-3) dexes whose markets to follow besides the first. Dexes where "
        "an account holds anything are always followed.",
    )
    markets: Literal["held", "majors"] | tuple[str, ...] = Field(
        default="majors",
        description="Markets to watch closely (1 Hz context, best prices, book) besides the held.",
    )
    majors: tuple[str, ...] = ("BTC", "ETH", "SOL", "HYPE")
    watch_subaccounts: bool = Field(
        default=True,
        description="Watch the sub-accounts found at start, one connection each.",
    )
    depth_band_ratio: Annotated[float, Field(gt=0, lt=0.2)] = 0.0025
    books: bool = Field(default=True, description="Subscribe to order books for depth.")
    baselines: bool = Field(
        default=True,
        description="Read a month of funding and half a year of prices of the leading markets, "
        "which stress and volatility are judged against.",
    )
    polls: PollPeriods = PollPeriods()

    @field_validator("rest_url")
    @classmethod
    def _rest_is_http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("rest_url begins with http:// or https://")
        return None if value is None else value.rstrip("/")

    @field_validator("ws_url")
    @classmethod
    def _ws_is_websocket(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("ws://", "wss://")):
            raise ValueError("ws_url begins with ws:// or wss://")
        return value

    @model_validator(mode="after")
    def _accounts_fit(self) -> HyperliquidSettings:
        aliases = [account.alias for account in self.accounts]
        addresses = [account.address for account in self.accounts]
        for name, values in (("alias", aliases), ("address", addresses)):
            double = sorted({value for value in values if values.count(value) > 1})
            if double:
                raise ValueError(f"the same {name} is configured twice: {', '.join(double)}")
        most = CONNECTIONS_MAX - 1
        if len(self.accounts) > most:
            raise ValueError(
                f"{len(self.accounts)} accounts need as many connections besides the market "
                f"data's, because user events carry no address; the venue allows "
                f"{CONNECTIONS_MAX} per IP address. Watch at most {most} here and the rest from "
                "a second process behind another IP address",
            )
        return self

    @property
    def info_url(self) -> str:
        """Where ``/info`` requests go."""
        return f"{self.rest_url or REST_URLS[self.network]}/info"

    @property
    def socket_url(self) -> str:
        """Where sockets are opened."""
        return self.ws_url or WS_URLS[self.network]
