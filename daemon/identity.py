"""The key file of an instance: created once, readable by its owner only."""

import os
import secrets
from pathlib import Path

from daemon.config.schema import DATABASE
from daemon.errors import StoreError
from federation.identity import KEY_SIZE, Identity


def fresh_mark(path: Path) -> Path:
    """Return the file beside a key that says that the instance has had no database yet.

    Without it, a missing database is a lost one; see `daemon.store.loss`.
    """
    return path.with_suffix(".fresh")


def open_identity(path: Path, host: str, *, create: bool = True) -> Identity:
    """Read the instance's identity, or make a new one where there is none.

    Raises:
        StoreError: the file is missing and may not be created, is damaged, or others may read it.
    """
    if create:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists() and not path.with_name(DATABASE).exists():
            # Before the key: a crash in between may leave a mark without a key, never the reverse.
            fresh_mark(path).touch(mode=0o600)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_SIZE))
                file.flush()
                os.fsync(file.fileno())
    try:
        mode, seed = path.stat().st_mode, path.read_bytes()
    except FileNotFoundError:
        raise StoreError("there is no identity.key", advice="Create one with `shoal init`.") from None
    if mode & 0o077:
        raise StoreError(
            "identity.key can be read by other users of this machine",
            advice=f"Run: chmod 600 {path}. If anyone may have read it, replace it: shoal identity rotate.",
        )
    if len(seed) != KEY_SIZE:
        raise StoreError(
            "identity.key is damaged", advice="Restore it from a backup: peers know this instance by it."
        )
    return Identity(host, seed)
