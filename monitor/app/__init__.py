"""Where the daemon is put together and run."""
