"""The signer: a process of its own that holds the key and signs what makes a book smaller.

It signs cancels, the end of a TWAP, ``noop``, and reduce-only orders that execute at once within a
bound of their reference and under an hourly cap; for its own accounts alone. It writes each action
itself from a structured request. Everything else is refused with a reason and counted. Whoever
takes over the daemon can thus shrink the book, up to the cap and near the references that it
states itself, and nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import structlog

from monitor.actions.cap import HourlyCap
from monitor.actions.messages import (
    LINE_BYTES_MAX,
    Counters,
    FromSigner,
    RefusedFor,
    SignAnswer,
    Signed,
    SignRefused,
    SignRequest,
    ToSigner,
)
from monitor.actions.nonces import KEPT_MS, MS_NS, NonceCounter, Writer, write_private
from monitor.actions.settings import ActingAccount, SignerSettings
from monitor.core.errors import ConfigError
from monitor.core.ports import Clock
from monitor.runtime.unix_path import reachable
from monitor.venues.hyperliquid.actions import Noop, Reduce, ReduceLine, digest_of, wire_of
from monitor.venues.hyperliquid.knowledge import shorten
from monitor.venues.hyperliquid.signing import SigningKey

SOCKET_NAME = "signer.sock"
STATE_NAME = "signer-state.json"
CLIENTS_MAX = 32
IDLE_S = 60.0
CLOSE_S = 1.0
BPS = Decimal(10_000)

_DECODER: msgspec.json.Decoder[ToSigner] = msgspec.json.Decoder(ToSigner)
_ENCODER = msgspec.json.Encoder()


class Kept(msgspec.Struct):
    """What the signer must not forget: nonces below ``nonce_ceiling`` may have been used; the
    hour's reductions as (ms, USD)."""

    nonce_ceiling: int = 0
    spent: list[tuple[int, Decimal]] = []


class SignerState:
    """The small file behind a signer; it replaces itself whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = Writer()
        self.failures = 0
        self.unreadable = ""

    def load(self) -> Kept:
        """What was kept; nothing at a first start. ``unreadable`` says why where it cannot be."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Kept)
        except FileNotFoundError:
            return Kept()
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            self.unreadable = f"{self._path} cannot be read: {error}"
            return Kept()

    async def keep(self, kept: Kept) -> None:
        """Write it within a deadline. A disk that is slow or full must not stop an exit: it is
        counted and logged, and the memory of this process goes on."""
        content = msgspec.json.encode(kept)
        try:
            await self._writer.run(write_private, self._path, content)
        except (OSError, TimeoutError) as error:
            self.failures += 1
            reason = str(error) or "the disk is too slow"
            structlog.get_logger().error("signer_state_not_kept", reason=reason)


