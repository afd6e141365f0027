from __future__ import annotations

import dataclasses
import hashlib
import json
import re
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
from models.item_scores import FORMS, Form
from models.ranking import ListRules, history_weight
from models.serving import ServedModel
from tests import ROOT
from tests.models.made import made_labels, made_model

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def store(place: Path, form: Form = "factorized") -> Path:
    labels = made_labels(nsfw=0.2)
    artefact.save(made_model(form=form), place, labels=labels, provenance={"rounds": ["s1"]}, created=NOW)
    return place


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return store(tmp_path / "m1")


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


@pytest.mark.parametrize("form", FORMS)
def test_what_was_saved_is_what_is_served(tmp_path: Path, form: Form) -> None:
    model, labels = made_model(form=form), made_labels(nsfw=0.2)
    fresh, loaded = artefact.in_memory(model, labels), artefact.load(store(tmp_path / "m1", form))
    for video in range(len(labels)):
        assert loaded.related(video) == fresh.related(video)
        assert loaded.label(video) == fresh.label(video)
        assert loaded.explain([1, 2, 3], video) == fresh.explain([1, 2, 3], video)
    for history in ([1, 2, 3], model.items[:5].tolist()):
        assert loaded.recommend(history) == fresh.recommend(history)
    assert type(loaded.scoring) is type(model.scoring)
    assert loaded.manifest["provenance"] == {"rounds": ["s1"]}
    assert loaded.manifest["created"] == "2026-03-01T12:00:00+00:00"
    assert loaded.manifest["recipe"]["rank"] == 8
    assert (loaded.manifest["recipe"]["form"], loaded.manifest["ridge"]) == (form, 3.0)
    assert loaded.manifest["format"] == artefact.FORMAT
    assert loaded.manifest["sizes"]["words"] == model.word_hashes.size > 0
    np.testing.assert_array_equal(loaded.counts, model.counts)
    assert loaded.by_viewers.tolist() == model.items[np.argsort(-model.counts, kind="stable")].tolist()


