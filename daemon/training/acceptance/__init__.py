"""Acceptance: whether a new sum may become what viewers see."""
