"""An instance whose videos and viewers come from a data set folder: for demos and for trying Shoal out."""

import math
import re
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from daemon.errors import SourceError
from daemon.source.dataset_columns import codes, positive_from, publication, views
from daemon.source.dataset_files import DataSet, DataSetError, read
from daemon.store.rows import EngagementRow, SourceFacts, VideoRow
from policies.sharing import PUBLIC, public_only

PAGE: Final = 1_000
NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://shoal.example/data-set-videos")


def video_uuid(set_name: str, item_id: str) -> str:
    """Return the uuid of a data set's item: the same on every instance (uuid version 5, RFC 9562)."""
    return str(uuid.uuid5(NAMESPACE, f"{set_name}\n{item_id}"))


def catalogue_host(set_name: str) -> str:
    """Return the host that the set's videos seem to live on, below the reserved domain of RFC 2606."""
    return f"{re.sub(r'[^a-z0-9]+', '-', set_name.lower()).strip('-')[:60] or 'data-set'}.example"


def video_url(set_name: str, item_id: str, host: str | None = None) -> str:
    """Return the address of a data set's item as PeerTube writes addresses."""
    return f"https://{host or catalogue_host(set_name)}/videos/watch/{video_uuid(set_name, item_id)}"


class DatasetFiles:
    """A `Source` over a folder: rows that count as liked become likes, the others are left out."""

    def __init__(
        self, folder: Path, *, name: str = "", host: str | None = None, like_at: float | None = None
    ) -> None:
        self._folder = folder
        self._name = name
        self._host = host
        self._like_at = like_at
        self._read: DataSet | None = None
        self.left_out = 0

    @property
    def data(self) -> DataSet:
        """The tables, read once."""
        if self._read is None:
            try:
                self._read = read(self._folder)
            except DataSetError as error:
                raise SourceError(f"{error}", advice="The stored data was kept.") from error
        return self._read

    @property
    def name(self) -> str:
        """Name of the set, from the configuration or the folder."""
        return self._name or self.data.name

    def videos(self) -> Iterator[tuple[float, Sequence[VideoRow]]]:
        """Yield pages of public videos, in the set's order; a column `privacy` holds PeerTube's numbers.

        A video with a date counts as stored then, one without as new.
        """
        data = self.data
        total = len(data.item_ids)
        unknown = ("",) * total
        titles = data.columns.get("title", unknown)
        hosts = data.columns.get("host", unknown)
        dates = [date if math.isfinite(date) else None for date in publication(data).published.tolist()]
        seen = views(data).tolist()
        # Whatever is not clearly public is not.
        privacy = [
            int(value) if value.isdigit() else 0
            for value in data.columns.get("privacy", (str(PUBLIC),) * total)
        ]
        channel, channels = codes(data, "channel", "developer")
        category, categories = codes(data, "category", "type")
        language, languages = codes(data, "language")
        order = np.argsort(data.tag_items, kind="stable")
        starts = np.searchsorted(data.tag_items[order], np.arange(total + 1))
        tag_ids = data.tag_ids[order]
        for first in range(0, total, PAGE):
            last = min(first + PAGE, total)
            page = [
                VideoRow(
                    url=self._address(i),
                    uuid=video_uuid(self.name, data.item_ids[i]),
                    title=titles[i],
                    channel=channels[channel[i]] if channel[i] >= 0 else "",
                    host=hosts[i] or self._host or catalogue_host(self.name),
                    category=categories[category[i]] if category[i] >= 0 else "",
                    language=languages[language[i]] if language[i] >= 0 else "",
                    published=known,
                    # Whoever runs this instance made the set: nobody else chose its dates.
                    stored=known,
                    views=seen[i],
                    tags=tuple(data.tag_names[t] for t in tag_ids[starts[i] : starts[i + 1]]),
                )
                for i, known in enumerate(dates[first:last], first)
            ]
            yield last / total, public_only(zip(page, privacy[first:last], strict=True))

    def engagements(self) -> Iterator[tuple[float, Sequence[EngagementRow]]]:
        """Yield pages of likes, in the set's order; without timestamps all happened at 0."""
        data = self.data
        named = data if not self._name else _renamed(data, self._name)
        liked = np.flatnonzero(data.values >= positive_from(named, self._like_at).from_value)
        for first in range(0, len(liked), PAGE):
            rows = liked[first : first + PAGE]
            yield (
                (first + len(rows)) / len(liked),
                [
                    EngagementRow(
                        viewer=data.user_ids[data.users[r]],
                        video_url=self._address(int(data.items[r])),
                        liked=True,
                        at=float(data.timestamps[r]) if data.timestamps is not None else 0.0,
                    )
                    for r in rows
                ],
            )

    def facts(self) -> SourceFacts:
        """Return that it is a data set: it excludes nothing and follows nobody."""
        return SourceFacts("dataset")

    def confirmed(self) -> None:
        """Return None: nobody in a data set can withdraw."""

    def urls(self) -> list[str]:
        """Return the address of each item."""
        return addresses(self.data, name=self.name, host=self._host)

    def _address(self, place: int) -> str:
        return _address_of(self.data, place, name=self.name, host=self._host)


def addresses(data: DataSet, *, name: str = "", host: str | None = None) -> list[str]:
    """Return the address of each item: its column `url` where the set has one."""
    return [
        _address_of(data, place, name=name or data.name, host=host) for place in range(len(data.item_ids))
    ]


def _address_of(data: DataSet, place: int, *, name: str, host: str | None) -> str:
    urls, hosts = data.columns.get("url"), data.columns.get("host")
    if urls is not None and urls[place]:
        return urls[place]
    return video_url(name, data.item_ids[place], (hosts[place] if hosts is not None else "") or host)


def _renamed(data: DataSet, name: str) -> DataSet:
    return DataSet(**{**vars(data), "name": name})
