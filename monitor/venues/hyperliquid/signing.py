"""How Hyperliquid's ``/exchange`` actions are hashed and signed: bytes in, a signature out.

An action is msgpack in the venue's own key order; nonce, vault and expiry are appended, the whole
is hashed, and an EIP-712 ``Agent`` that holds the hash is signed with secp256k1. Deterministic (RFC
6979), so the same request has the same signature in any process. Source: the venue's signing page,
checked against the official SDK's vectors. *Pure.*
"""

from __future__ import annotations

from typing import NewType

import msgspec
from coincurve import PrivateKey, PublicKey
from Crypto.Hash import keccak

Digest = NewType("Digest", bytes)

MAINNET_SOURCE, TESTNET_SOURCE = "a", "b"
_KEY_BYTES = 32
_V_OFFSET = 27


class Signature(msgspec.Struct, frozen=True, gc=False):
    """As it stands in the request: hexadecimal without leading zeros, which the venue accepts and
    its own SDK sends."""

    r: str
    s: str
    v: int


class SigningKey:
    """A secp256k1 private key that does not show in a repr, an error or a copy of its fields."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        """Raises ``ValueError``, without the secret in its text, where these are no key bytes."""
        if len(secret) != _KEY_BYTES:
            message = f"a private key has {_KEY_BYTES} bytes, not {len(secret)}"
            raise ValueError(message)
        try:
            self._key = PrivateKey(secret)
        except ValueError:
            raise ValueError("these 32 bytes are no private key of secp256k1") from None
        self.address = address_of(self._key.public_key)

    @classmethod
    def from_text(cls, text: str) -> SigningKey:
        """A key written as 64 hexadecimal digits, with or without ``0x``."""
        digits = text.strip().removeprefix("0x")
        try:
            secret = bytes.fromhex(digits)
        except ValueError:
            raise ValueError("a private key is 64 hexadecimal digits, with or without 0x") from None
        return cls(secret)

    def __repr__(self) -> str:
        return "SigningKey(**********)"

    def __reduce__(self) -> str:
        raise TypeError("a signing key is never serialised")

    def sign(self, digest: Digest) -> Signature:
        """Sign a digest that ``agent_digest`` made."""
        raw = self._key.sign_recoverable(digest, hasher=None)
        return Signature(
            r=hex(int.from_bytes(raw[:32], "big")),
            s=hex(int.from_bytes(raw[32:64], "big")),
            v=_V_OFFSET + raw[64],
        )


def keccak256(data: bytes) -> bytes:
    """The hash of Ethereum, 32 bytes (not the SHA-3 of the standard)."""
    return keccak.new(digest_bits=256, data=data).digest()


def address_of(key: PublicKey) -> str:
    """The lower-case address of a public key."""
    return "0x" + keccak256(key.format(compressed=False)[1:])[-20:].hex()


def connection_id(
    packed: bytes, *, nonce: int, vault: str | None = None, expires_after_ms: int | None = None
) -> bytes:
    """The hash that stands for one request, 32 bytes.

    Args:
        packed: The action as msgpack.
        nonce: Milliseconds, as in the request.
        vault: Address acted for, where that is not the signer's own master account.
        expires_after_ms: When the venue must refuse it, where set.
    """
    parts = [packed, nonce.to_bytes(8, "big")]
    parts.append(b"\x00" if vault is None else b"\x01" + bytes.fromhex(vault.removeprefix("0x")))
    if expires_after_ms is not None:
        parts.append(b"\x00" + expires_after_ms.to_bytes(8, "big"))
    return keccak256(b"".join(parts))


def agent_digest(connection: bytes, *, mainnet: bool) -> Digest:
    """What is signed. A signature for the testnet is worthless on mainnet, and the other way."""
    source = keccak256((MAINNET_SOURCE if mainnet else TESTNET_SOURCE).encode())
    message = keccak256(_AGENT_TYPE + source + connection)
    return Digest(keccak256(b"\x19\x01" + _DOMAIN + message))


def recover_address(digest: Digest, signature: Signature) -> str:
    """Who signed: for tests of our own requests, and to see a key's address in a report."""
    raw = int(signature.r, 16).to_bytes(32, "big") + int(signature.s, 16).to_bytes(32, "big")
    recovered = PublicKey.from_signature_and_message(
        raw + bytes([signature.v - _V_OFFSET]), digest, hasher=None
    )
    return address_of(recovered)


_AGENT_TYPE = keccak256(b"Agent(string source,bytes32 connectionId)")
_DOMAIN = keccak256(
    keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    + keccak256(b"Exchange")
    + keccak256(b"1")
    + (1337).to_bytes(32, "big")
    + bytes(32)
)
