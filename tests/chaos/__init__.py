"""Real daemons that are killed, and all else that happens to an instance: `python -m tests.chaos`."""
