"""A signer that is gone is told before it is needed."""

from __future__ import annotations

from decimal import Decimal

from monitor.actions.messages import Counters
from monitor.app.signer_watch import SignerWatch, watches
from monitor.core.killswitch.facts import KillNotice
from tests.manual_clock import ManualClock

COUNTERS = Counters(
    signed={"Cancel": 3},
    refused={"cap": 1},
    notional_used_usd=Decimal(5),
    notional_cap_usd=Decimal(10),
)


class Signer:
    """There or not."""

    def __init__(self) -> None:
        self.there = True

    async def counters(self) -> Counters | None:
        """What it did."""
        return COUNTERS if self.there else None


async def test_one_miss_is_a_restart_two_are_a_page() -> None:
    """Said once, ended once; what it said last is kept."""
    told: list[KillNotice] = []
    signer = Signer()
    watch = SignerWatch(signer, venue="hyperliquid", clock=ManualClock(), tell=told.append)
    await watch.look()
    assert watch.counters == COUNTERS
    signer.there = False
    await watch.look()
    assert told == []
    for _ in range(3):
        await watch.look()
    assert [(one.key, one.resolved) for one in told] == [("signer/hyperliquid", False)]
    assert "cannot cancel or cut" in told[0].summary
    assert watch.counters == COUNTERS
    signer.there = True
    await watch.look()
    await watch.look()
    assert [one.resolved for one in told] == [False, True]
    signer.there = False
    await watch.look()
    assert len(told) == 2, "counted anew"


async def test_a_page_of_an_earlier_process_ends_when_it_answers() -> None:
    """Neither told again while it lasts, nor left standing when it is over or not asked for."""
    told: list[KillNotice] = []
    signer = Signer()
    signer.there = False
    (watch,) = watches(
        ["hyperliquid"],
        signer,
        clock=ManualClock(),
        tell=told.append,
        standing=("signer/hyperliquid", "signer/elsewhere"),
    )
    assert [(one.key, one.resolved) for one in told] == [("signer/elsewhere", True)]
    for _ in range(4):
        await watch.look()
    assert len(told) == 1
    signer.there = True
    await watch.look()
    assert [(one.key, one.resolved) for one in told[1:]] == [("signer/hyperliquid", True)]
