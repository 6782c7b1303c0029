"""How the simulated indexer and node write things down."""
