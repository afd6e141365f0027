"""Arrays of a file of which single rows are read when somebody asks, and no page stays in memory.

A mapped page counts as memory of the process, and with each one the kernel maps its neighbours: up to two
megabytes for a row of a hundred bytes. Reading the row takes a microsecond where the kernel has it in its
cache, which is where a mapped page comes from as well.
"""

from __future__ import annotations

import math
import os
import weakref
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Rows(Protocol):
    """What an array in memory and one on disk have in common.

    Rows by number, by range, or by several numbers; `np.asarray` of either is the whole array.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, and what each consists of."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...

    def __array__(self) -> NDArray[Any]: ...


class OpenFile:
    """A file that stays open as long as something reads from it, even when it is deleted meanwhile."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises OSError."""
        self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        weakref.finalize(self, os.close, self.descriptor)


class RowsOnDisk:
    """An array of a file, read row by row. For any number of threads.

    Attributes:
        dtype: of its numbers.
        shape: rows, and what each consists of.
    """

    def __init__(
        self, file: OpenFile, dtype: type[np.generic] | np.dtype[Any], offset: int, shape: tuple[int, ...]
    ) -> None:
        """Take the place of the array in the file: bytes before it, and its shape."""
        self._file, self._descriptor, self._offset = file, file.descriptor, offset
        self.dtype, self.shape, self._rows = np.dtype(dtype), shape, shape[0]
        self._row = self.dtype.itemsize * math.prod(shape[1:])

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, key: int | np.integer[Any] | slice | NDArray[np.integer[Any]]) -> Any:
        """Return one row, the rows of a range, or several rows, all from 0, as an array of its own.

        Raises:
            IndexError: there is no such row.
            OSError: the file cannot be read, or is shorter than it was.
        """
        if isinstance(key, slice):
            start, stop, step = key.indices(self._rows)
            if step != 1:
                raise IndexError("a range of rows has no gaps")
            found = np.frombuffer(self._read(start, max(stop, start)), self.dtype)
            return found.reshape(-1, *self.shape[1:]) if len(self.shape) > 1 else found
        if isinstance(key, np.ndarray):
            if key.size and not 0 <= key.min() <= key.max() < self._rows:
                raise IndexError("there is no such row")
            raw = b"".join([self._read(row, row + 1) for row in key.tolist()])
            return np.frombuffer(raw, self.dtype).reshape(key.size, *self.shape[1:])
        row = int(key)
        if not 0 <= row < self._rows:
            raise IndexError("there is no such row")
        found = np.frombuffer(self._read(row, row + 1), self.dtype)
        return found.reshape(self.shape[1:]) if len(self.shape) > 1 else found[0]

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        """Read all of it: what numpy asks for where it needs the whole array."""
        whole: NDArray[Any] = self[:]
        return whole.astype(dtype or self.dtype, copy=False)

    def _read(self, start: int, stop: int) -> bytes:
        wanted, offset = (stop - start) * self._row, self._offset + start * self._row
        raw = os.pread(self._descriptor, wanted, offset)
        while len(raw) < wanted:
            # One call reads two gigabytes at most, and may be interrupted.
            more = os.pread(self._descriptor, wanted - len(raw), offset + len(raw))
            if not more:
                raise OSError("the file of an array has become shorter")
            raw += more
        return raw
