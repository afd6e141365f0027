"""Made-up videos and viewers, for where the demo's films are not: their terms keep them out of packages.

Viewers have tastes as people do: a few interests each, most of them across topics. Which subjects interest
the same people cannot be told from tags and titles, only from what many liked, so a small instance gains by
learning together here as it does on real data. How much it gains says something of this set alone.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

SHIPPED: Final = Path(__file__).parent / "demo" / "data" / "ml-latest-small"
NAME: Final = "made-up"
NOTE: Final = (
    "These videos and viewers are made up, the same in every run: packages do not hold the films of the "
    "demo, MovieLens. Run it from a checkout of the repository for those, or with --data DIR for a set of "
    "yours."
)

VIEWERS: Final = 604
"""As many as the films have, so that the instances of the demo are as large."""
_SEED: Final = 1
_INTERESTS: Final = 40
_SUBJECTS_OF_ONE: Final = 8
_OF_A_VIEWER: Final = 3
_LIKES: Final = (4.1, 0.6)
"""Mean and deviation of the logarithm of a viewer's likes."""
_FEWEST: Final = 8
_BY_CHANCE: Final = 0.15
"""Share of the likes that follow from no interest, but from what is popular."""
_FAVOURITE: Final = 1.0
"""How much more popular one video is than another: exponent of a power law."""
_TASTE: Final = 1.2
"""How much viewers of one subject prefer different videos of it: deviation of a logarithm."""
_FIRST_DAY: Final = 1_672_531_200
_DAYS: Final = 1_000

SUBJECTS: Final = {
    "astronomy": "the Moon, Saturn's rings, meteor showers, dark skies, "
    "a Dobsonian, star charts, the Sun, comets",
    "birds": "swifts, owls at night, a nest box, gulls, bird song, winter feeding, cranes, the kingfisher",
    "board games": "chess openings, go, wooden puzzles, cooperative games, "
    "card games, endgames, solo play, rules",
    "cooking": "sourdough, lentil soup, dumplings, pickles, tofu, pancakes, curry paste, pasta by hand",
    "cycling": "a bottom bracket, cargo bikes, night rides, spoked wheels, "
    "mountain passes, brakes, touring, tubes",
    "drawing": "portraits, ink, perspective, watercolour, comics, hands, urban sketching, linocut",
    "electronics": "soldering, a shortwave radio, sensors, old synthesizers, "
    "batteries, repair, LEDs, oscilloscopes",
    "gardening": "tomatoes, compost, fruit trees, a pond, seeds, herbs on a balcony, mulch, hedges",
    "hiking": "a hut tour, map and compass, coast paths, light packs, "
    "winter hikes, wild camping, forests, boots",
    "history": "medieval towns, the printing press, canals, old maps, "
    "lighthouses, railways, strikes, archives",
    "knitting": "socks, cables, natural dyes, a first scarf, lace, spinning wool, mending, mittens",
    "music": "fingerpicking, a home studio, sea shanties, the accordion, "
    "drum patterns, choirs, tuning, jazz chords",
    "photography": "film cameras, the darkroom, macro, street scenes, "
    "long exposure, pinholes, lenses, contact sheets",
    "sailing": "knots, trimming a sail, tides, a small cabin, "
    "navigation by stars, anchoring, old boats, varnish",
    "software": "self-hosting, free fonts, shell scripts, version control, "
    "maps, backups, accessibility, terminals",
    "woodworking": "dovetails, a workbench, spoons, sharpening, boxes, chairs, hand planes, oil finishes",
}
_FORMS: Final = (
    ("{} for beginners", "tutorial"),
    ("{}: five mistakes", "tutorial"),
    ("a weekend with {}", "diary"),
    ("what I learnt about {}", "diary"),
    ("{}, step by step", "tutorial"),
    ("an hour of {}", "live"),
    ("{}: questions and answers", "live"),
    ("{} on a small budget", "tutorial"),
    ("the story of {}", "documentary"),
    ("{}, and who taught me", "documentary"),
)
_CHANNELS: Final = ("with Ada", "by Jules", "workshop", "club", "notes", "with Mira")


def shipped_or_made_up(folder: Path) -> Path:
    """Return the folder of the films where they are, else that of a made-up set, written below `folder`."""
    return SHIPPED if SHIPPED.is_dir() else write(folder)


def write(folder: Path, viewers: int = VIEWERS) -> Path:
    """Write the set into a new folder below this one, and return it. The same set each time."""
    target = folder / NAME
    target.mkdir(parents=True)
    rng = np.random.default_rng(_SEED)
    subjects = [(topic, name.strip()) for topic, names in SUBJECTS.items() for name in names.split(",")]
    items, tags = _catalogue(subjects, rng)
    _write(target / "items.csv.gz", ("item", "title", "channel", "published"), items)
    _write(target / "item_tags.csv.gz", ("item", "tag"), tags)
    _write(
        target / "interactions.csv.gz", ("user", "item", "value", "timestamp"), _likes(subjects, viewers, rng)
    )
    return target


def _catalogue(
    subjects: Sequence[tuple[str, str]], rng: np.random.Generator
) -> tuple[list[tuple[str, ...]], list[tuple[str, str]]]:
    items: list[tuple[str, ...]] = []
    tags: list[tuple[str, str]] = []
    for topic, subject in subjects:
        for form, kind in _FORMS:
            item = f"v{len(items)}"
            title = form.format(subject)
            published = np.datetime64(_FIRST_DAY, "s") + np.timedelta64(int(rng.integers(_DAYS)), "D")
            channel = f"{topic} {_CHANNELS[rng.integers(len(_CHANNELS))]}"
            items.append((item, title[0].upper() + title[1:], channel.capitalize(), str(published)[:10]))
            tags += [(item, tag) for tag in (topic, subject, kind)]
    return items, tags


def _likes(
    subjects: Sequence[tuple[str, str]], viewers: int, rng: np.random.Generator
) -> Iterable[tuple[str, str, int, int]]:
    """Return who liked what and when, in no order."""
    videos = len(subjects) * len(_FORMS)
    popular = rng.permutation(np.arange(1, videos + 1)) ** -_FAVOURITE
    popular = popular / popular.sum()
    about = np.repeat(np.arange(len(subjects)), len(_FORMS))
    # An interest is some subjects from anywhere, and of each the videos that such people prefer.
    interests = np.zeros((_INTERESTS, videos))
    for interest in interests:
        chosen = rng.choice(len(subjects), _SUBJECTS_OF_ONE, replace=False)
        weights = rng.dirichlet(np.full(_SUBJECTS_OF_ONE, 2.0))
        for subject, weight in zip(chosen, weights, strict=True):
            ours = about == subject
            attraction = popular[ours] ** 0.5 * rng.lognormal(0.0, _TASTE, ours.sum())
            interest[ours] = weight * attraction / attraction.sum()
    common = rng.dirichlet(np.ones(_INTERESTS))
    for viewer in range(viewers):
        mine = rng.choice(_INTERESTS, _OF_A_VIEWER, replace=False, p=common)
        liked = rng.dirichlet(np.ones(_OF_A_VIEWER)) @ interests[mine]
        liked = (1 - _BY_CHANCE) * liked + _BY_CHANCE * popular
        number = min(max(int(rng.lognormal(*_LIKES)), _FEWEST), videos // 10)
        for video in rng.choice(videos, number, replace=False, p=liked).tolist():
            when = _FIRST_DAY + 86_400 * _DAYS + int(rng.integers(86_400 * 365))
            yield f"viewer-{viewer}", f"v{video}", 1, when


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
