"""The aggregator's side of one secure sum, as a pure state machine.

It relays signed messages between members, decides after each stage who is still in, and learns the sum of the
survivors' vectors and nothing else. Drive it so:

    while not aggregator.finished:
        send each of aggregator.requests(); pass answers to receive(), failures to drop()
        when nobody is awaited any more, or the time for the stage is over: close()

Answers and decisions are journalled before they count, so that an aggregator that crashed and is built again
on the same journal sends the same requests and comes to the same sum. It holds no secret but its signing key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from federation import cbor, envelope, masks, messages, shamir
from federation.envelope import NO_SUM, Envelope, Stage
from federation.errors import Code, CohortLost, ProtocolMisuse, Refusal
from federation.hashing import commitment
from federation.identity import Identity
from federation.journal import Journal
from federation.keys import mask_key, public_of, self_mask_key
from federation.limits import Limits
from federation.member import share_commitment
from federation.messages import Advertisement, Confirmation, Revealed, SealedShares
from federation.proposal import SignedProposal

REQUESTS = (Stage.PROPOSE, Stage.KEYS, Stage.SHARES, Stage.SURVIVORS, Stage.CONFIRMATIONS)
_ANSWER = dict(
    zip(REQUESTS, (Stage.ADVERTISE, Stage.SHARE, Stage.MASK, Stage.CONFIRM, Stage.UNMASK), strict=True)
)
_ENVELOPE_ROOM = 2048


@dataclass(frozen=True)
class SumResult:
    """What a finished sum yields."""

    sum_id: bytes
    total: NDArray[np.int64]
    """Shape (length,)."""
    survivors: tuple[str, ...]
    lost: dict[str, str]
    """Members that dropped out, with the reason."""


class Aggregator:
    """One secure sum. `journal` may already hold a part of it, which is then replayed."""

    def __init__(self, signed: SignedProposal, identity: Identity, journal: Journal, limits: Limits) -> None:
        proposal = signed.proposal
        if proposal.aggregator != identity.host:
            raise ProtocolMisuse("the proposal names another aggregator")
        self._signed = signed
        self._proposal = proposal
        self._identity = identity
        self._journal = journal
        self._limits = limits
        self._position = 0
        self._answers: dict[str, Envelope] = {}
        self._awaited = set(proposal.survivors or proposal.hosts)
        self._lost: dict[str, str] = {}
        self._requests: dict[str, bytes] = dict.fromkeys(self._awaited, signed.raw)
        self._advertisements: dict[str, Advertisement] = {}
        self._sealed: dict[str, SealedShares] = {}
        self._survivors: tuple[str, ...] = ()
        self._keys_hash = b""
        self._expected_confirmation = b""
        self._revealed: dict[str, Revealed] = {}
        self._total = np.zeros(0, dtype=masks.dtype_of(proposal.ring))
        self._result: SumResult | None = None
        journal.write(signed.sum_id, "proposal", signed.raw)
        self._replay()

    @property
    def stage(self) -> Stage | None:
        """The request that is being sent; None when finished."""
        return None if self.finished else REQUESTS[self._position]

    @property
    def finished(self) -> bool:
        """Whether the result is there."""
        return self._result is not None

    @property
    def result(self) -> SumResult:
        """The sum and its survivors. Raises: ProtocolMisuse before the end."""
        if self._result is None:
            raise ProtocolMisuse("the sum is not finished")
        return self._result

    @property
    def awaited(self) -> frozenset[str]:
        """Members that have not answered the current request."""
        return frozenset(self._awaited)

    @property
    def lost(self) -> dict[str, str]:
        """Members that dropped out so far, with the reason."""
        return dict(self._lost)

    @property
    def max_answer(self) -> int:
        """The largest answer, in bytes, to the current request that can be right."""
        if self.stage is Stage.SHARES:
            return self._proposal.masked_size + _ENVELOPE_ROOM
        return self._limits.max_answer

    def requests(self) -> dict[str, bytes]:
        """Return the current request for each awaited member."""
        return {host: self._requests[host] for host in sorted(self._awaited)}

    def receive(self, host: str, raw: bytes) -> None:
        """Take one member's answer to the current request.

        Raises:
            Refusal: the answer is wrong; the member is out of this sum.

        """
        if host not in self._awaited:
            raise ProtocolMisuse(f"{host} is not awaited at this stage")
        try:
            message = self._accept(host, raw)
        except Refusal as refusal:
            self.drop(host, str(refusal.code))
            raise
        name = f"{REQUESTS[self._position].value}.{host}"
        self._journal.write(self._signed.sum_id, name, raw)
        self._take(host, message)

    def drop(self, host: str, reason: str) -> None:
        """Go on without an awaited member: it refused, answered wrongly, or cannot be reached."""
        self._awaited.discard(host)
        self._lost.setdefault(host, reason)

    def close(self) -> None:
        """End the stage with those who have answered, and prepare the next.

        Raises:
            CohortLost: fewer than the threshold are left, or in a later round not exactly the required
                survivors. Nothing was learned.
            Refusal: `share-invalid` or `sum-implausible`: the last stage did not give a sum.

        """
        for host in sorted(self._awaited):
            self.drop(host, "no answer in time")
        self._require_enough()
        name = f"{REQUESTS[self._position].value}-closed"
        self._journal.write(self._signed.sum_id, name, cbor.encode(dict(self._lost)))
        self._advance()

    # -- answers --------------------------------------------------------------------------------------------

    def _accept(self, host: str, raw: bytes) -> Envelope:
        message = envelope.parse(raw, max_size=self.max_answer)
        messages.require(
            message,
            stage=_ANSWER[REQUESTS[self._position]],
            sum_id=self._signed.sum_id,
            recipient=self._identity.host,
        )
        message.verify(self._proposal.member(host))
        check = (
            self._check_advertisement,
            self._check_sealed,
            self._check_masked,
            self._check_confirmation,
            self._check_revealed,
        )[self._position]
        check(host, message)
        return message

    def _take(self, host: str, message: Envelope) -> None:
        self._awaited.discard(host)
        stage = REQUESTS[self._position]
        if stage is Stage.PROPOSE:
            self._advertisements[host] = Advertisement.from_payload(bytes(message.payload))
        elif stage is Stage.KEYS:
            self._sealed[host] = SealedShares.from_payload(bytes(message.payload), self._limits)
        elif stage is Stage.CONFIRMATIONS:
            self._revealed[host] = Revealed.from_payload(bytes(message.payload), self._limits)
        elif stage is Stage.SHARES:
            vector = np.frombuffer(message.payload, dtype=self._total.dtype)
            self._total = vector.copy() if not self._total.size else np.add(self._total, vector)
            # Only that it answered matters from here on, not the megabytes.
            self._survivors = tuple(sorted({*self._survivors, host}))
            return
        self._answers[host] = message

    def _check_advertisement(self, host: str, message: Envelope) -> None:
        mine = Advertisement.from_payload(bytes(message.payload))
        taken = {
            key for item in self._advertisements.values() for key in (item.seal_public, item.mask_public)
        }
        if mine.seal_public in taken or mine.mask_public in taken or mine.seal_public == mine.mask_public:
            raise Refusal(Code.KEYS_INVALID, f"{host} advertised a key that occurs twice", host)

    def _check_sealed(self, host: str, message: Envelope) -> None:
        shares = SealedShares.from_payload(bytes(message.payload), self._limits)
        everyone = set(self._advertisements)
        if set(shares.commitments) != everyone or set(shares.sealed) != everyone - {host}:
            raise Refusal(Code.SHARE_INVALID, f"{host} did not share with exactly those who advertised", host)

    def _check_masked(self, host: str, message: Envelope) -> None:
        if len(message.payload) != self._proposal.masked_size:
            raise Refusal(Code.MALFORMED, f"the vector of {host} has the wrong length", host)

    def _check_confirmation(self, host: str, message: Envelope) -> None:
        if message.payload != self._expected_confirmation:
            raise Refusal(Code.SURVIVORS_DIFFER, f"{host} confirmed another view of this sum", host)

    def _check_revealed(self, host: str, message: Envelope) -> None:
        revealed = Revealed.from_payload(bytes(message.payload), self._limits)
        vanished = set(self._sealed) - set(self._survivors)
        if set(revealed.self_seeds) != set(self._survivors) or set(revealed.mask_keys) != vanished:
            raise Refusal(Code.SHARE_INVALID, f"{host} revealed other shares than were asked for", host)
        for purpose, part, shares in (
            ("self seed", 0, revealed.self_seeds),
            ("mask key", 1, revealed.mask_keys),
        ):
            for owner, share in shares.items():
                expected = self._sealed[owner].commitments[host][part]
                if share_commitment(purpose, self._signed.sum_id, owner, host, share) != expected:
                    raise Refusal(
                        Code.SHARE_INVALID,
                        f"{host} revealed a false share of {owner}, or was dealt one",
                        host,
                    )

    # -- stages ---------------------------------------------------------------------------------------------

    def _require_enough(self) -> None:
        at_masks = REQUESTS[self._position] is Stage.SHARES
        answered = set(self._survivors) if at_masks else set(self._answers)
        required = self._proposal.survivors
        whole_session = REQUESTS[self._position] in (Stage.PROPOSE, Stage.KEYS, Stage.SHARES)
        if len(answered) < self._proposal.threshold or (
            required and whole_session and answered != set(required)
        ):
            raise CohortLost(
                REQUESTS[self._position].value, len(answered), len(required) or self._proposal.threshold
            )

    def _advance(self) -> None:
        stage = REQUESTS[self._position]
        answers, self._answers = self._answers, {}
        raws = {host: message.raw for host, message in answers.items()}
        if stage is Stage.PROPOSE:
            payload = messages.encode_messages(raws)
            self._keys_hash = hashlib.sha256(payload).digest()
            self._ask(Stage.KEYS, dict.fromkeys(answers, payload), broadcast=True)
        elif stage is Stage.KEYS:
            self._ask(
                Stage.SHARES,
                {
                    host: messages.encode_sealed(
                        {other: self._sealed[other].sealed[host] for other in answers if other != host}
                    )
                    for host in answers
                },
            )
        elif stage is Stage.SHARES:
            self._expected_confirmation = Confirmation(
                survivors=messages.hash_hosts(self._survivors),
                sharers=messages.hash_hosts(tuple(self._sealed)),
                keys=self._keys_hash,
            ).to_payload()
            payload = messages.encode_hosts(self._survivors)
            self._ask(Stage.SURVIVORS, dict.fromkeys(self._survivors, payload), broadcast=True)
        elif stage is Stage.SURVIVORS:
            payload = messages.encode_messages(raws)
            self._ask(Stage.CONFIRMATIONS, dict.fromkeys(answers, payload), broadcast=True)
        else:
            self._finish()

    def _ask(self, stage: Stage, payloads: dict[str, bytes], *, broadcast: bool = False) -> None:
        sum_id = self._signed.sum_id
        if broadcast:
            payload = next(iter(payloads.values()))
            raw = envelope.seal(self._identity, sum_id=sum_id, stage=stage, recipient="", payload=payload)
            self._requests = dict.fromkeys(payloads, raw)
        else:
            self._requests = {
                host: envelope.seal(
                    self._identity, sum_id=sum_id, stage=stage, recipient=host, payload=payload
                )
                for host, payload in payloads.items()
            }
        self._position += 1
        self._awaited = set(payloads)

    def _finish(self) -> None:
        keys = [
            (self_mask_key(self._reconstruct_seed(host), self._signed.sum_id), False)
            for host in self._survivors
        ]
        for gone in sorted(set(self._sealed) - set(self._survivors)):
            private = self._reconstruct_mask_key(gone)
            for host in self._survivors:
                key = mask_key(
                    private, self._advertisements[host].mask_public, self._signed.sum_id, gone, host
                )
                keys.append((key, host < gone))
        masks.apply(self._total, keys)
        total = masks.from_ring(self._total)
        if int(total.min()) < 0 or int(total.max()) > len(self._survivors) * self._proposal.entry_bound:
            raise Refusal(
                Code.SUM_IMPLAUSIBLE,
                "the sum lies outside what its members declared; one of them did not follow the protocol",
            )
        self._result = SumResult(self._signed.sum_id, total, self._survivors, dict(self._lost))

    def _reconstruct(self, owner: str, part: str) -> bytes | None:
        hosts = self._proposal.hosts
        revealers = sorted(self._revealed)[: self._proposal.threshold]
        return shamir.combine(
            [hosts.index(host) + 1 for host in revealers],
            [getattr(self._revealed[host], part)[owner] for host in revealers],
        )

    def _reconstruct_seed(self, owner: str) -> bytes:
        seed = self._reconstruct(owner, "self_seeds")
        expected = self._advertisements[owner].seed_commitment
        if seed is None or commitment("self seed", self._signed.sum_id, seed) != expected:
            raise Refusal(Code.SHARE_INVALID, f"{owner} dealt shares that do not give its seed", owner)
        return seed

    def _reconstruct_mask_key(self, owner: str) -> bytes:
        key = self._reconstruct(owner, "mask_keys")
        if key is None or public_of(key) != self._advertisements[owner].mask_public:
            raise Refusal(Code.SHARE_INVALID, f"{owner} dealt shares that do not give its mask key", owner)
        return key

    # -- restart --------------------------------------------------------------------------------------------

    def _replay(self) -> None:
        journal, sum_id = self._journal, self._signed.sum_id
        while not self.finished:
            stage = REQUESTS[self._position].value
            for host in sorted(self._awaited):
                raw = journal.read(sum_id, f"{stage}.{host}")
                if raw is not None:
                    self._take(host, self._accept(host, raw))
            closed = journal.read(sum_id, f"{stage}-closed")
            if closed is None:
                return
            lost = cbor.decode(closed)
            for host, reason in (lost if isinstance(lost, dict) else {}).items():
                self.drop(host, str(reason))
            self._advance()


def resume(sum_id: bytes, identity: Identity, journal: Journal, limits: Limits) -> Aggregator:
    """Build the aggregator of a sum that the journal knows.

    Raises:
        ProtocolMisuse: it does not know it.
        Refusal: what it holds is damaged.

    """
    raw = journal.read(sum_id, "proposal")
    if raw is None:
        raise ProtocolMisuse("the journal has no such sum")
    message = envelope.parse(raw, max_size=limits.max_request)
    if message.sum_id != NO_SUM:
        raise ProtocolMisuse("the journal's proposal is none")
    return Aggregator(SignedProposal.read(message, identity.public, limits), identity, journal, limits)
