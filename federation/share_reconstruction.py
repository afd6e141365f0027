"""Stage 5 at the aggregator: checks revealed shares, and reconstructs secrets from those that are right.

Each share is checked against the commitment that its owner signed when it dealt it: a false one spoils
nothing, and leaves two who can be at fault, its owner and its holder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from federation import shamir
from federation.errors import Code, Refusal
from federation.keys import commitment, public_of
from federation.limits import Limits
from federation.member import share_commitment
from federation.messages import Advertisement, Revealed, SealedShares
from federation.proposal import SignedProposal


class RevealedShares:
    """The shares that members reveal: of the self seeds of `survivors`, of the mask keys of who vanished.

    `sealed` holds the stage 2 answers of all sharers, `advertisements` their keys.
    """

    def __init__(
        self,
        signed: SignedProposal,
        limits: Limits,
        *,
        advertisements: Mapping[str, Advertisement],
        sealed: Mapping[str, SealedShares],
        survivors: Collection[str],
    ) -> None:
        proposal = signed.proposal
        self._round_id = signed.round_id
        self._hosts = proposal.hosts
        self._threshold = proposal.threshold
        # How many members may be faulty while the threshold is still reached.
        self._tolerated = len(proposal.hosts) - proposal.threshold
        self._limits = limits
        self._advertisements = advertisements
        self._sealed = sealed
        self._survivors = set(survivors)
        self._vanished = set(sealed) - self._survivors
        self._right: dict[str, Revealed] = {}
        self._doubts: set[tuple[str, str]] = set()

    @property
    def doubts(self) -> tuple[tuple[str, str], ...]:
        """Pairs (owner, holder) of which the holder revealed no right share of the owner's, sorted."""
        return tuple(sorted(self._doubts))

    def check(self, holder: str, payload: bytes) -> None:
        """Check an answer. Raises: Refusal `malformed`, `share-invalid`."""
        _, wrong = self._sort(holder, payload)
        if len(wrong) > self._tolerated:
            raise Refusal(
                Code.SHARE_INVALID,
                f"{holder} revealed no right share of {len(wrong)} members; no more than {self._tolerated} "
                "of them could have dealt it wrong ones",
                holder,
            )

    def take(self, holder: str, payload: bytes) -> None:
        """Take an answer that was checked."""
        right, wrong = self._sort(holder, payload)
        self._right[holder] = right
        self._doubts |= {(owner, holder) for owner in wrong}

    def self_seed(self, owner: str) -> bytes:
        """Return the seed of a survivor's own mask. Raises: Refusal `share-invalid`."""
        shares = {holder: r.self_seeds[owner] for holder, r in self._right.items() if owner in r.self_seeds}
        seed = self._reconstruct(owner, shares, "self seed")
        expected = self._advertisements[owner].seed_commitment
        if seed is None or commitment("self seed", self._round_id, seed) != expected:
            raise Refusal(Code.SHARE_INVALID, f"{owner} dealt shares that do not give its seed", owner)
        return seed

    def mask_private(self, owner: str) -> bytes:
        """Return the private mask key of a member that vanished. Raises: Refusal `share-invalid`."""
        shares = {holder: r.mask_keys[owner] for holder, r in self._right.items() if owner in r.mask_keys}
        key = self._reconstruct(owner, shares, "mask key")
        if key is None or public_of(key) != self._advertisements[owner].mask_public:
            raise Refusal(Code.SHARE_INVALID, f"{owner} dealt shares that do not give its mask key", owner)
        return key

    def _sort(self, holder: str, payload: bytes) -> tuple[Revealed, set[str]]:
        revealed = Revealed.from_payload(payload, self._limits)
        if not (set(revealed.self_seeds) <= self._survivors and set(revealed.mask_keys) <= self._vanished):
            raise Refusal(Code.SHARE_INVALID, f"{holder} revealed other shares than were asked for", holder)

        def fits(purpose: str, part: int, owner: str, share: bytes) -> bool:
            expected = self._sealed[owner].commitments[holder][part]
            return share_commitment(purpose, self._round_id, owner, holder, share) == expected

        right = Revealed(
            {o: share for o, share in revealed.self_seeds.items() if fits("self seed", 0, o, share)},
            {o: share for o, share in revealed.mask_keys.items() if fits("mask key", 1, o, share)},
        )
        return right, set(self._sealed) - {*right.self_seeds, *right.mask_keys}

    def _reconstruct(self, owner: str, shares: Mapping[str, bytes], what: str) -> bytes | None:
        if len(shares) < self._threshold:
            wrong = sum(doubted == owner for doubted, _ in self._doubts)
            raise Refusal(
                Code.SHARE_INVALID,
                f"{len(shares)} right shares of the {what} of {owner}, {self._threshold} are needed; "
                f"{wrong} members hold a wrong one",
                # So many holders do not lie at once in a cohort that keeps its threshold.
                owner if wrong > self._tolerated else None,
            )
        holders = sorted(shares)[: self._threshold]
        return shamir.combine(
            [self._hosts.index(holder) + 1 for holder in holders], [shares[holder] for holder in holders]
        )
