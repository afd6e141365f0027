"""The peers that the admin approved: host names with pinned keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from federation.errors import Code, Refusal
from federation.identity import PublicIdentity


class Allowlist:
    """The approved peers of one instance."""

    name: ClassVar[str] = "members"
    reason: ClassVar[str] = "You add up only with instances whose key you approved."

    def __init__(self, peers: Iterable[PublicIdentity]) -> None:
        self._peers = {peer.host: peer for peer in peers}

    def find(self, host: str) -> PublicIdentity | None:
        """Return the pinned identity of an approved host."""
        return self._peers.get(host)

    def members(self) -> tuple[PublicIdentity, ...]:
        """Return all approved peers, sorted: the roster of a sum of our own."""
        return tuple(sorted(self._peers.values()))

    def approves(self, member: PublicIdentity) -> bool:
        """Tell whether a member of a roster is an approved peer.

        Raises:
            Refusal: `key-mismatch`, when the host is approved with another key: somebody poses as it, or it
                has a new key, and our admin has not been told.

        """
        pinned = self._peers.get(member.host)
        if pinned is not None and pinned.key != member.key:
            raise Refusal(
                Code.KEY_MISMATCH,
                f"{member.host} is listed with another key than the approved one; ask its admin for the "
                "fingerprint before changing anything",
                member.host,
            )
        return pinned is not None
