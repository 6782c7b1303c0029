"""Which hosts a webhook may reach: public ones, and what the operator listed.

The address is judged where it is resolved, and the connection goes to that very address, so a name
that answers differently the second time gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class TargetRefused(OSError):  # noqa: N818 - aiohttp carries OSErrors of resolvers to the caller
    """The host resolves to an address that a webhook may not reach."""


class TargetPolicy:
    """Judges addresses: public, loopback where allowed, or in a listed network."""

    def __init__(
        self, *, allow_loopback: bool = False, allow_networks: Sequence[Network] = ()
    ) -> None:
        self._allow_loopback = allow_loopback
        self._allow_networks = tuple(allow_networks)

    def allows(self, address: Address) -> bool:
        """True when a webhook may connect to this address."""
        inner = embedded_ipv4(address)
        if any(one in network for one in (address, inner) if one for network in self._listed(one)):
            return True
        return all(
            one.is_global and not one.is_multicast for one in (address, inner) if one is not None
        )

    def check_host(self, host: str) -> None:
        """Refuse an address literal that is not allowed; names are judged when they resolve.

        Raises:
            TargetRefused: If ``host`` is an address that may not be reached.
        """
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return
        if not self.allows(address):
            raise TargetRefused(f"{host} is a private or reserved address")

    def _listed(self, address: Address) -> list[Network]:
        found = [one for one in self._allow_networks if one.version == address.version]
        if self._allow_loopback and address.is_loopback:
            found.append(ipaddress.ip_network(address))
        return found


class GuardedResolver(AbstractResolver):
    """Resolves names and drops every address that the policy refuses."""

    def __init__(self, policy: TargetPolicy, inner: AbstractResolver | None = None) -> None:
        self._policy = policy
        self._inner = inner or DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The allowed addresses of ``host``.

        Raises:
            TargetRefused: If the host resolves, but to no allowed address.
        """
        found = await self._inner.resolve(host, port, family)
        allowed = [
            one for one in found if self._policy.allows(ipaddress.ip_address(_unscoped(one)))
        ]
        if found and not allowed:
            raise TargetRefused(f"{host} resolves to a private or reserved address")
        return allowed

    async def close(self) -> None:
        """Release the inner resolver."""
        await self._inner.close()


def guarded_session(policy: TargetPolicy) -> aiohttp.ClientSession:
    """An HTTP client that reaches allowed targets only; never through a proxy of the environment,
    which would resolve names in our place."""
    connector = aiohttp.TCPConnector(resolver=GuardedResolver(policy), limit=16, ttl_dns_cache=60)
    return aiohttp.ClientSession(
        connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    )


def embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64); None for others."""
    if address.version == 4:
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _unscoped(result: ResolveResult) -> str:
    return result["host"].partition("%")[0]
