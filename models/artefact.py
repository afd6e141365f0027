"""Models on disk: arrays as safetensors, names as packed texts, a manifest as JSON. Loading never runs code.

A model is a folder with three files. It is written under another name beside its place, flushed to the disk
and then renamed, so that a crash leaves either no model or a whole one. Loading checks, before anything is
used, that the manifest is of this format, that every file has the size and SHA-256 that the manifest names,
that the arrays fit the schema below and each other, and that no position points outside. Then files are
mapped, not read, so that a model of 100,000 videos costs the memory of the pages in use. Loading imports
numpy only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models import tensors
from models.content import KINDS, newest_by_term
from models.item_scores import Factorized, Sparse
from models.labels import Labels, Texts
from models.serving import ServedModel
from models.tensors import Array, Schema, Spec, broken

if TYPE_CHECKING:
    from models.trained import TrainedModel

FORMAT = 4
MODEL, LABELS, MANIFEST = "model.safetensors", "labels.safetensors", "manifest.json"
MAX_MANIFEST = 4 * 2**20
MAX_SCALAR = 1e9
SCALARS = ("head_size", "content_weight", "near_content", "own_popularity")
RELATED = ("videos", "near", "broad", "content", "users")


def _texts(name: str, size: str) -> dict[str, Spec]:
    return {f"{name}.offsets": Spec("I64", (f"{size}+1",)), f"{name}.data": Spec("U8", (f"{name}_bytes",))}


MODEL_SCHEMA: Schema = {
    "items": Spec("I32", ("items",), low=0, high="videos"),
    "counts": Spec("I32", ("items",), low=0),
    "audience": Spec("I32", ("items",), low=0),
    "U": Spec("F32", ("items", "rank")),
    "V": Spec("F32", ("items", "rank")),
    "weights.offsets": Spec("I32", ("items+1",)),
    "weights.items": Spec("I32", ("weights",), low=0, high="items"),
    "weights.values": Spec("F32", ("weights",)),
    "content.videos": Spec("I32", ("videos", "nearest"), low=-1, high="videos"),
    "content.scores": Spec("F32", ("videos", "nearest")),
    "related.videos": Spec("I32", ("items", "related"), low=-1, high="videos"),
    "related.near": Spec("F32", ("items", "related")),
    "related.broad": Spec("F32", ("items", "related")),
    "related.content": Spec("F32", ("items", "related")),
    "related.users": Spec("I32", ("items", "related"), low=0),
    "features.offsets": Spec("I32", ("videos+1",)),
    "features.ids": Spec("I32", ("stored",), low=0, high="features"),
    "features.weights": Spec("F32", ("stored",)),
    "features.starts": Spec("I64", ("kinds",), low=0),
    "word_hashes": Spec("I64", ("words",), low=0),
    "profiles.offsets": Spec("I32", ("items+1",)),
    "profiles.ids": Spec("I32", ("profiled",), low=0, high="features"),
    "profiles.weights": Spec("F32", ("profiled",)),
    "channel": Spec("I32", ("videos",), low=-1, high="channels"),
    "category": Spec("I32", ("videos",), low=-1, high="categories"),
    "language": Spec("I32", ("videos",), low=-1, high="languages"),
    "published": Spec("F64", ("videos",), nan=True),
    "popularity": Spec("F32", ("videos",)),
    "popular": Spec("I32", ("popular",), low=0, high="videos"),
    **_texts("tag_names", "tags"),
    "new.offsets": Spec("I32", ("terms+1",)),
    "new.videos": Spec("I32", ("new",), low=0, high="videos"),
}
LABELS_SCHEMA: Schema = {
    **_texts("uuid", "videos"),
    **_texts("url", "videos"),
    **_texts("title", "videos"),
    "nsfw": Spec("U8", ("videos",), low=0, high=2),
    **_texts("channels", "channels"),
    **_texts("categories", "categories"),
    **_texts("languages", "languages"),
    "hashes": Spec("U64", ("keys",)),
    "positions": Spec("I32", ("keys",), low=0, high="videos"),
    **_texts("hosts", "hosts"),
    "host": Spec("I32", ("videos",), low=-1, high="hosts"),
    "account": Spec("I32", ("videos",), low=-1),
    "scope": Spec("U8", ("videos",), low=1, high=5),
}
# Offsets into another array: they start at 0, never fall, and end at that array's size.
_OFFSETS = {
    MODEL: {
        "features.offsets": "stored",
        "profiles.offsets": "profiled",
        "weights.offsets": "weights",
        "new.offsets": "new",
        "tag_names.offsets": "tag_names_bytes",
    },
    LABELS: {
        f"{name}.offsets": f"{name}_bytes"
        for name in ("uuid", "url", "title", "channels", "categories", "languages", "hosts")
    },
}


def save(
    model: TrainedModel, directory: Path, *, labels: Labels, provenance: Mapping[str, Any], created: datetime
) -> None:
    """Write a model so that it appears at once or not at all.

    Args:
        model: what training returned.
        directory: the new folder; its parent must exist.
        labels: names of the catalogue's videos.
        provenance: what the model was learnt from, as JSON values.
        created: time of training, with its time zone.

    Raises:
        FileExistsError: the folder exists already.
        ValueError: labels or time do not fit the model.
    """
    from safetensors.numpy import save_file  # here, because the process that only loads has no use for it

    if created.tzinfo is None:
        raise ValueError("the time of creation needs a time zone")
    if directory.exists():
        raise FileExistsError(directory.name)
    arrays, names = model_arrays(model), label_arrays(labels)
    _check_labels(model, labels)
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, scratch / MODEL)
        save_file({name: np.ascontiguousarray(array) for name, array in names.items()}, scratch / LABELS)
        manifest = describe(model, provenance=provenance, created=created)
        manifest["files"] = {name: _fingerprint(scratch / name) for name in (MODEL, LABELS)}
        text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (scratch / MANIFEST).write_text(text + "\n", encoding="utf-8")
        for path in (*scratch.iterdir(), scratch):
            _flush(path)
        scratch.chmod(0o755)
        scratch.rename(directory)
        _flush(directory.parent)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def load(directory: Path) -> ServedModel:
    """Check a model's files and map them.

    Raises:
        ModelFileError: a file is missing, truncated, oversized, altered, of another version, or does not make
        sense.
    """
    manifest = read_manifest(directory)
    for name, expected in manifest["files"].items():
        _check_file(directory / name, expected)
    sizes: dict[str, int] = {}
    for name, schema in ((LABELS, LABELS_SCHEMA), (MODEL, MODEL_SCHEMA)):
        # A mapping of its own, dropped afterwards: pages that only this check needs do not stay in memory.
        _check_arrays(name, tensors.open_arrays(directory / name, schema, sizes), schema, sizes)
    if manifest["scalars"]["head_size"] > sizes["items"]:
        raise broken(MANIFEST, "the head is larger than the model")
    names = tensors.open_arrays(directory / LABELS, LABELS_SCHEMA, sizes)
    arrays = tensors.open_arrays(directory / MODEL, MODEL_SCHEMA, sizes)
    return ServedModel(arrays, _labels(names), manifest)


def in_memory(model: TrainedModel, labels: Labels) -> ServedModel:
    """Serve a model that was never stored, for evaluation and tests."""
    _check_labels(model, labels)
    return ServedModel(model_arrays(model), labels, describe(model, provenance={}, created=None))


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read and check a model's description, without touching its arrays.

    Raises:
        ModelFileError: it is missing, not JSON, of another version, or names files that are not a model's.
    """
    path = directory / MANIFEST
    _check_regular(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_MANIFEST + 1)
    except OSError as error:
        raise broken(MANIFEST, f"it cannot be read ({error.strerror or 'unknown reason'})") from None
    if len(raw) > MAX_MANIFEST:
        raise broken(MANIFEST, "it is larger than any manifest")
    try:
        manifest = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise broken(MANIFEST, "it is not JSON") from None
    if not isinstance(manifest, dict):
        raise broken(MANIFEST, "it is not a JSON object")
    if manifest.get("format") != FORMAT:
        raise broken(MANIFEST, f"its format is not {FORMAT}, the only one that this version of Shoal reads")
    files, scalars = manifest.get("files"), manifest.get("scalars")
    if not isinstance(files, dict) or set(files) != {MODEL, LABELS}:
        raise broken(MANIFEST, f"it must list exactly {MODEL} and {LABELS}")
    if (
        not isinstance(scalars, dict)
        or set(scalars) != set(SCALARS)
        or not all(map(_number, scalars.values()))
    ):
        raise broken(MANIFEST, "its scalars are incomplete or not numbers")
    if type(scalars["head_size"]) is not int or scalars["head_size"] < 0:
        raise broken(MANIFEST, "the size of the head is not a count")
    return manifest


