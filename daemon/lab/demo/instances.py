"""The demo's instances: a data set's users split by taste, each with its folder, key and settings."""

from __future__ import annotations

import csv
import gzip
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.errors import SourceError
from daemon.identity import open_identity
from daemon.source.dataset import addresses
from daemon.source.dataset_columns import Positive, positive_from
from daemon.source.dataset_files import DataSet, DataSetError, read
from federation.identity import format_key
from models.interactions import Interactions, from_events
from models.splits import clusters, heavy_tailed_sizes, profiles, taste_skewed

SHIPPED = Path(__file__).parent / "data" / "ml-latest-small"
SIZES = (330, 150, 70, 36, 18)
"""Users per instance of the shipped set: one large instance, and one that can do little alone."""
NAMES = ("harbour", "lagoon", "reef", "cove", "tidepool")
TEST_PART = 0.2
LEAST_INTERACTIONS = 5
TASTES = 8
SKEW = 2.0
SEED = 1


@dataclass(frozen=True)
class DemoInstance:
    """One instance of the demo.

    Columns of `history`, what its daemon knows, and of `relevant`, what was held back to measure, are the
    videos of the catalogue, ordered by url.
    """

    host: str
    folder: Path
    history: Interactions
    relevant: csr_array

    @property
    def config_file(self) -> Path:
        """Its settings."""
        return self.folder / "shoal.toml"


@dataclass(frozen=True)
class World:
    """All instances, and what the set's columns were taken to mean."""

    name: str
    communities: tuple[DemoInstance, ...]
    positive: Positive
    titles: dict[str, str]
    """From a video's url to its title."""


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
) -> World:
    """Write the files of all instances below `folder`; `privacy` holds settings of that section.

    `sizes` are users per instance, drawn where there are none. The instance `without` is left out of the
    world, its users too. The others do not know the `stranger`, which knows them. `in_group`, nobody
    knows anybody yet.

    Raises:
        SourceError: the data set is missing, broken, or has too few users.
    """
    try:
        found = read(data or SHIPPED)
    except DataSetError as error:
        advice = "" if data else "Wheels do not contain the demo's data: use a checkout, or --data DIR."
        raise SourceError(str(error), advice=advice) from error
    positive = positive_from(found)
    urls = np.array(addresses(found))
    order = np.empty(len(urls), np.int64)
    order[np.argsort(urls, kind="stable")] = np.arange(len(urls))
    everybody = _likes(found, positive, order)
    active = np.flatnonzero(np.diff(everybody.matrix.indptr) >= LEAST_INTERACTIONS)
    start = positive.from_value
    rng = np.random.default_rng(SEED)
    sizes = sizes or _sizes(len(active), instances, rng)
    tags = csr_array(
        (np.ones(len(found.tag_items), np.float32), (order[found.tag_items], found.tag_ids)),
        shape=(len(found.item_ids), max(len(found.tag_names), 1)),
    )
    taste = clusters(profiles(csr_array(everybody.matrix[active]), tags), TASTES, rng)
    members = [active[group] for group in taste_skewed(taste, sizes, rng, strength=SKEW)]
    held_back = rng.random(everybody.matrix.nnz) < TEST_PART
    known, relevant = everybody.where(~held_back), everybody.where(held_back)
    communities = []
    for name, group in zip(_names(instances), members, strict=True):
        place = folder / f"{name}.example"
        if place.name == without:
            continue
        _write_tables(place / "dataset", data or SHIPPED, found, group, known.matrix, order)
        communities.append(
            DemoInstance(place.name, place, known.rows(group), csr_array(relevant.matrix[group]))
        )
    about = [f'name = "{found.name}"', *([f"like_at = {start}"] if np.isfinite(start) else [])]
    _write_settings(communities, about, privacy or {}, stranger, in_group=in_group)
    titles = dict(zip(urls.tolist(), found.columns.get("title", ()), strict=False))
    return World(found.name, tuple(communities), positive, titles)


def _names(instances: int) -> list[str]:
    return [*NAMES, *(f"inlet-{number}" for number in range(len(NAMES) + 1, instances + 1))][:instances]


def _sizes(users: int, instances: int, rng: np.random.Generator) -> Sequence[int]:
    if instances == len(SIZES) and users >= sum(SIZES) and users < 2 * sum(SIZES):
        return SIZES
    try:
        return [int(size) for size in heavy_tailed_sizes(users, instances, rng)]
    except ValueError as error:
        raise SourceError(
            f"the set has {users} users with at least {LEAST_INTERACTIONS} videos: {error}",
            advice="Use fewer --instances, or another set.",
        ) from error


def _likes(found: DataSet, positive: Positive, order: NDArray[np.int64]) -> Interactions:
    nothing = np.zeros(len(found.users))
    return from_events(
        found.users,
        order[found.items],
        liked=found.values >= positive.from_value,
        disliked=nothing.astype(np.bool_),
        watched=nothing,
        when=nothing if found.timestamps is None else found.timestamps,
        shape=(len(found.user_ids), len(found.item_ids)),
        limit=None,
    )


def _write_tables(
    target: Path,
    source: Path,
    found: DataSet,
    group: NDArray[np.int64],
    history: csr_array,
    order: NDArray[np.int64],
) -> None:
    """Write one instance's share: its users' histories, and the whole public catalogue."""
    target.mkdir(parents=True)
    for path in (*source.glob("items.csv*"), *source.glob("item_tags.csv*")):
        (target / path.name).symlink_to(path.resolve())
    known = csr_array(history[group])
    rows = np.repeat(group, np.diff(known.indptr))
    kept = np.isin(
        found.users.astype(np.int64) * len(order) + order[found.items], rows * len(order) + known.indices
    )
    with gzip.open(target / "interactions.csv.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        times = found.timestamps
        writer.writerow(["user", "item", "value"] + (["timestamp"] if times is not None else []))
        for row in np.flatnonzero(kept):
            line = [
                found.user_ids[found.users[row]],
                found.item_ids[found.items[row]],
                float(found.values[row]),
            ]
            writer.writerow(line if times is None else [*line, float(times[row])])


def _write_settings(
    communities: Sequence[DemoInstance],
    about: Sequence[str],
    privacy: Mapping[str, str | int],
    stranger: str,
    *,
    in_group: bool,
) -> None:
    ports = iter(_free_ports(3 * len(communities)))
    listen = {c.host: (next(ports), next(ports), next(ports)) for c in communities}
    keys = {
        c.host: format_key(open_identity(c.folder / "identity.key", c.host).public.key) for c in communities
    }
    for community in communities:
        api, federation, fence = listen[community.host]
        lines = [
            'mode = "contribute"',
            "[instance]",
            f'host = "{community.host}"',
            "[source]",
            'kind = "dataset"',
            'path = "dataset"',
            *about,
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
            # The catalogue of a data set is as old as the demo: minutes.
            'min_video_age = "0s"',
            *(f"{name} = {json.dumps(value)}" for name, value in privacy.items()),
            "[group]",
            f"listen_port = {fence}",
            # Members are to hear of the announced sum at once, and to be there a moment before.
            'poll = "1s"',
            'lead = "5s"',
        ]
        for peer in communities:
            if not in_group and peer.host not in (community.host, stranger):
                lines += [
                    "[[peers]]",
                    f'host = "{peer.host}"',
                    f'url = "http://127.0.0.1:{listen[peer.host][1]}"',
                    f'key = "{keys[peer.host]}"',
                ]
        community.config_file.write_text("\n".join(lines) + "\n", "utf-8")


def _free_ports(count: int) -> list[int]:
    # All are held open until all are known, so that none is given out twice.
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
