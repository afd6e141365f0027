"""What a model calls its videos: addresses, titles, names, packed so that 100,000 cost little memory.

Texts are one run of UTF-8 bytes with offsets, looked up through sorted hashes: arrays that can be mapped from
a file, where a dictionary of as many strings would cost tens of megabytes. Imports numpy only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Texts:
    """An immutable column of texts.

    Attributes:
        offsets: (n + 1,) int64, where each text starts in `data`.
        data: (bytes,) uint8, UTF-8.
    """

    offsets: NDArray[np.int64]
    data: NDArray[np.uint8] = field(repr=False)

    @classmethod
    def pack(cls, texts: Iterable[str]) -> Texts:
        """Pack texts; those that are not valid Unicode (lone surrogates) get replacement characters."""
        encoded = [text.encode("utf-8", "replace") for text in texts]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(piece) for piece in encoded], out=offsets[1:])
        return cls(offsets, np.frombuffer(b"".join(encoded), np.uint8))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, position: int) -> str:
        if not 0 <= position < len(self):
            raise IndexError(position)
        start, stop = self.offsets[position : position + 2]
        return self.data[start:stop].tobytes().decode("utf-8", "replace")


@dataclass(frozen=True)
class Label:
    """Everything known about one video; empty text and None where unknown."""

    uuid: str
    url: str
    title: str
    channel: str
    category: str
    language: str
    published: float | None
    nsfw: bool


@dataclass(frozen=True)
class Labels:
    """Names of the videos of one catalogue, and of the channels, categories and languages they belong to.

    Attributes:
        uuid, url, title: one text per video, "" where unknown.
        nsfw: (videos,) uint8, 1 where the video is marked as not safe for work.
        channels, categories, languages: names by the numbers that `Features` uses.
        hashes: (keys,) uint64, sorted; every uuid and url that is not empty.
        positions: (keys,) int32, the video of each hash.
        host: (videos,) int32 numbers of `hosts`, -1 unknown.
        account: (videos,) int32, equal for videos of one account, -1 unknown.
        scope: (videos,) uint8, what the owner wants to be suggested beside the video: 1 anything, 2 the same
            platform, 3 the same account, 4 the same channel.
        hosts: names by the numbers in `host`.
    """

    uuid: Texts
    url: Texts
    title: Texts
    nsfw: NDArray[np.uint8]
    channels: Texts
    categories: Texts
    languages: Texts
    hashes: NDArray[np.uint64]
    positions: NDArray[np.int32]
    host: NDArray[np.int32]
    account: NDArray[np.int32]
    scope: NDArray[np.uint8]
    hosts: Texts

    @classmethod
    def pack(
        cls,
        *,
        uuid: Sequence[str],
        url: Sequence[str],
        title: Sequence[str],
        nsfw: Sequence[bool] | NDArray[np.bool_] | None = None,
        channels: Sequence[str] = (),
        categories: Sequence[str] = (),
        languages: Sequence[str] = (),
        host: NDArray[np.int32] | None = None,
        account: NDArray[np.int32] | None = None,
        scope: NDArray[np.uint8] | None = None,
        hosts: Sequence[str] = (),
    ) -> Labels:
        """Pack the names of a catalogue.

        `uuid`, `url` and `title` hold one text per video, "" where unknown; `nsfw` one flag per video, none
        is marked unless given; `channels`, `categories` and `languages` the names by the numbers that
        `Features` uses; `host`, `account` and `scope` as the attributes, unknown and 1 unless given. Raises
        ValueError when the columns have different lengths.
        """
        size = len(uuid)
        flags = np.zeros(size, np.uint8) if nsfw is None else np.asarray(nsfw, np.bool_).astype(np.uint8)
        host = np.full(size, -1, np.int32) if host is None else host
        account = np.full(size, -1, np.int32) if account is None else account
        scope = np.ones(size, np.uint8) if scope is None else scope
        if {len(column) for column in (url, title, flags, host, account, scope)} != {size}:
            raise ValueError("every column needs one entry per video")
        pairs = sorted(
            (key_hash(key), position)
            for position, keys in enumerate(zip(uuid, url, strict=True))
            for key in set(keys)
            if key
        )
        return cls(
            uuid=Texts.pack(uuid),
            url=Texts.pack(url),
            title=Texts.pack(title),
            nsfw=flags,
            channels=Texts.pack(channels),
            categories=Texts.pack(categories),
            languages=Texts.pack(languages),
            hashes=np.array([hashed for hashed, _ in pairs], np.uint64),
            positions=np.array([position for _, position in pairs], np.int32),
            host=host,
            account=account,
            scope=scope,
            hosts=Texts.pack(hosts),
        )

    def __len__(self) -> int:
        return len(self.uuid)

    @cached_property
    def language_numbers(self) -> dict[str, int]:
        """Numbers of the languages by their names."""
        return {self.languages[number]: number for number in range(len(self.languages))}

    def index(self, key: str) -> int | None:
        """Position of the video with this uuid or url, None if there is none; by binary search."""
        wanted = np.uint64(key_hash(key))
        place = int(np.searchsorted(self.hashes, wanted))
        # Two keys may share a hash: compare the texts until the hash changes.
        while place < len(self.hashes) and self.hashes[place] == wanted:
            position = int(self.positions[place])
            if key and key in (self.uuid[position], self.url[position]):
                return position
            place += 1
        return None


def key_hash(key: str) -> int:
    """64-bit BLAKE2b (RFC 7693) of a key: well spread, and the same on every machine."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).digest(), "little")
