"""Settings for groups: one host, one shared sum, many members."""

from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator

from daemon.config.section import Section
from daemon.config.types import Duration


class Group(Section):
    """Being in a group, and hosting one. `shoal group` joins, hosts and leaves; here is how."""

    poll: Duration = Field(
        default=timedelta(hours=1),
        ge=timedelta(seconds=1),
        description="How often a member asks its host when the next sum is taken.",
    )
    lead: Duration = Field(
        default=timedelta(minutes=2),
        ge=timedelta(0),
        description="How long before the announced time a member connects; until then it is not connected.",
    )
    stay: Duration = Field(
        default=timedelta(minutes=15),
        ge=timedelta(seconds=1),
        description="How long after it a member stays connected, at most.",
    )
    notice: Duration = Field(
        default=timedelta(hours=2),
        ge=timedelta(seconds=1),
        description="How long before a sum the host announces it; longer than its members' `poll`.",
    )
    listen_host: str = Field(
        default="127.0.0.1",
        description="Hosting: address of the TLS listener for members, the one thing that must be public.",
    )
    listen_port: int = Field(default=9743, ge=0, le=65535, description="Hosting: its port; 0 as above.")
    public_url: str = Field(
        default="",
        description="Hosting: where members reach that listener, if that is not its own address and port.",
        examples=["https://video.example.org:9743"],
    )
    certificate: str = Field(
        default="",
        description=(
            "Hosting: PEM file with the certificate chain of that listener, relative to this file. Without "
            "one the daemon makes its own, which members learn with their admission and accept alone."
        ),
    )
    certificate_key: str = Field(default="", description="Hosting: PEM file with its private key.")
    superlink_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Hosting: port of Flower's SuperLink, on loopback only; 0 as above.",
    )
    members_per_part: int = Field(
        default=16,
        ge=4,
        le=1000,
        description=(
            "Hosting: a large group is summed in parts of about so many, so that a member can leave out one. "
            "Every part carries the noise of a whole sum."
        ),
    )
    max_members: int = Field(default=1000, ge=4, le=1000, description="Hosting: so many members at most.")
    max_requests_pending: int = Field(
        default=100, ge=1, le=10_000, description="Hosting: so many instances may wait to be let in."
    )

    @model_validator(mode="after")
    def _a_certificate_has_its_key(self) -> Self:
        if bool(self.certificate) != bool(self.certificate_key):
            raise ValueError("group.certificate and group.certificate_key belong together: set both or none")
        return self
