"""Pushing videos through a sum: what attacks gain, what acceptance stops, and what honest newcomers meet.

`python -m tests.adversaries.poisoning` prints the table that the bounds of `policies/acceptance.py` were
chosen by. The demo's data set is split into six communities. Five look on in turn: each has learnt with the
other four for a month, and now the sixth joins, honestly or not.
"""
