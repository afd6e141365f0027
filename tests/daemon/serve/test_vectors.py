"""The file of vectors as a daemon offers it: whole, current, and without what must not be suggested."""

import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.serve.api.vectors import NoVectorsError, Offers
from daemon.serve.model_loader import Loaded
from models import artefact, vector_file
from models.vector_file import VideoVectors
from tests.daemon.running_daemon import Daemon, daemon, instance, put_model, until
from tests.models.made import made_labels, made_model
from tests.models.made_vectors import made_vectors

pytestmark = pytest.mark.daemon

LABELS = made_labels(nsfw=0.2)


def vectors_of(positions: range, *, strangers: int = 0) -> VideoVectors:
    """Vectors of some videos of the made-up catalogue, and of some that it does not know."""
    names = [uuid.UUID(LABELS.uuid[position]).bytes for position in positions]
    names += [uuid.uuid4().bytes for _ in range(strangers)]
    made = made_vectors(len(names))
    return replace(made, uuids=np.array([list(name) for name in sorted(names)], np.uint8))


PUBLISHING = "privacy.publish_vectors = true"


def fetch(served: Daemon, tag: str = "") -> tuple[int, bytes, str, str]:
    """Return status, body, ETag and Cache-Control of the file's route."""
    headers = {"If-None-Match": tag} if tag else {}
    request = urllib.request.Request(f"http://{served.running.api}/v1/vectors", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            got = answer.headers
            return answer.status, answer.read(), got["ETag"], got["Cache-Control"]
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers["ETag"], error.headers["Cache-Control"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("vectors")
    put_model(folder, "first", labels=LABELS)
    vector_file.save(vectors_of(range(40), strangers=3), folder / "models" / "first")
    with daemon(instance(folder, extra=PUBLISHING)) as running:
        yield running


def test_the_file_is_offered_with_a_tag(served: Daemon) -> None:
    status, body, tag, cached = fetch(served)
    assert (status, cached) == (200, "no-cache")
    offered = vector_file.from_bytes(body)
    safe = {LABELS.uuid[position] for position in range(40) if not LABELS.nsfw[position]}
    assert set(offered.names()) == safe
    assert len(safe) < 40, "some are not safe for work, and strangers are left out"
    assert fetch(served, tag)[:3] == (304, b"", tag)
    assert fetch(served, '"other"')[0] == 200


def test_a_ranking_is_the_one_of_the_file(served: Daemon) -> None:
    offered = vector_file.from_bytes(fetch(served)[1])
    names = offered.names()
    history = [names[4], "unknown", names[9], str(uuid.uuid4())]
    status, answer = served.call(f"/v1/vectors/ranking?history={','.join(history)}")
    assert (status, answer["model"], answer["history"]) == (200, "first", 2)
    expected = vector_file.rank(offered, [4, 9], 10)
    assert [(v["uuid"], v["score"], v["via"]) for v in answer["videos"]] == [
        (names[item.row], item.score, names[item.via]) for item in expected
    ]
    assert len(expected) == 10
    assert len(served.call(f"/v1/vectors/ranking?history={names[4]}&limit=3")[1]["videos"]) == 3
    assert served.call("/v1/vectors/ranking")[1]["videos"] == []
    assert served.call("/v1/vectors/ranking?limit=x")[0] == 400


def test_serving_it_loads_nothing_that_training_needs(served: Daemon) -> None:
    fetch(served)
    assert served.forbidden() == []


def test_a_model_without_vectors_has_none_to_offer(tmp_path: Path) -> None:
    put_model(tmp_path, "with", labels=LABELS)
    vector_file.save(vectors_of(range(9)), tmp_path / "models" / "with")
    with daemon(instance(tmp_path, extra=PUBLISHING)) as running:
        assert fetch(running)[0] == 200
        put_model(tmp_path, "without")
        until(lambda: fetch(running)[0] == 404)
        status, answer = running.call("/v1/vectors")
        assert (status, answer["code"]) == (404, "no-vectors")
        assert running.call("/v1/vectors/ranking?history=x")[1]["code"] == "no-vectors"


def test_an_admin_who_does_not_publish_offers_none_though_a_file_is_there(tmp_path: Path) -> None:
    put_model(tmp_path, "with", labels=LABELS)
    vector_file.save(vectors_of(range(9)), tmp_path / "models" / "with")
    with daemon(instance(tmp_path)) as running:
        assert running.call("/v1/vectors")[1]["code"] == "no-vectors"
        assert running.call("/v1/vectors/ranking?history=x")[1]["code"] == "no-vectors"


def test_exclusions_take_videos_out_at_once(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    vector_file.save(vectors_of(range(40)), tmp_path / "m")
    model = artefact.in_memory(made_model(), LABELS)
    offers = Offers(tmp_path)
    loaded = Loaded("m", model, 0.0)
    before = offers.of(loaded)
    assert offers.of(loaded) is before
    out = before.vectors.names()[5]
    model.visibility.exclude(videos=[out])
    after = offers.of(loaded)
    assert after.vectors.names() == [name for name in before.vectors.names() if name != out]
    assert after.tag != before.tag


def test_a_broken_file_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / vector_file.NAME).write_bytes(made_vectors(9).to_bytes()[:-1])
    model = artefact.in_memory(made_model(), LABELS)
    with pytest.raises(NoVectorsError):
        Offers(tmp_path).of(Loaded("m", model, 0.0))
