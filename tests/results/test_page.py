"""The page of results: every number with its error and its command, and pictures that stay the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.results import page, plots
from tests.results.commands import SETS, SHIPPED, Answer, Question, answer, folders, questions


def summary(value: float | None, error: float | None = 0.01) -> dict[str, Any]:
    return {"ndcg10": value, "ndcg10_se": error}


RANKING: dict[str, Any] = {
    "users": 600,
    "videos": 9000,
    "next_videos": [
        {"model": "popularity", "summary": summary(0.15)},
        {"model": "served", "summary": summary(0.3)},
    ],
    "related": [
        {
            "model": "related lists",
            **dict.fromkeys(("anything", "less_seen"), 0.2),
            **dict.fromkeys(("anything_se", "less_seen_se"), 0.01),
            "following": None,
            "following_se": None,
            "coverage": 0.42,
        }
    ],
    "new_videos": [{"model": "tags and words", "summary": summary(0.11)}],
    "new_viewers": [],
    "new_instances": [{"model": "served, 10 viewers", "summary": summary(0.12)}],
}
NAMES = (*page._MODELS, *page._BASELINES)
VIEWERS: dict[str, Any] = {
    "rows": [
        {
            "viewers": size,
            "quality": {name: summary(0.1 * place) for place, name in enumerate(NAMES, 1)},
            "gains": {"sum with noise": {"popularity": [0.08, 0.02]}},
        }
        for size in (5, 1000)
    ],
    "useful": {
        "alone": {"popularity": 1000, "PeerTube's rule, most viewed first": None},
        "sum with noise": {"popularity": 5},
    },
}
GROUP = {"name": "<20", "instances": 7, "quality": {"local only": summary(0.2), "federated": summary(0.3)}}
INSTANCES: dict[str, Any] = {"classes": [GROUP], "everybody": {**GROUP, "name": "all"}}
PARTS = {name: {**summary(0.1), "rmse": 0.9, "rmse_se": 0.02} for name in ("all", "least rated", "cold")}
FAMILY: dict[str, Any] = {
    "rows": [
        {"model": "biases", "quality": PARTS},
        {
            "model": "implicit ALS",
            "quality": {**PARTS, "all": {**summary(0.2), "rmse": None, "rmse_se": None}},
        },
    ],
    "balse": [{"model": "LASSO on tags", "part": "cold", "difference": -0.012, "error": 0.003}],
}
REPORTS = {"family": FAMILY, "ranking": RANKING, "viewers": VIEWERS, "instances": INSTANCES}


def made() -> list[Answer]:
    return [Answer(question, REPORTS[question.kind], 61.0, 59.0, 812.0) for question in questions([SHIPPED])]


def test_every_number_has_its_error_and_every_table_its_command() -> None:
    told = page.written(made(), date="1 December 2026", cores=2, minutes=4)
    for part in re.split(r"^##+ ", told, flags=re.MULTILINE)[1:]:
        if "|---|" in part and not part.startswith("What it took"):
            assert "`shoal evaluate --data ml-latest-small" in part, part
    for number in re.findall(r"\| (0\.\d+[^|]*)", told):
        assert re.fullmatch(r"0\.\d{3} ± 0\.\d{3} ", number), number
    assert "| ml-latest-small | related lists | not measured | 0.200 ± 0.010 |" in told
    assert "from 1,000 viewers on" in told
    assert "with no number of viewers that was measured" in told
    assert "LASSO on tags on cold -0.0120 ± 0.0030" in told
    # 0.08 ± 0.02 above popularity's 0.4.
    assert "20% ± 5% above popularity's" in told
    assert "| `shoal evaluate --data ml-latest-small --instances 30 --skew 2` | 61 | 59 | 812 |" in told


def test_pictures_are_the_same_for_the_same_numbers() -> None:
    def drawn() -> tuple[str, str]:
        return plots.viewers(VIEWERS), plots.ranking({SHIPPED: RANKING})

    assert drawn() == drawn()
    for one in drawn():
        assert one.startswith("<?xml")
        assert "NDCG@10" in one


def test_sets_that_are_not_there_are_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "anime-5k").mkdir()
    shipped = tmp_path / "shipped"
    assert folders(None, shipped) == {SHIPPED: shipped}
    assert list(folders(tmp_path, shipped)) == [SHIPPED, "anime-5k"]
    asked = list(questions([SHIPPED, "anime-5k"]))
    assert {one.data for one in asked} == {SHIPPED, "anime-5k"}
    assert len({one.name for one in asked}) == len(asked)
    assert SHIPPED in SETS


def test_an_answer_that_was_kept_is_not_asked_for_again_and_a_failure_is_told(tmp_path: Path) -> None:
    kept = {"report": {"users": 1}, "seconds": 1.0, "processor": 2.0, "memory": 3.0}
    question = Question("ranking", "none")
    (tmp_path / f"{question.name}.json").write_text(json.dumps(kept))
    assert answer(question, tmp_path / "nowhere", tmp_path).report == {"users": 1}
    with pytest.raises(RuntimeError, match="shoal evaluate --data other"):
        answer(Question("ranking", "other"), tmp_path / "nowhere", tmp_path)
