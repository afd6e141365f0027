"""Into which parts the members of an epoch are divided: one seed from all of them, and arithmetic on it.

Everybody who has the epoch's document computes the same parts. Nobody is ever moved: late joiners are placed
as if nobody had gone, so that a place depends on nothing that changes afterwards. (A part that has become too
small is added to another for as long as it is.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from federation.hashing import commitment


def seed_of(list_hash: bytes, nonces: Mapping[str, bytes]) -> bytes:
    """Return the seed of a partition (32 bytes) from the list's hash and the revealed nonces, by host."""
    return commitment("epoch seed", list_hash, *(nonces[host] for host in sorted(nonces)))


def places(seed: bytes, hosts: Iterable[str], parts: int, late: Sequence[str] = ()) -> dict[str, int]:
    """Return each host's part, from 0: `hosts` dealt out in the order of their hashes, `late` to the fewest.

    Sorting by a hash with the seed is a shuffle that any language can repeat.
    """
    drawn = sorted(hosts, key=lambda host: commitment("epoch place", seed, host.encode("ascii")))
    placed = {host: place % parts for place, host in enumerate(drawn)}
    sizes = Counter(placed.values())
    for host in late:
        placed[host] = min(range(parts), key=lambda number: (sizes[number], number))
        sizes[placed[host]] += 1
    return placed


def together(placed: Mapping[str, int], gone: Iterable[str], least: int) -> tuple[tuple[str, ...], ...]:
    """Return who is summed together: the parts without who has gone, each sorted and of at least `least`.

    A smaller one joins the smallest other one, ties by name, until one is left.
    """
    left = sorted(placed.keys() - set(gone))
    groups = [[host for host in left if placed[host] == part] for part in sorted(set(placed.values()))]
    groups = sorted((group for group in groups if group), key=_by_size)
    while len(groups) > 1 and len(groups[0]) < least:
        small, other, *rest = groups
        groups = sorted((sorted(small + other), *rest), key=_by_size)
    return tuple(sorted(tuple(group) for group in groups))


def _by_size(group: list[str]) -> tuple[int, list[str]]:
    return len(group), group
