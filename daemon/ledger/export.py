"""The ledger as a file: JSON lines that can be checked without Shoal, see docs/ledger.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Engine

from daemon.ledger import chain
from daemon.ledger.canonical import canonical
from daemon.store.ledger_rows import Row

FORMAT: Final = 1


def lines(engine: Engine, host: str) -> Iterator[bytes]:
    """Return the file's lines: first whose ledger it is, then each entry, oldest first."""
    yield canonical({"format": FORMAT, "ledger": host}) + b"\n"
    after = 0
    while page := chain.entries(engine, after):
        for entry in page:
            yield canonical(as_json(entry)) + b"\n"
        after = page[-1].seq


def as_json(entry: Row) -> dict[str, Any]:
    """Return an entry with its hash and signature in hexadecimal."""
    return {**chain.signed_part(entry), "hash": entry.hash.hex(), "signature": entry.signature.hex()}
