"""The self-test finds a library that computes something else, and takes no time that anybody notices."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nacl.signing import VerifyKey

from federation import keys, masks, self_test, shamir


def test_nothing_is_wrong_here() -> None:
    assert self_test.failures() == ()


def test_it_takes_less_than_a_third_of_a_second() -> None:
    self_test.failures()
    began = time.process_time()
    self_test.failures()
    assert time.process_time() - began < 0.3


def test_a_cipher_of_other_bytes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = masks.keystream
    monkeypatch.setattr(masks, "keystream", lambda key, size: real(key, size)[::-1])
    assert "ChaCha20" in self_test.failures()


def test_a_derivation_of_other_keys_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = keys.derive
    monkeypatch.setattr(keys, "derive", lambda secret, salt, label, size=32: real(secret, b"", label, size))
    assert "keys of a sum" in self_test.failures()


def test_shares_that_do_not_add_up_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shamir, "combine", lambda _points, _shares: bytes(32))
    assert self_test.failures() == ("shares of secrets",)


def test_a_library_that_takes_any_signature_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VerifyKey, "verify", lambda *_: b"")
    assert self_test.failures() == ("signatures",)


def test_masks_that_hide_nothing_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "apply", lambda _vector, _masks: None)
    assert self_test.failures() == ("masks",)


def test_what_a_library_raises_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> bytes:
        raise OSError("no such instruction")

    monkeypatch.setattr(keys, "agree", broken)
    assert "keys of a sum (OSError)" in self_test.failures()


def test_a_vector_that_was_altered_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in self_test.VECTORS.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    derived = json.loads((tmp_path / "derivations.json").read_text("utf-8"))
    (tmp_path / "derivations.json").write_text(json.dumps({**derived, "journal_key": "00" * 32}), "utf-8")
    monkeypatch.setattr(self_test, "VECTORS", tmp_path)
    assert self_test.failures() == ("keys of a sum",)


def test_it_needs_no_network_and_nothing_heavy() -> None:
    script = "import sys, federation.self_test; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"aiohttp", "flwr", "scipy", "torch"} & set(done.stdout.split())
