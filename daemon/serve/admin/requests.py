"""What requests to the admin API may hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from daemon.config.types import Host, PeerUrl, PublicKey
from daemon.serve.admin.routing import Asked

HOST = r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$"
KEY = r"^ed25519:[A-Za-z0-9+/]{43}=$"
MOST_SESSIONS = 500
MOST_ENTRIES = 500
MOST_FOUND = 50
MOST_RELATED = 100


class NewPeer(Asked):
    """An instance to get to know; nothing is approved by it."""

    host: Host = Field(
        max_length=255, pattern=HOST, description="Its host name.", examples=["peer.example.net"]
    )
    url: PeerUrl | None = Field(
        default=None, max_length=500, description="Where its Shoal answers, if not at the usual place."
    )


class Approval(Asked):
    """The key that the admin compared, and how many viewers the peer may have in a sum."""

    key: PublicKey = Field(pattern=KEY, description="As shown, so that no other one is approved.")
    max_users: int | None = Field(default=None, ge=1, le=10_000_000)


class RevertOrder(Asked):
    """Take a peer's learning out, or show what that would change."""

    dry_run: bool
    confirm: str = Field(max_length=255, description="The host once more.")


class Latest(Asked):
    """How many of the newest."""

    limit: int = Field(default=50, ge=1, le=MOST_SESSIONS)


class Following(Asked):
    """A page of a list in order."""

    after: int = Field(default=0, ge=0, le=2**53)
    limit: int = Field(default=100, ge=1, le=MOST_ENTRIES)


class Search(Asked):
    """Words that a title must contain."""

    q: Annotated[str, Field(max_length=200)]
    limit: int = Field(default=20, ge=1, le=MOST_FOUND)


class Beside(Asked):
    """A video that the model knows, by uuid or url."""

    # Percent-encoded it has to fit into the first line of a request, of which 8,190 bytes are read.
    video: str = Field(min_length=1, max_length=500)
    limit: int = Field(default=10, ge=1, le=MOST_RELATED)
