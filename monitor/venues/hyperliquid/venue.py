"""Hyperliquid, composed: bootstrap, connections and re-reads within the venue's limits.

*Pure.*
"""

from __future__ import annotations

import difflib
import math

from monitor.core.errors import ConfigError, Problem
from monitor.core.ports import Poll, RateBudget, StreamProtocol
from monitor.venues.hyperliquid.endpoints import BUDGET, request_weight
from monitor.venues.hyperliquid.knowledge import Account, Discovered, Knowledge
from monitor.venues.hyperliquid.polls import (
    DexListPoll,
    ExchangeStatusPoll,
    FundingHistoryPoll,
    InfoPoll,
    MarketsPoll,
    SpotPricesPoll,
)
from monitor.venues.hyperliquid.polls_account import (
    BalancesPoll,
    OrdersPoll,
    PositionsPoll,
    RateLimitPoll,
    TwapsPoll,
    history_polls,
)
from monitor.venues.hyperliquid.polls_baseline import (
    BaselinePoll,
    FundingBaselinePoll,
    PriceBaselinePoll,
)
from monitor.venues.hyperliquid.polls_identity import AccountModePoll, DiscoveryPoll
from monitor.venues.hyperliquid.polls_past import PastFundingPoll
from monitor.venues.hyperliquid.settings import CONNECTIONS_MAX, VENUE, HyperliquidSettings
from monitor.venues.hyperliquid.stream_market import COINS_PER_CONNECTION, MarketStream
from monitor.venues.hyperliquid.stream_user import UserStream

# What rows and second pages add is not in the plan, and history is read beside it: the budget keeps
# a share for it, and background reads wait where all others have spent 0.6.
_PLANNED_SHARE = 0.55
# Of what truth alone may take; beyond it nothing else would ever be read.
_TRUTH_SHARE = 0.85
# Truth and health keep their pace; the rest may be slowed down to fit the budget.
_STEADY = frozenset({"clearinghouseState", "exchangeStatus", "spotClearinghouseState"})


