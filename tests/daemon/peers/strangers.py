"""Instances that nobody approved, and what they are answered."""

from __future__ import annotations

import pytest

from federation.carrier import PeerRefused
from federation.identity import Identity
from tests.daemon.peer_instances import Neighbour


def stranger(number: int = 1, host: str = "") -> Identity:
    return Identity(host or f"stranger-{number}.example", number.to_bytes(32, "big"))


async def refusal_of(neighbour: Neighbour, raw: bytes) -> str:
    """Return the code with which a message is refused."""
    with pytest.raises(PeerRefused) as caught:
        await neighbour.post(raw)
    return caught.value.code
