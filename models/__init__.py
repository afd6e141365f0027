"""Models learnt from sums over users: arrays in, arrays out. See docs/architecture.md."""

__distribution__ = "shoal"
