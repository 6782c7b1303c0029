"""HTTP: health, metrics, state, console."""
