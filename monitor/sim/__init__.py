"""The simulated world: venues from the other side of the wire."""
