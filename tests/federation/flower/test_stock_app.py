"""The stock app under unmodified Flower processes: the same core, the exact sum, with and without a loss."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from federation.errors import Code, Refusal
from federation.flower.app import bundle, instance
from federation.identity import Identity
from federation.journal import MemoryJournal
from federation.proposal import least_threshold
from tests.federation.flower.stock import Flower, running

pytestmark = pytest.mark.flower

LENGTH = 1000
HOST = "m0.example"
HOSTS = (HOST, "m1.example", "m2.example", "m3.example")


@pytest.fixture(scope="module")
def flower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flower, dict[str, np.ndarray]]]:
    folder = tmp_path_factory.mktemp("stock")
    rng = np.random.default_rng(7)
    identities = {host: Identity(host, rng.bytes(32)) for host in HOSTS}
    vectors = {host: rng.integers(0, 1001, LENGTH) for host in HOSTS}
    for host, identity in identities.items():
        known = [other.public for other in identities.values()]
        instance.write(folder / host, identity, known, vectors[host])
    with running(folder) as flower:
        for number, host in enumerate(HOSTS):
            # Two remember their sums in files, two in what Flower keeps for them during a run.
            journal = f' journal="{folder / host / "journal"}"' if number % 2 else ""
            flower.supernode(host, f'instance="{folder / host}"{journal}')
        yield flower, vectors


def run(flower: Flower, name: str) -> Path:
    out = flower.folder / name
    # Nodes on a busy machine answer many seconds apart; only the killed one may be left out.
    config = f'instance="{flower.folder / HOST}" out="{out}" length={LENGTH} patience=100.0 grace=20.0'
    flower.run(bundle.write(flower.folder / f"{name}-app"), config)
    return out


def test_a_killed_node_is_left_out_and_the_sum_of_the_others_is_exact(
    flower: tuple[Flower, dict[str, np.ndarray]],
) -> None:
    processes, vectors = flower
    victim = HOSTS[3]
    out = run(processes, "killed")
    shares = processes.folder / victim / "journal"
    before = set(shares.glob("*/keys")) if shares.exists() else set()
    # Its answer to `keys` is written down: others hold shares of its secrets now.
    processes.until("the victim has shared", lambda: bool(set(shares.glob("*/keys")) - before))
    processes.kill(victim)
    result = processes.result(out)
    survivors = result["survivors"]
    lost = result["lost"]
    assert isinstance(survivors, list)
    assert isinstance(lost, dict)
    # Killed before it answered `shares` or, on a fast machine, just after: then its vector is in the sum.
    assert [host for host in survivors if host != victim] == list(HOSTS[:3])
    total = np.sum([vectors[host] for host in survivors], axis=0)
    np.testing.assert_array_equal(np.load(out / "total.npy"), total)
    assert list(lost) == [victim]


def test_a_folder_is_private_and_read_as_written(tmp_path: Path) -> None:
    mine, other = Identity("a.example", bytes(32)), Identity("b.example", bytes([1]) * 32)
    instance.write(tmp_path / "a", mine, [other.public], np.arange(3))
    assert stat.S_IMODE((tmp_path / "a" / instance.NAME).stat().st_mode) == 0o600
    found = instance.read(tmp_path / "a")
    assert found.identity.public == mine.public
    assert found.known == {"b.example": other.public}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"host": "a.example", "seed": "zz", "known": {}}'])
def test_a_damaged_folder_is_named_without_its_content(tmp_path: Path, content: str) -> None:
    (tmp_path / instance.NAME).write_text(content)
    with pytest.raises(instance.InstanceError, match=r"instance\.json cannot be used") as caught:
        instance.read(tmp_path)
    assert "zz" not in str(caught.value)


def test_a_node_refuses_a_roster_with_a_key_it_does_not_know(tmp_path: Path) -> None:
    identities = [Identity(f"m{number}.example", bytes([number + 1]) * 32) for number in range(4)]
    known = [one.public for one in identities]
    instance.write(tmp_path, identities[1], known[:3], np.zeros(LENGTH, np.int64))
    mine = instance.read(tmp_path)
    stranger = instance.Instance(identities[0], {k.host: k for k in known}, lambda _: np.zeros(0, np.int64))
    signed = stranger.propose(length=LENGTH, entry_bound=1000)
    assert signed.proposal.threshold == least_threshold(4)
    with pytest.raises(Refusal) as caught:
        mine.answer(mine.node(MemoryJournal()), signed.raw)
    assert caught.value.code is Code.ROSTER_INVALID
    assert caught.value.culprit == "m3.example"


# What Flower and typer take from others.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_bundle_is_the_same_every_time_and_holds_no_protocol() -> None:
    assert bundle.fab() == bundle.fab()
    code = b"".join(content for name, content in bundle.files().items() if name.endswith(".py"))
    assert len(code.splitlines()) < 12
