"""`shoal uninstall`: who knows this instance hears of it, its files go, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.cli.instance_files import of_the_instance
from daemon.config import load
from daemon.group import commands as groups
from daemon.group import repository
from tests.daemon import fake_peertube as pt
from tests.daemon.fake_peertube import configure, pairing_code, peertube, small_world
from tests.daemon.group.join_neighbours import GROUP, joined
from tests.daemon.peer_instances import Neighbour, neighbours
from tests.daemon.running_daemon import daemon, until
from tests.daemon.shoal_command import Done, shoal

pytestmark = pytest.mark.daemon


async def typed(neighbour: Neighbour, *words: str) -> Done:
    return await asyncio.to_thread(shoal, *words, "-c", neighbour.config_file)


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[list[Neighbour]]:
    async with neighbours(tmp_path, 3) as found:
        yield found


async def test_peers_hear_of_it_and_the_folder_is_gone(three: list[Neighbour]) -> None:
    a, b, c = three
    for one, other in ((a, b), (b, a), (a, c), (c, a)):
        await one.approve(other)
    assert b.peer(a).theirs == "approved"
    await c.stop()
    done = await typed(a, "uninstall", "--yes")
    assert done.returncode == 0, done
    assert f"Told 1 peer that this instance leaves: {b.host}." in done.said
    assert f"{c.host} could not be told: it does not answer." in done.said
    assert b.peer(a).theirs == "declined"
    assert not a.config.data_dir.exists()


async def test_a_member_leaves_its_group_and_a_host_closes_it(three: list[Neighbour]) -> None:
    host, member, _ = three
    groups.host(host.config, host.engine, GROUP, now=host.clock())
    await joined(member, host)
    assert (await typed(member, "uninstall", "--yes", "-o", "json")).json["group_left"] == GROUP
    assert {one.host: one.state for one in repository.members(host.engine)}[member.host] == "left"
    left = (await typed(host, "uninstall", "--yes", "-o", "json")).json
    assert left["group_left"] == GROUP
    assert not host.config.data_dir.exists()


async def test_nothing_happens_before_somebody_confirms(three: list[Neighbour]) -> None:
    a, b, _ = three
    await a.approve(b)
    done = await typed(a, "uninstall")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert "shoal.db" in done.stderr
    assert a.peer(b).state == "approved"


async def test_an_instance_that_may_not_speak_tells_nobody_and_says_so(three: list[Neighbour]) -> None:
    a, b, _ = three
    await a.approve(b)
    text = a.config_file.read_text().replace('mode = "consume"', 'mode = "off"')
    a.config_file.write_text(text)
    found = (await typed(a, "uninstall", "--yes", "-o", "json")).json
    assert (found["peers_told"], found["peers_not_told"]) == ([], {b.host: 'mode is "off"'})
    assert not a.config.data_dir.exists()


def test_a_daemon_that_lived_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "pair"
    with peertube(small_world()) as server:
        assert shoal("init", folder, "--pair", pairing_code(server.url), "-o", "json").returncode == 0
        path = folder / "shoal.toml"
        text = path.read_text().replace("# api_port = 9731", "api_port = 0")
        path.write_text(text.replace("# federation_port = 9732", "federation_port = 0"))
        with daemon(path) as running:
            until(lambda: running.call("/health/ready")[0] == 200, 90)
            refused = shoal("uninstall", "--yes", "-c", path)
            assert refused.returncode == 4
            assert "shoal stop" in refused.stderr
    # What the test itself put there.
    running.log.unlink()
    done = shoal("uninstall", "--yes", "-c", path, columns=80)
    assert done.returncode == 0, done
    assert not folder.exists()
    assert "erase everything under Plugin" in done.said
    assert "PeerTube is then as before" in done.said
    assert pt.SECRET not in done.stdout + done.stderr


def test_what_the_daemon_did_not_write_stays_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    config = configure(tmp_path / "one", "http://127.0.0.1:1")
    folder = config.parent
    for name in ("notes.txt", ".shoal.toml.x1y2", "shoal.db.damaged-1", "model", "lock.txt"):
        (folder / name).touch()
    (folder / "dataset").mkdir()
    (folder / "dataset" / "items.csv.gz").touch()
    (folder / "models").symlink_to(outside)
    (folder / "sums").mkdir()
    (folder / "sums" / "link").symlink_to(outside)
    own, others = of_the_instance(load(config))
    assert {path.name for path in own} == {
        *(".shoal.toml.x1y2", "models", "shoal.db.damaged-1", "shoal.toml", "sums")
    }
    done = shoal("uninstall", "--yes", "-c", config, "-o", "json").json
    kept = ["dataset", "lock.txt", "model", "notes.txt"]
    assert [Path(path).name for path in done["left"]] == [path.name for path in others] == kept
    assert sorted(path.name for path in folder.iterdir()) == kept
    assert (folder / "dataset" / "items.csv.gz").exists()
    assert (outside / "precious").exists()


def test_settings_outside_the_data_folder_are_left_to_the_admin(tmp_path: Path) -> None:
    config = configure(tmp_path / "etc", "http://127.0.0.1:1")
    config.write_text(f'data_dir = "{tmp_path / "data"}"\n{config.read_text()}')
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "viewers.key").touch()
    done = shoal("uninstall", "--yes", "-c", config)
    assert done.returncode == 0, done
    assert f"{config} is outside the data folder: delete it yourself." in done.said
    assert config.exists()
    assert not (tmp_path / "data").exists()


def test_a_damaged_database_keeps_nobody_from_leaving(tmp_path: Path) -> None:
    config = configure(tmp_path / "one", "http://127.0.0.1:1")
    (tmp_path / "one" / "shoal.db").write_text("no database at all, but long enough to be looked at" * 100)
    done = shoal("uninstall", "--yes", "-c", config)
    assert done.returncode == 0, done
    assert "Peers could not be told: shoal.db is damaged." in done.said
    assert not (tmp_path / "one").exists()
