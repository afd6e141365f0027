"""What a part of a score is worth is what the list does without it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models import artefact
from models.related_order import LeftOut
from models.related_parts import Dissected, dissected
from tests.models.made import made_labels, made_model

VIDEOS = 60
SERVED = artefact.in_memory(made_model(VIDEOS), made_labels(VIDEOS))
LIMIT = 10


def lists() -> list[tuple[int, list[Dissected]]]:
    return [(video, dissected(SERVED, video, limit=LIMIT)) for video in range(VIDEOS)]


def test_the_list_is_the_one_that_viewers_see() -> None:
    for video, found in lists():
        assert [one.suggestion for one in found] == SERVED.related(video, limit=LIMIT)


def test_shares_are_of_one_score_and_largest_first() -> None:
    seen = set()
    for _, found in lists():
        for one in found:
            shares = [part.share for part in one.parts]
            assert shares == sorted(shares, reverse=True)
            assert all(0 < share <= 1 for share in shares)
            assert math.fsum(shares) <= 1 + 1e-9
            seen |= {part.kind for part in one.parts}
    assert {"together", "popularity", "tag"} <= seen


def test_a_part_names_what_both_videos_have() -> None:
    for video, found in lists():
        for one in found:
            tags = {part.name for part in one.parts if part.kind == "tag"}
            assert tags <= set(SERVED.tags(video)) & set(SERVED.tags(one.suggestion.video))
            assert all(part.name == "" for part in one.parts if part.kind in ("together", "popularity"))


def test_the_place_without_a_part_is_that_of_a_list_made_without_it() -> None:
    moved = 0
    for video, found in lists():
        without = [one.video for one in SERVED.related(video, limit=100, leave_out=LeftOut(together=True))]
        for place, one in enumerate(found, 1):
            for part in one.parts:
                if part.kind == "together":
                    other = one.suggestion.video
                    assert part.place == (without.index(other) + 1 if other in without else None)
                    moved += part.place != place
    assert moved > 0


def test_without_a_feature_a_video_is_no_more_alike_by_it() -> None:
    for video, found in lists():
        for one in found:
            parts = SERVED.content.parts(video, one.suggestion.video)
            for feature, part in parts:
                there = SERVED.content.part(video, np.array([one.suggestion.video]), feature)
                assert there[0] == pytest.approx(part)
            whole = SERVED.content.similarity(video, np.array([one.suggestion.video]))[0]
            assert math.fsum(part for _, part in parts) == pytest.approx(whole)


def test_there_is_no_such_video() -> None:
    with pytest.raises(IndexError):
        dissected(SERVED, VIDEOS, limit=1)
