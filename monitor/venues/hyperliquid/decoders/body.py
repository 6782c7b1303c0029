"""REST bodies without a poll: every ``/info`` type that is read, and the recorded wrappers.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import AccountDiscovered, Event, RequestBudgetSeen
from monitor.core.types import channel_id
from monitor.venues.hyperliquid.decoders import account_wire, wire
from monitor.venues.hyperliquid.decoders.account import (
    account_events,
    order_update_events,
    orders_events,
    spot_events,
)
from monitor.venues.hyperliquid.decoders.explain import decoding
from monitor.venues.hyperliquid.decoders.history import (
    fill_events,
    funding_paid_events,
    transfer_events,
)
from monitor.venues.hyperliquid.decoders.market import (
    MarketDecoder,
    funding_events,
    mid_events,
    status_events,
)
from monitor.venues.hyperliquid.endpoints import refusal
from monitor.venues.hyperliquid.knowledge import Account, mode_event, shorten, sub_alias
from monitor.venues.hyperliquid.markets import FIRST_DEX, Markets, meta_channel
from monitor.venues.hyperliquid.settings import VENUE

TRUTH = "truth"
T = TypeVar("T")
Arguments = Mapping[str, str | int | float | bool | None]


def read(body: bytes | msgspec.Raw, kind: type[T]) -> T:
    """``body`` as ``kind``, numbers in strings allowed."""
    return msgspec.json.decode(body, type=kind, strict=False)


def account_of(address: str, alias: str = "") -> Account:
    """A stand-in for an account that no configuration names."""
    return Account(alias or (shorten(address) if address else "account"), address)


class Body(msgspec.Struct):
    """A REST answer and what its request said."""

    endpoint: str
    body: bytes
    account: Account
    dex: str = FIRST_DEX
    coin: str = ""
    markets: Markets | None = None
    now: int | None = None

    @property
    def channel(self) -> str:
        """The channel that a poll of this endpoint would have."""
        key = self.coin or (self.account.alias if self.account.address else self.dex)
        return channel_id(VENUE, f"rest.{self.endpoint}", key)


def _meta(body: Body) -> tuple[Event, ...]:
    markets = body.markets or Markets()
    return markets.update(body.dex, read(body.body, wire.Universe), meta_channel(body.dex))


def _meta_and_contexts(body: Body) -> tuple[Event, ...]:
    meta, contexts = read(body.body, tuple[wire.Universe, list[wire.Context]])
    markets = body.markets or Markets()
    channel = meta_channel(body.dex)
    listed = markets.update(body.dex, meta, channel)
    told = MarketDecoder(markets).zip_contexts(body.dex, contexts, channel, body.now)
    return (*listed, *told)


def _book(body: Body) -> tuple[Event, ...]:
    book = read(body.body, wire.Book)
    return MarketDecoder().book_events(book.coin, book.time, book.levels, book.spread, body.channel)


def _state(body: Body) -> tuple[Event, ...]:
    return account_events(
        body.account,
        {body.dex: read(body.body, account_wire.ClearinghouseState)},
        source=TRUTH,
        channel=body.channel,
        markets=body.markets,
        prices=None,
        now=body.now,
    )


def _spot(body: Body) -> tuple[Event, ...]:
    return spot_events(
        body.account,
        read(body.body, account_wire.SpotState),
        source=TRUTH,
        channel=body.channel,
        prices=None,
        collateral_tokens=(),
        now=body.now,
    )


def _orders(body: Body) -> tuple[Event, ...]:
    return orders_events(
        body.account,
        {body.dex: read(body.body, list[account_wire.Order])},
        source=TRUTH,
        channel=body.channel,
        markets=body.markets,
    )


def _historical_orders(body: Body) -> tuple[Event, ...]:
    return order_update_events(
        body.account,
        read(body.body, list[account_wire.OrderUpdate]),
        source=TRUTH,
        channel=body.channel,
        markets=body.markets,
    )


def _fills(body: Body) -> tuple[Event, ...]:
    return fill_events(
        body.account,
        read(body.body, list[account_wire.Fill]),
        history=True,
        channel=body.channel,
        markets=body.markets,
    )


def _funding(body: Body) -> tuple[Event, ...]:
    rows = read(body.body, list[account_wire.FundingPaymentRow])
    return funding_paid_events(
        body.account,
        [(row.time, row.delta) for row in rows],
        history=True,
        channel=body.channel,
        markets=body.markets,
    )


def _ledger(body: Body) -> tuple[Event, ...]:
    return transfer_events(
        body.account,
        read(body.body, list[account_wire.LedgerRow]),
        history=True,
        channel=body.channel,
        markets=body.markets,
        alias_of=lambda _: None,
    )


def _funding_history(body: Body) -> tuple[Event, ...]:
    return funding_events(read(body.body, list[wire.FundingRow]), body.channel)


def _mids(body: Body) -> tuple[Event, ...]:
    return mid_events(read(body.body, dict[wire.Coin, wire.Number]), body.channel)


def _status(body: Body) -> tuple[Event, ...]:
    return status_events(read(body.body, wire.ExchangeStatus), body.channel)


def _rate_limit(body: Body) -> tuple[Event, ...]:
    return (
        budget_event(read(body.body, account_wire.RateLimit), body.account.alias, body.channel),
    )


def _abstraction(body: Body) -> tuple[Event, ...]:
    body.account.set_mode(read(body.body, str))
    return (mode_event(body.account, body.account.alias, body.channel),)


def _sub_accounts(body: Body) -> tuple[Event, ...]:
    found = read(body.body, list[account_wire.SubAccount] | None)  # type: ignore[arg-type]  # a union is a type to msgspec
    return tuple(
        discovered_event(sub_alias(body.account.alias, sub.name), body.account, body.channel)
        for sub in found or ()
    )


def _vaults(body: Body) -> tuple[Event, ...]:
    found = read(body.body, list[account_wire.VaultEquity])
    return tuple(
        discovered_event(
            f"{body.account.alias}.{vault_slug(vault)}", body.account, body.channel, "vault"
        )
        for vault in found
    )


def _nothing(*kinds: Any) -> Callable[[Body], tuple[Event, ...]]:
    """Checked against its shape; says nothing that is an event."""

    def decode(body: Body) -> tuple[Event, ...]:
        for kind in kinds:
            read(body.body, kind)
        return ()

    return decode


def budget_event(limit: account_wire.RateLimit, alias: str, channel: str) -> RequestBudgetSeen:
    """``userRateLimit``."""
    return RequestBudgetSeen(
        venue=VENUE,
        channel=channel,
        account=alias,
        used=limit.n_requests_used,
        cap=limit.n_requests_cap,
    )


def discovered_event(
    pool: str,
    account: Account,
    channel: str,
    kind: str = "subaccount",
    *,
    watched: bool = False,
) -> AccountDiscovered:
    """Something of the account's that no configuration names."""
    return AccountDiscovered(
        venue=VENUE,
        channel=channel,
        account=pool,
        parent=account.alias,
        kind=kind,
        watched=watched,
    )


