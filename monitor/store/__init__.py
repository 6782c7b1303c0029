"""What must survive the process: SQLite on its own thread, the journal, the directory lock."""
