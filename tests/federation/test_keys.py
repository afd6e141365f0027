"""Every key depends on the secret, the sum, the purpose and the parties; agreements agree."""

from __future__ import annotations

import pytest

from federation import keys
from federation.errors import Code, Refusal
from federation.keys import RoundSecrets, Sealer
from tests.federation.weak_keys import LOW_ORDER

SUM, OTHER_SUM = b"s" * 32, b"t" * 32
ALICE = RoundSecrets(b"a" * 32, SUM)
BOB = RoundSecrets(b"b" * 32, SUM)


def test_every_secret_is_another_one() -> None:
    derived = [
        secret
        for secrets in (ALICE, BOB, RoundSecrets(b"a" * 32, OTHER_SUM))
        for secret in (
            secrets.root,
            secrets.seal_private,
            secrets.mask_private,
            secrets.self_seed,
            secrets.seal_public,
            secrets.mask_public,
            secrets.seed_commitment,
            keys.self_mask_key(secrets.self_seed, secrets.round_id),
        )
    ]
    assert len(set(derived)) == len(derived) - 1, "only the root occurs twice, in two sums"


def test_both_ends_get_one_mask_and_nobody_else() -> None:
    mine = keys.mask_key(ALICE.mask_private, BOB.mask_public, SUM, "alice", "bob")
    theirs = keys.mask_key(BOB.mask_private, ALICE.mask_public, SUM, "bob", "alice")
    assert mine == theirs
    assert mine != keys.mask_key(ALICE.mask_private, BOB.mask_public, OTHER_SUM, "alice", "bob")
    assert mine != keys.mask_key(ALICE.mask_private, BOB.mask_public, SUM, "alice", "eve")
    assert mine != keys.mask_key(ALICE.seal_private, BOB.seal_public, SUM, "alice", "bob")


def test_what_is_sealed_opens_at_the_other_end_only() -> None:
    to_bob = Sealer(ALICE, "alice", "bob", BOB.seal_public)
    at_bob = Sealer(BOB, "bob", "alice", ALICE.seal_public)
    sealed = to_bob.seal(b"share")
    assert at_bob.open(sealed) == b"share"
    eve = RoundSecrets(b"e" * 32, SUM)
    strangers = [
        to_bob,  # not back to its sender: each direction has its own key
        Sealer(eve, "bob", "alice", ALICE.seal_public),
        Sealer(BOB, "bob", "eve", ALICE.seal_public),
        Sealer(RoundSecrets(BOB.root, OTHER_SUM), "bob", "alice", ALICE.seal_public),
    ]
    for stranger in strangers:
        with pytest.raises(Refusal) as refused:
            stranger.open(sealed)
        assert refused.value.code is Code.SHARE_INVALID
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refusal):
            at_bob.open(bytes(changed))


@pytest.mark.parametrize("key", LOW_ORDER, ids=lambda key: key.hex()[:8])
@pytest.mark.parametrize("top_bit", [0, 0x80])
def test_a_key_whose_secrets_anyone_knows_is_refused(key: bytes, top_bit: int) -> None:
    key = key[:-1] + bytes([key[-1] | top_bit])
    for call in (lambda: keys.check_public(key, "eve"), lambda: keys.agree(b"a" * 32, key, "eve")):
        with pytest.raises(Refusal) as refused:
            call()
        assert (refused.value.code, refused.value.culprit) == (Code.KEYS_INVALID, "eve")


def test_a_second_spelling_of_a_key_is_refused() -> None:
    honest = BOB.mask_public
    keys.check_public(honest, "bob")
    spelled = honest[:-1] + bytes([honest[-1] | 0x80])
    with pytest.raises(Refusal, match="shortest form"):
        keys.check_public(spelled, "eve")


def test_shares_depend_on_the_purpose() -> None:
    one = ALICE.shares(bytes(32), "self seed", members=4, threshold=3)
    assert one == ALICE.shares(bytes(32), "self seed", members=4, threshold=3)
    assert set(one).isdisjoint(ALICE.shares(bytes(32), "mask key", members=4, threshold=3))
