"""The reverse proxy before a server in the SuperLink's place that does what a broken one could."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.group.hosting.reverse_proxy import Bounds
from federation.flower import certificates
from tests.daemon.group import proxy_client
from tests.federation.flower import running_superlink
from tests.ports import free_port

pytestmark = pytest.mark.flower

SOON = 5.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[[Callable[[ssl.SSLSocket], None]], tuple[str, Path]]]:
    """Start a TLS server on loopback that does with each connection what it is told."""
    material = certificates.ensure(tmp_path / "server", ("127.0.0.1",), datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(material.server)
    threads: list[threading.Thread] = []
    listener = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()

    def start(answer: Callable[[ssl.SSLSocket], None]) -> tuple[str, Path]:
        def serve() -> None:
            while not ending.is_set():
                plain, _ = listener.accept()
                with (
                    plain,
                    contextlib.suppress(OSError),
                    context.wrap_socket(plain, server_side=True) as secure,
                ):
                    answer(secure)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return f"127.0.0.1:{listener.getsockname()[1]}", material.ca

    yield start
    ending.set()
    with contextlib.suppress(OSError):
        socket.create_connection(listener.getsockname(), timeout=SOON).close()
    for thread in threads:
        thread.join(SOON)
    listener.close()


def says(*parts: bytes) -> Callable[[ssl.SSLSocket], None]:
    def answer(connection: ssl.SSLSocket) -> None:
        connection.settimeout(SOON)
        connection.recv(65_536)
        for part in parts:
            connection.sendall(part)
            time.sleep(0.01)

    return answer


def endless(connection: ssl.SSLSocket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    began = time.monotonic()
    while time.monotonic() - began < SOON:
        connection.sendall(b"x: " + b"y" * 60_000)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"), 502),
        (says(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1_000), 503),
        (says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"5\r\nhello\r\n"), 503),
        (says(b"HTTP/1.1 101 Switching\r\ncontent-length: 0\r\n\r\n"), 503),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"), 503),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"), 503),
        (says(b"nonsense\r\n\r\n"), 503),
        (says(), 503),
        (endless, 503),
    ],
    ids=range(9),
)
def test_an_answer_without_a_clear_end_is_not_passed_on(
    server: Callable[[Callable[[ssl.SSLSocket], None]], tuple[str, Path]],
    tmp_path: Path,
    answer: Callable[[ssl.SSLSocket], None],
    status: int,
) -> None:
    with proxy_client.opened(tmp_path, *server(answer), Bounds(answer=2.0)) as proxy:
        found = proxy.answer(proxy_client.request("pull-messages", b"", running_superlink.new_key()))
        assert found == f"HTTP/1.1 {status} ".encode() + found[13:]
        assert found.endswith(b"content-length: 0\r\nconnection: close\r\n\r\n")


def test_an_object_that_never_ends_is_cut_off(
    server: Callable[[Callable[[ssl.SSLSocket], None]], tuple[str, Path]], tmp_path: Path
) -> None:
    def trickle(connection: ssl.SSLSocket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        began = time.monotonic()
        while time.monotonic() - began < SOON:
            connection.sendall(b"x")
            time.sleep(0.05)

    bounds = Bounds(head=0.3, slowest=1e9, answer=2.0)
    with proxy_client.opened(tmp_path, *server(trickle), bounds) as proxy:
        began = time.monotonic()
        found = proxy.answer(proxy_client.request("pull-object", b"", running_superlink.new_key()))
        assert len(found) < 1_000
        assert time.monotonic() - began < 3.0
        assert proxy.server.counts["too slow"] == 1


def test_what_comes_unasked_is_never_taken_for_the_next_answer(
    server: Callable[[Callable[[ssl.SSLSocket], None]], tuple[str, Path]], tmp_path: Path
) -> None:
    def chatty(connection: ssl.SSLSocket) -> None:
        connection.settimeout(SOON)
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad")
        with contextlib.suppress(TimeoutError):
            connection.settimeout(1.0)
            connection.recv(1)

    with (
        proxy_client.opened(tmp_path, *server(chatty), Bounds(answer=2.0)) as proxy,
        proxy.connect() as connection,
    ):
        for _ in range(2):
            connection.sendall(proxy_client.request("pull-messages", b"", running_superlink.new_key()))
            assert proxy_client.one_answer(connection) == (200, b"ok")


def test_a_connection_that_the_superlink_closed_is_not_the_members_problem(
    server: Callable[[Callable[[ssl.SSLSocket], None]], tuple[str, Path]], tmp_path: Path
) -> None:
    once = says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    with (
        proxy_client.opened(tmp_path, *server(once), Bounds(answer=2.0)) as proxy,
        proxy.connect() as connection,
    ):
        for _ in range(3):
            connection.sendall(proxy_client.request("pull-messages", b"", running_superlink.new_key()))
            assert proxy_client.one_answer(connection) == (200, b"ok")


def test_a_superlink_with_another_certificate_gets_nothing(
    server: Callable[[Callable[[ssl.SSLSocket], None]], tuple[str, Path]], tmp_path: Path
) -> None:
    heard: list[bytes] = []
    address, _ = server(lambda connection: heard.append(connection.recv(1_000)))
    other = certificates.ensure(tmp_path / "other", ("127.0.0.1",), datetime.now(UTC))
    with proxy_client.opened(tmp_path, address, other.ca) as proxy:
        request = proxy_client.request("pull-messages", b"", running_superlink.new_key())
        assert proxy_client.status_of(proxy.answer(request)) == 503
    assert heard == []


def test_nobody_behind_it(tmp_path: Path) -> None:
    ca = certificates.ensure(tmp_path / "nobody", ("127.0.0.1",), datetime.now(UTC)).ca
    request = proxy_client.request("pull-messages", b"", running_superlink.new_key())
    with proxy_client.opened(tmp_path, f"127.0.0.1:{free_port()}", ca) as proxy:
        assert proxy_client.status_of(proxy.answer(request)) == 503
