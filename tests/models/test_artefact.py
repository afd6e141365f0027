from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from models import artefact
from models.errors import ModelFileError
from models.export import export
from tests import ROOT
from tests.models.made import made_labels, made_model

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    place = tmp_path / "m1"
    artefact.save(
        made_model(), place, labels=made_labels(nsfw=0.2), provenance={"sessions": ["s1"]}, created=NOW
    )
    return place


def rewrite_manifest(place: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((place / artefact.MANIFEST).read_text())
    change(manifest)
    (place / artefact.MANIFEST).write_text(json.dumps(manifest))


def rewrite_arrays(place: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Alter arrays and make the hashes fit again, as somebody with write access could."""
    arrays = load_file(place / name)
    change(arrays)
    save_file(arrays, place / name)
    sign_again(place, name)


def sign_again(place: Path, name: str) -> None:
    raw = (place / name).read_bytes()
    entry = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    rewrite_manifest(place, lambda manifest: manifest["files"].__setitem__(name, entry))


def test_what_was_saved_is_what_is_served(stored: Path) -> None:
    model, labels = made_model(), made_labels(nsfw=0.2)
    fresh, loaded = artefact.in_memory(model, labels), artefact.load(stored)
    for video in range(len(labels)):
        assert loaded.related(video) == fresh.related(video)
        assert loaded.label(video) == fresh.label(video)
    assert loaded.recommend([1, 2, 3]) == fresh.recommend([1, 2, 3])
    assert loaded.manifest["provenance"] == {"sessions": ["s1"]}
    assert loaded.manifest["created"] == "2026-03-01T12:00:00+00:00"
    assert loaded.manifest["recipe"]["rank"] == 8
    assert loaded.manifest["noise"] == {"counts": 0.0, "pairs": 0.0}


def test_a_manifest_from_before_there_was_noise_still_loads(stored: Path) -> None:
    rewrite_manifest(stored, lambda manifest: manifest.pop("noise"))
    assert artefact.load(stored).recommend([1, 2, 3])


def test_saving_twice_gives_the_same_bytes(stored: Path, tmp_path: Path) -> None:
    again = tmp_path / "m2"
    artefact.save(
        made_model(), again, labels=made_labels(nsfw=0.2), provenance={"sessions": ["s1"]}, created=NOW
    )
    for path in stored.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()


def test_a_failed_save_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        artefact.save(
            made_model(), tmp_path / "m", labels=made_labels(), provenance={"x": object()}, created=NOW
        )
    assert list(tmp_path.iterdir()) == []


def test_an_existing_model_is_never_overwritten(stored: Path) -> None:
    with pytest.raises(FileExistsError):
        artefact.save(made_model(seed=1), stored, labels=made_labels(), provenance={}, created=NOW)
    artefact.load(stored)


def test_labels_of_another_catalogue_are_our_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same catalogue"):
        artefact.save(made_model(60), tmp_path / "m", labels=made_labels(61), provenance={}, created=NOW)
    with pytest.raises(ValueError, match="needs a name"):
        artefact.save(
            made_model(), tmp_path / "m", labels=made_labels(channels=2), provenance={}, created=NOW
        )


@pytest.mark.parametrize("name", [artefact.MODEL, artefact.LABELS, artefact.MANIFEST])
def test_missing_truncated_and_oversized_files(stored: Path, name: str) -> None:
    path = stored / name
    raw = path.read_bytes()
    for spoilt in (raw[:-2], raw[: len(raw) // 2], raw[:4], b""):
        path.write_bytes(spoilt)
        with pytest.raises(ModelFileError, match="train again"):
            artefact.load(stored)
    if name != artefact.MANIFEST:
        path.write_bytes(raw + b"\0")
        with pytest.raises(ModelFileError, match="bytes where the manifest"):
            artefact.load(stored)
    path.unlink()
    with pytest.raises(ModelFileError, match="missing"):
        artefact.load(stored)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    name=st.sampled_from([artefact.MODEL, artefact.LABELS]),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_any_flipped_bit_is_noticed(stored: Path, name: str, place: float, bit: int) -> None:
    path = stored / name
    raw = path.read_bytes()
    spoilt = bytearray(raw)
    spoilt[int(place * len(raw))] ^= 1 << bit
    path.write_bytes(spoilt)
    try:
        with pytest.raises(ModelFileError, match="SHA-256"):
            artefact.load(stored)
    finally:
        path.write_bytes(raw)


ALTERED: list[tuple[str, Callable[[dict[str, Any]], None], str]] = [
    (artefact.MODEL, lambda a: a.update(U=a["U"].astype(np.float64)), "element type F32"),
    (artefact.MODEL, lambda a: a.update(U=a["U"][:, :-1].copy()), "does not fit"),
    (artefact.MODEL, lambda a: a.update(counts=a["counts"][:-1].copy()), "does not fit"),
    (artefact.MODEL, lambda a: a.pop("V"), "V is missing"),
    (artefact.MODEL, lambda a: a.update(extra=np.zeros(3, np.float32)), "there are more"),
    (artefact.MODEL, lambda a: a.update(U=a["U"].reshape(-1)), "2 dimensions"),
    (artefact.MODEL, lambda a: a["U"].__setitem__((0, 0), np.nan), "not finite"),
    (artefact.MODEL, lambda a: a["related_videos"].__setitem__((0, 0), 60), "beyond the end"),
    (artefact.MODEL, lambda a: a["related_videos"].__setitem__((0, 0), -2), "too small"),
    (artefact.MODEL, lambda a: a["items"].__setitem__(0, a["items"][1]), "twice"),
    (artefact.MODEL, lambda a: a["tag_ids"].__setitem__(0, 30), "beyond the end"),
    (artefact.MODEL, lambda a: a["tag_offsets"].__setitem__(-1, 10**6), "into parts"),
    (artefact.MODEL, lambda a: a["tag_offsets"].__setitem__(1, 2**30), "into parts"),
    (artefact.MODEL, lambda a: a["tag_names.offsets"].__setitem__(0, 1), "into parts"),
    (artefact.MODEL, lambda a: a["channel"].__setitem__(0, 99), "beyond the end"),
    (artefact.LABELS, lambda a: a["positions"].__setitem__(0, 60), "beyond the end"),
    (artefact.LABELS, lambda a: a.update(hashes=a["hashes"][::-1].copy()), "not sorted"),
    (artefact.LABELS, lambda a: a["uuid.offsets"].__setitem__(3, -1), "into parts"),
    (artefact.LABELS, lambda a: a.update({"uuid.offsets": a["uuid.offsets"][:-1].copy()}), "does not"),
    (artefact.LABELS, lambda a: a["nsfw"].__setitem__(0, 2), "beyond the end"),
]


@pytest.mark.parametrize(("name", "change", "problem"), ALTERED)
def test_arrays_that_make_no_sense_are_refused_even_with_fitting_hashes(
    stored: Path, name: str, change: Callable[[dict[str, Any]], None], problem: str
) -> None:
    rewrite_arrays(stored, name, change)
    with pytest.raises(ModelFileError, match=problem):
        artefact.load(stored)


HEADERS = [
    b"",
    b"[]",
    b"{",
    b"\xff\xfe",
    b'{"U": 1}',
    b"[" * 5000,
    b'{"items": {"dtype": "I32", "shape": [1], "data_offsets": [0, -4]}}',
]


@pytest.mark.parametrize("header", HEADERS)
def test_headers_that_make_no_sense_are_refused(stored: Path, header: bytes) -> None:
    (stored / artefact.MODEL).write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    sign_again(stored, artefact.MODEL)
    with pytest.raises(ModelFileError):
        artefact.load(stored)


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**40, 2**64 - 1])
def test_impossible_header_lengths_are_refused(stored: Path, length: int) -> None:
    raw = (stored / artefact.MODEL).read_bytes()
    (stored / artefact.MODEL).write_bytes(struct.pack("<Q", length) + raw[8:])
    sign_again(stored, artefact.MODEL)
    with pytest.raises(ModelFileError, match="impossible length"):
        artefact.load(stored)


def test_overlapping_buffers_are_refused(stored: Path) -> None:
    raw = (stored / artefact.MODEL).read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    header["V"]["data_offsets"] = header["U"]["data_offsets"]
    text = json.dumps(header).encode().ljust(length)
    (stored / artefact.MODEL).write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])
    sign_again(stored, artefact.MODEL)
    with pytest.raises(ModelFileError, match="overlap"):
        artefact.load(stored)


MANIFESTS: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (lambda m: m.update(format=1), "format is not 2"),
    (lambda m: m.pop("format"), "format is not 2"),
    (lambda m: m["files"].pop(artefact.LABELS), "exactly"),
    (lambda m: m["files"].update({"../../etc/passwd": {"bytes": 1, "sha256": ""}}), "exactly"),
    (lambda m: m["files"].update({artefact.MODEL: "x"}), "incomplete"),
    (lambda m: m["scalars"].pop("content_weight"), "scalars"),
    (lambda m: m["scalars"].update(content_weight=True), "scalars"),
    (lambda m: m["scalars"].update(content_weight=10**400), "scalars"),
    (lambda m: m["scalars"].update(content_weight=float("nan")), "not JSON"),
    (lambda m: m["scalars"].update(head_size=26), "head"),
    (lambda m: m["scalars"].update(head_size=2.5), "head"),
]


@pytest.mark.parametrize(("change", "problem"), MANIFESTS)
def test_manifests_that_make_no_sense_are_refused(
    stored: Path, change: Callable[[dict[str, Any]], None], problem: str
) -> None:
    rewrite_manifest(stored, change)
    with pytest.raises(ModelFileError, match=problem):
        artefact.load(stored)


@pytest.mark.parametrize(
    "text", ["", "[]", "nonsense", "[" * 100_000, '{"format": 1' + " " * (5 * 2**20) + "}"]
)
def test_manifests_that_are_none_are_refused(stored: Path, text: str) -> None:
    (stored / artefact.MANIFEST).write_text(text)
    with pytest.raises(ModelFileError):
        artefact.load(stored)


@pytest.mark.parametrize("name", [artefact.MODEL, artefact.LABELS, artefact.MANIFEST])
def test_links_out_of_the_folder_are_not_followed(stored: Path, tmp_path: Path, name: str) -> None:
    moved = tmp_path / "elsewhere"
    (stored / name).rename(moved)
    (stored / name).symlink_to(moved)
    with pytest.raises(ModelFileError, match="not a plain file"):
        artefact.load(stored)


def test_errors_name_no_folder_and_no_title(stored: Path) -> None:
    (stored / artefact.MODEL).write_bytes(b"x")
    with pytest.raises(ModelFileError) as caught:
        artefact.load(stored)
    assert str(stored.parent) not in str(caught.value)
    assert "A title" not in str(caught.value)


def test_loading_and_serving_imports_numpy_only(stored: Path) -> None:
    code = """
import sys
from pathlib import Path
from models import artefact, serving, ranking, explain, labels, content
model = artefact.load(Path(sys.argv[1]))
assert model.related(0) and model.recommend([1, 2]) and model.explain([1, 2], 3)
banned = {"scipy", "torch", "pandas", "safetensors", "pickle5", "flwr", "models.trained", "models.features"}
print(sorted(banned & set(sys.modules)))
"""
    command = [sys.executable, "-c", code, str(stored)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_empty_catalogue_and_model_without_items(tmp_path: Path) -> None:
    model = made_model(60, 4, related=3)
    none = {
        name: getattr(model, name)[:0]
        for name in ("items", "counts", "U", "V", "diagonal", "related_coengagement", "related_users")
    }
    artefact.save(
        dataclasses.replace(model, **none, head_size=0),
        tmp_path / "m",
        labels=made_labels(),
        provenance={},
        created=NOW,
    )
    loaded = artefact.load(tmp_path / "m")
    assert len(loaded.related(5)) > 0
    assert loaded.recommend([]) == []


def test_export_can_be_used_without_shoal(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    export(stored, out)
    readme = (out / "README.md").read_text()
    example = readme.split("```python\n")[1].split("```")[0]
    done = subprocess.run(
        [sys.executable, "-I", "-c", example], cwd=out, stdout=subprocess.PIPE, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].count("https://") == 5
    assert lines[1].count("https://") == 5
    assert all(f"`{name}`" in readme for name in artefact.MODEL_SCHEMA)
    first = json.loads((out / "videos.jsonl").read_text().splitlines()[0])
    served = artefact.load(stored)
    assert first["uuid"] == served.label(0).uuid
    assert first["tags"] == served.tags(0)
    with pytest.raises(FileExistsError):
        export(stored, out)


def test_exported_scores_are_the_served_ones(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    export(stored, out)
    arrays, served = load_file(out / artefact.MODEL), artefact.load(stored)
    history = arrays["items"][:3].tolist()
    x = np.isin(arrays["items"], history).astype(np.float32)
    scores = x @ arrays["U"] @ arrays["V"].T
    for place, video in enumerate(arrays["items"].tolist()):
        assert served.explain(history, video).score == pytest.approx(scores[place], abs=1e-5)
