"""A stock Flower app over the same protocol core: for tests, experiments and unmodified SuperNodes.

Groups do not need it: their members answer with `federation.flower.fleet` and never run an app.
"""
