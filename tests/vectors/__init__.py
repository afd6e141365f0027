"""Fixed bytes: what is on the wire and what is derived may not change unnoticed."""
