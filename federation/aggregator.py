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
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from federation import cbor, cbor_fields, envelope, masks, messages
from federation.envelope import NO_ROUND, Envelope, Stage
from federation.errors import Code, CohortLost, ProtocolMisuse, Refusal
from federation.identity import Identity
from federation.journal import Journal
from federation.keys import check_public, mask_key, self_mask_key
from federation.limits import Limits
from federation.messages import Advertisement, Confirmation, SealedShares
from federation.proposal import SignedProposal
from federation.share_reconstruction import RevealedShares

REQUESTS = (Stage.PROPOSE, Stage.KEYS, Stage.SHARES, Stage.SURVIVORS, Stage.CONFIRMATIONS)
_ANSWER = dict(
    zip(REQUESTS, (Stage.ADVERTISE, Stage.SHARE, Stage.MASK, Stage.CONFIRM, Stage.UNMASK), strict=True)
)
_ENVELOPE_ROOM = 2048
_ASKED = "asked"


@dataclass(frozen=True)
class SumResult:
    """What a finished sum yields."""

    round_id: bytes
    total: NDArray[np.int64]
    """Shape (length,)."""
    survivors: tuple[str, ...]
    lost: dict[str, str]
    """Members that dropped out, with the reason."""
    doubts: tuple[tuple[str, str], ...] = ()
    """Pairs (owner, holder): the holder revealed no right share of the owner's. One of the two is at fault;
    the evidence does not say which, unless one of them is in many pairs."""


