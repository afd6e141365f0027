"""Exact numbers of own viewers: only on a closed instance, and out of service as soon as it is open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.errors import JobError
from daemon.maintenance import consent, training
from daemon.process.job_context import JobContext
from daemon.revert.out_of_service import choose
from daemon.rounds import own_release
from daemon.rounds.own_statistics import own_viewers
from daemon.sentences import english
from daemon.serve.model_loader import CurrentModel
from daemon.status import notices
from daemon.store import content_arrays, current_model, model_records, source_state
from daemon.store.engine import open_checked
from daemon.store.model_records import ModelRecord
from daemon.training import deploy, exact_own
from models.noise import NO_NOISE
from models.weights import UNIT
from tests.daemon.fake_peertube import SECRET, PeerTube, World, configure, peertube, small_world, video_uuid
from tests.daemon.jobs_in_process import run_here
from tests.daemon.running_daemon import daemon, until

pytestmark = pytest.mark.daemon

ON = "[serve]\nexact_own = true\n"


@dataclass
class Place:
    """A PeerTube and the data folder of its daemon."""

    server: PeerTube
    file: Path

    @property
    def config(self) -> Config:
        return load(self.file)

    @property
    def engine(self) -> Engine:
        return open_checked(self.config.database)

    @property
    def context(self) -> JobContext:
        return JobContext(self.config, self.engine, lambda _stage, _part: None, time.time)

    def job(self, name: str) -> dict[str, Any]:
        outcome = run_here(name, self.file)
        assert outcome.ok, outcome
        return outcome.result

    def learn(self) -> ModelRecord:
        """Sync, train, and return what serves."""
        self.job("sync")
        self.job("train")
        name = current_model.read(self.config.models_dir)
        return next(one for one in model_records.models(self.engine) if one.directory == name)

    def rewrite(self, old: str, new: str) -> None:
        text = self.file.read_text("utf-8")
        assert old in text
        self.file.write_text(text.replace(old, new), "utf-8")

    def is_gone(self, record: ModelRecord) -> bool:
        """Tell whether nothing of a model is left, and nothing serves."""
        rows = record.id in {one.id for one in model_records.models(self.engine)}
        folder = (self.config.models_dir / record.directory).exists()
        served = current_model.read(self.config.models_dir)
        assert rows == folder == (served == record.directory)
        return not rows

    def loads(self) -> bool:
        """Tell whether a serving process that starts now serves the current model."""
        model = CurrentModel(
            self.config.models_dir, may_be_exact=lambda: exact_own.allowed(self.engine, self.config)
        )
        return asyncio.run(model.refresh())


def made() -> World:
    world = small_world(users=60, videos=40)
    for video in world.videos:
        video["views"] = 100
    return world


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with peertube(made()) as server:
        found = Place(server, configure(tmp_path / "one", server.url, ON))
        # The daemon has to check by itself who sees lists.
        found.rewrite("enabled = false", "enabled = true")
        server.world.closed = True
        yield found


def test_a_closed_instance_learns_from_exact_numbers(place: Place) -> None:
    place.job("sync")
    before = time.time()
    own = training.own_numbers(place.context)
    assert own.exact is not None
    assert own.learnt is own.exact
    assert own.exact.noise == NO_NOISE
    assert own.exact.viewers == 60
    assert before <= own.drawn <= time.time()
    assert own.why == ""

    viewers = own_viewers(place.engine, place.config, now=time.time())
    rows = viewers.interactions.matrix
    seen = [set(rows.indices[a:b].tolist()) for a, b in zip(rows.indptr, rows.indptr[1:], strict=False)]
    found = own.exact.statistic
    assert found.head.tolist() == [v for v in range(40) if sum(v in one for one in seen) >= 5]
    assert found.counts.tolist() == [UNIT * sum(v in one for one in seen) for v in found.head.tolist()]
    expected = [UNIT * sum({a, b} <= one for one in seen) for a, b in combinations(found.head.tolist(), 2)]
    assert found.triangle.tolist() == expected
    assert max(expected) > 0


def test_what_others_get_still_rests_on_the_noisy_release(place: Place) -> None:
    place.job("sync")
    own = training.own_numbers(place.context)
    drawn = own_release.current(place.context)
    assert own.released is not None
    assert drawn is not None
    assert own.released.noise
    urls = content_arrays.read_urls(place.engine)
    assert own.released.statistic.counts.tolist() == drawn.released(urls).statistic.counts.tolist()


def unset(place: Place) -> None:
    place.rewrite(ON, "")


def opened(place: Place) -> None:
    place.server.world.closed = False


def silent(place: Place) -> None:
    place.server.world.closed = None


def unclear(place: Place) -> None:
    place.server.world.closed = "true"


def unchecked(place: Place) -> None:
    place.rewrite("enabled = true", "enabled = false")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (unset, ""),
        (opened, "anybody can register"),
        (silent, "anybody can register"),
        (unclear, "anybody can register"),
        (unchecked, "schedule.enabled"),
    ],
)
def test_otherwise_numbers_are_noisy_and_the_admin_hears_why(
    place: Place, change: Callable[[Place], None], why: str
) -> None:
    change(place)
    place.job("sync")
    own = training.own_numbers(place.context)
    assert own.exact is None
    assert own.released is not None
    assert own.learnt is own.released
    assert own.released.noise
    drawn = own_release.current(place.context)
    assert drawn is not None
    assert own.drawn == drawn.drawn
    assert own.why.startswith("serve.exact_own has no effect") == bool(why)
    assert why in own.why
    result = place.job("train")
    assert why in result.get("own_viewers", "")
    (record,) = model_records.models(place.engine)
    assert not record.exact


def test_a_model_from_exact_numbers_says_so_and_serves(place: Place) -> None:
    record = place.learn()
    assert record.exact
    assert record.drawn > 0
    assert place.loads()
    place.job("consent")
    assert not place.is_gone(record)
    assert choose(place.engine, place.config) is not None


@pytest.mark.parametrize("change", [opened, silent, unclear, unset, unchecked])
def test_the_next_check_deletes_it_when_the_instance_is_open_or_the_setting_off(
    place: Place, change: Callable[[Place], None]
) -> None:
    record = place.learn()
    change(place)
    place.job("consent")
    assert place.is_gone(record)
    # Nobody learns from exact numbers until a sync or check finds it closed again.
    assert training.own_numbers(place.context).exact is None


def test_a_sync_that_finds_it_open_has_the_next_training_delete_it(place: Place) -> None:
    record = place.learn()
    place.server.world.closed = False
    assert not place.learn().exact
    assert record.id not in {one.id for one in model_records.models(place.engine)}


def test_it_does_not_come_back_another_way(place: Place) -> None:
    record = place.learn()
    source_state.checked(
        place.engine, source_state.exclusions(place.engine), now=time.time(), participants=60, closed=False
    )
    with pytest.raises(JobError, match="exact numbers"):
        deploy.put_into_service(place.engine, place.config, record.id)
    assert choose(place.engine, place.config) is None
    # By its manifest alone: an older database may not know it.
    model_records.forget(place.engine, [record.id])
    assert not place.loads()
    assert not asyncio.run(CurrentModel(place.config.models_dir).refresh())


def test_an_instance_that_opens_while_it_trains_gets_no_exact_model(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.job("sync")
    put = deploy.put_into_service

    def opens(*what: Any, **more: Any) -> ModelRecord:
        consent.run(place.context)
        return put(*what, **more)

    monkeypatch.setattr(deploy, "put_into_service", opens)
    place.server.world.closed = False
    outcome = run_here("train", place.file)
    assert not outcome.ok
    assert current_model.read(place.config.models_dir) is None
    assert model_records.models(place.engine) == []


def test_a_peertube_that_does_not_answer_counts_as_open_after_an_hour(place: Place) -> None:
    record = place.learn()

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=404)

    place.server.faults["participants"] = broken
    for seconds, gone in ((consent.UNSEEN - 60, False), (consent.UNSEEN + 60, True)):
        now = time.time() + seconds
        later = replace(place.context, clock=partial(float, now))
        with pytest.raises(Exception, match="PeerTube"):
            consent.run(later)
        assert place.is_gone(record) is gone


def test_a_status_that_makes_no_sense_is_open_and_keeps_nobody_from_leaving(place: Place) -> None:
    record = place.learn()

    async def broken(_request: web.Request) -> web.Response:
        return web.json_response({"closed": True})

    place.server.faults["status"] = broken
    place.server.world.participants.discard(3)
    assert place.job("consent")["removed"] == 1
    assert place.is_gone(record)


def test_who_leaves_is_out_of_every_exact_model_after_the_next_training(place: Place) -> None:
    world, newcomer = place.server.world, 60
    first = place.learn()
    # Its own release is older, so that no data window knows this viewer.
    world.participants.add(newcomer)
    world.history += [(newcomer, video, 0.9) for video in range(5)]
    second = place.learn()
    assert second.exact
    # The sync is the first to see that they left: no check has deleted their rows before.
    world.participants.discard(newcomer)
    third = place.learn()
    assert third.exact
    assert [one.id for one in model_records.models(place.engine)] == [third.id]
    left = {path.name for path in place.config.models_dir.iterdir() if path.is_dir()}
    assert left.isdisjoint({first.directory, second.directory})
    own = training.own_numbers(place.context)
    assert own.exact is not None
    assert own.exact.viewers == 60


def test_the_admin_is_warned_while_it_is_on(place: Place) -> None:
    place.job("sync")

    def told() -> list[tuple[str, str]]:
        found = notices.current(place.engine, place.config, time.time())
        return [(one.id, english(*one.sentences)) for one in found if one.kind == "exact-own"]

    ((first, sentence),) = told()
    assert "what single other members watched" in sentence
    place.server.world.closed = False
    place.job("consent")
    ((second, sentence),) = told()
    assert first != second
    assert "has no effect" in sentence
    place.rewrite(ON, "")
    assert told() == []


def test_a_running_daemon_says_which_lists_are_exact_and_stops_serving_them(place: Place) -> None:
    place.learn()
    place.job("consent")
    path = f"/v1/related?video={video_uuid(3)}"
    with daemon(place.file) as running:
        status, answer = running.call(path)
        assert (status, answer["exact"]) == (200, True)
        assert "what single viewers watched" in running.logged()
        secret = {"X-Shoal-Secret": SECRET}
        assert running.call("/v1/status", headers=secret)[1]["source"]["exact_own"] is True
        assert running.forbidden() == []
        place.server.world.closed = False
        place.job("consent")
        until(lambda: running.call(path)[0] == 503)


def test_a_daemon_that_starts_without_the_setting_serves_no_exact_model(place: Place) -> None:
    place.learn()
    # Not even until its first check.
    place.rewrite(ON, "")
    place.rewrite("enabled = true", "enabled = false")
    with daemon(place.file) as running:
        status, answer = running.call(f"/v1/related?video={video_uuid(3)}")
        assert status == 503
        assert "exact numbers" in answer["message"]
