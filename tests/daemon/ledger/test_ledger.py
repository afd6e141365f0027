"""The ledger: whatever is done to its file without the key shows, and at which entry."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import VerifyKey
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from daemon.cli.main import app
from daemon.errors import StoreError
from daemon.ledger import chain, manifests
from daemon.ledger.canonical import MAX_BYTES, canonical, plain, signed_part
from daemon.ledger.chain import BEGINNING, Head, Kind
from daemon.ledger.messages import in_english as sentence
from daemon.store import ledger_rows as rows
from daemon.store import model_records
from daemon.store.engine import open_checked, writes
from daemon.store.migrate import migrate
from daemon.store.model_records import ModelRecord
from federation.identity import Identity, Purpose, format_key
from tests import ROOT

HOST = "alice.example"
OLD, NEW = Identity(HOST, b"\x01" * 32), Identity(HOST, b"\x02" * 32)
MALLORY = Identity(HOST, b"\x03" * 32)
NOW = 1_790_000_000.75
ENTRIES, HANDOVER = 7, 5
"""Of the `ledger` below: how many, and which hands over from the old key to the new one."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    migrate(tmp_path / "shoal.db")
    found = open_checked(tmp_path / "shoal.db")
    yield found
    found.dispose()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "shoal.db"
    migrate(path)
    engine = open_checked(path)
    chain.append(engine, OLD, Kind.PEER_APPROVED, "bob.example", {"key": format_key(MALLORY.public.key)}, NOW)
    chain.append(engine, OLD, Kind.ROUND, "ab" * 32, {"roster": ["bob.example"], "users": 12}, NOW)
    chain.append(engine, OLD, Kind.MODEL, "20261121-local", {"quality": 0.25, "sum": None}, NOW)
    chain.rotate(engine, OLD, NEW, NOW)
    chain.append(engine, NEW, Kind.SERVED, "20261121-local", {}, NOW)
    chain.append(engine, NEW, Kind.REVERT, "bob.example", {"seconds": 1.5, "ok": True}, NOW)
    # Into the file itself: the tests copy it.
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


@contextlib.contextmanager
def copied(ledger: Path) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ledger, Path(folder) / "copy.db")
        engine = open_checked(Path(folder) / "copy.db")
        yield engine
        engine.dispose()


@pytest.fixture
def copy(ledger: Path) -> Iterator[Engine]:
    with copied(ledger) as engine:
        yield engine


def change(engine: Engine, statement: str, **values: Any) -> None:
    with writes(engine) as connection:
        connection.execute(text(statement), values)


def test_entries_are_chained_and_signed_and_follow_a_new_key(copy: Engine) -> None:
    found = chain.entries(copy)
    assert [entry.seq for entry in found] == list(range(1, ENTRIES + 1))
    assert found[0].previous == BEGINNING
    assert [entry.previous for entry in found[1:]] == [entry.hash for entry in found[:-1]]
    assert {entry.at for entry in found} == {1_790_000_000}
    checked = chain.verify(copy, NEW.public)
    assert (checked.ok, checked.entries, checked.broken) == (True, ENTRIES, None)
    assert checked.head == chain.head(copy) == Head(ENTRIES, found[-1].hash)
    assert checked.keys == (OLD.public.key, NEW.public.key)


def test_an_empty_ledger_is_in_order(engine: Engine) -> None:
    assert chain.verify(engine, OLD.public).ok
    assert chain.head(engine) == Head(0, BEGINNING)
    assert chain.contains(engine, BEGINNING) is None


ANYTHING = st.one_of(
    st.none(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False),
    st.text(max_size=80),
    st.binary(max_size=70),
)
NOT_NULL = ANYTHING.filter(lambda value: value is not None)


