"""End to end: the plugin in a host that loads it as PeerTube does, and a real daemon beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.jobs.run import run_job
from daemon.process.job_context import JobOutcome
from daemon.store import engagement_arrays
from daemon.store.engine import open_checked
from tests.daemon import fake_peertube as pt
from tests.daemon.plugin_process import NODE, Plugin
from tests.daemon.running_daemon import daemon, until
from tests.daemon.shoal_command import shoal

pytestmark = [pytest.mark.daemon, pytest.mark.skipif(NODE is None, reason="node is not installed")]


@pytest.fixture(params=[7, 8])
def plugin(request: pytest.FixtureRequest) -> Iterator[Plugin]:
    running = Plugin(request.param)
    yield running
    running.close()


def run(name: str, config: Path) -> JobOutcome:
    outcome = asyncio.run(run_job(name, config, time_limit=120))
    assert outcome.ok, outcome
    return outcome


def raw(config: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(config.parent.glob("shoal.db*")))


def test_the_plugin_and_a_daemon_work_together(tmp_path: Path, plugin: Plugin) -> None:
    url, videos, hidden = plugin.about["url"], plugin.about["videos"], plugin.about["hidden"]
    config = pt.configure(tmp_path / "one", url)
    config.write_text(
        config.read_text().replace(pt.SECRET, plugin.about["secret"]).replace("one.example", url[7:])
    )
    synced = run("sync", config).result
    assert (synced["videos"], synced["viewers"], synced["skipped"]) == (len(videos), 14, 0)
    assert not any(uuid.encode() in raw(config) for uuid in hidden)
    assert b"secret" not in raw(config)
    run("train", config)
    with daemon(config) as running:
        plugin.ask("daemon", url=f"http://{running.running.api}")
        status, known = plugin.call(3, "GET", "viewer/v1/known")
        assert status == 200
        assert len(known["videos"]) == 7
        assert not set(hidden) & {item["uuid"] for item in known["videos"]}
        anonymous = plugin.ask("related", user=None, video=videos[0])
        assert len(anonymous) >= 5
        assert not set(hidden) & set(anonymous)
        _, why = plugin.call(3, "GET", f"why/v1/reasons?video={videos[0]}")
        assert any(found["text"] for found in why["reasons"].values())
        _, about = plugin.call(3, "GET", "viewer/v1/about")
        assert about == {
            "consent": "opt-in",
            "exact": False,
            "mode": "off",
            "peers": [],
            "daemon": True,
            "next": None,
        }

        engine = open_checked(config.parent / "shoal.db")
        # Each of the three ways out, and the one that does not wait for a check.
        plugin.ask("clear", user=4)
        plugin.ask("delete", user=5)
        plugin.ask("call", user=6, method="PUT", path="viewer/v1/choice", json={"training": False})
        assert run("consent", config).result["removed"] == 3
        assert engagement_arrays.read(engine)[1].user_count == 11
        assert plugin.call(3, "POST", "viewer/v1/withdraw")[0] == 204
        assert engagement_arrays.read(engine)[1].user_count == 10
        assert run("consent", config).result["removed"] == 0
        # What is left of the one who cleared the history: the rates.
        assert run("sync", config).result["viewers"] == 11
        until(lambda: running.call("/v1/status", admin=True)[1]["source"]["participants"] == 11)
        assert running.call("/v1/status", admin=True)[1]["source"]["follows"] == 1
        assert plugin.about["secret"] not in running.logged()


def test_the_whole_chain_is_found_fine(tmp_path: Path, plugin: Plugin) -> None:
    url = plugin.about["url"]
    config = pt.configure(tmp_path / "one", url, "[limits]\njob_memory_mb = 512\n")
    config.write_text(
        config.read_text().replace(pt.SECRET, plugin.about["secret"]).replace("one.example", url[7:])
    )
    run("sync", config)
    run("train", config)
    with daemon(config) as running:
        plugin.ask("daemon", url=f"http://{running.running.api}")
        assert len(plugin.ask("related", user=None, video=plugin.about["videos"][0])) >= 5
        done = shoal("doctor", "-c", config)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Everything is fine."), done
        assert shoal("status", "-c", config).returncode == 0

    config.write_text(f'mode = "consume"\n{config.read_text()}')
    with daemon(config) as running:
        addresses = {"url": f"http://{running.running.api}"}
        plugin.ask("daemon", **addresses, federation="http://127.0.0.1:9")
        found = outcomes(config)
        assert (found["listener"], found["key"]) == ("failure", "unchecked")
        plugin.ask("daemon", **addresses, federation=f"http://{running.running.federation}")
        found = outcomes(config)
        assert (found["listener"], found["key"]) == ("ok", "ok"), shoal("doctor", "-c", config).stdout
        assert found["peers"] == "warning"


def outcomes(config: Path) -> dict[str, str]:
    return {
        one["check"]: one["outcome"] for one in shoal("doctor", "-c", config, "-o", "json").json["checks"]
    }
