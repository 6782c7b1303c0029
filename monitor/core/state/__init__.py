"""The risk state and the only way to change it."""

from monitor.core.state.apply import apply
from monitor.core.state.model import RiskState

__all__ = ["RiskState", "apply"]