@settings(max_examples=120, deadline=None)
@given(
    seq=st.integers(1, ENTRIES),
    column=st.sampled_from(["at", "kind", "subject", "details", "previous", "hash", "signature"]),
    value=NOT_NULL,
)
def test_whatever_is_put_into_any_field_shows_at_its_entry(
    ledger: Path, seq: int, column: str, value: Any
) -> None:
    with copied(ledger) as engine:
        query = text(f"SELECT {column} FROM ledger WHERE seq = {seq}")
        with writes(engine) as connection:
            before = connection.execute(query).scalar_one()
            update = text(f"UPDATE ledger SET {column} = :value WHERE seq = {seq}")
            connection.execute(update, {"value": value})
            after = connection.execute(query).scalar_one()
        checked = chain.verify(engine, NEW.public)
    if after == before:
        assert checked.ok
    else:
        assert (checked.ok, checked.broken, checked.entries) == (False, seq, seq - 1)
        assert checked.problem.startswith(f"entry {seq}: ")


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where the plain values of a JSON tree are."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [path for name, part in items for path in paths(part, (*at, name))]
    return below or [at]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_is_changed_in_the_details_shows(ledger: Path, data: st.DataObject) -> None:
    with copied(ledger) as engine:
        seq = data.draw(st.integers(1, ENTRIES))
        details = chain.entries(engine, seq - 1, 1)[0].details
        path = data.draw(st.sampled_from(paths(details)))
        value = data.draw(st.one_of(st.none(), st.booleans(), st.integers(-9, 99), st.text(max_size=5)))
        before = json.dumps(details)
        place: Any = details
        for name in path[:-1]:
            place = place[name]
        place[path[-1] if path else "added"] = value
        change(engine, "UPDATE ledger SET details = :d WHERE seq = :seq", d=json.dumps(details), seq=seq)
        checked = chain.verify(engine, NEW.public)
    assert checked.ok == (json.dumps(details) == before)
    assert checked.broken == (None if checked.ok else seq)


@pytest.mark.parametrize("seq", range(1, ENTRIES))
def test_an_entry_that_is_gone_is_named(copy: Engine, seq: int) -> None:
    change(copy, "DELETE FROM ledger WHERE seq = :seq", seq=seq)
    checked = chain.verify(copy, NEW.public)
    assert (checked.ok, checked.broken) == (False, seq)
    assert "missing" in checked.problem


def test_gaps_that_were_closed_by_counting_anew_show(copy: Engine) -> None:
    change(copy, "DELETE FROM ledger WHERE seq = 2")
    for seq in range(3, ENTRIES + 1):
        change(copy, "UPDATE ledger SET seq = :new WHERE seq = :old", new=seq - 1, old=seq)
    checked = chain.verify(copy, NEW.public)
    assert (checked.broken, checked.entries) == (2, 1)
    assert "does not follow" in checked.problem


def test_two_entries_that_changed_places_show(copy: Engine) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        change(copy, "UPDATE ledger SET seq = :new WHERE seq = :old", new=new, old=old)
    assert chain.verify(copy, NEW.public).broken == 2


def test_a_chain_that_was_written_anew_without_the_key_shows(copy: Engine) -> None:
    """Somebody with the file, and no key, makes hashes fit again from entry 2 on."""
    previous = chain.entries(copy)[0].hash
    for entry in chain.entries(copy, after=1):
        forged = rows.Row(**{**vars(entry), "previous": previous})
        previous = chain.hash_of(forged)
        signature = MALLORY.sign(previous, Purpose.LEDGER)
        change(
            copy,
            "UPDATE ledger SET previous = :p, hash = :h, signature = :s WHERE seq = :seq",
            p=forged.previous, h=previous, s=signature, seq=entry.seq,
        )  # fmt: skip
    checked = chain.verify(copy, NEW.public)
    assert checked.broken == 2
    assert "signature" in checked.problem


def test_a_signature_for_another_purpose_is_none(engine: Engine) -> None:
    entry = chain.append(engine, OLD, Kind.STOPPED, HOST, {}, NOW)
    made = OLD.sign(entry.hash, Purpose.MESSAGE)
    change(engine, "UPDATE ledger SET signature = :s WHERE seq = :seq", s=made, seq=entry.seq)
    assert chain.verify(engine, OLD.public).broken == entry.seq


def test_a_history_of_somebody_elses_cannot_be_put_in_front_of_ours(engine: Engine) -> None:
    """A handover to our key that our key did not agree to: its owner may have invented all before it."""
    chain.append(engine, MALLORY, Kind.ROUND, "ab" * 32, {}, NOW)
    consented = OLD.sign(b"\x05" * 32 + MALLORY.public.key, Purpose.HANDOVER).hex()
    forged = {"old": format_key(MALLORY.public.key), "new": format_key(OLD.public.key), "consent": consented}
    with writes(engine) as connection:
        chain._append(connection, MALLORY, Kind.KEY_ROTATED, HOST, forged, NOW)
    checked = chain.verify(engine, OLD.public)
    assert checked.broken == 3
    assert "did not agree" in checked.problem


