"""The stock app in Flower's simulation engine, in a process of its own as `shoal simulate` runs it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.errors import JobError
from daemon.lab.simulate.flower_engine import engine
from federation.flower.app.laboratory import Laboratory
from federation.flower.app.simulation import Measured

pytestmark = pytest.mark.flower


def mentioning(text: str) -> list[str]:
    """Command lines of processes, ours or anybody's, that name a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [line] if text in line else []
    return found


@pytest.fixture
def short() -> Iterator[Path]:
    """Ray's sockets need a path shorter than pytest's."""
    with tempfile.TemporaryDirectory(prefix="e", dir="/tmp") as name:
        yield Path(name)


def test_the_engine_gives_exact_sums_and_leaves_nothing_behind(short: Path) -> None:
    seen: list[int] = []
    during: list[str] = []

    def on_sum(one: Measured) -> None:
        seen.append(one.length)
        during.extend(mentioning(str(short)))

    found = engine(Laboratory(5, seed=3), (200, 20_000), parent=short, on_sum=on_sum)
    assert [one.length for one in found] == [200, 20_000]
    assert seen == [200, 20_000]
    assert all(one.exact and one.survivors == 5 for one in found)
    # A masked vector is four bytes for each entry; all else is the same, signatures and shares.
    assert found[1].up - found[0].up == 4 * (20_000 - 200)
    assert 0 < found[0].up - 800 < 10_000
    assert 0 < found[0].down < 10_000
    assert all(one.host_cpu > 0 and one.member_cpu > 0 for one in found)
    assert list(short.iterdir()) == []
    assert any("gcs_server" in line for line in during)
    assert mentioning(str(short)) == []


def test_an_engine_that_cannot_start_is_no_endless_wait(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with pytest.raises(JobError, match="ended without a result"):
        engine(Laboratory(4, seed=3), (100,), parent=deep)
    assert list(deep.iterdir()) == []
