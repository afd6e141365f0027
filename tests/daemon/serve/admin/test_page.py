"""The administrators' page as the daemon serves it: its files and no others, each version as a whole."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from daemon.config import load
from daemon.serve.admin import page
from daemon.serve.admin.page import Page
from daemon.serve.context import CONTEXT
from daemon.serve.middleware import guard
from daemon.serve.server import build_context
from daemon.store.migrate import migrate
from tests import ROOT
from tests.daemon.running_daemon import Daemon, daemon, instance

pytestmark = pytest.mark.daemon

FOLDER = ROOT / "daemon" / "admin_page"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon as it is started."""
    with daemon(instance(tmp_path_factory.mktemp("served"))) as running:
        yield running


def get(
    running: Daemon, path: str, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Ask as it stands, without what a library would correct."""
    connection = http.client.HTTPConnection(running.running.api, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def version_of(running: Daemon) -> str:
    version = json.loads(get(running, "/admin/page.json")[2])["version"]
    assert isinstance(version, str)
    return version


def test_it_may_do_nothing_but_ask_this_daemon(served: Daemon) -> None:
    status, headers, body = get(served, "/admin/")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    rules = dict(rule.strip().partition(" ")[::2] for rule in headers["content-security-policy"].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    for inline in (b"<style", b"style=", b" onclick", b" onload", b"javascript:"):
        assert inline not in body
    assert b"<script>" not in body
    needed = re.findall(rb'(?:src|href)="([^"]+)"', body)
    assert needed
    for name in needed:
        assert get(served, f"/admin/{name.decode()}")[0] == 200, name
    status, headers, _ = get(served, "/admin")
    assert (status, headers["location"]) == (308, "admin/")


@pytest.mark.parametrize(
    "path",
    [
        "__init__.py",
        "package.json",
        "tabs",
        "tabs/",
        "tabs//peers.js",
        "../serve/plugin_secret.py",
        "tabs/../index.html",
        "lib/../../peertube-plugin/package.json",
        "tabs/%2e%2e/%2e%2e/serve/server.py",
        "tabs/..%2f..%2fserve%2fserver.py",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "tabs/peers.js%00.css",
        "tabs\\..\\index.html",
        "x" * 3000,
        f"tabs/{'x' * 3000}.js",
        f"{'0' * 32}/index.html",
    ],
)
def test_nothing_but_its_files_is_served(served: Daemon, path: str) -> None:
    status, _, body = get(served, f"/admin/{path}")
    assert status == 404
    assert "/admin/" in json.loads(body)["advice"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("mounted.js", "text/javascript; charset=utf-8"),
        ("lib/dom.js", "text/javascript; charset=utf-8"),
        ("lib/controls.css", "text/css; charset=utf-8"),
        ("languages/fr/overview.json", "application/json"),
        ("standalone/icon.svg", "image/svg+xml"),
    ],
)
def test_files_have_their_types_and_are_sent_once(served: Daemon, name: str, kind: str) -> None:
    status, headers, body = get(served, f"/admin/{name}")
    assert (status, headers["content-type"]) == (200, kind)
    assert body == (FOLDER / name).read_bytes()
    # The next version is at the same address, so a browser asks.
    assert headers["cache-control"] == "no-cache"
    status, again, empty = get(served, f"/admin/{name}", {"If-None-Match": headers["etag"]})
    assert (status, empty, again["etag"]) == (304, b"", headers["etag"])
    assert get(served, f"/admin/{name}", {"If-None-Match": '"other"'})[0] == 200

    status, headers, body = get(served, f"/admin/{version_of(served)}/{name}")
    assert (status, headers["content-type"], body) == (200, kind, (FOLDER / name).read_bytes())
    assert "immutable" in headers["cache-control"]


def test_every_module_that_it_imports_is_part_of_it(served: Daemon) -> None:
    """Following imports from where the page starts, alone and inside PeerTube."""
    seen: set[str] = set()
    waiting = ["standalone/standalone.js", "mounted.js"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        status, _, body = get(served, f"/admin/{name}")
        assert status == 200, name
        for found in re.findall(r"^(?:import|export) .*?from '(\..+?)'", body.decode(), flags=re.MULTILINE):
            parts: list[str] = name.split("/")[:-1]
            for part in found.split("/"):
                if part == "..":
                    parts.pop()
                elif part != ".":
                    parts.append(part)
            waiting.append("/".join(parts))
    modules = {name for name in Page.load().files if name.endswith(".js")}
    assert seen == modules, "and nothing that nobody imports"


def test_no_two_contents_have_one_version(tmp_path: Path) -> None:
    (tmp_path / "tabs").mkdir()
    versions = []
    for name, content in (("a.js", "1"), ("a.js", "2"), ("tabs/a.js", "2"), ("b.css", ""), ("notes.txt", "")):
        (tmp_path / name).write_text(content)
        versions.append(Page.load(tmp_path).version)
    *different, same = versions
    assert len(set(different)) == 4
    assert same == different[-1], "what is not served is no part of it"


async def test_a_daemon_serves_the_version_that_it_was_started_with(tmp_path: Path) -> None:
    config = instance(tmp_path)
    migrate(tmp_path / "shoal.db")
    context = build_context(load(config), config)
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("old")
    old = Page.load(folder)
    app = web.Application(middlewares=[guard])
    app[CONTEXT] = context
    app.add_routes(page.routes(old))
    (folder / "index.html").write_text("new")
    new = Page.load(folder)
    async with TestClient(TestServer(app)) as client:
        assert await (await client.get("/admin/")).text() == "old"
        assert (await (await client.get("/admin/page.json")).json()) == {"version": old.version}
        assert await (await client.get(f"/admin/{old.version}/index.html")).text() == "old"
        assert (await client.get(f"/admin/{new.version}/index.html")).status == 404
    context.stored.close()
    context.engine.dispose()