class Signer:
    """Judges requests and signs. No socket: see ``SignerServer``."""

    def __init__(
        self,
        key: SigningKey,
        accounts: Sequence[ActingAccount],
        settings: SignerSettings,
        *,
        mainnet: bool,
        state: SignerState,
        clock: Clock,
    ) -> None:
        """Load what was kept.

        Raises:
            ConfigError: If the key is not the configured wallet's, or is an account's own: such a
                key can withdraw, and what can withdraw is not given to a daemon.
        """
        _check_key(key, accounts, settings)
        self._key = key
        self._accounts: Mapping[str, ActingAccount] = {one.alias: one for one in accounts}
        self._settings = settings
        self._mainnet = mainnet
        self._state = state
        self._clock = clock
        kept = state.load()
        self._nonces = NonceCounter(after=kept.nonce_ceiling)
        self._cap = HourlyCap(settings.notional_usd_per_hour, kept.spent)
        self._log = structlog.get_logger()
        self.signed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        if state.unreadable:
            # What the hour has spent is not known, so it counts as spent; cancels go on.
            self._cap.spend(self._cap.cap_usd, self._now_ms())
            self._log.error("signer_state_unreadable", reason=state.unreadable)

    async def answer(self, line: bytes) -> FromSigner:
        """The answer to one line; whatever it holds, it is an answer."""
        try:
            request = _DECODER.decode(line)
        except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError) as error:
            return self._refuse(RefusedFor.MALFORMED, f"not understood: {str(error)[:200]}")
        if isinstance(request, SignRequest):
            return await self.sign(request)
        return self.counters()

    async def sign(self, request: SignRequest) -> SignAnswer:
        """Sign, or say why not. Nothing is awaited between judging and counting."""
        now_ms = self._now_ms()
        account = self._accounts.get(request.account)
        if account is None:
            words = f"{request.account[:40]!r} is no account of this signer"
            return self._refuse(RefusedFor.ACCOUNT, words)
        try:
            wire = wire_of(request.action)
        except ValueError as error:
            return self._refuse(RefusedFor.MALFORMED, str(error))
        refusal = self._judge(request, now_ms)
        if refusal is not None:
            return self._refuse(refusal.reason, refusal.words, refusal.lines)
        ceiling = self._nonces.ceiling
        spends = isinstance(request.action, Reduce)
        if isinstance(request.action, Reduce):
            self._cap.spend(_total_usd(request.action, request.references), now_ms)
        nonce = self._nonces.take(now_ms) if request.nonce is None else request.nonce
        if spends or self._nonces.ceiling != ceiling:
            await self._state.keep(Kept(self._nonces.ceiling, self._cap.entries(now_ms)))
        digest = digest_of(
            wire,
            nonce=nonce,
            vault=account.vault,
            expires_after_ms=request.expires_after_ms,
            mainnet=self._mainnet,
        )
        kind = type(request.action).__name__
        self.signed[kind] += 1
        self._log.info("signed", kind=kind, account=account.alias, nonce=nonce)
        return Signed(nonce=nonce, signature=self._key.sign(digest), vault=account.vault)

    def counters(self) -> Counters:
        """For metrics."""
        return Counters(
            signed=dict(self.signed),
            refused=dict(self.refused),
            notional_used_usd=self._cap.used(self._now_ms()),
            notional_cap_usd=self._cap.cap_usd,
            state_failures=self._state.failures,
        )

    def count_refusal(self, reason: RefusedFor) -> None:
        """A refusal before any request was read."""
        self.refused[reason] += 1

    # ---------------------------------------------------------------------------------- judging

    def _judge(self, request: SignRequest, now_ms: int) -> SignRefused | None:
        action = request.action
        if isinstance(action, Noop):
            return self._judge_noop(request.nonce, now_ms)
        if request.nonce is not None:
            return _no(RefusedFor.NONCE, "only a noop may name its nonce")
        if isinstance(action, Reduce):
            return self._judge_reduce(action, request, now_ms)
        return None if _has_lines(action) else _no(RefusedFor.MALFORMED, "nothing to cancel")

    def _judge_noop(self, nonce: int | None, now_ms: int) -> SignRefused | None:
        if nonce is None or now_ms - KEPT_MS < nonce <= self._nonces.last:
            return None
        return _no(RefusedFor.NONCE, f"the nonce {nonce} was not given out by this signer lately")

    def _judge_reduce(
        self, action: Reduce, request: SignRequest, now_ms: int
    ) -> SignRefused | None:
        lines, references = action.lines, request.references
        if not lines or len(references) != len(lines):
            return _no(RefusedFor.MALFORMED, "each order needs one reference price")
        if len({line.client_id for line in lines}) != len(lines):
            return _no(RefusedFor.MALFORMED, "a client id stands twice")
        expires = request.expires_after_ms
        latest_ms = now_ms + round(self._settings.expiry_s_max * 1000)
        if expires is None or not now_ms < expires <= latest_ms:
            longest = f"{self._settings.expiry_s_max:g} s"
            return _no(RefusedFor.EXPIRY, f"an order must expire within {longest} from now")
        beyond = tuple(
            index
            for index, (line, reference) in enumerate(zip(lines, references, strict=True))
            if not self._within_bound(line, reference)
        )
        if beyond:
            words = "the limit lies too far from its reference, or the reference is none"
            return _no(RefusedFor.BOUND, words, beyond)
        return self._judge_cap(lines, references, now_ms)

    def _within_bound(self, line: ReduceLine, reference: Decimal) -> bool:
        """The losing side only: a sell far above the reference loses nothing, it just rests
        unfilled and is gone."""
        if not (reference.is_finite() and reference > 0):
            return False
        settings = self._settings
        bps = settings.bounds_bps_by_asset.get(line.asset, settings.bound_bps)
        share = Decimal(str(bps)) / BPS
        if line.is_buy:
            return line.limit_price <= reference * (1 + share)
        return line.limit_price >= reference * (1 - share)

    def _judge_cap(
        self, lines: Sequence[ReduceLine], references: Sequence[Decimal], now_ms: int
    ) -> SignRefused | None:
        left = self._cap.left(now_ms)
        beyond = []
        for index, (line, reference) in enumerate(zip(lines, references, strict=True)):
            usd = _notional_usd(line, reference)
            if usd > left:
                beyond.append(index)
            else:
                left -= usd
        if not beyond:
            return None
        words = (
            f"{self._cap.used(now_ms):.0f} of the {self._cap.cap_usd:.0f} USD an hour are used; "
            "raise actions.hyperliquid.signer.notional_usd_per_hour if this is too little"
        )
        return _no(RefusedFor.CAP, words, tuple(beyond))

    def _refuse(self, reason: RefusedFor, words: str, lines: tuple[int, ...] = ()) -> SignRefused:
        self.refused[reason] += 1
        self._log.warning("refused_to_sign", reason=reason.value, words=words)
        return _no(reason, words, lines)

    def _now_ms(self) -> int:
        return self._clock.now() // MS_NS


