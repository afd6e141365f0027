"""Into which sub-cohorts the peers of an own sum are divided.

A sum over everybody can only be used or dropped as a whole. From `cohort.sub_cohorts_from` peers on there is
one for each sub-cohort, so that the one with a bad member can be left out. The division is random, and stays
for an epoch: peers that join go where the fewest are, peers that leave are missing, and peers for whom no
sub-cohort has room wait for the next epoch. How many there are: `policies.cohort.sub_cohorts_for`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from sqlalchemy import Engine, insert, select

from daemon.config import Config
from daemon.store.engine import reads, writes
from daemon.store.tables import SubCohortRow
from federation.limits import Limits
from policies.cohort import sub_cohorts_for

_FULL = Limits().max_members
"""Members of a sub-cohort."""


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
    other one for as long as it is, or not summed where that one has no room.
    """
    cohort = config.cohort
    number = sub_cohorts_for(
        len(hosts),
        divided_from=cohort.sub_cohorts_from,
        least=cohort.min_cohort,
        size=cohort.members_per_sub_cohort,
    )
    if number == 1:
        return (tuple(sorted(hosts)),)
    known = _known(engine, since=now - cohort.epoch.total_seconds())
    if known is None:
        drawn = sorted(hosts)
        shuffle(drawn)
        epoch, numbers = now, {host: place % number for place, host in enumerate(drawn[: number * _FULL])}
        _save(engine, epoch, numbers)
    else:
        epoch, numbers = known
        late = _join(numbers, sorted(set(hosts) - set(numbers)), hosts)
        _save(engine, epoch, late)
        numbers |= late
    sub_cohorts: dict[int, list[str]] = defaultdict(list)
    for host in hosts:
        if host in numbers:
            sub_cohorts[numbers[host]].append(host)
    groups = sorted(sub_cohorts.values(), key=len)
    while len(groups) > 1 and len(groups[0]) < cohort.min_cohort:
        small = groups.pop(0)
        if len(small) + len(groups[0]) <= _FULL:
            groups[0] = [*groups[0], *small]
        groups.sort(key=len)
    return tuple(sorted(tuple(sorted(group)) for group in groups))


def _join(numbers: dict[str, int], late: Sequence[str], hosts: Sequence[str]) -> dict[str, int]:
    sizes = dict.fromkeys(range(max(numbers.values()) + 1), 0)
    for host in hosts:
        if host in numbers:
            sizes[numbers[host]] += 1
    # Those that left may come back, and keep their room.
    placed = Counter(numbers.values())
    joined = {}
    for host in late:
        free = [number for number in sizes if placed[number] < _FULL]
        if not free:
            break
        joined[host] = min(free, key=lambda number: (sizes[number], number))
        sizes[joined[host]] += 1
        placed[joined[host]] += 1
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
