"""Pages: what to send (pure) and one file per channel that sends it."""
