"""Where an instance's videos and viewers come from, each kind with its settings."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from daemon.config.section import Section
from daemon.config.types import Duration, Host, Secret, SourceUrl


class DatasetSource(Section):
    """An instance's videos and viewers read from files."""

    kind: Literal["dataset"] = Field(default="dataset", description="Where videos and engagements come from.")
    path: Path = Field(
        description=(
            "Folder with interactions.csv.gz, items.csv.gz and item_tags.csv.gz; relative to this file."
        ),
        examples=["dataset"],
    )
    name: str = Field(
        default="",
        max_length=100,
        description=(
            "Name of the data set. Instances that use the same name agree on the addresses of its "
            "videos; empty takes the folder's name."
        ),
    )
    catalogue_host: Host | None = Field(
        default=None,
        description="Host in the addresses of the set's videos; unset takes a name that all instances share.",
        examples=["videos.example"],
    )
    like_at: float | None = Field(
        default=None,
        description="A value of at least this is a like; unset takes the upper part of the set's own scale.",
        examples=[4.0],
    )


class PeerTubeSource(Section):
    """A PeerTube instance, read through its plugin."""

    kind: Literal["peertube"] = Field(description="Where videos and engagements come from.")
    url: SourceUrl = Field(
        description=(
            "Where PeerTube answers this machine, without going through the public web server: the plugin's "
            "pages hold what viewers watched."
        ),
        examples=["http://127.0.0.1:9000"],
    )
    secret: Secret = Field(
        description=(
            "The secret that the plugin's settings page shows; the plugin and this daemon know each other by "
            "it. Keep this file readable by its owner only."
        ),
        examples=["copy it from the settings page of the plugin"],
    )
    page: int = Field(
        default=1_000,
        ge=100,
        le=2_000,
        description="Rows per request; more would hold up PeerTube's only thread noticeably.",
    )
    requests_per_second: float = Field(
        default=20.0,
        ge=0.1,
        le=40.0,
        description="At most so many requests in a second; PeerTube refuses above 50.",
    )
    check: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="How often is looked whether viewers have withdrawn; what they gave is then deleted.",
    )


Source = Annotated[DatasetSource | PeerTubeSource, Field(discriminator="kind")]
