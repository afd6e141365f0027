"""The key file of an instance: created once, readable by its owner only."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from daemon.config.schema import DATABASE
from daemon.errors import StoreError
from federation.identity import KEY_SIZE, Identity


def fresh_mark(path: Path) -> Path:
    """Return the file beside a key that says that the instance has had no database yet.

    Without it, a missing database is a lost one; see `daemon.store.loss`.
    """
    return path.with_suffix(".fresh")


def write_once(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only.

    Raises:
        FileExistsError: it exists already.
        OSError: it cannot be written.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A link, which is refused where the name is taken.
        os.link(name, path)
    finally:
        Path(name).unlink()


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
        with contextlib.suppress(FileExistsError):
            write_once(path, secrets.token_bytes(KEY_SIZE))
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
            "identity.key is damaged",
            advice="Restore a backup: shoal restore FILE. Peers know this instance by this key.",
        )
    return Identity(host, seed)