def _no(reason: RefusedFor, words: str, lines: tuple[int, ...] = ()) -> SignRefused:
    return SignRefused(reason=reason, words=words, lines=lines)


def _has_lines(action: object) -> bool:
    return bool(getattr(action, "lines", True))


def _notional_usd(line: ReduceLine, reference: Decimal) -> Decimal:
    return line.size * max(line.limit_price, reference)


def _total_usd(action: Reduce, references: Sequence[Decimal]) -> Decimal:
    return sum(
        (_notional_usd(line, one) for line, one in zip(action.lines, references, strict=True)),
        Decimal(0),
    )


def _check_key(
    key: SigningKey, accounts: Sequence[ActingAccount], settings: SignerSettings
) -> None:
    if settings.wallet is not None and key.address != settings.wallet:
        raise ConfigError(
            f"The signer's key belongs to {shorten(key.address)}, not to the configured wallet "
            f"{shorten(settings.wallet)}."
        )
    own = next((one for one in accounts if one.address == key.address), None)
    if own is not None:
        raise ConfigError(
            f"The signer's key is the own key of account {own.alias!r}, which can also withdraw. "
            "Approve an API wallet with it (it can trade and cancel, and cannot move money out) "
            "and give the signer that wallet's key."
        )


# ---------------------------------------------------------------------------------- the socket


def peer_uid(connection: socket.socket) -> int | None:
    """The user at the other end of a unix socket; None where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, 12))
    return int(uid)


class SignerServer:
    """Listens on a unix socket that only the same user can open. A client that dies, sends rubbish
    or nothing never takes the signer with it."""

    def __init__(
        self,
        signer: Signer,
        path: Path,
        *,
        uid_of: Callable[[socket.socket], int | None] = peer_uid,
    ) -> None:
        self._signer = signer
        self._path = path
        self._uid_of = uid_of
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._log = structlog.get_logger()

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: If another signer listens there, or the path cannot be used.
        """
        self._check_path()
        before = os.umask(0o177)
        try:
            with reachable(self._path) as name:
                self._server = await asyncio.start_unix_server(
                    self._serve, name, limit=LINE_BYTES_MAX
                )
        except OSError as error:
            raise ConfigError(
                f"The signer cannot listen at {self._path}: {error.strerror}."
            ) from error
        finally:
            os.umask(before)
        self._path.chmod(0o600)

    async def close(self) -> None:
        """Stop listening and hang up; closing what is closed does nothing."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        talks = [task for task in self._clients.values() if task is not None]
        for client in tuple(self._clients):
            client.close()
        if talks:
            await asyncio.wait(talks, timeout=CLOSE_S)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def _check_path(self) -> None:
        probe = socket.socket(socket.AF_UNIX)
        try:
            with reachable(self._path) as name:
                probe.connect(name)
        except FileNotFoundError:
            return
        except OSError as error:
            # A plain file refuses connections too, and is nobody's to remove.
            if error.errno != errno.ECONNREFUSED or not self._path.is_socket():
                raise ConfigError(
                    f"{self._path} is in the way of the signer's socket: {error.strerror}."
                ) from error
            self._path.unlink()  # left behind by a signer that was killed
        else:
            raise ConfigError(f"A signer is running already at {self._path}.")
        finally:
            probe.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients[writer] = asyncio.current_task()
        try:
            if self._is_welcome(writer):
                await self._converse(reader, writer)
        except (ConnectionError, TimeoutError):
            return  # it went away, or sat there saying nothing
        finally:
            self._clients.pop(writer, None)
            writer.close()

    def _is_welcome(self, writer: asyncio.StreamWriter) -> bool:
        connection: socket.socket = writer.get_extra_info("socket")
        uid = self._uid_of(connection)
        if uid is not None and uid != os.geteuid():
            self._signer.count_refusal(RefusedFor.PEER)
            self._log.error("signer_peer_refused", uid=uid)
            return False
        return len(self._clients) <= CLIENTS_MAX

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    line = await reader.readline()
            except ValueError:  # longer than a line may be; where the next begins is not known
                self._signer.count_refusal(RefusedFor.MALFORMED)
                return
            if not line.endswith(b"\n"):
                return  # the end, or half a line
            answer = await self._signer.answer(line)
            writer.write(_ENCODER.encode(answer) + b"\n")
            async with asyncio.timeout(IDLE_S):
                await writer.drain()
