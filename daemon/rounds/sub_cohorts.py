"""Into which sub-cohorts the peers of an own sum are divided.

A sum over everybody can only be used or dropped as a whole. From `cohort.subcohorts_from` peers on it is
taken in parts, so that a part with a bad member can be left out. The division is random, and stays for an
epoch: peers that join go where the fewest are, peers that leave are missing. There are at most three parts,
because every part carries the noise of a whole sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from sqlalchemy import Engine, insert, select

from daemon.config import Config
from daemon.store.engine import reads, writes
from daemon.store.tables import SubCohort

MOST_PARTS = 3


def parts_of(number: int, config: Config) -> int:
    """Return into how many parts so many peers are divided."""
    if number < config.cohort.subcohorts_from:
        return 1
    return max(1, min(MOST_PARTS, number // config.cohort.min_cohort))


def divide(
    engine: Engine,
    config: Config,
    hosts: Sequence[str],
    *,
    now: float,
    shuffle: Callable[[list[str]], None],
) -> tuple[tuple[str, ...], ...]:
    """Return the peers by sub-cohort, each sorted; one part holds everybody where there are too few.

    `shuffle` draws the division of a new epoch. A part that has become too small is added to the smallest
    other one for as long as it is.
    """
    if parts_of(len(hosts), config) == 1:
        return (tuple(sorted(hosts)),)
    known = _known(engine, since=now - config.cohort.epoch.total_seconds())
    if known is None:
        drawn = sorted(hosts)
        shuffle(drawn)
        number = parts_of(len(hosts), config)
        epoch, numbers = now, {host: place % number for place, host in enumerate(drawn)}
        _save(engine, epoch, numbers)
    else:
        epoch, numbers = known
        late = _join(numbers, sorted(set(hosts) - set(numbers)), hosts)
        _save(engine, epoch, late)
        numbers |= late
    parts: dict[int, list[str]] = defaultdict(list)
    for host in hosts:
        parts[numbers[host]].append(host)
    groups = sorted(parts.values(), key=len)
    while len(groups) > 1 and len(groups[0]) < config.cohort.min_cohort:
        small = groups.pop(0)
        groups[0] = [*groups[0], *small]
        groups.sort(key=len)
    return tuple(sorted(tuple(sorted(group)) for group in groups))


def _join(numbers: dict[str, int], late: Sequence[str], hosts: Sequence[str]) -> dict[str, int]:
    sizes = dict.fromkeys(range(max(numbers.values()) + 1), 0)
    for host in hosts:
        if host in numbers:
            sizes[numbers[host]] += 1
    joined = {}
    for host in late:
        joined[host] = min(sizes, key=lambda number: (sizes[number], number))
        sizes[joined[host]] += 1
    return joined


def _known(engine: Engine, *, since: float) -> tuple[float, dict[str, int]] | None:
    with reads(engine) as connection:
        rows = connection.execute(
            select(SubCohort.epoch, SubCohort.host, SubCohort.number).where(SubCohort.epoch > since)
        ).all()
    if not rows:
        return None
    newest = max(epoch for epoch, _, _ in rows)
    return newest, {host: number for epoch, host, number in rows if epoch == newest}


def _save(engine: Engine, epoch: float, numbers: dict[str, int]) -> None:
    if numbers:
        with writes(engine) as connection:
            rows = [{"epoch": epoch, "host": host, "number": part} for host, part in numbers.items()]
            connection.execute(insert(SubCohort), rows)
