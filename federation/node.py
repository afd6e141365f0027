"""The member's side of all sums of an instance: signatures, journal, replay protection, limits.

One request in, one answer out. What is answered is journalled first, so that a restarted node gives the same
bytes for the same request and refuses a different one: no second input under one key, no second unmask
answer.

Journal names of one sum: `root` (sealed), `input`, one per answered stage (request and answer; that of the
proposal makes a sum exist), and `closed`, which outlives the others so that an old proposal is never taken up
again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from numpy.typing import NDArray

from federation import envelope, messages
from federation.envelope import Envelope, Stage
from federation.errors import Code, ProtocolMisuse, Refusal, silence
from federation.identity import Identity, PublicIdentity
from federation.journal import Journal, join_record, split_record
from federation.keys import derive
from federation.limits import Limits
from federation.member import Finished, Member, check_bounds
from federation.proposal import Proposal, SignedProposal

ANSWERS = {
    Stage.PROPOSE: Stage.ADVERTISE,
    Stage.KEYS: Stage.SHARE,
    Stage.SHARES: Stage.MASK,
    Stage.SURVIVORS: Stage.CONFIRM,
    Stage.CONFIRMATIONS: Stage.UNMASK,
}
"""Which stage answers which request."""

_STORAGE_KEY_SALT = b"storage"


@dataclass(frozen=True)
class Preparation:
    """A proposal that passed every check. `MemberNode.accept` takes it up, with this instance's vector."""

    signed: SignedProposal
    aggregator: PublicIdentity

    @property
    def proposal(self) -> Proposal:
        """What is proposed."""
        return self.signed.proposal


@dataclass
class _Running:
    signed: SignedProposal
    member: Member


class Contributions(Protocol):
    """The record of contributions and their receivers; kept by the caller, who knows the data behind them."""

    def check(self, round_id: bytes, proposal: Proposal, stage: Stage) -> None:
        """Record a request; raise `Refusal` when the contribution must not be used any more.

        From the answer to `Stage.SURVIVORS` on, others can open the sum without this instance.
        """

    def release(self, proposal: Proposal, survivors: tuple[str, ...]) -> None:
        """Record, durably, that a sum over these survivors is about to be opened, or raise `Refusal`.

        Called again for the same sum after a crash.
        """


class Unlimited:
    """No record: everything that the protocol allows may be contributed again."""

    def check(self, round_id: bytes, proposal: Proposal, stage: Stage) -> None:
        """Allow."""

    def release(self, proposal: Proposal, survivors: tuple[str, ...]) -> None:
        """Allow."""


