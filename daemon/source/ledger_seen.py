"""How far the ledger had come, by PeerTube's database: the plugin keeps what the daemon told it last."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Final

from daemon.source.peertube_client import ExportClient
from daemon.source.peertube_rows import misfit

_PAGE: Final = "ledger"
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_MOST: Final = 2**48
"""The plugin's own limit on a number of entries."""


@dataclass(frozen=True)
class LedgerSeen:
    """What a ledger had when it was told of; hashes in hexadecimal.

    Attributes:
        begun: hash of the first entry, by which it is told from the ledger of another folder.
        entries: number of the newest entry, and `head` its hash.
        decisions: number of the newest entry that says what was decided against somebody, and `decision` its
            hash; 0 and empty while there is none.
    """

    begun: str
    entries: int
    head: str
    decisions: int
    decision: str


def read(client: ExportClient) -> LedgerSeen | None:
    """Return what the plugin was told last, None before the first time.

    Raises:
        SourceError: there is no usable answer.
    """
    found = client.export(_PAGE).get("ledger")
    return None if found is None else _seen(found)


def tell(client: ExportClient, seen: LedgerSeen) -> None:
    """Let the plugin keep this from now on.

    Raises:
        SourceError: it did not.
    """
    if _seen(client.tell(_PAGE, **asdict(seen)).get("ledger")) != seen:
        raise misfit("the ledger that it keeps is not the one that it was told of")


def _seen(item: Any) -> LedgerSeen:
    if not isinstance(item, dict):
        raise misfit("ledger is not an object")
    try:
        seen = LedgerSeen(**item)
    except TypeError:
        raise misfit("ledger has other fields") from None
    numbers, hashes = (seen.entries, seen.decisions), (seen.begun, seen.head, seen.decision or seen.head)
    if not all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= _MOST for one in numbers):
        raise misfit("ledger counts something that is no number")
    if not all(isinstance(one, str) and _HASH.fullmatch(one) for one in hashes):
        raise misfit("ledger has a hash that is none")
    return seen
