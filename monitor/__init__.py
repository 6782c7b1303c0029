"""riskd: a live risk daemon for desks that trade derivatives on Layer-2 venues."""

from __future__ import annotations

__version__ = "0.1.0"
