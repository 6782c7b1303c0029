"""What a person writes to let riskd act: accounts, limits and where the key is. Never the key.

The ``actions`` section. Without it, and in mode observe, nothing can be sent.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from monitor.core.errors import ConfigError
from monitor.venues.hyperliquid.settings import REST_URLS, HyperliquidSettings
from monitor.venues.hyperliquid.signing import SigningKey

Mode = Literal["observe", "rehearse", "armed"]
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_KEY_BYTES_MAX = 256  # a key is 66 characters; more is another file

Seconds = Annotated[float, Field(gt=0, le=600)]
Bps = Annotated[float, Field(gt=0, le=1000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class KeySource(_Strict):
    """Where the signer's private key is read from: exactly one of ``env`` and ``file``."""

    env: str | None = Field(default=None, description="Name of an environment variable.")
    file: Path | None = Field(
        default=None, description="A file of mode 0600 or 0400 that belongs to the signer's user."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("give either env or file")
        return self

    def read(self, environment: Mapping[str, str], *, base: Path) -> SigningKey:
        """The key. A file of a relative name is beside the configuration, in ``base``.

        Raises:
            ConfigError: If it is missing, open to others, or no key. What it holds is not shown.
        """
        if self.env is not None:
            text = environment.get(self.env, "")
            where = f"the environment variable {self.env}"
        else:
            path = base / (self.file or Path())
            text = _read_private(path)
            where = f"the file {path}"
        if not text.strip():
            raise ConfigError(f"The signer's key is missing: put it into {where}.")
        try:
            return SigningKey.from_text(text)
        except ValueError as error:
            raise ConfigError(f"The signer's key in {where} is unusable: {error}.") from None


def _read_private(path: Path) -> str:
    """The text of a file that nobody else can read; judged on the open file, not on its name."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(
            f"The signer's key file {path} cannot be read: {error.strerror}."
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"The signer's key file {path} is no regular file.")
        if status.st_mode & 0o077 or status.st_uid != os.geteuid():
            raise ConfigError(
                f"The signer's key file {path} can be read by others (mode "
                f"{status.st_mode & 0o777:04o}) or belongs to another user. Make it the signer's "
                f"own: chmod 600 {path}"
            )
        return os.read(descriptor, _KEY_BYTES_MAX).decode("ascii", "replace")
    finally:
        os.close(descriptor)


class SignerSettings(_Strict):
    """``actions.hyperliquid.signer``: what the signer process holds and will sign."""

    key: KeySource
    wallet: str | None = Field(
        default=None,
        description="Address of the API wallet the key should belong to; another key is refused.",
    )
    notional_usd_per_hour: Annotated[Decimal, Field(gt=0, le=Decimal(10) ** 12)] = Field(
        description="Most that reduce-only orders may be worth in any 3,600 s, filled or not. Each "
        "attempt counts, so it should be several times the largest cut.",
    )
    bound_bps: Bps = Field(
        default=150.0,
        description="How far a limit may lie on the losing side of its reference price.",
    )
    bounds_bps_by_asset: dict[Annotated[int, Field(ge=0)], Bps] = Field(
        default={},
        description="Other bounds by the venue's asset number (0 is BTC and 1 is ETH on mainnet).",
    )
    expiry_s_max: Seconds = Field(
        default=120.0, description="An order that could be used for longer is not signed."
    )

    @field_validator("wallet")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not _ADDRESS.fullmatch(value):
            raise ValueError("an address is 0x followed by exactly 40 hexadecimal digits")
        return None if value is None else value.lower()


class ActingAccountSettings(_Strict):
    """One account that riskd may act for: an alias of ``venues.hyperliquid.accounts``."""

    alias: str
    acts_as: Literal["master", "sub"] = Field(
        default="master",
        description="master: the account that approved the API wallet. sub: a sub-account or vault "
        "of it, which the venue must be told in each request.",
    )


class HyperliquidActionSettings(_Strict):
    """``actions.hyperliquid``: cancelling and reducing by signed HTTP."""

    accounts: Annotated[tuple[ActingAccountSettings, ...], Field(min_length=1)]
    signer: SignerSettings
    fast_cancels: bool = Field(
        default=True, description="Ask for cancels to be taken first from the mempool."
    )
    request_timeout_s: Seconds = 4.0
    command_deadline_s: Seconds = Field(
        default=20.0, description="After so long a command ends, whatever the venue does."
    )
    expiry_s: Seconds = Field(
        default=30.0, description="The venue refuses an order of ours that arrives later than this."
    )
    cancels_per_request: Annotated[int, Field(ge=1, le=400)] = 100
    orders_per_request: Annotated[int, Field(ge=1, le=100)] = 20
    idle_dex_look_s: Annotated[float, Field(ge=0, le=600)] = Field(
        default=60.0,
        description="How often the orders of a dex that holds nothing are listed; a list weighs "
        "20 of the 1200 a minute. 0 lists them at every look.",
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        aliases = [account.alias for account in self.accounts]
        double = sorted({alias for alias in aliases if aliases.count(alias) > 1})
        if double:
            raise ValueError(f"the same alias is configured twice: {', '.join(double)}")
        if self.expiry_s > self.signer.expiry_s_max:
            raise ValueError("expiry_s is longer than the signer's expiry_s_max allows")
        return self


class DeskSettings(_Strict):
    """One entry of ``actions.desks``: the desk's own system acts for these accounts. Where it is
    and the secret it is signed with stand in the ``webhook`` that is configured beside."""

    venue: str
    accounts: Annotated[tuple[str, ...], Field(min_length=1)]
    command_deadline_s: Seconds = 20.0
    repeat_s: Seconds = Field(
        default=1.0, description="How soon to ask again while the desk says that it works on it."
    )


class ActingAccount(msgspec.Struct, frozen=True):
    """One account resolved: whose it is, and what requests name as ``vaultAddress``."""

    alias: str
    address: str
    vault: str | None = None


def acting_accounts(
    settings: HyperliquidActionSettings, venue: HyperliquidSettings
) -> tuple[ActingAccount, ...]:
    """The accounts riskd may act for, with their addresses.

    Raises:
        ConfigError: For an alias that the venue's section does not have.
    """
    addresses = {account.alias: account.address for account in venue.accounts}
    unknown = [one.alias for one in settings.accounts if one.alias not in addresses]
    if unknown:
        raise ConfigError(
            f"actions.hyperliquid.accounts names {', '.join(unknown)}, which is no alias of "
            f"venues.hyperliquid.accounts ({', '.join(addresses) or 'none there'})."
        )
    return tuple(
        ActingAccount(
            one.alias,
            addresses[one.alias],
            addresses[one.alias] if one.acts_as == "sub" else None,
        )
        for one in settings.accounts
    )


def signs_for_mainnet(mode: Mode, venue: HyperliquidSettings) -> bool:
    """Which network's signatures are made. A rehearsal's are worthless on mainnet, whoever gets
    hold of them."""
    return mode == "armed" and venue.network == "mainnet"


def exchange_url(mode: Mode, venue: HyperliquidSettings) -> str:
    """Where actions go.

    Raises:
        ConfigError: In observe, where nothing may be sent; and in rehearse for every address but
            this machine's and the venue's testnet.
    """
    if mode == "observe":
        raise ConfigError("In mode observe nothing is sent, so there is no executor and no signer.")
    base = venue.rest_url or REST_URLS[venue.network]
    if mode == "rehearse" and base != REST_URLS["testnet"] and not _is_loopback(base):
        raise ConfigError(
            f"In mode rehearse actions go to this machine or to the testnet only, not to {base}. "
            "Set venues.hyperliquid.network to testnet, or rest_url to a simulator's address."
        )
    return f"{base}/exchange"


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
