"""Who gets into the admin API, tried as an attacker: foreign pages, other users and names, the log."""

from __future__ import annotations

import http.client
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.serve.admin.mount import PREFIX
from daemon.serve.admin.routes import ROUTES
from daemon.serve.admin.routing import Route
from tests.daemon import fake_peertube as pt
from tests.daemon.running_daemon import Daemon, daemon, instance, put_model
from tests.daemon.shoal_command import shoal

pytestmark = pytest.mark.daemon

SECRET = {"X-Shoal-Secret": pt.SECRET}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon without a plugin: only the token opens it."""
    folder = tmp_path_factory.mktemp("served")
    config = instance(folder)
    config.write_text(config.read_text() + '[log]\nlevel = "debug"\n')
    put_model(folder, "one")
    with daemon(config) as running:
        yield running


@pytest.fixture(scope="module")
def beside_peertube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = pt.configure(tmp_path_factory.mktemp("beside"), "http://127.0.0.1:9")
    with daemon(config) as running:
        yield running


def token(running: Daemon) -> str:
    return (running.config.parent / "admin.token").read_text()


def knows(running: Daemon) -> dict[str, str]:
    return {"X-Shoal-Admin": token(running)}


def raw(
    running: Daemon, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Send a request as it stands, without what a library would correct."""
    connection = http.client.HTTPConnection(running.running.api, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def refused(answer: tuple[int, object], code: str = "admin-refused") -> bool:
    status, body = answer
    assert isinstance(body, dict), body
    assert set(body) == {"code", "message", "advice"}
    return (status, body["code"]) == (403, code)


@pytest.mark.parametrize("row", ROUTES, ids=lambda row: f"{row.method} {row.path}")
def test_no_route_answers_without_a_credential(served: Daemon, row: Route) -> None:
    path = PREFIX + row.path.replace("{host}", "peer.example").replace("{id}", "m")
    body: dict[str, str] | None = {} if row.method == "POST" else None
    for headers in ({}, {"X-Shoal-Secret": ""}, {"X-Shoal-Secret": "x"}, {"X-Shoal-Admin": ""}):
        assert refused(served.call(path, body=body, headers=headers)), headers
    # Before the body is looked at: nothing is told about what would be right.
    assert row.method == "GET" or refused(served.call(path, body=b"nonsense"))


def test_only_the_whole_token_in_its_own_header_counts(served: Daemon) -> None:
    good = token(served)
    assert served.call("/v1/admin/rounds", headers=knows(served))[0] == 200
    for wrong in (good[:-1], good + "x", good.swapcase(), "x" * len(good), good.encode().hex(), "\u00fc" * 9):
        header = wrong.encode().decode("latin-1")
        assert refused(served.call("/v1/admin/rounds", headers={"X-Shoal-Admin": header}))
    for elsewhere in (
        {"Authorization": f"Bearer {good}"},
        {"Cookie": f"token={good}; X-Shoal-Admin={good}"},
        {"X-Shoal-Secret": good},
    ):
        assert refused(served.call("/v1/admin/rounds", headers=elsewhere))
    assert refused(served.call(f"/v1/admin/rounds?token={good}&X-Shoal-Admin={good}"))


def test_the_plugin_gets_in_by_the_secret_and_nobody_by_the_lack_of_one(
    beside_peertube: Daemon, served: Daemon
) -> None:
    assert beside_peertube.call("/v1/admin/rounds", headers=SECRET)[0] == 200
    assert beside_peertube.call("/v1/admin/rounds", headers=knows(beside_peertube))[0] == 200
    for wrong in (pt.SECRET + "x", pt.SECRET[:-1], ""):
        assert refused(beside_peertube.call("/v1/admin/rounds", headers={"X-Shoal-Secret": wrong}))
    # Of one daemon the token opens no other.
    assert refused(beside_peertube.call("/v1/admin/rounds", headers=knows(served)))


def test_a_name_that_resolves_to_this_machine_is_no_way_in(served: Daemon) -> None:
    port = served.running.api.rsplit(":", 1)[1]
    for name in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", f"localhost.evil:{port}"):
        headers = {**knows(served), "Host": name, "Origin": f"http://{name}"}
        assert refused(served.call("/v1/admin/overview", headers=headers), "host-refused"), name
        assert refused(served.call("/admin/", headers={"Host": name}), "host-refused"), name


def test_a_page_of_another_site_gets_nothing_even_with_the_token(served: Daemon) -> None:
    own = f"http://{served.running.api}"
    host = served.running.api.rsplit(":", 1)[0]
    for foreign in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Origin": own},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": f"http://{host}:1"},
        {"Origin": f"{own}.evil.example"},
        {"Origin": "file://"},
        {"Origin": "http://["},
    ):
        assert refused(served.call("/v1/admin/rounds", headers={**knows(served), **foreign})), foreign
        order = served.call(
            "/v1/admin/peers/peer.example/pause", body={}, headers={**knows(served), **foreign}
        )
        assert refused(order), foreign
    for same in ({"Sec-Fetch-Site": "same-origin", "Origin": own}, {"Sec-Fetch-Site": "none"}):
        assert served.call("/v1/admin/rounds", headers={**knows(served), **same})[0] == 200, same


