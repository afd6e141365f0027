"""The peers that the admin approved: host names with pinned keys, and what their approval rests on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar

from federation.errors import Code, Refusal
from federation.identity import PublicIdentity


class Allowlist:
    """The approved peers of one instance.

    Those in `on_word_alone` were approved because another peer introduced them, and nothing else stands for
    them yet: they are asked and summed with like others, and count as strangers.
    """

    name: ClassVar[str] = "members"
    reason: ClassVar[str] = "You add up only with instances whose key you approved."

    def __init__(self, peers: Iterable[PublicIdentity], on_word_alone: Collection[str] = ()) -> None:
        self._peers = {peer.host: peer for peer in peers}
        self._on_word_alone = frozenset(on_word_alone)

    def find(self, host: str) -> PublicIdentity | None:
        """Return the pinned identity of an approved host."""
        return self._peers.get(host)

    def rejected(self, roster: Iterable[PublicIdentity], me: str) -> tuple[str, ...]:
        """Return the hosts of a roster that are not approved by exactly the key they have in it, sorted."""
        return tuple(sorted(m.host for m in roster if m.host != me and self._peers.get(m.host) != m))

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

    def vouched_for(self, member: PublicIdentity) -> bool:
        """Tell whether a member of a roster is approved on more than an introducer's word.

        Raises:
            Refusal: `key-mismatch`, as `approves`.

        """
        return self.approves(member) and member.host not in self._on_word_alone
