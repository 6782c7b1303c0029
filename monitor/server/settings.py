"""Where the HTTP server binds and who may read it. *Pure.*"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from monitor.core.rights import ALL_RIGHTS, HOST, Right

READ_TOKEN_CHARACTERS_MIN = 16


class ServerSettings(BaseModel):
    """``server:`` of the configuration.

    Anything wider than loopback shows the book to others on the network, so it needs a read token.
    The token itself stands in a file or an environment variable, never in the configuration.

    ``names`` are those under which a proxy on this machine asks for riskd, besides the machine's
    own: without a read token it answers to no other, for whatever name a web page makes a browser
    ask for may lead here too (DNS rebinding).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9470
    read_token_file: str | None = None
    read_token_env: str | None = None
    names: tuple[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")], ...
    ] = ()

    @property
    def loopback(self) -> bool:
        """True when only programs on this machine can connect."""
        return _is_loopback(self.host)

    def is_asked_as(self, authority: str) -> bool:
        """Whether the ``Host`` of a request is riskd's: a name or address of this machine alone,
        the one it is bound to, or one of ``names``; the port says nothing."""
        try:
            host = urlsplit(f"//{authority}").hostname or ""
        except ValueError:
            return False
        host = host.rstrip(".")
        known = {one.lower() for one in (self.host, *self.names)}
        return host in known or _is_loopback(host)

    @property
    def everywhere(self) -> bool:
        """True when it listens on every address of the machine (``0.0.0.0``, ``::``), which is none
        that anybody else could open."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False

    @model_validator(mode="after")
    def _wide_needs_token(self) -> Self:
        if self.read_token_file and self.read_token_env:
            raise ValueError("give read_token_file or read_token_env, not both")
        if not self.loopback and not (self.read_token_file or self.read_token_env):
            raise ValueError(
                f"host {self.host} is reachable from the network and the state shows your book; "
                "set read_token_file (or read_token_env), or bind 127.0.0.1"
            )
        return self


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_token(text: str, *, origin: str) -> SecretStr:
    """The read token, or a ValueError naming where it came from and what is wrong with it."""
    token = text.strip()
    if len(token) < READ_TOKEN_CHARACTERS_MIN:
        raise ValueError(
            f"the read token in {origin} has {len(token)} characters; "
            f"use at least {READ_TOKEN_CHARACTERS_MIN} random ones"
        )
    return SecretStr(token)


class OperatorSettings(BaseModel):
    """One entry of ``operators:`` — who may command by signed HTTP, and where their key is.

    The key is a ``whsec_`` secret as Standard Webhooks wants it: in a file beside the configuration
    or in an environment variable; a previous one may stay valid during a rotation. ``may`` is what
    they may use; what only shows is open to all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,31}$")]
    secret_file: str | None = None
    secret_env: str | None = None
    previous_secret_file: str | None = None
    previous_secret_env: str | None = None
    may: Annotated[tuple[Right, ...], Field(min_length=1)] = ALL_RIGHTS

    @field_validator("name")
    @classmethod
    def _not_the_host(cls, value: str) -> str:
        if value == HOST:
            raise ValueError(f"{HOST} is what riskd calls everybody on this machine")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.secret_file is None) == (self.secret_env is None):
            raise ValueError("give either secret_file or secret_env")
        if self.previous_secret_file and self.previous_secret_env:
            raise ValueError("give previous_secret_file or previous_secret_env, not both")
        return self
