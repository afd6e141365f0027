"""What stands for an instance that an approved peer introduced, beside that peer's word."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Final, Literal

Evidence = Literal["", "followed", "vouched"]
"""Nothing but an introducer's word; this PeerTube has followed it for long; two peers vouch for it."""

FOLLOWED_LONG: Final = 30 * 86400.0
"""Seconds. Long enough that an instance made up for one round was not followed before anybody thought of
it."""


def evidence(
    *,
    bound: bool,
    followed_since: float | None,
    vouchers: Collection[str],
    introduced_by: Mapping[str, Collection[str]],
    now: float,
) -> Evidence:
    """Return what stands for an instance.

    Args:
        bound: its domain vouches for its key. Following a domain, or knowing it, says nothing about a key
        that
            the domain does not vouch for.
        followed_since: when this PeerTube began to follow it, Unix seconds, None if it does not.
        vouchers: approved peers that list it with that key. Those who are themselves approved on an
            introducer's word alone must not be among them.
        introduced_by: for approved peers, who introduced them; a peer that nobody introduced may be missing.
        now: Unix seconds.

    """
    if not bound:
        return ""
    if followed_since is not None and now - followed_since >= FOLLOWED_LONG:
        return "followed"
    if any(independent(one, other, introduced_by) for one, other in combinations(sorted(set(vouchers)), 2)):
        return "vouched"
    return ""


def independent(one: str, other: str, introduced_by: Mapping[str, Collection[str]]) -> bool:
    """Tell whether neither of two peers introduced the other, directly or through others."""
    return one not in _introducers(other, introduced_by) and other not in _introducers(one, introduced_by)


def _introducers(host: str, introduced_by: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    left = [host]
    while left:
        for introducer in introduced_by.get(left.pop(), ()):
            if introducer not in found:
                found.add(introducer)
                left.append(introducer)
    return found
