"""Hashes with a purpose: no hash of one kind can stand for one of another."""

from __future__ import annotations

import hashlib


def commitment(purpose: str, *parts: bytes) -> bytes:
    """Return SHA-256 over the purpose and the length-prefixed parts (32 bytes)."""
    prefixed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hashlib.sha256(b"shoal/1 " + purpose.encode("utf-8") + b"\x00" + prefixed).digest()