def test_saving_twice_gives_the_same_bytes(stored: Path, tmp_path: Path) -> None:
    again = tmp_path / "m2"
    artefact.save(
        made_model(), again, labels=made_labels(nsfw=0.2), provenance={"rounds": ["s1"]}, created=NOW
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
    (artefact.MODEL, lambda a: a["related.videos"].__setitem__((0, 0), 60), "beyond the end"),
    (artefact.MODEL, lambda a: a["related.videos"].__setitem__((0, 0), -2), "too small"),
    (artefact.MODEL, lambda a: a["related.near"].__setitem__((0, 0), np.inf), "not finite"),
    (artefact.MODEL, lambda a: a.update({"related.broad": a["related.broad"][:, 1:].copy()}), "does not fit"),
    (
        artefact.MODEL,
        lambda a: a.update({"related.content": a["related.content"][1:].copy()}),
        "does not fit",
    ),
    (artefact.MODEL, lambda a: a["related.users"].__setitem__((0, 0), -1), "too small"),
    (artefact.MODEL, lambda a: a["content.videos"].__setitem__((0, 0), 60), "beyond the end"),
    (artefact.MODEL, lambda a: a["content.videos"].__setitem__((59, 0), -2), "too small"),
    (artefact.MODEL, lambda a: a["content.scores"].__setitem__((0, 0), np.nan), "not finite"),
    (artefact.MODEL, lambda a: a["items"].__setitem__(0, a["items"][1]), "twice"),
    (artefact.MODEL, lambda a: a.pop("audience"), "audience is missing"),
    (artefact.MODEL, lambda a: a["audience"].__setitem__(0, -1), "too small"),
    (artefact.MODEL, lambda a: a.update(audience=a["audience"][:-1].copy()), "does not fit"),
    (artefact.MODEL, lambda a: a["popularity"].__setitem__(0, np.nan), "not finite"),
    (artefact.MODEL, lambda a: a.update(popularity=a["popularity"][:-1].copy()), "does not fit"),
    (artefact.MODEL, lambda a: a["popular"].__setitem__(0, 60), "beyond the end"),
    (artefact.MODEL, lambda a: a["popular"].__setitem__(-1, a["popular"][-2]), "popular"),
    (artefact.MODEL, lambda a: a["features.ids"].__setitem__(0, a["features.starts"][-1]), "beyond the end"),
    (artefact.MODEL, lambda a: a["features.ids"].__setitem__(0, -1), "too small"),
    (artefact.MODEL, lambda a: a["features.offsets"].__setitem__(-1, 10**6), "into parts"),
    (artefact.MODEL, lambda a: a["features.offsets"].__setitem__(1, 2**30), "into parts"),
    (artefact.MODEL, lambda a: a["features.weights"].__setitem__(0, -np.inf), "not finite"),
    (
        artefact.MODEL,
        lambda a: a.update({"features.starts": a["features.starts"][:-1].copy()}),
        "the tags and",
    ),
    (artefact.MODEL, lambda a: a["features.starts"].__setitem__(0, 1), "the tags and words"),
    (artefact.MODEL, lambda a: a["features.starts"].__setitem__(1, 29), "the tags and words"),
    (artefact.MODEL, lambda a: a["features.starts"].__setitem__(2, 10**6), "the tags and words"),
    (artefact.MODEL, lambda a: a["features.starts"].__setitem__(3, 1), "into kinds"),
    (artefact.MODEL, lambda a: a["word_hashes"].__setitem__(0, -1), "too small"),
    (artefact.MODEL, lambda a: a.update(word_hashes=a["word_hashes"][:-1].copy()), "the tags and words"),
    (artefact.MODEL, lambda a: a["profiles.offsets"].__setitem__(2, 0), "into parts"),
    (artefact.MODEL, lambda a: a["profiles.ids"].__setitem__(0, 2**30), "beyond the end"),
    (artefact.MODEL, lambda a: a["profiles.weights"].__setitem__(0, np.nan), "not finite"),
    (artefact.MODEL, lambda a: a.update({"new.offsets": a["new.offsets"][:-1].copy()}), "into kinds"),
    (artefact.MODEL, lambda a: a["new.videos"].__setitem__(0, 60), "beyond the end"),
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


SPARSE: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (lambda a: a["weights.offsets"].__setitem__(0, 1), "into parts"),
    (lambda a: a["weights.offsets"].__setitem__(-1, 0), "into parts"),
    (lambda a: a["weights.items"].__setitem__(0, 25), "beyond the end"),
    (lambda a: a["weights.items"].__setitem__(0, -1), "too small"),
    (lambda a: a["weights.values"].__setitem__(0, np.nan), "not finite"),
    (lambda a: a.update({"weights.values": a["weights.values"][:-1].copy()}), "does not fit"),
    (lambda a: a.update(V=np.zeros((25, 1), np.float32)), "does not fit"),
]


@pytest.mark.parametrize(("change", "problem"), SPARSE)
def test_weights_that_make_no_sense_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], problem: str
) -> None:
    place = store(tmp_path / "m1", "sparse")
    rewrite_arrays(place, artefact.MODEL, change)
    with pytest.raises(ModelFileError, match=problem):
        artefact.load(place)


@pytest.mark.parametrize("form", FORMS)
def test_no_array_may_be_missing_or_of_another_type(tmp_path: Path, form: Form) -> None:
    place = store(tmp_path / "m1", form)
    arrays = load_file(place / artefact.MODEL)
    assert set(arrays) == set(artefact.MODEL_SCHEMA)
    for name, array in arrays.items():
        missing = {other: kept for other, kept in arrays.items() if other != name}
        other_type = arrays | {name: np.zeros(array.shape, np.int16)}
        for changed, problem in ((missing, "is missing"), (other_type, "element type")):
            save_file(changed, place / artefact.MODEL)
            sign_again(place, artefact.MODEL)
            with pytest.raises(ModelFileError, match=problem):
                artefact.load(place)


