"""A real daemon on loopback: what it answers, what it refuses, what it survives, what it never tells."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.process.child import python_module
from daemon.process.daemon_lock import find
from daemon.store import current_model
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from daemon.store.rows import EngagementRow, VideoRow
from daemon.store.snapshot import replace
from daemon.store.viewers import Pseudonyms
from models.errors import ModelFileError
from models.related_order import DISCOVERY
from tests.daemon.running_daemon import Daemon, daemon, instance, put_model, until
from tests.models.made import made_labels, made_model

pytestmark = pytest.mark.daemon

LABELS = made_labels()
SEED, OTHER = LABELS.uuid[3], LABELS.uuid[4]
KEY = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("served")
    config = instance(folder, extra="")
    config.write_text(
        config.read_text() + '[log]\nlevel = "debug"\n[limits]\nmax_exclude = 5\nmax_history = 5\n'
    )
    put_model(folder, "first")
    with daemon(config) as running:
        yield running


def ids(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [item["uuid"] for item in answer["videos"]]


def test_related_videos_come_with_address_and_reason(served: Daemon) -> None:
    status, answer = served.call(f"/v1/related?video={SEED}&limit=4")
    assert status == 200
    assert answer["model"] == "first"
    assert len(answer["videos"]) == 4
    assert SEED not in ids(answer)
    for item in answer["videos"]:
        assert set(item) == {"uuid", "url", "reason"}
        assert set(item["reason"]) == {"kind", "text", "users", "tags", "words", "share", "via"}
        assert item["url"].endswith(item["uuid"])
        assert item["reason"]["text"]
        assert 0 <= item["reason"]["share"] <= 1


def test_a_url_means_the_same_as_a_uuid(served: Daemon) -> None:
    assert served.call(f"/v1/related?video={LABELS.url[3]}") == served.call(f"/v1/related?video={SEED}")


def test_excluded_videos_stay_out(served: Daemon) -> None:
    everything = ids(served.call(f"/v1/related?video={SEED}")[1])
    out = everything[:2]
    for query in (f"exclude={out[0]},{out[1]}", f"exclude={out[0]}&exclude={out[1]}&exclude=unknown"):
        assert not set(out) & set(ids(served.call(f"/v1/related?video={SEED}&{query}")[1]))


def test_recommendations_follow_a_history(served: Daemon) -> None:
    status, answer = served.call(
        "/v1/recommendations", body={"history": [SEED, OTHER, "unknown"], "limit": 7}
    )
    assert (status, answer["history"], len(answer["videos"])) == (200, 2, 7)
    assert not {SEED, OTHER} & set(ids(answer))
    status, answer = served.call("/v1/recommendations", body={})
    assert (status, answer["history"]) == (200, 0)
    assert answer["videos"]


def test_a_viewer_may_choose_how_far_lists_lead(served: Daemon) -> None:
    item = made_model().items[0]
    path = f"/v1/related?video={LABELS.uuid[int(item)]}"
    history = {"history": [LABELS.uuid[int(item)]]}
    lists = {}
    for discovery in DISCOVERY:
        status, related = served.call(f"{path}&discovery={discovery}")
        assert status == 200
        status, own = served.call("/v1/recommendations", body={**history, "discovery": discovery})
        assert status == 200
        lists[discovery] = ids(related), ids(own)
    assert lists["familiar"] != lists["explore"]
    # Who says nothing gets what the admin has set: balanced unless told otherwise.
    own = served.call("/v1/recommendations", body=history)[1]
    assert lists["balanced"] == (ids(served.call(path)[1]), ids(own))


def test_what_speaks_for_a_video_adds_up_to_all_of_it(served: Daemon) -> None:
    status, answer = served.call(f"/v1/explain?video={SEED}&history={OTHER},{LABELS.uuid[9]}")
    assert status == 200
    assert set(answer) == {"model", "uuid", "url", "by_video", "popularity", "by_feature"}
    shares = [*(part["share"] for part in answer["by_video"]), answer["popularity"]]
    assert len(shares) == 3
    assert sum(share for share in shares if share > 0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/related", None, 400, "bad-request"),
        ("/v1/related?video=nothing", None, 404, "unknown-video"),
        (f"/v1/related?video={'x' * 5000}", None, 404, "unknown-video"),
        (f"/v1/related?video={SEED}&limit=0", None, 400, "bad-request"),
        (f"/v1/related?video={SEED}&limit=101", None, 400, "bad-request"),
        (f"/v1/related?video={SEED}&limit=²", None, 400, "bad-request"),
        (f"/v1/related?video={SEED}&exclude=1,2,3,4,5,6", None, 400, "bad-request"),
        (f"/v1/related?video={SEED}&nsfw=perhaps", None, 400, "bad-request"),
        (f"/v1/related?video={SEED}&discovery=perhaps", None, 400, "bad-request"),
        (f"/v1/related?video={SEED}&discovery=", None, 400, "bad-request"),
        (f"/v1/related?video={SEED}&video={OTHER}", None, 400, "bad-request"),
        (f"/v1/related?video={SEED}&without={OTHER}", None, 400, "bad-request"),
        (f"/v1/related?video={SEED}&viewer={'x' * 201}", None, 400, "bad-request"),
        ("/v1/recommendations", b"{", 400, "bad-request"),
        ("/v1/recommendations", b"[" * 50_000, 400, "bad-request"),
        ("/v1/recommendations", b"\xff", 400, "bad-request"),
        ("/v1/recommendations", [], 400, "bad-request"),
        ("/v1/recommendations", {"histroy": []}, 400, "bad-request"),
        ("/v1/recommendations", {"history": "x"}, 400, "bad-request"),
        ("/v1/recommendations", {"history": [1]}, 400, "bad-request"),
        ("/v1/recommendations", {"history": ["x"] * 6}, 400, "bad-request"),
        ("/v1/recommendations", {"limit": True}, 400, "bad-request"),
        ("/v1/recommendations", {"viewer": 7}, 400, "bad-request"),
        ("/v1/recommendations", {"discovery": "perhaps"}, 400, "bad-request"),
        ("/v1/recommendations", b'{"viewer": "\\ud800"}', 400, "bad-request"),
        ("/v1/recommendations", {"history": ["x" * 200_000]}, 413, "request-entity-too-large"),
        ("/v1/explain?video=x", None, 404, "unknown-video"),
        ("/v1/nothing", None, 404, "not-found"),
        ("/v1/related", {}, 405, "method-not-allowed"),
    ],
)
def test_what_cannot_be_answered_is_told_as_json(
    served: Daemon, path: str, body: object, status: int, code: str
) -> None:
    found, answer = served.call(path.replace("²", "%C2%B2"), body=body)
    assert (found, answer["code"]) == (status, code)
    assert set(answer) == {"code", "message", "advice"}
    assert answer["advice"]
    assert not any(word in answer["message"] for word in ("perhaps", "101", OTHER))


def test_a_web_page_cannot_read_answers_through_another_name(served: Daemon) -> None:
    port = served.running.api.rsplit(":", 1)[1]
    for name in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
    ):
        status, answer = served.call("/v1/status", headers={"Host": name})
        assert (status, answer["code"]) == (403, "host-refused"), name
    for name in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "LOCALHOST"):
        assert served.call("/v1/status", headers={"Host": name})[0] == 200, name
    # A form of a foreign page may be sent without asking, but not with this type.
    assert served.call("/v1/recommendations", body={}, headers={"Content-Type": "text/plain"})[0] == 400


def test_status_and_metrics_tell_how_it_is_doing(served: Daemon) -> None:
    status, answer = served.call("/v1/status", admin=True)
    assert status == 200
    assert answer["model"]["id"] == "first"
    assert answer["addresses"] == {"api": served.running.api}
    _, text = served.call("/metrics", admin=True)
    assert "shoal_model_loaded 1.0" in text
    assert 'shoal_requests_total{route="/v1/status",status="200"}' in text
    assert "process_resident_memory_bytes" in text


def test_neither_logs_nor_metrics_tell_about_viewers_or_videos(served: Daemon) -> None:
    served.call("/v1/recommendations", body={"viewer": "alice-the-viewer", "history": []})
    served.call(f"/v1/related?video={SEED}&exclude={OTHER}", headers={"X-Forwarded-For": "203.0.113.9"})
    served.call("/secret-path-of-a-viewer")
    until(lambda: "unknown" in served.logged())
    told = served.logged() + served.call("/metrics", admin=True)[1]
    assert "/v1/related" in told
    for secret in (SEED, OTHER, "alice", "203.0.113.9", "secret-path", LABELS.title[3]):
        assert secret not in told


def test_the_serving_process_loads_only_what_it_needs(served: Daemon) -> None:
    served.call(f"/v1/related?video={SEED}")
    assert served.forbidden() == []
    # It exchanges nothing with others, and so loads nothing for it.
    federated = {"daemon.serve.federation_app", "daemon.serve.group_supervisor", "daemon.group.commands"}
    assert served.modules() & federated == set()


def test_what_admins_need_is_loaded_when_the_first_one_asks(served: Daemon) -> None:
    topics = {f"daemon.serve.admin.{name}" for name in ("routes", "routing", "peers", "group", "reverts")}
    served.call("/admin/")
    for headers in ({}, {"X-Shoal-Admin": "wrong"}):
        assert served.call("/v1/admin/rounds", headers=headers)[1]["code"] == "admin-refused"
    assert served.modules() & topics == set()
    token = (served.config.parent / "admin.token").read_text()
    assert served.call("/v1/admin/rounds", headers={"X-Shoal-Admin": token})[0] == 200
    assert served.modules() >= topics
    assert served.forbidden() == []


def test_it_is_not_ready_before_the_first_model_and_never_serves_a_broken_one(tmp_path: Path) -> None:
    with daemon(instance(tmp_path)) as running:
        assert running.call("/health/live")[0] == 200
        status, answer = running.call("/health/ready")
        assert (status, answer["code"]) == (503, "not-ready")
        assert running.call(f"/v1/related?video={SEED}")[1]["code"] == "no-model"
        put_model(tmp_path, "one")
        until(lambda: running.call("/health/ready")[0] == 200)
        model = tmp_path / "models" / "two"
        put_model(tmp_path, "unused", made_model(seed=2))
        current_model.write(tmp_path / "models", "one")
        (tmp_path / "models" / "unused").rename(model)
        raw = bytearray((model / "model.safetensors").read_bytes())
        raw[-1] ^= 1
        (model / "model.safetensors").write_bytes(raw)
        current_model.write(tmp_path / "models", "two")
        until(lambda: ModelFileError.__name__ in running.logged())
        assert running.call(f"/v1/related?video={SEED}")[1]["model"] == "one"
        for nonsense in ("../../etc", "", "missing"):
            (tmp_path / "models" / "current").write_text(nonsense)
        until(lambda: "shoal_model_load_failures 2.0" in running.call("/metrics")[1])
        assert running.call(f"/v1/related?video={SEED}")[1]["model"] == "one"
        put_model(tmp_path, "three")
        until(lambda: running.call("/health/ready")[1].get("model") == "three")


def test_a_stored_history_is_used_for_its_own_viewer_only(tmp_path: Path) -> None:
    config = instance(tmp_path)
    put_model(tmp_path, "one")
    with daemon(config) as running:
        engine = open_checked(tmp_path / "shoal.db")
        with replace(engine, Pseudonyms.open(tmp_path / "viewers.key")) as snapshot:
            snapshot.add_videos([VideoRow(LABELS.url[3], SEED, "t")])
            snapshot.add_engagements([EngagementRow("42", LABELS.url[3], liked=True)])
        assert running.call("/v1/recommendations", body={"viewer": "42"})[1]["history"] == 1
        assert running.call("/v1/recommendations", body={"viewer": "43"})[1]["history"] == 0


def test_the_admin_says_how_lists_are_arranged(tmp_path: Path) -> None:
    """Sensitive videos beside safe ones, for viewers who see such; and what holds where nobody has chosen."""
    labels = made_labels(nsfw=0.2)
    put_model(tmp_path, "one", labels=labels)
    sensitive = {labels.uuid[video] for video in range(len(labels)) if labels.nsfw[video]}
    safe = next(labels.uuid[int(item)] for item in made_model().items if not labels.nsfw[int(item)])
    path = f"/v1/related?video={safe}&limit=50"
    config = instance(tmp_path, extra='serve.discovery = "explore"\nserve.sensitive_beside_safe = true')
    with daemon(config) as running:
        usual, explored = (running.call(f"{path}{more}")[1] for more in ("", "&discovery=explore"))
        assert ids(usual) == ids(explored) != ids(running.call(f"{path}&discovery=familiar")[1])
        assert not sensitive & set(ids(usual))
        assert sensitive & set(ids(running.call(f"{path}&nsfw=1")[1]))


def test_two_daemons_never_share_a_data_directory(tmp_path: Path) -> None:
    config = instance(tmp_path)
    with daemon(config) as running:
        command, environment = python_module("daemon.serve", "--config", str(config))
        second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert second.returncode == 4
        assert "already serves" in second.stderr
        assert running.call("/health/live")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_asked_and_can_start_again(tmp_path: Path, number: signal.Signals) -> None:
    config = instance(tmp_path)
    with daemon(config) as running:
        os.kill(running.process.pid, number)
        assert running.process.wait(10) == 0
    assert find(tmp_path) is None
    assert "Traceback" not in running.logged()


def test_a_killed_daemon_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    config = instance(tmp_path)
    with daemon(config) as running:
        running.process.kill()
        running.process.wait()
    assert find(tmp_path) is None
    with daemon(config) as running:
        assert running.call("/health/live")[0] == 200


def test_a_taken_port_is_told_with_advice(tmp_path: Path) -> None:
    with daemon(instance(tmp_path / "one")) as running:
        port = running.running.api.rsplit(":", 1)[1]
        config = instance(tmp_path / "two")
        config.write_text(config.read_text().replace("api_port = 0", f"api_port = {port}"))
        migrate(tmp_path / "two" / "shoal.db")
        command, environment = python_module("daemon.serve", "--config", str(config))
        second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert "is taken: another program listens" in second.stderr
    assert "listen.api_port" in second.stderr


def test_an_instance_that_contributes_loads_no_more_than_it_needs(tmp_path: Path) -> None:
    peers = "".join(
        f'[[peers]]\nhost = "peer{n}.example"\nurl = "http://127.0.0.1:1"\n'
        f'key = "ed25519:{"ABCD"[n]}{KEY[9:]}"\n'
        for n in range(4)
    )
    config = instance(tmp_path, extra='mode = "contribute"')
    config.write_text(config.read_text() + peers)
    put_model(tmp_path, "one")
    with daemon(config) as running:
        assert running.call("/v1/status", admin=True)[1]["addresses"].keys() == {"api", "federation"}
        assert running.call(f"/v1/related?video={SEED}")[0] == 200
        assert running.forbidden() == []
