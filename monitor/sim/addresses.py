"""The simulated desk's addresses: fixed, recognizable as invented, valid by each venue's rules."""

from __future__ import annotations

from collections.abc import Iterable

HYPERLIQUID_MASTER = "0x51a0000000000000000000000000000000000001"
HYPERLIQUID_SUBACCOUNT = "0x51a0000000000000000000000000000000000002"
HYPERLIQUID_AGENT = "0x51a0000000000000000000000000000000000003"
HYPERLIQUID_UNIFIED = "0x51a0000000000000000000000000000000000004"
HYPERLIQUID_VAULT = "0x51a0000000000000000000000000000000000005"
# The API wallet whose key everybody knows: the one of the venue's published signing examples. It
# is good for the simulated venue only.
HYPERLIQUID_SIGNER = "0x14791697260e4c9a71f18484c9f997b308e59325"
HYPERLIQUID_SIGNER_KEY = "0x" + "0123456789" * 6 + "0123"

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def bech32_address(prefix: str, data: bytes) -> str:
    """``data`` as a bech32 address (BIP-173 checksum), the form of all Cosmos addresses."""
    words = _regroup(data)
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    checksum = _polymod([*expanded, *words, 0, 0, 0, 0, 0, 0]) ^ 1
    words += [(checksum >> 5 * (5 - i)) & 31 for i in range(6)]
    return f"{prefix}1" + "".join(_CHARSET[word] for word in words)


def _polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate(_GENERATOR):
            check ^= generator if (top >> i) & 1 else 0
    return check


def _regroup(data: bytes) -> list[int]:
    """Bytes as five-bit words, padded with zero bits."""
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    return [int(bits[i : i + 5], 2) for i in range(0, len(bits), 5)]


DYDX_MASTER = bech32_address("dydx", bytes.fromhex(HYPERLIQUID_MASTER[2:]))