def test_no_browser_is_ever_told_that_another_site_may_ask(served: Daemon) -> None:
    asking = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-shoal-admin,content-type",
        "Access-Control-Request-Private-Network": "true",
    }
    for row in ROUTES:
        path = PREFIX + row.path.replace("{host}", "peer.example").replace("{id}", "m")
        for method in ("OPTIONS", row.method):
            status, headers, _ = raw(served, method, path, asking)
            assert status in {403, 405}
            assert not [name for name in headers if name.startswith("access-control")]


def test_what_a_form_can_send_is_no_order(served: Daemon) -> None:
    path = "/v1/admin/peers/peer.example/pause"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        status, _, body = raw(served, "POST", path, {**knows(served), "Content-Type": kind}, b"{}")
        assert (status, json.loads(body)["code"]) == (400, "bad-request"), kind


def test_others_on_this_machine_cannot_read_the_token_and_an_old_one_is_worth_nothing(tmp_path: Path) -> None:
    config = instance(tmp_path)
    with daemon(config) as running:
        first = token(running)
        file = tmp_path / "admin.token"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        # 32 random bytes.
        assert len(first) == 43
    file.chmod(0o644)
    with file.open() as opened_before, daemon(config) as running:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert token(running) != first
        assert opened_before.read() == first
        assert refused(running.call("/v1/admin/rounds", headers={"X-Shoal-Admin": first}))


def test_neither_token_nor_secret_nor_what_was_searched_is_ever_told(
    served: Daemon, beside_peertube: Daemon
) -> None:
    for running, headers, hidden in (
        (served, knows(served), token(served)),
        (beside_peertube, SECRET, pt.SECRET),
    ):
        told = [running.call("/v1/admin/rounds", headers={"X-Shoal-Admin": hidden + "x"})[1]]
        for path in ("overview", "nothing", "videos?q=needle-title", "ledger?after=x", "peers/%00/pause"):
            for body in (None, {"host": "x", "needle-title": hidden}):
                told += [running.call(f"/v1/admin/{path}", headers=headers, body=body)[1]]
        assert (running is beside_peertube) or "message=request" in running.logged()
        told += [running.call("/metrics", admin=True)[1], running.call("/admin/")[1], running.logged()]
        for text in map(str, told):
            assert hidden not in text
            assert "needle" not in text
        assert (running is beside_peertube) or "/v1/admin/videos" in running.logged()


def test_the_command_prints_an_address_whose_token_no_server_sees(served: Daemon) -> None:
    printed = shoal("admin", "-c", served.config, "-o", "json").json
    address, _, fragment = printed["url"].partition("#")
    assert address == f"http://{served.running.api}/admin/"
    assert fragment == f"token={token(served)}"
    assert Path(printed["token_file"]).read_text() == token(served)
    for_people = shoal("admin", "-c", served.config).stdout
    assert printed["url"] in for_people.splitlines()


def test_without_a_daemon_the_command_says_what_to_do(tmp_path: Path) -> None:
    config = instance(tmp_path)
    with daemon(config):
        pass
    done = shoal("admin", "-c", config, "-o", "json")
    assert done.returncode == 4
    assert done.json["code"] == "not-running"


# What a local program learns without a credential.


def test_without_a_credential_status_and_metrics_tell_of_model_and_process_alone(
    served: Daemon, beside_peertube: Daemon
) -> None:
    public = {"host", "mode", "uptime_seconds", "model", "problem"}
    private = {"addresses", "next", "running", "list_filled", "peers", "jobs", "rounds", "refusals", "source"}
    for running, good in ((served, knows(served)), (beside_peertube, SECRET)):
        assert running.call("/v1/status", headers=good)[1].keys() == public | private
        assert metric_names(running, good) > {"shoal_requests_total", "shoal_jobs_total", "shoal_peers"}
        for bad in (
            {},
            {"X-Shoal-Admin": "x"},
            {"X-Shoal-Secret": ""},
            {"Authorization": f"Bearer {token(running)}"},
            {**good, "Sec-Fetch-Site": "cross-site"},
            {**good, "Origin": "https://evil.example"},
        ):
            status, answer = running.call("/v1/status", headers=bad)
            assert (status, answer.keys()) == (200, public), bad
            assert {name for name in metric_names(running, bad) if not name.startswith("process_")} == {
                "shoal_model_loaded",
                "shoal_model_in_service_timestamp_seconds",
                "shoal_model_trained_timestamp_seconds",
                "shoal_model_videos",
                "shoal_model_load_failures",
            }, bad
    # Of a daemon without a plugin no secret opens anything.
    assert served.call("/v1/status", headers=SECRET)[1].keys() == public


def metric_names(running: Daemon, headers: dict[str, str]) -> set[str]:
    text = running.call("/metrics", headers=headers)[1]
    # One description each: a second one would make the text unreadable for Prometheus.
    described = re.findall(r"^# TYPE (\S+)", text, flags=re.MULTILINE)
    assert len(described) == len(set(described))
    return set(re.findall(r"^(\w+)[{ ]", text, flags=re.MULTILINE)) | set(described)
