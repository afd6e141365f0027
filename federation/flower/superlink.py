"""Flower's stock SuperLink, normally on loopback: its files, its command line, how to reach it.

The SuperLink has Fleet, Control and Runtime API on one port. The Control API asks nobody who they are
(`superlink/auth_plugin/noop_auth_plugin.py` of flwr 1.41 and 1.42), so the port is for this machine alone, or
for a network of SuperLink and daemon alone. Members connect to the reverse proxy
(`daemon.group.hosting.reverse_proxy`).
"""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from federation.flower.certificates import ensure, write_secret

HOST: Final = "127.0.0.1"
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


@dataclass(frozen=True)
class SuperLinkAccess:
    """How processes of this machine reach the SuperLink of a hosted group.

    Attributes:
        address: `HOST:PORT`, TLS; on loopback unless it is a service of its own.
        ca: PEM file with the authority that signed its certificate.
        secret: file with the secret by which an outside ServerApp takes its task.
    """

    address: str
    ca: Path
    secret: Path


def prepare(folder: Path, now: datetime | None = None, *, host: str = HOST) -> None:
    """Make the folder, the certificate for `host` and the ServerApp's secret; what is good stays.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ensure(folder / "tls", (host,), now or datetime.now(UTC))
    (folder / "flwr").mkdir(exist_ok=True, mode=0o700)
    secret = _secret(folder)
    # Flower reads the bytes as they are and refuses an empty file.
    if not secret.is_file() or not secret.stat().st_size:
        write_secret(secret, secrets.token_hex(32).encode())


def command(folder: Path, port: int, host: str = HOST) -> tuple[list[str], dict[str, str]]:
    """Return arguments and environment of `flower-superlink` of this very installation.

    With `--isolation process` the SuperLink starts no program itself: whoever knows the secret takes a run's
    ServerApp part (`supercore/auth/superexec.py`).
    """
    server, home = str(folder / "tls" / "server.pem"), str(folder / "flwr")
    arguments = [str(Path(sys.executable).parent / "flower-superlink")]
    arguments += ["--host", host, "--port", str(port)]
    arguments += ["--ssl-ca-certfile", str(folder / "tls" / "ca.pem")]
    arguments += ["--ssl-certfile", server, "--ssl-keyfile", server]
    arguments += ["--database", str(folder / "superlink.sqlite")]
    arguments += ["--enable-supernode-auth", "--isolation", "process"]
    arguments += ["--superexec-auth-secret-file", str(_secret(folder))]
    arguments += ["--disable-runtime-dependency-installation"]
    # Not our own environment: FLWR_* and UVICORN_* in it could open further ports or undo the settings here.
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return arguments, environment | {
        "HOME": home,
        "FLWR_HOME": home,
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        # Uvicorn believes X-Forwarded-* of loopback unless told otherwise.
        "FORWARDED_ALLOW_IPS": "",
        "PYTHONUNBUFFERED": "1",
    }


def access(folder: Path, port: int, host: str = HOST) -> SuperLinkAccess:
    """Return how processes of this machine reach the SuperLink."""
    return SuperLinkAccess(f"{host}:{port}", folder / "tls" / "ca.pem", _secret(folder))


def _secret(folder: Path) -> Path:
    return folder / "serverapp.secret"
