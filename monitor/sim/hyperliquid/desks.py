"""Who may act for whom on the simulated Hyperliquid, when, and how often.

Checks of a request before anybody looks at what it asks for: the signer, the account acted for, the
expiry, the nonce, and the address's budget of requests.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from decimal import Decimal

from monitor.sim.accounts import SimAccount, SimPool
from monitor.sim.faults import Fault, FaultKind
from monitor.sim.hyperliquid import actions, signatures
from monitor.sim.hyperliquid.actions import Envelope
from monitor.sim.hyperliquid.market_views import clock_offset_s, venue_of
from monitor.sim.hyperliquid.wire import ms
from monitor.sim.markets import SimMarket
from monitor.sim.orders import Place
from monitor.sim.world import World

VENUE = "hyperliquid"
FIRST_REQUESTS = 10_000
CANCELS_MORE = 100_000
OVER_BUDGET_PERIOD_S = 10.0  # one action passes that often once the budget is used up
EXPIRED_COST = 5
NONCES_KEPT = 100
DAY_MS = 86_400_000
SPOT_ASSETS = 10_000
DEX_ASSETS = 100_000
CANCELS = (actions.Cancel, actions.CancelByCloid, actions.ScheduleCancel, actions.TwapCancel)


class RefusedError(Exception):
    """The whole request is refused with this text, under HTTP 200."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The account that a request acts for."""

    world: World
    account: SimAccount

    def market(self, asset: int) -> SimMarket | None:
        """The market behind an asset id; None for spot pairs and for what does not exist."""
        venue = venue_of(self.world)
        dexes = venue.dexes()
        dex, index = divmod(asset - DEX_ASSETS, SPOT_ASSETS) if asset >= DEX_ASSETS else (0, asset)
        if dex >= len(dexes) or (asset >= DEX_ASSETS and dex == 0):
            return None
        listed = venue.markets_of(dexes[dex])
        return listed[index] if index < len(listed) else None

    def place(self, market: SimMarket) -> Place:
        """Where orders in ``market`` work."""
        return Place(self.world, VENUE, self.account.address, market.spec.dex, market.symbol)

    def pool(self, market: SimMarket) -> SimPool:
        """The margin pool of ``market``."""
        return self.world.pool(VENUE, self.account.address, market.spec.dex)

    def fault(self, kind: FaultKind, channel: str = "*") -> Fault | None:
        """A fault that names this account or all of them."""
        return fault_for(self.world, self.account, kind, channel)


def fault_for(
    world: World, account: SimAccount, kind: FaultKind, channel: str = "*"
) -> Fault | None:
    """A fault that hits ``account`` by address or label, or everybody."""
    for name in (account.address, account.label):
        found = world.faults.find(kind, VENUE, channel, name)
        if found is not None:
            return found
    return None


def clock_ms(world: World) -> int:
    """The venue's clock, with the fault that sets it wrong."""
    return ms(world.wall_s + clock_offset_s(world))


# ----------------------------------------------------------------------------------------- signers


def signer_of(world: World, envelope: Envelope) -> SimAccount:
    """The user or API wallet that signed, whichever network the signature is for.

    Raises:
        RefusedError: If there is none; a wrong signature is somebody nobody knows.
    """
    vault = None if envelope.vault_address is None else envelope.vault_address.lower()
    connection = signatures.connection_id(
        actions.canonical(envelope.action), envelope.nonce, vault, envelope.expires_after
    )
    said, unknown = envelope.signature, ""
    for source in world.config.networks:
        try:
            address = signatures.recover(
                signatures.digest(connection, source), int(said.r, 16), int(said.s, 16), said.v
            )
        except signatures.UnrecoverableError as error:
            raise RefusedError("Unable to recover signer.") from error
        account = venue_of(world).accounts.get(address)
        if account is not None and not _is_gone(world, account):
            return account
        unknown = address if account is not None else unknown or address
    raise RefusedError(f"L1 error: User or API Wallet {unknown} does not exist.")


def _is_gone(world: World, account: SimAccount) -> bool:
    """Whether a key is good for nothing: a sub-account's (it has none) or a pruned API wallet's."""
    if account.role == "user":
        return False
    if account.role != "agent" or account.master is None:
        return True
    if account.valid_until_s is not None and clock_ms(world) >= ms(account.valid_until_s):
        return True
    master = venue_of(world).accounts[account.master]
    return any(fault_for(world, one, FaultKind.AGENTS_PRUNED) for one in (account, master))


def account_for(world: World, signer: SimAccount, vault: str | None) -> SimAccount:
    """The account that ``signer`` acts for: its master's, or a sub-account or vault of that.

    Raises:
        RefusedError: If that is not the signer's.
    """
    accounts = venue_of(world).accounts
    own = accounts[signer.master] if signer.role == "agent" and signer.master else signer
    if vault is None:
        if own.equity <= 0 and not own.pools:
            raise RefusedError(f"Must deposit before performing actions. User: {own.address}")
        return own
    acted_for = accounts.get(vault.lower())
    if acted_for is None or acted_for.role not in {"subAccount", "vault"}:
        raise RefusedError(f"Vault not registered: {vault.lower()}")
    if acted_for.master != own.address:
        raise RefusedError(f"User {own.address} cannot act for {vault.lower()}.")
    return acted_for


# ------------------------------------------------------------------------------- nonces and budget


def check_nonce(world: World, signer: SimAccount, nonce: int) -> None:
    """Whether ``nonce`` is new to ``signer`` and near the venue's time.

    Raises:
        RefusedError: With the venue's text.
    """
    now_ms = clock_ms(world)
    if nonce in signer.nonces:
        raise RefusedError(f"Invalid nonce: duplicate nonce {nonce}")
    full = len(signer.nonces) >= NONCES_KEPT
    least = max(now_ms - 2 * DAY_MS, signer.nonces[0] if full else 0)
    if nonce < least:
        raise RefusedError(f"Invalid nonce: nonce too low {nonce} < {least}")
    if nonce > now_ms + DAY_MS:
        raise RefusedError(f"Invalid nonce: nonce too high {nonce} > {now_ms + DAY_MS}")


def use_nonce(signer: SimAccount, nonce: int) -> None:
    """Remember ``nonce`` among the hundred highest."""
    insort(signer.nonces, nonce)
    del signer.nonces[:-NONCES_KEPT]


def requests_cap(volume_usd: Decimal) -> int:
    """How many requests an address may send in all."""
    return FIRST_REQUESTS + int(volume_usd)


def check_budget(world: World, account: SimAccount, action: actions.Action) -> None:
    """Whether the address still has requests; cancels have more of them.

    Raises:
        RefusedError: If not, and another action passed less than ten seconds ago.
    """
    limit = requests_cap(account.volume_usd)
    cap = min(limit + CANCELS_MORE, 2 * limit) if isinstance(action, CANCELS) else limit
    wanted = account.requests_used + actions.batch_length(action)
    if wanted <= cap:
        return
    if world.wall_s - account.over_budget_s >= OVER_BUDGET_PERIOD_S:
        account.over_budget_s = world.wall_s
        return
    raise RefusedError(
        f"Too many cumulative requests sent ({wanted} > {cap}) for cumulative volume traded "
        f"${account.volume_usd:.2f}. Place taker orders to free up 1 request per USDC traded."
    )
