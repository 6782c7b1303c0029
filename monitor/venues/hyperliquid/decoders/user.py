"""Frames of one account's socket. ``wants`` collects what a frame shows to need re-reading.

*Pure.*
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from monitor.core.errors import DecodeError
from monitor.core.events import Event, PositionReport
from monitor.core.types import channel_id
from monitor.venues.hyperliquid.decoders import account_wire
from monitor.venues.hyperliquid.decoders.account import (
    account_events,
    is_used,
    order_update_events,
    orders_events,
    position_report,
    spot_events,
)
from monitor.venues.hyperliquid.decoders.history import (
    fill_events,
    funding_paid_events,
    liquidation_events,
    transfer_events,
)
from monitor.venues.hyperliquid.decoders.wire import refuse_future
from monitor.venues.hyperliquid.knowledge import Account, Knowledge
from monitor.venues.hyperliquid.settings import VENUE

STREAM = "stream"
_AFTER_LIQUIDATION = {"clearinghouseState", "frontendOpenOrders", "spotClearinghouseState"}
_Row = tuple[account_wire.AssetPosition, PositionReport | None]
Handler = Callable[[msgspec.Raw, int | None], tuple[Event, ...]]


class UserDecoder:
    """Decoders of user frames of one account.

    ``user`` and ``orderUpdates`` frames carry no address: one connection, one account. ``wants``
    holds the ``/info`` types that a frame showed to need re-reading, until the stream asked.
    """

    def __init__(self, account: Account, knowledge: Knowledge) -> None:
        self._account = account
        self._knowledge = knowledge
        self.wants: set[str] = set()
        self._all_states = msgspec.json.Decoder(account_wire.AllDexStates, strict=False)
        self._position = msgspec.json.Decoder(account_wire.AssetPosition, strict=False)
        self._rows: dict[bytes, _Row] = {}  # positions of the newest push, by their bytes
        self._states_channel = self._channel("allDexsClearinghouseState")
        self._state = msgspec.json.Decoder(account_wire.DexState, strict=False)
        self._orders = msgspec.json.Decoder(account_wire.DexOrders, strict=False)
        self._updates = msgspec.json.Decoder(list[account_wire.OrderUpdate], strict=False)
        self._spot = msgspec.json.Decoder(account_wire.UserSpotState, strict=False)
        self._event = msgspec.json.Decoder(account_wire.UserEvent, strict=False)
        self._fills = msgspec.json.Decoder(account_wire.UserFills, strict=False)
        self._fundings = msgspec.json.Decoder(account_wire.UserFundings, strict=False)
        self._ledger = msgspec.json.Decoder(account_wire.UserLedger, strict=False)
        self.handlers: dict[str, Handler] = {
            "allDexsClearinghouseState": self.all_states,
            "clearinghouseState": self.dex_state,
            "openOrders": self.orders,
            "orderUpdates": self.order_updates,
            "spotState": self.spot,
            "user": self.user_event,
            "userFills": self.fills,
            "userFundings": self.fundings,
            "userNonFundingLedgerUpdates": self.ledger,
        }

    def _channel(self, feed: str, dex: str = "") -> str:
        alias = self._account.alias
        return channel_id(VENUE, feed, f"{alias}.{dex}" if dex else alias)

    def _own(self, user: str) -> None:
        if user.lower() != self._account.address:
            raise DecodeError(
                f"hyperliquid: user is {user[:6]!r}…, not the account {self._account.alias!r}",
            )

    def all_states(self, data: msgspec.Raw, now: int | None) -> tuple[Event, ...]:
        """``allDexsClearinghouseState``: every dex at once, so new ones are noticed here."""
        frame = self._all_states.decode(data)
        self._own(frame.user)
        for dex, state in frame.clearinghouse_states:
            refuse_future(state.time, now, f"clearinghouseState {dex[:20]!r}: time")
        states = {dex: state for dex, state in frame.clearinghouse_states if self._used(dex, state)}
        return self._states_events(states, None, now)

    def pushed_states(self, frame: account_wire.PushedStates, now: int | None) -> tuple[Event, ...]:
        """The same of a frame whose positions are still bytes: those of the push before are not
        read again."""
        self._own(frame.user)
        states: dict[str, account_wire.ClearinghouseState] = {}
        reports: dict[str, tuple[PositionReport, ...]] = {}
        seen: dict[bytes, _Row] = {}
        for dex, pushed in frame.clearinghouse_states:
            refuse_future(pushed.time, now, f"clearinghouseState {dex[:20]!r}: time")
            rows = [self._row(raw, seen) for raw in pushed.asset_positions]
            state = account_wire.ClearinghouseState(
                [entry for entry, _ in rows],
                pushed.margin_summary,
                pushed.cross_margin_summary,
                pushed.cross_maintenance_margin_used,
                pushed.withdrawable,
                pushed.time,
            )
            if self._used(dex, state):
                states[dex] = state
                reports[dex] = tuple([report for _, report in rows if report is not None])
        self._rows = seen
        return self._states_events(states, reports, now)

    def _row(self, raw: msgspec.Raw, seen: dict[bytes, _Row]) -> _Row:
        text = bytes(raw)
        row = self._rows.get(text)
        if row is None:
            entry = self._position.decode(text)
            row = (entry, position_report(entry.position))
        seen[text] = row
        return row

    def _used(self, dex: str, state: account_wire.ClearinghouseState) -> bool:
        """Whether the account holds, or ever held, something there."""
        account = self._account
        if dex not in account.dexes:
            if not is_used(state):
                return False
            account.use(dex)
        return True

    def _states_events(
        self,
        states: dict[str, account_wire.ClearinghouseState],
        reports: dict[str, tuple[PositionReport, ...]] | None,
        now: int | None,
    ) -> tuple[Event, ...]:
        account = self._account
        complete = account.dexes <= states.keys()
        if not complete:
            self.wants.add("clearinghouseState")  # a used dex left out is not a closed one
        return account_events(
            account,
            states,
            source=STREAM,
            channel=self._states_channel,
            markets=self._knowledge.markets,
            prices=self._knowledge.prices,
            now=now,
            complete=complete,
            reports=reports,
        )

    def dex_state(self, data: msgspec.Raw, now: int | None) -> tuple[Event, ...]:
        """``clearinghouseState`` of one dex."""
        frame = self._state.decode(data)
        self._own(frame.user)
        refuse_future(frame.clearinghouse_state.time, now, "clearinghouseState: time")
        return account_events(
            self._account,
            {frame.dex: frame.clearinghouse_state},
            source=STREAM,
            channel=self._channel("clearinghouseState", frame.dex),
            markets=self._knowledge.markets,
            prices=self._knowledge.prices,
            now=now,
            complete=self._account.dexes <= {frame.dex},
        )

    def orders(self, data: msgspec.Raw, now: int | None) -> tuple[Event, ...]:
        """``openOrders`` of one dex, the whole list each time."""
        del now
        frame = self._orders.decode(data)
        self._own(frame.user)
        return orders_events(
            self._account,
            {frame.dex: frame.orders},
            source=STREAM,
            channel=self._channel("openOrders", frame.dex),
            markets=self._knowledge.markets,
        )

    def order_updates(self, data: msgspec.Raw, now: int | None) -> tuple[Event, ...]:
        """``orderUpdates``: no snapshot, no replay, no address."""
        del now
        return order_update_events(
            self._account,
            self._updates.decode(data),
            source=STREAM,
            channel=self._channel("orderUpdates"),
            markets=self._knowledge.markets,
        )

    def spot(self, data: msgspec.Raw, now: int | None) -> tuple[Event, ...]:
        """``spotState``: the collateral of a pooled account."""
        frame = self._spot.decode(data)
        self._own(frame.user)
        knowledge = self._knowledge
        return spot_events(
            self._account,
            frame.spot_state,
            source=STREAM,
            channel=self._channel("spotState"),
            prices=knowledge.prices,
            collateral_tokens=knowledge.collateral_tokens(),
            now=now,
        )

    def user_event(self, data: msgspec.Raw, now: int | None) -> tuple[Event, ...]:
        """``user``, the channel of ``userEvents``; kinds we do not know are nothing to us."""
        del now
        frame = self._event.decode(data)
        account, markets = self._account, self._knowledge.markets
        channel = self._channel("userEvents")
        if frame.fills:
            return fill_events(
                account, frame.fills, history=False, channel=channel, markets=markets
            )
        if frame.funding is not None:
            payment = frame.funding
            return funding_paid_events(
                account,
                [(payment.time, payment)],
                history=False,
                channel=channel,
                markets=markets,
            )
        if frame.liquidation is not None:
            self.wants.update(
                ("clearinghouseState", "frontendOpenOrders", "spotClearinghouseState")
            )
            return liquidation_events(account, frame.liquidation, channel)
        if frame.non_user_cancel:
            self.wants.add("frontendOpenOrders")  # says neither side nor size of what is gone
        return ()

    def fills(self, data: msgspec.Raw, now: int | None) -> tuple[Event, ...]:
        """``userFills``; the first frame is history."""
        del now
        frame = self._fills.decode(data)
        self._own(frame.user)
        return fill_events(
            self._account,
            frame.fills,
            history=bool(frame.is_snapshot),
            channel=self._channel("userFills"),
            markets=self._knowledge.markets,
        )

    def fundings(self, data: msgspec.Raw, now: int | None) -> tuple[Event, ...]:
        """``userFundings``; the first frame is history."""
        del now
        frame = self._fundings.decode(data)
        self._own(frame.user)
        return funding_paid_events(
            self._account,
            [(payment.time, payment) for payment in frame.fundings],
            history=bool(frame.is_snapshot),
            channel=self._channel("userFundings"),
            markets=self._knowledge.markets,
        )

    def ledger(self, data: msgspec.Raw, now: int | None) -> tuple[Event, ...]:
        """``userNonFundingLedgerUpdates``; the first frame is history."""
        del now
        frame = self._ledger.decode(data)
        self._own(frame.user)
        return transfer_events(
            self._account,
            frame.non_funding_ledger_updates,
            history=bool(frame.is_snapshot),
            channel=self._channel("userNonFundingLedgerUpdates"),
            markets=self._knowledge.markets,
            alias_of=self._knowledge.alias_of,
        )
