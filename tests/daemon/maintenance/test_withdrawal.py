"""Who withdrew is in no model any more after the next training, whatever is put back from a backup."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.config import load
from daemon.errors import JobError
from daemon.maintenance import forget_viewer, sync, training
from daemon.process.job_context import JobContext
from daemon.store import current_model, model_records
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.model_records import ModelRecord
from daemon.training import deploy
from models import counting
from policies.window import BETWEEN_REDRAWS
from tests.daemon.running_daemon import instance
from tests.daemon.small_dataset import write_set
from tests.simulator.cohort import Clock

pytestmark = pytest.mark.slow

NOW = 1_800_000_000.0


@pytest.fixture
def context(tmp_path: Path) -> Iterator[JobContext]:
    write_set(tmp_path / "set", users=120, videos=40)
    file = instance(tmp_path / "one", source=tmp_path / "set")
    file.write_text(file.read_text() + '[privacy]\nmin_video_age = "0s"\n')
    config = load(file)
    migrate(config.database)
    engine = open_checked(config.database)
    found = JobContext(config, engine, lambda _stage, _part: None, Clock(NOW))
    sync.run(found)
    yield found
    engine.dispose()


def trained(context: JobContext) -> ModelRecord:
    name = training.run(context)["model"]
    found = model_records.model(context.engine, name)
    assert found is not None
    return found


def withdraw(context: JobContext, viewer: str = "u3") -> dict[str, object]:
    return forget_viewer.forget(context.engine, context.config, viewer, context.clock())


def folders(context: JobContext) -> set[str]:
    return {path.name for path in context.config.models_dir.iterdir() if path.is_dir()}


def test_models_with_the_viewer_go_with_the_next_training(context: JobContext) -> None:
    first, second = trained(context), trained(context)
    assert {first.drawn, second.drawn} == {NOW}
    context.clock.now = NOW + 3600  # type: ignore[attr-defined]
    told = withdraw(context)
    assert told["models"] == [second.id, first.id]
    assert told["next_own_release"] is not None
    # Until the release may be drawn anew, own viewers are in no model at all.
    after = trained(context)
    assert after.drawn == 0.0
    assert folders(context) == {after.directory}
    assert [one.id for one in model_records.models(context.engine)] == [after.id]
    context.clock.now = NOW + BETWEEN_REDRAWS + 1  # type: ignore[attr-defined]
    assert trained(context).drawn > NOW
    assert after.directory in folders(context)


def test_who_came_after_the_draw_takes_no_model_away(context: JobContext, tmp_path: Path) -> None:
    """Else one account, joining and leaving, would keep an instance without own numbers for good."""
    before = trained(context)
    write_set(tmp_path / "set", users=121, videos=40)
    context.clock.now = NOW + 60  # type: ignore[attr-defined]
    sync.run(context)
    assert withdraw(context, "u120")["models"] == []
    after = trained(context)
    assert after.drawn == before.drawn == NOW
    assert {before.directory, after.directory} <= folders(context)


def test_who_leaves_while_they_are_counted_is_in_no_model(
    context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = counting.contribution

    def slow(*arguments: Any) -> Any:
        found = plain(*arguments)
        withdraw(context)
        return found

    monkeypatch.setattr("daemon.rounds.own_release.counting.contribution", slow)
    assert trained(context).drawn == 0.0


def test_no_rollback_and_no_backup_brings_them_back(context: JobContext, tmp_path: Path) -> None:
    old = trained(context)
    kept = tmp_path / "kept"
    shutil.copytree(context.config.models_dir / old.directory, kept)
    context.clock.now = NOW + 60  # type: ignore[attr-defined]
    withdraw(context)
    with pytest.raises(JobError, match="somebody withdrew"):
        deploy.put_into_service(context.engine, context.config, old.id)
    new = trained(context)
    # An older database and an older folder, put back, with what served then.
    shutil.copytree(kept, context.config.models_dir / old.directory)
    model_records.save(context.engine, old)
    current_model.write(context.config.models_dir, old.directory)
    trained(context)
    assert old.directory not in folders(context)
    assert model_records.model(context.engine, old.id) is None
    assert current_model.read(context.config.models_dir) != old.directory
    assert new.directory in folders(context)


def test_a_restored_record_of_what_was_given_counts_as_a_withdrawal(
    context: JobContext, tmp_path: Path
) -> None:
    """Who left since the backup was made is not known."""
    old = trained(context)
    shutil.copytree(context.config.windows_dir, tmp_path / "backup")
    shutil.rmtree(context.config.windows_dir)
    shutil.copytree(tmp_path / "backup", context.config.windows_dir)
    context.clock.now = NOW + 60  # type: ignore[attr-defined]
    assert trained(context).drawn == 0.0
    assert old.directory not in folders(context)


def test_where_nothing_can_be_trained_what_held_them_serves_no_longer(
    context: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(context)
    withdraw(context)

    def nothing(*_arguments: object) -> None:
        raise JobError("no model could be trained", advice="Wait.")

    monkeypatch.setattr("daemon.training.job.prepare", nothing)
    with pytest.raises(JobError):
        training.run(context)
    assert current_model.read(context.config.models_dir) is None
    assert folders(context) == set()
