"""The account channel of dYdX v4: one parent subaccount with its children.

What is told is laid beside what REST says by height; what neither settles is asked again. *Pure.*
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import Event, FillsReported, TransfersReported
from monitor.core.ports import Output, Refresh
from monitor.core.types import EngineNs, FillKind, channel_id
from monitor.venues.dydx.accounts import Accounts, Parent, Pool
from monitor.venues.dydx.channels import RECONCILE_S, V4_PARENT_SUBACCOUNTS, PlainChannel
from monitor.venues.dydx.codec import account, activity, wire
from monitor.venues.dydx.settings import VENUE

# So often a snapshot is asked for anew where the truth came first and newer; a socket that stays
# behind REST is not subscribed for ever.
OVERTAKEN_MAX = 3
_TRADE = FillKind.TRADE
_ACCOUNT_SNAPSHOT = wire.decoder(wire.AccountSnapshot)
_ACCOUNT_UPDATE = wire.decoder(wire.AccountUpdate)
_ACCOUNT_UPDATES = wire.decoder(list[wire.AccountUpdate])


class _Numbered(Protocol):
    subaccount_number: int | None


Row = TypeVar("Row", bound=_Numbered)


class AccountChannel(PlainChannel):
    """A parent subaccount with its children, each a margin pool of its own."""

    def __init__(
        self,
        parent: Parent,
        accounts: Accounts,
        *,
        rereads: Iterable[str] = (),
        wire_channel: str = V4_PARENT_SUBACCOUNTS,
    ) -> None:
        self.wire_name = wire_channel
        self.wire_id = f"{parent.address}/{parent.number}"
        self.name = channel_id(VENUE, wire_channel, parent.pool_name)
        self.heals = tuple(Refresh(poll, RECONCILE_S) for poll in rereads)
        self.needs_snapshot = ""
        self._parent = parent
        self._accounts = accounts
        self._overtaken = 0  # snapshots in a row that the truth had overtaken

    def subscribed(self, raw: msgspec.Raw, message_id: int, now: EngineNs) -> Output:
        """Everything the venue knows; REST is asked again, as what happened between the fetch of
        the snapshot and its registration is lost. ``{}`` is a subaccount never seen: REST says so
        in clearer words."""
        del message_id
        contents = wire.read(_ACCOUNT_SNAPSHOT, raw, "account snapshot")
        if contents.subaccount is None:
            return Output(refresh=self.heals)
        height = self._parent.heights.plausible(contents.block_height, "snapshot blockHeight")
        told = account.whole(
            contents.subaccount,
            self._parent,
            channel=self.name,
            source=account.STREAM,
            height=height,
        )
        overtaken = told.doubtful and not told.vanished
        self._overtaken = self._overtaken + 1 if overtaken else 0
        # The socket tells changes alone from here on: of an account that rests it would never have
        # told anything that may be compared with the truth.
        again = overtaken and self._overtaken <= OVERTAKEN_MAX
        self.needs_snapshot = "Its snapshot was older than what was re-read." if again else ""
        by_number = _by_number(contents.orders, self._parent.number)
        for number in by_number:
            told.events += account.announced(self._pool(number), self._parent, self.name)
        for pool in self._parent.pools.values():
            told.events.append(
                activity.orders_whole(
                    by_number.get(pool.number, []),
                    pool,
                    channel=self.name,
                    source=account.STREAM,
                    height=height,
                    now=now,
                )
            )
        return Output(tuple(told.events), refresh=self.heals)

    def lost(self) -> None:
        """A new subscription brings a snapshot anyway."""
        self.needs_snapshot = ""

    def data(
        self, raw: msgspec.Raw, message_id: int, now: EngineNs, *, batch: bool, number: int | None
    ) -> Output:
        """What changed."""
        del message_id
        if batch:
            return self.changed(wire.read(_ACCOUNT_UPDATES, raw, "account batch"), number, now)
        return self.changed([wire.read(_ACCOUNT_UPDATE, raw, "account update")], number, now)

    def changed(
        self, updates: list[wire.AccountUpdate], number: int | None, now: EngineNs
    ) -> Output:
        """What changed, decoded already. REST is asked when a message leaves something open, and at
        once when a fill was forced on us. Raises ``DecodeError``."""
        told = account.Told()
        try:
            for update in updates:
                self._tell(update, self._parent.number if number is None else number, now, told)
        except DecodeError:
            self._parent.settle_fills(told=False)
            raise
        self._parent.settle_fills(told=True)
        refresh = self.heals if told.doubtful else ()
        return Output(tuple(told.events), refresh=refresh)

    def _tell(
        self, update: wire.AccountUpdate, number: int, now: EngineNs, told: account.Told
    ) -> None:
        height = self._parent.heights.plausible(update.block_height, "update blockHeight")
        events = told.events
        if update.perpetual_positions:
            for child, positions in _by_number(update.perpetual_positions, number).items():
                pool = self._heard(child, told)
                if _is_news(pool, height):
                    events += account.positions_told(
                        positions, pool, channel=self.name, height=height
                    )
        if update.asset_positions:
            for child, assets in _by_number(update.asset_positions, number).items():
                pool = self._heard(child, told)
                if _is_news(pool, height):
                    events += account.cash_told(assets, pool, channel=self.name, height=height)
        if update.orders:
            for child, orders in _by_number(update.orders, number).items():
                changed = activity.orders_told(
                    orders, self._heard(child, told), channel=self.name, height=height, now=now
                )
                events += changed.events
                told.doubtful = told.doubtful or changed.doubtful
        if update.fills:
            self._tell_fills(update.fills, number, told)
        if update.transfers is not None:
            pool = self._heard(number, told)
            events.append(
                TransfersReported(
                    venue=VENUE,
                    channel=self.name,
                    account=pool.name,
                    history=False,
                    transfers=(
                        activity.transfer(update.transfers, pool, self._accounts.counterparty),
                    ),
                )
            )

    def _tell_fills(self, rows: list[wire.FillRow], number: int, told: account.Told) -> None:
        for child, fills in _by_number(rows, number).items():
            made = activity.fills_told(
                fills, self._parent, self._heard(child, told), channel=self.name, history=False
            )
            told.doubtful = told.doubtful or _forced(made)
            told.events += made

    def _pool(self, number: int) -> Pool:
        pool = self._parent.pool(number)
        if pool is None:
            raise DecodeError(
                f"dYdX told of subaccount {number} on the channel of {self._parent.number}."
            )
        return pool

    def _heard(self, number: int, told: account.Told) -> Pool:
        """The pool of a number; one never heard of before is announced and re-read whole."""
        pool = self._pool(number)
        if not pool.announced:
            told.doubtful = True
            told.events += account.announced(pool, self._parent, self.name)
        return pool


def _by_number(rows: list[Row], default: int) -> dict[int, list[Row]]:
    """Rows by subaccount; updates of one subaccount need not repeat its number."""
    grouped: dict[int, list[Row]] = {}
    if len(rows) == 1:
        number = rows[0].subaccount_number
        return {default if number is None else number: rows}
    for row in rows:
        number = default if row.subaccount_number is None else row.subaccount_number
        grouped.setdefault(number, []).append(row)
    return grouped


def _is_news(pool: Pool, height: int | None) -> bool:
    """Whether an update is newer than what REST said of the pool; notes its height."""
    if height is None:
        return True
    if height < pool.truth_height:
        return False
    pool.stream_height = max(pool.stream_height, height)
    return True


def _forced(events: Iterable[Event]) -> bool:
    return any(
        fill.kind is not _TRADE
        for event in events
        if isinstance(event, FillsReported)
        for fill in event.fills
    )
