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
from daemon.lab.experiment import relative_loss

_TITLES = {
    "popularity": "Popular",
    "local": "Local",
    "local_exact": "Exact",
    "federated": "Federated",
    "pooled": "Pooled",
}


@dataclass(frozen=True)
class Listing:
    """Related videos of one title: (title, reason) each."""

    title: str
    videos: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DemoReport:
    """Everything the demo found out.

    `rounds` maps each instance to the outcome of its round; `bytes_sent` in bytes of message bodies;
    `seconds` by phase.
    """

    data_set: str
    positive: str
    compared: tuple[Compared, ...]
    rounds: Mapping[str, str]
    bytes_sent: Mapping[str, int]
    seconds: Mapping[str, float]
    cohort: Mapping[str, int]
    listings: tuple[Listing, ...]
    asked: str
    killed: str

    def as_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints; NDCG is the mean over instances."""
        equal = [found.equality for found in self.compared if found.equality]
        return {
            "data_set": self.data_set,
            "instances": [
                {
                    "host": found.host,
                    "users": found.users,
                    "ndcg10": {name: _mean(values) for name, values in _in_order(found)},
                    "standard_error": {name: _error(values) for name, values in _in_order(found)},
                    "round": self.rounds[found.host],
                    "survivors": list(found.survivors),
                    "bytes_sent": self.bytes_sent[found.host],
                    "cost_of_released_only": _loss([found]),
                    "head": found.head,
                    "noise_declared": found.noise[0],
                    "noise_realised": found.noise[1],
                    "integers_identical": found.equality.integers if found.equality else None,
                    "top10_identical": found.equality.top10 if found.equality else None,
                    "relative_difference_from_plain": found.equality.difference if found.equality else None,
                }
                for found in self.compared
            ],
            "ndcg10": {name: self.mean_over_instances(name) for name in MODELS},
            "integers_identical": all(one.integers for one in equal) if equal else None,
            "top10_identical": all(one.top10 for one in equal) if equal else None,
            "max_relative_difference_from_plain": max((one.difference for one in equal), default=None),
            "cost_of_released_only": _loss(self.compared),
            "bytes_sent_max": max(self.bytes_sent.values()),
            "seconds": dict(self.seconds),
            "cohort": dict(self.cohort),
            "killed": self.killed or None,
            "related": [
                {"title": one.title, "videos": [{"title": title, "why": why} for title, why in one.videos]}
                for one in self.listings
            ],
        }

    def show(self, console: Console) -> None:
        """Print it for people."""
        console.print(Group(self._quality(), Text(), *self._verdicts(), Text()))
        for listing in self.listings:
            table = Table(
                title=f"Related to {listing.title} on {self.asked}", box=box.SIMPLE, title_justify="left"
            )
            table.add_column("Video")
            table.add_column("Why")
            for title, why in listing.videos:
                table.add_row(title, why)
            console.print(table)
        console.print(self._costs())

    def mean_over_instances(self, model: str) -> float | None:
        """Return the plain mean of an instance's means: small instances count as much as large ones."""
        values = [_mean(found.ndcg[model]) for found in self.compared if model in found.ndcg]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    def _quality(self) -> Table:
        table = Table(
            title=f"NDCG@10 on held-out likes, {self.data_set} (± standard error)",
            box=box.SIMPLE_HEAD,
            title_justify="left",
            pad_edge=False,
            padding=0,
        )
        table.add_column("Instance", no_wrap=True)
        table.add_column("Users", justify="right", no_wrap=True)
        for name in MODELS:
            table.add_column(_TITLES[name], justify="right", no_wrap=True)
        for found in self.compared:
            cells = [_cell(found.ndcg.get(name)) for name in MODELS]
            table.add_row(_short(found), str(found.users), *cells)
        means = [self.mean_over_instances(name) for name in MODELS]
        table.add_section()
        table.add_row(
            "mean", "", *("–" if mean is None else _short_number(mean) for mean in means), style="bold"
        )
        return table

    def _verdicts(self) -> list[Text]:
        lines = []
        equal = [(found, found.equality) for found in self.compared if found.equality]
        if equal:
            integers = all(equality.integers for _, equality in equal)
            lists = all(equality.top10 for _, equality in equal)
            worst = max(equality.difference for _, equality in equal)
            noisy = [found for found, _ in equal if found.noise[1]]
            what = "the plain sum plus the noise its members drew" if noisy else "the plain sum"
            scores = f"at most {worst:.1e} of the largest apart" if worst else "identical to the last bit"
            lines.append(
                Text(
                    f"Federated equals what {what} gives: summed integers {_same(integers)}, top-10 lists "
                    f"{_same(lists)}, scores {scores}.",
                    style="green" if integers and lists else "red",
                )
            )
            if noisy:
                lines.append(self._noise(noisy))
            if (loss := _loss(self.compared)) is not None:
                lines.append(
                    Text(
                        f"Released numbers only: federated has {loss['share']:.1%} ± "
                        f"{loss['standard_error']:.1%} less NDCG@10, over all viewers, than with own exact "
                        "numbers beside the same sum."
                    )
                )
        behind = [
            _short(found)
            for found, _ in equal
            if (_mean(found.ndcg["federated"]) or 0) <= (_mean(found.ndcg["local"]) or 0)
        ]
        if behind:
            lines.append(Text(f"Federated does not beat local on: {', '.join(behind)}.", style="yellow"))
        lines += [
            Text(f"{host}: {outcome}", style="yellow")
            for host, outcome in self.rounds.items()
            if outcome != "done"
        ]
        lines.append(
            Text(
                f"Likes: {self.positive}. Popularity counts the users of all instances. Local is what an "
                "instance serves alone, learnt from its own release. Exact is the same from its exact "
                "numbers, pooled from everybody's: nobody is shown either.",
                style="dim",
            )
        )
        return lines

    def _noise(self, found: list[Compared]) -> Text:
        declared = min(one.noise[0] for one in found)
        realised = sorted({f"{one.noise[1]:.1f}" for one in found})
        with_noise, exact = (self.mean_over_instances(name) for name in ("federated", "pooled"))
        cost = f" Federated is {1 - with_noise / exact:.0%} below pooled." if with_noise and exact else ""
        return Text(
            f"Noise: every pair in a sum is off by about ±{' to '.join(realised)} (one standard deviation), "
            f"and by ±{declared:.1f} at least, whoever drops out.{cost}"
        )

    def _costs(self) -> Table:
        table = Table(title="What it cost", box=box.SIMPLE_HEAD, title_justify="left")
        table.add_column("Instance")
        table.add_column("Sent", justify="right")
        table.add_column("Round")
        for found in self.compared:
            members = f"{len(found.survivors)} members summed" if found.survivors else "no sum"
            table.add_row(_short(found), f"{self.bytes_sent[found.host] / 1e6:.1f} MB", members)
        table.add_section()
        table.add_row("Time", "", ", ".join(f"{name} {spent:.1f} s" for name, spent in self.seconds.items()))
        return table


def _loss(compared: Sequence[Compared]) -> dict[str, float] | None:
    """Return the share of NDCG@10 that own releases cost, with its error over viewers; None without sums."""
    measured = [one for one in compared if len(one.exact_own)]
    if not measured:
        return None
    federated = np.concatenate([one.ndcg["federated"] for one in measured])
    share, error = relative_loss(federated, np.concatenate([one.exact_own for one in measured]))
    return {"share": share, "standard_error": error}


def _in_order(found: Compared) -> list[tuple[str, NDArray[np.float64]]]:
    return [(name, found.ndcg[name]) for name in MODELS if name in found.ndcg]


def _short(found: Compared) -> str:
    return found.host.removesuffix(".example")


def _same(holds: bool) -> str:  # noqa: FBT001
    return "identical" if holds else "DIFFER"


def _cell(values: NDArray[np.float64] | None) -> str:
    if values is None or not len(values):
        return "–"
    error = _error(values)
    return _short_number(values.mean()) + ("" if error is None else f"±{_short_number(error)}")


def _short_number(value: float) -> str:
    # Six models with their errors fit into 80 columns without the zeros.
    return f"{value:.3f}".replace("0.", ".")


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _error(values: NDArray[np.float64]) -> float | None:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
