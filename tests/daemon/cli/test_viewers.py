"""Forgetting a viewer at the admin's word: rows, windows, models, and that nothing names them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine

from daemon.config import Config, load
from daemon.errors import RequestError
from daemon.ledger import chain as ledger
from daemon.ledger.chain import Kind
from daemon.maintenance import forget_viewer, sync
from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from daemon.rounds.contribution_job import noisy, windows_of
from daemon.rounds.contribution_log import ContributionLog
from daemon.rounds.own_statistics import own_viewers
from daemon.store import engagement_arrays
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.viewers import Pseudonyms, viewer_states
from federation.blob_access import reference_to
from federation.envelope import Stage
from federation.errors import Refusal
from federation.identity import Identity, format_key
from federation.masks import RING
from federation.proposal import Proposal, least_threshold
from models.weights import UNIT
from policies.sharing import TRAINER
from tests.daemon.running_daemon import instance
from tests.daemon.shoal_command import shoal
from tests.daemon.small_dataset import write_set

pytestmark = pytest.mark.daemon

NOW = 1_800_000_000.0
SOMEBODY = "u7"
PEERS = [Identity(f"p{n}.example", bytes([n + 1]) * 32) for n in range(5)]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    folder = tmp_path / "one"
    write_set(folder / "dataset")
    peers = "".join(
        f'[[peers]]\nhost = "{p.host}"\nurl = "http://127.0.0.1:9"\nkey = "{format_key(p.public.key)}"\n'
        for p in PEERS
    )
    path = instance(folder, extra='mode = "contribute"')
    settings = '[sharing]\nmin_vocabulary = 2\n[privacy]\nmin_video_age = "0s"\nlevel = "none"\n'
    path.write_text(path.read_text() + settings + peers)
    return path


@pytest.fixture
def config(config_file: Path) -> Config:
    return load(config_file)


@pytest.fixture
def engine(config: Config) -> Iterator[Engine]:
    migrate(config.database)
    engine = open_checked(config.database)
    sync.run(context_of(config, engine))
    yield engine
    engine.dispose()


def context_of(config: Config, engine: Engine) -> JobContext:
    return JobContext(config, engine, lambda _stage, _part: None, lambda: NOW)


def give(config: Config, engine: Engine, aggregator: str) -> NDArray[np.int64]:
    """Give an aggregator this instance's numbers, until they are about to leave; returns the counts."""
    context = context_of(config, engine)
    own = own_viewers(engine, config, now=NOW)
    vocabulary, head = len(own.catalogue), 2
    blobs = {
        round_config.VOCABULARY: round_config.encode_vocabulary(own.catalogue.urls),
        round_config.HEAD: round_config.encode_head(np.arange(head)),
    }
    proposal = Proposal(
        aggregator=aggregator,
        roster=tuple(peer.public for peer in PEERS),
        threshold=least_threshold(len(PEERS)),
        trainer=TRAINER,
        segments=round_config.segments(config, vocabulary, head),
        entry_bound=config.sharing.max_users,
        ring=RING,
        nonce=bytes(16),
        created=int(NOW),
        expires=int(NOW) + 600,
        parameters=round_config.parameters(config, vocabulary, head, pass_on=False),
        blobs={name: reference_to(blob) for name, blob in blobs.items()},
    )
    windows = windows_of(context)
    vector = noisy(context, proposal, blobs, own, windows)
    ContributionLog(windows, engine, context.clock).check(aggregator.encode(), proposal, Stage.SHARES)
    return vector[:vocabulary] // UNIT


def pseudonym(config: Config) -> bytes:
    return Pseudonyms.open(config.data_dir / "viewers.key").of(SOMEBODY)


def test_everything_of_the_viewer_goes_and_what_peers_were_to_get_is_void(
    config: Config, engine: Engine
) -> None:
    before = give(config, engine, "p0.example")
    give(config, engine, "p1.example")
    report = forget_viewer.forget(engine, config, SOMEBODY, NOW)
    assert report["engagements"] == 10
    assert report["windows_voided"] == 2
    assert pseudonym(config) not in viewer_states(engine)
    raw = b"".join(path.read_bytes() for path in config.data_dir.glob("shoal.db*"))
    assert pseudonym(config) not in raw
    # Neither the same counts nor new ones that differ by this viewer leave before the window is over.
    with pytest.raises(Refusal, match="cannot take part now"):
        give(config, engine, "p0.example")
    ends = sorted(kept.window.ends for kept in windows_of(context_of(config, engine)).all())
    assert report["next_contribution"] == ends[0] > NOW
    assert before.sum() == 600


def test_nothing_names_the_viewer(config: Config, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    report = forget_viewer.forget(engine, config, SOMEBODY, NOW)
    (entry,) = [e for e in ledger.entries(engine) if e.kind == Kind.WITHDRAWAL]
    assert entry.details == {"viewers": 1, "windows": 0}
    said = json.dumps([report, vars(entry)], default=str) + str(capsys.readouterr())
    assert SOMEBODY not in said
    assert pseudonym(config).hex() not in said


def test_who_is_not_stored_cannot_be_forgotten(config: Config, engine: Engine) -> None:
    with pytest.raises(RequestError) as raised:
        forget_viewer.forget(engine, config, "u999", NOW)
    assert "u999" not in raised.value.message + raised.value.advice
    assert engagement_arrays.read(engine)[1].user_count == 60
    assert not [e for e in ledger.entries(engine) if e.kind == Kind.WITHDRAWAL]


def test_the_next_statistic_is_without_the_viewer_and_the_window_opens_when_others_changed(
    config: Config, engine: Engine
) -> None:
    settings = config.privacy.model_copy(update={"min_changed_users": 0})
    config = config.model_copy(update={"privacy": settings})
    before = give(config, engine, "p0.example")
    report = forget_viewer.forget(engine, config, SOMEBODY, NOW)
    later = float(report["next_contribution"]) + 1
    windows = windows_of(JobContext(config, engine, lambda _s, _p: None, lambda: later))
    kept = windows.read("p0.example")
    assert kept is not None
    assert kept.window.over(later)
    assert own_viewers(engine, config, now=NOW).interactions.users == 59
    assert before.sum() - own_viewers(engine, config, now=NOW).interactions.matrix.sum() == 10


def test_the_command_reads_the_name_from_a_pipe_and_trains_at_once(config_file: Path, engine: Engine) -> None:
    report = shoal("viewers", "forget", "-c", config_file, "-o", "json", typed=f"{SOMEBODY}\n").json
    assert (report["engagements"], report["trained"]) == (10, True)
    assert report["serves_now"]
    assert report["models"] == []
    done = shoal("viewers", "forget", "--no-train", "-c", config_file, typed="u8\n")
    assert done.returncode == 0, done
    assert "off the disk with the next training" in done.said
    assert "own viewers are counted anew at the first training after" in done.said
    assert report["serves_now"] in done.said
    assert "u8" not in done.stdout + done.stderr
    done = shoal("viewers", "check", "-c", config_file)
    assert (done.returncode, "viewers of a data set cannot withdraw" in done.stderr) == (2, True)
    done = shoal("viewers", "forget", "-c", config_file)
    assert (done.returncode, "no viewer is named" in done.stderr) == (2, True)
