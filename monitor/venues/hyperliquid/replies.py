"""What Hyperliquid's ``/exchange`` answered, told in facts.

HTTP is 200 for nearly every outcome, so an answer is read in three layers: ``status``, then the
response's type, then each line. Success is only what the venue says in so many words. A text this
version does not know is UNKNOWN, because in an overload the venue answered errors for orders that
it executed; so is every status but 200, and everything that cannot be read. *Pure.*
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from monitor.core.killswitch.facts import CancelOutcome, OrderEnd, OrderOutcome
from monitor.core.ports import Response
from monitor.venues.hyperliquid.decoders.explain import UNREADABLE_JSON
from monitor.venues.hyperliquid.endpoints import RETRY_AFTER_MIN_S
from monitor.venues.hyperliquid.knowledge import shorten

TEXT_MAX = 200
ADDRESS_PASS_S = 10.5  # over its request cap an address may act about once in so many seconds
RETRY_AFTER_MAX_S = 3600.0
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_AMOUNT_EXPONENT_MAX = 30

T = TypeVar("T")


class RefusalKind(enum.StrEnum):
    """What a refusal means for what is done next."""

    NO_EFFECT = "no_effect"  # this order was certainly not executed
    GONE = "gone"  # there is nothing (any more) to cancel
    POST_ONLY = "post_only"  # just after an upgrade: the same again, a little later
    OPEN_ORDERS = "open_orders"  # too many working orders: cancel first
    ADDRESS_BUDGET = "address_budget"  # one action in some ten seconds passes
    WALLET = "wallet"  # the key is not (or no longer) approved: a person must act
    CLOCK = "clock"  # our nonces are out of the venue's window
    NONCE_USED = "nonce_used"  # a request with this nonce has been there before
    UNKNOWN = "unknown"  # may have been executed all the same


class Refusal(msgspec.Struct, frozen=True):
    """One refusal: its kind, and what the venue said with what to do about it, in words."""

    kind: RefusalKind
    words: str


_K = RefusalKind
_WALLET_ADVICE = (
    "the signer's API wallet is not approved for this account (expired, replaced or pruned), or "
    "the account was never funded; approve a new API wallet with the master account, give its key "
    "to the signer and restart the signer; never approve the old address again"
)
_CLOCK_ADVICE = (
    "the nonce lies outside the venue's window: this machine's clock is wrong, or another program "
    "uses the same API wallet; set the clock, and give riskd an API wallet of its own"
)

_BUDGET_ADVICE = (
    "the address has used up its requests; about one action in ten seconds passes, more after "
    "trading volume or by reserving requests with the master account"
)
_NO_EFFECT = frozenset(
    {_K.NO_EFFECT, _K.POST_ONLY, _K.OPEN_ORDERS, _K.ADDRESS_BUDGET, _K.WALLET, _K.CLOCK}
)

# Every documented text by how it begins; what the venue appends (" asset=4") differs. Sources:
# error responses page, nonces page, measured texts.
TEXTS: tuple[tuple[str, RefusalKind, str], ...] = (
    ("Price must be divisible by tick size", _K.NO_EFFECT, ""),
    ("Order must have minimum value of", _K.NO_EFFECT, "below the venue's minimum"),
    ("Insufficient margin to place order", _K.NO_EFFECT, ""),
    (
        "Reduce only order would increase position",
        _K.NO_EFFECT,
        "the position is gone, smaller, or on the other side by now",
    ),
    ("Post only order would have immediately matched", _K.NO_EFFECT, ""),
    (
        "Order could not immediately match against any resting orders",
        _K.NO_EFFECT,
        "nobody stood within the limit",
    ),
    ("Invalid TP/SL price", _K.NO_EFFECT, ""),
    ("No liquidity available for market order", _K.NO_EFFECT, ""),
    ("Order would increase open interest while open interest is capped", _K.NO_EFFECT, ""),
    ("Order rejected due to price more aggressive than oracle", _K.NO_EFFECT, ""),
    ("Order would increase open interest too quickly", _K.NO_EFFECT, ""),
    ("(Spot-only) Order has insufficient spot balance", _K.NO_EFFECT, ""),
    ("Order price too far from oracle", _K.NO_EFFECT, ""),
    ("Order price cannot be more than 95% away", _K.NO_EFFECT, ""),
    ("Order would cause position to exceed margin tier limit", _K.NO_EFFECT, ""),
    ("Order has zero size", _K.NO_EFFECT, ""),
    ("Order has invalid size", _K.NO_EFFECT, ""),
    ("Order has invalid price", _K.NO_EFFECT, ""),
    ("Order was never placed, already canceled, or filled", _K.GONE, ""),
    ("TWAP was never placed, already canceled, or filled", _K.GONE, ""),
    (
        "Only post-only orders allowed immediately after a network upgrade",
        _K.POST_ONLY,
        "the venue was upgraded and takes no orders that execute at once for a short time",
    ),
    (
        "Too many open orders",
        _K.OPEN_ORDERS,
        "with 1000 or more working orders no reduce-only order is taken; cancel first",
    ),
    (
        "Too many cumulative requests sent",
        _K.ADDRESS_BUDGET,
        _BUDGET_ADVICE,
    ),
    ("User or API Wallet", _K.WALLET, _WALLET_ADVICE),
    ("Must deposit before performing actions", _K.WALLET, _WALLET_ADVICE),
    ("Action already expired", _K.NO_EFFECT, "it arrived after its expiry"),
    ("Vault not registered", _K.WALLET, "this address is no sub-account or vault of the signer's"),
    ("Invalid nonce: duplicate nonce", _K.NONCE_USED, ""),
    ("Invalid nonce", _K.CLOCK, _CLOCK_ADVICE),
    ("Cannot set scheduled cancel time", _K.NO_EFFECT, ""),
    ("Too many scheduled cancels triggered for the day", _K.NO_EFFECT, ""),
)


def judge_text(text: str) -> Refusal:
    """What a refusal's text means, with full addresses shortened."""
    shown = _ADDRESS.sub(lambda found: shorten(found[0]), text[:TEXT_MAX]).strip()
    begins = text.removeprefix("L1 error: ").lstrip()
    for prefix, kind, advice in TEXTS:
        if begins.startswith(prefix):
            return Refusal(kind, f"{shown} ({advice})" if advice else shown)
    return Refusal(RefusalKind.UNKNOWN, f"a refusal that this version does not know: {shown}")


