"""The built-in rules (YAML) and their runbooks, as package data."""
