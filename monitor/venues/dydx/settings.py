"""What a person writes about dYdX: network, accounts by address, markets to watch, periods.

Everything on dYdX is public by address, so nothing here is secret. Addresses are verified by their
own checksum, because a mistyped address reads as an account that is empty and safe. *Pure.*
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

VENUE = "dydx"
MAJORS = ("BTC-USD", "ETH-USD", "SOL-USD")
PARENTS = 128  # parent subaccounts are 0..127; child numbers are parent + k * 128

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def check_address(address: str) -> str:
    """The address itself, if it is a dYdX account in bech32 with a right checksum.

    Raises:
        ValueError: In words for the person who typed it: wrong prefix, wrong character, wrong
            length, or a checksum that does not fit.
    Source: BIP-173; accounts carry 20 bytes, module accounts 32.
    """
    if not address.startswith("dydx1"):
        raise ValueError(
            "A dYdX address starts with dydx1. An 0x address belongs to the wallet that signs in;"
            " the dydx1 address stands in the menu of the dYdX front end."
        )
    data = address.removeprefix("dydx1")
    wrong = next((character for character in data if character not in _CHARSET), None)
    if wrong is not None:
        raise ValueError(f"The character {wrong!r} does not occur in a dYdX address.")
    if len(data) not in {38, 58}:
        raise ValueError(
            f"A dYdX address has 43 characters (63 for a module), this one {len(address)}."
        )
    values = [_CHARSET.index(character) for character in data]
    prefix = [ord(character) >> 5 for character in "dydx"]
    suffix = [ord(character) & 31 for character in "dydx"]
    if _polymod([*prefix, 0, *suffix, *values]) != 1:
        raise ValueError("The checksum of the address does not fit: a character is mistyped.")
    return address


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            checksum ^= generator if (top >> bit) & 1 else 0
    return checksum


def _check_url(url: str, schemes: tuple[str, ...]) -> str:
    if not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise ValueError(f"The URL must start with {' or '.join(f'{s}://' for s in schemes)}.")
    return url.rstrip("/")


class DydxAccount(BaseModel):
    """One address to watch, under a name of the desk's choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alias: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$", max_length=40)]
    address: str
    parents: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        return check_address(value)

    @field_validator("parents")
    @classmethod
    def _parents(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        wrong = [number for number in value if not 0 <= number < PARENTS]
        if wrong:
            raise ValueError(
                f"Parent subaccounts are 0 to {PARENTS - 1}, found"
                f" {' and '.join(str(number) for number in wrong)}; children (parent + k * 128)"
                " are found by themselves."
            )
        if len(set(value)) != len(value):
            raise ValueError("A parent subaccount is listed twice.")
        return value


class DydxPeriods(BaseModel):
    """How often each REST fact is re-read, seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_s: Annotated[float, Field(ge=1)] = 10.0
    orders_s: Annotated[float, Field(ge=1)] = 10.0
    fills_s: Annotated[float, Field(ge=1)] = 30.0
    transfers_s: Annotated[float, Field(ge=1)] = 60.0
    funding_payments_s: Annotated[float, Field(ge=1)] = 60.0
    funding_s: Annotated[float, Field(ge=1)] = 10.0
    baselines_s: Annotated[float, Field(ge=60)] = 900.0
    height_s: Annotated[float, Field(ge=1)] = 5.0
    time_s: Annotated[float, Field(ge=1)] = 60.0
    markets_s: Annotated[float, Field(ge=5)] = 300.0
    # What is older than two minutes is no word on how the venue is now.
    compliance_s: Annotated[float, Field(ge=10, le=100)] = 60.0


class DydxSettings(BaseModel):
    """The ``dydx`` section of the configuration.

    ``rest_url`` and ``ws_url`` replace the network's public indexer (own indexer, simulator);
    ``validator_urls`` are CometBFT RPC endpoints whose heights tell a halted chain from a lagging
    indexer. ``markets`` are watched with their order books besides every market that is held.
    ``baselines``: read a month of funding and half a year of prices of the leading markets, which
    stress and volatility are judged against.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Literal["mainnet", "testnet"] = "mainnet"
    rest_url: str | None = None
    ws_url: str | None = None
    validator_urls: tuple[str, ...] = ()
    markets: tuple[str, ...] = MAJORS
    baselines: bool = True
    accounts: tuple[DydxAccount, ...] = ()
    periods: DydxPeriods = DydxPeriods()

    @field_validator("rest_url")
    @classmethod
    def _rest_url(cls, value: str | None) -> str | None:
        return value if value is None else _check_url(value, ("http", "https"))

    @field_validator("ws_url")
    @classmethod
    def _ws_url(cls, value: str | None) -> str | None:
        return value if value is None else _check_url(value, ("ws", "wss"))

    @field_validator("validator_urls")
    @classmethod
    def _validator_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_check_url(url, ("http", "https")) for url in value)

    @model_validator(mode="after")
    def _distinct(self) -> DydxSettings:
        aliases = [account.alias for account in self.accounts]
        for alias in aliases:
            if aliases.count(alias) > 1:
                raise ValueError(f"The account alias {alias!r} is used twice.")
        parents = [(a.address, parent) for a in self.accounts for parent in a.parents]
        if len(set(parents)) != len(parents):
            raise ValueError("The same address and parent subaccount is configured twice.")
        return self
