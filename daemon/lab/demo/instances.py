"""The demo's instances: users split by taste, each with its folder, key and settings; changes to these."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.errors import JobError, SourceError
from daemon.identity import open_identity
from daemon.lab.experiment import (
    MIN_LIKES,
    TEST_SHARE,
    active_users,
    by_address,
    by_taste,
    hold_out,
    likes_of,
    tags_of,
)
from daemon.lab.made_up import shipped_or_made_up
from daemon.source.dataset import addresses
from daemon.source.dataset_columns import Positive, positive_from, views
from daemon.source.dataset_files import DataSet, DataSetError, read
from daemon.store.engine import open_checked
from federation.identity import format_key
from models.interactions import Interactions
from models.splits import heavy_tailed_sizes

SIZES = (330, 150, 70, 36, 18)
"""Users per instance of either set of ours: one large instance, and one that can do little alone."""
NAMES = ("harbour", "lagoon", "reef", "cove", "tidepool")
SEED = 1
CHANGED = 8
"""Viewers of an instance that like something new in a week."""
TABLE = "interactions.csv.gz"
_CATALOGUE = "items.csv.gz"
_ORIGINAL = "before.csv.gz"
_NEW_LIKES = 3
_HIGHEST_VALUE = 5.0
_DAY = 86400.0


@dataclass(frozen=True)
class DemoInstance:
    """One instance of the demo.

    Columns of `history`, what its daemon knows, and of `relevant`, what was held out to measure, are the
    videos of the catalogue, ordered by url.
    """

    host: str
    folder: Path
    history: Interactions
    relevant: csr_array

    @property
    def config_file(self) -> Path:
        """File with its settings."""
        return self.folder / "shoal.toml"

    @property
    def config(self) -> Config:
        """Its settings."""
        return load(self.config_file)

    @contextmanager
    def database(self) -> Iterator[Engine]:
        """Open its database, which is there after the first sync."""
        engine = open_checked(self.config.database)
        try:
            yield engine
        finally:
            engine.dispose()


@dataclass(frozen=True)
class DemoSetup:
    """All instances, and what the set's columns were taken to mean."""

    name: str
    instances: tuple[DemoInstance, ...]
    positive: Positive
    titles: dict[str, str]
    """From a video's url to its title, in the order of the set."""


def build(
    folder: Path,
    data: Path | None,
    instances: int,
    privacy: Mapping[str, str | int] | None = None,
    *,
    sizes: Sequence[int] = (),
    without: str = "",
    stranger: str = "",
    in_group: bool = False,
) -> DemoSetup:
    """Write the files of all instances below `folder`; `privacy` holds settings of that section.

    `sizes` are users per instance, drawn where there are none. The instance `without` is left out, its users
    too. The others do not know the `stranger`, which knows them. With `in_group` nobody knows anybody yet.

    Raises:
        SourceError: the data set is missing, broken, or has too few users.
    """
    source = data or shipped_or_made_up(folder)
    try:
        listed = read(source)
    except DataSetError as error:
        raise SourceError(str(error)) from error
    found, positive = by_address(listed), positive_from(listed)
    everybody = likes_of(found, positive)
    active = active_users(everybody)
    rng = np.random.default_rng(SEED)
    sizes = sizes or _sizes(len(active), instances, rng)
    groups = by_taste(csr_array(everybody.matrix[active]), tags_of(found), sizes, rng)
    known, relevant = hold_out(everybody, TEST_SHARE, rng)
    catalogue = [_write_catalogue(folder, listed), *source.glob("item_tags.csv*")]
    members = []
    for name, group in zip(_names(instances), groups, strict=True):
        place = folder / f"{name}.example"
        if place.name == without:
            continue
        rows = active[group]
        history = known.rows(rows)
        _write_tables(place / "dataset", catalogue, found, rows, history.matrix)
        members.append(DemoInstance(place.name, place, history, csr_array(relevant.matrix[rows])))
    start = positive.from_value
    described = [f'name = "{found.name}"', *([f"like_at = {start}"] if np.isfinite(start) else [])]
    _write_settings(members, described, privacy or {}, stranger, in_group=in_group)
    titles = dict(zip(addresses(listed), listed.columns.get("title", ()), strict=False))
    return DemoSetup(found.name, tuple(members), positive, titles)


def like_more(instance: DemoInstance, week: int) -> None:
    """Let some viewers like a few more videos: which ones follows from the instance's name and the week."""
    found = read(instance.folder / "dataset")
    rng = np.random.default_rng([week, crc32(instance.host.encode())])
    number = min(CHANGED, len(found.user_ids))
    seen = set(zip(found.users.tolist(), found.items.tolist(), strict=True))
    rows = [
        (found.user_ids[user], found.item_ids[video])
        for user in rng.choice(len(found.user_ids), number, replace=False).tolist()
        for video in rng.choice(np.unique(found.items), _NEW_LIKES, replace=False).tolist()
        if (user, video) not in seen
    ]
    _append(instance, rows, found, week)


