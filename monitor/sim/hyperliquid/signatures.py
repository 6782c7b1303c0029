"""Who signed an action: the venue's side of Hyperliquid's signing, by a codec of its own.

The venue packs the action it understood (msgpack, in its own order of keys), hashes it together
with nonce, vault address and expiry, and recovers the signer of the EIP-712 message that names the
hash. A client that packs anything else is taken for somebody nobody knows. Shares nothing with the
project's own signing.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import coincurve
from Crypto.Hash import keccak

Packed = None | bool | int | str | Sequence["Packed"] | Mapping[str, "Packed"]

# The EIP-712 ``source`` of the two networks; a signature is good on one of them only.
MAINNET, TESTNET = "a", "b"
CHAIN_ID = 1337
_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class UnrecoverableError(Exception):
    """The signature is no signature of anybody."""


def hash_of(data: bytes) -> bytes:
    """Keccak-256, as Ethereum knows it."""
    return keccak.new(digest_bits=256, data=data).digest()


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


_DOMAIN = hash_of(
    hash_of(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    + hash_of(b"Exchange")
    + hash_of(b"1")
    + _word(CHAIN_ID)
    + _word(0)
)
_AGENT = hash_of(b"Agent(string source,bytes32 connectionId)")


def pack(value: Packed) -> bytes:
    """``value`` in msgpack, every number and length in its shortest form.

    Raises:
        TypeError: For what an action cannot hold.
    """
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _pack_int(value)
    if isinstance(value, str):
        raw = value.encode()
        return _head(len(raw), fixed=(0xA0, 32), sizes=(0xD9, 0xDA, 0xDB)) + raw
    if isinstance(value, Mapping):
        parts = [pack(key) + pack(item) for key, item in value.items()]
        return _head(len(parts), fixed=(0x80, 16), sizes=(None, 0xDE, 0xDF)) + b"".join(parts)
    if isinstance(value, Sequence):
        items = [pack(item) for item in value]
        return _head(len(items), fixed=(0x90, 16), sizes=(None, 0xDC, 0xDD)) + b"".join(items)
    raise TypeError(f"an action cannot hold a {type(value).__name__}")


def _pack_int(value: int) -> bytes:
    if -0x20 <= value < 0x80:
        return struct.pack(">b", value) if value < 0 else bytes([value])
    forms = ((0xD0, ">b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q"))
    if value > 0:
        forms = ((0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q"))
    for code, form in forms:
        bits = 8 * struct.calcsize(form) - (value < 0)
        if -(1 << bits) <= value < 1 << bits:
            return bytes([code]) + struct.pack(form, value)
    raise TypeError(f"the number has more than 64 bits: {value}")


def _head(
    length: int, *, fixed: tuple[int, int], sizes: tuple[int | None, int | None, int | None]
) -> bytes:
    base, below = fixed
    if length < below:
        return bytes([base + length])
    for code, form in zip(sizes, (">B", ">H", ">I"), strict=True):
        if code is not None and length < 1 << 8 * struct.calcsize(form):
            return bytes([code]) + struct.pack(form, length)
    raise TypeError(f"{length} items are too many")


def connection_id(
    action: Packed, nonce: int, vault: str | None, expires_after: int | None
) -> bytes:
    """The hash that stands for an action and what it is bound to; ``vault`` is a hex address."""
    data = pack(action) + nonce.to_bytes(8, "big")
    data += b"\x00" if vault is None else b"\x01" + bytes.fromhex(vault[2:])
    if expires_after is not None:
        data += b"\x00" + expires_after.to_bytes(8, "big")
    return hash_of(data)


def digest(connection: bytes, source: str) -> bytes:
    """What is signed: the EIP-712 message of the phantom agent."""
    message = hash_of(_AGENT + hash_of(source.encode()) + connection)
    return hash_of(b"\x19\x01" + _DOMAIN + message)


def recover(message: bytes, r: int, s: int, v: int) -> str:
    """The address whose key signed ``message``, in lower case.

    Raises:
        UnrecoverableError: If no key makes this signature.
    """
    if v not in {27, 28} or not 0 < r < _CURVE_ORDER or not 0 < s < _CURVE_ORDER:
        raise UnrecoverableError
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            _word(r) + _word(s) + bytes([v - 27]), message, hasher=None
        )
    except ValueError as error:
        raise UnrecoverableError from error
    return address_of(key)


def address_of(key: coincurve.PublicKey) -> str:
    """The address of a public key, in lower case."""
    return "0x" + hash_of(key.format(compressed=False)[1:])[-20:].hex()
