"""How the host's own processes reach its SuperLink."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SuperLinkAccess:
    """The SuperLink of a hosted group, which listens on loopback only.

    Attributes:
        address: `127.0.0.1:PORT`, TLS.
        ca: PEM file with the authority that signed its certificate.
        secret: file with the secret by which an outside ServerApp takes its task.
    """

    address: str
    ca: Path
    secret: Path