def make_up(instance: DemoInstance, name: str, fakes: Interactions, *, copies: int = 1) -> None:
    """Give an instance fake viewers beside its real ones, and count everybody so many times.

    That is what multiplying its contribution comes to, without a program that breaks the protocol. Columns of
    `fakes` are the videos of the catalogue, ordered by url; `name` is that of the set.
    """
    folder = instance.folder / "dataset"
    kept = folder / _ORIGINAL
    if not kept.exists():
        shutil.copy(folder / TABLE, kept)
    shutil.copy(kept, folder / TABLE)
    found = by_address(replace(read(folder), name=name))
    real = [
        (found.user_ids[user], found.item_ids[video])
        for user, video in zip(found.users.tolist(), found.items.tolist(), strict=True)
    ]
    made_up = [
        (f"fake-{row}", found.item_ids[video])
        for row, videos in enumerate(np.split(fakes.matrix.indices, fakes.matrix.indptr[1:-1]))
        for video in videos.tolist()
    ]
    again = [(f"{user}-{copy}", video) for copy in range(1, copies) for user, video in [*real, *made_up]]
    _append(instance, [*made_up, *again], found, 0)


def _append(instance: DemoInstance, rows: Sequence[tuple[str, str]], found: DataSet, week: int) -> None:
    """Add likes, a viewer and a video each, that happen so many weeks later."""
    when = []
    if found.timestamps is not None:
        when = [float(found.timestamps.max(initial=0.0)) + _DAY * (week + 1)]
    # A gzip file may go on with another one.
    with gzip.open(instance.folder / "dataset" / TABLE, "at", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([user, video, _HIGHEST_VALUE, *when] for user, video in rows)


def _names(instances: int) -> list[str]:
    return [*NAMES, *(f"inlet-{number}" for number in range(len(NAMES) + 1, instances + 1))][:instances]


def _sizes(users: int, instances: int, rng: np.random.Generator) -> Sequence[int]:
    if instances == len(SIZES) and users >= sum(SIZES) and users < 2 * sum(SIZES):
        return SIZES
    try:
        return [int(size) for size in heavy_tailed_sizes(users, instances, rng)]
    except ValueError as error:
        raise SourceError(
            f"the set has {users} users with at least {MIN_LIKES} videos: {error}",
            advice="Use fewer --instances, or another set.",
        ) from error


def _write_catalogue(folder: Path, listed: DataSet) -> Path:
    """Write the public catalogue that all instances share, with the views of all their users together."""
    columns = {**listed.columns, "views": [str(number) for number in views(listed).tolist()]}
    path = folder / _CATALOGUE
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["item", *columns])
        writer.writerows(zip(listed.item_ids, *columns.values(), strict=True))
    return path


def _write_tables(
    target: Path, catalogue: Sequence[Path], found: DataSet, group: NDArray[np.int64], known: csr_array
) -> None:
    """Write one instance's share: its users' histories, and the whole public catalogue."""
    target.mkdir(parents=True)
    for path in catalogue:
        (target / path.name).symlink_to(path.resolve())
    pairs = np.repeat(group, np.diff(known.indptr)) * known.shape[1] + known.indices
    kept = np.isin(found.users.astype(np.int64) * known.shape[1] + found.items, pairs)
    times = found.timestamps
    with gzip.open(target / TABLE, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "value"] + (["timestamp"] if times is not None else []))
        for row in np.flatnonzero(kept):
            line = [
                found.user_ids[found.users[row]],
                found.item_ids[found.items[row]],
                float(found.values[row]),
            ]
            writer.writerow(line if times is None else [*line, float(times[row])])


def _write_settings(
    instances: Sequence[DemoInstance],
    described: Sequence[str],
    privacy: Mapping[str, str | int],
    stranger: str,
    *,
    in_group: bool,
) -> None:
    ports = iter(_free_ports(3 * len(instances)))
    listen = {c.host: (next(ports), next(ports), next(ports)) for c in instances}
    keys = {
        c.host: format_key(open_identity(c.folder / "identity.key", c.host).public.key) for c in instances
    }
    for one in instances:
        api, federation, group = listen[one.host]
        lines = [
            'mode = "contribute"',
            "[instance]",
            f'host = "{one.host}"',
            "[source]",
            'kind = "dataset"',
            'path = "dataset"',
            *described,
            "[listen]",
            f"api_port = {api}",
            f"federation_port = {federation}",
            "[model]",
            # One thread each: the demo trains as many models at once as there are cores.
            "threads = 1",
            "[schedule]",
            "enabled = false",
            "[acceptance]",
            # Nobody sits there to look at the first model; its acceptance test decides alone.
            "confirm_first = false",
            "[privacy]",
            # A film without a year in its title has no date, and would wait for a week.
            'min_video_age = "0s"',
            *(f"{name} = {json.dumps(value)}" for name, value in privacy.items()),
            "[group]",
            f"listen_port = {group}",
            # Members are to hear of the announced sum at once, and to be there a moment before.
            'poll = "1s"',
            'lead = "5s"',
        ]
        for peer in instances:
            if not in_group and peer.host not in (one.host, stranger):
                lines += [
                    "[[peers]]",
                    f'host = "{peer.host}"',
                    f'url = "http://127.0.0.1:{listen[peer.host][1]}"',
                    f'key = "{keys[peer.host]}"',
                ]
        one.config_file.write_text("\n".join(lines) + "\n", "utf-8")


_PORTS: Final = range(10_000, 20_000)
"""Below those that systems hand out by themselves: no connection takes one before its daemon starts."""


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody uses now; another process that looks at the same time begins elsewhere."""
    found: list[int] = []
    for step in range(len(_PORTS)):
        port = _PORTS[(os.getpid() * 97 + step) % len(_PORTS)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise JobError("there are not enough free ports", advice="Stop what else is listening on this machine.")
