"""What would leave and what left, as a file that a person can read."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np
from pydantic_core import to_json

from daemon.disclosure.share_report import ShareReport
from daemon.errors import RequestError
from daemon.store.releases import OWN
from models.weights import UNIT

SUFFIXES: Final = (".csv", ".json")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(share: ShareReport, path: Path) -> int:
    """Write every video to a new file, as `.json` with all else; returns the number of videos.

    A table has a line per video: the viewers behind it now, and the noisy number that each aggregator has.

    Raises:
        RequestError: the file exists, or its name ends otherwise.

    """
    if path.suffix not in SUFFIXES:
        raise RequestError(f'"{path.name}" ends neither in .csv nor in .json', advice="Name the file so.")
    if path.exists():
        raise RequestError(f"{path} exists already", advice="Give a new file.")
    videos = list(share.everything())
    # Readable by its owner only, like the database: exact numbers of viewers are in it.
    path.touch(mode=0o600)
    if path.suffix == ".json":
        content = share.answer(most_left=len(share.left))
        listed = {**content["next"], "videos": videos, "shown": len(videos)}
        path.write_bytes(to_json({**content, "next": listed}, indent=1) + b"\n")
        return len(videos)
    hosts = [window.aggregator for window in share.windows if window.numbers]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        columns = [OWN if host == OWN else f"given to {host}" for host in hosts]
        rows.writerow(["video", "title", "viewers", *columns])
        for video in videos:
            numbers = [video.given.get(host, "") for host in hosts]
            rows.writerow([video.url, _cell(video.title), video.users, *numbers])
    return len(videos)


def write_pairs(path: Path, videos: tuple[str, ...], frozen: bytes) -> int:
    """Write the noisy numbers of pairs that an aggregator has, as a new table; returns how many.

    Raises:
        RequestError: the file exists, or its name ends otherwise.

    """
    if path.suffix != ".csv":
        raise RequestError("pairs are written as a table", advice="Give a name that ends in .csv.")
    if path.exists():
        raise RequestError(f"{path} exists already", advice="Give a new file.")
    size = len(videos) * (len(videos) - 1) // 2
    values = np.frombuffer(frozen, f"<i{len(frozen) // max(size, 1)}")
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["video", "and", "given"])
        start = 0
        for place, url in enumerate(videos[:-1]):
            others = videos[place + 1 :]
            numbers = (values[start : start + len(others)] / UNIT).tolist()
            rows.writerows((url, other, number) for other, number in zip(others, numbers, strict=True))
            start += len(others)
    return size


def _cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: titles are written by strangers."""
    return f"'{text}" if text.startswith(_FORMULA) else text