# ------------------------------------------------------------------------------- the first layers


class Unclear(msgspec.Struct, frozen=True):
    """Nobody knows what became of the request."""

    words: str


class Limited(msgspec.Struct, frozen=True):
    """HTTP 429: refused at the door, so it had no effect; nothing else passes either."""

    words: str
    retry_after_s: float


class Accepted(msgspec.Struct, frozen=True):
    """``status: ok`` of the expected type, with its lines still to be read."""

    lines: tuple[msgspec.Raw, ...]


Reply = Accepted | Refusal | Limited | Unclear


class _Data(msgspec.Struct):
    statuses: list[msgspec.Raw] | None = None
    status: msgspec.Raw = msgspec.Raw(b"")  # a union with Raw decodes nothing but null


class _Ok(msgspec.Struct):
    type: str
    data: _Data = msgspec.field(default_factory=_Data)


class _Envelope(msgspec.Struct):
    status: str
    response: msgspec.Raw


def read_reply(response: Response, kind: str) -> Reply:
    """An answer to an action whose good answer is of type ``kind`` ("order", "cancel", …)."""
    status = response.status
    if status == 429:
        wait_s = _retry_after_s(response.header("retry-after"))
        words = f"429: the request budget of this IP address is used up; again in {wait_s:.0f} s"
        return Limited(words, wait_s)
    if status != 200:
        said = response.body[:80].decode("utf-8", "replace")
        return Unclear(f"HTTP {status} {said!r}: it may have been executed all the same")
    envelope = _read(response.body, _Envelope)
    if envelope is None:
        return Unclear("an answer that cannot be read")
    if envelope.status == "err":
        text = _read(envelope.response, str)
        return Unclear("an error without a text") if text is None else judge_text(text)
    if envelope.status != "ok":
        return Unclear(f"a status that this version does not know: {envelope.status[:40]!r}")
    answer = _read(envelope.response, _Ok)
    if answer is None or answer.type != kind:
        return Unclear(f"an answer of another type than {kind!r}")
    if answer.data.statuses is not None:
        return Accepted(tuple(answer.data.statuses))
    single = answer.data.status
    return Accepted((single,) if bytes(single) else ())


