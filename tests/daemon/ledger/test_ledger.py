"""The ledger: whatever is done to its file without the key shows, and at which entry."""

from __future__ import annotations

import contextlib
import hashlib
import json
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
from sqlalchemy import Engine, text

from daemon.errors import StoreError
from daemon.ledger import chain, manifests
from daemon.ledger.canonical import MAX_BYTES, canonical, plain, signed_part
from daemon.ledger.chain import BEGINNING, Head, Kind
from daemon.store import ledger_rows as rows
from daemon.store.engine import open_checked, writes
from federation.identity import Purpose, format_key
from tests import ROOT
from tests.daemon.ledger.conftest import ENTRIES, HANDOVER, HOST, MALLORY, NEW, NOW, OLD, change


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
