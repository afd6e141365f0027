"""Signed manifests: this instance made a model, from what its manifest says, at this place of its ledger.

`manifest.sig` lies beside `manifest.json`, which names the SHA-256 of every file of the model. It holds the
head that the ledger had: a ledger that was cut off before it does not know that head any more, and a check
says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from daemon.ledger.canonical import canonical
from daemon.ledger.chain import BEGINNING, Head, Verification, holds
from daemon.process.daemon_lock import replace_file
from federation.identity import Identity, PublicIdentity, Purpose, format_key, parse_key

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
FORMAT: Final = 1
_MAX_BYTES = 4096


@dataclass(frozen=True)
class Seal:
    """What `manifest.sig` says: the SHA-256 of the manifest, the ledger's head, by which key (32 bytes)."""

    manifest: str
    head: Head
    key: bytes
    signature: bytes

    def by(self, host: str) -> bool:
        """Tell whether the key that it names signed it."""
        message = canonical(_signed(self.manifest, self.head, self.key))
        return PublicIdentity(host, self.key).verify(message, self.signature, Purpose.MANIFEST)

    def text(self) -> bytes:
        """Return the content of the file: one for one seal."""
        signed = _signed(self.manifest, self.head, self.key)
        return canonical({**signed, "signature": self.signature.hex()}) + b"\n"


def sign(directory: Path, identity: Identity, head: Head = Head(0, BEGINNING)) -> Seal:  # noqa: B008 (frozen)
    """Sign a model's manifest; `head` is that of the ledger now.

    Raises:
        OSError: there is no manifest, or the folder cannot be written to.

    """
    manifest = _digest(directory)
    key = identity.public.key
    signature = identity.sign(canonical(_signed(manifest, head, key)), Purpose.MANIFEST)
    seal = Seal(manifest, head, key, signature)
    replace_file(directory / SIGNATURE, seal.text())
    return seal


def read(directory: Path) -> Seal | None:
    """Return what a signature file says, None where it is none. That alone proves nothing."""
    try:
        raw = (directory / SIGNATURE).read_bytes()
        content: Any = json.loads(raw) if len(raw) <= _MAX_BYTES else None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            return None
        ledger = content["ledger"]
        found = Seal(
            manifest=str(content["manifest"]),
            head=Head(int(ledger["seq"]), bytes.fromhex(ledger["hash"])),
            key=parse_key(content["key"]),
            signature=bytes.fromhex(content["signature"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return found if found.text() == raw else None


def verify(directory: Path, public: PublicIdentity) -> bool:
    """Tell whether this instance signed the manifest as it is now."""
    return not _problem(directory, public.host, (public.key,))


def check(engine: Engine, host: str, found: Verification, folders: Iterable[Path]) -> list[tuple[str, str]]:
    """Return which of some models are not as this instance signed them, each with a sentence that says why.

    `found` is what the check of the ledger gave: any key that the instance has had will do, and the head that
    each signature names has to be in the ledger.
    """
    problems = []
    for folder in folders:
        problem = _problem(folder, host, found.keys)
        seal = read(folder)
        if not problem and seal is not None and not holds(engine, seal.head):
            problem = (
                f"it was signed when the ledger had {seal.head.seq} entries, and that entry is not there: "
                "the ledger was cut off or replaced"
            )
        if problem:
            problems.append((folder.name, problem))
    return problems


def _problem(directory: Path, host: str, keys: tuple[bytes, ...]) -> str:
    seal = read(directory)
    if seal is None:
        return "its manifest is not signed"
    try:
        same = _digest(directory) == seal.manifest
    except OSError:
        return "its manifest cannot be read"
    if not same:
        return "its manifest was changed after it was signed"
    if seal.key not in keys or not seal.by(host):
        return "its manifest is not signed by this instance"
    return ""


def _signed(manifest: str, head: Head, key: bytes) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "manifest": manifest,
        "ledger": {"seq": head.seq, "hash": head.hash.hex()},
        "key": format_key(key),
    }


def _digest(directory: Path) -> str:
    with (directory / MANIFEST).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