def vault_slug(vault: account_wire.VaultEquity) -> str:
    """``vault-0x07fd-689d``: what a vault is called beneath its depositor."""
    address = vault.vault_address.lower()
    return f"vault-{address[:6]}-{address[-4:]}"


BodyDecoder = Callable[[Body], tuple[Event, ...]]
ENDPOINTS: Mapping[str, BodyDecoder] = MappingProxyType(
    {
        "allMids": _mids,
        "clearinghouseState": _state,
        "exchangeStatus": _status,
        "extraAgents": _nothing(list[account_wire.Agent]),
        "frontendOpenOrders": _orders,
        "fundingHistory": _funding_history,
        "historicalOrders": _historical_orders,
        "l2Book": _book,
        "meta": _meta,
        "metaAndAssetCtxs": _meta_and_contexts,
        "openOrders": _orders,
        "perpDexs": _nothing(list[wire.Dex | None]),
        "portfolio": _nothing(list[tuple[str, account_wire.PortfolioPeriod]]),
        "predictedFundings": _nothing(
            list[tuple[str, list[tuple[str, wire.PredictedFunding | None]]]],
        ),
        "spotClearinghouseState": _spot,
        "spotMeta": _nothing(wire.SpotUniverse),
        "subAccounts": _sub_accounts,
        "userAbstraction": _abstraction,
        "userFills": _fills,
        "userFillsByTime": _fills,
        "userFunding": _funding,
        "userNonFundingLedgerUpdates": _ledger,
        "userRateLimit": _rate_limit,
        "userRole": _nothing(account_wire.Role),
        "userVaultEquities": _vaults,
    },
)


