"""Acting on Hyperliquid: cancels and reductions by signed HTTP, and reading what became of them."""

from monitor.actions.hyperliquid.executor import HyperliquidExecutor

__all__ = ["HyperliquidExecutor"]