def test_a_rotation_needs_the_consent_of_the_new_key(engine: Engine) -> None:
    with pytest.raises(ValueError, match="rotate"):
        chain.append(engine, OLD, Kind.KEY_ROTATED, HOST, {"old": "", "new": ""}, NOW)


def test_who_still_has_the_old_key_cannot_append(engine: Engine) -> None:
    chain.rotate(engine, OLD, NEW, NOW)
    with pytest.raises(StoreError, match="old one"):
        chain.append(engine, OLD, Kind.STOPPED, HOST, {}, NOW)
    with pytest.raises(StoreError, match="old one"):
        chain.rotate(engine, OLD, NEW, NOW)
    assert chain.append(engine, NEW, Kind.STOPPED, HOST, {}, NOW).seq == 3
    assert chain.verify(engine, NEW.public).ok


def test_another_key_that_nobody_handed_over_to_shows(copy: Engine) -> None:
    checked = chain.verify(copy, MALLORY.public)
    assert not checked.ok
    assert "another key" in checked.problem
    chain.append(copy, MALLORY, Kind.STOPPED, HOST, {}, NOW)
    assert chain.verify(copy, NEW.public).broken == ENTRIES + 1


def test_a_cut_off_tail_shows_only_to_who_knows_a_later_head(copy: Engine) -> None:
    noted = chain.head(copy)
    change(copy, "DELETE FROM ledger WHERE seq = :last", last=ENTRIES)
    assert chain.verify(copy, NEW.public).ok
    assert chain.contains(copy, noted.hash) is None
    assert chain.contains(copy, chain.head(copy).hash) == ENTRIES - 1
    # Cut to before the handover, it does not end with this instance's key.
    change(copy, "DELETE FROM ledger WHERE seq >= :last", last=HANDOVER)
    assert "another key" in chain.verify(copy, NEW.public).problem


def test_a_check_can_go_on_where_an_earlier_one_ended(copy: Engine) -> None:
    known = chain.verify(copy, NEW.public)
    added = chain.append(copy, NEW, Kind.STOPPED, "pair", {}, NOW)
    again = chain.verify(copy, NEW.public, known)
    assert (again.ok, again.entries, again.head.hash) == (True, ENTRIES + 1, added.hash)
    # What it found before does not count for another file.
    change(copy, "UPDATE ledger SET hash = :h WHERE seq = :seq", h=bytes(32), seq=ENTRIES)
    assert chain.verify(copy, NEW.public, known).broken == ENTRIES


