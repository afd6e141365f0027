"""Rounds between real daemons that are killed at random: `python -m tests.chaos`."""
