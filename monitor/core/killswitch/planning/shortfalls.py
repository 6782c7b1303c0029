"""What a target asks for and the venues do not allow, leg by leg, in words for a page. *Pure.*"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext

from monitor.core.killswitch.plan import Shortfall
from monitor.core.killswitch.planning.cutting import Cuts
from monitor.core.killswitch.planning.legs import DARK, Leg
from monitor.core.killswitch.planning.pairing import Pairing, Stuck
from monitor.core.killswitch.planning.pricing import EXACT, plain

_TOO_FINE = "smaller than the lots it can be cut in"


def missing(pairing: Pairing, cuts: Cuts, missing_usd: Decimal) -> tuple[Shortfall, ...]:
    """Shortfalls that add up to ``missing_usd``, shared in proportion to what each leg keeps.

    A position that nobody can price is always among them (with 0 USD, since its value is not
    known, and its size in words), and so is one of a dark account, even where others make up
    for it.
    """
    with localcontext(EXACT):
        kept = list(_kept(pairing, cuts))
        total = sum((usd for _, _, usd in kept), Decimal(0))
        found: dict[tuple[str, str], tuple[Leg, str, Decimal]] = {}
        for leg, reason, usd in kept:
            share = usd * missing_usd / total if missing_usd > 0 and total else Decimal(0)
            if not share and leg.price is not None and reason != DARK:
                continue
            known = found.get((leg.name, reason))
            found[leg.name, reason] = (leg, reason, share + (known[2] if known else Decimal(0)))
    return tuple(
        Shortfall(
            venue=leg.venue,
            account=leg.account,
            market=leg.market,
            usd=float(usd),
            reason=reason,
        )
        for _, (leg, reason, usd) in sorted(found.items(), key=lambda item: item[0])
    )


def _kept(pairing: Pairing, cuts: Cuts) -> Iterator[tuple[Leg, str, Decimal]]:
    """(leg, why it stays, USD) of all that no later round could cut either."""
    for stuck in pairing.stuck:
        yield stuck.leg, _reason(stuck), _usd(stuck.leg, stuck.amount)
    for piece in (*pairing.alone, *pairing.pairs):
        sizes = cuts.taken.get(piece, (Decimal(0),) * len(piece.legs))
        for leg, amount, size in zip(piece.legs, piece.amounts, sizes, strict=True):
            if amount > size:
                yield leg, _TOO_FINE, _usd(leg, amount - size)


def _reason(stuck: Stuck) -> str:
    if stuck.leg.price is not None:
        return stuck.reason
    return f"{stuck.reason}: {format(plain(stuck.leg.size), 'f')} {stuck.leg.asset} not counted"


def _usd(leg: Leg, amount: Decimal) -> Decimal:
    return Decimal(0) if leg.price is None else amount * leg.price
