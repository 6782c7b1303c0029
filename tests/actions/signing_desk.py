"""A signer in this process, with limits that tests can name, and requests for it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from monitor.actions.messages import SignRequest
from monitor.actions.settings import ActingAccount, KeySource, SignerSettings
from monitor.actions.signer import Signer, SignerState
from monitor.core.ports import Clock
from monitor.venues.hyperliquid.actions import Reduce, ReduceLine
from monitor.venues.hyperliquid.signing import SigningKey
from tests.manual_clock import START_NS

KEY_TEXT = "0x" + "0123456789" * 6 + "0123"
KEY = SigningKey.from_text(KEY_TEXT)
MAIN = ActingAccount("main", "0x51a0000000000000000000000000000000000001")
SUB_ADDRESS = "0x51a0000000000000000000000000000000000002"
SUB = ActingAccount("sub", SUB_ADDRESS, SUB_ADDRESS)
NOW_MS = START_NS // 1_000_000


def client_id(number: int) -> str:
    """A client id as the venue wants it."""
    return f"0x{number:032x}"


def limits(**more: object) -> SignerSettings:
    """Small round limits."""
    values: dict[str, object] = {
        "key": KeySource(env="SIGNER_KEY"),
        "notional_usd_per_hour": Decimal(1000),
        "bound_bps": 100.0,
        "bounds_bps_by_asset": {1: 50.0},
        "expiry_s_max": 60.0,
    }
    return SignerSettings.model_validate({**values, **more})


def make_signer(folder: Path, clock: Clock, **more: object) -> Signer:
    """A signer over the files in ``folder``."""
    return Signer(
        KEY,
        (MAIN, SUB),
        limits(**more),
        mainnet=False,
        state=SignerState(folder / "signer-state.json"),
        clock=clock,
    )


def line(
    limit: str = "100",
    size: str = "1",
    *,
    buy: bool = False,
    asset: int = 0,
    number: int = 1,
) -> ReduceLine:
    """One reduce-only order."""
    return ReduceLine(
        asset=asset,
        is_buy=buy,
        limit_price=Decimal(limit),
        size=Decimal(size),
        client_id=client_id(number),
    )


def reduce_request(
    *lines: ReduceLine,
    references: tuple[str, ...] | None = None,
    expires_ms: int | None = NOW_MS + 30_000,
    account: str = "main",
) -> SignRequest:
    """A request to reduce; references default to 100 each."""
    given = ("100",) * len(lines) if references is None else references
    return SignRequest(
        account=account,
        action=Reduce(lines=lines),
        references=tuple(Decimal(one) for one in given),
        expires_after_ms=expires_ms,
    )
