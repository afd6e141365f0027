"""Quality on held-out likes: a mean with its error for the admin, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from daemon.config import Config
from daemon.maintenance import training
from daemon.rounds.contribution_job import windows_of
from daemon.rounds.own_likes import OwnLikes
from daemon.rounds.own_statistics import own_viewers
from daemon.sentences import english
from models.baselines import Popularity
from tests.daemon.rounds.small_instance import NOW, VIDEOS, configured, context_of, filled, sync

MODEL = Popularity(np.arange(1, VIDEOS + 1))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configured(tmp_path / "one")


@pytest.fixture
def engine(config: Config) -> Iterator[Engine]:
    with filled(config) as engine:
        yield engine


def likes(config: Config, engine: Engine) -> OwnLikes:
    context = context_of(config, engine)
    assert training.own_numbers(context).released is not None
    own = own_viewers(engine, config, now=NOW)
    return OwnLikes(context, own, windows_of(context, least_changed=0), viewers=400)


def test_the_mean_over_viewers_has_the_error_of_their_spread(config: Config, engine: Engine) -> None:
    sync(engine, NOW - 1, watched=VIDEOS)
    judge = likes(config, engine)
    each = judge._ndcg(MODEL)
    found = judge.measure(MODEL)
    assert found is not None
    assert each.size > 1
    assert found.mean == pytest.approx(sum(each) / each.size)
    variance = sum((one - found.mean) ** 2 for one in each) / (each.size - 1)
    assert found.error == pytest.approx((variance / each.size) ** 0.5)


def test_without_two_viewers_to_ask_there_is_no_number(config: Config, engine: Engine) -> None:
    # One like each: whoever has one held out has no history left to rank by.
    assert likes(config, engine).measure(MODEL) is None


def test_too_few_viewers_are_named_by_their_released_number(config: Config, engine: Engine) -> None:
    found = training.own_numbers(context_of(config, engine))
    assert found.judge is None
    assert found.unjudged is not None
    assert found.unjudged["code"] == "unmeasuredFew"
    assert found.unjudged["params"]["least"] == 300
    assert found.released is not None
    assert found.unjudged["params"]["count"] == round(found.released.viewers)
    assert "noise would decide" in english(found.unjudged)
