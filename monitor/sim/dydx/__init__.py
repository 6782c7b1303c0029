"""dYdX v4's indexer protocol, served."""
