"""A pairing code is read as the plugin made it, and a part of one never."""

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import RequestError
from daemon.source.pairing_code import MOST, PREFIX, read_code
from tests import ROOT

# tests/plugin/server/pairing.test.js makes the same codes.
CODES = json.loads((ROOT / "tests" / "plugin" / "pairing-codes.json").read_text("utf-8"))
WHOLE = CODES[0]["code"]


def made(content: bytes) -> str:
    check = hashlib.sha256(content).digest()[:4]
    return PREFIX + base64.urlsafe_b64encode(check + content).decode().rstrip("=")


def refused(code: str) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read_code(code)
    return caught.value


@pytest.mark.parametrize("known", CODES)
def test_a_code_is_read_as_the_plugin_made_it(known: dict[str, Any]) -> None:
    found = read_code(known["code"])
    assert found.secret.get_secret_value() == known["secret"]
    assert list(found.addresses) == known["addresses"]
    assert known["secret"] not in repr(found)
    # A terminal or a chat may have folded it.
    folded = f"  {known['code'][:40]}\n{known['code'][40:]} \r\n"
    assert read_code(folded) == found


@given(st.integers(0, len(WHOLE) - 1), st.data())
def test_a_code_that_was_cut_or_changed_anywhere_is_noticed(place: int, data: st.DataObject) -> None:
    cut = refused(WHOLE[:place])
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = data.draw(st.sampled_from(letters).filter(lambda letter: letter != WHOLE[place]))
    changed = refused(WHOLE[:place] + other + WHOLE[place + 1 :])
    for error in (cut, changed):
        assert "Copy it again" in error.advice
        assert CODES[0]["secret"] not in error.message


def test_every_other_last_letter_is_noticed() -> None:
    letters = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") - {WHOLE[-1]}
    assert all("changed" in refused(WHOLE[:-1] + letter).message for letter in letters)


@pytest.mark.parametrize("text", ["", "x", PREFIX, f"{PREFIX}ü", f"{PREFIX}A=B", PREFIX + "A" * MOST])
def test_what_is_no_code_is_none(text: str) -> None:
    assert refused(text).exit_code == 2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"short http://127.0.0.1:9000", "is not a secret"),
        (b"0123456789abcdef", "no address"),
        (b"0123456789abcdef http://video.example", "plain http"),
        (b"0123456789abcdef ftp://video.example", "is not a URL"),
        (b"\xff" * 20, "missing, or was changed"),
    ],
)
def test_a_whole_code_with_unusable_content_says_what_it_is(content: bytes, why: str) -> None:
    assert why in refused(made(content)).message


def test_addresses_that_would_show_the_secret_on_the_way_are_left_out() -> None:
    found = read_code(made(b"0123456789abcdef http://video.example https://video.example"))
    assert found.addresses == ("https://video.example",)
