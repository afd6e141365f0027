"""`shoal support dump`: what helps is in it; what names anybody is not, wherever it was planted."""

from __future__ import annotations

import json
import re
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon import log
from daemon.disclosure.redaction import Redactor, named
from daemon.identity import open_identity
from daemon.maintenance import sync
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.store.activity import JobRecord, RoundRecord, save_job, save_round
from daemon.store.viewers import Pseudonyms
from federation.identity import Identity, format_key
from tests.daemon.instance_with_peer import HOST, NOW, OTHERS, PEERS, Instance, open_instance
from tests.daemon.shoal_command import shoal
from tests.daemon.small_dataset import write_set

OWN = "one.example"
STRANGER = "somebody.elsewhere.example"
SECRET = "s3cret-Of-The-Plugin-0123456789"
VIEWER = "4711"
TITLE = "Private title 7 (2007)"
UUID = str(uuid.UUID(int=0xABCDEF0123456789))
SHORT_UUID = "tGh4Kx9QmZ2bLpR7wVn3Yc"
ADDRESSES = ("203.0.113.77", "2001:db8::77")
MAIL = "alice@mail.example"


@dataclass
class World:
    one: Instance
    pseudonym: str
    key: str

    @property
    def markers(self) -> tuple[str, ...]:
        """What must not be in a dump."""
        hosts = (OWN, STRANGER, *OTHERS, HOST, "mail.example")
        videos = (TITLE, UUID, SHORT_UUID)
        people = (VIEWER, self.pseudonym, MAIL, "alice")
        return (
            *hosts,
            *videos,
            *people,
            *ADDRESSES,
            SECRET,
            self.key,
            str(self.one.config.data_dir),
            "v.example",
        )

    def dump(self, *words: str) -> str:
        done = shoal("support", "dump", "-", *words, "-c", self.one.config.data_dir / "shoal.toml")
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_instance(tmp_path) as one:
        folder = one.config.data_dir
        write_set(folder / "dataset")
        sync.run(one.context())
        open_identity(one.config.identity_file, OWN)
        one.serve(one.model("federated", [*OTHERS, HOST], round_id=one.sum(1, [*OTHERS, HOST])))
        pseudonym = Pseudonyms.open(folder / "viewers.key").of(VIEWER).hex()
        key = format_key(PEERS[0].public.key)
        bad = f"{HOST} at {ADDRESSES[0]} said {UUID} of viewer {VIEWER} ({pseudonym}), see https://{STRANGER}/w/{SHORT_UUID}"
        save_round(
            one.engine,
            RoundRecord("cd" * 32, "member", STRANGER, NOW, NOW + 9, "abandoned", bad, [STRANGER, OWN]),
        )
        save_job(
            one.engine, JobRecord("train", NOW, NOW + 3, "failed", "job-died", {"videos": 9, "note": TITLE})
        )
        peer = repository.read(one.engine, one.config).find(HOST)
        assert peer is not None
        repository.save(one.engine, replace(peer, version=f"1 by {MAIL}", state="paused", failures=3))
        repository.save(
            one.engine,
            Peer(
                STRANGER,
                url=f"https://{STRANGER}/x",
                key=format_key(Identity("x.example", bytes(32)).public.key),
            ),
        )
        (folder / f"notes-about-{STRANGER}").mkdir()
        _log(one, bad, pseudonym, key)
        yield World(one, pseudonym, key)


def _log(one: Instance, bad: str, pseudonym: str, key: str) -> None:
    """Write lines as a later mistake in our own code could: what redacts logs is not asked here."""
    one.config.log_dir.mkdir()

    def line(second: int, **fields: str) -> str:
        at = f"2026-12-01T00:00:{second:02}.000Z"
        shown = {"time": at, "level": "error", "logger": "daemon.serve.runner", **fields}
        return " ".join(
            f"{name}={value if value.isalnum() else json.dumps(value)}" for name, value in shown.items()
        )

    lines = [
        line(0, message=bad, job="train").replace('time="', "time=").replace('Z" ', "Z ", 1),
        line(1, message="seen", viewer=VIEWER, title=TITLE, ip=ADDRESSES[1], user_id=VIEWER),
        line(2, message=f"because of {TITLE}", peer=HOST, origin=ADDRESSES[1]),
        line(3, message=f"mail from {MAIL}", who=pseudonym, was=key),
        line(4, message=f"secret {SECRET}", other=SECRET),
        line(7, message="job failed", problem=TITLE),
        line(5, message="reading", file=f"{one.config.data_dir}/x"),
        json.dumps({"time": "2026-12-01T00:00:06.000Z", "message": bad, "history": VIEWER}),
        f"Traceback of {STRANGER} with {TITLE}",
    ]
    (one.config.log_dir / log.FILE_NAME).write_text("\n".join(lines) + "\n")


