"""Rounds: the counts, then the pair counts, of this instance and its peers, summed securely.

`service` takes part in other instances' rounds (in the serving process), `contribution` counts what this
instance adds and `aggregate` asks for a sum of its own (both in child processes).
"""
