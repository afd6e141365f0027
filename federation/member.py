"""A member's side of one secure sum, as a pure state machine.

Rules, each enforced here whatever the aggregator says:

- stages come in order, none twice;
- the advertised keys are signed by at least `threshold` members of the roster, mine among them, unchanged,
  no key occurs twice and none is of low order;
- shares come from at least `threshold` members, all of whom advertised, me included; one that does not open
  is held as missing and never revealed, so that a single bad dealer cannot drive its peers out;
- the survivor set contains me, lies within the set that shared, and has at least `threshold` members;
- shares are revealed once, after `threshold` valid confirmations by distinct survivors that all saw the same
  survivors, the same sharers and the same keys as I did;
- for a survivor only the share of its self seed is revealed, for one who vanished only that of its mask key.

    Invited --keys--> Shared --shares--> Masked --survivors--> Confirmed --confirmations--> Finished

Every method takes the verified request of its stage, moves the state and returns the payload to answer with.
What can be refused is checked before the state moves: after a `Refusal` everything is as it was. Journalling
and signatures are the caller's (`federation.node`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from federation import masks, messages
from federation.envelope import Envelope, Stage
from federation.errors import Code, ProtocolMisuse, Refusal
from federation.keys import KEY_SIZE, RoundSecrets, Sealer, commitment, mask_key, self_mask_key
from federation.limits import Limits
from federation.messages import Advertisement, Confirmation, Revealed, SealedShares
from federation.proposal import Proposal, SignedProposal
from federation.shamir import SHARE_SIZE


@dataclass(frozen=True)
class Invited:
    """The proposal was accepted and my keys are advertised."""


@dataclass(frozen=True)
class Channel:
    """What I agreed on with one other member: how to seal shares to it, and the mask between us."""

    sealer: Sealer = field(repr=False)
    mask: bytes = field(repr=False)


@dataclass(frozen=True)
class Shared:
    """I know everybody's keys and have sealed my shares."""

    keys_hash: bytes
    channels: dict[str, Channel]
    own: tuple[bytes, bytes] = field(repr=False)
    """The shares of my own secrets that I keep."""


@dataclass(frozen=True)
class Masked:
    """My masked vector is out; I hold two shares of every sharer."""

    shared: Shared
    sharers: tuple[str, ...]
    held: dict[str, tuple[bytes, bytes]] = field(repr=False)
    """Shares of self seed and mask key, by owner. A sharer whose shares did not open is missing."""


@dataclass(frozen=True)
class Confirmed:
    """I signed one survivor set, and will never sign or act on another."""

    masked: Masked
    survivors: tuple[str, ...]
    confirmation: Confirmation


@dataclass(frozen=True)
class Finished:
    """I revealed what this sum needs; nothing more comes from me."""


State = Invited | Shared | Masked | Confirmed | Finished
S = TypeVar("S")


def share_commitment(purpose: str, round_id: bytes, owner: str, holder: str, share: bytes) -> bytes:
    """Return what a revealed share is checked against, so that a false one names who revealed it."""
    return commitment(f"{purpose} share", round_id, owner.encode(), holder.encode(), share)


def check_bounds(values: NDArray[np.int64], proposal: Proposal) -> None:
    """Check shape and size of this instance's own vector, noise included, before it is promised to anyone.

    Raises:
        ProtocolMisuse: the shape is not (length,) or the type not int64.
        Refusal: `bounds-exceeded`.

    """
    if values.shape != (proposal.length,) or values.dtype != np.int64:
        raise ProtocolMisuse(
            f"expected {proposal.length} values of int64, got {values.dtype} of shape {values.shape}"
        )
    if not proposal.within(values):
        raise Refusal(
            Code.BOUNDS_EXCEEDED,
            f"this instance has entries above the declared bound of {proposal.entry_bound}; "
            "ask the aggregator to raise its bound on users per instance",
        )


