"""What the demo prints: tables for people, one object for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from daemon.lab.demo.compare import MODELS, Compared

_TITLES = {
    "popularity": "Popularity",
    "peertube_rule": "PeerTube",
    "local": "Local only",
    "federated": "Federated",
    "pooled": "Pooled",
}


@dataclass(frozen=True)
class Listing:
    """Related videos of one title: (title, reason) each."""

    title: str
    videos: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Story:
    """Everything the demo found out.

    `sessions` maps each instance to what became of its session; `bytes_sent` in bytes of message bodies;
    `seconds` by phase.
    """

    data_set: str
    positive: str
    newest: str
    compared: tuple[Compared, ...]
    sessions: Mapping[str, str]
    bytes_sent: Mapping[str, int]
    seconds: Mapping[str, float]
    cohort: Mapping[str, int]
    listings: tuple[Listing, ...]
    asked: str
    killed: str


def as_json(story: Story) -> dict[str, Any]:
    """Return the object that `--json` prints; NDCG is the mean over instances."""
    equal = [found.equality for found in story.compared if found.equality]
    return {
        "instances": [
            {
                "host": found.host,
                "users": found.users,
                "ndcg10": {name: _mean(found.ndcg[name]) for name in MODELS if name in found.ndcg},
                "standard_error": {name: _error(found.ndcg[name]) for name in MODELS if name in found.ndcg},
                "session": story.sessions[found.host],
                "survivors": list(found.survivors),
                "bytes_sent": story.bytes_sent[found.host],
                "head": found.head,
                "noise_declared": found.noise[0],
                "noise_realised": found.noise[1],
                "integers_identical": found.equality.integers if found.equality else None,
                "top10_identical": found.equality.top10 if found.equality else None,
                "relative_difference_from_pooled": found.equality.difference if found.equality else None,
            }
            for found in story.compared
        ],
        "ndcg10": {name: mean_over_instances(story.compared, name) for name in MODELS},
        "integers_identical": all(one.integers for one in equal) if equal else None,
        "top10_identical": all(one.top10 for one in equal) if equal else None,
        "max_relative_difference_from_pooled": max((one.difference for one in equal), default=None),
        "bytes_sent_max": max(story.bytes_sent.values()),
        "seconds": dict(story.seconds),
        "cohort": dict(story.cohort),
        "killed": story.killed or None,
        "related": [
            {"title": one.title, "videos": [{"title": title, "why": why} for title, why in one.videos]}
            for one in story.listings
        ],
    }


def show(story: Story, console: Console) -> None:
    """Print it for people."""
    console.print(Group(_quality(story), Text(), *_verdicts(story), Text()))
    for listing in story.listings:
        console.print(_listing(listing, story.asked))
    console.print(_costs(story))


def mean_over_instances(compared: Sequence[Compared], model: str) -> float | None:
    """Return the plain mean of an instance's means: small instances count as much as large ones."""
    values = [_mean(found.ndcg[model]) for found in compared if model in found.ndcg]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _quality(story: Story) -> Table:
    table = Table(
        title=f"NDCG@10 on held-out likes, {story.data_set} (± standard error)",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
        padding=0,
    )
    table.add_column("Instance", no_wrap=True)
    table.add_column("Users", justify="right", no_wrap=True)
    for name in MODELS:
        table.add_column(_TITLES[name], justify="right", no_wrap=True)
    for found in story.compared:
        cells = [_cell(found.ndcg.get(name)) for name in MODELS]
        table.add_row(found.host.removesuffix(".example"), str(found.users), *cells)
    means = [mean_over_instances(story.compared, name) for name in MODELS]
    table.add_section()
    table.add_row("mean", "", *("–" if mean is None else f"{mean:.3f}" for mean in means), style="bold")
    return table


def _verdicts(story: Story) -> list[Text]:
    lines = []
    equal = [found for found in story.compared if found.equality]
    if equal:
        integers = all(found.equality.integers for found in equal if found.equality)
        lists = all(found.equality.top10 for found in equal if found.equality)
        worst = max(found.equality.difference for found in equal if found.equality)
        noisy = any(found.noise[1] for found in equal)
        what = "pooled plus the noise its members drew" if noisy else "pooled"
        lines.append(
            Text(
                f"Federated equals {what}: summed integers {_same(integers)}, top-10 lists {_same(lists)}, "
                + (
                    f"scores differ by at most {worst:.1e} of the largest."
                    if worst
                    else "scores to the last bit."
                ),
                style="green" if integers and lists else "red",
            )
        )
        if noisy:
            lines.append(_noise(story, equal))
    behind = [
        found.host.removesuffix(".example")
        for found in story.compared
        if found.equality and (_mean(found.ndcg["federated"]) or 0) <= (_mean(found.ndcg["local"]) or 0)
    ]
    if behind:
        lines.append(Text(f"Federated does not beat local only on: {', '.join(behind)}.", style="yellow"))
    for host, outcome in story.sessions.items():
        if outcome != "done":
            lines.append(Text(f"{host}: {outcome}", style="yellow"))
    lines.append(
        Text(
            f"Likes: {story.positive}. Popularity counts the users of all instances. PeerTube: its own rule, "
            f"any shared tag with the video watched last, newest first by {story.newest}. Local only: the "
            "same model on own users alone, without the minimum of users per pair that a served model keeps.",
            style="dim",
        )
    )
    return lines


def _noise(story: Story, found: Sequence[Compared]) -> Text:
    declared = min(one.noise[0] for one in found)
    realised = sorted({f"{one.noise[1]:.1f}" for one in found})
    with_noise, without = (mean_over_instances(story.compared, name) for name in ("federated", "pooled"))
    cost = f" It costs {1 - with_noise / without:.0%} of NDCG@10." if with_noise and without else ""
    return Text(
        f"Noise: every count in a sum is off by about ±{' to '.join(realised)}, of which ±{declared:.1f} "
        f"hold whoever drops out (one standard deviation).{cost}"
    )


def _same(holds: bool) -> str:  # noqa: FBT001
    return "identical" if holds else "DIFFER"


def _listing(listing: Listing, asked: str) -> Table:
    table = Table(
        title=f"Related to {listing.title}, as {asked} shows it", box=box.SIMPLE, title_justify="left"
    )
    table.add_column("Video")
    table.add_column("Why")
    for title, why in listing.videos:
        table.add_row(title, why)
    return table


def _costs(story: Story) -> Table:
    table = Table(title="What it cost", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("Instance")
    table.add_column("Sent", justify="right")
    table.add_column("Session")
    for found in story.compared:
        users = f"{len(found.survivors)} members summed" if found.survivors else "no sum"
        table.add_row(
            found.host.removesuffix(".example"), f"{story.bytes_sent[found.host] / 1e6:.1f} MB", users
        )
    table.add_section()
    phases = ", ".join(f"{name} {spent:.1f} s" for name, spent in story.seconds.items())
    table.add_row("Time", "", phases)
    return table


def _cell(values: NDArray[np.float64] | None) -> str:
    if values is None or not len(values):
        return "–"
    error = _error(values)
    return f"{_mean(values):.3f}" + ("" if error is None else f"±{error:.3f}".replace("0.", "."))


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _error(values: NDArray[np.float64]) -> float | None:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
