"""Child processes: starting, following, bounding and ending them; and the lock of the one daemon."""
