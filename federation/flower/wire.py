"""The form of our messages in Flower: a flat map of fields, checked on both sides.

A request is `{"v": 1, "request": bytes, "blob.NAME": bytes...}`, an answer `{"v": 1, "answer": bytes}` or
`{"v": 1, "code": str, "sentence": str}`. In Flower's terms that is one ConfigRecord, and an ArrayRecord for
large byte strings: Flower transfers an array in chunks, anything else as one object of whatever size
(`federation.flower.objects`, `federation.flower.records`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from federation import cbor_fields
from federation.carrier import PeerRefused
from federation.errors import Code, Refusal

Value: TypeAlias = int | str | bytes
Content: TypeAlias = Mapping[str, Value]

MESSAGE_TYPE: Final = "query.shoal"
"""Flower's name for what the app of a node does with a message."""
VERSION: Final = 1
MAX_FIELDS: Final = 64
"""Three blobs for each of 16 sub-cohorts, and the head, are 49."""
_BLOB: Final = "blob."
_MAX_NAME: Final = 64
_MAX_SENTENCE: Final = 300


def request(raw: bytes, blobs: Mapping[str, bytes] | None = None) -> dict[str, Value]:
    """Return the content of a request, with what travels beside it."""
    content: dict[str, Value] = {"v": VERSION, "request": raw}
    return content | {_BLOB + name: blob for name, blob in (blobs or {}).items()}


def read_request(content: Content) -> tuple[bytes, dict[str, bytes]]:
    """Return request and blobs.

    Raises:
        Refusal: `malformed`.

    """
    blobs = {}
    for name, value in content.items():
        if name in ("v", "request"):
            continue
        if not name.startswith(_BLOB) or not isinstance(value, bytes):
            raise cbor_fields.malformed("a request holds something that is no blob")
        blobs[cbor_fields.text(name[len(_BLOB) :], _MAX_NAME)] = value
    _version(content)
    return cbor_fields.octets(content.get("request")), blobs


def answer(raw: bytes) -> dict[str, Value]:
    """Return the content of an answer."""
    return {"v": VERSION, "answer": raw}


def refusal(code: str, sentence: str) -> dict[str, Value]:
    """Return the content of a refusal."""
    return {"v": VERSION, "code": code, "sentence": sentence[:_MAX_SENTENCE]}


def read_answer(host: str, content: Content, *, max_answer: int) -> bytes:
    """Return what `host` answered.

    Raises:
        PeerRefused: it refused.
        Refusal: `malformed`, or `oversized`.

    """
    _version(content)
    if set(content) == {"v", "code", "sentence"}:
        code = cbor_fields.text(content["code"])
        raise PeerRefused(host, code, cbor_fields.text(content["sentence"], _MAX_SENTENCE))
    if set(content) != {"v", "answer"}:
        raise cbor_fields.malformed("expected an answer or a refusal")
    raw = cbor_fields.octets(content["answer"])
    if len(raw) > max_answer:
        raise Refusal(Code.OVERSIZED, f"{host} answered with more than {max_answer} bytes", host)
    return raw


def _version(content: Content) -> None:
    cbor_fields.integer(content.get("v"), low=VERSION, high=VERSION)