@pytest.mark.parametrize("kind", [3, 4, 5])
def test_no_more_channels_categories_and_languages_are_features_than_have_names(
    stored: Path, kind: int
) -> None:
    """A profile is as long as there are features, and an explanation names them."""

    def widen(arrays: dict[str, Any]) -> None:
        arrays["features.starts"][kind:] += 10**12

    rewrite_arrays(stored, artefact.MODEL, widen)
    with pytest.raises(ModelFileError):
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
    (lambda m: m.update(format=3), "format is not 4"),
    (lambda m: m.pop("format"), "format is not 4"),
    (lambda m: m["files"].pop(artefact.LABELS), "exactly"),
    (lambda m: m["files"].update({"../../etc/passwd": {"bytes": 1, "sha256": ""}}), "exactly"),
    (lambda m: m["files"].update({artefact.MODEL: "x"}), "incomplete"),
    (lambda m: m["scalars"].pop("content_weight"), "scalars"),
    (lambda m: m["scalars"].pop("own_popularity"), "scalars"),
    (lambda m: m["scalars"].pop("near_content"), "scalars"),
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
    assert "ünïcode" not in str(caught.value)


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


@pytest.mark.parametrize("form", FORMS)
def test_empty_catalogue_and_model_without_items(tmp_path: Path, form: Form) -> None:
    model = dataclasses.replace(made_model(60, 0, related=3, form=form), popular=np.zeros(0, np.int32))
    artefact.save(model, tmp_path / "m", labels=made_labels(), provenance={}, created=NOW)
    loaded = artefact.load(tmp_path / "m")
    assert len(loaded.related(5)) > 0
    assert loaded.recommend([]) == []


@pytest.mark.parametrize("form", FORMS)
def test_export_can_be_used_without_shoal(tmp_path: Path, form: Form) -> None:
    place, out = store(tmp_path / "m1", form), tmp_path / "exported"
    export(place, out)
    readme = (out / "README.md").read_text()
    example = readme.split("```python\n")[1].split("```")[0]
    done = subprocess.run(
        [sys.executable, "-I", "-c", example], cwd=out, stdout=subprocess.PIPE, text=True, check=True
    )
    served = arranged(place)
    following, beside = (re.findall(r"https://[^']+", line) for line in done.stdout.splitlines())
    items = served.items.tolist()
    expected = [served.label(one.video).url for one in served.recommend(items[:2], limit=5, nsfw=True)]
    assert following == expected
    assert len(beside) == 5
    # The list of the example has one turn only.
    assert beside[0] == served.label(served.related(items[0], nsfw=True)[0].video).url
    assert all(f"`{name}`" in readme for name in artefact.MODEL_SCHEMA)
    first = json.loads((out / "videos.jsonl").read_text().splitlines()[0])
    assert first["uuid"] == served.label(0).uuid
    assert first["tags"] == served.tags(0)
    with pytest.raises(FileExistsError):
        export(place, out)


def arranged(place: Path) -> ServedModel:
    """A stored model, its lists by score alone, of all videos."""
    served = artefact.load(place)
    served.rules = ListRules(window=0, language_penalty=0, reserve=False)
    served.visibility.sensitive_beside_safe = True
    return served


@pytest.mark.parametrize("form", FORMS)
def test_exported_scores_are_the_served_ones(tmp_path: Path, form: Form) -> None:
    place, out = store(tmp_path / "m1", form), tmp_path / "exported"
    export(place, out)
    arrays, served = load_file(out / artefact.MODEL), artefact.load(place)
    items = arrays["items"]
    if form == "factorized":
        weights = arrays["U"] @ arrays["V"].T
        assert arrays["weights.values"].size == 0
    else:
        weights = np.zeros((items.size, items.size), np.float32)
        rows = np.repeat(np.arange(items.size), np.diff(arrays["weights.offsets"]))
        weights[rows, arrays["weights.items"]] = arrays["weights.values"]
        assert arrays["U"].shape == arrays["V"].shape == (items.size, 0)
    history = items[:3].tolist()
    scores = np.isin(items, history).astype(np.float32) @ weights
    manifest = json.loads((out / artefact.MANIFEST).read_text())
    weight = manifest["scalars"]["own_popularity"] + float(history_weight(np.array(3)))
    boost = weight * scores.max() * arrays["popularity"][items]
    for row, video in enumerate(items.tolist()):
        assert served.explain(history, video).score == pytest.approx(scores[row] + boost[row], abs=1e-5)