class MemberNode:
    """The member side of an instance.

    `peer` returns the approved identity of a host, or None; `check_policies` raises `Refusal` for a proposal
    that the admin's policies do not allow; `clock` returns Unix seconds; `random` returns n secret random
    bytes; `contributions` is called at every stage, and before a sum is opened.
    """

    def __init__(
        self,
        identity: Identity,
        journal: Journal,
        *,
        peer: Callable[[str], PublicIdentity | None],
        check_policies: Callable[[Proposal], None],
        clock: Callable[[], float],
        random: Callable[[int], bytes],
        limits: Limits | None = None,
        contributions: Contributions | None = None,
    ) -> None:
        self._identity = identity
        self._journal = journal
        self._peer = peer
        self._check_policies = check_policies
        self._clock = clock
        self._random = random
        self._limits = limits or Limits()
        self._contributions = contributions or Unlimited()
        self._box = SecretBox(derive(identity.seed, _STORAGE_KEY_SALT, "journal"))
        self._running: dict[bytes, _Running] = {}
        for round_id in journal.ids():
            self._restore(round_id)

    def receive(self, raw: bytes) -> bytes | Preparation:
        """Take one request; return the signed answer, or for a new proposal what has to be prepared.

        Raises:
            Refusal: nothing changed.

        """
        message = envelope.parse(raw, max_size=self._limits.max_request)
        aggregator = self._peer(message.sender)
        if aggregator is None:
            raise Refusal(
                Code.UNKNOWN_PEER,
                f"{message.sender} is no approved peer of {self._identity.host}; its admin can approve it",
                message.sender,
            )
        if message.stage is Stage.PROPOSE:
            return self._proposed(message, aggregator)
        if message.stage not in ANSWERS:
            raise Refusal(Code.WRONG_STAGE, f"{message.stage} is not a request to a member", message.sender)
        # First, so that nobody else learns which sums are open here.
        message.verify(aggregator)
        return self._answer(message, self._find(message))

    def accept(self, preparation: Preparation, values: NDArray[np.int64]) -> bytes:
        """Commit to a sum with this instance's vector, int64 of shape (length,); return the advertisement.

        Preparing takes time, so everything that may have changed in the meantime is checked again. A sum that
        was accepted before keeps its first vector and gives its first answer.

        Raises:
            Refusal: `bounds-exceeded`, or what `receive` would refuse this proposal with by now.

        """
        signed = preparation.signed
        proposal = signed.proposal
        if self._peer(proposal.aggregator) != preparation.aggregator:
            raise Refusal(Code.UNKNOWN_PEER, f"{proposal.aggregator} is no longer an approved peer")
        known = self._recorded(signed.round_id, Stage.PROPOSE, signed.raw)
        if known is not None:
            return known
        self._check_proposal(signed)
        check_bounds(values, proposal)
        root = self._random(32)
        member = Member(signed, self._identity.host, root, self._limits)
        answer = self._seal(signed, Stage.ADVERTISE, member.advertise())
        try:
            self._record_acceptance(signed, root, values, answer)
        except BaseException:
            # Exactly what the journal says now, whichever write it was that failed.
            self._restore(signed.round_id)
            raise
        superseded = self._unfinished(proposal.aggregator)
        self._running[signed.round_id] = _Running(signed, member)
        for round_id in superseded:
            self.abandon(round_id)
        return answer

    def _record_acceptance(
        self, signed: SignedProposal, root: bytes, values: NDArray[np.int64], answer: bytes
    ) -> None:
        journal, proposal = self._journal, signed.proposal
        journal.write(signed.round_id, "root", self._box.encrypt(root, self._random(SecretBox.NONCE_SIZE)))
        journal.write(signed.round_id, "input", values.astype(f"<i{proposal.ring // 8}").tobytes())
        # Last, and what makes the sum exist: without it no answer was given, and the rest is dropped.
        journal.write(signed.round_id, Stage.PROPOSE.value, join_record(signed.raw, answer))

    def open_rounds(self) -> dict[bytes, Proposal]:
        """Return the sums that are neither finished nor expired."""
        now = self._clock()
        return {
            round_id: running.signed.proposal
            for round_id, running in self._running.items()
            if not isinstance(running.member.state, Finished) and now < running.signed.proposal.expires
        }

    def proposal_of(self, round_id: bytes) -> Proposal | None:
        """Return what was proposed in a sum accepted here, finished ones included until they expire."""
        running = self._running.get(round_id)
        return None if running is None else running.signed.proposal

    def survivors_of(self, round_id: bytes) -> tuple[str, ...]:
        """Return the survivors that this instance confirmed in a sum accepted here; nobody before."""
        record = self._journal.read(round_id, Stage.SURVIVORS.value)
        if record is None:
            return ()
        request = envelope.parse(split_record(record)[0], max_size=self._limits.max_request)
        return messages.decode_hosts(bytes(request.payload), self._limits)

    def abandon(self, round_id: bytes) -> None:
        """Leave a sum for good: erase its secrets; its id stays known."""
        running = self._running.get(round_id)
        if running is not None:
            self._close(round_id, running.signed.proposal.expires)

    def prune(self) -> None:
        """Close what has expired or must not continue, and forget ids that no clock could still accept."""
        now = self._clock()
        for round_id, running in list(self._running.items()):
            if now >= running.signed.proposal.expires or not self._may_continue(round_id, running):
                self.abandon(round_id)
        for round_id in self._journal.ids():
            closed = self._journal.read(round_id, "closed")
            if closed is not None and now > int(closed) + self._limits.max_clock_skew:
                self._journal.erase(round_id)

    def _proposed(self, message: Envelope, aggregator: PublicIdentity) -> bytes | Preparation:
        signed = SignedProposal.read(message, aggregator, self._limits)
        known = self._recorded(signed.round_id, Stage.PROPOSE, message.raw)
        if known is not None:
            return known
        self._check_proposal(signed)
        return Preparation(signed, aggregator)

    def _check_proposal(self, signed: SignedProposal) -> None:
        proposal = signed.proposal
        self._check_closed(signed.round_id, proposal.aggregator)
        proposal.check(limits=self._limits, now=self._clock())
        me = self._identity.public
        if me.host not in proposal.hosts:
            raise Refusal(Code.ROSTER_INVALID, f"{me.host} is not in the roster of the proposed sum")
        if proposal.member(me.host) != me:
            raise Refusal(Code.KEY_MISMATCH, f"the roster lists another key for {me.host} than it has now")
        self._check_capacity(proposal)
        self._check_policies(proposal)

    def _find(self, message: Envelope) -> _Running:
        running = self._running.get(message.round_id)
        if running is None:
            self._check_closed(message.round_id, message.sender)
            raise Refusal(Code.UNKNOWN_ROUND, "no such sum is open here; propose it first", message.sender)
        if message.sender != running.signed.proposal.aggregator:
            raise Refusal(
                Code.WRONG_SENDER, "only the aggregator of a sum sends its requests", message.sender
            )
        if self._clock() >= running.signed.proposal.expires:
            raise Refusal(Code.EXPIRED, "this sum has expired", message.sender)
        if message.recipient not in ("", self._identity.host):
            raise Refusal(Code.NOT_FOR_ME, "the request is addressed to somebody else", message.sender)
        return running

    def _check_closed(self, round_id: bytes, aggregator: str) -> None:
        closed = self._journal.read(round_id, "closed")
        if closed is not None and self._clock() >= int(closed):
            raise Refusal(Code.EXPIRED, "this sum has expired", aggregator)
        if closed is not None:
            # A viewer who is counted in it may have left, and its aggregator must not learn that.
            raise silence()

    def _answer(self, message: Envelope, running: _Running) -> bytes:
        known = self._recorded(message.round_id, message.stage, message.raw)
        if known is not None:
            return known
        round_id, proposal = message.round_id, running.signed.proposal
        self._contributions.check(round_id, proposal, message.stage)
        if message.stage is Stage.CONFIRMATIONS and running.member.survivors:
            self._contributions.release(proposal, running.member.survivors)
        try:
            payload: bytes | memoryview = self._advance(running, message)
            if message.stage is Stage.SHARES:
                payload = running.member.mask(self._input(running))
            answer = self._seal(running.signed, ANSWERS[message.stage], payload)
            self._journal.write(round_id, message.stage.value, join_record(message.raw, answer))
        except Refusal:
            raise
        except BaseException:
            # The state in memory may be ahead of the journal: go back to what the journal knows.
            self._restore(round_id)
            raise
        if isinstance(running.member.state, Finished):
            self._erase_secrets(round_id)
        return answer

    def _advance(self, running: _Running, message: Envelope) -> bytes:
        member = running.member
        if message.stage is Stage.KEYS:
            return member.share(message)
        if message.stage is Stage.SHARES:
            member.take_shares(message)
            return b""
        if message.stage is Stage.SURVIVORS:
            return member.confirm(message)
        return member.unmask(message)

    def _recorded(self, round_id: bytes, stage: Stage, raw: bytes) -> bytes | None:
        record = self._journal.read(round_id, stage.value)
        if record is None:
            return None
        request, answer = split_record(record)
        if request != raw:
            raise Refusal(Code.STAGE_REPEATED, f"stage {stage} was answered before, to a different request")
        return answer

    def _check_capacity(self, proposal: Proposal) -> None:
        of_peer = sum(
            running.signed.proposal.aggregator == proposal.aggregator for running in self._running.values()
        )
        if of_peer >= self._limits.max_rounds_per_peer:
            # It has too many unexpired sums here.
            raise silence()
        # A new sum of the same aggregator takes the place of one it left unfinished, and adds nothing.
        superseded = self._unfinished(proposal.aggregator)
        if any(self._running[round_id].signed.proposal.created > proposal.created for round_id in superseded):
            # A third party that replays an old proposal must not end a new sum with it.
            raise Refusal(Code.REPLAYED, "a newer sum of this aggregator is under way")
        if len(self._unfinished()) - len(superseded) >= self._limits.max_open_rounds:
            raise silence()

    def _may_continue(self, round_id: bytes, running: _Running) -> bool:
        if isinstance(running.member.state, Finished):
            return True
        try:
            self._contributions.check(round_id, running.signed.proposal, Stage.PROPOSE)
        except Refusal:
            return False
        return True

    def _unfinished(self, aggregator: str | None = None) -> list[bytes]:
        return [
            round_id
            for round_id, running in self._running.items()
            if not isinstance(running.member.state, Finished)
            and aggregator in (None, running.signed.proposal.aggregator)
        ]

    def _seal(self, signed: SignedProposal, stage: Stage, payload: bytes | memoryview) -> bytes:
        return envelope.seal(
            self._identity,
            round_id=signed.round_id,
            stage=stage,
            recipient=signed.proposal.aggregator,
            payload=payload,
        )

    def _input(self, running: _Running) -> NDArray[np.int64]:
        stored = self._journal.read(running.signed.round_id, "input")
        if stored is None:
            raise ProtocolMisuse("the journal lost the input of an open sum")
        return np.frombuffer(stored, dtype=f"<i{running.signed.proposal.ring // 8}").astype(np.int64)

    def _erase_secrets(self, round_id: bytes) -> None:
        # Of no more use to anyone once the last answer is recorded; only that may be asked for again.
        self._journal.erase(round_id, "root", "input", Stage.SHARES.value, Stage.KEYS.value)

    def _close(self, round_id: bytes, expires: int) -> None:
        self._journal.write(round_id, "closed", str(expires).encode())
        self._running.pop(round_id, None)
        self._erase_all_but_closed(round_id)

    def _erase_all_but_closed(self, round_id: bytes) -> None:
        names = [name for name in self._journal.names(round_id) if name != "closed"]
        if names:
            self._journal.erase(round_id, *names)

    def _restore(self, round_id: bytes) -> None:
        """Make memory what the journal says, and finish an erasure that a crash interrupted."""
        self._running.pop(round_id, None)
        if self._journal.read(round_id, "closed") is not None:
            self._erase_all_but_closed(round_id)
            return
        record = self._journal.read(round_id, Stage.PROPOSE.value)
        if record is None:
            self._journal.erase(round_id)
            return
        try:
            self._running[round_id] = self._rebuild(round_id, split_record(record)[0])
        except (Refusal, ProtocolMisuse, CryptoError):
            # The peer is no longer approved or has another key, I have another key, the limits are lower, or
            # the journal is damaged: nothing can be continued. No proposal can be valid for longer than this.
            longest = self._limits.max_clock_skew + self._limits.max_lifetime
            self._close(round_id, int(self._clock()) + longest)

    def _rebuild(self, round_id: bytes, raw: bytes) -> _Running:
        message = envelope.parse(raw, max_size=self._limits.max_request)
        aggregator = self._peer(message.sender)
        if aggregator is None:
            raise Refusal(Code.UNKNOWN_PEER, f"{message.sender} is no longer an approved peer")
        signed = SignedProposal.read(message, aggregator, self._limits)
        if self._journal.read(round_id, Stage.CONFIRMATIONS.value) is not None:
            running = _Running(signed, Member(signed, self._identity.host, bytes(32), self._limits))
            running.member.finish()
            self._erase_secrets(round_id)
            return running
        sealed = self._journal.read(round_id, "root")
        if sealed is None:
            raise ProtocolMisuse("the journal lost the secrets of an open sum")
        root = self._box.decrypt(sealed)
        running = _Running(signed, Member(signed, self._identity.host, root, self._limits))
        self._replay(running)
        return running

    def _replay(self, running: _Running) -> None:
        """Take the recorded requests again, in order: one behind a gap raises, as it would have then."""
        for stage in (Stage.KEYS, Stage.SHARES, Stage.SURVIVORS):
            record = self._journal.read(running.signed.round_id, stage.value)
            if record is not None:
                request, _ = split_record(record)
                self._advance(running, envelope.parse(request, max_size=self._limits.max_request))
