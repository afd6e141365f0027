"""Keeping the store current: sync, consent, pruning, and forgetting viewers."""
