"""Reads safetensors files into memory-mapped arrays, trusting nothing that the file says. Imports numpy only.

Layout (github.com/huggingface/safetensors): 8 bytes little-endian length of the header, the header as JSON,
then the buffers without gaps. The file is checked against a schema before any array is handed out:

- the header names exactly the arrays of the schema, with the right element type;
- dimensions that share a name in the schema have one size;
- buffers lie one after the other and end where the file ends;
- floats are finite, in the arrays for which the schema does not say otherwise.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelFileError

Array = NDArray[Any]

MAX_HEADER = 64 * 1024
MAX_FILE = 16 * 2**30
RETRAIN = "Delete this model and train again, or import it again from where it came"

_TYPES: Mapping[str, type[np.generic]] = {
    "U8": np.uint8,
    "I32": np.int32,
    "I64": np.int64,
    "U64": np.uint64,
    "F32": np.float32,
    "F64": np.float64,
}


@dataclass(frozen=True)
class Spec:
    """Element type and dimensions of one array.

    Dimensions are names, which all arrays of a file share, or a name followed by "+1". `low` and `high` bound
    integers (`high` names a dimension or is a number, exclusive); `nan` allows not-a-number.
    """

    dtype: str
    shape: tuple[str, ...]
    low: int | None = None
    high: str | int | None = None
    nan: bool = False


Schema = Mapping[str, Spec]


def open_arrays(path: Path, schema: Schema, sizes: dict[str, int]) -> dict[str, Array]:
    """Check a file against a schema and map its arrays, read-only.

    Args:
        path: a safetensors file.
        schema: every array that the file must hold.
        sizes: sizes of dimensions known so far; those found here are added.

    Raises:
        ModelFileError: the file is missing, truncated, oversized, altered, or does not fit the schema.
    """
    try:
        with path.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            if not 8 <= total <= MAX_FILE:
                raise broken(path.name, f"it has {total} bytes")
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER, total - 8):
                raise broken(path.name, "its header has an impossible length")
            header = _parse(path.name, file.read(length))
    except OSError as error:
        raise broken(path.name, f"it cannot be read ({error.strerror or 'unknown reason'})") from None
    header.pop("__metadata__", None)
    if set(header) != set(schema):
        raise broken(path.name, f"its arrays are not those of this format: {_difference(header, schema)}")
    begin = 8 + length
    places = {name: _place(path.name, name, header[name], schema[name], sizes) for name in schema}
    _check_layout(path.name, list(places.values()), total - begin)
    return {
        name: _map(path, _TYPES[schema[name].dtype], begin + start, shape)
        for name, (shape, start, _) in places.items()
    }


def check_values(name: str, array: Array, spec: Spec, sizes: Mapping[str, int]) -> str | None:
    """Return what is wrong with the values of an array, None if nothing."""
    if array.size == 0:
        return None
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        finite = math.isfinite(low) and math.isfinite(high)
        return (
            None
            if finite or (spec.nan and not np.isinf(array).any())
            else f"{name} holds numbers that are not finite"
        )
    high_bound = sizes[spec.high] if isinstance(spec.high, str) else spec.high
    if spec.low is not None and int(array.min()) < spec.low:
        return f"{name} holds numbers that are too small"
    if high_bound is not None and int(array.max()) >= high_bound:
        return f"{name} points beyond the end"
    return None


def broken(name: str, problem: str) -> ModelFileError:
    """Error for a file of a model, with the advice that helps with all of them."""
    return ModelFileError(f"the model file {name} cannot be used: {problem}. {RETRAIN}.")


def _parse(name: str, raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise broken(name, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise broken(name, "its header is not a JSON object")
    return header


def _difference(header: Mapping[str, Any], schema: Schema) -> str:
    missing = sorted(set(schema) - set(header))
    return f"{missing[0]} is missing" if missing else "there are more"


def _place(
    file: str, name: str, entry: Any, spec: Spec, sizes: dict[str, int]
) -> tuple[tuple[int, ...], int, int]:
    try:
        dtype, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise broken(file, f"its entry for {name} is incomplete") from None
    if dtype != spec.dtype:
        raise broken(file, f"{name} does not have the element type {spec.dtype}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in (*shape, start, stop)):
        raise broken(file, f"its entry for {name} has impossible numbers")
    if len(shape) != len(spec.shape):
        raise broken(file, f"{name} does not have {len(spec.shape)} dimensions")
    for size, dimension in zip(shape, spec.shape, strict=True):
        known = dimension.removesuffix("+1")
        found = size - 1 if dimension.endswith("+1") else size
        if found < 0 or sizes.setdefault(known, found) != found:
            raise broken(file, f"{name} has a size that does not fit the other arrays")
    if stop - start != math.prod(shape) * np.dtype(_TYPES[dtype]).itemsize:
        raise broken(file, f"{name} has another size than its shape says")
    return tuple(shape), start, stop


def _check_layout(file: str, places: list[tuple[tuple[int, ...], int, int]], available: int) -> None:
    end = 0
    for _, start, stop in sorted(places, key=lambda place: place[1:]):
        if start != end:
            raise broken(file, "its buffers overlap or leave gaps")
        end = stop
    if end != available:
        raise broken(file, f"its buffers need {end} bytes and it has {available}")


def _map(path: Path, dtype: type[np.generic], offset: int, shape: tuple[int, ...]) -> Array:
    if math.prod(shape) == 0:
        return np.zeros(shape, dtype)
    # A plain view: indexing a memmap object costs a microsecond more each time.
    return np.asarray(np.memmap(path, dtype, "r", offset, shape))
