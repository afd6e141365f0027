"""Data windows on disk: sealed, damaged, put back from a backup, and through a crash at every write."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from daemon.errors import StoreError
from daemon.rounds.data_windows import PARTS, DataWindows
from daemon.rounds.viewer_digests import viewer_tag
from federation.errors import Code, Refusal
from federation.identity import Identity
from federation.journal import FileJournal
from federation.proposal import Proposal
from policies.window_length import length
from tests.daemon.rounds.window_store import (
    BOB,
    EVERYBODY,
    HOSTS,
    LENGTH,
    Store,
    Values,
    asked,
    early,
    same,
)
from tests.simulator.cohort import NOW
from tests.simulator.crashes import Crash, FailingJournal

# -- the files -----------------------------------------------------------------------------------------------


def test_nothing_readable_is_on_disk(store: Store) -> None:
    vector = store.give(asked())
    kept = store.open().read("peer.example")
    assert kept is not None
    raw = b"".join(path.read_bytes() for path in store.folder.rglob("*") if path.is_file())
    for secret in (
        vector.astype("<i4").tobytes(),
        kept.seed,
        viewer_tag(kept.seed, BOB),
        BOB,
        b"peer.example",
        b"closed",
    ):
        assert secret not in raw
    assert "seed" not in repr(kept)
    assert all(path.stat().st_mode & 0o077 == 0 for path in store.folder.rglob("*") if path.suffix != ".lock")


def test_another_identity_is_told_clearly(store: Store) -> None:
    store.give(asked())
    other = replace(store, identity=Identity("me.example", b"\x09" * 32))
    with pytest.raises(StoreError, match="damaged") as error:
        other.give(asked())
    assert "Nothing needs doing" in error.value.advice


@pytest.mark.parametrize("name", ["state", "viewers", "given"])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_damage_is_told_clearly_and_gives_nothing(store: Store, name: str, damage: str) -> None:
    store.give(asked())
    (path,) = store.folder.rglob(name)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes({"cut": bytes(raw[:30]), "flip": bytes(raw), "empty": b""}[damage])
    with pytest.raises(StoreError) as error:
        store.give(asked())
    assert error.value.advice
    # And then it is forgotten: nothing is given a second time, nor is anybody asked to delete anything.
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            store.give(asked())
        assert refused.value.code is Code.WINDOW_OPEN


def test_a_lost_vector_is_not_counted_anew(store: Store) -> None:
    store.give(asked())
    (path,) = store.folder.rglob("given")
    path.unlink()
    with pytest.raises(StoreError, match="missing"):
        store.give(asked())


# -- backups -------------------------------------------------------------------------------------------------


def restored_in_place(backup: Path, folder: Path) -> None:
    """Do what `rsync -a` does: write over what differs in size or time, leave the rest alone."""
    for source in backup.rglob("*"):
        target = folder / source.relative_to(backup)
        if source.is_dir():
            target.mkdir(exist_ok=True)
            continue
        status = source.stat()
        if target.exists() and (target.stat().st_size, target.stat().st_mtime_ns) == (
            status.st_size,
            status.st_mtime_ns,
        ):
            continue
        shutil.copy2(source, target)


def copied_by_python(backup: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)


def copied_by_cp(backup: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    subprocess.run(["cp", "-a", backup, folder], check=True)


def copied_over(backup: Path, folder: Path) -> None:
    subprocess.run(["cp", "-a", f"{backup}/.", folder], check=True)


def removed(_backup: Path, folder: Path) -> None:
    shutil.rmtree(folder)


def emptied(_backup: Path, folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


LOSSES = [copied_by_python, copied_by_cp, copied_over, restored_in_place, removed, emptied]


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_not_known_any_more_counts_as_given_for_a_window(
    store: Store, tmp_path: Path, loss: Callable[[Path, Path], None]
) -> None:
    store.give(asked("early.example"))
    backup = tmp_path / "backup"
    shutil.copytree(store.folder, backup)
    under_way = asked()
    first, plain = store.give(under_way), store.viewers.plain()
    store.served = True
    loss(backup, store.folder)
    windows = store.open()
    assert windows.restored
    with pytest.raises(Refusal):
        windows.check(under_way)
    for aggregator in ("peer.example", "early.example", "never-asked.example"):
        assert store.refusal(asked(aggregator)).code is Code.WINDOW_OPEN
        assert store.refusal(asked(aggregator, vocabulary=b"v" * 32)).code is Code.WINDOW_OPEN
    # Not even early: what was given is not known.
    assert store.refusal(early()).code is Code.WINDOW_OPEN
    # Nobody is told twice, and nothing is given before time and change.
    assert not store.open().restored
    store.clock.now += LENGTH.total_seconds() - 1
    store.viewers.change(EVERYBODY)
    assert store.refusal(asked()).code is Code.WINDOW_OPEN
    store.clock.now += 1
    assert not same(store.give(asked()) - store.viewers.plain(), first - plain)
    # Where it is lost how long this instance has contributed, its windows are those of an old one.
    window = store.kept().window
    age = window.opened - NOW if list(backup.rglob("first")) and loss not in (removed, emptied) else math.inf
    assert window.ends - window.opened >= PARTS[0] * length(age, LENGTH.total_seconds()) - 1


def test_a_backup_taken_and_not_put_back_changes_nothing(store: Store, tmp_path: Path) -> None:
    first = store.give(asked())
    shutil.copytree(store.folder, tmp_path / "backup")
    assert not store.open().restored
    assert same(store.give(asked()), first)


def test_windows_of_an_earlier_protocol_count_as_served(store: Store) -> None:
    store.give(asked())
    (note,) = store.folder.rglob("note-*")
    note.rename(note.with_name("note"))
    assert store.open().restored
    assert store.refusal(asked()).code is Code.WINDOW_OPEN
    assert not list(store.folder.rglob("given"))


def test_a_fresh_instance_has_given_nothing(store: Store) -> None:
    assert not store.open().restored
    store.give(asked())


# -- crashes -------------------------------------------------------------------------------------------------


class FailingFiles(FailingJournal):
    """The same over files, which the anchor looks at."""

    def path(self, round_id: bytes, name: str) -> Path:
        self._check()
        assert isinstance(self.inner, FileJournal)
        return self.inner.path(round_id, name)


@dataclass
class Life:
    """What happens to an instance, step by step; a step that a crash interrupts is taken again."""

    store: Store
    opened: Callable[[], DataWindows]
    given: dict[str, list[Values]] = field(default_factory=dict)

    def steps(self, *, withdraw_again: bool) -> Iterator[Callable[[], None]]:
        store = self.store
        first, again = asked(), asked()
        yield lambda: self.give("first", first)
        yield lambda: self.give("first", first)
        yield lambda: self.give("first", again)
        yield lambda: self.refuse(lambda: self.opened().leave(first))
        yield lambda: self.opened().release(again, HOSTS)
        yield lambda: self.opened().release(again, HOSTS)
        yield lambda: self.refuse(lambda: self.opened().release(again, HOSTS[:4]))
        yield lambda: self.refuse(lambda: self.give("opened", asked()))
        store.next_window()
        second = asked(vocabulary=b"v" * 32)
        yield lambda: self.give("second", second)
        yield lambda: self.give("second", second)
        del store.viewers.rows[BOB]
        yield self.withdraw
        if withdraw_again:
            yield lambda: self.refuse(lambda: self.opened().check(second))
        yield lambda: self.refuse(lambda: self.give("void", asked(vocabulary=b"v" * 32)))
        yield lambda: self.refuse(lambda: self.opened().check(second))
        yield self.forgotten
        store.next_window()
        yield lambda: self.give("last", asked())

    def give(self, what: str, proposal: Proposal) -> None:
        vector = self.store.give(proposal, self.opened())
        self.given.setdefault(what, []).append(vector)

    def withdraw(self) -> None:
        self.opened().withdraw(self.store.viewers.present)

    def refuse(self, step: Callable[[], object]) -> None:
        with pytest.raises(Refusal) as refused:
            step()
        assert refused.value.code in (Code.WINDOW_OPEN, Code.BUSY)

    def forgotten(self) -> None:
        assert not list(self.store.folder.rglob("given"))
        for kept in self.opened().all():
            assert viewer_tag(kept.seed, BOB) not in kept.viewers


def lived(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, at: int, after: bool, withdraw_again: bool
) -> tuple[Life, list[int]]:
    """Live with a crash at one change of the disk; returns how many there were at the end of each step."""
    journals: list[FailingFiles] = []

    def changes() -> int:
        return sum(journal.changes for journal in journals)

    def journal(directory: Path) -> FailingFiles:
        made = FailingFiles(FileJournal(directory), at=at - changes(), after=after, error=Crash)
        journals.append(made)
        return made

    monkeypatch.setattr("daemon.rounds.data_windows.FileJournal", journal)
    store = Store(folder)

    def opened() -> DataWindows:
        windows = store.open()
        assert not windows.restored, "a crash is no restored backup"
        return windows

    life = Life(store, opened)
    ends = []
    for number, step in enumerate(life.steps(withdraw_again=withdraw_again)):
        try:
            step()
        except Crash:
            if withdraw_again or number != WITHDRAWAL:
                step()
            # Else nobody comes back to it: the next contribution has to find out.
        ends.append(changes())
    return life, ends


WITHDRAWAL = 10
"""The number of the step in which somebody leaves."""


def assert_consistent(life: Life, at: int) -> None:
    assert set(life.given) == {"first", "second", "last"}, at
    for what, vectors in life.given.items():
        assert all(same(vector, vectors[0]) for vector in vectors), (what, at)


@pytest.mark.parametrize("after", [True, False])
def test_no_crash_gives_a_second_vector_or_brings_back_who_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    _, ends = lived(tmp_path / "whole", monkeypatch, at=-1, after=after, withdraw_again=True)
    assert ends[-1] > 40
    for at in range(ends[-1]):
        life, _ = lived(tmp_path / str(at), monkeypatch, at=at, after=after, withdraw_again=True)
        assert_consistent(life, at)
    assert ends[WITHDRAWAL] - ends[WITHDRAWAL - 1] >= 5
    for at in range(ends[WITHDRAWAL - 1], ends[WITHDRAWAL]):
        life, _ = lived(tmp_path / f"{at}-once", monkeypatch, at=at, after=after, withdraw_again=False)
        assert_consistent(life, at)
