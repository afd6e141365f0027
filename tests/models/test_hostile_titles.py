"""Videos that copy titles in order to be seen beside popular ones."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from models import artefact
from models.features import Features
from models.labels import Labels
from models.related_order import DISCOVERY, Discovery
from models.serving import ServedModel
from models.trained import Recipe, TrainingData
from models.training import train
from models.words import words
from tests.models.worlds import exactly, features, population

HONEST, ITEMS, COPIES, TOPICS = 300, 120, 50, 6
COPIED, UNWATCHED = 0, 250
"""The most watched video, and one that is no item."""


def titles() -> list[str]:
    """Six topics, of which each title has four of twelve words, and a number of its own."""
    rng = np.random.default_rng(1)
    return [
        " ".join(f"topic{video % TOPICS}word{n}" for n in rng.choice(12, 4, replace=False)) + f" part{video}"
        for video in range(HONEST)
    ]


@cache
def served(more: str = "", copied: int = COPIED) -> ServedModel:
    """A trained model of a catalogue with copies of one title, and `more`, on one new channel."""
    channel = [video % 60 for video in range(HONEST)] + [60] * COPIES
    all_titles = titles() + [f"{titles()[copied].upper()}!{more}" for _ in range(COPIES)]
    known: Features = features(
        [[] for _ in channel],
        titles=all_titles,
        channel=channel,
        published=[float(video) for video in range(HONEST + COPIES)],
        views=[1000 - video for video in range(HONEST)] + [0] * COPIES,
    )
    users = population(200, HONEST + COPIES, 3)
    others = exactly(users, np.arange(ITEMS))
    model = train(TrainingData(known, None, others), Recipe(rank=32))
    names = [str(video) for video in range(HONEST + COPIES)]
    labels = Labels.pack(
        uuid=names, url=names, title=all_titles, channels=[f"channel {number}" for number in range(61)]
    )
    return artefact.in_memory(model, labels)


def seeds(copied: int = COPIED) -> list[int]:
    """The copied video, and what has two or more words of its title in common with it."""
    wanted = set(words(titles()[copied]))
    return [video for video in range(HONEST) if len(wanted & set(words(titles()[video]))) >= 2]


@pytest.mark.parametrize("copied", [COPIED, UNWATCHED])
@pytest.mark.parametrize("discovery", DISCOVERY)
def test_copies_of_a_title_are_not_seen_beside_it_or_beside_similar_ones(
    discovery: Discovery, copied: int
) -> None:
    model, beside = served(copied=copied), seeds(copied)
    assert copied in beside
    assert min(beside) < ITEMS < max(beside)
    for seed in beside:
        found = [one.video for one in model.related(seed, discovery=discovery)][:5]
        assert len(found) == 5
        assert max(found) < HONEST
        own = [one.video for one in model.recommend([seed], discovery=discovery)][:5]
        assert max(own) < HONEST


def test_the_copied_video_keeps_its_words() -> None:
    """Nobody can take them from it by copying them later."""
    reasons = [one.reason for one in served().related(COPIED, limit=60)]
    assert any(reason.words for reason in reasons)


def test_of_nearly_equal_titles_at_most_two_are_among_the_first_five_beside_what_is_watched() -> None:
    model = served(" hd")
    for seed in seeds():
        if seed < ITEMS:
            for found in (model.related(seed), model.mixed(seed, [seed + 1])):
                assert sum(one.video >= HONEST for one in found[:5]) <= 2


def test_of_nearly_equal_titles_at_most_two_are_among_the_first_five_beside_what_nobody_watched() -> None:
    model = served(" hd", UNWATCHED)
    for seed in seeds(UNWATCHED):
        if seed >= ITEMS:
            assert sum(one.video >= HONEST for one in model.related(seed)[:5]) <= 2
