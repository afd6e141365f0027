"""From measured sums of one sub-cohort to what a round of the whole group costs members and host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from federation.flower.app.simulation import Measured
from models import statistics

ADDRESS_BYTES = 75
"""Of one video in a list: `https://HOST/videos/watch/UUID` with a host of 15 letters, and its length."""
HEAD_BYTES = 4
"""Of a video of the head, by its position in that list (`daemon.rounds.round_config.encode_head`)."""
PUBLISHED_BYTES = 4
"""Of a number in the published sums (`federation.group.published`)."""
MEMBER_LINE = 20e6
HOST_LINE = 1e9
"""Bits per second, for the estimate of a round's time."""
EXCHANGES = 5
POLL = 0.25
"""Seconds between two looks of a connected member (`federation.flower.fleet.Pace`)."""
FULL_HEAD = 4096
FULL_VOCABULARY = 100_000
SHORT = 1000
MAX_CELLS = 8_000_000
"""Members times entries of the longest sum that is run: bounds time and memory of the engine."""


@dataclass(frozen=True)
class Videos:
    """The videos of a round: a vocabulary, and the head whose pairs are summed."""

    vocabulary: int
    head: int

    @property
    def length(self) -> int:
        """Entries of the round's vector: counts of the vocabulary, then pairs of the head."""
        return self.vocabulary + statistics.pairs(self.head)


FULL = Videos(FULL_VOCABULARY, FULL_HEAD)


@dataclass(frozen=True)
class Cost:
    """One round, nobody lost.

    Attributes:
        videos: of the round.
        extrapolated: whether a sum was too long to be run, and was computed from shorter ones.
        instance_up, instance_down: bytes of one member.
        host_up, host_down: bytes of the host, to and from all other members.
        published: bytes of the sums of all sub-cohorts, which `instance_down` and `host_up` include.
        host_cpu: seconds of the aggregator for all sub-cohorts.
        instance_cpu: seconds of one member.
        engine_seconds: wall time of one sub-cohort in the engine.
        sums_seconds: estimate for the group until all sums are there; the notes of `simulate` say how.
        round_seconds: the same until every instance has fetched the published sums.
    """

    videos: Videos
    extrapolated: bool
    instance_up: float
    instance_down: float
    host_up: float
    host_down: float
    published: float
    host_cpu: float
    instance_cpu: float
    engine_seconds: float
    sums_seconds: float
    round_seconds: float


def lengths(members: int, videos: Videos) -> list[int]:
    """Return which sums to run for a sub-cohort of so many members.

    First a short one that warms everything up and does not count, then a short and a long one for the line,
    then that of the data set where it is not too long.
    """
    longest = MAX_CELLS // members
    fitting = {videos.length} if SHORT < videos.length < longest else set()
    return [SHORT, SHORT, *sorted(fitting | {longest})]


def cost(found: Sequence[Measured], videos: Videos, instances: int, sub_cohorts: int) -> Cost:
    """Compute a round of a group from the sums of its largest sub-cohort.

    Args:
        found: what was run, by `lengths`, the first included.
        videos: of the round.
        instances: members of the group, the host among them.
        sub_cohorts: into which they are divided.
    """
    by_length = {one.length: one for one in found[1:]}
    up, down, host_cpu, cpu, seconds = (
        _value(by_length, name, videos.length) for name in ("up", "down", "host_cpu", "member_cpu", "seconds")
    )
    pairs = statistics.pairs(videos.head)
    asked = videos.vocabulary * ADDRESS_BYTES + videos.head * HEAD_BYTES
    published = videos.head * ADDRESS_BYTES + sub_cohorts * PUBLISHED_BYTES * (videos.head + pairs)
    down += asked
    others = instances - 1
    summed = EXCHANGES * POLL + cpu + sub_cohorts * host_cpu + _on_the_lines(up + down, others)
    return Cost(
        videos=videos,
        extrapolated=videos.length not in by_length,
        instance_up=up,
        instance_down=down + published,
        host_up=others * (down + published),
        host_down=others * up,
        published=float(published),
        host_cpu=sub_cohorts * host_cpu,
        instance_cpu=cpu,
        engine_seconds=seconds,
        sums_seconds=summed,
        round_seconds=summed + _on_the_lines(published, others),
    )


def _on_the_lines(each: float, instances: int) -> float:
    """Return seconds for so many bytes of each instance: over its own line, then all over the host's."""
    return 8 * each / MEMBER_LINE + 8 * each * instances / HOST_LINE


def _value(by_length: dict[int, Measured], name: str, length: int) -> float:
    if length in by_length:
        return float(getattr(by_length[length], name))
    short, long = by_length[min(by_length)], by_length[max(by_length)]
    low, high = float(getattr(short, name)), float(getattr(long, name))
    return low + (high - low) * (length - short.length) / (long.length - short.length)
