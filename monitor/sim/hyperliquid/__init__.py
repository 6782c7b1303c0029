"""Hyperliquid's wire protocol, served."""