class Member:
    """One secure sum, seen by the member `host`. `root` is 32 random bytes used for nothing else."""

    def __init__(self, signed: SignedProposal, host: str, root: bytes, limits: Limits) -> None:
        if host not in signed.proposal.hosts:
            raise Refusal(Code.ROSTER_INVALID, "this instance is not in the roster of the proposed sum")
        self._proposal = signed.proposal
        self._round_id = signed.round_id
        self._host = host
        self._limits = limits
        self._secrets = RoundSecrets(root, signed.round_id)
        self._state: State = Invited()

    @property
    def state(self) -> State:
        """Where this sum stands."""
        return self._state

    @property
    def survivors(self) -> tuple[str, ...]:
        """The survivors that I confirmed and have not yet helped to unmask; else nobody."""
        return self._state.survivors if isinstance(self._state, Confirmed) else ()

    def advertise(self) -> bytes:
        """Return the payload of stage 1."""
        secrets = self._secrets
        return Advertisement(secrets.seal_public, secrets.mask_public, secrets.seed_commitment).to_payload()

    def share(self, request: Envelope) -> bytes:
        """Stage 2: take everybody's keys, return my sealed shares."""
        self._expect(Invited, Stage.SHARE)
        found = messages.decode_messages(
            bytes(request.payload),
            stage=Stage.ADVERTISE,
            round_id=self._round_id,
            proposal=self._proposal,
            limits=self._limits,
        )
        advertisements = {
            host: Advertisement.from_payload(bytes(message.payload)) for host, message in found.items()
        }
        self._check_keys(advertisements)
        channels = {
            host: self._channel(host, advertisement)
            for host, advertisement in advertisements.items()
            if host != self._host
        }
        pairs = self._my_shares(advertisements)
        answer = self._seal_shares(channels, pairs).to_payload()
        self._state = Shared(hashlib.sha256(request.payload).digest(), channels, pairs[self._host])
        return answer

    def take_shares(self, request: Envelope) -> None:
        """Stage 3, first half: take the shares sealed to me."""
        state = self._expect(Shared, Stage.MASK)
        sealed = messages.decode_sealed(bytes(request.payload), self._limits)
        sharers = self._check_sharers(sealed, state.channels)
        self._state = Masked(state, sharers, self._open_shares(sealed, state))

    def mask(self, values: NDArray[np.int64]) -> memoryview:
        """Stage 3, second half: return my vector under all masks, `masked_size` bytes, not copied again.

        `values` has shape (length,); every entry lies in [-value_bound, value_bound].
        """
        state = self._expect(Masked, Stage.MASK)
        check_bounds(values, self._proposal)
        vector = masks.to_ring(values, self._proposal.ring)
        masks.apply(vector, self._masks(state))
        return vector.data.cast("B")

    def confirm(self, request: Envelope) -> bytes:
        """Stage 4: take the survivor set, return what I sign about it."""
        state = self._expect(Masked, Stage.CONFIRM)
        survivors = messages.decode_hosts(bytes(request.payload), self._limits)
        self._check_survivors(survivors, state.sharers)
        confirmation = Confirmation(
            survivors=messages.hash_hosts(survivors),
            sharers=messages.hash_hosts(state.sharers),
            keys=state.shared.keys_hash,
        )
        self._state = Confirmed(state, survivors, confirmation)
        return confirmation.to_payload()

    def unmask(self, request: Envelope) -> bytes:
        """Stage 5: take the others' confirmations, return one share per sharer. Happens once."""
        state = self._expect(Confirmed, Stage.UNMASK)
        confirmations = messages.decode_messages(
            bytes(request.payload),
            stage=Stage.CONFIRM,
            round_id=self._round_id,
            proposal=self._proposal,
            limits=self._limits,
        )
        if not set(confirmations) <= set(state.survivors):
            raise Refusal(
                Code.CONFIRMATIONS_INVALID, "a confirmation comes from a member that did not survive"
            )
        own = state.confirmation.to_payload()
        for host, message in confirmations.items():
            if message.payload != own:
                raise Refusal(
                    Code.SURVIVORS_DIFFER, f"{host} confirmed another view of this sum than this instance"
                )
        if len(confirmations) < self._proposal.threshold:
            raise Refusal(
                Code.CONFIRMATIONS_INVALID,
                f"{len(confirmations)} confirmations, {self._proposal.threshold} are needed",
            )
        held = state.masked.held
        survivors = set(state.survivors)
        self.finish()
        return Revealed(
            self_seeds={host: pair[0] for host, pair in held.items() if host in survivors},
            mask_keys={host: pair[1] for host, pair in held.items() if host not in survivors},
        ).to_payload()

    def finish(self) -> None:
        """Mark a sum whose last answer is given, and let go of its secrets."""
        self._state = Finished()
        self._secrets = RoundSecrets(bytes(KEY_SIZE), self._round_id)

    def _expect(self, wanted: type[S], stage: Stage) -> S:
        if not isinstance(self._state, wanted):
            raise Refusal(
                Code.WRONG_STAGE,
                f"stage {stage} does not follow the state {type(self._state).__name__.lower()}",
            )
        return self._state

    def _check_keys(self, advertisements: dict[str, Advertisement]) -> None:
        if len(advertisements) < self._proposal.threshold:
            raise Refusal(
                Code.COHORT_TOO_SMALL,
                f"{len(advertisements)} members advertised keys, {self._proposal.threshold} are needed",
            )
        mine = advertisements.get(self._host)
        if mine is None or mine.to_payload() != self.advertise():
            raise Refusal(Code.KEYS_INVALID, "my own keys are missing from the set or were changed")
        keys = [key for item in advertisements.values() for key in (item.seal_public, item.mask_public)]
        if len(set(keys)) != len(keys):
            raise Refusal(Code.KEYS_INVALID, "two members advertised the same key")

    def _check_sharers(self, sealed: dict[str, bytes], channels: dict[str, Channel]) -> tuple[str, ...]:
        if not set(sealed) <= set(channels):
            raise Refusal(Code.SHARE_INVALID, "shares come from me or from somebody who advertised no keys")
        sharers = tuple(sorted({*sealed, self._host}))
        if len(sharers) < self._proposal.threshold:
            raise Refusal(
                Code.COHORT_TOO_SMALL, f"{len(sharers)} members shared, {self._proposal.threshold} are needed"
            )
        return sharers

    def _check_survivors(self, survivors: Sequence[str], sharers: Sequence[str]) -> None:
        if self._host not in survivors:
            raise Refusal(Code.SURVIVORS_INVALID, "this instance answered and is missing among the survivors")
        if not set(survivors) <= set(sharers):
            raise Refusal(Code.SURVIVORS_INVALID, "a survivor is named that never shared")
        if len(survivors) < self._proposal.threshold:
            raise Refusal(
                Code.COHORT_TOO_SMALL,
                f"{len(survivors)} members survive, {self._proposal.threshold} are needed",
            )

    def _channel(self, host: str, advertisement: Advertisement) -> Channel:
        secrets = self._secrets
        return Channel(
            Sealer(secrets, self._host, host, advertisement.seal_public),
            mask_key(secrets.mask_private, advertisement.mask_public, self._round_id, self._host, host),
        )

    def _my_shares(self, hosts: Collection[str]) -> dict[str, tuple[bytes, bytes]]:
        members, threshold = len(self._proposal.roster), self._proposal.threshold
        secrets = self._secrets
        seeds = secrets.shares(secrets.self_seed, "self seed", members=members, threshold=threshold)
        keys = secrets.shares(secrets.mask_private, "mask key", members=members, threshold=threshold)
        numbered = zip(self._proposal.hosts, seeds, keys, strict=True)
        return {host: (seed, key) for host, seed, key in numbered if host in hosts}

    def _seal_shares(
        self, channels: dict[str, Channel], pairs: dict[str, tuple[bytes, bytes]]
    ) -> SealedShares:
        return SealedShares(
            sealed={host: channel.sealer.seal(b"".join(pairs[host])) for host, channel in channels.items()},
            commitments={
                host: (
                    share_commitment("self seed", self._round_id, self._host, host, seed),
                    share_commitment("mask key", self._round_id, self._host, host, key),
                )
                for host, (seed, key) in pairs.items()
            },
        )

    def _open_shares(self, sealed: dict[str, bytes], state: Shared) -> dict[str, tuple[bytes, bytes]]:
        held = {self._host: state.own}
        for host, box in sealed.items():
            try:
                plain = state.channels[host].sealer.open(box)
            except Refusal:
                continue
            held[host] = plain[:SHARE_SIZE], plain[SHARE_SIZE:]
        return held

    def _masks(self, state: Masked) -> list[tuple[bytes, bool]]:
        others = [host for host in state.sharers if host != self._host]
        pairwise = [(state.shared.channels[host].mask, self._host > host) for host in others]
        return [(self_mask_key(self._secrets.self_seed, self._round_id), True), *pairwise]
