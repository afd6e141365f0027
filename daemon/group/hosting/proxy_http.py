"""HTTP/1.1 as the reverse proxy accepts it, decided on bytes alone: one form of request, one form of answer.

A request is never repaired, nor forwarded as it came: it is written anew from the fields that were
understood, so that client, proxy and SuperLink cannot read it differently.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

MAX_HEAD: Final = 8_192
_MAX_FIELDS: Final = 40

METHODS: Final = (
    "activate-node",
    "deactivate-node",
    "send-node-heartbeat",
    "pull-messages",
    "push-messages",
    "pull-object",
    "push-object",
    "confirm-message-received",
)
"""What a fleet client calls. Not forwarded: registering oneself, and code (`get-fab`, `get-run`)."""
PROTOBUF: Final = "application/protobuf"

_LINES: Final = {f"POST /v1/fleet/{method} HTTP/1.1".encode(): method for method in METHODS}
_HEALTH: Final = b"GET /health HTTP/1.1"
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e]*?)[ \t]*")
_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,11}")
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([2-5][0-9][0-9])( [\x20-\x7e]*)?")
_SIGNED: Final = ("flwr-public-key", "flwr-timestamp", "flwr-signature")
_INFORMATIVE: Final = ("flwr-package-name", "flwr-package-version", "flwr-component-name")
_FORBIDDEN: Final = frozenset({"transfer-encoding", "upgrade", "http2-settings", "expect", "trailer", "te"})
"""They change how a message or the connection is read; no client of the Fleet API sends them."""
_ANSWER_TYPES: Final = (PROTOBUF, "application/json")
_MISMATCH: Final = "flwr-version-incompatibility-message"


@dataclass(frozen=True)
class Request:
    """A request to forward: `method` is "" for health, `client` a digest of the node key that it claims."""

    method: str
    length: int
    fields: tuple[tuple[str, str], ...]
    client: bytes
    keep_alive: bool

    def head(self, host: str) -> bytes:
        """Return the head to send to the SuperLink."""
        lines = [f"POST /v1/fleet/{self.method} HTTP/1.1", f"host: {host}", f"content-type: {PROTOBUF}"]
        lines += [f"content-length: {self.length}", *(f"{name}: {value}" for name, value in self.fields)]
        return _written(lines)


@dataclass(frozen=True)
class AnswerHead:
    """The SuperLink's answer, up to its body of `length` bytes."""

    status: int
    length: int
    fields: tuple[tuple[str, str], ...]
    keep_alive: bool

    def head(self, *, keep_alive: bool) -> bytes:
        """Return the head to send to the member."""
        return _answer(self.status, self.length, self.fields, keep_alive=keep_alive)


def read_request(head: bytes) -> Request | None:
    """Read the head of a request, up to and with its empty line; None if it must not be forwarded."""
    line, _, rest = head.partition(b"\r\n")
    fields = _fields(rest) if len(head) <= MAX_HEAD else None
    if fields is None or fields.keys() & _FORBIDDEN:
        return None
    connection = fields.get("connection", "keep-alive").lower()
    if connection not in {"keep-alive", "close"} or not _LENGTH.fullmatch(fields.get("content-length", "0")):
        return None
    length, keep_alive = int(fields.get("content-length", "0")), connection == "keep-alive"
    if line == _HEALTH:
        return Request("", 0, (), b"", keep_alive) if length == 0 else None
    method = _LINES.get(line)
    if method is None or fields.get("content-type") != PROTOBUF or "content-encoding" in fields:
        return None
    forwarded = tuple((name, fields[name]) for name in (*_SIGNED, *_INFORMATIVE) if name in fields)
    signed = all(fields.get(name) for name in _SIGNED)
    client = hashlib.sha256(fields["flwr-public-key"].encode("ascii")).digest() if signed else b""
    return Request(method, length, forwarded, client, keep_alive)


def read_answer(head: bytes) -> AnswerHead | None:
    """Read the head of the SuperLink's answer; None if it is malformed, or has no clear end."""
    line, _, rest = head.partition(b"\r\n")
    status, fields = _STATUS.fullmatch(line), _fields(rest)
    if status is None or fields is None or "transfer-encoding" in fields:
        return None
    if not _LENGTH.fullmatch(fields.get("content-length", "")):
        return None
    known = [(name, fields[name]) for name in ("content-type", _MISMATCH) if name in fields]
    kept = tuple(field for field in known if field[0] != "content-type" or field[1] in _ANSWER_TYPES)
    keep_alive = fields.get("connection", "keep-alive").lower() == "keep-alive"
    return AnswerHead(int(status[1]), int(fields["content-length"]), kept, keep_alive)


def empty_answer(status: HTTPStatus, *, keep_alive: bool = False) -> bytes:
    """Return an answer of the proxy itself: a status and nothing else."""
    return _answer(status, 0, (), keep_alive=keep_alive)


def _answer(status: int, length: int, fields: tuple[tuple[str, str], ...], *, keep_alive: bool) -> bytes:
    known = {known.value: known.phrase for known in HTTPStatus}
    lines = [f"HTTP/1.1 {status} {known.get(status, '')}", f"content-length: {length}"]
    lines += [f"{name}: {value}" for name, value in fields]
    return _written(lines if keep_alive else [*lines, "connection: close"])


def _written(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _fields(raw: bytes) -> dict[str, str] | None:
    """Read header fields up to and with the empty line; None if one is malformed, or is there twice."""
    if not raw.endswith(b"\r\n\r\n") and raw != b"\r\n":
        return None
    lines = raw[:-2].split(b"\r\n")[:-1]
    found: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        name = match[1].decode("ascii").lower() if match else ""
        if match is None or name in found or len(found) >= _MAX_FIELDS:
            return None
        found[name] = match[2].decode("ascii")
    return found


class RecentClients:
    """Clients that the SuperLink accepted, with their addresses: the latest `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: OrderedDict[Hashable, None] = OrderedDict()

    def __contains__(self, client: Hashable) -> bool:
        return client in self._seen

    def add(self, client: Hashable) -> None:
        """Remember, as the latest."""
        self._seen[client] = None
        self._seen.move_to_end(client)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)

    def discard(self, client: Hashable) -> None:
        """Forget."""
        self._seen.pop(client, None)
