"""What requests to the admin API may hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from daemon.config import Mode
from daemon.config.pasted_host import LONGEST, PastedHost
from daemon.config.schema import Discovery, PrivacyLevel
from daemon.config.types import PeerUrl, PublicKey
from daemon.serve.validation import RequestModel
from daemon.status.choosable import SettingKey, Value
from daemon.status.startable import Startable

HostName = Annotated[
    PastedHost,
    Field(
        max_length=LONGEST,
        description="Host name, also within an address or an account's handle.",
        examples=["peer.example.net"],
    ),
]
Key = Annotated[
    PublicKey,
    Field(
        pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$",
        description="The key that was compared, so that no other one is approved.",
    ),
]
Endpoint = Annotated[
    PeerUrl | None, Field(max_length=500, description="Where its Shoal answers, if not at the usual place.")
]
GroupName = Annotated[str, Field(max_length=48)]


class ShownKey(RequestModel):
    """An instance, and the key that the admin was shown."""

    host: HostName
    key: Key


class NewPeer(RequestModel):
    """An instance to contact; this approves nothing."""

    host: HostName
    url: Endpoint = None


class Approval(RequestModel):
    """The key that the admin compared, and how many viewers the peer may have in a sum."""

    key: Key
    max_users: int | None = Field(default=None, ge=1, le=10_000_000)


class CircleDecision(RequestModel):
    """Which instances of the circle to approve, by the keys that the admin saw, and which were left."""

    ticked: list[ShownKey] = Field(max_length=1000)
    left: list[HostName] = Field(max_length=10_000)


class IntroductionOrder(RequestModel):
    """To whom approved peers are introduced: one peer, or null for all of them to one another."""

    to: HostName | None = None
    leave_out: list[HostName] = Field(default=[], max_length=1000)
    stop: bool = Field(default=False, description="Introduce nobody any more.")


class RevertOrder(RequestModel):
    """Remove what was learnt from a peer, or preview what that would change."""

    dry_run: bool
    confirm: str = Field(max_length=255, description="The host once more.")


class ChosenSettings(RequestModel):
    """Settings to change; what is not named stays."""

    mode: Mode | None = None
    level: PrivacyLevel | None = None
    schedule: bool | None = Field(default=None, description="Whether jobs run by themselves.")
    discovery: Discovery | None = None
    agreed: list[Annotated[str, Field(max_length=60)]] = Field(
        default=[], max_length=10, description="Codes of what the admin agrees to let out."
    )

    def wanted(self) -> dict[SettingKey, Value]:
        """Return what is named, by the key of the setting."""
        named: dict[SettingKey, Value | None] = {
            "mode": self.mode,
            "privacy.level": self.level,
            "schedule.enabled": self.schedule,
            "serve.discovery": self.discovery,
        }
        return {key: value for key, value in named.items() if value is not None}


class StartOrder(RequestModel):
    """A job to start."""

    job: Startable


class SharedVideosQuery(RequestModel):
    """Words of the titles or addresses of videos that would leave, and a page of those found."""

    q: Annotated[str, Field(max_length=200)] = ""
    offset: int = Field(default=0, ge=0, le=10_000_000)
    limit: int = Field(default=25, ge=1, le=100)


class RoundsQuery(RequestModel):
    """How many of the newest rounds."""

    limit: int = Field(default=50, ge=1, le=500)


class LedgerQuery(RequestModel):
    """The entries that follow a number."""

    after: int = Field(default=0, ge=0, le=2**53)
    limit: int = Field(default=100, ge=1, le=500)


class VideosQuery(RequestModel):
    """Words that a title must contain."""

    q: Annotated[str, Field(max_length=200)]
    limit: int = Field(default=20, ge=1, le=50)


class RelatedQuery(RequestModel):
    """A video that the model knows, by uuid or url."""

    # Percent-encoded it has to fit into the first line of a request, of which 8,190 bytes are read.
    video: str = Field(min_length=1, max_length=500)
    limit: int = Field(default=10, ge=1, le=100)


class GroupAddress(RequestModel):
    """Where a group is hosted."""

    url: str = Field(min_length=1, max_length=500, description="From the invitation, or the host's name.")
    group: GroupName = Field(default="", description="Only if the group has this name.")


class JoinOrder(GroupAddress):
    """A group to join, by the key of its host that the admin compared."""

    key: Key


class NewGroup(RequestModel):
    """A group for this instance to host."""

    name: GroupName = Field(min_length=1)
    url: Endpoint = None


class SumOrder(RequestModel):
    """When a sum is to begin."""

    at: float | None = Field(
        default=None, ge=0, le=1e11, description="Unix seconds; null: as soon as all members know of it."
    )


class KeyQuery(RequestModel):
    """An instance whose key is wanted."""

    host: HostName


class ComparedKey(RequestModel):
    """The key that the admin compared."""

    key: Key


class ComparedHostKey(ComparedKey):
    """The key that the admin compared, and whose it is."""

    host: HostName


class MembersApproval(RequestModel):
    """Members to approve as peers, by the keys that the admin compared."""

    members: list[ComparedHostKey] = Field(min_length=1, max_length=100)
