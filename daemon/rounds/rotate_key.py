"""A new key for this instance: made, handed over to by the old one, and shown to peers until all have it.

The order is such that a crash at any point leaves the old key in service, or is finished by `finish`: the
ledger's handover decides. What the old key sealed cannot be opened with the new one, so sums under way are
left, and everything counts as given for one data window: nothing is given twice to somebody who cannot be
shown what was given before.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import RequestError
from daemon.identity import open_identity
from daemon.ledger import chain as ledger
from daemon.peers import repository as peers
from daemon.peers import rotation
from daemon.process.daemon_lock import replace_file
from daemon.rounds import round_config
from daemon.rounds.data_windows import open_windows
from daemon.store import releases
from federation.hello import MAX_ROTATIONS, Rotation
from federation.identity import KEY_SIZE, Identity, format_key
from federation.node import MemberNode


@dataclass(frozen=True)
class Rotated:
    """What a rotation did: public keys before and after, sums that were left."""

    old: bytes
    new: bytes
    abandoned: int


def rotate(config: Config, engine: Engine, now: float) -> Rotated:
    """Give this instance a new key. The caller holds the data directory's lock: no daemon may run.

    Raises:
        StoreError: there is no key yet, or it cannot be read.
        RequestError: peers have not heard of earlier keys.

    """
    finish(config, engine)
    old = open_identity(config.identity_file, config.instance.host, create=False)
    earlier = rotation.pending(config, old.public)
    if len(earlier) == MAX_ROTATIONS:
        raise RequestError(
            f"{MAX_ROTATIONS} keys were replaced and some peer has not heard of any of them",
            advice="Start the daemon so that it tells them, or remove peers that are gone: shoal peers list.",
        )
    new_file = config.next_identity_file
    new = Identity(config.instance.host, _new_seed(new_file))
    abandoned = _leave_rounds(config, engine, old, now)
    rotation.hand_over(config, [*earlier, Rotation.sign(old, new.public, now)])
    ledger.rotate(engine, old, new, now)
    _put_in_place(config, new_file)
    return Rotated(old.public.key, new.public.key, abandoned)


def finish(config: Config, engine: Engine) -> bool:
    """Finish a rotation that was interrupted, or drop what it left; returns whether the key is a new one."""
    new_file = config.next_identity_file
    if not new_file.exists():
        return False
    seed = new_file.read_bytes()
    if len(seed) == KEY_SIZE:
        new = format_key(Identity(config.instance.host, seed).public.key)
        handed = ledger.newest(engine, 1, kind=ledger.Kind.KEY_ROTATED.value)
        if handed and handed[0].details.get("new") == new:
            _put_in_place(config, new_file)
            return True
    new_file.unlink()
    return False


def _new_seed(path: Path) -> bytes:
    seed = secrets.token_bytes(KEY_SIZE)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(seed)
        file.flush()
        os.fsync(file.fileno())
    return seed


def _put_in_place(config: Config, new_file: Path) -> None:
    replace_file(config.identity_file, new_file.read_bytes())
    new_file.unlink()


def _leave_rounds(config: Config, engine: Engine, old: Identity, now: float) -> int:
    """Leave every sum under way, as member and as aggregator, and let everything count as given."""
    known = peers.read(engine, config).allowlist()
    node = MemberNode(
        old,
        round_config.member_journal(config),
        peer=known.find,
        check_policies=lambda _proposal: None,
        clock=lambda: now,
        random=secrets.token_bytes,
        limits=round_config.limits(config),
    )
    members = list(node.open_rounds())
    for round_id in members:
        node.abandon(round_id)
    journal = round_config.aggregator_journal(config)
    own = journal.ids()
    for round_id in own:
        journal.erase(round_id)
    if config.windows_dir.is_dir():
        windows = open_windows(config, old, engine, lambda: now)
        if releases.any_given(engine) or windows.all():
            windows.count_as_served()
    return len(members) + len(own)
