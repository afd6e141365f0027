"""What the command line shows and checks of a ledger, and what nothing does to it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from nacl.signing import VerifyKey
from typer.testing import CliRunner

from daemon.cli.main import app
from daemon.ledger import chain, manifests
from daemon.ledger.chain import Kind
from daemon.ledger.messages import in_english as sentence
from daemon.store import ledger_rows as rows
from daemon.store import model_records
from daemon.store.engine import open_checked
from daemon.store.model_records import ModelRecord
from federation.identity import format_key
from tests import ROOT
from tests.daemon.ledger.conftest import ENTRIES, HOST, NEW, NOW, OLD, change


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