class HyperliquidVenue:
    """The venue as ``ports.Venue`` wants it; ``streams`` and ``polls`` need the bootstrap done."""

    def __init__(self, settings: HyperliquidSettings) -> None:
        self.name = VENUE
        self.budget: RateBudget = BUDGET
        self.settings = settings
        self.knowledge = Knowledge(settings)

    def bootstrap(self) -> tuple[Poll, ...]:
        """The dexes; each account's role, mode and dexes; then the markets of the followed ones."""
        knowledge = self.knowledge
        accounts = tuple(DiscoveryPoll(knowledge, account) for account in tuple(knowledge.accounts))
        return (DexListPoll(knowledge), *accounts, MarketsPoll(knowledge))

    def streams(self) -> tuple[StreamProtocol, ...]:
        """Market connections, and one connection per account.

        Raises:
            ConfigError: For markets or dexes that are configured and do not exist, each with the
                nearest name.
        """
        self._check_names()
        knowledge = self.knowledge
        knowledge.watchlist.add(self._asked_markets())
        users = [UserStream(knowledge, account) for account in knowledge.accounts]
        free = CONNECTIONS_MAX - len(users)
        wanted = max(1, math.ceil(len(knowledge.watchlist) / COINS_PER_CONNECTION))
        count = min(free, wanted)
        markets = [MarketStream(knowledge, index, count) for index in range(count)]
        return (*markets, *users)

    def polls(self) -> tuple[Poll, ...]:
        """The re-reads, slowed down where their plan exceeds the budget.

        Raises:
            ConfigError: If the truth alone does not fit.
        """
        knowledge = self.knowledge
        polls: list[InfoPoll] = [
            ExchangeStatusPoll(knowledge),
            MarketsPoll(knowledge),
            FundingHistoryPoll(knowledge),
        ]
        if self.settings.baselines:
            month = FundingBaselinePoll(knowledge)
            polls += [month, PriceBaselinePoll(knowledge)]
            polls.append(PastFundingPoll(knowledge, lambda: month.complete))
        if knowledge.accounts:  # a mode may change later, and prices must be there by then
            polls.append(SpotPricesPoll(knowledge))
        for account in knowledge.accounts:
            polls += [
                PositionsPoll(knowledge, account),
                BalancesPoll(knowledge, account),
                OrdersPoll(knowledge, account),
                TwapsPoll(knowledge, account),
                *history_polls(knowledge, account),
                RateLimitPoll(knowledge, account),
                AccountModePoll(knowledge, account),
            ]
        stretch = self._stretch(polls)
        for poll in polls:
            if poll.kind not in _STEADY:
                poll.period_s *= stretch
        return tuple(polls)

    def discovered(self) -> tuple[Discovered, ...]:
        """Sub-accounts and vaults found behind the configured addresses and not watched.

        To watch them, configure their addresses, or set ``watch_subaccounts``.
        """
        known = {account.address for account in self.knowledge.accounts}
        return tuple(
            found for found in self.knowledge.discovered.values() if found.address not in known
        )

    def accounts(self) -> tuple[Account, ...]:
        """The watched accounts with what was learnt of them."""
        return tuple(self.knowledge.accounts)

    # ------------------------------------------------------------------------------ internal

    def _asked_markets(self) -> tuple[str, ...]:
        asked = self.settings.markets
        if asked == "held":
            return ()
        if asked == "majors":
            return tuple(coin for coin in self.settings.majors if coin in self.knowledge.markets)
        return asked

    def _check_names(self) -> None:
        problems = []
        markets = self.knowledge.markets
        if self.settings.dexes != "auto":
            problems += [
                _unknown("dexes", name, markets.dex_names, "a perp dex")
                for name in self.settings.dexes
                if name not in markets.dex_names
            ]
        if self.settings.markets not in {"held", "majors"}:
            problems += [
                _unknown("markets", coin, tuple(markets.all_names()), "a market of a followed dex")
                for coin in self._asked_markets()
                if coin not in markets
            ]
        if problems:
            raise ConfigError(problems)

    def _stretch(self, polls: list[InfoPoll]) -> float:
        reads = self.budget.capacity - self.budget.reserve
        per_window = {True: 0.0, False: 0.0}
        for poll in polls:
            if isinstance(poll, BaselinePoll | PastFundingPoll):
                continue  # patient: they take what the budget keeps for them
            weight = request_weight(poll.kind) * self._requests(poll)
            per_window[poll.kind in _STEADY] += weight * self.budget.window_s / poll.period_s
        fixed, slowable = per_window[True], per_window[False]
        if fixed > reads * _TRUTH_SHARE:
            raise ConfigError(
                f"hyperliquid: re-reading the truth of {len(self.knowledge.accounts)} accounts "
                f"needs {fixed:.0f} of the {reads * _TRUTH_SHARE:.0f} request weight that may be "
                "spent on it a minute. Lengthen polls.positions_s or watch fewer accounts from "
                "this machine",
            )
        room = max(reads * _PLANNED_SHARE - fixed, reads * (1.0 - _TRUTH_SHARE))
        return max(1.0, slowable / room)

    def _requests(self, poll: InfoPoll) -> int:
        account = self.knowledge.account_named(poll.key)
        match poll.kind:
            case "clearinghouseState" | "frontendOpenOrders" if account is not None:
                return len(account.dexes)
            case "metaAndAssetCtxs":
                return len(self.knowledge.followed) + 1
            case "fundingHistory":
                return max(1, len(self.knowledge.watchlist), len(self.knowledge.leaders()))
            case "userAbstraction":
                return 3
            case _:
                return 1


def _unknown(field: str, name: str, known: tuple[str, ...], what: str) -> Problem:
    nearest = difflib.get_close_matches(name, known, n=1)
    return Problem(
        where="configuration",
        field=f"hyperliquid.{field}",
        message=f"{name!r} is not {what} on the venue now.",
        found=name,
        nearest=nearest[0] if nearest else None,
    )
