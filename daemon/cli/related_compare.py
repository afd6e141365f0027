"""Related lists side by side, for a person to judge: in the terminal, and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import Any

from daemon.cli.command import printable
from daemon.cli.terminal import line, out, table
from daemon.serve.api.suggestions import sentence
from models.related_order import DISCOVERY, Discovery
from models.serving import ServedModel

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Related to {title}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.4 system-ui, sans-serif }}
body {{ margin: 1.5rem }}
main {{ display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)) }}
h2 {{ font-size: 1rem }}
li {{ margin-bottom: .6rem; overflow-wrap: anywhere }}
small {{ display: block; opacity: .75 }}
</style>
<h1>Related to {title}</h1>
<main>
{lists}
</main>
</html>
"""


@dataclass(frozen=True)
class Compared:
    """Lists beside one video: `lists` are names with (title, reason) pairs, best first."""

    title: str
    lists: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "title": self.title,
            "lists": [
                {"name": name, "videos": [{"title": title, "why": why} for title, why in videos]}
                for name, videos in self.lists
            ],
        }


def side_by_side(
    model: ServedModel,
    seed: int,
    others: Sequence[tuple[str, ServedModel]],
    *,
    limit: int,
    nsfw: bool,
) -> Compared:
    """Make the lists of a model, one for each way to discover, and those of other models as the admin set it.

    `seed` is a position in the model's catalogue; `others` are models by name.
    """
    lists: list[tuple[str, tuple[tuple[str, str], ...]]] = [
        (one, _listed(model, seed, limit, one, nsfw=nsfw)) for one in DISCOVERY
    ]
    for name, other in others:
        there = other.index(model.labels.url[seed])
        lists.append((name, () if there is None else _listed(other, there, limit, None, nsfw=nsfw)))
    return Compared(_title(model, seed), tuple(lists))


def show(compared: Compared, page: Path | None) -> None:
    """Print the lists, three at a time."""
    line(f"Related to {compared.title}")
    for first in range(0, len(compared.lists), len(DISCOVERY)):
        lists = compared.lists[first : first + len(DISCOVERY)]
        out.print()
        rows = [
            (str(place), *(f"{one[0]} ({one[1]})" if one else "" for one in row))
            for place, row in enumerate(zip_longest(*(videos for _, videos in lists)), 1)
        ]
        table(["", *(name.upper() if name in DISCOVERY else name for name, _ in lists)], rows, right=("",))
    if page is not None:
        out.print()
        line(f"Written to {page}")


def as_page(compared: Compared) -> str:
    """Return the lists as HTML; titles and reasons are text, whatever they hold."""
    lists = "\n".join(
        f"<section><h2>{escape(name)}</h2><ol>"
        + "".join(f"<li>{escape(title)}<small>{escape(why)}</small></li>" for title, why in videos)
        + "</ol></section>"
        for name, videos in compared.lists
    )
    return _PAGE.format(title=escape(compared.title), lists=lists)


def _listed(
    model: ServedModel, seed: int, limit: int, discovery: Discovery | None, *, nsfw: bool
) -> tuple[tuple[str, str], ...]:
    found = model.related(seed, limit=limit, nsfw=nsfw, discovery=discovery)
    return tuple((_title(model, item.video), sentence(item.reason)) for item in found)


def _title(model: ServedModel, position: int) -> str:
    return printable(model.labels.title[position] or model.labels.url[position])
