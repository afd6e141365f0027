"""Where other machines can reach the API, nothing but the daemon's health is told without the secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import hdrs

from daemon.config import load
from daemon.serve.admin import access, token
from daemon.serve.middleware import HEALTH
from daemon.serve.server import build_api, build_context
from tests.daemon import fake_peertube as pt
from tests.daemon.running_daemon import Daemon, daemon, put_model
from tests.daemon.shoal_command import shoal

pytestmark = pytest.mark.daemon

KNOWS = {"X-Shoal-Secret": pt.SECRET}


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that every machine can reach."""
    folder = tmp_path_factory.mktemp("open")
    config = pt.configure(folder, "http://127.0.0.1:1")
    config.write_text(config.read_text().replace("api_port = 0\n", 'api_port = 0\napi_host = "0.0.0.0"\n'))
    put_model(folder, "m")
    with daemon(config) as running:
        yield running


def paths(served: Daemon) -> list[tuple[str, str]]:
    """Return method and path of every route that the API has, and some that it does not."""
    context = build_context(load(served.config), served.config)
    before = token.read(served.config.parent)
    try:
        routes = build_api(context).router.routes()
        found = [
            ("POST" if one.method == hdrs.METH_POST else "GET", one.resource.canonical)
            for one in routes
            if one.resource is not None and one.method != hdrs.METH_HEAD
        ]
    finally:
        context.engine.dispose()
        # The applications that were made here have a token of their own.
        (served.config.parent / token.FILE_NAME).write_text(before)
    known = [(method, re.sub(r"\{[^}]*\}", "status", path)) for method, path in found]
    return [*known, ("GET", "/v1/admin/overview"), ("GET", "/nothing"), ("POST", "/health/live/")]


def test_nothing_is_answered_without_the_secret(open_to_all: Daemon) -> None:
    asked = paths(open_to_all)
    assert {"/v1/related", "/v1/status", "/metrics", "/admin/", "/v1/vectors"} <= {path for _, path in asked}
    wrong: list[dict[str, str]] = [
        {},
        {"X-Shoal-Secret": ""},
        {"X-Shoal-Secret": pt.SECRET[:-1]},
        {"X-Shoal-Secret": pt.SECRET + "x"},
        {"Host": "127.0.0.1"},
        # The admin's token is asked for besides, not instead.
        {access.HEADER: token.read(open_to_all.config.parent)},
    ]
    for method, path in asked:
        body: dict[str, str] | None = {} if method == "POST" else None
        for headers in wrong:
            status, answer = open_to_all.call(path, body=body, headers=headers)
            if path in HEALTH:
                assert status == 200, path
            else:
                assert (status, answer["code"]) == (403, "secret-refused"), (path, headers)
                assert pt.SECRET not in str(answer)
        status, answer = open_to_all.call(path, body=body, headers={**KNOWS, "Host": "shoal:9731"})
        assert status != 403, path
    assert "secret" not in open_to_all.logged()


def test_health_tells_nothing_but_health(open_to_all: Daemon) -> None:
    assert open_to_all.call("/health/live") == (200, {"live": True})
    assert open_to_all.call("/health/ready") == (200, {"ready": True, "model": "m"})


def test_the_plugin_is_answered_as_ever(open_to_all: Daemon) -> None:
    assert open_to_all.call("/v1/status", headers=KNOWS)[1]["host"] == pt.HOST
    assert open_to_all.call("/v1/viewers/known", body={"viewer": pt.viewer(1)}, headers=KNOWS)[0] == 200
    assert open_to_all.call("/v1/admin/overview", headers=KNOWS)[0] == 200


def test_the_admin_page_is_then_in_peertube_alone(open_to_all: Daemon) -> None:
    done = shoal("admin", "-c", open_to_all.config)
    assert done.returncode == 2
    assert "/p/shoal" in done.stderr


def test_a_data_set_stays_on_loopback(tmp_path: Path) -> None:
    config = tmp_path / "shoal.toml"
    config.write_text(
        '[instance]\nhost = "one.example"\n[source]\npath = "x"\n[listen]\napi_host = "0.0.0.0"\n'
    )
    done = shoal("run", "-c", config)
    assert done.returncode == 2
    assert "every request needs the plugin's secret, and there is none" in " ".join(done.stderr.split())


def test_commands_on_this_machine_are_answered(open_to_all: Daemon) -> None:
    found = shoal("doctor", "-c", open_to_all.config, "-o", "json").json["checks"]
    assert [one["outcome"] for one in found if one["check"] == "daemon"] == ["ok"]
