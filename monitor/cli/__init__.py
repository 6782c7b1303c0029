"""The riskd command."""
