"""When a member of a group takes part in drawing an epoch, and which epoch document may follow which.

Epochs are ordered by when they were opened, which members check against their clocks; the number is only a
name, so that a host that lost its data can go on. The rules are pure: all that a member has to remember for
them is the newest list that it revealed its nonce for, and the newest document that it accepted.
"""

from __future__ import annotations

from federation.errors import Code, Refusal
from federation.group.epoch_document import EpochDocument
from federation.group.epoch_opening import (
    GATHERING,
    RETRY,
    Commitment,
    Gather,
    MembershipList,
    Reveal,
    committed,
    nonce_of,
)
from federation.identity import Identity, PublicIdentity


def follows(old: EpochDocument, new: EpochDocument) -> None:
    """Check that `new` is the same epoch as `old`, continued: nobody was moved, nobody came back.

    Raises:
        Refusal: `replayed` when it is older, `roster-invalid` when it is another partition or history.

    """
    if new.serial < old.serial:
        raise Refusal(Code.REPLAYED, "an older state of the epoch", new.host.host)
    if new.serial == old.serial:
        if new.hash != old.hash:
            raise Refusal(Code.ROSTER_INVALID, "the host signed two states of one serial", new.host.host)
        return
    if (new.listed.hash, new.nonces) != (old.listed.hash, old.nonces):
        raise Refusal(Code.ROSTER_INVALID, "the epoch was drawn anew before it was over", new.host.host)
    if new.late[: len(old.late)] != old.late or not set(old.gone) <= set(new.gone):
        raise Refusal(
            Code.ROSTER_INVALID,
            "a member that had joined is missing, or one that had left is back",
            new.host.host,
        )


def may_open(previous_opened: float | None, length: float, now: float, gathered: Gather) -> None:
    """Check that an epoch is not opened before the one before it is over; times in seconds.

    Raises:
        Refusal: `wrong-stage`.

    """
    _check_over(previous_opened, length, min(now, gathered.opened_at))


def answer_gather(
    identity: Identity,
    host: str,
    gather: Gather,
    *,
    epoch: MembershipList | None,
    revealed: MembershipList | None,
    length: float,
    now: float,
) -> bytes:
    """Return a member's COMMIT.

    `epoch` is the list of the epoch it is in, `revealed` the newest that it answered, both of this host and
    group. The same gathering gets the same answer.

    Raises:
        Refusal: `replayed` when a later one was answered, `wrong-stage` when it is too early.

    """
    if revealed is None or gather.id(host) != revealed.id(host):
        if any(known is not None and gather.opened <= known.opened for known in (epoch, revealed)):
            raise Refusal(Code.REPLAYED, "a later epoch was gathered before", host)
        may_open(epoch.opened_at if epoch else None, length, now, gather)
        if revealed is not None and (epoch is None or epoch.hash != revealed.hash):
            _check_over(revealed.opened_at, RETRY, now)
    return Commitment.to(gather, host, identity).seal(identity, host)


def answer_list(
    identity: Identity,
    host: str,
    listed: MembershipList,
    *,
    epoch: MembershipList | None,
    revealed: MembershipList | None,
    now: float,
) -> bytes:
    """Return a member's REVEAL. The caller keeps the list as its `revealed` before it sends the answer.

    The list shows what the member committed to, which it did only if the gathering was in order.

    Raises:
        Refusal: `roster-invalid` (not listed, or not what it committed to), `key-mismatch`, `stage-repeated`
            when it revealed for another list of this gathering, `replayed`, or `expired`.

    """
    me, entry, gathering = identity.public, listed.entry(identity.host), listed.id(host)
    if entry is None:
        raise Refusal(Code.ROSTER_INVALID, "this instance is not on the list", host)
    if entry.identity != me:
        raise Refusal(Code.KEY_MISMATCH, "this instance is listed with another key", host)
    if entry.commitment != committed(gathering, me.host, nonce_of(identity.seed, gathering)):
        raise Refusal(
            Code.ROSTER_INVALID, "this instance is listed with a commitment that it did not make", host
        )
    if revealed is None or revealed.hash != listed.hash:
        if revealed is not None and revealed.id(host) == gathering:
            raise Refusal(Code.STAGE_REPEATED, "the nonce was revealed for another list", host)
        if any(known is not None and listed.opened <= known.opened for known in (epoch, revealed)):
            raise Refusal(Code.REPLAYED, f"epoch {listed.number} is over", host)
        if now > listed.opened_at + GATHERING:
            raise Refusal(Code.EXPIRED, "the list belongs to a gathering that ended long ago", host)
    return Reveal.of(listed, host, identity).seal(identity, host)


def check_epoch(
    old: EpochDocument | None,
    new: EpochDocument,
    *,
    me: PublicIdentity,
    revealed: MembershipList | None,
    length: float,
    now: float,
) -> None:
    """Check that a member may accept `new` after `old`, both of the group it is in; times in seconds.

    Raises:
        Refusal: as `follows`; `replayed` for an older epoch; `wrong-stage` for one that began too early;
            `roster-invalid` when I revealed for another list; `key-mismatch` when I am in it with another
            key.

    """
    host = new.host.host
    # Under a key that was replaced since, it is listed as gone.
    if me.host not in new.gone and new.members.get(me.host, me) != me:
        raise Refusal(Code.KEY_MISMATCH, "this instance is in the epoch with another key", host)
    if old is not None and old.listed.id(host) == new.listed.id(host):
        follows(old, new)
        return
    if any(known is not None and new.opened_at < known.opened_at for known in (old, revealed)):
        raise Refusal(Code.REPLAYED, f"epoch {new.number} is over", host)
    if revealed is not None and revealed.id(host) == new.listed.id(host) and revealed.hash != new.listed.hash:
        raise Refusal(Code.ROSTER_INVALID, "this instance was shown another list than the epoch's", host)
    _check_over(old.opened_at if old else None, length, min(now, new.opened_at))


def _check_over(opened: float | None, length: float, now: float) -> None:
    if opened is not None and now < opened + length:
        raise Refusal(
            Code.WRONG_STAGE,
            "the previous epoch is not over; sub-cohorts are not drawn anew while data is the same",
        )
