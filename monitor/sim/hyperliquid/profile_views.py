"""What the simulated Hyperliquid says about who an address is, and its web page's summaries."""

from __future__ import annotations

from monitor.sim.accounts import ZERO, SimAccount
from monitor.sim.hyperliquid.account_views import (
    account_of,
    clearinghouse_state,
    pool_of,
    spot_state,
)
from monitor.sim.hyperliquid.history_views import open_orders, order_full, transfers
from monitor.sim.hyperliquid.market_views import (
    SPOT_PAIRS,
    contexts,
    meta,
    spot_context,
    state_time_ms,
    venue_of,
)
from monitor.sim.hyperliquid.twap_views import running_twaps
from monitor.sim.hyperliquid.wire import Json, JsonObject, dollars, ms, number
from monitor.sim.markets import SimMarket
from monitor.sim.world import World

FIRST_REQUESTS = 10_000


def user_role(world: World, user: str) -> Json:
    """``userRole``: what kind of address this is, and whose."""
    account = venue_of(world).accounts.get(user.lower())
    if account is None:
        return {"role": "missing"}
    if account.role == "agent":
        return {"role": "agent", "data": {"user": account.master}}
    if account.role == "subAccount":
        return {"role": "subAccount", "data": {"master": account.master}}
    return {"role": account.role}


def sub_accounts(world: World, user: str) -> Json:
    """``subAccounts``: null where there are none."""
    rows: list[Json] = [
        {
            "name": account.label,
            "subAccountUser": account.address,
            "master": account.master,
            "clearinghouseState": clearinghouse_state(world, account.address, ""),
            "spotState": spot_state(world, account.address),
        }
        for account in venue_of(world).accounts.values()
        if account.role == "subAccount" and account.master == user.lower()
    ]
    return rows or None


def extra_agents(world: World, user: str) -> Json:
    """``extraAgents``: API wallets of ``user`` with their expiry."""
    return [
        {
            "name": account.label,
            "address": account.address,
            "validUntil": None if account.valid_until_s is None else ms(account.valid_until_s),
        }
        for account in venue_of(world).accounts.values()
        if account.role == "agent" and account.master == user.lower()
    ]


def vault_equities(world: World, user: str) -> Json:
    """``userVaultEquities``."""
    account = account_of(world, user)
    if account is None:
        return []
    return [
        {
            "vaultAddress": vault,
            "equity": dollars(equity),
            "lockedUntilTimestamp": ms(world.start_s) + 4 * 86_400 * 1_000,
        }
        for vault, equity in account.vault_equities.items()
    ]


def rate_limit(world: World, user: str) -> JsonObject:
    """``userRateLimit``: 10 000 requests and one more per dollar traded."""
    account = account_of(world, user)
    volume = ZERO if account is None else account.volume_usd
    return {
        "cumVlm": dollars(volume),
        "nRequestsUsed": 0 if account is None else account.requests_used,
        "nRequestsCap": FIRST_REQUESTS + int(volume),
        "nRequestsSurplus": 0,
    }


def abstraction(world: World, user: str) -> str:
    """``userAbstraction``."""
    account = account_of(world, user)
    return "default" if account is None else account.mode


def portfolio(world: World, user: str) -> Json:
    """``portfolio``: eight periods over the account's recorded equity."""
    account = account_of(world, user)
    history = [] if account is None else account.equity_history
    periods: list[Json] = []
    spans_s = {"day": 86_400.0, "week": 604_800.0, "month": 2_592_000.0, "allTime": 1e12}
    for prefix in ("", "perp"):
        for name, span_s in spans_s.items():
            label = f"perp{name[0].upper()}{name[1:]}" if prefix else name
            rows = [row for row in history if row[0] >= world.now_s - span_s]
            first = rows[0] if rows else None
            values: list[Json] = [[ms(time_s), dollars(equity)] for time_s, equity, _ in rows]
            gains: list[Json] = [
                [ms(time_s), dollars((equity - first[1]) - (flow - first[2]))]
                for time_s, equity, flow in rows
                if first is not None
            ]
            volume = ZERO if account is None else account.volume_usd
            periods.append(
                [
                    label,
                    {
                        "accountValueHistory": values,
                        "pnlHistory": gains,
                        "vlm": dollars(volume),
                    },
                ]
            )
    return periods


def active_asset_data(world: World, user: str, market: SimMarket) -> JsonObject:
    """``activeAssetData``: how much could be traded in one market."""
    pool = pool_of(world, user, market.spec.dex)
    position = pool.positions.get(market.symbol)
    leverage, isolated = pool.leverage_of(market.symbol)
    free = dollars(max(ZERO, pool.cross_equity - pool.initial_margin))
    size = max(ZERO, pool.cross_equity - pool.initial_margin) * leverage / market.mark_price
    most = number(size.quantize(market.size_step))
    said: JsonObject = {"type": "isolated" if isolated else "cross", "value": leverage}
    if position is not None and position.isolated_cash is not None:
        said["rawUsd"] = dollars(position.isolated_cash)
    return {
        "user": user,
        "coin": market.symbol,
        "leverage": said,
        "maxTradeSzs": [most, most],
        "availableToTrade": [free, free],
    }


def web_data2(world: World, user: str) -> JsonObject:
    """``webData2`` (legacy): everything of the first dex at once."""
    account = account_of(world, user)
    return {
        "clearinghouseState": clearinghouse_state(world, user, ""),
        "leadingVaults": [],
        "totalVaultEquity": _vault_total(account),
        "openOrders": open_orders(world, user, "", order_full),
        "agentAddress": None,
        "agentValidUntil": None,
        "cumLedger": _cumulative_ledger(world, user),
        "meta": meta(world, ""),
        "assetCtxs": contexts(world, ""),
        "serverTime": state_time_ms(world),
        "isVault": account is not None and account.role == "vault",
        "user": user,
        "twapStates": running_twaps(world, user, ""),
        "spotState": spot_state(world, user),
        "spotAssetCtxs": [spot_context(world, name) for name, _, _ in SPOT_PAIRS],
    }


def web_data3(world: World, user: str) -> JsonObject:
    """``webData3``: neither positions nor orders, one entry per dex."""
    account = account_of(world, user)
    dexes: list[Json] = [
        {"totalVaultEquity": _vault_total(account) if not dex else "0.0"}
        for dex in venue_of(world).dexes()
    ]
    state: JsonObject = {
        "agentAddress": None,
        "agentValidUntil": None,
        "cumLedger": _cumulative_ledger(world, user),
        "serverTime": state_time_ms(world),
        "isVault": account is not None and account.role == "vault",
        "user": user,
    }
    if account is not None and account.mode != "default":
        state["abstraction"] = account.mode
    return {"userState": state, "perpDexStates": dexes}


def _vault_total(account: SimAccount | None) -> str:
    held = [] if account is None else list(account.vault_equities.values())
    return dollars(sum(held, ZERO))


def _cumulative_ledger(world: World, user: str) -> str:
    return dollars(sum((row.amount_usd for _, row in transfers(world, user)), ZERO))
