"""Into which parts the members of an epoch are divided: one seed from all of them, and arithmetic on it.

Everybody who has the epoch's document computes the same parts. Nobody is ever moved: a place depends on the
seed and the draw alone, not on who joins or leaves afterwards. (A part that has become too small is added to
another for as long as it is.) Late joiners go where their hash says, not where the fewest are: the host
decides who joins and in which order, and could else put whom it likes where it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from federation.hashing import commitment


def seed_of(list_hash: bytes, nonces: Mapping[str, bytes]) -> bytes:
    """Return the seed of a partition (32 bytes) from the list's hash and the revealed nonces, by host."""
    return commitment("epoch seed", list_hash, *(nonces[host] for host in sorted(nonces)))


def places(seed: bytes, drawn: Iterable[str], parts: int, late: Iterable[str] = ()) -> dict[str, int]:
    """Return each host's part, from 0: `drawn` are dealt out by order of hash, `late` by their hash alone.

    Sorting by a hash with the seed is a shuffle that any language can repeat.
    """
    dealt = sorted(drawn, key=lambda host: _place(seed, host))
    placed = {host: place % parts for place, host in enumerate(dealt)}
    return placed | {host: int.from_bytes(_place(seed, host), "big") % parts for host in late}


def together(placed: Mapping[str, int], gone: Iterable[str], least: int) -> tuple[tuple[str, ...], ...]:
    """Return who is summed together: the parts without who has gone, each sorted and of at least `least`.

    A smaller one joins the smallest other one, ties by name, until one is left.
    """
    parts: dict[int, list[str]] = {}
    for host in sorted(placed.keys() - set(gone)):
        parts.setdefault(placed[host], []).append(host)
    groups = sorted(parts.values(), key=_by_size)
    while len(groups) > 1 and len(groups[0]) < least:
        small, other, *rest = groups
        groups = sorted((sorted(small + other), *rest), key=_by_size)
    return tuple(sorted(tuple(group) for group in groups))


def _place(seed: bytes, host: str) -> bytes:
    return commitment("epoch place", seed, host.encode("ascii"))


def _by_size(group: list[str]) -> tuple[int, list[str]]:
    return len(group), group
