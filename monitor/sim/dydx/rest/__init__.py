"""The indexer's REST API over a simulated world."""