def test_appends_of_several_processes_take_turns(engine: Engine, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from daemon.ledger import chain\n"
        "from daemon.store.engine import open_checked\n"
        "from federation.identity import Identity\n"
        "engine = open_checked(Path(sys.argv[1]))\n"
        f"identity = Identity({HOST!r}, {OLD.seed!r})\n"
        "for number in range(25):\n"
        "    chain.append(engine, identity, chain.Kind.ROUND, sys.argv[2], {'n': number}, 1.0)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "shoal.db")]
    running = [subprocess.Popen([*command, str(number)], cwd=ROOT) for number in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    checked = chain.verify(engine, OLD.public)
    assert (checked.ok, checked.entries) == (True, 76)
    for number in range(3):
        mine = [entry.details["n"] for entry in chain.entries(engine) if entry.subject == str(number)]
        assert mine == list(range(25))


def test_an_entry_stands_if_and_only_if_what_it_tells_of_does(engine: Engine) -> None:
    def fails() -> None:
        with writes(engine) as connection:
            chain.append_in(connection, OLD, Kind.REVERT, "bob.example", {}, NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert rows.size(engine) == 0


SECRETS = {
    "viewer": "u17",
    "viewers": ["u17"],
    "pseudonym": "5f3a",
    "title": "My secret film",
    "titles": ["My secret film"],
    "address": "192.0.2.7",
    "ip": "192.0.2.7",
    "bracket": "(https://alice.example/w/9c9de5e8)",
    "note": "sent from 192.0.2.7 and 2001:db8::17",
    "watched": "https://alice.example/w/9c9de5e8 and https://bob.example/videos/watch/17",
    "user": 17,
    "url": "https://alice.example/w/9c9de5e8",
    "urls": ["https://alice.example/w/9c9de5e8"],
    "password": "hunter2",
    "token": "hunter2",
    "reason": "password: hunter2",
    "nested": [{"deeper": {"Title": "My secret film", "SECRET": "hunter2", "list": ["to 192.0.2.7"]}}],
}


@pytest.mark.parametrize("name", SECRETS)
def test_details_hold_no_viewer_title_address_or_secret(engine: Engine, tmp_path: Path, name: str) -> None:
    chain.append(engine, OLD, Kind.ROUND, "from 192.0.2.7", {name: SECRETS[name], "users": 17}, NOW)
    entry = chain.entries(engine)[-1]
    told = canonical(signed_part(entry)).decode()
    for secret in ("u17", "5f3a", "secret film", "192.0.2.7", "2001:db8", "hunter2", "9c9de5e8", "watch/17"):
        assert secret not in told
    assert entry.details["users"] == 17
    assert "user" not in entry.details or entry.details["user"] == "[redacted]"
    assert chain.verify(engine, OLD.public).ok
    engine.dispose()
    assert not any(b"hunter2" in path.read_bytes() for path in tmp_path.glob("shoal.db*"))


def test_numbers_of_things_and_keys_of_instances_are_told() -> None:
    told = {"viewers": 12, "videos": 300, "key": format_key(NEW.public.key), "hosts": ["bob.example"]}
    assert plain(told) == told


def test_numbers_are_written_as_every_language_writes_them() -> None:
    found = plain(
        {"a": 1.0, "b": 0.1 + 0.2, "c": float("nan"), "d": 1e-9, "e": -0.0, "f": 1e15, "g": 0.00011}
    )
    assert canonical(found) == b'{"a":1,"b":0.3,"c":null,"d":0,"e":0,"f":1000000000000000,"g":0.0001}'


@pytest.mark.parametrize(
    ("details", "error"),
    [
        ({"n": 2**53}, ValueError),
        ({"n": 1e300}, ValueError),
        ({"text": "x" * MAX_BYTES}, ValueError),
        ({"raw": b"\x00"}, TypeError),
        ({"ключ": 1}, TypeError),
        ({1: 2}, TypeError),
    ],
)
def test_what_has_no_one_text_is_refused(details: dict[Any, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        plain(details)


def test_a_hash_can_be_made_without_shoal(copy: Engine) -> None:
    """With the two tools that docs/ledger.md names."""
    jq = shutil.which("jq")
    for entry in chain.entries(copy):
        line = json.dumps(signed_part(entry))
        assert canonical(json.loads(line)) == canonical(signed_part(entry))
        if jq is not None:
            made = subprocess.run(
                [jq, "-cSj", "."], input=line.encode(), capture_output=True, check=True
            ).stdout
            assert hashlib.sha256(made).digest() == entry.hash


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "20261121-local"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"files": {}}')
    return folder


def test_a_manifest_is_signed_by_its_instance(model: Path) -> None:
    assert not manifests.verify(model, OLD.public)
    manifests.sign(model, OLD)
    assert manifests.verify(model, OLD.public)
    assert not manifests.verify(model, NEW.public)
    (model / "manifest.json").write_text('{"files": {} }')
    assert not manifests.verify(model, OLD.public)


CHANGED = st.one_of(st.none(), st.integers(), st.text(st.characters(codec="utf-8")))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_signature_file_that_was_changed_anywhere_is_none(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "manifest.json").write_text('{"files": {}}')
        manifests.sign(folder, OLD, Head(7, b"\x07" * 32))
        content = json.loads((folder / "manifest.sig").read_bytes())
        path = data.draw(st.sampled_from(paths(content)))
        place: Any = content
        for step in path[:-1]:
            place = place[step]
        old = place[path[-1]]
        place[path[-1]] = data.draw(CHANGED | st.just(str(old)[::-1]))
        (folder / "manifest.sig").write_bytes(canonical(content) + b"\n")
        assert manifests.verify(folder, OLD.public) == (place[path[-1]] == old)


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b"null", b"\xff", b"1" * 5000, b'{"format": 1, "ledger": 3}']
)
def test_what_is_no_signature_file_is_none(model: Path, raw: bytes) -> None:
    (model / "manifest.sig").write_bytes(raw)
    assert manifests.read(model) is None
    assert not manifests.verify(model, OLD.public)


def test_the_head_in_a_manifest_shows_a_cut(copy: Engine, model: Path) -> None:
    manifests.sign(model, NEW, chain.head(copy))
    assert manifests.check(copy, HOST, chain.verify(copy, NEW.public), [model]) == []
    change(copy, "DELETE FROM ledger WHERE seq = :last", last=ENTRIES)
    ((name, problem),) = manifests.check(copy, HOST, chain.verify(copy, NEW.public), [model])
    assert name == model.name
    assert f"had {ENTRIES} entries" in problem
    # Written on with other entries, it has as many again, but not the same.
    chain.append(copy, NEW, Kind.STOPPED, HOST, {}, NOW)
    assert len(manifests.check(copy, HOST, chain.verify(copy, NEW.public), [model])) == 1


def test_a_model_from_before_a_new_key_stays_signed(copy: Engine, model: Path) -> None:
    manifests.sign(model, OLD, Head(4, chain.entries(copy)[3].hash))
    assert manifests.check(copy, HOST, chain.verify(copy, NEW.public), [model]) == []
    manifests.sign(model, MALLORY, chain.head(copy))
    ((_, problem),) = manifests.check(copy, HOST, chain.verify(copy, NEW.public), [model])
    assert "not signed by this instance" in problem


# -- the command line and the file


@pytest.fixture
def instance(tmp_path: Path, ledger: Path) -> Path:
    """An instance with the ledger above, and the key that it ends with."""
    folder = tmp_path / "one"
    folder.mkdir()
    shutil.copy(ledger, folder / "shoal.db")
    (folder / "identity.key").write_bytes(NEW.seed)
    (folder / "identity.key").chmod(0o600)
    (folder / "shoal.toml").write_text(f'[instance]\nhost = "{HOST}"\n[source]\npath = "{folder}"\n')
    return folder


def shoal(*words: str, instance: Path, status: int = 0) -> str:
    done = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["ledger", *words, "-c", str(instance)])
    assert done.exit_code == status, (done.output, done.exception)
    return done.stdout


def head_of(instance: Path) -> str:
    found: str = json.loads(shoal("verify", "-o", "json", instance=instance))["head"]
    return found


def test_what_happened_is_shown_in_sentences_newest_first(instance: Path) -> None:
    told = " ".join(shoal("show", instance=instance).split())
    sentences = [
        "What was learnt from bob.example was taken out. Deleted sums: 0; deleted models: 0.",
        "Model 20261121-local now serves.",
        f"{HOST} has a new key: {format_key(NEW.public.key)}.",
        "Trained model 20261121-local from our own viewers alone.",
        "bob.example was approved as a peer.",
        f"The ledger of {HOST} begins with the key {format_key(OLD.public.key)}.",
    ]
    places = [told.index(sentence) for sentence in sentences]
    assert places == sorted(places)
    assert "2026-09-21 14:13" in told
    only = shoal("show", "--kind", "model", "--details", instance=instance)
    assert "quality: 0.25" in only
    assert "bob" not in only
    assert "Earlier: shoal ledger show --before 6" in shoal("show", "--limit", "2", instance=instance)
    assert json.loads(shoal("show", "--limit", "1", "-o", "json", instance=instance))[0]["seq"] == ENTRIES


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_sentence_whatever_its_details_are(kind: Kind) -> None:
    for details in ({}, {"reason": "it is so.", "survivors": ["b.example"], "viewers": 3, "rounds": 0}):
        entry = rows.Row(1, 1.0, kind.value, "bob.example", details, b"", b"", b"")
        told = sentence(entry)
        assert told.endswith(".")
        assert not told.startswith(f"{kind.value}:")
        assert ".." not in told
        assert "None" not in told or kind in (Kind.KEY_ROTATED, Kind.OPENED, Kind.ROUND)


def test_a_sum_of_a_group_is_told_by_whose_it_is() -> None:
    for role, told in {
        "aggregator": "our own sum",
        "member": "the sum of a.example",
        "host": "the sum of our group",
        "group": "what the other members of the group of a.example gave",
    }.items():
        details = {"role": role, "aggregator": "a.example", "outcome": "abandoned"}
        entry = rows.Row(1, 1.0, "round", "f" * 64, details, b"", b"", b"")
        assert sentence(entry) == f"Round {'f' * 12}, {told}, was abandoned."


def test_a_check_tells_the_head_and_knows_one_that_was_noted(instance: Path) -> None:
    told = shoal("verify", instance=instance)
    assert f"In order: {ENTRIES} entries" in told
    noted = head_of(instance)
    assert f"Head: {noted}" in told
    engine = open_checked(instance / "shoal.db")
    chain.append(engine, NEW, Kind.STOPPED, HOST, {}, NOW)
    assert f"is entry {ENTRIES}" in shoal("verify", "--expect", noted, instance=instance)
    change(engine, "DELETE FROM ledger WHERE seq >= :last", last=ENTRIES)
    engine.dispose()
    # The second copy has them; without it, only who noted a head can know.
    assert "are missing from the database" in " ".join(shoal("verify", instance=instance, status=6).split())
    (instance / "ledger.jsonl").unlink()
    assert "In order: 6 entries" in shoal("verify", instance=instance)
    assert "removed or replaced" in " ".join(
        shoal("verify", "--expect", noted, instance=instance, status=6).split()
    )
    assert (
        json.loads(shoal("verify", "--expect", noted, "-o", "json", instance=instance, status=6))["ok"]
        is False
    )
    shoal("verify", "--expect", "abc", instance=instance, status=2)


def test_a_check_names_what_is_broken_and_ends_so(instance: Path) -> None:
    engine = open_checked(instance / "shoal.db")
    change(engine, "UPDATE ledger SET subject = 'mallory.example' WHERE seq = 3")
    engine.dispose()
    told = shoal("verify", instance=instance, status=6)
    assert "Broken: entry 3: its content was changed" in told
    assert "mallory.example" in told
    found = json.loads(shoal("verify", "-o", "json", instance=instance, status=6))
    assert (found["ok"], found["broken"], found["entries"]) == (False, 3, 2)


def test_a_check_looks_at_the_models_too(instance: Path) -> None:
    engine = open_checked(instance / "shoal.db")
    for name in ("20261121-local", "of-before"):
        folder = instance / "models" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        model_records.save(engine, ModelRecord(name, NOW, "local", None, name, "", {}))
    # One that the ledger tells of was signed when it was made.
    told = shoal("verify", instance=instance, status=6)
    assert "20261121-local: its manifest is not signed" in told
    assert "of-before: not signed, because it is older than the ledger" in told
    manifests.sign(instance / "models" / "20261121-local", NEW, chain.head(engine))
    assert "at a place in this ledger: 1 model." in shoal("verify", instance=instance)
    (instance / "models" / "20261121-local" / "manifest.json").write_text("{ }")
    assert "changed after it was signed" in shoal("verify", instance=instance, status=6)
    engine.dispose()


def test_an_exported_ledger_can_be_checked_as_the_document_says(instance: Path, tmp_path: Path) -> None:
    """With SHA-256, Ed25519 and JSON of other people, and nothing of Shoal."""
    path = tmp_path / "ledger.jsonl"
    assert f"Wrote {ENTRIES} entries" in shoal("export", str(path), instance=instance)
    first, *lines = path.read_bytes().splitlines()
    assert json.loads(first) == {"format": 1, "ledger": HOST}
    assert len(lines) == ENTRIES
    previous, key = "0" * 64, b""
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        digest, signature = entry.pop("hash"), bytes.fromhex(entry.pop("signature"))
        made = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert hashlib.sha256(made).hexdigest() == digest
        assert (entry["seq"], entry["previous"]) == (number, previous)
        if number == 1:
            assert entry["kind"] == "opened"
            key = base64.b64decode(entry["details"]["key"].removeprefix("ed25519:"))
        VerifyKey(key).verify(b"shoal/2 ledger\x00" + bytes.fromhex(digest), signature)
        if entry["kind"] == "key-rotated":
            details = entry["details"]
            old, new = (base64.b64decode(details[name].removeprefix("ed25519:")) for name in ("old", "new"))
            assert old == key
            said = b"shoal/2 handover\x00" + bytes.fromhex(previous) + old
            VerifyKey(new).verify(said, bytes.fromhex(details["consent"]))
            key = new
        previous = digest
    assert key == NEW.public.key
    assert previous == head_of(instance)
    shoal("export", str(path), instance=instance, status=2)


def test_nothing_ever_deletes_an_entry() -> None:
    """Neither pruning nor anything else: there is no statement that could."""
    root = ROOT / "daemon"
    for path in root.rglob("*.py"):
        content = path.read_text()
        assert not re.search(r"(?i)(delete|update)\s*\(\s*(LedgerRow|ledger)", content), path
        assert not re.search(r"(?i)(delete\s+from|update|drop\s+table)\s+ledger\b", content), path
