"""Video vectors: what they approximate, what a file refuses, and a ranking that computes as specified."""

from __future__ import annotations

import hashlib
import json
import struct
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import vectors
from models.closed_form import solve
from models.denoise import denoise
from models.errors import ModelFileError, TooLittleDataError
from models.interactions import Interactions
from models.noise import SumNoise
from models.problem import RIDGE_LARGE, RIDGE_SMALL
from models.released import Released
from models.statistics import Statistic
from models.vector_file import (
    MAX_BYTES,
    MAX_HISTORY,
    MAX_VIDEOS,
    NAME,
    RANK,
    VideoVectors,
    load,
    rank,
    save,
    scores,
)
from tests.models import worlds
from tests.models.made_vectors import CASES, made_vectors
from tests.models.worlds import summed, with_noise

CREATED = datetime(2026, 9, 1, tzinfo=UTC)


def two_tastes(users: int = 400, videos: int = 120, seed: int = 0) -> csr_array:
    """Half of the users watch the first half of the videos, the others the second."""
    rng = np.random.default_rng(seed)
    taste = np.arange(users) % 2
    popular = 1.0 / (np.arange(videos // 2) + 5.0)
    rows = [
        rng.choice(videos // 2, 8, replace=False, p=popular / popular.sum()) + t * videos // 2 for t in taste
    ]
    shape = (users, videos)
    matrix = csr_array(
        (np.ones(users * 8, np.uint8), (np.repeat(np.arange(users), 8), np.concatenate(rows))), shape
    )
    matrix.sum_duplicates()
    return matrix


def noisy_sum(matrix: csr_array, variance: float = 8.0) -> Released:
    """What others may have summed: everybody, over the videos of at least five viewers."""
    users = Interactions(matrix)
    head = np.flatnonzero(np.bincount(matrix.indices, minlength=users.videos) >= 5)
    noise = SumNoise(variance, variance)
    return Released(with_noise(summed(users, head), noise), noise)


def uuids(count: int, seed: int = 3) -> list[str]:
    rng = np.random.default_rng(seed)
    return [str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(count)]


def test_one_matrix_stands_for_the_closed_form() -> None:
    gram = worlds.gram(Interactions(two_tastes(videos=60)))
    solved = solve(gram, 3.0 * float(np.diagonal(gram).mean()))
    B = solved.weights().numpy()
    W, before, after = vectors.symmetric_factor(solved, rank=60)
    near = (before[:, None] * (W @ W.T) * after).numpy()
    np.fill_diagonal(near, 0.0)
    # With the diagonal free and rank enough, what is left out is what negative eigenvalues would add.
    assert np.linalg.norm(near - B) < 0.05 * np.linalg.norm(B)


def test_rounding_to_eight_bits_moves_scores_by_less_than_a_hundredth() -> None:
    rng = np.random.default_rng(5)
    W = torch.from_numpy(rng.normal(size=(300, RANK)))
    ones = torch.ones(300, dtype=torch.float64)
    names = sorted(uuids(300))
    found = vectors.quantised(names, W, ones, ones * 2, 7)
    history = rng.choice(300, 20, replace=False)
    exact = (2 * W[history].sum(0) @ W.T).numpy()
    assert np.abs(scores(found, history.tolist()) - exact).max() < 0.01 * np.abs(exact).max()
    assert found.names() == names


def test_build_learns_two_tastes_through_the_noise() -> None:
    names = uuids(120)
    others = noisy_sum(two_tastes())
    found = vectors.build(others, names, created=CREATED)
    place = {name: position for position, name in enumerate(names)}
    positions = np.array([place[name] for name in found.names()])
    assert set(positions) == set(others.statistic.head)
    assert found.created == CREATED.timestamp()
    for history in ([0, 1, 2], [60, 61, 62]):
        rows = [int(np.flatnonzero(positions == video)[0]) for video in history]
        listed = [positions[item.row] for item in rank(found, rows, 10)]
        assert len(listed) == 10
        assert all((video < 60) == (history[0] < 60) for video in listed)
        assert not set(listed) & set(history)


def test_the_same_sum_gives_the_same_bytes() -> None:
    others = noisy_sum(two_tastes())
    first, second = (vectors.build(others, uuids(120), created=CREATED) for _ in range(2))
    assert first.to_bytes() == second.to_bytes()
    gram = denoise(others.statistic, others.noise)
    assert vectors.build(others, uuids(120), created=CREATED, gram=gram).to_bytes() == first.to_bytes()


def test_the_smaller_ridge_takes_a_thousand_viewers() -> None:
    others = noisy_sum(two_tastes())

    def built(viewers: float, ridge: float | None = None) -> bytes:
        return vectors.build(
            replace(others, viewers=viewers), uuids(120), created=CREATED, ridge=ridge
        ).to_bytes()

    assert built(999.0) == built(0.0) == built(0.0, RIDGE_SMALL)
    assert built(1000.0) == built(0.0, RIDGE_LARGE) != built(0.0)


def test_a_sum_without_noise_gives_none() -> None:
    for noise in (SumNoise(0, 8), SumNoise(8, 0), SumNoise()):
        with pytest.raises(ValueError, match="noisy"):
            vectors.build(replace(noisy_sum(two_tastes()), noise=noise), uuids(120), created=CREATED)


def test_an_empty_head_gives_none() -> None:
    none = np.zeros(0, np.int64)
    below = Statistic(np.arange(3), np.array([-40, 0, -1]), np.array([-20, 1, 0]))
    for found in (Statistic(none, none, none), below):
        with pytest.raises(TooLittleDataError):
            vectors.build(Released(found, SumNoise(8, 8)), uuids(80), created=CREATED)


def test_videos_without_a_usable_uuid_are_left_out_and_the_most_watched_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = uuids(120)
    names[0], names[1], names[2] = "", "no uuid", names[3]
    others = noisy_sum(two_tastes())
    head = others.statistic.head
    found = vectors.build(others, names, created=CREATED)
    assert len(found) == head.size - 3
    monkeypatch.setattr(vectors, "MAX_VIDEOS", 30)
    fewer = vectors.build(others, uuids(120), created=CREATED)
    most = np.argsort(-others.statistic.counts, kind="stable")[:30]
    assert {uuids(120).index(name) for name in fewer.names()} == set(head[most].tolist())


def test_five_thousand_videos_fit_into_half_a_megabyte() -> None:
    assert len(made_vectors(MAX_VIDEOS).to_bytes()) <= MAX_BYTES
    with pytest.raises(ValueError, match="at most"):
        made_vectors(MAX_VIDEOS + 1)


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    for count in (0, 1, 50):
        before = made_vectors(count)
        save(before, tmp_path)
        after = load(tmp_path)
        assert after is not None
        assert after.to_bytes() == before.to_bytes() == (tmp_path / NAME).read_bytes()
        assert [path.name for path in tmp_path.iterdir()] == [NAME]


def forged(content: bytes, offset: int, patch: bytes) -> bytes:
    """The content with other bytes at an offset and a digest that fits them."""
    changed = bytearray(content)
    changed[offset : offset + len(patch)] = patch
    changed[16:48] = hashlib.sha256(changed[48:]).digest()
    return bytes(changed)


def broken_files() -> dict[str, bytes]:
    good = made_vectors(20).to_bytes()
    weights, matrix = 48 + 16 * 20, 48 + 24 * 20
    return {
        "empty": b"",
        "cut": good[:-1],
        "longer": good + b"\0",
        "header only": good[:48],
        "other magic": b"SHLX" + good[4:],
        "other version": forged(good, 4, b"\2\0"),
        "other rank": forged(good, 6, b"\x20\0"),
        "other count": forged(good, 8, struct.pack("<I", 21)),
        "huge count": forged(good, 8, struct.pack("<I", 2**32 - 1)),
        "changed byte": good[:-1] + bytes([good[-1] ^ 1]),
        "weight of zero": forged(good, weights, struct.pack("<f", 0.0)),
        "weight below zero": forged(good, weights + 80, struct.pack("<f", -1.0)),
        "weight not a number": forged(good, weights, struct.pack("<f", float("nan"))),
        "endless weight": forged(good, weights + 84, struct.pack("<f", float("inf"))),
        "vector of -128": forged(good, matrix + 5, b"\x80"),
        "uuids unsorted": forged(good, 48, good[64:80] + good[48:64]),
        "uuid twice": forged(good, 64, good[48:64]),
    }


@pytest.mark.parametrize("name", broken_files())
def test_a_broken_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(broken_files()[name])
    with pytest.raises(ModelFileError, match=NAME):
        load(tmp_path)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.data())
def test_ranking_is_what_the_formula_says(count: int, data: st.DataObject) -> None:
    found = made_vectors(
        count, seed=data.draw(st.integers(0, 5)), levels=data.draw(st.sampled_from([1, 127]))
    )
    history = data.draw(st.lists(st.integers(0, count - 1), max_size=12)) if count else []
    expected = slow_scores(found, list(dict.fromkeys(history)))
    order = sorted(
        (row for row in range(count) if row not in history and expected[row] > 0),
        key=lambda row: (-expected[row], row),
    )
    listed = rank(found, history, 10)
    assert [(item.row, item.score) for item in listed] == [(row, expected[row]) for row in order[:10]]
    for item in listed:
        parts = [part(found, row, item.row) for row in dict.fromkeys(history)]
        assert part(found, item.via, item.row) == max(parts)


def slow_scores(found: VideoVectors, history: list[int]) -> list[float]:
    """The formula of the file's documentation in plain Python floats."""
    profile = [0.0] * RANK
    for row in history:
        for k in range(RANK):
            profile[k] += float(found.history_weights[row]) * int(found.vectors[row, k])
    result = []
    for row in range(len(found)):
        total = 0.0
        for k in range(RANK):
            total += profile[k] * int(found.vectors[row, k])
        result.append(total * float(found.ranked_weights[row]))
    return result


def part(found: VideoVectors, source: int, row: int) -> float:
    product = sum(int(a) * int(b) for a, b in zip(found.vectors[source], found.vectors[row], strict=True))
    return float(found.history_weights[source]) * product


def test_only_the_first_rows_of_a_long_history_count() -> None:
    found = made_vectors(400)
    long = list(range(300))
    assert rank(found, long, 10) == rank(found, long[:MAX_HISTORY], 10)


def test_leaving_videos_out_does_not_change_the_scores_of_others() -> None:
    found = made_vectors(50)
    keep: NDArray[np.bool_] = np.arange(50) % 3 > 0
    kept = found.only(keep)
    assert kept.names() == [name for name, stays in zip(found.names(), keep, strict=True) if stays]
    rows = np.flatnonzero(keep)
    assert scores(kept, [0, 5]).tolist() == scores(found, rows[[0, 5]].tolist())[rows].tolist()


def test_rows_are_found_by_uuid() -> None:
    found = made_vectors(33)
    assert [found.index(name) for name in found.names()] == list(range(33))
    assert found.index(found.names()[7].upper()) == 7
    for key in ("", "nothing", str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))):
        assert found.index(key) is None
    assert replace(found, created=1).index(found.names()[0]) == 0


def test_browsers_and_this_module_are_held_to_the_same_lists() -> None:
    """The cases are made by `python -m tests.models.made_vectors`, and the plugin's tests read them, too."""
    shared = json.loads(CASES.read_text("utf-8"))
    assert len(shared) >= 5
    for case in shared:
        found = made_vectors(case["count"], seed=case["seed"], levels=case["levels"])
        assert hashlib.sha256(found.to_bytes()).hexdigest() == case["sha256"]
        listed = rank(found, case["history"], 10)
        assert [[item.row, item.score, item.via] for item in listed] == case["listed"]
