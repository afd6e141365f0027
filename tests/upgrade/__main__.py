"""`python -m tests.upgrade [REFERENCE]`: an older release and this checkout, as peers and on one folder.

The wheel of the git reference is built; without one, that of the newest release tag. Two instances run it and
three this checkout. They say hello, and one of each asks the others for a sum: that completes, or is refused
with the code `update` and its sentence. Then this checkout takes over the folders of the older program. What
was in them, settings, database, ledger, peers, models and a backup, is there and serves, and the sums of
before are the plain ones.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from daemon.lab.demo.instances import build
from federation.errors import Code
from tests.daemon import plain_sums
from tests.daemon.small_dataset import write_overlapping_tastes
from tests.upgrade import release
from tests.upgrade.instances import CHECKOUT, Instance, Program

HOSTS: Final = 5
OLDER: Final = 2
ADVICE: Final = "update Shoal on the older of the two"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when both work together or say why not, and everything of the older one is read."""
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__)
    parser.add_argument("reference", nargs="?", default="", help="git reference of the older program")
    reference = parser.parse_args(arguments).reference or release.released()
    if reference is None:
        say("No release is tagged yet, so the older program is that of HEAD.")
        reference = "HEAD"
    with tempfile.TemporaryDirectory(prefix="shoal-upgrade-") as name:
        folder = Path(name)
        try:
            older = Program(reference, release.install(reference, folder / "release"))
        except LookupError as error:
            say(f"The wheel of {reference} cannot be installed here: {error}")
            return 2
        say(f"{reference}: {older.shoal('--version').said}")
        with instances(folder, older) as (before, after):
            try:
                summed = together(before, after)
                upgrade(before, [*before, *after], folder)
                check_sums(summed, [*before, *after])
            except AssertionError as error:
                say(f"FAILED: {error}")
                return 1
    say(f"{reference} and this checkout: all is well.")
    return 0


@contextlib.contextmanager
def instances(folder: Path, older: Program) -> Iterator[tuple[list[Instance], list[Instance]]]:
    """Run instances of the older program and of this checkout, that all are peers and have a model."""
    world = build(folder / "sets", write_overlapping_tastes(folder / "set"), HOSTS)
    all_ = [
        Instance(one.host, folder / one.host, one.folder / "dataset", older if number < OLDER else CHECKOUT)
        for number, one in enumerate(world.instances)
    ]
    keys = {one.host: one.begin() for one in all_}
    try:
        for one in all_:
            one.know(all_, keys)
            for command in ("sync", "train"):
                one.must(command)
            one.start()
        yield all_[:OLDER], all_[OLDER:]
    finally:
        for one in all_:
            one.stop()


def together(before: Sequence[Instance], after: Sequence[Instance]) -> dict[str, set[str]]:
    """Let one of each say hello to all, and ask all for a sum; returns who is in which sum, by who asked."""
    for one in (before[0], after[0]):
        found = one.hello()
        assert not found["unreachable"], f"{one.host} did not reach {found['unreachable']}"
        assert set(found["refused"].values()) <= {Code.UPDATE}, f"{one.host} was refused: {found['refused']}"
        say(f"{one.program.name} says hello: {_refused(found['refused']) or 'all answered'}")
    everybody = {one.host for one in (*before, *after)}
    summed = {}
    for one in (after[0], before[0]):
        done = one.shoal("rounds", "start")
        if done.ok:
            summed[one.host] = set(done.json["survivors"])
            missing = everybody - {one.host} - summed[one.host]
            # Who is left out says why.
            assert all(ADVICE in done.json["lost"].get(host, "") for host in missing), done.said
        else:
            assert ADVICE in done.said, done.said
        say(f"{one.program.name} asks for a sum: {'completed' if done.ok else done.said}")
    return summed


def upgrade(before: Sequence[Instance], everybody: Sequence[Instance], folder: Path) -> None:
    """Let this checkout take over what the older program left, and a backup that it made."""
    for one in before:
        paused = everybody[-1].host
        one.must("peers", "pause", paused)
        left = look(one)
        assert left.peers[paused] == "paused", left.peers
        backup = folder / f"{one.host}.backup"
        one.must("backup", str(backup))
        one.stop()
        name, one.program = one.program.name, CHECKOUT
        one.start()
        compare(one, left)
        one.must("sync")
        one.must("train")
        say(f"{one.host}: this checkout serves and learns on the folder of {name}")
        restore(one, backup, left, folder / f"{one.host}-restored")
        say(f"{one.host}: this checkout restores the backup that {name} made")


def check_sums(summed: Mapping[str, set[str]], everybody: Sequence[Instance]) -> None:
    """Hold every sum against that of its members' viewers, read from their databases by this checkout."""
    settings = {one.host: one.settings for one in everybody}
    for host, members in summed.items():
        plain_sums.assert_plain(settings[host], [settings[member] for member in members])
        say(f"{host}: its sum is the plain one")


@dataclass(frozen=True)
class Left:
    """What an instance has, by what its program answers: it must be the same after an upgrade.

    `related` is a list that is served, `head` the hash of the newest of so many `entries` of the ledger;
    `peers` are states by host, `rounds` and `models` ids.
    """

    model: str
    related: list[str]
    head: str
    peers: dict[str, str]
    rounds: set[str]
    models: set[str]


def look(one: Instance) -> Left:
    """Ask an instance, whose daemon runs."""
    ready, body = one.get("/health/ready")
    assert ready == 200, f"{one.host} serves no model: {body}"
    listed, beside = one.get("/v1/related", video=one.videos()[0], limit="5")
    assert listed == 200, f"{one.host} answers no list: {beside}"
    return Left(
        model=body["model"],
        related=[video["uuid"] for video in beside["videos"]],
        head=one.must("ledger", "verify")["head"],
        peers={peer["host"]: peer["state"] for peer in one.must("peers", "list")["peers"]},
        rounds={round_["id"] for round_ in one.must("rounds", "list")},
        models={model["id"] for model in one.must("models", "list")},
    )


def compare(one: Instance, left: Left) -> None:
    """Hold an upgraded instance, whose daemon runs, against what it had before."""
    found = look(one)
    assert found.model == left.model, f"{one.host} serves {found.model}, before it was {left.model}"
    # Later programs may order a list otherwise.
    assert len(found.related) == len(left.related) > 0, f"{one.host} lists {found.related}"
    assert found.peers == left.peers, f"{one.host} has {found.peers}, before it was {left.peers}"
    assert found.rounds >= left.rounds, f"{one.host} forgot rounds"
    assert found.models >= left.models, f"{one.host} forgot models"
    one.must("ledger", "verify", "--expect", left.head)
    one.must("config", "show")


def restore(one: Instance, backup: Path, left: Left, folder: Path) -> None:
    """Restore a backup into a folder of its own, and look whether what was decided is known there."""
    restored = Instance(one.host, folder, one.data, CHECKOUT)
    folder.mkdir()
    restored.settings.write_bytes(one.settings.read_bytes())
    restored.must("restore", str(backup), "--yes")
    restored.must("ledger", "verify", "--expect", left.head)
    states = {peer["host"]: peer["state"] for peer in restored.must("peers", "list")["peers"]}
    against = {host: state for host, state in left.peers.items() if state != "approved"}
    assert against.items() <= states.items(), f"{one.host} restored has {states}, before it was {left.peers}"


def _refused(refused: dict[str, str]) -> str:
    return ", ".join(f"{host} refused: {code}" for host, code in refused.items())


def say(sentence: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
