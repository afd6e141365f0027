"""Time of one secure sum of a million values, against flwr's SecAgg+ and against the bare keystream.

What a client computes in one sum on a complete graph, from its keys to its last answer, parsing, signatures
and encoding included; no network, no disk. The flwr column calls flwr's own functions in the order of
`flwr.client.mod.secure_aggregation.secaggplus_mod`, without its quantisation, since our input is integer
already. The keystream column is ChaCha20 alone over the same number of masks of the same length. None of the
three gains from a second processor. The process's processor time is taken and they take turns, so that other
load on the machine meets each alike; medians are compared.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from federation import envelope, messages
from federation.aggregator import Aggregator
from federation.envelope import Stage
from federation.identity import Identity
from federation.journal import MemoryJournal
from federation.limits import Limits
from federation.member import Member
from federation.messages import Confirmation, SealedShares
from federation.proposal import Proposal, Segment, SignedProposal, least_threshold

VALUES = 1_000_000
COHORTS = (10, 50, 100)
ROUNDS = 5
LOSSES = 10
LIMITS = Limits()


def run() -> dict[str, float]:
    """Measure.

    Returns:
        milliseconds of one client (ours, flwr's, keystream) and their ratios for 10, 50 and 100 members;
        seconds of the aggregator for 100 members of whom 10 are lost after sharing: all requests, parsing,
        signatures, adding up, reconstruction, unmasking.
    """
    result: dict[str, float] = {}
    for members in COHORTS:
        contenders: dict[str, Callable[[], object]] = {
            "client": Client(members).once,
            "flwr": Flower(members).once,
            "keystream": partial(keystream, members),
        }
        times = take_turns(contenders, ROUNDS)
        for name, milliseconds in times.items():
            result[f"{name}_ms_n{members}"] = milliseconds
        for name in ("flwr", "keystream"):
            result[f"client_vs_{name}_n{members}"] = times["client"] / times[name]
    result["aggregator_seconds"] = aggregator_seconds()
    return result


def take_turns(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median time of each in milliseconds, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, once in contenders.items():
            started = time.process_time()
            once()
            times[name].append((time.process_time() - started) * 1000)
    return {name: median(taken[1:]) for name, taken in times.items()}


class Party:
    """A proposed sum and the identities around it."""

    def __init__(self, members: int) -> None:
        self.aggregator = Identity("aggregator.example", bytes(32))
        self.identities = [Identity(f"m{n:03}.example", n.to_bytes(32, "big")) for n in range(1, members + 1)]
        proposal = Proposal(
            aggregator=self.aggregator.host,
            roster=tuple(identity.public for identity in self.identities),
            threshold=least_threshold(members),
            trainer="bench",
            segments=(Segment(VALUES),),
            entry_bound=10_000,
            ring=32,
            nonce=bytes(16),
            created=1_800_000_000,
            expires=1_800_003_600,
        )
        self.signed = SignedProposal.sign(proposal, self.aggregator, LIMITS)
        self.values = np.random.default_rng(1).integers(0, 10_000, VALUES)

    def member(self, number: int) -> Member:
        """Return a fresh member."""
        return Member(self.signed, self.identities[number].host, bytes([number]) * 32, LIMITS)

    def answer(self, number: int, stage: Stage, payload: bytes | memoryview) -> bytes:
        """Return a member's signed answer."""
        return envelope.seal(
            self.identities[number],
            round_id=self.signed.round_id,
            stage=stage,
            recipient=self.aggregator.host,
            payload=payload,
        )

    def request(self, stage: Stage, payload: bytes) -> bytes:
        """Return the aggregator's signed request."""
        return envelope.seal(
            self.aggregator, round_id=self.signed.round_id, stage=stage, recipient="", payload=payload
        )


class Client:
    """Member 0 of a cohort, with everything the others send it prepared."""

    def __init__(self, members: int) -> None:
        self._party = party = Party(members)
        cohort = [party.member(n) for n in range(members)]
        hosts = [identity.host for identity in party.identities]
        advertised = {hosts[n]: party.answer(n, Stage.ADVERTISE, m.advertise()) for n, m in enumerate(cohort)}
        self._keys = party.request(Stage.KEYS, messages.encode_messages(advertised))
        keys = envelope.parse(self._keys, max_size=LIMITS.max_request)
        sealed = {
            hosts[n]: SealedShares.from_payload(m.share(keys), LIMITS).sealed[hosts[0]]
            for n, m in enumerate(cohort)
            if n
        }
        self._shares = party.request(Stage.SHARES, messages.encode_sealed(sealed))
        self._survivors = party.request(Stage.SURVIVORS, messages.encode_hosts(hosts))
        cohort[0].share(keys)
        cohort[0].take_shares(envelope.parse(self._shares, max_size=LIMITS.max_request))
        seen = Confirmation(
            messages.hash_hosts(hosts),
            messages.hash_hosts(hosts),
            cohort[0].state.shared.keys_hash,  # type: ignore[union-attr]
        ).to_payload()
        confirmed = {hosts[n]: party.answer(n, Stage.CONFIRM, seen) for n in range(members)}
        self._confirmations = party.request(Stage.CONFIRMATIONS, messages.encode_messages(confirmed))

    def once(self) -> list[bytes]:
        """Go through one sum."""
        party = self._party
        member = party.member(0)
        answers = [party.answer(0, Stage.ADVERTISE, member.advertise())]
        answers.append(party.answer(0, Stage.SHARE, member.share(self._read(self._keys))))
        member.take_shares(self._read(self._shares))
        answers.append(party.answer(0, Stage.MASK, member.mask(party.values)))
        answers.append(party.answer(0, Stage.CONFIRM, member.confirm(self._read(self._survivors))))
        answers.append(party.answer(0, Stage.UNMASK, member.unmask(self._read(self._confirmations))))
        return answers

    def _read(self, raw: bytes) -> envelope.Envelope:
        message = envelope.parse(raw, max_size=LIMITS.max_request)
        message.verify(self._party.aggregator.public)
        return message


class Flower:
    """The same work with flwr's functions, in the order of its client mod."""

    def __init__(self, members: int) -> None:
        from flwr.common.secure_aggregation.crypto import shamir, symmetric_encryption
        from flwr.common.secure_aggregation.secaggplus_utils import share_keys_plaintext_concat
        from flwr.supercore.primitives import asymmetric

        self._members, self._threshold = members, least_threshold(members)
        pairs = [asymmetric.generate_key_pairs() for _ in range(members - 1)]
        self._peers = [asymmetric.public_key_to_bytes(public) for _, public in pairs]
        # My second key pair is fixed, so that the others' boxes can be prepared; `once` still pays for one.
        private, public = asymmetric.generate_key_pairs()
        self._private = asymmetric.private_key_to_bytes(private)
        seed, key = os.urandom(32), self._private
        shares = [shamir.create_shares(secret, self._threshold, members)[0] for secret in (seed, key)]
        self._boxes = [
            symmetric_encryption.encrypt(
                symmetric_encryption.generate_shared_key(other, public),
                share_keys_plaintext_concat(number, 0, *shares),
            )
            for number, (other, _) in enumerate(pairs, start=1)
        ]
        self._values = np.random.default_rng(1).integers(0, 10_000, VALUES)

    def once(self) -> bytes:
        """Set up, share keys, mask."""
        from flwr.common import ndarray_to_bytes
        from flwr.common.secure_aggregation import ndarrays_arithmetic as arithmetic
        from flwr.common.secure_aggregation.crypto.shamir import create_shares
        from flwr.common.secure_aggregation.crypto.symmetric_encryption import (
            decrypt,
            encrypt,
            generate_shared_key,
        )
        from flwr.common.secure_aggregation.secaggplus_utils import (
            pseudo_rand_gen,
            share_keys_plaintext_concat,
            share_keys_plaintext_separate,
        )
        from flwr.supercore.primitives import asymmetric

        for _ in range(2):
            private, public = asymmetric.generate_key_pairs()
            sk1 = asymmetric.private_key_to_bytes(private)
            asymmetric.public_key_to_bytes(public)
        seed = os.urandom(32)
        seed_shares = create_shares(seed, self._threshold, self._members)
        key_shares = create_shares(sk1, self._threshold, self._members)
        secrets, sent = [], []
        for number, peer in enumerate(self._peers, start=1):
            secret = generate_shared_key(
                asymmetric.bytes_to_private_key(self._private), asymmetric.bytes_to_public_key(peer)
            )
            secrets.append(secret)
            plain = share_keys_plaintext_concat(0, number, seed_shares[number], key_shares[number])
            sent.append(encrypt(secret, plain))
        for secret, box in zip(secrets, self._boxes, strict=True):
            share_keys_plaintext_separate(decrypt(secret, box))
        modulus = 1 << 32
        shape: list[tuple[int, ...]] = [(VALUES,)]
        vector = arithmetic.parameters_addition([self._values], pseudo_rand_gen(seed, modulus, shape))
        for number, peer in enumerate(self._peers):
            secret = generate_shared_key(
                asymmetric.bytes_to_private_key(sk1), asymmetric.bytes_to_public_key(peer)
            )
            mask = pseudo_rand_gen(secret, modulus, shape)
            combine = arithmetic.parameters_addition if number % 2 else arithmetic.parameters_subtraction
            vector = combine(vector, mask)
        body: bytes = ndarray_to_bytes(arithmetic.parameters_mod(vector, modulus)[0])
        return body


def keystream(masks: int) -> None:
    """Generate `masks` masks of the vector's length and do nothing with them."""
    size = VALUES * 4
    zeros, out = bytes(size), bytearray(size + 63)
    for number in range(masks):
        cipher = Cipher(ChaCha20(number.to_bytes(32, "big"), bytes(16)), mode=None).encryptor()
        cipher.update_into(zeros, out)


def aggregator_seconds(members: int = 100, losses: int = LOSSES, rounds: int = 3) -> float:
    """Return the median time of all the aggregator's work in one sum."""
    party = Party(members)
    cohort = {identity.host: n for n, identity in enumerate(party.identities)}
    answers = dict(_answers(party, cohort, losses))
    times = []
    for _ in range(rounds):
        started = time.process_time()
        aggregator = Aggregator(party.signed, party.aggregator, MemoryJournal(), LIMITS)
        while not aggregator.finished:
            stage = aggregator.stage
            for host in aggregator.requests():
                if (stage, host) in answers:
                    aggregator.receive(host, answers[stage, host])
            aggregator.close()
        times.append(time.process_time() - started)
        survivors = members - losses
        if not np.array_equal(aggregator.result.total, party.values * survivors):
            raise AssertionError("the sum is wrong, its time means nothing")
    return median(times)


def _answers(party: Party, cohort: dict[str, int], losses: int) -> Iterator[tuple[tuple[Any, str], bytes]]:
    """Yield what every member answers to every request; the last `losses` of them vanish after sharing."""
    running = {host: party.member(number) for host, number in cohort.items()}
    gone = set(list(cohort)[-losses:])
    aggregator = Aggregator(party.signed, party.aggregator, MemoryJournal(), LIMITS)
    while not aggregator.finished:
        stage = aggregator.stage
        for host, raw in aggregator.requests().items():
            if stage is Stage.SHARES and host in gone:
                continue
            member, request = running[host], envelope.parse(raw, max_size=LIMITS.max_request)
            payload: bytes | memoryview
            if stage is Stage.PROPOSE:
                kind, payload = Stage.ADVERTISE, member.advertise()
            elif stage is Stage.KEYS:
                kind, payload = Stage.SHARE, member.share(request)
            elif stage is Stage.SHARES:
                member.take_shares(request)
                kind, payload = Stage.MASK, member.mask(party.values)
            elif stage is Stage.SURVIVORS:
                kind, payload = Stage.CONFIRM, member.confirm(request)
            else:
                kind, payload = Stage.UNMASK, member.unmask(request)
            answer = party.answer(cohort[host], kind, payload)
            aggregator.receive(host, answer)
            yield (stage, host), answer
        aggregator.close()
