"""What requests about the group may hold."""

from __future__ import annotations

from pydantic import Field

from daemon.config.types import Host, PeerUrl, PublicKey
from daemon.serve.admin.requests import HOST, KEY
from daemon.serve.admin.routing import Asked

MOST_AT_ONCE = 100
_MOST_URL = 500
_MOST_NAME = 48


class Place(Asked):
    """Where a group is hosted."""

    url: str = Field(
        min_length=1, max_length=_MOST_URL, description="From the invitation; the host's name will do."
    )
    group: str = Field(default="", max_length=_MOST_NAME, description="Only if the group has this name.")


class Joining(Place):
    """A group to join, by the key of its host that the admin compared."""

    key: PublicKey = Field(pattern=KEY, description="As shown, so that no other host is joined.")


class NewGroup(Asked):
    """A group that this instance will host."""

    name: str = Field(min_length=1, max_length=_MOST_NAME)
    url: PeerUrl | None = Field(
        default=None, max_length=_MOST_URL, description="Where this Shoal answers, if not at the usual place."
    )


class Start(Asked):
    """When a sum is to begin."""

    at: float | None = Field(
        default=None, ge=0, le=1e11, description="Unix seconds; null: as soon as members hear of it."
    )


class Whose(Asked):
    """An instance whose key is to be looked at."""

    host: Host = Field(max_length=255, pattern=HOST, examples=["peer.example.net"])


class Compared(Asked):
    """The key that the admin compared."""

    key: PublicKey = Field(pattern=KEY, description="As shown, so that no other one is approved.")


class ComparedOf(Compared):
    """The key that the admin compared, and whose it is."""

    host: Host = Field(max_length=255, pattern=HOST)


class Recognise(Asked):
    """Members to approve as peers, by the keys that the admin compared."""

    members: list[ComparedOf] = Field(min_length=1, max_length=MOST_AT_ONCE)
