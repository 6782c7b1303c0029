"""SQLite on its own thread: what must survive a kill."""
