"""What the attack demo does to the data that instances read, and the admin pages that stay up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.sparse import csr_array

from daemon.lab.demo import attack
from daemon.lab.demo.instances import DemoSetup, build, like_more, make_up
from daemon.lab.demo.processes import Daemon, admin_pages
from daemon.serve.admin import token
from daemon.source.dataset import addresses
from daemon.source.dataset_files import read
from models.interactions import Interactions
from tests.daemon.in_process_federation import EXACT
from tests.daemon.shoal_command import shoal
from tests.daemon.small_dataset import write_overlapping_tastes

pytestmark = pytest.mark.daemon


@pytest.fixture
def world(tmp_path: Path) -> DemoSetup:
    data = write_overlapping_tastes(tmp_path / "set")
    return build(tmp_path / "instances", data, 6, EXACT, stranger="inlet-6.example")


def histories(world: DemoSetup, number: int) -> dict[str, set[str]]:
    found = read(world.instances[number].folder / "dataset")
    rows: dict[str, set[str]] = {}
    for user, video in zip(found.users.tolist(), found.items.tolist(), strict=True):
        rows.setdefault(found.user_ids[user], set()).add(found.item_ids[video])
    return rows


def test_a_twin_without_an_instance_is_otherwise_the_same(world: DemoSetup, tmp_path: Path) -> None:
    twin = build(tmp_path / "twin", tmp_path / "set", 6, EXACT, without="inlet-6.example")
    assert [c.host for c in twin.instances] == [c.host for c in world.instances][:5]
    for number in range(5):
        assert histories(twin, number) == histories(world, number)
    # The stranger knows the others, and they do not know it.
    settings = [c.config_file.read_text() for c in world.instances]
    assert ["inlet-6" in text for text in settings] == [False] * 5 + [True]


def test_a_week_changes_the_same_in_every_federation(world: DemoSetup, tmp_path: Path) -> None:
    twin = build(tmp_path / "twin", tmp_path / "set", 6, EXACT, without="inlet-6.example")
    before = histories(world, 0)
    for week in (0, 1):
        like_more(world.instances[0], week)
        like_more(twin.instances[0], week)
    after = histories(world, 0)
    assert after == histories(twin, 0)
    changed = [user for user in after if after[user] != before[user]]
    assert changed
    assert all(after[user] > before[user] for user in changed)


def test_made_up_viewers_come_beside_the_real_ones_as_often_as_wanted(world: DemoSetup) -> None:
    attacker = world.instances[5]
    real = histories(world, 5)
    videos = 120
    rows = np.array([[3, 50, 70], [4, 50, 71]])
    starts = np.arange(3) * 3
    fakes = Interactions(csr_array((np.ones(6, np.uint8), rows.ravel(), starts), shape=(2, videos)))
    found = read(attacker.folder / "dataset")
    by_url = sorted(zip(addresses(found, name=world.name), found.item_ids, strict=True))
    for copies in (3, 1):
        # The second time nothing is left of the first.
        make_up(attacker, world.name, fakes, copies=copies)
        now = histories(world, 5)
        assert len(now) == copies * (len(real) + 2)
        assert {user: now[user] for user in real} == real
        assert now["fake-1"] == {by_url[place][1] for place in rows[1]}
        assert sum(row == now["fake-0"] for row in now.values()) == copies


def test_each_admin_page_offers_the_others(world: DemoSetup) -> None:
    daemons = [Daemon(instance) for instance in world.instances[:3]]
    for number, daemon in enumerate(daemons):
        daemon.api = f"127.0.0.1:{9000 + number}"
        token.create(daemon.instance.folder)
    pages = admin_pages(daemons)
    assert list(pages) == [daemon.name for daemon in daemons]
    for number, (daemon, page) in enumerate(zip(daemons, pages.values(), strict=True)):
        own = token.read(daemon.instance.folder)
        assert page.startswith(f"http://127.0.0.1:{9000 + number}/admin/#token={own}&instance=")
        assert page.count("instance=") == 3


def test_the_report_says_what_was_refused_and_whether_the_twin_agrees() -> None:
    case = attack.Case("scaled", 0.01, 0.4, 0.01, 0.01, "quarantined", "Too many viewers.", 0.4, True, False)
    report = attack.AttackReport("inlet-6.example", "lagoon.example", ("u",), [case])
    assert report.as_json()["exposure10"]["scaled"] == {
        "before": 0.01,
        "without_guards": 0.4,
        "with_guards": 0.01,
        "after_revert": 0.01,
        "equal_to_never": False,
    }
    console = Console(width=100)
    with console.capture() as captured:
        report.show(console)
    text = captured.get()
    assert "Too many viewers" in text
    assert "DOES NOT EQUAL" in text


def test_an_attack_cannot_be_mixed_with_other_shows() -> None:
    done = shoal("demo", "--attack", "push", "--serve")
    assert (done.returncode, "--attack excludes --kill" in done.stderr) == (2, True)
