"""From measured sums of one sub-cohort to what a session of the whole group costs members and host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from federation.flower.app.simulation import Measured
from models import statistics

ADDRESS_BYTES = 75
"""Of one video in a list: `https://HOST/videos/watch/UUID` with a host of 15 letters, and its length."""
SHOWN_BYTES = 4
"""Of a count that members are shown between the sums (`daemon.rounds.round_config.COUNT_TYPE`)."""
PUBLISHED_BYTES = 4
"""Of a number in the published sums (`federation.group.published`)."""
MEMBER_LINE = 20e6
HOST_LINE = 1e9
"""Bits per second, for the estimate of a session's time."""
EXCHANGES = 10
POLL = 0.25
"""Seconds between two looks of a connected member (`federation.flower.fleet.Pace`)."""
FULL_HEAD = 4096
FULL_VOCABULARY = 100_000
SHORT = 1000
MAX_CELLS = 8_000_000
"""Members times entries of the longest sum that is run: bounds time and memory of the engine."""


@dataclass(frozen=True)
class Videos:
    """The videos of a session: a vocabulary, and the head whose pairs are summed."""

    vocabulary: int
    head: int

    @property
    def lengths(self) -> tuple[int, ...]:
        """Entries of the session's two sums; a head of one has no pairs."""
        return tuple(length for length in (self.vocabulary, statistics.pairs(self.head)) if length)


FULL = Videos(FULL_VOCABULARY, FULL_HEAD)


@dataclass(frozen=True)
class Cost:
    """One session, counts and pairs, nobody lost.

    Attributes:
        videos: of the session.
        extrapolated: whether a sum was too long to be run, and was computed from shorter ones.
        instance_up, instance_down: bytes of one member.
        host_up, host_down: bytes of the host, to and from all other members.
        published: bytes of the sums of all sub-cohorts, which `instance_down` and `host_up` include.
        host_cpu: seconds of the aggregator for all sub-cohorts.
        instance_cpu: seconds of one member.
        engine_seconds: wall time of one sub-cohort in the engine.
        sums_seconds: estimate for the group until all sums are there; the notes of `simulate` say how.
        session_seconds: the same until every instance has fetched the published sums.
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
    session_seconds: float


def lengths(members: int, videos: Videos) -> list[int]:
    """Return which sums to run for a sub-cohort of so many members.

    First a short one that warms everything up and does not count, then a short and a long one for the line,
    then those of the data set that are not too long.
    """
    longest = MAX_CELLS // members
    fitting = {length for length in videos.lengths if length <= longest} - {SHORT}
    return [SHORT, SHORT, *sorted(fitting | {longest})]


def cost(found: Sequence[Measured], videos: Videos, instances: int, sub_cohorts: int) -> Cost:
    """Compute a session of a group from the sums of its largest sub-cohort.

    Args:
        found: what was run, by `lengths`, the first included.
        videos: of the session.
        instances: members of the group, the host among them.
        sub_cohorts: into which they are divided.
    """
    by_length = {one.length: one for one in found[1:]}
    up, down, host_cpu, cpu, seconds = (
        sum(_value(by_length, name, length) for length in videos.lengths)
        for name in ("up", "down", "host_cpu", "member_cpu", "seconds")
    )
    pairs = statistics.pairs(videos.head)
    asked = videos.vocabulary * (ADDRESS_BYTES + SHOWN_BYTES)
    published = videos.head * ADDRESS_BYTES + sub_cohorts * PUBLISHED_BYTES * (videos.head + pairs)
    down += asked
    others = instances - 1
    summed = EXCHANGES * POLL + cpu + sub_cohorts * host_cpu + _on_the_lines(up + down, others)
    return Cost(
        videos=videos,
        extrapolated=any(length not in by_length for length in videos.lengths),
        instance_up=up,
        instance_down=down + published,
        host_up=others * (down + published),
        host_down=others * up,
        published=float(published),
        host_cpu=sub_cohorts * host_cpu,
        instance_cpu=cpu,
        engine_seconds=seconds,
        sums_seconds=summed,
        session_seconds=summed + _on_the_lines(published, others),
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
