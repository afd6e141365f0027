"""What others may see that depends on our own viewers: a full draw of noise, once a window, and on record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine

from daemon.config import Config
from daemon.rounds import own_release
from daemon.rounds.contribution_job import windows_of
from daemon.rounds.own_release import OwnRelease
from daemon.rounds.viewer_digests import viewer_tag
from daemon.rounds.withdrawal import withdraw_viewers
from daemon.store import releases, withdrawn
from daemon.store.releases import OWN
from daemon.store.viewers import forget_viewers
from federation.keys import derive
from federation.noise import skellam
from models.head import LEAST_VIEWS, own_head
from models.weights import UNIT
from policies.privacy import PROTECTION, Level
from policies.window import BETWEEN_REDRAWS
from tests.daemon.rounds.small_instance import (
    NOW,
    SECRET,
    URLS,
    VIDEOS,
    VIEWERS,
    configured,
    context_of,
    filled,
    sync,
)
from tests.simulator.cohort import Clock

LEVEL = PROTECTION[Level.DEFAULT]
VARIANCES = (LEVEL.counts_noise, LEVEL.pairs_noise, LEVEL.counts_noise)
DAY = 86400.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configured(tmp_path / "one")


@pytest.fixture
def engine(config: Config) -> Iterator[Engine]:
    with filled(config) as engine:
        yield engine


def released(config: Config, engine: Engine, *, now: float = NOW) -> OwnRelease | None:
    return own_release.current(context_of(config, engine, Clock(now)))


def drawn(config: Config, engine: Engine, *, now: float = NOW) -> OwnRelease:
    found = released(config, engine, now=now)
    assert found is not None
    return found


def noise(config: Config, engine: Engine, segment: int, size: int) -> NDArray[np.int64]:
    kept = windows_of(context_of(config, engine)).read(OWN)
    assert kept is not None
    key = derive(kept.seed, b"storage", f"noise {segment}")
    return skellam(Fraction(VARIANCES[segment] * UNIT**2), size, key)


def test_counts_pairs_and_viewers_carry_a_full_draw_of_noise_and_are_on_record(
    config: Config, engine: Engine
) -> None:
    found = drawn(config, engine)
    assert found.question.vocabulary == URLS
    assert found.question.head.tolist() == list(range(VIDEOS))
    counts = found.counts - noise(config, engine, 0, VIDEOS)
    np.testing.assert_array_equal(counts, np.full(VIDEOS, UNIT * VIEWERS // VIDEOS))
    # Everybody likes one video, so no pair has anybody behind it.
    np.testing.assert_array_equal(found.triangle, noise(config, engine, 1, found.triangle.size))
    number = VIEWERS + noise(config, engine, 2, 1)[0] / UNIT
    assert found.viewers == pytest.approx(max(0.0, number))
    (record,) = releases.since(engine, 0.0)
    assert (record.window, record.aggregator, record.round_id) == (found.window, OWN, "")
    assert (record.counts_noise, record.pairs_noise, record.share) == (*VARIANCES[:2], 1.0)
    assert (record.head, record.viewers) == (VIDEOS, True)
    raw = windows_of(context_of(config, engine)).frozen(OWN)
    assert record.vector_sha256 == hashlib.sha256(raw or b"").hexdigest()


def test_the_noise_of_many_releases_has_the_variance_of_the_level(config: Config, engine: Engine) -> None:
    counts, pairs, viewers, now = [], [], [], NOW
    for _ in range(60):
        found = drawn(config, engine, now=now)
        counts.append(found.counts / UNIT - VIEWERS / VIDEOS)
        pairs.append(found.triangle / UNIT)
        viewers.append(found.viewers)
        now += config.privacy.window_max.total_seconds()
    assert len({one.tobytes() for one in counts}) == len(counts)
    for draws, variance in ((np.array(counts), LEVEL.counts_noise), (np.array(pairs), LEVEL.pairs_noise)):
        assert abs(draws.mean()) < 0.6
        assert draws.var() == pytest.approx(variance, rel=0.25)
    assert np.mean(viewers) == pytest.approx(VIEWERS, abs=1.5)
    assert np.var(viewers) == pytest.approx(LEVEL.counts_noise, rel=0.6)


def test_it_follows_the_clock_alone_and_costs_once_a_window(config: Config, engine: Engine) -> None:
    first, again = drawn(config, engine), drawn(config, engine, now=NOW + 3600)
    np.testing.assert_array_equal(first.counts, again.counts)
    np.testing.assert_array_equal(first.triangle, again.triangle)
    assert first.viewers == again.viewers
    assert len(releases.since(engine, 0.0)) == 1
    # Nobody changed: an aggregator would be given the same again.
    later = drawn(config, engine, now=NOW + DAY)
    assert not np.array_equal(first.counts, later.counts)
    assert len(releases.since(engine, 0.0)) == 2


def test_what_viewers_do_within_a_window_changes_nothing_of_it(config: Config, engine: Engine) -> None:
    first = drawn(config, engine)
    sync(engine, NOW + 60, watched=4)
    again = drawn(config, engine, now=NOW + 120)
    np.testing.assert_array_equal(first.counts, again.counts)
    np.testing.assert_array_equal(first.triangle, again.triangle)


def test_over_another_vocabulary_it_is_what_was_released(config: Config, engine: Engine) -> None:
    found = drawn(config, engine)
    over = found.counts_over(("https://a.example/new", *URLS[2:], "https://z.example/new"))
    assert over.tolist() == [0, *(found.counts[2:] / UNIT).tolist(), 0]
    assert found.released(URLS).statistic.head.tolist() == list(range(VIDEOS))


def test_a_withdrawal_voids_it_until_a_week_after_it_was_drawn(config: Config, engine: Engine) -> None:
    first = drawn(config, engine)
    gone = SECRET.of("viewer 3")
    forget_viewers(engine, [gone])
    # No peer has anything.
    assert withdraw_viewers(config, engine, lambda: NOW, removed=1) == 0
    assert withdrawn.last(config.windows_dir, exact=False) > 0
    assert released(config, engine, now=NOW + 60) is None
    kept = windows_of(context_of(config, engine)).read(OWN)
    assert kept is not None
    assert viewer_tag(kept.seed, gone) not in kept.viewers
    assert not list(config.windows_dir.rglob("given"))
    # Then it is drawn without them, and costs once more.
    again = drawn(config, engine, now=NOW + BETWEEN_REDRAWS)
    assert again.window != first.window
    counts = again.counts - noise(config, engine, 0, VIDEOS)
    assert int(counts.sum()) == UNIT * (VIEWERS - 1)
    assert len(releases.since(engine, 0.0)) == 2


@pytest.mark.parametrize("mode", ["off", "simulate", "consume"])
def test_an_instance_that_learns_alone_releases_the_same(tmp_path: Path, mode: str) -> None:
    config = configured(tmp_path / mode, mode=mode)
    with filled(config) as engine:
        drawn(config, engine)
        assert len(releases.since(engine, 0.0)) == 1


def test_after_a_loss_it_counts_as_released_for_one_window(config: Config, engine: Engine) -> None:
    drawn(config, engine)
    for path in sorted(config.windows_dir.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert released(config, engine, now=NOW + 60) is None
    # Who left meanwhile is not known, so nothing that was learnt before may serve.
    assert withdrawn.last(config.windows_dir, exact=False) == NOW + 60
    assert released(config, engine, now=NOW + config.privacy.window_max.total_seconds() + 120) is not None


def test_while_no_video_counts_it_is_noise_alone(config: Config, engine: Engine) -> None:
    sync(engine, NOW - 1, views=1)
    found = drawn(config, engine)
    np.testing.assert_array_equal(found.counts, noise(config, engine, 0, VIDEOS))


def test_the_next_head_follows_what_was_released(config: Config, engine: Engine) -> None:
    """Membership in a head is public: exact counts must not decide it."""
    settings = config.model.model_copy(update={"max_head": 3})
    config = config.model_copy(update={"model": settings})
    first = drawn(config, engine)
    views = LEAST_VIEWS + np.arange(VIDEOS)
    assert first.question.head.tolist() == np.sort(np.argsort(-views)[:3]).tolist()
    later = drawn(config, engine, now=NOW + DAY)
    expected = own_head(
        views,
        np.zeros_like(views),
        first.counts[None, :] / UNIT,
        variance=LEVEL.counts_noise,
        min_users=5,
        max_head=3,
    )
    assert later.question.head.tolist() == expected.tolist()
