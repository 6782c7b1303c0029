"""Rulebooks far larger than the built-in one, of which the stream affects no more.

The further rules read the very measures that move with every batch; their limits lie beyond what a
calm stream reaches. Whoever evaluates every rule of a measure that moved pays for all of them.
"""

from __future__ import annotations

from monitor.rulebook import builtin_files

TIMES = 100
THOUSAND = 1_000
# (for_each, expression with its limit left open, first limit, step)
FAR = (
    ("market", "oracle_deviation_ratio >= {:.6f}", 0.5, 1e-4),
    ("market", "spread_ratio >= {:.6f}", 0.5, 1e-4),
    ("market", "funding_rate_annualized >= {:.6f}", 20.0, 1e-2),
    ("position", "liquidation_distance_ratio <= {:.6f}", 1e-3, -1e-7),
    ("position", "mid_deviation_ratio >= {:.6f}", 0.5, 1e-4),
    ("account", "margin_usage_ratio >= {:.6f}", 2.0, 1e-3),
    ("account", "leverage >= {:.6f}", 50.0, 1e-1),
    ("portfolio", "drawdown_ratio >= {:.6f}", 0.5, 1e-4),
    ("venue", "block_age_s >= {:.6f}", 9e4, 1.0),
)


def count_rules() -> int:
    """How many rules the built-in rulebook has."""
    return sum(text.count("- id:") for _, text in builtin_files())


def filled_to(total: int) -> tuple[str, str]:
    """One rulebook file with as many rules as the built-in ones lack to ``total``."""
    lines = []
    for number in range(total - count_rules()):
        kind, expression, first, step = FAR[number % len(FAR)]
        limit = first + step * (number // len(FAR))
        lines.append(
            f"- id: far{number}\n  for_each: {kind}\n  summary: Far away\n"
            f"  when: {expression.format(limit)}\n  severity: info\n"
        )
    return "far.yaml", "".join(lines)
