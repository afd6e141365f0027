"""What heads are chosen from: released counts of the last runs, without any peer that was taken out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from daemon.rounds import head_history
from daemon.rounds.aggregator_window import peer_windows
from daemon.rounds.head_history import HeadHistory, ReleasedCounts
from federation.journal import FileJournal
from models import head as heads
from models.head import WINDOWS
from models.weights import UNIT
from tests.daemon.instance_with_peer import HOST, NOW, OTHERS, Instance, open_instance, out_of_service

VIDEOS = ("https://v.example/1", "https://v.example/2", "https://v.example/3")


@pytest.fixture
def journal(tmp_path: Path) -> FileJournal:
    return FileJournal(tmp_path / "head-history")


def run(number: int) -> str:
    return f"{number:064x}"


def counts(
    number: int, *values: int, hosts: tuple[str, ...] = ("a.example",), videos: tuple[str, ...] = VIDEOS
) -> ReleasedCounts:
    return ReleasedCounts(run(number), 1000 + number, hosts, videos, np.array(values, np.int64))


def test_the_newest_runs_are_kept_also_after_a_restart(journal: FileJournal) -> None:
    history = HeadHistory(journal)
    assert history.newest() == []
    assert history.aligned(VIDEOS).shape == (0, 3)
    for number in range(WINDOWS + 3):
        history.add(counts(number, number, -number, 7))
    kept = HeadHistory(journal).newest()
    assert [one.run for one in kept] == [run(n) for n in reversed(range(3, WINDOWS + 3))]
    assert kept[0].counts.tolist() == [WINDOWS + 2, -WINDOWS - 2, 7]
    assert (kept[0].survivors, kept[0].videos) == (("a.example",), VIDEOS)


def test_sub_cohorts_of_a_run_are_added_up_and_none_twice(journal: FileJournal) -> None:
    history = HeadHistory(journal)
    history.add(counts(1, 1, 2, 3, hosts=("a.example", "b.example")))
    history.add(counts(1, 10, 20, 30, hosts=("c.example",)))
    (kept,) = history.newest()
    assert kept.counts.tolist() == [11, 22, 33]
    assert kept.survivors == ("a.example", "b.example", "c.example")
    # A job that died behind this point is run again, with the same sum.
    history.add(counts(1, 1, 2, 3, hosts=("a.example", "b.example")))
    (kept,) = history.newest()
    assert kept.counts.tolist() == [1, 2, 3]
    history.add(counts(1, 10, 20, 30, hosts=("c.example",)))
    assert history.newest()[0].counts.tolist() == [11, 22, 33]


def test_counts_are_found_by_video_and_unknown_where_a_run_did_not_ask(journal: FileJournal) -> None:
    history = HeadHistory(journal)
    history.add(counts(1, 5, 6, 7))
    history.add(counts(2, 50, 60, videos=(VIDEOS[1], VIDEOS[2])))
    vocabulary = ("https://v.example/0", VIDEOS[2], VIDEOS[0])
    found = UNIT * history.aligned(vocabulary)
    np.testing.assert_array_equal(found, [[np.nan, 60, np.nan], [np.nan, 7, 5]])
    assert heads.next_head(found, min_users=20, max_head=9).tolist() == [1]


def test_what_cannot_be_read_is_forgotten(journal: FileJournal) -> None:
    history = HeadHistory(journal)
    history.add(counts(1, 1, 2, 3))
    history.add(counts(2, 4, 5, 6))
    path = journal.path(bytes.fromhex(run(2)), "counts")
    path.write_bytes(path.read_bytes()[:-3])
    assert [one.run for one in history.newest()] == [run(1)]
    assert journal.ids() == [bytes.fromhex(run(1))]


def test_only_runs_without_a_host_are_left(journal: FileJournal) -> None:
    history = HeadHistory(journal)
    history.add(counts(1, 1, 2, 3, hosts=("a.example", "b.example")))
    history.add(counts(2, 4, 5, 6, hosts=("a.example", "c.example")))
    assert history.forget({"b.example", "x.example"}) == 1
    assert [one.run for one in history.newest()] == [run(2)]
    assert history.forget({"b.example"}) == 0


# -- a revert ----------------------------------------------------------------------------------------------


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Instance]:
    with open_instance(tmp_path) as found:
        yield found


@pytest.mark.parametrize("of", [head_history.of_peers, head_history.of_group])
def test_a_revert_forgets_every_run_that_the_peer_is_in(one: Instance, of: object) -> None:
    assert callable(of)
    history: HeadHistory = of(one.config)
    history.add(counts(1, 1, 2, 3, hosts=tuple(OTHERS)))
    history.add(counts(2, 4, 5, 6, hosts=(*OTHERS, HOST)))
    one.model("local")
    one.sum(1, [*OTHERS, HOST])
    out_of_service(one)
    assert [found.run for found in history.newest()] == [run(1)]


def test_a_revert_lets_the_others_be_asked_before_their_time(one: Instance) -> None:
    one.model("local")
    one.sum(1, [*OTHERS, HOST])
    windows = peer_windows(one.config, lambda: NOW)
    windows.open(run(1), [], b"", b"")
    windows.note_left()
    windows.answered()
    assert windows.next_at() > NOW
    out_of_service(one)
    assert windows.next_at() == 0
    assert windows.early


def test_who_never_asked_anybody_gets_no_folders(one: Instance) -> None:
    one.model("local")
    one.sum(1, [*OTHERS, HOST])
    out_of_service(one)
    assert not (one.config.journal_dir / "aggregator-window").exists()
    assert not (one.config.journal_dir / "head-history").exists()
