"""Secure sums between instances: identities, signed messages, masks, and the five-stage protocol.

The protocol is that of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine
Learning" (CCS 2017), active-adversary variant. Everything outside `federation.http` is free of input and
output: bytes in, bytes out; clocks and randomness are passed in. This package knows neither models nor
databases: what is summed is a vector of integers.
"""

__distribution__ = "shoal"