class Aggregator:
    """One secure sum. `journal` may already hold a part of it, which is then replayed.

    Only the members `asked` are sent anything; without them, the whole roster. With `exactly`, all of them
    have to survive: others revealed shares for this very set before, and would for no other.
    """

    def __init__(
        self,
        signed: SignedProposal,
        identity: Identity,
        journal: Journal,
        limits: Limits,
        *,
        asked: Iterable[str] | None = None,
        exactly: bool = False,
    ) -> None:
        proposal = signed.proposal
        if proposal.aggregator != identity.host:
            raise ProtocolMisuse("the proposal names another aggregator")
        if journal.read(signed.round_id, _ASKED) is None:
            hosts = sorted(set(proposal.hosts if asked is None else asked))
            if not set(hosts) <= set(proposal.hosts):
                raise ProtocolMisuse("only members of the roster can be asked")
            journal.write(signed.round_id, _ASKED, cbor.encode([[*hosts], int(exactly)]))
        self._signed = signed
        self._proposal = proposal
        self._identity = identity
        self._journal = journal
        self._limits = limits
        self._position = 0
        self._answers: dict[str, Envelope] = {}
        self._asked, self._exactly = _read_asked(signed.round_id, journal, limits)
        self._awaited = set(self._asked)
        self._lost: dict[str, str] = dict.fromkeys(set(proposal.hosts) - self._asked, "not asked")
        self._requests: dict[str, bytes] = dict.fromkeys(self._awaited, signed.raw)
        self._advertisements: dict[str, Advertisement] = {}
        self._sealed: dict[str, SealedShares] = {}
        self._survivors: tuple[str, ...] = ()
        self._keys_hash = b""
        self._expected_confirmation = b""
        self._reveals: RevealedShares | None = None
        self._total = np.zeros(0, dtype=masks.dtype_of(proposal.ring))
        self._result: SumResult | None = None
        journal.write(signed.round_id, "proposal", signed.raw)
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
    def confirmed(self) -> tuple[str, ...]:
        """The survivors for whom some member may have revealed shares: from then on no other set can be.

        Empty as long as confirmations were sent to nobody.
        """
        return self._survivors if self._position == len(REQUESTS) - 1 else ()

    @property
    def answered(self) -> int:
        """How many members have answered the current request, in this process or before it."""
        return len(self._survivors if REQUESTS[self._position] is Stage.SHARES else self._answers)

    @property
    def enough(self) -> bool:
        """Whether so many have answered the current request that the stage can be closed."""
        return self.answered >= self._needed()

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
        self._journal.write(self._signed.round_id, name, raw)
        self._take(host, message)

    def drop(self, host: str, reason: str) -> None:
        """Continue without an awaited member: it refused, answered wrongly, or cannot be reached."""
        self._awaited.discard(host)
        self._lost.setdefault(host, reason)

    def close(self) -> None:
        """End the stage with those who have answered, and prepare the next.

        Raises:
            CohortLost: fewer than the threshold are left, or not all that have to survive. Nothing was
                learned. At the last stage the sum can still be resumed: who comes back can answer.
            Refusal: `share-invalid` or `sum-implausible`: the last stage did not give a sum.

        """
        for host in sorted(self._awaited):
            self.drop(host, "no answer in time")
        if not self.enough:
            raise CohortLost(REQUESTS[self._position].value, self.answered, self._needed(), self._lost)
        name = f"{REQUESTS[self._position].value}-closed"
        self._journal.write(self._signed.round_id, name, cbor.encode(dict(self._lost)))
        self._advance()

    def _accept(self, host: str, raw: bytes) -> Envelope:
        message = envelope.parse(raw, max_size=self.max_answer)
        message.verify(self._proposal.member(host))
        messages.require(
            message,
            stage=_ANSWER[REQUESTS[self._position]],
            round_id=self._signed.round_id,
            recipient=self._identity.host,
        )
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
            self._require_reveals().take(host, bytes(message.payload))
        elif stage is Stage.SHARES:
            vector = np.frombuffer(message.payload, dtype=self._total.dtype)
            if self._total.size:
                np.add(self._total, vector, out=self._total)
            else:
                self._total = vector.copy()
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
        for key in (mine.seal_public, mine.mask_public):
            check_public(key, host)

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
        self._require_reveals().check(host, bytes(message.payload))

    def _require_reveals(self) -> RevealedShares:
        if self._reveals is None:
            raise ProtocolMisuse("nothing is revealed before the survivors are confirmed")
        return self._reveals

    def _needed(self) -> int:
        all_needed = self._exactly and REQUESTS[self._position] in (Stage.PROPOSE, Stage.KEYS, Stage.SHARES)
        return max(self._proposal.threshold, len(self._asked) if all_needed else 0)

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
            self._reveals = RevealedShares(
                self._signed,
                self._limits,
                advertisements=self._advertisements,
                sealed=self._sealed,
                survivors=self._survivors,
            )
            payload = messages.encode_hosts(self._survivors)
            self._ask(Stage.SURVIVORS, dict.fromkeys(self._survivors, payload), broadcast=True)
        elif stage is Stage.SURVIVORS:
            payload = messages.encode_messages(raws)
            self._ask(Stage.CONFIRMATIONS, dict.fromkeys(answers, payload), broadcast=True)
        else:
            self._finish()

    def _ask(self, stage: Stage, payloads: dict[str, bytes], *, broadcast: bool = False) -> None:
        round_id = self._signed.round_id
        if broadcast:
            payload = next(iter(payloads.values()))
            raw = envelope.seal(self._identity, round_id=round_id, stage=stage, recipient="", payload=payload)
            self._requests = dict.fromkeys(payloads, raw)
        else:
            self._requests = {
                host: envelope.seal(
                    self._identity, round_id=round_id, stage=stage, recipient=host, payload=payload
                )
                for host, payload in payloads.items()
            }
        self._position += 1
        self._awaited = set(payloads)

    def _finish(self) -> None:
        reveals = self._require_reveals()
        keys = [
            (self_mask_key(reveals.self_seed(host), self._signed.round_id), False) for host in self._survivors
        ]
        for gone in sorted(set(self._sealed) - set(self._survivors)):
            private = reveals.mask_private(gone)
            for host in self._survivors:
                key = mask_key(
                    private, self._advertisements[host].mask_public, self._signed.round_id, gone, host
                )
                keys.append((key, host < gone))
        masks.apply(self._total, keys)
        total = masks.from_ring(self._total)
        if not self._proposal.within(total, len(self._survivors)):
            raise Refusal(
                Code.SUM_IMPLAUSIBLE,
                "the sum lies outside what its members declared; one of them did not follow the protocol",
            )
        self._result = SumResult(
            self._signed.round_id, total, self._survivors, dict(self._lost), reveals.doubts
        )

    def _replay(self) -> None:
        journal, round_id = self._journal, self._signed.round_id
        while not self.finished:
            stage = REQUESTS[self._position].value
            closed = journal.read(round_id, f"{stage}-closed")
            lost = {} if closed is None else cbor.decode(closed)
            # First, because the decision counts, not what else may have reached the disk.
            for host, reason in (lost if isinstance(lost, dict) else {}).items():
                self.drop(host, str(reason))
            for host in sorted(self._awaited):
                raw = journal.read(round_id, f"{stage}.{host}")
                if raw is not None:
                    self._take(host, self._accept(host, raw))
            if closed is None:
                return
            self._advance()


def asked_in(round_id: bytes, journal: Journal, limits: Limits) -> frozenset[str]:
    """Return the members that are asked in a sum that the journal knows. Raises: ProtocolMisuse."""
    return _read_asked(round_id, journal, limits)[0]


def _read_asked(round_id: bytes, journal: Journal, limits: Limits) -> tuple[frozenset[str], bool]:
    content = cbor.decode(journal.read(round_id, _ASKED) or b"")
    if not isinstance(content, list) or len(content) != 2:
        raise ProtocolMisuse("the journal's list of whom to ask is damaged")
    hosts = cbor_fields.sequence(content[0], cbor_fields.host, at_most=limits.max_members)
    return frozenset(hosts), bool(content[1])


def resume(round_id: bytes, identity: Identity, journal: Journal, limits: Limits) -> Aggregator:
    """Build the aggregator of a sum that the journal knows.

    Raises:
        ProtocolMisuse: it does not know it.
        Refusal: what it holds is damaged.

    """
    raw = journal.read(round_id, "proposal")
    if raw is None:
        raise ProtocolMisuse("the journal has no such sum")
    message = envelope.parse(raw, max_size=limits.max_request)
    if message.round_id != NO_ROUND:
        raise ProtocolMisuse("the journal's proposal is none")
    return Aggregator(SignedProposal.read(message, identity.public, limits), identity, journal, limits)
