"""The counters: a reference model in memory, and Redis."""
