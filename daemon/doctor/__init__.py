"""Checks of everything that an instance needs, each with what to do when it fails."""
