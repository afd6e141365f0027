"""The file of the key by which this instance is a node of Flower: made once, and its owner's only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from daemon.config import Config
from daemon.errors import StoreError
from daemon.process.daemon_lock import replace_file
from federation.errors import FederationError
from federation.group.node_key import new_node_key, public_node_key

NAME: Final = "node.key"


def path(config: Config) -> Path:
    """Return where the key is."""
    return config.group_dir / NAME


def forget(config: Config) -> None:
    """Delete the key, so that the next one is new: Flower never lets a key in again that it shut out."""
    path(config).unlink(missing_ok=True)


def open_key(config: Config) -> bytes:
    """Return the private key (PEM), made where there is none.

    Raises:
        StoreError: it is damaged, or others may read it.

    """
    file = path(config)
    config.group_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        mode, pem = file.stat().st_mode, file.read_bytes()
    except FileNotFoundError:
        pem = new_node_key()
        # Written whole or not at all, and with the rights of a temporary file: 0600.
        replace_file(file, pem)
        return file.read_bytes()
    except OSError as error:
        raise StoreError(
            f"node.key cannot be read ({os.strerror(error.errno or 0)})", advice="Check whose file it is."
        ) from None
    if mode & 0o077:
        raise StoreError(
            "node.key can be read by other users of this machine",
            advice=f"Delete it and join the group again: rm {file}",
        )
    try:
        public_node_key(pem)
    except FederationError as error:
        raise StoreError("node.key is damaged", advice=str(error)) from None
    return pem
