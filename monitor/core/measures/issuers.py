"""Whose promises the collateral is, and how much of it could be another's. *Pure.*

Only a portfolio-margin account takes more than one token; what lies elsewhere is in the one token
that its venue margins in, and no swap there makes it anything else.
"""

from __future__ import annotations

from math import fsum

from monitor.core.formulas.collateral import compute_issuer_values
from monitor.core.measures.accounts import EQUITY
from monitor.core.measures.concentration import tokens_of
from monitor.core.measures.definition import Definition, Relation, define
from monitor.core.measures.exposure import GROSS
from monitor.core.measures.spec import MeasureSpec, Unit
from monitor.core.measures.tree import AccountNode, Node, PortfolioNode
from monitor.core.measures.use import Use
from monitor.core.state.model import RiskState
from monitor.core.types import AccountMode, EngineNs, SubjectKind

NAMES_MAX = 3
_PORTFOLIO = (SubjectKind.PORTFOLIO,)
Values = dict[str, float]


def issuer_values(node: PortfolioNode, use: Use) -> tuple[Values, Values] | None:
    """USD by issuer of everything, and of what could be nothing else; None where the equity of one
    account is not known."""
    everything: dict[str, list[float]] = {}
    fixed: dict[str, list[float]] = {}
    for account in node.related(Relation.ALL_ACCOUNTS):
        if not isinstance(account, AccountNode):
            continue
        equity = use.read(account, EQUITY.name)
        if equity is None:
            return None
        choice = account.account.mode is AccountMode.PORTFOLIO_MARGIN
        tokens = tokens_of(account.account, equity)
        for issuer, value in compute_issuer_values(tokens, node.issuers).items():
            everything.setdefault(issuer, []).append(value)
            if not choice:
                fixed.setdefault(issuer, []).append(value)
    return (
        {issuer: fsum(parts) for issuer, parts in everything.items()},
        {issuer: fsum(parts) for issuer, parts in fixed.items()},
    )


def largest_issuer(values: Values) -> tuple[str, float]:
    """Issuer and its share of all; of equals the first by name."""
    total = fsum(values.values())
    issuer = max(sorted(values), key=values.__getitem__)
    return issuer, values[issuer] / total


def _nothing(node: PortfolioNode, use: Use) -> float | None:
    """Of a book without collateral: all of it hangs on one promise while something is exposed."""
    gross = use.read(node, GROSS.name)
    return None if gross is None else float(gross > 0.0)


def _share(node: PortfolioNode, use: Use) -> float | None:
    values = issuer_values(node, use)
    if values is None:
        return None
    return largest_issuer(values[0])[1] if values[0] else _nothing(node, use)


def _fixed(node: PortfolioNode, use: Use) -> float | None:
    values = issuer_values(node, use)
    if values is None:
        return None
    everything, fixed = values
    if not everything:
        return _nothing(node, use)
    return fixed.get(largest_issuer(everything)[0], 0.0) / fsum(everything.values())


def _work(node: PortfolioNode, use: Use) -> tuple[str, ...]:
    """Each issuer's USD, and how much of it could be swapped where it lies."""
    values = issuer_values(node, use)
    if values is None or not values[0]:
        return ()
    everything, fixed = values
    total = fsum(everything.values())
    largest = sorted(everything.items(), key=lambda one: (-one[1], one[0]))
    return tuple(
        f"{issuer} {value:,.0f} USD of {total:,.0f}; {fixed.get(issuer, 0.0):,.0f} could be no "
        "other's"
        for issuer, value in largest
    )


def _told(node: Node, _state: RiskState, _now: EngineNs) -> str:
    """``circle 92 %, tether 8 %``: by equities as they were last computed."""
    if not isinstance(node, PortfolioNode):
        return ""
    parts: dict[str, list[float]] = {}
    for account in node.related(Relation.ALL_ACCOUNTS):
        instance = account.instances.get(EQUITY.name)
        if not isinstance(account, AccountNode) or instance is None or instance.cell.value is None:
            continue
        tokens = tokens_of(account.account, instance.cell.value)
        for issuer, value in compute_issuer_values(tokens, node.issuers).items():
            parts.setdefault(issuer, []).append(value)
    known = sorted(((fsum(values), issuer) for issuer, values in parts.items()), reverse=True)
    total = fsum(value for value, _ in known)
    return ", ".join(f"{issuer} {value / total * 100:.0f} %" for value, issuer in known[:NAMES_MAX])


def _spec(name: str, help_text: str, typical: tuple[float, float]) -> MeasureSpec:
    return MeasureSpec(
        name=name,
        kinds=_PORTFOLIO,
        unit=Unit.RATIO,
        help=help_text,
        low=0.0,
        high=1.0,
        cadence_s=5.0,
        at_zero="1 with nothing left but exposure, 0 with nothing at all",
        typical=typical,
    )


_NEEDS = ((Relation.ALL_ACCOUNTS, EQUITY.name),)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        _spec(
            "collateral_issuer_share_ratio",
            "Share of collateral that is the promise of one issuer, the largest.",
            (1.0, 0.8),
        ),
        SubjectKind.PORTFOLIO,
        _share,
        needs=_NEEDS,
        detail=_told,
        arithmetic=_work,
    ),
    define(
        _spec(
            "collateral_issuer_fixed_ratio",
            "Share of collateral of that issuer that lies where no other token is taken.",
            (1.0, 0.2),
        ),
        SubjectKind.PORTFOLIO,
        _fixed,
        needs=_NEEDS,
    ),
)
