from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from models.rows_on_disk import OpenFile, RowsOnDisk

HEADER = 7


def stored(folder: Path, array: np.ndarray) -> RowsOnDisk:
    path = folder / "array"
    path.write_bytes(b"x" * HEADER + array.tobytes() + b"more")
    return RowsOnDisk(OpenFile(path), array.dtype, HEADER, array.shape)


@pytest.mark.parametrize("shape", [(9,), (9, 4), (9, 2, 3)])
def test_rows_are_those_of_the_array(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 100, shape).astype(np.int32)
    rows = stored(tmp_path, array)
    assert (len(rows), rows.shape, rows.dtype) == (9, shape, array.dtype)
    chosen = np.array([8, 0, 3, 3], np.int32)
    for key in (0, np.int32(8), slice(2, 5), slice(None), slice(5, 2), slice(7, 99), chosen, chosen[:0]):
        assert np.array_equal(rows[key], array[key])
        assert np.shape(rows[key]) == array[key].shape
    assert np.array_equal(np.asarray(rows), array)


def test_rows_that_are_not_there_are_refused(tmp_path: Path) -> None:
    rows = stored(tmp_path, np.arange(6, dtype=np.int64).reshape(3, 2))
    for key in (3, -1, np.array([0, 3]), np.array([-1]), slice(0, 3, 2)):
        with pytest.raises(IndexError):
            rows[key]


def test_a_deleted_file_is_read_on_and_a_shorter_one_is_told(tmp_path: Path) -> None:
    array = np.arange(1_000, dtype=np.float32)
    rows = stored(tmp_path, array)
    with (tmp_path / "array").open("r+b") as file:
        (tmp_path / "array").unlink()
        assert rows[999] == 999
        file.truncate(100)
        with pytest.raises(OSError, match="shorter"):
            rows[:]


def test_what_is_read_in_pieces_is_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.arange(1_000, dtype=np.float32)
    rows = stored(tmp_path, array)
    whole = os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, at: whole(file, min(size, 333), at))
    assert np.array_equal(rows[:], array)


def test_the_file_is_closed_with_the_last_array(tmp_path: Path) -> None:
    (tmp_path / "array").write_bytes(bytes(8))
    file = OpenFile(tmp_path / "array")
    descriptor = file.descriptor
    rows = [RowsOnDisk(file, np.int32, 0, (1,)), RowsOnDisk(file, np.int32, 4, (1,))]
    del file
    assert rows.pop()[0] == 0
    os.fstat(descriptor)
    rows.clear()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)
