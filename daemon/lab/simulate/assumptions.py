"""What the numbers of a simulation rest on, and which of them are extrapolated and how: for its reader."""

from __future__ import annotations

from daemon.lab.simulate import costs
from daemon.lab.simulate.losses import DRAWS


def notes(level: str, trained: int, members: int) -> tuple[str, ...]:
    """Return sentences, for the largest part of `members`."""
    lines = f"{costs.MEMBER_LINE / 1e6:g} Mbit/s", f"{costs.HOST_LINE / 1e9:g} Gbit/s"
    longest = costs.MOST_CELLS // members
    measured = (
        "Costs: the largest part of each group ran as a stock Flower app in Flower's simulation engine, with "
        "real keys, shares, masks and signatures and vectors of random numbers. What it costs the host is "
        "multiplied by the number of parts; any instance is taken as one of it. Each sum was compared with "
        "the plain one, entry by entry."
    )
    extrapolated = (
        "Extrapolated is what is marked so: a sum too long to run here lies on the straight line through one "
        f"of {costs.SHORT:,} entries and one of {costs.MOST_CELLS:,} / members (with {members} members "
        f"{longest:,}). Bytes are linear in the length, computing is nearly so."
    )
    counted = (
        "Bytes are those of protocol messages as run; those of the list of videos "
        f"({costs.ADDRESS_BYTES} bytes an address), of the counts shown between the two sums, and of the "
        "published sums of all parts, which every member fetches, follow from their sizes. What Flower, TLS "
        "and polling add is not in them."
    )
    computing = (
        "Host CPU is the aggregator's, nobody lost. The SuperLink's work is not in it: the engine carries "
        "messages in memory. Instance CPU is the protocol's; counting viewers and drawing noise come on top."
    )
    estimate = (
        f"Times of a group are estimates: {costs.EXCHANGES} exchanges at {costs.POLL:g} s, an instance's "
        f"computing and its bytes at {lines[0]}, then the host's computing and its bytes at {lines[1]}, one "
        "after the other. Wall time here is that of one part whose members share this machine."
    )
    worth = (
        "Quality is NDCG@10 of viewers' held-out videos, by the training that daemons run. The sum is the "
        f'plain one plus noise of the level "{level}" by its exact law: masks cancel to the last bit. Where '
        "there are more accounts than the set has viewers, each takes part with the same probability, and "
        f"some instances have none. Of each band at most {trained} instances are trained; the local model "
        "is freed from the rules about few viewers."
    )
    lost = (
        f"Losses: {DRAWS:,} sessions drawn per share, by the rule that follows from the protocol; real state "
        "machines were held against it as often as stated. A lost member answers no more, from a stage drawn "
        "at random or from before the first; one that comes back before its stage ends is not lost. The "
        "pairs need exactly those that are in the counts: who is lost in between ends its part for this "
        "window."
    )
    return measured, extrapolated, counted, computing, estimate, worth, lost
