"""The database of one instance: its content, its rounds, sums and models, its counters."""
