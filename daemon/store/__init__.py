"""The database of one instance: its content, its sessions, sums and models, its counters."""
