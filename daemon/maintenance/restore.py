"""Puts a backup in place. What is known beside an older database wins over what is in it.

The note of the loss comes first (`daemon.store.loss`), so that a crash at any point leaves an instance with
every peer paused. The next job opens the database, and puts back the ledger, with what was decided against
peers.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from daemon.config import Config
from daemon.config.schema import DATABASE, IDENTITY
from daemon.errors import JobBusyError, RequestError, StoreError
from daemon.ledger import chain, second_copy
from daemon.ledger.chain import BEGINNING, Head, Verification
from daemon.maintenance.backup import FOLDERS, PSEUDONYMS, Header
from daemon.peers import repository, rotation
from daemon.process import daemon_lock
from daemon.store import loss, releases, withdrawn
from daemon.store.engine import connect
from daemon.store.loss import Cause
from federation.identity import KEY_SIZE, Identity

_JOB_LOCKS = ("job.lock", "round.lock", "group.lock", "check.lock", "catch-up.lock")


@contextlib.contextmanager
def alone(config: Config) -> Iterator[None]:
    """Keep daemon and jobs away.

    Raises:
        AlreadyRunningError, JobBusyError: one of them is there.
    """
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with daemon_lock.only_daemon(config.data_dir), contextlib.ExitStack() as held:
        for name in _JOB_LOCKS:
            try:
                held.enter_context(FileLock(config.data_dir / name).acquire(timeout=0))
            except Timeout:
                raise JobBusyError(
                    "a job is working on this data directory",
                    advice="Wait until it has ended, then try again.",
                ) from None
        yield


def require_same_instance(config: Config, header: Header, unpacked: Path) -> None:
    """Check that a backup is one of the instance that is here, by its host and its key.

    Raises:
        RequestError: it is another's.
        StoreError: another key is here, to which the one in the backup never handed over.
    """
    host = config.instance.host
    if header.host != host:
        raise RequestError(
            f"the backup is of {header.host}, and {config.data_dir} belongs to {host}",
            advice="Give the folder of that instance, or an empty one, with -c.",
        )
    here = _seed(config.identity_file)
    if here is None:
        return
    old, new = (Identity(host, seed).public.key for seed in ((unpacked / IDENTITY).read_bytes(), here))
    keys = _keys(config.data_dir / second_copy.NAME, host)
    if old != new and not (old in keys and keys[-1] == new):
        raise StoreError(
            f"{config.identity_file} is another key than the one in the backup",
            advice="Restore into an empty folder. If the backup's key is the right one, move this elsewhere.",
        )


def decisions_are_known(config: Config, unpacked: Path) -> bool:
    """Tell whether a ledger is here that is as new as the backup's: it knows what was decided since."""
    here, _ = second_copy.read(config.data_dir / second_copy.NAME)
    theirs, _ = second_copy.read(unpacked / second_copy.NAME)
    if not here:
        return False
    return not theirs or (len(here) >= len(theirs) and here[len(theirs) - 1].hash == theirs[-1].hash)


def approved(config: Config, unpacked: Path) -> tuple[str, ...]:
    """Return the hosts that are approved in a backup, sorted."""
    engine = connect(unpacked / DATABASE)
    try:
        return tuple(peer.host for peer in repository.read(engine, config).approved())
    finally:
        engine.dispose()


def put_in_place(config: Config, unpacked: Path, cause: Cause, now: float) -> None:
    """Put what was unpacked in place; what is there and newer stays. The caller is `alone`."""
    loss.begin_anew(config, cause, now)
    for name in (IDENTITY, rotation.FILE_NAME, second_copy.NAME):
        _keep_or_move(unpacked / name, config.data_dir / name)
    # The database was written under it.
    _move(unpacked / PSEUDONYMS, config.data_dir / PSEUDONYMS)
    _windows(config.windows_dir, unpacked / "windows")
    for name in FOLDERS:
        folder = config.data_dir / name
        if (unpacked / name).is_dir() and not (folder.is_dir() and any(folder.iterdir())):
            shutil.rmtree(folder, ignore_errors=True)
            (unpacked / name).replace(folder)
    _move(unpacked / DATABASE, config.database)
    daemon_lock.sync_folder(config.data_dir)


def _windows(here: Path, unpacked: Path) -> None:
    """Join both accounts of what was released, and forget what was given: it counts as served."""
    here.mkdir(mode=0o700, parents=True, exist_ok=True)
    releases.add_copies(here, unpacked)
    for name in withdrawn.NAMES:
        _keep_or_move(unpacked / name, here / name)
    for folder in here.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)


def _keep_or_move(source: Path, target: Path) -> None:
    if not target.exists() or not target.stat().st_size:
        _move(source, target)


def _move(source: Path, target: Path) -> None:
    if source.exists():
        # Also into another file system.
        shutil.copyfile(source, draft := target.with_name(f".{target.name}.restored"))
        draft.chmod(0o600)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(target)


def _seed(path: Path) -> bytes | None:
    """Return a key that can be used."""
    if not path.exists():
        return None
    seed = path.read_bytes()
    return seed if len(seed) == KEY_SIZE else None


def _keys(ledger: Path, host: str) -> tuple[bytes, ...]:
    """Return the keys that a ledger says the instance has had, oldest first."""
    entries, _ = second_copy.read(ledger)
    return chain.follow(Verification(0, "", None, Head(0, BEGINNING), ()), entries, host).keys
