"""Into which sub-cohorts the peers of an own sum are divided.

A sum over everybody can only be used or dropped as a whole. From `cohort.sub_cohorts_from` peers on there is
one for each sub-cohort, so that the one with a bad member can be left out. The division is random, and stays
for an epoch: peers that join go where the fewest are, peers that leave are missing. There are at most three
sub-cohorts, because each carries the noise of a whole sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from sqlalchemy import Engine, insert, select

from daemon.config import Config
from daemon.store.engine import reads, writes
from daemon.store.tables import SubCohortRow

MOST_SUB_COHORTS = 3


def sub_cohorts_for(number: int, config: Config) -> int:
    """Return into how many sub-cohorts so many peers are divided."""
    if number < config.cohort.sub_cohorts_from:
        return 1
    return max(1, min(MOST_SUB_COHORTS, number // config.cohort.min_cohort))


def divide(
    engine: Engine,
    config: Config,
    hosts: Sequence[str],
    *,
    now: float,
    shuffle: Callable[[list[str]], None],
) -> tuple[tuple[str, ...], ...]:
    """Return the peers by sub-cohort, each sorted; one holds everybody where there are too few.

    `shuffle` draws the division of a new epoch. One that has become too small is added to the smallest
    other one for as long as it is.
    """
    if sub_cohorts_for(len(hosts), config) == 1:
        return (tuple(sorted(hosts)),)
    known = _known(engine, since=now - config.cohort.epoch.total_seconds())
    if known is None:
        drawn = sorted(hosts)
        shuffle(drawn)
        number = sub_cohorts_for(len(hosts), config)
        epoch, numbers = now, {host: place % number for place, host in enumerate(drawn)}
        _save(engine, epoch, numbers)
    else:
        epoch, numbers = known
        late = _join(numbers, sorted(set(hosts) - set(numbers)), hosts)
        _save(engine, epoch, late)
        numbers |= late
    sub_cohorts: dict[int, list[str]] = defaultdict(list)
    for host in hosts:
        sub_cohorts[numbers[host]].append(host)
    groups = sorted(sub_cohorts.values(), key=len)
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
            select(SubCohortRow.epoch, SubCohortRow.host, SubCohortRow.number).where(
                SubCohortRow.epoch > since
            )
        ).all()
    if not rows:
        return None
    newest = max(epoch for epoch, _, _ in rows)
    return newest, {host: number for epoch, host, number in rows if epoch == newest}


def _save(engine: Engine, epoch: float, numbers: dict[str, int]) -> None:
    if numbers:
        with writes(engine) as connection:
            rows = [{"epoch": epoch, "host": host, "number": number} for host, number in numbers.items()]
            connection.execute(insert(SubCohortRow), rows)