def decode_body(
    endpoint: str,
    request: Arguments | None,
    body: bytes,
    *,
    now: int | None = None,
    markets: Markets | None = None,
    alias: str = "",
) -> tuple[Event, ...]:
    """Events of one ``/info`` answer; ``request`` is the body that was posted, if known.

    Raises:
        DecodeError: If the endpoint is not among ``ENDPOINTS`` or the body is not what it answers.
    """
    decoder = ENDPOINTS.get(endpoint)
    if decoder is None:
        raise DecodeError(
            f"hyperliquid: endpoint is {endpoint[:40]!r}; known are {', '.join(ENDPOINTS)}",
            sample=body,
        )
    said = request or {}
    with decoding(f"{endpoint} body", body):
        return decoder(
            Body(
                endpoint=endpoint,
                body=body,
                account=account_of(str(said.get("user") or ""), alias),
                dex=str(said.get("dex") or FIRST_DEX),
                coin=str(said.get("coin") or ""),
                markets=markets,
                now=now,
            ),
        )


# ---------------------------------------------------------------------------------- recordings


class RecordedItem(msgspec.Struct):
    """One thing inside a recording: a server frame, or a body with its request."""

    frame: bytes | None = None
    endpoint: str = ""
    request: Arguments | None = None
    body: bytes = b""


_BY_KEY = {
    "assetPositions": "clearinghouseState",
    "universe": "meta",
    "levels": "l2Book",
    "balances": "spotClearinghouseState",
    "specialStatuses": "exchangeStatus",
    "nRequestsUsed": "userRateLimit",
    "role": "userRole",
}
_BY_ROW_KEY = {
    "fundingRate": "fundingHistory",
    "closedPnl": "userFills",
    "limitPx": "openOrders",
    "vaultAddress": "userVaultEquities",
}


def unwrap_recording(data: bytes, endpoint: str | None) -> Iterator[RecordedItem]:
    """What a recorded file holds, in its order; ``endpoint`` decides where a body does not."""
    content: Any = msgspec.json.decode(data)
    items = content if isinstance(content, list) else [content]
    wrapped = bool(items) and all(_is_wrapper(item) for item in items)
    for item in items if wrapped else [content]:
        if not wrapped:
            yield from _bare(item, data, endpoint)
        elif "response" in item:
            yield _exchange(item, endpoint)
        elif "channel" in item:
            yield RecordedItem(frame=msgspec.json.encode(item))
        elif item.get("dir") != "client":
            yield RecordedItem(frame=msgspec.json.encode(item["frame"]))


def _is_wrapper(item: Any) -> bool:
    return isinstance(item, dict) and (
        {"request", "response"} <= item.keys()
        or {"dir", "frame"} <= item.keys()
        or (isinstance(item.get("channel"), str))
    )


def _exchange(item: dict[str, Any], endpoint: str | None) -> RecordedItem:
    request = item["request"] if isinstance(item["request"], dict) else {}
    kind = request.get("type") or endpoint
    if not isinstance(kind, str):
        raise DecodeError(f"hyperliquid recording: request.type is {str(kind)[:40]!r}, no endpoint")
    body = msgspec.json.encode(item["response"])
    status = item.get("status", 200)
    if status != 200:
        raise DecodeError(str(refusal(status if isinstance(status, int) else 0, body, kind)))
    plain = {
        str(name): value
        for name, value in request.items()
        if value is None or isinstance(value, (str, int, float, bool))
    }
    return RecordedItem(endpoint=kind, request=plain, body=body)


def _bare(content: Any, data: bytes, endpoint: str | None) -> Iterator[RecordedItem]:
    if isinstance(content, dict) and isinstance(content.get("fills"), list):
        yield RecordedItem(endpoint="userFills", body=msgspec.json.encode(content["fills"]))
        return
    kind = endpoint or _endpoint_of(content)
    if kind is None:
        keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, dict) else "no object"
        raise DecodeError(
            f"hyperliquid recording: neither channel nor request.type is there (found {keys}); "
            f"name the endpoint: {', '.join(ENDPOINTS)}",
        )
    yield RecordedItem(endpoint=kind, body=data)


def _endpoint_of(content: Any) -> str | None:
    if isinstance(content, dict):
        return next((name for key, name in _BY_KEY.items() if key in content), None)
    if isinstance(content, list) and content and isinstance(content[0], dict):
        row = content[0]
        delta = row.get("delta")
        if isinstance(delta, dict):
            paid = delta.get("type") == "funding"
            return "userFunding" if paid else "userNonFundingLedgerUpdates"
        return next((name for key, name in _BY_ROW_KEY.items() if key in row), None)
    return None
