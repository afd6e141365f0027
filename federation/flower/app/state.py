"""A node's journal in Flower's `Context.state`: a ClientApp lives for one message, its state for one run."""

from __future__ import annotations

from typing import Any

from flwr.app import ConfigRecord, RecordDict

_PREFIX = "shoal.journal."


class StateJournal:
    """One record per sum, one field per name. It is gone with the run, and so are the keys of its sums.

    What it holds passes through the SuperNode's memory: secrets are sealed by the node, its own vector is
    not. Nodes that should outlive a crash take `federation.journal.FileJournal`.
    """

    def __init__(self, state: RecordDict) -> None:
        self._state: Any = state

    def write(self, round_id: bytes, name: str, data: bytes) -> None:
        """Store."""
        self._state[_key(round_id)] = ConfigRecord({**self._record(round_id), name: bytes(data)})

    def read(self, round_id: bytes, name: str) -> bytes | None:
        """Return or None."""
        found = self._record(round_id).get(name)
        return found if isinstance(found, bytes) else None

    def names(self, round_id: bytes) -> list[str]:
        """Return the names, sorted."""
        return sorted(self._record(round_id))

    def ids(self) -> list[bytes]:
        """Return the ids, sorted."""
        return sorted(bytes.fromhex(key[len(_PREFIX) :]) for key in self._state if key.startswith(_PREFIX))

    def erase(self, round_id: bytes, *names: str) -> None:
        """Remove."""
        left = {name: data for name, data in self._record(round_id).items() if names and name not in names}
        if left:
            self._state[_key(round_id)] = ConfigRecord(left)
        else:
            self._state.pop(_key(round_id), None)

    def _record(self, round_id: bytes) -> dict[str, Any]:
        return dict(self._state.get(_key(round_id), {}))


def _key(round_id: bytes) -> str:
    return _PREFIX + round_id.hex()
