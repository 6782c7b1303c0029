"""How a simulated world is set up, apart from its seed."""

from __future__ import annotations

import msgspec


class WorldConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``step_s`` is the grid of time; ``jumps_per_day`` how often the common factor (and each
    asset by itself) jumps by about one percent; ``desk`` opens the default desk's accounts;
    ``networks`` are the EIP-712 sources that Hyperliquid's signatures may name (``a`` mainnet,
    ``b`` testnet; clients that only had their URL changed sign for the latter)."""

    step_s: float = 0.5
    jumps_per_day: float = 0.2
    desk: bool = True
    networks: tuple[str, ...] = ("a", "b")
