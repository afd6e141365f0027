"""Odd bytes, odd numbers and silent connections, at a real daemon: no 500, and everybody else is served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from daemon.config import load
from daemon.identity import open_identity
from daemon.serve import connection_limit, validation
from federation import envelope, hello
from federation.envelope import Stage
from federation.http import CARD_PATH, MESSAGE_PATH
from federation.identity import Identity
from tests.daemon.running_daemon import Daemon, daemon, instance, put_model
from tests.models.made import made_labels

pytestmark = pytest.mark.daemon

LABELS = made_labels()
TEXTS = [
    "\x00",
    "a\x00b",
    "\ufffe\uffff",
    "\N{RIGHT-TO-LEFT OVERRIDE}" * 50,
    "é" * 3000,
    "../../etc/passwd",
    "%00",
    "'; DROP TABLE peers; --",
    "\N{PILE OF POO}" * 100,
    "",
    " ",
    "\r\nX: y",
]
SURROGATES = ["\ud800", "a\udfff", "\udc80" * 20]
NUMBERS: list[Any] = [
    2**31,
    2**31 - 1,
    2**53,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    10**400,
    -1,
    -(2**63) - 1,
    1e308,
    "1e999",
    "NaN",
    "-Infinity",
    "0x10",
    "١٢",
    "1_000",
    "9" * 5000,
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = instance(tmp_path_factory.mktemp("odd") / "one", extra='mode = "contribute"')
    settings = load(config)
    open_identity(settings.identity_file, settings.instance.host)
    put_model(config.parent, "first")
    with daemon(config) as found:
        yield found


def described(running: Daemon) -> dict[str, Any]:
    status, answer = running.call("/v1/admin/openapi.json", admin=True)
    assert status == 200
    found: dict[str, Any] = answer
    return found


def fine(running: Daemon, path: str, *, body: Any = None, admin: bool = True) -> None:
    """Send a request that is refused, or answered, and never a bug."""
    status, answer = running.call(path, body=body, admin=admin, timeout=20)
    assert status < 500 or answer["code"] in {"busy", "no-model", "job-busy"} or status == 502, (
        path[:200],
        body,
        status,
        answer,
    )
    if status >= 400:
        assert answer["code"] != "bug"


def in_path(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


def test_odd_queries(running: Daemon) -> None:
    paths = ["/v1/related?video={}", "/v1/related?video=x&viewer={}", "/v1/explain?video={}&history={}"]
    paths += [f"/v1/related?video={LABELS.uuid[3]}&exclude={{}}", "/v1/vectors/ranking?history={}", "/v1/{}"]
    paths += [f"/v1/related?video={LABELS.uuid[3]}&language={{}}", "/v1/related?{}=1", "/{}"]
    for path in paths:
        for text in (*TEXTS, *SURROGATES):
            odd = in_path(text)
            fine(running, path.replace("{}", odd)[:8000], admin=False)
    for number in NUMBERS:
        fine(running, f"/v1/related?video={LABELS.uuid[3]}&limit={in_path(str(number))}"[:8000], admin=False)


def test_odd_requests_of_an_admin(running: Daemon) -> None:
    for path, methods in described(running)["paths"].items():
        for text in (*TEXTS, *SURROGATES) if "{" in path else ("x",):
            filled = "/".join(in_path(text) if part.startswith("{") else part for part in path.split("/"))
            if "get" in methods:
                fine(running, filled[:8000])
            if "post" in methods and "{" in path:
                fine(running, filled[:8000], body={})
        for parameter in methods.get("get", {}).get("parameters", []):
            if parameter["in"] != "query":
                continue
            for value in (*TEXTS, *SURROGATES, *map(str, NUMBERS)):
                fine(running, f"{path}?{parameter['name']}={in_path(value)}"[:8000])


def test_odd_bodies(running: Daemon) -> None:
    # As they are written, escapes included: a lone surrogate is valid JSON and no text.
    bodies = [
        b'{"viewer": "\\ud800"}',
        b'{"history": ["\\udfff\\ud800", "\\u0000"]}',
        b'{"viewer": "a\\u0000b"}',
        b'{"limit": 1e999}',
        b'{"limit": ' + b"9" * 4000 + b"}",
        b'{"limit": -0.0}',
        b'{"limit": NaN}',
        b'{"viewer": "\xff\xfe"}',
        b"\xef\xbb\xbf{}",
        b"\x00",
        b"[" * 5000,
        b'{"a":' * 3000,
        b'"' + b"\\ud83d" * 100 + b'"',
        b'{"\\ud800": 1}',
    ]
    for body in bodies:
        for path in ("/v1/recommendations", "/v1/viewers/known", "/v1/viewers/forget"):
            fine(running, path, body=body, admin=False)
    posts = [path for path, methods in described(running)["paths"].items() if "post" in methods]
    for path in posts:
        for body in bodies:
            fine(running, path.replace("{host}", "peer.example").replace("{id}", "x"), body=body)
        for text in (*TEXTS, *SURROGATES):
            for name in ("host", "key", "url", "group", "name", "confirm"):
                odd = json.dumps({name: text}).encode()
                fine(running, path.replace("{host}", "peer.example").replace("{id}", "x"), body=odd)
        for number in NUMBERS:
            for name in ("at", "max_users", "limit"):
                odd = f'{{"{name}": {number}}}'.encode()
                fine(running, path.replace("{host}", "peer.example").replace("{id}", "x"), body=odd)


async def test_odd_messages_of_peers(running: Daemon) -> None:
    host, port = running.running.federation.split(":")
    stranger = Identity("odd.example", b"o" * 32)
    good = hello.say(stranger, "one.example", time.time(), approves=True)
    late = hello.say(stranger, "one.example", 2.0**52, approves=True)
    odd = [good[:n] for n in (0, 1, 6, 50, len(good) - 1)] + [good + b"\x00", late]
    payloads = (b"", b"\xff", b"\x9b" + b"\xff" * 8, b"\x7b" + b"\xff" * 8, b"\xa1\x61\x00\x1b" + b"\xff" * 8)
    odd += [
        envelope.seal(stranger, round_id=b"\xff" * 32, stage=stage, recipient="one.example", payload=payload)
        for stage in Stage
        for payload in payloads
    ]
    for body in odd:
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {MESSAGE_PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        assert not answer.startswith(b"HTTP/1.1 500"), body
    assert "Traceback" not in running.logged()
    assert "request failed" not in running.logged()


async def test_silent_connections_to_both_listeners_give_way(running: Daemon) -> None:
    addresses = [where.split(":") for where in (running.running.api, running.running.federation)]
    held: list[socket.socket] = []
    loop = asyncio.get_running_loop()
    try:
        for number in range(2000):
            for host, port in addresses:
                one = socket.socket()
                one.setblocking(False)
                held.append(one)
                with contextlib.suppress(ConnectionError):
                    await loop.sock_connect(one, (host, int(port)))
                    if number % 2:
                        await loop.sock_sendall(one, b"GET /v1/sta")
            if number % 500 == 0:
                await _served(running)
        await _served(running)
        files = _open_files(running)
        assert files < connection_limit.MAX_CONNECTIONS + connection_limit.MAX_LOCAL + 200
    finally:
        for one in held:
            one.close()


async def test_a_slow_body_is_not_waited_for(running: Daemon) -> None:
    host, port = running.running.api.split(":")
    head = b"POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    slow = [await asyncio.open_connection(host, int(port)) for _ in range(40)]
    for _, writer in slow:
        writer.write(head + b"Content-Length: 500\r\n\r\n{")
    await _served(running)
    began = time.monotonic()
    answers = [await asyncio.wait_for(reader.readline(), 3 * validation.BODY_WITHIN) for reader, _ in slow]
    assert set(answers) == {b"HTTP/1.1 408 Request Timeout\r\n"}
    assert time.monotonic() - began < 2 * validation.BODY_WITHIN
    for _, writer in slow:
        writer.close()


def _open_files(running: Daemon) -> int:
    return sum(1 for _ in Path(f"/proc/{running.process.pid}/fd").iterdir())


async def _served(running: Daemon) -> None:
    assert (await asyncio.to_thread(running.call, "/health/live"))[0] == 200
    path = f"/v1/related?video={LABELS.uuid[3]}"
    assert (await asyncio.to_thread(running.call, path))[0] == 200
    host, port = running.running.federation.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {CARD_PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert (await asyncio.wait_for(reader.readline(), 10)) == b"HTTP/1.1 200 OK\r\n"
    writer.close()
