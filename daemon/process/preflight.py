"""What can be known to be wrong before a daemon starts: its folder cannot be written, its ports are taken."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Final

from daemon.config import Config
from daemon.errors import ShoalError, StoreError
from daemon.process.full_disk import disk_full, is_full

LEAST_FREE: Final = 64 * 2**20
"""Bytes below which a disk is said to be nearly full: the next sync or training may not fit."""
_TRIED: Final = 2**20
"""Bytes that a start writes at least: the database's log, the lock, where the daemon is."""


class ListenError(ShoalError):
    """A configured address cannot be used."""

    code = "cannot-listen"
    exit_code = 2


def require_writable(folder: Path) -> None:
    """Write a little into a folder, which is made where it is missing, and take it away again.

    Raises:
        StoreError: that cannot be done, because the disk is full or for another reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_TRIED))
            file.flush()
            # Some file systems notice only now.
            os.fsync(file.fileno())
    except OSError as error:
        if is_full(error):
            raise disk_full() from None
        raise StoreError(
            f"{folder} cannot be written ({os.strerror(error.errno or 0)})",
            advice="Check who owns the folder, and whether its disk is mounted for writing.",
        ) from None


def nearly_full(folder: Path) -> str:
    """Return a sentence where little space is left, "" otherwise."""
    free = shutil.disk_usage(folder).free
    return "" if free >= LEAST_FREE else f"Only {free // 2**20} MiB are free on the disk of {folder}."


def require_free_ports(config: Config) -> None:
    """Check that the addresses under [listen] can be listened on.

    Raises:
        ListenError: one is taken, or is none of this machine; it names the settings.
    """
    listen = config.listen
    require_free_port("api", listen.api_host, listen.api_port)
    if config.federates:
        require_free_port("federation", listen.federation_host, listen.federation_port)


def require_free_port(name: str, host: str, port: int) -> None:
    """Check one address, of the listener "api" or "federation". Raises ListenError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as tried:
                # As the listener does: what an earlier daemon left in TIME_WAIT is no obstacle.
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                tried.bind(address)
                tried.listen(1)
    except OSError as error:
        raise listen_error(name, host, port, error) from None


def listen_error(name: str, host: str, port: int, error: OSError) -> ListenError:
    """Return what to say of an address that cannot be listened on."""
    settings = f"listen.{name}_host and listen.{name}_port"
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return ListenError(
            f"port {port} is taken: another program listens on {where}",
            advice=f"Stop it, or choose another listen.{name}_port, here and in the plugin's settings.",
        )
    return ListenError(f"cannot listen on {where} ({error.strerror})", advice=f"Correct {settings}.")