def test_no_marker_of_any_kind_is_in_it_and_what_helps_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_GROUP__PUBLIC_URL", f"https://{STRANGER}")
    monkeypatch.setenv("SHOAL_LOG__LEVEL", "debug")
    text = world.dump()
    found = [marker for marker in world.markers if marker.lower() in text.lower()]
    assert found == []
    for wanted in (
        "== Versions\nshoal ",
        "\nnumpy ",
        "\nflwr ",
        "mode = contribute  from file",
        "log.level = debug  from SHOAL_LOG__LEVEL",
        "group.public_url = (set)  from SHOAL_GROUP__PUBLIC_URL",
        "schema 0002, this program knows 0002",
        "viewers: about 60",
        "videos: about 40",
        "shoal.db: ",
        "identity.key: under 1 kB, mode 600",
        "sums accepted: 1",
        "train failed job-died after 3.0 s",
        "member of peer-7, abandoned",
        "paused, approves us: unknown",
        "3 failures",
        "logger=daemon.serve.runner",
        "job=train",
        "ledger: ",
        "1 lines in no form",
    ):
        assert wanted in text, wanted
    # All of one host's lines have the same number.
    number = re.search(r"(peer-\d): paused", text)
    assert number is not None
    assert f"message={number[1]} at" in text
    assert f"peer={number[1]}" in text


def test_the_file_is_its_owners_and_never_overwrites(world: World, tmp_path: Path) -> None:
    file, toml = tmp_path / "report.txt", world.one.config.data_dir / "shoal.toml"
    done = shoal("support", "dump", file, "-c", toml)
    assert (done.returncode, "Nothing was sent" in done.said) == (0, True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().startswith("Shoal support dump")
    again = shoal("support", "dump", file, "-c", toml)
    assert (again.returncode, "exists already" in again.stderr) == (2, True)


def test_it_is_made_with_a_broken_database_and_with_broken_settings(world: World) -> None:
    folder = world.one.config.data_dir
    world.one.engine.dispose()
    for path in folder.glob("shoal.db*"):
        path.unlink()
    (folder / "shoal.db").write_bytes(b"SQLite format 3\x00" + TITLE.encode() * 400)
    broken = world.dump()
    assert "database: " in broken
    assert "see the problem under Versions" in broken
    toml = folder / "shoal.toml"
    toml.write_text(toml.read_text() + f'[limits]\njob_tiem = "{SECRET}"\n[log]\nlevel = "{STRANGER}"\n')
    unusable = world.dump()
    assert "settings: unusable: " in unusable
    assert "log.level" in unusable
    assert "level=error logger=daemon.serve.runner message=job failed" in broken
    for text in (broken, unusable):
        assert [marker for marker in world.markers if marker.lower() in text.lower()] == []


HOSTS = st.from_regex(
    r"[a-z][a-z0-9-]{0,8}[a-z0-9](\.[a-z][a-z0-9]{0,8}){0,2}\.(org|net|example|de|social)", fullmatch=True
)


@given(
    HOSTS,
    HOSTS,
    st.ip_addresses().filter(lambda ip: not ip.is_loopback and not ip.is_unspecified),
    st.uuids(),
)
def test_hosts_addresses_and_ids_go_wherever_they_stand(
    peer: str, other: str, address: object, one: uuid.UUID
) -> None:
    redactor = Redactor(named("own.example", {peer}))
    text = redactor.text(
        f"from {other} ({address}) to {peer}: {one}, {one.hex}; {other}:443, https://{peer}/a?b={one}."
    )
    for marker in (other, str(address), str(one), one.hex):
        assert marker not in text
    assert "peer-1" in text


def test_what_helps_to_find_a_fault_stays_readable() -> None:
    redactor = Redactor(named("own.example", {"p.example"}))
    line = (
        'time=2026-12-01T00:00:00.000Z level=error logger=daemon.serve.runner message="job failed" job=sync '
        'code=source problem="PeerTube did not answer within 30 seconds" api=127.0.0.1:9731 '
        'model=20261121-100000-federated-aaaaaa error=TimeoutError trace="Runner.job:81 < _Training.run:12"'
    )
    assert redactor.log_line(line) == line.replace('"', "")