def model_arrays(model: TrainedModel) -> dict[str, Array]:
    """All arrays of a model as they are stored, by the names of `MODEL_SCHEMA`."""
    texts = Texts.pack(model.tag_names)
    content, size = model.content, len(model.items)
    offsets, newest = newest_by_term(content, model.published, model.items)
    thin = Factorized(*(np.zeros((size, 0), np.float32),) * 2)
    sparse = Sparse(np.zeros(size + 1, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))
    if isinstance(model.scoring, Sparse):
        sparse = model.scoring
    else:
        thin = model.scoring
    plain = ("items", "counts", "audience", "word_hashes", "channel", "category", "language", "published")
    return {name: getattr(model, name) for name in (*plain, "popularity", "popular")} | {
        "U": thin.U,
        "V": thin.V,
        "weights.offsets": sparse.offsets,
        "weights.items": sparse.columns,
        "weights.values": sparse.weights,
        "content.videos": model.content_lists.videos,
        "content.scores": model.content_lists.scores,
        **{f"related.{part}": getattr(model.related, part) for part in RELATED},
        "features.offsets": content.offsets,
        "features.ids": content.ids,
        "features.weights": content.weights,
        "features.starts": content.starts,
        "profiles.offsets": model.profiles.offsets,
        "profiles.ids": model.profiles.ids,
        "profiles.weights": model.profiles.weights,
        "tag_names.offsets": texts.offsets,
        "tag_names.data": texts.data,
        "new.offsets": offsets,
        "new.videos": newest,
    }


