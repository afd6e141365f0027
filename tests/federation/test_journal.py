"""A name holds its old content or its new one, in full, for its owner only, inside its folder."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from federation.journal import FileJournal, Journal, MemoryJournal

SUM, OTHER = b"\xaa" * 32, b"\xbb" * 32


@pytest.fixture(params=["memory", "file"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    return MemoryJournal() if request.param == "memory" else FileJournal(tmp_path / "journal")


def test_what_is_written_is_read(journal: Journal) -> None:
    assert journal.read(SUM, "input") is None
    journal.write(SUM, "input", b"one")
    journal.write(SUM, "input", b"two")
    journal.write(SUM, "keys.m1.example:9000", b"")
    journal.write(OTHER, "root", b"three")
    assert journal.read(SUM, "input") == b"two"
    assert journal.read(SUM, "keys.m1.example:9000") == b""
    assert journal.names(SUM) == ["input", "keys.m1.example:9000"]
    assert journal.ids() == [SUM, OTHER]


def test_what_is_erased_is_gone(journal: Journal) -> None:
    for name in ("a", "b", "c"):
        journal.write(SUM, name, b"x")
    journal.erase(SUM, "a", "absent")
    assert journal.names(SUM) == ["b", "c"]
    journal.erase(SUM)
    assert journal.names(SUM) == []
    assert journal.ids() == []
    journal.erase(SUM)
    journal.erase(OTHER, "absent")


def test_another_process_reads_the_same(tmp_path: Path) -> None:
    FileJournal(tmp_path).write(SUM, "root", b"secret")
    assert FileJournal(tmp_path).read(SUM, "root") == b"secret"


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        FileJournal(folder).write(SUM, "root", b"secret")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes == {"journal": 0o700, SUM.hex(): 0o700, "root": 0o600}


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "../root", "a/b", "/etc/passwd", "A", "a\x00", "a\n", "a" * 301, "ü"]
)
def test_no_name_leaves_the_folder(tmp_path: Path, name: str) -> None:
    journal = FileJournal(tmp_path / "journal")
    for call in (
        lambda: journal.write(SUM, name, b""),
        lambda: journal.read(SUM, name),
        lambda: journal.path(SUM, name),
    ):
        with pytest.raises(ValueError, match="not a journal name"):
            call()
    journal.write(SUM, "kept", b"x")
    with pytest.raises(ValueError, match="not a journal name"):
        journal.erase(SUM, name)
    assert journal.names(SUM) == ["kept"]


def test_the_longest_host_fits_into_a_file_name(tmp_path: Path) -> None:
    name = "confirmations." + "h" * 230
    journal = FileJournal(tmp_path)
    journal.write(SUM, name, b"x")
    assert journal.names(SUM) == [name]


def test_a_half_written_file_has_no_name_and_goes_with_the_next_erasure(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    journal.write(SUM, "input", b"old")
    half = tmp_path / SUM.hex() / ".k3j4h5"
    half.write_bytes(b"ne")
    assert journal.names(SUM) == ["input"]
    assert journal.read(SUM, "input") == b"old"
    journal.erase(SUM, "absent")
    assert not half.exists()


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    journal = FileJournal(tmp_path)
    journal.write(SUM, "input", b"old")

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        if step == "fsync":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="no space"):
            journal.write(SUM, "input", b"new")
    assert journal.read(SUM, "input") == b"old"
    assert [path.name for path in (tmp_path / SUM.hex()).iterdir()] == ["input"]


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / SUM.hex().upper()).mkdir()
    assert FileJournal(tmp_path).ids() == []


def test_erasing_takes_nothing_away_that_another_thread_is_writing(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal")
    journal.write(SUM, "kept", b"")

    def write(number: int) -> None:
        for _ in range(50):
            journal.write(SUM, f"name{number}", b"x" * 1000)

    def erase() -> None:
        for _ in range(200):
            journal.erase(SUM, "absent")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(erase), *(pool.submit(write, number) for number in range(3))]:
            done.result()
    assert journal.names(SUM) == ["kept", "name0", "name1", "name2"]
