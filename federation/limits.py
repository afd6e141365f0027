"""Limits on what a peer can make this instance hold, compute or wait for; each with its reason."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    max_request: int = 100_000
    """PeerTube's default nginx caps request bodies at 100 kB; large things travel as responses."""

    max_answer: int = 1_000_000
    """Every answer but a masked vector: at 128 members the largest, sealed shares, is about 25 kB."""

    max_members: int = 128
    """Keys of 128 members fill two thirds of one request; beyond that a cohort is split."""

    max_sub_cohorts: int = 16
    """Of one cohort: with 64 members each, a thousand members."""

    min_members: int = 3
    """The sum of two inputs gives each of the two the other's: three is where a sum starts to hide."""

    max_length: int = 16_777_216
    """Entries of a vector: the strict triangle of 5,793 videos. 64 MB at 32 bits."""

    max_blob: int = 67_108_864
    """A vocabulary of 100,000 addresses is about 8 MB; room for long addresses."""

    max_lifetime: int = 6 * 3600
    """From creation to expiry of a proposal. A round takes seconds; in hours a member can come back."""

    max_clock_skew: int = 300
    """Clocks of servers kept by NTP differ by far less; a peer five minutes ahead is still served."""

    max_open_rounds: int = 32
    """Unfinished sums a member takes part in: bounds memory and disk. Each aggregator has one at a time: a
    new one takes the place of one it left unfinished."""

    max_rounds_per_peer: int = 64
    """Unexpired sums of one aggregator, finished ones included: bounds what its retries leave on disk."""

    max_segments: int = 8
    """Stretches of a vector; the trainer in use has two."""

    max_unit: int = 1024
    """Steps in which a viewer is weighted; finer ones would only fill the ring."""

    max_noise: int = 1_000_000
    """Variance of the noise in a sum, in entries squared. The sampler's table grows with its root."""

    max_parameters: int = 32
    """Named numbers and blobs in one proposal; the trainer in use has about ten."""
