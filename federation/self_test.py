"""Whether the cryptography of this installation computes what every other instance computes.

A library that was built wrongly, or for another processor, can give other bytes without any error: a round
would then fail at its end, or worse, a mask would hide nothing. So a part of the fixed vectors is packaged
and computed anew, and what must be refused is tried. The other vectors are in `tests/vectors/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from federation import keys, masks, member, shamir
from federation.errors import Refusal
from federation.identity import Identity, format_key
from federation.keys import RoundSecrets, Sealer, commitment

VECTORS: Final = Path(__file__).parent / "vectors"
SUM_ID: Final = hashlib.sha256(b"a sum").digest()
_RFC_8439: Final = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
"""Appendix A.1, test vector 1: the first half of the first block of ChaCha20 for a key of zeros."""


def failures() -> tuple[str, ...]:
    """Return what is computed wrongly, each as a few words; nothing where all is as it should be."""
    return tuple(_failures())


def seed(name: str) -> bytes:
    """Return the 32 bytes that stand for a random seed in the vectors."""
    return hashlib.sha256(f"shoal test vector {name}".encode()).digest()


def derivations() -> dict[str, Any]:
    """Return every derived key of two members of one sum."""
    alice, bob = _secrets("alice"), _secrets("bob")
    sealed = Sealer(alice, "alice", "bob", bob.seal_public).seal(b"two shares")
    randomness = masks.keystream(
        keys.derive(alice.root, SUM_ID, "shamir self seed"), shamir.randomness_size(3)
    )
    identity = Identity("alice.example", seed("identity"))
    return {
        "round_id": SUM_ID.hex(),
        "root_alice": alice.root.hex(),
        "root_bob": bob.root.hex(),
        "seal_private": alice.seal_private.hex(),
        "seal_public": alice.seal_public.hex(),
        "mask_private": alice.mask_private.hex(),
        "mask_public": alice.mask_public.hex(),
        "self_seed": alice.self_seed.hex(),
        "self_mask_key": keys.self_mask_key(alice.self_seed, SUM_ID).hex(),
        "seed_commitment": alice.seed_commitment.hex(),
        "pairwise_mask_key": keys.mask_key(alice.mask_private, bob.mask_public, SUM_ID, "alice", "bob").hex(),
        "sealed_from_alice_to_bob": sealed.hex(),
        "sealed_plain": b"two shares".hex(),
        "shamir_randomness_self_seed_threshold_3": randomness.hex(),
        "share_commitment": member.share_commitment("self seed", SUM_ID, "alice", "bob", bytes(33)).hex(),
        "commitment_of_parts": commitment("purpose", b"one", b"", b"three").hex(),
        "journal_key": keys.derive(identity.seed, b"storage", "journal").hex(),
        "identity_seed": identity.seed.hex(),
        "identity_key": format_key(identity.public.key),
        "signature_of_hello": identity.sign(b"hello").hex(),
        "keystream_of_pairwise_mask_80": masks.keystream(
            keys.mask_key(alice.mask_private, bob.mask_public, SUM_ID, "alice", "bob"), 80
        ).hex(),
    }


def sharings() -> list[dict[str, Any]]:
    """Return splits of several secrets."""
    rows = []
    for shares, threshold, secret in ((1, 1, seed("a")), (3, 3, bytes(32)), (5, 4, b"\xff" * 32)):
        randomness = masks.keystream(seed(f"split {shares}"), shamir.randomness_size(threshold))
        dealt = shamir.split(secret, shares=shares, threshold=threshold, randomness=randomness)
        rows.append(
            {
                "secret": secret.hex(),
                "threshold": threshold,
                "randomness": randomness.hex(),
                "shares": [share.hex() for share in dealt],
            }
        )
    return rows


def _failures() -> Iterator[str]:
    checks: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("ChaCha20", lambda: masks.keystream(bytes(32), 32).hex() == _RFC_8439),
        ("keys of a sum", lambda: derivations() == _fixed("derivations")),
        ("shares of secrets", lambda: sharings() == _fixed("sharings") and _shares_give_the_secret()),
        ("signatures", _signatures_hold),
        ("sealed shares", _seals_hold),
        ("masks", _masks_cancel_out),
    )
    for name, holds in checks:
        # Whatever a broken library raises is a failure.
        try:
            good = holds()
        except Exception as error:
            yield f"{name} ({type(error).__name__})"
        else:
            if not good:
                yield name


def _fixed(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text("utf-8"))


def _secrets(name: str) -> RoundSecrets:
    return RoundSecrets(seed(f"root {name}"), SUM_ID)


def _shares_give_the_secret() -> bool:
    [*_, row] = _fixed("sharings")
    points = list(range(2, row["threshold"] + 2))
    shares = [bytes.fromhex(row["shares"][point - 1]) for point in points]
    return shamir.combine(points, shares) == bytes.fromhex(row["secret"])


def _signatures_hold() -> bool:
    identity = Identity("alice.example", seed("identity"))
    signature = identity.sign(b"hello")
    other = bytes([signature[0] ^ 1]) + signature[1:]
    public = identity.public
    return public.verify(b"hello", signature) and not (
        public.verify(b"hello", other) or public.verify(b"hullo", signature)
    )


def _seals_hold() -> bool:
    alice, bob = _secrets("alice"), _secrets("bob")
    sealed = Sealer(alice, "alice", "bob", bob.seal_public).seal(b"two shares")
    opener = Sealer(bob, "bob", "alice", alice.seal_public)
    try:
        opener.open(bytes([sealed[0] ^ 1]) + sealed[1:])
    except Refusal:
        return opener.open(sealed) == b"two shares"
    return False


def _masks_cancel_out() -> bool:
    """Tell whether a masked vector differs from a bare one, and the sum of two does not."""
    alice, bob = _secrets("alice"), _secrets("bob")
    one = keys.mask_key(alice.mask_private, bob.mask_public, SUM_ID, "alice", "bob")
    two = keys.mask_key(bob.mask_private, alice.mask_public, SUM_ID, "bob", "alice")
    values = np.arange(-500, 500, dtype=np.int64)
    for ring in (32, 64):
        masked = [masks.to_ring(values, ring) for _ in range(2)]
        masks.apply(masked[0], [(one, True)])
        masks.apply(masked[1], [(two, False)])
        hidden = np.count_nonzero(masks.from_ring(masked[0]) == values) == 0
        if not hidden or not np.array_equal(masks.from_ring(masked[0] + masked[1]), 2 * values):
            return False
    return True
