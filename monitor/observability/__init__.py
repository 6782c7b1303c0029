"""Logs and metrics of the daemon itself, and the exposition of measures."""
