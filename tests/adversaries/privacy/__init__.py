"""Attacks on our own sums: what an aggregator can read from what it is given, with confidence intervals.

`python -m tests.adversaries.privacy` prints the table. Every attack is a module of its own; it knows the law
of the noise, the settings, the rule of weights and the algorithm, and gets what an aggregator gets,
`release.Release`, or what everybody sees, `lists.Shown`. What it gains is measured against a twin in which
its target is missing (same noise, same people otherwise), so that what a recommender knows of everybody is
not mistaken for what it knows of one person.
"""