def _read(body: bytes | msgspec.Raw, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except UNREADABLE_JSON:
        return None


def _retry_after_s(header: str | None) -> float:
    """At least ten seconds: no ``Retry-After`` was ever observed here."""
    try:
        wait_s = float(header or "")
    except ValueError:
        return RETRY_AFTER_MIN_S
    return wait_s if RETRY_AFTER_MIN_S <= wait_s <= RETRY_AFTER_MAX_S else RETRY_AFTER_MIN_S


# ------------------------------------------------------------------------------------- each line


class _Filled(msgspec.Struct, rename="camel"):
    total_sz: Decimal
    avg_px: Decimal
    oid: int | None = None
    cloid: str | None = None


class _Line(msgspec.Struct):
    filled: _Filled | None = None
    error: str | None = None


class Line(msgspec.Struct, frozen=True):
    """How one order of a request stands. ``refusal`` where there is one."""

    outcome: OrderOutcome
    refusal: Refusal | None = None


def read_orders(reply: Accepted, client_ids: Sequence[str]) -> tuple[Line, ...]:
    """One line for each order of the request, in its order.

    The venue answers one error for the whole request where its own checks refuse it before the
    chain sees it. Any other number of lines cannot be matched to the orders, and all are UNKNOWN.
    """
    raws = reply.lines
    if len(raws) == 1 and len(client_ids) > 1:
        only = _read(raws[0], _Line)
        if only is not None and only.error is not None:
            return tuple(_order_line(raws[0], client_id) for client_id in client_ids)
    if len(raws) != len(client_ids):
        words = f"{len(raws)} lines came back for {len(client_ids)} orders"
        return tuple(unknown(client_id, words) for client_id in client_ids)
    return tuple(
        _order_line(raw, client_id) for raw, client_id in zip(raws, client_ids, strict=True)
    )


def unknown(client_id: str, words: str) -> Line:
    """An order of which nobody knows what became."""
    return Line(OrderOutcome(client_id=client_id, end=OrderEnd.UNKNOWN, detail=words))


def refused(client_id: str, refusal: Refusal) -> Line:
    """An order that was refused: certainly not executed, or unknown where the text is."""
    end = OrderEnd.REJECTED if refusal.kind in _NO_EFFECT else OrderEnd.UNKNOWN
    return Line(OrderOutcome(client_id=client_id, end=end, detail=refusal.words), refusal)


def _order_line(raw: msgspec.Raw, client_id: str) -> Line:
    line = _read(raw, _Line)
    if line is None:  # also the bare words that the venue has for orders that wait
        return unknown(client_id, f"an answer that cannot be read: {_shown(raw)}")
    if line.error is not None:
        return refused(client_id, judge_text(line.error))
    filled = line.filled
    if filled is None:
        return unknown(client_id, f"neither filled nor refused: {_shown(raw)}")
    if filled.cloid is not None and filled.cloid != client_id:
        return unknown(client_id, "the answer is about another order")
    if not (_amount(filled.total_sz) and _amount(filled.avg_px)):
        return unknown(client_id, f"filled by an amount that is none: {_shown(raw)}")
    return Line(
        OrderOutcome(
            client_id=client_id,
            end=OrderEnd.FILLED,
            filled_size=filled.total_sz,
            average_price=filled.avg_px,
        )
    )


def _amount(value: Decimal) -> bool:
    return value.is_finite() and value > 0 and abs(value.adjusted()) <= _AMOUNT_EXPONENT_MAX


def read_cancels(reply: Accepted, order_ids: Sequence[str]) -> tuple[CancelOutcome, ...]:
    """One outcome for each cancel of the request (TWAPs have a single one)."""
    raws = reply.lines
    if len(raws) == 1 and len(order_ids) > 1:
        only = _read(raws[0], _Line)
        if only is not None and only.error is not None:
            raws = raws * len(order_ids)
    if len(raws) != len(order_ids):
        words = f"{len(raws)} lines came back for {len(order_ids)} cancels"
        return tuple(CancelOutcome(order_id=one, gone=False, detail=words) for one in order_ids)
    return tuple(_cancel_line(raw, one) for raw, one in zip(raws, order_ids, strict=True))


def _cancel_line(raw: msgspec.Raw, order_id: str) -> CancelOutcome:
    if _read(raw, str) == "success":
        return CancelOutcome(order_id=order_id, gone=True)
    line = _read(raw, _Line)
    if line is None or line.error is None:
        words = f"an answer that cannot be read: {_shown(raw)}"
        return CancelOutcome(order_id=order_id, gone=False, detail=words)
    refusal = judge_text(line.error)
    gone = refusal.kind is RefusalKind.GONE
    return CancelOutcome(order_id=order_id, gone=gone, detail=refusal.words)


def _shown(raw: msgspec.Raw) -> str:
    text = bytes(raw)[:80].decode("utf-8", "replace")
    return _ADDRESS.sub(lambda found: shorten(found[0]), text)
