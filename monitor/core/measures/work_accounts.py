"""How margin and loss come about, line by line, for whoever does them again by hand.

Lines as in ``work_words``. Asked only when a person wants to know. *Pure.*
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.core.formulas.drawdown import DrawdownMemory
from monitor.core.formulas.ratios import MARGIN_USAGE_MAX
from monitor.core.measures.definition import Key
from monitor.core.measures.drawdown import WINDOWS
from monitor.core.measures.exposure import holding_of, is_closed
from monitor.core.measures.liquidation import has_own_rules
from monitor.core.measures.tree import AccountNode, Node, PositionNode
from monitor.core.measures.use import Use
from monitor.core.measures.work_parts import equity_parts
from monitor.core.measures.work_words import Steps, bare, divided, step, usd
from monitor.core.state.model import Sides
from monitor.core.types import SubjectKind

_EQUITY = "equity_usd"
_WIDE = (SubjectKind.ACCOUNT, SubjectKind.VENUE, SubjectKind.PORTFOLIO)


def _gone(equity_usd: float) -> Steps:
    return (f"equity {usd(equity_usd)} is gone: the worst there is",)


# ------------------------------------------------------------------------------- over equity


def work_margin_usage(node: AccountNode, use: Use) -> Steps:
    """Of the account and of its cross pool; the larger counts."""
    required, equity = use.read(node, "maintenance_margin_usd"), use.read(node, _EQUITY)
    if required is None or equity is None:
        return ()
    sums = [("account", required, equity)]
    if not has_own_rules(node):
        pool = node.holdings
        if (pool.pool_maintenance_usd, pool.pool_equity_usd) != (required, equity):
            sums.append(("its cross pool", pool.pool_maintenance_usd, pool.pool_equity_usd))
    told: list[str] = []
    for words, over, under in sums:
        if over > 0.0 >= under:
            told.append(f"{words}: equity {usd(under)} is gone: {MARGIN_USAGE_MAX:g}")
        elif under > 0.0:
            told.append(divided(f"{words}, maintenance / equity", over, under))
    return tuple(told)


def work_equity_share(node: PositionNode, use: Use) -> Steps:
    """|Position| over the account's equity."""
    holding = None if is_closed(node, use) else holding_of(node, use)
    equity = use.read(node.owner, _EQUITY)
    if holding is None or equity is None:
        return ()
    if equity <= 0.0:
        return _gone(equity)
    return (divided("|position| / equity of its account", abs(holding.notional_usd), equity),)


def work_haircut(node: Node, use: Use) -> Steps:
    """What haircuts take off, over equity."""
    equity, less = use.read(node, _EQUITY), use.read(node, "haircut_equity_usd")
    if equity is None or less is None or equity <= 0.0:
        return ()
    sums = f"({usd(equity)} - {usd(less)}) / {usd(equity)}"
    return (step("(equity - equity after haircuts) / equity", sums, (equity - less) / equity),)


# -------------------------------------------------------------------------------------- loss


def _fall(node: Node, use: Use, memory: DrawdownMemory, words: str) -> Steps:
    """Who has what now, and how far what was last seen lies below the highest."""
    peak, shown = memory.peak_usd, memory.equity_usd
    if shown is None or peak <= 0.0:
        return ()
    if memory.unsettled is not None:
        return (f"highest {words} {usd(peak)}, equity {usd(shown)}; a transfer is being told",)
    if shown >= peak:
        return (f"equity {usd(shown)} is the highest {words}: 0",)
    sums = f"({usd(peak)} - {usd(shown)}) / {usd(peak)}"
    return (
        *equity_parts(node, use, "equity now"),
        step(f"(highest {words} - equity) / highest", sums, (peak - shown) / peak),
    )


def work_drawdown(node: Node, use: Use) -> Steps:
    """From the peak as transfers have shifted it."""
    known = use.state.drawdowns.get(node.subject)
    return () if known is None else _fall(node, use, known, "ever")


def _work_window(name: str, words: str) -> Callable[[Node, Use], Steps]:
    def work(node: Node, use: Use) -> Steps:
        known = use.state.rolling.get(f"{name}|{node.subject}")
        return () if known is None else _fall(node, use, known.drawdown, words)

    return work


# ------------------------------------------------------------------------- two sources at odds


def _sides(words: str, sides: Sides) -> list[str]:
    stream, truth = sides.stream, sides.truth
    if not sides.difference_ratio or stream is None or truth is None:
        return []
    return [_at_odds(words, usd(stream.amount), usd(truth.amount), sides.difference_ratio)]


def _at_odds(words: str, stream: str, truth: str, ratio: float) -> str:
    return f"{words}: the stream says {stream}, the re-read {truth}; differs by {bare(ratio)}"


def work_cross_check(node: AccountNode, _use: Use) -> Steps:
    """What stream and re-read disagree about, both values beside each other."""
    account = node.account
    told = _sides("cash", account.cash_sides) + _sides("equity", account.equity_sides)
    for token, sides in sorted(account.collateral_sides.items()):
        told += _sides(token, sides)
    for market, position in sorted(account.positions.items()):
        if position.difference_ratio:
            stream, truth = f"{position.stream_size}", f"{position.truth_size}"
            told.append(_at_odds(f"size of {market}", stream, truth, position.difference_ratio))
    return tuple(told)


def work_equity_difference(node: AccountNode, _use: Use) -> Steps:
    """The statement and its parts."""
    account = node.account
    equity, cash, value = account.equity.value, account.cash.value, account.positions_value
    if equity is None or cash is None or value is None:
        return ()
    words = f"stated equity {usd(equity)}; cash + positions as stated with it"
    return (step(words, f"{usd(cash)} + {usd(value.amount)}", cash + value.amount),)


WORKINGS: Mapping[Key, Callable[..., Steps]] = {
    **{("drawdown_ratio", kind): work_drawdown for kind in _WIDE},
    **{
        (f"drawdown_{short}_ratio", SubjectKind.PORTFOLIO): _work_window(
            f"drawdown_{short}_ratio", f"of {words}"
        )
        for short, words, _ in WINDOWS
    },
    ("margin_usage_ratio", SubjectKind.ACCOUNT): work_margin_usage,
    ("equity_share_ratio", SubjectKind.POSITION): work_equity_share,
    **{("collateral_haircut_ratio", kind): work_haircut for kind in _WIDE},
    ("cross_check_difference_ratio", SubjectKind.ACCOUNT): work_cross_check,
    ("equity_difference_ratio", SubjectKind.ACCOUNT): work_equity_difference,
}
