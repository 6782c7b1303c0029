"""The shell: sockets, clocks, retries, and the single writer."""