def label_arrays(labels: Labels) -> dict[str, Array]:
    """All arrays of labels as they are stored, by the names of `LABELS_SCHEMA`."""
    arrays: dict[str, Array] = {}
    for name in LABELS_SCHEMA:
        column, _, part = name.partition(".")
        value = getattr(labels, column)
        arrays[name] = getattr(value, part) if part else value
    return arrays


def describe(
    model: TrainedModel, *, provenance: Mapping[str, Any], created: datetime | None
) -> dict[str, Any]:
    """Manifest of a model, without its files."""
    return {
        "format": FORMAT,
        "created": created.isoformat() if created else None,
        "sizes": {
            "videos": len(model.published),
            "items": len(model.items),
            "tags": len(model.tag_names),
            "words": len(model.word_hashes),
        },
        "scalars": {name: getattr(model, name) for name in SCALARS},
        "recipe": asdict(model.recipe),
        "ridge": model.ridge,
        "seconds": dict(model.seconds),
        "provenance": dict(provenance),
    }


def _check_labels(model: TrainedModel, labels: Labels) -> None:
    if len(labels) != len(model.published):
        raise ValueError("labels and model must describe the same catalogue")
    for names, column in (
        (labels.channels, model.channel),
        (labels.categories, model.category),
        (labels.languages, model.language),
        (labels.hosts, labels.host),
    ):
        if int(column.max(initial=-1)) >= len(names):
            raise ValueError("every channel, category, language and host number needs a name")


def _labels(arrays: Mapping[str, Array]) -> Labels:
    def texts(name: str) -> Texts:
        return Texts(arrays[f"{name}.offsets"], arrays[f"{name}.data"])

    return Labels(
        uuid=texts("uuid"),
        url=texts("url"),
        title=texts("title"),
        nsfw=arrays["nsfw"],
        channels=texts("channels"),
        categories=texts("categories"),
        languages=texts("languages"),
        hashes=arrays["hashes"],
        positions=arrays["positions"],
        host=arrays["host"],
        account=arrays["account"],
        scope=arrays["scope"],
        hosts=texts("hosts"),
    )


def _check_arrays(file: str, arrays: Mapping[str, Array], schema: Schema, sizes: Mapping[str, int]) -> None:
    if file == MODEL:
        sizes = {**sizes, "features": _features(arrays["features.starts"], sizes)}
    for name, array in arrays.items():
        if problem := tensors.check_values(name, array, schema[name], sizes):
            raise broken(file, problem)
    for name, target in _OFFSETS[file].items():
        offsets = arrays[name]
        if offsets[0] != 0 or offsets[-1] != sizes[target] or (np.diff(offsets) < 0).any():
            raise broken(file, f"{name} does not divide its array into parts")
    if file == LABELS and (arrays["hashes"][1:] < arrays["hashes"][:-1]).any():
        raise broken(file, "hashes are not sorted")
    if file == MODEL and np.unique(arrays["items"]).size != arrays["items"].size:
        raise broken(file, "items holds a video twice")
    if file == MODEL and np.unique(arrays["popular"]).size != arrays["popular"].size:
        raise broken(file, "popular holds a video twice")


def _features(starts: Array, sizes: Mapping[str, int]) -> int:
    """Return how many features there are, if the kinds lie one after the other and fit the names."""
    tags, words = sizes["tags"], sizes["words"]
    if starts.size != len(KINDS) + 1 or starts[:3].tolist() != [0, tags, tags + words]:
        raise broken(MODEL, "features.starts does not fit the tags and words")
    named = [sizes[name] for name in ("channels", "categories", "languages")]
    widths = np.diff(starts[2:])
    if (widths < 0).any() or (widths > named).any() or sizes["terms"] != tags + words:
        raise broken(MODEL, "features.starts does not divide the features into kinds that have names")
    return int(starts[-1])


def _check_regular(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError:
        raise broken(path.name, "it is missing") from None
    if not stat.S_ISREG(mode):
        raise broken(path.name, "it is not a plain file")


def _check_file(path: Path, expected: Any) -> None:
    _check_regular(path)
    if not isinstance(expected, dict) or set(expected) != {"bytes", "sha256"}:
        raise broken(MANIFEST, f"its entry for {path.name} is incomplete")
    size = path.stat().st_size
    if size != expected["bytes"]:
        raise broken(path.name, f"it has {size} bytes where the manifest names another size")
    try:
        found = _fingerprint(path)
    except OSError as error:
        raise broken(path.name, f"it cannot be read ({error.strerror or 'unknown reason'})") from None
    if found != expected:
        raise broken(path.name, "its SHA-256 is not the one in the manifest")


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": digest}


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < MAX_SCALAR


def _refuse_constant(_: str) -> None:
    raise ValueError("NaN and infinities are not JSON")
